import json

import pytest

from rec_assets.log import Log
from rec_assets.serving.lists import ServedLists, ship
from rec_assets.serving.spool import Served, Spool, only_one


@pytest.fixture
def spool(settings):
    spool = Spool(settings.spool_path)
    yield spool
    spool.close()


@pytest.fixture
def log(settings):
    log = Log.open(settings.log_dir)
    yield log
    log.close()


def lists(*numbers):
    return [Served("u", 1_000 + n, json.dumps({"n": n}).encode()) for n in numbers]


def shipped(log):
    return [json.loads(record.payload)["n"] for record in log.read(0, log.head()) if record.kind == "list"]


def test_every_list_reaches_the_log_once(spool, log):
    spool.add(lists(*range(2_500)))
    assert ship(spool, log) == 2_500
    assert ship(spool, log) == 0
    spool.add(lists(2_500))
    assert ship(spool, log) == 1
    assert shipped(log) == list(range(2_501))
    assert spool.lists(0, 10) == []


def test_a_crash_between_the_log_and_the_spool_repeats_nothing(spool, log, settings, monkeypatch):
    spool.add(lists(*range(1_500)))
    monkeypatch.setattr(Spool, "drop", lambda self, upto: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ship(spool, log)
    monkeypatch.undo()
    assert shipped(log) == list(range(1_000))
    again = Spool(settings.spool_path)
    assert ship(again, log) == 500
    assert shipped(log) == list(range(1_500))
    again.close()


def test_a_new_spool_beside_the_same_log_starts_anew(spool, log, settings):
    spool.add(lists(1, 2))
    ship(spool, log)
    spool.close()
    for file in settings.data.glob("spool*"):
        file.unlink()
    fresh = Spool(settings.spool_path)
    fresh.add(lists(3))
    assert ship(fresh, log) == 1
    assert shipped(log) == [1, 2, 3]
    fresh.close()


def test_a_served_list_asks_for_no_training(spool, log):
    spool.add(lists(1, 2))
    ship(spool, log)
    assert log.count_events(0, log.head()) == 0


def test_one_worker_ships(settings, spool):
    first = only_one(settings.spool_path)
    assert first is not None
    assert only_one(settings.spool_path) is None


def test_lists_are_written_behind_and_shipped_by_the_minute(settings, log):
    served = ServedLists(settings.spool_path, settings.log_dir, ship_seconds=0.5)
    served.start()
    for each in lists(1, 2, 3):
        served.add(each)
    for _ in range(50):
        if shipped(log) == [1, 2, 3]:
            break
        served._stop.wait(0.1)
    served.add(lists(4)[0])
    served.stop()
    assert shipped(log) == [1, 2, 3]
    spool = Spool(settings.spool_path)
    assert [json.loads(row.payload)["n"] for row in spool.lists(0, 10)] == [4]
    spool.close()


def test_swaps_and_heartbeats(spool):
    day = 86_400_000_000
    spool.swapped("w", "000001-aaaaaaaa", 70, 10)
    spool.seen("w", "000001-aaaaaaaa", day)
    spool.seen("x", None, day + 5)
    read = spool._con.execute
    assert read("select * from swaps").fetchall() == [("w", "000001-aaaaaaaa", 70, 10)]
    assert read("select * from workers order by worker").fetchall() == [
        ("w", "000001-aaaaaaaa", day),
        ("x", None, day + 5),
    ]
    spool.seen("x", None, 2 * day + 1)  # the other one has not been seen for a day
    assert read("select worker from workers").fetchall() == [("x",)]
    spool.left("x")
    assert read("select worker from workers").fetchall() == []
