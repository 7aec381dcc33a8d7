"""Segments: closed ranges of the log as Parquet files that never change.

A file holds no offsets: row i of a segment that starts at s is record s + i, and the tail knows where each starts. So a
large file can be written before it is known where in the sequence it will stand.
"""

import itertools
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rec_assets import durable
from rec_assets.log.ids import IdIndex, hashes
from rec_assets.log.record import LIST, Record
from rec_assets.log.tail import DamagedLog, Segment

GROUP_ROWS = 10_000
OPEN_FILES = 8
SCHEMA = pa.schema(
    {
        "kind": pa.string(),
        "source": pa.string(),
        "source_position": pa.string(),
        "received_at": pa.int64(),
        "event_id": pa.string(),
        "user_id": pa.string(),
        "payload": pa.binary(),
    }
)
KIND, EVENT_ID = 0, 4  # places in a row


class Written(NamedTuple):
    """A segment on the disk that is not yet part of the log."""

    name: str
    rows: int
    counted: int
    size: int
    sha256: str
    ids: IdIndex


def parquet_path(directory: Path, name: str) -> Path:
    """Where the records of a segment are."""
    return directory / f"{name}.parquet"


def ids_path(directory: Path, name: str) -> Path:
    """Where the index of its event_ids is."""
    return directory / f"{name}.ids"


def write(directory: Path, rows: Iterable[tuple[Any, ...]]) -> Written:
    """Write rows in the order of SCHEMA and their index, both synced; holds GROUP_ROWS of them in memory."""
    directory.mkdir(parents=True, exist_ok=True)
    name = uuid.uuid4().hex
    path = parquet_path(directory, name)
    counted, parts, rows = 0, [], iter(rows)
    try:
        with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
            while group := list(itertools.islice(rows, GROUP_ROWS)):
                columns = list(zip(*group, strict=True))
                counted += len(group) - columns[KIND].count(LIST)
                parts.append(hashes(columns[EVENT_ID]))
                arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
                writer.write_table(pa.table(arrays, schema=SCHEMA))
    except BaseException:  # a row could not be read, or the disk is full
        delete(directory, name)
        raise
    index = IdIndex.build(np.concatenate(parts) if parts else np.empty(0, np.uint64))
    index.write(ids_path(directory, name))
    durable.sync(path)
    durable.sync(ids_path(directory, name))
    durable.sync(directory)
    return Written(name, len(index.rows), counted, path.stat().st_size, durable.sha256(path), index)


def delete(directory: Path, name: str) -> None:
    """Remove a segment's files, those that are there."""
    parquet_path(directory, name).unlink(missing_ok=True)
    ids_path(directory, name).unlink(missing_ok=True)


def delete_orphans(directory: Path, names: set[str]) -> list[str]:
    """Remove the files of all segments but these, left by a kill, and return their names. No writer may be at work."""
    orphans = sorted({path.stem for path in directory.glob("*.*")} - names)
    for name in orphans:
        delete(directory, name)
    return orphans


class SegmentReader:
    """Reads segments, keeping the newest few files and all indexes open; for one thread at a time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._files: dict[str, pq.ParquetFile] = {}
        self._indexes: dict[str, IdIndex] = {}

    def records(self, segment: Segment, start: int, end: int) -> list[Record]:
        """The records of offsets [start, end), which lie in the segment."""
        table = self._table(segment, start, end, None)
        columns = (table.column(name).to_pylist() for name in Record._fields[1:])
        return list(map(Record, range(start, end), *columns))

    def rows(self, segment: Segment, without: frozenset[int] = frozenset()) -> Iterator[tuple[Any, ...]]:
        """All its rows in the order of SCHEMA, but those at the places `without`."""
        for start in range(segment.start, segment.end, GROUP_ROWS):
            table = self._table(segment, start, min(start + GROUP_ROWS, segment.end), None)
            rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
            yield from (row for place, row in enumerate(rows, start - segment.start) if place not in without)

    def event_ids(self, segment: Segment, rows: Sequence[int]) -> list[str]:
        """The event_ids of some rows, each row group read once."""
        if not rows:
            return []
        size = self._group_rows(segment)
        groups: dict[int, list[str]] = {}
        for group in sorted({row // size for row in rows}):
            start = segment.start + group * size
            table = self._table(segment, start, min(start + size, segment.end), ["event_id"])
            groups[group] = table.column(0).to_pylist()
        return [groups[row // size][row % size] for row in rows]

    def kinds(self, segment: Segment, start: int, end: int) -> dict[str, int]:
        """How many records of each kind the offsets [start, end) hold."""
        counts = self._table(segment, start, end, ["kind"]).column(0).value_counts()
        return {str(count["values"]): int(count["counts"].as_py()) for count in counts}

    def find(self, segments: Sequence[Segment], event_ids: Sequence[str]) -> dict[str, int]:
        """The offsets of those of these event_ids that the segments have."""
        found: dict[str, int] = {}
        wanted = hashes(event_ids) if segments and event_ids else np.empty(0, np.uint64)
        for segment in segments:
            hits = self.index(segment).find(wanted) if len(wanted) else []
            own = self.event_ids(segment, [row for _, row in hits])
            for (place, row), event_id in zip(hits, own, strict=True):
                if event_ids[place] == event_id:
                    found[event_id] = segment.start + row
        return found

    def index(self, segment: Segment) -> IdIndex:
        """The segment's event_ids."""
        if segment.name not in self._indexes:
            path = ids_path(self.directory, segment.name)
            self._indexes[segment.name] = IdIndex.open(path, segment.end - segment.start)
        return self._indexes[segment.name]

    def _table(self, segment: Segment, start: int, end: int, columns: list[str] | None) -> pa.Table:
        """Rows of offsets [start, end), of which at least one is asked for; DamagedLog where the file lacks them."""
        size = self._group_rows(segment)
        first = (start - segment.start) // size
        groups = list(range(first, (end - 1 - segment.start) // size + 1))
        table = self._file(segment).read_row_groups(groups, columns=columns, use_threads=False)
        table = table.slice(start - segment.start - first * size, end - start)
        if table.num_rows != end - start:
            raise DamagedLog(f"{parquet_path(self.directory, segment.name)} lacks rows of [{start}, {end})")
        return table

    def _group_rows(self, segment: Segment) -> int:
        """Rows of all its row groups but the last."""
        return int(self._file(segment).metadata.row_group(0).num_rows)

    def _file(self, segment: Segment) -> pq.ParquetFile:
        if segment.name not in self._files:
            while len(self._files) >= OPEN_FILES:
                self._files.pop(next(iter(self._files))).close()
            self._files[segment.name] = pq.ParquetFile(parquet_path(self.directory, segment.name), memory_map=True)
        return self._files[segment.name]

    def keep(self, names: set[str]) -> None:
        """Close the files of all other segments, so that the disk gets their space back."""
        self._indexes = {name: index for name, index in self._indexes.items() if name in names}
        for name in self._files.keys() - names:
            self._files.pop(name).close()

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
        self._files.clear()
        self._indexes.clear()
