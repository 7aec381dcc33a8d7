"""The tail of the log: one SQLite file in WAL mode, where every append is durable before it returns.

A record's `counted` is the number of records before it that are not served lists, so that events in a range are counted
by a subtraction. Rows that a segment has taken over may still be here; they are the same records.
"""

import contextlib
import fcntl
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rec_assets import durable
from rec_assets.durable import NewerFormat
from rec_assets.log.record import Record

FORMAT_VERSION = 3  # 2: segments may hold typed columns; 3: the oldest may have been dropped
BUSY_SECONDS = 30.0
KNOWN_IDS = 1024  # looked up with one statement
SCHEMA = (
    "create table if not exists meta (key text primary key, value text not null) without rowid",
    """create table if not exists head (
         one integer primary key check (one = 1), head integer not null, counted integer not null,
         generation integer not null)""",
    """create table if not exists records (
         log_offset integer primary key, kind text not null, source text not null, source_position text,
         received_at integer not null, event_id text not null unique, user_id text, counted integer not null,
         payload blob not null)""",
    "create index if not exists records_by_user on records (user_id, log_offset)",
    """create table if not exists segments (
         first integer primary key, past integer not null, counted_before integer not null, counted integer not null,
         name text not null, bytes integer not null, sha256 text not null)""",
    "create table if not exists positions (source text primary key, position text not null) without rowid",
    # What segments were before they were dropped, neighbours put together: `name` has the hashes of their event_ids.
    """create table if not exists dropped (
         first integer primary key, past integer not null, counted_before integer not null, counted integer not null,
         name text not null, bytes integer not null, sha256 text not null)""",
)
RECORD = "log_offset, kind, source, source_position, received_at, event_id, payload"
STORED = "kind, source, source_position, received_at, event_id, user_id, payload"  # a row of a segment
INSERT = "insert into records values (?, ?, ?, ?, ?, ?, ?, ?, ?)"


class NoLog(FileNotFoundError):
    """There is no log in this directory."""


class DamagedLog(ValueError):
    """The log lacks records that it should have."""


class RecordsDropped(ValueError):
    """These records were dropped, as the settings of retention ask for."""


class Head(NamedTuple):
    """The next offset, the number of records before it that are no lists, and a number that changes with segments."""

    head: int
    counted: int
    generation: int


class Segment(NamedTuple):
    """Offsets [start, end) in the file `name`.parquet; `counted` of them are no lists, `counted_before` lie before."""

    start: int
    end: int
    counted_before: int
    counted: int
    name: str
    size: int  # bytes
    sha256: str


