"""From a model and its live state to a checkpoint of the registry, and back: arrays and a manifest, nothing pickled."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rec_assets.features import storage
from rec_assets.features.state import LiveState
from rec_assets.registry import Changes, Checkpoint, Registry, Skipped
from rec_assets.registry.checkpoint import rows_file, whole_file
from rec_assets.settings import Kind, TrainConfig
from rec_assets.training.model import Model, limits_of
from rec_assets.training.replay import Replay
from rec_assets.training.scorer import Scorer
from rec_assets.training.store import EmbeddingStore
from rec_assets.training.table import ROWS, ItemRows

STATE = "state"  # the folder that holds the live state
ENCODER, ITEMS, RANKER, HEADS, REPLAY = "encoder", "items", "ranker", "heads", "replay"
TREES = {  # attributes of Model
    ENCODER: ("dense", "dense_moments"),
    RANKER: ("ranker", "scaling", "ranker_moments"),
    HEADS: ("heads", "heads_moments", "ratings"),
}
ASKED = {ENCODER: ("dense",), RANKER: ("ranker", "scaling"), HEADS: ("heads", "ratings")}  # those of Scorer


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
    read on from. Of the item rows those that changed are written, or all where that is no more, and all of them in
    one of `whole_every` checkpoints. `skipped`: why nothing was learnt from what lies between the parent's watermark
    and `start`.
    """
    assert state.offset == end, f"the state is at offset {state.offset}, the checkpoint at {end}"
    carrier = carrier_of(registry, parent) if parent is not None else None
    if carrier is not None and end - registry.manifest(carrier).end >= model.config.state_every_events:
        carrier = None
    arrays, changes = arrays_of(model), _changes(model, parent)
    if changes and not _compacts(registry, str(parent), model.config.whole_every):
        del arrays[ITEMS]
    described = {
        "config": dataclasses.asdict(model.config),
        "kinds": {name: dataclasses.asdict(kind) for name, kind in state.kinds.items()},
        **extra,
    }
    folders = {STATE: lambda directory: storage.save(state, directory)} if carrier is None else None
    written = registry.write(
        parent, start, end, arrays, manifest=described, log_id=log_id, changes=changes, state=carrier, folders=folders,
        skipped=skipped,
    )  # fmt: skip
    model.store.saved(written)
    return written


def _changes(model: Model, parent: str | None) -> dict[str, Changes]:
    """The item rows that are not the parent's, unless they are so many that all of them are written sooner."""
    store = model.store
    if parent is None or store.saved_as != parent or 2 * np.count_nonzero(store.touched[: store.size]) > store.size:
        return {}
    return {ITEMS: store.changes()}


def _compacts(registry: Registry, parent: str, whole_every: int) -> bool:
    """Whether the rows are to be written whole too: so many deltas follow a base, or half as large as it is."""
    base, *deltas = registry.links(parent)
    size = sum(delta.files[rows_file(ITEMS)].size for delta in deltas)
    return len(deltas) + 1 >= whole_every or 2 * size > base.files[whole_file(ITEMS)].size


def arrays_of(model: Model) -> dict[str, dict[str, np.ndarray]]:
    """All that a model is, by part and name."""
    arrays = {part: _named({name: getattr(model, name) for name in names}) for part, names in TREES.items()}
    arrays[ENCODER]["steps"] = np.array([model.row_steps, model.events], np.int64)
    return arrays | {ITEMS: model.store.to_arrays(), REPLAY: model.replay.to_arrays()}


def load(
    registry: Registry, checkpoint_id: str, kinds: Mapping[str, Kind], log_start: int = 0
) -> tuple[Model, LiveState]:
    """A checkpoint's model, and a live state at or before its watermark: the caller reads on from the log.

    Raises NoCheckpoint, CorruptCheckpoint or OtherFormat.
    """
    model = load_model(registry, checkpoint_id)
    state = state_of(registry, checkpoint_id, kinds, log_start)
    model.content = state.content
    return model, state


