"""What a session holds says what comes next in it, by the best of its items too, and when the user's own is due."""

import numpy as np
import pytest

from rec_assets import features, ranking
from rec_assets.features.state import EventArrays, fit, take
from rec_assets.ranking.features import FLOOR
from rec_assets.ranking.propose import query_of
from rec_assets.settings import TrainConfig

HOUR = 3_600.0


def state_of(rows, users, items):
    """The state after rows of (user, item, hours)."""
    state = features.init(TrainConfig(repeats=True, history_size=64, candidates=8, per_source=8), {})
    for key in range(users):
        state.users.assign(f"u{key}")
    for key in range(items):
        state.items.assign(f"i{key}")
    fit(state)
    user, item, hours = (np.array(column) for column in zip(*rows, strict=True))
    arrays = EventArrays(
        user=user.astype(np.int32),
        item=item.astype(np.int32),
        weight=np.ones(len(rows), np.float32),
        target=np.ones(len(rows), np.bool_),
        time=hours * HOUR,
        value=np.full(len(rows), np.nan),
        tag=np.zeros(len(rows), np.int16),
        excluded=np.zeros(len(rows), np.bool_),
        descriptions=(),
        end=len(rows),
    )
    take(state, arrays, 0, len(rows))
    return state


def column(found, name, item):
    """A feature of a candidate."""
    return found.features[0, np.flatnonzero(found.items[0] == item)[0], ranking.FEATURES.index(name)]


def test_the_best_of_a_sessions_items_speaks_for_what_goes_with_it_alone():
    # Item 2 goes with 0 and with 1 now and then, item 3 with the seldom item 1 every time.
    rows = [(user, item, 10.0 * user) for user in range(6) for item in ((0, 2) if user % 2 else (0, 4))]
    rows += [(user, item, 10.0 * user) for user in (6, 7) for item in (1, 3)]
    rows += [(8, item, 80.0) for item in (1, 2)]
    state = state_of([*rows, (9, 0, 90.0), (9, 1, 90.0)], 10, 5)
    found = ranking.propose(state, state.counters, query_of(state, 9, 90.1 * HOUR))
    shares = {item: np.exp(column(found, "session_best", item)) - FLOOR for item in (2, 3)}
    # Two sessions of item 1's four, three of item 0's seven; ten more hold both back.
    assert shares[3] / shares[2] == pytest.approx((2 / 14) / (3 / 17), rel=1e-2)
    assert column(found, "session_best", 4) == pytest.approx(column(found, "session_best", 2), rel=1e-2)
    assert column(found, "session", 2) > column(found, "session", 3)


def test_sessions_say_how_often_and_how_long_ago():
    rows = [(0, item, 24.0 * day) for day in range(4) for item in ((0, 1) if day < 2 else (1, 2))]
    state = state_of([*rows, (0, 0, 96.0)], 1, 3)
    found = ranking.propose(state, state.counters, query_of(state, 0, 96.1 * HOUR))
    assert column(found, "own_inside", 0) == pytest.approx(np.log(2))
    assert column(found, "own_inside", 1) == 0
    for item, sessions, ago in ((0, 2, 3), (1, 4, 1), (2, 2, 1)):
        assert column(found, "own_sessions", item) == pytest.approx(np.log1p(sessions))
        assert column(found, "own_sessions_share", item) == sessions / 4
        assert column(found, "own_sessions_ago", item) == pytest.approx(np.log1p(ago))
    usual = 96.1 / 5
    assert column(found, "own_due_usual", 2) == pytest.approx(np.log((24.1 + 1) / (usual + 1)), rel=1e-5)


def test_what_is_told_late_leaves_every_feature_a_number():
    state = state_of([(0, 0, 200.0), (0, 1, 200.0), (0, 0, 90.0), (0, 1, 80.0)], 1, 2)
    for now in (70.0, 200.1):
        found = ranking.propose(state, state.counters, query_of(state, 0, now * HOUR))
        assert np.isfinite(found.features).all()
        assert np.isfinite(found.context).all()
    assert column(found, "own_due", 0) == pytest.approx(np.log(110.1 + 1), rel=1e-5)  # since the one told last
