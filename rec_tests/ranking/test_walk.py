"""Candidates, features and ranks over a small random stream with sessions and repeats."""

import numpy as np
import pytest

from rec_assets import features, ranking
from rec_assets.features.content import place
from rec_assets.features.state import EventArrays, fit, take
from rec_assets.ranking import ranks
from rec_assets.ranking.expected import exact
from rec_assets.ranking.propose import _answer as answer
from rec_assets.ranking.propose import query_of
from rec_assets.settings import TrainConfig

USERS, ITEMS, N, START = 10, 40, 300, 200


def state_and_stream(repeats, n=N, seed=0):
    """A state with room for everyone, and a whole stream that is not in it yet."""
    rng = np.random.default_rng(seed)
    config = TrainConfig(repeats=repeats, history_size=64, candidates=30, per_source=6)
    state = features.init(config, {})
    for key in range(USERS):
        state.users.assign(f"u{key}")
    for key in range(ITEMS):
        state.items.assign(f"i{key}")
    fit(state)
    place(state.content, 0, rng.normal(size=(ITEMS, 64)).astype(np.float32))
    arrays = EventArrays(
        user=(USERS * rng.random(n) ** 2).astype(np.int32),
        item=(ITEMS * rng.random(n) ** 2).astype(np.int32),
        weight=np.ones(n, np.float32),
        target=np.ones(n, np.bool_),
        time=1e6 + np.cumsum(rng.choice([1.0, 600.0, 5_000.0], n)),
        value=np.full(n, np.nan),
        tag=np.zeros(n, np.int16),
        excluded=np.zeros(n, np.bool_),
        descriptions=(),
        end=n,
    )
    return state, arrays


def part(arrays, start, end):
    return arrays._replace(
        **{
            name: getattr(arrays, name)[start:end]
            for name in ("user", "item", "weight", "target", "time", "value", "tag")
        }
    )


def walked(repeats, arrays=None, start=START, end=N, logits=None, **options):
    """Candidates of events [start, end), all before them being in the state."""
    state, stream = state_and_stream(repeats)
    stream = stream if arrays is None else arrays
    take(state, stream, 0, start)
    batch = part(stream, start, end)
    scored = np.ones(end - start, np.bool_)
    [found] = ranking.walk(state, batch, scored, [logits], [state.counters], **options)
    return state, batch, found


def assert_same(a, b, rows=None):
    for name in a._fields:
        left, right = getattr(a, name), getattr(b, name)
        n = len(left) if rows is None else rows
        np.testing.assert_array_equal(left[:n], right[:n], err_msg=name)


LOGITS = np.random.default_rng(5).normal(size=(N - START, ITEMS)).astype(np.float32)


@pytest.mark.parametrize("repeats", [False, True])
def test_shapes_padding_and_finite_features(repeats):
    _, _, found = walked(repeats, logits=LOGITS)
    assert found.features.shape == (N - START, 30, len(ranking.FEATURES))
    assert found.context.shape == (N - START, len(ranking.CONTEXT))
    assert np.isfinite(found.features).all()
    assert np.isfinite(found.context).all()
    padding = found.items < 0
    assert (found.features[padding] == 0).all()
    assert (np.diff(padding.astype(int), axis=1) >= 0).all()
    for row in found.items:
        listed = row[row >= 0]
        assert len(set(listed.tolist())) == len(listed) > 0


@pytest.mark.parametrize("repeats", [False, True])
def test_the_future_changes_no_feature(repeats):
    _, stream = state_and_stream(repeats)
    middle = 250
    rng = np.random.default_rng(1)
    order = np.r_[np.arange(middle + 1), middle + 1 + rng.permutation(N - middle - 1)]
    shuffled = part(stream, 0, N)._replace(user=stream.user[order], item=stream.item[order], time=stream.time[order])
    _, _, whole = walked(repeats, ranked=True)
    _, _, other = walked(repeats, arrays=shuffled, ranked=True)
    _, _, deleted = walked(repeats, end=middle + 1, ranked=True)
    assert_same(whole, other, middle + 1 - START)
    assert_same(whole, deleted, middle + 1 - START)


