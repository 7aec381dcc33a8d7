"""Records are the same wherever they lie: in the tail, in a compacted segment, in a file taken as one."""

import msgspec
import pytest

from rec_assets.log import DamagedLog, Draft, Log, compaction, position_id, segments
from rec_assets.log.record import position_ids

KINDS = ["event", "list", "item"]


@pytest.fixture(autouse=True)
def few_rows_deleted_at_once(monkeypatch):
    monkeypatch.setattr(compaction, "DELETE_ROWS", 3)


def drafts(start, end):
    return [
        Draft(KINDS[n % 3], f'{{"n":{n},"x":"é😀"}}'.encode(), f"e{n}", f"u{n % 4}" if n % 5 else None, n, str(n))
        for n in range(start, end)
    ]


def mixed(log):
    """Tail, bulk and compacted segments in turn: offset n holds draft n."""
    log.append(drafts(0, 30), "s")
    log.compact(5)
    assert log.append_bulk(iter(drafts(30, 60)), "f", "done") == (30, 60)
    log.append(drafts(60, 75), "s")
    return 75


def test_reading_is_the_same_before_and_after_compaction(log):
    log.append(drafts(0, 50), "s")
    before = log.read(0, 50)
    assert log.compact(10) == [(0, 20), (20, 40)]
    assert log.read(0, 50) == before
    for start, end in [(0, 1), (6, 8), (19, 21), (35, 45), (39, 40), (40, 41), (49, 60), (50, 60), (7, 7), (9, 3)]:
        assert log.read(start, end) == before[start:end]
    assert [record for batch in log.batches(3, 48, 9) for record in batch] == before[3:48]
    assert [len(batch) for batch in log.batches(0, 99, 20)] == [20, 20, 10]
    assert log.verify() == []


def test_a_block_is_bounded_in_rows_and_in_bytes(log, monkeypatch):
    log.append_bulk(iter(drafts(0, 50)), "f")
    assert [len(block) for block in log.batches(3, 48, 9, 30)] == [30, 15]
    monkeypatch.setattr("rec_assets.log.log.BLOCK_BYTES", 1)
    blocks = list(log.batches(3, 48, 9, 30))
    assert [len(block) for block in blocks] == [4, 7, 7, 7, 7, 7, 6]
    assert [record for block in blocks for record in block] == log.read(3, 48)


def test_all_places_are_one_sequence(log):
    head = mixed(log)
    assert [record.event_id for record in log.read(0, head)] == [f"e{n}" for n in range(head)]
    assert [record.offset for record in log.read(20, 70)] == list(range(20, 70))
    counts = [sum(n % 3 != 1 for n in range(end)) for end in range(head + 1)]
    assert [log.count_events(0, end) for end in range(head + 1)] == counts
    assert log.count("list") == 25
    assert log.position("f") == "done"
    assert log.verify() == []
    moved = log.compact(0)
    assert moved == [(25, 30), (60, 75)]
    assert [record.event_id for record in log.read(0, head)] == [f"e{n}" for n in range(head)]
    assert [log.count_events(0, end) for end in range(head + 1)] == counts
    assert log.stat()["tail_rows"] == 0
    assert log.append(drafts(75, 76), "s") == [75]
    assert log.verify() == []


def test_event_ids_are_unique_wherever_they_lie(log):
    mixed(log)
    assert log.append(drafts(0, 76), "again") == list(range(76))
    other = Log.open(log.directory)
    assert other.append([*drafts(5, 6), *drafts(76, 77), *drafts(40, 41)], "s") == [5, 76, 40]
    other.close()


def test_a_bulk_takes_only_what_is_new(log):
    mixed(log)
    repeated = [*drafts(70, 80), *drafts(10, 12), *drafts(75, 77), *drafts(31, 33)]
    assert log.append_bulk(repeated, "g", lambda rows: str(rows)) == (75, 80)
    assert log.position("g") == "16"
    assert [record.event_id for record in log.read(75, 80)] == [f"e{n}" for n in range(75, 80)]
    assert log.append_bulk(repeated, "h", "all known") == (80, 80)
    assert log.append_bulk([], "i", "none") == (80, 80)
    assert (log.head(), log.position("h"), log.position("i")) == (80, "all known", "none")
    assert log.verify() == []


def test_a_bulk_that_breaks_leaves_nothing(log):
    def broken():
        yield from drafts(0, 20)
        raise ValueError("line 21")

    with pytest.raises(ValueError, match="line 21"):
        log.append_bulk(broken(), "f", "x")
    assert (log.head(), log.position("f"), list(log.files.directory.iterdir())) == (0, None, [])


