import itertools
import json
from datetime import datetime

import duckdb
import pytest

from rec_assets.durable import NewerFormat, OlderFormat
from rec_assets.log.record import Draft
from rec_assets.settings import DOMAINS, KINDS, Kind
from rec_assets.tables import arrival, ledger, warehouse
from rec_assets.tables import write as writing
from rec_assets.tables.rebuild import rebuild
from rec_assets.tables.write import Counts
from rec_tests.tables.conftest import RECEIVED_AT, event, rows

TABLES = ("rejected_events", "interactions", "users", "items", "micro_batches")


def _all(con):
    return {table: rows(con, table) for table in TABLES}


def test_an_event_becomes_one_row(con, add, write):
    add(event(1, at=3600, value=4.5, request_id="r", context={"page": 2}))
    write(0, 1)
    [row] = con.execute("select * from interactions").fetchall()
    columns = [column[0] for column in con.execute("select * from interactions").description]
    assert dict(zip(columns, row, strict=True)) == {
        "log_offset": 0,
        "source": "test",
        "event_id": "e1",
        "user_id": "u",
        "item_id": "i1",
        "event": "click",
        "weight": 1.0,
        "target": True,
        "value": 4.5,
        "value_filled": False,
        "price": None,
        "occurred_at": datetime(2023, 11, 14, 23, 13, 20),
        "occurred_at_filled": False,
        "received_at": datetime(2023, 11, 14, 22, 13, 20),
        "request_id": "r",
        "context": '{"page": 2}',
        "hour": 23,
        "weekday": 2,
        "excluded_by": None,
    }


def test_what_is_missing_is_null_and_a_session_event_is_no_interaction(con, add, write):
    add({"user_id": "u", "event": "view"}, {"user_id": "u", "item_id": "i", "event": "view"})
    counts = write(0, 2)
    assert (counts.events, counts.interactions) == (2, 1)
    [row] = rows(con, "interactions", "value, request_id, context, occurred_at = received_at, target")
    assert row == (None, None, None, True, False)
    assert len(rows(con, "users")) == 1


def test_kinds_give_weight_and_target(con, add, write):
    add(event(1, event="hide"), event(2, event="buy"))
    counts = write(0, 2, kinds={"hide": Kind(-2.0, target=False), "buy": Kind(3.0)})
    assert counts.interactions == 2
    assert rows(con, "interactions", "event, weight, target") == [("buy", 3.0, True), ("hide", -2.0, False)]


def test_malformed_rows_are_rejected_with_their_reason_and_the_rest_goes_on(con, add, write):
    bad = [b"\xff", b"[1]", b"{}", event(3, event="dance"), event(4, item_id="x" * 300), event(5, user_id="a\u0000b")]
    add(event(1), *bad, event(9), ("item", {"title": "no id"}))
    counts = write(0, 9)
    assert (counts.events, counts.rejected, counts.interactions) == (2, 7, 2)
    found = con.execute("select log_offset, field, reason, value from rejected_events order by log_offset").fetchall()
    assert [offset for offset, *_ in found] == [1, 2, 3, 4, 5, 6, 8]
    assert all(reason for _, _, reason, _ in found)
    assert found[3][1:2] + found[3][3:] == ("event", "dance")


def test_writing_again_changes_nothing(con, add, write):
    add(
        event(1),
        b"bad",
        event(2, at=5),
        ("item", {"item_id": "i1", "title": "T"}),
        ("user", {"user_id": "u", "age": 3}),
    )
    first = write(0, 5)
    before = _all(con)
    assert write(0, 5) == first
    assert _all(con) == before


def test_writing_again_keeps_what_became_of_the_micro_batch(con, add, write):
    add(event(1))
    write(0, 1)
    con.execute("update micro_batches set state = 'promoted', checkpoint = 'c'")
    write(0, 1)
    assert rows(con, "micro_batches", "state, checkpoint") == [("promoted", "c")]