def test_the_event_itself_changes_no_feature():
    _, stream = state_and_stream(False)
    changed = part(stream, 0, N)
    changed = changed._replace(item=changed.item.copy())
    changed.item[N - 1] = (changed.item[N - 1] + 1) % ITEMS
    _, _, a = walked(False)
    _, _, b = walked(False, arrays=changed)
    np.testing.assert_array_equal(a.features, b.features)
    np.testing.assert_array_equal(a.context, b.context)


@pytest.mark.parametrize("repeats", [False, True])
def test_a_walk_leaves_the_state_that_taking_the_events_gives(repeats):
    walked_state, _, _ = walked(repeats)
    state, stream = state_and_stream(repeats)
    take(state, stream, 0, N)
    left, right = (features.storage.to_tensors(s) for s in (walked_state, state))
    for name in left:
        if name != "offset":
            np.testing.assert_array_equal(left[name], right[name], err_msg=name)


@pytest.mark.parametrize("repeats", [False, True])
def test_serving_gives_what_the_walk_gave(repeats):
    state, stream = state_and_stream(repeats)
    take(state, stream, 0, START)
    batch = part(stream, START, N)
    state.counters.items.events[:ITEMS] += state.counters.items.events[:ITEMS] == 0  # all known, as when serving
    served = []
    for event in range(20):
        query = query_of(state, int(batch.user[event]), float(batch.time[event]))
        served.append(ranking.propose(state, state.counters, query, exact(LOGITS[event])))
        take(state, batch, event, event + 1)
    again, _ = state_and_stream(repeats)
    take(again, stream, 0, START)
    again.counters.items.events[:ITEMS] += again.counters.items.events[:ITEMS] == 0
    scored = np.arange(N - START) < 20
    [found] = ranking.walk(again, batch, scored, [LOGITS[:20]], [again.counters])
    for row, one in enumerate(served):
        for name in ("items", "source", "features", "context", "known"):
            np.testing.assert_array_equal(getattr(one, name)[0], getattr(found, name)[row], err_msg=name)


def test_frozen_counters_do_not_learn_and_histories_do():
    state, stream = state_and_stream(False)
    take(state, stream, 0, START)
    frozen = features.copy_counters(state)
    batch = part(stream, START, N)
    scored = np.ones(N - START, np.bool_)
    live, stopped = ranking.walk(state, batch, scored, [None, None], [state.counters, frozen])
    np.testing.assert_array_equal(live.features[0], stopped.features[0])
    assert (live.features[-1] != stopped.features[-1]).any()
    np.testing.assert_array_equal(live.context[:, 0], stopped.context[:, 0])  # the length of the history
    assert frozen.events[0] == START


@pytest.mark.parametrize("repeats", [False, True])
def test_encoders_that_share_counters_get_what_each_gets_alone(repeats):
    alone = [walked(repeats, logits=each)[2] for each in (None, LOGITS, -LOGITS)]
    state, stream = state_and_stream(repeats)
    take(state, stream, 0, START)
    frozen, seconds = features.copy_counters(state), np.zeros(4)
    scored = np.ones(N - START, np.bool_)
    together = ranking.walk(
        state,
        part(stream, START, N),
        scored,
        [None, LOGITS, LOGITS, -LOGITS],
        [state.counters, frozen, state.counters, state.counters],
        ranked=True,
        seconds=seconds,
    )
    assert (seconds > 0).all()
    for one, found in zip(alone, (together[0], *together[2:]), strict=True):
        for name in ("items", "source", "features", "context", "known", "target", "outcome"):
            np.testing.assert_array_equal(getattr(one, name), getattr(found, name), err_msg=name)
    assert [len(found.ranks) for found in together] == [N - START, 0, 0, 0]


def test_had_items_are_listed_only_where_the_domain_repeats():
    for repeats in (False, True):
        state, stream = state_and_stream(repeats)
        take(state, stream, 0, N)
        for user in range(USERS):
            had = set(stream.item[stream.user == user].tolist())
            found = ranking.propose(state, state.counters, query_of(state, user, 1e9))
            assert bool(had & set(found.items[0].tolist())) == (repeats and bool(had))


