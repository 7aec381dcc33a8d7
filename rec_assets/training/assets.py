"""One micro-batch, tested and then learnt from: a candidate checkpoint, and the gate that promotion waits for."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import dagster as dg
import numpy as np
import numpy.typing as npt

from rec_assets.alerts import raise_alert
from rec_assets.log import Log
from rec_assets.registry import Manifest, Registry
from rec_assets.resources import Checkpoints, EventLog, Learner, Warehouse
from rec_assets.settings import Settings
from rec_assets.tables import denoising, drift, finish, ledger, settling
from rec_assets.tables.assets import publish
from rec_assets.tables.drift import Alarm
from rec_assets.tables.ledger import Line
from rec_assets.training.shadow import Verdict

SHOWN = ("hit@20", "ndcg@10", "mrr")
RECENT = 10  # checkpoints among which one that was learnt before a kill is looked for


class Candidate(NamedTuple):
    """What was learnt from a micro-batch, now or before a kill."""

    checkpoint: str
    parent: str | None
    metrics: Mapping[str, Mapping[str, float]]  # system -> figures
    passed: bool
    reason: str
    figures: Mapping[str, float]  # of the gate
    seconds: Mapping[str, float]
    verdict: Verdict | None  # on what was served before; None where this was learnt before a kill


def unsettled(lines: list[Line]) -> Line | None:
    """The micro-batch to learn: the first that is stored and no more."""
    return next((line for line in lines if line.state == "stored"), None)


def find(registry: Registry, log: Log, start: int, end: int) -> Manifest | None:
    """A candidate for exactly this range and the promoted parent that a killed run has left, or None."""
    parent = registry.promoted()
    for checkpoint_id in reversed(registry.ids()[-RECENT:]):
        found = registry.manifest(checkpoint_id)
        if (found.parent, found.start, found.end, found.log_id) == (parent, start, end, log.log_id):
            return found
    return None


@dg.asset(
    deps=["interactions", "users", "items", "micro_batches"],
    group_name="training",
    kinds={"jax", "safetensors"},
    owners=["team:recommender"],
    check_specs=[
        dg.AssetCheckSpec(
            "gate",
            asset="checkpoint",
            blocking=True,
            description="Finite numbers, a normal batch, and no worse than the parent on events that both have learnt.",
        ),
        dg.AssetCheckSpec(
            "shadow",
            asset="checkpoint",
            description="What was served ranked the batch's events no worse than the known-good checkpoint did.",
        ),
        dg.AssetCheckSpec(
            "drift", asset="checkpoint", description="Neither the loss nor the mix of what comes in has turned."
        ),
    ],
    pool="duckdb",
)
def checkpoint(
    context: dg.AssetExecutionContext, log: EventLog, warehouse: Warehouse, checkpoints: Checkpoints, learner: Learner
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """A candidate: the promoted checkpoint, tested on a micro-batch that it had not seen, then trained on it."""
    registry = checkpoints.open()
    with log.open() as records:
        with warehouse.connect() as con:
            line = unsettled(ledger.lines(con, newest=ledger.LOOKED_AT))
            excluded = denoising.excluded(con, *((line.start, line.end) if line else (0, 0)))
            train = Settings().train
            times = train.drift_rate if drift.recent(con, train.drift_batches) else 1.0
        if line is None:
            context.log.info("every micro-batch is settled: nothing to learn")
            yield dg.MaterializeResult(metadata={"checkpoint": registry.promoted() or "none"})
            for name in ("shadow", "drift"):
                yield dg.AssetCheckResult(check_name=name, passed=True, metadata={"reason": "nothing was tested"})
            yield dg.AssetCheckResult(check_name="gate", passed=True, metadata={"reason": "nothing was learnt"})
            return
        candidate = _learn(context, learner, find(registry, records, line.start, line.end), line, excluded, times)
        with warehouse.connect() as con:
            settling.settle(con, registry)  # a drop has rolled back
            finish.trained(con, line.start, line.end, candidate.checkpoint, candidate.metrics)
            alarms = drift.watch(con, line.start, line.end)
            if not candidate.passed:
                registry.refuse(candidate.checkpoint, candidate.reason)
                finish.refused(con, line.start, line.end, candidate.checkpoint, candidate.reason)
                publish(con, records, registry, Settings())
    _alert(candidate, line, alarms)
    yield dg.MaterializeResult(metadata=_metadata(candidate, line))
    yield _shadow(candidate.verdict)
    yield dg.AssetCheckResult(
        check_name="drift",
        passed=not alarms,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={f"{alarm.signal}, {alarm.detector}": f"{alarm.before:.3f} to {alarm.now:.3f}" for alarm in alarms},
    )
    figures = {name: float(value) for name, value in candidate.figures.items() if value == value}
    yield dg.AssetCheckResult(
        check_name="gate", passed=candidate.passed, metadata={"reason": candidate.reason, **figures}
    )


def _learn(
    context: dg.AssetExecutionContext,
    learner: Learner,
    earlier: Manifest | None,
    line: Line,
    excluded: npt.NDArray[np.int64],
    times: float,
) -> Candidate:
    if earlier is not None:
        context.log.info("%s was learnt from this range before a run was killed", earlier.id)
        gate = earlier.extra["gate"]
        metrics = {system: _numbers(figures) for system, figures in earlier.extra["metrics"].items()}
        figures = _numbers(gate["figures"])
        return Candidate(earlier.id, earlier.parent, metrics, gate["passed"], gate["reason"], figures, {}, None)
    with learner.open() as trainer:
        learnt = trainer.learn(line.start, line.end, excluded=excluded, times=times)
    gate = learnt.gate
    return Candidate(
        learnt.checkpoint_id, learnt.parent, learnt.metrics, gate.passed, gate.reason, gate.figures, learnt.seconds,
        learnt.verdict,
    )  # fmt: skip


def _alert(candidate: Candidate, line: Line, alarms: Sequence[Alarm]) -> None:
    settings, place = Settings(), {"start": line.start, "end": line.end, "checkpoint": candidate.checkpoint}
    if candidate.verdict is not None and candidate.verdict.dropped:
        raise_alert(settings, "rolled back", candidate.verdict.reason, **place)
    if not candidate.passed:
        raise_alert(settings, "refused", candidate.reason, **place)
    if alarms:
        text = "; ".join(f"{each.signal}: {each.before:.3f} to {each.now:.3f} ({each.detector})" for each in alarms)
        raise_alert(settings, "drift", text, **place)


def _shadow(verdict: Verdict | None) -> dg.AssetCheckResult:
    if verdict is None:
        return dg.AssetCheckResult(check_name="shadow", passed=True, metadata={"reason": "tested before a kill"})
    reason = f"rolled back: {verdict.reason}" if verdict.dropped else "no drop"
    figures: dict[str, Any] = {"reason": reason, "z": verdict.z, "worse": verdict.share, "events": verdict.n}
    return dg.AssetCheckResult(
        check_name="shadow", passed=not verdict.dropped, severity=dg.AssetCheckSeverity.WARN, metadata=figures
    )


def _numbers(figures: Mapping[str, float | None]) -> dict[str, float]:
    """JSON has no nan: it comes back as null."""
    return {name: float("nan") if value is None else value for name, value in figures.items()}


def _metadata(candidate: Candidate, line: Line) -> dict[str, Any]:
    return {
        "checkpoint": candidate.checkpoint,
        "parent": candidate.parent or "none: the first",
        "start": line.start,
        "watermark": line.end,
        **{f"{name}_seconds": float(seconds) for name, seconds in candidate.seconds.items()},
        **{
            f"{system}_{name.replace('@', '')}": float(figures[name])
            for system, figures in candidate.metrics.items()
            for name in SHOWN
            if name in figures and figures[name] == figures[name]
        },
        "prequential_test": dg.MetadataValue.md(_table(candidate.metrics)),
    }


def _table(metrics: Mapping[str, Mapping[str, float]]) -> str:
    """All figures of all systems as a Markdown table, a system a column."""
    systems = list(metrics)
    names = list(dict.fromkeys(name for figures in metrics.values() for name in figures))
    if not names:
        return "nothing was scored"
    lines = [f"| | {' | '.join(systems)} |", "|---" * (len(systems) + 1) + "|"]
    for name in names:
        cells = [f"{metrics[system][name]:.4g}" if name in metrics[system] else "–" for system in systems]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)
