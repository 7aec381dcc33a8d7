"""Vectors in eight bits: a quarter of the bytes to read when one is compared with all of them.

An inner product with the codes is off by no more than |query| · the largest distance of a vector from its code, so
whoever takes all that come that near to the best, and compares those in full, finds the same best ones.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rec_assets.features.blocks import extended
from rec_assets.features.kernels import kernel

LEVELS = 127.0
QUERY_LEVELS = 16_000.0  # a query has so many: what it loses is next to nothing
Floats = npt.NDArray[np.float32]


@dataclass
class Codes:
    """N vectors of D dimensions."""

    codes: npt.NDArray[np.int8]  # [N, D]
    scale: Floats  # [N]: a vector is about its code · scale
    error: float = 0.0  # the largest distance of a vector from its code


def of(vectors: Floats) -> Codes:
    """The codes of vectors [N, D]."""
    codes = Codes(np.zeros((0, vectors.shape[1]), np.int8), np.zeros(0, np.float32))
    for start in range(0, len(vectors), 1 << 16):  # piece by piece: the arithmetic takes four times their memory
        put(codes, start, vectors[start : start + (1 << 16)], len(vectors))
    return codes


def put(codes: Codes, first: int, vectors: Floats, room: int = 0) -> None:
    """Give the vectors [n, D] the places from `first` on; the arrays grow, at once to `room` places."""
    fit(codes, max(first + len(vectors), room))
    put_at(codes, slice(first, first + len(vectors)), vectors)


def fit(codes: Codes, number: int) -> None:
    """Make room for so many vectors."""
    codes.codes, codes.scale = extended(codes.codes, number, 0), extended(codes.scale, number, 0)


def put_at(codes: Codes, places: slice | npt.NDArray[np.int64], vectors: Floats) -> None:
    """Give the vectors [n, D] places for which there is room."""
    scale = np.abs(vectors).max(axis=1, initial=0.0) / np.float32(LEVELS)
    rounded = np.rint(vectors / np.where(scale > 0, scale, 1)[:, None])
    codes.codes[places], codes.scale[places] = rounded, scale
    lost = vectors - rounded * scale[:, None]
    codes.error = max(codes.error, float(np.sqrt((lost * lost).sum(axis=1).max(initial=0.0))))


@kernel
def _fill(codes: npt.NDArray[np.int8], scale: Floats, query: npt.NDArray[np.int16], dim: int, out: Floats) -> None:
    for i in range(len(out)):
        # Every sum is cast: Numba would add in 64 bits, four numbers at a time instead of sixteen.
        total = np.int32(0)
        for d in range(dim):
            total = np.int32(total + np.int32(np.int32(codes[i, d]) * np.int32(query[d])))
        out[i] = np.float32(total) * scale[i]


@kernel
def products(codes: npt.NDArray[np.int8], scale: Floats, query: Floats, out: Floats) -> float:
    """Fill out f32[n] with about the inner products of a query f32[D] and the first n vectors.

    Returns what the query itself lost to rounding, as a distance.
    """
    dim = len(query)
    step = max(np.max(np.abs(query)) / np.float32(QUERY_LEVELS), np.float32(1e-30))
    rounded, lost = np.empty(dim, np.int16), 0.0
    for d in range(dim):
        rounded[d] = np.int16(np.rint(query[d] / step))
        lost += (query[d] - rounded[d] * step) ** 2
    if dim == 64:  # a number that the compiler knows: a third faster
        _fill(codes, scale, rounded, 64, out)
    else:
        _fill(codes, scale, rounded, dim, out)
    for i in range(len(out)):
        out[i] *= step
    return float(np.sqrt(lost))
