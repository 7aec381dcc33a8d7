"""The ledger: one line per micro-batch, in the transaction of its rows."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb

from rec_assets.tables import warehouse

if TYPE_CHECKING:
    from rec_assets.tables.write import Counts

ENTER = """
insert into micro_batches by name select
  $log_id as log_id, $start as start_offset, $end as end_offset, $state as state, $reason as reason,
  $checkpoint as checkpoint, $events as events, $rejected as rejected, $interactions as interactions,
  $repeated as repeated, $late as late, $clock_at as clock_at, $run_id as run_id, $stored_at as stored_at,
  $trained_at as trained_at, $promoted_at as promoted_at, $served_at as served_at
"""
BEFORE = """
select state, reason, checkpoint, run_id, stored_at, trained_at, promoted_at, served_at
from micro_batches where start_offset = $start and end_offset = $end
"""
LOOKED_AT = 100  # newest micro-batches in which what is not settled is looked for
KEPT = ("state", "reason", "checkpoint", "run_id", "stored_at", "trained_at", "promoted_at", "served_at")


class Line(NamedTuple):
    """What the ledger says of one micro-batch; times are naive UTC."""

    start: int
    end: int
    state: str
    reason: str | None
    checkpoint: str | None
    stored_at: datetime
    trained_at: datetime | None
    promoted_at: datetime | None
    served_at: datetime | None


def lines(con: duckdb.DuckDBPyConnection, start: int = 0, newest: int | None = None) -> list[Line]:
    """The lines that begin at `start` or later, in order; only the `newest` so many if asked."""
    rows = con.execute(
        """
        select start_offset, end_offset, state, reason, checkpoint, stored_at, trained_at, promoted_at, served_at
        from micro_batches where start_offset >= $start order by start_offset desc limit $newest
        """,
        {"start": start, "newest": newest if newest is not None else 2**62},
    ).fetchall()
    return [Line(*row) for row in reversed(rows)]


def end(con: duckdb.DuckDBPyConnection) -> int:
    """Where the next micro-batch begins."""
    [(found,)] = con.execute("select coalesce(max(end_offset), 0) from micro_batches").fetchall()
    return int(found)


def claim(con: duckdb.DuckDBPyConnection, log_id: str, start: int, end: int) -> None:
    """Make sure that [start, end) may be written: of this log, and no micro-batch cut through; ValueError otherwise."""
    known = warehouse.log_id(con)
    if known is None:
        con.execute("update warehouse set log_id = $log_id", {"log_id": log_id})
    elif known != log_id:
        raise ValueError(f"the tables were made from log {known}, but this is log {log_id}: rebuild them")
    cut = con.execute(
        """
        select start_offset, end_offset from micro_batches
        where start_offset < $end and end_offset > $start and not (start_offset = $start and end_offset = $end)
        """,
        {"start": start, "end": end},
    ).fetchall()
    if cut:
        ranges = ", ".join(f"[{low}, {high})" for low, high in cut[:3])
        raise ValueError(f"offsets [{start}, {end}) overlap the micro-batches {ranges}; write those again as they are")


def clock_before(con: duckdb.DuckDBPyConnection, start: int) -> datetime | None:
    """The latest occurred_at of all events before this offset, None where there are none."""
    [(found,)] = con.execute(
        "select max(clock_at) from micro_batches where end_offset <= $start", {"start": start}
    ).fetchall()
    return found if isinstance(found, datetime) else None


def enter(
    con: duckdb.DuckDBPyConnection,
    log_id: str,
    start: int,
    end: int,
    counts: "Counts",
    clock_at: datetime | None,
    run_id: str,
    stored_at: datetime,
) -> None:
    """Write the line of [start, end); where there is one, what became of the micro-batch since stays."""
    bounds = {"start": start, "end": end}
    before = con.execute(BEFORE, bounds).fetchall()
    con.execute("delete from micro_batches where start_offset = $start and end_offset = $end", bounds)
    values: dict[str, Any] = dict.fromkeys(KEPT) | {"state": "stored", "run_id": run_id, "stored_at": stored_at}
    if before:
        values = dict(zip(KEPT, before[0], strict=True))
    figures = {name: getattr(counts, name) for name in ("events", "rejected", "interactions", "repeated", "late")}
    con.execute(ENTER, {"log_id": log_id, **bounds, "clock_at": clock_at, **figures, **values})
