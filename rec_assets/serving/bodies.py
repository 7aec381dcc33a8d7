"""Reading a request's body, and the refusal of one that says something wrong: a 4xx whose message names the field."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from rec_assets.events import InvalidEvent
from rec_assets.log import Draft
from rec_assets.serving.messages import (
    BODY_BYTES,
    IDS_LIMIT,
    Explain,
    Failure,
    ItemRow,
    Problem,
    Rank,
    Recommend,
    Similar,
    Who,
)

T = TypeVar("T")
BODY_SECONDS = 4.0  # for all of a body; below the service's own limit, whose answer would be a 504


class Refused(Exception):
    """A request that gets a 4xx or 5xx: what is wrong, the field, and its place in a list of events.

    `allow`: the methods that a 405 tells of.
    """

    def __init__(
        self, status: int, message: str, field: str | None = None, index: int | None = None, allow: Iterable[str] = ()
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.field, self.index, self.allow = status, message, field, index, allow

    def answer(self) -> Response:
        """The JSON of the refusal."""
        failure = Failure(Problem(self.message, self.field, self.index))
        headers = {"Retry-After": "1"} if self.status in (429, 503) else None
        if self.status == 401:
            headers = {"WWW-Authenticate": "Bearer"}
        if self.allow:
            headers = {"Allow": ", ".join(sorted(self.allow))}
        return Response(msgspec.json.encode(failure), self.status, headers, "application/json")


class Named(msgspec.Struct):
    """What the endpoint itself needs of an event; all else is for `events.check`."""

    event_id: str | None = None
    user_id: str | None = None


_named, _raw = msgspec.json.Decoder(Named), msgspec.json.Decoder(msgspec.Raw)
_raw_list = msgspec.json.Decoder(list[msgspec.Raw])
_decoders: dict[type, msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind) for kind in (Recommend, Rank, Similar, Explain, ItemRow)
}


async def read_body(request: Request) -> bytes:
    """The whole body; Refused with 413 as soon as it is larger than BODY_BYTES, whatever its headers promise, and
    with 408 where it is not there in time.
    """
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > BODY_BYTES:
                    raise Refused(413, f"the body is larger than {BODY_BYTES} bytes")
                parts.append(part)
    except ClientDisconnect:
        raise Refused(400, "the client went away before its body was complete") from None
    except TimeoutError:
        raise Refused(408, f"the body was not complete within {BODY_SECONDS:g} s") from None
    return b"".join(parts)


def parse(body: bytes, kind: type[T]) -> T:
    """The message in `body`; Refused with 400 for what is no JSON and 422 for a wrong field, which is named."""
    try:
        message: T = _decoders[kind].decode(body)
    except msgspec.ValidationError as error:
        raise _refused(error) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Refused(400, f"the body is no JSON object: {error}") from None
    if isinstance(message, Who) and (message.user_id is None) == (message.history_item_ids is None):
        raise Refused(422, "user_id: give either user_id or history_item_ids", "user_id")
    return message


def parse_query(request: Request, kind: type[T]) -> T:
    """The same out of the address's query, where numbers are text."""
    told = dict(request.query_params)
    try:
        return msgspec.convert(told, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _refused(error) from None


def _refused(error: msgspec.ValidationError) -> Refused:
    message, _, path = str(error).partition(" - at `$")
    field = path.strip("`.").split("[")[0].split(".")[0] or None
    if "unknown field" in message or "required field" in message:
        field = message.split("`")[1]
    return Refused(422, f"{field}: {message}" if field else message, field)


def each_of(body: bytes, what: str, draft: Callable[[bytes], Draft]) -> list[Draft]:
    """What each element of a body becomes. Refused names the first wrong element and its field.

    All or nothing: a client that is told of one wrong element has stored none, so it can correct it and send all again.
    """
    elements, drafts = split_list(body, what), []
    for index, element in enumerate(elements):
        try:
            drafts.append(draft(element))
        except (Refused, InvalidEvent) as error:
            refused = error if isinstance(error, Refused) else invalid(error)
            place = f"{what} {index}: " if len(elements) > 1 else ""
            raise Refused(refused.status, place + refused.message, refused.field, index) from None
    return drafts


def invalid(error: InvalidEvent) -> Refused:
    """The refusal of what the log's validation does not accept."""
    field = str(error.field) if error.field else None
    return Refused(422, f"{field}: {error.reason}" if field else error.reason, field)


def split_list(body: bytes, what: str = "event") -> list[bytes]:
    """The elements of a body, one object or a list of them, each as it was sent; not yet validated.

    Refused with 400 for what is no JSON, 422 for an empty list, 413 for more than IDS_LIMIT elements.
    """
    try:
        body.decode()  # all of it: what nobody looks at is kept too
        if body.lstrip()[:1] != b"[":
            return [bytes(_raw.decode(body))]
        elements = [bytes(raw) for raw in _raw_list.decode(body)]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Refused(400, f"the body is neither an {what} nor a list of {what}s: {error}") from None
    if not elements:
        raise Refused(422, f"the list of {what}s is empty")
    if len(elements) > IDS_LIMIT:
        raise Refused(413, f"{len(elements)} {what}s in one request; at most {IDS_LIMIT} are taken")
    return elements


def named(event: bytes) -> Named:
    """The ids of a validated event."""
    return _named.decode(event)
