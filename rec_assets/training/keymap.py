"""Which row a key has: a hash table in two plain arrays, as long as there are rows, however many keys come and go.

Open addressing with linear probing at half load; an entry that goes is filled by those behind it (Knuth, TAOCP 6.4,
algorithm R), so no tombstones gather over months. Why not a dict, sorted arrays or an array by key:
docs/decisions/0012-embedding-store.md.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rec_assets.features.kernels import kernel

EMPTY = -1


class KeyMap(NamedTuple):
    """2^b slots of which at most half are taken."""

    keys: npt.NDArray[np.int64]  # -1 where empty
    rows: npt.NDArray[np.int32]


def empty(entries: int) -> KeyMap:
    """Room for so many entries."""
    slots = 1 << max(4, (2 * entries - 1).bit_length())
    return KeyMap(np.full(slots, EMPTY, np.int64), np.full(slots, EMPTY, np.int32))


@kernel
def _home(key: int, slots: int) -> int:
    """Where a key's probe begins: the upper bits of a product (Fibonacci hashing), mixed so that all bits count."""
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    return int(np.int64((mixed >> np.uint64(20)) & np.uint64(slots - 1)))


@kernel
def _slot(table: KeyMap, key: int) -> int:
    """The key's slot, or the empty one where it would go."""
    last = len(table.keys) - 1
    slot = _home(key, last + 1)
    while table.keys[slot] != EMPTY and table.keys[slot] != key:
        slot = (slot + 1) & last
    return slot


@kernel
def find(table: KeyMap, keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """The row of each key [n], -1 where it has none or is negative."""
    rows = np.full(len(keys), EMPTY, np.int32)
    for i in range(len(keys)):
        if keys[i] >= 0:
            rows[i] = table.rows[_slot(table, keys[i])]
    return rows


@kernel
def insert(table: KeyMap, keys: npt.NDArray[np.int64], rows: npt.NDArray[np.int32]) -> None:
    """Give rows to keys, of which there is room for."""
    for i in range(len(keys)):
        slot = _slot(table, keys[i])
        table.keys[slot], table.rows[slot] = keys[i], rows[i]


@kernel
def remove(table: KeyMap, keys: npt.NDArray[np.int64]) -> None:
    """Take keys out; those that are not there are passed over."""
    last = len(table.keys) - 1
    for i in range(len(keys)):
        hole = _slot(table, keys[i])
        if table.keys[hole] == EMPTY:
            continue
        table.keys[hole], table.rows[hole] = EMPTY, EMPTY
        slot = (hole + 1) & last
        while table.keys[slot] != EMPTY:
            home = _home(table.keys[slot], last + 1)
            if ((slot - home) & last) >= ((slot - hole) & last):
                table.keys[hole], table.rows[hole] = table.keys[slot], table.rows[slot]
                table.keys[slot], table.rows[slot] = EMPTY, EMPTY
                hole = slot
            slot = (slot + 1) & last


@kernel
def count(counts: npt.NDArray[np.uint8], keys: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Count keys in a table of 2^b counters, which keys may share, and return each one's count [n], at most 255."""
    found = np.empty(len(keys), np.uint8)
    for i in range(len(keys)):
        slot = _home(keys[i], len(counts))
        if counts[slot] < 255:
            counts[slot] += np.uint8(1)
        found[i] = counts[slot]
    return found
