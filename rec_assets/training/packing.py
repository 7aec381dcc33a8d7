"""From stretches of histories to step batches: short ones share a line, so that hardly a position is padding."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rec_assets.features.kernels import kernel
from rec_assets.features.tags import VALUES
from rec_assets.models import encoder
from rec_assets.training.stretches import Stretches

HOUR, DAY = 3_600, 86_400
STEP_POSITIONS = 800  # of one step batch, padding included
FEW_TARGETS = STEP_POSITIONS // 4  # a batch with no more targets than these takes a softmax over so many only


class Lines(NamedTuple):
    """n lines of L positions, each with one or more pieces of histories."""

    items: npt.NDArray[np.int32]  # [n, L] keys of what came before, -1 where nothing did
    times: npt.NDArray[np.float64]  # [n, L] seconds
    tags: npt.NDArray[np.int16]  # [n, L] kinds and values of what came before
    following: npt.NDArray[np.int32]  # [n, L] keys of what came next
    ahead: npt.NDArray[np.float64]  # [n, L] seconds of what came next
    predicted: npt.NDArray[np.bool_]  # [n, L] what came next is a target
    piece: npt.NDArray[np.int32]  # [n, L] -1 on padding

    def take(self, index: npt.NDArray[np.int64]) -> "Lines":
        """Those of an index."""
        taken = {name: column[index] for name, column in self._asdict().items()}
        return Lines(**taken)

    def chosen(self) -> npt.NDArray[np.int32]:
        """The keys of all that is to be predicted, one for each event."""
        return self.following[self.predicted]


@kernel
def _fit(lengths: npt.NDArray[np.int64], order: npt.NDArray[np.int64], width: int) -> npt.NDArray[np.int64]:
    """The line of each piece, best fit over pieces in the given order, and behind them the number of lines."""
    line, lines = np.empty(len(lengths) + 1, np.int64), 0
    newest = np.full(width + 1, -1, np.int64)  # the last line with so many positions left
    before = np.empty(len(lengths), np.int64)  # the one with as many left before it
    for piece in order:
        left = lengths[piece]
        while left <= width and newest[left] < 0:
            left += 1
        if left > width:
            line[piece], left = lines, width
            lines += 1
        else:
            line[piece] = newest[left]
            newest[left] = before[newest[left]]
        left -= lengths[piece]
        before[line[piece]] = newest[left]
        newest[left] = line[piece]
    line[-1] = lines
    return line


def pack(stretches: Stretches) -> Lines:
    """All stretches, each as short as what it predicts and knows allows, in lines of the window's length.

    Lines come in the order of the first stretch in each.
    """
    window = stretches.items.shape[1] - 1
    known = (stretches.items >= 0).sum(axis=1) - 1
    lengths = np.minimum(np.maximum(known, window + 1 - stretches.first), window).astype(np.int64)
    found = _fit(lengths, np.argsort(-lengths, kind="stable"), window)
    line, count = found[:-1], int(found[-1])
    first = np.full(count, len(line))
    np.minimum.at(first, line, np.arange(len(line)))
    place = np.empty(count, np.int64)
    place[np.argsort(first)] = np.arange(count)
    line = place[line] if count else line
    order = np.argsort(line, kind="stable")
    ends = np.cumsum(lengths[order])
    starts = ends - lengths[order]
    in_line = starts - starts[np.searchsorted(line[order], line[order])] if count else starts
    rows = np.repeat(line[order], lengths[order])
    within = np.arange(ends[-1] if count else 0) - np.repeat(starts, lengths[order])
    columns = np.repeat(in_line, lengths[order]) + within
    source = np.repeat(order, lengths[order])
    column = np.repeat(window - lengths[order], lengths[order]) + within  # of the stretch: what came before

    def laid(values: npt.NDArray, fill: float) -> npt.NDArray:
        out = np.full((count, window), fill, values.dtype)
        out[rows, columns] = values
        return out

    following = stretches.items[source, column + 1]
    predicted = (column + 1 >= stretches.first[source]) & (following >= 0)
    return Lines(
        items=laid(stretches.items[source, column], -1),
        times=laid(stretches.times[source, column], 0.0),
        tags=laid(stretches.tags[source, column], 0),
        following=laid(following, -1),
        ahead=laid(stretches.times[source, column + 1], 0.0),
        predicted=laid(predicted, False),
        piece=laid(source.astype(np.int32), -1),
    )


def sequences(
    items: npt.NDArray[np.int32],
    times: npt.NDArray[np.float64],
    tags: npt.NDArray[np.int16],
    ahead: npt.NDArray[np.float64],
    piece: npt.NDArray[np.int32],
) -> encoder.Sequences:
    """The encoder's input [B, L] from rows, their seconds and tags, the seconds of the events to be predicted, and
    pieces.
    """
    times = np.where(items >= 0, times, ahead)
    origin = np.where(piece >= 0, times, np.inf).min(axis=1, keepdims=True)  # of the line: only differences count
    origin = np.where(np.isfinite(origin), origin, 0.0)

    def elapsed(seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
        found: npt.NDArray[np.int32] = np.clip(seconds - origin, 0, np.iinfo(np.int32).max).astype(np.int32)
        return found

    seconds = ahead.astype(np.int64)
    hour = (seconds // HOUR % 24).astype(np.int32)
    weekday = ((seconds // DAY + 3) % 7).astype(np.int32)  # 1970 began on a Thursday
    kind, value = np.divmod(tags.astype(np.int32), VALUES)
    return encoder.Sequences(items, kind, value, elapsed(times), elapsed(ahead), hour, weekday, piece)


def windows(
    items: npt.NDArray[np.int32],
    times: npt.NDArray[np.float64],
    tags: npt.NDArray[np.int16],
    now: npt.NDArray[np.float64],
) -> encoder.Sequences:
    """The encoder's input from histories [B, L], newest last, and the seconds [B] of the event to be predicted."""
    piece = np.where(items >= 0, 0, -1).astype(np.int32)
    piece[:, -1] = 0
    return sequences(items, times, tags, np.concatenate([times[:, 1:], now[:, None]], axis=1), piece)


