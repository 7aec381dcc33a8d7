"""Children run, start again, and none is left behind."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from rec_assets.launcher.supervisor import Child, NotReady, Supervisor

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


def wait_until(holds, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(pid):
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def test_a_killed_child_starts_again_and_a_stopped_one_does_not(tmp_path):
    supervisor = Supervisor([Child("sleeper", SLEEP)], tmp_path)
    supervisor.start()
    supervisor.wait_ready(10)
    first = supervisor.status()["sleeper"].pid
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: supervisor.status()["sleeper"].starts == 2)
    second = supervisor.status()["sleeper"].pid
    assert supervisor.status()["sleeper"].returncode == -signal.SIGKILL
    supervisor.stop()
    supervisor.stop()
    assert not alive(first)
    assert not alive(second)


def test_stop_takes_grandchildren_and_those_who_ignore_sigterm(tmp_path):
    stubborn = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"child = subprocess.Popen({SLEEP!r}); print(child.pid, flush=True); time.sleep(600)"
    )
    child = Child("stubborn", [sys.executable, "-c", stubborn])
    log = tmp_path / "stubborn.log"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rec_assets.launcher.supervisor.GRACE_SECONDS", 0.5)
        with Supervisor([child], tmp_path) as supervisor:
            wait_until(lambda: log.exists() and log.read_text().endswith("\n"))
            pids = [supervisor.status()["stubborn"].pid, int(log.read_text())]
            assert all(alive(pid) for pid in pids)
        wait_until(lambda: not any(alive(pid) for pid in pids))


def test_a_child_waits_for_another_and_ready_is_asked_for(tmp_path):
    flag = tmp_path / "flag"
    children = [Child("first", SLEEP, ready=flag.exists), Child("second", SLEEP, after="first")]
    with Supervisor(children, tmp_path / "logs") as supervisor:
        with pytest.raises(NotReady, match="first"):
            supervisor.wait_ready(0.3)
        assert supervisor.status()["second"].starts == 0
        flag.touch()
        supervisor.wait_ready(10)
        assert supervisor.status()["second"].running


def test_a_child_that_is_not_restarted_is_named_when_it_ends(tmp_path):
    child = Child("brief", [sys.executable, "-c", "print('gone')"], ready=lambda: False, restart=False)
    with Supervisor([child], tmp_path) as supervisor, pytest.raises(NotReady, match=r"brief.*brief\.log"):
        supervisor.wait_ready(10)
    assert (tmp_path / "brief.log").read_text() == "gone\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_children_end_when_the_supervisor_is_killed(tmp_path):
    code = (
        "import pathlib, signal, time; from rec_assets.launcher.supervisor import Child, Supervisor;"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN);"  # as whoever starts it may have it, which is inherited
        f"s = Supervisor([Child('sleeper', {SLEEP!r})], pathlib.Path({str(tmp_path)!r})); s.start(); s.wait_ready(10);"
        "print(s.status()['sleeper'].pid, flush=True); time.sleep(600)"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=root) as process:
        pid = int(process.stdout.readline())
        assert alive(pid)
        process.kill()
    wait_until(lambda: not alive(pid))
