"""Erasing one user's records: offsets and counts stay, what the records said goes, and the files know nothing more.

What is left of a record is of kind "erased" (a served list stays one, empty), so that everything which goes by offset
goes on. Its event_id is kept as a hash: a source that is read again does not bring the record back.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from rec_assets import durable
from rec_assets.log import compaction, segments
from rec_assets.log.bulk import writing
from rec_assets.log.erased_ids import digest
from rec_assets.log.ids import hashes
from rec_assets.log.record import ERASED, LIST, Record
from rec_assets.log.segments import SegmentReader
from rec_assets.log.tail import Segment, Tail

UPDATED_ROWS = 2_000  # per transaction, so that an append waits for milliseconds only
TRUNCATE_SECONDS = 30.0  # for readers to let the write-ahead log go
EMPTY = b"{}"
SCHEMA = (
    # Grain: one row per erased record. `hash` is the one of segments' indexes, `digest` tells ids of equal hash apart.
    "create table if not exists erased (digest blob primary key, hash integer not null, log_offset integer not null)",
    # Grain: one row per segment that was rewritten: the log's own ledger of its files.
    """create table if not exists rewritten (
         first integer not null, past integer not null, sha256_before text not null, sha256 text not null,
         forget_offset integer not null, at integer not null)""",
)

Left = Mapping[int, bytes]  # offset -> payload of what is left of it; EMPTY for others


class Rewritten(NamedTuple):
    """What an erasure changed: records by where they lay, segment files, and whether SQLite's files are clean too."""

    tail_records: int
    segment_records: int
    segments: int
    wal_truncated: bool


def find(tail: Tail, files: SegmentReader, user_id: str, before: int) -> Iterator[Record]:
    """The records at offsets below `before` that are the user's, in the order of the log but for the tail's, last."""
    needle = msgspec.json.encode(user_id)
    is_theirs = _judge(user_id, needle)
    seen = 0
    for segment in tail.segments(0, before):
        for record, owner in files.naming(segment, user_id, needle):
            if record.offset < before and is_theirs(record, owner):
                yield record
        seen = segment.end
    query = """
        select log_offset, kind, source, source_position, received_at, event_id, payload, user_id from records
        where log_offset < ? and (user_id = ? or instr(payload, ?) or instr(payload, x'5c')) order by log_offset
    """
    in_segments = tail.segments(0, max(seen, before))
    for *values, owner in tail.con.execute(query, (before, user_id, needle)):
        record = Record(*values)
        if is_theirs(record, owner) and not any(each.start <= record.offset < each.end for each in in_segments):
            yield record


def _judge(user_id: str, needle: bytes) -> Callable[[Record, str | None], bool]:
    """Whose record it is, by the column, else by what the payload says; no JSON but names them: theirs too."""

    def is_theirs(record: Record, owner: str | None) -> bool:
        if owner == user_id:
            return True
        try:
            payload = msgspec.json.decode(record.payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return needle in record.payload
        return isinstance(payload, dict) and payload.get("user_id") == user_id

    return is_theirs


def erase(
    tail: Tail, files: SegmentReader, records: Sequence[Record], left: Left, forget_offset: int, now: int
) -> Rewritten:
    """Erase these records, which lie before `forget_offset`; `now` in µs. A kill at any instant loses nothing: the
    records that are still there can be found and erased again.
    """
    files.directory.mkdir(parents=True, exist_ok=True)
    with durable.locked(files.directory.parent / "compact.lock"):
        with tail.transaction():
            for statement in SCHEMA:
                tail.con.execute(statement)
        changed = {record.offset: _changed(record, left) for record in records}
        in_segments = written = 0
        for segment in tail.segments():
            inside = {offset: row for offset, row in changed.items() if segment.start <= offset < segment.end}
            if inside:
                _rewrite(tail, files, segment, inside, forget_offset, now)
                in_segments, written = in_segments + len(inside), written + 1
        offsets = sorted(changed)
        for at in range(0, len(offsets), UPDATED_ROWS):
            _update(tail, [changed[offset] for offset in offsets[at : at + UPDATED_ROWS]])
        # A bulk file that is being written may have no name in the log yet.
        with durable.locked(files.directory.parent / "segments.lock"):
            segments.delete_orphans(files.directory, *compaction.names(tail))
        return Rewritten(len(changed) - in_segments, in_segments, written, _clean(tail))


class _Change(NamedTuple):
    offset: int
    kind: str
    event_id: str
    payload: bytes
    was: str  # the event_id


def _changed(record: Record, left: Left) -> _Change:
    kind = LIST if record.kind == LIST else ERASED
    payload = EMPTY if kind == LIST else left.get(record.offset, EMPTY)
    return _Change(record.offset, kind, f"erased:{record.offset}", payload, record.event_id)


def _note(tail: Tail, changes: Sequence[_Change]) -> None:
    """Keep the event_ids as hashes, in the transaction that erases them."""
    found = hashes([change.was for change in changes]).view(np.int64).tolist()
    rows = [
        (digest(change.was), value, change.offset)
        for change, value in zip(changes, found, strict=True)
        if change.was != change.event_id
    ]
    tail.con.executemany("insert or ignore into erased values (?, ?, ?)", rows)
    tail.con.execute("update head set generation = generation + 1")


def _update(tail: Tail, changes: Sequence[_Change]) -> None:
    update = """
        update records set kind = ?, event_id = ?, payload = ?, user_id = null, source_position = null
        where log_offset = ?
    """
    with tail.transaction():
        tail.con.executemany(update, [(each.kind, each.event_id, each.payload, each.offset) for each in changes])
        _note(tail, changes)


def _rewrite(
    tail: Tail, files: SegmentReader, segment: Segment, changes: Mapping[int, _Change], forget_offset: int, now: int
) -> None:
    """A new file in the segment's place, in which these rows are erased."""
    with writing(files.directory):
        rows = {offset - segment.start: (each.kind, each.event_id, each.payload) for offset, each in changes.items()}
        written = files.rewrite(segment, rows)
        with tail.transaction():
            tail.con.execute(
                "update segments set name = ?, bytes = ?, sha256 = ? where first = ?",
                (written.name, written.size, written.sha256, segment.start),
            )
            noted = (segment.start, segment.end, segment.sha256, written.sha256, forget_offset, now)
            tail.con.execute("insert into rewritten values (?, ?, ?, ?, ?, ?)", noted)
            _note(tail, list(changes.values()))
        files.keep({each.name for each in tail.segments()})
        segments.delete(files.directory, segment.name)


def _clean(tail: Tail) -> bool:
    """Overwrite what SQLite keeps of rows that are gone: free pages and the write-ahead log."""
    with durable.locked(tail.path.parent / "append.lock"):
        tail.con.execute("vacuum")
    deadline = time.monotonic() + TRUNCATE_SECONDS
    while tail.con.execute("pragma wal_checkpoint(truncate)").fetchone()[0]:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
