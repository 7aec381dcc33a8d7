import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rec_assets.features import rings

CAP_BITS = 5


def append_all(pairs, keys=4):
    """Rings that got (key, value) pairs, growing their pool as kernels ask for it."""
    held = rings.with_keys(rings.empty(), keys)
    for key, value in pairs:
        held = rings.with_room(held, 1 << CAP_BITS)
        rings.append(held, key, value, value / 2, CAP_BITS)
    return held


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 10_000)), max_size=300), st.integers(0, 40))
def test_a_ring_is_the_tail_of_a_list(pairs, length):
    held = append_all(pairs)
    for key in range(4):
        values = [value for k, value in pairs if k == key]
        assert held.count[key] == len(values)
        first, second = rings.read(held, key, length)
        assert first.tolist() == values[-min(length, 1 << CAP_BITS) :] if length else not len(first)
        np.testing.assert_array_equal(second, first / 2)


@pytest.mark.parametrize("n", [0, 1, 3, 4, 5, 8, 9, 31, 32, 33, 100])
def test_growth_loses_nothing_below_the_cap(n):
    held = append_all([(1, value) for value in range(n)])
    first, _ = rings.read(held, 1, 1 << CAP_BITS)
    assert first.tolist() == list(range(n))[-(1 << CAP_BITS) :]


def test_blocks_that_were_outgrown_are_used_again():
    held = append_all([(key, value) for key in range(4) for value in range(32)])
    again = append_all([(key, value) for key in range(3) for value in range(32)])
    assert held.top[0] - again.top[0] == 1 << CAP_BITS


def test_nobody_has_no_history():
    assert len(rings.read(append_all([(0, 1)]), -1, 5)[0]) == 0
