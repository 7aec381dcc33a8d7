"""What the heads are asked and learn from: events as they were known just before each happened."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import jax
import numpy as np
import numpy.typing as npt
import optax

from rec_assets.features import histories
from rec_assets.features.histories import Windows
from rec_assets.features.state import EventArrays, LiveState
from rec_assets.features.tags import KINDS, VALUES, kind_code, values_of
from rec_assets.models import heads
from rec_assets.settings import Kind
from rec_assets.training import batches
from rec_assets.training.model import Model
from rec_assets.training.optimizer import optimizer
from rec_assets.training.scorer import Scorer, pad

EVENTS = 128  # of a micro-batch
PER_STEP = 64
FIRST_PASSES, PASSES = 3, 2  # more of the first tell what they have seen by heart
FIRST_RATE, RATE = 3e-3, 1e-3
HELD_BACK = 3.0  # a user's mean has so many usual ratings beside their own


class Vocabulary(NamedTuple):
    """What the heads are asked, by code of a kind."""

    weight: npt.NDArray[np.float32]  # [KINDS] of a target kind, else 0
    rated: npt.NDArray[np.bool_]  # [KINDS] its value is a rating


class Observed(NamedTuple):
    """m events: what was known of each before it, and what it was."""

    inputs: heads.Inputs
    kind: npt.NDArray[np.int32]  # [m] code
    rating: npt.NDArray[np.float64]  # [m] NaN where there is none
    liked: npt.NDArray[np.bool_]  # [m] the rating is no lower than usual

    def take(self, index: npt.NDArray[np.int64]) -> "Observed":
        """Those of an index."""
        inputs = heads.Inputs(*(np.asarray(column)[index] for column in self.inputs))
        return Observed(inputs, self.kind[index], self.rating[index], self.liked[index])


class Told(NamedTuple):
    """What the heads say of m events."""

    kinds: npt.NDArray[np.float32]  # [m, KINDS] the chance that an event is of the kind
    liked: npt.NDArray[np.float32]  # [m] the chance that the rating is no lower than usual
    rating: npt.NDArray[np.float64]  # [m] the rating expected


def vocabulary(kinds: Mapping[str, Kind]) -> Vocabulary:
    """That of the configured kinds; where one kind alone is a target, its chance is no question."""
    weight, rated = np.zeros(KINDS, np.float32), np.zeros(KINDS, np.bool_)
    for name, kind in kinds.items():
        rated[kind_code(name)] |= kind.value == "rating"
        if kind.target and kind.weight > 0:
            weight[kind_code(name)] = kind.weight
    return Vocabulary(weight if (weight > 0).sum() > 1 else np.zeros_like(weight), rated)


def observe(model: Model, state: LiveState, arrays: EventArrays, number: int = EVENTS) -> Observed:
    """At most `number` of the events of a batch that the state has not taken in yet; all its ratings are then counted.

    An event that speaks against its item is no target and in no history, but its rating counts.
    """
    asked, kind, rated = vocabulary(state.kinds), arrays.tag.astype(np.int32) // VALUES, are_rated(state, arrays)
    target = arrays.target & (asked.weight[kind] > 0) & ~arrays.excluded
    index = batches.spread(np.flatnonzero(rated | target), number)
    windows = histories.windows(state, arrays, index, model.config.window)
    rating = np.where(rated, arrays.value, np.nan)[index]
    known = inputs(model, asked, windows, arrays.item[index], len(state.items))
    usual = model.ratings.mean
    count(model, state, arrays)
    return Observed(known, kind[index], rating, rating >= usual)


def count(model: Model, state: LiveState, arrays: EventArrays) -> None:
    """Count a batch's ratings."""
    rated = are_rated(state, arrays)
    model.ratings = model.ratings.after(arrays.item[rated], arrays.value[rated])