class Tail:
    """One connection, for one thread at a time."""

    def __init__(self, directory: Path, create: bool) -> None:
        self.path = directory / "tail.sqlite"
        if create:
            directory.mkdir(parents=True, exist_ok=True)
        elif not self.path.exists():
            raise NoLog(f"there is no log in {directory}")
        self.turn = (directory / "append.lock").open("ab")
        with durable.locked(directory / "open.lock"):  # the change to WAL mode knows no waiting
            self.con = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            for pragma in ("journal_mode = wal", "synchronous = full", "cache_size = -32000", "mmap_size = 268435456"):
                self.con.execute(f"pragma {pragma}")
            try:
                if self.con.execute("select 1 from sqlite_master where name = 'meta'").fetchone() is None:
                    self._create(directory)
                self.meta: dict[str, str] = dict(self.con.execute("select key, value from meta").fetchall())
                self._refuse_newer()
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Close the connection."""
        self.con.close()
        self.turn.close()

    def _create(self, directory: Path) -> None:
        with self.transaction():
            for statement in SCHEMA:
                self.con.execute(statement)
            meta = {"log_id": uuid.uuid4().hex, "format_version": str(FORMAT_VERSION)}
            self.con.executemany("insert into meta values (?, ?)", meta.items())
            self.con.execute("insert into head values (1, 0, 0, 0)")
        durable.sync(directory)

    def _refuse_newer(self) -> None:
        version = int(self.meta["format_version"])
        if version > FORMAT_VERSION:
            raise NewerFormat(
                f"the log {self.path} has format {version}, this version reads up to {FORMAT_VERSION}: use a newer one"
            )
        if version < FORMAT_VERSION:  # all that it holds can be read, but not by an older program from now on
            self.con.execute(SCHEMA[-1])
            self.con.execute("update meta set value = ? where key = 'format_version'", (str(FORMAT_VERSION),))

    @contextlib.contextmanager
    def transaction(self, mode: str = "immediate") -> Iterator[None]:
        """All or nothing; "deferred" for several reads of one state.

        Writers queue up at a lock file: SQLite's own waiting is a sleep, in which others overtake for seconds.
        """
        if mode == "immediate":
            fcntl.flock(self.turn, fcntl.LOCK_EX)
        try:
            self.con.execute(f"begin {mode}")
            try:
                yield
                self.con.execute("commit")
            except BaseException:
                if self.con.in_transaction:  # a full disk has rolled back already
                    self.con.execute("rollback")
                raise
        finally:
            if mode == "immediate":
                fcntl.flock(self.turn, fcntl.LOCK_UN)

    def head(self) -> Head:
        """Where the log ends."""
        return Head(*self.con.execute("select head, counted, generation from head").fetchone())

    def advance(self, rows: int, counted: int) -> None:
        """Move the head, inside the transaction that stores the records."""
        self.con.execute("update head set head = head + ?, counted = counted + ?", (rows, counted))

    def insert(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Store records as rows of the table `records`."""
        self.con.executemany(INSERT, rows)

    def known(self, event_ids: Sequence[str]) -> dict[str, int]:
        """The offsets of those of these event_ids that the tail has."""
        known: dict[str, int] = {}
        for at in range(0, len(event_ids), KNOWN_IDS):
            part = list(event_ids[at : at + KNOWN_IDS])
            part += part[-1:] * ((1 << (len(part) - 1).bit_length()) - len(part))  # few lengths: few statements
            query = f"select event_id, log_offset from records where event_id in ({', '.join('?' * len(part))})"  # noqa: S608
            known.update(self.con.execute(query, part).fetchall())
        return known

    def records(self, start: int, end: int) -> list[Record]:
        """The records of [start, end) that are in the tail, in order."""
        query = f"select {RECORD} from records where log_offset >= ? and log_offset < ? order by log_offset"  # noqa: S608
        return list(map(Record._make, self.con.execute(query, (start, end)).fetchall()))

    def rows(self, start: int, end: int) -> list[tuple[Any, ...]]:
        """The same records as rows of a segment."""
        query = f"select {STORED} from records where log_offset >= ? and log_offset < ? order by log_offset"  # noqa: S608
        return self.con.execute(query, (start, end)).fetchall()

    def segments(self, start: int = 0, end: int = 1 << 62) -> list[Segment]:
        """The segments that overlap [start, end), in order."""
        query = "select * from segments where past > ? and first < ? order by first"
        return list(map(Segment._make, self.con.execute(query, (start, end)).fetchall()))

    def dropped(self) -> list[Segment]:
        """What was dropped, in order from offset 0 on; nothing is left of it but a hash per event_id and its items."""
        return list(map(Segment._make, self.con.execute("select * from dropped order by first").fetchall()))

    def start(self) -> int:
        """The offset of the oldest record that was not dropped."""
        return int(self.con.execute("select coalesce(max(past), 0) from dropped").fetchone()[0])

    def add_segment(self, segment: Segment) -> None:
        """Make a segment part of the log."""
        self.con.execute("insert into segments values (?, ?, ?, ?, ?, ?, ?)", segment)
        self.con.execute("update head set generation = generation + 1")

    def position(self, source: str) -> str | None:
        """Where this source was when its last records were stored."""
        row = self.con.execute("select position from positions where source = ?", (source,)).fetchone()
        return None if row is None else str(row[0])

    def set_position(self, source: str, position: str) -> None:
        """Remember it, inside the transaction that stores the records."""
        self.con.execute("insert or replace into positions values (?, ?)", (source, position))
