"""The log as all others see it: append, read, count, positions."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rec_assets.log import bulk, compaction, dropping, erasure, segments, verification
from rec_assets.log.block import Block
from rec_assets.log.dropped_ids import DroppedIds
from rec_assets.log.erased_ids import ErasedIds
from rec_assets.log.record import ITEM, LIST, Draft, Record, identify
from rec_assets.log.segments import SegmentReader
from rec_assets.log.tail import DamagedLog, RecordsDropped, Segment, Tail

BLOCK_BYTES = 128 << 20
T = TypeVar("T")


class Log:
    """One open log; any number of processes and threads may have one each. Not for two threads at once.

    Raises sqlite3.Error where the disk or another process's lock gives up; then nothing was stored.
    """

    def __init__(self, directory: Path, tail: Tail) -> None:
        self.directory, self.tail = directory, tail
        self.files = SegmentReader(directory / "segments")
        self.log_id: str = tail.meta["log_id"]
        self._segments: list[Segment] = []
        self._generation = 0
        self._erased: ErasedIds | None = None
        self._dropped: DroppedIds | None = None

    @classmethod
    def open(cls, directory: Path, create: bool = True) -> Self:
        """Open the log in `directory`; raises NoLog where there is none and `create` is false, NewerFormat."""
        return cls(directory, Tail(directory, create))

    def close(self) -> None:
        """Close the connection and the files."""
        self.files.close()
        self.tail.close()

    def __enter__(self) -> Self:
        """Close at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def head(self) -> int:
        """The offset that the next record will get, in microseconds."""
        return int(self.tail.con.execute("select head from head").fetchone()[0])

    def start(self) -> int:
        """The offset of the oldest record: 0, unless `drop` was called."""
        return self.tail.start()

    def append(self, drafts: Sequence[Draft], source: str, position: str | None = None) -> list[int]:
        """Store records and the source's position in one durable transaction; returns their offsets, in order.

        A draft whose event_id the log already has is not stored again: it gets the offset that it has.
        """
        now = time.time_ns() // 1_000
        named = [(identify(draft, source), draft) for draft in drafts]
        given = [event_id for event_id, draft in named if draft.event_id or draft.source_position]
        with self.tail.transaction():
            known = self._known(given) if given else {}
            head, counted, _ = self.tail.head()
            rows: list[tuple[Any, ...]] = []
            offsets, total = [], counted
            for event_id, draft in named:
                offset = known.get(event_id)
                if offset is None:
                    offset = known[event_id] = head + len(rows)
                    kind, payload, _, user_id, received_at, place = draft
                    received_at = now if received_at is None else received_at
                    rows.append((offset, kind, source, place, received_at, event_id, user_id, total, payload))
                    total += kind != LIST
                offsets.append(offset)
            if rows:
                self.tail.insert(rows)
                self.tail.advance(len(rows), total - counted)
            if position is not None:
                self.tail.set_position(source, position)
        return offsets

    def append_bulk(
        self, drafts: Iterable[Draft], source: str, position: Callable[[int], str] | str | None = None
    ) -> tuple[int, int]:
        """Store many records as one Parquet segment; returns its range [start, end) of offsets.

        The same promises as `append` gives, but other appends wait only while the synced file's name is noted down.
        A position that depends on the number of drafts is a function of it, called when all of them have been read.
        """
        return self.append_tables(segments.tables(bulk.rows(drafts, source)), source, position)

    def append_tables(
        self, tables: Iterable[pa.Table], source: str, position: Callable[[int], str] | str | None = None
    ) -> tuple[int, int]:
        """The same of tables of segments.SCHEMA, whose events may be typed columns instead of payloads."""
        return bulk.append(self.tail, self.files, tables, source, position)

    def read(self, start: int, end: int) -> list[Record]:
        """The records of [start, end), as far as there are any, wherever they lie; all of them in memory.

        Raises RecordsDropped where some of them were dropped, as all do that read records; DamagedLog.
        """
        start = max(start, 0)
        if start >= end:
            return []
        records = self.tail.records(start, end)
        if len(records) == end - start:
            return records
        return self._while_files_change(lambda: self._read(start, end))

    def batches(
        self, start: int, end: int, max_rows: int = 10_000, block_rows: int | None = None
    ) -> Iterator[Sequence[Record]]:
        """The same records in pieces of at most `max_rows`, each of one place.

        Where that is a segment it is a Block, of up to `block_rows` if that is given, and BLOCK_BYTES or a row group.
        """
        at, end = max(start, 0), min(end, self.head())
        while at < end:
            piece = self._while_files_change(
                partial(self._piece, at, min(at + max_rows, end), min(at + (block_rows or max_rows), end))
            )
            yield piece
            at += len(piece)

    def items(self, end: int, max_rows: int = 10_000) -> Iterator[Sequence[Record]]:
        """The catalogue rows before `end`, in order; those that were dropped with their segments too."""
        at, end = 0, min(end, self.head())
        while at < end:
            past = min(self.start(), end)
            if at < past:
                yield self._while_files_change(partial(dropping.items, self.tail, self.files, at, past))
                at = past
                continue
            try:
                records = next(self.batches(at, end, max_rows))
            except RecordsDropped:  # meanwhile
                continue
            at += len(records)
            if isinstance(records, Block):
                is_item = pc.equal(records.table.column("kind"), ITEM).to_numpy()
                yield list(records.records(np.flatnonzero(is_item)))
            else:
                yield [record for record in records if record.kind == ITEM]

    def count_events(self, start: int, end: int) -> int:
        """How many of [start, end) are not served lists; looks at no more than two places of the log."""
        return self._while_files_change(lambda: self._count_events(start, end))

    def count(self, kind: str, start: int = 0, end: int = 1 << 62) -> int:
        """How many records of [start, end) are of this kind; scans the range."""
        total = 0
        for records in self.batches(start, end):
            total += sum(record.kind == kind for record in records)
        return total

    def has(self, event_id: str) -> bool:
        """Whether a record has this event_id."""
        return self.offset_of(event_id) is not None

    def offset_of(self, event_id: str) -> int | None:
        """Where the record with this event_id is, None where there is none."""
        return self._while_files_change(lambda: self._known([event_id]).get(event_id))

    def position(self, source: str) -> str | None:
        """Where this source was when its last records were stored."""
        return self.tail.position(source)

    def stat(self) -> dict[str, Any]:
        """What there is: ids, offsets, rows, bytes, and the sources with most records."""
        return verification.stat(self.tail, self.files)

    def verify(self) -> list[str]:
        """Read all of the log and say what is wrong with it; an empty list where nothing is."""
        return verification.verify(self.tail, self.files)

    def compact(self, keep_tail: int) -> list[tuple[int, int]]:
        """Move all but the newest `keep_tail` records from the tail into segments; returns their ranges.

        Nothing happens before the tail is a quarter longer than that, so that segments do not get small.
        """
        return compaction.compact(self.tail, self.files, keep_tail)

    def drop(
        self, upto: int, received_before: int | None = None, most_bytes: int | None = None
    ) -> list[tuple[int, int]]:
        """Drop the oldest segments, none that ends behind `upto`; returns their ranges. For good.

        One goes that was received before that time (µs), or while all together are larger than `most_bytes`. Their
        event_ids stay known, their catalogue rows stay in `items`.
        """
        return dropping.drop(self.tail, self.files, upto, received_before, most_bytes)

    def find(self, user_id: str, before: int | None = None) -> list[Record]:
        """All records of a user, below the offset `before`: reads all of the log."""
        end = self.head() if before is None else before
        return self._while_files_change(lambda: list(erasure.find(self.tail, self.files, user_id, end)))

    def erase(self, records: Sequence[Record], left: erasure.Left, forget_offset: int) -> erasure.Rewritten:
        """Erase records that `find` gave, but for what is `left`. Killed, it can be called again for the rest."""
        return erasure.erase(self.tail, self.files, records, left, forget_offset, time.time_ns() // 1_000)

    def erased_offsets(self) -> list[int]:
        """The offsets of all records that were ever erased, ascending."""
        return sorted(ErasedIds(self.tail).offsets.values())

    def _while_files_change(self, look: Callable[[], T]) -> T:
        """What a look into segments gives, repeated where a compaction has just replaced a file."""
        while True:
            generation = self.tail.head().generation
            try:
                return look()
            except FileNotFoundError:
                if self.tail.head().generation == generation:
                    raise

    def _piece(self, start: int, end: int, block_end: int) -> Sequence[Record]:
        for segment in self.tail.segments(start, end):
            if segment.start <= start:
                past = self.files.past(segment, start, BLOCK_BYTES)
                return self.files.block(segment, start, min(block_end, past))
            end = segment.start
            break
        return self.read(start, end)

    def _read(self, start: int, end: int) -> list[Record]:
        pieces: list[list[Record] | tuple[Segment, int, int]] = []
        with self.tail.transaction("deferred"):
            end = min(end, self.head())
            if start < (first := min(self.start(), end)):
                raise RecordsDropped(
                    f"the records [{start}, {first}) were dropped from {self.directory}, which begins at {self.start()}"
                )
            at = start
            for segment in self.tail.segments(start, end):
                if at < segment.start:
                    pieces.append(self.tail.records(at, segment.start))
                pieces.append((segment, max(at, segment.start), min(end, segment.end)))
                at = segment.end
            if at < end:
                pieces.append(self.tail.records(at, end))
        records: list[Record] = []
        for piece in pieces:
            records += piece if isinstance(piece, list) else self.files.block(*piece)
        if len(records) != max(end - start, 0):
            raise DamagedLog(
                f"{self.directory} has {len(records)} of the records [{start}, {end}): run `rec log verify`"
            )
        return records

    def _count_events(self, start: int, end: int) -> int:
        with self.tail.transaction("deferred"):
            end = min(end, self.head())
            start = max(start, 0)
            return self._counted(end) - self._counted(start) if start < end else 0

    def _known(self, event_ids: list[str]) -> dict[str, int]:
        known = self.tail.known(event_ids)
        if (generation := self.tail.head().generation) != self._generation:
            self._segments, self._generation = self.tail.segments(), generation
            self.files.keep({segment.name for segment in self._segments})
            self._erased = ErasedIds(self.tail)
            self._dropped = DroppedIds(self.files.directory, self.tail.dropped())
        if self._segments and len(known) < len(event_ids):
            known |= self.files.find(self._segments, [event_id for event_id in event_ids if event_id not in known])
        if self._erased is not None and len(known) < len(event_ids):
            known |= self._erased.find([event_id for event_id in event_ids if event_id not in known])
        if self._dropped is not None and len(known) < len(event_ids):
            known |= self._dropped.find([event_id for event_id in event_ids if event_id not in known])
        return known

    def _counted(self, offset: int) -> int:
        """The number of records before `offset` that are not served lists."""
        for segment in self.tail.segments(offset, offset + 1):
            if segment.counted in (0, segment.end - segment.start):
                return segment.counted_before + (offset - segment.start if segment.counted else 0)
            kinds = self.files.kinds(segment, segment.start, offset) if offset > segment.start else {}
            return segment.counted_before + offset - segment.start - kinds.get(LIST, 0)
        for dropped in self.tail.dropped():
            if dropped.start <= offset < dropped.end:
                inside = offset - dropped.start if dropped.counted else 0
                if inside and dropped.counted != dropped.end - dropped.start:
                    raise RecordsDropped(f"what lay around offset {offset} was dropped from {self.directory}")
                return dropped.counted_before + inside
        row = self.tail.con.execute("select counted from records where log_offset = ?", (offset,)).fetchone()
        return int(row[0]) if row else self.tail.head().counted
