import pytest

from rec_assets.settings import KINDS
from rec_assets.tables import finish, ledger, warehouse
from rec_assets.tables.rebuild import rebuild
from rec_tests.tables.conftest import event

TABLES = ("rejected_events", "interactions", "users", "items", "micro_batches", "prequential_metrics", "freshness")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "it's a warehouse.duckdb"


def _contents(path):
    with warehouse.connect(path) as con:
        return {table: con.execute(f"select * from {table} order by all").fetchall() for table in TABLES}


def test_a_rebuild_gives_the_same_tables_and_keeps_the_ledger(path, log, add, write):
    add(*(event(n, at=-n) for n in range(6)), b"bad", ("item", {"item_id": "i1", "title": "T"}))
    with warehouse.connect(path) as con:
        write(0, 5, con=con)
        write(5, 8, con=con)
        finish.trained(con, 0, 5, "c1", {"online": {"n": 2, "hit@20": 0.5}})
        finish.promoted(con, 0, 5, "c1")
    before = _contents(path)
    with warehouse.connect(path) as con:
        con.execute("delete from interactions where event_id = 'e1'; delete from items")
    assert rebuild(path, log, KINDS, "rebuild", 3) == 8
    assert _contents(path) == before
    assert sorted(each.name for each in path.parent.iterdir()) == [path.name, "log"]


def test_a_lost_warehouse_is_made_anew(path, log, add):
    add(*(event(n) for n in range(8)))
    assert rebuild(path, log, KINDS, "rebuild", 3, end=7) == 7
    with warehouse.connect(path) as con:
        assert [(line.start, line.end, line.state) for line in ledger.lines(con)] == [
            (0, 3, "stored"), (3, 6, "stored"), (6, 7, "stored"),
        ]  # fmt: skip
        assert con.execute("select count(*) from interactions").fetchall() == [(7,)]


def test_the_ledger_of_another_log_is_not_kept(path, log, add):
    add(event(1))
    with warehouse.connect(path) as con:
        con.execute("insert into micro_batches (log_id, start_offset, end_offset) values ('another', 0, 100)")
        con.execute("update warehouse set log_id = 'another'")
    assert rebuild(path, log, KINDS, "rebuild", 3) == 1
    with warehouse.connect(path) as con:
        assert warehouse.log_id(con) == log.log_id


def test_what_a_killed_rebuild_left_is_no_hindrance(path, log, add):
    add(event(1))
    path.with_name(f".rebuild-{path.name}").write_bytes(b"half")
    assert rebuild(path, log, KINDS, "rebuild", 3) == 1
