"""What tends to stand in one session with what this session holds."""

import numpy as np
import numpy.typing as npt

from rec_assets.features.counters import SESSIONS_HALF_LIFE, Counters
from rec_assets.features.kernels import kernel
from rec_assets.features.statistics import SESSION_SECONDS
from rec_assets.ranking.scratch import Scratch, add_and_raise_row
from rec_assets.ranking.sources import SESSION, SESSION_BEST

LONGEST = 50
DECAY = 0.95
BEFORE, BEFORE_WEIGHT = 10, 0.4
PRIOR = 10.0  # events by which what goes with a rare item is held back


@kernel
def length_of(times: npt.NDArray[np.float64], now: float) -> int:
    """Items of the session that goes on at `now`; 0 where a new one begins."""
    length, later = 0, now
    while length < len(times) and later - times[len(times) - 1 - length] <= SESSION_SECONDS:
        later = times[len(times) - 1 - length]
        length += 1
    return length


@kernel
def score(scratch: Scratch, counters: Counters, items: npt.NDArray[np.int32], length: int) -> None:
    """Sum over the session's items at distance d of .95^d · co-occurrence, and .4 of that over the ten items before
    it; and beside it the greatest over the session's items of co-occurrence / (events of h_d + 10): what goes with one
    of them alone is worth more than what goes a little with all.
    """
    table, events = counters.sessions, counters.items.events
    # Weights have grown with time; in units of today's weight the masses of two moments can be compared.
    today = 2.0 ** -((counters.events[0] - counters.sessions_base[0]) / SESSIONS_HALF_LIFE)
    length = min(length, LONGEST)
    for d in range(min(len(items), length + BEFORE)):
        source = items[len(items) - 1 - d]
        if table.bits[source] == 0:
            continue
        weight = today * DECAY**d * (1.0 if d < length else BEFORE_WEIGHT)
        share = today / (events[source] + PRIOR) if d < length else 0.0
        add_and_raise_row(scratch, table, source, SESSION, weight, SESSION_BEST, share)
