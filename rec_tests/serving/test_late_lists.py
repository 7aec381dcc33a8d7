"""Several lists at once are those of one at a time; one that would come too late is of what is popular."""

import time

import numpy as np
import pytest
from live_service import stream

from rec_assets.log import Log
from rec_assets.serving import engine as engines
from rec_assets.serving.bodies import Refused
from rec_assets.serving.engine import Engine
from rec_assets.serving.making import Asked
from rec_assets.serving.messages import Control

K = 10


@pytest.fixture
def engine(trained):
    made = Engine(trained)
    yield made
    made.close()


def test_lists_made_together_are_those_made_alone(engine):
    wishes = [Control(user_id=f"u{n}", filter='"War" in categories' if n % 4 == 0 else None) for n in range(7)]
    wishes.append(Control(history_item_ids=["i1", "i2"]))
    asked = [Asked(wish, K, until=time.monotonic() + 60) for wish in wishes]
    alone = [engine.recommend([one])[0] for one in asked]
    for one, other in zip(alone, engine.recommend(asked), strict=True):
        assert not one.late
        assert one.items == other.items
        scores = [[place.score for place in found.places] for found in (one, other)]
        np.testing.assert_allclose(*scores, rtol=1e-4, atol=1e-4)


def test_a_wish_that_cannot_be_read_leaves_the_others_theirs(engine):
    good, bad = Control(user_id="u1"), Control(user_id="u1", filter="price <")
    found = engine.recommend([Asked(good, K), Asked(bad, K), Asked(good, K)])
    assert isinstance(found[1], Refused)
    assert found[0].items == found[2].items
    assert len(found[0].items) == K


def test_who_has_waited_too_long_gets_what_is_popular_under_the_same_rules(engine):
    had = engine.user("u1", 100).history
    wish = Control(user_id="u1", filter='"War" in categories', exclude_item_ids=["i2"], caps={"categories": K})
    late, in_time = engine.recommend([Asked(wish, K, until=0.0), Asked(wish, K, until=time.monotonic() + 60)])
    assert late.late
    assert not in_time.late
    assert {place.source for place in late.places} <= {"popular", "catalogue"}
    assert late.items
    for found in (late.items, in_time.items):
        assert not {"i2", *(item.item_id for item in had)} & set(found)
        assert all("War" in engine.served.catalogue[item].categories for item in found)
    popular = [shown.item_id for shown in engine.best(lambda state: state.counters.popularity.level[:, 3], 60, None)]
    assert late.items == [item for item in popular if item in late.items]


def test_a_long_log_is_not_waited_for(engine, trained, monkeypatch):
    monkeypatch.setattr(engines, "FEW_ROWS", 20)
    log = Log.open(trained.log_dir)
    log.append(stream(100, seed=9, start=890_000_000), "test")
    before = engine.served.state.offset
    [late] = engine.recommend([Asked(Control(user_id="u1"), K, until=time.monotonic())])
    assert late.late
    assert before < late.offset < log.head()  # something is read even so: nobody is late for ever
    [in_time] = engine.recommend([Asked(Control(user_id="u1"), K)])
    assert not in_time.late
    assert in_time.offset == log.head()
    log.close()
