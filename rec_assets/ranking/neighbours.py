"""Neighbouring histories: what others did around the moments at which they did what the user did lately."""

import numpy as np
import numpy.typing as npt

from rec_assets.features import rings
from rec_assets.features.counters import Counters
from rec_assets.features.kernels import kernel
from rec_assets.features.rings import Rings
from rec_assets.ranking.scratch import Scratch, add
from rec_assets.ranking.sources import NEIGHBOURS, NEIGHBOURS_NEXT

LATEST = 15
LIKENESS_DECAY, DECAY = 0.9, 0.8
BACK, AHEAD, NEXT = 10, 15, 6


@kernel
def score(scratch: Scratch, counters: Counters, histories: Rings, items: npt.NDArray[np.int32], user: int) -> None:
    """A visitor v of h_d at position p has the likeness Σ .9^(d-1) over the h_d they share; x = likeness² · .8^(d-1)
    goes to v's items at p-10 … p+15 as x / (2 + distance), and to those at p+1 … p+6 as x / distance.
    """
    visitors, n = counters.visitors, 0
    latest = min(len(items), LATEST)
    for d in range(1, latest + 1):
        source = items[len(items) - d]
        start, kept = visitors.start[source], rings.kept(visitors, source)
        for place in range(start, start + kept):
            v = visitors.first[place]
            if v == user:
                continue
            if scratch.likeness[v] == 0:
                scratch.alike[n] = v
                n += 1
            scratch.likeness[v] += LIKENESS_DECAY ** (d - 1)
    for d in range(1, latest + 1):
        source = items[len(items) - d]
        start, kept = visitors.start[source], rings.kept(visitors, source)
        for place in range(start, start + kept):
            v, position = visitors.first[place], int(visitors.second[place])
            if v == user:
                continue
            x = scratch.likeness[v] ** 2 * DECAY ** (d - 1)
            oldest = histories.count[v] - rings.kept(histories, v)
            for at in range(max(position - BACK, oldest), min(position + AHEAD + 1, histories.count[v])):
                item = histories.first[rings.place_of(histories, v, at)]
                add(scratch, NEIGHBOURS, item, x / (2 + abs(at - position)))
                if position < at <= position + NEXT:
                    add(scratch, NEIGHBOURS_NEXT, item, x / (at - position))
    for i in range(n):
        scratch.likeness[scratch.alike[i]] = 0
