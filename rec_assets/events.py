"""The canonical event: records of the log in, columns of what they say out, and the rows that say nothing apart."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Self

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rec_assets.log.block import Block, decoded
from rec_assets.log.record import ERASED, FORGET, Record
from rec_assets.settings import Kind
from rec_assets.validation import InvalidEvent, plain_events, printable, read_event, read_item, read_user

__all__ = [
    "Erasures",
    "Events",
    "InvalidEvent",
    "Items",
    "Parsed",
    "Rejected",
    "Tables",
    "Users",
    "check",
    "parse",
    "parse_to_arrow",
    "printable",
]


OBJECT_ROWS = 20_000
_TIMES = ("occurred_at", "received_at")


_DTYPES = {NDArray[np.int64]: np.int64, NDArray[np.float64]: np.float64, NDArray[np.bool_]: np.bool_}


def _column(kind: Any, values: Sequence[Any]) -> NDArray[Any] | list[Any]:
    if kind in _DTYPES:
        return np.array(values, _DTYPES[kind])
    return values if isinstance(values, list) else list(values)


@dataclass(frozen=True, eq=False)
class Columns:
    """Equally long columns in the order of the log; `offset` is int64."""

    offset: NDArray[np.int64]

    def __len__(self) -> int:
        """Rows."""
        return len(self.offset)

    @classmethod
    def of(cls, rows: Sequence[tuple[Any, ...]]) -> Self:
        """Columns of rows whose places are in the order of the fields."""
        return cls.of_columns(list(zip(*rows, strict=True)) if rows else [()] * len(fields(cls)))

    @classmethod
    def of_columns(cls, values: Sequence[Sequence[Any]]) -> Self:
        """Columns of lists that are in the order of the fields."""
        columns: list[Any] = [_column(field.type, column) for field, column in zip(fields(cls), values, strict=True)]
        return cls(*columns)

    @classmethod
    def of_arrow(cls, table: pa.Table) -> Self:
        """The columns of a table that `to_arrow` would give."""
        return cls(*(_from_arrow(field.type, table.column(field.name)) for field in fields(cls)))

    def to_arrow(self) -> pa.Table:
        """The same columns as Arrow has them: times as timestamp[us], NaN as null, absent text as null."""
        return pa.table({field.name: _arrow(field.name, getattr(self, field.name)) for field in fields(self)})


@dataclass(frozen=True, eq=False)
class Events(Columns):
    """Accepted events. Times in µs, UTC; `value` is NaN and text None where there is none; `context` is JSON.

    `dated`: the event said when it occurred; of others, occurred_at is received_at. `source` is the log's.
    """

    event_id: list[str]
    user_id: list[str]
    item_id: list[str | None]
    event: list[str]
    value: NDArray[np.float64]
    occurred_at: NDArray[np.int64]
    received_at: NDArray[np.int64]
    request_id: list[str | None]
    context: list[str | None]
    dated: NDArray[np.bool_]
    source: list[str]


@dataclass(frozen=True, eq=False)
class Items(Columns):
    """Accepted rows of the catalogue; `attributes` is the JSON of all else that was said of the item."""

    item_id: list[str]
    title: list[str | None]
    categories: list[list[str]]
    attributes: list[str]


@dataclass(frozen=True, eq=False)
class Users(Columns):
    """Accepted rows about users; `attributes` is the JSON of all that was said of the user."""

    user_id: list[str]
    attributes: list[str]


@dataclass(frozen=True, eq=False)
class Rejected(Columns):
    """What was not accepted, why, and which value of which field ("" for the whole payload) broke which rule."""

    reason: list[str]
    field: list[str]
    value: list[str]
    rule: list[str]


@dataclass(frozen=True, eq=False)
class Erasures(Columns):
    """People to be forgotten, and what is left of records that were theirs.

    `user` is the digest of the one to forget, "" for a record that is left; `key` is theirs in the live state, -1 where
    it is not known. Of a record that is left, `item_id` and `new_user` say what got its key by it.
    """

    user: list[str]
    salt: list[str]
    key: NDArray[np.int64]
    item_id: list[str | None]
    new_user: NDArray[np.bool_]


class Parsed(NamedTuple):
    """What a range of the log says."""

    events: Events
    items: Items
    users: Users
    rejected: Rejected
    erasures: Erasures = Erasures.of([])


class _Forget(msgspec.Struct):
    user: str
    salt: str
    key: int = -1


class _Erased(msgspec.Struct):
    item_id: str | None = None
    new_user: bool = False


def _erasure(kind: str, payload: bytes) -> tuple[Any, ...]:
    """What a record of kind "forget" or "erased" says; raises msgspec.DecodeError for what this program never wrote."""
    if kind == FORGET:
        asked = msgspec.json.decode(payload, type=_Forget)
        return asked.user, asked.salt, asked.key, None, False
    left = msgspec.json.decode(payload, type=_Erased)
    return "", "", -1, left.item_id, left.new_user


class Tables(NamedTuple):
    """The same as Arrow has it. `ids_once`: all event_ids are the records' own, so that none is there twice."""

    events: pa.Table
    items: pa.Table
    users: pa.Table
    rejected: pa.Table
    ids_once: bool = False


