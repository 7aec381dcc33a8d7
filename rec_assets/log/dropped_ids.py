"""Which event_ids dropped segments had: by their hashes alone, for nothing else is left of them.

64 bits tell them apart: with a hundred million dropped records, the chance that a new id is taken for one of them is
5e-12.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rec_assets.log.ids import Hashes, IdIndex, hashes
from rec_assets.log.segments import ids_path
from rec_assets.log.tail import DamagedLog, Segment


class DroppedIds:
    """The hashes of dropped event_ids, mapped into memory."""

    def __init__(self, directory: Path, dropped: Sequence[Segment]) -> None:
        self._indexes = [(each.start, open_index(directory, each)) for each in dropped]

    def find(self, event_ids: Sequence[str]) -> dict[str, int]:
        """The offsets of those of these event_ids that were dropped."""
        wanted = hashes(event_ids) if self._indexes and event_ids else np.empty(0, np.uint64)
        hits = [(place, start + row) for start, index in self._indexes for place, row in index.find(wanted)]
        return {event_ids[place]: offset for place, offset in hits}

    def places(self, own: Hashes) -> NDArray[np.int64]:
        """Places in hashes u64[n] that a dropped id's hash has."""
        parts = [[place for place, _ in index.find(own)] for _, index in self._indexes]
        return np.unique(np.concatenate([np.empty(0, np.int64), *(np.array(part, np.int64) for part in parts)]))


def open_index(directory: Path, dropped: Segment) -> IdIndex:
    """DamagedLog where it is not there: unlike that of a segment it cannot be made again."""
    path, rows = ids_path(directory, dropped.name), dropped.end - dropped.start
    if path.stat().st_size != 12 * rows:
        raise DamagedLog(f"{path} is not what was written: take back a copy of it")
    return IdIndex.open(path, rows)
