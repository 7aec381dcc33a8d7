"""Changes by HTTP of what is known of items and users: each becomes a record of the log."""

import logging
import sqlite3
import time
from pathlib import Path
from typing import Any

import msgspec

from rec_assets.log import Draft, Log, forget_jobs
from rec_assets.serving.bodies import Refused, each_of, parse
from rec_assets.serving.engine import Engine
from rec_assets.serving.messages import Forgotten, ItemRow
from rec_assets.validation import read_item, read_user

FILES = (
    "the pipeline's job `forget_users` takes the user out of log, tables and checkpoints, or `rec forget` by hand; "
    "until then GET /users/{user_id} says forgetting: true"
)
logger = logging.getLogger(__name__)
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


def forgotten(log_dir: Path, user_id: str, key: int) -> Forgotten:
    """Ask for a user to be forgotten; `key` is theirs in the log's live state, -1 for none or unknown. Takes an fsync.

    Refused with 503 where the log cannot be written.
    """
    try:
        with Log.open(log_dir) as log:
            offset = forget_jobs.ask(log, user_id, key)
    except (sqlite3.Error, OSError) as error:
        logger.exception("a user could not be forgotten")
        raise Refused(503, f"the log could not be written, nothing was changed: {error}") from None
    return Forgotten(user_id, offset, "forgotten", FILES)


def _draft(engine: Engine, item_id: str, patch: dict[str, Any]) -> Draft:
    whole = engine.served.catalogue.row(item_id) | patch
    payload = msgspec.json.encode({name: value for name, value in whole.items() if value is not None})
    read_item(payload)  # raises what `each_of` refuses; what is known already is valid
    return Draft("item", payload, received_at=time.time_ns() // 1_000)
