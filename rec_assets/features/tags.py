"""What an event tells beside its item, in 16 bits: its kind and, roughly, its value. Histories carry it, and the
encoder reads it.

A kind's code is a hash of its name, so that no list of names has to be kept and none can go out of order.
"""

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from rec_assets.settings import Kind

KINDS = VALUES = 64
UNTOLD = 0  # the tag, the kind and the value of what was not said
MOST_RATING = 10.0  # ratings up to here are told apart by halves, greater ones by their magnitude
_RATINGS = 22  # codes 1 to 21 are ratings 0, 0.5 … 10; from 22 on they are magnitudes


def kind_code(name: str) -> int:
    """1 to 63, by the name alone."""
    return 1 + zlib.crc32(name.encode()) % (KINDS - 1)


def value_codes(values: npt.NDArray[np.float64], ratings: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """0 where a value [n] is NaN, halves where it is a rating up to 10, else the half powers of 2 up to 2^20 (and what
    is below 0 as 0).
    """
    told = np.isfinite(values)
    values = np.maximum(np.where(told, values, 0.0), 0.0)
    halves = 1 + np.rint(2 * np.minimum(values, MOST_RATING)).astype(np.int64)
    magnitudes = np.minimum(_RATINGS + np.rint(2 * np.log2(1 + values)).astype(np.int64), VALUES - 1)
    return np.where(told, np.where(ratings & (values <= MOST_RATING), halves, magnitudes), UNTOLD)


def values_of(codes: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
    """The values that codes [...] of `value_codes` stand for; 0 for none."""
    table = np.concatenate([[0.0], np.arange(_RATINGS - 1) / 2, 2.0 ** (np.arange(VALUES - _RATINGS) / 2) - 1])
    found: npt.NDArray[np.float64] = table[codes]
    return found


def tags_of(events: Sequence[str], values: npt.NDArray[np.float64], kinds: Mapping[str, Kind]) -> npt.NDArray[np.int16]:
    """The tags [n] of events by the names of their kinds and their values, NaN for none."""
    codes = {name: (kind_code(name), kind.value == "rating") for name, kind in kinds.items()}
    table = np.array([codes[event] for event in events], np.int64).reshape(-1, 2)
    tags: npt.NDArray[np.int16] = (table[:, 0] * VALUES + value_codes(values, table[:, 1] > 0)).astype(np.int16)
    return tags
