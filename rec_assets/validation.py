"""Reading one payload: what an event, an item and a user must look like, and what is said of one that does not.

A good event is decoded and checked in about a microsecond. Whatever that fast path does not take is read a second time,
field by field, which either accepts it too or says what is wrong with which field.
"""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rec_assets.settings import Kind

ID_LENGTH = 256
TITLE_LENGTH = 4_096
CONTEXT_BYTES = 16_384
PAYLOAD_BYTES = 1 << 20
CATEGORIES_LIMIT = 256
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_US = 86_400_000_000
EARLIEST_US = -25_567 * DAY_US  # 1900-01-01
SHOWN_CHARACTERS = 120
CONTROL = r"[\x{0}-\x{1f}\x{7f}-\x{9f}]"  # as RE2 reads it


class InvalidEvent(ValueError):
    """A payload that is no event: the field ("" for the whole), its value in printable form, and what is wrong.

    `rule` says the last in a word or two: json, missing, type, length, control character, kind, range, time.
    """

    def __init__(self, field: str, value: object, reason: str, rule: str) -> None:
        self.field, self.value, self.reason, self.rule = field, printable(value), reason, rule
        super().__init__(f"{field}: {reason}: {self.value}" if field else f"{reason}: {self.value}")


# (event_id, None where its source gave none; user_id; item_id; event; value or NaN; occurred_at in µs UTC; request_id;
# context as JSON; whether it said when). A plain tuple: a named one would cost half as much again as all the rest.
Event = tuple[str | None, str, str | None, str, float, int, str | None, str | None, bool]


def printable(value: object, limit: int = SHOWN_CHARACTERS) -> str:
    """A value as a person can read it on one line, cut to `limit` characters."""
    if isinstance(value, bytes):
        value = value[: 4 * limit].decode(errors="backslashreplace")
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=ID_LENGTH)]


class _Event(msgspec.Struct, gc=False):
    user_id: _Id
    event: str
    item_id: _Id | None = None
    event_id: _Id | None = None
    value: float | None = None
    occurred_at: datetime | float | None = None
    request_id: _Id | None = None
    context: msgspec.Raw = msgspec.Raw()


class _Context(msgspec.Struct, gc=False):
    context: msgspec.Raw = msgspec.Raw()


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_context = msgspec.json.Decoder(_Context).decode
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder(order="deterministic").encode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def read_event(payload: bytes, received_at: int, kinds: Mapping[str, Kind]) -> Event:
    """The event in a payload that was received at `received_at` (µs, UTC); raises InvalidEvent."""
    try:
        row = _decode_event(payload)
        user, event, item, event_id, request = row.user_id, row.event, row.item_id, row.event_id, row.request_id
        at = received_at if row.occurred_at is None else _micros(row.occurred_at)
        context = bytes(row.context).decode() if row.context else None
    except (*_UNREADABLE, OverflowError):
        return _event_by_field(payload, received_at, kinds)
    value, kind = math.nan if row.value is None else row.value, kinds.get(event)
    if (
        kind is not None
        and EARLIEST_US <= at <= received_at + DAY_US
        and user.isprintable()  # so no control character; others that are not printable are looked at one by one
        and (item is None or item.isprintable())
        and (event_id is None or event_id.isprintable())
        and (request is None or request.isprintable())
        and (
            row.value is None
            or (
                math.isfinite(value)
                and (kind.least is None or value >= kind.least)
                and (kind.most is None or value <= kind.most)
            )
        )
        and len(payload) <= CONTEXT_BYTES
    ):
        context = None if context == "null" else context
        return event_id, user, item, event, value, at, request, context, row.occurred_at is not None
    return _event_by_field(payload, received_at, kinds)


