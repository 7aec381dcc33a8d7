"""From a model and its live state to a checkpoint of the registry, and back: arrays and a manifest, nothing pickled."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rec_assets.features import storage
from rec_assets.features.state import LiveState
from rec_assets.registry import Checkpoint, Registry, Skipped
from rec_assets.settings import Kind, TrainConfig
from rec_assets.training.model import Model, limits_of
from rec_assets.training.replay import Replay
from rec_assets.training.store import EmbeddingStore

STATE = "state"  # the folder that holds the live state
ENCODER, ITEMS, RANKER, REPLAY = "encoder", "items", "ranker", "replay"
TREES = {ENCODER: ("dense", "dense_moments"), RANKER: ("ranker", "scaling", "ranker_moments")}  # attributes of Model


def save(
    registry: Registry,
    model: Model,
    state: LiveState,
    parent: str | None,
    start: int,
    end: int,
    log_id: str,
    extra: Mapping[str, Any],
    skipped: Sequence[Skipped] = (),
) -> str:
    """Write a candidate learnt from the offsets [start, end), and return its id.

    The live state is written with the first one and then every `state_every_events` offsets; others name the one to
    read on from. `skipped`: why nothing was learnt from what lies between the parent's watermark and `start`.
    """
    assert state.offset == end, f"the state is at offset {state.offset}, the checkpoint at {end}"
    carrier = carrier_of(registry, parent) if parent is not None else None
    if carrier is not None and end - registry.manifest(carrier).end >= model.config.state_every_events:
        carrier = None
    contiguous = {
        part: {name: np.asarray(x, order="C") for name, x in each.items()} for part, each in arrays_of(model).items()
    }
    described = {
        "config": dataclasses.asdict(model.config),
        "kinds": {name: dataclasses.asdict(kind) for name, kind in state.kinds.items()},
        **extra,
    }
    folders = {STATE: lambda directory: storage.save(state, directory)} if carrier is None else None
    return registry.write(
        "base", parent, start, end, contiguous, manifest=described, log_id=log_id, state=carrier, folders=folders,
        skipped=skipped,
    )  # fmt: skip


def arrays_of(model: Model) -> dict[str, dict[str, np.ndarray]]:
    """All that a model is, by part and name."""
    arrays = {part: _named({name: getattr(model, name) for name in names}) for part, names in TREES.items()}
    arrays[ENCODER]["steps"] = np.array([model.row_steps, model.events], np.int64)
    return arrays | {ITEMS: model.store.to_arrays(), REPLAY: model.replay.to_arrays()}


def load(
    registry: Registry, checkpoint_id: str, kinds: Mapping[str, Kind], log_start: int = 0
) -> tuple[Model, LiveState]:
    """A checkpoint's model, and a live state at or before its watermark: the caller reads on from the log.

    `kinds` is the vocabulary of now: what it says anew goes for the events to come. Where the log no longer has what
    came after the state, as it begins at `log_start`, it is the oldest kept state that can be read on from: keys and
    counts go by the log, whatever the weights know.

    Raises NoCheckpoint, CorruptCheckpoint or NewerFormat.
    """
    model = load_model(registry, checkpoint_id)
    state = load_state(registry, _covered(registry, carrier_of(registry, checkpoint_id), log_start), kinds)
    model.content = state.content
    return model, state


def load_model(registry: Registry, checkpoint_id: str) -> Model:
    """The model alone. Its `content` is for the caller to set, from the live state it is used with."""
    checkpoint = registry.load(checkpoint_id)
    model = Model(config_of(checkpoint))
    for part, names in TREES.items():
        arrays = checkpoint.arrays(part)
        for name, tree in _restored({name: getattr(model, name) for name in names}, arrays).items():
            setattr(model, name, tree)
        if part == ENCODER:
            model.row_steps, model.events = arrays["steps"].tolist()
    model.store = EmbeddingStore.from_arrays(
        checkpoint.arrays(ITEMS), model.config.embedding_dim, model.config.seed, limits_of(model.config)
    )
    model.replay = Replay.from_arrays(checkpoint.arrays(REPLAY), model.replay.half_life)
    return model


def load_state(registry: Registry, carrier: str, kinds: Mapping[str, Kind]) -> LiveState:
    """The live state that a checkpoint carries, at its end."""
    checkpoint = registry.load(carrier)
    return storage.load(checkpoint.folder(STATE), config_of(checkpoint), kinds)


def carrier_of(registry: Registry, checkpoint_id: str) -> str:
    """The checkpoint whose live state this one builds on, itself maybe."""
    return registry.manifest(checkpoint_id).state or checkpoint_id


def _covered(registry: Registry, carrier: str, log_start: int) -> str:
    """This carrier, or the oldest of the same log from which the log can be read on."""
    own = registry.manifest(carrier)
    for each in registry.list() if own.end < log_start else ():
        found = each.manifest
        if found is not None and found.state is None and found.log_id == own.log_id and found.end >= log_start:
            return found.id
    return carrier


def config_of(checkpoint: Checkpoint) -> TrainConfig:
    """What the checkpoint was trained with; settings that did not exist then have their defaults."""
    known = {field.name for field in dataclasses.fields(TrainConfig)}
    return TrainConfig(**{name: value for name, value in checkpoint.manifest.extra["config"].items() if name in known})


def _named(tree: Any) -> dict[str, np.ndarray]:
    """The leaves of a tree by their path, e.g. dense.blocks.0.inner."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(leaf) for path, leaf in leaves}


def _restored(template: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The template with the leaves that `_named` gave."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(template)
    names = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in leaves]
    return jax.tree_util.tree_unflatten(structure, [jnp.asarray(arrays[name]) for name in names])
