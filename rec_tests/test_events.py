"""One validation: what it takes, what it says of the rest, and that its two paths and two doors agree."""

import math
import time

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rec_assets import validation
from rec_assets.events import InvalidEvent, check, parse, printable
from rec_assets.log import Record
from rec_assets.settings import KINDS, Kind

NOW = 1_700_000_000_000_000  # µs
GOOD = {"user_id": "u", "item_id": "i", "event": "click"}


def record(payload, kind="event", offset=0):
    content = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
    return Record(offset, kind, "test", None, NOW, f"record-{offset}", content)


def parsed(*payloads, kind="event"):
    return parse([record(payload, kind, offset) for offset, payload in enumerate(payloads)], KINDS)


def refusal(payload):
    with pytest.raises(InvalidEvent) as caught:
        check(record(payload).payload, NOW, KINDS)
    return caught.value


def test_an_event_becomes_a_row_of_columns():
    context = {"page": "home", "position": 3}
    whole = GOOD | {"event_id": "e", "value": 4, "occurred_at": 12, "request_id": "r", "context": context, "other": [1]}
    events = parsed(whole).events
    assert (events.event_id, events.user_id, events.item_id, events.event) == (["e"], ["u"], ["i"], ["click"])
    assert (events.value.tolist(), events.occurred_at.tolist(), events.received_at.tolist()) == (
        [4.0],
        [12 * 10**6],
        [NOW],
    )
    assert (events.request_id, msgspec.json.decode(events.context[0])) == (["r"], context)


def test_what_an_event_does_not_say_is_its_records_or_absent():
    events = parsed({"user_id": "u", "event": "click"}, GOOD | {"item_id": None, "value": None, "context": None}).events
    assert events.event_id == ["record-0", "record-1"]
    assert events.occurred_at.tolist() == [NOW, NOW]
    assert (events.item_id, events.request_id, events.context) == ([None, None], [None, None], [None, None])
    assert np.isnan(events.value).all()
    assert events.to_arrow().column("value").null_count == 2


@pytest.mark.parametrize(
    "user_id",
    ["007", "12345678901234567890", "NA", "null", "a-b/c", "a b", " a ", "👩‍👩‍👧 é", "x" * 256, "\u200b", "None"],
)
def test_ids_are_text_as_they_stand(user_id):
    assert parsed(GOOD | {"user_id": user_id}).events.user_id == [user_id]


@pytest.mark.parametrize(
    ("time", "micros"),
    [
        ("1997-12-04T15:55:49Z", 881_250_949_000_000),
        ("1997-12-04 15:55:49", 881_250_949_000_000),
        ("1997-12-04T16:55:49.000001+01:00", 881_250_949_000_001),
        ("1997-12-04", 881_193_600_000_000),
        (881_250_949, 881_250_949_000_000),
        (881_250_949.25, 881_250_949_250_000),
        (881_250_949_250, 881_250_949_250_000),
        (881_250_949_250_001, 881_250_949_250_001),
        ("1969-12-31T23:59:59Z", -1_000_000),
    ],
)
def test_times_are_utc_in_microseconds(time, micros):
    assert parsed(GOOD | {"occurred_at": time}).events.occurred_at.tolist() == [micros]


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"user_id": None}, "user_id", "is missing"),
        ({"user_id": ""}, "user_id", "has 0 characters; 1 to 256 are allowed"),
        ({"user_id": "x" * 257}, "user_id", "has 257 characters; 1 to 256 are allowed"),
        ({"user_id": 42}, "user_id", "is not a string"),
        ({"item_id": "a\x00b"}, "item_id", "has a control character"),
        ({"item_id": "a\nb"}, "item_id", "has a control character"),
        ({"event_id": "\x9f"}, "event_id", "has a control character"),
        ({"request_id": 1.5}, "request_id", "is not a string"),
        ({"event": "clack"}, "event", "is not one of view, click"),
        ({"event": None}, "event", "is missing"),
        ({"event": ["click"]}, "event", "is not one of"),
        ({"value": "4"}, "value", "is not a number"),
        ({"value": True}, "value", "is not a number"),
        ({"value": 10**400}, "value", "is not finite"),
        ({"occurred_at": "yesterday"}, "occurred_at", "is neither an ISO 8601 time nor"),
        ({"occurred_at": True}, "occurred_at", "is neither"),
        ({"occurred_at": NOW / 1e6 + 86_401}, "occurred_at", "is more than a day ahead"),
        ({"occurred_at": 1e300}, "occurred_at", "is more than a day ahead"),
        ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "occurred_at", "is before 1900"),
        ({"context": {"x": "y" * 17_000}}, "context", "is longer than 16384 bytes"),
        ({"event": "read", "value": -0.5}, "value", "is less than 0"),
    ],
)
def test_a_wrong_field_is_named_with_its_value_and_the_reason(change, field, reason):
    error = refusal(GOOD | change)
    assert (error.field, error.reason.startswith(reason)) == (field, True), error
    assert len(error.value) <= 120


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"broken",
        b"[1]",
        b'"a"',
        b"[" * 100_000,
        b'{"user_id":"\xff"}',
        b'{"user_id":"\\ud800"}',
        b"{}{}",
        b"\xff" * 9,
        b'{"user_id":"u","event":"click","context":{"a":"\xff"}}',
        b'{"user_id":"u","event":"click","value":1e999}',
    ],
)
def test_what_is_no_json_object_is_refused_as_a_whole(payload):
    error = refusal(payload)
    assert error.field == ""
    assert error.value.isprintable()


