"""How launcher and worker talk: one JSON line each way over a local socket. Standard library only: it loads at once."""

import hashlib
import json
import socket
import tempfile
from pathlib import Path
from typing import Any

PATH_BYTES = 100  # a socket's path may not be longer than this on every system
WORKER_TAG = "rec/worker"  # of a run: "RUN_ID:WORKER"; automatic retries copy tags, so only the own run's is believed
WARM_TAG = "rec/warm"  # of a job: its runs go to the worker


class NoWorker(ConnectionError):
    """Nobody listens: no worker runs, or it has died."""


def address(home: Path) -> Path:
    """Where the worker of this DAGSTER_HOME listens."""
    path = home.absolute() / "worker.sock"
    if len(bytes(path)) <= PATH_BYTES:
        return path
    name = hashlib.sha256(bytes(path)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"rec-worker-{name}.sock"


def ask(home: Path, question: dict[str, Any], timeout: float = 2.0) -> dict[str, Any]:
    """Send one question and return the answer.

    NoWorker where nobody listens or the worker died before it answered; TimeoutError where it lives but is too busy to
    answer within `timeout` seconds.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(timeout)
        try:
            line.connect(str(address(home)))
            line.sendall(json.dumps(question).encode() + b"\n")
            reply = _read_line(line)
        except (ConnectionError, FileNotFoundError) as error:
            raise NoWorker(f"no worker listens for {home}: {error}") from error
    if not reply:
        raise NoWorker(f"the worker of {home} closed the line without an answer")
    answer: dict[str, Any] = json.loads(reply)
    return answer


def serve_one(listener: socket.socket) -> tuple[socket.socket, dict[str, Any]]:
    """Wait for the next question; the caller answers it with `answer`."""
    while True:
        line, _ = listener.accept()
        line.settimeout(2.0)
        try:
            return line, json.loads(_read_line(line) or b"{}")
        except (OSError, ValueError):  # a caller that went away, or no line of JSON
            line.close()


def answer(line: socket.socket, reply: dict[str, Any]) -> None:
    """Answer a question; a caller that did not wait is no error."""
    with line:
        try:
            line.sendall(json.dumps(reply).encode() + b"\n")
        except OSError:
            return


def _read_line(line: socket.socket) -> bytes:
    received = bytearray()
    while not received.endswith(b"\n") and (piece := line.recv(65536)):
        received += piece
    return bytes(received)
