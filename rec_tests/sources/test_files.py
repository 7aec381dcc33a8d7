"""Files from the landing folder become records, whole and once; what cannot be read is put aside with the reason."""

import gzip
import os
import signal
import subprocess
import sys
import time

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rec_assets.events import parse
from rec_assets.log import Log
from rec_assets.settings import KINDS, Settings
from rec_assets.sources import ColumnMapping, collect_landed, files, waiting


@pytest.fixture
def settings(tmp_path):
    settings = Settings(data=tmp_path)
    settings.landing_dir.mkdir()
    return settings


@pytest.fixture
def log(settings):
    with Log.open(settings.log_dir) as log:
        yield log


def land(settings, name, content):
    (settings.landing_dir / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def land_table(settings, name, **columns):
    pq.write_table(pa.table(columns), settings.landing_dir / name)


def names(settings, folder="."):
    return sorted(path.name for path in (settings.landing_dir / folder).iterdir() if path.is_file())


def payloads(log):
    return [msgspec.json.decode(record.payload) for record in log.read(0, log.head())]


ODD = ["007", "12345678901234567890", "NA", "null", "a-b/c", "a b", "é 😀", "1.50", "1e5", "True"]


def test_csv_ids_are_text_as_they_stand(settings, log):
    rows = "".join(f"{odd},{odd},881250949,rating,4.5\n" for odd in ODD)
    land(settings, "a.csv", "\ufeffuser,item,ts,event,value\n" + rows)
    (collected,) = collect_landed(settings, log)
    assert collected[:4] == ("a.csv", len(ODD), 0, len(ODD))
    events = parse(log.read(0, 99), KINDS).events
    assert (events.user_id, events.item_id) == (ODD, ODD)
    assert set(events.occurred_at.tolist()) == {881_250_949_000_000}
    assert set(events.value.tolist()) == {4.5}
    assert names(settings) == []
    assert names(settings, "done") == ["a.csv"]


def test_jsonl_ids_are_texts_or_integers(settings, log):
    lines = [{"user": 7, "item": "007"}, {"user": 10**25, "item": "x", "event": "view"}, {"user": 1.5, "item": "x"}]
    land(settings, "a.jsonl", b"\n".join(map(msgspec.json.encode, lines)) + b"\n\nbroken\n[1]\n")
    collect_landed(settings, log)
    found = parse(log.read(0, 9), KINDS)
    assert (found.events.user_id, found.events.event) == (["7", str(10**25)], ["click", "view"])
    assert (found.rejected.field, found.rejected.value) == (["user_id", "", ""], ["1.5", "broken", "[1]"])
    assert [record.source_position for record in log.read(0, 9)] == ["1", "2", "3", "5", "6"]


def test_parquet_integers_become_their_decimal_text(settings, log):
    times = pa.array([0, 1_500_000], pa.timestamp("us", "Europe/Berlin"))
    user, item = pa.array([2**63, 7], pa.uint64()), pa.array(["007", None]).dictionary_encode()
    land_table(settings, "a.parquet", user_id=user, item_id=item, timestamp=times, rating=pa.array([4.5, None]))
    collect_landed(settings, log)
    events = parse(log.read(0, 9), KINDS).events
    assert (events.user_id, events.item_id, events.event) == (
        ["9223372036854775808", "7"],
        ["007", None],
        ["rating"] * 2,
    )
    assert (events.occurred_at.tolist(), events.to_arrow()["value"].to_pylist()) == ([0, 1_500_000], [4.5, None])


def test_malformed_rows_are_kept_and_rejected_later(settings, log):
    land(settings, "a.csv", "user,item,ts,value\nu,i,yesterday,1\nu,i\n,i,1,1\nu,i,1,inf\nu,i,1,two\n\nu,i,1,\n")
    land_table(settings, "b.parquet", user=["u"] * 2, item=["i"] * 2, value=[float("inf"), 1])
    collect_landed(settings, log)
    found = parse(log.read(0, 99), KINDS)
    assert found.rejected.field == ["occurred_at", "", "user_id", "value", "value", "value"]
    assert found.rejected.value == ["yesterday", '["u","i"]', "null", "inf", "two", "inf"]
    assert len(found.events) == 2


def test_a_file_of_items_becomes_the_catalogue_and_one_of_users_users(settings, log):
    land(settings, "a.csv", 'item;title;genres;year\n1;"Toy; Story";Animation|Comedy;1995\n2;;;\n')
    land_table(settings, "b.parquet", item=["3"], title=["T"], categories=[["x", "y"]], price=[1.5])
    land(settings, "c.csv", "user,age\nu,30\n")
    collect_landed(settings, log)
    found = parse(log.read(0, 9), KINDS)
    assert found.items.title == ["Toy; Story", None, "T"]
    assert found.items.categories == [["Animation", "Comedy"], [], ["x", "y"]]
    assert found.items.attributes == ['{"year":"1995"}', "{}", '{"price":1.5}']
    assert (found.users.user_id, found.users.attributes) == (["u"], ['{"age":"30"}'])


def test_columns_can_be_named(settings, log):
    land(settings, "a.csv", "who,what,user_id,when\nu,i,x,1\n")
    mapping = ColumnMapping(user_id="who", item_id="what", occurred_at="when", default_event="view")
    files.LandedFiles(settings.landing_dir, mapping).collect(log)
    assert payloads(log) == [{"user_id": "u", "item_id": "i", "occurred_at": 1, "event": "view"}]


def test_event_ids_of_the_file_are_kept(settings, log):
    land(settings, "a.csv", "event_id,user,item\ne1,u,i\ne1,u,i\n,u,i\n")
    (collected,) = collect_landed(settings, log)
    assert collected.records == 2
    first, second = log.read(0, 9)
    assert (first.event_id, len(second.event_id)) == ("e1", 32)


def test_compressed_files_are_read(settings, log):
    land(settings, "a.csv.gz", gzip.compress(b"user,item\nu,i\n"))
    land(settings, "b.jsonl.gz", gzip.compress(b'{"user":"v","item":"i"}\n'))
    collect_landed(settings, log)
    assert [payload["user_id"] for payload in payloads(log)] == ["u", "v"]


def test_files_go_in_the_order_of_their_names_and_unfinished_ones_stay(settings, log):
    for name in ("b.csv", "a.csv", ".c.csv", "d.csv.part", "e.csv.tmp"):
        land(settings, name, f"user,item\n{name},i\n")
    assert [path.name for path in waiting(settings.landing_dir)] == ["a.csv", "b.csv"]
    collect_landed(settings, log)
    assert [payload["user_id"] for payload in payloads(log)] == ["a.csv", "b.csv"]
    assert names(settings) == [".c.csv", "d.csv.part", "e.csv.tmp"]
    assert waiting(settings.landing_dir / "nowhere") == []


def test_the_same_content_is_taken_once(settings, log):
    for name in ("a.csv", "a.csv", "b.csv"):
        land(settings, name, "user,item\nu,i\n")
        collect_landed(settings, log)
    assert log.head() == 1
    assert len(names(settings, "done")) == 3


def test_a_file_that_is_still_written_is_left_alone(settings, log):
    land(settings, "a.csv", "user,item\nu,i\n")

    def write_on(name, rows):
        with (settings.landing_dir / name).open("a") as file:
            file.write("v,i\n")

    assert files.LandedFiles(settings.landing_dir).collect(log, write_on)[0].records in (0, 1)
    land(settings, "b.csv", "user,item\n" + "u,i\n" * files.REPORT_ROWS * 2)
    assert collect_landed(settings, log, write_on)[-1][:2] == ("b.csv", 0)
    assert names(settings) == ["b.csv"]
    assert collect_landed(settings, log)[0].records == 2 * files.REPORT_ROWS + 2


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "a.csv: the file is empty"),
        ("a.csv", b"\nu,i\n", "a.csv, line 1: the first line names no columns"),
        (
            "a.csv",
            b"user,item\nu,i\n\xff,i\n",
            "a.csv, line 3: the text is not UTF-8; set csv.encoding, for example to",
        ),
        (
            "a.csv",
            b'user,item\nu,"i\n',
            "a.csv, line 2, column 'item': the CSV cannot be read (unexpected end of data); set csv.quote",
        ),
        ("a.csv", b"user,item,user\nu,i,v\n", "a.csv, line 1: two columns have one name: user"),
        ("a.csv", b"when,what\n1,2\n", "a.csv: no column names the user and none that names the item"),
        ("a.csv", b"item,ts\n1,2\n", "a.csv: no column names the user ("),
        ("a.csv.gz", b"user,item\nu,i\n", "a.csv.gz: the compressed file is damaged"),
        ("a.csv.gz", gzip.compress(b"user,item\nu,i\n" * 99)[:-9], "a.csv.gz: the compressed file is damaged"),
        ("a.jsonl", b"[1]\nx\n", "a.jsonl: none of the first 2 lines is a JSON object"),
        ("a.parquet", b"PAR1 not really", "a.parquet: the Parquet file cannot be read"),
        ("a.xlsx", b"PK", "a.xlsx: unknown kind of file; known are .csv"),
    ],
)
def test_a_broken_file_is_put_aside_with_the_reason(settings, log, name, content, message):
    land(settings, name, content)
    land(settings, "z.csv", "user,item\nu,i\n")
    broken, good = collect_landed(settings, log)
    assert broken.error.startswith(message)
    assert (broken.records, good.records, log.head()) == (0, 1, 1)
    assert names(settings, "failed") == [name, f"{name}.error.txt"]
    assert (settings.landing_dir / "failed" / f"{name}.error.txt").read_text() == broken.error + "\n"


