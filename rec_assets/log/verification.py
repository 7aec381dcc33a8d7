"""What the log holds, and whether all of it is there, once, unchanged."""

from collections import Counter
from typing import Any

import numpy as np

from rec_assets import durable
from rec_assets.log.dropped_ids import open_index
from rec_assets.log.ids import hashes
from rec_assets.log.record import LIST
from rec_assets.log.segments import SegmentReader, ids_path, items_path, parquet_path
from rec_assets.log.tail import Segment, Tail


def stat(tail: Tail, files: SegmentReader) -> dict[str, Any]:
    """Ids, offsets, rows and bytes."""
    with tail.transaction("deferred"):
        head, listed, dropped = tail.head(), tail.segments(), tail.dropped()
        first, last = tail.con.execute("select min(log_offset), max(received_at) from records").fetchone()
        rows = tail.con.execute("select count(*) from records").fetchone()[0]
        sources = tail.con.execute("select count(*) from positions").fetchone()[0]
        erased, rewritten = (_rows(tail, table) for table in ("erased", "rewritten"))
    names = [
        path
        for segment in listed
        for path in (parquet_path(files.directory, segment.name), ids_path(files.directory, segment.name))
    ]
    return {
        "log_id": tail.meta["log_id"],
        "format_version": int(tail.meta["format_version"]),
        "start": dropped[-1].end if dropped else 0,
        "head": head.head,
        "events": head.counted,
        "lists": head.head - head.counted,
        "segments": len(listed),
        "segment_rows": sum(segment.end - segment.start for segment in listed),
        "segment_bytes": sum(path.stat().st_size for path in names),
        "dropped_bytes": sum(each.size for each in dropped),
        "dropped_kept_bytes": sum(
            path.stat().st_size
            for each in dropped
            for path in (ids_path(files.directory, each.name), items_path(files.directory, each.name))
            if path.exists()
        ),
        "tail_rows": rows,
        "tail_start": first,
        "tail_bytes": tail.path.stat().st_size,
        "positions": sources,
        "erased_records": erased,
        "rewritten_segments": rewritten,
        "last_received_at": last,
    }


def _rows(tail: Tail, table: str) -> int:
    """0 for a table that the log has not: it is made by the first erasure."""
    if tail.con.execute("select 1 from sqlite_master where name = ?", (table,)).fetchone() is None:
        return 0
    return int(tail.con.execute(f"select count(*) from {table}").fetchone()[0])  # noqa: S608 - names of our own


def verify(tail: Tail, files: SegmentReader) -> list[str]:
    """Check SQLite's own pages, contiguity, counts, hashes of the files, and that no event_id is there twice."""
    with durable.locked(files.directory.parent / "compact.lock"):  # no file goes while it is read
        return _verify(tail, files)


def _verify(tail: Tail, files: SegmentReader) -> list[str]:
    problems = [row[0] for row in tail.con.execute("pragma quick_check") if row[0] != "ok"]
    with tail.transaction("deferred"):
        head, listed = tail.head(), tail.segments()
        rows = tail.con.execute(
            "select log_offset, counted, kind, event_id from records order by log_offset"
        ).fetchall()
        dropped = tail.dropped()
    expected = counted = 0
    for each in dropped:
        if (each.start, each.counted_before) != (expected, counted):
            problems.append(f"what was dropped from {expected} on goes on at {each.start}")
        expected, counted = each.end, each.counted_before + each.counted
        try:
            open_index(files.directory, each)
        except (OSError, ValueError) as error:
            problems.append(f"of the dropped [{each.start}, {each.end}) the event_ids cannot be read: {error}")
    place, event_ids = 0, []
    for segment in [*listed, None]:
        upto = segment.start if segment else head.head
        while place < len(rows) and rows[place][0] < expected:  # a segment has them; they are about to leave the tail
            place += 1
        while place < len(rows) and rows[place][0] < upto:
            offset, before, kind, event_id = rows[place]
            if offset != expected:
                problems.append(f"offsets [{expected}, {offset}) are missing")
            elif before != counted:
                problems.append(f"record {offset} says that {before} events lie before it, there are {counted}")
            expected, counted, place = offset + 1, before + (kind != LIST), place + 1
            event_ids.append(event_id)
        if expected != upto:
            problems.append(f"offsets [{expected}, {upto}) are missing")
        if segment:
            if segment.counted_before != counted:
                problems.append(f"segment {segment.name} says that {segment.counted_before} events lie before it")
            expected, counted = segment.end, segment.counted_before + segment.counted
            problems += _verify_segment(files, segment)
    if counted != head.counted:
        problems.append(f"the head counts {head.counted} events, there are {counted}")
    return problems + _repeated(files, listed, event_ids)


def _verify_segment(files: SegmentReader, segment: Segment) -> list[str]:
    path = parquet_path(files.directory, segment.name)
    try:
        if durable.sha256(path) != segment.sha256:
            return [f"{path} is not what was written: its SHA-256 differs"]
        own = hashes(files.event_ids(segment, range(segment.end - segment.start)))
        index = files.index(segment)
        if not (np.array_equal(own[index.rows], index.hashes) and (index.hashes[1:] >= index.hashes[:-1]).all()):
            return [f"{ids_path(files.directory, segment.name)} does not fit its segment"]
    except (OSError, ValueError, IndexError) as error:
        return [f"segment {segment.name} cannot be read: {error}"]
    return []


def _repeated(files: SegmentReader, listed: list[Segment], tail_ids: list[str]) -> list[str]:
    """Compares hashes first; ids only where two hashes are equal."""
    try:
        parts = [hashes(tail_ids), *(files.index(segment).hashes for segment in listed)]
    except (OSError, ValueError):
        return []  # said already
    every = np.sort(np.concatenate(parts))
    twice = np.unique(every[1:][every[1:] == every[:-1]])
    if not len(twice):
        return []
    found = [event_id for event_id, own in zip(tail_ids, parts[0], strict=True) if own in twice]
    for segment in listed:
        found += files.event_ids(segment, [row for _, row in files.index(segment).find(twice)])
    counts = Counter(found)
    return [f"event_id {event_id!r} is there {counts[event_id]} times" for event_id in counts if counts[event_id] > 1]
