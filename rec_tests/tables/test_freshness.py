"""Arithmetic by hand: events received at seconds 0, 1, 2 ...; stored at 60; the rest as each test says."""

import pytest

from rec_assets.serving.spool import Spool
from rec_assets.tables import finish, freshness, warehouse
from rec_assets.tables.freshness import Swap, served_at
from rec_tests.tables.conftest import RECEIVED_AT, event, rows


def second(number):
    return RECEIVED_AT + round(number * 1_000_000)


@pytest.fixture
def spool(tmp_path):
    spool = Spool(tmp_path / "spool.sqlite")
    yield spool
    spool.close()


@pytest.fixture(autouse=True)
def _one_promoted_micro_batch(con, add, write):
    add(event(0), event(1), event(2), ("list", {"request_id": "r"}))
    write(0, 4)
    finish.trained(con, 0, 4, "c1", {}, second(70))
    finish.promoted(con, 0, 4, "c1", second(80))


def _stages(con):
    return {
        stage: figures for stage, *figures in rows(con, "freshness", "stage, n, p50_seconds, p95_seconds, p99_seconds")
    }


def test_each_stage_is_timed_from_received_at(con, log, spool):
    spool.swapped("w1", "c0", 0, second(10))
    spool.swapped("w1", "c1", 4, second(81))
    spool.swapped("w2", "c0", 0, second(11))
    spool.swapped("w2", "c1", 4, second(82))
    assert freshness.measure(con, log, spool.path, second(83)) == 4
    found = _stages(con)
    # The list that was served is not an event. Waits of the three events: 60, 59, 58 and so on.
    assert found["stored"] == [3, pytest.approx(59), pytest.approx(59.9), pytest.approx(59.98)]
    assert found["trained"] == [3, pytest.approx(69), pytest.approx(69.9), pytest.approx(69.98)]
    assert found["promoted"] == [3, pytest.approx(79), pytest.approx(79.9), pytest.approx(79.98)]
    assert found["served"] == [3, pytest.approx(81), pytest.approx(81.9), pytest.approx(81.98)]
    assert rows(con, "micro_batches", "served_at") == [(warehouse.timestamp(second(82)),)]
    pooled = freshness.pooled(con, 0, 4)
    assert pooled == {"n": 3, "p50_s": pytest.approx(81), "p95_s": pytest.approx(81.9), "p99_s": pytest.approx(81.98)}


def test_measuring_again_changes_nothing(con, log, spool):
    spool.swapped("w1", "c1", 4, second(81))
    freshness.measure(con, log, spool.path, second(83))
    before = rows(con, "freshness")
    spool.swapped("w1", "c2", 9, second(90))
    assert freshness.measure(con, log, spool.path, second(91)) == 0
    assert rows(con, "freshness") == before


def test_no_figure_while_nobody_serves(con, log, tmp_path):
    assert freshness.measure(con, log, tmp_path / "none.sqlite", second(90)) == 3
    assert "served" not in _stages(con)
    assert freshness.pooled(con, 0, 4) is None


def test_the_figure_comes_once_the_last_worker_serves(con, log, spool):
    spool.swapped("w1", "c1", 4, second(81))
    spool.swapped("w2", "c0", 0, second(11))
    spool.seen("w2", "c0", second(83))
    spool.seen("w1", "c1", second(83))
    assert freshness.measure(con, log, spool.path, second(84)) == 3
    spool.swapped("w2", "c1", 4, second(95))
    assert freshness.measure(con, log, spool.path, second(96)) == 1
    assert _stages(con)["served"][1] == pytest.approx(94)


def test_what_was_skipped_is_never_served(con, log, spool):
    finish.skipped(con, 0, 4, "rolled back")
    spool.swapped("w1", "c2", 9, second(81))
    freshness.measure(con, log, spool.path, second(83))
    assert "served" not in _stages(con)


W1 = [Swap("w1", 0, second(0)), Swap("w1", 4, second(5))]


@pytest.mark.parametrize(
    ("swaps", "seen", "now", "expected"),
    [
        ([], {}, 10, None),
        (W1, {"w1": 9}, 10, 5),
        (W1, {"w1": 9, "w2": 9}, 10, None),  # lives, but has not served anything yet
        ([*W1, Swap("w2", 0, second(1))], {"w1": 9, "w2": 9}, 10, None),  # lags
        ([*W1, Swap("w2", 0, second(1))], {"w1": 99, "w2": 4}, 100, 5),  # died before the other swapped
        ([*W1, Swap("w2", 0, second(1))], {"w1": 99, "w2": 8}, 100, 8.000001),  # until it died, it served the old one
        ([*W1, Swap("w2", 0, second(1))], {"w1": 9}, 10, 5),  # has said that it stops
        ([*W1, Swap("w2", 4, second(50))], {"w1": 59, "w2": 59}, 60, 5),  # came later and kept nobody waiting
        ([Swap("w2", 4, second(50))], {"w2": 59}, 60, 50),  # nobody served until the first came
        ([Swap("w1", 0, second(0)), Swap("w1", 9, second(7))], {"w1": 9}, 10, 7),  # a later checkpoint counts
        ([*W1, Swap("w1", 0, second(6))], {"w1": 9}, 10, 5),  # rolled back afterwards
    ],
)
def test_the_moment_when_the_last_live_worker_serves(swaps, seen, now, expected):
    found = served_at(swaps, {worker: second(at) for worker, at in seen.items()}, 4, second(now), stale_seconds=10)
    assert found == (None if expected is None else second(expected))


def test_a_spool_without_tables_gives_no_figure(con, log, tmp_path):
    (tmp_path / "empty.sqlite").touch()
    freshness.measure(con, log, tmp_path / "empty.sqlite", second(90))
    assert "served" not in _stages(con)
