"""What assets, sensors and jobs open. Each reads the settings when it is opened."""

import contextlib
import importlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg
import duckdb

from rec_assets.log import Log
from rec_assets.registry import Registry
from rec_assets.settings import Settings
from rec_assets.tables import warehouse

if TYPE_CHECKING:
    from rec_assets.training.trainer import Trainer

_trainers: list["Trainer"] = []  # at most one: the warm worker's, kept from run to run


class EventLog(dg.ConfigurableResource[Log]):
    """The append-only log."""

    def open(self) -> Log:
        """Open it, or begin it; a context manager."""
        return Log.open(Settings().log_dir)


class Warehouse(dg.ConfigurableResource[duckdb.DuckDBPyConnection]):
    """The DuckDB file. While one process writes it, no other can open it, not even to read: use pool "duckdb"."""

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Open it; a context manager."""
        return warehouse.connect(Settings().warehouse_path)


class Checkpoints(dg.ConfigurableResource[Registry]):
    """The registry of checkpoints."""

    def open(self) -> Registry:
        """Open it; nothing needs to be closed."""
        return Registry(Settings().checkpoints_dir)


class Learner(dg.ConfigurableResource[None]):
    """The trainer, kept in memory between the runs of one process for as long as it holds what is promoted."""

    @contextlib.contextmanager
    def open(self) -> Iterator["Trainer"]:
        """The trainer at the promoted checkpoint. One that an error leaves half-way is thrown away."""
        settings = Settings()
        promoted = Registry(settings.checkpoints_dir).promoted()
        trainer = _trainers.pop() if _trainers else None
        if trainer is not None and (trainer.settings, trainer.checkpoint_id) != (settings, promoted):
            trainer.close()
            trainer = None
        trainer = trainer or _open_trainer(settings)
        try:
            yield trainer
        except BaseException:
            trainer.close()
            raise
        _trainers.append(trainer)


def warm_up() -> None:
    """What the warm worker does before it is ready: load the promoted checkpoint and compile.

    The drift detectors take seconds to import and are needed last: they come while it is ready already. Where events
    wait, as they do after a crash, the run that learns them compiles what it needs, and no more, from the cache.
    """
    with Learner().open() as trainer:
        if not trainer.log.count_events(trainer.state.offset, trainer.log.head()):
            trainer.warm()
    threading.Thread(target=importlib.import_module, args=("river.drift",), daemon=True).start()


def _open_trainer(settings: Settings) -> "Trainer":
    # JAX takes seconds to import: only who learns pays for it, not the code server.
    from rec_assets.training.trainer import Trainer

    return Trainer.open(settings)
