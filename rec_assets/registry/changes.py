"""A group of arrays as those of its rows that changed since the parent: a checkpoint then costs what was touched."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[Any]]
ROW, WHOLE = "row.", "whole."  # what the names in a file of changes begin with


class Changes(NamedTuple):
    """What turns a parent's arrays into those of now."""

    rows: npt.NDArray[np.int32]  # [n] ascending, new ones among them
    size: int  # rows of the arrays from now on, no fewer than before
    row: Arrays  # by name: these rows [n, ...] as they are now
    whole: Arrays  # by name: arrays that have no rows

    def to_arrays(self) -> Arrays:
        """As one flat group."""
        arrays: Arrays = {"rows": self.rows, "size": np.array(self.size, np.int64)}
        arrays |= {f"{ROW}{name}": array for name, array in self.row.items()}
        return arrays | {f"{WHOLE}{name}": array for name, array in self.whole.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> "Changes":
        """What `to_arrays` was taken from."""
        row, whole = (
            {name.removeprefix(kind): array for name, array in arrays.items() if name.startswith(kind)}
            for kind in (ROW, WHOLE)
        )
        return cls(arrays["rows"], int(arrays["size"]), row, whole)


def apply(arrays: Arrays, changes: Sequence[Changes], keep: bool = False) -> Arrays:
    """The arrays after all changes, oldest first. With `keep` the given ones stay as they were."""
    if not changes:
        return arrays
    found = dict(arrays)
    for name in changes[-1].row.keys() & found.keys():
        found[name] = _with_rows(found[name], changes[-1].size, keep)
    for each in changes:
        for name in each.row.keys() & found.keys():
            found[name][each.rows] = each.row[name]
    return found | {name: array.copy() for name, array in changes[-1].whole.items() if name in found}


def _with_rows(array: npt.NDArray[Any], size: int, keep: bool) -> npt.NDArray[Any]:
    if len(array) == size and not keep:
        return array
    beside = np.zeros((size, *array.shape[1:]), array.dtype)
    beside[: len(array)] = array
    return beside
