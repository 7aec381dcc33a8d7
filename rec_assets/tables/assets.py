"""The tables of one micro-batch: one op, one transaction, and the checks that training waits for."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import duckdb
import msgspec

from rec_assets.log import Log
from rec_assets.registry import Registry
from rec_assets.resources import Checkpoints, EventLog, Warehouse
from rec_assets.settings import Settings
from rec_assets.tables import (
    arrival,
    checks,
    freshness,
    impressions,
    ledger,
    promise,
    published,
    rebuild,
    settling,
    status,
    usual,
    warehouse,
    write,
)
from rec_assets.tables.warehouse import microseconds

COMMON: dict[str, Any] = {"group_name": "tables", "owners": ["team:recommender"], "kinds": {"duckdb"}}
# Name: the function, whether training waits for it (else it warns), the sentence that must hold.
BATCH_CHECKS: dict[str, tuple[Callable[[duckdb.DuckDBPyConnection, int, int], checks.Result], bool, str]] = {
    "schema_holds": (checks.schema, True, "Columns, types and values are as they must be."),
    "each_event_counts_once": (
        checks.each_event_once,
        True,
        "A repeated event would be learnt twice, so training waits for this.",
    ),
    "ids_are_known": (checks.ids_known, True, "Every user and item of an interaction has its row in users and items."),
    "kind_mix_is_usual": (usual.kind_mix, False, "Each kind's share is about what it was in the recent past."),
    "null_shares_are_usual": (usual.null_shares, False, "What may be missing is missing about as often as before."),
}
KINDS = """
select event, count(*) from interactions where log_offset >= $start and log_offset < $end group by event order by 2 desc
"""
REASONS = """
select reason, count(*) from rejected_events where log_offset >= $start and log_offset < $end
group by reason order by 2 desc
"""


class MicroBatch(dg.Config):
    """Offsets [start, end) of the log that are asked for. What is done follows from the ledger; see `choose`."""

    start: int | None = None
    end: int | None = None  # neither is given: what comes next, at most one micro-batch


def choose(
    con: duckdb.DuckDBPyConnection, log: Log, registry: Registry, end: int | None, batch_events: int
) -> tuple[int, int] | None:
    """The range to store now, or None where there is nothing to do.

    One that was stored but not yet settled comes first, exactly as it is: so a run that is asked for late or twice
    cannot cut ranges anew, and nothing is learnt twice. Else the next range begins where the ledger ends, up to `end`
    or at most `batch_events` further.
    """
    settling.settle(con, registry)
    for line in ledger.lines(con, newest=ledger.LOOKED_AT):
        if line.state == "stored":
            return line.start, line.end
    start, head, pointer = ledger.end(con), log.head(), registry.pointer()
    if pointer is not None and pointer.log_id == log.log_id and pointer.watermark > start:
        return start, pointer.watermark  # the tables were lost: what was learnt is only stored again
    # The first checkpoint is learnt from all there is.
    most = head if pointer is None else start + batch_events
    stop = min(head, most if end is None else end)
    return (start, stop) if start < stop else None


def publish(con: duckdb.DuckDBPyConnection, log: Log, registry: Registry, settings: Settings) -> status.Status:
    """Measure how long events waited, write status.json and let others read the tables: the end of every run."""
    now, pointer = warehouse.microseconds(), registry.pointer()
    freshness.measure(con, log, settings.spool_path, now)
    built = status.build(con, pointer.id if pointer else None, pointer.watermark if pointer else None, now)
    limits = promise.broken(settings.promise, built.freshness["weights"])
    built = msgspec.structs.replace(built, promise_broken=limits)
    with contextlib.suppress(ValueError):  # a damaged one is about to be made good
        promise.tell(settings, status.read(settings.status_path), built)
    status.write(settings.status_path, built)
    published.update(con, settings.published_dir, now)
    return built


@dg.multi_asset(
    name="tables",
    specs=[
        dg.AssetSpec("rejected_events", deps=["log"], description="Records that were not accepted, and why.", **COMMON),
        dg.AssetSpec(
            "interactions",
            deps=["log"],
            description="What people did with items: one row per accepted event.",
            **COMMON,
        ),
        dg.AssetSpec("users", deps=["log"], description="Every user that a record named, with attributes.", **COMMON),
        dg.AssetSpec("items", deps=["log"], description="The catalogue: title, categories, attributes.", **COMMON),
        dg.AssetSpec(
            "impressions",
            deps=["log"],
            description="What was shown to whom at which position, and what was done about it.",
            **COMMON,
        ),
        dg.AssetSpec(
            "micro_batches",
            deps=["log"],
            description="The ledger: one row per range of offsets, and what became of it.",
            **COMMON,
        ),
    ],
    check_specs=[
        dg.AssetCheckSpec(check, asset="interactions", blocking=blocking, description=description)
        for check, (_, blocking, description) in BATCH_CHECKS.items()
    ],
    pool="duckdb",
)
def tables(
    context: dg.AssetExecutionContext,
    config: MicroBatch,
    log: EventLog,
    warehouse: Warehouse,
    checkpoints: Checkpoints,
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Take a range of the log into the tables; running again changes nothing."""
    settings, registry = Settings(), checkpoints.open()
    with log.open() as records, warehouse.connect() as con:
        batch = choose(con, records, registry, config.end, settings.batch_events)
        if batch is None:
            context.log.info("nothing new in the log")
            start = end = ledger.end(con)
            counts = write.Counts()
        else:
            start, end = batch
            counts = write.write(
                con, records, start, end, settings.kinds, context.run.run_id, policy=settings.denoising
            )
            settling.settle(con, registry)
        bounds = {"start": start, "end": end}
        figures: dict[str, dict[str, Any]] = {
            "interactions": {
                "rows": counts.interactions,
                "repeated": counts.repeated,
                "late": counts.late,
                "late_by_source": counts.late_by_source,
                "lag_by_source": list(arrival.lag(con, start, end)),
                "excluded": sum(counts.excluded.values()),
                "excluded_by_rule": counts.excluded,
                "earlier_rows_rewritten": counts.rewritten,
                "kinds": dict(con.execute(KINDS, bounds).fetchall()),
            },
            "rejected_events": {"rows": counts.rejected, "reasons": dict(con.execute(REASONS, bounds).fetchall())},
            "users": {"rows": counts.users},
            "items": {"rows": counts.items},
            "impressions": {"rows": counts.impressions, "outcomes": impressions.outcomes(con, start, end)},
            "micro_batches": {"rows": int(batch is not None), "events": counts.events},
        }
        place = {"start": start, "watermark": end}
        for name, values in figures.items():
            yield dg.MaterializeResult(asset_key=name, metadata=place | values)
        for check, (holds, blocking, _) in BATCH_CHECKS.items():
            yield _check_result("interactions", check, holds(con, start, end), blocking)


