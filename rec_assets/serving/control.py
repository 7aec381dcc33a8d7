"""From scored candidates to the list: boosts, knobs, pins, caps, diversity, exploration. Pure functions on arrays.

A score is a logit, so a boost by a factor multiplies the odds of an item to be chosen: it adds the factor's logarithm.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Keys = npt.NDArray[np.int32]


class Control(NamedTuple):
    """How a list is picked; the defaults take the best scores."""

    diversity: float = 0.0  # 0: by score alone; 1: as unlike each other as there is
    exploration: float = 0.0  # the share of places that are filled at random
    caps: Mapping[str, int] = {}  # attribute -> the most items of a list that share a value of it, for Caps
    pins: Mapping[int, int] = {}  # place, from 0 -> item key


class Caps:
    """How often a list already holds each value of the attributes that are capped."""

    def __init__(self, limits: Mapping[str, int], values_of: Callable[[int, str], Sequence[str]]) -> None:
        """`limits`: attribute -> the most; `values_of(key, attribute)` gives an item's values."""
        self._limits, self._values_of = limits, values_of
        self._used: dict[tuple[str, str], int] = {}

    def fits(self, key: int) -> bool:
        """Whether the item may come next."""
        return all(self._used.get(pair, 0) < self._limits[pair[0]] for pair in self._pairs(key))

    def take(self, key: int) -> None:
        """The item is in the list."""
        for pair in self._pairs(key):
            self._used[pair] = self._used.get(pair, 0) + 1

    def _pairs(self, key: int) -> list[tuple[str, str]]:
        return [(name, value) for name in self._limits for value in self._values_of(key, name)]


class Picked(NamedTuple):
    """Columns of the candidates, -1 for a pinned item that was none; `keys` has the items themselves."""

    columns: npt.NDArray[np.int64]  # [n]
    keys: Keys  # [n]
    propensities: npt.NDArray[np.float64]  # [n] the probability with which the place shows this item


def adjusted(scores: Floats, *changes: tuple[npt.NDArray[np.floating | np.bool_], float]) -> Floats:
    """Scores [C] plus weight · column for every (column [C], weight) whose weight is not 0."""
    for column, weight in changes:
        if weight != 0:
            scores = scores + np.float32(weight) * column.astype(np.float32)
    return scores


def pick(
    keys: Keys,
    scores: Floats,
    k: int,
    control: Control,
    caps: Caps,
    vectors: npt.NDArray[np.float32],
    random: np.random.Generator,
) -> Picked:
    """The list of at most k of the candidates `keys` [C] (-1 on padding) by `scores` [C].

    `caps` counts what is picked, `vectors` f32[C, D] are what diversity compares (of length 1, or 0 where nothing is
    known). Diversity is maximal marginal relevance (Carbonell and Goldstein 1998).
    """
    order = np.argsort(-scores, kind="stable")
    order = order[keys[order] >= 0]
    if control == Control():
        columns = order[:k]
        return Picked(columns, keys[columns], np.ones(len(columns)))
    pinned = {key for place, key in control.pins.items() if place < k}
    left = [int(column) for column in order if keys[column] not in pinned]
    relevance = _relevance(scores, left)
    nearest = np.zeros(len(scores), np.float32)  # the cosine with the most similar item picked so far
    columns_of = {int(keys[column]): int(column) for column in order}
    found: list[tuple[int, int, float]] = []
    for place in range(k):
        if place in control.pins:
            key = control.pins[place]
            column, propensity = columns_of.get(key, -1), 1.0
        else:
            free = [column for column in left if caps.fits(int(keys[column]))]
            if not free:
                break  # pins further down close up
            column, propensity = _choose(free, relevance, nearest, control, random)
            left.remove(column)
            key = int(keys[column])
        caps.take(key)
        if column >= 0 and control.diversity > 0:
            nearest = np.maximum(nearest, vectors @ vectors[column])
        found.append((column, key, propensity))
    found += [
        (columns_of.get(key, -1), key, 1.0) for place, key in sorted(control.pins.items()) if len(found) <= place < k
    ]
    return Picked(
        np.array([column for column, _, _ in found], np.int64),
        np.array([key for _, key, _ in found], np.int32),
        np.array([propensity for _, _, propensity in found], np.float64),
    )


def _relevance(scores: Floats, left: list[int]) -> Floats:
    """Scores brought to [0, 1] over the candidates, beside which a cosine means something."""
    found = np.zeros(len(scores), np.float32)
    if left:
        among = scores[left]
        found[left] = (among - among.min()) / max(float(among.max() - among.min()), 1e-6)
    return found


def _choose(
    free: list[int], relevance: Floats, nearest: Floats, control: Control, random: np.random.Generator
) -> tuple[int, float]:
    """One of the free columns, best score first, and the probability of that choice."""
    best = 0
    if control.diversity > 0:
        best = int(np.argmax((1 - control.diversity) * relevance[free] - control.diversity * nearest[free]))
    chosen = best
    if control.exploration > 0 and random.random() < control.exploration:
        chosen = int(random.integers(len(free)))
    share = control.exploration / len(free)
    return free[chosen], share + (1 - control.exploration if chosen == best else 0.0)
