"""Sparse capped rows: per row a table from a key to a few numbers, all tables in one pool.

A row is an open-addressing table that doubles up to a cap and then, when full, drops the weaker half of its
entries: what is strong stays, and what is new has half a row of time to become so. A column can be scaled, so that
a weight that grows with time stands for decay.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rec_assets.features.blocks import FIRST_BITS, SIZES, allocate, release
from rec_assets.features.kernels import kernel

EMPTY = -1


class Rows(NamedTuple):
    """R rows, P places, V numbers per entry. Entries are at most 3/4 of a table's places.

    What is read together lies together: the first three are columns of one array, the next two of another, because
    a row that is touched is seldom in the processor's cache.
    """

    entries: npt.NDArray[np.int32]  # [R]
    start: npt.NDArray[np.int32]  # [R]
    bits: npt.NDArray[np.int32]  # [R] the table has 2^bits places; 0 when there is none yet
    keys: npt.NDArray[np.int32]  # [P] -1 where empty
    values: npt.NDArray[np.float32]  # [P, V]; the first number says how strong an entry is
    top: npt.NDArray[np.int64]  # [1]
    free: npt.NDArray[np.int64]  # [32]


def _heads(number: int) -> dict[str, Any]:
    # Never fewer than two: NumPy calls a column of one contiguous, another type, and all kernels would compile anew.
    heads = np.zeros((max(2, number), 4), np.int32)
    return {"entries": heads[:, 0], "start": heads[:, 1], "bits": heads[:, 2]}


def _pool(places: int, numbers: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    words = np.zeros((max(2, places), 1 + numbers), np.int32)
    return words[:, 0], words.view(np.float32)[:, 1:]


def empty(numbers: int) -> Rows:
    """No rows, no places."""
    keys, values = _pool(1024, numbers)
    return Rows(**_heads(0), keys=keys, values=values, top=np.zeros(1, np.int64), free=np.full(SIZES, -1, np.int64))


def with_rows(rows: Rows, number: int) -> Rows:
    """At least so many rows; arrays that are long enough are shared."""
    old = len(rows.entries)
    if old >= number:
        return rows
    heads = _heads(max(number, 2 * old))
    for name, head in heads.items():
        head[:old] = getattr(rows, name)
    return rows._replace(**heads)


def with_room(rows: Rows, places: int) -> Rows:
    """Rows whose pool has so many places left."""
    old, length = len(rows.keys), int(rows.top[0]) + places
    if old >= length:
        return rows
    return packed(rows, max(length, 2 * old))


def packed(rows: Rows, places: int) -> Rows:
    """The same rows in arrays laid out as they should be, with so many places."""
    keys, values = _pool(places, rows.values.shape[1])
    keys[: len(rows.keys)], values[: len(rows.keys)] = rows.keys, rows.values
    heads = _heads(len(rows.entries))
    for name, head in heads.items():
        head[: len(rows.entries)] = getattr(rows, name)
    return rows._replace(**heads, keys=keys, values=values)


@kernel
def first_offset(key: int, bits: int) -> int:
    """Where to look first for a key in a table of 2^bits places."""
    return ((key * 2654435769) & 0xFFFFFFFF) >> (32 - bits)


@kernel
def find(rows: Rows, row: int, key: int) -> int:
    """Place of a key's entry in the pool, or -1."""
    bits = rows.bits[row]
    if bits == 0:
        return -1
    start, last = rows.start[row], (1 << bits) - 1
    offset = first_offset(key, bits)
    while True:
        found = rows.keys[start + offset]
        if found == key:
            return int(start + offset)
        if found == EMPTY:
            return -1
        offset = (offset + 1) & last


@kernel
def _vacant(rows: Rows, row: int, key: int) -> int:
    """Place where the entry of a key that the row lacks belongs."""
    bits = rows.bits[row]
    start, last = rows.start[row], (1 << bits) - 1
    offset = first_offset(key, bits)
    while rows.keys[start + offset] != EMPTY:
        offset = (offset + 1) & last
    return int(start + offset)