def _check_result(asset: str, name: str, result: checks.Result, stops: bool = True) -> dg.AssetCheckResult:
    metadata: dict[str, Any] = {**result.figures, **({"offenders": result.offenders} if result.offenders else {})}
    severity = dg.AssetCheckSeverity.ERROR if stops else dg.AssetCheckSeverity.WARN
    return dg.AssetCheckResult(
        asset_key=asset, check_name=name, passed=result.passed, severity=severity, metadata=metadata
    )


@dg.asset(
    deps=["interactions", "rejected_events", "users", "items", "micro_batches"],
    group_name="tables",
    owners=["team:recommender"],
    kinds={"parquet"},
    pool="duckdb",
)
def published_tables(warehouse: Warehouse) -> dg.MaterializeResult[None]:
    """Every table as Parquet for `rec sql` and others, written anew once an hour; runs add what is new in between."""
    with warehouse.connect() as con:
        published.everything(con, Settings().published_dir, microseconds())
        return dg.MaterializeResult(metadata={"watermark": ledger.end(con)})


@dg.asset_check(
    asset="interactions", pool="duckdb", description="No event_id has two rows, in the whole table: read once an hour."
)
def each_event_counts_once_anywhere(warehouse: Warehouse) -> dg.AssetCheckResult:
    """Reads everything, so it does not hold up a micro-batch."""
    with warehouse.connect() as con:
        return _check_result("interactions", "each_event_counts_once_anywhere", checks.each_event_once_anywhere(con))


@dg.asset_check(
    asset="micro_batches",
    pool="duckdb",
    description="No offset is left out or taken in twice, and the counts are right.",
)
def ranges_are_contiguous(warehouse: Warehouse) -> dg.AssetCheckResult:
    """What exactly-once rests on."""
    with warehouse.connect() as con:
        return _check_result("micro_batches", "ranges_are_contiguous", checks.ledger_contiguous(con))


@dg.asset_check(
    asset="interactions",
    pool="duckdb",
    description="The last whole hour brought between a tenth and ten times of the median hour of its day.",
)
def volume_is_usual(warehouse: Warehouse) -> dg.AssetCheckResult:
    """Warns: a source may have broken, or a campaign begun."""
    with warehouse.connect() as con:
        return _check_result("interactions", "volume_is_usual", usual.volume(con, microseconds()), stops=False)


@dg.asset_check(
    asset="interactions",
    pool="duckdb",
    description="No source that told something regularly has been silent for three times its longest pause.",
)
def sources_are_fresh(warehouse: Warehouse) -> dg.AssetCheckResult:
    """Warns: a source may have broken."""
    with warehouse.connect() as con:
        return _check_result("interactions", "sources_are_fresh", usual.sources_fresh(con, microseconds()), stops=False)


HOURLY_CHECKS = (each_event_counts_once_anywhere, ranges_are_contiguous, volume_is_usual, sources_are_fresh)


@dg.op(pool="duckdb", tags={"kind": "duckdb"})
def rebuild_tables(
    context: dg.OpExecutionContext, log: EventLog, warehouse: Warehouse, checkpoints: Checkpoints
) -> int:
    """Make all tables anew from the log, in a new file that takes the old one's place; checkpoints stay."""
    settings, registry = Settings(), checkpoints.open()
    pointer = registry.pointer()
    with log.open() as records:
        known = pointer.watermark if pointer is not None and pointer.log_id == records.log_id else None
        end = rebuild.rebuild(
            settings.warehouse_path,
            records,
            settings.kinds,
            context.run_id,
            settings.batch_events,
            end=known,
            policy=settings.denoising,
        )
        with warehouse.connect() as con:
            settling.settle(con, registry)
            publish(con, records, registry, settings)
            published.everything(con, settings.published_dir, microseconds())
    context.add_output_metadata({"watermark": end})
    return end
