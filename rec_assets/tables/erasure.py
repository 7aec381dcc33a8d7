"""One user's rows leave every table, and the file is written anew: DuckDB keeps what was deleted in free blocks."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from rec_assets import durable
from rec_assets.tables import warehouse

THEIRS = "user_id = $user and log_offset < $before"
COUNT = """
update micro_batches set {column} = {column} - gone.rows from (
  select start_offset, count(*) as rows from {table} join micro_batches
  on log_offset >= start_offset and log_offset < end_offset where {condition} group by start_offset
) as gone where micro_batches.start_offset = gone.start_offset
"""
# An item is as old as the earliest event that is left; one that nothing else names is none.
ITEMS = """
update items set first_at = (select min(occurred_at) from interactions where interactions.item_id = items.item_id)
where item_id in (select item_id from touched)
"""
STRANGE_ITEMS = """
delete from items where item_id in (select item_id from touched) and first_at is null and described_offset is null
"""
USER = """
update users set
  first_at = (select min(occurred_at) from interactions where user_id = $user),
  attributes = case when described_offset > $before then attributes else '{}' end,
  attributes_filled = attributes_filled or described_offset is null or described_offset < $before,
  described_offset = case when described_offset > $before then described_offset end
where user_id = $user
"""
STRANGER = "delete from users where user_id = $user and first_at is null and described_offset is null"
WITH = "select table_name from duckdb_columns() where database_name = current_database() and column_name = $column"


def forget(path: Path, user_id: str, before: int, erased: Sequence[int], renamed: Mapping[str, str]) -> dict[str, int]:
    """Delete the user's rows of offsets below `before`, and rejected rows of the offsets `erased`; returns how many.

    The ledger's counts of these rows, and its checkpoints that were `renamed`, follow in the same transaction; what it
    says of what was received (events, repeated, late) stays. Running again changes nothing. The file is then replaced.
    """
    with warehouse.connect(path) as con, warehouse.transaction(con):
        rows = _delete(con, user_id, before, erased)
        for table in _tables(con, "checkpoint"):
            for old, new in renamed.items():
                con.execute(f"update {table} set checkpoint = $new where checkpoint = $old", {"old": old, "new": new})  # noqa: S608 - names of our own
    rewrite(path)
    return rows


def _delete(con: duckdb.DuckDBPyConnection, user_id: str, before: int, erased: Sequence[int]) -> dict[str, int]:
    theirs, bounds = {"user": user_id}, {"user": user_id, "before": before}
    con.register("erased", pa.table({"log_offset": pa.array(erased, pa.int64())}))
    con.execute(
        f"create or replace temp table touched as select distinct item_id from interactions where {THEIRS}",  # noqa: S608
        bounds,
    )
    con.execute(COUNT.format(column="interactions", table="interactions", condition=THEIRS), bounds)
    rejected = "log_offset in (select log_offset from erased)"
    con.execute(COUNT.format(column="rejected", table="rejected_events", condition=rejected))
    found = {}
    for column in ("log_offset", "list_offset"):
        for table in sorted(set(_tables(con, "user_id")) & set(_tables(con, column))):
            query = f"delete from {table} where user_id = $user and {column} < $before"  # noqa: S608 - names of our own
            [(found[table],)] = con.execute(query, bounds).fetchall()
    [(found["rejected_events"],)] = con.execute(f"delete from rejected_events where {rejected}").fetchall()  # noqa: S608
    con.execute(ITEMS)
    [(found["items"],)] = con.execute(STRANGE_ITEMS).fetchall()
    con.execute(USER, bounds)
    [(found["users"],)] = con.execute(STRANGER, theirs).fetchall()
    con.execute("drop table touched")
    con.unregister("erased")
    return found


def _tables(con: duckdb.DuckDBPyConnection, column: str) -> list[str]:
    return [str(row[0]) for row in con.execute(WITH, {"column": column}).fetchall()]


def rewrite(path: Path) -> None:
    """Copy all that the tables hold into a new file, which takes the old one's place at once."""
    fresh = path.with_name(f".forget-{path.name}")
    for left in (fresh, Path(f"{fresh}.wal")):
        left.unlink(missing_ok=True)
    with warehouse.opened(fresh) as con:
        [(own,)] = con.execute("select current_database()").fetchall()
        # Held until the end: nobody can write the old file while it is copied, nor between the copy and the rename.
        con.execute(f"attach {warehouse.literal(path)} as old (read_only)")
        con.execute(f'copy from database old to "{own}"')
        con.execute(f'checkpoint "{own}"')
        durable.put(fresh, path)
