"""`rec`: each command is a module of this folder, imported only when it is called, so that help comes at once."""

import importlib
import sys
from typing import Any

import typer

# In the order in which a newcomer needs them: the module's function or app, and its line of help.
COMMANDS = {
    "demo": ("demo:demo", "The whole loop on MovieLens 100K, watched live."),
    "fetch": ("fetch:fetch", "Fetch a public data set."),
    "collect": ("collect:collect", "What Kafka, growing files and sources of your own have, into the log."),
    "replay": ("replay:replay", "Send a file of events to the service as a live stream."),
    "train": ("train:train", "Test and train on what waits in the log, without Dagster."),
    "evaluate": ("evaluate:evaluate", "Test then train over a whole file, beside frozen models and baselines."),
    "models": ("models:app", "Checkpoints: list, show, promote, roll back."),
    "serve": ("serve:serve", "The BentoML service and its page."),
    "keys": ("keys:app", "API keys of the service: add, rotate, revoke."),
    "rules": ("rules:app", "Business rules of the service: check them before they hold."),
    "sql": ("sql:sql", "Ask the tables, read-only, while the loop runs."),
    "forget": ("forget:forget", "Erase a user from log, tables, live state and checkpoints."),
    "log": ("log:app", "The log: stat, tail, verify, compact."),
    "doctor": ("doctor:doctor", "Check that everything is in order, and say what to do where it is not."),
}


def app() -> None:
    """Run the command that the arguments name."""
    build(sys.argv[1] if len(sys.argv) > 1 else None)()


def build(called: str | None) -> typer.Typer:
    """The command line, of which only the command that is called is imported; the others are their line of help."""
    root = typer.Typer(
        name="rec", help=welcome.__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )  # fmt: skip
    root.callback()(welcome)
    for name, (target, line) in COMMANDS.items():
        found = _import(name, target) if name == called else welcome
        if isinstance(found, typer.Typer):
            root.add_typer(found, name=name, help=line)
        else:
            root.command(name, help=None if name == called else line)(found)
    return root


def _import(name: str, target: str) -> Any:
    module, _, attribute = target.partition(":")
    try:
        return getattr(importlib.import_module(f"rec_assets.cli.{module}"), attribute)
    except ModuleNotFoundError as error:
        sys.exit(f"rec {name}: {error}. It needs rec-assets with the extra `pipeline`, or `serve` for the service.")


def welcome() -> None:
    """An online-learning recommender: what happened a moment ago changes what is shown next.

    Start with `rec demo`. Every setting is REC_… in the environment or a line in rec.toml.
    """
