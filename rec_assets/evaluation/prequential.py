"""The prequential protocol over a file: the first part trains, then batch by batch every system is tested before it
learns.
"""

import itertools
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rec_assets.evaluation.baselines import BASELINES, Baselines
from rec_assets.evaluation.linear_ranker import LinearRanker
from rec_assets.evaluation.stream import Stream
from rec_assets.features import state as live
from rec_assets.features import storage
from rec_assets.features.state import EventArrays, LiveState
from rec_assets.metrics import Exposure
from rec_assets.ranking import SOURCES
from rec_assets.settings import TrainConfig
from rec_assets.training import cycle, warmup
from rec_assets.training.model import Model
from rec_assets.training.popularity import is_first
from rec_assets.training.prequential import Reference, ranked

LEARNT = ("online", "frozen", "frozen_weights")
LINEAR = "linear"  # the linear model as the ranker of the same candidates
ALONE = tuple(f"source_{name}" for name in SOURCES)  # each candidate source without the others
SYSTEMS = (*LEARNT, LINEAR, *ALONE, *BASELINES)
FEW = 5  # a user or an item with fewer events before the scored one is new
GROUPS = ("all", "new_user", "old_user", "new_item", "old_item")

Progress = Callable[[str, float], None]  # what is being done, and how much of all is done, 0 to 1


def nothing_told(_what: str, _done: float) -> None:
    """No progress is shown."""


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
    user_events: list[npt.NDArray[np.int64]] = field(default_factory=list)  # of the user before each scored event
    item_events: list[npt.NDArray[np.int64]] = field(default_factory=list)
    exposures: dict[str, Exposure] = field(default_factory=dict)
    known: int = 0  # items known at the last batch
    warmup_seconds: float = 0.0
    score_seconds: list[float] = field(default_factory=list)  # of all learnt systems together
    update_seconds: list[float] = field(default_factory=list)
    baseline_seconds: list[float] = field(default_factory=list)
    peak_bytes: int = 0

    def note(
        self,
        system: str,
        ranks: npt.NDArray[np.float64],
        shown: npt.NDArray[np.int32],
        counts: npt.NDArray[np.int64],
    ) -> None:
        """Add one system's batch: ranks [m], what was shown [m, 20], and each item's events before the batch."""
        self.ranks.setdefault(system, []).append(ranks)
        self.exposures.setdefault(system, Exposure()).add(shown, counts)

    def joined(self) -> dict[str, npt.NDArray[np.float64]]:
        """Every system's ranks of all scored events, in the order of SYSTEMS."""
        return {name: np.concatenate(self.ranks[name]) for name in SYSTEMS if name in self.ranks}

    def groups(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Which of all scored events belong to each of GROUPS."""
        user, item = np.concatenate(self.user_events) < FEW, np.concatenate(self.item_events) < FEW
        return dict(zip(GROUPS, (np.ones(len(user), np.bool_), user, ~user, item, ~item), strict=True))


def run(stream: Stream, config: TrainConfig, options: Options, progress: Progress = nothing_told) -> Outcome:
    """Evaluate. The same stream, configuration and options give the same ranks."""
    outcome, state = Outcome(), live.init(config, stream.kinds)
    baselines = Baselines(options.systems, config.repeats, config.seed)
    asks_learnt = any(name not in BASELINES for name in options.systems)
    first = int(len(stream) * options.warmup)
    began = time.perf_counter()
    arrays = live.to_arrays(state, stream.parsed(0, first), first)
    note(baselines, state, arrays)
    model, reference, line = None, None, None
    if asks_learnt:
        model = warmup.run(state, arrays, lambda what, done: progress(f"warm-up: {what}", done * 0.3))
        reference = Reference(model.copy(), storage.copy_counters(state))
        line = LinearRanker(model, config.seed) if LINEAR in options.systems else None
    else:
        live.take_all(state, arrays)
    outcome.warmup_seconds = time.perf_counter() - began
    bounds = np.linspace(first, len(stream), options.batches + 1).astype(int).tolist()
    for number, (start, end) in enumerate(itertools.pairwise(bounds)):
        progress(f"batch {number + 1} of {options.batches}", 0.3 + 0.7 * number / options.batches)
        arrays = live.to_arrays(state, stream.parsed(start, end), end)
        batch(outcome, state, arrays, start, model, reference, line, baselines, options)
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
    line: LinearRanker | None,
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
    before = np.pad(state.histories.count, (0, max(0, len(state.users) - len(state.histories.count))))
    outcome.user_events.append((before[arrays.user] + earlier(arrays.user))[index])
    outcome.item_events.append((counts[arrays.item] + earlier(arrays.item))[index])
    outcome.known = int((counts > 0).sum())
    began = time.perf_counter()
    chained = baselines.add(arrays.user, arrays.item, arrays.time, len(state.users), len(state.items))
    for name, (ranks, shown) in baselines.ranks(chained[index], counts, float(arrays.time.min())).items():
        outcome.note(name, ranks, shown, counts)
    baselines.count(chained)
    outcome.baseline_seconds.append(time.perf_counter() - began)
    if model is None:
        live.take_all(state, arrays)
        return
    asked = [name for name in LEARNT if name in options.systems]
    sources = [name for name in ALONE if name in options.systems]
    done = cycle.run(model, reference, state, arrays, index, asked, sources=bool(sources))
    candidates, unknown = done.tested.candidates["online"], outcome.unknown[-1]
    for name in asked:
        outcome.note(name, *done.tested.systems[name], counts)
    for name in sources:
        place = ALONE.index(name)
        ranks = np.where(unknown, np.inf, candidates.ranks[:, place])
        outcome.note(name, ranks, candidates.best[:, place], counts)
    if line is not None:
        ranks, shown = ranked(candidates, line.score(candidates))
        outcome.note(LINEAR, np.where(unknown, np.inf, ranks), shown, counts)
        line.learn(
            candidates, arrays.user[index], arrays.time[index], np.random.default_rng((state.config.seed, start))
        )
    outcome.score_seconds.append(done.seconds["test"])
    outcome.update_seconds.append(done.seconds["train"])


def earlier(keys: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """How often each of the keys [n] stands before its place."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]]) if len(keys) else np.zeros(0, np.bool_)
    starts = np.maximum.accumulate(np.where(first, np.arange(len(keys)), 0))
    found = np.empty(len(keys), np.int64)
    found[order] = np.arange(len(keys)) - starts
    return found


def note(baselines: Baselines, state: LiveState, arrays: EventArrays) -> None:
    """Let the baselines learn the first part."""
    baselines.count(baselines.add(arrays.user, arrays.item, arrays.time, len(state.users), len(state.items)))
