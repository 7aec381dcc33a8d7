"""What a user did, as fixed-shape arrays: read before an event, never at it or after it."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from rec_assets.features import rings
from rec_assets.features.kernels import kernel
from rec_assets.features.rings import Rings

if TYPE_CHECKING:
    from rec_assets.features.state import EventArrays, LiveState


class Windows(NamedTuple):
    """m rows of the newest L items before a moment, newest last."""

    items: npt.NDArray[np.int32]  # [m, L] item keys, -1 on the padding to the left
    times: npt.NDArray[np.float64]  # [m, L] seconds, 0 on the padding
    now: npt.NDArray[np.float64]  # [m] seconds


@kernel
def _windows(
    histories: Rings,
    user: npt.NDArray[np.int32],
    item: npt.NDArray[np.int32],
    weight: npt.NDArray[np.float32],
    time: npt.NDArray[np.float64],
    index: npt.NDArray[np.int64],
    length: int,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    items, times = np.full((len(index), length), -1, np.int32), np.zeros((len(index), length), np.float64)
    newest = np.full(len(histories.count), -1, np.int64)  # per user, the latest event of the batch so far
    previous = np.full(len(user), -1, np.int64)  # per event, the same user's event before it
    for i in range(len(user)):
        previous[i] = newest[user[i]]
        if item[i] >= 0 and weight[i] > 0:
            newest[user[i]] = i
    for row in range(len(index)):
        column, event = length - 1, previous[index[row]]
        while event >= 0 and column >= 0:
            items[row, column], times[row, column] = item[event], time[event]
            event = previous[event]
            column -= 1
        if column >= 0:
            old_items, old_times = rings.read(histories, user[index[row]], column + 1)
            first = column + 1 - len(old_items)
            items[row, first : column + 1] = old_items
            times[row, first : column + 1] = old_times
    return items, times


def windows(state: "LiveState", arrays: "EventArrays", index: npt.NDArray[np.int64], length: int) -> Windows:
    """Histories before the events [m] that `index` chooses from a batch that is not yet in the state, earlier events
    of the batch included.
    """
    items, times = _windows(
        state.histories, arrays.user, arrays.item, arrays.weight, arrays.time, index.astype(np.int64), length
    )
    return Windows(items, times, arrays.time[index])


def history_window(items: npt.NDArray[np.int32], times: npt.NDArray[np.float64], now: float, length: int) -> Windows:
    """One row from a history given as item keys and seconds, newest last."""
    window = Windows(np.full((1, length), -1, np.int32), np.zeros((1, length)), np.array([now]))
    n = min(length, len(items))
    if n > 0:
        window.items[0, -n:], window.times[0, -n:] = items[-n:], times[-n:]
    return window


def window(state: "LiveState", user: int, now: float, length: int) -> Windows:
    """One row from a user's history; a key below 0 has none."""
    return history_window(*rings.read(state.histories, user, length), now, length)


@kernel
def _last(
    histories: Rings, users: npt.NDArray[np.int32], length: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    items, times = np.full((len(users), length), -1, np.int32), np.zeros((len(users), length), np.float64)
    for row in range(len(users)):
        old_items, old_times = rings.read(histories, users[row], length)
        items[row, length - len(old_items) :] = old_items
        times[row, length - len(old_items) :] = old_times
    return items, times


def last(
    state: "LiveState", users: npt.NDArray[np.int32], length: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    """Items i32[m, L] and seconds f64[m, L] of the newest events of users i32[m], newest last, -1 on the padding."""
    return _last(state.histories, users.astype(np.int32), length)
