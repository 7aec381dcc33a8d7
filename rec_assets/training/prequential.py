"""Test, then train: what each system would have shown just before an event of a batch, and where its item stood."""

import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rec_assets import metrics, ranking
from rec_assets.features import histories
from rec_assets.features.counters import Counters
from rec_assets.features.state import EventArrays, LiveState
from rec_assets.ranking import Candidates
from rec_assets.ranking.ranks import of_target
from rec_assets.training import popularity
from rec_assets.training.model import Model

SYSTEMS = ("online", "known_good", "frozen", "frozen_weights", "popularity")


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
    candidates: dict[str, Candidates]  # of each learnt system; those of the one that goes on are learnt from
    known: int  # items that occurred before the batch


def tested_index(state: LiveState, arrays: EventArrays, event_ids: Sequence[str], limit: int) -> npt.NDArray[np.int64]:
    """At most `limit` of a batch's events that can be scored, chosen by a hash of their ids, in order."""
    wanted = arrays.target if state.config.repeats else arrays.target & popularity.is_first(state, arrays)
    index = np.flatnonzero(wanted & ~arrays.excluded)
    if len(index) <= limit:
        return index
    hashes = np.array([zlib.crc32(event_ids[i].encode()) for i in index.tolist()])
    return np.sort(index[np.argsort(hashes, kind="stable")[:limit]])


def run(
    model: Model,
    reference: Reference | None,
    state: LiveState,
    arrays: EventArrays,
    index: npt.NDArray[np.int64],
    systems: Sequence[str] = SYSTEMS,
    known_good: Model | None = None,
    sources: bool = False,
) -> Tested:
    """Score the events that `index` chooses from a batch, which the state then has taken in; with `sources` the
    candidates tell the ranks of each source alone.

    Systems that need a reference, and the known-good one, are left out without it. An item that no event before the
    batch had ranks at infinity.
    """
    scored = np.zeros(len(arrays.user), bool)
    scored[index] = True
    counts = state.counters.items.events.astype(np.int64)
    wanted = arrays.item[index]
    unknown = counts[wanted] == 0
    results = {}
    if "popularity" in systems:
        ranks = popularity.ranks(counts, state, arrays, index)
        results["popularity"] = Scored(ranks, np.empty((len(index), 0), np.int32))
    window = histories.windows(state, arrays, index, model.config.window)
    variants = {"online": (model, model.logits(window, len(state.items)), state.counters)}
    if known_good is not None:
        variants["known_good"] = (known_good, known_good.logits(window, len(state.items)), state.counters)
    if reference is not None and ("frozen" in systems or "frozen_weights" in systems):
        logits = reference.model.logits(window, len(state.items))
        both = {"frozen": reference.counters, "frozen_weights": state.counters}
        variants |= {name: (reference.model, logits, counters) for name, counters in both.items() if name in systems}
    walked = ranking.walk(
        state,
        arrays,
        scored,
        [logits for _, logits, _ in variants.values()],
        [counters for _, _, counters in variants.values()],
        sources,
    )
    for (name, (asked, _, _)), candidates in zip(variants.items(), walked, strict=True):
        ranks, shown = ranked(candidates, asked.rank(candidates))
        results[name] = Scored(np.where(unknown, np.inf, ranks), shown)
    ordered = {name: results[name] for name in SYSTEMS if name in results}
    return Tested(index, ordered, dict(zip(variants, walked, strict=True)), int((counts > 0).sum()))


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