def test_nothing_moves_before_the_tail_is_a_quarter_too_long(log):
    log.append(drafts(0, 50), "s")
    assert log.compact(40) == []
    log.append(drafts(50, 51), "s")
    assert log.compact(40) == [(0, 11)]
    assert log.compact(40) == []


def test_what_a_kill_leaves_is_cleaned_up(log, monkeypatch):
    log.append(drafts(0, 30), "s")
    segments.write(log.files.directory, [])  # killed before the transaction
    (log.files.directory / "0123.hashes").write_bytes(b"half")
    monkeypatch.setattr(compaction, "delete_rows", lambda tail: None)  # killed right after it
    log.compact(10)
    monkeypatch.undo()
    assert log.stat()["tail_rows"] == 30
    assert [record.event_id for record in log.read(0, 30)] == [f"e{n}" for n in range(30)]
    assert log.append(drafts(3, 5), "s") == [3, 4]
    assert log.verify() == []
    log.compact(10)
    assert log.stat()["tail_rows"] == 10
    assert len(list(log.files.directory.iterdir())) == 2 * log.stat()["segments"]
    assert log.verify() == []


def test_neighbours_are_merged_so_that_segments_stay_few(log, monkeypatch):
    monkeypatch.setattr(compaction, "MERGED", 3)
    monkeypatch.setattr(compaction, "MERGED_ROWS", 200)
    with Log.open(log.directory) as reader:
        for start in range(0, 400, 20):
            log.append(drafts(start, start + 20), "s")
            log.compact(0)
            assert [record.event_id for record in reader.read(0, start + 20)] == [f"e{n}" for n in range(start + 20)]
            assert reader.count_events(0, start + 7) == sum(n % 3 != 1 for n in range(start + 7))
            assert reader.append(drafts(start, start + 3), "s") == [start, start + 1, start + 2]
    assert [segment.end - segment.start for segment in log.tail.segments()] == [180, 180, 20, 20]
    assert log.verify() == []
    log.compact(0)
    assert len(list(log.files.directory.iterdir())) == 8


def test_verify_finds_what_is_wrong(log):
    mixed(log)
    con = log.tail.con
    con.execute("update records set counted = counted + 1 where log_offset = 61")
    assert any("record 61 says" in problem for problem in log.verify())
    con.execute("delete from records where log_offset = 61")
    assert "offsets [61, 62) are missing" in log.verify()
    with pytest.raises(DamagedLog, match="rec log verify"):
        log.read(50, 70)
    (first, *_) = log.tail.segments()
    path = segments.parquet_path(log.files.directory, first.name)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert any("SHA-256 differs" in problem for problem in log.verify())
    path.unlink()
    assert any("cannot be read" in problem for problem in log.verify())


def test_verify_finds_an_event_that_is_there_twice(log):
    log.append(drafts(0, 30), "s")
    log.compact(10)
    con = log.tail.con
    con.execute("update records set event_id = 'e3' where log_offset = 25")
    assert log.verify() == ["event_id 'e3' is there 2 times"]


def test_an_event_in_columns_is_the_record_that_its_payload_would_be(log):
    rows = {
        "kind": ["event", "event"],
        "source": ["f", "f"],
        "source_position": ["1", "2"],
        "received_at": [7, 7],
        "event_id": position_ids("f", 1, 2),
        "user_id": ["u", "é"],
        "item_id": ["i", None],
        "event": ["view", "view"],
        "value": [1.5, None],
        "occurred_at": [1_700_000_000_000_001, -1],
        "more": [None, '{"page":[1]}'],
    }
    assert log.append_tables([segments.table_of(rows, 2)], "f", "done") == (0, 2)
    log.append_bulk(drafts(2, 9), "g")
    records = log.read(0, 9)
    assert [record.event_id for record in records[:2]] == [position_id("f", "1"), position_id("f", "2")]
    assert [msgspec.json.decode(record.payload) for record in records[:2]] == [
        {
            "event_id": position_id("f", "1"), "user_id": "u", "item_id": "i", "event": "view", "value": 1.5,
            "occurred_at": "2023-11-14T22:13:20.000001Z",
        },
        {
            "event_id": position_id("f", "2"), "user_id": "é", "event": "view",
            "occurred_at": "1969-12-31T23:59:59.999999Z", "page": [1],
        },
    ]  # fmt: skip
    [block, rest] = log.batches(0, 9)
    assert (list(block), list(rest), block[-1], block[:1]) == (records[:2], records[2:], records[1], records[:1])
    assert log.append([Draft("event", b"{}", source_position="2")], "f") == [1]


def test_an_index_that_is_missing_is_made_again(log):
    mixed(log)
    for segment in log.tail.segments():
        segments.ids_path(log.files.directory, segment.name).unlink()
    with Log.open(log.directory) as other:
        assert other.append(drafts(0, 75), "again") == list(range(75))
        assert other.verify() == []
