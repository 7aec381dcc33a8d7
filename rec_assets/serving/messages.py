"""What a request may say, and the answer to one that says something else: a 4xx whose message names the field."""

from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

BODY_BYTES = 4 << 20  # 1,000 events of 4 KiB
IDS_LIMIT = 1_000
Id = Annotated[str, Meta(min_length=1, max_length=256)]
Ids = Annotated[list[Id], Meta(max_length=IDS_LIMIT)]


class Refused(Exception):
    """A request that gets a 4xx: `status`, what is wrong, the field, and its place in a list of events."""

    def __init__(self, status: int, message: str, field: str | None = None, index: int | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.field, self.index = status, message, field, index

    def answer(self) -> Response:
        """The JSON of the refusal: {"error": {"message", "field"?, "index"?}}."""
        error: dict[str, str | int] = {"message": self.message}
        if self.field is not None:
            error["field"] = self.field
        if self.index is not None:
            error["index"] = self.index
        headers = {"Retry-After": "1"} if self.status in (429, 503) else None
        return Response(msgspec.json.encode({"error": error}), self.status, headers, "application/json")


class Recommend(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A wish for a list: for a user, or for a session whose history is told here, oldest first."""

    user_id: Id | None = None
    history_item_ids: Ids | None = None
    k: Annotated[int, Meta(ge=1, le=100)] = 10
    exclude_item_ids: Ids = []


class Item(msgspec.Struct, omit_defaults=True):
    """One place of a list, best first. `source` is the candidate source that proposed the item first."""

    item_id: str
    score: float
    source: str
    title: str | None = None
    categories: list[str] = []
    year: int | None = None


class Recommended(msgspec.Struct):
    """A list. `offset`: all of the log before it was known to the ranking; `now`: the log's own time, ISO, UTC."""

    request_id: str
    checkpoint: str | None
    offset: int
    now: str
    items: list[Item]


class Named(msgspec.Struct):
    """What the endpoint itself needs of an event; all else is for `events.check`."""

    event_id: str | None = None
    user_id: str | None = None


_recommend, _named = msgspec.json.Decoder(Recommend), msgspec.json.Decoder(Named)
_raw, _raw_list = msgspec.json.Decoder(msgspec.Raw), msgspec.json.Decoder(list[msgspec.Raw])


async def read_body(request: Request) -> bytes:
    """The whole body; Refused with 413 as soon as it is larger than BODY_BYTES, whatever its headers promise."""
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > BODY_BYTES:
                raise Refused(413, f"the body is larger than {BODY_BYTES} bytes")
            parts.append(part)
    except ClientDisconnect:
        raise Refused(400, "the client went away before its body was complete") from None
    return b"".join(parts)


def parse_recommend(body: bytes) -> Recommend:
    """The request in `body`; Refused with 400 for what is no JSON and 422 for a wrong field, which is named."""
    try:
        wish = _recommend.decode(body)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        field = path.strip("`.").split("[")[0] or None
        if "unknown field" in message:
            field = message.split("`")[1]
        raise Refused(422, f"{field}: {message}" if field else message, field) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Refused(400, f"the body is no JSON object: {error}") from None
    if (wish.user_id is None) == (wish.history_item_ids is None):
        raise Refused(422, "user_id: give either user_id or history_item_ids", "user_id")
    return wish


def split_events(body: bytes) -> list[bytes]:
    """The events of a feedback body, one object or a list of them, each as it was sent; not yet validated.

    Refused with 400 for what is no JSON, 422 for an empty list, 413 for more than IDS_LIMIT events.
    """
    try:
        if body.lstrip()[:1] != b"[":
            return [bytes(_raw.decode(body))]
        events = [bytes(raw) for raw in _raw_list.decode(body)]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Refused(400, f"the body is neither an event nor a list of events: {error}") from None
    if not events:
        raise Refused(422, "the list of events is empty")
    if len(events) > IDS_LIMIT:
        raise Refused(413, f"{len(events)} events in one request; at most {IDS_LIMIT} are taken")
    return events


def named(event: bytes) -> Named:
    """The ids of a validated event."""
    return _named.decode(event)
