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
from rec_assets.training import checkpoint, cycle, heads, prequential, warmup
from rec_assets.training.heads import Observed, Told
from rec_assets.training.model import Model
from rec_assets.training.popularity import is_first
from rec_assets.training.prequential import Reference

LEARNT = ("online", "frozen", "frozen_weights")
LINEAR = "linear"  # the linear model as the ranker of the same candidates
ENCODER = f"source_{SOURCES[-1]}"
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
class Cost:
    """What one system takes, as if it ran alone: what it shares with others counts in full."""

    warmup_seconds: float = 0.0
    score_seconds: float | None = (
        0.0  # of all scored events; None for a source, which is scored in one pass with others
    )
    update_seconds: float = 0.0  # of all batches
    bytes: int = 0  # that it holds at the end, and so at most


@dataclass
class Outcome:
    """Every scored event of every system, batch by batch."""

    bounds: list[tuple[int, int]] = field(default_factory=list)  # positions [start, end) of each batch
    positions: list[npt.NDArray[np.int64]] = field(default_factory=list)  # of what was scored
    unknown: list[npt.NDArray[np.bool_]] = field(default_factory=list)  # the item was unknown
    ranks: dict[str, list[npt.NDArray[np.float64]]] = field(default_factory=dict)
    user_events: list[npt.NDArray[np.int64]] = field(default_factory=list)  # of the user before each scored event
    item_events: list[npt.NDArray[np.int64]] = field(default_factory=list)
    observed: list[Observed] = field(default_factory=list)  # with labels, of each batch
    told: list[Told] = field(default_factory=list)  # by the learnt heads, of what was observed
    exposures: dict[str, Exposure] = field(default_factory=dict)
    known: int = 0  # items known at the last batch
    costs: dict[str, Cost] = field(default_factory=dict)
    peak_bytes: int = 0  # of the process that ran all systems

    def note(
        self,
        system: str,
        ranks: npt.NDArray[np.float64],
        shown: npt.NDArray[np.int32],
        counts: npt.NDArray[np.int64],
        seconds: float | None,
    ) -> None:
        """Add one system's batch: ranks [m], what was shown [m, 20], each item's events before the batch, and what the
        scoring took.
        """
        self.ranks.setdefault(system, []).append(ranks)
        self.exposures.setdefault(system, Exposure()).add(shown, counts)
        cost = self.costs[system]
        cost.score_seconds = None if seconds is None or cost.score_seconds is None else cost.score_seconds + seconds

    def joined(self) -> dict[str, npt.NDArray[np.float64]]:
        """Every system's ranks of all scored events, in the order of SYSTEMS."""
        return {name: np.concatenate(self.ranks[name]) for name in SYSTEMS if name in self.ranks}

    def groups(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Which of all scored events belong to each of GROUPS."""
        user, item = np.concatenate(self.user_events) < FEW, np.concatenate(self.item_events) < FEW
        return dict(zip(GROUPS, (np.ones(len(user), np.bool_), user, ~user, item, ~item), strict=True))


class Learnt(NamedTuple):
    """What learns of a stream, as far as the systems that are asked for need it."""

    model: Model | None
    reference: Reference | None
    line: LinearRanker | None
    learns: bool  # the model goes on after the warm-up


def run(stream: Stream, config: TrainConfig, options: Options, progress: Progress = nothing_told) -> Outcome:
    """Evaluate. The same stream, configuration and options give the same ranks."""
    outcome, state = Outcome(), live.init(config, stream.kinds)
    outcome.costs = {name: Cost() for name in options.systems}
    baselines = Baselines(options.systems, config.repeats, config.seed)
    first = int(len(stream) * options.warmup)
    arrays = live.to_arrays(state, stream.parsed(0, first), first)
    chained = baselines.add(arrays.user, arrays.item, arrays.time, len(state.users), len(state.items))
    for name, seconds in baselines.count(chained).items():
        outcome.costs[name].warmup_seconds = seconds
    began = time.perf_counter()
    learnt = warm_up(state, arrays, options, lambda what, done: progress(f"warm-up: {what}", done * 0.3))
    for name in set(options.systems) - set(BASELINES):
        outcome.costs[name].warmup_seconds = time.perf_counter() - began
    bounds = np.linspace(first, len(stream), options.batches + 1).astype(int).tolist()
    for number, (start, end) in enumerate(itertools.pairwise(bounds)):
        progress(f"batch {number + 1} of {options.batches}", 0.3 + 0.7 * number / options.batches)
        arrays = live.to_arrays(state, stream.parsed(start, end), end)
        batch(outcome, state, arrays, start, learnt, baselines, options)
    for name, held in bytes_held(state, learnt, baselines, options).items():
        outcome.costs[name].bytes = held
    outcome.peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    progress("done", 1.0)
    return outcome


def warm_up(state: LiveState, arrays: EventArrays, options: Options, progress: Progress) -> Learnt:
    """Take the first part in; nothing is trained that no system needs."""
    goes_on = any(name in options.systems for name in ("online", LINEAR, ENCODER))
    stops = any(name in options.systems for name in ("frozen", "frozen_weights"))
    if not goes_on and not stops:
        live.take_all(state, arrays)
        return Learnt(None, None, None, False)
    model = warmup.run(state, arrays, progress)
    line = LinearRanker(model, state.config.seed) if LINEAR in options.systems else None
    if not goes_on:
        return Learnt(None, Reference(model, storage.copy_counters(state)), line, False)
    reference = Reference(model.copy(), storage.copy_counters(state)) if stops else None
    return Learnt(model, reference, line, True)


def batch(
    outcome: Outcome,
    state: LiveState,
    arrays: EventArrays,
    start: int,
    learnt: Learnt,
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
    chained = baselines.add(arrays.user, arrays.item, arrays.time, len(state.users), len(state.items))
    for name, (ranks, shown, seconds) in baselines.ranks(chained[index], counts, float(arrays.time.min())).items():
        outcome.note(name, ranks, shown, counts, seconds)
    for name, seconds in baselines.count(chained).items():
        outcome.costs[name].update_seconds += seconds
    asked = [name for name in LEARNT if name in options.systems]
    sources = [name for name in ALONE if name in options.systems]
    if not asked and not sources and learnt.line is None:
        live.take_all(state, arrays)
        return
    line = {LINEAR: learnt.line.score} if learnt.line is not None else {}
    began = time.perf_counter()
    observed = heads.observe(learnt.model, state, arrays) if learnt.model is not None else None
    if learnt.model is not None and observed is not None:
        outcome.observed.append(observed)
        outcome.told.append(heads.tell(learnt.model, observed.inputs))
    spent = time.perf_counter() - began
    tested = prequential.run(
        learnt.model, learnt.reference, state, arrays, index, asked, sources=bool(sources), scorers=line
    )
    for name in (*asked, *line):
        outcome.note(name, *tested.systems[name], counts, tested.seconds["online" if name == LINEAR else name])
    for name in sources:
        place = ALONE.index(name)
        outcome.note(name, tested.source_ranks[:, place], tested.source_shown[:, place], counts, None)
    if learnt.model is not None and observed is not None:
        began = time.perf_counter()
        cycle.learn(learnt.model, state, arrays, tested.choices["online"], observed)
        spent += time.perf_counter() - began
        for name in {"online", LINEAR, ENCODER} & set(options.systems):
            outcome.costs[name].update_seconds += spent
    if learnt.line is not None:
        began = time.perf_counter()
        learnt.line.learn(tested.choices["online"])
        outcome.costs[LINEAR].update_seconds += time.perf_counter() - began


def bytes_held(state: LiveState, learnt: Learnt, baselines: Baselines, options: Options) -> dict[str, int]:
    """The arrays of each system: live state and model, both its own or those that stopped, or a baseline's counts."""
    live_bytes = sum(array.nbytes for array in storage.to_tensors(state).values())
    found = {}
    for name in options.systems:
        if name in BASELINES:
            found[name] = baselines.bytes_of(name)
            continue
        stopped = learnt.reference if name in ("frozen", "frozen_weights") else None
        model = learnt.model if stopped is None else stopped.model
        if name in ALONE and name != ENCODER:
            model = None
        parts = checkpoint.arrays_of(model).values() if model is not None else ()
        found[name] = live_bytes + sum(array.nbytes for part in parts for array in part.values())
    return found


def earlier(keys: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """How often each of the keys [n] stands before its place."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]]) if len(keys) else np.zeros(0, np.bool_)
    starts = np.maximum.accumulate(np.where(first, np.arange(len(keys)), 0))
    found = np.empty(len(keys), np.int64)
    found[order] = np.arange(len(keys)) - starts
    return found
