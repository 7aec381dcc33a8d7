"""Compaction: what is old moves from the tail into segments, while others append and read."""

import fcntl
import itertools
import math
from collections.abc import Iterator
from typing import Any

from rec_assets import durable
from rec_assets.log import segments
from rec_assets.log.bulk import writing
from rec_assets.log.segments import SegmentReader
from rec_assets.log.tail import Segment, Tail

SEGMENT_ROWS = 200_000
MERGED = 8  # so many neighbours of like size become one, so that there are few, however long the log
MERGED_ROWS = 4_000_000  # but none larger: its index is sorted in memory, 20 bytes a row
DELETE_ROWS = 2_000  # per transaction, so that an append waits for milliseconds only


def compact(tail: Tail, files: SegmentReader, keep_tail: int) -> list[tuple[int, int]]:
    """Move records; returns the ranges moved. One process at a time; a kill at any instant loses nothing.

    A segment is written and synced, then one transaction makes it count, and only then do its rows leave the tail.
    """
    files.directory.mkdir(parents=True, exist_ok=True)
    moved = []
    with durable.locked(files.directory.parent / "compact.lock"):
        clean(tail, files)
        if tail.con.execute("select count(*) from records").fetchone()[0] <= keep_tail * 5 // 4:
            return []
        for start, end in list(_runs(tail, tail.head().head - keep_tail)):
            for at in range(start, end, SEGMENT_ROWS):
                past = min(at + SEGMENT_ROWS, end)
                _move(tail, files, at, past)
                moved.append((at, past))
        delete_rows(tail)
        while run := mergeable(tail.segments()):
            _merge(tail, files, run)
        tail.con.execute("pragma wal_checkpoint(passive)")
    return moved


def _move(tail: Tail, files: SegmentReader, start: int, end: int) -> None:
    with writing(files.directory):
        written = segments.write(files.directory, segments.tables(_rows(tail, start, end)))
        with tail.transaction():
            before = tail.con.execute("select counted from records where log_offset = ?", (start,)).fetchone()[0]
            tail.add_segment(Segment(start, end, before, written.counted, written.name, written.size, written.sha256))


def _rows(tail: Tail, start: int, end: int) -> Iterator[tuple[Any, ...]]:
    for at in range(start, end, segments.GROUP_ROWS):
        yield from tail.rows(at, min(at + segments.GROUP_ROWS, end))


def _runs(tail: Tail, end: int) -> Iterator[tuple[int, int]]:
    """The ranges before `end` that no segment has."""
    at = tail.start()
    for segment in tail.segments():
        if segment.start > at and at < end:
            yield at, min(segment.start, end)
        at = segment.end
    if at < end:
        yield at, end


def mergeable(listed: list[Segment]) -> list[Segment]:
    """The first MERGED neighbours whose rows lie between the same powers of MERGED, or none."""
    run: list[Segment] = []
    for segment in listed:
        last = run[-1] if run else segment
        joins = segment is last or (last.end == segment.start and _power(last) == _power(segment))
        run = [*run, segment] if joins else [segment]
        if len(run) == MERGED and run[-1].end - run[0].start <= MERGED_ROWS:
            return run
        run = run[-(MERGED - 1) :]
    return []


def _power(segment: Segment) -> int:
    return int(math.log(segment.end - segment.start, MERGED))


def _merge(tail: Tail, files: SegmentReader, run: list[Segment]) -> None:
    """Replace neighbours by one segment. Their files stay until the next compaction, for those who are reading them."""
    with writing(files.directory):
        written = segments.write(files.directory, itertools.chain.from_iterable(map(files.tables, run)))
        first, last = run[0], run[-1]
        with tail.transaction():
            tail.con.execute("delete from segments where first >= ? and past <= ?", (first.start, last.end))
            tail.add_segment(
                Segment(
                    first.start,
                    last.end,
                    first.counted_before,
                    written.counted,
                    written.name,
                    written.size,
                    written.sha256,
                )
            )


def clean(tail: Tail, files: SegmentReader) -> None:
    """Finish what a kill has left half-done: files that never became segments, rows that already did."""
    with (files.directory.parent / "segments.lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another process writes a segment; next time
        segments.delete_orphans(files.directory, *names(tail))
    delete_rows(tail)


def names(tail: Tail) -> tuple[set[str], set[str]]:
    """The files of segments, and those of segments that were dropped."""
    with tail.transaction("deferred"):
        return {each.name for each in tail.segments()}, {each.name for each in tail.dropped()}


def delete_rows(tail: Tail) -> None:
    """Delete the rows that lie in a segment, a few at a time."""
    delete = "delete from records where log_offset >= ? and log_offset < ?"
    for segment in tail.segments():
        query = "select min(log_offset) from records where log_offset >= ? and log_offset < ?"
        while (first := tail.con.execute(query, (segment.start, segment.end)).fetchone()[0]) is not None:
            with tail.transaction():
                tail.con.execute(delete, (first, min(first + DELETE_ROWS, segment.end)))
