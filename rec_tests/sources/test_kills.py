"""kill -9 while a source is followed: every row is there once, and positions and counts fit."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time

import msgspec
import psycopg
import pytest
from confluent_kafka import Producer

from rec_assets.settings import Settings
from rec_assets.sources import configured

KILLS = int(os.environ.get("REC_KILLS", "3"))  # of each kind of source; bench/ingest.py asks for more
STEPS, STEP_ROWS = 8, 200
FOLLOW = """
import time
from rec_assets.log import Log
from rec_assets.settings import Settings
from rec_assets.sources import configured, growing, kafka, sql
growing.BATCH_ROWS = kafka.BATCH_MESSAGES = sql.PAGE_ROWS = 50
settings = Settings()
with Log.open(settings.log_dir) as log:
    configured.follow("shop", settings, log, lambda seconds: time.sleep(min(seconds, 0.01)) or False)
"""
OWN = """
from pathlib import Path
from rec_assets.log import Draft
from rec_assets.sources import Batch

class Numbers:
    name = "numbers"
    def __init__(self, path):
        self.path = Path(path)
    def read(self, position):
        at, upto = int(position or 0), int(self.path.read_text())
        while at < upto:
            end = min(at + 50, upto)
            payload = '{"user_id": "u", "event": "view", "item_id": "%d"}'
            drafts = [Draft("event", (payload % n).encode(), source_position=str(n)) for n in range(at, end)]
            yield Batch(drafts, str(end))
            at = end
"""
TABLE = "create table seen (id bigint primary key, user_id text, item_id bigint, ts bigint, updated_at {} not null)"


def sqlite(tmp_path, request):
    con = sqlite3.connect(tmp_path / "shop.db", isolation_level=None)
    con.execute("pragma journal_mode = wal")
    con.execute(TABLE.format("bigint"))

    def write(start, end):
        con.execute("begin")
        con.executemany(
            "insert into seen values (?, 'u', ?, 1700000000, ?)",
            [(n, n, 1_700_000_000 + n // 150) for n in range(start, end)],
        )
        con.execute("commit")

    return {"type": "sql", "url": f"sqlite:///{tmp_path}/shop.db", "table": "seen", "every_seconds": 0}, write


def postgres(tmp_path, request):
    url = request.getfixturevalue("postgres")
    con = psycopg.connect(url, autocommit=True)
    con.execute("drop table if exists seen")
    con.execute(TABLE.format("timestamptz"))

    def write(start, end):
        with con.transaction(), con.cursor() as cursor:
            rows = [(n, n, 1_700_000_000 + n // 150) for n in range(start, end)]
            cursor.executemany("insert into seen values (%s, 'u', %s, 1700000000, to_timestamp(%s))", rows)

    return {"type": "sql", "url": url, "table": "seen", "every_seconds": 0}, write


def kafka(tmp_path, request):
    producer = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 0})
    brokers = producer.list_topics(timeout=10).brokers.values()

    def write(start, end):
        for n in range(start, end):
            producer.produce("seen", b'{"user": "u", "item": "%d", "event": "view"}' % n, partition=n % 3)
        assert producer.flush(10) == 0

    servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    producer.produce("seen", b"no event", partition=0)
    producer.flush(10)
    options = {"session.timeout.ms": "6000", "heartbeat.interval.ms": "500"}
    return {"type": "kafka", "servers": servers, "topic": "seen", "options": options}, write


def growing(suffix):
    def make(tmp_path, request):
        path = tmp_path / f"seen.{suffix}"
        path.write_text("user,item,event\n" if suffix == "csv" else "")
        row = "u,{},view\n" if suffix == "csv" else '{{"user": "u", "item": "{}", "event": "view"}}\n'

        def write(start, end):
            text = "".join(row.format(n) for n in range(start, end))
            with path.open("a") as file:
                for at in (0, len(text) // 3):  # rows are cut in two
                    file.write(text[at : len(text) // 3 if at == 0 else None])
                    file.flush()
                    time.sleep(0.01)

        return {"type": "files", "url": str(path), "follow": True, "every_seconds": 0}, write

    return make


def folder(tmp_path, request):
    (tmp_path / "in").mkdir()

    def write(start, end):
        path = tmp_path / "in" / f"{start:06}.csv.part"
        path.write_text("user,item,event\n" + "".join(f"u,{n},view\n" for n in range(start, end)))
        path.rename(path.with_suffix(""))

    return {"type": "files", "url": str(tmp_path / "in"), "every_seconds": 0}, write


def own(tmp_path, request):
    (tmp_path / "own_numbers.py").write_text(OWN)
    path = tmp_path / "upto"
    path.write_text("0")

    def write(start, end):
        path.with_suffix(".new").write_text(str(end))
        path.with_suffix(".new").replace(path)

    return {"type": "python", "call": "own_numbers:Numbers", "options": {"path": str(path)}, "every_seconds": 0}, write


SOURCES = {
    "sqlite": sqlite,
    "postgres": postgres,
    "kafka": kafka,
    "csv": growing("csv"),
    "jsonl": growing("jsonl"),
    "folder": folder,
    "own": own,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", SOURCES)
def test_killed_at_random_instants_every_row_is_stored_once(kind, tmp_path, log, request, monkeypatch):
    origin, write = SOURCES[kind](tmp_path, request)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REC_DATA", str(tmp_path))
    monkeypatch.setenv("REC_SOURCES", json.dumps({"shop": origin}))
    instants, written = random.Random(kind), 0
    for _ in range(KILLS):
        for _ in range(STEPS):
            write(written, written + STEP_ROWS)
            written += STEP_ROWS
        process = subprocess.Popen([sys.executable, "-c", FOLLOW])
        wait_for(log, instants.randint(log.head() + 1, written - 1))
        time.sleep(instants.uniform(0.0, 0.01))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert log.verify() == []
    configured.collect_once("shop", Settings(), log)
    payloads = [msgspec.json.decode(record.payload) for record in log.read(0, log.head()) if record.payload[:1] == b"{"]
    assert sorted(int(payload["item_id"]) for payload in payloads) == list(range(written))
    assert (log.head(), log.count_events(0, log.head())) == (written + (kind == "kafka"),) * 2
    assert log.verify() == []
    positions = dict(log.tail.con.execute("select source, position from positions").fetchall())
    assert places(kind, positions, tmp_path) == written + (kind == "kafka")
    assert all(each.records == 0 for each in configured.collect_once("shop", Settings(), log))


def places(kind, positions, tmp_path):
    """How many rows lie before the positions."""
    found = [msgspec.json.decode(position) for position in positions.values()]
    if kind == "kafka":
        return sum(found)
    if kind == "folder":
        return sum(place["rows"] for place in found if "rows" in place)
    if kind in ("csv", "jsonl"):
        assert found[0]["bytes"] == (tmp_path / f"seen.{kind}").stat().st_size
        return found[0]["line"] - (kind == "csv")
    return found[0] if kind == "own" else found[0][1] + 1


def wait_for(log, records, seconds=120):
    deadline = time.monotonic() + seconds
    while log.head() < records:
        assert time.monotonic() < deadline
        time.sleep(0.0005)
