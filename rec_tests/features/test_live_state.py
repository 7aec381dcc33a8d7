import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_stream import SMALL, records_of, state_of

from rec_assets import features
from rec_assets.events import parse
from rec_assets.features import histories
from rec_assets.features.storage import to_tensors
from rec_assets.log.record import Record
from rec_assets.settings import KINDS, Kind


@pytest.fixture
def records():
    return records_of()


def assert_same(a, b):
    assert (a.users.ids, a.items.ids, a.clock, a.offset) == (b.users.ids, b.items.ids, b.clock, b.offset)
    left, right = to_tensors(a), to_tensors(b)
    assert left.keys() == right.keys()
    for name, array in left.items():
        n = min(len(array), len(right[name]))  # arrays by key may have more room in one than in the other
        np.testing.assert_array_equal(array[:n], right[name][:n], err_msg=name)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 400), max_size=6).map(sorted))
def test_where_the_stream_is_cut_changes_nothing(cuts):
    records = records_of()
    assert_same(state_of(records), state_of(records, cuts))


def test_a_loaded_state_is_equal_and_goes_on_as_if_never_saved(records, tmp_path):
    state = state_of(records[:250])
    features.save(state, tmp_path)
    loaded = features.load(tmp_path, SMALL, KINDS)
    assert_same(state, loaded)
    features.update(loaded, parse(records[250:], KINDS), len(records))
    assert_same(loaded, state_of(records))


def test_copied_counters_stand_still(records):
    state = state_of(records[:200])
    copied = features.copy_counters(state)
    before = copied.items.events.copy()
    features.update(state, parse(records[200:], KINDS), len(records))
    np.testing.assert_array_equal(copied.items.events, before)
    assert state.counters.items.events.sum() > before.sum()


def test_keys_are_given_in_the_order_of_the_log(records):
    state = state_of(records)
    parsed = parse(records, KINDS)
    first = dict(zip(parsed.items.item_id[::-1], parsed.items.offset[::-1].tolist(), strict=True))
    for offset, item in zip(parsed.events.offset[::-1].tolist(), parsed.events.item_id[::-1], strict=True):
        if item is not None:
            first[item] = min(offset, first.get(item, offset))
    assert state.items.ids == sorted(set(first), key=lambda item: first[item])
    assert [state.items.key(item) for item in state.items.ids] == list(range(len(state.items)))
    assert state.items.key("never heard of") == -1


def test_what_was_turned_down_enters_no_history(records):
    state = state_of(records)
    parsed = parse(records, KINDS)
    liked = [
        e != "hide" and item is not None for e, item in zip(parsed.events.event, parsed.events.item_id, strict=True)
    ]
    assert state.histories.count[: len(state.users)].sum() == sum(liked) == state.counters.events[0]


def python_windows(state, arrays, index, length):
    """The same windows from plain lists."""
    seen, rows = {}, []
    for user in range(len(state.users)):
        items, times = features.state.rings.read(state.histories, user, length)
        told = features.state.rings.read_tags(state.histories, user, length)
        seen[user] = list(zip(items.tolist(), times.tolist(), told.tolist(), strict=True))
    for i in range(len(arrays.user)):
        if i in index:
            rows.append(seen[int(arrays.user[i])][-length:])
        if arrays.item[i] >= 0 and arrays.weight[i] > 0:
            seen[int(arrays.user[i])].append((int(arrays.item[i]), float(arrays.time[i]), int(arrays.tag[i])))
    return rows


@pytest.mark.parametrize("length", [1, 5, 20])
def test_windows_hold_what_came_before_in_the_state_and_in_the_batch(records, length):
    state = state_of(records[:200])
    arrays = features.to_arrays(state, parse(records[200:], KINDS), len(records))
    index = np.flatnonzero(arrays.target)[::3]
    windows = histories.windows(state, arrays, index, length)
    assert windows.items.shape == (len(index), length)
    for row, expected in enumerate(python_windows(state, arrays, set(index.tolist()), length)):
        padding = length - len(expected)
        assert (windows.items[row, :padding] == -1).all()
        assert not windows.tags[row, :padding].any()
        columns = (column[row, padding:].tolist() for column in (windows.items, windows.times, windows.tags))
        assert list(zip(*columns, strict=True)) == expected
    np.testing.assert_array_equal(windows.now, arrays.time[index])


def test_windows_for_serving_and_for_training_agree(records):
    state = state_of(records)
    items, times, told = histories.last(state, np.arange(len(state.users)), 7)
    for user in range(len(state.users)):
        window = histories.window(state, user, 5.0, 7)
        np.testing.assert_array_equal(window.items[0], items[user])
        np.testing.assert_array_equal(window.times[0], times[user])
        np.testing.assert_array_equal(window.tags[0], told[user])
    nobody = histories.window(state, -1, 5.0, 7)
    assert (nobody.items == -1).all()
    assert nobody.now.tolist() == [5.0]


def test_a_value_below_what_its_kind_asks_for_speaks_against_the_item():
    kinds = {"rating": Kind(against_below=2.5)}
    rows = [
        {"user_id": "u", "item_id": f"i{n}", "event": "rating", "value": value} for n, value in enumerate((5, 2, None))
    ]
    records = [
        Record(n, "event", "test", None, 10**15, f"e{n}", json.dumps(row).encode()) for n, row in enumerate(rows)
    ]
    arrays = features.to_arrays(features.init(SMALL, kinds), parse(records, kinds), 3)
    assert (arrays.weight.tolist(), arrays.target.tolist()) == ([1, -1, 1], [True, False, True])
