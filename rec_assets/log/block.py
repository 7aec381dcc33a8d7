"""A range of a segment: columns for who takes whole columns, records for who takes one after the other."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, overload

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rec_assets.log.record import Record

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIELDS = ("event_id", "user_id", "item_id", "event", "value", "request_id")


class Block(Sequence[Record]):
    """Records as a table of segments.SCHEMA, the first of them at offset `start`; texts may be a dictionary's."""

    def __init__(self, table: pa.Table, start: int) -> None:
        self.table, self.start = table, start

    def __len__(self) -> int:
        """How many records."""
        return int(self.table.num_rows)

    def __iter__(self) -> Iterator[Record]:
        """The records."""
        return self._made(self.table, range(self.start, self.start + len(self)))

    def records(self, places: NDArray[np.int64]) -> Iterator[Record]:
        """Those at some places."""
        return self._made(self.table.take(places), (places + self.start).tolist())

    @staticmethod
    def _made(table: pa.Table, offsets: Iterable[int]) -> Iterator[Record]:
        table = pa.table({name: decoded(table.column(name)) for name in table.column_names})
        columns = {name: table.column(name).to_pylist() for name in Record._fields[1:]}
        if table.column("payload").null_count:
            given = zip(columns["payload"], table.to_pylist(), strict=True)
            columns["payload"] = [payload_of(row) if payload is None else payload for payload, row in given]
        return map(Record, offsets, *columns.values())

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Record]: ...
    def __getitem__(self, place: int | slice) -> Record | Sequence[Record]:
        """One record, or some."""
        if isinstance(place, slice):
            return list(self)[place]
        at = range(len(self))[place]
        return next(iter(Block(self.table.slice(at, 1), self.start + at)))


def decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The same column, of texts where it is one of a dictionary's, which become Python's objects more quickly."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def payload_of(row: Mapping[str, Any]) -> bytes:
    """The payload of an event that is kept in columns."""
    payload = msgspec.json.decode(row["more"]) if row["more"] is not None else {}
    payload |= {field: row[field] for field in FIELDS if row[field] is not None}
    if row["occurred_at"] is not None:
        payload["occurred_at"] = EPOCH + timedelta(microseconds=row["occurred_at"])
    return msgspec.json.encode(payload)
