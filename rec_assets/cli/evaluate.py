"""`rec evaluate`: a file of events, each system tested on what it had not seen."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

SHOWN = ("n", "hit@10", "hit@20", "ndcg@10", "mrr", "coverage@20")


def evaluate(
    events: Annotated[Path, typer.Argument(help="Parquet with user, item, ts (Unix seconds), event, value")],
    out: Annotated[Path, typer.Option(help="where report.json goes; its plots go beside it")],
    protocol: Annotated[
        str, typer.Option(help="prequential: test each batch, then learn it; leave-one-out: as papers' tables have it")
    ] = "prequential",
    warmup: Annotated[float, typer.Option(min=0.05, max=0.95, help="share of the rows that train first")] = 0.5,
    batches: Annotated[int, typer.Option(min=1, help="equal micro-batches of the rest")] = 50,
    repeats: Annotated[bool, typer.Option(help="what a user had is ranked and scored again")] = False,
    kinds: Annotated[str | None, typer.Option(help="kinds of events to keep, comma-separated")] = None,
    items: Annotated[Path | None, typer.Option(help="Parquet with item, title, genres: content only")] = None,
    sample_every: Annotated[int, typer.Option(min=1, help="score every N-th position only")] = 1,
    seed: Annotated[int, typer.Option(help="of all that is drawn")] = 0,
    systems: Annotated[str | None, typer.Option(help="run only these, comma-separated")] = None,
    passes: Annotated[int, typer.Option(min=1, help="leave-one-out: the most passes of the encoder")] = 200,
    ranks: Annotated[Path | None, typer.Option(help="where ranks.parquet goes: a row per event and system")] = None,
) -> None:
    """Measure every system on a stream, full ranking, on events that it had not seen.

    The rows are taken as they are, in their order. Systems: online (learns on), frozen (stops after the first part),
    frozen_weights (its counters go on), linear, source_NAME (a candidate source alone), and baselines that are refitted
    before every batch. The model is that of the settings: REC_TRAIN__EMBEDDING_DIM=32 and so on.
    """
    # JAX takes seconds to import: only who evaluates pays for it.
    from rec_assets.evaluation import runs
    from rec_assets.models.compile import use_cache
    from rec_assets.settings import Settings

    console = Console(stderr=True)
    named = [name for name in runs.PROTOCOLS if name == protocol]
    if not named:
        raise typer.BadParameter(f"{protocol!r} is no protocol: there are {', '.join(runs.PROTOCOLS)}")
    settings = Settings()
    use_cache(settings.data / "compiled")
    asked = runs.Asked(
        events, out, ranks, items, named[0], warmup, batches, sample_every, repeats, _parts(kinds), _parts(systems),
        passes, seed,
    )  # fmt: skip
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("reading", total=1.0)
        try:
            built = runs.run(
                asked, settings.train, lambda what, done: progress.update(task, description=what, completed=done)
            )
        except (ValueError, OSError) as error:  # BadStream and Arrow's own are ValueErrors
            raise typer.BadParameter(str(error)) from error
    table = Table(title=f"{events.name}: {built['events']:,} events")
    table.add_column("system", no_wrap=True)
    for name in SHOWN:
        table.add_column(name, justify="right")
    for system in built["systems"]:
        table.add_row(system["system"], *(_cell(name, system.get(name)) for name in SHOWN))
    console.print(table)


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if name == "n" else f"{value:.4f}"


def _parts(text: str | None) -> tuple[str, ...] | None:
    return tuple(text.split(",")) if text else None
