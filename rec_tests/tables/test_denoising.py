"""Which rows are kept but not learnt from: each rule, later batches that flag earlier rows, and no order matters."""

import itertools
import json
from datetime import datetime

import duckdb
import pytest

from rec_assets.log import Log
from rec_assets.log.record import Draft
from rec_assets.settings import DOMAINS, KINDS, Denoising
from rec_assets.tables import denoising, warehouse
from rec_assets.tables import write as writing
from rec_tests.tables.conftest import RECEIVED_AT, event, rows

POLICY = Denoising(burst_events=5, crawler_events=8, crawler_seconds=600)


@pytest.fixture
def write(con, log):
    def write(start, end, kinds=KINDS, policy=POLICY, con=con):
        return writing.write(con, log, start, end, kinds, "run", lambda: RECEIVED_AT, policy)

    return write


def excluded(con):
    return dict(rows(con, "interactions", "event_id, excluded_by"))


def test_what_is_done_again_at_once_counts_once(con, add, write):
    add(
        event(1), event(2, item_id="i1"), event(3, item_id="i1", at=9), event(4, item_id="i1", at=18),
        event(5, item_id="i1", at=60), event(6, item_id="i1", at=61, event="like"), event(7, item_id="i2", at=62),
    )  # fmt: skip
    counts = write(0, 7)
    assert excluded(con) == {
        "e1": None, "e2": "duplicate", "e3": "near duplicate", "e4": "near duplicate", "e5": None, "e6": None,
        "e7": None,
    }  # fmt: skip
    assert counts.excluded == {"duplicate": 1, "near duplicate": 2}
    assert counts.interactions == 7


def test_no_person_does_so_much_at_once(con, add, write):
    add(*(event(n, at=n) for n in range(6)), *(event(n, at=100 + 20 * n, user_id="v") for n in range(10, 16)))
    add(*(event(n, at=n / 10, event="impression") for n in range(20, 40)))  # shown, not done
    kinds = KINDS | DOMAINS["news"]
    assert write(0, 32, kinds).excluded == {"burst": 6}


def test_crawlers_are_known_by_their_pace_or_name(con, add, write):
    add(*(event(n, at=30 * n) for n in range(9)), event(9, user_id="v", context={"user_agent": "Mozilla GoogleBot/2"}))
    add(event(10, user_id="w", context={"user_agent": "Mozilla"}), event(11, user_id="w", context="odd", at=40))
    write(0, 12)
    found = excluded(con)
    assert {found[f"e{n}"] for n in range(10)} == {"crawler"}
    assert (found["e10"], found["e11"]) == (None, None)


def test_what_was_looked_at_for_a_moment_was_not_read(con, add, write):
    add(event(1, event="read", value=2.9), event(2, event="read", value=3), event(3, event="read"))
    add(event(4, event="rating", value=1))
    write(0, 4)
    assert excluded(con) == {"e1": "short dwell", "e2": None, "e3": None, "e4": None}


def test_who_changes_their_mind_is_taken_at_their_last_word(con, add, write):
    add(event(1, event="like"), event(2, item_id="i1", event="hide", at=3_600), event(3, event="hide", at=100))
    add(event(4, item_id="i3", event="like", at=200), event(5, event="like"))
    add(event(6, item_id="i5", event="hide", at=3_601))
    write(0, 6)
    assert excluded(con) == {
        "e1": "contradicted", "e2": None, "e3": "contradicted", "e4": None, "e5": None, "e6": None,
    }  # fmt: skip


def test_a_later_batch_flags_an_earlier_row_and_a_late_row_takes_the_first_place(con, add, write):
    add(event(1, event="like", at=50), event(2, at=50))
    assert write(0, 2).excluded == {}
    add(event(3, item_id="i1", event="hide", at=100), event(4, item_id="i2", at=45))
    counts = write(2, 4)
    assert excluded(con) == {"e1": "contradicted", "e2": "near duplicate", "e3": None, "e4": None}
    assert (counts.excluded, counts.rewritten) == ({}, 2)
    assert denoising.excluded(con, 0, 4).tolist() == [0, 1]
    assert write(2, 4).rewritten == 0


def test_a_policy_may_turn_every_rule_off(con, add, write):
    add(*(event(n, event="like", item_id="i") for n in range(20)), event(20, item_id="i", event="hide"))
    add(event(21, event="read", value=0, context={"user_agent": "bot"}))
    off = Denoising(
        repeat_seconds=0, burst_events=0, crawler_events=0, crawler_agents="", dwell_seconds=0, contradiction_seconds=0
    )
    assert write(0, 22, policy=off).excluded == {}


def test_times_far_apart_are_looked_at_apart(con, add, write, log):
    """Thirty stretches of time, then one row late for each of the first and the last."""
    add(*(event(n, at=10_000 * n - 400_000) for n in range(30)))
    write(0, 30)
    add(event(31, item_id="i0", at=-400_001), event(32, item_id="i29", at=-110_001))
    assert write(30, 32).rewritten == 2
    assert excluded(con) | {"e0": None, "e29": None} == {f"e{n}": None for n in (*range(30), 31, 32)}


def test_stretches_of_time_are_joined_where_they_lie_close():
    days = [1, 2, 4, 7, 8, 11, 13, 15, 17, 19]
    stretches = [(datetime(2020, 1, day), datetime(2020, 1, day, 1)) for day in days]
    assert [(first.day, last.day) for first, last in denoising.joined(stretches)] == [
        (1, 2), (4, 4), (7, 8), (11, 11), (13, 13), (15, 15), (17, 17), (19, 19),
    ]  # fmt: skip
    assert denoising.joined(stretches[:8]) == stretches[:8]
    assert denoising.joined([]) == []


def test_only_the_rows_around_a_batch_are_read(con, add, write, log):
    """The window is stated: what lies outside of it, or is of other users, stays untouched even where it is wrong."""
    add(event(1), event(2, at=20_000), event(3, at=20_000, user_id="v"))
    write(0, 3)
    con.execute("update interactions set excluded_by = 'kept'")
    add(event(4, at=20_100))
    write(3, 4)
    assert excluded(con) == {"e1": "kept", "e2": None, "e3": "kept", "e4": None}


def test_the_order_and_the_cuts_change_nothing(tmp_path):
    drafts = [
        event(n, at=at, item_id=item, event=kind)
        for n, (at, item, kind) in enumerate(
            [(0, "a", "like"), (4, "a", "like"), (4, "a", "hide"), (8, "a", "like"), (8, "a", "like")]
        )
    ]
    found = set()
    for number, order in enumerate(itertools.permutations(drafts)):
        if number % 41:
            continue
        with Log.open(tmp_path / str(number)) as log, duckdb.connect(":memory:") as con:
            warehouse.create(con)
            log.append(
                [Draft("event", json.dumps(row).encode(), row["event_id"], received_at=RECEIVED_AT) for row in order],
                "test",
            )
            for start, end in ((0, 2), (2, 3), (3, 5)):
                writing.write(con, log, start, end, KINDS, "run", policy=POLICY)
            found.add(tuple(sorted(excluded(con).items())))
    assert found == {
        (
            ("e0", "contradicted"),
            ("e1", "near duplicate"),
            ("e2", "contradicted"),
            ("e3", "near duplicate"),
            ("e4", "duplicate"),
        )
    }
