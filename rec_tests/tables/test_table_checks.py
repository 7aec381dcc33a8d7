import pytest

from rec_assets.tables import checks
from rec_tests.tables.conftest import event


@pytest.fixture(autouse=True)
def _two_micro_batches(add, write):
    add(*(event(n, at=n) for n in range(6)))
    write(0, 4)
    write(4, 6)


def test_all_checks_hold_of_what_was_written(con):
    assert checks.schema(con, 0, 6).passed
    assert checks.each_event_once(con, 4, 6).passed
    assert checks.each_event_once_anywhere(con).passed
    assert checks.ledger_contiguous(con).passed
    assert checks.ledger_contiguous(con).figures == {
        "micro_batches": 2,
        "gaps": 0,
        "interactions": 6,
        "interactions_of_ledger": 6,
    }


def test_checks_hold_of_nothing(con):
    for table in ("interactions", "micro_batches"):
        con.execute(f"delete from {table}")
    assert checks.schema(con, 0, 6).passed
    assert checks.each_event_once(con, 0, 6).passed
    assert checks.ledger_contiguous(con).passed


def test_a_repeated_event_is_named_with_its_offsets(con):
    con.execute("insert into interactions select * replace (99 as log_offset) from interactions where event_id = 'e5'")
    result = checks.each_event_once(con, 4, 6)
    assert not result.passed
    assert result.figures == {"repeated": 1}
    assert result.offenders == [{"event_id": "e5", "rows": 2, "log_offsets": [5, 99]}]
    assert checks.each_event_once(con, 0, 4).passed
    assert not checks.each_event_once_anywhere(con).passed


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("user_id = ''", "user_id is empty"),
        ("item_id = null", "item_id is empty"),
        ("weight = null", "the kind of event is unknown"),
        ("occurred_at = null", "a time is missing"),
        ("occurred_at = received_at + interval 2 day", "occurred_at is more than a day ahead"),
        ("value = 'inf'::double", "value is not finite"),
    ],
)
def test_a_malformed_row_is_named(con, change, problem):
    con.execute(f"update interactions set {change} where event_id = 'e4'")
    result = checks.schema(con, 4, 6)
    assert result.offenders == [{"log_offset": 4, "event_id": "e4", "problem": problem}]
    assert not result.passed
    assert checks.schema(con, 0, 4).passed


def test_a_changed_table_is_named(con):
    con.execute("alter table items drop column title")
    result = checks.schema(con, 0, 6)
    assert not result.passed
    assert [offender["table"] for offender in result.offenders] == ["items"]


def test_a_gap_in_the_ledger_is_named(con):
    con.execute("update micro_batches set start_offset = 5 where start_offset = 4")
    result = checks.ledger_contiguous(con)
    assert not result.passed
    assert result.offenders == [{"start_offset": 5, "end_offset": 6, "expected": 4}]


def test_rows_that_the_ledger_does_not_count_are_told(con):
    con.execute("delete from interactions where event_id = 'e0'")
    result = checks.ledger_contiguous(con)
    assert not result.passed
    assert (result.figures["interactions"], result.figures["interactions_of_ledger"]) == (5, 6)
