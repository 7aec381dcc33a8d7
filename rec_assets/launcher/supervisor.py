"""A small process supervisor: what it starts runs until it stops it, and nothing that it started outlives it."""

import contextlib
import ctypes
import functools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS = 0.5, 30.0
STEADY_SECONDS = 30.0  # one that ran so long starts again without waiting
GRACE_SECONDS = 10.0  # from SIGTERM to SIGKILL
LOG_BYTES = 20 * 2**20  # a longer log is put aside as NAME.log.1 when its child starts
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class NotReady(TimeoutError):
    """A child did not become ready in time, or gave up; the message names it and its log."""


@dataclass(frozen=True)
class Child:
    """One process to keep running."""

    name: str  # also of its log file
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)  # added to the supervisor's own
    ready: Callable[[], bool] | None = None  # None: ready as soon as it runs
    restart: bool = True
    after: str | None = None  # started once that child is ready
    nice: int = 0  # above 0: gives way to others


class Status(NamedTuple):
    """How a child does."""

    pid: int | None
    running: bool
    ready: bool
    starts: int
    returncode: int | None  # of the last process that ended


class _Kept:
    """A child and its process."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.process: subprocess.Popen[bytes] | None = None
        self.ready = False
        self.starts = 0
        self.returncode: int | None = None
        self.began = 0.0
        self.next_start = 0.0
        self.backoff = 0.0

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def gave_up(self) -> bool:
        return self.starts > 0 and not self.running and not self.child.restart


class Supervisor:
    """Start children in their own process groups, restart those that end, stop them all. Also a context manager."""

    def __init__(self, children: Sequence[Child], logs: Path) -> None:
        """Output goes to NAME.log in the folder `logs`."""
        self.logs = logs
        self._kept = {child.name: _Kept(child) for child in children}
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        # The kernel kills a child when the thread that started it ends, so one thread starts them all.
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def __enter__(self) -> "Supervisor":
        """Start."""
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Stop."""
        self.stop()

    def start(self) -> None:
        """Begin to start the children; returns at once."""
        self.logs.mkdir(parents=True, exist_ok=True)
        self._thread.start()

    def wait_ready(self, timeout: float) -> None:
        """Wait until every child is ready; NotReady after so many seconds, or when one ended that is not restarted."""
        deadline = time.monotonic() + timeout
        while lagging := [name for name, kept in self._kept.items() if not kept.ready]:
            ended = [name for name in lagging if self._kept[name].gave_up]
            if ended or time.monotonic() > deadline:
                name = (ended or lagging)[0]
                path = self.logs / f"{name}.log"
                raise NotReady(f"{name} is not ready. {path} ends with:\n{_end(path)}")
            time.sleep(0.05)

    def status(self) -> dict[str, Status]:
        """How each child does, by name."""
        return {
            name: Status(
                kept.process.pid if kept.process else None, kept.running, kept.ready, kept.starts, kept.returncode
            )
            for name, kept in self._kept.items()
        }

    def stop(self) -> None:
        """SIGTERM to all process groups, last started first; SIGKILL to what the grace leaves. Safe to repeat."""
        self._stopping.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()

    def _watch(self) -> None:
        try:
            while not self._stopping.is_set():
                for kept in self._kept.values():
                    self._look_after(kept)
                self._stopping.wait(0.1)
        finally:
            self._end_all()

    def _look_after(self, kept: _Kept) -> None:
        if kept.running:
            if not kept.ready:
                kept.ready = kept.child.ready is None or kept.child.ready()
            return
        now = time.monotonic()
        if kept.process is not None:  # it has just ended
            kept.returncode, kept.ready = kept.process.returncode, False
            _signal_group(kept.process.pid, signal.SIGKILL)  # what it started itself
            kept.process = None
            kept.backoff = (
                0.0
                if now - kept.began > STEADY_SECONDS
                else min(max(BACKOFF_SECONDS, 2 * kept.backoff), LONGEST_BACKOFF_SECONDS)
            )
            kept.next_start = now + kept.backoff
        waits = kept.child.after is not None and not self._kept[kept.child.after].ready and kept.starts == 0
        if not waits and now >= kept.next_start and not kept.gave_up:
            self._start(kept)

    def _start(self, kept: _Kept) -> None:
        path = self.logs / f"{kept.child.name}.log"
        if path.exists() and path.stat().st_size > LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        with path.open("ab") as log:
            kept.process = subprocess.Popen(  # noqa: S603 - argv comes from our own code
                kept.child.argv,
                env={**os.environ, **kept.child.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=functools.partial(_begin, kept.child.nice),
            )
        kept.starts += 1
        kept.began = time.monotonic()

    def _end_all(self) -> None:
        kept_running = [kept for kept in reversed(self._kept.values()) if kept.process is not None]
        for kept in kept_running:
            assert kept.process is not None
            _signal_group(kept.process.pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        for kept in kept_running:
            assert kept.process is not None
            with contextlib.suppress(subprocess.TimeoutExpired):
                kept.process.wait(max(0.0, deadline - time.monotonic()))
            _signal_group(kept.process.pid, signal.SIGKILL)
            kept.returncode, kept.ready = kept.process.wait(), False


def _end(path: Path, lines: int = 8) -> str:
    """The last lines of a log, so that who waits sees the cause at once."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else "nothing"


def _signal_group(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, number)


def _begin(nice: int) -> None:
    """In the child, before it becomes its program: end when the supervisor dies, be it by SIGKILL (Linux only)."""
    os.nice(nice)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # who started the supervisor may have it ignored, which is inherited
    if LIBC is not None:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
