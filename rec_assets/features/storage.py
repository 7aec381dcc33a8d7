"""The live state on disk: its arrays as safetensors, its ids as Parquet."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import load_file, save_file

from rec_assets.features import rows
from rec_assets.features.content import Content
from rec_assets.features.counters import Counters
from rec_assets.features.idmap import IdMap
from rec_assets.features.rows import Rows
from rec_assets.features.state import LiveState, init
from rec_assets.settings import Kind, TrainConfig

USUAL = "content.usual."  # and the name of an attribute

Arrays = dict[str, npt.NDArray[Any]]


def _named(prefix: str, value: Any) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """All arrays of a nest of named tuples, by their path."""
    if isinstance(value, np.ndarray):
        yield prefix, value
    else:
        for name, part in value._asdict().items():
            yield from _named(f"{prefix}.{name}", part)


def _filled(prefix: str, like: Any, arrays: Mapping[str, npt.NDArray[Any]]) -> Any:
    """A nest of named tuples like another, with the arrays of those paths."""
    if isinstance(like, np.ndarray):
        return np.require(arrays[prefix], requirements=("C", "A", "W"))  # the one kind that kernels are compiled for
    made = type(like)(**{name: _filled(f"{prefix}.{name}", part, arrays) for name, part in like._asdict().items()})
    return rows.packed(made, len(made.keys)) if isinstance(made, Rows) else made


def to_tensors(state: LiveState) -> Arrays:
    """Every array of the state by name, pools cut to what is in use."""
    arrays: Arrays = {}
    for part in ("histories", "seen", "counters"):
        arrays.update(_named(part, getattr(state, part)))
    for name in arrays:
        pool, _, column = name.rpartition(".")
        if column in ("keys", "values", "first", "second", "tag"):
            arrays[name] = arrays[name][: int(arrays[f"{pool}.top"][0])]
    arrays["content.vectors"] = state.content.vectors[: len(state.items)]
    arrays["content.word_items"] = state.content.word_items
    arrays["content.items"] = np.array([state.content.items])
    arrays |= {USUAL + name: usual for name, usual in state.content.usual.items()}
    arrays["clock"] = np.array([state.clock])
    arrays["offset"] = np.array([state.offset])
    return arrays


def from_tensors(
    arrays: Mapping[str, npt.NDArray[Any]], users: IdMap, items: IdMap, config: TrainConfig, kinds: Mapping[str, Kind]
) -> LiveState:
    """The state of those arrays, which it takes over."""
    state = init(config, kinds)
    state.users, state.items = users, items
    for part in ("histories", "seen", "counters"):
        setattr(state, part, _filled(part, getattr(state, part), arrays))
    state.content = Content(
        _filled("content.vectors", state.content.vectors, arrays),
        arrays["content.word_items"],
        int(arrays["content.items"][0]),
        {name.removeprefix(USUAL): usual for name, usual in arrays.items() if name.startswith(USUAL)},
    )
    state.clock, state.offset = float(arrays["clock"][0]), int(arrays["offset"][0])
    return state


def save(state: LiveState, directory: Path) -> None:
    """Write state.safetensors, users.parquet and items.parquet into a directory that the caller makes durable."""
    save_file(
        {name: np.ascontiguousarray(array) for name, array in to_tensors(state).items()},
        directory / "state.safetensors",
    )
    for name, ids in (("users", state.users), ("items", state.items)):
        pq.write_table(pa.table({"id": pa.array(ids.ids, pa.string())}), directory / f"{name}.parquet")


def load(directory: Path, config: TrainConfig, kinds: Mapping[str, Kind]) -> LiveState:
    """The state that was saved, equal to it in all that will ever be computed from it."""
    users, items = (
        IdMap(pq.read_table(directory / f"{name}.parquet").column("id").to_pylist()) for name in ("users", "items")
    )
    return from_tensors(load_file(directory / "state.safetensors"), users, items, config, kinds)


def copy_counters(state: LiveState) -> Counters:
    """The counters as they are now, for a system that stops learning."""
    copied: Counters = _filled("", state.counters, {name: array.copy() for name, array in _named("", state.counters)})
    return copied
