"""Lists for several wishes at once: one call of the encoder, one product with the items, one call of the ranker.

The functions called here are those of the trainer and the evaluator, so that a list is made as it was tested.
"""

import itertools
import math
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rec_assets.features import histories
from rec_assets.features.histories import Windows
from rec_assets.features.state import LiveState
from rec_assets.features.tags import UNTOLD
from rec_assets.ranking import FEATURES, Candidates, Query, propose
from rec_assets.ranking.expected import NOTHING, Expected
from rec_assets.ranking.propose import query_of
from rec_assets.serving import listing
from rec_assets.serving.bodies import Refused
from rec_assets.serving.listing import Place, Plan
from rec_assets.serving.loading import Served
from rec_assets.serving.messages import Control, Who
from rec_assets.serving.rules import Rules

TOGETHER = 16  # lists that are made in one go
POPULARITY = FEATURES.index("popular_2000_events")  # what a list is made of before anything is learnt
HISTORY_SPACING = 60.0  # seconds between the items of a history that was told without times
Floats = npt.NDArray[np.float32]
_NONE = np.zeros(0, np.int32)


class Asked(NamedTuple):
    """A wish for the best k items."""

    wish: Control
    k: int
    among: Sequence[str] | None = None  # the only items that may be listed
    until: float = math.inf  # on the monotonic clock: a list that is not begun by then is of what is popular


class Ranked(NamedTuple):
    """One list, best first, and what it was made from."""

    items: list[str]
    places: list[Place]
    checkpoint: str | None
    offset: int
    now: float  # seconds, the log's clock
    rules: str  # version of the business rules
    late: bool  # made of what is popular, because ranking would have come too late


class Begun(NamedTuple):
    """A wish with what it comes to."""

    asked: Asked
    plan: Plan
    query: Query


def lists(
    served: Served, asked: Sequence[Asked], rules: Rules, now: float, at_head: bool, random: np.random.Generator
) -> list[Ranked | Exception]:
    """A list for each wish, or what is wrong with it. `at_head`: whether the state knows all of the log."""
    begun = [_begin(served, one, rules, now) for one in asked]
    in_time = {
        place: each
        for place, each in enumerate(begun)
        if isinstance(each, Begun) and at_head and time.monotonic() <= each.asked.until
    }
    ranked = dict(zip(in_time, _rank(served, list(in_time.values())), strict=True))
    return [
        _list(served, each, ranked.get(place), now, random) if isinstance(each, Begun) else each
        for place, each in enumerate(begun)
    ]


def _begin(served: Served, asked: Asked, rules: Rules, now: float) -> Begun | Refused:
    state = served.state
    try:
        plan = listing.plan(asked.wish, state, served.catalogue, served.masks, rules, now)
    except Refused as refused:
        return refused
    if asked.among is not None:
        named = np.zeros_like(plan.may_list)
        named[_keys(state, asked.among)] = True
        plan = plan._replace(may_list=plan.may_list & named)
    return Begun(asked, plan, query_for(state, asked.wish, now, plan.bar_had))


def _rank(served: Served, begun: Sequence[Begun]) -> list[tuple[Candidates, Floats]]:
    """Candidates of each, with their scores [C]."""
    if not begun:
        return []
    found = candidates(served, [each.query for each in begun], [each.plan.may_list for each in begun])
    together = Candidates(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
    return list(zip(found, scores(served, together), strict=True))


def _list(
    served: Served, begun: Begun, ranked: tuple[Candidates, Floats] | None, now: float, random: np.random.Generator
) -> Ranked:
    """The list of what was ranked; without it, of what is popular."""
    state, catalogue, (asked, plan, query) = served.state, served.catalogue, begun
    if ranked is None:
        places = listing.popular_places(plan, query, asked.k, state, catalogue, random)
    else:
        places = listing.places(plan, query, *ranked, asked.k, state, catalogue, random)
    items = [state.items.ids[place.key] for place in places]
    return Ranked(items, places, served.checkpoint, state.offset, now, plan.rules, ranked is None)


def candidates(
    served: Served, queries: Sequence[Query], may_list: Sequence[npt.NDArray[np.bool_]] | None = None
) -> list[Candidates]:
    """What is ranked for each query, with its features; out of the whole catalogue by default."""
    state, model = served.state, served.model
    expected: Iterator[Expected] = itertools.repeat(NOTHING)
    if model is not None:
        length = model.config.window
        windows = [histories.history_window(each.items, each.times, each.tags, each.now, length) for each in queries]
        together = Windows(*(np.concatenate(parts) for parts in zip(*windows, strict=True)))
        expected = model.expected(together, len(state.items))
    allowed: Sequence[npt.NDArray[np.bool_] | None] = may_list or [None] * len(queries)
    return [
        propose(state, state.counters, query, next(expected), mask)
        for query, mask in zip(queries, allowed, strict=True)
    ]


def scores(served: Served, asked: Candidates) -> Floats:
    """Scores [n, C] by the model, by popularity before there is one; -inf on padding."""
    if served.model is not None:
        return served.model.rank(asked)
    return np.where(asked.items >= 0, asked.features[:, :, POPULARITY], np.float32(-np.inf))


def query_for(state: LiveState, who: Who, now: float, bar_had: bool) -> Query:
    """What the next list of a user or of a told session is made from; `bar_had`: without what was had."""
    if who.user_id is not None:
        return query_of(state, state.users.key(who.user_id), now)._replace(bar_had=bar_had)
    items = _keys(state, who.history_item_ids or [])
    times = now - HISTORY_SPACING * np.arange(len(items), 0, -1, dtype=np.float64)
    # What a session tells that it had is no news to it.
    return Query(items, times, np.full(len(items), UNTOLD, np.int16), -1, now, _NONE, bar_had)


def _keys(state: LiveState, ids: Sequence[str]) -> npt.NDArray[np.int32]:
    """Keys of the known ones among these items."""
    keys = np.array([state.items.key(id_) for id_ in ids], np.int32)
    return keys[keys >= 0]
