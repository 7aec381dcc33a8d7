"""Which event_ids a segment has: sorted 64-bit hashes in a file beside it, mapped into memory, searched by halves."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
ODD = np.uint64(0x9E3779B97F4A7C15)


def hashes(event_ids: Sequence[str] | pa.Array) -> Hashes:
    """u64[n], one hash per id, the same on every machine; whole columns at once, ids of one length together."""
    array = event_ids if isinstance(event_ids, pa.Array) else pa.array(event_ids, pa.string())
    if not len(array):
        return np.empty(0, np.uint64)
    _, places, content = array.buffers()
    offsets = np.frombuffer(places, np.int32)[array.offset : array.offset + len(array) + 1].astype(np.int64)
    data = np.frombuffer(content, np.uint8) if content is not None else np.empty(0, np.uint8)
    lengths, found = np.diff(offsets), np.empty(len(array), np.uint64)
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        padded = np.zeros((len(rows), -(-length // 8) * 8), np.uint8)
        if len(rows) == len(array):
            padded[:, :length] = data[offsets[0] : offsets[-1]].reshape(len(rows), length)
        else:
            padded[:, :length] = data[offsets[rows, None] + np.arange(length)]
        found[rows] = _mixed(padded.view("<u8").astype(np.uint64, copy=False), length)
    return found


def _mixed(words: NDArray[np.uint64], length: int) -> Hashes:
    """Words u64[n, w] into u64[n]: a multiplication and a shift per word, splitmix64's last steps at the end."""
    mixed = np.full(len(words), length, np.uint64)
    for word in words.T:
        mixed = (mixed ^ word) * ODD
        mixed ^= mixed >> np.uint64(29)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)), np.uint64)


class IdIndex:
    """Hashes u64[n], ascending, and beside each the row u32[n] of the segment that it was made of."""

    def __init__(self, hashes: Hashes, rows: NDArray[np.uint32]) -> None:
        self.hashes, self.rows = hashes, rows

    @classmethod
    def build(cls, hashes: Hashes) -> Self:
        """The index of a segment whose row i has the hash `hashes[i]`."""
        order = np.argsort(hashes)
        return cls(hashes[order], order.astype(np.uint32))

    @classmethod
    def open(cls, path: Path, rows: int) -> Self:
        """Map a file of `rows` entries; nothing is read before it is searched."""
        return cls(
            np.memmap(path, "<u8", "r", 0, (rows,)).view(np.ndarray),
            np.memmap(path, "<u4", "r", 8 * rows, (rows,)).view(np.ndarray),
        )

    def content(self) -> bytes:
        """The bytes of the file."""
        return self.hashes.astype("<u8").tobytes() + self.rows.astype("<u4").tobytes()

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
