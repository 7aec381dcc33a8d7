"""Stretches of histories as training material, and the step batches made of them."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rec_assets.models import encoder

HOUR, DAY = 3_600, 86_400
STEP_POSITIONS = 800  # of one step batch, padding included


class Stretches(NamedTuple):
    """n pieces of users' histories, newest LAST, padding on the left. W is the encoder's window."""

    items: npt.NDArray[np.int32]  # [n, W + 1] keys, -1 on padding
    times: npt.NDArray[np.float64]  # [n, W + 1] seconds
    first: npt.NDArray[
        np.int32
    ]  # [n] the first column, from 1, that is to be predicted; what is before it is known only
    user: npt.NDArray[np.int32]  # [n] key of whose it is, so that it can be forgotten

    def take(self, index: npt.NDArray[np.int64]) -> "Stretches":
        """Those of an index."""
        return Stretches(self.items[index], self.times[index], self.first[index], self.user[index])

    def targets(self) -> int:
        """How many events are to be predicted."""
        return int((self.items.shape[1] - self.first).sum())


def empty(window: int) -> Stretches:
    """No stretches."""
    nobody = np.empty(0, np.int32)
    return Stretches(np.empty((0, window + 1), np.int32), np.empty((0, window + 1)), nobody, nobody)


def join(parts: list[Stretches], window: int) -> Stretches:
    """All of them, in order."""
    parts = [empty(window), *parts]
    return Stretches(
        np.concatenate([part.items for part in parts]),
        np.concatenate([part.times for part in parts]),
        np.concatenate([part.first for part in parts]),
        np.concatenate([part.user for part in parts]),
    )


def cut(
    user: int,
    items: npt.NDArray[np.int32],
    times: npt.NDArray[np.float64],
    fresh: int,
    window: int,
    size: int,
    offset: int = 0,
) -> Stretches:
    """Cut one user's history [m], oldest first, so that each of its newest `fresh` events is predicted exactly once.

    A stretch predicts at most `size` events, the first one `offset` fewer, and knows as many before them as fit.
    """
    count = len(items)
    start = count - fresh
    ends = np.arange(start + size - offset, count + size, size)
    ends = np.minimum(ends[: np.searchsorted(ends, count) + 1], count)
    firsts = np.concatenate([[start], ends[:-1]])
    stretches = Stretches(
        np.full((len(ends), window + 1), -1, np.int32),
        np.zeros((len(ends), window + 1)),
        np.zeros(len(ends), np.int32),
        np.full(len(ends), user, np.int32),
    )
    for row, (low, high) in enumerate(zip(firsts.tolist(), ends.tolist(), strict=True)):
        known = min(high, window + 1)
        stretches.items[row, -known:] = items[high - known : high]
        stretches.times[row, -known:] = times[high - known : high]
        stretches.first[row] = max(window + 1 - (high - low), 1)
    return stretches


def from_events(
    users: npt.NDArray[np.int32],
    items: npt.NDArray[np.int32],
    times: npt.NDArray[np.float64],
    window: int,
    rng: np.random.Generator,
) -> Stretches:
    """All of a stream's events as targets, each user's history cut at random places, in random order."""
    order = np.argsort(users, kind="stable")
    bounds = np.flatnonzero(np.diff(users[order], prepend=-1, append=-1))
    parts = []
    for low, high in itertools.pairwise(bounds.tolist()):
        chosen = order[low:high]
        offset = int(rng.integers(window)) if len(chosen) > window else 0
        parts.append(cut(int(users[chosen[0]]), items[chosen], times[chosen], len(chosen), window, window, offset))
    together = join(parts, window)
    return together.take(rng.permutation(len(together.first)))


def sequences(
    items: npt.NDArray[np.int32], times: npt.NDArray[np.float64], now: npt.NDArray[np.float64]
) -> encoder.Sequences:
    """The encoder's input from rows [B, L], the seconds [B, L] of each and of the event to be predicted last, [B]."""
    times = np.concatenate([times, now[:, None]], axis=1)
    there = np.concatenate([items >= 0, np.ones((len(items), 1), bool)], axis=1)
    origin = np.where(there, times, np.inf).min(axis=1, keepdims=True)
    times = np.where(there, times, origin)
    seconds = times[:, 1:].astype(np.int64)
    elapsed = np.clip(times - origin, 0, np.iinfo(np.int32).max).astype(np.int32)
    hour = (seconds // HOUR % 24).astype(np.int32)
    weekday = ((seconds // DAY + 3) % 7).astype(np.int32)  # 1970 began on a Thursday
    return encoder.Sequences(items, elapsed, hour, weekday)


def step_batches(stretches: Stretches, rows: npt.NDArray[np.int32]) -> Iterator[encoder.Batch]:
    """Padded step batches of one or two shapes: short histories do not pay for long ones.

    `rows` [n, W + 1] are the places of `stretches.items` among the gathered rows, -1 on padding.
    """
    window = stretches.items.shape[1] - 1
    used = np.minimum(np.maximum((stretches.items >= 0).sum(axis=1) - 1, window + 1 - stretches.first), window)
    low = -1
    for length in lengths(window):
        chosen = np.flatnonzero((used > low) & (used <= length))
        size = STEP_POSITIONS // length
        for start in range(0, len(chosen), size):
            part = chosen[start : start + size]
            yield step_batch(stretches.take(part), rows[part], length)
        low = length


def lengths(window: int) -> tuple[int, ...]:
    """How many positions the sequences of a step batch may have."""
    return tuple(sorted({max(window // 4, 1), window}))


def step_batch(stretches: Stretches, rows: npt.NDArray[np.int32], length: int) -> encoder.Batch:
    """One step batch of up to STEP_POSITIONS // length stretches, of which the newest `length` positions are kept."""
    size = STEP_POSITIONS // length
    items = np.full((size, length + 1), -1, np.int32)
    times = np.zeros((size, length + 1))
    items[: len(rows)], times[: len(rows)] = rows[:, -length - 1 :], stretches.times[:, -length - 1 :]
    dropped = stretches.items.shape[1] - 1 - length
    column = np.arange(1, length + 1)
    predicted = (column >= (stretches.first - dropped)[:, None]) & (items[: len(rows), 1:] >= 0)
    positions = np.flatnonzero(predicted).astype(np.int32)
    padded = np.zeros((2, size * length), np.int32)
    padded[0, : len(positions)] = positions
    padded[1, : len(positions)] = items[: len(rows), 1:].reshape(-1)[positions]
    weight = (np.arange(size * length) < len(positions)).astype(np.float32)
    inputs = sequences(items[:, :-1], times[:, :-1], times[:, -1])
    return encoder.Batch(inputs, padded[0], padded[1], weight)
