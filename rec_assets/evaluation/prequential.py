"""The prequential protocol over a file: the first part trains, then batch by batch every system is tested before it
learns.
"""

import itertools
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rec_assets.evaluation.baselines import BASELINES, Baselines
from rec_assets.evaluation.stream import Stream
from rec_assets.features import state as live
from rec_assets.features import storage
from rec_assets.features.state import EventArrays, LiveState
from rec_assets.settings import TrainConfig
from rec_assets.training import cycle, warmup
from rec_assets.training.model import Model
from rec_assets.training.popularity import is_first
from rec_assets.training.prequential import Reference

LEARNT = ("online", "frozen", "frozen_weights")
SYSTEMS = (*LEARNT, *BASELINES)

Progress = Callable[[str, float], None]  # what is being done, and how much of all is done, 0 to 1


class Options(NamedTuple):
    """What an evaluation is asked for."""

    warmup: float = 0.5  # share of the rows that train first
    batches: int = 50
    sample_every: int = 1  # score the events whose position is a multiple of it
    systems: tuple[str, ...] = SYSTEMS


@dataclass
class Outcome:
    """Every scored event of every system, batch by batch."""

    bounds: list[tuple[int, int]] = field(default_factory=list)  # positions [start, end) of each batch
    positions: list[npt.NDArray[np.int64]] = field(default_factory=list)  # of what was scored
    unknown: list[npt.NDArray[np.bool_]] = field(default_factory=list)  # the item was unknown
    ranks: dict[str, list[npt.NDArray[np.float64]]] = field(default_factory=dict)
    shown: dict[str, set[int]] = field(default_factory=dict)  # keys that were in anybody's first 20
    known: int = 0  # items known at the last batch
    warmup_seconds: float = 0.0
    score_seconds: list[float] = field(default_factory=list)  # of all learnt systems together
    update_seconds: list[float] = field(default_factory=list)
    baseline_seconds: list[float] = field(default_factory=list)
    peak_bytes: int = 0

    def note(self, system: str, ranks: npt.NDArray[np.float64], shown: npt.NDArray[np.int32]) -> None:
        """Add one system's batch."""
        self.ranks.setdefault(system, []).append(ranks)
        self.shown.setdefault(system, set()).update(np.unique(shown[shown >= 0]).tolist())


def run(
    stream: Stream, config: TrainConfig, options: Options, progress: Progress = lambda _what, _done: None
) -> Outcome:
    """Evaluate. The same stream, configuration and options give the same ranks."""
    outcome, state = Outcome(), live.init(config, stream.kinds)
    baselines = Baselines(options.systems, config.repeats)
    asks_learnt = any(name in LEARNT for name in options.systems)
    first = int(len(stream) * options.warmup)
    began = time.perf_counter()
    arrays = live.to_arrays(state, stream.parsed(0, first), first)
    note(baselines, state, arrays)
    model, reference = None, None
    if asks_learnt:
        model = warmup.run(state, arrays, lambda what, done: progress(f"warm-up: {what}", done * 0.3))
        reference = Reference(model.copy(), storage.copy_counters(state))
    else:
        live.take_all(state, arrays)
    outcome.warmup_seconds = time.perf_counter() - began
    bounds = np.linspace(first, len(stream), options.batches + 1).astype(int).tolist()
    for number, (start, end) in enumerate(itertools.pairwise(bounds)):
        progress(f"batch {number + 1} of {options.batches}", 0.3 + 0.7 * number / options.batches)
        arrays = live.to_arrays(state, stream.parsed(start, end), end)
        batch(outcome, state, arrays, start, model, reference, baselines, options)
    outcome.peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    progress("done", 1.0)
    return outcome


def batch(
    outcome: Outcome,
    state: LiveState,
    arrays: EventArrays,
    start: int,
    model: Model | None,
    reference: Reference | None,
    baselines: Baselines,
    options: Options,
) -> None:
    """Score one batch with every system, and then let them learn it."""
    wanted = (arrays.item >= 0) if state.config.repeats else is_first(state, arrays)
    positions = start + np.arange(len(arrays.user))
    index = np.flatnonzero(wanted & (positions % options.sample_every == 0))
    counts = state.counters.items.events.astype(np.int64)[: len(state.items)]
    outcome.bounds.append((start, start + len(arrays.user)))
    outcome.positions.append(positions[index])
    outcome.unknown.append(counts[arrays.item[index]] == 0)
    outcome.known = int((counts > 0).sum())
    began = time.perf_counter()
    chained = baselines.add(arrays.user, arrays.item, arrays.time, len(state.users), len(state.items))
    for name, (ranks, shown) in baselines.ranks(chained[index], counts, float(arrays.time.min())).items():
        outcome.note(name, ranks, shown)
    baselines.count(chained)
    outcome.baseline_seconds.append(time.perf_counter() - began)
    if model is None:
        live.take_all(state, arrays)
        return
    done = cycle.run(model, reference, state, arrays, index, [name for name in LEARNT if name in options.systems])
    for name, scored in done.tested.systems.items():
        if name in options.systems:
            outcome.note(name, scored.ranks, scored.shown)
    outcome.score_seconds.append(done.seconds["test"])
    outcome.update_seconds.append(done.seconds["train"])


def note(baselines: Baselines, state: LiveState, arrays: EventArrays) -> None:
    """Let the baselines learn the first part."""
    baselines.count(baselines.add(arrays.user, arrays.item, arrays.time, len(state.users), len(state.items)))


def chosen_systems(wanted: Sequence[str]) -> tuple[str, ...]:
    """The systems of these names, in our order; ValueError names one that does not exist."""
    if unknown := [name for name in wanted if name not in SYSTEMS]:
        raise ValueError(f"no system is called {unknown[0]!r}: there are {', '.join(SYSTEMS)}")
    return tuple(name for name in SYSTEMS if name in wanted)
