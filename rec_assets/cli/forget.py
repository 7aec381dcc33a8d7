"""`rec forget`: a user's data leaves every file of the installation."""

import json
import sqlite3
import sys
from typing import Annotated

import duckdb
import typer
from rich.console import Console
from rich.table import Table

from rec_assets.cli.failing import fail

console = Console(width=None if Console().is_terminal else 120)


def forget(
    user: Annotated[str, typer.Argument(help="The user_id, exactly as events name it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON; needs --yes.")] = False,
) -> None:
    """Forget a user: erase them from log, tables, live state, replay and every kept checkpoint.

    The log gets one record of kind "forget"; from there the service and the trainer drop the user's history within a
    second. Then every file that knows the user is written anew: the log's tail and segments (offsets stay), the tables
    and their published copies, checkpoints (under new ids; what is served follows), files in landing/done. The loop may
    go on meanwhile. Killed, the same command finishes the job. What counters have summed over many people stays, and so
    do the learnt weights: docs/guides/forgetting.md says what that means.
    """
    # JAX takes seconds to import: not for --help.
    from rec_assets.forgetting import bentos_of
    from rec_assets.forgetting import forget as forget_user
    from rec_assets.log import DamagedLog, NewerFormat, NoLog
    from rec_assets.settings import Settings

    if as_json and not yes:
        fail("--json cannot ask: add --yes")
    if not yes:
        typer.confirm(f"Erase everything that is stored of user {user!r}? It cannot be undone", abort=True)
    settings = Settings()
    try:
        with Console(stderr=True).status("forgetting") as status:
            report = forget_user(settings, user, status.update)
            bentos = bentos_of(settings, user) if report.offset is not None else []
    except duckdb.IOException as error:
        fail(f"{error}\nanother process holds the tables for long: run the same command again to finish")
    except (NoLog, NewerFormat, DamagedLog, sqlite3.Error, OSError) as error:
        fail(f"{error}\nrun the same command again to finish")
    still_hold = [*report.still_hold, *bentos]
    if as_json:
        sys.stdout.write(json.dumps({"user_id": user, **report._asdict(), "still_hold": still_hold}) + "\n")
        return
    if report.offset is None:
        console.print(f"Nobody here knows user {user!r}: no event, and no other record. Nothing was changed.")
        return
    table = Table(box=None, header_style="bold", title=f"Forgotten at offset {report.offset}", title_justify="left")
    for name in ("where", "what", "how many"):
        table.add_column(name, justify="right" if name == "how many" else "left")
    for place, counts in report.counts.items():
        for what, number in counts.items():
            table.add_row(place, what, f"{number:,}")
    console.print(table)
    for each in still_hold:
        console.print(f"still holds the user: {each}", style="yellow", markup=False)
