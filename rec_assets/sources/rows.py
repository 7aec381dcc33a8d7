"""Rows of CSV, JSONL and Parquet files: names to values, ids as text exactly as they stand in the file."""

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rec_assets.settings import Csv
from rec_assets.sources import delimited
from rec_assets.sources.source import BrokenFile
from rec_assets.sources.streams import COMPRESSED, Lines, Readable, open_lines

__all__ = ["BrokenFile", "Row", "count_rows", "kind_of", "open_rows"]

TEXT = (".csv", ".jsonl")
SUFFIXES = (*(f"{kind}{packed}" for kind in TEXT for packed in ("", *COMPRESSED)), ".parquet")
HEAD_ROWS = 1_000  # of a JSONL file, to know its columns
BATCH_ROWS = 10_000


class Row(NamedTuple):
    """A row and its number: its (last) line in a text file, from 1, or its place in Parquet, from 1.

    `values` is what stood there as bytes where that makes no row.
    """

    number: int
    values: dict[str, Any] | bytes


def kind_of(file: Readable) -> str:
    """The suffix of a file that can be read; raises BrokenFile for others."""
    for suffix in SUFFIXES:
        if file.name.lower().endswith(suffix):
            return suffix
    raise BrokenFile(file.name, f"unknown kind of file; known are {', '.join(SUFFIXES)}")


def open_rows(file: Readable, form: Csv | None = None) -> tuple[dict[str, str], Iterator[Row]]:
    """The columns of a file with their types ("" where it has none) and its rows; raises BrokenFile, here and later."""
    suffix = kind_of(file)
    with file.open("rb") as opened:
        if not opened.read(1):
            raise BrokenFile(file.name, "the file is empty")
    if suffix == ".parquet":
        return _parquet(file)
    if suffix.startswith(".csv"):
        form = form or Csv()
        return _csv(open_lines(file, form.encoding), form)
    return _jsonl(file)


def count_rows(path: Path) -> int | None:
    """How many rows there are, where a look at the file's end tells it."""
    return int(pq.read_metadata(path).num_rows) if kind_of(path) == ".parquet" else None


def json_row(number: int, line: bytes) -> Row | None:
    """The row that a line of JSON is; None where it is blank."""
    text = line.removeprefix(b"\xef\xbb\xbf").strip()
    if not text:
        return None
    try:
        values = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        values = None
    return Row(number, values if isinstance(values, dict) else text)


def _csv(lines: Lines, form: Csv) -> tuple[dict[str, str], Iterator[Row]]:
    dialect = delimited.read_header(lines, form)
    names = dict.fromkeys(dialect.names, "")
    return names, (Row(lines.number, values) for values in delimited.read_rows(lines, dialect))


def _jsonl(file: Readable) -> tuple[dict[str, str], Iterator[Row]]:
    rows = _jsonl_rows(file)
    head = list(islice(rows, HEAD_ROWS))
    names = dict.fromkeys((name for row in head if isinstance(row.values, dict) for name in row.values), "")
    if not names:
        raise BrokenFile(file.name, f"none of the first {len(head)} lines is a JSON object")
    return names, chain(head, rows)


def _jsonl_rows(file: Readable) -> Iterator[Row]:
    lines = open_lines(file, "latin-1")  # bytes as they are: a line that is not UTF-8 is that line's error
    return filter(None, (json_row(lines.number, line.encode("latin-1")) for line in lines))


def _parquet(file: Readable) -> tuple[dict[str, str], Iterator[Row]]:
    try:
        parquet = pq.ParquetFile(file if isinstance(file, Path) else file.open("rb"))
    except (pa.ArrowInvalid, OSError) as error:
        raise BrokenFile(file.name, f"the Parquet file cannot be read ({error})") from None
    types = {field.name: str(field.type) for field in parquet.schema_arrow}
    return types, _parquet_rows(file.name, parquet)


def _parquet_rows(file: str, parquet: pq.ParquetFile) -> Iterator[Row]:
    number = 0
    with parquet:
        try:
            for batch in parquet.iter_batches(BATCH_ROWS, use_threads=False):
                columns = {name: plain(column) for name, column in zip(batch.schema.names, batch.columns, strict=True)}
                for values in pa.table(columns).to_pylist():
                    number += 1
                    yield Row(number, values)
        except (pa.ArrowInvalid, OSError) as error:
            raise BrokenFile(file, f"the Parquet file cannot be read ({error})", number + 1) from None


def plain(column: pa.Array) -> pa.Array:
    """Dictionaries as their values, times as ISO text (in UTC where they have a zone), decimals as numbers."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
        zone = getattr(column.type, "tz", None)
        naive = column.cast(pa.timestamp("us", zone), safe=False).view(pa.timestamp("us"))
        return pc.strftime(naive, "%Y-%m-%dT%H:%M:%SZ" if zone else "%Y-%m-%dT%H:%M:%S")
    return column.cast(pa.float64()) if pa.types.is_decimal(column.type) else column
