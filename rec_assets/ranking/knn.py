"""Item-kNN: items that share users with what the user had, near and far back."""

import numpy as np
import numpy.typing as npt

from rec_assets.features.counters import Counters
from rec_assets.features.kernels import kernel
from rec_assets.ranking.scratch import FIRST, Scratch, add_row
from rec_assets.ranking.sources import ITEM_KNN, ITEM_KNN_LONG

NEAR, NEAR_DECAY = 30, 0.9
FAR, FAR_DECAY = 150, 0.985


@kernel
def score(scratch: Scratch, counters: Counters, items: npt.NDArray[np.int32]) -> None:
    """Sum over the latest items h_d of decay^(d-1) · users in common / √(users of h_d + 1) / √(users of the item +
    10).
    """
    table, users = counters.common, counters.items.users
    for d in range(1, min(len(items), FAR) + 1):
        source = items[len(items) - d]
        if table.bits[source] == 0:
            continue
        scale = 1 / np.sqrt(users[source] + 1.0)
        near = NEAR_DECAY ** (d - 1) * scale if d <= NEAR else 0.0
        far = FAR_DECAY ** (d - 1) * scale
        add_row(scratch, table, source, 0, ITEM_KNN_LONG, far, 0, ITEM_KNN, near)
    for at in range(FIRST, scratch.number[0]):
        by = 1 / np.sqrt(users[scratch.touched[at]] + np.float32(10))
        scratch.score[at, ITEM_KNN] *= by
        scratch.score[at, ITEM_KNN_LONG] *= by
