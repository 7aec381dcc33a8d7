"""Where scores are added up: one line of all sources per item that was touched, so that a list costs what it touches
and nothing that grows with the catalogue.
"""

import threading
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rec_assets.features.kernels import kernel
from rec_assets.features.rows import Rows
from rec_assets.ranking.sources import SUMMED

A = len(SUMMED)
WIDTH = -(-A // 8) * 8  # of a line: whole vector registers
BIN, NOTHING, FIRST = 0, 1, 2  # lines: what is to be thrown away, what an untouched item has, the first of an item
TOUCHED = 400_000  # items that one list can touch: the caps of all rows and rings that its sources read, and more


class Scratch(NamedTuple):
    """I items, U users, T lines. As it was when made, but for the bin, between two queries."""

    line: npt.NDArray[np.int32]  # [I + 1] of an item, -1 where it was not touched; BIN behind the last one
    score: npt.NDArray[np.float32]  # [T, WIDTH]
    touched: npt.NDArray[np.int32]  # [T] item keys by line
    number: npt.NDArray[np.int64]  # [1] lines in use, from FIRST on
    listable: npt.NDArray[np.bool_]  # [I] may be listed; filled anew for each query
    slot: npt.NDArray[np.int32]  # [I] place in a small table of the moment, -1 for none
    likeness: npt.NDArray[np.float32]  # [U]
    alike: npt.NDArray[np.int32]  # [U + 1] user keys touched in likeness
    values: npt.NDArray[np.float32]  # [I] of a source that scores every item


_local = threading.local()


def scratch(users: int, items: int) -> Scratch:
    """This thread's scratch, with `listable` of the items asked for; made anew when it is too small."""
    held: Scratch | None = getattr(_local, "scratch", None)
    wanted = items
    if held is None or len(held.listable) < items or len(held.likeness) < users:
        users, items = max(64, users * 5 // 4), max(64, items * 5 // 4)
        line = np.full(items + 1, -1, np.int32)
        line[items] = BIN
        lines = FIRST + min(items, TOUCHED) + 1
        held = Scratch(
            line=line,
            score=np.zeros((lines, WIDTH), np.float32),
            touched=np.zeros(lines, np.int32),
            number=np.full(1, FIRST, np.int64),
            listable=np.zeros(items, np.bool_),
            slot=np.full(items, -1, np.int32),
            likeness=np.zeros(users, np.float32),
            alike=np.zeros(users + 1, np.int32),
            values=np.zeros(items, np.float32),
        )
        _local.scratch = held
    return held._replace(listable=held.listable[:wanted])


@kernel
def line_of(scratch: Scratch, item: int) -> int:
    """The item's line, a new one where it has none."""
    line, number = scratch.line[item], scratch.number[0]
    if line < 0:
        line = number
        scratch.line[item] = line
        scratch.touched[line] = item
        scratch.number[0] = number + 1
    return int(line)


@kernel
def unguessed(
    line: npt.NDArray[np.int32], touched: npt.NDArray[np.int32], item: np.uint32, used: int
) -> tuple[np.uint64, int]:
    """The item's line and how many are used then, as `line_of` gives it, for loops over many.

    Whether an item is new cannot be foreseen, so nothing depends on a guess: what is written behind the last line does
    not count. An unsigned number saves a look at each whether it counts from the end.
    """
    found = line[item]
    is_new = found < 0
    at = np.uint64(used if is_new else found)
    line[item] = at
    touched[at] = item
    return at, used + is_new


@kernel
def add_row(
    scratch: Scratch,
    table: Rows,
    row: int,
    first: int,
    source: int,
    factor: float,
    second: int,
    other: int,
    other_factor: float,
) -> None:
    """Add factor · the first number of all entries of a row to a source, and to another one other_factor · the second;
    the two numbers or the two sources may be one.
    """
    # Whether a place is empty cannot be foreseen either: the key of an empty one is the largest there is and goes to
    # the bin.
    line, score, touched, used = scratch.line, scratch.score, scratch.touched, scratch.number[0]
    keys, values, bin_ = table.keys, table.values, np.uint32(len(scratch.line) - 1)
    by, other_by = np.float32(factor), np.float32(other_factor)
    start = np.uint64(table.start[row])
    for place in range(start, start + np.uint64(1 << table.bits[row])):
        item = min(np.uint32(keys[place]), bin_)
        at, used = unguessed(line, touched, item, used)
        score[at, source] += values[place, first] * by
        score[at, other] += values[place, second] * other_by
    scratch.number[0] = used


@kernel
def add_and_raise_row(
    scratch: Scratch, table: Rows, row: int, source: int, factor: float, best: int, best_factor: float
) -> None:
    """Add factor · the first number of all entries of a row to a source, and keep the greatest best_factor · it in
    another; without a guess, as in `add_row`.
    """
    line, score, touched, used = scratch.line, scratch.score, scratch.touched, scratch.number[0]
    keys, values, bin_ = table.keys, table.values, np.uint32(len(scratch.line) - 1)
    by, best_by = np.float32(factor), np.float32(best_factor)
    start = np.uint64(table.start[row])
    for place in range(start, start + np.uint64(1 << table.bits[row])):
        item = min(np.uint32(keys[place]), bin_)
        at, used = unguessed(line, touched, item, used)
        score[at, source] += values[place, 0] * by
        score[at, best] = max(score[at, best], values[place, 0] * best_by)
    scratch.number[0] = used


@kernel
def clear(scratch: Scratch) -> None:
    """Set all back."""
    for at in range(FIRST, scratch.number[0]):
        scratch.line[scratch.touched[at]] = -1
    scratch.score[: scratch.number[0]] = 0
    scratch.number[0] = FIRST
