"""Files at paths and URLs: each taken once, new ones and changed ones with them."""

import gzip

import fsspec
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rec_assets.settings import FileSource, Settings
from rec_assets.sources import SourceError, configured


@pytest.fixture
def bucket():
    """A file system that is not this machine's."""
    memory = fsspec.filesystem("memory")
    yield memory
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]


@pytest.fixture
def collect(tmp_path, log):
    def collect(url, **source):
        origin = FileSource(type="files", url=str(url), **source)
        settings = Settings(data=tmp_path, sources={"shop": origin})
        return [
            (each.file.rpartition("/")[2], each.records, each.error)
            for each in configured.collect_once("shop", settings, log)
        ]

    return collect


def test_files_of_a_bucket_are_taken_once(bucket, collect, log):
    bucket.pipe("/shop/a.csv", b"user,item\nu1,i\n")
    bucket.pipe("/shop/b.jsonl.gz", gzip.compress(b'{"user":"u2","item":"i"}\n'))
    with bucket.open("/shop/c.parquet", "wb") as file:
        pq.write_table(pa.table({"user": ["u3"], "item": ["i"]}), file)
    for name in ("notes.txt", ".d.csv", "e.csv.part"):
        bucket.pipe(f"/shop/{name}", b"x")
    assert collect("memory://shop") == [("a.csv", 1, None), ("b.jsonl.gz", 1, None), ("c.parquet", 1, None)]
    assert collect("memory://shop") == []
    bucket.pipe("/shop/f.csv", b"user,item\nu4,i\n")
    bucket.pipe("/shop/g.csv", b"user,item\nu1,i\n")  # what a.csv has
    assert collect("memory://shop/*.csv") == [("f.csv", 1, None), ("g.csv", 0, None)]
    assert [msgspec.json.decode(record.payload)["user_id"] for record in log.read(0, 9)] == ["u1", "u2", "u3", "u4"]


def test_a_folder_of_this_machine(tmp_path, collect):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("user,item\nu1,i\n")
    assert collect(tmp_path / "in") == [("a.csv", 1, None)]
    (tmp_path / "in" / "a.csv").write_text("user,item\nu1,i\nu2,i\n")
    assert collect(tmp_path / "in" / "*.csv") == [("a.csv", 2, None)]  # other content is another file
    assert (tmp_path / "in" / "a.csv").exists()


def test_a_refused_file_waits_for_other_content_or_settings(bucket, collect):
    bucket.pipe("/shop/a.csv", b"user;item;value\nu;i;4,5\n")
    ((_, _, error),) = collect("memory://shop")
    assert error.startswith("a.csv, line 2, column 'value': is the comma")
    assert collect("memory://shop") == []
    assert collect("memory://shop", columns={"decimal": ","}) == [("a.csv", 1, None)]


def test_growing_files_elsewhere_are_followed(bucket, collect):
    bucket.pipe("/shop/a.jsonl", b'{"user":"u1","item":"i"}\n{"user"')
    assert collect("memory://shop", follow=True) == [("a.jsonl", 1, None)]
    bucket.pipe("/shop/a.jsonl", b'{"user":"u1","item":"i"}\n{"user":"u2","item":"i"}\n')
    assert collect("memory://shop", follow=True) == [("a.jsonl", 1, None)]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("memory://shop/none.csv", "sources.shop: memory://shop/none.csv: "),
        ("nowhere://shop", "Protocol not known: nowhere"),
        ("/no/such/folder", "sources.shop: /no/such/folder: "),
        ("", "a source of files needs a url"),
        ("s3://${NOWHERE}/a.csv", "the environment variable NOWHERE"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(collect, url, message):
    with pytest.raises(SourceError) as error:
        collect(url)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
