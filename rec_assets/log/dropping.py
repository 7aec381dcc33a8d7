"""Retention: the oldest segments are dropped, a whole one at a time. Offsets and counts stay as they are.

Two things are kept of what goes, because nothing else can tell them: a hash of each event_id, so that a source that is
read again brings no record back, and the catalogue rows, so that a service that starts knows how items are shown.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rec_assets import durable
from rec_assets.log import compaction, segments
from rec_assets.log.block import Block
from rec_assets.log.bulk import writing
from rec_assets.log.dropped_ids import open_index
from rec_assets.log.ids import IdIndex
from rec_assets.log.record import ITEM, Record
from rec_assets.log.segments import SegmentReader, ids_path, items_path
from rec_assets.log.tail import Segment, Tail

ITEMS = pa.schema([*segments.SCHEMA, ("log_offset", pa.int64())])


def drop(
    tail: Tail, files: SegmentReader, upto: int, received_before: int | None, most_bytes: int | None
) -> list[tuple[int, int]]:
    """Drop segments from the log's start on, none that ends behind the offset `upto`; returns their ranges.

    One goes that was received before that time (µs), or while all together are larger than `most_bytes`. Killed at any
    instant nothing is lost that was to stay, and the same call finishes.
    """
    files.directory.mkdir(parents=True, exist_ok=True)
    gone = []
    with durable.locked(files.directory.parent / "compact.lock"):
        compaction.clean(tail, files)
        compaction.delete_rows(tail)
        for segment in list(_doomed(tail, files, upto, received_before, most_bytes)):
            files.index(segment)  # made where it was missing
            _keep_items(files, [segment], segment.name)
            with tail.transaction():
                tail.con.execute("delete from segments where first = ?", (segment.start,))
                _enter(tail, segment)
            gone.append((segment.start, segment.end))
        while run := compaction.mergeable(tail.dropped()):
            _merge(tail, files, run)
        files.keep({each.name for each in tail.segments()})
        # Who writes a segment may be reading the others.
        with durable.locked(files.directory.parent / "segments.lock"):
            segments.delete_orphans(files.directory, *compaction.names(tail))
    return gone


def _doomed(
    tail: Tail, files: SegmentReader, upto: int, received_before: int | None, most_bytes: int | None
) -> Iterator[Segment]:
    listed, at = tail.segments(), tail.start()
    size = sum(segment.size for segment in listed)
    for segment in listed:
        old = received_before is not None and files.received_until(segment) < received_before
        large = most_bytes is not None and size > most_bytes
        if segment.start != at or segment.end > upto or not (old or large):
            return
        yield segment
        at, size = segment.end, size - segment.size


def _enter(tail: Tail, dropped: Segment) -> None:
    tail.con.execute("insert into dropped values (?, ?, ?, ?, ?, ?, ?)", dropped)
    tail.con.execute("update head set generation = generation + 1")


def _keep_items(files: SegmentReader, listed: Sequence[Segment], name: str) -> None:
    """Write the catalogue rows of segments, or of dropped ones, as those of `name`; no file where there are none."""
    path = items_path(files.directory, name)
    beside, rows = path.with_suffix(".part"), 0
    with pq.ParquetWriter(beside, ITEMS, compression="zstd") as writer:
        for segment in listed:
            for table in _items(files, segment):
                rows += table.num_rows
                writer.write_table(table)
    if rows:
        durable.put(beside, path)
    else:
        beside.unlink()


def _items(files: SegmentReader, segment: Segment) -> Iterator[pa.Table]:
    if (path := items_path(files.directory, segment.name)).exists():
        yield pq.read_table(path)
        return
    if not segments.parquet_path(files.directory, segment.name).exists():
        return
    start = segment.start
    for table in files.tables(segment):
        offsets = pa.array(np.arange(start, start + table.num_rows))
        table = table.append_column(ITEMS.field("log_offset"), offsets)
        start += table.num_rows
        if (found := table.filter(pc.equal(table.column("kind"), ITEM))).num_rows:
            yield found


def _merge(tail: Tail, files: SegmentReader, run: Sequence[Segment]) -> None:
    """Put what is left of neighbours together, so that there are few files, however long the log."""
    first, last = run[0], run[-1]
    indexes = [(each.start - first.start, open_index(files.directory, each)) for each in run]
    own = np.concatenate([index.hashes for _, index in indexes])
    rows = np.concatenate([index.rows + np.uint32(at) for at, index in indexes])
    order = np.argsort(own, kind="stable")
    with writing(files.directory):
        name = segments.new_name()
        durable.replace(ids_path(files.directory, name), IdIndex(own[order], rows[order]).content())
        _keep_items(files, run, name)
        with tail.transaction():
            tail.con.execute("delete from dropped where first >= ? and past <= ?", (first.start, last.end))
            counted, size = sum(each.counted for each in run), sum(each.size for each in run)
            _enter(tail, Segment(first.start, last.end, first.counted_before, counted, name, size, ""))


def items(tail: Tail, files: SegmentReader, start: int, end: int) -> list[Record]:
    """The catalogue rows of [start, end) that were dropped segments', in order."""
    found = []
    for segment in tail.dropped():
        path = items_path(files.directory, segment.name)
        if segment.end > start and segment.start < end and path.exists():
            table = pq.read_table(path)
            offsets = table.column("log_offset").to_pylist()
            records = Block(table.select(segments.SCHEMA.names), 0)
            found += [row._replace(offset=at) for row, at in zip(records, offsets, strict=True) if start <= at < end]
    return found
