"""The files of a checkpoint while it is being written, in a directory that nobody reads yet."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.numpy

from rec_assets import durable
from rec_assets.registry.manifest import File


def fill(
    draft: Path,
    arrays: Mapping[str, Mapping[str, np.ndarray]],
    tables: Mapping[str, pa.Table],
    folders: Mapping[str, Callable[[Path], object]],
) -> None:
    """Write named groups of arrays and tables, and let each folder be filled by its function."""
    for name, group in arrays.items():
        whole = {key: np.require(array, requirements="C") for key, array in group.items()}
        safetensors.numpy.save_file(whole, draft / f"{name}.safetensors")
    for name, table in tables.items():
        pq.write_table(table, draft / f"{name}.parquet")
    for name, fill_folder in folders.items():
        (draft / name).mkdir()
        fill_folder(draft / name)


def hashes(draft: Path) -> dict[str, File]:
    """Size and SHA-256 of every file below, read back from where it was written."""
    files = sorted(path for path in draft.rglob("*") if path.is_file())
    return {str(path.relative_to(draft)): File(path.stat().st_size, durable.sha256(path)) for path in files}


def plain(value: object) -> object:
    """NumPy values as plain ones, for msgspec; TypeError for anything else."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{value!r} cannot be written as JSON")
