import math

import pytest

from rec_assets.tables import finish, ledger, warehouse
from rec_tests.tables.conftest import RECEIVED_AT, event, rows

AT = RECEIVED_AT + 90_000_000


@pytest.fixture(autouse=True)
def _three_micro_batches(add, write):
    add(*(event(n) for n in range(6)))
    for start in (0, 2, 4):
        write(start, start + 2)


def _states(con):
    return [(line.start, line.state, line.reason, line.checkpoint) for line in ledger.lines(con)]


def test_a_micro_batch_is_trained_on_and_promoted(con):
    finish.trained(con, 0, 2, "c1", {}, AT)
    [first, *_] = ledger.lines(con)
    assert (first.state, first.checkpoint, first.trained_at) == ("stored", "c1", warehouse.timestamp(AT))
    finish.promoted(con, 0, 2, "c1", AT + 5)
    [first, *others] = ledger.lines(con)
    assert (first.state, first.promoted_at) == ("promoted", warehouse.timestamp(AT + 5))
    assert [line.state for line in others] == ["stored", "stored"]


def test_metrics_are_kept_per_system_and_replaced_when_taken_again(con):
    figures = {"n": 3.0, "hit@20": 0.5, "f1@5": 0.25, "mrr": math.nan, "loss": 1.5}
    finish.trained(con, 0, 2, "c1", {"online": {"n": 1.0, "hit@20": 0.1}}, AT)
    finish.trained(con, 0, 2, "c2", {"online": figures, "frozen": {"n": 3.0}}, AT)
    columns = "checkpoint, system, n, hit20, f1_5, mrr, more, log_id, start_offset, end_offset"
    [frozen, online] = rows(con, "prequential_metrics", columns)
    assert online[:7] == ("c2", "online", 3, 0.5, 0.25, None, '{"loss":1.5}')
    assert frozen[:7] == ("c2", "frozen", 3, None, None, None, None)
    assert online[7:] == (warehouse.log_id(con), 0, 2)


def test_refused_and_skipped_keep_their_reason(con):
    finish.trained(con, 0, 2, "c1", {}, AT)
    finish.refused(con, 0, 2, "c1", "loss rose")
    finish.skipped(con, 2, 4, "asked to")
    assert _states(con) == [
        (0, "refused", "loss rose", "c1"),
        (2, "skipped", "asked to", None),
        (4, "stored", None, None),
    ]
    finish.promoted(con, 0, 2, "c2", AT)  # asked for again
    assert _states(con)[0] == (0, "promoted", None, "c2")


def test_one_checkpoint_may_take_several_micro_batches(con):
    finish.trained(con, 0, 6, "c1", {"online": {"n": 4}}, AT)
    finish.promoted(con, 0, 6, "c1", AT)
    assert [state for _, state, _, _ in _states(con)] == ["promoted"] * 3
    assert rows(con, "prequential_metrics", "start_offset, end_offset, n") == [(0, 6, 4)]


def test_a_range_that_the_ledger_does_not_have_is_an_error(con):
    with pytest.raises(LookupError, match=r"\[6, 8\)"):
        finish.trained(con, 6, 8, "c1", {"online": {"n": 1}}, AT)
    with pytest.raises(LookupError):
        finish.promoted(con, 1, 2, "c1", AT)
    assert rows(con, "prequential_metrics") == []
    finish.trained(con, 0, 2, "c1", {}, AT)  # the failed transaction is gone


def test_settle_makes_good_a_kill_between_promotion_and_ledger(con):
    finish.promoted(con, 0, 2, "c1", AT)
    assert finish.settle(con, "c2", [(0, 4)], AT + 9) == {"promoted": [(2, 4)], "skipped": []}
    assert _states(con)[:2] == [(0, "promoted", None, "c1"), (2, "promoted", None, "c2")]
    assert finish.settle(con, "c2", [(0, 4)], AT + 9) == {"promoted": [], "skipped": []}


def test_settle_skips_what_was_rolled_back(con):
    finish.promoted(con, 0, 4, "c2", AT)
    assert finish.settle(con, "c1", [(0, 2)], AT) == {"promoted": [], "skipped": [(2, 4)]}
    assert _states(con) == [(0, "promoted", None, "c2"), (2, "skipped", "rolled back", "c2"), (4, "stored", None, None)]
