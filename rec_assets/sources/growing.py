"""Files that grow at their end, JSON lines or CSV: read on from the byte where the last whole row ended."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from rec_assets.log import Draft
from rec_assets.settings import KINDS, FileSource, Kind
from rec_assets.sources import delimited
from rec_assets.sources.accepted import Beginning
from rec_assets.sources.mapping import ColumnMapping
from rec_assets.sources.rows import Row, json_row
from rec_assets.sources.source import Batch, BrokenFile, SourceError
from rec_assets.sources.streams import COMPRESSED, Lines, Readable

BATCH_ROWS = 2_000
HEAD_BYTES = 1_024


class Place(msgspec.Struct):
    """How far a file was read: so many bytes and lines. A file that begins with other bytes is another one."""

    bytes: int = 0
    line: int = 0
    file: int = 0  # so many files were there under this path before
    head: str = ""  # hash of its first head_bytes
    head_bytes: int = 0
    unit: str | None = None  # of the times before


class GrowingFile:
    """One file as a source; an event_id follows from its path, its number there, and the byte that a row begins at."""

    def __init__(self, name: str, file: Readable, origin: FileSource, kinds: Mapping[str, Kind] = KINDS) -> None:
        self.name, self.file, self.origin, self.kinds = name, file, origin, kinds
        self.kind = "csv" if file.name.lower().endswith(".csv") else "jsonl"

    def read(self, position: str | None) -> Iterator[Batch]:
        """Rows that were finished since; a last line without its end is left for the next time.

        Raises BrokenFile, also where all rows at the beginning would be rejected.
        """
        if self.file.name.lower().endswith((*COMPRESSED, ".parquet")):
            raise BrokenFile(self.file.name, "only plain CSV and JSON lines can be followed; set follow = false")
        try:
            place = Place() if position is None else msgspec.json.decode(position, type=Place)
        except msgspec.DecodeError as error:
            raise SourceError(f"{self.name}: its position {position!r} is not one of a file ({error})") from None
        with self.file.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
            size = stream.seek(0, 2)
            if size < place.bytes or _hash(head[: place.head_bytes]) != (place.head or _hash(b"")):
                place = Place(file=place.file + 1)
            yield from self._batches(stream, head, place)

    def _batches(self, stream: Any, head: bytes, place: Place) -> Iterator[Batch]:
        drafts: list[Draft] = []
        beginning = Beginning(self.file.name, self.kinds, whole=place.bytes == 0)
        broken: BrokenFile | None = None
        try:
            for draft in self._csv(stream, place) if self.kind == "csv" else self._jsonl(stream, place):
                drafts.append(draft)
                if len(drafts) == BATCH_ROWS:
                    yield Batch(drafts, _position(place, head))
                    beginning.look(drafts)
                    drafts = []
        except delimited.Unfinished:
            pass  # the rest of the quoted cell is still to come
        except BrokenFile as error:
            broken = error
        if drafts:
            yield Batch(drafts, _position(place, head))
        if broken is not None:
            raise broken
        beginning.look(drafts)
        beginning.end()

    def _jsonl(self, stream: Any, place: Place) -> Iterator[Draft]:
        mapping = ColumnMapping.like(self.origin.columns).of_objects(self.file.name)
        stream.seek(place.bytes)
        for line in _whole(stream):
            begin, place.bytes, place.line = place.bytes, place.bytes + len(line), place.line + 1
            row = json_row(place.line, line)
            if row is not None:
                yield mapping.draft(row)._replace(source_position=f"{place.file}:{begin}")

    def _csv(self, stream: Any, place: Place) -> Iterator[Draft]:
        stream.seek(0)
        if not stream.readline(delimited.CELL_BYTES).endswith(b"\n"):
            return  # the header is still written
        stream.seek(0)
        encoding = self.origin.csv.encoding
        header = Lines(self.file.name, _whole(stream), encoding)
        dialect = delimited.read_header(header, self.origin.csv)
        mapping = ColumnMapping.like(self.origin.columns).of(dict.fromkeys(dialect.names, ""), self.file.name)
        mapping.times.unit = place.unit
        if not place.bytes:
            place.bytes, place.line = header.bytes, header.number
        stream.seek(place.bytes)
        lines = Lines(self.file.name, _whole(stream), encoding, place.line, place.bytes)
        for values in delimited.read_rows(lines, dialect):
            draft = mapping.draft(Row(lines.number, values))._replace(source_position=f"{place.file}:{place.bytes}")
            place.bytes, place.line, place.unit = lines.bytes, lines.number, mapping.times.unit
            yield draft


def _whole(stream: Any) -> Iterator[bytes]:
    """The lines that have their end."""
    for line in stream:
        if not line.endswith(b"\n"):
            return
        yield line


def _position(place: Place, head: bytes) -> str:
    place.head_bytes = min(len(head), place.bytes)
    place.head = _hash(head[: place.head_bytes])
    return msgspec.json.encode(place).decode()


def _hash(head: bytes) -> str:
    return hashlib.blake2b(head, digest_size=8).hexdigest()
