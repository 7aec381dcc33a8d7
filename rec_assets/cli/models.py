"""`rec models`: the checkpoints, what became of them, and what is served."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from rec_assets.cli.failing import fail
from rec_assets.durable import OtherFormat
from rec_assets.registry import CorruptCheckpoint, Listed, NoCheckpoint, NotPromotable, Registry
from rec_assets.settings import Settings

app = typer.Typer(help="The checkpoints: list, show, promote, roll back.", no_args_is_help=True)
console = Console(width=None if Console().is_terminal else 160)  # a pipe gets whole rows
PROBLEMS = (CorruptCheckpoint, OtherFormat, NoCheckpoint, NotPromotable)
Id = Annotated[str, typer.Argument(help="A checkpoint's id, or as much of its beginning as tells it from others.")]


@app.command("list")
def list_models(limit: Annotated[int, typer.Option(help="The newest so many.", min=1)] = 20) -> None:
    """Show the checkpoints, newest first: range, state and when it came into it, first figures, size."""
    rows = _registry().list()
    if not rows:
        console.print("No checkpoint yet: the first is made once the log holds enough events.")
        return
    table = Table(box=None, header_style="bold")
    for name in ("id", "kind", "parent", "offsets", "state", "since", "hit@20", "MB"):
        table.add_column(name, no_wrap=name in ("id", "parent", "offsets", "since"))
    for row in list(reversed(rows))[:limit]:
        table.add_row(*_cells(row))
    console.print(table)


@app.command()
def show(checkpoint_id: Id) -> None:
    """Print a checkpoint's manifest after its files were compared with it, and its part of the history."""
    registry = _registry()
    name = _found(registry, checkpoint_id)
    try:
        manifest = registry.load(name).manifest
    except PROBLEMS as error:
        fail(error)
    console.print_json(msgspec.json.encode(manifest).decode())
    for line in registry.history():
        if name in (line.id, line.to):
            to = f" to {line.to}" if line.to else ""
            console.print(f"{_time(line.at)}  {line.id} {line.action}{to}{': ' + line.reason if line.reason else ''}")


@app.command()
def promote(checkpoint_id: Id) -> None:
    """Serve a checkpoint from now on; only one that builds on what is served."""
    registry = _registry()
    try:
        pointer = registry.promote(_found(registry, checkpoint_id))
    except PROBLEMS as error:
        fail(error)
    console.print(f"Promoted {pointer.id}: it knows the log before offset {pointer.watermark}.")


@app.command()
def rollback(
    to: Annotated[str | None, typer.Argument(help="An ancestor of what is served; its parent if not given.")] = None,
    at: Annotated[datetime | None, typer.Option(help="In place of it: what was served at this time, UTC.")] = None,
    reason: Annotated[str, typer.Option(help="Kept in the history.")] = "by hand",
) -> None:
    """Serve an earlier checkpoint again. What it had not learnt is skipped, until `rec train --range` asks for it."""
    settings, registry = Settings(), _registry()
    try:
        pointer = registry.rollback(_served_at(registry, at) if at else _found(registry, to) if to else None, reason)
    except PROBLEMS as error:
        fail(error)
    console.print(f"Rolled back from {pointer.previous} to {pointer.id}, offset {pointer.watermark}.")
    note_in_ledger(settings, registry)


def note_in_ledger(settings: Settings, registry: Registry) -> None:
    """The ledger says at once what the registry says, or with the next micro-batch where a run holds the tables."""
    from rec_assets.tables import settling  # DuckDB: not for a listing

    if not settling.settle_now(settings, registry):
        console.print("The next micro-batch notes it in the ledger.")


def _registry() -> Registry:
    return Registry(Settings().checkpoints_dir)


def _found(registry: Registry, beginning: str) -> str:
    found = [each for each in registry.ids() if each.startswith(beginning)]
    if beginning in found:
        return beginning
    if len(found) != 1:
        what = f"{len(found)} checkpoints begin" if found else "No checkpoint begins"
        fail(f"{what} with {beginning!r}: see `rec models list`")
    return found[0]


def _served_at(registry: Registry, at: datetime) -> str:
    found = registry.served_at(round(at.replace(tzinfo=UTC).timestamp() * 1e6))
    if found is None:
        fail(f"Nothing is known to have been served at {at} UTC: see `rec models list` for what was, and since when")
    return found


def _cells(row: Listed) -> tuple[str, ...]:
    manifest, since = row.manifest, _time(row.at) if row.at else ""
    reason = f" ({row.reason})" if row.reason else ""
    state = row.state + reason + "".join(f", pinned as {name}" for name in row.pinned)
    if manifest is None:
        return (row.id, "", "", "", state, since, "", "")
    metrics = manifest.extra.get("metrics")
    online = metrics.get("online") if isinstance(metrics, dict) else None
    hit = online.get("hit@20") if isinstance(online, dict) else None
    return (
        row.id,
        manifest.kind,
        manifest.parent or "",
        f"[{manifest.start}, {manifest.end})".replace("[", r"\["),
        state.replace("[", r"\["),
        since or _time(manifest.created_at),
        "" if hit is None else f"{hit:.3f}",
        f"{row.size / 1e6:.1f}",
    )


def _time(at: int) -> str:
    return datetime.fromtimestamp(at / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S")
