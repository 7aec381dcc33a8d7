"""Hides, returns and skips count against their item; acting on it again makes up for all of it."""

import dataclasses
import json

import numpy as np
import pytest
from small_stream import SMALL, records_of

from rec_assets import features, ranking
from rec_assets.events import parse
from rec_assets.features import popularity, rows
from rec_assets.log.record import Record
from rec_assets.ranking.propose import query_of
from rec_assets.settings import KINDS
from rec_assets.training.popularity import is_first

CONFIG = dataclasses.replace(SMALL, repeats=True)
WHO, WHAT = "u0", "i0"


def told(start, *kinds, item=WHAT, user=WHO):
    """Records of one user's events on one item, a minute apart."""
    found = []
    for n, kind in enumerate(kinds):
        payload = {"user_id": user, "item_id": item, "event": kind, "occurred_at": 3_000_000 + 60 * (start + n)}
        found.append(Record(start + n, "event", "t", None, 4 * 10**12, f"t{start + n}", json.dumps(payload).encode()))
    return found


def after(*kinds, config=CONFIG):
    records = records_of()
    state = features.init(config, KINDS)
    features.update(state, parse(records, KINDS), len(records))
    go_on(state, *kinds)
    return state


def go_on(state, *kinds, **of):
    features.update(state, parse(told(state.offset, *kinds, **of), KINDS), state.offset + len(kinds))


def is_listed(state, user=WHO, item=WHAT):
    asked = query_of(state, state.users.key(user), state.clock)
    return state.items.key(item) in ranking.propose(state, state.counters, asked).items[0]


@pytest.mark.parametrize(
    ("kinds", "listed"),
    [
        (["click"], True),
        (["hide"], False),
        (["click", "return"], False),
        (["hide", "click"], True),  # asked for
        (["click", "hide", "skip"], False),
    ],
)
def test_what_is_turned_down_is_not_listed_until_it_is_asked_for(kinds, listed):
    state = after(*kinds)
    assert is_listed(state) is listed
    go_on(state, *["click"] * 30, item="another")
    assert is_listed(state) is listed


def test_what_was_hidden_stays_so_however_much_its_user_does():
    state = after("hide")
    row = state.users.key(WHO)
    kept = int(0.75 * (1 << features.counters.SEEN_BITS))
    for n in range(kept + 10):
        rows.place_of(state.seen, row, 1_000 + n, features.counters.SEEN_BITS)
        state.seen = rows.with_room(state.seen, 1 << features.counters.SEEN_BITS)
    assert state.seen.entries[row] < kept  # half of the row was dropped
    assert not is_listed(state)


def test_the_fifth_skip_turns_down_and_until_then_an_item_is_not_had():
    config = dataclasses.replace(CONFIG, repeats=False)
    state = after(config=config)
    go_on(state, "click", user="new")
    for skips in range(5):
        assert is_listed(state, "new", "i1")
        click = parse(told(state.offset, "skip", "click", item="i1", user="new"), KINDS)
        assert is_first(state, features.to_arrays(state, click, state.offset)).tolist() == [True, True]
        go_on(state, "skip", item="i1", user="new")
        assert state.histories.count[state.users.key("new")] == 1, skips
    assert not is_listed(state, "new", "i1")
    go_on(state, "click", item="i1", user="new")
    assert is_listed(after("click", *["skip"] * 9))  # of what was had a skip says nothing


def test_a_return_takes_the_purchase_back():
    before, returned = after("click"), after("click", "purchase", "return")
    lasting = [h for h, name in enumerate(popularity.NAMES) if name in ("ever", "hour", "day", "week")]
    for name in ("level", "total"):
        old, new = (getattr(each.counters.popularity, name)[..., lasting] for each in (before, returned))
        np.testing.assert_allclose(old, new, rtol=1e-9, atol=1e-6)
    item, user = before.items.key(WHAT), before.users.key(WHO)
    history, _ = features.rings.read(before.histories, user, 5)
    sums = [each.counters.following_sum[:, 0] for each in (before, returned)]
    np.testing.assert_allclose(sums[0][history[:-1]], sums[1][history[:-1]], rtol=1e-6)
    for place in range(popularity.STRONGEST - 1):
        first, second = returned.counters.popularity.strongest[lasting[0], place : place + 2]
        if second >= 0:
            level = returned.counters.popularity.level[:, lasting[0]]
            assert level[first] >= level[second]
    assert returned.counters.popularity.place[item, lasting[0]] >= 0


def test_an_item_of_nobody_else_is_not_popular_once_it_was_returned():
    state = after()
    go_on(state, "purchase", "return", item="only")
    level = state.counters.popularity.level[state.items.key("only")]
    assert level[popularity.NAMES.index("ever")] == level[popularity.NAMES.index("week")] == -np.inf
    assert is_listed(state)
