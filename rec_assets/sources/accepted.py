"""A file, table or stream of which nothing would be accepted is refused: a wrong column or setting, not bad rows."""

import time
from collections.abc import Iterable, Iterator, Mapping

import pyarrow as pa

from rec_assets.events import check, parse
from rec_assets.log import Draft
from rec_assets.log.block import Block
from rec_assets.settings import Kind
from rec_assets.sources.source import BrokenFile
from rec_assets.validation import InvalidEvent, read_item, read_user

ENOUGH = 100  # records of a stream
LOOKED_AT = 1_000  # rows, until one is accepted


def accepted(drafts: Iterable[Draft], name: str, kinds: Mapping[str, Kind], now: int) -> Iterator[Draft]:
    """The same drafts; BrokenFile at their end if there were some and all would be rejected. `now` in µs, UTC."""
    first: str | None = None
    rows, good = 0, False
    for draft in drafts:
        rows += 1
        if not good:
            problem = rejection(draft, kinds, now)
            good = problem is None
            if first is None and problem is not None:
                first = f"row {draft.source_position}: {problem}"
        yield draft
    if rows and not good:
        raise _none_accepted(name, rows, first)


def accepted_tables(tables: Iterable[pa.Table], name: str, kinds: Mapping[str, Kind]) -> Iterator[pa.Table]:
    """The same of tables of events."""
    first: str | None = None
    rows, good = 0, False
    for table in tables:
        at = 0
        while not good and at < table.num_rows:
            parsed = parse(Block(table.slice(at, LOOKED_AT), rows + at), kinds)
            good, at = len(parsed.events) > 0, at + LOOKED_AT
            if first is None and len(parsed.rejected):
                found = parsed.rejected
                problem = ": ".join(filter(None, (found.field[0], found.reason[0], found.value[0])))
                first = f"row {found.offset[0] + 1}: {problem}"
        rows += table.num_rows
        yield table
    if rows and not good:
        raise _none_accepted(name, rows, first)


class Beginning:
    """Looks at what a stream gives until one record would be accepted; what is given is in the log by then.

    `whole`: nothing of the stream was read before, so that few records say enough if there are no others.
    """

    def __init__(self, name: str, kinds: Mapping[str, Kind], whole: bool) -> None:
        self.name, self.kinds, self.whole = name, kinds, whole
        self._rows, self._good, self._first = 0, False, ""

    def look(self, drafts: Iterable[Draft]) -> None:
        """Raises BrokenFile where none of the first ENOUGH records would be accepted."""
        if self._good:
            return
        now = time.time_ns() // 1_000
        for draft in drafts:
            problem = rejection(draft, self.kinds, now)
            self._good = self._good or problem is None
            self._first = self._first or f"row {draft.source_position}: {problem}"
            self._rows += 1
        if self._rows >= ENOUGH and not self._good:
            raise _none_accepted(self.name, self._rows, self._first)

    def end(self) -> None:
        """There is no more for now: raises BrokenFile where there was something, and none would be accepted."""
        if self.whole and self._rows and not self._good:
            raise _none_accepted(self.name, self._rows, self._first)


def _none_accepted(name: str, rows: int, first: str | None) -> BrokenFile:
    return BrokenFile(
        name, f"none of its {rows:,} rows would be accepted; check columns, csv and kinds in the settings; {first}"
    )


def rejection(draft: Draft, kinds: Mapping[str, Kind], now: int) -> str | None:
    """Why the validation would reject this draft, received at `now` (µs, UTC); None where it would not."""
    try:
        if draft.kind == "event":
            check(draft.payload, now, kinds)
        elif draft.kind == "item":
            read_item(draft.payload)
        else:
            read_user(draft.payload)
    except InvalidEvent as error:
        return str(error)
    return None
