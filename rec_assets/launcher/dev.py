"""Dagster, and whoever follows the streams of rec.toml, supervised: what `make dev` runs."""

import argparse
import signal
import threading
import time

import typer

from rec_assets.launcher.processes import collectors, dagster
from rec_assets.launcher.supervisor import NotReady, Supervisor
from rec_assets.ports import find_free
from rec_assets.settings import Settings

READY_SECONDS = 180.0


def main() -> None:
    """Start code server, worker, daemon, webserver and a collector per stream, and keep them running until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="make dev", description=__doc__)
    parser.add_argument("--port", type=int, help="of Dagster's pages; default: REC_DAGSTER_PORT, else 3070")
    parser.add_argument("--no-worker", action="store_true", help="every run in a process of its own: slower")
    arguments = parser.parse_args()
    settings = Settings()
    port, note = find_free(settings.host, arguments.port or settings.dagster_port)
    if note:
        typer.echo(note)
    ended = threading.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: ended.set())
    logs = settings.data.absolute() / "logs"
    typer.echo(f"Starting Dagster; logs are in {logs}")
    children = [*dagster(settings, port, worker=not arguments.no_worker), *collectors(settings)]
    supervisor = Supervisor(children, logs)
    with supervisor:
        _wait_ready(supervisor, ended)
        if not ended.is_set():
            typer.echo(f"Dagster is on http://{settings.host}:{port}; Ctrl-C stops everything.")
            ended.wait()
        typer.echo("Stopping")


def _wait_ready(supervisor: Supervisor, ended: threading.Event) -> None:
    """Wait until all is ready or Ctrl-C; what does not come up in time is named, and goes on being restarted."""
    deadline = time.monotonic() + READY_SECONDS
    while not ended.is_set():
        try:
            supervisor.wait_ready(1.0)
        except NotReady as error:
            if time.monotonic() < deadline:
                continue
            typer.echo(error)
        return


if __name__ == "__main__":
    main()