def test_float_ids_in_parquet_are_refused(settings, log):
    land_table(settings, "a.parquet", user=[1.0, 2.0], item=["i", "j"])
    (collected,) = collect_landed(settings, log)
    assert collected.error == "a.parquet: column 'user' is double; ids are texts or integers"


def test_a_large_file_becomes_a_segment(settings, log, monkeypatch):
    monkeypatch.setattr(files, "BULK_ROWS", 10)
    land(settings, "a.csv", "user,item\n" + "".join(f"u{n},i\n" for n in range(25)))
    land(settings, "b.csv", "user,item\n" + "u,i\n" * 20 + '"u,i\n')
    seen = []
    first, second = collect_landed(settings, log, lambda name, rows: seen.append((name, rows)))
    assert (first.records, first.start, first.end, second.records) == (25, 0, 25, 0)
    assert second.error.startswith("b.csv, line 22")
    assert [payload["user_id"] for payload in payloads(log)] == [f"u{n}" for n in range(25)]
    assert msgspec.json.decode(log.position(log.read(0, 1)[0].source)) == {"name": "a.csv", "rows": 25}
    assert (log.stat()["segments"], seen[-1]) == (1, ("a.csv", 25))
    assert log.verify() == []


COLLECT = """
import sys
from pathlib import Path
from rec_assets.log import Log
from rec_assets.settings import Settings
from rec_assets.sources import collect_landed, files
files.BULK_ROWS = 2000
settings = Settings(data=Path(sys.argv[1]))
log = Log.open(settings.log_dir)
print("ready", flush=True)
collect_landed(settings, log)
"""


@pytest.mark.slow
def test_killed_at_any_instant_each_file_is_taken_once(settings, log):
    for n in range(8):
        rows = 1000 if n % 2 else 3000
        land(settings, f"{n}.csv", "user,item\n" + "".join(f"u{n},{row}\n" for row in range(rows)))
    for pause in (0.0, 0.03, 0.06, 0.1):
        process = subprocess.Popen([sys.executable, "-c", COLLECT, settings.data], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(pause)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert log.verify() == []
    collect_landed(settings, log)
    assert sorted(payload["item_id"] for payload in payloads(log)) == sorted(
        str(row) for n in range(8) for row in range(1000 if n % 2 else 3000)
    )
    assert names(settings, "done") == [f"{n}.csv" for n in range(8)]
    assert log.verify() == []
