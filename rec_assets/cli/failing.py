"""How a command ends that cannot go on."""

from typing import NoReturn

import typer
from rich.console import Console
from rich.markup import escape


def fail(problem: object) -> NoReturn:
    """Say what is wrong on the standard error and end with exit status 1."""
    Console(stderr=True).print(f"[bold red]error:[/] {escape(str(problem))}", highlight=False, soft_wrap=True)
    raise typer.Exit(1) from None
