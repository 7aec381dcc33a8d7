"""The spool: an SQLite file beside the log for what the service writes and nobody waits for.

Lists that were served, which checkpoint each worker took up when, and a heartbeat per worker. Once a minute one worker
moves the lists into the log. A commit here survives a killed process; a power cut may take the last seconds.
"""

import contextlib
import fcntl
import os
import sqlite3
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

FORMAT_VERSION = 1
SHIP_ROWS = 1_000  # lists per transaction of the log, so that other writers wait for milliseconds only
SCHEMA = """
create table if not exists meta (key text primary key, value text not null);
create table if not exists lists (
  id integer primary key autoincrement, user_id text, served_at integer not null, payload blob not null);
create table if not exists swaps (
  worker text not null, checkpoint text not null, watermark integer not null, served_at integer not null);
create index if not exists swaps_by_time on swaps (served_at);
create table if not exists workers (worker text primary key, checkpoint text, seen_at integer not null);
"""


class Served(NamedTuple):
    """One served list: `payload` is the JSON that becomes a record of kind "list"; `served_at` in µs, UTC."""

    user_id: str | None
    served_at: int
    payload: bytes


class Row(NamedTuple):
    """A served list with its place in the spool, which is never used twice."""

    id: int
    user_id: str | None
    served_at: int
    payload: bytes


class Seen(NamedTuple):
    """A worker of the service, what it serves and its last heartbeat in µs, UTC."""

    worker: str
    checkpoint: str | None
    seen_at: int


class Spool:
    """One connection to the spool, for one thread. Raises sqlite3.Error where the disk or a lock gives up."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._con = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        self._con.execute("pragma journal_mode = wal")
        self._con.execute("pragma synchronous = normal")
        self._con.executescript(SCHEMA)
        with self._transaction():
            meta = "insert or ignore into meta values (?, ?)"
            self._con.execute(meta, ("spool_id", uuid.uuid4().hex))
            self._con.execute(meta, ("format_version", str(FORMAT_VERSION)))
        values = dict(self._con.execute("select key, value from meta").fetchall())
        if int(values["format_version"]) > FORMAT_VERSION:
            raise ValueError(f"{path} has format {values['format_version']}; this version reads up to {FORMAT_VERSION}")
        self.spool_id: str = values["spool_id"]

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._con.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._con.execute("rollback")
            raise
        self._con.execute("commit")

    def add(self, lists: Iterable[Served]) -> None:
        """Store served lists in one transaction."""
        with self._transaction():
            self._con.executemany("insert into lists (user_id, served_at, payload) values (?, ?, ?)", lists)

    def lists(self, after: int, limit: int) -> list[Row]:
        """The first `limit` lists whose id is larger than `after`."""
        query = "select id, user_id, served_at, payload from lists where id > ? order by id limit ?"
        return [Row(*row) for row in self._con.execute(query, (after, limit))]

    def drop(self, upto: int) -> None:
        """Forget the lists up to this id: the log has them."""
        self._con.execute("delete from lists where id <= ?", (upto,))

    def swapped(self, worker: str, checkpoint: str, watermark: int, served_at: int) -> None:
        """This worker serves `checkpoint`, which knows the log before `watermark`, since `served_at` (µs, UTC)."""
        with self._transaction():
            self._con.execute("insert into swaps values (?, ?, ?, ?)", (worker, checkpoint, watermark, served_at))
            self._con.execute("insert or replace into workers values (?, ?, ?)", (worker, checkpoint, served_at))

    def seen(self, worker: str, checkpoint: str | None, seen_at: int) -> None:
        """This worker lives. Workers not seen for a day are forgotten."""
        with self._transaction():
            self._con.execute("insert or replace into workers values (?, ?, ?)", (worker, checkpoint, seen_at))
            self._con.execute("delete from workers where seen_at < ?", (seen_at - 86_400_000_000,))

    def workers(self) -> list[Seen]:
        """All workers that have not stopped; one whose heartbeat is old has died."""
        return [Seen(*row) for row in self._con.execute("select worker, checkpoint, seen_at from workers order by 1")]

    def left(self, worker: str) -> None:
        """This worker stops, and nobody waits for it to take up a checkpoint."""
        self._con.execute("delete from workers where worker = ?", (worker,))

    def close(self) -> None:
        """Close the connection."""
        self._con.close()


def forget(path: Path, user_id: str) -> int:
    """Delete a user's lists from the spool, also from its free pages; returns how many there were."""
    if not path.exists():
        return 0
    with contextlib.closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as con:
        if con.execute("select 1 from sqlite_master where name = 'lists'").fetchone() is None:
            return 0
        rows = con.execute("delete from lists where user_id = ?", (user_id,)).rowcount
        con.execute("vacuum")
        con.execute("pragma wal_checkpoint(truncate)")
        return rows


def only_one(path: Path) -> int | None:
    """Take the lock that makes this worker the one that ships, for its life; None while another has it."""
    lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock
