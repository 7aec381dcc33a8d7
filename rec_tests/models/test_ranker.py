import functools

import jax
import numpy as np
import optax
import pytest

from rec_assets.models import ranker


def batch_of(seed, events, features=6, context=3, candidates=10):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(events, candidates, features)).astype(np.float32)
    c = rng.normal(size=(events, context)).astype(np.float32)
    truth = x[:, :, 0] + c[:, :1] * x[:, :, 1] - np.abs(x[:, :, 2])
    correction = np.zeros((events, candidates), np.float32)
    return ranker.Batch(x, c, correction, truth.argmax(axis=1).astype(np.int32), np.ones(events, np.float32))


def test_padding_changes_nothing():
    params = jax.tree.map(lambda x: x + 0.1, ranker.init(jax.random.key(0), 6, 3))
    batch = batch_of(0, 4)
    wide = ranker.Batch(
        np.concatenate([np.pad(batch.features, ((0, 0), (0, 2), (0, 0))), np.ones((1, 12, 6), np.float32)]),
        np.concatenate([batch.context, np.ones((1, 3), np.float32)]),
        np.concatenate(
            [np.pad(batch.correction, ((0, 0), (0, 2)), constant_values=-np.inf), np.zeros((1, 12), np.float32)]
        ),
        np.append(batch.target, 0).astype(np.int32),
        np.append(batch.weight, 0).astype(np.float32),
    )
    (value, grads), (wide_value, wide_grads) = map(
        functools.partial(jax.jit(jax.value_and_grad(ranker.loss)), params), (batch, wide)
    )
    assert float(value) == pytest.approx(float(wide_value), abs=1e-6)
    for one, other in zip(jax.tree.leaves(grads), jax.tree.leaves(wide_grads), strict=True):
        assert np.asarray(one) == pytest.approx(np.asarray(other), abs=1e-5)


def test_scores_of_padding_are_minus_infinity_and_inputs_are_clipped():
    params = ranker.init(jax.random.key(0), 2, 1)._replace(weight=np.array([1.0, 0.0], np.float32))
    scaling = ranker.Scaling(*(np.array(x, np.float32) for x in ([1, 0], [0.5, 1], [0], [1])))
    features = np.array([[[3, 0], [1e9, 0], [0, 0]]], np.float32)
    items = np.array([[4, 5, -1]], np.int32)
    scores = np.asarray(ranker.score(params, scaling, features, np.zeros((1, 1), np.float32), items))
    assert scores.tolist() == [[1.0, ranker.CLIP, -np.inf]]


def test_an_interaction_with_the_context_is_learnt():
    params, descent = ranker.init(jax.random.key(1), 6, 3), optax.adam(1e-2)
    moments = descent.init(params)

    @jax.jit
    def step(params, moments, batch):
        value, grads = jax.value_and_grad(ranker.loss)(params, batch)
        updates, moments = descent.update(grads, moments, params)
        return optax.apply_updates(params, updates), moments, value

    for number in range(300):
        params, moments, _ = step(params, moments, batch_of(number, 32))
    test = batch_of(10_000, 200)
    found = np.asarray(ranker.apply(params, test.features, test.context)).argmax(axis=1)
    assert (found == test.target).mean() > 0.8
