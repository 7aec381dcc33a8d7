"""The learning steps: gather the rows a step batch touches, run one jitted step, scatter them back."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax

from rec_assets.models import encoder, ranker
from rec_assets.models.compile import bucket
from rec_assets.training import examples as example_arrays
from rec_assets.training.examples import Examples
from rec_assets.training.model import Model
from rec_assets.training.optimizer import optimizer
from rec_assets.training.packing import FEW_TARGETS, Lines, lines_per_step, pack, step_batch, step_batches
from rec_assets.training.store import SLOTS, EmbeddingStore
from rec_assets.training.stretches import Stretches

FULL_ROWS = 8_192  # up to here the softmax is over all rows, beyond it over a sample
SAMPLED_ROWS = 4_096  # least size of that sample
GROUP_FULL, GROUP_SAMPLED = 1_024, 64  # lines that share one gather and one scatter
EVENTS_PER_STEP = 16  # of the ranker

Rate = tuple[float, float]  # at the first and at the last step of a call; linear between


class State(NamedTuple):
    """What an encoder step changes. Rows come from the store, with their own moments."""

    dense: encoder.Dense
    dense_moments: optax.OptState
    rows: encoder.Rows
    row_moments: optax.OptState


@functools.partial(jax.jit, static_argnames="dropout")
def step(
    state: State,
    content: jax.Array,
    correction: jax.Array,
    batch: encoder.Batch,
    rate: float,
    key: jax.Array,
    dropout: float,
) -> tuple[State, jax.Array]:
    """One step on R gathered rows; the loss returned was taken before it."""
    value, (dense_grads, row_grads) = jax.value_and_grad(encoder.loss, argnums=(0, 1))(
        state.dense, state.rows, content, correction, batch, dropout, key
    )
    dense, dense_moments = _descend(state.dense, state.dense_moments, dense_grads, rate)
    rows, row_moments = _descend(state.rows, state.row_moments, row_grads, rate)
    return State(dense, dense_moments, rows, row_moments), value


def _descend(params: optax.Params, moments: optax.OptState, grads: optax.Updates, rate: float) -> tuple:
    updates, moments = optimizer().update(grads, moments, params)
    return jax.tree.map(lambda x, update: x - rate * update, params, updates), moments


@jax.jit
def ranker_step(
    params: ranker.Params, moments: optax.OptState, batch: ranker.Batch, rate: float
) -> tuple[ranker.Params, optax.OptState, jax.Array]:
    """One step on a batch of 8-bit examples; the loss returned was taken before it."""
    value, grads = jax.value_and_grad(ranker.loss)(params, as_floats(batch))
    params, moments = _descend(params, moments, grads, rate)
    return params, moments, value


def as_floats(batch: ranker.Batch) -> ranker.Batch:
    """Standardised inputs from 8-bit ones."""
    return batch._replace(
        features=batch.features / example_arrays.LEVELS, context=batch.context / example_arrays.LEVELS
    )


def learn_stretches(model: Model, stretches: Stretches, rate: Rate, rng: np.random.Generator) -> float:
    """One pass over the stretches, in their order, in place. Mean loss in nats before each step; nan without any.

    Items without a row are passed over.
    """
    store = model.store
    lines = pack(stretches)
    group = GROUP_FULL if store.size <= FULL_ROWS else GROUP_SAMPLED
    total = max(len(lines.items), 1)
    losses: list[jax.Array] = []
    for start in range(0, len(lines.items), group):
        part = lines.take(np.arange(start, min(start + group, total)))
        chosen = store.rows(part.chosen())
        if not (chosen >= 0).any():
            continue
        store.choose(chosen)
        rows, correction = choose_rows(store, part, rng)
        gathered = store.gather(rows)
        count = np.int32(model.row_steps)
        moments = (optax.ScaleByAdamState(count, gathered["first"], gathered["second"]), optax.EmptyState())
        state = State(model.dense, model.dense_moments, gathered["value"], moments)
        content = jnp.asarray(padded(model.content_of(store.key_of[rows]), len(correction)))
        lowered = jnp.asarray(correction)
        places = (slots(rows, store.rows(keys)) for keys in (part.items, part.following))
        batches = list(step_batches(part, *places))
        for number in rng.permutation(len(batches)):
            done = (start + len(part.items) * len(losses) / (len(losses) + len(batches))) / total
            key = jax.random.fold_in(jax.random.key(model.config.seed), model.row_steps)
            now = np.float32(rate[0] + (rate[1] - rate[0]) * min(done, 1.0))
            state, loss = step(state, content, lowered, batches[number], now, key, model.config.dropout)
            losses.append(loss)
            model.row_steps += 1
        model.dense, model.dense_moments = state.dense, state.dense_moments
        adam = state.row_moments[0]
        store.scatter(rows, dict(zip(SLOTS, (state.rows, adam.mu, adam.nu), strict=True)))
    model.changed()
    return float(np.mean(losses)) if losses else float("nan")


def choose_rows(
    store: EmbeddingStore, lines: Lines, rng: np.random.Generator
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Which rows a group of lines is learnt with, ascending [n], and the bucketed correction
    of their logits.

    Up to FULL_ROWS all of them. Beyond, the lines' own and even draws; a logit is lowered by the log of the
    chance that its row is there (Bengio and Senécal 2008): 1 − (1 − its share of all targets so far)^targets · (1 −
    chance of being drawn).
    """
    if store.size <= FULL_ROWS:
        rows = np.flatnonzero(store.key_of[: store.size] >= 0).astype(np.int32)
        correction = np.zeros(len(rows), np.float32)
    else:
        targets = store.rows(lines.chosen())
        targets = targets[targets >= 0]
        touched = np.unique(np.concatenate([store.rows(lines.items).ravel(), targets]))
        touched = touched[touched >= 0]
        draws = max(SAMPLED_ROWS - len(touched), SAMPLED_ROWS // 4)
        drawn = rng.integers(0, store.size, draws).astype(np.int32)
        drawn = drawn[store.key_of[drawn] >= 0]
        rows = np.union1d(touched, drawn)
        share = store.chosen[rows] / max(store.chosen_total, 1.0)
        absent = (1 - share) ** len(targets) * np.exp(-draws / store.size)
        correction = -np.log(np.maximum(1 - absent, 1e-6)).astype(np.float32)
        correction[~np.isin(rows, targets) & ~np.isin(rows, drawn)] = -np.inf  # only somebody's history
    padding = np.full(bucket(len(rows)) - len(rows), -np.inf, np.float32)
    return rows, np.concatenate([correction, padding])


def slots(rows: npt.NDArray[np.int32], wanted: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """The place in ascending `rows` of each one `wanted`, -1 for -1."""
    return np.where(wanted >= 0, np.searchsorted(rows, wanted), -1).astype(np.int32)


def padded(array: npt.NDArray[np.float32], size: int) -> npt.NDArray[np.float32]:
    """With zeros behind, up to `size` rows."""
    return np.concatenate([array, np.zeros((size - len(array), *array.shape[1:]), array.dtype)])


def learn_examples(model: Model, examples: Examples, rate: Rate, rng: np.random.Generator) -> float:
    """One pass of the ranker over the examples in random order, in place. Mean loss before each step; nan without
    any.
    """
    order = rng.permutation(len(examples.target))
    losses: list[jax.Array] = []
    for start in range(0, len(order), EVENTS_PER_STEP):
        batch = example_arrays.step_batch(examples.take(order[start : start + EVENTS_PER_STEP]), EVENTS_PER_STEP)
        now = np.float32(rate[0] + (rate[1] - rate[0]) * start / len(order))
        model.ranker, model.ranker_moments, loss = ranker_step(model.ranker, model.ranker_moments, batch, now)
        losses.append(loss)
    return float(np.mean(losses)) if losses else float("nan")


@jax.jit
def target_losses(
    dense: encoder.Dense, rows: encoder.Rows, content: jax.Array, correction: jax.Array, batch: encoder.Batch
) -> jax.Array:
    """[T] without dropout."""
    return encoder.losses(dense, rows, content, correction, batch)


@jax.jit
def example_losses(params: ranker.Params, batch: ranker.Batch) -> jax.Array:
    """[N] of 8-bit examples."""
    return ranker.losses(params, as_floats(batch))


def row_sizes(rows: int) -> list[int]:
    """The bucketed numbers of rows that steps of a store with so many have, the likeliest first, and those that they
    will have soon where it grows.
    """
    soon = rows + bucket(rows) // 8
    sampled = [] if soon <= FULL_ROWS else [SAMPLED_ROWS, SAMPLED_ROWS * 3 // 2, SAMPLED_ROWS * 2]
    full = [] if rows > FULL_ROWS else [bucket(rows), bucket(min(soon, FULL_ROWS))]
    return list(dict.fromkeys(full + sampled))


def warm(model: Model, size: int) -> None:
    """Run each step once on nothing with so many rows, so that it is compiled. Only dense parts are read, nothing is
    changed: another thread may learn meanwhile.
    """
    window = model.config.window
    nothing = np.full((1, window), -1, np.int32)
    no_time = np.zeros((1, window))
    lines = Lines(nothing, no_time, np.zeros_like(nothing, np.int16), nothing, no_time, nothing >= 0, nothing)
    rows = encoder.Rows(np.zeros((size, model.config.embedding_dim), np.float32), np.zeros(size, np.float32))
    correction = np.zeros(size, np.float32)
    content = model.content_of(np.full(size, -1, np.int32))
    moments = (optax.ScaleByAdamState(np.int32(0), rows, rows), optax.EmptyState())
    state = State(model.dense, model.dense_moments, rows, moments)
    for targets in (0, FEW_TARGETS + 1):
        many = lines.take(np.zeros(lines_per_step(window) if targets else 0, np.int64))
        predicted = np.arange(many.items.size).reshape(many.items.shape) < targets
        batch = step_batch(many._replace(predicted=predicted), many.items, np.zeros_like(many.items))
        step(
            state, jnp.asarray(content), jnp.asarray(correction), batch, np.float32(0), jax.random.key(0),
            model.config.dropout,
        )  # fmt: skip
        target_losses(model.dense, rows, content, correction, batch)
    empty = model.replay.examples.take(np.empty(0, np.int64))
    ranker_step(model.ranker, model.ranker_moments, example_arrays.step_batch(empty, EVENTS_PER_STEP), np.float32(0))
