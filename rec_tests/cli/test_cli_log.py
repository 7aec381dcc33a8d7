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


@pytest.mark.parametrize("command", ["stat", "tail", "verify", "compact", "drop --days 1"])
def test_without_a_log_there_is_one_clear_line(tmp_path, monkeypatch, command):
    monkeypatch.setenv("REC_DATA", str(tmp_path / "nowhere"))
    shown = run(app, command.split())
    assert shown.exit_code == 1
    assert shown.output.startswith("error: there is no log in ")
    assert not (tmp_path / "nowhere").exists()


def test_nothing_is_dropped_that_is_not_asked_for_or_still_needed(log, monkeypatch):
    run(app, ["compact", "--keep", "200"])
    shown = run(app, ["drop"])
    assert (shown.exit_code, "set log_keep_days or log_keep_gib" in shown.output) == (1, True)
    for arguments, settings in ((["--days", "0"], {}), ([], {"REC_LOG_KEEP_GIB": "0"})):
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        shown = run(app, ["drop", *arguments])
        assert shown.stdout.splitlines() == [
            "0 records dropped: the log begins at offset 0.",
            "What lies before offset 0 may go, in whole segments: no checkpoint of this log is promoted yet.",
        ]


def test_a_log_without_its_start_is_shown_from_where_it_begins(log):
    run(app, ["compact", "--keep", "200"])
    log.drop(1000, most_bytes=0)
    assert run(app, ["verify"]).stdout == "200 records, all there, each once. 1,000 before them were dropped.\n"
    lines = dict(line.split(maxsplit=1) for line in run(app, ["stat"]).stdout.splitlines())
    assert (lines["start"], lines["head"], lines["segments"]) == ("1,000", "1,200", "0")
    assert len(run(app, ["tail", "-n", "900"]).stdout.splitlines()) == 200
