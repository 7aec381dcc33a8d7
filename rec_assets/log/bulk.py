"""A large file becomes one segment: written and synced first, then one transaction gives it its offsets."""

import contextlib
import fcntl
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from rec_assets.log import segments
from rec_assets.log.dropped_ids import DroppedIds
from rec_assets.log.erased_ids import ErasedIds
from rec_assets.log.ids import hashes
from rec_assets.log.record import Draft, identify
from rec_assets.log.segments import SegmentReader, Written
from rec_assets.log.tail import Segment, Tail


@contextlib.contextmanager
def writing(directory: Path) -> Iterator[None]:
    """While segment files that the log does not know yet are written: keeps `delete_orphans` away from them."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory.parent / "segments.lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def append(
    tail: Tail,
    files: SegmentReader,
    tables: Iterable[pa.Table],
    source: str,
    position: Callable[[int], str] | str | None,
) -> tuple[int, int]:
    """Store tables of segments.SCHEMA as one segment, without rows whose event_id the log has; returns its offsets."""
    with writing(files.directory):
        written = segments.write(files.directory, tables)
        position = position(written.rows) if callable(position) else position
        repeated, seen = _repeats(files, written), 0  # the log was searched before the offset `seen`
        while True:
            head = tail.head().head
            repeated |= _known(tail, files, written, seen)
            if repeated:
                written = _without(files, written, repeated)
            seen = head
            with tail.transaction():
                repeated = _known(tail, files, written, seen)  # only what others have appended meanwhile
                if not repeated:
                    start = _place(tail, written)
                    if position is not None:
                        tail.set_position(source, position)
            if not repeated:
                break
        if not written.rows:
            segments.delete(files.directory, written.name)
        return start, start + written.rows


def _place(tail: Tail, written: Written) -> int:
    """Give the segment the next offsets, of which the first is returned."""
    start, counted, _ = tail.head()
    if written.rows:
        _, rows, own, size, sha256, _ = written
        tail.add_segment(Segment(start, start + rows, counted, own, written.name, size, sha256))
        tail.advance(rows, own)
    return start


def rows(drafts: Iterable[Draft], source: str) -> Iterator[tuple[Any, ...]]:
    """Drafts as rows in the order of segments.STORED."""
    now = time.time_ns() // 1_000
    for draft in drafts:
        received_at = now if draft.received_at is None else draft.received_at
        event_id = identify(draft, source)
        yield draft.kind, source, draft.source_position, received_at, event_id, draft.user_id, draft.payload


def _known(tail: Tail, files: SegmentReader, written: Written, since: int) -> set[int]:
    """The rows whose event_id the log has at or after the offset `since`."""
    known: set[int] = set()
    query = "select event_id from records where log_offset >= ?"
    in_tail = [str(row[0]) for row in tail.con.execute(query, (since,))]
    if in_tail:
        known |= _equal(files, written, written.ids.find(hashes(in_tail)), in_tail)
    for segment in tail.segments(since):
        index = files.index(segment)
        hits = index.find(written.ids.hashes)
        own = files.event_ids(segment, [row for _, row in hits])
        pairs = [(i, int(written.ids.rows[place])) for i, (place, _) in enumerate(hits)]
        known |= _equal(files, written, pairs, own)
    if not since:
        dropped = DroppedIds(files.directory, tail.dropped())
        known |= set(written.ids.rows[dropped.places(written.ids.hashes)].tolist())
    erased = ErasedIds(tail)
    near = written.ids.rows[erased.rows(written.ids.hashes)].tolist()
    own = files.event_ids(_placed(written), near)
    there = erased.find(own)
    return known | {row for row, event_id in zip(near, own, strict=True) if event_id in there}


def _equal(files: SegmentReader, written: Written, pairs: list[tuple[int, int]], event_ids: list[str]) -> set[int]:
    """Those rows of pairs (place in `event_ids`, row) whose ids, not only their hashes, are equal."""
    own = files.event_ids(_placed(written), [row for _, row in pairs])
    return {row for (place, row), event_id in zip(pairs, own, strict=True) if event_ids[place] == event_id}


def _repeats(files: SegmentReader, written: Written) -> set[int]:
    """The rows whose event_id an earlier row has."""
    rows = sorted(written.ids.repeated().tolist())
    first: dict[str, int] = {}
    own = files.event_ids(_placed(written), rows)
    return {row for row, event_id in zip(rows, own, strict=True) if first.setdefault(event_id, row) != row}


def _without(files: SegmentReader, written: Written, rows: set[int]) -> Written:
    smaller = segments.write(files.directory, files.tables(_placed(written), frozenset(rows)))
    segments.delete(files.directory, written.name)
    return smaller


def _placed(written: Written) -> Segment:
    """As if it stood at offset 0: for reading it before it has its place."""
    return Segment(0, written.rows, 0, written.counted, written.name, written.size, written.sha256)
