"""The tables as Parquet files that anyone may read while the loop writes DuckDB.

A snapshot is a folder with each table in parts: a part holds the rows of a range of offsets and never changes, but for
the last one, which is written again, at most once a minute and under a new name, until it is long enough to be closed.
So what a micro-batch's run spends on it does not grow with the tables. Once an hour everything is written anew, which
is when users, items, and rows of closed parts that were judged anew since, are brought up to date.
`current.json` names the files that belong together and is replaced at once.
"""

import shutil
import uuid
from pathlib import Path

import duckdb
import msgspec

from rec_assets import durable
from rec_assets.durable import NewerFormat
from rec_assets.tables import ledger, warehouse
from rec_assets.tables.warehouse import MEMORY

NAME = "current.json"
FORMAT_VERSION = 1
EVERY_US = 60_000_000  # the last part is written again after so many µs
PART_OFFSETS = 200_000  # a part that is longer is closed
# Tables that are cut by a column of offsets; the others are whole.
CUT_BY = {
    "interactions": "log_offset",
    "rejected_events": "log_offset",
    "micro_batches": "start_offset",
    "prequential_metrics": "start_offset",
    "freshness": "start_offset",
    "impressions": "list_offset",
    "signals": "start_offset",
    "drift_alarms": "start_offset",
}
WHOLE = ("users", "items")
READING = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN, duckdb.StatementType.PRAGMA)


class Part(msgspec.Struct, frozen=True):
    """Rows of offsets [start, end) of each table of CUT_BY, in files `TABLE-NAME.parquet`."""

    start: int
    end: int
    name: str


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """All of current.json. Times in µs since 1970, UTC."""

    format_version: int
    log_id: str | None
    snapshot: str  # the folder
    whole_at: int  # users and items, and all parts but the last, are as they were then
    whole_end: int  # the offset up to which that was
    at: int
    parts: list[Part]

    def files(self, directory: Path) -> dict[str, list[Path]]:
        """Each table's files."""
        folder = directory / self.snapshot
        files = {table: [folder / f"{table}-{part.name}.parquet" for part in self.parts] for table in CUT_BY}
        return files | {table: [folder / f"{table}.parquet"] for table in WHOLE}


def read(directory: Path) -> Published | None:
    """What is published, None before the first time; NewerFormat."""
    try:
        content = (directory / NAME).read_bytes()
    except FileNotFoundError:
        return None
    if (version := msgspec.json.decode(content)["format_version"]) > FORMAT_VERSION:
        raise NewerFormat(f"{directory / NAME} has format {version}, this program reads up to {FORMAT_VERSION}")
    return msgspec.json.decode(content, type=Published)


def connect(directory: Path) -> tuple[duckdb.DuckDBPyConnection, Published]:
    """DuckDB in memory with a view per published table, and nothing else in reach.

    FileNotFoundError before anything is published.
    """
    if (found := read(directory)) is None:
        raise FileNotFoundError(f"nothing is published in {directory} yet: the first micro-batch does it")
    con = duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false", "memory_limit": MEMORY})
    files = found.files(directory.resolve())
    con.execute("set allowed_paths = $paths", {"paths": [str(path) for paths in files.values() for path in paths]})
    con.execute("set enable_external_access = false; set lock_configuration = true")
    for table, paths in files.items():
        con.from_parquet([str(path) for path in paths]).create_view(table)
    return con, found


def ask(con: duckdb.DuckDBPyConnection, query: str) -> duckdb.DuckDBPyConnection:
    """Run one query, its rows still to be fetched; ValueError for what is no query."""
    statements = con.extract_statements(query)
    if len(statements) != 1 or statements[0].type not in READING:
        kinds = ", ".join(statement.type.name for statement in statements) or "nothing"
        raise ValueError(f"one SELECT, EXPLAIN or PRAGMA is taken, this is {kinds}: the tables are only read")
    return con.execute(statements[0])


def update(con: duckdb.DuckDBPyConnection, directory: Path, now: int) -> bool:
    """Publish what has come since the last time, unless that was less than a minute ago; says whether it did.

    `now` in µs. Where nothing of this log and warehouse is published yet, everything is.
    """
    last, end = read(directory), ledger.end(con)
    strange = last is not None and (last.log_id != warehouse.log_id(con) or last.parts[-1].end > end)
    if last is None or strange or not (directory / last.snapshot).is_dir():
        everything(con, directory, now)
        return True
    if now - last.at < EVERY_US:
        return False
    *closed, newest = last.parts
    if newest.end - newest.start >= PART_OFFSETS:
        closed, newest = last.parts, Part(newest.end, newest.end, "")
    folder = directory / last.snapshot
    part = _write_part(con, folder, newest.start, end)
    _replace(directory, msgspec.structs.replace(last, at=now, parts=[*closed, part]))
    # Who has just read current.json may still open the files before these.
    kept = {path.name for each in (last.parts, [part]) for path in _files(folder, each)}
    for path in folder.iterdir():
        if path.stem not in WHOLE and path.name not in kept:
            path.unlink()
    return True


def everything(con: duckdb.DuckDBPyConnection, directory: Path, now: int) -> None:
    """Publish all tables anew, `now` in µs. The snapshot before stays for those who are reading it."""
    last, end = read(directory), ledger.end(con)
    name = uuid.uuid4().hex
    folder = directory / name
    folder.mkdir(parents=True)
    parts = [_write_part(con, folder, 0, end)]
    for table in WHOLE:
        _copy(con, f"select * from {table}", folder / f"{table}.parquet")  # noqa: S608 - names of our own
    durable.sync(folder)
    _replace(
        directory,
        Published(
            format_version=FORMAT_VERSION, log_id=warehouse.log_id(con), snapshot=name, whole_at=now, whole_end=end,
            at=now, parts=parts,
        ),
    )  # fmt: skip
    kept = {name} | ({last.snapshot} if last is not None else set())
    for path in directory.iterdir():
        if path.is_dir() and path.name not in kept:
            shutil.rmtree(path, ignore_errors=True)


def _write_part(con: duckdb.DuckDBPyConnection, folder: Path, start: int, end: int) -> Part:
    part = Part(start, end, uuid.uuid4().hex)
    for (table, column), path in zip(CUT_BY.items(), _files(folder, [part]), strict=True):
        query = f"select * from {table} where {column} >= {start:d} and {column} < {end:d} order by {column}"  # noqa: S608
        _copy(con, query, path)
    durable.sync(folder)
    return part


def _files(folder: Path, parts: list[Part]) -> list[Path]:
    return [folder / f"{table}-{part.name}.parquet" for part in parts for table in CUT_BY]


def _copy(con: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    con.execute(f"copy ({query}) to {warehouse.literal(path)} (format parquet, compression zstd)")
    durable.sync(path)


def _replace(directory: Path, published: Published) -> None:
    durable.replace(directory / NAME, msgspec.json.format(msgspec.json.encode(published), indent=1))