def test_the_cut_into_chunks_and_batches_changes_no_row(log, add, write, monkeypatch):
    add(*(event(n, at=n * 37 % 11) for n in range(20)), ("item", {"item_id": "i1", "title": "T"}))
    results = []
    for chunk, cuts in ((20_000, (0, 21)), (3, (0, 21)), (20_000, (0, 4, 5, 17, 21))):
        monkeypatch.setattr(writing, "CHUNK_ROWS", chunk)
        with warehouse.connect(":memory:") as con:
            for start, end in itertools.pairwise(cuts):
                write(start, end, con=con)
            results.append({table: rows(con, table) for table in TABLES[:4]})
    assert results[0] == results[1] == results[2]


def test_late_is_what_occurred_before_something_told_earlier(con, add, write):
    add(event(1, at=10), event(2, at=20), event(3, at=15))
    add(event(4, at=19), event(5, at=20), event(6, at=30))
    assert write(0, 3).late == 1
    second = write(3, 6)
    assert (second.late, second.late_by_source) == (1, {"test": 1})
    assert write(3, 6) == second
    assert rows(con, "micro_batches", "start_offset, late") == [(0, 1), (3, 1)]


def test_what_is_filled_in_is_marked(con, add, write):
    kinds = {"read": Kind(value="seconds", fill=30.0), "buy": Kind(value="price"), "click": Kind()}
    sold = {"event": "buy", "value": 2.5}
    add(event(1, event="read"), event(2, event="read", value=9), event(3, **sold), event(4, occurred_at=None))
    write(0, 4, kinds=kinds)
    assert rows(con, "interactions", "event_id, value, value_filled, price, occurred_at_filled") == [
        ("e1", 30.0, True, None, False),
        ("e2", 9.0, False, None, False),
        ("e3", 2.5, False, 2.5, False),
        ("e4", None, False, None, True),
    ]


def test_a_low_rating_speaks_against_its_item(con, add, write):
    add(*(event(n, event="rating", value=value) for n, value in enumerate([5, 2.5, 2, None])))
    write(0, 4, kinds=DOMAINS["ratings"])
    assert rows(con, "interactions", "event_id, weight, target") == [
        ("e0", 1.0, True), ("e1", 1.0, True), ("e2", -1.0, False), ("e3", 1.0, True),
    ]  # fmt: skip


def test_how_late_each_source_tells_is_measured(con, add, write, log):
    add(event(1, at=-10), event(2, at=-29), event(3, occurred_at=None))  # received at 0, 1 and 2 s
    log.append([Draft("event", json.dumps(event(4, at=0)).encode(), "e4", received_at=RECEIVED_AT)], "other")
    write(0, 4)
    assert list(arrival.lag(con, 0, 4)) == [
        {"source": "other", "rows": 1, "p50_s": 0.0, "p95_s": 0.0, "max_s": 0.0},
        {"source": "test", "rows": 2, "p50_s": 20.0, "p95_s": 29.0, "max_s": 30.0},
    ]


def test_a_repeated_event_counts_once(con, log, add, write):
    same = event(1)
    add(same, {**same, "value": 2.0})  # the log itself takes an event_id once
    add({**event(2), "event_id": None}, event(3))
    head = log.head()
    counts = write(0, head)
    assert (counts.interactions, counts.repeated) == (3, 0)
    # The ledger is lost and the same records are cut anew: none is doubled.
    con.execute("delete from micro_batches")
    con.execute("update interactions set log_offset = log_offset + 1000")
    counts = write(0, head)
    assert (counts.interactions, counts.repeated) == (0, 3)
    assert con.execute("select count(*), count(distinct event_id) from interactions").fetchall() == [(3, 3)]


def test_one_event_id_of_two_records_counts_once(con, log, write):
    drafts = [Draft("event", json.dumps(event(1)).encode(), own, received_at=RECEIVED_AT) for own in ("a", "b", "c")]
    log.append(drafts[:2], "test")
    counts = write(0, 2)
    assert (counts.interactions, counts.repeated) == (1, 1)
    log.append(drafts[2:], "test")
    counts = write(2, 3)
    assert (counts.interactions, counts.repeated) == (0, 1)
    assert rows(con, "interactions", "log_offset, event_id") == [(0, "e1")]


