"""What one list may hold and how it is picked: the request's own wishes, and the business rules that hold on top."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rec_assets.features import popularity, rings
from rec_assets.features.state import LiveState
from rec_assets.features.turndown import TURNED_DOWN
from rec_assets.ranking import SOURCES, Candidates, Query
from rec_assets.serving import control as controlling
from rec_assets.serving import messages
from rec_assets.serving.bodies import Refused
from rec_assets.serving.catalogue import Catalogue
from rec_assets.serving.control import Caps
from rec_assets.serving.expression import BadFilter, Filter, read
from rec_assets.serving.rules import Rules

Mask = npt.NDArray[np.bool_]
DAY = 86_400.0
KEPT_MASKS = 64  # of filters, per worker
POPULAR, CATALOGUE, PINNED = "popular", "catalogue", "pinned"  # sources of what no candidate source proposed
_LASTING = popularity.NAMES.index("20000_events")


class Plan(NamedTuple):
    """One list before anything is scored. I items."""

    may_list: Mask  # [I]
    bar_had: bool
    boosts: list[tuple[Mask, float]]  # mask [I], the logarithm of the factor
    freshness: float
    novelty: float
    control: controlling.Control
    rules: str  # their version


class Place(NamedTuple):
    """One place of a list."""

    key: int
    score: float
    source: str
    propensity: float


class Masks:
    """Masks of filters, kept until the catalogue changes."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue, self._version = catalogue, -1
        self._kept: dict[str, Mask] = {}

    def of(self, filter_: Filter, now: float) -> Mask:
        """The mask of a filter at a time in seconds; not to be changed."""
        attributes = self._catalogue.attributes
        if filter_.timed:
            return filter_.mask(attributes, now)
        if attributes.version != self._version or len(self._kept) >= KEPT_MASKS:
            self._kept.clear()
            self._version = attributes.version
        if filter_.text not in self._kept:
            self._kept[filter_.text] = filter_.mask(attributes, now)
        return self._kept[filter_.text]


@functools.lru_cache(1_000)
def _read(text: str) -> Filter:
    return read(text)


def filter_of(text: str, catalogue: Catalogue, field: str) -> Filter:
    """The filter of a request; Refused where it cannot be read or asks for what no item has."""
    try:
        filter_ = _read(text)
    except BadFilter as error:
        raise Refused(422, f"{field}: {error}", field) from None
    unknown = sorted(filter_.names - catalogue.attributes.names)
    if unknown and catalogue.attributes.names:
        known = ", ".join(sorted(catalogue.attributes.names)[:20])
        raise Refused(422, f"{field}: no item has an attribute {unknown[0]!r}; there are: {known}", field)
    return filter_


def plan(
    wish: messages.Control, state: LiveState, catalogue: Catalogue, masks: Masks, rules: Rules, now: float
) -> Plan:
    """What `wish` and the rules ask for at a time in seconds. The request's numbers count before those of a rule."""
    may_list = catalogue.allowed(len(state.items))
    if wish.filter is not None:
        may_list &= masks.of(filter_of(wish.filter, catalogue, "filter"), now)
    boosts = [
        (masks.of(filter_of(boost.filter, catalogue, "boosts"), now), float(np.log(boost.factor)))
        for boost in wish.boosts
    ]
    caps, pins = dict(wish.caps), {pin.place - 1: state.items.key(pin.item_id) for pin in wish.pins}
    knobs = {name: getattr(wish, name) for name in ("diversity", "freshness", "novelty", "exploration")}
    for rule, filter_ in rules.holding(wish.placement, now):
        if filter_ is not None:
            mask = masks.of(filter_, now)
            if rule.only is not None:
                may_list &= mask
            elif rule.hide is not None:
                may_list &= ~mask
            elif rule.factor is not None:
                boosts.append((mask, float(np.log(rule.factor))))
        elif rule.pin is not None and rule.place is not None:
            pins.setdefault(rule.place - 1, state.items.key(rule.pin))
        elif rule.cap is not None and rule.most is not None:
            caps[rule.cap] = min(rule.most, caps.get(rule.cap, rule.most))
        for name, value in knobs.items():
            if value is None:
                knobs[name] = getattr(rule, name)
    bar_had = not state.config.repeats if wish.seen is None else wish.seen == "never"
    for item_id in wish.exclude_item_ids:
        key = state.items.key(item_id)
        if key >= 0:
            may_list[key] = False
    if wish.user_id is not None and isinstance(wish.seen, float):
        items, times = rings.read(state.histories, state.users.key(wish.user_id), 1 << state.history_bits)
        may_list[items[times > now - wish.seen * DAY]] = False
    pins = {place: key for place, key in pins.items() if key >= 0 and may_list[key]}
    return Plan(
        may_list,
        bar_had,
        boosts,
        knobs["freshness"] or 0.0,
        knobs["novelty"] or 0.0,
        controlling.Control(knobs["diversity"] or 0.0, knobs["exploration"] or 0.0, caps, pins),
        rules.version,
    )


def places(
    plan: Plan,
    query: Query,
    candidates: Candidates,
    scores: npt.NDArray[np.float32],
    k: int,
    state: LiveState,
    catalogue: Catalogue,
    random: np.random.Generator,
) -> list[Place]:
    """The list: candidates [1, C] by scores [C], and where they do not suffice what is popular, then what is left."""
    sources = [SOURCES[source] for source in candidates.source[0].tolist()]
    return _places(plan, query, candidates.items[0], sources, scores, k, state, catalogue, random)


