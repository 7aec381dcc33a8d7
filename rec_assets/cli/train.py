"""`rec train`: learn from the log by plain calls, without Dagster."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from rec_assets.training.trainer import Learnt, Trainer

console = Console()


def train(
    start: Annotated[int | None, typer.Option("--from", help="first offset; default: where the weights end")] = None,
    end: Annotated[int | None, typer.Option("--to", help="offset behind the last; default: one micro-batch")] = None,
    to_head: Annotated[
        bool, typer.Option("--to-head", help="micro-batch after micro-batch up to the log's end")
    ] = False,
) -> None:
    """Test one micro-batch, learn it, and promote the result if the gate lets it pass. Tables are not written."""
    # JAX takes seconds to import: only who trains pays for it.
    from rec_assets.settings import Settings
    from rec_assets.training.trainer import Trainer

    settings = Settings()
    trainer = Trainer.open(settings)
    at = trainer.state.offset if start is None else start
    last = trainer.log.head() if end is None else end
    if at >= last:
        console.print(f"Nothing to learn: the weights know the log before offset {at}, it ends at {last}.")
        return
    table = Table("offsets", "checkpoint", "tested", "hit@20", "NDCG@10", "hit@20 frozen", "seconds", "gate", box=None)
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
