"""Several processes at once, some of them killed: nothing that was acknowledged is lost, nothing is there twice."""

import os
import random
import signal
import subprocess
import sys
import threading
import time

from rec_assets.log import Draft, Log

WRITER = """
import sys
from rec_assets.log import Draft, Log
directory, name, start, groups, size = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
from pathlib import Path
log = Log.open(Path(directory))
n = int(log.position(name) or 0) if start < 0 else start
for _ in range(groups):
    drafts = [Draft("event", b"{}", event_id=f"{name}-{n + i}") for i in range(size)]
    log.append(drafts, name, str(n + size))
    n += size
    print(n, flush=True)  # acknowledged
"""
COMPACTER = """
import sys
from pathlib import Path
from rec_assets.log import Log, compaction
compaction.SEGMENT_ROWS = 500
log = Log.open(Path(sys.argv[1]))
print("ready", flush=True)
while True:
    log.compact(100)
"""


def run(script, *arguments):
    return subprocess.Popen([sys.executable, "-c", script, *map(str, arguments)], stdout=subprocess.PIPE, text=True)


def test_two_processes_append_while_a_third_tails_and_a_fourth_compacts(tmp_path):
    log = Log.open(tmp_path)
    compacter = run(COMPACTER, tmp_path)
    assert compacter.stdout.readline() == "ready\n"
    writers = [run(WRITER, tmp_path, name, 0, 100, 20) for name in ("a", "b")]
    seen, at = [], 0
    while len(seen) < 4000:
        head = log.head()
        records = log.read(at, head)
        assert [record.offset for record in records] == list(range(at, head))
        seen += [record.event_id for record in records]
        at = head
    assert [writer.wait() for writer in writers] == [0, 0]
    compacter.kill()
    compacter.wait()
    for name in ("a", "b"):  # each in the order in which it was written
        assert [event_id for event_id in seen if event_id.startswith(name)] == [f"{name}-{n}" for n in range(2000)]
    assert log.verify() == []
    log.close()


def test_a_reader_gets_the_same_records_while_they_move(tmp_path):
    log = Log.open(tmp_path)
    log.append([Draft("event", str(n).encode(), str(n)) for n in range(3000)], "s")
    moved = threading.Event()

    def compact():
        with Log.open(tmp_path) as other:
            for keep in range(2400, -1, -300):
                other.compact(keep)
        moved.set()

    thread = threading.Thread(target=compact)
    thread.start()
    rounds = 0
    while not moved.is_set() or rounds < 3:
        start = random.randrange(3000)
        end = random.randrange(start, 3001)
        assert [record.event_id for record in log.read(start, end)] == [str(n) for n in range(start, end)]
        rounds += 1
    thread.join()
    assert log.stat()["tail_rows"] == 0
    log.close()


def test_killed_writers_lose_nothing_that_was_acknowledged(tmp_path):
    chance = random.Random(7)
    acknowledged = 0
    for _ in range(4):
        writer = run(WRITER, tmp_path, "w", -1, 10_000, 5)
        lines = [writer.stdout.readline()]  # it is at work
        time.sleep(chance.uniform(0.0, 0.15))
        os.kill(writer.pid, signal.SIGKILL)
        lines += writer.stdout.read().splitlines()
        writer.wait()
        acknowledged = int([line for line in lines if line.strip().isdigit()][-1])
        with Log.open(tmp_path) as log:
            position = int(log.position("w"))
            assert acknowledged <= position <= acknowledged + 5  # the last group may have missed its acknowledgement
            assert [record.event_id for record in log.read(0, log.head())] == [f"w-{n}" for n in range(position)]
            assert log.verify() == []


def test_a_killed_compaction_loses_nothing(tmp_path):
    with Log.open(tmp_path) as log:
        log.append([Draft("event", b"{}", str(n)) for n in range(6000)], "s")
    for pause in (0.0, 0.02, 0.05):
        compacter = run(COMPACTER, tmp_path)
        compacter.stdout.readline()
        time.sleep(pause)
        compacter.kill()
        compacter.wait()
        with Log.open(tmp_path) as log:
            assert [record.event_id for record in log.read(0, 6000)] == [str(n) for n in range(6000)]
            assert log.append([Draft("event", b"{}", "17"), Draft("event", b"{}", "5999")], "s") == [17, 5999]
            assert log.verify() == []
    with Log.open(tmp_path) as log:
        log.compact(0)  # may merge segments
        log.compact(0)  # removes what was merged, and what the kills have left
        assert len(list(log.files.directory.iterdir())) == 2 * log.stat()["segments"]
