"""Item-kNN: items that share users with what the user had, near and far back."""

import numpy as np
import numpy.typing as npt

from rec_assets.features.counters import Counters
from rec_assets.features.kernels import kernel
from rec_assets.ranking.scratch import Scratch, add
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
        near, far = NEAR_DECAY ** (d - 1) * scale, FAR_DECAY ** (d - 1) * scale
        start = table.start[source]
        for place in range(start, start + (1 << table.bits[source])):
            item = table.keys[place]
            if item >= 0:
                if d <= NEAR:
                    add(scratch, ITEM_KNN, item, table.values[place, 0] * near)
                add(scratch, ITEM_KNN_LONG, item, table.values[place, 0] * far)
    for source in (ITEM_KNN, ITEM_KNN_LONG):
        for i in range(scratch.number[source]):
            item = scratch.touched[source, i]
            scratch.score[source, item] /= np.sqrt(users[item] + 10.0)
