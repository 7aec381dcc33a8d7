"""The tables as others read them, while one process writes."""

import duckdb
import pytest
from typer.testing import CliRunner

from rec_assets.cli import build
from rec_assets.durable import NewerFormat
from rec_assets.tables import published, warehouse
from rec_tests.tables.conftest import RECEIVED_AT, event, rows

MINUTE = 60_000_000
ALL = [*published.CUT_BY, *published.WHOLE]


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "it's published"


def contents(directory):
    con, _ = published.connect(directory)
    with con:
        return {table: rows(con, table) for table in ALL}


def test_everything_is_published_as_it_is(con, add, write, directory):
    add(*(event(n) for n in range(5)), b"bad", ("item", {"item_id": "i1", "title": "T", "categories": ["a"]}))
    write(0, 7)
    assert published.update(con, directory, RECEIVED_AT)
    assert contents(directory) == {table: rows(con, table) for table in ALL}
    fresh, _ = published.connect(directory)
    described = "select column_name, column_type from (describe interactions)"
    assert fresh.execute(described).fetchall() == con.execute(described).fetchall()


def test_a_run_adds_what_is_new_once_a_minute(con, add, write, directory):
    published.update(con, directory, RECEIVED_AT)
    assert contents(directory) == {table: [] for table in ALL}
    add(*(event(n, user_id=f"u{n}") for n in range(6)))
    write(0, 1)
    published.update(con, directory, RECEIVED_AT)  # of a log that is known now
    write(1, 3)
    assert not published.update(con, directory, RECEIVED_AT + MINUTE - 1)
    assert published.update(con, directory, RECEIVED_AT + MINUTE)
    assert len(contents(directory)["interactions"]) == 3
    write(3, 6)
    published.update(con, directory, RECEIVED_AT + 2 * MINUTE)
    assert contents(directory)["interactions"] == rows(con, "interactions")
    assert len(contents(directory)["users"]) == 1  # an hour behind
    published.everything(con, directory, RECEIVED_AT)
    assert contents(directory)["users"] == rows(con, "users")


def test_long_parts_are_closed_so_that_a_run_writes_no_more_than_one(con, add, write, directory, monkeypatch):
    monkeypatch.setattr(published, "PART_OFFSETS", 4)
    published.update(con, directory, 0)
    written = []
    for number in range(6):
        add(event(2 * number), event(2 * number + 1))
        write(2 * number, 2 * number + 2)
        con.execute("update interactions set value = $number", {"number": number})  # to see which are written again
        published.update(con, directory, (number + 1) * MINUTE)
        written.append([row[8] for row in sorted(contents(directory)["interactions"])])
    assert written[-1] == [1.0] * 4 + [3.0] * 4 + [5.0] * 4
    assert [(part.start, part.end) for part in published.read(directory).parts] == [(0, 4), (4, 8), (8, 12)]
    # The files of the last current.json and of the one before.
    assert len(list((directory / published.read(directory).snapshot).glob("interactions-*"))) == 4


def test_readers_of_the_snapshot_before_are_not_disturbed(con, add, write, directory):
    add(*(event(n) for n in range(4)))
    write(0, 2)
    published.update(con, directory, 0)
    reader, _ = published.connect(directory)
    write(2, 4)
    published.update(con, directory, MINUTE)
    assert len(rows(reader, "interactions")) == 2
    published.everything(con, directory, MINUTE)
    assert len(rows(reader, "users")) == 1
    published.everything(con, directory, MINUTE)
    assert len([path for path in directory.iterdir() if path.is_dir()]) == 2


def test_what_a_killed_run_left_goes_with_the_next(con, add, write, directory):
    add(event(1), event(2))
    write(0, 1)
    published.update(con, directory, 0)
    half = directory / published.read(directory).snapshot / "interactions-half.parquet"
    half.write_bytes(b"PAR1")
    (directory / "half").mkdir()
    write(1, 2)
    published.update(con, directory, MINUTE)
    assert len(contents(directory)["interactions"]) == 2
    assert not half.exists()
    published.everything(con, directory, MINUTE)
    assert not (directory / "half").exists()


def test_tables_that_were_lost_or_left_are_published_anew(con, add, write, directory):
    add(*(event(n) for n in range(4)))
    write(0, 4)
    published.update(con, directory, 0)
    with warehouse.connect(":memory:") as other:
        write(0, 2, con=other)
        assert published.update(other, directory, 1)
    assert len(contents(directory)["interactions"]) == 2
    con.execute("update warehouse set log_id = 'another'")
    assert published.update(con, directory, 2)


def test_nothing_but_the_tables_is_in_reach(con, add, write, directory, tmp_path):
    add(event(1))
    write(0, 1)
    published.update(con, directory, 0)
    reader, _ = published.connect(directory)
    (tmp_path / "secret.csv").write_text("a")
    for query in (
        "delete from users",
        "copy users to 'x.csv'",
        "attach 'x.duckdb'",
        "select 1; select 2",
        "",
        "set x = 1",
    ):
        with pytest.raises(ValueError, match="one SELECT"):
            published.ask(reader, query)
    for query in (f"select * from '{tmp_path / 'secret.csv'}'", "pragma enable_profiling='json'; select 1"):
        with pytest.raises((duckdb.Error, ValueError)):
            published.ask(reader, query)
    assert published.ask(reader, "from interactions select count(*)").fetchall() == [(1,)]


def test_a_newer_snapshot_is_refused(con, directory):
    published.update(con, directory, 0)
    (directory / "current.json").write_text('{"format_version": 99}')
    with pytest.raises(NewerFormat, match="99"):
        published.connect(directory)


def test_rec_sql_answers_while_the_tables_are_being_written(tmp_path, monkeypatch, add, write):
    monkeypatch.setenv("REC_DATA", str(tmp_path))
    run = CliRunner().invoke
    command = build("sql")
    before = run(command, ["sql", "select 1"])
    assert (before.exit_code, "nothing is published" in before.output) == (1, True)
    with warehouse.connect(tmp_path / "warehouse.duckdb") as con:
        add(event(1), event(2, user_id="007"))
        write(0, 2, con=con)
        published.update(con, tmp_path / "published", RECEIVED_AT)
        con.begin()
        asked = run(command, ["sql", "select user_id, count(*) as n from interactions group by all order by all"])
        assert asked.exit_code == 0, asked.output
        assert "007" in asked.output
        piped = run(command, ["sql", "-", "--csv"], input="select user_id, value from interactions order by all")
        assert piped.stdout.splitlines() == ["user_id,value", "007,", "u,"]
        listed = run(command, ["sql"])
        assert "rejected_events" in listed.output
        wrong = run(command, ["sql", "select nothing from nowhere"])
        assert (wrong.exit_code, "nowhere" in wrong.output) == (1, True)
        con.rollback()
