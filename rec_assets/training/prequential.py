"""Test, then train: what each system would have shown just before an event of a batch, and where its item stood."""

import itertools
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rec_assets import metrics, ranking
from rec_assets.features import histories
from rec_assets.features.counters import Counters
from rec_assets.features.state import EventArrays, LiveState
from rec_assets.ranking import Candidates
from rec_assets.ranking.propose import blank
from rec_assets.ranking.ranks import of_target
from rec_assets.training import batches, examples, popularity
from rec_assets.training.examples import Choices
from rec_assets.training.fit import comparable, fits
from rec_assets.training.model import Model

SYSTEMS = ("online", "known_good", "frozen", "frozen_weights", "popularity")
AT_ONCE = 256  # scored events whose candidates are in memory together
LOGITS = 2**25  # and no more numbers than these from an encoder

Scorer = Callable[[Candidates], npt.NDArray[np.float32]]  # [n, C], -inf on padding
Variants = dict[str, tuple[Model | None, Counters | None]]  # None: no encoder and no ranker; the live counters


class Reference(NamedTuple):
    """What stopped at the first checkpoint: its weights and ranker, and its counters."""

    model: Model
    counters: Counters


class Scored(NamedTuple):
    """One system on m events."""

    ranks: npt.NDArray[np.float64]  # [m]
    shown: npt.NDArray[np.int32]  # [m, 20] item keys, best first, -1 behind the last; nothing for popularity


class Tested(NamedTuple):
    """All systems on the same events of a batch, which is now in the state."""

    places: npt.NDArray[np.int64]  # [m] in the batch
    systems: dict[str, Scored]
    choices: dict[str, Choices]  # of each learnt system; those of the one that goes on are learnt from
    source_ranks: npt.NDArray[np.float64]  # [m, S] by each source alone, inf for what could not be ranked; or [0, S]
    source_shown: npt.NDArray[np.int32]  # [m, S, 20]; or [0, S, 20]
    known: int  # items that occurred before the batch
    fit: npt.NDArray[np.float64]  # [m] of "online": see fit.fits; or [0]
    seconds: dict[str, float]  # of each learnt system; what is computed once for two counts in full for both


def tested_index(state: LiveState, arrays: EventArrays, event_ids: Sequence[str], limit: int) -> npt.NDArray[np.int64]:
    """At most `limit` of a batch's events that can be scored, chosen by a hash of their ids, in order."""
    wanted = arrays.target if state.config.repeats else arrays.target & popularity.is_first(state, arrays)
    index = np.flatnonzero(wanted & ~arrays.excluded)
    if len(index) <= limit:
        return index
    hashes = np.array([zlib.crc32(event_ids[i].encode()) for i in index.tolist()])
    return np.sort(index[np.argsort(hashes, kind="stable")[:limit]])


def run(
    model: Model | None,
    reference: Reference | None,
    state: LiveState,
    arrays: EventArrays,
    index: npt.NDArray[np.int64],
    systems: Sequence[str] = SYSTEMS,
    known_good: Model | None = None,
    sources: bool = False,
    scorers: Mapping[str, Scorer] = MappingProxyType({}),
) -> Tested:
    """Score the events that `index` chooses from a batch, which the state then has taken in; with `sources` each
    source alone too, the encoder by `model`. `scorers` order the candidates of "online".

    Systems whose model or reference is not given are left out. An item that no event before the batch had ranks at
    infinity.
    """
    counts = state.counters.items.events.astype(np.int64)[: len(state.items)]
    unknown = counts[arrays.item[index]] == 0
    results = {}
    if "popularity" in systems:
        ranks = popularity.ranks(counts, state, arrays, index)
        results["popularity"] = Scored(ranks, np.empty((len(index), 0), np.int32))
    variants: Variants = {}
    if model is not None or sources:
        variants["online"] = (model, None)
    if known_good is not None:
        variants["known_good"] = (known_good, None)
    if reference is not None:
        both = {"frozen": reference.counters, "frozen_weights": None}
        variants |= {name: (reference.model, counters) for name, counters in both.items() if name in systems}
    parts = [
        _piece(variants, state, batches.between(arrays, start, end), chosen - start, counts > 0, sources, scorers)
        for start, end, chosen in _pieces(index, len(arrays.user), len(state.items))
    ]
    for name in parts[0].systems:
        ranks, shown = (np.concatenate(each) for each in zip(*(part.systems[name] for part in parts), strict=True))
        results[name] = Scored(np.where(unknown, np.inf, ranks), shown)
    source_ranks = np.concatenate([part.source_ranks for part in parts])
    if sources:
        source_ranks[unknown] = np.inf
    return Tested(
        places=index,
        systems={name: results[name] for name in (*SYSTEMS, *scorers) if name in results},
        choices={name: examples.together([part.choices[name] for part in parts]) for name in parts[0].choices},
        source_ranks=source_ranks,
        source_shown=np.concatenate([part.source_shown for part in parts]),
        known=int((counts > 0).sum()),
        fit=np.concatenate([part.fit for part in parts]),
        seconds={name: sum(part.seconds[name] for part in parts) for name in parts[0].seconds},
    )