def test_excluded_and_turned_down_items_are_never_listed():
    state, stream = state_and_stream(True)
    take(state, stream, 0, N)
    query = query_of(state, 0, 1e9)
    first, second = ranking.propose(state, state.counters, query).items[0, :2].tolist()
    hidden = stream._replace(
        user=np.zeros(1, np.int32),
        item=np.array([first], np.int32),
        weight=np.array([-1], np.float32),
        time=np.array([2e9]),
    )
    take(state, hidden, 0, 1)
    found = ranking.propose(state, state.counters, query_of(state, 0, 1e9, np.array([second], np.int32)))
    assert not {first, second} & set(found.items[0].tolist())
    assert second in ranking.propose(state, state.counters, query_of(state, 0, 1e9)).items[0].tolist()


def test_nobody_in_an_empty_state_gets_an_empty_list():
    state = features.init(TrainConfig(candidates=8), {})
    found = ranking.propose(state, state.counters, query_of(state, -1, 0.0))
    assert (found.items == -1).all()
    assert found.known.tolist() == [0]


def test_a_history_without_a_user_gets_the_list_of_that_history():
    state, stream = state_and_stream(False)
    take(state, stream, 0, N)
    user = int(stream.user[-1])
    query = query_of(state, user, 1e9)
    named = ranking.propose(state, state.counters, query)
    unnamed = ranking.propose(state, state.counters, query._replace(user=-1))
    assert set(unnamed.items[0].tolist()) & set(named.items[0].tolist())
    assert not set(unnamed.items[0].tolist()) & set(query.items.tolist())


def test_outcome_and_target_say_what_became_of_the_event():
    _, batch, found = walked(False, ranked=True)
    _, stream = state_and_stream(False)
    known = set(stream.item[:START].tolist())
    for row in range(N - START):
        user, item = int(batch.user[row]), int(batch.item[row])
        before = set(stream.item[: START + row][stream.user[: START + row] == user].tolist())
        expected = ranks.HAD if item in before else ranks.RANKED if item in known else ranks.UNKNOWN
        assert found.outcome[row] == expected
        assert (found.target[row] >= 0) == (expected == ranks.RANKED and item in found.items[row].tolist())
        assert found.known[row] == len(known - before)
        assert np.isfinite(found.ranks[row]).all() == (expected == ranks.RANKED)


def test_ranks_by_popularity_are_those_of_a_plain_count():
    _, batch, found = walked(False, ranked=True)
    _, stream = state_and_stream(False)
    column = ranking.SOURCES.index("popular_ever")
    known = np.bincount(stream.item[:START], minlength=ITEMS) > 0
    for row in np.flatnonzero(found.outcome == ranks.RANKED):
        past = slice(0, START + row)
        counts = np.bincount(stream.item[past], minlength=ITEMS)
        eligible = known.copy()
        eligible[stream.item[past][stream.user[past] == batch.user[row]]] = False
        own = counts[batch.item[row]]
        expected = 1 + (counts[eligible] > own).sum() + ((counts[eligible] == own).sum() - 1) / 2
        assert abs(found.ranks[row, column] - expected) <= 0.5 * (counts[eligible] == own).sum()  # logs may part ties
        assert found.ranks[row].min() >= 1
        assert found.ranks[row].max() <= found.known[row]


def test_ties_count_half_and_who_is_no_candidate_stands_behind_all():
    scores = np.array([[3, 2, 2, -np.inf], [3, 2, 1, -np.inf]], np.float32)
    target, known = np.array([1, -1], np.int32), np.array([10, 10])
    assert ranks.of_target(scores, target, known).tolist() == [2.5, 7.0]


def test_recommend_takes_the_best_and_never_padding():
    state, stream = state_and_stream(False)
    take(state, stream, 0, N)
    found = ranking.propose(state, state.counters, query_of(state, 0, 1e9))
    scores = np.where(found.items[0] >= 0, np.arange(30, dtype=np.float32), -np.inf)
    picked = ranking.recommend(found, scores, 100)
    assert picked.tolist() == np.flatnonzero(found.items[0] >= 0)[::-1].tolist()


def test_whatever_is_asked_the_kernel_is_compiled_once():
    empty = features.init(TrainConfig(candidates=8), {})
    ranking.propose(empty, empty.counters, query_of(empty, -1, 0.0))
    state, stream = state_and_stream(False)
    take(state, stream, 0, N)
    frozen = LOGITS.copy()
    frozen.flags.writeable = False
    ranking.propose(state, features.copy_counters(state), query_of(state, 0, 1e9), exact(frozen[0]))
    assert len(answer.signatures) == 1
