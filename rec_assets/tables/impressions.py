"""Served lists joined with what was done about them, by request_id."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rec_assets.log import LIST, Record
from rec_assets.log.block import Block
from rec_assets.tables import warehouse

WINDOW = timedelta(days=1)  # what is done about a list later than this is not its doing
CLOCKS = timedelta(minutes=1)  # feedback may be stamped so much earlier than its list
JUDGE = Path(__file__).with_suffix(".sql").read_text()
TIMES = """
select min(told_at), max(told_at) from (
  select served_at as told_at from impressions where list_offset >= $start and list_offset < $end
  union all
  select received_at from interactions where log_offset >= $start and log_offset < $end and request_id is not null
)
"""
ROWS = pa.schema(
    [
        ("list_offset", pa.int64()), ("request_id", pa.string()), ("user_id", pa.string()),
        ("served_at", pa.timestamp("us")), ("checkpoint", pa.string()), ("item_id", pa.string()),
        ("position", pa.int32()), ("source", pa.string()), ("score", pa.float64()),
    ]
)  # fmt: skip
OUTCOMES = """
select outcome, count(*) from impressions where list_offset >= $start and list_offset < $end group by outcome
"""


class _List(msgspec.Struct):
    """A served list as the service keeps it; equally long columns, best first."""

    request_id: str
    item_ids: list[str]
    positions: list[int]
    user_id: str | None = None
    sources: list[str] = []
    scores: list[float] = []
    checkpoint: str | None = None


def forget(con: duckdb.DuckDBPyConnection, start: int, end: int) -> None:
    """Remove the lists of offsets [start, end), to be taken in again."""
    con.execute(
        "delete from impressions where list_offset >= $start and list_offset < $end", {"start": start, "end": end}
    )


def take_in(con: duckdb.DuckDBPyConnection, records: Sequence[Record]) -> int:
    """Add the lists among the records, a row per item, not judged yet; returns how many rows.

    A list that cannot be read is passed over: the service writes them, nobody else.
    """
    rows: list[tuple[Any, ...]] = []
    for record in lists(records):
        try:
            served = msgspec.json.decode(record.payload, type=_List)
        except msgspec.DecodeError:
            continue
        at, n = warehouse.timestamp(record.received_at), len(served.item_ids)
        common = (record.offset, served.request_id, served.user_id, at, served.checkpoint)
        unknown: list[None] = [None] * n
        columns = (served.item_ids, served.positions, served.sources or unknown, served.scores or unknown)
        rows += [(*common, *each) for each in zip(*columns, strict=False)]
    if rows:
        columns_of = [pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), ROWS, strict=True)]
        con.register("shown_items", pa.table(columns_of, schema=ROWS))
        con.execute("insert into impressions by name select *, 'no answer' as outcome from shown_items")
        con.unregister("shown_items")
    return len(rows)


def lists(records: Sequence[Record]) -> Iterable[Record]:
    """Those that are served lists; of a block no other record is made."""
    if isinstance(records, Block):
        is_list = pc.equal(records.table.column("kind"), LIST).to_numpy()
        return records.records(np.flatnonzero(is_list))
    return [record for record in records if record.kind == LIST]


def judge(con: duckdb.DuckDBPyConnection, start: int, end: int) -> None:
    """Say of every impression that [start, end) served or answered what was done about it.

    Looks at lists and feedback within the window of theirs alone, so the cost does not grow with the tables.
    """
    bounds = {"start": start, "end": end}
    [(first, last)] = con.execute(TIMES, bounds).fetchall()
    if first is not None:
        reach = {"earliest": first - WINDOW - CLOCKS, "latest": last + WINDOW + CLOCKS}
        con.execute(JUDGE, {**bounds, **reach, "window": WINDOW, "clocks": CLOCKS})


def outcomes(con: duckdb.DuckDBPyConnection, start: int, end: int) -> dict[str, int]:
    """How many impressions of the range's lists there are per outcome."""
    return dict(con.execute(OUTCOMES, {"start": start, "end": end}).fetchall())
