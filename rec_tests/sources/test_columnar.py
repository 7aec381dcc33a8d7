"""A large Parquet file is stored as typed columns, and means what it means row by row."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rec_assets.events import parse, parse_to_arrow
from rec_assets.log import Log, segments
from rec_assets.log.block import Block
from rec_assets.log.bulk import rows as rows_of
from rec_assets.settings import KINDS
from rec_assets.sources import columnar, files
from rec_assets.sources.files import LandedFiles
from rec_assets.sources.mapping import ColumnMapping
from rec_assets.sources.rows import open_rows
from rec_assets.sources.source import BrokenFile

NOW = 1_760_000_000_000_000
IDS = st.one_of(st.none(), st.sampled_from(["u1", "", "é/😀", "00012", "a\x07b", "x" * 256, "y" * 257, "\x9f", " "]))
VALUES = st.one_of(st.none(), st.sampled_from([0.0, 4.5, -1.0, float("nan"), float("inf"), 1e300]))
SECONDS = st.one_of(st.none(), st.sampled_from([0, 1, 1_700_000_000, -5, 1_900_000_000, 10**11 - 1]))
EVENTS = st.one_of(st.none(), st.sampled_from(["view", "rating", "read", "", "dance"]))
EXTRA = st.one_of(st.none(), st.sampled_from(["", "x", '"context"', "é"]))
ROWS = st.lists(st.tuples(IDS, IDS, IDS, IDS, EVENTS, VALUES, SECONDS, EXTRA), min_size=1, max_size=30)
NAMES = ("user_id", "item_id", "event_id", "request_id", "event", "value", "ts", "page")


def same(found, wanted):
    for left, right in zip(found, wanted, strict=True):
        assert left.to_arrow().to_pylist() == right.to_arrow().to_pylist()


@given(ROWS)
@settings(deadline=None, max_examples=100)
def test_columns_give_the_verdicts_values_and_reasons_of_rows(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / f"columns-{os.getpid()}.parquet"
    types = [pa.string()] * 5 + [pa.float64(), pa.int64(), pa.string()]
    columns = [pa.array(column, kind) for column, kind in zip(zip(*rows, strict=True), types, strict=True)]
    pq.write_table(pa.table(columns, names=NAMES), path)
    there, each = open_rows(path)
    mapping = ColumnMapping().of(there, path.name)
    drafts = [mapping.draft(row)._replace(received_at=NOW) for row in each]
    payloads = Block(pa.concat_tables(segments.tables(rows_of(drafts, "f"))), 5)
    again = ColumnMapping().of(there, path.name)
    assert columnar.fits(pq.ParquetFile(path), again)
    typed = Block(pa.concat_tables(columnar.tables(path.name, pq.ParquetFile(path), again, "f", NOW)), 5)
    wanted = parse(list(payloads), KINDS)
    same(parse(typed, KINDS), wanted)
    same(parse(payloads, KINDS), wanted)
    same(parse(list(typed), KINDS), wanted)  # as the payloads that the columns stand for
    assert [table.to_pylist() for table in parse_to_arrow(typed, KINDS)[:4]] == [
        columns.to_arrow().to_pylist() for columns in wanted[:4]
    ]
    assert [record.event_id for record in typed] == [record.event_id for record in payloads]


@pytest.mark.parametrize(
    ("times", "micros"),
    [
        (pa.array([1_700_000_000_123, 1_700_000_000_124], pa.int64()), [1_700_000_000_123_000, 1_700_000_000_124_000]),
        (pa.array([1_700_000_000_000_001, 0]).cast(pa.timestamp("us")), [1_700_000_000_000_001, 0]),
        (pa.array([19_000, 1], pa.int32()).cast(pa.date32()), [19_000 * 86_400_000_000, 86_400_000_000]),
    ],
)
def test_times_and_integer_ids(tmp_path, monkeypatch, times, micros):
    monkeypatch.setattr(files, "BULK_ROWS", 1)
    (tmp_path / "landing").mkdir()
    pq.write_table(pa.table({"user": [7, 8], "item": ["a", "b"], "ts": times}), tmp_path / "landing" / "f.parquet")
    with Log.open(tmp_path / "log") as log:
        [taken] = LandedFiles(tmp_path / "landing").collect(log)
        assert (taken.records, taken.error) == (2, None)
        events = parse(log.read(0, 2), KINDS).events
        [block] = log.batches(0, 2)
        assert block.table.column("payload").null_count == 2
    assert (events.user_id, events.event, events.occurred_at.tolist()) == (["7", "8"], ["click"] * 2, micros)


def test_a_mix_of_units_and_a_file_of_wrong_rows_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BULK_ROWS", 1)
    landing = tmp_path / "landing"
    landing.mkdir()
    times = np.array([1_700_000_000, 1_700_000_000_000])
    pq.write_table(pa.table({"user": ["a", "b"], "item": ["c", "d"], "ts": times}), landing / "mix.parquet")
    pq.write_table(pa.table({"user": ["a", "b"], "item": ["c", "d"], "event": ["x", "y"]}), landing / "odd.parquet")
    with Log.open(tmp_path / "log") as log:
        mix, odd = LandedFiles(landing).collect(log)
        assert "line 2, column 'ts'" in mix.error
        assert "none of its 2 rows would be accepted" in odd.error
        assert "row 1: event: is not one of" in odd.error
        assert log.head() == 0


def test_damaged_text_names_the_file(tmp_path):
    text = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(np.array([0, 1], np.int32)), pa.py_buffer(b"\xff")]
    )
    pq.write_table(pa.table({"user": text, "item": ["a"]}), tmp_path / "f.parquet")
    parquet = pq.ParquetFile(tmp_path / "f.parquet")
    mapping = ColumnMapping().of({"user": "string", "item": "string"}, "f.parquet")
    with pytest.raises(BrokenFile, match=r"f\.parquet.*cannot be read"):
        list(columnar.tables("f.parquet", parquet, mapping, "f", NOW))
