import numba
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rec_assets.features import rows

CAP_BITS = 6


def entries(held, row):
    """A row as a dict."""
    places = range(held.start[row], held.start[row] + ((1 << held.bits[row]) if held.bits[row] else 0))
    found = {int(held.keys[p]): float(held.values[p, 0]) for p in places if held.keys[p] >= 0}
    assert len(found) == held.entries[row]
    return found


def add_all(pairs, cap_bits=CAP_BITS):
    held = rows.with_rows(rows.empty(2), 3)
    for row, key in pairs:
        held = rows.with_room(held, 1 << cap_bits)
        held.values[rows.place_of(held, row, key, cap_bits), 0] += 1
    return held


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 45)), max_size=400))
def test_a_row_is_a_dictionary_below_its_cap(pairs):
    held = add_all(pairs)
    for row in range(3):
        keys = [key for r, key in pairs if r == row]
        assert entries(held, row) == {key: keys.count(key) for key in keys}
        for key in range(46):
            assert (rows.find(held, row, key) >= 0) == (key in keys)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 10_000), min_size=100, max_size=500, unique=True))
def test_a_full_row_keeps_what_is_strong(keys):
    strong = keys[:10]
    held = add_all([(0, key) for key in strong * 5 + keys])
    assert held.bits[0] == CAP_BITS
    assert held.entries[0] <= 3 << CAP_BITS >> 2
    found = entries(held, 0)
    assert {key: found[key] for key in strong} == dict.fromkeys(strong, 6.0)
    assert keys[-1] in found


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.lists(st.integers(0, 2), max_size=5)), max_size=40))
def test_joined_pairs_stand_in_both_rows(groups):
    held = rows.with_rows(rows.empty(1), 3)
    expected = np.zeros((3, 3))
    for key, others in groups:
        held = rows.with_room(held, 100)
        rows.join(held, key, np.array(others, np.int32), np.arange(1, len(others) + 1, dtype=np.float32), CAP_BITS)
        for weight, other in enumerate(others, 1):
            expected[key, other] += weight
            expected[other, key] += weight
    for row in range(3):
        assert entries(held, row) == {key: expected[row, key] for key in range(3) if expected[row, key] > 0}


def test_scaling_a_column_leaves_the_other():
    held = add_all([(0, 1), (0, 2), (1, 1)])
    held.values[:, 1] = 3
    rows.scale(held, 0, 0, 0.5)
    assert entries(held, 0) == {1: 0.5, 2: 0.5}
    assert entries(held, 1) == {1: 1.0}
    assert (held.values[:, 1] == 3).all()


def test_small_and_large_rows_are_of_one_type_so_that_kernels_compile_once():
    kinds = {numba.typeof(rows.with_rows(rows.empty(1), number)) for number in (0, 1, 2, 50)}
    kinds |= {numba.typeof(rows.packed(rows.empty(1), places)) for places in (1024, 5000)}
    assert len(kinds) == 1
