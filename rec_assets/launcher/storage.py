"""Dagster's SQLite storages with connections that stay open: half of a short run's time went into opening and syncing.

Each commit of the stock classes opens and closes a connection, and syncs twice. Here a process keeps a few, and does
not sync every commit (`synchronous = normal` in WAL mode): a killed process loses nothing, a power cut may lose the
last seconds of Dagster's own records, never the database. The log, the tables and the checkpoints are elsewhere.
"""

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import sqlalchemy
from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._serdes import ConfigurableClassData

BUSY_SECONDS = 30.0


@functools.cache
def _engine(address: str) -> sqlalchemy.Engine:
    """One pool of connections per process and database."""
    engine = sqlalchemy.create_engine(address, connect_args={"timeout": BUSY_SECONDS})
    sqlalchemy.event.listen(engine, "connect", _set_up)
    return engine


def _set_up(connection: Any, _record: object) -> None:
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = normal")


@contextmanager
def _transaction(address: str) -> Iterator[sqlalchemy.Connection]:
    with _engine(address).connect() as connection, connection.begin():
        yield connection


class EventLogStorage(ConsolidatedSqliteEventLogStorage):
    """Events of all runs in one database, which also saves making one per run."""

    @contextmanager
    def _connect(self) -> Iterator[sqlalchemy.Connection]:
        with _transaction(self._conn_string) as connection:
            yield connection


class RunStorage(SqliteRunStorage):
    """Runs and their tags."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Dagster's own would make one of its own class."""
        return cls.from_local(inst_data=inst_data, **config_value)

    @contextmanager
    def connect(self) -> Iterator[sqlalchemy.Connection]:
        """A transaction."""
        with _transaction(self._conn_string) as connection:
            yield connection


class ScheduleStorage(SqliteScheduleStorage):
    """Sensors, schedules and their ticks."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Dagster's own would make one of its own class."""
        return cls.from_local(inst_data=inst_data, **config_value)  # type: ignore[return-value]

    @contextmanager
    def connect(self) -> Iterator[sqlalchemy.Connection]:
        """A transaction."""
        with _transaction(self._conn_string) as connection:
            yield connection
