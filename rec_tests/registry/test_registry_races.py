"""Two processes promote, one is killed while it writes."""

import signal
import subprocess
import sys
import time

from rec_assets.registry import Registry

PROMOTE = """
import sys
from pathlib import Path
from rec_assets.registry import NotPromotable, Registry
registry, children = Registry(Path(sys.argv[1])), sys.argv[2:]
print("ready", flush=True)
sys.stdin.readline()
won = 0
for child in children:
    try:
        registry.promote(child)
        won += 1
    except NotPromotable:
        pass
print(won)
"""
WRITE = """
import sys
from pathlib import Path
import numpy as np
from rec_assets.registry import Registry
def stop(folder):
    (folder / "ids").write_bytes(b"half")
    print("writing", flush=True)
    sys.stdin.readline()
registry = Registry(Path(sys.argv[1]))
registry.write(None, 0, 10, {"encoder": {"item": np.zeros((10, 4), np.float32)}}, log_id="log",
               folders={"state": stop})
"""


def _start(script, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_of_two_processes_one_wins_each_promotion(registry, write):
    first = write(None, 0, 10)
    registry.promote(first)
    rivals = [[write(first, 10, 20)] for _ in range(2)]
    processes = [_start(PROMOTE, str(registry.directory), *children) for children in rivals]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    won = [int(process.communicate(timeout=30)[0]) for process in processes]
    assert sorted(won) == [0, 1]
    assert registry.promoted() == rivals[won.index(1)][0]
    assert [line.action for line in registry.history()] == ["promoted", "promoted"]


def test_a_killed_writer_leaves_nothing_that_can_be_loaded(tmp_path):
    directory = tmp_path / "checkpoints"
    process = _start(WRITE, str(directory))
    assert process.stdout.readline() == "writing\n"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    registry = Registry(directory)
    assert registry.ids() == []
    assert len(list(directory.glob(".draft*"))) == 1
    Registry(directory, clock=lambda: int((time.time() + 7200) * 1e6)).retain(5)
    assert list(directory.glob(".draft*")) == []
