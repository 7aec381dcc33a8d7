"""A user's records leave tail and segments; all that goes by offset, count or event_id stays as it was."""

import json
import sqlite3

import pyarrow.parquet as pq

from rec_assets.log import Draft, Log, segments

WHO, OTHER = "person-to-go", "person-to-stay"


def drafts(start, end):
    """Every third record is the user's: by its column, by its payload alone, or as one that is no JSON."""
    found = []
    for n in range(start, end):
        user = WHO if n % 3 == 0 else OTHER
        kind = "list" if n % 9 == 3 else "event"
        payload = json.dumps({"user_id": user, "item_id": f"i{n}", "event": "click"})
        if n % 12 == 6:
            payload = payload[:-3]  # torn
        found.append(Draft(kind, payload.encode(), f"{user}/{n}", None if n % 2 else user, n, f"at {user} {n}"))
    return found


def filled(log):
    log.append(drafts(0, 30), "s")
    log.compact(5)
    log.append_bulk(iter(drafts(30, 60)), "f")
    log.append(drafts(60, 75), "s")
    return log


def test_what_is_left_has_offsets_and_counts_and_nothing_else(log):
    before = filled(log).read(0, 75)
    counts = [log.count_events(0, end) for end in range(76)]
    found = log.find(WHO)
    assert [record.offset for record in sorted(found)] == list(range(0, 75, 3))
    done = log.erase(found, {6: b'{"item_id":"i6"}'}, 75)
    assert (done.tail_records, done.segment_records, done.wal_truncated) == (6, 19, True)
    after = log.read(0, 75)
    for old, new in zip(before, after, strict=True):
        if old.offset % 3:
            assert new == old
        else:
            assert new.kind == ("list" if old.kind == "list" else "erased")
            assert new.payload == (b'{"item_id":"i6"}' if new.offset == 6 else b"{}")
            assert (new.received_at, new.source, new.source_position) == (old.received_at, old.source, None)
    assert [log.count_events(0, end) for end in range(76)] == counts
    assert log.verify() == []
    assert log.find(WHO) == []


def test_no_byte_of_the_id_is_left_in_any_file(log):
    filled(log)
    log.erase(log.find(WHO), {}, 75)
    assert holding(log.directory, WHO) == []
    assert holding(log.directory, OTHER) != []


def holding(directory, user):
    """Files that have the id in them, Parquet decoded."""
    found = []
    for path in sorted(each for each in directory.rglob("*") if each.is_file()):
        content = path.read_bytes()
        if path.suffix == ".parquet":
            content += b"".join(repr(column.to_pylist()).encode() for column in pq.read_table(path).columns)
        if user.encode() in content:
            found.append(path.name)
    return found


def test_reading_a_source_again_does_not_bring_the_records_back(log):
    filled(log)
    log.erase(log.find(WHO), {}, 75)
    assert log.append(drafts(0, 75), "s") == list(range(75))
    assert log.append_bulk(iter(drafts(0, 76)), "f") == (75, 76)
    assert log.append(drafts(75, 78), "s") == [75, 76, 77]
    with Log.open(log.directory) as other:
        assert other.has(f"{WHO}/0") and other.append(drafts(0, 3), "s") == [0, 1, 2]
    assert log.verify() == []


def test_the_rewritten_segments_are_noted(log):
    filled(log)
    names = {segment.name: segment.sha256 for segment in log.tail.segments()}
    log.erase(log.find(WHO), {}, 75)
    rows = log.tail.con.execute("select first, past, sha256_before, sha256, forget_offset from rewritten").fetchall()
    now = {segment.start: segment for segment in log.tail.segments()}
    assert {row[2] for row in rows} == set(names.values())
    for first, past, _, sha256, forget_offset in rows:
        assert (now[first].end, now[first].sha256, forget_offset) == (past, sha256, 75)
    assert not names.keys() & {segment.name for segment in now.values()}
    assert log.stat()["rewritten_segments"] == len(rows)
    assert log.stat()["erased_records"] == 25


def test_others_read_on_while_files_are_replaced_and_compaction_goes_on(log):
    filled(log)
    with Log.open(log.directory) as reader:
        assert len(reader.read(0, 75)) == 75
        log.erase(log.find(WHO), {}, 75)
        assert [record.offset for record in reader.read(0, 75)] == list(range(75))
        assert not any(WHO in record.event_id for record in reader.read(0, 75))
    log.compact(0)
    assert log.verify() == []
    assert log.append(drafts(0, 75), "s") == list(range(75))


def test_a_log_of_before_has_erased_nothing(log):
    filled(log)
    with sqlite3.connect(log.tail.path) as con:
        assert con.execute("select count(*) from sqlite_master where name = 'erased'").fetchone() == (0,)
    assert log.stat()["erased_records"] == 0


def test_events_in_typed_columns_are_erased_too(log):
    n, users = 20, [WHO if n % 2 else OTHER for n in range(20)]
    columns = {"kind": ["event"] * n, "source": ["f"] * n, "received_at": range(n), "user_id": users}
    columns |= {
        "event_id": [f"{user}/{n}" for n, user in enumerate(users)],
        "item_id": ["i"] * n,
        "event": ["click"] * n,
    }
    log.append_tables([segments.table_of({name: list(column) for name, column in columns.items()}, n)], "f")
    before = log.read(0, n)
    log.erase(log.find(WHO), {3: b'{"new_user":true}'}, n)
    after = log.read(0, n)
    assert after[::2] == before[::2]
    assert {(record.kind, record.payload) for record in after[1::2]} == {
        ("erased", b"{}"),
        ("erased", b'{"new_user":true}'),
    }
    assert holding(log.directory, WHO) == []
    assert log.verify() == []
