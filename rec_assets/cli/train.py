"""`rec train`: learn from the log by plain calls, without Dagster."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from rec_assets.settings import Settings
    from rec_assets.training.trainer import Learnt, Trainer

console = Console()
COLUMNS = ("offsets", "checkpoint", "tested", "hit@20", "NDCG@10", "hit@20 frozen", "seconds", "gate")


def train(
    start: Annotated[int | None, typer.Option("--from", help="first offset; default: where the weights end")] = None,
    end: Annotated[int | None, typer.Option("--to", help="offset behind the last; default: one micro-batch")] = None,
    to_head: Annotated[
        bool, typer.Option("--to-head", help="micro-batch after micro-batch up to the log's end")
    ] = False,
    again: Annotated[
        str | None, typer.Option("--range", help="START:END, refused or rolled back before, to be learnt after all")
    ] = None,
) -> None:
    """Test one micro-batch, learn it, and promote the result if the gate lets it pass. Tables are not written."""
    # JAX takes seconds to import: only who trains pays for it.
    from rec_assets.settings import Settings
    from rec_assets.training.trainer import Trainer

    settings = Settings()
    if again is not None:
        learn_again(settings, *bounds(again))
        return
    trainer = Trainer.open(settings)
    at = trainer.state.offset if start is None else start
    last = trainer.log.head() if end is None else end
    if at >= last:
        console.print(f"Nothing to learn: the weights know the log before offset {at}, it ends at {last}.")
        return
    table = Table(*COLUMNS, box=None)
    while at < last:
        first = trainer.model is None
        stop = last if first or end is not None else min(last, at + settings.batch_events)
        try:
            learnt = learn(trainer, at, stop)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        table.add_row(f"{at}–{stop}", *cells(learnt))
        if not learnt.gate.passed:
            trainer.registry.refuse(learnt.checkpoint_id, learnt.gate.reason)
            trainer.close()
            trainer = Trainer.open(settings)  # what is in memory has learnt what was refused
        else:
            trainer.registry.promote(learnt.checkpoint_id)
        at = stop
        if not to_head:
            break
    trainer.close()
    console.print(table)


def bounds(text: str) -> tuple[int, int]:
    """START:END as two numbers."""
    start, _, end = text.partition(":")
    if not (start.isdigit() and end.isdigit()):
        raise typer.BadParameter(f"{text!r} is no range: write START:END, e.g. 1200:1600, as `rec models list` has it")
    return int(start), int(end)


def learn_again(settings: "Settings", start: int, end: int) -> None:
    """A range that was passed over becomes what a child of the promoted checkpoint has learnt, if the gate agrees."""
    from rec_assets.cli.models import note_in_ledger
    from rec_assets.training.trainer import Trainer

    trainer = Trainer.open(settings)
    if trainer.model is None:
        raise typer.BadParameter("nothing is promoted yet: `rec train` makes the first checkpoint")
    try:
        learnt = trainer.learn_again(start, end)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    finally:
        trainer.close()
    table = Table(*COLUMNS, box=None)
    table.add_row(f"{start}–{end}", *cells(learnt))
    console.print(table)
    if not learnt.gate.passed:
        trainer.registry.refuse(learnt.checkpoint_id, learnt.gate.reason)
        raise typer.Exit(1)
    trainer.registry.promote(learnt.checkpoint_id)
    note_in_ledger(settings, trainer.registry)


def learn(trainer: "Trainer", start: int, end: int) -> "Learnt":
    """Learn one range, with its progress shown."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(f"offsets {start}–{end}", total=1.0)
        return trainer.learn(start, end, lambda what, done: progress.update(task, description=what, completed=done))


def cells(learnt: "Learnt") -> list[str]:
    """One micro-batch as the table shows it."""
    online, frozen = learnt.metrics.get("online", {}), learnt.metrics.get("frozen", {})
    figures = [online.get("n"), online.get("hit@20"), online.get("ndcg@10"), frozen.get("hit@20")]
    shown = ["–" if value is None else f"{value:.4g}" for value in figures]
    gate = "passed" if learnt.gate.passed else f"refused: {learnt.gate.reason}"
    return [learnt.checkpoint_id, *shown, f"{learnt.seconds['all']:.2f}", gate]
