"""Whether a micro-batch is like those before it: its size, its kinds of events, and how well its items could be told.

Shuffled items, a broken source or a flood of made-up events hardly move the weights at once, but they are unlike what
people do. A change that stays is the new normal: the batch after one that was passed over is not held against it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from rec_assets.metrics import WHOLE, gains

MEMORY = 50  # micro-batches that are usual
ENOUGH_BATCHES, ENOUGH_EVENTS, ENOUGH_TESTED = 5, 200, 30  # fewer say nothing
KINDS_MOVED = 0.5  # of the events are of other kinds than usual
Z = 4.0
SHUFFLED = 0.4  # of the usual gain, is a broken batch whatever its size
FLOOD, FLOOD_SHUFFLED = 5.0, 0.75  # times the usual events, with less than this share of the usual gain


class Seen(NamedTuple):
    """One micro-batch. A tested event's gain is 1 / log2(1 + rank) of an item that was known."""

    events: int
    kinds: dict[str, float]  # shares
    gains: npt.NDArray[np.float64]


class Usual(NamedTuple):
    """Means over the micro-batches before, the newest counting most."""

    batches: int
    events: float
    kinds: dict[str, float]
    gain: float

    @classmethod
    def of(cls, extra: Mapping[str, Any]) -> Self:
        """What a checkpoint's manifest has of it."""
        return cls(**extra["usual"]) if extra.get("usual") else cls(0, 0.0, {}, 0.0)

    def after(self, seen: Seen) -> "Usual":
        """With one more micro-batch; one without tested events says nothing of gains, and counts for nothing."""
        if not len(seen.gains) or not seen.events:
            return self
        share = 1.0 / min(self.batches + 1, MEMORY)

        def moved(old: float, new: float) -> float:
            return old + share * (new - old)

        names = self.kinds.keys() | seen.kinds.keys()
        kinds = {name: moved(self.kinds.get(name, 0.0), seen.kinds.get(name, 0.0)) for name in sorted(names)}
        gain = moved(self.gain, float(seen.gains.mean()))
        return Usual(self.batches + 1, moved(self.events, seen.events), kinds, gain)


def seen(kinds: Sequence[str], ranks: npt.NDArray[np.float64]) -> Seen:
    """Of a batch's events their kinds, and of the tested ones the served model's ranks, inf for unknown items."""
    names, counts = np.unique(np.array(kinds, dtype=str), return_counts=True)
    shares = dict(zip(names.tolist(), (counts / max(len(kinds), 1)).tolist(), strict=True))
    return Seen(len(kinds), shares, gains(ranks[np.isfinite(ranks)], WHOLE))


def strange(usual: Usual, batch: Seen) -> str:
    """What is not normal about a batch, in words; "" where nothing is."""
    if usual.batches < ENOUGH_BATCHES or batch.events < ENOUGH_EVENTS:
        return ""
    names = usual.kinds.keys() | batch.kinds.keys()
    moved = sum(abs(batch.kinds.get(name, 0.0) - usual.kinds.get(name, 0.0)) for name in names) / 2
    if moved > KINDS_MOVED:
        return f"{moved:.0%} of its events are of other kinds than usual"
    if len(batch.gains) < ENOUGH_TESTED or usual.gain <= 0:
        return ""
    mean, error = float(batch.gains.mean()), float(batch.gains.std(ddof=1)) / len(batch.gains) ** 0.5
    z, share, times = (usual.gain - mean) / max(error, 1e-9), mean / usual.gain, batch.events / max(usual.events, 1.0)
    flood = times > FLOOD and share < FLOOD_SHUFFLED
    if z > Z and (share < SHUFFLED or flood):
        size = f"{times:.1f} times as many events as usual, and " if flood else ""
        return f"{size}its items could be told {share:.0%} as well as usual, as if they were shuffled"
    return ""
