"""All tables again from the log, in a new file that takes the old one's place at once."""

from collections.abc import Callable, Mapping
from pathlib import Path

import duckdb

from rec_assets import durable
from rec_assets.log import Log, RecordsDropped
from rec_assets.settings import Denoising, Kind
from rec_assets.tables import ledger, published, warehouse
from rec_assets.tables.warehouse import microseconds
from rec_assets.tables.write import write

# What the log does not tell.
CARRIED = ("micro_batches", "prequential_metrics", "freshness", "signals", "drift_alarms")
# Rows of offsets that were dropped from the log are nowhere else either.
BY_OFFSET = ("interactions", "rejected_events", "impressions")


def rebuild(
    path: Path,
    log: Log,
    kinds: Mapping[str, Kind],
    run_id: str,
    batch_rows: int,
    end: int | None = None,
    clock: Callable[[], int] = microseconds,
    policy: Denoising = Denoising(),  # noqa: B008 - frozen
) -> int:
    """Rebuild every table of the warehouse at `path` and return up to which offset.

    The ledger is carried over with what became of each micro-batch, the rows are made anew. Where there is no warehouse
    of this log, micro-batches of `batch_rows` offsets up to `end` (default: the log's head) are entered as stored.

    Rows of micro-batches that the log no longer has in whole are carried over as they are; RecordsDropped where there
    is no warehouse of this log to take them from.
    """
    fresh = path.with_name(f".rebuild-{path.name}")
    for left in (fresh, Path(f"{fresh}.wal")):
        left.unlink(missing_ok=True)
    with warehouse.connect(fresh) as con:
        ranges = _carry_over(con, path, log) if path.exists() else []
        if not ranges and (begins := log.start()):
            raise RecordsDropped(
                f"the log begins at offset {begins}, so that tables cannot be made from it alone: what lay before was "
                f"dropped. Put back a copy of {path}, which has those rows, and run this again. There are still the "
                f"records [{begins}, {log.head()}) of the log, and maybe copies of tables in {path.parent}/published"
            )
        if not ranges:
            stop = log.head() if end is None else end
            ranges = [(start, min(start + batch_rows, stop)) for start in range(0, stop, batch_rows)]
        for start, stop in ranges:
            if start < log.start():
                continue
            write(con, log, start, stop, kinds, run_id, clock, policy)
        upto = ledger.end(con)
        con.execute("checkpoint")
    durable.put(fresh, path)
    return upto


def _carry_over(con: duckdb.DuckDBPyConnection, path: Path, log: Log) -> list[tuple[int, int]]:
    """Copy what the log does not tell, if it is of the same log, and return the ranges of its micro-batches."""
    with duckdb.connect(str(path)) as old:  # as it is: it may have an older format
        if warehouse.log_id(old) != log.log_id:
            return []
        old.execute("checkpoint")  # leaves no write-ahead log that a new file could be mistaken to belong to
    con.execute(f"attach {warehouse.literal(path)} as old (read_only)")
    query = "select table_name from duckdb_tables() where database_name = 'old'"
    there = {name for (name,) in con.execute(query).fetchall()}  # an older program had fewer
    for table in CARRIED:
        if table in there:
            con.execute(f"insert into {table} by name select * from old.{table}")  # noqa: S608 - names of our own
    ranges = [(line.start, line.end) for line in ledger.lines(con)]
    if log.start():
        before = max((stop for start, stop in ranges if start < log.start()), default=0)
        for table in BY_OFFSET:
            rows = f"select * from old.{table} where {published.CUT_BY[table]} < $before"  # noqa: S608 - names of our own
            con.execute(f"insert into {table} by name {rows}", {"before": before})
        for table in published.WHOLE:  # what is made anew below is what they say already
            con.execute(f"insert into {table} by name select * from old.{table}")  # noqa: S608
        con.execute("update warehouse set log_id = $log_id", {"log_id": log.log_id})
    con.execute("detach old")
    return ranges