def parse(records: Sequence[Record], kinds: Mapping[str, Kind]) -> Parsed:
    """Validate records; an event whose payload has no event_id takes its record's. Other kinds are passed over."""
    if not isinstance(records, Block):
        return _parse_each(records, kinds)
    plain, others = _plain(records, kinds)
    parsed = _parse_each(records.records(others), kinds)
    if not plain.num_rows:
        return parsed
    return parsed._replace(events=Events.of_arrow(_joined(plain, parsed.events.to_arrow())))


def parse_to_arrow(records: Sequence[Record], kinds: Mapping[str, Kind]) -> Tables:
    """The same as tables; whole columns of events never become Python's objects, of others OBJECT_ROWS at once."""
    if not isinstance(records, Block):
        return _to_arrow(_parse_each(records, kinds))
    plain, others = _plain(records, kinds)
    pieces = np.array_split(others, max(1, -(-len(others) // OBJECT_ROWS)))
    parts = (_to_arrow(_parse_each(records.records(piece), kinds))[:4] for piece in pieces)
    events, items, users, rejected = map(pa.concat_tables, zip(*parts, strict=True))
    return Tables(_joined(plain, events), items, users, rejected, ids_once=not events.num_rows)


def _to_arrow(parsed: Parsed) -> Tables:
    return Tables(*(columns.to_arrow() for columns in parsed[:4]))


def _plain(block: Block, kinds: Mapping[str, Kind]) -> tuple[pa.Table, NDArray[np.int64]]:
    """The events that are plainly right in typed columns, and the places of all other records."""
    good = plain_events(block.table, kinds)
    table = block.table if good.all() else block.table.filter(pa.array(good))
    offsets = block.start + np.flatnonzero(good)
    received_at = table.column("received_at").cast(pa.timestamp("us"))
    occurred_at = table.column("occurred_at")
    columns = {name: table.column(name) for name in ("event_id", "user_id", "item_id", "event", "value", "request_id")}
    columns |= {
        "offset": pa.array(offsets, pa.int64()),
        "occurred_at": pc.coalesce(occurred_at.cast(pa.timestamp("us")), received_at),
        "received_at": received_at,
        "context": pa.nulls(table.num_rows, pa.string()),
        "dated": occurred_at.is_valid(),
        "source": table.column("source"),
    }
    return pa.table({field.name: columns[field.name] for field in fields(Events)}), np.flatnonzero(~good)


def _joined(plain: pa.Table, others: pa.Table) -> pa.Table:
    if not others.num_rows:
        return plain
    # What a dictionary has, in texts as others have them.
    texts = pa.table({name: decoded(plain.column(name)) for name in plain.column_names})
    joined = pa.concat_tables([texts, others])
    return joined.sort_by("offset")


def _parse_each(records: Iterable[Record], kinds: Mapping[str, Kind]) -> Parsed:
    # Column by column: 20,000 rows kept as tuples would have the garbage collector look at them again and again.
    columns: tuple[list[Any], ...] = tuple([] for _ in fields(Events))
    adds = tuple(column.append for column in columns)
    (
        add_offset, add_id, add_user, add_item, add_event, add_value, add_at, add_received, add_request, add_context,
        add_dated, add_source,
    ) = adds  # fmt: skip
    items: list[tuple[Any, ...]] = []
    users: list[tuple[Any, ...]] = []
    rejected: list[tuple[Any, ...]] = []
    erasures: list[tuple[Any, ...]] = []
    for offset, kind, source, _, received_at, record_id, payload in records:
        try:
            if kind == "event":
                event_id, user, item, event, value, at, request, context, dated = read_event(
                    payload, received_at, kinds
                )
                add_offset(offset)
                add_id(record_id if event_id is None else event_id)
                add_user(user)
                add_item(item)
                add_event(event)
                add_value(value)
                add_at(at)
                add_received(received_at)
                add_request(request)
                add_context(context)
                add_dated(dated)
                add_source(source)
            elif kind == "item":
                items.append((offset, *read_item(payload)))
            elif kind == "user":
                users.append((offset, *read_user(payload)))
            elif kind in (FORGET, ERASED):
                erasures.append((offset, *_erasure(kind, payload)))
        except InvalidEvent as error:
            rejected.append((offset, error.reason, error.field, error.value, error.rule))
    return Parsed(
        Events.of_columns(columns), Items.of(items), Users.of(users), Rejected.of(rejected), Erasures.of(erasures)
    )


def check(payload: bytes, received_at: int, kinds: Mapping[str, Kind]) -> None:
    """Raise InvalidEvent unless `parse` would accept this payload, received at `received_at` (µs, UTC), as an event."""
    read_event(payload, received_at, kinds)


def _from_arrow(kind: Any, column: pa.ChunkedArray) -> Any:
    if kind not in _DTYPES:
        return decoded(column).to_pylist()
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    return np.asarray(column.to_numpy(), _DTYPES[kind])


def _arrow(name: str, column: NDArray[Any] | list[Any]) -> pa.Array:
    if isinstance(column, list):
        return pa.array(column, pa.list_(pa.string()) if name == "categories" else pa.string())
    array = pa.array(column, from_pandas=True)
    return array.view(pa.timestamp("us")) if name in _TIMES else array
