"""`rec demo`."""

import signal
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console


def demo(
    rate: Annotated[float, typer.Option(min=1.0, help="Events sent per second.")] = 220.0,
    exit_: Annotated[bool, typer.Option("--exit", help="End after the final table instead of serving on.")] = False,
    report: Annotated[Path | None, typer.Option(help="Write the final figures to this JSON file.")] = None,
    reset: Annotated[bool, typer.Option(help="Start over: remove the log and all that was derived from it.")] = False,
) -> None:
    """The whole loop on MovieLens 100K: train on the first half, replay the second through the service, watch it learn.

    A second call goes on where the first was stopped.
    """
    from rec_assets.demo.run import Demo, Options
    from rec_assets.demo.run import reset as start_over
    from rec_assets.settings import Settings

    settings, console = Settings(), Console()
    signal.signal(signal.SIGTERM, _interrupt)
    if reset:
        start_over(settings)
    try:
        Demo(settings, Options(rate, exit_, report), console).run()
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    except (TimeoutError, OSError) as error:
        console.print(f"[red]{error}[/red]")
        raise typer.Exit(1) from None


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
