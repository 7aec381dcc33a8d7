"""What must hold of the tables before training goes on: figures, and the rows that break it."""

import functools
from typing import Any, NamedTuple

import duckdb

from rec_assets.tables import warehouse

OFFENDERS = 20  # rows shown at most


class Result(NamedTuple):
    """Whether a check holds, in figures, with some of the rows that break it."""

    passed: bool
    figures: dict[str, int]
    offenders: list[dict[str, Any]]


REPEATED = """
with batch as (
  select event_id, min(occurred_at) over () as first, max(occurred_at) over () as last
  from interactions where log_offset >= $start and log_offset < $end
)

select event_id, count(*) as rows, list(log_offset order by log_offset)[:5] as log_offsets
from interactions
where
  event_id in (select event_id from batch)
  and occurred_at >= (select min(first) from batch) and occurred_at <= (select max(last) from batch)
group by event_id having count(*) > 1
"""
REPEATED_ANYWHERE = """
select event_id, count(*) as rows, list(log_offset order by log_offset)[:5] as log_offsets
from interactions group by event_id having count(*) > 1
"""
# What the columns must hold, as the data's own types cannot say it.
MALFORMED = """
select * from (
  select
    log_offset, event_id,
    case
      when event_id is null or event_id = '' then 'event_id is empty'
      when user_id is null or user_id = '' then 'user_id is empty'
      when item_id is null or item_id = '' then 'item_id is empty'
      when event is null or weight is null or target is null then 'the kind of event is unknown'
      when occurred_at is null or received_at is null then 'a time is missing'
      when occurred_at > received_at + interval 1 day then 'occurred_at is more than a day ahead'
      when isnan(value) or isinf(value) then 'value is not finite'
    end as problem
  from interactions where log_offset >= $start and log_offset < $end
) where problem is not null
"""
STRANGERS = """
with batch as (select * from interactions where log_offset >= $start and log_offset < $end)

select log_offset, event_id, 'users lack user_id ' || user_id as problem from batch anti join users using (user_id)
union all
select log_offset, event_id, 'items lack item_id ' || item_id from batch anti join items using (item_id)
order by log_offset
"""
GAPS = """
select start_offset, end_offset, before as expected from (
  select start_offset, end_offset, lag(end_offset, 1, 0) over (order by start_offset, end_offset) as before
  from micro_batches
) where start_offset != before order by start_offset
"""


def schema(con: duckdb.DuckDBPyConnection, start: int, end: int) -> Result:
    """Every table has the columns and types of schema.sql, and the interactions of [start, end) hold what they must."""
    found = _described(con)
    wrong = [
        {"table": table, "expected": columns, "found": found.get(table, {})}
        for table, columns in _expected().items()
        if columns != found.get(table)
    ]
    malformed = _rows(con, MALFORMED, start, end) if not wrong else []
    figures = {"wrong_tables": len(wrong), "malformed": len(malformed)}
    return Result(not wrong and not malformed, figures, [*wrong, *malformed][:OFFENDERS])


def each_event_once(con: duckdb.DuckDBPyConnection, start: int, end: int) -> Result:
    """No event_id of [start, end) has a second row within the range's times; costs the same in a large table."""
    repeated = _rows(con, REPEATED, start, end)
    return Result(not repeated, {"repeated": len(repeated)}, repeated[:OFFENDERS])


def each_event_once_anywhere(con: duckdb.DuckDBPyConnection) -> Result:
    """No event_id has two rows at all: reads the whole table."""
    repeated = _rows(con, REPEATED_ANYWHERE)
    return Result(not repeated, {"repeated": len(repeated)}, repeated[:OFFENDERS])


def ids_known(con: duckdb.DuckDBPyConnection, start: int, end: int) -> Result:
    """Every user and item of the interactions of [start, end) has its row in users and items."""
    strangers = _rows(con, STRANGERS, start, end)
    return Result(not strangers, {"unknown_ids": len(strangers)}, strangers[:OFFENDERS])


def ledger_contiguous(con: duckdb.DuckDBPyConnection) -> Result:
    """The micro-batches begin at 0, and each where the one before ends; their counts are those of the tables."""
    gaps = _rows(con, GAPS)
    [(lines, rows)] = con.execute("select count(*), coalesce(sum(interactions), 0) from micro_batches").fetchall()
    [(found,)] = con.execute("select count(*) from interactions").fetchall()
    figures = {"micro_batches": lines, "gaps": len(gaps), "interactions": found, "interactions_of_ledger": int(rows)}
    return Result(not gaps and found == rows, figures, gaps[:OFFENDERS])


def _rows(con: duckdb.DuckDBPyConnection, query: str, *bounds: int) -> list[dict[str, Any]]:
    result = con.execute(query, dict(zip(("start", "end"), bounds, strict=False)))
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


@functools.cache
def _expected() -> dict[str, dict[str, str]]:
    with duckdb.connect(":memory:") as fresh:
        warehouse.create(fresh)
        return _described(fresh)


def _described(con: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str]]:
    rows = con.execute(
        "select table_name, column_name, data_type from duckdb_columns() "
        "where database_name = current_database() order by table_name, column_index"
    ).fetchall()
    tables: dict[str, dict[str, str]] = {}
    for table, column, kind in rows:
        tables.setdefault(table, {})[column] = kind
    return tables