def test_items_and_users_keep_the_newest_description_and_the_earliest_event(con, add, write):
    add(
        ("item", {"item_id": "i1", "title": "Old", "categories": ["a"]}),
        event(1, at=50),
        ("item", {"item_id": "i1", "title": "New", "categories": ["a", "b"], "year": 1999}),
        event(2, item_id="i1", at=40),
        ("user", {"user_id": "v", "age": 30}),
    )
    write(0, 2)
    write(2, 5)
    [item] = rows(con, "items")
    assert item[0] == "i1"
    assert item[1] == datetime(2023, 11, 14, 22, 14, 0)
    assert item[2:] == ("New", False, ["a", "b"], False, '{"year":1999}', False, 2)
    assert rows(con, "users", "user_id, attributes, attributes_filled, described_offset") == [
        ("u", "{}", True, None), ("v", '{"age":30}', False, 4),
    ]  # fmt: skip
    write(0, 2)  # an older description does not come back
    assert rows(con, "items", "title") == [("New",)]


def test_what_a_description_lacks_is_filled_in_and_marked(con, add, write):
    columns = "item_id, title, title_filled, categories, categories_filled, attributes, attributes_filled"
    add(event(1), ("item", {"item_id": "i2"}), ("item", {"item_id": "i3", "title": "T"}), event(3))
    write(0, 4)
    assert rows(con, "items", columns) == [
        ("i1", "i1", True, [], True, "{}", True),
        ("i2", "i2", True, [], True, "{}", False),
        ("i3", "T", False, [], True, "{}", False),
    ]
    add(("item", {"item_id": "i1", "categories": ["c"], "x": 1}), ("user", {"user_id": "u", "age": 3}), event(4, at=-9))
    assert rows(con, "users", "attributes, attributes_filled") == [("{}", True)]
    write(4, 7)
    assert rows(con, "items", columns)[0] == ("i1", "i1", True, ["c"], False, '{"x":1}', False)
    assert rows(con, "users", "attributes, attributes_filled") == [('{"age":3}', False)]


def test_served_lists_are_no_rows(con, add, write):
    add(("list", {"request_id": "r"}), event(1))
    assert write(0, 2) == Counts(events=1, interactions=1)


def test_ranges_that_cut_through_a_micro_batch_are_refused(con, add, write):
    add(*(event(n) for n in range(6)))
    write(0, 4)
    before = _all(con)
    for start, end in ((0, 3), (2, 6), (0, 6), (1, 2)):
        with pytest.raises(ValueError, match=r"overlap the micro-batches \[0, 4\)"):
            write(start, end)
    for start, end in ((4, 4), (-1, 2), (4, 7)):
        with pytest.raises(ValueError, match="no range"):
            write(start, end)
    assert _all(con) == before
    assert ledger.end(con) == 4


def test_another_log_is_refused(con, add, write):
    add(event(1))
    con.execute("update warehouse set log_id = 'another'")
    with pytest.raises(ValueError, match="log another"):
        write(0, 1)
    assert rows(con, "interactions") == []


def test_a_newer_warehouse_is_refused(tmp_path):
    path = tmp_path / "warehouse.duckdb"
    with warehouse.connect(path) as con:
        con.execute("update warehouse set format_version = 99")
    with pytest.raises(NewerFormat, match="99"):
        warehouse.connect(path)


def test_an_older_warehouse_asks_for_a_rebuild(tmp_path, log, add):
    path = tmp_path / "warehouse.duckdb"
    add(event(1))
    with duckdb.connect(str(path)) as old:
        old.execute(
            "create table warehouse (format_version integer, log_id varchar); insert into warehouse values (1, $1)",
            [log.log_id],
        )
        old.execute("create table interactions (log_offset bigint, late boolean)")
        for name in ("micro_batches", "prequential_metrics", "freshness"):
            old.execute(f"create table {name} (log_id varchar, start_offset bigint, end_offset bigint)")
        old.execute("insert into micro_batches select log_id, 0, 1 from warehouse")
    with pytest.raises(OlderFormat, match="`rebuild`"):
        warehouse.connect(path)
    assert rebuild(path, log, KINDS, "run", 10) == 1
    with warehouse.connect(path) as con:
        assert rows(con, "interactions", "event_id") == [("e1",)]


def test_microseconds_survive():
    at = 1_700_000_000_123_457
    assert warehouse.since_1970(warehouse.timestamp(at)) == at
    assert warehouse.timestamp(-1) == datetime(1969, 12, 31, 23, 59, 59, 999_999)
