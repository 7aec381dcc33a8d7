"""Vectors in eight bits, and logarithms and powers in single precision: how far off they may be."""

import numba
import numpy as np
import pytest

from rec_assets.features import codes, elementary


@pytest.mark.parametrize("dim", [64, 24])
def test_a_product_is_off_by_no_more_than_what_was_lost(dim):
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(500, dim)) * rng.exponential(1, (500, 1))).astype(np.float32)
    vectors[7] = 0
    held = codes.of(vectors)
    for query in (*rng.normal(size=(5, dim)), np.zeros(dim)):
        query = query.astype(np.float32)
        out = np.empty(500, np.float32)
        lost = codes.products(held.codes, held.scale, query, out)
        length = np.linalg.norm(query)
        longest = np.linalg.norm(vectors, axis=1).max() + held.error
        assert np.abs(out - vectors @ query).max() <= held.error * length + lost * longest + 1e-5 * length * longest
        assert lost <= 1e-3 * length


def test_vectors_put_later_have_the_codes_of_those_there_from_the_start():
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(300, 64)).astype(np.float32)
    whole, grown = codes.of(vectors), codes.of(vectors[:0])
    for start in range(0, 300, 70):
        codes.put(grown, start, vectors[start : start + 70])
    np.testing.assert_array_equal(whole.codes[:300], grown.codes[:300])
    np.testing.assert_array_equal(whole.scale[:300], grown.scale[:300])
    assert whole.error == grown.error


@numba.njit
def _logs(x, out):
    for i in range(len(x)):
        out[i] = elementary.log(x[i])


@numba.njit
def _powers(x, out):
    for i in range(len(x)):
        out[i] = elementary.exp2(x[i])


def test_logarithm_and_power_are_those_of_numpy():
    x = np.concatenate([2.0 ** np.linspace(-120, 120, 4_001), np.linspace(0.5, 2, 1_001)]).astype(np.float32)
    out = np.empty_like(x)
    _logs(x, out)
    np.testing.assert_allclose(out, np.log(x.astype(np.float64)), rtol=2e-7, atol=1e-7)
    x = np.linspace(-126, 127, 5_001).astype(np.float32)
    _powers(x, out)
    np.testing.assert_allclose(out[: len(x)], np.exp2(x.astype(np.float64)), rtol=3e-7)
    _powers(np.array([-np.inf, -200], np.float32), out)
    assert (out[:2] == np.float32(2.0**-126)).all()
