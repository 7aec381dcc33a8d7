"""Popularity that decays at several half-lives at once, kept as logarithms.

With forward decay (Cormode et al. 2009) an event at x adds 2^(x/half-life) and nothing ever shrinks; only shares
matter. Kept as log2 of the sum, the numbers neither overflow nor need rescaling, whatever the gap between two
events, and since an event lifts one item and leaves the order of all others, the strongest items of each half-life
are a short list that stays exact.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rec_assets.features.blocks import extended
from rec_assets.features.kernels import kernel

EVENT_HALF_LIVES = (30.0, 200.0, 2_000.0, 20_000.0, np.inf)
SECOND_HALF_LIVES = (3_600.0, 86_400.0, 604_800.0)
NAMES = ("30_events", "200_events", "2000_events", "20000_events", "ever", "hour", "day", "week")
H = len(NAMES)
STRONGEST = 512

_BY_EVENT = np.array([1 / h for h in EVENT_HALF_LIVES] + [0.0] * len(SECOND_HALF_LIVES))
_BY_SECOND = np.array([0.0] * len(EVENT_HALF_LIVES) + [1 / h for h in SECOND_HALF_LIVES])


class Popularity(NamedTuple):
    """I items, H half-lives."""

    level: npt.NDArray[np.float64]  # [I, H] log2 of the grown sum; -inf before the first event
    total: npt.NDArray[np.float64]  # [H] log2 of the sum over all items
    strongest: npt.NDArray[np.int32]  # [H, 512] item keys, best first; -1 behind the last
    place: npt.NDArray[np.int16]  # [I, H] where the item stands in `strongest`; -1 for nowhere


def empty() -> Popularity:
    """No items."""
    return Popularity(
        level=np.zeros((0, H)),
        total=np.full(H, -np.inf),
        strongest=np.full((H, STRONGEST), -1, np.int32),
        place=np.zeros((0, H), np.int16),
    )


def with_items(popularity: Popularity, items: int) -> Popularity:
    """For at least so many items; arrays that are long enough are shared."""
    return popularity._replace(
        level=extended(popularity.level, items, -np.inf), place=extended(popularity.place, items, -1)
    )


@kernel
def _log2_sum(a: float, b: float) -> float:
    low, high = min(a, b), max(a, b)
    return high + np.log2(1 + 2.0 ** (low - high)) if low > -np.inf else high


@kernel
def add(popularity: Popularity, item: int, events: int, seconds: float, weight: float) -> None:
    """One event on an item, as number `events` of the stream, at a time in seconds, with a weight above 0."""
    for h in range(H):
        grown = events * _BY_EVENT[h] + seconds * _BY_SECOND[h] + np.log2(weight)
        level = _log2_sum(popularity.level[item, h], grown)
        popularity.level[item, h] = level
        popularity.total[h] = _log2_sum(popularity.total[h], grown)
        strongest = popularity.strongest[h]
        place = popularity.place[item, h]
        if place < 0:
            last = strongest[STRONGEST - 1]
            if last >= 0:
                if popularity.level[last, h] >= level:
                    continue
                popularity.place[last, h] = -1
            place = STRONGEST - 1
            while place > 0 and strongest[place - 1] < 0:
                place -= 1
        while place > 0 and popularity.level[strongest[place - 1], h] < level:
            strongest[place] = strongest[place - 1]
            popularity.place[strongest[place], h] = place
            place -= 1
        strongest[place] = item
        popularity.place[item, h] = place


@kernel
def _log2_difference(a: float, b: float) -> float:
    return a + np.log2(1 - 2.0 ** (b - a)) if b < a - 1e-9 else -np.inf


@kernel
def take_back(popularity: Popularity, item: int, seconds: float, weight: float) -> None:
    """Undo an event at a time in seconds, in the half-lives that do not go by events.

    An item that falls to the end of the strongest stays there, also where one that is not listed is stronger by now.
    """
    for h in range(H):
        if _BY_EVENT[h] > 0:
            continue
        grown = seconds * _BY_SECOND[h] + np.log2(weight)
        level = _log2_difference(popularity.level[item, h], grown)
        popularity.level[item, h] = level
        popularity.total[h] = _log2_difference(popularity.total[h], grown)
        strongest = popularity.strongest[h]
        place = popularity.place[item, h]
        if place < 0:
            continue
        while place + 1 < STRONGEST and strongest[place + 1] >= 0 and popularity.level[strongest[place + 1], h] > level:
            strongest[place] = strongest[place + 1]
            popularity.place[strongest[place], h] = place
            place += 1
        strongest[place] = item
        popularity.place[item, h] = place
