"""Sources that score every item leave most of a large catalogue out unseen: what they find must not depend on it."""

import numpy as np
import pytest

from rec_assets import features, ranking
from rec_assets.features.content import place
from rec_assets.features.counters import COMMON_BITS, NEXT_BITS, SESSIONS_BITS, STEPS, VISITORS_BITS
from rec_assets.features.state import EventArrays, fit, take
from rec_assets.ranking import knn, neighbours, sessions
from rec_assets.ranking.candidates import best_of_each, predicted
from rec_assets.ranking.content import described, profile
from rec_assets.ranking.dense import bound, log_sum
from rec_assets.ranking.expected import Expected, exact
from rec_assets.ranking.propose import query_of
from rec_assets.ranking.scratch import FIRST, TOUCHED, scratch
from rec_assets.ranking.sources import CONTENT, ENCODER
from rec_assets.settings import TrainConfig

ITEMS, PER_SOURCE = 5_000, 60  # more than 64 items for each place: below that nothing is left out


def crowded(items, rng):
    """Unit vectors in a few tight bunches, equal ones among them: the hardest case for rounded codes."""
    vectors = rng.normal(size=(8, 64))[rng.integers(0, 8, items)] + rng.normal(size=(items, 64)) * 1e-3
    vectors[1::7] = vectors[:1]
    vectors[3::50] = 0  # nothing is known of these
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def state():
    rng = np.random.default_rng(0)
    made = features.init(TrainConfig(per_source=PER_SOURCE), {})
    for key in range(3):
        made.users.assign(f"u{key}")
    for key in range(ITEMS):
        made.items.assign(f"i{key}")
    fit(made)
    place(made.content, 0, crowded(ITEMS, rng))
    n = 60
    arrays = EventArrays(
        user=(np.arange(n) % 3).astype(np.int32),
        item=rng.integers(0, ITEMS, n).astype(np.int32),
        weight=np.ones(n, np.float32),
        target=np.ones(n, np.bool_),
        time=1e6 + np.arange(n) * 60.0,
        value=np.full(n, np.nan),
        tag=np.zeros(n, np.int16),
        excluded=np.zeros(n, np.bool_),
        descriptions=(),
        end=n,
    )
    take(made, arrays, 0, n)
    return made


def best(values, listable):
    """The first places by value, earlier keys first among equals."""
    order = np.argsort(-values, kind="stable")
    return order[listable[order]][:PER_SOURCE]


@pytest.mark.parametrize("share", [1.0, 0.3, 0.02])
def test_content_and_encoder_find_what_a_look_at_every_item_finds(state, share):
    rng = np.random.default_rng(1)
    held = scratch(len(state.users), ITEMS)
    for user in range(3):
        held.listable[:] = rng.random(ITEMS) < share
        items = query_of(state, user, 2e6).items
        about = profile(state.content.vectors, items)
        logits = np.round(rng.normal(size=ITEMS) * 2, 2).astype(np.float32)  # with many equal ones
        found, _ = best_of_each(held, state.counters.popularity, described(state.content), about, PER_SOURCE)
        predicted(held, exact(logits), found)
        cosines = state.content.vectors[:ITEMS] @ about
        np.testing.assert_array_equal(found[ENCODER], best(logits, held.listable))
        full = best(cosines, held.listable)
        # Sums in another order part equal vectors, by less than a millionth; else the items are the same.
        np.testing.assert_allclose(cosines[found[CONTENT]], cosines[full], atol=1e-6)
        assert held.listable[found[CONTENT]].all()
        assert len(set(found[CONTENT].tolist())) == PER_SOURCE
    assert held.number[0] == FIRST


@pytest.mark.parametrize("size", [1, 59, 3_839, 3_840, ITEMS])
def test_a_bound_is_reached_by_so_many(size):
    rng = np.random.default_rng(size)
    values, listable = rng.normal(size=size).astype(np.float32), rng.random(size) < 0.9
    least = bound(values, listable, PER_SOURCE)
    assert (values[listable] >= least).sum() >= min(PER_SOURCE, listable.sum())
    assert np.isfinite(least) == (size >= 64 * PER_SOURCE)


def test_the_log_of_the_sum_is_that_of_the_items_that_count():
    rng = np.random.default_rng(2)
    for size in (1, 1_000, ITEMS):
        values, counts = (rng.normal(size=size) * 20).astype(np.float32), rng.random(size) < 0.5
        counts[0] = True
        expected = np.logaddexp.reduce(values[counts].astype(np.float64))
        assert abs(log_sum(values, counts) - expected) < 1e-4
    assert log_sum(values, np.zeros(ITEMS, np.bool_)) == -np.inf
    assert log_sum(np.zeros(0, np.float32), counts) == -np.inf


def test_a_list_has_room_for_all_that_its_sources_can_touch():
    visits = neighbours.LATEST << VISITORS_BITS
    most = (
        (knn.FAR << COMMON_BITS)
        + (STEPS << NEXT_BITS)
        + ((sessions.LONGEST + sessions.BEFORE) << SESSIONS_BITS)
        + visits * (neighbours.BACK + 1 + neighbours.AHEAD)
        + TrainConfig().history_size
    )
    assert most < TOUCHED


def test_from_logits_that_may_be_off_the_same_items_are_found_and_told_exactly(state):
    rng = np.random.default_rng(3)
    user = rng.normal(size=16).astype(np.float32)
    vectors = (rng.normal(size=(ITEMS, 16)) * 0.5).astype(np.float32)
    bias = rng.normal(size=ITEMS).astype(np.float32)
    true, wrong = vectors @ user + bias, 0.2
    near = (true + rng.uniform(-wrong, wrong, ITEMS)).astype(np.float32)
    query = query_of(state, 0, 2e6)
    whole = ranking.propose(state, state.counters, query, exact(true))
    found = ranking.propose(state, state.counters, query, Expected(near, wrong, user, vectors, bias))
    np.testing.assert_array_equal(found.items, whole.items)
    np.testing.assert_array_equal(found.source, whole.source)
    np.testing.assert_array_equal(found.features[:, :, :-1], whole.features[:, :, :-1])
    off = (found.features - whole.features)[found.items >= 0][:, -1]
    assert np.ptp(off) < 1e-4  # the items' logits are exact
    assert np.abs(off).max() < wrong  # and what they are a share of is off by less than each of its parts may be
