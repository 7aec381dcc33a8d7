"""`rec keys`: who may call the service from elsewhere."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from rec_assets.cli.failing import fail
from rec_assets.serving import keys as stored
from rec_assets.settings import Settings

app = typer.Typer(no_args_is_help=True, help=__doc__)
Name = Annotated[str, typer.Argument(help="What the key is called: the system that will use it.")]


@app.callback()
def explain() -> None:
    """API keys of the service. They are shown once, stored as hashes in data/keys.json, and counted at once.

    Without a key the service answers this machine alone, and nobody may change the catalogue or forget a user. Scopes:
    read (lists, items, status), feedback (send events), admin (change items, forget users).
    """


@app.command()
def add(
    name: Name,
    scope: Annotated[list[str], typer.Option(help="read, feedback or admin; more than one may be given.")],
    per_second: Annotated[float | None, typer.Option(min=0.1, help="The most requests a second.")] = None,
) -> None:
    """Make a key and show it, once."""
    wrong = [one for one in scope if one not in stored.SCOPES]
    if wrong:
        fail(f"--scope {wrong[0]}: there are {', '.join(stored.SCOPES)}")
    try:
        secret = stored.add(Settings().keys_path, name, [one for one in stored.SCOPES if one in scope], per_second)
    except ValueError as error:
        fail(error)
    _show(secret)


@app.command()
def rotate(
    name: Name,
    overlap: Annotated[int, typer.Option(min=0, help="Seconds for which the old key still counts.")] = 3_600,
) -> None:
    """Replace a key by a new one."""
    try:
        secret = stored.rotate(Settings().keys_path, name, overlap)
    except ValueError as error:
        fail(error)
    _show(secret)


@app.command()
def revoke(name: Name) -> None:
    """A key counts no more, within a second."""
    try:
        stored.revoke(Settings().keys_path, name)
    except ValueError as error:
        fail(error)
    typer.echo(f"{name} is revoked")


@app.command(name="list")
def list_() -> None:
    """The keys: name, scopes, limit, age. What they are nobody can tell."""
    table = Table("name", "scopes", "a second", "made", "until", box=None)
    for key in stored.load(Settings().keys_path).keys:
        until = "" if key.until is None else _day(key.until)
        limit = "" if key.per_second is None else f"{key.per_second:g}"
        table.add_row(key.name, ", ".join(key.scopes), limit, _day(key.made_at), until)
    Console().print(table if table.row_count else "no keys: the service answers this machine alone")


def _show(secret: str) -> None:
    Console(stderr=True).print("Keep it now, it is not shown again. Use: Authorization: Bearer KEY", style="dim")
    typer.echo(secret)


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
