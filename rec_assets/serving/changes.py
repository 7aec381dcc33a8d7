"""Changes of the catalogue by HTTP: each becomes a record of the log that says all of the item anew."""

import time
from typing import Any

import msgspec

from rec_assets.log import Draft
from rec_assets.serving.bodies import Refused, each_of, parse
from rec_assets.serving.engine import Engine
from rec_assets.serving.messages import ItemRow
from rec_assets.validation import read_item, read_user

_object = msgspec.json.Decoder(dict[str, Any])


def merged(engine: Engine, body: bytes) -> list[Draft]:
    """The rows of a request body, each merged into what is known (JSON merge patch, RFC 7396, one level deep).

    Refused names the first wrong row and its field; then none is stored.
    """
    engine.catch_up()
    return each_of(body, "item", lambda raw: _draft(engine, parse(raw, ItemRow).item_id, _object.decode(raw)))


def described(body: bytes) -> list[Draft]:
    """The rows about users of a request body; Refused names the first wrong row and its field; then none is stored."""
    received_at = time.time_ns() // 1_000
    return each_of(body, "user", lambda raw: Draft("user", raw, user_id=read_user(raw)[0], received_at=received_at))


def deleted(engine: Engine, item_id: str) -> list[Draft]:
    """The record that takes an item out of all lists; Refused with 404 for one that nobody has named."""
    if not engine.knows(item_id):
        raise Refused(404, f"there is no item {item_id!r}", "item_id")
    return [_draft(engine, item_id, {"item_id": item_id, "deleted": True})]


def _draft(engine: Engine, item_id: str, patch: dict[str, Any]) -> Draft:
    whole = engine.served.catalogue.row(item_id) | patch
    payload = msgspec.json.encode({name: value for name, value in whole.items() if value is not None})
    read_item(payload)  # raises what `each_of` refuses; what is known already is valid
    return Draft("item", payload, received_at=time.time_ns() // 1_000)
