"""From an outcome to report.json and ranks.parquet."""

import dataclasses
import importlib.metadata
import platform
from typing import Any

import numpy as np
import pyarrow as pa

from rec_assets import metrics
from rec_assets.evaluation.baselines import BASELINES
from rec_assets.evaluation.prequential import LEARNT, Options, Outcome
from rec_assets.evaluation.stream import Stream
from rec_assets.settings import TrainConfig

VERSIONS = ("rec-assets", "jax", "optax", "numba", "numpy", "scipy")
COMPARED = ("hit@20", "ndcg@10")


def build(
    outcome: Outcome, stream: Stream, config: TrainConfig, options: Options, arguments: dict[str, Any]
) -> dict[str, Any]:
    """The report: configuration, versions, and a list of systems."""
    best = best_baseline(outcome)
    return {
        "protocol": "prequential",
        "arguments": arguments,
        "options": options._asdict(),
        "config": dataclasses.asdict(config),
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in VERSIONS},
        "events": len(stream),
        "best_baseline": best,
        "warmup_seconds": outcome.warmup_seconds,
        "peak_memory_bytes": outcome.peak_bytes,
        "systems": [
            system(outcome, name, best, config.seed) for name in (*LEARNT, *BASELINES) if name in outcome.ranks
        ],
    }


def system(outcome: Outcome, name: str, best: str | None, seed: int) -> dict[str, Any]:
    """One system's figures, its series and its comparisons."""
    ranks = np.concatenate(outcome.ranks[name])
    unknown = np.concatenate(outcome.unknown)
    learnt = name in LEARNT
    score = outcome.score_seconds if learnt else outcome.baseline_seconds
    compared = {
        other: ratios(outcome, name, other, seed)
        for other in ("frozen", best)
        if other in outcome.ranks and other != name
    }
    return {
        "system": name,
        **{key: int(value) if key == "n" else value for key, value in metrics.summary(ranks).items()},
        "coverage@20": metrics.coverage(len(outcome.shown[name]), outcome.known),
        "unknown_item_share": float(unknown.mean()) if len(unknown) else None,
        "warmup_seconds": outcome.warmup_seconds if learnt else None,
        "update_seconds_per_batch": float(np.mean(outcome.update_seconds)) if learnt else None,
        "score_ms_per_event": 1e3 * sum(score) / max(len(ranks), 1),  # the systems of a kind are scored together
        "ratio_to": compared,
        "series": series(outcome, name),
    }


def series(outcome: Outcome, name: str) -> list[dict[str, float]]:
    """Figures per micro-batch."""
    rows = []
    for number, ((start, end), ranks) in enumerate(zip(outcome.bounds, outcome.ranks[name], strict=True)):
        figures = {"hit@20": metrics.hit(ranks, 20), "ndcg@10": metrics.ndcg(ranks, 10), "mrr": metrics.mrr(ranks)}
        rows.append({"batch": number, "start": start, "end": end, "n": len(ranks), **figures})
    return rows


def ratios(outcome: Outcome, ours: str, theirs: str, seed: int) -> dict[str, dict[str, float]]:
    """Ratio of the two systems' figures on the same events, with its paired 95 % bootstrap interval."""
    found = {}
    each = {name: np.concatenate(outcome.ranks[name]) for name in (ours, theirs)}
    values = {
        "hit@20": {name: (ranks <= 20).astype(float) for name, ranks in each.items()},
        "ndcg@10": {name: metrics.gains(ranks, 10) for name, ranks in each.items()},
    }
    for figure in COMPARED:
        ratio, low, high = metrics.paired_ratio(values[figure][ours], values[figure][theirs], seed)
        found[figure] = {"ratio": ratio, "low": low, "high": high}
    return found


def best_baseline(outcome: Outcome) -> str | None:
    """The baseline with the highest hit@20, or None."""
    present = [name for name in BASELINES if name in outcome.ranks]
    return max(present, key=lambda name: metrics.hit(np.concatenate(outcome.ranks[name]), 20), default=None)


def ranks_table(outcome: Outcome, stream: Stream) -> pa.Table:
    """One row per scored event and system: position, user, item, ts, system, rank; an unknown item's rank is
    infinite.
    """
    positions = np.concatenate(outcome.positions)
    rows = stream.table.select(["user", "item", "ts"]).take(pa.array(positions))
    parts = [
        pa.table({"position": positions, **{name: rows[name] for name in rows.column_names}})
        .append_column("system", pa.array([name] * len(positions)))
        .append_column("rank", pa.array(np.concatenate(ranks)))
        for name, ranks in outcome.ranks.items()
    ]
    return pa.concat_tables(parts)
