"""Sums over all ratings so far: what an item is usually given, and what is usual at all."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rec_assets.features.blocks import extended

Floats = npt.NDArray[np.float32]
REMEMBERED = 1e6  # ratings that what is usual is the mean of, once there were so many
HELD_BACK = 5.0  # an item's mean has so many usual ratings beside its own


class Ratings(NamedTuple):
    """I item keys."""

    items: Floats  # [I, 2] sum and number
    usual: Floats  # [3] number, mean, variance

    @property
    def mean(self) -> float:
        """Of all."""
        return float(self.usual[1])

    @property
    def spread(self) -> float:
        """The standard deviation of all; 1 where there is none."""
        return float(self.usual[2]) ** 0.5 if self.usual[2] > 0 else 1.0

    def of(self, items: npt.NDArray[np.int32]) -> tuple[Floats, Floats]:
        """How many standard deviations above what is usual items [m] are given, held back, and how often each was."""
        inside = items < len(self.items)
        sums = np.where(inside[:, None], np.asarray(self.items)[np.where(inside, items, 0)], 0.0)
        away = (sums[:, 0] - sums[:, 1] * self.mean) / (self.spread * (sums[:, 1] + HELD_BACK))
        return away.astype(np.float32), sums[:, 1].astype(np.float32)

    def after(self, items: npt.NDArray[np.int32], ratings: npt.NDArray[np.float64]) -> "Ratings":
        """With those of items [m] too."""
        if not len(items):
            return self
        sums = np.array(extended(np.asarray(self.items), int(items.max()) + 1, 0.0))
        np.add.at(sums, items, np.stack([ratings, np.ones(len(ratings))], axis=1).astype(np.float32))
        number, mean, variance = self.usual.tolist()
        share = len(ratings) / (number + len(ratings))
        moved = float(ratings.mean()) - mean
        usual = (
            min(number + len(ratings), REMEMBERED),
            mean + share * moved,
            (1 - share) * variance + share * float(ratings.var()) + share * (1 - share) * moved**2,
        )
        return Ratings(sums, np.array(usual, np.float32))


def none() -> Ratings:
    """No ratings."""
    return Ratings(np.zeros((1, 2), np.float32), np.zeros(3, np.float32))
