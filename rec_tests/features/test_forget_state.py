import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_stream import SMALL, records_of, state_of

from rec_assets import features
from rec_assets.events import parse
from rec_assets.features import erasure
from rec_assets.features.storage import to_tensors
from rec_assets.log.record import FORGET, Record, digest_of
from rec_assets.ranking.propose import propose, query_of
from rec_assets.settings import KINDS

SALT, AT, WHO = "log", 250, "u1"


def forget_record(offset, user=WHO, key=-1):
    payload = {"user": digest_of(user, SALT), "salt": SALT, "key": key}
    return Record(offset, FORGET, "forget", None, 0, f"forget{offset}", json.dumps(payload).encode())


@pytest.fixture(scope="module")
def records():
    records = records_of()
    records[AT] = forget_record(AT)
    return records


def assert_same(a, b):
    assert (a.users.ids, a.items.ids, a.offset) == (b.users.ids, b.items.ids, b.offset)
    left, right = to_tensors(a), to_tensors(b)
    for name, array in left.items():
        n = min(len(array), len(right[name]))
        np.testing.assert_array_equal(array[:n], right[name][:n], err_msg=name)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 400), max_size=6).map(sorted))
def test_where_the_stream_is_cut_does_not_matter_to_forgetting(cuts):
    records = records_of()
    records[AT] = forget_record(AT)
    assert_same(state_of(records), state_of(records, cuts))


def test_all_that_is_of_one_user_alone_is_gone_and_others_are_as_they_were(records):
    before = state_of(records[:AT])
    key = before.users.key(WHO)
    others = {user: features_of(before, before.users.key(user)) for user in before.users.ids if user != WHO}
    assert min(erasure.known(before, key).values()) > 0
    after = state_of(records[: AT + 1])
    assert erasure.known(after, key) == {"history": 0, "items_had": 0, "visits": 0}
    assert (after.users.key(WHO), after.users.ids[key]) == (-1, "")
    assert (after.counters.averages[key] == 0).all()
    for user, kept in others.items():
        assert after.users.key(user) == before.users.key(user)
        for a, b in zip(kept, features_of(after, after.users.key(user)), strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(after.counters.items.events, before.counters.items.events)


def features_of(state, key):
    query = query_of(state, key, state.clock)
    return query.items, query.times, state.counters.averages[key].copy()


def test_a_user_forgotten_and_seen_again_starts_as_new(records):
    state = state_of(records)
    old, new = state.users.ids.index(""), state.users.key(WHO)
    assert new > old
    since = [r for r in parse(records[AT:], KINDS).events.user_id if r == WHO]
    assert 0 < state.histories.count[new] <= len(since)
    assert state.histories.count[old] == 0


def test_the_key_that_the_record_names_is_only_a_hint():
    records = records_of()
    key = state_of(records[:AT]).users.key(WHO)
    found = []
    for hint in (-1, key, key + 1, 10_000):
        records[AT] = forget_record(AT, key=hint)
        found.append(state_of(records))
    for state in found[1:]:
        assert_same(found[0], state)


def test_an_unknown_user_changes_nothing():
    records = records_of()
    records[AT] = forget_record(AT, "nobody")
    with_it = state_of(records)
    records[AT] = Record(AT, "other", "test", None, 0, "x", b"{}")
    assert_same(with_it, state_of(records))


def test_lists_can_be_made_after_forgetting_and_a_loaded_state_is_equal(records, tmp_path):
    state = state_of(records[: AT + 1])
    features.save(state, tmp_path)
    loaded = features.load(tmp_path, SMALL, KINDS)
    assert_same(state, loaded)
    assert loaded.users.key("") == -1
    features.update(loaded, parse(records[AT + 1 :], KINDS), len(records))
    whole = state_of(records)
    assert_same(loaded, whole)
    for user in range(len(whole.users)):
        one, other = (propose(s, s.counters, query_of(s, user, s.clock)) for s in (loaded, whole))
        np.testing.assert_array_equal(one.items, other.items)
        np.testing.assert_array_equal(one.features, other.features)


def test_no_freed_block_keeps_what_it_held(records):
    state = state_of(records[: AT + 1])
    for pool in (state.histories, state.counters.visitors):
        for bits, block in enumerate(pool.free.tolist()):
            while block >= 0:
                assert not pool.first[block + 1 : block + (1 << bits)].any()
                assert not pool.second[block : block + (1 << bits)].any()
                block = int(pool.first[block])