def popular_places(
    plan: Plan, query: Query, k: int, state: LiveState, catalogue: Catalogue, random: np.random.Generator
) -> list[Place]:
    """The list of what is popular, under the same rules and wishes; nothing is ranked for it."""
    counted = state.counters.popularity
    left = plan.may_list.copy()
    left[barred(state, query)] = False
    keys = counted.strongest[_LASTING]
    keys = keys[keys >= 0]
    keys = keys[left[keys]]
    scores = ((counted.level[keys, _LASTING] - counted.total[_LASTING]) * np.log(2)).astype(np.float32)
    return _places(plan, query, keys, [POPULAR] * len(keys), scores, k, state, catalogue, random)


def _places(
    plan: Plan,
    query: Query,
    keys: npt.NDArray[np.int32],
    sources: Sequence[str],
    scores: npt.NDArray[np.float32],
    k: int,
    state: LiveState,
    catalogue: Catalogue,
    random: np.random.Generator,
) -> list[Place]:
    at: npt.NDArray[np.int32] = np.maximum(keys, 0)
    if plan.boosts:
        scores = controlling.adjusted(scores, *((mask[at], weight) for mask, weight in plan.boosts))
    if plan.freshness:
        scores = controlling.adjusted(scores, (-np.log1p(_age(state, query.now)[at] / DAY), plan.freshness))
    if plan.novelty:
        scores = controlling.adjusted(scores, (-np.log1p(state.counters.items.events[at]), plan.novelty))
    caps = Caps(plan.control.caps, catalogue.attributes.words_of)
    vectors = state.content.vectors[at] if plan.control.diversity else np.zeros((0, 0), np.float32)
    picked = controlling.pick(keys, scores, k, plan.control, caps, vectors, random)
    found = [
        Place(
            key,
            float(scores[column]) if column >= 0 else 0.0,
            PINNED if column < 0 else sources[column],
            propensity,
        )
        for column, key, propensity in zip(
            picked.columns.tolist(), picked.keys.tolist(), picked.propensities.tolist(), strict=True
        )
    ]
    if len(found) < k:
        found += _fallback(plan, query, found, k - len(found), state, caps)
    return found


def _fallback(
    plan: Plan, query: Query, found: Sequence[Place], number: int, state: LiveState, caps: Caps
) -> list[Place]:
    """What fills up a list: popular items, then those that nobody had, the newest first; the caps hold."""
    left = plan.may_list.copy()
    left[[place.key for place in found]] = False
    left[barred(state, query)] = False
    keys = np.flatnonzero(left)
    level = state.counters.popularity.level[keys, _LASTING]
    lowest = min((place.score for place in found), default=0.0)
    filled: list[Place] = []
    for column in np.lexsort((-keys, -level)).tolist():
        if len(filled) == number:
            break
        key = int(keys[column])
        if caps.fits(key):
            caps.take(key)
            source = POPULAR if np.isfinite(level[column]) else CATALOGUE
            filled.append(Place(key, lowest - 1.0 - len(filled), source, 1.0))
    return filled


def barred(state: LiveState, query: Query) -> npt.NDArray[np.int32]:
    """Keys that the candidates leave out: what was turned down, and what was had where that is barred."""
    found = [query.exclude, *([query.items] if query.bar_had else [])]
    if query.user >= 0 and state.seen.bits[query.user] > 0:
        start = state.seen.start[query.user]
        row = slice(start, start + (1 << int(state.seen.bits[query.user])))
        keys, times = state.seen.keys[row], state.seen.values[row, 1]
        found.append(keys[(keys >= 0) & ((times <= TURNED_DOWN) | (query.bar_had & (times > 0)))])
    return np.concatenate(found)


def _age(state: LiveState, now: float) -> npt.NDArray[np.float64]:
    """Seconds [I] since the first event of each item; 0 where there was none."""
    items = state.counters.items
    return np.where(items.events > 0, np.maximum(now - items.first_at, 0.0), 0.0)


def trending(state: LiveState) -> npt.NDArray[np.float64]:
    """f64[I]: by how much an item's share of the last day is above its share of the last week; -inf without events."""
    day, week = popularity.NAMES.index("day"), popularity.NAMES.index("week")
    level, total = state.counters.popularity.level, state.counters.popularity.total
    with np.errstate(invalid="ignore"):
        lately, before = 2.0 ** (level[:, day] - total[day]), 2.0 ** (level[:, week] - total[week])
        # A few events on a rare item are no trend: shares are compared as differences, weighted by their ratio.
        rise = (lately - before) * np.log1p(lately / np.maximum(before, 1e-12))
    return np.where(np.isfinite(level[:, week]), rise, -np.inf)


def popular(state: LiveState) -> npt.NDArray[np.float64]:
    """f64[I]: decayed popularity with a half-life of 20,000 events; -inf without events."""
    return state.counters.popularity.level[:, _LASTING]


def new(state: LiveState) -> npt.NDArray[np.float64]:
    """f64[I]: when an item was first known; what nobody touched yet counts as the newest, in order of appearance."""
    items = state.counters.items
    untouched = items.events == 0
    return np.where(untouched, state.clock + 1 + np.arange(len(untouched)), items.first_at)