def plain_events(table: pa.Table, kinds: Mapping[str, Kind]) -> NDArray[np.bool_]:
    """Which rows of a table of segments.SCHEMA are events in typed columns that `read_event` would accept as payloads.

    Looks at whole columns. What it does not take is for `read_event` to judge.
    """
    received_at = table.column("received_at").to_numpy()
    plain = np.array(pc.and_(pc.equal(table.column("kind"), "event"), pc.is_null(table.column("payload"))))
    plain &= np.array(pc.is_valid(table.column("user_id")))
    for name in ("user_id", "item_id", "event_id", "request_id"):
        plain &= _plain_ids(table.column(name))
    place = partial(pc.index_in, value_set=pa.array(list(kinds), pa.string()))
    known = pc.fill_null(_of_each(table.column("event"), place, pa.int32()), -1).to_numpy()
    plain &= known >= 0
    value, kind = table.column("value"), list(kinds.values())
    if value.null_count < len(value):
        least = np.array([-math.inf if each.least is None else each.least for each in kind])[known]
        most = np.array([math.inf if each.most is None else each.most for each in kind])[known]
        number = value.to_numpy()  # NaN where it is null
        plain &= np.array(pc.is_null(value)) | (np.isfinite(number) & (number >= least) & (number <= most))
    at = pc.fill_null(table.column("occurred_at"), pa.scalar(0, pa.int64())).to_numpy()
    plain &= (at >= EARLIEST_US) & (at <= received_at + DAY_US)
    more = table.column("more")
    if more.null_count < len(more):
        odd = pc.or_(pc.match_substring(more, '"context"'), pc.greater(pc.binary_length(more), CONTEXT_BYTES))
        plain &= ~np.array(pc.fill_null(odd, False))
    return np.asarray(plain, np.bool_)


