"""The warm worker: one process with everything imported and compiled, which takes one run after the other.

It listens before it imports anything heavy, so that a run that comes while it boots waits for it instead of starting a
second process; when it is used up it replaces itself in place, and the listening socket stays open.
"""

import argparse
import collections
import contextlib
import importlib
import logging
import os
import pathlib
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

from rec_assets.launcher import channel

if TYPE_CHECKING:
    import dagster as dg

logger = logging.getLogger(__name__)
LISTENER = "REC_WORKER_LISTENER"  # the socket's number, handed on when the worker replaces itself
MEMORY_GROWTH, MEMORY_SLACK = 2.0, 2**30  # bytes: what it may use is GROWTH * (use after the first run) + SLACK


class Worker:
    """The queue of runs and what is being done; questions are answered by a thread, runs are executed by `work`."""

    def __init__(self, home: pathlib.Path, recycle_runs: int) -> None:
        """`recycle_runs`: after so many runs the worker replaces itself."""
        self.home = home
        self.recycle_runs = recycle_runs
        self.id = f"{os.getpid()}-{time.time_ns()}"
        self.booting = home / "worker.booting"
        # A boot that never ended may be the fault of what is loaded: then no run is kept waiting for this one.
        self.accepts = not self.booting.exists()
        self.ready = False
        self.stopping = False
        self.waiting: collections.deque[str] = collections.deque()
        self.current: str | None = None
        self.stopped: set[str] = set()  # runs that were told to stop
        self.done = 0
        self.first_rss = 0
        self.changed = threading.Condition()

    def reply(self, question: dict[str, Any]) -> dict[str, Any]:
        """The answer to a launcher's question, see channel.py."""
        run_id = question.get("run")
        with self.changed:
            match question.get("ask"):
                case "hello":
                    runs = [*self.waiting, *([self.current] if self.current else [])]
                    state = {"worker": self.id, "ready": self.ready, "accepts": self.accepts, "done": self.done}
                    return state | {"pid": os.getpid(), "runs": runs}
                case "take" if isinstance(run_id, str):
                    if self.accepts and run_id not in self.waiting and run_id != self.current:
                        self.waiting.append(run_id)
                        self.changed.notify_all()
                    return {"taken": self.accepts}
                case "stop" if run_id == self.current and run_id is not None:
                    self.stopped.add(run_id)
                    os.kill(os.getpid(), signal.SIGINT)  # Dagster turns it into an interruption of the step
                    return {"stopped": True}
                case "stop":
                    # One that waits is dropped when its turn comes, because it no longer is to be started.
                    return {"stopped": run_id in self.waiting}
                case unknown:
                    return {"error": f"unknown question {unknown!r}"}

    def listen(self, listener: socket.socket) -> None:
        """Answer questions for ever."""
        while True:
            line, question = channel.serve_one(listener)
            channel.answer(line, self.reply(question))

    def stop(self, _signal: int, _frame: FrameType | None) -> None:
        """Leave: at once where nothing is done, else after the run."""
        self.stopping = True
        if self.current is None:
            self.booting.unlink(missing_ok=True)
            raise SystemExit(0)

    def boot(self, module: str, warm_up: str) -> "dg.DagsterInstance":
        """Import the definitions and warm up; only then is the worker ready."""
        self.booting.touch()
        import dagster as dg

        importlib.import_module(module)
        instance = dg.DagsterInstance.get()
        _function(warm_up)()
        with self.changed:
            self.waiting.extend(run for run in _orphans(instance) if run not in self.waiting)
            self.ready = self.accepts = True
        self.booting.unlink()
        return instance

    def work(self, instance: "dg.DagsterInstance") -> None:
        """Execute runs until it is time to be replaced or to stop."""
        while not self.stopping and not self._used_up():
            with self.changed:
                while not self.waiting:
                    self.changed.wait(1.0)  # not for ever: a signal's handler runs between two waits
            self._work_once(instance)

    def _work_once(self, instance: "dg.DagsterInstance") -> None:
        from dagster._utils.interrupts import capture_interrupts, check_captured_interrupt

        with capture_interrupts():  # from here to its end a signal interrupts the run, not the worker
            with self.changed:
                run_id = self.current = self.waiting.popleft()
            interrupted = execute(instance, run_id) or check_captured_interrupt()
            with self.changed:
                self.current = None
                self.done += 1
            if interrupted and run_id not in self.stopped:
                self.stopping = True  # it was the worker that was told to stop

    def _used_up(self) -> bool:
        import psutil

        rss = psutil.Process().memory_info().rss
        if self.done == 1:
            self.first_rss = rss
        return self.done >= self.recycle_runs or bool(
            self.first_rss and rss > MEMORY_GROWTH * self.first_rss + MEMORY_SLACK
        )


