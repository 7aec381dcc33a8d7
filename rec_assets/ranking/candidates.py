"""The union of what the sources propose."""

import numpy as np
import numpy.typing as npt

from rec_assets.features import codes
from rec_assets.features.kernels import kernel
from rec_assets.features.popularity import Popularity
from rec_assets.ranking.content import Described, cosine
from rec_assets.ranking.dense import bound, offer
from rec_assets.ranking.expected import Expected, logit
from rec_assets.ranking.scratch import FIRST, A, Scratch
from rec_assets.ranking.sources import CONTENT, ENCODER, LISTED, SOURCES

S = len(SOURCES)


@kernel
def _listed(scratch: Scratch, popularity: Popularity, best: npt.NDArray[np.int32]) -> None:
    """The most popular items."""
    for s in range(len(LISTED)):
        number = 0
        for item in popularity.strongest[LISTED[s]]:
            if item < 0 or number == best.shape[1]:
                break
            if scratch.listable[item]:
                best[s, number] = item
                number += 1


@kernel
def _summed(scratch: Scratch, best: npt.NDArray[np.int32], mass: npt.NDArray[np.float64]) -> None:
    """The best of the sources that added up scores, and the mass f64[A] of each over what may be listed."""
    size, score, touched, listable = best.shape[1], scratch.score, scratch.touched, scratch.listable
    scores, kept = np.empty((A, size), np.float32), np.zeros(A, np.int64)
    least = np.full(A, np.float32(0))  # what an item's score has to pass
    for at in range(np.uint64(FIRST), np.uint64(scratch.number[0])):
        item = touched[at]
        if not listable[np.uint32(item)]:
            continue
        for a in range(A):
            value = score[at, a]
            mass[a] += value
            if value > least[a]:
                kept[a] = offer(best[len(LISTED) + a], scores[a], kept[a], item, value)
                if kept[a] == size:
                    least[a] = scores[a, size - 1]


@kernel
def _alike(scratch: Scratch, content: Described, profile: npt.NDArray[np.float32], best: npt.NDArray[np.int32]) -> None:
    """The items whose content is nearest to the profile: those that come near by their codes are compared in full."""
    n = len(scratch.listable)
    near = scratch.values[:n]
    lost = codes.products(content.codes, content.scale, profile, near)
    length = np.sqrt(np.sum(profile * profile))
    # Products with codes are off by so much on either side; what is lost in single precision comes on top.
    wrong = content.error * length + lost * (1 + content.error) + 1e-5
    least = bound(near, scratch.listable, best.shape[1]) - 2 * wrong
    scores, number = np.empty(best.shape[1], np.float32), 0
    for item in range(n):
        if near[item] >= least and scratch.listable[item]:
            number = offer(best[CONTENT], scores, number, item, cosine(content.vectors[item], profile))


@kernel
def predicted(scratch: Scratch, expected: Expected, best: npt.NDArray[np.int32]) -> None:
    """Fill in the items that the encoder expects: those that come near it by logits that may be off are compared
    exactly.
    """
    best[ENCODER] = -1
    logits = expected.logits
    least = bound(logits, scratch.listable, best.shape[1]) - 2 * expected.wrong
    scores, number = np.empty(best.shape[1], np.float32), 0
    for item in range(len(logits)):
        if logits[item] >= least and scratch.listable[item] and logits[item] > -np.inf:
            number = offer(best[ENCODER], scores, number, item, logit(expected, item))


@kernel
def best_of_each(
    scratch: Scratch,
    popularity: Popularity,
    content: Described,
    profile: npt.NDArray[np.float32],
    per_source: int,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    """The best items i32[S, per_source] of each source but the encoder, -1 behind the last, and the mass f64[A] of each
    summed source over what may be listed.
    """
    best, mass = np.full((S, per_source), -1, np.int32), np.zeros(A)
    _listed(scratch, popularity, best)
    _summed(scratch, best, mass)
    if np.any(profile):
        _alike(scratch, content, profile, best)
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
            if item >= 0 and n < len(items) and scratch.listable[item]:
                items[n], source[n] = item, s
                scratch.listable[item] = False  # only once
                n += 1
    for i in range(n):
        scratch.listable[items[i]] = True
    return n
