"""What a user did, as fixed-shape arrays: read before an event, never at it or after it."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from rec_assets.features import rings
from rec_assets.features.kernels import kernel
from rec_assets.features.rings import Rings

if TYPE_CHECKING:
    from rec_assets.features.state import EventArrays, LiveState

History = tuple[npt.NDArray[np.int32], npt.NDArray[np.float64], npt.NDArray[np.int16]]  # items, seconds, tags


class Windows(NamedTuple):
    """m rows of the newest L items before a moment, newest last."""

    items: npt.NDArray[np.int32]  # [m, L] item keys, -1 on the padding to the left
    times: npt.NDArray[np.float64]  # [m, L] seconds, 0 on the padding
    tags: npt.NDArray[np.int16]  # [m, L] kinds and values, as tags.tags_of has them, 0 on the padding
    now: npt.NDArray[np.float64]  # [m] seconds


@kernel
def _windows(
    histories: Rings,
    user: npt.NDArray[np.int32],
    item: npt.NDArray[np.int32],
    weight: npt.NDArray[np.float32],
    time: npt.NDArray[np.float64],
    tag: npt.NDArray[np.int16],
    index: npt.NDArray[np.int64],
    length: int,
) -> History:
    items, times = np.full((len(index), length), -1, np.int32), np.zeros((len(index), length), np.float64)
    tags = np.zeros((len(index), length), np.int16)
    newest = np.full(len(histories.count), -1, np.int64)  # per user, the latest event of the batch so far
    previous = np.full(len(user), -1, np.int64)  # per event, the same user's event before it
    for i in range(len(user)):
        previous[i] = newest[user[i]]
        if item[i] >= 0 and weight[i] > 0:
            newest[user[i]] = i
    for row in range(len(index)):
        column, event = length - 1, previous[index[row]]
        while event >= 0 and column >= 0:
            items[row, column], times[row, column], tags[row, column] = item[event], time[event], tag[event]
            event = previous[event]
            column -= 1
        if column >= 0:
            old_items, old_times = rings.read(histories, user[index[row]], column + 1)
            first = column + 1 - len(old_items)
            items[row, first : column + 1] = old_items
            times[row, first : column + 1] = old_times
            tags[row, first : column + 1] = rings.read_tags(histories, user[index[row]], column + 1)
    return items, times, tags


def windows(state: "LiveState", arrays: "EventArrays", index: npt.NDArray[np.int64], length: int) -> Windows:
    """Histories before the events [m] that `index` chooses from a batch that is not yet in the state, earlier events
    of the batch included.
    """
    history = _windows(
        state.histories,
        arrays.user,
        arrays.item,
        arrays.weight,
        arrays.time,
        arrays.tag,
        index.astype(np.int64),
        length,
    )
    return Windows(*history, arrays.time[index])


def blank(rows: int, length: int) -> Windows:
    """Rows of padding at time 0."""
    shape = (rows, length)
    return Windows(np.full(shape, -1, np.int32), np.zeros(shape), np.zeros(shape, np.int16), np.zeros(rows))


def history_window(
    items: npt.NDArray[np.int32], times: npt.NDArray[np.float64], tags: npt.NDArray[np.int16], now: float, length: int
) -> Windows:
    """One row from a history given as item keys, seconds and tags, newest last."""
    window, n = blank(1, length), min(length, len(items))
    window.now[0] = now
    if n > 0:
        window.items[0, -n:], window.times[0, -n:], window.tags[0, -n:] = items[-n:], times[-n:], tags[-n:]
    return window


def window(state: "LiveState", user: int, now: float, length: int) -> Windows:
    """One row from a user's history; a key below 0 has none."""
    tags = rings.read_tags(state.histories, user, length)
    return history_window(*rings.read(state.histories, user, length), tags, now, length)


@kernel
def _last(histories: Rings, users: npt.NDArray[np.int32], length: int) -> History:
    items, times = np.full((len(users), length), -1, np.int32), np.zeros((len(users), length), np.float64)
    tags = np.zeros((len(users), length), np.int16)
    for row in range(len(users)):
        old_items, old_times = rings.read(histories, users[row], length)
        items[row, length - len(old_items) :] = old_items
        times[row, length - len(old_items) :] = old_times
        tags[row, length - len(old_items) :] = rings.read_tags(histories, users[row], length)
    return items, times, tags


def last(state: "LiveState", users: npt.NDArray[np.int32], length: int) -> History:
    """Items i32[m, L], seconds f64[m, L] and tags i16[m, L] of the newest events of users i32[m], newest last, -1 on
    the padding.
    """
    return _last(state.histories, users.astype(np.int32), length)
