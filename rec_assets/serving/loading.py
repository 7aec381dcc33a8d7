"""From a checkpoint and a log to what a worker serves: weights, live state, catalogue, clock."""

import dataclasses
import logging
import time
from pathlib import Path

import msgspec
import pyarrow.parquet as pq

from rec_assets.events import parse
from rec_assets.features import state as live
from rec_assets.features import storage
from rec_assets.features.state import LiveState
from rec_assets.log import Log, RecordsDropped
from rec_assets.registry import CorruptCheckpoint, NoCheckpoint, OtherFormat, Promoted, Registry
from rec_assets.serving.catalogue import Catalogue
from rec_assets.serving.clock import LogClock
from rec_assets.serving.listing import Masks
from rec_assets.settings import Settings
from rec_assets.training import checkpoint as checkpoints
from rec_assets.training.scorer import Scorer

READ_ROWS = 20_000  # records read at once
STATE, CATALOGUE, CHECKPOINTS = "state", "catalogue.parquet", "checkpoints"  # what a bento's model holds
UNUSABLE = (CorruptCheckpoint, OtherFormat, NoCheckpoint, RecordsDropped, OSError, KeyError, msgspec.DecodeError)
logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Served:
    """What one list is made from. Replaced as a whole; `state`, `catalogue` and `clock` follow the log in place."""

    state: LiveState
    catalogue: Catalogue
    masks: Masks
    clock: LogClock
    keys_of: str  # the log_id whose order of appearance gave the state its keys
    model: Scorer | None = None  # None before the first checkpoint
    checkpoint: str | None = None
    watermark: int = 0  # in the log that is read
    promoted_at: int = 0  # µs, UTC
    served_at: int = 0  # µs, UTC


def open_served(settings: Settings, log: Log, packed: Path | None) -> Served:
    """What to start with: the promoted checkpoint, an earlier one if that cannot be read, else nothing learnt.

    `packed` is the folder of a bento's model; it counts where the installation has promoted nothing itself.
    """
    registry = Registry(settings.checkpoints_dir)
    pointer = registry.pointer()
    if pointer is None and packed is not None:
        registry = Registry(packed / CHECKPOINTS)
        pointer = registry.pointer()
    else:
        packed = None
    for checkpoint_id in to_try(registry, pointer) if pointer else ():
        try:
            return load(settings, registry, checkpoint_id, log, packed, pointer)
        except UNUSABLE:
            logger.exception("checkpoint %s cannot be served", checkpoint_id)
    state = live.init(settings.train, settings.kinds)
    catalogue = Catalogue(state.items)
    return Served(state, catalogue, Masks(catalogue), LogClock(), log.log_id)


def to_try(registry: Registry, pointer: Promoted) -> list[str]:
    """The promoted checkpoint, the one before it and, should a file be lost that both build on, earlier bases."""
    tried = [pointer.id] + ([pointer.previous] if pointer.previous is not None else [])
    bases = [row.id for row in registry.list() if row.manifest is not None and row.manifest.kind == "base"]
    promoted = {line.id for line in registry.history() if line.action == "promoted"}
    return tried + [each for each in reversed(bases) if each not in tried and each in promoted]


def load(
    settings: Settings, registry: Registry, checkpoint_id: str, log: Log, packed: Path | None, pointer: Promoted | None
) -> Served:
    """A checkpoint with its live state, which is yet to read on. Raises one of UNUSABLE.

    Beside another log than the one it was learnt from it keeps its state and takes that log in from its start.
    """
    manifest = registry.manifest(checkpoint_id)
    same = manifest.log_id == log.log_id
    model = checkpoints.load_scorer(registry, checkpoint_id)
    if packed is not None:
        state = storage.load(packed / STATE, model.config, settings.kinds)
    else:
        state = checkpoints.state_of(registry, checkpoint_id, settings.kinds, log.start() if same else 0)
    catalogue = Catalogue(state.items)
    if packed is not None:
        catalogue.read(pq.read_table(packed / CATALOGUE))
    model.content = state.content
    if same:
        read_catalogue(catalogue, log, state.offset, settings)
    else:
        state.offset = log.start()
    return Served(
        state,
        catalogue,
        Masks(catalogue),
        LogClock(round(state.clock * 1e6), manifest.created_at) if state.clock else LogClock(),
        manifest.log_id,
        model,
        checkpoint_id,
        manifest.watermark if same else 0,
        pointer.promoted_at if pointer else manifest.created_at,
        time.time_ns() // 1_000,
    )


def read_catalogue(catalogue: Catalogue, log: Log, end: int, settings: Settings) -> None:
    """Take in the catalogue rows before `end`: the live state keeps what items are about, not what they are called."""
    for records in log.items(end, READ_ROWS):
        if records:
            catalogue.take(parse(records, settings.kinds).items)
