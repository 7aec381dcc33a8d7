"""A range of the log into the tables, in one transaction."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import duckdb
import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rec_assets import events
from rec_assets.log import Log
from rec_assets.log.ids import IdIndex, hashes
from rec_assets.settings import Denoising, Kind
from rec_assets.tables import arrival, denoising, impressions, ledger, warehouse
from rec_assets.tables.warehouse import microseconds

CHUNK_ROWS = 20_000  # records parsed at once
# The same where they lie in a segment, maybe as columns. Many, as each insert leaves row groups that are not full, and
# where these lie side by side a checkpoint writes them again.
BLOCK_ROWS = 1_000_000
T = TypeVar("T")
HERE = Path(__file__).parent
REJECTED = "insert into rejected_events by name " + (HERE / "rejected_events.sql").read_text()
INTERACTIONS = "insert into interactions by name " + (HERE / "interactions.sql").read_text()
USERS = (HERE / "users.sql").read_text()
ITEMS = (HERE / "items.sql").read_text()


class Counts(msgspec.Struct):
    """What a range held."""

    events: int = 0  # accepted
    rejected: int = 0
    interactions: int = 0  # rows of that table
    repeated: int = 0  # accepted, but an earlier record had the event_id
    late: int = 0  # accepted, but occurred before something that an earlier record told of
    users: int = 0  # user records
    items: int = 0  # item records
    impressions: int = 0  # items of served lists
    late_by_source: dict[str, int] = {}
    excluded: dict[str, int] = {}  # interactions that are not to be learnt from, by rule
    rewritten: int = 0  # interactions of earlier ranges for which that has changed


def write(
    con: duckdb.DuckDBPyConnection,
    log: Log,
    start: int,
    end: int,
    kinds: Mapping[str, Kind],
    run_id: str,
    clock: Callable[[], int] = microseconds,
    policy: Denoising = Denoising(),  # noqa: B008 - frozen
) -> Counts:
    """Replace the rows of offsets [start, end) and their line of the ledger; running again changes nothing.

    Memory is bounded by two blocks of the log. Raises ValueError where the range is empty, overlaps another
    micro-batch or the tables are of another log. On any error everything is as it was.
    """
    if not 0 <= start < end <= log.head():
        raise ValueError(f"offsets [{start}, {end}) are no range of a log that holds [0, {log.head()})")
    with warehouse.transaction(con):
        return _replace(con, log, start, end, kinds, run_id, clock, policy)


def _replace(
    con: duckdb.DuckDBPyConnection,
    log: Log,
    start: int,
    end: int,
    kinds: Mapping[str, Kind],
    run_id: str,
    clock: Callable[[], int],
    policy: Denoising,
) -> Counts:
    ledger.claim(con, log.log_id, start, end)
    bounds = {"start": start, "end": end}
    con.execute("delete from rejected_events where log_offset >= $start and log_offset < $end", bounds)
    con.execute("delete from interactions where log_offset >= $start and log_offset < $end", bounds)
    con.register("kinds", _kinds_table(kinds))
    counts, before = Counts(), ledger.clock_before(con, start)
    told_at = None if before is None else warehouse.since_1970(before)
    impressions.forget(con, start, end)
    batches = log.batches(start, end, CHUNK_ROWS, BLOCK_ROWS)
    for records, parsed in _ahead((records, events.parse_to_arrow(records, kinds)) for records in batches):
        counts.impressions += impressions.take_in(con, records)
        told_at = _take_in(con, parsed, told_at, counts)
    counts.rewritten = denoising.judge(con, start, end, policy)
    counts.excluded = denoising.per_rule(con, start, end)
    impressions.judge(con, start, end)
    con.unregister("kinds")
    clock_at = None if told_at is None else warehouse.timestamp(told_at)
    ledger.enter(con, log.log_id, start, end, counts, clock_at, run_id, warehouse.timestamp(clock()))
    return counts


class _Lent:
    """A table for queries until it is taken back: DuckDB keeps what was registered until the transaction ends."""

    def __init__(self, table: pa.Table) -> None:
        self._table: pa.Table | None = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        assert self._table is not None
        return self._table.__arrow_c_stream__(requested_schema)

    def take_back(self) -> None:
        self._table = None


def _ahead(pieces: Iterator[T]) -> Iterator[T]:
    """The same, each made by another thread while the one before is taken in."""
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(next, pieces, None)
        while (piece := following.result()) is not None:
            following = pool.submit(next, pieces, None)
            yield piece


def _take_in(con: duckdb.DuckDBPyConnection, parsed: events.Tables, told_at: int | None, counts: Counts) -> int | None:
    """Add one chunk to the tables and to `counts`; takes and returns the latest occurred_at so far, in µs."""
    named = dict(zip(("events", "item_records", "user_records", "rejected"), map(_Lent, parsed[:4]), strict=True))
    for name, lent in named.items():
        con.register(name, lent)
    if parsed.rejected.num_rows:
        con.execute(REJECTED)
    if parsed.events.num_rows:
        told_at = _take_in_events(con, parsed, told_at, counts)
    if parsed.events.num_rows or parsed.users.num_rows:
        con.execute(USERS)
    if parsed.events.num_rows or parsed.items.num_rows:
        con.execute(ITEMS)
    for name, lent in named.items():
        con.unregister(name)
        lent.take_back()
    counts.events += parsed.events.num_rows
    counts.rejected += parsed.rejected.num_rows
    counts.items += parsed.items.num_rows
    counts.users += parsed.users.num_rows
    return told_at


def _take_in_events(con: duckdb.DuckDBPyConnection, parsed: events.Tables, told_at: int | None, counts: Counts) -> int:
    taken = parsed.events
    occurred_at = taken.column("occurred_at").cast(pa.int64()).to_numpy()
    first, last = int(occurred_at.min()), int(occurred_at.max())
    bounds = {"first": warehouse.timestamp(first), "last": warehouse.timestamp(last)}
    repeats = np.empty(0, np.int64) if parsed.ids_once else _repeats(taken)
    con.register("repeats", pa.table({"offset": repeats}))
    [(rows,)] = con.execute(INTERACTIONS, bounds).fetchall()
    con.unregister("repeats")
    counts.interactions += rows
    counts.repeated += taken.num_rows - taken.column("item_id").null_count - rows
    late = arrival.late(occurred_at, told_at)
    counts.late += int(late.sum())
    sources = taken.column("source").filter(pa.array(late)).value_counts().to_pylist()
    counts.late_by_source = dict(
        Counter(counts.late_by_source) + Counter({each["values"]: each["counts"] for each in sources})
    )
    return last if told_at is None else max(told_at, last)


def _repeats(taken: pa.Table) -> npt.NDArray[np.int64]:
    """The offsets of events with an item whose event_id an earlier one of the same chunk has."""
    placed = taken.select(["offset", "event_id"]).filter(taken.column("item_id").is_valid()).combine_chunks()
    if not placed.num_rows:
        return np.empty(0, np.int64)
    alike = np.sort(IdIndex.build(hashes(placed.column("event_id").chunk(0))).repeated())
    repeats, seen = [], set()
    for offset, event_id in zip(*(column.to_pylist() for column in placed.take(alike).columns), strict=True):
        if event_id in seen:
            repeats.append(offset)
        seen.add(event_id)
    return np.array(repeats, np.int64)


def _kinds_table(kinds: Mapping[str, Kind]) -> pa.Table:
    return pa.table(
        {
            "event": pa.array(list(kinds), pa.string()),
            "weight": pa.array([kind.weight for kind in kinds.values()], pa.float32()),
            "target": pa.array([kind.target for kind in kinds.values()], pa.bool_()),
            "value": pa.array([kind.value for kind in kinds.values()], pa.string()),
            "fill": pa.array([kind.fill for kind in kinds.values()], pa.float64()),
            "against_below": pa.array([kind.against_below for kind in kinds.values()], pa.float64()),
        }
    )
