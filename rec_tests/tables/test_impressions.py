"""What was shown, where, and what was done about it, whichever of list and feedback comes first."""

from datetime import timedelta

import pytest

from rec_assets.tables import erasure, impressions, warehouse
from rec_tests.tables.conftest import event, rows


def served(request, *items):
    n = len(items)
    return "list", {
        "request_id": request, "user_id": "u", "item_ids": list(items), "positions": list(range(1, n + 1)),
        "sources": ["encoder"] * n, "scores": [1.0] * n, "checkpoint": "c1", "offset": 0, "k": n,
    }  # fmt: skip


def outcomes(con):
    return {
        (request, item): outcome for request, item, outcome in rows(con, "impressions", "request_id, item_id, outcome")
    }


EXPECTED = {
    ("r", "i1"): "skipped", ("r", "i2"): "against", ("r", "i3"): "acted", ("r", "i4"): "below",
    ("s", "i1"): "no answer",
}  # fmt: skip


@pytest.mark.parametrize("first", ["list", "feedback"])
@pytest.mark.parametrize("apart", [True, False], ids=["two batches", "one batch"])
def test_a_list_is_joined_with_its_feedback(con, add, write, first, apart):
    lists = [served("r", "i1", "i2", "i3", "i4"), served("s", "i1")]
    told = [event(2, event="hide", request_id="r"), event(3, request_id="r"), event(1, request_id="unknown")]
    add(*(lists + told if first == "list" else told + lists))
    middle = 2 if first == "list" else 3
    for bounds in ((0, middle), (middle, 5)) if apart else ((0, 5),):
        write(*bounds)
    assert outcomes(con) == EXPECTED
    before = rows(con, "impressions")
    write(*bounds)
    assert rows(con, "impressions") == before
    assert rows(con, "impressions", "distinct position, acted")[:1] == [(1, None)]
    assert impressions.outcomes(con, 0, 5) == {"skipped": 1, "against": 1, "acted": 1, "below": 1, "no answer": 1}


def test_later_feedback_judges_anew_and_too_late_does_not(con, add, write, monkeypatch):
    add(served("r", "i1", "i2", "i3"), event(2, request_id="r"))
    write(0, 2)
    assert outcomes(con) == {("r", "i1"): "skipped", ("r", "i2"): "acted", ("r", "i3"): "below"}
    add(event(3, request_id="r"))
    write(2, 3)
    assert outcomes(con) == {("r", "i1"): "skipped", ("r", "i2"): "acted", ("r", "i3"): "acted"}
    monkeypatch.setattr(impressions, "WINDOW", timedelta(seconds=0.5))
    add(event(4, request_id="r"))
    write(3, 4)
    assert set(outcomes(con).values()) == {"no answer"}


def test_a_list_that_cannot_be_read_is_passed_over(con, add, write):
    add(("list", {"request_id": "r"}), event(1))
    write(0, 2)
    assert rows(con, "impressions") == []


def test_a_forgotten_users_lists_leave_and_those_of_others_stay(tmp_path, add, write):
    lists = [served("r", "i1", "i2"), served("s", "i1"), served("t", "i3")]
    lists[1][1]["user_id"] = "v"
    add(*lists[:2], event(1, request_id="r"), event(2, user_id="v", request_id="s"), lists[2])
    path = tmp_path / "w.duckdb"
    with warehouse.connect(path) as con:
        write(0, 5, con=con)
        assert len(rows(con, "impressions")) == 4
    found = erasure.forget(path, "u", 4, [0, 2], {})  # asked for before the last list
    assert (found["impressions"], found["interactions"]) == (2, 1)
    with warehouse.connect(path) as con:
        assert set(rows(con, "impressions", "user_id, request_id")) == {("u", "t"), ("v", "s")}