def execute(instance: "dg.DagsterInstance", run_id: str) -> bool:
    """Execute one run in this process; True where it was interrupted.

    What goes wrong is in the run's own log, and the worker goes on.
    """
    import dagster as dg
    from dagster._core.errors import DagsterExecutionInterruptedError
    from dagster._grpc.impl import core_execute_run
    from dagster._utils.hosted_user_process import recon_job_from_origin

    run = instance.get_run_by_id(run_id)
    if run is not None and run.status == dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run)
        return False
    if run is None or run.status != dg.DagsterRunStatus.STARTING or run.job_code_origin is None:
        logger.info("run %s is not to be started", run_id)
        return False
    started, interrupted = time.monotonic(), False
    try:
        job = recon_job_from_origin(run.job_code_origin)
        for _event in core_execute_run(job, run, instance, inject_env_vars=False):
            pass
    except (DagsterExecutionInterruptedError, KeyboardInterrupt):
        interrupted = True
    except Exception:  # a process boundary
        logger.exception("run %s ended with an error", run_id)
    logger.info("run %s took %.2f s%s", run_id, time.monotonic() - started, ": interrupted" if interrupted else "")
    return interrupted


def _orphans(instance: "dg.DagsterInstance") -> list[str]:
    """Runs that a worker took and died before it began them, oldest first."""
    import dagster as dg

    waiting = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTING]), ascending=True)
    return [run.run_id for run in waiting if run.tags.get(channel.WORKER_TAG, "").startswith(f"{run.run_id}:")]


def _function(name: str) -> Callable[[], object]:
    module, _, attribute = name.partition(":")
    found: Callable[[], object] = getattr(importlib.import_module(module), attribute)
    return found


def _listener(home: pathlib.Path) -> socket.socket:
    """The listening socket, handed on by this process's former self or new. Exits where another worker listens."""
    if (number := os.environ.pop(LISTENER, None)) is not None:
        return socket.socket(fileno=int(number))
    with contextlib.suppress(channel.NoWorker, TimeoutError):
        raise SystemExit(f"another worker listens for {home}: {channel.ask(home, {'ask': 'hello'})['worker']}")
    path = channel.address(home)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(64)
    return listener


def main() -> None:
    """Run a worker for DAGSTER_HOME until it is told to stop."""
    parser = argparse.ArgumentParser(prog="python -m rec_assets.launcher.worker", description=__doc__)
    parser.add_argument("--module", default="rec_assets.definitions", help="imported before it is ready")
    parser.add_argument("--warm-up", default="rec_assets.resources:warm_up", help="MODULE:FUNCTION called before it is")
    parser.add_argument("--runs", type=int, default=1_000, help="after so many it replaces itself")
    arguments = parser.parse_args()
    home = pathlib.Path(os.environ["DAGSTER_HOME"])
    listener = _listener(home)
    worker = Worker(home, arguments.runs)
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(message)s")
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, worker.stop)
    threading.Thread(target=worker.listen, args=(listener,), daemon=True).start()
    started = time.monotonic()
    with worker.boot(arguments.module, arguments.warm_up) as instance:
        logger.info("worker %s is ready after %.1f s", worker.id, time.monotonic() - started)
        worker.work(instance)
    if not worker.stopping:
        logger.info("worker %s replaces itself after %d runs", worker.id, worker.done)
        os.set_inheritable(listener.fileno(), True)
        os.environ[LISTENER] = str(listener.fileno())
        argv = [sys.executable, "-m", "rec_assets.launcher.worker", *sys.argv[1:]]
        os.execv(sys.executable, argv)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
