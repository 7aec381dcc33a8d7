"""Popularity of all time, the simplest system beside ours: what most events were about before the batch."""

import numpy as np
import numpy.typing as npt

from rec_assets.features import rows
from rec_assets.features.kernels import kernel
from rec_assets.features.rows import Rows
from rec_assets.features.state import EventArrays, LiveState
from rec_assets.features.turndown import TURNED_DOWN, is_had, is_turned_down


@kernel
def _ranks(
    counts: npt.NDArray[np.int64],
    ascending: npt.NDArray[np.int64],
    seen: Rows,
    user: npt.NDArray[np.int32],
    item: npt.NDArray[np.int32],
    weight: npt.NDArray[np.float32],
    index: npt.NDArray[np.int64],
    repeats: bool,
) -> npt.NDArray[np.float64]:
    newest = np.full(len(seen.bits), -1, np.int64)  # per user, the latest event of the batch so far
    previous = np.full(len(user), -1, np.int64)  # per event, the same user's event before it
    for i in range(len(user)):
        previous[i] = newest[user[i]]
        if item[i] >= 0 and (weight[i] > 0 or weight[i] <= TURNED_DOWN):
            newest[user[i]] = i
    found = np.full(len(index), np.inf)
    counted = np.full(len(counts), -1, np.int64)  # the event for which an item was last left out
    for n in range(len(index)):
        i = index[n]
        if item[i] >= len(counts) or counts[item[i]] == 0:
            continue
        own = counts[item[i]]
        better = len(ascending) - np.searchsorted(ascending, own, side="right")
        equal = len(ascending) - np.searchsorted(ascending, own, side="left") - better
        if not repeats:
            event, bits = previous[i], seen.bits[user[i]]
            while event >= 0:
                key = item[event]
                if key < len(counts) and counted[key] != n and counts[key] > 0:
                    counted[key] = n
                    better -= counts[key] > own
                    equal -= counts[key] == own
                event = previous[event]
            for place in range(seen.start[user[i]], seen.start[user[i]] + ((1 << bits) if bits > 0 else 0)):
                key, times = seen.keys[place], seen.values[place, 1]
                if not (is_had(times) or is_turned_down(times)):
                    continue
                if key >= 0 and key < len(counts) and counted[key] != n and counts[key] > 0:
                    counted[key] = n
                    better -= counts[key] > own
                    equal -= counts[key] == own
        found[n] = better + (equal + 1) / 2
    return found


def ranks(
    counts: npt.NDArray[np.int64], state: LiveState, arrays: EventArrays, index: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Ranks [m] of the events chosen by `index` from a batch that is not yet in the state, infinity for an unknown
    item.

    `counts` [items] are how often each item occurred before the batch, 0 for one that is unknown.
    """
    ascending = np.sort(counts[counts > 0])
    repeats = state.config.repeats
    return _ranks(counts, ascending, state.seen, arrays.user, arrays.item, arrays.weight, index, repeats)


@kernel
def _is_first(
    seen: Rows, user: npt.NDArray[np.int32], item: npt.NDArray[np.int32], weight: npt.NDArray[np.float32]
) -> npt.NDArray[np.bool_]:
    had = set()
    had.add((np.int64(-1), np.int64(-1)))  # so that the set has a type
    first = np.zeros(len(user), np.bool_)
    for i in range(len(user)):
        if item[i] < 0:
            continue
        pair = (np.int64(user[i]), np.int64(item[i]))
        place = rows.find(seen, user[i], item[i])
        first[i] = pair not in had
        if place >= 0 and (is_had(seen.values[place, 1]) or is_turned_down(seen.values[place, 1])):
            first[i] = False
        if weight[i] > 0 or weight[i] <= TURNED_DOWN:
            had.add(pair)
    return first


def is_first(state: LiveState, arrays: EventArrays) -> npt.NDArray[np.bool_]:
    """[n] whether the event has an item that its user never had before, in a batch that is not yet in the state."""
    return _is_first(state.seen, arrays.user, arrays.item, arrays.weight)
