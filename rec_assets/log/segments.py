"""Segments: closed ranges of the log as Parquet files that never change.

A file holds no offsets: row i of a segment that starts at s is record s + i, and the tail knows where each starts. So a
large file can be written before it is known where in the sequence it will stand.

A row holds its payload, or, of an event from a file with typed columns, what the payload would say as columns of
its own; then `payload` is null. See Block, which makes either a record.
"""

import itertools
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rec_assets import durable
from rec_assets.log.block import Block
from rec_assets.log.ids import IdIndex, hashes
from rec_assets.log.record import LIST, Record
from rec_assets.log.tail import DamagedLog, Segment

GROUP_ROWS = 10_000
READ_ROWS = 100_000
OPEN_FILES = 8
DICTIONARIES = ["kind", "source", "user_id", "item_id", "event", "value"]  # columns whose values repeat
REPEATING = DICTIONARIES[:5]  # texts among them
STATISTICS = ["received_at"]  # the column whose least and most are asked for
SCHEMA = pa.schema(
    {
        "kind": pa.string(),
        "source": pa.string(),
        "source_position": pa.string(),
        "received_at": pa.int64(),
        "event_id": pa.string(),
        "user_id": pa.string(),
        "payload": pa.binary(),
        # Where the payload is null: the fields of an event beside event_id and user_id.
        "item_id": pa.string(),
        "event": pa.string(),
        "value": pa.float64(),
        "occurred_at": pa.int64(),  # µs, UTC
        "request_id": pa.string(),
        "more": pa.string(),  # JSON object of what else was said
    }
)
STORED = SCHEMA.names[:7]  # of every record


class Written(NamedTuple):
    """A segment on the disk that is not yet part of the log."""

    name: str
    rows: int
    counted: int
    size: int
    sha256: str
    ids: IdIndex


def new_name() -> str:
    """Of files that no others have."""
    return uuid.uuid4().hex


def parquet_path(directory: Path, name: str) -> Path:
    """Where the records of a segment are."""
    return directory / f"{name}.parquet"


def ids_path(directory: Path, name: str) -> Path:
    """Where the index of its event_ids is."""
    return directory / f"{name}.hashes"


def items_path(directory: Path, name: str) -> Path:
    """Where the catalogue rows of dropped segments are, in a Parquet file of SCHEMA and their offsets."""
    return directory / f"{name}.items"


def tables(rows: Iterable[tuple[Any, ...]]) -> Iterator[pa.Table]:
    """Rows in the order of STORED as tables; holds GROUP_ROWS of them in memory."""
    rows = iter(rows)
    while group := list(itertools.islice(rows, GROUP_ROWS)):
        yield table_of(dict(zip(STORED, zip(*group, strict=True), strict=True)), len(group))


def table_of(columns: Mapping[str, Any], rows: int) -> pa.Table:
    """A table of SCHEMA; a column that is not given is null."""
    given = (columns.get(field.name) for field in SCHEMA)
    arrays = [
        pa.nulls(rows, field.type) if column is None else pa.array(column, field.type)
        for field, column in zip(SCHEMA, given, strict=True)
    ]
    return pa.table(arrays, schema=SCHEMA)


def write(directory: Path, tables: Iterable[pa.Table]) -> Written:
    """Write tables of SCHEMA and their index, both synced; holds two of them in memory."""
    directory.mkdir(parents=True, exist_ok=True)
    name = new_name()
    path = parquet_path(directory, name)
    counted, parts = 0, []
    try:
        with (
            pq.ParquetWriter(
                path, SCHEMA, compression="zstd", use_dictionary=DICTIONARIES, write_statistics=STATISTICS
            ) as writer,
            ThreadPoolExecutor(1) as pool,
        ):
            written = pool.submit(lambda: None)
            for table in _grouped(tables):
                written.result()
                written = pool.submit(writer.write_table, table, GROUP_ROWS)  # while the next one is made
                counted += pc.sum(pc.not_equal(table.column("kind"), LIST)).as_py()
                parts.append(hashes(table.column("event_id").combine_chunks()))
            written.result()
    except BaseException:  # a row could not be read, or the disk is full
        delete(directory, name)
        raise
    index = IdIndex.build(np.concatenate(parts) if parts else np.empty(0, np.uint64))
    durable.sync(path)
    durable.replace(ids_path(directory, name), index.content())
    return Written(name, len(index.rows), counted, path.stat().st_size, durable.sha256(path), index)


