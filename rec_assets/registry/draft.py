"""The files of a checkpoint while it is being written, in a directory that nobody reads yet."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.numpy

from rec_assets import durable
from rec_assets.registry.changes import Changes
from rec_assets.registry.checkpoint import rows_file, whole_file
from rec_assets.registry.manifest import File


def fill(
    draft: Path,
    arrays: Mapping[str, Mapping[str, np.ndarray]],
    changes: Mapping[str, Changes],
    tables: Mapping[str, pa.Table],
    folders: Mapping[str, Callable[[Path], object]],
) -> None:
    """Write named groups of arrays, changes and tables, and let each folder be filled by its function."""
    for name, group in arrays.items():
        write_arrays(draft / whole_file(name), group)
    for name, each in changes.items():
        write_arrays(draft / rows_file(name), each.to_arrays())
    for name, table in tables.items():
        pq.write_table(table, draft / f"{name}.parquet")
    for name, fill_folder in folders.items():
        (draft / name).mkdir()
        fill_folder(draft / name)


def write_arrays(path: Path, group: Mapping[str, np.ndarray]) -> None:
    """Write one file of arrays."""
    contiguous = {key: np.require(array, requirements="C") for key, array in group.items()}
    safetensors.numpy.save_file(contiguous, path)


def hashes(draft: Path) -> dict[str, File]:
    """Size and SHA-256 of every file below, read back from where it was written."""
    files = sorted(path for path in draft.rglob("*") if path.is_file())
    return {str(path.relative_to(draft)): File(path.stat().st_size, durable.sha256(path)) for path in files}


def plain(value: object) -> object:
    """NumPy values as plain ones, for msgspec; TypeError for anything else."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{value!r} cannot be written as JSON")
