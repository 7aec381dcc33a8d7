"""How long events wait: from received_at until stored, trained on, promoted, and served by the last live worker."""

import contextlib
import sqlite3
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from rec_assets.log import LIST, Log
from rec_assets.log.block import Block
from rec_assets.tables import ledger, warehouse

STALE_SECONDS = 10.0  # a worker whose last heartbeat is older than this has died
NEWEST = 50  # micro-batches looked at per call: what nobody served by then has no figure
SWAPS = 10_000  # the newest read; a worker swaps every few seconds
CHUNK_ROWS = 20_000
ENTER = """
insert into freshness by name select
  log_id, $start as start_offset, $end as end_offset, $stage as stage, $n as n,
  $p50 as p50_seconds, $p95 as p95_seconds, $p99 as p99_seconds
from warehouse
"""
POOLED = """
with batch as (
  select start_offset, end_offset, served_at from micro_batches
  where start_offset >= $start and end_offset <= $end and served_at is not null
),

waited as (
  select epoch_us(batch.served_at) / 1e6 - epoch_us(interactions.received_at) / 1e6 as seconds
  from interactions join batch on log_offset >= start_offset and log_offset < end_offset
  where log_offset >= $start and log_offset < $end
)

select count(*), quantile_cont(seconds, [0.5, 0.95, 0.99]) from waited
"""


class Swap(NamedTuple):
    """A worker took up a checkpoint. Times in µs, UTC."""

    worker: str
    watermark: int
    served_at: int


def measure(
    con: duckdb.DuckDBPyConnection, log: Log, spool: Path, now: int, stale_seconds: float = STALE_SECONDS
) -> int:
    """Add the stages that were reached since the last call, for the newest micro-batches; returns how many rows.

    `spool` is the service's SQLite file; without it, or with no live worker, there is no figure for "served".
    `now` in µs.
    """
    swaps, seen = read_spool(spool)
    lines = ledger.lines(con, newest=NEWEST)
    if not lines:
        return 0
    query = "select start_offset, stage from freshness where start_offset >= $floor"
    had = set(con.execute(query, {"floor": lines[0].start}).fetchall())
    rows = 0
    for line in lines:
        served = None
        if line.state == "promoted" and (line.start, "served") not in had:
            served = served_at(swaps, seen, line.end, now, stale_seconds)
        moments = {"stored": line.stored_at, "trained": line.trained_at, "promoted": line.promoted_at}
        reached = {stage: warehouse.since_1970(at) for stage, at in moments.items() if at is not None}
        reached |= {"served": served} if served is not None else {}
        new = {stage: at for stage, at in reached.items() if (line.start, stage) not in had}
        if new and line.start >= log.start():
            _enter(con, log, line.start, line.end, new)
            rows += len(new)
    return rows


def served_at(
    swaps: Sequence[Swap], seen: dict[str, int], end: int, now: int, stale_seconds: float = STALE_SECONDS
) -> int | None:
    """The first moment (µs) at which a worker lived and every living worker served a watermark of at least `end`.

    A worker lives from its first swap until its last heartbeat (`seen`, µs), or until now where that is no older than
    `stale_seconds`; one that has no heartbeat left has stopped after its last swap. None: not yet.
    """
    alive = {worker for worker, at in seen.items() if now - at <= stale_seconds * 1e6}
    born: dict[str, int] = dict.fromkeys(alive - {swap.worker for swap in swaps}, 0)
    died: dict[str, int] = {}
    passed: dict[str, int] = {}
    for worker, watermark, at in swaps:
        born[worker] = min(at, born.get(worker, at))
        died[worker] = max(at, died.get(worker, at), seen.get(worker, at))
        if watermark >= end:
            passed[worker] = min(at, passed.get(worker, at))
    died |= dict.fromkeys(alive, now + 1)
    # Only when a worker swaps or dies can those who lag become none.
    for moment in sorted({*passed.values(), *(at + 1 for at in died.values() if at < now)}):
        living = [worker for worker in born if born[worker] <= moment <= died[worker]]
        if living and all(passed.get(worker, now + 1) <= moment for worker in living):
            return moment
    return None


def pooled(con: duckdb.DuckDBPyConnection, start: int, end: int) -> dict[str, float] | None:
    """Seconds from received_at to served over the interactions of [start, end), as {"n", "p50_s", "p95_s", "p99_s"}.

    Only those of micro-batches that were served count; None where there are none.
    """
    [(n, quantiles)] = con.execute(POOLED, {"start": start, "end": end}).fetchall()
    return {"n": n} | dict(zip(("p50_s", "p95_s", "p99_s"), quantiles, strict=True)) if n else None


def read_spool(path: Path) -> tuple[list[Swap], dict[str, int]]:
    """All swaps in order of time, and each worker's last heartbeat (µs); both empty before the service first ran."""
    if not path.exists():
        return [], {}
    con = sqlite3.connect(f"file:{urllib.parse.quote(str(path))}?mode=ro", uri=True, timeout=10)
    with contextlib.closing(con):
        names = {name for (name,) in con.execute("select name from sqlite_master where type = 'table'")}
        if not {"swaps", "workers"} <= names:
            return [], {}
        swaps = con.execute("select worker, watermark, served_at from swaps order by served_at desc limit ?", (SWAPS,))
        found = [Swap(*row) for row in swaps]
        return found[::-1], dict(con.execute("select worker, seen_at from workers").fetchall())


def _enter(con: duckdb.DuckDBPyConnection, log: Log, start: int, end: int, reached: Mapping[str, int]) -> None:
    received = _received(log, start, end)
    if not len(received):
        return
    with warehouse.transaction(con):
        for stage, at in reached.items():
            p50, p95, p99 = np.percentile((at - received) / 1e6, [50, 95, 99]).tolist()
            row = {"start": start, "end": end, "stage": stage, "n": len(received), "p50": p50, "p95": p95, "p99": p99}
            con.execute(ENTER, row)
            if stage == "served":
                con.execute(
                    "update micro_batches set served_at = $at where start_offset = $start and end_offset = $end",
                    {"at": warehouse.timestamp(at), "start": start, "end": end},
                )


def _received(log: Log, start: int, end: int) -> npt.NDArray[np.int64]:
    """received_at (µs) of the range's records; served lists wait for nothing."""
    parts = [np.empty(0, np.int64)]
    for batch in log.batches(start, end, CHUNK_ROWS):
        if isinstance(batch, Block):  # whole columns: a payload would have to be made for each record
            waits = pc.not_equal(batch.table.column("kind"), LIST)
            parts.append(batch.table.column("received_at").filter(waits).to_numpy())
        else:
            parts.append(np.array([record.received_at for record in batch if record.kind != LIST], np.int64))
    return np.concatenate(parts)
