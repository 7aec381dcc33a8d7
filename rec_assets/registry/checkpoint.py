"""A checkpoint as it is read: its manifest, arrays, tables and folders."""

import mmap
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.numpy

from rec_assets.registry import manifest as manifests
from rec_assets.registry.manifest import Manifest

FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
INTEGERS = {"I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1"}
DTYPES = {**FLOATS, **INTEGERS, "BOOL": "?"}


class _Entry(msgspec.Struct):
    """One array in the header of a safetensors file; offsets in bytes after the header."""

    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


class Checkpoint:
    """One immutable directory. Its files are read when they are asked for."""

    def __init__(self, directory: Path, verify: bool = True) -> None:
        """Read the manifest and, if asked to, hash every file. NoCheckpoint, CorruptCheckpoint, NewerFormat."""
        self.directory = directory
        self.manifest: Manifest = manifests.read(directory)
        self.id = self.manifest.id
        if verify:
            manifests.verify(directory, self.manifest)

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """The arrays that were written under this name, copied into memory: they may be changed."""
        arrays: dict[str, np.ndarray] = safetensors.numpy.load_file(self._file(f"{name}.safetensors"))
        return arrays

    def mapped(self, name: str) -> dict[str, np.ndarray]:
        """The same arrays, read-only, straight from the page cache, which all processes on a machine share."""
        path = self._file(f"{name}.safetensors")
        with path.open("rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        header_size = int.from_bytes(content[:8], "little")
        header = msgspec.json.decode(content[8 : 8 + header_size], type=dict[str, _Entry])
        return {key: _view(content, 8 + header_size, entry) for key, entry in header.items()}

    def table(self, name: str) -> pa.Table:
        """The table that was written under this name."""
        return pq.read_table(self._file(f"{name}.parquet"))

    def folder(self, name: str) -> Path:
        """The folder that was filled under this name."""
        if not any(path.startswith(f"{name}/") for path in self.manifest.files):
            raise KeyError(f"checkpoint {self.id} has no folder {name!r}")
        return self.directory / name

    def _file(self, name: str) -> Path:
        if name not in self.manifest.files:
            raise KeyError(f"checkpoint {self.id} has no {name!r}; it has {sorted(self.manifest.files)}")
        return self.directory / name


def _view(content: mmap.mmap, base: int, entry: _Entry) -> np.ndarray:
    dtype, (start, end) = np.dtype(DTYPES[entry.dtype]), entry.data_offsets
    return np.frombuffer(content, dtype, (end - start) // dtype.itemsize, base + start).reshape(entry.shape)
