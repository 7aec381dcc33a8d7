"""Replacing kept checkpoints by others that know less: each in a new directory with new hashes, never edited in place.

A new manifest says in `extra` which checkpoint it replaces. What follows from that is done from the directories alone:
links of later checkpoints, pins, history and the promoted pointer, and only then the old directories go. So a kill at
any instant leaves a registry that can be served from, and the next call finishes.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from rec_assets import durable
from rec_assets.registry import draft as drafts
from rec_assets.registry import manifest as manifests
from rec_assets.registry import promotion, retention
from rec_assets.registry.checkpoint import Checkpoint
from rec_assets.registry.manifest import File, Manifest
from rec_assets.registry.registry import LOCK, Registry
from rec_assets.registry.shelf import PINS

REPLACES = "replaces"  # in a manifest's extra
# Writes what is to be another file of a checkpoint into a directory, and says how much of what was taken out.
Rewrite = Callable[[Checkpoint, Path], Mapping[str, int]]


class Replaced(NamedTuple):
    """Old id -> new id, ever, and those that went now; how much was taken out, and what could not be read."""

    ids: dict[str, str]
    gone: list[str]
    counts: dict[str, int]
    unreadable: list[str]


def replace(registry: Registry, rewrite: Rewrite) -> Replaced:
    """Replace all kept checkpoints that `rewrite` changes, and those that link to them; nobody else writes meanwhile.

    A process that opened the registry before cannot write what it has learnt from the old ones: NotPromotable.
    """
    directory = registry.directory
    with durable.locked(directory / LOCK):
        promotion.catch_up(directory)
        promotion.count_erasure(directory)
        ids, counts, unreadable = _done_before(registry), dict[str, int](), list[str]()
        for checkpoint_id in registry.ids():
            if checkpoint_id in ids:
                continue
            try:
                manifest = manifests.read(directory / checkpoint_id)
            except (manifests.CorruptCheckpoint, durable.OtherFormat):
                unreadable.append(checkpoint_id)
                continue
            draft = directory / f".draft-{os.getpid()}-{time.monotonic_ns()}"
            draft.mkdir()
            try:
                taken = rewrite(Checkpoint(directory / checkpoint_id, verify=False), draft)
                linked = _linked(manifest, ids)
                if any(taken.values()) or linked != manifest:
                    ids[checkpoint_id] = _publish(directory, draft, manifest, linked)
                    counts = {name: counts.get(name, 0) + taken.get(name, 0) for name in {*counts, *taken}}
            finally:
                shutil.rmtree(draft, ignore_errors=True)
        _follow(directory, ids)
        gone = [each for each in registry.ids() if each in ids]
        for checkpoint_id in gone:
            retention.remove(directory / checkpoint_id)
        for left in directory.glob(".removed-*"):
            shutil.rmtree(left)
        return Replaced({old: _newest(old, ids) for old in ids}, gone, counts, unreadable)


def _done_before(registry: Registry) -> dict[str, str]:
    """What a killed call, or an earlier one, has replaced: old id -> new id."""
    readable = (row.manifest for row in registry.list() if row.manifest is not None)
    return {str(each.extra[REPLACES]): each.id for each in readable if REPLACES in each.extra}


def _newest(checkpoint_id: str, ids: Mapping[str, str]) -> str:
    while checkpoint_id in ids:
        checkpoint_id = ids[checkpoint_id]
    return checkpoint_id


def _linked(manifest: Manifest, ids: Mapping[str, str]) -> Manifest:
    """The manifest with every id in it brought up to date, but for its own and the one it replaces."""
    extra = {name: value if name == REPLACES else _mapped(value, ids) for name, value in manifest.extra.items()}
    parent, state = (each if each is None else _newest(each, ids) for each in (manifest.parent, manifest.state))
    return msgspec.structs.replace(manifest, parent=parent, state=state, extra=extra)


def _mapped(value: Any, ids: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _newest(value, ids)
    if isinstance(value, list):
        return [_mapped(each, ids) for each in value]
    if isinstance(value, dict):
        return {name: _mapped(each, ids) for name, each in value.items()}
    return value


def _publish(directory: Path, draft: Path, old: Manifest, linked: Manifest) -> str:
    """Fill the draft up with links to the files that stay, seal it under a new id and rename it."""
    changed = drafts.hashes(draft)
    for name in old.files.keys() - changed.keys():
        (draft / name).parent.mkdir(parents=True, exist_ok=True)
        (draft / name).hardlink_to(directory / old.id / name)
    files: dict[str, File] = {name: changed.get(name, file) for name, file in old.files.items()}
    described = msgspec.structs.replace(
        linked, id="", checksum="", files=files, extra={**linked.extra, REPLACES: old.id}
    )
    digest = hashlib.sha256(msgspec.json.encode(described)).hexdigest()[:8]
    name = f"{old.id.split('-')[0]}-{digest}"
    manifests.write(draft, manifests.sealed(msgspec.structs.replace(described, id=name)))
    durable.sync_tree(draft)
    draft.rename(directory / name)
    durable.sync(directory)
    return name


def _follow(directory: Path, ids: Mapping[str, str]) -> None:
    """Pins, history and the pointer name the new ones; the pointer last, for it is what others watch."""
    if not ids:
        return
    if (directory / PINS).exists():
        pins = msgspec.json.decode((directory / PINS).read_bytes(), type=dict[str, str])
        durable.replace(directory / PINS, msgspec.json.encode(_mapped(pins, ids)))
    lines = [
        msgspec.structs.replace(line, id=_newest(line.id, ids), to=None if line.to is None else _newest(line.to, ids))
        for line in promotion.read_history(directory)
    ]
    if lines:
        durable.replace(
            directory / promotion.HISTORY, b"".join(msgspec.json.encode(line) + b"\n" for line in dict.fromkeys(lines))
        )
    pointer = promotion.read_pointer(directory)
    if pointer is not None:
        previous = None if pointer.previous is None else _newest(pointer.previous, ids)
        followed = msgspec.structs.replace(pointer, id=_newest(pointer.id, ids), previous=previous)
        if followed != pointer:
            durable.replace(directory / promotion.POINTER, msgspec.json.format(msgspec.json.encode(followed), indent=1))
