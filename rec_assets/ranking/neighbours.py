"""Neighbouring histories: what others did around the moments at which they did what the user did lately."""

import numpy as np
import numpy.typing as npt

from rec_assets.features import rings
from rec_assets.features.counters import Counters
from rec_assets.features.kernels import kernel
from rec_assets.features.rings import Rings
from rec_assets.ranking.scratch import Scratch, unguessed
from rec_assets.ranking.sources import NEIGHBOURS, NEIGHBOURS_NEXT

LATEST = 15
LIKENESS_DECAY, DECAY = 0.9, 0.8
BACK, AHEAD, NEXT = 10, 15, 6
_DISTANCES = np.arange(-BACK, AHEAD + 1)
_AROUND = (1 / (2 + np.abs(_DISTANCES))).astype(np.float32)
_NEXT = np.where((_DISTANCES > 0) & (_DISTANCES <= NEXT), 1 / np.maximum(_DISTANCES, 1), 0).astype(np.float32)


@kernel
def score(scratch: Scratch, counters: Counters, histories: Rings, items: npt.NDArray[np.int32], user: int) -> None:
    """A visitor v of h_d at position p has the likeness Σ .9^(d-1) over the h_d they share; x = likeness² · .8^(d-1)
    goes to v's items at p-10 … p+15 as x / (2 + distance), and to those at p+1 … p+6 as x / distance.
    """
    visitors, likeness, alike, n = counters.visitors, scratch.likeness, scratch.alike, 0
    latest = min(len(items), LATEST)
    for d in range(1, latest + 1):
        source, by = items[len(items) - d], np.float32(LIKENESS_DECAY ** (d - 1))
        start = visitors.start[source]
        for place in range(start, start + rings.kept(visitors, source)):
            v = visitors.first[place]
            alike[n] = v
            n += likeness[v] == 0
            likeness[v] += by
    if user >= 0:
        likeness[user] = 0  # their own visits tell nothing new
    line, score, touched, used = scratch.line, scratch.score, scratch.touched, scratch.number[0]
    for d in range(1, latest + 1):
        source, by = items[len(items) - d], np.float32(DECAY ** (d - 1))
        start = visitors.start[source]
        for place in range(start, start + rings.kept(visitors, source)):
            v, position = visitors.first[place], int(visitors.second[place])
            x = likeness[v] * likeness[v] * by
            if x == 0:
                continue
            count, size = histories.count[v], 1 << histories.bits[v]
            first, ring = histories.start[v], size - 1
            oldest = max(0, count - size)
            for other in range(max(position - BACK, oldest), min(position + AHEAD + 1, count)):
                item = np.uint32(histories.first[np.uint64(first + (other & ring))])
                distance = np.uint64(other - position + BACK)
                at, used = unguessed(line, touched, item, used)
                score[at, NEIGHBOURS] += x * _AROUND[distance]
                score[at, NEIGHBOURS_NEXT] += x * _NEXT[distance]
    scratch.number[0] = used
    for i in range(n):
        likeness[alike[i]] = 0
