"""How much of the log is kept: its oldest segments go as the settings say, as far as nothing needs them any more.

Who reads the log again from an earlier offset on is the loop's tables, up to where the ledger ends, and whoever loads a
checkpoint: its live state is as of an offset of its own, from which it is read on.
"""

import time
from typing import NamedTuple

from rec_assets.log import Log, forget_jobs
from rec_assets.registry import Registry
from rec_assets.settings import Settings
from rec_assets.tables import status

DAY_US, GIB = 86_400_000_000, 2**30


class Needed(NamedTuple):
    """All before `offset` can go; `by` says what needs the rest."""

    offset: int
    by: str


def needed(settings: Settings, log: Log) -> Needed:
    """From where on the log must be kept. OtherFormat where what would tell was written by another version."""
    registry = Registry(settings.checkpoints_dir)
    pointer, last = registry.pointer(), status.read(settings.status_path)
    if pointer is None or pointer.log_id != log.log_id:
        return Needed(0, "no checkpoint of this log is promoted yet")
    if last is None or last.log_id != log.log_id:
        return Needed(0, f"{settings.status_path} does not say yet how far the tables are")
    if forget_jobs.waiting(log):
        return Needed(0, "a user is being forgotten; `rec forget` finishes it")
    bounds = [Needed(last.end, "the tables end there")]
    readable = {row.id: row.manifest for row in registry.list() if row.manifest is not None}
    # What a pin alone keeps is there to compare with, and is not loaded with its live state.
    compared = set(registry.pins().values()) - {pointer.id, pointer.previous, *registry.ancestors(pointer.id)}
    for each in readable.values():
        carrier = readable.get(each.state or each.id)
        if each.id not in compared and carrier is not None:
            at = carrier.end if each.log_id == log.log_id else 0
            bounds.append(Needed(at, f"the live state of checkpoint {each.id} is read on from there"))
    return min(bounds)


def apply(settings: Settings, log: Log, now: int | None = None) -> list[tuple[int, int]]:
    """Drop what the settings no longer keep; returns the ranges that went. `now` in µs, UTC."""
    days, gib = settings.log_keep_days, settings.log_keep_gib
    if days is None and gib is None:
        return []
    now = time.time_ns() // 1_000 if now is None else now
    before = None if days is None else now - round(days * DAY_US)
    return log.drop(needed(settings, log).offset, before, None if gib is None else round(gib * GIB))
