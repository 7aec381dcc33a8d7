"""Where an item stands among all scores of the catalogue, and what stands before it."""

import numpy as np
import numpy.typing as npt

from rec_assets.features.kernels import kernel
from rec_assets.metrics import SHOWN


@kernel
def rank_and_show(
    scores: npt.NDArray[np.float64],
    counts: npt.NDArray[np.int64],
    had: npt.NDArray[np.bool_],
    repeats: bool,
    target: int,
    shown: npt.NDArray[np.int32],
) -> float:
    """The target's rank by scores [items] among what may be listed, ties half, infinity for an unknown one; `shown`
    [SHOWN] gets the keys of the first items.

    `counts` [items] are 0 for what is unknown; `had` [items] is left out unless the domain repeats.
    """
    higher, equal, kept = 0, 0, 0
    best = np.empty(SHOWN)
    own = scores[target]
    for j in range(len(scores)):
        if counts[j] == 0 or (had[j] and not repeats):
            continue
        score = scores[j]
        higher += score > own
        equal += score == own
        if kept < SHOWN or score > best[kept - 1]:
            at = kept if kept < SHOWN else SHOWN - 1
            while at > 0 and best[at - 1] < score:
                best[at] = best[at - 1]
                shown[at] = shown[at - 1]
                at -= 1
            best[at] = score
            shown[at] = j
            kept = min(kept + 1, SHOWN)
    return higher + (equal + 1) / 2 if counts[target] > 0 else np.inf
