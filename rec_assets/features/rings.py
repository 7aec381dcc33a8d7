"""Ragged rings: per key the newest pairs (i32, f64), in a ring that doubles up to a cap, all rings in one pool. Where
it is asked for, a pair has a tag of 16 bits.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rec_assets.features.blocks import FIRST_BITS, SIZES, allocate, extended, release
from rec_assets.features.kernels import kernel


class Rings(NamedTuple):
    """K keys, P places. The pair at position p (0 is the first one ever) stands at start + (p mod 2^bits)."""

    count: npt.NDArray[np.int64]  # type: ignore[assignment]  # [K] pairs ever appended; hides tuple.count
    start: npt.NDArray[np.int64]  # [K]
    bits: npt.NDArray[np.int8]  # [K] the ring has 2^bits places; 0 when there is none yet
    first: npt.NDArray[np.int32]  # [P]
    second: npt.NDArray[np.float64]  # [P]
    tag: npt.NDArray[np.int16]  # [P], or [0] where pairs have none
    top: npt.NDArray[np.int64]  # [1]
    free: npt.NDArray[np.int64]  # [32]


def empty(tagged: bool = False) -> Rings:
    """No keys, no places."""
    return Rings(
        count=np.zeros(0, np.int64),
        start=np.zeros(0, np.int64),
        bits=np.zeros(0, np.int8),
        first=np.zeros(1024, np.int32),
        second=np.zeros(1024, np.float64),
        tag=np.zeros(1024 if tagged else 0, np.int16),
        top=np.zeros(1, np.int64),
        free=np.full(SIZES, -1, np.int64),
    )


def with_keys(rings: Rings, keys: int) -> Rings:
    """Rings for at least so many keys; arrays that are long enough are shared."""
    return rings._replace(
        count=extended(rings.count, keys, 0), start=extended(rings.start, keys, 0), bits=extended(rings.bits, keys, 0)
    )


def with_room(rings: Rings, places: int) -> Rings:
    """Rings whose pool has so many places left."""
    length = int(rings.top[0]) + places
    return rings._replace(
        first=extended(rings.first, length, 0),
        second=extended(rings.second, length, 0),
        tag=extended(rings.tag, length, 0) if len(rings.tag) else rings.tag,
    )


@kernel
def append(rings: Rings, key: int, first: int, second: float, cap_bits: int, tag: int = 0) -> None:
    """Append a pair; the oldest one goes once 2^cap_bits are kept. May take 2^cap_bits places of the pool."""
    bits, count = rings.bits[key], rings.count[key]
    if bits == 0:
        rings.bits[key] = FIRST_BITS
        rings.start[key] = allocate(rings.top, rings.free, rings.first, FIRST_BITS)
    elif count == 1 << bits and bits < cap_bits:
        old = rings.start[key]
        new = allocate(rings.top, rings.free, rings.first, bits + 1)
        for place in range(1 << bits):
            rings.first[new + place] = rings.first[old + place]
            rings.second[new + place] = rings.second[old + place]
            if len(rings.tag) > 0:
                rings.tag[new + place] = rings.tag[old + place]
        release(rings.free, rings.first, old, bits)
        rings.bits[key] = bits + 1
        rings.start[key] = new
    place = rings.start[key] + (count & ((1 << rings.bits[key]) - 1))
    rings.first[place] = first
    rings.second[place] = second
    if len(rings.tag) > 0:
        rings.tag[place] = tag
    rings.count[key] = count + 1


@kernel
def kept(rings: Rings, key: int) -> int:
    """How many of the newest pairs are still there."""
    if rings.bits[key] == 0:
        return 0
    return int(min(rings.count[key], 1 << rings.bits[key]))


@kernel
def place_of(rings: Rings, key: int, position: int) -> int:
    """Place in the pool of a position that is still kept."""
    return int(rings.start[key] + (position & ((1 << rings.bits[key]) - 1)))


@kernel
def read(rings: Rings, key: int, length: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    """Copies of at most `length` newest pairs of a key, newest last; none for a key below 0."""
    n = min(length, kept(rings, key)) if key >= 0 else 0
    first, second = np.empty(n, np.int32), np.empty(n, np.float64)
    for i in range(n):
        place = place_of(rings, key, rings.count[key] - n + i)
        first[i], second[i] = rings.first[place], rings.second[place]
    return first, second


@kernel
def read_tags(rings: Rings, key: int, length: int) -> npt.NDArray[np.int16]:
    """The tags of what `read` gives."""
    n = min(length, kept(rings, key)) if key >= 0 else 0
    tags = np.empty(n, np.int16)
    for i in range(n):
        tags[i] = rings.tag[place_of(rings, key, rings.count[key] - n + i)]
    return tags
