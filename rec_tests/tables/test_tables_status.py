import json

import pytest

from rec_assets.durable import NewerFormat
from rec_assets.tables import finish, status, warehouse
from rec_assets.tables.status import Skip
from rec_tests.tables.conftest import RECEIVED_AT, event


def test_status_of_nothing(con):
    built = status.build(con, None, None, RECEIVED_AT)
    assert (built.end, built.events, built.micro_batches, built.metrics, built.skipped) == (0, 0, 0, {}, [])
    assert built.freshness == {"weights": None, "own": None}
    assert built.log_id is None


def test_status_says_where_the_loop_stands(con, add, write, tmp_path):
    add(*(event(n) for n in range(8)), b"bad")
    for start, end in ((0, 2), (2, 4), (4, 6), (6, 9)):
        write(start, end)
    finish.trained(con, 0, 2, "c1", {})
    finish.promoted(con, 0, 2, "c1")
    finish.refused(con, 2, 4, "c2", "loss rose")
    finish.trained(con, 4, 6, "c3", {"online": {"n": 1, "hit@20": 1.0, "mrr": 0.5}, "frozen": {"n": 2, "hit@20": 0.0}})
    finish.trained(con, 6, 9, "c4", {"online": {"n": 3, "hit@20": 0.0}, "frozen": {"n": 0, "hit@20": float("nan")}})
    finish.promoted(con, 4, 6, "c3")
    built = status.build(con, "c3", 6, RECEIVED_AT)
    assert (built.end, built.events, built.rejected, built.micro_batches) == (9, 8, 1, 4)
    assert built.skipped == [Skip(2, 4, "loss rose")]
    assert built.open == [(6, 9)]
    assert built.metrics == {"online": {"n": 4, "hit20": 0.25, "mrr": 0.5}, "frozen": {"n": 2, "hit20": 0.0}}
    assert built.log_id == warehouse.log_id(con)
    drawn = built.recent
    assert [(batch.start, batch.state) for batch in drawn.batches] == [
        (0, "promoted"), (2, "refused"), (4, "promoted"), (6, "stored"),
    ]  # fmt: skip
    assert (drawn.curve.offsets, drawn.curve.hit20) == ([6, 9], {"online": [1.0, 0.0], "frozen": [0.0, None]})
    assert [(row.rule, row.n) for row in drawn.rejections] == [("json", 1)]
    assert [source.n for source in drawn.sources] == [8]
    path = tmp_path / "data" / "status.json"
    status.write(path, built)
    assert status.read(path) == built
    assert json.loads(path.read_bytes())["skipped"] == [[2, 4, "loss rose"]]
    assert list(path.parent.iterdir()) == [path]


def test_freshness_leaves_out_what_waited_for_the_first_checkpoint(con, add, write):
    add(*(event(n) for n in range(6)))
    for start in (0, 2, 4):
        write(start, start + 2)
        finish.trained(con, start, start + 2, f"c{start}", {})
    con.execute("update micro_batches set served_at = $at", {"at": warehouse.timestamp(RECEIVED_AT + 10_000_000)})
    found = status.build(con, "c4", 6, RECEIVED_AT).freshness["weights"]
    assert found["n"] == 4
    assert found["p50_s"] == pytest.approx((8 + 7 + 6 + 5) / 4)


def test_no_status_before_the_first_run(tmp_path):
    assert status.read(tmp_path / "status.json") is None


def test_a_status_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "status.json"
    path.write_text("{")
    with pytest.raises(ValueError, match=r"status\.json cannot be read"):
        status.read(path)
    path.write_text('{"format_version": 9}')
    with pytest.raises(NewerFormat):
        status.read(path)
