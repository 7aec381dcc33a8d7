"""`rec log`: what the log holds, its newest records, whether all of it is there; compaction and retention by hand."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from rec_assets import log_retention
from rec_assets.cli.failing import fail
from rec_assets.durable import OtherFormat
from rec_assets.log import DamagedLog, Log, NoLog, Record, RecordsDropped
from rec_assets.settings import Settings
from rec_assets.validation import printable

app = typer.Typer(help="The log: stat, tail, verify, compact, drop.", no_args_is_help=True)
POLL_SECONDS = 0.2
PAYLOAD_CHARACTERS = 200


@app.command()
def stat() -> None:
    """Say what the log holds: ids, offsets, rows, bytes."""
    with _log() as log:
        for name, value in log.stat().items():
            shown = _time(value) if name.endswith("_at") and value is not None else value
            typer.echo(f"{name:<20}{'–' if shown is None else f'{shown:,}' if isinstance(shown, int) else shown}")


@app.command()
def tail(
    rows: Annotated[int, typer.Option("--rows", "-n", help="The newest so many records.", min=0)] = 10,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
) -> None:
    """Print the newest records: offset, time, kind, source, payload."""
    with _log() as log:
        at = max(log.head() - rows, log.start())
        while True:
            head = log.head()
            for records in log.batches(at, head):
                for record in records:
                    typer.echo(_line(record))
            at = head
            if not follow:
                return
            time.sleep(POLL_SECONDS)


@app.command()
def verify() -> None:
    """Read all of the log: no gap, every file as it was written, no event_id twice. Exit status 1 where not."""
    with _log() as log:
        with Console(stderr=True).status(f"reading {log.head():,} records"):
            problems = log.verify()
        for problem in problems:
            typer.echo(problem, err=True)
        if problems:
            raise typer.Exit(1)
        start, head = log.start(), log.head()
        dropped = f" {start:,} before them were dropped." if start else ""
        typer.echo(f"{head - start:,} records, all there, each once.{dropped}")


@app.command()
def compact(
    keep: Annotated[
        int | None, typer.Option(help="Records left in the tail; default: the setting log_tail_rows.", min=0)
    ] = None,
) -> None:
    """Move what is old from the SQLite tail into Parquet segments, as the loop does once an hour; offsets stay."""
    with _log() as log:
        with Console(stderr=True).status("moving records"):
            moved = log.compact(Settings().log_tail_rows if keep is None else keep)
        records = sum(end - start for start, end in moved)
        typer.echo(f"{records:,} records moved into segments." if moved else "The tail is short: nothing moved.")


@app.command()
def drop(
    days: Annotated[
        float | None, typer.Option(help="Drop segments older than this; default: the setting log_keep_days.", min=0)
    ] = None,
    gib: Annotated[
        float | None, typer.Option(help="Drop while segments are larger; default: the setting log_keep_gib.", min=0)
    ] = None,
) -> None:
    """Drop the oldest segments, for good, as far as no checkpoint and no table needs them; the loop does so hourly."""
    given = {"log_keep_days": days, "log_keep_gib": gib}
    settings = Settings().model_copy(update={name: value for name, value in given.items() if value is not None})
    if settings.log_keep_days is None and settings.log_keep_gib is None:
        fail("all of the log is kept: set log_keep_days or log_keep_gib, or give --days or --gib")
    with _log() as log:
        before, gone = log.start(), log_retention.apply(settings, log)
        typer.echo(f"{log.start() - before:,} records dropped: the log begins at offset {log.start():,}.")
        if not gone:
            bound = log_retention.needed(settings, log)
            typer.echo(f"What lies before offset {bound.offset:,} may go, in whole segments: {bound.by}.")


@contextmanager
def _log() -> Iterator[Log]:
    try:
        with Log.open(Settings().log_dir, create=False) as log:
            yield log
    except (NoLog, OtherFormat, DamagedLog, RecordsDropped, sqlite3.Error, OSError) as error:
        fail(error)


def _line(record: Record) -> str:
    shown = printable(record.payload, PAYLOAD_CHARACTERS)
    return f"{record.offset}  {_time(record.received_at)}  {record.kind}  {printable(record.source, 24)}  {shown}"


def _time(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S")
