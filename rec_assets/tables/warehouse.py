"""The DuckDB file. While one process writes it, no other can open it, not even to read."""

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from rec_assets.durable import NewerFormat, OlderFormat

FORMAT_VERSION = 2
WAIT_SECONDS = 30.0
MEMORY = "1GB"  # DuckDB spills to disk above it
STORAGE = "v1.5.0"  # of new files: texts are compressed in half the time that older DuckDBs' way takes
OLDER = (
    "the warehouse {path} has format {found}, this program writes {own}: rebuild it from the log with the Dagster job "
    "`rebuild`; nothing is lost"
)
SCHEMA = Path(__file__).with_name("schema.sql").read_text()


def microseconds() -> int:
    """Now, in µs since 1970, UTC."""
    return time.time_ns() // 1000


def timestamp(at: int) -> datetime:
    """µs since 1970 as the naive UTC time that the tables hold."""
    # Not through a float of seconds, which would lose microseconds.
    return datetime.fromtimestamp(at // 1_000_000, UTC).replace(microsecond=at % 1_000_000, tzinfo=None)


def since_1970(moment: datetime) -> int:
    """The µs of a naive UTC time."""
    return (moment - datetime(1970, 1, 1)) // timedelta(microseconds=1)


def connect(path: Path | str) -> duckdb.DuckDBPyConnection:
    """Open the warehouse, or ":memory:", and make what is missing.

    NewerFormat or OlderFormat if another program wrote it.
    """
    con = opened(path)
    con.execute("set preserve_insertion_order = false; set enable_progress_bar = false")
    try:
        create(con)
    except BaseException:
        con.close()
        raise
    return con


def opened(path: Path | str) -> duckdb.DuckDBPyConnection:
    """The file as it is; waits while another process has it, WAIT_SECONDS at most, then duckdb.IOException."""
    # Nothing is fetched behind the user's back.
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY,
        "autoinstall_known_extensions": "false",
        "storage_compatibility_version": STORAGE,
    }
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return duckdb.connect(str(path), config=config)
        except duckdb.IOException as error:
            if "lock" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@contextlib.contextmanager
def transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All of it, or on any error nothing."""
    con.begin()
    try:
        yield
    except BaseException:
        con.rollback()
        raise
    con.commit()


def literal(path: Path) -> str:
    """A path as text of SQL: `attach` and `copy` take no parameter for it."""
    return "'" + str(path).replace("'", "''") + "'"


def create(con: duckdb.DuckDBPyConnection) -> None:
    """Make the tables that are missing. NewerFormat and OlderFormat leave everything as it was."""
    with transaction(con):
        con.execute("create table if not exists warehouse (format_version integer, log_id varchar)")
        versions = con.execute("select format_version from warehouse").fetchall()
        if versions and versions[0][0] > FORMAT_VERSION:
            raise NewerFormat(
                f"the warehouse has format {versions[0][0]}, this program reads up to {FORMAT_VERSION}: upgrade it"
            )
        if versions and versions[0][0] < FORMAT_VERSION:
            [(path,)] = con.execute("select current_database()").fetchall()
            raise OlderFormat(OLDER.format(path=path, found=versions[0][0], own=FORMAT_VERSION))
        con.execute(SCHEMA)
        if not versions:
            con.execute("insert into warehouse values ($version, null)", {"version": FORMAT_VERSION})


def log_id(con: duckdb.DuckDBPyConnection) -> str | None:
    """The log that the tables were made from, or None while they are empty."""
    [(found,)] = con.execute("select log_id from warehouse").fetchall()
    return None if found is None else str(found)
