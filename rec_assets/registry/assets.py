"""What is served: the candidate that passed the gate becomes the promoted checkpoint."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg

from rec_assets.registry.shelf import number_of
from rec_assets.resources import Checkpoints, EventLog, Warehouse
from rec_assets.settings import Settings
from rec_assets.tables import finish, ledger
from rec_assets.tables.assets import publish


@dg.asset(
    deps=["checkpoint", "micro_batches"],
    group_name="registry",
    kinds={"safetensors"},
    owners=["team:recommender"],
    pool="duckdb",
    # Events, not the clock, ask for a run: what is slow shows in the check, what stands still here.
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=24), warn_window=timedelta(hours=1)),
    check_specs=[
        dg.AssetCheckSpec(
            "freshness_promise",
            asset="promoted_checkpoint",
            description="Events are in the served weights as soon as it is promised, at p50, p95 and p99.",
        )
    ],
)
def promoted_checkpoint(
    context: dg.AssetExecutionContext, log: EventLog, warehouse: Warehouse, checkpoints: Checkpoints
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """The pointer that the service follows: moved only from a candidate's parent. Then ledger and status.json."""
    settings, registry = Settings(), checkpoints.open()
    with log.open() as records, warehouse.connect() as con:
        waiting = [
            line for line in ledger.lines(con, newest=ledger.LOOKED_AT) if line.state == "stored" and line.checkpoint
        ]
        for line in waiting[:1]:
            pointer = registry.promote(str(line.checkpoint))
            finish.promoted(con, line.start, line.end, pointer.id, pointer.promoted_at)
        if not waiting:
            context.log.info("no candidate waits: the pointer stays")
        ids, keep = registry.ids(), settings.keep_checkpoints
        # At one every few seconds a schedule would come too late; looking at a long chain each time would be too much.
        if len(ids) > 2 * keep and number_of(ids[-1])[0] % max(keep, 1) == 0:
            registry.retain(keep)
        now = publish(con, records, registry, settings)
        weights = now.freshness["weights"] or {}
        metadata: dict[str, Any] = {
            "checkpoint": now.checkpoint or "none",
            "watermark": now.watermark or 0,
            "behind": records.count_events(now.end, records.head()),
            **{f"weights_{name}": value for name, value in weights.items()},
        }
    yield dg.MaterializeResult(metadata=metadata)
    yield dg.AssetCheckResult(
        check_name="freshness_promise",
        passed=not now.promise_broken,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"broken": "; ".join(now.promise_broken) or "nothing", **weights},
    )


@dg.op(tags={"kind": "safetensors"})
def retain_checkpoints(context: dg.OpExecutionContext, checkpoints: Checkpoints) -> int:
    """Remove checkpoints that nothing needs any more."""
    removed = checkpoints.open().retain(Settings().keep_checkpoints)
    context.log.info("removed %s", ", ".join(removed) or "nothing")
    context.add_output_metadata({"removed": len(removed)})
    return len(removed)
