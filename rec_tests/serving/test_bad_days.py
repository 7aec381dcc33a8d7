"""A disk that is full, and a clock that jumps."""

import json
import subprocess
import sys

import numpy as np

from rec_assets.events import parse
from rec_assets.log import Record
from rec_assets.serving import clock as clocks
from rec_assets.serving.clock import LogClock
from rec_assets.settings import KINDS

FULL = """
import asyncio, json, resource, signal, sys
from pathlib import Path
from rec_assets.serving.bodies import Refused
from rec_assets.serving.feedback import Writer, drafts_of
from rec_assets.settings import KINDS

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit fails, as on a full disk
writer = Writer(Path(sys.argv[1]), limit=10)
writer.start()

def send(n):
    event = {"event_id": f"e{n}", "user_id": "u", "event": "click", "item_id": "i", "context": "x" * 3000}
    return asyncio.run(writer.append(drafts_of(json.dumps(event).encode(), KINDS)))

said = {"stored": [send(0).offsets[0]]}
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
for n in range(1, 200):
    try:
        said["stored"].append(send(n).offsets[0])
    except Refused as refused:
        said |= {"status": refused.status, "message": refused.message, "refused": n}
        break
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
said["again"] = send(said["refused"]).offsets[0]
writer.stop()
sys.stdout.write(json.dumps(said))
"""


def test_on_a_full_disk_feedback_is_refused_loudly_and_taken_again_afterwards(tmp_path):
    run = subprocess.run([sys.executable, "-c", FULL, str(tmp_path / "log")], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout)
    assert said["status"] == 503 and "nothing was stored" in said["message"]
    assert said["stored"] == list(range(said["refused"]))
    assert said["again"] == said["refused"]  # what was refused left nothing behind


def at(occurred_at, received_at):
    payload = b'{"user_id": "u", "item_id": "i", "event": "click", "occurred_at": %d}' % occurred_at
    return parse([Record(0, "event", "", None, received_at * 1_000_000, "e", payload)], KINDS).events


def test_a_clock_that_jumps_back_stands_and_one_that_jumps_forward_goes_on(monkeypatch):
    machine = [2_000_000_000]
    monkeypatch.setattr(clocks.time, "time_ns", lambda: machine[0] * 1_000_000_000)
    clock = LogClock()
    clock.take(at(1_000_000_000, machine[0]))
    told = []
    for machine[0] in (2_000_000_000, 2_000_000_010, 1_999_990_000, 2_000_000_020, 2_000_100_000):
        told.append(clock.now() - 1_000_000_000)
    assert np.allclose(told, [0, 10, 0, 20, 100_000])  # never before the latest event
    machine[0] = 1_999_000_000
    clock.take(at(999_999_999, machine[0]))  # older: it moves nothing
    assert clock.now() == 1_000_000_000
