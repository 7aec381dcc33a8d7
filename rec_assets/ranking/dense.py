"""The best of a source that scores every item: most are left out by looking at the best of each of many parts."""

import numba
import numpy as np
import numpy.typing as npt

from rec_assets.features.elementary import exp2
from rec_assets.features.kernels import kernel

LOG2_E = np.float32(1.4426950408889634)


@kernel
def offer(best: npt.NDArray[np.int32], scores: npt.NDArray[np.float32], number: int, item: int, score: float) -> int:
    """Keep the item if it is among the best so far, those offered earlier first among equals; returns how many are
    kept.
    """
    if number == len(best):
        if scores[number - 1] >= score:
            return number
        number -= 1
    at = number
    while at > 0 and scores[at - 1] < score:
        best[at], scores[at] = best[at - 1], scores[at - 1]
        at -= 1
    best[at], scores[at] = item, score
    return number + 1


@numba.njit(cache=True, nogil=True, fastmath={"nsz"})
def _part_maxima(values: npt.NDArray[np.float32], counts: npt.NDArray[np.bool_], parts: int) -> npt.NDArray[np.float32]:
    """The largest value f32[parts] of each part of the items that count, a part being every n-th item; -inf for none.

    What is behind the last whole row of parts is left out.
    """
    least = np.float32(-np.inf)
    best = np.full(parts, least, np.float32)
    for row in range(len(values) // parts):
        for part in range(parts):
            value = values[row * parts + part] if counts[row * parts + part] else least
            best[part] = value if value > best[part] else best[part]  # noqa: FURB136 - one instruction, unlike max
    return best


@kernel
def bound(values: npt.NDArray[np.float32], may_list: npt.NDArray[np.bool_], number: int) -> float:
    """A value that at least `number` of the items that may be listed reach; -inf where there may be fewer.

    It is the smallest among the best ones of so many parts of the catalogue.
    """
    parts = max(len(values) // 64, 1)
    if parts < number:
        return -np.inf
    best = _part_maxima(values, may_list, parts)
    which, highest, kept = np.empty(number, np.int32), np.empty(number, np.float32), 0
    for part in range(parts):
        kept = offer(which, highest, kept, part, best[part])
    return float(highest[number - 1])


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz", "nnan"})
def _sum(values: npt.NDArray[np.float32], counts: npt.NDArray[np.bool_], highest: float) -> float:
    """Sum of exp(value - highest) over the items that count."""
    total, by = np.float32(0), np.float32(highest)
    for i in range(len(values)):
        term = exp2((values[i] - by) * LOG2_E)
        total += term if counts[i] else np.float32(0)
    return float(total)


@kernel
def log_sum(values: npt.NDArray[np.float32], counts: npt.NDArray[np.bool_]) -> float:
    """Logarithm of the sum of exp(value) over the items that count; -inf where none does."""
    parts = min(1024, len(values))
    if parts == 0:
        return -np.inf
    highest = np.max(_part_maxima(values, counts, parts))
    for i in range(len(values) // parts * parts, len(values)):
        if counts[i]:
            highest = max(highest, values[i])
    if highest == -np.inf:
        return -np.inf
    return float(highest + np.log(_sum(values, counts, float(highest))))
