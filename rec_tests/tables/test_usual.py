"""What came lately beside what came before: shares, volume, sources."""

from datetime import timedelta

import pytest

from rec_assets.tables import checks, usual, warehouse
from rec_tests.tables.conftest import RECEIVED_AT

PAST = """
insert into interactions by name select
  range as log_offset, 'web' as source, 'e' || range as event_id, 'u' as user_id, 'i' as item_id,
  case when range % 10 = 0 then 'purchase' else 'view' end as event, 1.0 as weight, true as target,
  case when range % 4 = 0 then 1.5 end as value, false as value_filled, false as occurred_at_filled,
  $at + to_seconds(60 * range) as received_at, $at as occurred_at, 'r' as request_id
from range($start, $end)
"""
AT = warehouse.timestamp(RECEIVED_AT).replace(minute=0, second=0)


@pytest.fixture(autouse=True)
def _past(con):
    con.execute(PAST, {"at": AT, "start": 0, "end": 2_000})


def test_more_of_the_same_is_usual(con):
    for check in (usual.kind_mix, usual.null_shares):
        result = check(con, 1_500, 2_000)
        assert (result.passed, result.offenders, result.figures) == (True, [], {"rows": 500, "past_rows": 1_500})


def test_another_mix_is_named_with_its_shares(con):
    con.execute("update interactions set event = 'purchase' where log_offset >= 1700 and log_offset % 2 = 0")
    result = usual.kind_mix(con, 1_700, 2_000)
    assert not result.passed
    assert result.offenders == [
        {"event": "purchase", "share": 0.5, "before": 0.1}, {"event": "view", "share": 0.5, "before": 0.9},
    ]  # fmt: skip
    con.execute("update interactions set event = 'unheard' where log_offset >= 1700")
    assert [row["event"] for row in usual.kind_mix(con, 1_700, 2_000).offenders] == ["unheard", "view"]


def test_what_is_missing_more_often_is_named(con):
    con.execute("update interactions set request_id = null, value = 2 where log_offset >= 1700")
    result = usual.null_shares(con, 1_700, 2_000)
    assert result.offenders == [
        {"what": "request_id is null", "share": 1.0, "before": 0.0},
        {"what": "value is null", "share": 0.0, "before": 0.75},
    ]


def test_few_rows_say_nothing(con):
    con.execute("update interactions set event = 'purchase', value = null where log_offset >= 1900")
    for check in (usual.kind_mix, usual.null_shares):
        assert check(con, 1_900, 2_000).passed  # 100 rows
        assert check(con, 900, 2_000).passed  # 900 before them
        assert check(con, 5_000, 6_000).passed  # none


def test_an_hour_of_another_size_is_named(con):
    con.execute("insert into interactions select * from interactions where log_offset < 1990")  # 120 an hour
    con.execute("insert into interactions select interactions.* from interactions, range(30)")
    now = warehouse.since_1970(AT + timedelta(hours=30))
    assert usual.volume(con, now).passed
    con.execute("delete from interactions where received_at >= $at", {"at": AT + timedelta(hours=29, minutes=1)})
    result = usual.volume(con, now)
    assert not result.passed
    assert [row["hour"] for row in result.offenders] == [str(AT + timedelta(hours=29))]
    assert result.figures["hours"] == 24
    con.execute("delete from interactions where received_at >= $at", {"at": AT + timedelta(hours=29)})
    assert usual.volume(con, now).figures["newest_hour"] == 0
    assert not usual.volume(con, now).passed
    assert usual.volume(con, warehouse.since_1970(AT + timedelta(days=9))).passed  # nothing to compare with


def test_a_source_that_went_silent_is_named(con):
    con.execute("update interactions set source = 'once' where log_offset < 60")
    last = AT + timedelta(minutes=1_999)
    assert usual.sources_fresh(con, warehouse.since_1970(last + timedelta(hours=2))).passed
    result = usual.sources_fresh(con, warehouse.since_1970(last + timedelta(hours=4)))
    assert result.offenders == [{"source": "web", "last_at": str(last), "silent_hours": 4.0}]
    assert result.figures == {"sources": 1, "silent": 1}


def test_an_id_without_its_row_is_named(con):
    con.execute("insert into users (user_id) values ('u'); insert into items (item_id) values ('i')")
    assert checks.ids_known(con, 0, 2_000).passed
    con.execute("update interactions set user_id = 'v', item_id = 'j' where log_offset = 7")
    result = checks.ids_known(con, 0, 2_000)
    assert (result.passed, result.figures) == (False, {"unknown_ids": 2})
    assert sorted(row["problem"] for row in result.offenders) == ["items lack item_id j", "users lack user_id v"]
    assert checks.ids_known(con, 8, 2_000).passed
