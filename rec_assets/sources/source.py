"""What every source is: something that appends what is new to the log, exactly once, whenever it is asked to."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from rec_assets.log import Log

Progress = Callable[[str, int], None]  # (name of the file, table or topic; records read of it so far)


class Collected(NamedTuple):
    """What one file (table, topic) gave: how many new records, which lie in [start, end); `error` where it was refused.

    Other processes may have appended inside that range too.
    """

    file: str
    records: int
    start: int
    end: int
    error: str | None = None


class Source(Protocol):
    """A source keeps nothing of its own: where it was is `log.position(name)`, stored with the records themselves.

    `log.append(drafts, name, position)` does both in one transaction. A draft whose `source_position` is set gets an
    event_id that follows from it, so reading a place twice stores it once.
    """

    def collect(self, log: Log, progress: Progress | None = None) -> list[Collected]:
        """Append what is new, and say what that was."""
        ...
