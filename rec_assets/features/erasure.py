"""Forgetting one user: all that the live state knows of them alone goes; sums over many people stay.

A history that others point to by position may be empty for those who follow the pointer, but none is left to follow:
the user's visits leave the rings of all items. What freed blocks of the pools still hold is overwritten too.
"""

from typing import TYPE_CHECKING

from rec_assets.features import rings
from rec_assets.features.blocks import SIZES, release
from rec_assets.features.counters import Counters
from rec_assets.features.kernels import kernel
from rec_assets.features.rings import Rings
from rec_assets.features.rows import EMPTY, Rows

if TYPE_CHECKING:
    from rec_assets.features.state import LiveState


@kernel
def _clear_ring(histories: Rings, key: int) -> None:
    if histories.bits[key] == 0:
        return
    release(histories.free, histories.first, histories.start[key], histories.bits[key])
    histories.bits[key], histories.start[key], histories.count[key] = 0, 0, 0


@kernel
def _clear_row(rows: Rows, row: int) -> None:
    if rows.bits[row] == 0:
        return
    release(rows.free, rows.keys, rows.start[row], rows.bits[row])
    rows.bits[row], rows.start[row], rows.entries[row] = 0, 0, 0


@kernel
def _leave_rings(visitors: Rings, user: int) -> None:
    """Take a user out of every ring; what is left of a ring keeps its order."""
    for key in range(len(visitors.bits)):
        kept, start, found = rings.kept(visitors, key), visitors.start[key], False
        for place in range(start, start + kept):
            found = found or visitors.first[place] == user
        if not found:
            continue
        first, second = rings.read(visitors, key, kept)
        left = 0
        for i in range(kept):
            if first[i] != user:
                visitors.first[start + left], visitors.second[start + left] = first[i], second[i]
                left += 1
        for place in range(start + left, start + kept):
            visitors.first[place], visitors.second[place] = 0, 0.0
        visitors.count[key] = left


@kernel
def _visits(visitors: Rings, user: int) -> int:
    found = 0
    for key in range(len(visitors.bits)):
        start = visitors.start[key]
        for place in range(start, start + rings.kept(visitors, key)):
            found += visitors.first[place] == user
    return found


@kernel
def _blank_ring_blocks(pool: Rings) -> None:
    """Overwrite the blocks that were given back, but for the link of each to the next one."""
    for bits in range(SIZES):
        block = pool.free[bits]
        while block >= 0:
            pool.second[block] = 0.0
            for place in range(block + 1, block + (1 << bits)):
                pool.first[place], pool.second[place] = 0, 0.0
            if len(pool.tag) > 0:
                pool.tag[block : block + (1 << bits)] = 0
            block = pool.first[block]


@kernel
def _blank_row_blocks(pool: Rows) -> None:
    for bits in range(SIZES):
        block = pool.free[bits]
        while block >= 0:
            pool.values[block] = 0
            for place in range(block + 1, block + (1 << bits)):
                pool.keys[place] = EMPTY
                pool.values[place] = 0
            block = pool.keys[block]


def clear_counters(counters: Counters, user: int) -> None:
    """Forget what counters know of one user, by key, in place; nothing changes where they know nothing of them."""
    if user < len(counters.averages):
        counters.averages[user] = 0
    _leave_rings(counters.visitors, user)
    _blank_ring_blocks(counters.visitors)


def clear(state: "LiveState", user: int) -> None:
    """Forget a user, by key, in place. Their id is the id map's to forget."""
    if user < len(state.histories.count):
        _clear_ring(state.histories, user)
        _clear_row(state.seen, user)
    clear_counters(state.counters, user)
    _blank_ring_blocks(state.histories)
    _blank_row_blocks(state.seen)


def known(state: "LiveState", user: int) -> dict[str, int]:
    """How much the state holds of one user, by key."""
    there = 0 <= user < len(state.histories.count)
    return {
        "history": rings.kept(state.histories, user) if there else 0,
        "items_had": int(state.seen.entries[user]) if there else 0,
        "visits": int(_visits(state.counters.visitors, user)) if there else 0,
    }