def state_of(registry: Registry, checkpoint_id: str, kinds: Mapping[str, Kind], log_start: int = 0) -> LiveState:
    """The live state that a checkpoint builds on.

    `kinds` is the vocabulary of now: what it says anew goes for the events to come. Where the log no longer has what
    came after the state, as it begins at `log_start`, it is the oldest kept state that can be read on from: keys and
    counts go by the log, whatever the weights know.
    """
    return load_state(registry, _covered(registry, carrier_of(registry, checkpoint_id), log_start), kinds)


def load_model(registry: Registry, checkpoint_id: str) -> Model:
    """The model alone. Its `content` is for the caller to set, from the live state it is used with."""
    checkpoint = registry.load(checkpoint_id)
    model = Model(config_of(checkpoint))
    for part, names in TREES.items():
        _restore(model, names, checkpoint.arrays(part))
    model.row_steps, model.events = checkpoint.arrays(ENCODER)["steps"].tolist()
    config = model.config
    model.store = EmbeddingStore.from_arrays(
        checkpoint.arrays(ITEMS), config.embedding_dim, config.seed, limits_of(config)
    )
    model.store.saved(checkpoint_id)
    model.replay = Replay.from_arrays(checkpoint.arrays(REPLAY), model.replay.half_life)
    return model


def load_scorer(
    registry: Registry, checkpoint_id: str, held: Scorer | None = None, held_id: str | None = None
) -> Scorer:
    """What is asked of a checkpoint; its `content` is for the caller to set.

    Where `held` is that of an earlier checkpoint and what has changed since is written, only that is read; `held`
    stays as it is. Else all is read.
    """
    steps = registry.since(held_id, checkpoint_id, ITEMS) if held_id is not None else []
    if held is not None and steps:
        scorer = _asked(steps[-1])
        scorer.rows = held.rows.after([step.changes(ITEMS) for step in steps])
        return scorer
    checkpoint = registry.load(checkpoint_id)
    scorer = _asked(checkpoint)
    scorer.rows = ItemRows.from_arrays(checkpoint.arrays(ITEMS, ROWS.__contains__))
    return scorer


def _asked(checkpoint: Checkpoint) -> Scorer:
    """A scorer with a checkpoint's dense parts."""
    scorer = Scorer(config_of(checkpoint))
    for part, names in ASKED.items():
        _restore(scorer, names, checkpoint.arrays(part))
    return scorer


def _restore(scorer: Scorer, names: Sequence[str], arrays: Mapping[str, np.ndarray]) -> None:
    """Set the trees of these names to those that `_named` gave."""
    for name, tree in _restored({name: getattr(scorer, name) for name in names}, arrays).items():
        setattr(scorer, name, tree)


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
    later = (each.id for each in registry.carriers(own.log_id) if each.end >= log_start)
    return next(later, carrier) if own.end < log_start else carrier


def config_of(checkpoint: Checkpoint) -> TrainConfig:
    """What the checkpoint was trained with; settings that did not exist then have their defaults."""
    known = {field.name for field in dataclasses.fields(TrainConfig)}
    return TrainConfig(**{name: value for name, value in checkpoint.manifest.extra["config"].items() if name in known})


def _named(tree: Any) -> dict[str, np.ndarray]:
    """The leaves of a tree by their path, e.g. dense.blocks.0.inner."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(leaf) for path, leaf in leaves}


def _restored(template: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The template with the leaves that `_named` gave, of JAX where its own are, else of NumPy."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(template)
    found = []
    for path, leaf in leaves:
        array = arrays[jax.tree_util.keystr(path, simple=True, separator=".")]
        # What is read number by number outside of compiled code would compile each reading as JAX's.
        found.append(jnp.asarray(array) if isinstance(leaf, jax.Array) else np.asarray(array))
    return jax.tree_util.tree_unflatten(structure, found)
