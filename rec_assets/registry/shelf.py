"""What a directory of checkpoints says: which there are, how they follow each other, what became of them."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from rec_assets.durable import OtherFormat
from rec_assets.registry import manifest as manifests
from rec_assets.registry import promotion
from rec_assets.registry.checkpoint import Checkpoint, rows_file, whole_file
from rec_assets.registry.manifest import CorruptCheckpoint, Manifest, NoCheckpoint, Range, Skipped
from rec_assets.registry.promotion import Line, Promoted

PINS = "pins.json"
ID = re.compile("[0-9]{6,}-[0-9a-f]{8}")


class Listed(NamedTuple):
    """One checkpoint as `rec models list` shows it."""

    id: str
    manifest: Manifest | None  # None: unreadable
    size: int  # bytes of all files
    state: str  # promoted, was promoted, rolled back, refused, candidate, unreadable
    at: int | None  # µs, when it came into that state
    reason: str
    pinned: list[str]


class Shelf:
    """A directory of checkpoints, to be read by any number of processes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def load(self, checkpoint_id: str, verify: bool = True) -> Checkpoint:
        """Open a checkpoint, and what a delta builds on, whose files are what was written. NoCheckpoint,
        CorruptCheckpoint, OtherFormat.
        """
        opened: Checkpoint | None = None
        for link in self.links(checkpoint_id):
            opened = Checkpoint(self.directory / link.id, verify, opened)
        assert opened is not None
        return opened

    def verify(self, checkpoint_id: str) -> None:
        """Compare a checkpoint's own files with what was written, and look that what it builds on is there."""
        manifests.verify(self.directory / checkpoint_id, self.links(checkpoint_id)[-1])

    def links(self, checkpoint_id: str) -> Sequence[Manifest]:
        """What loading a checkpoint takes: its base, the deltas between, itself. CorruptCheckpoint where one lacks."""
        links = [self.manifest(checkpoint_id)]
        while links[0].kind == "delta":
            try:
                links.insert(0, self.manifest(str(links[0].parent)))
            except NoCheckpoint as error:
                lacking = f"{links[0].parent}, which is not in {self.directory}"
                raise CorruptCheckpoint(f"checkpoint {checkpoint_id} builds on {lacking}") from error
        return links

    def since(self, held: str, checkpoint_id: str, name: str) -> Sequence[Checkpoint]:
        """The checkpoints after `held` up to another, oldest first, if each says what changed in the arrays of this
        name; none where they do not lead there, or where fewer bytes are read by loading all of it.
        """
        steps, size = list[Manifest](), 0
        each = self.manifest(checkpoint_id)
        while each.id != held:
            changes = each.files.get(rows_file(name))
            if changes is None or each.parent is None:
                return []
            steps.insert(0, each)
            size += changes.size
            try:
                each = self.manifest(each.parent)
            except NoCheckpoint:
                return []
        whole = self.links(checkpoint_id)[0].files[whole_file(name)].size
        return [Checkpoint(self.directory / step.id) for step in steps] if size < whole else []

    def manifest(self, checkpoint_id: str) -> Manifest:
        """A checkpoint's manifest alone."""
        return manifests.read(self.directory / _checked(checkpoint_id))

    def ids(self) -> list[str]:
        """All checkpoints, oldest first."""
        names = [path.name for path in self.directory.iterdir() if ID.fullmatch(path.name) and path.is_dir()]
        return sorted(names, key=number_of)

    def promoted(self) -> str | None:
        """The id of what is served, or None."""
        pointer = self.pointer()
        return pointer.id if pointer else None

    def pointer(self) -> Promoted | None:
        """All of promoted.json, or None; needs no lock."""
        return promotion.read_pointer(self.directory)

    def history(self) -> list[Line]:
        """What was promoted, refused and rolled back, and when, oldest first."""
        return promotion.read_history(self.directory)

    def chain(self, checkpoint_id: str) -> list[Manifest]:
        """The checkpoint and its parents, as far back as retention kept them, newest first."""
        links = [self.manifest(checkpoint_id)]
        while (parent := links[-1].parent) is not None:
            try:
                links.append(self.manifest(parent))
            except NoCheckpoint:
                break
        return links

    def ancestors(self, checkpoint_id: str) -> list[str]:
        """Those of a checkpoint's parents that retention kept, newest first; the known-good one too where links
        between are gone.
        """
        chain = self.chain(checkpoint_id)
        found = [manifest.id for manifest in chain[1:]]
        known_good = chain[0].shadow.get("known_good")
        if known_good and known_good not in (checkpoint_id, *found) and (self.directory / known_good).is_dir():
            found.append(known_good)
        return found

    def passed_over(self, log_id: str, start: int, end: int) -> list[Skipped]:
        """Of the offsets [start, end) of a log, what was refused or rolled back, and why; in order, disjoint."""
        found: dict[Range, str] = {}
        for line in self.history():
            if line.action == "promoted":
                continue
            try:
                given_up = self.manifest(line.id)
                low = given_up.start if line.to is None else self.manifest(line.to).watermark
            except NoCheckpoint:  # retention took it
                continue
            span = Range(max(low, start), min(given_up.end, end))
            if given_up.log_id == log_id and span.start < span.end:
                found[span] = f"{line.action}: {line.reason}"
        return manifests.apart([Skipped(*span, reason) for span, reason in found.items()])

    def carriers(self, log_id: str) -> Sequence[Manifest]:
        """The checkpoints that can be read and have a live state of this log themselves, oldest first."""
        readable = (row.manifest for row in self.list() if row.manifest is not None)
        return [each for each in readable if each.state is None and each.log_id == log_id]

    def served_at(self, at: int) -> str | None:
        """What was promoted at a time (µs since 1970, UTC), as far back as the history goes."""
        moves = [line for line in self.history() if line.at <= at and line.action != "refused"]
        return (moves[-1].to or moves[-1].id) if moves else None

    def why_rolled_back(self) -> str:
        """Of the last time that it happened."""
        lines = [line for line in self.history() if line.action == "rolled back"]
        return f"rolled back: {lines[-1].reason}" if lines else "rolled back"

    def pins(self) -> dict[str, str]:
        """Names under which retention must keep a checkpoint."""
        try:
            return msgspec.json.decode((self.directory / PINS).read_bytes(), type=dict[str, str])
        except FileNotFoundError:
            return {}

    def pinned(self, name: str) -> str | None:
        """The id kept under a name, or None."""
        return self.pins().get(name)

    def list(self) -> Sequence[Listed]:
        """All checkpoints, oldest first, with what became of them; those that cannot be read too."""
        current, pins = self.promoted(), self.pins()
        last = {line.id: line for line in self.history()}
        return [_listed(self.directory / each, current, last.get(each), pins) for each in self.ids()]


def _checked(checkpoint_id: str) -> str:
    """Refuse what is no id, so that none from outside can name another directory."""
    if not ID.fullmatch(checkpoint_id):
        raise NoCheckpoint(f"{checkpoint_id!r} is no checkpoint id: see `rec models list`")
    return checkpoint_id


def number_of(checkpoint_id: str) -> tuple[int, str]:
    """Its number first, which is what to sort by: a long-lived registry runs into seven digits."""
    return int(checkpoint_id.split("-")[0]), checkpoint_id


def _listed(directory: Path, current: str | None, line: Line | None, pins: Mapping[str, str]) -> Listed:
    names = sorted(name for name, each in pins.items() if each == directory.name)
    try:
        manifest = manifests.read(directory)
    except (CorruptCheckpoint, OtherFormat) as error:
        return Listed(directory.name, None, 0, "unreadable", None, str(error), names)
    states = {"promoted": "was promoted", "rolled back": "rolled back", "refused": "refused"}
    state = "promoted" if manifest.id == current else states[line.action] if line else "candidate"
    size = sum(file.size for file in manifest.files.values())
    return Listed(manifest.id, manifest, size, state, line.at if line else None, line.reason if line else "", names)
