"""From an outcome to report.json and ranks.parquet."""

import dataclasses
import importlib.metadata
import platform
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rec_assets import metrics
from rec_assets.evaluation import labels, leave_one_out
from rec_assets.evaluation.baselines import BASELINES
from rec_assets.evaluation.prequential import Options, Outcome
from rec_assets.evaluation.stream import Stream
from rec_assets.settings import TrainConfig

VERSIONS = ("rec-assets", "jax", "optax", "numba", "numpy", "scipy")


def build(
    outcome: Outcome, stream: Stream, config: TrainConfig, options: Options, arguments: dict[str, Any]
) -> dict[str, Any]:
    """The report of a prequential evaluation: configuration, versions, and a list of systems."""
    ranks, groups = outcome.joined(), outcome.groups()
    best = best_baseline(ranks)
    against = [name for name in ("frozen", best) if name is not None]
    compared = metrics.paired_ratios(ranks, against, groups, config.seed)
    return head("prequential", stream, config, options, arguments) | {
        "best_baseline": best,
        "peak_memory_bytes": outcome.peak_bytes,
        "labels": labels.figures(outcome.observed, outcome.told, stream.kinds),
        "systems": [
            system(outcome, name, own, groups) | {"ratio_to": compared.get(name, {})} for name, own in ranks.items()
        ],
    }


def build_leave_one_out(
    outcome: leave_one_out.Outcome,
    stream: Stream,
    config: TrainConfig,
    options: leave_one_out.Options,
    arguments: dict[str, Any],
) -> dict[str, Any]:
    """The report of a leave-one-out evaluation."""
    return head("leave-one-out", stream, config, options, arguments) | {
        "passes": outcome.passes,
        "seconds": outcome.seconds,
        "peak_memory_bytes": outcome.peak_bytes,
        "systems": [{"system": name, **summary(ranks)} for name, ranks in outcome.ranks.items()],
    }


def head(
    protocol: str,
    stream: Stream,
    config: TrainConfig,
    options: Options | leave_one_out.Options,
    arguments: dict[str, Any],
) -> dict[str, Any]:
    """What was run: arguments, configuration and versions."""
    return {
        "protocol": protocol,
        "arguments": arguments,
        "options": options._asdict(),
        "config": dataclasses.asdict(config),
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in VERSIONS},
        "events": len(stream),
    }


def system(
    outcome: Outcome, name: str, ranks: npt.NDArray[np.float64], groups: Mapping[str, npt.NDArray[np.bool_]]
) -> dict[str, Any]:
    """One system's figures, those of each group of events, what it took, and its series."""
    unknown, cost, scored = np.concatenate(outcome.unknown), outcome.costs[name], max(len(ranks), 1)
    return {
        "system": name,
        **summary(ranks),
        **outcome.exposures[name].figures(outcome.known),
        "unknown_item_share": float(unknown.mean()) if len(unknown) else None,
        "groups": {group: summary(ranks[inside]) for group, inside in groups.items() if group != "all"},
        "warmup_seconds": cost.warmup_seconds,
        "update_seconds_per_batch": cost.update_seconds / max(len(outcome.bounds), 1),
        "score_ms_per_event": None if cost.score_seconds is None else 1e3 * cost.score_seconds / scored,
        "peak_memory_bytes": cost.bytes,
        "series": series(outcome, name),
    }


def summary(ranks: npt.NDArray[np.float64]) -> dict[str, float | int]:
    """All figures of ranks; n is a whole number."""
    return {name: int(value) if name == "n" else value for name, value in metrics.summary(ranks).items()}


def series(outcome: Outcome, name: str) -> list[dict[str, float]]:
    """Figures per micro-batch."""
    rows = []
    for number, ((start, end), ranks) in enumerate(zip(outcome.bounds, outcome.ranks[name], strict=True)):
        figures = {"hit@20": metrics.hit(ranks, 20), "ndcg@10": metrics.ndcg(ranks, 10), "mrr": metrics.mrr(ranks)}
        rows.append({"batch": number, "start": start, "end": end, "n": len(ranks), **figures})
    return rows


def best_baseline(ranks: Mapping[str, npt.NDArray[np.float64]]) -> str | None:
    """The baseline with the highest hit@20, or None."""
    present = [name for name in BASELINES if name in ranks]
    return max(present, key=lambda name: metrics.hit(ranks[name], 20), default=None)


def ranks_table(
    positions: npt.NDArray[np.int64], ranks: Mapping[str, npt.NDArray[np.float64]], stream: Stream
) -> pa.Table:
    """One row per scored event and system: position, user, item, ts, system, rank; an unknown item's rank is
    infinite.
    """
    rows = stream.table.select(["user", "item", "ts"]).take(pa.array(positions))
    parts = [
        pa.table({"position": positions, **{name: rows[name] for name in rows.column_names}})
        .append_column("system", pa.array([name] * len(positions)))
        .append_column("rank", pa.array(own))
        for name, own in ranks.items()
    ]
    return pa.concat_tables(parts)
