"""Whether a micro-batch is like those before it: its kinds of events, and how well its items fit who acted.

Shuffled items, a broken source or made-up events hardly move the weights at once, but they are unlike what people do. A
change that stays is the new normal: the batch after one that was passed over is not held against it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

MEMORY = 50  # micro-batches that are usual
ENOUGH_BATCHES, ENOUGH_EVENTS, ENOUGH_TESTED = 5, 200, 30  # fewer say nothing
KINDS_MOVED = 0.5  # of the events are of other kinds than usual
Z = 4.0
CHANCE, SHUFFLED = 0.5, 0.3  # what chance gives; with less than this share of what is usual above it, they are shuffled


class Seen(NamedTuple):
    """One micro-batch."""

    events: int
    kinds: dict[str, float]  # shares
    fit: npt.NDArray[np.float64]  # of the tested events that tell: see fit.fits


class Usual(NamedTuple):
    """Means over the micro-batches before, the newest counting most."""

    batches: int
    kinds: dict[str, float]
    fit: float

    @classmethod
    def of(cls, extra: Mapping[str, Any]) -> Self:
        """What a checkpoint's manifest has of it."""
        return cls(**extra["usual"]) if extra.get("usual") else cls(0, {}, 0.0)

    def after(self, seen: Seen) -> "Usual":
        """With one more micro-batch; one without tested events says nothing of its items, and counts for nothing."""
        if not len(seen.fit) or not seen.events:
            return self
        share = 1.0 / min(self.batches + 1, MEMORY)

        def moved(old: float, new: float) -> float:
            return old + share * (new - old)

        names = self.kinds.keys() | seen.kinds.keys()
        kinds = {name: moved(self.kinds.get(name, 0.0), seen.kinds.get(name, 0.0)) for name in sorted(names)}
        return Usual(self.batches + 1, kinds, moved(self.fit, float(seen.fit.mean())))


def seen(kinds: Sequence[str], fit: npt.NDArray[np.float64]) -> Seen:
    """The kinds of a batch's events, and the fit of those that were tested, nan where it tells nothing."""
    names, counts = np.unique(np.array(kinds, dtype=str), return_counts=True)
    shares = dict(zip(names.tolist(), (counts / max(len(kinds), 1)).tolist(), strict=True))
    return Seen(len(kinds), shares, fit[np.isfinite(fit)])


def strange(usual: Usual, batch: Seen) -> str:
    """What is not normal about a batch, in words; "" where nothing is."""
    if usual.batches < ENOUGH_BATCHES or batch.events < ENOUGH_EVENTS:
        return ""
    names = usual.kinds.keys() | batch.kinds.keys()
    moved = sum(abs(batch.kinds.get(name, 0.0) - usual.kinds.get(name, 0.0)) for name in names) / 2
    if moved > KINDS_MOVED:
        return f"{moved:.0%} of its events are of other kinds than usual"
    if len(batch.fit) < ENOUGH_TESTED or usual.fit <= CHANCE:
        return ""
    mean, error = float(batch.fit.mean()), float(batch.fit.std(ddof=1)) / len(batch.fit) ** 0.5
    z, share = (usual.fit - mean) / max(error, 1e-9), (mean - CHANCE) / (usual.fit - CHANCE)
    if z > Z and share < SHUFFLED:
        return f"its items fit who acted {max(share, 0):.0%} as well as usual, as if they were shuffled"
    return ""