def test_values_outside_of_a_kinds_range_are_rejected_with_their_rule():
    kinds = {"rating": Kind(least=0.5, most=5.0)}
    rows = [GOOD | {"event": "rating", "value": value} for value in (0.5, 5, 0, 5.5, None)]
    found = parse([record(row, offset=n) for n, row in enumerate(rows)], kinds)
    assert found.events.offset.tolist() == [0, 1, 4]
    assert list(zip(found.rejected.rule, found.rejected.value, found.rejected.reason, strict=True)) == [
        ("range", "0", "is less than 0.5"), ("range", "5.5", "is more than 5"),
    ]  # fmt: skip


def test_each_rejection_names_its_rule():
    changes = [{"user_id": None}, {"user_id": 4}, {"user_id": "x" * 300}, {"item_id": "\x00"}, {"event": "clack"}]
    changes += [{"value": 10**400}, {"occurred_at": "soon"}, {"occurred_at": -1e10}]
    rules = [refusal(GOOD | change).rule for change in changes]
    assert rules == ["missing", "type", "length", "control character", "kind", "range", "time", "time"]
    assert refusal(b"[1]").rule == "json"


def test_it_is_known_whether_an_event_said_when():
    assert parsed(GOOD, GOOD | {"occurred_at": 5}).events.dated.tolist() == [False, True]


def test_a_day_ahead_is_still_taken():
    assert len(parsed(GOOD | {"occurred_at": NOW / 1e6 + 86_399}).events) == 1


def test_bad_records_do_not_disturb_their_neighbours():
    found = parsed(GOOD, b"broken", GOOD | {"value": "x"}, GOOD)
    assert found.events.offset.tolist() == [0, 3]
    assert (found.rejected.offset.tolist(), found.rejected.field) == ([1, 2], ["", "value"])
    assert found.rejected.to_arrow().column_names == ["offset", "reason", "field", "value", "rule"]


def test_kinds_of_records_are_told_apart_and_lists_passed_over():
    records = [
        record(GOOD),
        record({"item_id": "i"}, "item", 1),
        record({"user_id": "u"}, "user", 2),
        record({}, "list", 3),
        record({"user": "digest", "salt": "s", "key": 7}, "forget", 4),
        record({"item_id": "i", "new_user": True}, "erased", 5),
    ]
    found = parse(records, KINDS)
    assert [columns.offset.tolist() for columns in found] == [[0], [1], [2], [], [4, 5]]
    assert (found.erasures.user, found.erasures.item_id) == (["digest", ""], [None, "i"])
    assert (found.erasures.key.tolist(), found.erasures.new_user.tolist()) == ([7, -1], [False, True])


def test_items_keep_what_else_is_said_of_them():
    items = parsed(
        {"item_id": "i", "title": "T", "categories": ["a", "b"], "year": 1995, "brand": "x"},
        {"item_id": "j"},
        kind="item",
    ).items
    assert (items.title, items.categories) == (["T", None], [["a", "b"], []])
    assert items.attributes == ['{"brand":"x","year":1995}', "{}"]
    assert items.to_arrow().schema.field("categories").type == pa.list_(pa.string())


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({"title": "x"}, "item_id"),
        ({"item_id": "i", "title": 3}, "title"),
        ({"item_id": "i", "categories": "a"}, "categories"),
    ],
)
def test_a_wrong_item_is_rejected(payload, field):
    assert parsed(payload, kind="item").rejected.field == [field]


def test_nothing_gives_empty_columns_of_the_same_types():
    empty, full = parsed(), parsed(GOOD)
    assert [len(columns) for columns in empty] == [0, 0, 0, 0, 0]
    assert empty.events.to_arrow().schema == full.events.to_arrow().schema


def test_values_are_shown_on_one_line():
    assert printable("a\nb\x00\u202e") == "a\\nb\\x00\\u202e"
    assert printable(b"\xff") == "\\xff"
    assert len(printable("x" * 1000)) == 120


def test_ten_thousand_events_take_well_under_a_second():
    records = [
        record(GOOD | {"event_id": f"e{i}", "value": 3.5, "occurred_at": "1997-12-04T15:55:49Z"}, offset=i)
        for i in range(10_000)
    ]
    started = time.process_time()
    assert len(parse(records, KINDS).events) == 10_000
    assert time.process_time() - started < 0.3  # 20 to 30 ms on a quiet machine


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["click", "\x00", "2020-01-01"])
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
payloads = st.binary(max_size=40) | st.dictionaries(
    st.sampled_from(["event_id", "user_id", "item_id", "event", "value", "occurred_at", "request_id", "context", "x"]),
    values,
).map(lambda payload: msgspec.json.encode({"user_id": "u", "event": "click"} | payload))


@settings(deadline=None)
@given(payloads)
def test_both_doors_take_the_same_and_the_fast_path_agrees_with_the_slow_one(payload):
    found = parse([record(payload)], KINDS)
    try:
        check(payload, NOW, KINDS)
    except InvalidEvent as error:
        assert (found.rejected.reason, found.rejected.field, found.rejected.value) == (
            [error.reason],
            [error.field],
            [error.value],
        )
        return
    (fast,), slow = [validation.read_event(payload, NOW, KINDS)], validation._event_by_field(payload, NOW, KINDS)
    assert fast[:4] + fast[5:] == slow[:4] + slow[5:]
    assert fast[4] == slow[4] or (math.isnan(fast[4]) and math.isnan(slow[4]))
    assert len(found.events) == 1
    found.events.to_arrow().validate(full=True)