def _plain_ids(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    if column.null_count == len(column):
        return np.ones(len(column), np.bool_)
    return ~np.array(pc.fill_null(_of_each(column, _wrong_ids, pa.bool_()), False))


def _wrong_ids(ids: pa.Array) -> pa.Array:
    length = pc.utf8_length(ids)
    wrong = pc.or_(pc.less(length, 1), pc.greater(length, ID_LENGTH))
    content = ids.buffers()[2]
    read = np.frombuffer(content, np.uint8) if content is not None else np.empty(0, np.uint8)
    # Bytes with which a control character begins; looked for in all ids at once, as they are hardly ever there.
    if ((read < 0x20) | (read == 0x7F) | (read == 0xC2)).any():
        wrong = pc.or_(wrong, pc.match_substring_regex(ids, CONTROL))
    return wrong


def _of_each(column: pa.ChunkedArray, say: Callable[[pa.Array], pa.Array], kind: pa.DataType) -> pa.ChunkedArray:
    """What `say` says, as `kind`, of each text of the column; of one that a dictionary gives to several rows, once."""
    if not pa.types.is_dictionary(column.type):
        return pa.chunked_array([say(chunk) for chunk in column.chunks], kind)
    return pa.chunked_array([say(chunk.dictionary).take(chunk.indices) for chunk in column.chunks], kind)


def _event_by_field(payload: bytes, received_at: int, kinds: Mapping[str, Kind]) -> Event:
    record = _object(payload)
    user = _id(record, "user_id")
    event = record.get("event")
    if not isinstance(event, str) or event not in kinds:
        reason = "is missing; one of" if event is None else "is not one of"
        raise InvalidEvent("event", event, f"{reason} {', '.join(kinds)}", "missing" if event is None else "kind")
    item = _id(record, "item_id") if record.get("item_id") is not None else None
    event_id = _id(record, "event_id") if record.get("event_id") is not None else None
    request = _id(record, "request_id") if record.get("request_id") is not None else None
    value, at = _value(record.get("value"), kinds[event]), _occurred_at(record.get("occurred_at"), received_at)
    try:
        context = bytes(_decode_context(payload).context).decode()
    except UnicodeDecodeError:
        raise InvalidEvent("context", payload, "is not UTF-8", "json") from None
    if len(context.encode()) > CONTEXT_BYTES:
        raise InvalidEvent("context", context, f"is longer than {CONTEXT_BYTES} bytes", "length")
    dated = record.get("occurred_at") is not None
    return event_id, user, item, event, value, at, request, None if context in ("", "null") else context, dated


def _object(payload: bytes) -> dict[str, Any]:
    if len(payload) > PAYLOAD_BYTES:
        raise InvalidEvent("", payload, f"the payload is longer than {PAYLOAD_BYTES} bytes", "length")
    try:
        record = _decode(payload)
    except _UNREADABLE as error:
        raise InvalidEvent("", payload, f"the payload is not JSON ({error})", "json") from None
    if not isinstance(record, dict):
        raise InvalidEvent("", payload, "the payload is not a JSON object", "json")
    return record


def _id(record: dict[str, Any], field: str) -> str:
    value = record.get(field)
    if value is None:
        raise InvalidEvent(field, None, "is missing", "missing")
    if not isinstance(value, str):
        raise InvalidEvent(field, value, "is not a string", "type")
    if not 1 <= len(value) <= ID_LENGTH:
        raise InvalidEvent(field, value, f"has {len(value)} characters; 1 to {ID_LENGTH} are allowed", "length")
    if any(c < " " or "\x7f" <= c <= "\x9f" for c in value):
        raise InvalidEvent(field, value, "has a control character", "control character")
    return value


def _value(value: object, kind: Kind) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidEvent("value", value, "is not a number", "type")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InvalidEvent("value", str(value), "is not finite", "range")
    if kind.least is not None and number < kind.least:
        raise InvalidEvent("value", value, f"is less than {kind.least:g}", "range")
    if kind.most is not None and number > kind.most:
        raise InvalidEvent("value", value, f"is more than {kind.most:g}", "range")
    return number


def _occurred_at(value: object, received_at: int) -> int:
    if value is None:
        return received_at
    try:
        at = read_micros(value)
    except (ValueError, OverflowError):
        reason = "is neither an ISO 8601 time nor seconds, ms or µs since 1970"
        raise InvalidEvent("occurred_at", value, reason, "time") from None
    if at > received_at + DAY_US:
        raise InvalidEvent("occurred_at", value, "is more than a day ahead of the time it was received", "time")
    if at < EARLIEST_US:
        raise InvalidEvent("occurred_at", value, "is before 1900", "time")
    return at


def read_micros(value: object) -> int:
    """An occurred_at in µs since 1970, UTC; raises ValueError or OverflowError for what is no time."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{value!r} is no time")
    return _micros(datetime.fromisoformat(value) if isinstance(value, str) else value)


def _micros(time: datetime | float) -> int:
    """µs since 1970. A time without a zone is UTC; a number's unit is told by its magnitude (seconds until 5138)."""
    if isinstance(time, datetime):
        since: timedelta = (time if time.tzinfo else time.replace(tzinfo=UTC)) - EPOCH
        return since.days * DAY_US + since.seconds * 1_000_000 + since.microseconds
    size = abs(time)
    return round(time * 1e6) if size < 1e11 else round(time * 1e3) if size < 1e14 else round(time)


def read_item(payload: bytes) -> tuple[str, str | None, list[str], str]:
    """(item_id, title, categories, JSON of all else) of an item's payload; raises InvalidEvent."""
    record = _object(payload)
    item_id, title, categories = _id(record, "item_id"), record.pop("title", None), record.pop("categories", None)
    del record["item_id"]
    if title is not None and not (isinstance(title, str) and len(title) <= TITLE_LENGTH):
        raise InvalidEvent("title", title, f"is not a text of at most {TITLE_LENGTH} characters", "length")
    if categories is None:
        categories = []
    if not (isinstance(categories, list) and all(isinstance(category, str) for category in categories)):
        raise InvalidEvent("categories", categories, "is not a list of texts", "type")
    if len(categories) > CATEGORIES_LIMIT:
        raise InvalidEvent("categories", categories, f"has more than {CATEGORIES_LIMIT} entries", "length")
    return item_id, title, categories, _encode(record).decode()


def read_user(payload: bytes) -> tuple[str, str]:
    """(user_id, JSON of all else) of a user's payload; raises InvalidEvent."""
    record = _object(payload)
    user_id = _id(record, "user_id")
    del record["user_id"]
    return user_id, _encode(record).decode()
