"""CSV as people's tools write it: a row is read right, kept as it stands for the validation, or named by an error."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from rec_assets.settings import Csv
from rec_assets.sources.source import BrokenFile
from rec_assets.sources.streams import Lines

DELIMITERS = ",;\t|"
CELL_BYTES = 1 << 20
SEPARATOR = re.compile(r"sep=(.)\r?\n?")  # a first line that Excel writes and reads


@dataclass(frozen=True)
class Dialect:
    """What a CSV file looks like; `names` has no empty names at its end."""

    names: tuple[str, ...]
    delimiter: str
    quote: str = '"'
    escape: str | None = None

    def reader(self, lines: Iterator[str]) -> Any:
        """The standard library's reader, that raises csv.Error rather than guess."""
        csv.field_size_limit(CELL_BYTES)
        if not self.quote:
            return csv.reader(lines, delimiter=self.delimiter, quoting=csv.QUOTE_NONE, escapechar=self.escape)
        return csv.reader(lines, delimiter=self.delimiter, quotechar=self.quote, escapechar=self.escape, strict=True)


class Unfinished(BrokenFile):
    """The file ends inside a quoted cell: it is broken, or still being written."""


def read_header(lines: Lines, form: Csv) -> Dialect:
    """Read the header; BrokenFile where it names no columns, or two by one name."""
    first = next(lines, "")
    delimiter = form.delimiter
    if separator := SEPARATOR.fullmatch(first):
        delimiter = delimiter or separator[1]
        first = next(lines, "")
    if not first.strip():
        raise BrokenFile(lines.file, "the first line names no columns", 1)
    if delimiter is None:
        delimiter = max(DELIMITERS, key=lambda each: len(_cells(first, Dialect((), each, form.quote, form.escape))))
    dialect = Dialect((), delimiter, form.quote, form.escape)
    names = [name.strip() for name in _cells(first, dialect)]
    while names and not names[-1]:
        names.pop()
    if repeated := [name for name in names if name and names.count(name) > 1]:
        raise BrokenFile(lines.file, "two columns have one name", 1, repeated[0])
    return Dialect(tuple(names), delimiter, form.quote, form.escape)


def read_rows(lines: Lines, dialect: Dialect) -> Iterator[dict[str, str] | bytes]:
    """Rows by name, or as the JSON of their cells where they do not fit the names; rows without any cell are left out.

    `lines.number` and `lines.bytes` are at the end of a row when it is given. BrokenFile on what cannot be read.
    """
    names, width = dialect.names, len(dialect.names)
    kept: list[str] = []
    lines.kept = kept
    reader, begins = dialect.reader(lines), lines.number + 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _broken(lines, dialect, begins, error) from None
        if len(cells) == width:
            if any(cells):
                yield dict(zip(names, cells, strict=True))
        elif len(cells) > width and not any(cells[width:]):
            if any(cells):
                yield dict(zip(names, cells, strict=False))
        elif any(cells):
            _refuse_escapes(lines, dialect, begins, cells)
            yield msgspec.json.encode(cells)
        kept.clear()
        begins = lines.number + 1


def _cells(line: str, dialect: Dialect) -> list[str]:
    try:
        return next(dialect.reader(iter([line])), [])
    except csv.Error:
        return line.rstrip("\r\n").split(dialect.delimiter)


def _refuse_escapes(lines: Lines, dialect: Dialect, line: int, cells: list[str]) -> None:
    """A backslash before a delimiter is an escape in some tools' files, which would shift the cells after it."""
    for place, cell in enumerate(cells[:-1] if dialect.escape is None else ()):
        if cell.endswith("\\"):
            reason = r'does the backslash escape the delimiter? Set csv.escape to "\\" (two backslashes in rec.toml)'
            raise BrokenFile(lines.file, reason, line, cell + dialect.delimiter, _name(dialect, place))


def _broken(lines: Lines, dialect: Dialect, line: int, error: csv.Error) -> BrokenFile:
    """What to say of a row that cannot be read, which began at this line."""
    text = "".join(lines.kept or [])
    place, cell = _culprit(text, dialect)
    if "\\" + dialect.quote in cell and dialect.escape is None:
        advice = r'set csv.escape to "\\" (two backslashes in rec.toml) if the backslash escapes the quote'
    elif dialect.quote and dialect.quote in cell:
        advice = f'set csv.quote to "" if {dialect.quote} is a character like others'
    else:
        advice = "set csv.delimiter, csv.quote or csv.escape to what the file uses"
    kind = Unfinished if "unexpected end" in str(error) else BrokenFile
    return kind(lines.file, f"the CSV cannot be read ({error}); {advice}", line, cell, _name(dialect, place))


def _name(dialect: Dialect, place: int) -> str:
    return dialect.names[place] if place < len(dialect.names) else str(place + 1)


def _culprit(text: str, dialect: Dialect) -> tuple[int, str]:
    """(place, raw text) of the first cell that is quoted and does not end with its closing quote, or else the longest.

    Scans as the reader does, but remembers where it is.
    """
    quote, place, begin, at, longest = dialect.quote, 0, 0, 0, (0, 0, "")
    while at < len(text):
        if quote and text[at] == quote and at == begin:
            at = text.find(quote, at + 1)
            while at >= 0 and text[at + 1 : at + 2] == quote:
                at = text.find(quote, at + 2)
            if at < 0 or text[at + 1 : at + 2] not in (dialect.delimiter, "\r", "\n", ""):
                return place, text[begin : None if at < 0 else _end(text, at, dialect)]
            at += 1
        end = _end(text, at, dialect)
        longest = max(longest, (end - begin, place, text[begin:end]))
        place, begin, at = place + 1, end + 1, end + 1
    return longest[1:]


def _end(text: str, at: int, dialect: Dialect) -> int:
    ends = [end for end in (text.find(dialect.delimiter, at), text.find("\n", at)) if end >= 0]
    return min(ends, default=len(text))
