"""`rec serve` as a process beside a bench: started on a free port, stopped, and what its workers cost."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from rec_assets.cli.serve import command, environment
from rec_assets.settings import Settings

TICK = os.sysconf("SC_CLK_TCK")
PATIENCE = 1_200.0  # seconds until every worker is ready, of which nearly all may be compilation


@contextmanager
def service(settings: Settings, workers: int) -> Iterator[int]:
    """The port of a service that is ready, every worker of it."""
    port, output = free_port(), settings.data / "service.txt"
    process = subprocess.Popen(
        command("127.0.0.1", port),
        env=environment(settings, workers),
        stdout=output.open("wb"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        ready: set[str] = set()
        deadline = time.monotonic() + PATIENCE
        while len(ready) < workers:  # each answers for itself
            assert process.poll() is None and time.monotonic() < deadline, output.read_text()[-3_000:]
            try:
                answer = httpx.get(f"http://127.0.0.1:{port}/status", timeout=5)
                if answer.status_code == 200 and answer.json()["ready"]:
                    ready.add(answer.json()["worker"])
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
        yield port
    finally:
        stop(process)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads a session, and all of the session with it."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def pids(port: int, workers: int) -> list[int]:
    """Process ids of so many workers: each names its own."""
    found: set[int] = set()
    for _ in range(1_000):
        found.add(int(httpx.get(f"http://127.0.0.1:{port}/status").json()["worker"].split("-")[0]))
        if len(found) == workers:
            return sorted(found)
    raise AssertionError(f"{len(found)} of {workers} workers answered a thousand requests")


def cpu_seconds(processes: list[int]) -> float:
    """CPU of all of these processes together, so far."""
    spent = 0
    for pid in processes:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        spent += int(fields[11]) + int(fields[12])
    return spent / TICK
