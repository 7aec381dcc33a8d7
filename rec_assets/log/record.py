"""What the log holds, and what is handed to it."""

import hashlib
import uuid
from typing import NamedTuple

import numpy as np
import pyarrow as pa

NUMBER_DIGITS = 14  # decimal, of a position that is a row number
ITEM = "item"  # a row of the catalogue
LIST = "list"  # a served list: kept, never asked a micro-batch for
FORGET = "forget"  # a person is to be forgotten: payload {user: a digest, salt, key: their key in the live state or -1}
ERASED = "erased"  # what was a record of theirs; payload {item_id: only if nothing named it before, new_user: likewise}


class Record(NamedTuple):
    """One entry of the log, as received. `received_at` in µs, UTC; `source_position` is the source's own."""

    offset: int
    kind: str  # event, item, user, list, …
    source: str
    source_position: str | None
    received_at: int
    event_id: str
    payload: bytes  # UTF-8 JSON


class Draft(NamedTuple):
    """A record before it has an offset. `user_id`: whom it is about, so that it can be found; no validation here."""

    kind: str
    payload: bytes
    event_id: str | None = None
    user_id: str | None = None
    received_at: int | None = None  # µs, UTC; the time of the append where it is not known
    source_position: str | None = None


def identify(draft: Draft, source: str) -> str:
    """The draft's own event_id, else a hash of where the source has it, else one that was never used before."""
    if draft.event_id is not None:
        return draft.event_id
    if draft.source_position is not None:
        return position_id(source, draft.source_position)
    return uuid.uuid4().hex


def digest_of(user_id: str, salt: str) -> str:
    """What stands for a forgotten user_id, 32 hex digits: it can be recognised by whoever has the id, not read."""
    return hashlib.blake2b(user_id.encode(), key=salt.encode(), digest_size=16).hexdigest()


def position_id(source: str, position: str) -> str:
    """The event_id, 32 hex digits, of what lies at this position of this source: the same whenever it is read again.

    A row number makes 20 digits of a hash of the source and 12 of its own, so that whole columns of them are quick.
    """
    if position.isdecimal() and position.isascii() and len(position) <= NUMBER_DIGITS:
        return f"{_prefix(source)}{int(position):012x}"
    return hashlib.blake2b(f"{source}\n{position}".encode(), digest_size=16).hexdigest()


def position_ids(source: str, first: int, rows: int) -> pa.Array:
    """The same of the row numbers `first`, `first` + 1 and so on."""
    digits = np.empty((rows, 32), np.uint8)
    digits[:, :20] = np.frombuffer(_prefix(source).encode(), np.uint8)
    numbers, hexadecimal = np.arange(first, first + rows), np.frombuffer(b"0123456789abcdef", np.uint8)
    for place in range(12):
        digits[:, 31 - place] = hexadecimal[(numbers >> (4 * place)) & 15]
    offsets = np.arange(0, 32 * (rows + 1), 32, dtype=np.int32)
    return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(digits))


def _prefix(source: str) -> str:
    return hashlib.blake2b(source.encode(), digest_size=10).hexdigest()