def _pieces(index: npt.NDArray[np.int64], events: int, items: int) -> Iterator[tuple[int, int, npt.NDArray[np.int64]]]:
    """(start, end, those of `index` inside) of the pieces of a batch that are in memory one after the other."""
    size = max(1, min(AT_ONCE, LOGITS // max(items, 1)))
    bounds = [0, *index[size::size].tolist(), events]
    for number, (start, end) in enumerate(itertools.pairwise(bounds)):
        yield start, end, index[number * size : (number + 1) * size]


def _piece(
    variants: Variants,
    state: LiveState,
    arrays: EventArrays,
    index: npt.NDArray[np.int64],
    known: npt.NDArray[np.bool_],
    sources: bool,
    scorers: Mapping[str, Scorer],
) -> Tested:
    """One piece of a batch; `known` [items] are those that occurred before the batch."""
    scored = np.zeros(len(arrays.user), np.bool_)
    scored[index] = True
    window = histories.windows(state, arrays, index, state.config.window)
    compared = comparable(state, arrays, index, (window.items >= 0).sum(1), known)
    encoded: dict[int, tuple[npt.NDArray[np.float32], float]] = {}  # by model
    for model, _ in variants.values():
        if model is not None and id(model) not in encoded:
            began = time.perf_counter()
            encoded[id(model)] = model.logits(window, len(state.items)), time.perf_counter() - began
    seconds = np.array([encoded[id(model)][1] if model is not None else 0.0 for model, _ in variants.values()])
    walked = ranking.walk(
        state,
        arrays,
        scored,
        [encoded[id(model)][0] if model is not None else None for model, _ in variants.values()],
        [state.counters if counters is None else counters for _, counters in variants.values()],
        known,
        sources,
        seconds,
    )
    rng = np.random.default_rng((state.config.seed, int(state.counters.events[0])))
    systems, choices, fit = {}, {}, np.empty(0)
    for number, (name, (model, _)) in enumerate(variants.items()):
        if model is None:
            continue
        candidates, began = walked[number], time.perf_counter()
        scores = model.rank(candidates)
        systems[name] = Scored(*ranked(candidates, scores))
        seconds[number] += time.perf_counter() - began
        choices[name] = examples.thin(candidates, arrays.user[index], arrays.time[index], rng)
        if name == "online":
            fit = fits(candidates, scores, arrays.item[index], compared)
            systems |= {other: Scored(*ranked(candidates, score(candidates))) for other, score in scorers.items()}
    first = walked[0] if walked else blank(len(index), 0)
    spent = dict(zip(variants, seconds.tolist(), strict=True))
    return Tested(index, systems, choices, first.ranks, first.best, int(known.sum()), fit, spent)


def ranked(
    candidates: Candidates, scores: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int32]]:
    """Ranks [m] of the events' items, and the first metrics.SHOWN of each list."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, : metrics.SHOWN]
    return of_target(scores, candidates.target, candidates.known), np.take_along_axis(candidates.items, order, axis=1)


def figures(tested: Tested) -> dict[str, dict[str, float]]:
    """Each system's metrics on the batch; of a batch without tested events only that there were none."""
    if not len(tested.places):
        return {name: {"n": 0.0} for name in tested.systems}
    return {name: metrics.summary(scored.ranks) for name, scored in tested.systems.items()}
