"""`rec evaluate`: a file of events, batch by batch, each system tested before it learns."""

import dataclasses
from pathlib import Path
from typing import Annotated

import msgspec
import pyarrow.parquet as pq
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

SHOWN = ("n", "hit@10", "hit@20", "ndcg@10", "mrr", "coverage@20")


def evaluate(
    events: Annotated[Path, typer.Argument(help="Parquet with user, item, ts (Unix seconds), event, value")],
    out: Annotated[Path, typer.Option(help="where report.json goes")],
    protocol: Annotated[str, typer.Option(help="prequential: test each batch, then learn it")] = "prequential",
    warmup: Annotated[float, typer.Option(min=0.05, max=0.95, help="share of the rows that train first")] = 0.5,
    batches: Annotated[int, typer.Option(min=1, help="equal micro-batches of the rest")] = 50,
    repeats: Annotated[bool, typer.Option(help="what a user had is ranked and scored again")] = False,
    kinds: Annotated[str | None, typer.Option(help="kinds of events to keep, comma-separated")] = None,
    items: Annotated[Path | None, typer.Option(help="Parquet with item, title, genres: content only")] = None,
    sample_every: Annotated[int, typer.Option(min=1, help="score every N-th position only")] = 1,
    seed: Annotated[int, typer.Option(help="of all that is drawn")] = 0,
    systems: Annotated[str | None, typer.Option(help="run only these, comma-separated")] = None,
    ranks: Annotated[Path | None, typer.Option(help="where ranks.parquet goes: a row per event and system")] = None,
) -> None:
    """Measure every system on a stream, full ranking, each batch before it is learnt from."""
    # JAX takes seconds to import: only who evaluates pays for it.
    from rec_assets.evaluation import prequential, report
    from rec_assets.evaluation import stream as streams
    from rec_assets.models.compile import use_cache
    from rec_assets.settings import Settings

    console = Console(stderr=True)
    if protocol != "prequential":
        raise typer.BadParameter(f"{protocol!r} is no protocol: there is prequential")
    settings = Settings()
    use_cache(settings.data / "compiled")
    config = dataclasses.replace(settings.train, seed=seed, repeats=repeats)
    try:
        wanted = prequential.chosen_systems(systems.split(",") if systems else prequential.SYSTEMS)
        stream = streams.read(events, kinds.split(",") if kinds else None, items)
    except (ValueError, OSError) as error:  # BadStream and Arrow's own are ValueErrors
        raise typer.BadParameter(str(error)) from error
    options = prequential.Options(warmup, batches, sample_every, wanted)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("reading", total=1.0)
        outcome = prequential.run(
            stream, config, options, lambda what, done: progress.update(task, description=what, completed=done)
        )
    arguments = {"events": str(events), "kinds": kinds, "items": str(items) if items else None}
    built = report.build(outcome, stream, config, options, arguments)
    out.write_bytes(msgspec.json.format(msgspec.json.encode(built), indent=1))  # NaN becomes null
    if ranks is not None:
        pq.write_table(report.ranks_table(outcome, stream), ranks)
    table = Table(title=f"{events.name}: {len(stream):,} events")
    table.add_column("system", no_wrap=True)
    for name in SHOWN:
        table.add_column(name, justify="right")
    for system in built["systems"]:
        table.add_row(
            system["system"], *(f"{system[name]:,}" if name == "n" else f"{system[name]:.4f}" for name in SHOWN)
        )
    console.print(table)
