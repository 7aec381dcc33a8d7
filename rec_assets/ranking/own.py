"""The user's own repeats: what they had, what followed it, and when it is due again."""

import numpy as np
import numpy.typing as npt

from rec_assets.features.kernels import kernel
from rec_assets.features.statistics import SESSION_SECONDS, day_of, hour_of
from rec_assets.ranking.scratch import Scratch, line_of
from rec_assets.ranking.sources import OWN, OWN_AROUND, OWN_NEXT

HALVED_AFTER = 20.0  # positions
FOLLOWING, AROUND = 5, 10
COUNT, DECAYED, POSITION, FIRST_AT, LAST_AT, SAME_HOUR, SAME_DAY, INSIDE, SESSIONS, LAST_SESSION, KEPT = range(11)


@kernel
def score(
    scratch: Scratch, items: npt.NDArray[np.int32], times: npt.NDArray[np.float64], now: float, session: int
) -> tuple[npt.NDArray[np.float64], int]:
    """Own history 2^(-positions ago / 20); what came within 5 after earlier times of the latest item, 1 / distance;
    what stood within 10 of earlier times of the session's items, 1 / (1 + distance).

    Returns what is known of each item had, f64[d, KEPT], at scratch.slot[item], and the number of the user's sessions,
    the one that goes on or begins included; the caller sets the slots back with `clear`.
    """
    n, distinct, number = len(items), 0, 0
    had = np.zeros((n, KEPT))
    for position in range(n):
        item, ago = items[position], n - position
        if position == 0 or position == n - session or times[position] - times[position - 1] > SESSION_SECONDS:
            number += 1
        slot = scratch.slot[item]
        if slot < 0:
            slot = scratch.slot[item] = distinct
            distinct += 1
            had[slot, FIRST_AT] = times[position]
        decayed = 2.0 ** (-ago / HALVED_AFTER)
        had[slot, COUNT] += 1
        had[slot, DECAYED] += decayed
        had[slot, POSITION] = ago
        had[slot, LAST_AT] = times[position]
        had[slot, SAME_HOUR] += hour_of(times[position]) == hour_of(now)
        had[slot, SAME_DAY] += day_of(times[position]) == day_of(now)
        if position >= n - session:
            had[slot, INSIDE] += 1
        elif had[slot, LAST_SESSION] != number:
            had[slot, SESSIONS] += 1
            had[slot, LAST_SESSION] = number
        scratch.score[line_of(scratch, item), OWN] += decayed
    number += session == 0
    if n == 0:
        return had, number
    in_session = np.zeros(distinct, np.bool_)
    for position in range(n - session, n):
        in_session[scratch.slot[items[position]]] = True
    for position in range(n - 1):
        if items[position] == items[n - 1]:
            for at in range(position + 1, min(position + FOLLOWING + 1, n)):
                scratch.score[line_of(scratch, items[at]), OWN_NEXT] += 1 / (at - position)
        if position < n - session and in_session[scratch.slot[items[position]]]:
            for at in range(max(0, position - AROUND), min(position + AROUND + 1, n - session)):
                scratch.score[line_of(scratch, items[at]), OWN_AROUND] += 1 / (1 + abs(at - position))
    return had, number


@kernel
def clear(scratch: Scratch, items: npt.NDArray[np.int32]) -> None:
    """Set the slots back."""
    for item in items:
        scratch.slot[item] = -1
