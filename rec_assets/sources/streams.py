"""Files as streams of bytes: local paths and fsspec's, plain or compressed, and their lines with a count of both."""

import gzip
import io
from collections.abc import Iterator
from typing import IO, Any, Protocol, cast

import pyarrow as pa

from rec_assets.sources.source import BrokenFile

COMPRESSED = (".gz", ".zst")
BOM = b"\xef\xbb\xbf"
WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")
BLOCK_BYTES = 1 << 20


class Readable(Protocol):
    """A file that can be opened again and again: a Path, or one of another file system."""

    @property
    def name(self) -> str: ...

    def open(self, mode: Any) -> Any:
        """As Path.open does it."""
        ...


class Remote:
    """A file of an fsspec file system."""

    def __init__(self, filesystem: Any, path: str) -> None:
        self.filesystem, self.path = filesystem, path
        self.name = path.rsplit("/", 1)[-1]

    def open(self, mode: str) -> Any:
        """Open it."""
        return self.filesystem.open(self.path, mode)


class Lines:
    """Lines of a file as text, their ends included; `number` and `bytes` say how far it was read."""

    def __init__(self, file: str, raw: Iterator[bytes], encoding: str = "utf-8", number: int = 0, at: int = 0) -> None:
        self.file, self.encoding, self.number, self.bytes = file, encoding, number, at
        self._raw = raw
        self.kept: list[str] | None = None  # where a reader wants it: the lines since it emptied the list

    def __iter__(self) -> Iterator[str]:
        """The lines."""
        return self

    def __next__(self) -> str:
        """The next line; BrokenFile where it is not in the encoding."""
        raw = next(self._raw)
        self.number += 1
        self.bytes += len(raw)
        try:
            text = raw.decode(self.encoding)
        except UnicodeDecodeError:
            known = self.encoding.upper()
            reason = f'the text is not {known}; set csv.encoding, for example to "cp1252"'
            raise BrokenFile(self.file, reason, self.number, raw) from None
        text = text.removeprefix("\ufeff") if self.number == 1 else text
        if self.kept is not None:
            self.kept.append(text)
        return text


def open_lines(file: Readable, encoding: str = "utf-8") -> Lines:
    """The lines of a file, decompressed; UTF-16 is known by its mark. BrokenFile on what is damaged, here and later."""
    try:
        "".encode(encoding)
    except LookupError:
        raise BrokenFile(file.name, f"csv.encoding: {encoding!r} is no known encoding") from None
    return Lines(file.name, _lines(file, encoding), "utf-8" if _wide(encoding) else encoding)


def decompressed(file: Readable) -> Any:
    """The file's bytes as a binary stream."""
    name = file.name.lower()
    opened = file.open("rb")
    if name.endswith(".gz"):
        return gzip.open(opened)
    if name.endswith(".zst"):
        return io.BufferedReader(cast("Any", pa.CompressedInputStream(opened, "zstd")), BLOCK_BYTES)
    return opened


def _lines(file: Readable, encoding: str) -> Iterator[bytes]:
    with decompressed(file) as stream:
        try:
            lines = iter(stream)
            first = next(lines, b"")
            if not _wide(encoding) and not first.startswith(WIDE_BOMS):
                yield first
                yield from lines
                return
        except (EOFError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk's or the network's
            raise BrokenFile(file.name, f"the compressed file is damaged ({_first_line(error)})") from None
    with decompressed(file) as stream:
        yield from _narrowed(file.name, stream, encoding if _wide(encoding) else "utf-16")


def _narrowed(name: str, stream: IO[bytes], encoding: str) -> Iterator[bytes]:
    """Lines of an encoding whose line ends are no single bytes, as UTF-8."""
    try:
        for text in io.TextIOWrapper(stream, encoding, newline=""):
            yield text.encode()
    except UnicodeError as error:
        raise BrokenFile(name, f"the text is not {encoding.upper()} ({error}); set csv.encoding") from None


def _wide(encoding: str) -> bool:
    return encoding.lower().replace("_", "-").startswith(("utf-16", "utf-32"))


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
