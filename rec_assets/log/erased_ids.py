"""Which event_ids were erased, as hashes, so that a source that is read again does not bring a record back."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rec_assets.log.ids import Hashes, hashes
from rec_assets.log.tail import Tail


def digest(event_id: str) -> bytes:
    """16 bytes that stand for an event_id."""
    return hashlib.blake2b(event_id.encode(), digest_size=16).digest()


class ErasedIds:
    """The event_ids of erased records, as hashes: few, so kept in memory."""

    def __init__(self, tail: Tail) -> None:
        there = tail.con.execute("select 1 from sqlite_master where name = 'erased'").fetchone()
        rows: list[Any] = tail.con.execute("select hash, digest, log_offset from erased").fetchall() if there else []
        self.offsets = {bytes(row[1]): int(row[2]) for row in rows}
        self._hashes = np.sort(np.array([row[0] for row in rows], np.int64).view(np.uint64))

    def find(self, event_ids: Sequence[str]) -> dict[str, int]:
        """The offsets of those of these event_ids that were erased."""
        if not len(self._hashes) or not event_ids:
            return {}
        near = np.flatnonzero(np.isin(hashes(event_ids), self._hashes)).tolist()
        found = {event_ids[i]: self.offsets.get(digest(event_ids[i])) for i in near}
        return {event_id: offset for event_id, offset in found.items() if offset is not None}

    def rows(self, own: Hashes) -> NDArray[np.int64]:
        """Places in hashes u64[n] that an erased id's hash has."""
        return np.flatnonzero(np.isin(own, self._hashes))
