"""A checkpoint that needs no other one: what a delta builds on is written out with it."""

import shutil
from pathlib import Path

import msgspec

from rec_assets import durable
from rec_assets.registry import draft as drafts
from rec_assets.registry import manifest as manifests
from rec_assets.registry.checkpoint import ROWS, rows_file, whole_file
from rec_assets.registry.shelf import Shelf


def write_whole(shelf: Shelf, checkpoint_id: str, into: Path) -> None:
    """Write a checkpoint into another directory of checkpoints, under its id, as a base.

    CorruptCheckpoint, NoCheckpoint or OtherFormat where it, or what it builds on, is not what was written.
    """
    checkpoint = shelf.load(checkpoint_id)
    draft = into / f".draft-{checkpoint_id}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    changed = {name.removesuffix(ROWS) for name in checkpoint.manifest.files if name.endswith(ROWS)}
    for name in checkpoint.manifest.files.keys() - {rows_file(group) for group in changed}:
        (draft / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(checkpoint.directory / name, draft / name)
    for group in changed:
        if whole_file(group) not in checkpoint.manifest.files:
            drafts.write_arrays(draft / whole_file(group), checkpoint.arrays(group))
    described = msgspec.structs.replace(checkpoint.manifest, kind="base", files=drafts.hashes(draft))
    manifests.write(draft, manifests.sealed(described))
    durable.sync_tree(draft)
    draft.rename(into / checkpoint_id)
    durable.sync(into)
