"""`rec collect`: once, or supervised until it is told to end."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from rec_assets.log import Log


@pytest.fixture
def rec(tmp_path):
    """Runs `rec collect` with a growing file as the source `clicks`."""
    (tmp_path / "a.jsonl").write_text('{"user": "u1", "item": "i"}\n')
    clicks = {"type": "files", "url": str(tmp_path / "a.jsonl"), "follow": True, "every_seconds": 0.05}
    lost = {"type": "files", "url": str(tmp_path / "none.jsonl"), "follow": True}
    env = {
        **os.environ,
        "REC_DATA": str(tmp_path / "data"),
        "REC_SOURCES": json.dumps({"clicks": clicks, "lost": lost}),
    }
    command = [sys.executable, "-c", "from rec_assets.cli import app; app()", "collect"]
    return lambda *arguments: subprocess.Popen(
        [*command, *arguments], env=env, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_once_says_what_came_and_fails_where_a_source_does(rec):
    process = rec("--once")
    out, err = process.communicate(timeout=60)
    assert out.splitlines()[0].endswith("a.jsonl: 1 new records")
    assert "lost  lost: refused: sources.lost: " in out
    assert (process.returncode, err) == (1, "")
    process = rec("nowhere")
    assert "no source is named 'nowhere' in rec.toml; there are clicks, lost" in process.communicate(timeout=60)[1]
    assert process.returncode == 1


@pytest.mark.slow
def test_supervised_it_goes_on_after_a_kill_and_ends_at_a_signal(rec, tmp_path):
    process = rec("clicks")
    assert process.stdout.readline().startswith("following clicks; ")
    with Log.open(tmp_path / "data" / "log") as log:
        for number in range(2, 5):
            wait_for(lambda number=number: log.head() == number - 1)
            [child] = subprocess.check_output(["pgrep", "-P", str(process.pid)], text=True).split()
            os.kill(int(child), signal.SIGKILL)
            with (tmp_path / "a.jsonl").open("a") as file:
                file.write(f'{{"user": "u{number}", "item": "i"}}\n')
        wait_for(lambda: log.head() == 4)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "collect-clicks ended (-9) and was started again" in out
    assert subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, check=False).stdout == b""


def wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
