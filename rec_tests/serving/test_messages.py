import pytest

from rec_assets.serving.bodies import Refused, parse, split_list
from rec_assets.serving.messages import IDS_LIMIT, Recommend


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 400, None),
        (b"{", 400, None),
        (b"\xff", 400, None),
        (b"[]", 422, None),
        (b"{}", 422, "user_id"),
        (b'{"user_id": "u", "history_item_ids": []}', 422, "user_id"),
        (b'{"user_id": ""}', 422, "user_id"),
        (b'{"user_id": 7}', 422, "user_id"),
        (b'{"user_id": "%s"}' % (b"x" * 257), 422, "user_id"),
        (b'{"user_id": "u", "k": 0}', 422, "k"),
        (b'{"user_id": "u", "k": 101}', 422, "k"),
        (b'{"user_id": "u", "k": 1.5}', 422, "k"),
        (b'{"user_id": "u", "k": true}', 422, "k"),
        (b'{"user_id": "u", "exclude_item_ids": ["a", 3]}', 422, "exclude_item_ids"),
        (b'{"user_id": "u", "kk": 3}', 422, "kk"),
    ],
)
def test_a_wrong_request_is_refused_and_names_the_field(body, status, field):
    with pytest.raises(Refused) as refused:
        parse(body, Recommend)
    assert (refused.value.status, refused.value.field) == (status, field)
    assert field is None or field in refused.value.message


def test_a_request_has_ten_places_unless_it_says_otherwise():
    assert parse(b'{"user_id": "u"}', Recommend).k == 10
    assert parse(b'{"history_item_ids": ["a"], "k": 100}', Recommend).k == 100


def test_events_are_kept_as_they_were_sent():
    assert split_list(b' {"a": 1.50} ') == [b'{"a": 1.50}']
    assert split_list(b'[{"a":1}, {"b": [2]}]') == [b'{"a":1}', b'{"b": [2]}']


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b'{"item_id": "a", "odd\xb7": 1}', 400),
        (b"[" * 100_000, 400),
        (b"[1,", 400),
        (b"[]", 422),
        (b"[%s]" % (b"1," * IDS_LIMIT + b"1"), 413),
    ],
)
def test_what_holds_no_events_is_refused(body, status):
    with pytest.raises(Refused) as refused:
        split_list(body)
    assert refused.value.status == status
