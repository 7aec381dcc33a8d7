"""Streams of rec.toml are followed beside Dagster; nothing runs where there are none."""

import json
import os
import signal
import time

from rec_assets.launcher.processes import collectors
from rec_assets.launcher.supervisor import Supervisor
from rec_assets.log import Log
from rec_assets.settings import Settings


def test_only_streams_are_followed(tmp_path):
    assert collectors(Settings(data=tmp_path)) == []
    sources = {
        "shop": {"type": "kafka", "servers": "localhost:9092", "topic": "clicks"},
        "table": {"type": "sql", "url": "sqlite:///shop.db", "table": "seen"},
        "clicks": {"type": "files", "url": "clicks.jsonl", "follow": True},
    }
    names = [child.name for child in collectors(Settings(data=tmp_path, sources=sources))]
    assert names == ["collect-shop", "collect-clicks"]


def test_a_killed_collector_reads_on(tmp_path, monkeypatch):
    path = tmp_path / "clicks.jsonl"
    path.write_text('{"user": "u", "item": "i"}\n')
    source = {"type": "files", "url": str(path), "follow": True, "every_seconds": 0.1}
    monkeypatch.setenv("REC_SOURCES", json.dumps({"clicks": source}))
    settings = Settings(data=tmp_path)
    with Log.open(settings.log_dir) as log, Supervisor(collectors(settings), tmp_path / "logs") as supervisor:
        wait_for(lambda: log.head() == 1)
        os.kill(supervisor.status()["collect-clicks"].pid, signal.SIGKILL)
        with path.open("a") as file:
            file.write('{"user": "v", "item": "i"}\n')
        wait_for(lambda: log.head() == 2)
        assert supervisor.status()["collect-clicks"].starts == 2


def wait_for(holds, seconds=60):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
