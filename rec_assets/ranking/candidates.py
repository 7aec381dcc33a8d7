"""The union of what the sources propose."""

import numpy as np
import numpy.typing as npt

from rec_assets.features.kernels import kernel
from rec_assets.features.popularity import Popularity
from rec_assets.ranking.content import cosine
from rec_assets.ranking.scratch import A, Scratch
from rec_assets.ranking.sources import CONTENT, ENCODER, LISTED, SOURCES

S = len(SOURCES)


@kernel
def _offer(best: npt.NDArray[np.int32], scores: npt.NDArray[np.float32], number: int, item: int, score: float) -> int:
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


@kernel
def best_of_each(
    scratch: Scratch,
    popularity: Popularity,
    may_list: npt.NDArray[np.bool_],
    vectors: npt.NDArray[np.float32],
    profile: npt.NDArray[np.float32],
    logits: npt.NDArray[np.float32],
    per_source: int,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    """The best items i32[S, per_source] of each source, -1 behind the last, and the mass f64[A] of each summed source
    over what may be listed.
    """
    best, scores, mass = np.full((S, per_source), -1, np.int32), np.empty(per_source, np.float32), np.zeros(A)
    for s in range(len(LISTED)):
        number = 0
        for item in popularity.strongest[LISTED[s]]:
            if item < 0 or number == per_source:
                break
            if may_list[item] and not scratch.barred[item]:
                best[s, number] = item
                number += 1
    for a in range(A):
        number = 0
        for i in range(scratch.number[a]):
            item = scratch.touched[a, i]
            if may_list[item] and not scratch.barred[item]:
                mass[a] += scratch.score[a, item]
                number = _offer(best[len(LISTED) + a], scores, number, item, scratch.score[a, item])
    number = 0
    if np.any(profile):
        for item in range(len(may_list)):
            if may_list[item] and not scratch.barred[item]:
                number = _offer(best[CONTENT], scores, number, item, cosine(vectors[item], profile))
    number = 0
    for item in range(len(logits)):
        if may_list[item] and not scratch.barred[item] and logits[item] > -np.inf:
            number = _offer(best[ENCODER], scores, number, item, logits[item])
    return best, mass


@kernel
def merge(
    scratch: Scratch, best: npt.NDArray[np.int32], items: npt.NDArray[np.int32], source: npt.NDArray[np.int8]
) -> int:
    """Fill items [C] and who proposed each first, one of each source in turn; returns how many there are."""
    n = 0
    for rank in range(best.shape[1]):
        for s in range(S):
            item = best[s, rank]
            if item >= 0 and n < len(items) and not scratch.barred[item]:
                items[n], source[n] = item, s
                scratch.barred[item] = True  # only once
                n += 1
    for i in range(n):
        scratch.barred[items[i]] = False
    return n
