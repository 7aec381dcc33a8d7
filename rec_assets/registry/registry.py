"""The store of checkpoints: immutable directories, one promoted pointer, rollback, retention."""

import hashlib
import importlib.metadata
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from rec_assets import durable
from rec_assets.registry import draft as drafts
from rec_assets.registry import manifest as manifests
from rec_assets.registry import promotion, retention
from rec_assets.registry.changes import Changes
from rec_assets.registry.manifest import Manifest, Range, Skipped
from rec_assets.registry.promotion import Line, NotPromotable, Promoted
from rec_assets.registry.shelf import PINS, Shelf, number_of

LOCK = ".lock"


class Registry(Shelf):
    """A directory of checkpoints. Any number of processes may use it; what changes it is done under one lock."""

    def __init__(self, directory: Path, clock: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        """`clock` gives µs since 1970, UTC."""
        super().__init__(directory)
        self.clock = clock
        directory.mkdir(parents=True, exist_ok=True)
        self._erasures = promotion.erasures(directory)

    def write(
        self,
        parent: str | None,
        start: int,
        end: int,
        arrays: Mapping[str, Mapping[str, np.ndarray]],
        tables: Mapping[str, pa.Table] | None = None,
        manifest: Mapping[str, Any] | None = None,
        *,
        log_id: str,
        changes: Mapping[str, Changes] | None = None,
        skipped: Sequence[Skipped] = (),
        state: str | None = None,
        folders: Mapping[str, Callable[[Path], object]] | None = None,
    ) -> str:
        """Write a checkpoint learnt from the offsets [start, end) of a log, and return its id, e.g. 000042-1f0c9a3b.

        {"encoder": {...}} becomes encoder.safetensors, a table items.parquet; a folder is made and handed to its
        function to be filled. `changes` are groups of arrays as what became of the parent's; one that is not among the
        whole `arrays` too makes this a delta, which needs its parent. `manifest` holds what else is to be known, e.g.
        metrics and config (JSON; NumPy scalars allowed). `state` names the checkpoint whose live state this one builds
        on. Offsets between the parent's watermark and start that `skipped` does not cover are recorded as not learnt.
        Raises ValueError where an offset would be learnt twice, NoCheckpoint for an unknown parent or state,
        NotPromotable for a refused parent.
        """
        if changes and parent is None:
            raise ValueError(f"changes of {sorted(changes)} without a parent that they are made to")
        before = self.manifest(parent) if parent is not None else None
        if state is not None:
            self.manifest(state)
        if parent is not None and self._last(parent, "refused") is not None:
            raise NotPromotable(f"checkpoint {parent} was refused: it cannot be a parent")
        same = before if before is not None and before.log_id == log_id else None
        described = Manifest(
            format_version=manifests.FORMAT_VERSION,
            id="",
            kind="delta" if (changes or {}).keys() - arrays.keys() else "base",
            parent=parent,
            log_id=log_id,
            start=start,
            end=end,
            watermark=max(end, same.watermark if same else end),
            skipped=manifests.fill(skipped, same.watermark, start) if same else list(skipped),
            learnt=manifests.join([*(same.learnt if same else []), Range(start, end)]),
            state=state,
            created_at=self.clock(),
            code_version=importlib.metadata.version("rec-assets"),
            files={},
            extra=msgspec.to_builtins(dict(manifest or {}), enc_hook=drafts.plain),
        )
        draft = self.directory / f".draft-{os.getpid()}-{time.monotonic_ns()}"
        draft.mkdir()
        try:
            drafts.fill(draft, arrays, changes or {}, tables or {}, folders or {})
            return self._publish(draft, described)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)  # so that a full disk does not stay full of drafts
            raise

    def promote(self, checkpoint_id: str) -> Promoted:
        """Make a checkpoint the one that is served if its parent still is; NotPromotable otherwise.

        Again for the promoted one: nothing changes, so a run that was killed after it can be run again.
        """
        with durable.locked(self.directory / LOCK):
            promotion.catch_up(self.directory)
            candidate, current = self.manifest(checkpoint_id), self.pointer()
            if current is not None and current.id == candidate.id:
                return current
            if refused := self._last(candidate.id, "refused"):
                raise NotPromotable(f"checkpoint {candidate.id} was refused: {refused.reason}")
            if candidate.parent != (current.id if current else None):
                raise NotPromotable(
                    f"checkpoint {candidate.id} builds on {candidate.parent or 'nothing'}, but "
                    f"{current.id if current else 'nothing'} is promoted: train it again from there"
                )
            manifests.verify(self.directory / candidate.id, candidate)
            pointer = Promoted(
                candidate.id, candidate.watermark, candidate.log_id, self.clock(), current.id if current else None
            )
            promotion.write_pointer(self.directory, pointer)
            return pointer

    def refuse(self, checkpoint_id: str, reason: str) -> None:
        """Note that the gate refused a candidate: it is never promoted and never a parent."""
        with durable.locked(self.directory / LOCK):
            promotion.catch_up(self.directory)
            if self.promoted() == checkpoint_id:
                raise NotPromotable(f"checkpoint {checkpoint_id} is promoted: roll back instead")
            if self._last(self.manifest(checkpoint_id).id, "refused") is None:
                line = Line(self.clock(), "refused", checkpoint_id, reason=reason)
                promotion.append(self.directory, line)

    def rollback(self, to: str | None = None, reason: str = "by hand", given_up: str | None = None) -> Promoted:
        """Serve an ancestor of the promoted checkpoint again: the named one, else its parent.

        What it had learnt and the ancestor had not is skipped from now on. NotPromotable if there is no such ancestor,
        or if `given_up` is named and no longer promoted.
        """
        with durable.locked(self.directory / LOCK):
            promotion.catch_up(self.directory)
            current = self.pointer()
            if current is None:
                raise NotPromotable("nothing is promoted, so there is nothing to roll back")
            if given_up not in (None, current.id):
                raise NotPromotable(f"{given_up} was to be given up, but {current.id} is promoted by now")
            ancestors = self.ancestors(current.id)
            target = to or (ancestors[0] if ancestors else None)
            if target not in ancestors:
                kept = ", ".join(ancestors) or "none"
                raise NotPromotable(f"{target or 'a parent'} is no kept ancestor of {current.id}; kept: {kept}")
            manifest = self.load(target).manifest
            pointer = Promoted(
                target, manifest.watermark, manifest.log_id, self.clock(), current.id, "rolled back", reason
            )
            promotion.write_pointer(self.directory, pointer)
            return pointer

    def pin(self, name: str, checkpoint_id: str) -> None:
        """Keep a checkpoint under a name, e.g. "frozen"; the name's former one is let go."""
        with durable.locked(self.directory / LOCK):
            pins = self.pins() | {name: self.manifest(checkpoint_id).id}
            durable.replace(self.directory / PINS, msgspec.json.encode(pins))

    def retain(self, keep: int, leftover_seconds: float = 3600.0) -> list[str]:
        """Remove what is not needed and return the removed ids; `keep` is how many of the newest stay in any case.

        Also stays: what is promoted, its parent, what it can be rolled back to by itself, what is pinned, all that
        these need (bases of deltas, carriers of live state), and what cannot be read. Half-written directories go when
        older than `leftover_seconds`.
        """
        with durable.locked(self.directory / LOCK):
            promotion.catch_up(self.directory)
            roots = set(self.ids()[-keep:] if keep > 0 else []) | set(self.pins().values())
            if (current := self.promoted()) is not None:
                manifest = self.manifest(current)
                roots |= {current, manifest.parent or current, *manifest.shadow.values()} & set(self.ids())
            readable = {row.id: row.manifest for row in self.list() if row.manifest is not None}
            needed = retention.needed(roots, readable)
            removed = [each for each in readable if each not in needed]
            for each in reversed(removed):  # a kill leaves no delta without its base
                retention.remove(self.directory / each)
            retention.clear_leftovers(self.directory, self.clock(), leftover_seconds)
            promotion.trim(self.directory)
            return removed

    def _publish(self, draft: Path, described: Manifest) -> str:
        """Give a draft its id, seal it, and rename it to where it is found."""
        described = msgspec.structs.replace(described, files=drafts.hashes(draft))
        digest = hashlib.sha256(msgspec.json.encode(described)).hexdigest()[:8]
        with durable.locked(self.directory / LOCK):
            if promotion.erasures(self.directory) != self._erasures:
                raise NotPromotable("a user was forgotten since this process opened the registry: learn it again")
            name = f"{self._next_number():06d}-{digest}"
            manifests.write(draft, manifests.sealed(msgspec.structs.replace(described, id=name)))
            durable.sync_tree(draft)
            draft.rename(self.directory / name)
            durable.sync(self.directory)
        return name

    def _last(self, checkpoint_id: str, action: str) -> Line | None:
        lines = [line for line in self.history() if line.id == checkpoint_id and line.action == action]
        return lines[-1] if lines else None

    def _next_number(self) -> int:
        # The history too: the newest checkpoint may have been removed by hand.
        names = [*self.ids(), *(line.id for line in self.history()[-100:])]
        return max((number_of(name)[0] for name in names), default=0) + 1
