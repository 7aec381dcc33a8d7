"""From a served list back to the offsets that its weights were learnt from."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from rec_assets.cli.stored import Finding, breaks
from rec_assets.durable import OtherFormat
from rec_assets.log import Log
from rec_assets.registry import CorruptCheckpoint, Manifest, NoCheckpoint, Range, Registry, Skipped
from rec_assets.registry import manifest as manifests
from rec_assets.settings import Settings

PIECE = 20_000  # records read at once, from the log's end backwards
SHOWN = 5  # ranges that are listed


class ServedList(msgspec.Struct):
    """What a record of kind "list" says of where the list came from."""

    request_id: str
    checkpoint: str | None = None
    offset: int = 0  # up to which the live state had read the log


class Origin(NamedTuple):
    """All offsets before a checkpoint's watermark, each once: learnt, or skipped for a reason."""

    learnt: list[Range]
    skipped: list[Skipped]


def of_list(settings: Settings, log: Log, request_id: str | None) -> Iterator[Finding]:
    """Prove the chain of one list, or of the newest in the log."""
    served = find(log, request_id)
    if served is None:
        found = "none in the log yet" if request_id is None else f"{request_id} is not in the log"
        advice = "lists reach the log within a minute; ids stand in the answers of /recommend"
        yield Finding(request_id is None, "served list", found, advice)
        return
    who = f"{served.request_id}, live state read to {served.offset}"
    if served.checkpoint is None:
        yield Finding(True, "served list", f"{who}, made before anything was learnt")
        return
    registry = Registry(settings.checkpoints_dir)
    try:
        manifest = registry.load(served.checkpoint).manifest  # every file hashed
        chain = registry.chain(served.checkpoint)
    except NoCheckpoint:
        found = f"{who}, made by {served.checkpoint}, which retention has removed"
        yield Finding(request_id is None, "served list", found, "raise REC_KEEP_CHECKPOINTS to keep more")
        return
    except (CorruptCheckpoint, OtherFormat) as error:
        yield Finding(False, "served list", f"{who}: {error}", "`rec models rollback`")
        return
    source = origin(registry, chain)
    problems = [*breaks(chain), *gaps(source, manifest)]
    told = f"{who} ← {manifest.id}, {len(manifest.files)} files as written, {len(chain)} kept links"
    yield Finding(not problems, "served list", "; ".join(problems) or told, "`rec models rollback` to before the break")
    if problems:
        return
    yield Finding(True, "learnt from", _some([f"[{low}, {high})" for low, high in source.learnt]))
    reasons = [f"[{low}, {high}): {reason}" for low, high, reason in source.skipped]
    yield Finding(True, "not learnt from", _some(reasons) if reasons else f"nothing before {manifest.watermark}")


def find(log: Log, request_id: str | None) -> ServedList | None:
    """The newest list of the log, or the one of this id; None where there is none."""
    end = log.head()
    while end > log.start():
        start = max(end - PIECE, log.start())
        for record in reversed(log.read(start, end)):
            if record.kind == "list":
                try:
                    served = msgspec.json.decode(record.payload, type=ServedList)
                except msgspec.DecodeError:
                    continue
                if request_id in (None, served.request_id):
                    return served
        end = start
    return None


def origin(registry: Registry, chain: Sequence[Manifest]) -> Origin:
    """What a checkpoint, the first of its chain, was learnt from; the reasons from it, its parents or the history."""
    newest = chain[0]
    edges = [0, *itertools.chain.from_iterable(newest.learnt), newest.watermark]
    told = {each for manifest in chain if manifest.log_id == newest.log_id for each in manifest.skipped}
    told |= set(registry.passed_over(newest.log_id, 0, newest.watermark))
    known = manifests.apart([each for each in told if each.reason != "not learnt"])
    skipped = []
    for low, high in zip(edges[::2], edges[1::2], strict=True):
        skipped += manifests.fill(known, low, high)
    return Origin(list(newest.learnt), skipped)


def gaps(found: Origin, manifest: Manifest) -> list[str]:
    """Where learnt and skipped ranges do not follow on each other from 0 to the watermark."""
    spans = sorted([*found.learnt, *(Range(each.start, each.end) for each in found.skipped)])
    edges = [Range(0, 0), *spans, Range(manifest.watermark, manifest.watermark)]
    return [f"[{a.start}, {a.end}) is followed by [{b.start}, {b.end})" for a, b in itertools.pairwise(edges)
            if a.end != b.start]  # fmt: skip


def _some(lines: Sequence[str]) -> str:
    return "; ".join(lines[:SHOWN]) + (f" and {len(lines) - SHOWN} more" if len(lines) > SHOWN else "")
