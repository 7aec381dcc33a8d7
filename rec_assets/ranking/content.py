"""Items that are about what the user's latest items are about."""

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from rec_assets.features.content import DIM, Content
from rec_assets.features.kernels import kernel

DECAY, LATEST = 0.85, 30


class Described(NamedTuple):
    """What is known of the items' content, as kernels take it; I items."""

    vectors: npt.NDArray[np.float32]  # [I, 64]
    codes: npt.NDArray[np.int8]  # [I, 64]
    scale: npt.NDArray[np.float32]  # [I]
    error: float  # the largest distance of a vector from its code


def described(content: Content) -> Described:
    """Of the state's content."""
    return Described(content.vectors, content.codes.codes, content.codes.scale, content.codes.error)


@kernel
def profile(vectors: npt.NDArray[np.float32], items: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    """Sum of .85^d over the latest items' vectors, of length 1 (or 0 where nothing is known)."""
    total = np.zeros(DIM, np.float32)
    for d in range(min(len(items), LATEST)):
        total += vectors[items[len(items) - 1 - d]] * np.float32(DECAY**d)
    length = np.sqrt(np.sum(total * total))
    return total / length if length > 0 else total


@numba.njit(cache=True, nogil=True, fastmath=True)
def cosine(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    """Dot product of two f32[64]."""
    total = np.float32(0)
    for i in range(DIM):
        total += a[i] * b[i]
    return float(total)
