"""Changes of the catalogue by HTTP: each becomes a record of the log that says all of the item anew."""

import time
from typing import Any

import msgspec

from rec_assets.events import InvalidEvent
from rec_assets.log import Draft
from rec_assets.serving.bodies import Refused, parse, split_list
from rec_assets.serving.engine import Engine
from rec_assets.serving.messages import ItemRow
from rec_assets.validation import read_item, read_user

_object = msgspec.json.Decoder(dict[str, Any])


def merged(engine: Engine, body: bytes) -> list[Draft]:
    """The rows of a request body, each merged into what is known (JSON merge patch, RFC 7396, one level deep).

    Refused names the first wrong row and its field; then none is stored.
    """
    engine.catch_up()
    rows = split_list(body, "item")
    drafts = []
    for index, raw in enumerate(rows):
        try:
            row = parse(raw, ItemRow)
            drafts.append(_draft(engine, row.item_id, _object.decode(raw)))
        except Refused as refused:
            place = f"item {index}: " if len(rows) > 1 else ""
            raise Refused(refused.status, place + refused.message, refused.field, index) from None
    return drafts


def described(body: bytes) -> list[Draft]:
    """The rows about users of a request body; Refused names the first wrong row and its field; then none is stored."""
    rows, received_at = split_list(body, "user"), time.time_ns() // 1_000
    drafts = []
    for index, payload in enumerate(rows):
        try:
            user_id, _ = read_user(payload)
        except InvalidEvent as error:
            place = f"user {index}: " if len(rows) > 1 else ""
            raise Refused(422, f"{place}{error.field}: {error.reason}", str(error.field), index) from None
        drafts.append(Draft("user", payload, user_id=user_id, received_at=received_at))
    return drafts


def deleted(engine: Engine, item_id: str) -> list[Draft]:
    """The record that takes an item out of all lists; Refused with 404 for one that nobody has named."""
    if not engine.knows(item_id):
        raise Refused(404, f"there is no item {item_id!r}", "item_id")
    return [_draft(engine, item_id, {"item_id": item_id, "deleted": True})]


def _draft(engine: Engine, item_id: str, patch: dict[str, Any]) -> Draft:
    whole = engine.served.catalogue.row(item_id) | patch
    whole = {name: value for name, value in whole.items() if value is not None}
    payload = msgspec.json.encode(whole)
    try:
        read_item(payload)
    except InvalidEvent as error:
        field = str(error.field) if error.field else None
        raise Refused(422, f"{field}: {error.reason}" if field else error.reason, field) from None
    return Draft("item", payload, received_at=time.time_ns() // 1_000)
