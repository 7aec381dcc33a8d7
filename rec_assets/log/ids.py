"""Which event_ids a segment has: sorted 64-bit hashes in a file beside it, mapped into memory, searched by halves."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]


def hashes(event_ids: Sequence[str]) -> Hashes:
    """u64[n], one hash per id, the same on every machine."""
    digests = [hashlib.blake2b(event_id.encode(), digest_size=8).digest() for event_id in event_ids]
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


class IdIndex:
    """Hashes u64[n], ascending, and beside each the row u32[n] of the segment that it was made of."""

    def __init__(self, hashes: Hashes, rows: NDArray[np.uint32]) -> None:
        self.hashes, self.rows = hashes, rows

    @classmethod
    def build(cls, hashes: Hashes) -> Self:
        """The index of a segment whose row i has the hash `hashes[i]`."""
        order = np.argsort(hashes, kind="stable")
        return cls(hashes[order], order.astype(np.uint32))

    @classmethod
    def open(cls, path: Path, rows: int) -> Self:
        """Map a file of `rows` entries; nothing is read before it is searched."""
        return cls(
            np.memmap(path, "<u8", "r", 0, (rows,)).view(np.ndarray),
            np.memmap(path, "<u4", "r", 8 * rows, (rows,)).view(np.ndarray),
        )

    def write(self, path: Path) -> None:
        """Write the file; the caller syncs it."""
        with path.open("wb") as file:
            file.write(self.hashes.astype("<u8").tobytes())
            file.write(self.rows.astype("<u4").tobytes())

    def find(self, wanted: Hashes) -> list[tuple[int, int]]:
        """Pairs (place in `wanted`, row) of equal hashes, repeats included: equal ids are among them."""
        if not len(self.hashes):
            return []
        first = np.searchsorted(self.hashes, wanted)
        hits = np.flatnonzero(self.hashes[np.minimum(first, len(self.hashes) - 1)] == wanted)
        past = np.searchsorted(self.hashes, wanted[hits], "right")
        pairs = zip(hits.tolist(), first[hits].tolist(), past.tolist(), strict=True)
        return [(place, int(row)) for place, start, end in pairs for row in self.rows[start:end]]

    def repeated(self) -> NDArray[np.uint32]:
        """The rows whose hash another row has too."""
        equal = self.hashes[1:] == self.hashes[:-1]
        either = np.zeros(len(self.rows), np.bool_)
        either[1:] |= equal
        either[:-1] |= equal
        return np.asarray(self.rows[either], np.uint32)
