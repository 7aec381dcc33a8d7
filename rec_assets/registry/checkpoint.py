"""A checkpoint as it is read: its manifest, arrays, tables and folders."""

import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Optional

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rec_assets.registry import changes
from rec_assets.registry import manifest as manifests
from rec_assets.registry.changes import Changes
from rec_assets.registry.manifest import CorruptCheckpoint, Manifest

FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
INTEGERS = {"I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1"}
ROWS = ".rows.safetensors"  # what the name of a file of changes ends with
DTYPES = {**FLOATS, **INTEGERS, "BOOL": "?"}


class _Entry(msgspec.Struct):
    """One array in the header of a safetensors file; offsets in bytes after the header."""

    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


class Checkpoint:
    """One immutable directory. Its files are read when they are asked for."""

    def __init__(self, directory: Path, verify: bool = True, parent: Optional["Checkpoint"] = None) -> None:
        """Read the manifest and, if asked to, hash every file. NoCheckpoint, CorruptCheckpoint, OtherFormat.

        `parent`: of a delta, what it says the changes to.
        """
        self.directory, self.parent = directory, parent
        self.manifest: Manifest = manifests.read(directory)
        self.id = self.manifest.id
        if verify:
            manifests.verify(directory, self.manifest)

    def arrays(self, name: str, wanted: Callable[[str], bool] = lambda _name: True) -> dict[str, np.ndarray]:
        """The arrays of this name, or those that are wanted of them, copied into memory: they may be changed.

        Where a delta holds changes only, these are made to its parent's arrays.
        """
        links, later = self, list[Changes]()
        while whole_file(name) not in links.manifest.files and rows_file(name) in links.manifest.files:
            later.append(links.changes(name))
            if links.parent is None:
                raise CorruptCheckpoint(
                    f"{self.directory} holds changes alone, and {links.manifest.parent} is not open"
                )
            links = links.parent
        found = {key: array.copy() for key, array in links.mapped(name).items() if wanted(key)}
        return changes.apply(found, later[::-1])

    def changes(self, name: str) -> Changes:
        """What became of the parent's arrays of this name, read-only."""
        return Changes.from_arrays(self._mapped(rows_file(name)))

    def mapped(self, name: str) -> dict[str, np.ndarray]:
        """The arrays that were written whole under this name, read-only, straight from the page cache, which all
        processes on a machine share.
        """
        return self._mapped(whole_file(name))

    def table(self, name: str) -> pa.Table:
        """The table that was written under this name."""
        return pq.read_table(self._file(f"{name}.parquet"))

    def folder(self, name: str) -> Path:
        """The folder that was filled under this name."""
        if not any(path.startswith(f"{name}/") for path in self.manifest.files):
            raise KeyError(f"checkpoint {self.id} has no folder {name!r}")
        return self.directory / name

    def _mapped(self, name: str) -> dict[str, np.ndarray]:
        with self._file(name).open("rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        header_size = int.from_bytes(content[:8], "little")
        header = msgspec.json.decode(content[8 : 8 + header_size], type=dict[str, _Entry])
        return {key: _view(content, 8 + header_size, entry) for key, entry in header.items()}

    def _file(self, name: str) -> Path:
        if name not in self.manifest.files:
            raise KeyError(f"checkpoint {self.id} has no {name!r}; it has {sorted(self.manifest.files)}")
        return self.directory / name


def whole_file(name: str) -> str:
    """Where a group of arrays stands whole."""
    return f"{name}.safetensors"


def rows_file(name: str) -> str:
    """Where its changed rows stand."""
    return name + ROWS


def _view(content: mmap.mmap, base: int, entry: _Entry) -> np.ndarray:
    dtype, (start, end) = np.dtype(DTYPES[entry.dtype]), entry.data_offsets
    return np.frombuffer(content, dtype, (end - start) // dtype.itemsize, base + start).reshape(entry.shape)
