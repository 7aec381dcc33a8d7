"""Stretches of histories as training material."""

import itertools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Stretches(NamedTuple):
    """n pieces of users' histories, newest LAST, padding on the left. W is the encoder's window."""

    items: npt.NDArray[np.int32]  # [n, W + 1] keys, -1 on padding
    times: npt.NDArray[np.float64]  # [n, W + 1] seconds
    tags: npt.NDArray[np.int16]  # [n, W + 1] kinds and values
    first: npt.NDArray[
        np.int32
    ]  # [n] the first column, from 1, that is to be predicted; what is before it is known only
    user: npt.NDArray[np.int32]  # [n] key of whose it is, so that it can be forgotten

    def take(self, index: npt.NDArray[np.int64]) -> "Stretches":
        """Those of an index."""
        taken = {name: column[index] for name, column in self._asdict().items()}
        return Stretches(**taken)

    def chosen(self) -> npt.NDArray[np.int32]:
        """The keys of all that is to be predicted, one for each event."""
        return self.items[np.arange(self.items.shape[1]) >= self.first[:, None]]

    def targets(self) -> int:
        """How many events are to be predicted."""
        return int((self.items.shape[1] - self.first).sum())


def empty(window: int) -> Stretches:
    """No stretches."""
    nobody = np.empty(0, np.int32)
    shape = (0, window + 1)
    return Stretches(np.empty(shape, np.int32), np.empty(shape), np.empty(shape, np.int16), nobody, nobody)


def join(parts: list[Stretches], window: int) -> Stretches:
    """All of them, in order."""
    return Stretches(*(np.concatenate(columns) for columns in zip(empty(window), *parts, strict=True)))


def cut(
    user: int,
    items: npt.NDArray[np.int32],
    times: npt.NDArray[np.float64],
    tags: npt.NDArray[np.int16],
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
        np.zeros((len(ends), window + 1), np.int16),
        np.zeros(len(ends), np.int32),
        np.full(len(ends), user, np.int32),
    )
    for row, (low, high) in enumerate(zip(firsts.tolist(), ends.tolist(), strict=True)):
        known = min(high, window + 1)
        stretches.items[row, -known:] = items[high - known : high]
        stretches.times[row, -known:] = times[high - known : high]
        stretches.tags[row, -known:] = tags[high - known : high]
        stretches.first[row] = max(window + 1 - (high - low), 1)
    return stretches


def from_events(
    users: npt.NDArray[np.int32],
    items: npt.NDArray[np.int32],
    times: npt.NDArray[np.float64],
    tags: npt.NDArray[np.int16],
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
        told = items[chosen], times[chosen], tags[chosen]
        parts.append(cut(int(users[chosen[0]]), *told, len(chosen), window, window, offset))
    together = join(parts, window)
    return together.take(rng.permutation(len(together.first)))
