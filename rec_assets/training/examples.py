"""The ranker's training material: what was to choose from, and what was chosen."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rec_assets.models import ranker
from rec_assets.ranking import Candidates

HARD, DRAWN = 64, 64  # of an event's candidates: the first in their order, and so many of the others, by chance
KEPT = HARD + DRAWN
LEVELS = 127 / ranker.CLIP  # standardised inputs are kept in 8 bits: a step is .04 of a standard deviation


class Choices(NamedTuple):
    """n events whose item was a candidate, as they were at that moment."""

    features: npt.NDArray[np.float32]  # [n, KEPT, F]
    context: npt.NDArray[np.float32]  # [n, K]
    correction: npt.NDArray[np.float32]  # [n, KEPT] log of how many candidates one stands for, -inf on padding
    target: npt.NDArray[np.int32]  # [n] column of the chosen one
    user: npt.NDArray[np.int32]  # [n] key of who chose
    item: npt.NDArray[np.int32]  # [n] key of what was chosen
    time: npt.NDArray[np.float64]  # [n] seconds


class Examples(NamedTuple):
    """Choices with standardised inputs, small enough to be kept with the checkpoint."""

    features: npt.NDArray[np.int8]  # [n, KEPT, F]
    context: npt.NDArray[np.int8]  # [n, K]
    correction: npt.NDArray[np.float32]  # [n, KEPT]
    target: npt.NDArray[np.int32]  # [n]
    user: npt.NDArray[np.int32]  # [n] key of whose it is, so that it can be forgotten
    item: npt.NDArray[np.int32]  # [n] key of what was chosen
    time: npt.NDArray[np.float64]  # [n] seconds

    def take(self, index: npt.NDArray[np.int64]) -> "Examples":
        """Those of an index."""
        columns: list[npt.NDArray[Any]] = [column[index] for column in self]
        return Examples(*columns)


def empty(features: int, context: int) -> Examples:
    """No examples."""
    return Examples(
        np.empty((0, KEPT, features), np.int8),
        np.empty((0, context), np.int8),
        np.empty((0, KEPT), np.float32),
        np.empty(0, np.int32),
        np.empty(0, np.int32),
        np.empty(0, np.int32),
        np.empty(0),
    )


def thin(
    candidates: Candidates,
    users: npt.NDArray[np.int32],
    times: npt.NDArray[np.float64],
    rng: np.random.Generator,
) -> Choices:
    """Choices from candidates of users [n] at seconds [n]; events whose item is none of them are left out.

    The softmax over what is kept estimates the one over all: a candidate that was drawn stands for those that were
    not.
    """
    events = np.flatnonzero(candidates.target >= 0)
    items, target = candidates.items[events], candidates.target[events]
    count, width = items.shape
    hard = min(HARD, width)
    chance = rng.random((count, width))
    chance[:, :hard] = -1.0
    chance[items < 0] = 2.0
    row = np.arange(count)
    chance[row, target] = -2.0
    kept = np.argsort(chance, axis=1)[:, :KEPT]  # the target is the first
    left = np.maximum((items >= 0).sum(axis=1) - hard, 0)
    drawn = np.clip((items >= 0).sum(axis=1) - hard, 1, KEPT - hard)
    stands_for = np.where(kept < hard, 0.0, np.log(np.maximum(left, 1) / drawn)[:, None])
    stands_for[:, 0] = 0.0
    correction = np.where(np.take_along_axis(items, kept, axis=1) >= 0, stands_for, -np.inf).astype(np.float32)
    padding = KEPT - kept.shape[1]
    return Choices(
        np.pad(candidates.features[events[:, None], kept], ((0, 0), (0, padding), (0, 0))),
        candidates.context[events],
        np.pad(correction, ((0, 0), (0, padding)), constant_values=-np.inf),
        np.zeros(count, np.int32),
        users[events].astype(np.int32),
        items[row, target],
        times[events],
    )


def together(parts: list[Choices]) -> Choices:
    """All of them, in order; at least one part."""
    return Choices(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def scaling(choices: list[Choices]) -> ranker.Scaling:
    """What standardises these choices' inputs; an input that never varies is left out by a scale of 0."""
    features = _mean_and_scale([each.features[np.isfinite(each.correction)] for each in choices])
    return ranker.Scaling(*features, *_mean_and_scale([each.context for each in choices]))


def _mean_and_scale(parts: list[npt.NDArray[np.float32]]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    count = sum(len(part) for part in parts)
    mean = sum(part.sum(axis=0, dtype=np.float64) for part in parts) / count
    spread = np.sqrt(sum(((part - mean) ** 2).sum(axis=0) for part in parts) / count)
    scale = np.where(spread > 1e-6, 1 / np.maximum(spread, 1e-6), 0.0)
    return mean.astype(np.float32), scale.astype(np.float32)


def standardise(choices: Choices, scaling: ranker.Scaling) -> Examples:
    """Examples of these choices."""
    features = (choices.features - np.asarray(scaling.feature_mean)) * np.asarray(scaling.feature_scale)
    context = (choices.context - np.asarray(scaling.context_mean)) * np.asarray(scaling.context_scale)
    return Examples(_levels(features), _levels(context), *choices[2:])


def _levels(x: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
    levels: npt.NDArray[np.int8] = np.rint(np.clip(x, -ranker.CLIP, ranker.CLIP) * LEVELS).astype(np.int8)
    return levels


def join(parts: list[Examples]) -> Examples:
    """All of them, in order; at least one part."""
    columns: list[tuple[npt.NDArray[Any], ...]] = list(zip(*parts, strict=True))
    return Examples(*(np.concatenate(column) for column in columns))


def step_batch(examples: Examples, size: int) -> ranker.Batch:
    """A batch of `size` examples, padded with weight 0."""
    count = len(examples.target)

    def padded(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.concatenate([x, np.zeros((size - count, *x.shape[1:]), x.dtype)])

    return ranker.Batch(
        features=padded(examples.features),
        context=padded(examples.context),
        correction=padded(examples.correction),
        target=padded(examples.target),
        weight=(np.arange(size) < count).astype(np.float32),
    )
