"""Immutable checkpoints, the promoted pointer, rollback and retention."""

from rec_assets.durable import OtherFormat
from rec_assets.registry.changes import Changes
from rec_assets.registry.checkpoint import Checkpoint
from rec_assets.registry.manifest import CorruptCheckpoint, Manifest, NoCheckpoint, Range, Skipped
from rec_assets.registry.promotion import NotPromotable, Promoted
from rec_assets.registry.registry import Registry
from rec_assets.registry.shelf import Listed

__all__ = [
    "Changes",
    "Checkpoint",
    "CorruptCheckpoint",
    "Listed",
    "Manifest",
    "NoCheckpoint",
    "NotPromotable",
    "OtherFormat",
    "Promoted",
    "Range",
    "Registry",
    "Skipped",
]
