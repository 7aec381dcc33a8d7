"""Blocks of 2^bits places in one pooled array: taken, given back and taken again, without ever moving a neighbour.

A pool has `top` i64[1] (places ever handed out), `free` i64[32] (first free block of each size, -1 for none) and an
i32 column whose first place links a free block to the next one, which is why a pool holds fewer than 2^31 places.
Kernels never grow a pool: the caller keeps room for the worst case of one event and lets Python double the arrays
between kernel calls.
"""

import numpy as np
import numpy.typing as npt

from rec_assets.features.kernels import kernel

SIZES = 32
FIRST_BITS = 2


@kernel
def allocate(top: npt.NDArray[np.int64], free: npt.NDArray[np.int64], links: npt.NDArray[np.int32], bits: int) -> int:
    """Place of a block of 2^bits; its contents are whatever stood there before."""
    block: int = free[bits]
    if block >= 0:
        free[bits] = links[block]
        return block
    block = top[0]
    top[0] += 1 << bits
    return block


@kernel
def release(free: npt.NDArray[np.int64], links: npt.NDArray[np.int32], block: int, bits: int) -> None:
    """Give a block back."""
    links[block] = free[bits]
    free[bits] = block


def extended(array: npt.NDArray, length: int, fill: float) -> npt.NDArray:
    """The array itself if it has `length` rows, else a copy with at least twice its rows, the new ones filled."""
    if len(array) >= length:
        return array
    longer = np.full((max(length, 2 * len(array)), *array.shape[1:]), fill, array.dtype)
    longer[: len(array)] = array
    return longer
