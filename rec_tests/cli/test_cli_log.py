"""`rec log`, as a person uses it."""

import pytest
from typer.testing import CliRunner

from rec_assets.cli.log import app
from rec_assets.log import Draft, Log

run = CliRunner().invoke


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.setenv("REC_DATA", str(tmp_path))
    with Log.open(tmp_path / "log") as log:
        log.append([Draft("event", f'{{"user_id":"u{n}\\n"}}'.encode(), f"e{n}") for n in range(1200)], "http", "9")
        yield log


def test_stat_shows_what_there_is(log):
    shown = run(app, ["stat"])
    assert shown.exit_code == 0
    lines = dict(line.split(maxsplit=1) for line in shown.stdout.splitlines())
    assert (lines["log_id"], lines["head"], lines["positions"]) == (log.log_id, "1,200", "1")


def test_tail_shows_the_newest_records_on_a_line_each(log):
    lines = run(app, ["tail", "-n", "2"]).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["1198", "1199"]
    assert "event  http  {" in lines[1]
    assert lines[1].endswith('{"user_id":"u1199\\n"}')


def test_verify_tells_by_its_status(log):
    assert run(app, ["verify"]).stdout == "1,200 records, all there, each once.\n"
    log.tail.con.execute("delete from records where log_offset = 7")
    shown = run(app, ["verify"])
    assert shown.exit_code == 1
    assert "offsets [7, 8) are missing" in shown.output


def test_compact_moves_what_is_old_and_loses_nothing(log):
    assert run(app, ["compact"]).stdout == "The tail is short: nothing moved.\n"
    assert run(app, ["compact", "--keep", "200"]).stdout == "1,000 records moved into segments.\n"
    assert run(app, ["verify"]).exit_code == 0
    assert (log.stat()["segment_rows"], log.stat()["tail_rows"]) == (1000, 200)


@pytest.mark.parametrize("command", ["stat", "tail", "verify", "compact"])
def test_without_a_log_there_is_one_clear_line(tmp_path, monkeypatch, command):
    monkeypatch.setenv("REC_DATA", str(tmp_path / "nowhere"))
    shown = run(app, [command])
    assert shown.exit_code == 1
    assert shown.output.startswith("error: there is no log in ")
    assert not (tmp_path / "nowhere").exists()
