"""Appending: offsets in order, once each, durable, with the source's position."""

import sqlite3

import pytest

from rec_assets.log import Draft, Log, NewerFormat, NoLog, position_id


@pytest.fixture
def log(tmp_path):
    with Log.open(tmp_path / "log") as log:
        yield log


def draft(name, kind="event"):
    return Draft(kind, f'{{"n":"{name}"}}'.encode(), event_id=str(name), user_id="u")


def test_offsets_follow_each_other(log):
    assert log.append([draft(n) for n in "abc"], "s") == [0, 1, 2]
    assert log.append([draft("d")], "s") == [3]
    assert log.head() == 4
    assert [record.event_id for record in log.read(1, 3)] == ["b", "c"]
    assert log.read(3, 99)[0].payload == b'{"n":"d"}'


def test_a_known_event_id_gets_the_offset_it_has(log):
    log.append([draft(n) for n in "abc"], "s")
    assert log.append([draft("b"), draft("x"), draft("x"), draft("c")], "other") == [1, 3, 3, 2]
    assert log.append([draft("a")], "s") == [0]
    assert log.head() == 4


@pytest.mark.parametrize("name", ["007", "12345678901234567890", "😀", "NA", 'quo"te', "a\\b", "ü\u0000", " "])
def test_odd_event_ids_are_found_again(log, name):
    assert log.append([draft(name), draft("other")], "s") == [0, 1]
    assert log.append([draft("z"), draft(name)], "s") == [2, 0]
    log.compact(0)
    assert log.append([draft("y"), draft(name)], "s") == [3, 0]
    assert log.has(name)
    assert not log.has(name + "x")


def test_an_id_is_made_where_the_source_gives_none(log):
    nameless, placed = Draft("event", b"{}"), Draft("event", b"{}", source_position="7")
    assert log.append([nameless, nameless, placed, placed], "s") == [0, 1, 2, 2]
    first, second, third = log.read(0, 3)
    assert first.event_id != second.event_id
    assert (third.event_id, third.source_position) == (position_id("s", "7"), "7")
    assert position_id("s", "7") != position_id("t", "7")


def test_the_position_is_stored_with_the_records(log):
    assert log.position("s") is None
    log.append([draft("a")], "s", "1")
    log.append([], "s", "2")
    assert (log.position("s"), log.head()) == ("2", 1)


def test_nothing_of_a_failed_append_stays(log):
    with pytest.raises(sqlite3.Error):
        log.append([draft("a"), Draft("event", None, "b")], "s", "1")
    assert (log.head(), log.position("s"), log.read(0, 9)) == (0, None, [])
    assert log.append([draft("a")], "s") == [0]


def test_lists_are_not_counted_as_events(log):
    log.append([draft("a"), draft("l1", "list"), draft("b", "item"), draft("l2", "list"), draft("c")], "s")
    assert [log.count_events(0, end) for end in range(6)] == [0, 1, 1, 2, 2, 3]
    assert (log.count_events(1, 99), log.count_events(3, 2)) == (2, 0)
    assert (log.count("list"), log.count("event", 1, 5)) == (2, 1)


def test_it_is_the_same_log_when_opened_again(tmp_path):
    with pytest.raises(NoLog, match="no log in"):
        Log.open(tmp_path / "log", create=False)
    with Log.open(tmp_path / "log") as log:
        log.append([draft("a")], "s")
    with Log.open(tmp_path / "log", create=False) as again:
        assert (again.log_id, again.head()) == (log.log_id, 1)


def test_a_newer_format_is_refused(tmp_path):
    Log.open(tmp_path).close()
    with sqlite3.connect(tmp_path / "tail.sqlite") as con:
        con.execute("update meta set value = '4' where key = 'format_version'")
    con.close()
    with pytest.raises(NewerFormat, match="has format 4, this version reads up to 3"):
        Log.open(tmp_path)


def test_stat_and_verify_say_what_there_is(log):
    log.append([draft("a"), draft("l", "list")], "s", "1")
    stat = log.stat()
    assert (stat["head"], stat["events"], stat["lists"], stat["tail_rows"], stat["positions"]) == (2, 1, 1, 2, 1)
    assert log.verify() == []
