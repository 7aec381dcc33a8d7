"""What tends to follow the user's latest items."""

import numpy as np
import numpy.typing as npt

from rec_assets.features import rows
from rec_assets.features.counters import LATELY, STEPS, Counters
from rec_assets.features.kernels import kernel
from rec_assets.ranking.scratch import Scratch, add_row
from rec_assets.ranking.sources import NEXT, NEXT_LATELY

PRIOR = 5.0  # visits by which a rarely left item's transitions are held back


@kernel
def score(scratch: Scratch, counters: Counters, items: npt.NDArray[np.int32]) -> None:
    """Sum over the latest items h_d of share(h_d -> item) / d, for all time and lately."""
    table = counters.following
    for d in range(1, min(len(items), STEPS) + 1):
        source = items[len(items) - d]
        if table.bits[source] == 0:
            continue
        # The forgetful weights have grown; the prior has to grow with them.
        grown = 2.0 ** ((counters.items.events[source] - counters.following_base[source]) / LATELY)
        ever = 1 / (d * (counters.following_sum[source, 0] + PRIOR))
        lately = 1 / (d * (counters.following_sum[source, 1] + PRIOR * grown))
        add_row(scratch, table, source, 0, NEXT, ever, 1, NEXT_LATELY, lately)


@kernel
def link(counters: Counters, source: int, item: int) -> float:
    """Share of the transitions from a source that went to the item."""
    place = rows.find(counters.following, source, item)
    if place < 0:
        return 0.0
    return float(counters.following.values[place, 0] / (counters.following_sum[source, 0] + PRIOR))