def _grouped(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in tables of whole groups, but for the last."""
    waiting: list[pa.Table] = []
    rows = 0
    for table in tables:
        waiting.append(table)
        rows += table.num_rows
        if whole := rows // GROUP_ROWS * GROUP_ROWS:
            joined = pa.concat_tables(waiting)
            yield joined.slice(0, whole).combine_chunks()
            waiting, rows = [joined.slice(whole)], rows - whole
    if rows:
        yield pa.concat_tables(waiting).combine_chunks()


def delete(directory: Path, name: str) -> None:
    """Remove a segment's files, those that are there."""
    for path in directory.glob(f"{name}.*"):
        path.unlink(missing_ok=True)


def delete_orphans(directory: Path, names: set[str], dropped: set[str]) -> list[str]:
    """Remove the files of all segments but these, left by a kill, and return their names. No writer may be at work.

    Of those that were dropped the records go, in whole.
    """
    orphans = sorted({path.stem for path in directory.glob("*.*")} - names - dropped)
    for name in orphans:
        delete(directory, name)
    for name in dropped:
        parquet_path(directory, name).unlink(missing_ok=True)
    return orphans


KEPT = ("source", "received_at")  # columns of an erased row that stay


def _erased(table: pa.Table, rows: Mapping[int, tuple[str, str, bytes]]) -> pa.Table:
    """The table with these rows erased, column by column: whatever columns there are."""
    mask = np.zeros(table.num_rows, np.bool_)
    mask[list(rows)] = True
    order = [rows[row] for row in sorted(rows)]
    new = {name: [row[place] for row in order] for place, name in enumerate(("kind", "event_id", "payload"))}
    columns = []
    for field in table.schema:
        column = table.column(field.name)
        if field.name not in KEPT:
            values = pa.array(new.get(field.name, [None] * len(order)), field.type)
            column = pc.replace_with_mask(column.combine_chunks(), mask, values)
        columns.append(column)
    return pa.table(columns, schema=table.schema)


class SegmentReader:
    """Reads segments, keeping the newest few files and all indexes open; for one thread at a time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._files: dict[str, pq.ParquetFile] = {}
        self._indexes: dict[str, IdIndex] = {}

    def block(self, segment: Segment, start: int, end: int) -> Block:
        """The records of offsets [start, end), which lie in the segment, as columns: dictionaries those that repeat."""
        return Block(self._table(segment, start, end, None), start)

    def past(self, segment: Segment, start: int, most_bytes: int) -> int:
        """Up to where row groups from that of the offset `start` on have so many bytes, but one at least."""
        metadata, size = self._file(segment).metadata, self._group_rows(segment)
        group, read = (start - segment.start) // size, 0
        while group < metadata.num_row_groups:
            read += metadata.row_group(group).total_byte_size
            if read > most_bytes and segment.start + group * size > start:
                break
            group += 1
        return min(segment.start + group * size, segment.end)

    def tables(self, segment: Segment, without: frozenset[int] = frozenset()) -> Iterator[pa.Table]:
        """All its rows as tables of SCHEMA, but those at the places `without`."""
        for start in range(segment.start, segment.end, READ_ROWS):
            table = self._table(segment, start, min(start + READ_ROWS, segment.end), None).cast(SCHEMA)
            if without:
                first = start - segment.start
                kept = [place not in without for place in range(first, first + table.num_rows)]
                table = table.filter(pa.array(kept))
            yield table

    def naming(self, segment: Segment, user_id: str, needle: bytes) -> Iterator[tuple[Record, str | None]]:
        """The records that may be a user's, with the user_id they were stored with: those of that user_id, and those
        whose payload has the bytes `needle` or an escape, behind which it may hide.
        """
        start = segment.start
        for table in self.tables(segment):
            mask = pc.fill_null(pc.equal(table.column("user_id"), user_id), False)
            for pattern in (needle, b"\\"):
                mask = pc.or_(mask, pc.fill_null(pc.match_substring(table.column("payload"), pattern), False))
            found = np.flatnonzero(mask.to_numpy())
            taken = table.take(found)
            for row, record, owner in zip(found, Block(taken, 0), taken.column("user_id").to_pylist(), strict=True):
                yield record._replace(offset=start + int(row)), owner
            start += table.num_rows

    def rewrite(self, segment: Segment, rows: Mapping[int, tuple[str, str, bytes]]) -> Written:
        """The same segment under a new name, in which these rows have another kind, event_id and payload, and nothing
        else but their source and received_at.
        """
        return write(self.directory, self._erased(segment, rows))

    def _erased(self, segment: Segment, rows: Mapping[int, tuple[str, str, bytes]]) -> Iterator[pa.Table]:
        start = 0
        for table in self.tables(segment):
            inside = {row - start: rows[row] for row in rows if start <= row < start + table.num_rows}
            yield _erased(table, inside) if inside else table
            start += table.num_rows

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

    def received_until(self, segment: Segment) -> int:
        """The latest received_at, in µs, of its records."""
        metadata, place = self._file(segment).metadata, SCHEMA.get_field_index("received_at")
        groups = (metadata.row_group(group).column(place) for group in range(metadata.num_row_groups))
        return max(int(group.statistics.max) for group in groups)

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
            path, rows = ids_path(self.directory, segment.name), segment.end - segment.start
            if not path.exists():  # it says nothing that the segment does not
                durable.replace(path, IdIndex.build(hashes(self.event_ids(segment, range(rows)))).content())
            self._indexes[segment.name] = IdIndex.open(path, rows)
        return self._indexes[segment.name]

    def _table(self, segment: Segment, start: int, end: int, columns: list[str] | None) -> pa.Table:
        """Rows of offsets [start, end), of which at least one is asked for; DamagedLog where the file lacks them."""
        size = self._group_rows(segment)
        first = (start - segment.start) // size
        groups = list(range(first, (end - 1 - segment.start) // size + 1))
        table = self._file(segment).read_row_groups(groups, columns=columns, use_threads=False)
        if columns is None and table.num_columns < len(SCHEMA):  # written before there were typed columns
            table = table_of({name: table.column(name).combine_chunks() for name in STORED}, table.num_rows)
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
            self._files[segment.name] = pq.ParquetFile(
                parquet_path(self.directory, segment.name), memory_map=True, read_dictionary=REPEATING
            )
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
