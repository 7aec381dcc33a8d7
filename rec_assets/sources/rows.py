"""Rows of CSV, JSONL and Parquet files: names to values, ids as text exactly as they stand in the file."""

import csv
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rec_assets.validation import printable

SUFFIXES = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".parquet")
DELIMITERS = ",;\t|"
HEAD_ROWS = 1_000  # of a JSONL file, to know its columns
CELL_BYTES = 1 << 20
BATCH_ROWS = 10_000


class BrokenFile(ValueError):
    """A file that cannot be taken as a whole; the message names file, line, column and value where they are known."""

    def __init__(self, file: str, reason: str, line: int | None = None, value: object = None) -> None:
        where = file if line is None else f"{file}, line {line}"
        super().__init__(f"{where}: {reason}" + ("" if value is None else f": {printable(value)}"))


class Row(NamedTuple):
    """A row and its number: its (last) line in a text file, from 1, or its place in Parquet, from 1.

    `values` is what stood there as bytes where that makes no row.
    """

    number: int
    values: dict[str, Any] | bytes


def kind_of(path: Path) -> str:
    """The suffix of a file that can be read; raises BrokenFile for others."""
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix):
            return suffix
    raise BrokenFile(path.name, f"unknown kind of file; known are {', '.join(SUFFIXES)}")


def open_rows(path: Path) -> tuple[dict[str, str], Iterator[Row]]:
    """The columns of a file with their types ("" where it has none) and its rows; raises BrokenFile, here and later."""
    suffix = kind_of(path)
    if path.stat().st_size == 0:
        raise BrokenFile(path.name, "the file is empty")
    if suffix == ".parquet":
        return _parquet(path)
    return (_csv if suffix.startswith(".csv") else _jsonl)(path.name, _lines(path))


def count_rows(path: Path) -> int | None:
    """How many rows there are, where a look at the file's end tells it."""
    return int(pq.read_metadata(path).num_rows) if kind_of(path) == ".parquet" else None


def _lines(path: Path) -> Iterator[bytes]:
    with cast("IO[bytes]", gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb")) as file:
        try:
            yield from file
        except (EOFError, gzip.BadGzipFile) as error:
            raise BrokenFile(path.name, f"the compressed file is damaged ({error})") from None


def _csv(file: str, lines: Iterator[bytes]) -> tuple[dict[str, str], Iterator[Row]]:
    texts = _decoded(file, lines)
    first = next(texts, "").removeprefix("\ufeff")
    if not first.strip():
        raise BrokenFile(file, "the first line names no columns", 1)
    delimiter = max(DELIMITERS, key=first.count)
    (names,) = csv.reader([first], delimiter=delimiter)
    if repeated := [name for name in names if names.count(name) > 1]:
        raise BrokenFile(file, "two columns have one name", 1, repeated[0])
    return dict.fromkeys(names, ""), _csv_rows(file, texts, names, delimiter)


def _csv_rows(file: str, texts: Iterator[str], names: list[str], delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(CELL_BYTES)
    reader = csv.reader(texts, delimiter=delimiter, strict=True)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise BrokenFile(file, f"the CSV cannot be read ({error})", reader.line_num + 1) from None
        if len(cells) == len(names):
            yield Row(reader.line_num + 1, dict(zip(names, cells, strict=True)))
        elif cells:
            yield Row(reader.line_num + 1, msgspec.json.encode(cells))


def _decoded(file: str, lines: Iterator[bytes]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        try:
            yield line.decode()
        except UnicodeDecodeError:
            raise BrokenFile(file, "the text is not UTF-8", number, line) from None


def _jsonl(file: str, lines: Iterator[bytes]) -> tuple[dict[str, str], Iterator[Row]]:
    rows = _jsonl_rows(lines)
    head = [row for row, _ in zip(rows, range(HEAD_ROWS), strict=False)]
    names = dict.fromkeys((name for row in head if isinstance(row.values, dict) for name in row.values), "")
    if not names:
        raise BrokenFile(file, f"none of the first {len(head)} lines is a JSON object")
    return names, _chained(head, rows)


def _jsonl_rows(lines: Iterator[bytes]) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        text = line.removeprefix(b"\xef\xbb\xbf").strip()
        if not text:
            continue
        try:
            values = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            values = None
        yield Row(number, values if isinstance(values, dict) else text)


def _chained(head: list[Row], rows: Iterator[Row]) -> Iterator[Row]:
    yield from head
    yield from rows


def _parquet(path: Path) -> tuple[dict[str, str], Iterator[Row]]:
    try:
        parquet = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise BrokenFile(path.name, f"the Parquet file cannot be read ({error})") from None
    types = {field.name: str(field.type) for field in parquet.schema_arrow}
    return types, _parquet_rows(path.name, parquet)


def _parquet_rows(file: str, parquet: pq.ParquetFile) -> Iterator[Row]:
    number = 0
    with parquet:
        try:
            for batch in parquet.iter_batches(BATCH_ROWS, use_threads=False):
                columns = {name: _plain(column) for name, column in zip(batch.schema.names, batch.columns, strict=True)}
                for values in pa.table(columns).to_pylist():
                    number += 1
                    yield Row(number, values)
        except (pa.ArrowInvalid, OSError) as error:
            raise BrokenFile(file, f"the Parquet file cannot be read ({error})", number + 1) from None


def _plain(column: pa.Array) -> pa.Array:
    """Dictionaries as their values, times as ISO text in UTC, decimals as numbers."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
        naive = column.cast(pa.timestamp("us", getattr(column.type, "tz", None)), safe=False).view(pa.timestamp("us"))
        return pc.strftime(naive, "%Y-%m-%dT%H:%M:%S")
    return column.cast(pa.float64()) if pa.types.is_decimal(column.type) else column