@kernel
def _rebuild(rows: Rows, row: int, bits: int) -> None:
    """Move a row to a table of 2^bits places; at an unchanged size the weaker half of its entries is dropped."""
    old, old_bits, numbers = rows.start[row], rows.bits[row], rows.values.shape[1]
    entries = rows.entries[row]
    keys, values = np.empty(entries, np.int32), np.empty((entries, numbers), np.float32)
    n = 0
    for place in range(old, old + (1 << old_bits)):
        if rows.keys[place] != EMPTY:
            keys[n] = rows.keys[place]
            for number in range(numbers):  # number by number: Numba takes far longer for a slice
                values[n, number] = rows.values[place, number]
            n += 1
    weakest, spare = np.float32(-np.inf), 0
    if bits == old_bits:
        weakest = np.partition(values[:, 0], entries // 2)[entries // 2]
        spare = entries // 2 - np.sum(values[:, 0] < weakest)  # of those as strong as the median, so many go too
    else:
        rows.start[row] = allocate(rows.top, rows.free, rows.keys, bits)
        release(rows.free, rows.keys, old, old_bits)
        rows.bits[row] = bits
    start, last = rows.start[row], (1 << bits) - 1
    for place in range(start, start + (1 << bits)):
        rows.keys[place] = EMPTY
    kept = 0
    for i in range(n):
        if values[i, 0] < weakest:
            continue
        if values[i, 0] == weakest and spare > 0:
            spare -= 1
            continue
        offset = first_offset(keys[i], bits)
        while rows.keys[start + offset] != EMPTY:
            offset = (offset + 1) & last
        rows.keys[start + offset] = keys[i]
        for number in range(numbers):
            rows.values[start + offset, number] = values[i, number]
        kept += 1
    rows.entries[row] = kept


@kernel
def insert(rows: Rows, row: int, key: int, cap_bits: int) -> int:
    """Place of a new entry of zeros for a key that the row lacks. May take 2^cap_bits places of the pool."""
    bits = rows.bits[row]
    if bits == 0:
        rows.bits[row] = FIRST_BITS
        start = allocate(rows.top, rows.free, rows.keys, FIRST_BITS)
        rows.start[row] = start
        rows.keys[start : start + (1 << FIRST_BITS)] = EMPTY
    elif 4 * (rows.entries[row] + 1) > 3 << bits:
        _rebuild(rows, row, min(bits + 1, cap_bits))
    place = _vacant(rows, row, key)
    rows.keys[place] = key
    rows.values[place] = 0
    rows.entries[row] += 1
    return place


@kernel
def place_of(rows: Rows, row: int, key: int, cap_bits: int) -> int:
    """Place of a key's entry, made with zeros where the row lacks it."""
    place = find(rows, row, key)
    return place if place >= 0 else insert(rows, row, key, cap_bits)


@kernel
def scale(rows: Rows, row: int, number: int, factor: float) -> None:
    """Multiply one number of all entries of a row."""
    start = rows.start[row]
    for place in range(start, start + (1 << rows.bits[row])):
        rows.values[place, number] *= factor


@kernel
def join(
    rows: Rows,
    key: int,
    others: npt.NDArray[np.int32],
    weights: npt.NDArray[np.float32],
    cap_bits: int,
) -> None:
    """Add weights [n] to the first number of the pairs of a key with others [n], which may repeat, in the rows of
    both.
    """
    # Most entries exist or find room where they belong: both go without a call, around which Numba would count
    # references.
    missing = np.empty(len(others), np.int32)
    for side in range(2):
        n = 0
        for i in range(len(others)):
            row, entry = (key, others[i]) if side == 0 else (others[i], key)
            place = find(rows, row, entry)
            if place >= 0:
                rows.values[place, 0] += weights[i]
            else:
                missing[n] = i
                n += 1
        for i in missing[:n]:
            row, entry = (key, others[i]) if side == 0 else (others[i], key)
            bits = rows.bits[row]
            if bits == 0 or 4 * (rows.entries[row] + 1) > 3 << bits:
                rows.values[place_of(rows, row, entry, cap_bits), 0] += weights[i]
                continue
            place, offset = rows.start[row], first_offset(entry, bits)
            while rows.keys[place + offset] != EMPTY and rows.keys[place + offset] != entry:
                offset = (offset + 1) & ((1 << bits) - 1)
            place += offset
            if rows.keys[place] == EMPTY:
                rows.keys[place] = entry
                for number in range(rows.values.shape[1]):
                    rows.values[place, number] = 0
                rows.entries[row] += 1
            rows.values[place, 0] += weights[i]