def step_batches(
    lines: Lines, items: npt.NDArray[np.int32], following: npt.NDArray[np.int32]
) -> Iterator[encoder.Batch]:
    """Step batches of one shape, or two: few targets do not pay for many.

    `items` and `following` are the places of the lines' keys among the gathered rows, -1 for -1.
    """
    size = lines_per_step(lines.items.shape[1])
    for start in range(0, len(lines.items), size):
        part = np.arange(start, min(start + size, len(lines.items)))
        yield step_batch(lines.take(part), items[part], following[part])


def lines_per_step(window: int) -> int:
    """How many lines a step batch has."""
    return max(STEP_POSITIONS // window, 1)


def step_batch(lines: Lines, items: npt.NDArray[np.int32], following: npt.NDArray[np.int32]) -> encoder.Batch:
    """One step batch, padded with lines of nothing and targets of weight 0."""
    count, window = items.shape
    more = ((0, lines_per_step(window) - count), (0, 0))

    def padded(x: npt.NDArray, fill: float) -> npt.NDArray:
        return np.pad(x, more, constant_values=fill)

    inputs = sequences(
        padded(items, -1), padded(lines.times, 0.0), padded(lines.tags, 0), padded(lines.ahead, 0.0),
        padded(lines.piece, -1),
    )  # fmt: skip
    positions = np.flatnonzero(lines.predicted & (following >= 0)).astype(np.int32)
    size = FEW_TARGETS if len(positions) <= FEW_TARGETS else STEP_POSITIONS
    targets = np.zeros((2, max(size, len(positions))), np.int32)
    targets[0, : len(positions)] = positions
    targets[1, : len(positions)] = following.reshape(-1)[positions]
    weight = (np.arange(targets.shape[1]) < len(positions)).astype(np.float32)
    return encoder.Batch(inputs, targets[0], targets[1], weight)
