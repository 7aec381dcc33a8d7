"""Which checkpoints must stay, and how the others go."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from rec_assets import durable
from rec_assets.registry.manifest import Manifest


def needed(roots: Iterable[str], manifests: Mapping[str, Manifest]) -> set[str]:
    """The roots and all that loading them takes: a delta needs its parent, and each the carrier of its live state."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        each = waiting.pop()
        if each in found or each not in manifests:
            continue
        found.add(each)
        manifest = manifests[each]
        if manifest.kind == "delta" and manifest.parent is not None:
            waiting.append(manifest.parent)
        if manifest.state is not None:
            waiting.append(manifest.state)
    return found


def remove(directory: Path) -> None:
    """Take a checkpoint away; renamed first, so that a kill leaves no directory that looks like one."""
    doomed = directory.with_name(f".removed-{directory.name}")
    directory.rename(doomed)
    durable.sync(directory.parent)
    shutil.rmtree(doomed)


def clear_leftovers(directory: Path, now: int, leftover_seconds: float) -> None:
    """Remove what kills left behind: dot directories and files beside, unchanged for so many seconds; `now` in µs."""
    for path in directory.glob(".*"):
        if path.name == ".lock" or now / 1e6 - path.stat().st_mtime < leftover_seconds:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
