"""What every source is: a name, and a way to read on from a position. One function stores what it reads, once."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from rec_assets.log import Draft, Log
from rec_assets.validation import printable

Progress = Callable[[str, int], None]  # (name of the file, table or topic; records read of it so far)
Stop = Callable[[float], bool]  # waits so many seconds, and says whether to stop


class SourceError(ValueError):
    """A source that cannot be read; the message is one line that says what to do."""


class BrokenFile(SourceError):
    """A file, table or topic that cannot be taken; the message names it, line, column and value where known."""

    def __init__(
        self, file: str, reason: str, line: int | None = None, value: object = None, column: str | None = None
    ) -> None:
        where = [file, f"line {line}" if line is not None else "", f"column {column!r}" if column is not None else ""]
        shown = "" if value is None else f": {printable(value)}"
        super().__init__(f"{', '.join(filter(None, where))}: {reason}{shown}")


class Batch(NamedTuple):
    """Records, and the position that the source is at once they are stored: any text that its `read` understands."""

    drafts: Sequence[Draft]
    position: str


class Source(Protocol):
    """Anything that can be read on from where it was.

    A draft gets an event_id of its own, or a `source_position` from which one follows: reading it twice stores it once.
    """

    name: str  # of the position in the log; always the same for the same data

    def read(self, position: str | None) -> Iterator[Batch]:
        """What comes after the position, None at first; ends where there is nothing new. Raises SourceError."""
        ...


class Collected(NamedTuple):
    """What one file (table, topic) gave: how many new records, which lie in [start, end); `error` where it was refused.

    Other processes may have appended inside that range too.
    """

    file: str
    records: int
    start: int
    end: int
    error: str | None = None


def collect(source: Source, log: Log, progress: Progress | None = None) -> Collected:
    """Append what is new; each batch in one transaction with its position, so a kill at any instant loses nothing."""
    start = end = head = log.head()
    records = read = 0
    for batch in source.read(log.position(source.name)):
        head = log.head()
        offsets = {offset for offset in log.append(batch.drafts, source.name, batch.position) if offset >= head}
        start = min(offsets, default=start) if records == 0 else start
        end = max(offsets, default=end - 1) + 1
        records += len(offsets)
        read += len(batch.drafts)
        if progress is not None:
            progress(source.name, read)
    return Collected(source.name, records, start, end)
