"""Where scores are added up: one value per item and source, and the list of what was touched, so that clearing costs
only that.
"""

import threading
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rec_assets.features.kernels import kernel
from rec_assets.ranking.sources import SUMMED

A = len(SUMMED)


class Scratch(NamedTuple):
    """I items, U users, A summed sources. All zero (slots: -1) between two queries."""

    score: npt.NDArray[np.float32]  # [A, I]
    touched: npt.NDArray[np.int32]  # [A, I] item keys
    number: npt.NDArray[np.int64]  # [A] of those touched
    barred: npt.NDArray[np.bool_]  # [I] not to be listed
    slot: npt.NDArray[np.int32]  # [I] place in a small table of the moment, -1 for none
    likeness: npt.NDArray[np.float32]  # [U]
    alike: npt.NDArray[np.int32]  # [U] user keys touched in likeness


_local = threading.local()


def scratch(users: int, items: int) -> Scratch:
    """This thread's scratch, made anew when it is too small."""
    held: Scratch | None = getattr(_local, "scratch", None)
    if held is None or len(held.barred) < items or len(held.likeness) < users:
        users, items = max(64, users * 5 // 4), max(64, items * 5 // 4)
        held = Scratch(
            score=np.zeros((A, items), np.float32),
            touched=np.zeros((A, items), np.int32),
            number=np.zeros(A, np.int64),
            barred=np.zeros(items, np.bool_),
            slot=np.full(items, -1, np.int32),
            likeness=np.zeros(users, np.float32),
            alike=np.zeros(users, np.int32),
        )
        _local.scratch = held
    return held


@kernel
def add(scratch: Scratch, source: int, item: int, score: float) -> None:
    """Add a score above 0 to an item."""
    if scratch.score[source, item] == 0:
        scratch.touched[source, scratch.number[source]] = item
        scratch.number[source] += 1
    scratch.score[source, item] += score


@kernel
def clear(scratch: Scratch) -> None:
    """Set all scores back to zero."""
    for source in range(A):
        for i in range(scratch.number[source]):
            scratch.score[source, scratch.touched[source, i]] = 0
        scratch.number[source] = 0
