import jax.numpy as jnp
import numpy as np
import pytest

from rec_assets.models import linear

X = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1]], np.float32)
Y = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 1], [0, 1, 1]], np.float32)


def test_the_update_rule_by_hand():
    """W <- W + alpha · Σ (y − ŷ)·x, row by row, in plain NumPy."""
    weight, expected = np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)
    for x, y in zip(X, Y, strict=True):
        expected = expected + 0.1 * np.outer(y - expected @ x, x)
        params = linear.Params(jnp.asarray(weight), jnp.zeros(3))
        params, _ = linear.step(params, x[None], y[None], 0.1, learn_bias=False)
        weight = np.asarray(params.weight)
    assert weight == pytest.approx(expected, abs=1e-6)


def test_all_rows_at_once_add_up():
    params, value = linear.step(linear.Params(jnp.eye(3), jnp.zeros(3)), X, Y, 0.1, learn_bias=False)
    assert np.asarray(params.weight) == pytest.approx(np.eye(3) + 0.1 * (Y - X).T @ X, abs=1e-6)
    assert float(value) == pytest.approx(0.5 * ((Y - X) ** 2).sum())


def test_one_weight_goes_down_not_up():
    """x = 1, ŷ = 1, y = 0, alpha = .1 gives W = .9."""
    start = linear.Params(jnp.ones((1, 1)), jnp.zeros(1))
    params, _ = linear.step(start, jnp.ones((1, 1)), jnp.zeros((1, 1)), 0.1, learn_bias=False)
    assert float(params.weight[0, 0]) == pytest.approx(0.9)


def test_cross_entropy_has_the_same_rule():
    start = linear.init(3, 3)
    params, _ = linear.step(start, X, Y, 0.1, loss="cross_entropy")
    assert np.asarray(params.weight) == pytest.approx(0.1 * (Y - 0.5).T @ X, abs=1e-6)
    assert np.asarray(params.bias) == pytest.approx(0.1 * (Y - 0.5).sum(axis=0), abs=1e-6)


@pytest.mark.parametrize(("loss", "rate"), [("squared", 0.1), ("cross_entropy", 1.0)])
def test_it_learns_a_linear_pattern(loss, rate):
    target = (X @ np.array([[2, -1, 0], [0, 1, -1]], np.float32).T > 0).astype(np.float32)
    params = linear.init(3, 2)
    for _ in range(500):
        params, _ = linear.step(params, X, target, rate, loss=loss)
    assert ((np.asarray(linear.apply(params, X, loss)) > 0.5) == (target > 0.5)).all()
