"""`rec replay FILE`: a file's events as a live stream."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from rec_assets import replay as live
from rec_assets.cli.failing import fail
from rec_assets.settings import Settings
from rec_assets.sources.mapping import ColumnMapping
from rec_assets.sources.rows import BrokenFile, count_rows

SPEED = re.compile(r"(\d+(?:\.\d+)?|\.\d+)x?")
DEFAULT_RATE = 100.0
Column = Annotated[str | None, typer.Option(help="Its column, where it has no usual name.")]


def replay(
    file: Annotated[Path, typer.Argument(help="CSV, JSON lines (either may be .gz) or Parquet.", exists=True)],
    speed: Annotated[str | None, typer.Option(help="So many times as fast as it happened: 100x.")] = None,
    rate: Annotated[float | None, typer.Option(help="So many events a second.", min=0.001)] = None,
    url: Annotated[str | None, typer.Option(help="The service; by default the one of the settings.")] = None,
    user_column: Column = None,
    item_column: Column = None,
    event_column: Column = None,
    value_column: Column = None,
    time_column: Column = None,
    event: Annotated[str | None, typer.Option(help="The kind of rows that do not say theirs.")] = None,
) -> None:
    """Send a file's events to the running service, in the file's order. Sending them again stores nothing twice."""
    if speed is not None and rate is not None:
        raise typer.BadParameter("give either --speed or --rate")
    factor = _factor(speed) if speed is not None else None
    settings = Settings()
    address = url or f"http://{settings.host}:{settings.service_port}"
    mapping = ColumnMapping(
        user_id=user_column,
        item_id=item_column,
        event=event_column,
        value=value_column,
        occurred_at=time_column,
        default_event=event,
    )
    columns = (TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TextColumn("events"), TimeElapsedColumn())
    try:
        with httpx.Client(base_url=address, timeout=30.0) as client, Progress(*columns) as progress:
            task = progress.add_task("replaying", total=count_rows(file))

            def sent(events: Sequence[dict[str, Any]], _sent_at: float, _offsets: Sequence[int]) -> None:
                progress.advance(task, len(events))

            pace = None if factor else rate or DEFAULT_RATE
            result = live.replay(live.read_events(file, mapping), client, rate=pace, speed=factor, on_sent=sent)
    except (BrokenFile, live.ReplayError) as error:
        fail(error)
    refused = f"; {result.refused:,} rows were refused as no events" if result.refused else ""
    Console().print(f"{result.stored:,} events are in the log{refused}.", highlight=False)


def _factor(speed: str) -> float:
    matched = SPEED.fullmatch(speed)
    if not matched or float(matched[1]) <= 0:
        raise typer.BadParameter(f"{speed!r} is no speed; 100x is a hundred times as fast", param_hint="--speed")
    return float(matched[1])
