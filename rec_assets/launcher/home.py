"""DAGSTER_HOME in the data folder: made once, by one process, from dagster.yaml."""

import os
import shutil
from pathlib import Path

import dagster as dg
import typer

from rec_assets import durable
from rec_assets.settings import Settings

TEMPLATE = Path(__file__).parents[2] / "dagster.yaml"


def prepare(home: Path) -> Path:
    """Make a DAGSTER_HOME with its databases if there is none, and give it the present dagster.yaml; its absolute path.

    Two processes that initialise one at the same time break it ("table already exists"): this waits for the other.
    """
    home = home.absolute()
    home.mkdir(parents=True, exist_ok=True)
    with durable.locked(home / ".lock"):
        if not TEMPLATE.exists():
            raise FileNotFoundError(f"{TEMPLATE} is missing: Dagster is started from the project's folder")
        beside = home / ".dagster.yaml"
        shutil.copyfile(TEMPLATE, beside)
        beside.replace(home / "dagster.yaml")
        with instance(home) as opened:
            opened.get_runs(limit=1)  # reads each database, which creates it
            opened.event_log_storage.get_pool_config()
            opened.all_instigator_state()
    return home


def instance(home: Path) -> dg.DagsterInstance:
    """The instance of this DAGSTER_HOME, which the environment then names for what is started later."""
    os.environ["DAGSTER_HOME"] = str(home)
    return dg.DagsterInstance.get()


def main() -> None:
    """Prepare data/dagster and print where it is: DAGSTER_HOME=$(python -m rec_assets.launcher.home)."""
    typer.echo(prepare(Settings().data / "dagster"))


if __name__ == "__main__":
    main()
