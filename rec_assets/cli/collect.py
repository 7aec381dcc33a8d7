"""`rec collect`: what Kafka, growing files and sources of your own have, into the log, for as long as it runs."""

import signal
import threading
from typing import Annotated

import typer
from rich.console import Console
from rich.status import Status

from rec_assets.cli.failing import fail
from rec_assets.launcher.processes import collectors
from rec_assets.launcher.supervisor import Supervisor
from rec_assets.log import Log
from rec_assets.settings import Settings
from rec_assets.sources import configured
from rec_assets.sources.source import Collected, SourceError

SAY_SECONDS = 5.0


def collect(
    names: Annotated[list[str] | None, typer.Argument(help="Sources of rec.toml; by default all streams.")] = None,
    once: Annotated[bool, typer.Option(help="End when there is nothing new.")] = False,
    here: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Append what sources have to the log, until Ctrl-C. Each is a process of its own, started again when it ends."""
    settings = Settings()
    named = names or configured.streams(settings)
    if not named:
        fail("rec.toml names no source to follow: see docs/guides")
    if unknown := [name for name in named if name not in settings.sources and name != "landing"]:
        there = ", ".join(settings.sources) or "none; see docs/guides"
        fail(f"no source is named {unknown[0]!r} in rec.toml; there are {there}")
    if once:
        _once(settings, named)
    elif here:
        _follow(settings, named[0])
    else:
        _supervise(settings, named)


def _once(settings: Settings, names: list[str]) -> None:
    refused = False
    with Log.open(settings.log_dir) as log:
        for name in names:
            with Console(stderr=True).status(name) as status:

                def say(what: str, records: int, status: Status = status) -> None:
                    status.update(f"{what}: {records:,} records")

                try:
                    found = configured.collect_once(name, settings, log, say)
                except SourceError as error:
                    found = [Collected(name, 0, 0, 0, str(error))]
            for each in found:
                said = f"refused: {each.error}" if each.error else f"{each.records:,} new records"
                typer.echo(f"{name}  {each.file}: {said}")
                refused |= each.error is not None
    if refused:
        raise typer.Exit(1)


def _follow(settings: Settings, name: str) -> None:
    """In this process, which the supervisor started."""
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    with Log.open(settings.log_dir) as log:
        try:
            configured.follow(name, settings, log, stopping.wait)
        except SourceError as error:
            fail(str(error))


def _supervise(settings: Settings, names: list[str]) -> None:
    logs = settings.data.absolute() / "logs"
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    with Log.open(settings.log_dir) as log, Supervisor(collectors(settings, names), logs) as supervisor:
        typer.echo(f"following {', '.join(names)}; their output is in {logs}/collect-*.log; Ctrl-C ends it")
        head = log.head()
        starts = dict.fromkeys(supervisor.status(), 1)
        while not stopping.wait(SAY_SECONDS):
            if log.head() > head:
                typer.echo(f"{log.head() - head:,} records more in the log, {log.head():,} in all")
                head = log.head()
            for child, status in supervisor.status().items():
                if status.starts > starts[child]:
                    typer.echo(f"{child} ended ({status.returncode}) and was started again: see {logs}/{child}.log")
                    starts[child] = status.starts
