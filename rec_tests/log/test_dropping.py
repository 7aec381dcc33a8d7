"""The oldest segments go, in whole; offsets, counts, event_ids and catalogue rows stay."""

import shutil

import pytest

from rec_assets import durable
from rec_assets.log import Draft, Log, RecordsDropped, compaction, dropping, segments

KINDS = ["event", "list", "item"]
HEAD = 75


def drafts(start, end):
    return [Draft(KINDS[n % 3], b'{"item_id":"%d"}' % n, f"e{n}", received_at=1_000 + n) for n in range(start, end)]


def filled(log):
    """Segments [0, 20), [20, 25), [25, 60) and a tail."""
    log.append(drafts(0, 30), "s")
    log.compact(5)
    log.append_bulk(drafts(25, 60), "f")
    log.append(drafts(60, HEAD), "s")
    log.compact(15)
    assert [(each.start, each.end) for each in log.tail.segments()] == [(0, 20), (20, 25), (25, 30), (30, 60)]
    return log


def reads_whole(log, start):
    """Whether all can be read as it is to be from a log that begins at `start`."""
    assert (log.start(), log.head(), log.verify()) == (start, HEAD, [])
    assert [record.event_id for record in log.read(start, HEAD)] == [f"e{n}" for n in range(start, HEAD)]
    items = [record for records in log.items(HEAD, 4) for record in records]
    assert [(record.offset, record.event_id) for record in items] == [(n, f"e{n}") for n in range(2, HEAD, 3)]


def is_whole(log, start):
    """Whether counts and event_ids are as ever, too."""
    reads_whole(log, start)
    for end in (0, start, start + 2, HEAD):
        assert log.count_events(0, end) == sum(n % 3 != 1 for n in range(end))
    assert log.append(drafts(0, HEAD), "again") == list(range(HEAD))
    assert log.append_bulk(drafts(0, HEAD), "again") == (HEAD, HEAD)


def test_what_is_old_goes_up_to_where_it_is_needed(log):
    filled(log)
    assert log.drop(60) == []  # nothing to go by
    assert log.drop(60, received_before=1_000) == []
    assert log.drop(19, received_before=9_999) == []
    is_whole(log, 0)
    with Log.open(log.directory) as reader:
        assert len(reader.read(0, HEAD)) == HEAD
        assert log.drop(60, received_before=1_025) == [(0, 20), (20, 25)]
        assert reader.append(drafts(3, 5), "s") == [3, 4]
        is_whole(reader, 25)
    assert log.drop(HEAD, received_before=9_999) == [(25, 30), (30, 60)]
    is_whole(log, 60)
    assert log.stat()["start"] == 60 and log.stat()["dropped_kept_bytes"] > 60 * 12
    assert log.append(drafts(HEAD, HEAD + 1), "s") == [HEAD]


def test_what_is_too_large_goes_from_the_start(log):
    filled(log)
    sizes = [each.size for each in log.tail.segments()]
    assert log.drop(60, most_bytes=sum(sizes)) == []
    assert log.drop(60, most_bytes=sum(sizes[1:])) == [(0, 20)]
    assert log.drop(60, most_bytes=0) == [(20, 25), (25, 30), (30, 60)]
    assert not list(log.files.directory.glob("*.parquet"))
    is_whole(log, 60)


def test_who_reads_what_was_dropped_is_told(log):
    filled(log).drop(25, received_before=9_999)
    for read in (lambda: log.read(0, 30), lambda: log.read(24, 25), lambda: next(log.batches(7, 30))):
        with pytest.raises(RecordsDropped, match=r"begins at 25"):
            read()
    with pytest.raises(RecordsDropped):
        log.count_events(10, 40)
    assert log.has("e7") and not log.has("e999")
    assert log.find("nobody") == []


def test_what_is_left_of_dropped_segments_is_few_files(log, monkeypatch):
    monkeypatch.setattr(compaction, "MERGED", 3)
    log.append(drafts(0, HEAD), "s")
    for _ in range(2):
        monkeypatch.setattr(compaction, "MERGED_ROWS", 0)  # segments stay small, what is left of them does not
        log.compact(3)
        monkeypatch.setattr(compaction, "MERGED_ROWS", 200)
        log.drop(HEAD, received_before=9_999)
    assert [(each.start, each.end) for each in log.tail.dropped()] == [(0, 60), (60, 72)]
    assert len(list(log.files.directory.iterdir())) == 4
    is_whole(log, 72)


class Killed(BaseException):
    pass


def test_killed_at_any_step_the_same_call_finishes(log, tmp_path, monkeypatch):
    """Every step that lasts is a sync, a rename, a removal or a transaction: stop before each of them in turn."""
    monkeypatch.setattr(compaction, "MERGED", 3)
    monkeypatch.setattr(compaction, "MERGED_ROWS", 0)
    log.append(drafts(0, HEAD), "s")
    log.compact(15)
    monkeypatch.setattr(compaction, "MERGED_ROWS", 200)
    steps = [
        (durable, "sync"), (durable, "replace"), (dropping, "_keep_items"), (dropping, "_enter"),
        (segments, "delete_orphans"), (segments, "delete"),
    ]  # fmt: skip
    stopped = 0
    while True:
        left, copy = stopped + 1, tmp_path / f"killed-{stopped}"
        shutil.copytree(log.directory, copy)

        def stopping(real):
            def step(*arguments):
                nonlocal left
                left -= 1
                if not left:
                    raise Killed
                return real(*arguments)

            return step

        with monkeypatch.context() as patch:
            for module, name in steps:
                patch.setattr(module, name, stopping(getattr(module, name)))
            try:
                with Log.open(copy) as other:
                    other.drop(60, received_before=9_999)
                break
            except Killed:
                stopped += 1
        with Log.open(copy) as other:
            reads_whole(other, other.start())
            other.drop(60, received_before=9_999)
            is_finished(other)
    assert stopped > 15
    with Log.open(copy) as other:
        is_finished(other)
        is_whole(other, 60)


def is_finished(log):
    reads_whole(log, 60)
    files = {path.name for path in log.files.directory.iterdir()}
    assert files == {f"{each.name}.{suffix}" for each in log.tail.dropped() for suffix in ("hashes", "items")}
    assert len(log.tail.dropped()) == 1
