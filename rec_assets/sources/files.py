"""Files dropped into data/landing: each is taken whole, exactly once, or not at all."""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec
import pyarrow.parquet as pq

from rec_assets import durable
from rec_assets.log import Draft, Log
from rec_assets.settings import KINDS, Csv, FileSource, Kind, Settings
from rec_assets.sources import columnar
from rec_assets.sources.accepted import accepted, accepted_tables
from rec_assets.sources.mapping import ColumnMapping
from rec_assets.sources.rows import count_rows, open_rows
from rec_assets.sources.source import BrokenFile, Collected, Progress

BULK_ROWS = 50_000  # a file with more rows becomes a Parquet segment of its own
REPORT_ROWS = 10_000
T = TypeVar("T")
UNFINISHED = (".part", ".tmp")


class StillWritten(Exception):
    """A file changed while it was read."""


class LandedFiles:
    """The folder as a source. Each file has a position of its own: source "file:<sha256>", position {name, rows}."""

    def __init__(
        self,
        landing_dir: Path,
        mapping: ColumnMapping | None = None,
        form: Csv | None = None,
        kinds: Mapping[str, Kind] = KINDS,
    ) -> None:
        self.landing_dir, self.mapping, self.form, self.kinds = landing_dir, mapping or ColumnMapping(), form, kinds

    def collect(self, log: Log, progress: Progress | None = None) -> list[Collected]:
        """Append the files that wait, in the order of their names, and move each to done/ or failed/."""
        return [self._take(path, log, progress) for path in waiting(self.landing_dir)]

    def _take(self, path: Path, log: Log, progress: Progress | None) -> Collected:
        sha256, head = durable.sha256(path), log.head()
        try:
            collected = take(path, sha256, log, self.mapping, self.form, self.kinds, progress)
        except StillWritten:
            return Collected(path.name, 0, head, head)
        except BrokenFile as error:
            _refuse(path, self.landing_dir / "failed", sha256, error)
            return Collected(path.name, 0, head, head, str(error))
        _move(path, self.landing_dir / "done", sha256)  # also one that was stored, and killed before it was moved
        return collected


def take(
    path: Path,
    sha256: str,
    log: Log,
    mapping: ColumnMapping,
    form: Csv | None,
    kinds: Mapping[str, Kind],
    progress: Progress | None = None,
) -> Collected:
    """Append a whole file, unless the log has the same content; raises BrokenFile, StillWritten."""
    seen, head, source = _state(path), log.head(), f"file:{sha256}"
    if log.position(source) is not None:
        return Collected(path.name, 0, head, head)
    columns, rows = open_rows(path, form)
    found, now = mapping.of(columns, path.name), time.time_ns() // 1_000
    if (count_rows(path) or 0) > BULK_ROWS and columnar.fits(parquet := pq.ParquetFile(path), found):
        tables = accepted_tables(columnar.tables(path.name, parquet, found, source, now), path.name, kinds)
        counted = ((table, table.num_rows) for table in tables)
        start, end = log.append_tables(_reported(counted, path, seen, progress), source, _position(path.name))
        return Collected(path.name, end - start, start, end)
    drafts = ((draft, 1) for draft in accepted(map(found.draft, rows), path.name, kinds, now))
    start, end, records = _append(_reported(drafts, path, seen, progress), log, source, path.name)
    return Collected(path.name, records, start, end)


def waiting(landing_dir: Path) -> list[Path]:
    """The files that can be taken, in the order of their names: none that is still written under another name."""
    if not landing_dir.is_dir():
        return []
    paths = (path for path in landing_dir.iterdir() if not path.name.startswith("."))
    return sorted(path for path in paths if path.is_file() and not path.name.lower().endswith(UNFINISHED))


def collect_landed(settings: Settings, log: Log, progress: Progress | None = None) -> list[Collected]:
    """Take all files that wait in the landing folder of this installation."""
    found = settings.sources.get("landing")
    source = found if isinstance(found, FileSource) else FileSource(type="files")
    mapping = ColumnMapping.like(source.columns)
    return LandedFiles(settings.landing_dir, mapping, source.csv, settings.kinds).collect(log, progress)


def _append(drafts: Iterator[Draft], log: Log, source: str, name: str) -> tuple[int, int, int]:
    """(start, end, new records) of a file's drafts, stored with the file's position in one transaction."""

    position = _position(name)
    first = list(itertools.islice(drafts, BULK_ROWS + 1))
    if len(first) > BULK_ROWS:
        start, end = log.append_bulk(itertools.chain(first, drafts), source, position)
        return start, end, end - start
    head = log.head()
    new = {offset for offset in log.append(first, source, position(len(first))) if offset >= head}
    return min(new, default=head), max(new, default=head - 1) + 1, len(new)


def _position(name: str) -> Callable[[int], str]:
    return lambda rows: msgspec.json.encode({"name": name, "rows": rows}).decode()


def _reported(
    parts: Iterator[tuple[T, int]], path: Path, seen: tuple[int, int], progress: Progress | None
) -> Iterator[T]:
    """The same parts, each of so many rows; StillWritten at their end if the file is no longer what was seen."""
    rows = said = 0
    for part, number in parts:
        rows += number
        yield part
        if progress is not None and rows >= said + REPORT_ROWS:
            progress(path.name, said := rows)
    if _state(path) != seen:
        raise StillWritten
    if progress is not None:
        progress(path.name, rows)


def _state(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _refuse(path: Path, failed_dir: Path, sha256: str, error: BrokenFile) -> None:
    failed_dir.mkdir(exist_ok=True)
    note = _target(path, failed_dir, sha256)
    durable.replace(note.with_name(f"{note.name}.error.txt"), f"{error}\n".encode())
    _move(path, failed_dir, sha256)


def _move(path: Path, directory: Path, sha256: str) -> None:
    directory.mkdir(exist_ok=True)
    path.replace(_target(path, directory, sha256))
    durable.sync(directory)


def _target(path: Path, directory: Path, sha256: str) -> Path:
    """Where the file goes: under its own name, unless another file has that already."""
    target = directory / path.name
    return directory / f"{sha256[:8]}-{path.name}" if target.exists() else target
