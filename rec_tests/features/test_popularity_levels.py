import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rec_assets.features import popularity

HALF_LIVES = popularity.EVENT_HALF_LIVES + popularity.SECOND_HALF_LIVES


def added(events, items):
    held = popularity.with_items(popularity.empty(), items)
    for n, (item, seconds, weight) in enumerate(events):
        popularity.add(held, item, n, seconds, weight)
    return held


EVENTS = st.lists(
    st.tuples(st.integers(0, 9), st.floats(0, 1e9), st.sampled_from([0.3, 1.0, 2.0])), min_size=1, max_size=60
)


@settings(max_examples=50, deadline=None)
@given(EVENTS)
def test_shares_are_those_of_direct_decay(events):
    held = added(events, 10)
    now = max(seconds for _, seconds, _ in events)
    for h, half_life in enumerate(HALF_LIVES):
        direct = np.zeros(10)
        for n, (item, seconds, weight) in enumerate(events):
            age = len(events) - n if h < len(popularity.EVENT_HALF_LIVES) else now - seconds
            direct[item] += weight * 0.5 ** (age / half_life)
        shares = 2.0 ** (held.level[:, h] - held.total[h])
        np.testing.assert_allclose(shares, direct / direct.sum(), rtol=1e-4, atol=1e-12)


def test_a_gap_of_years_overflows_nothing():
    held = added([(0, 0.0, 1.0), (1, 3e9, 1.0), (1, 3e9, 1.0)], 2)
    assert np.isfinite(held.total).all()
    assert (2.0 ** (held.level[1] - held.total) > 0.5).all()


def test_the_strongest_are_exact_when_there_are_more_items_than_places():
    rng = np.random.default_rng(0)
    items = 2 * popularity.STRONGEST
    events = [(int(items * rng.random() ** 2), float(n * 100), 1.0) for n in range(20_000)]
    held = added(events, items)
    for h in range(popularity.H):
        strongest = held.strongest[h]
        levels = held.level[strongest, h]
        assert len(set(strongest.tolist())) == popularity.STRONGEST
        assert (np.diff(levels) <= 0).all()
        np.testing.assert_array_equal(levels, np.sort(held.level[:, h])[::-1][: popularity.STRONGEST])
        np.testing.assert_array_equal(held.place[strongest, h], np.arange(popularity.STRONGEST))


@pytest.mark.parametrize("items", [1, 5])
def test_fewer_items_than_places_leave_the_rest_empty(items):
    held = added([(item, 0.0, 1.0) for item in range(items)], items)
    assert (held.strongest[:, items:] == -1).all()
    assert sorted(held.strongest[0, :items].tolist()) == list(range(items))