def are_rated(state: LiveState, arrays: EventArrays) -> npt.NDArray[np.bool_]:
    """Which of a batch's events [n] rate an item."""
    rated = vocabulary(state.kinds).rated[arrays.tag.astype(np.int32) // VALUES]
    return rated & np.isfinite(arrays.value) & (arrays.item >= 0) & ~arrays.excluded


def inputs(
    scorer: Scorer, asked: Vocabulary, windows: Windows, items: npt.NDArray[np.int32], n_items: int
) -> heads.Inputs:
    """What is known before an event with each of items [m], by key, of users with histories [m]."""
    vectors, bias = scorer.items(n_items)
    user, item = scorer.users(windows, n_items), vectors[items]
    logit = np.sum(user * item, axis=1) + bias[items]
    kind, value = np.divmod(windows.tags.astype(np.int32), VALUES)
    same = windows.items == items[:, None]
    latest = same.shape[1] - 1 - same[:, ::-1].argmax(axis=1)
    before = np.where(same.any(axis=1), kind[np.arange(len(items)), latest], 0)
    rated = asked.rated[kind] & (value > 0)
    away = np.where(rated, values_of(value) - scorer.ratings.mean, 0.0).sum(axis=1) / scorer.ratings.spread
    of_item, times = scorer.ratings.of(items)
    numbers = (away / (rated.sum(axis=1) + HELD_BACK), of_item, np.log1p(times) / 4, logit / 8)
    return heads.Inputs(user, item, before, kind[:, -1], np.stack(numbers, axis=1).astype(np.float32))


def tell(scorer: Scorer, known: heads.Inputs) -> Told:
    """What the heads say now."""
    count = len(known.before)
    out = np.empty((count, heads.OUTPUTS), np.float32)
    for start in range(0, count, PER_STEP):
        piece = heads.Inputs(*(pad(np.asarray(column)[start : start + PER_STEP], PER_STEP) for column in known))
        out[start : start + PER_STEP] = np.asarray(heads.apply(scorer.heads, piece))[: count - start]
    chances = (1 / (1 + np.exp(-out[:, : heads.RATING]))).astype(np.float32)
    rating = scorer.ratings.mean + scorer.ratings.spread * out[:, heads.RATING].astype(np.float64)
    return Told(chances[:, :KINDS], chances[:, heads.LIKED], rating)


def learn(
    model: Model,
    observed: Observed,
    kinds: Mapping[str, Kind],
    rng: np.random.Generator,
    passes: int = PASSES,
    first_rate: float = RATE,
) -> float:
    """Pass over the events, in place, at a rate that falls to RATE. Mean loss before each step; nan without any."""
    weight, losses = vocabulary(kinds).weight, []
    for rate in np.linspace(first_rate, RATE, passes).astype(np.float32):
        for batch in _batches(model, observed.take(rng.permutation(len(observed.kind)))):
            model.heads, model.heads_moments, loss = step(model.heads, model.heads_moments, batch, weight, rate)
            losses.append(loss)
    return float(np.mean(losses)) if losses else float("nan")


@jax.jit
def step(
    params: heads.Params, moments: optax.OptState, batch: heads.Batch, kinds: jax.Array, rate: float
) -> tuple[heads.Params, optax.OptState, jax.Array]:
    """One step; the loss returned was taken before it."""
    value, grads = jax.value_and_grad(heads.loss)(params, batch, kinds)
    updates, moments = optimizer().update(grads, moments, params)
    return jax.tree.map(lambda x, update: x - rate * update, params, updates), moments, value


def warm(model: Model) -> None:
    """Run each step once on nothing, so that it is compiled; the model is left as it is."""
    known = warm_telling(model)
    [batch] = _batches(model, Observed(known, np.zeros(1, np.int32), np.full(1, np.nan), np.zeros(1, np.bool_)))
    step(model.heads, model.heads_moments, batch, vocabulary({}).weight, np.float32(0))


def warm_telling(scorer: Scorer) -> heads.Inputs:
    """The same for what asking takes; what was asked."""
    known = inputs(scorer, vocabulary({}), histories.blank(1, scorer.config.window), np.zeros(1, np.int32), 1)
    tell(scorer, known)
    return known


def join(parts: list[Observed]) -> Observed:
    """All of them, in order; at least one part."""
    known = (np.concatenate(columns) for columns in zip(*(part.inputs for part in parts), strict=True))
    kind, rating, liked = (np.concatenate([getattr(part, name) for part in parts]) for name in Observed._fields[1:])
    return Observed(heads.Inputs(*known), kind, rating, liked)


def _batches(model: Model, observed: Observed) -> Iterator[heads.Batch]:
    rated = np.isfinite(observed.rating)
    away = np.where(rated, observed.rating - model.ratings.mean, 0.0) / model.ratings.spread
    columns = (observed.kind, observed.liked, away, rated, np.ones(len(rated)))
    for start in range(0, len(rated), PER_STEP):
        piece = slice(start, start + PER_STEP)
        known = heads.Inputs(*(pad(np.asarray(column)[piece], PER_STEP) for column in observed.inputs))
        kind, *rest = (pad(column[piece], PER_STEP) for column in columns)
        yield heads.Batch(known, kind, *(column.astype(np.float32) for column in rest))
