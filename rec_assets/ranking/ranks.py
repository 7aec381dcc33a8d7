"""Where an item stands in a source's order of the whole catalogue: what evaluation asks of each source alone."""

import numpy as np
import numpy.typing as npt

from rec_assets.features.kernels import kernel
from rec_assets.features.popularity import Popularity
from rec_assets.ranking.content import cosine
from rec_assets.ranking.scratch import FIRST, A, Scratch
from rec_assets.ranking.sources import CONTENT, ENCODER, LISTED, SOURCES

RANKED, UNKNOWN, HAD = range(3)  # what became of an event's item: it could be ranked, it is a miss, it is not scored


@kernel
def rank(higher: int, equal: int) -> float:
    """Rank, 1 is best, behind `higher` others and level with `equal` others: ties count half."""
    return 1.0 + higher + equal / 2


@kernel
def by_source(
    scratch: Scratch,
    popularity: Popularity,
    vectors: npt.NDArray[np.float32],
    profile: npt.NDArray[np.float32],
    logits: npt.NDArray[np.float32],
    target: int,
    out: npt.NDArray[np.float64],
) -> None:
    """Fill out f64[S] with the target's rank under each source, over all that may be listed, it among them."""
    scores = np.empty(len(scratch.listable), np.float64)
    for s in range(len(SOURCES)):
        if s < len(LISTED):
            scores[:] = popularity.level[: len(scores), LISTED[s]]
        elif s < len(LISTED) + A:
            scores[:] = 0
            for at in range(FIRST, scratch.number[0]):
                scores[scratch.touched[at]] = scratch.score[at, s - len(LISTED)]
        elif s == CONTENT:
            for item in range(len(scores)):
                scores[item] = cosine(vectors[item], profile)
        elif s == ENCODER:
            scores[:] = -np.inf
            scores[: min(len(logits), len(scores))] = logits[: len(scores)]
        higher, equal = 0, -1
        for item in range(len(scores)):
            if scratch.listable[item]:
                higher += scores[item] > scores[target]
                equal += scores[item] == scores[target]
        out[s] = rank(higher, equal)


def of_target(
    scores: npt.NDArray[np.float32], target: npt.NDArray[np.int32], known: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Rank f64[n] of each row's target, at column target[n] of scores f32[n, C], -inf on padding; `known` items could
    be ranked.

    A target that is no candidate (-1) ties with all others that are none, behind the candidates.
    """
    among = target >= 0
    listed = scores > -np.inf
    own_score = np.where(among, scores[np.arange(len(scores)), np.maximum(target, 0)], -np.inf)[:, None]
    higher = np.where(among, (listed & (scores > own_score)).sum(1), listed.sum(1))
    equal = np.where(among, (listed & (scores == own_score)).sum(1) - 1, known - listed.sum(1) - 1)
    return np.asarray(1.0 + higher + equal / 2, np.float64)
