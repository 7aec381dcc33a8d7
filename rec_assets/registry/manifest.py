"""What a checkpoint says about itself, and the arithmetic of the offset ranges it was learnt from."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from rec_assets import durable
from rec_assets.durable import NewerFormat, OlderFormat

FORMAT_VERSION = 3  # of all that a checkpoint holds, its arrays included
NAME = "manifest.json"
OLDER = (
    "{path} has format {found}, this program reads {own}: use the version that wrote it, or have everything learnt "
    "again from the log: stop, move away the folder of checkpoints and warehouse.duckdb, start"
)


class NoCheckpoint(LookupError):
    """No checkpoint has this id, or none is promoted yet."""


class CorruptCheckpoint(ValueError):
    """A file of a checkpoint is missing or is not what was written; the message names it."""


class Range(NamedTuple):
    """Offsets [start, end) of the log."""

    start: int
    end: int


class Skipped(NamedTuple):
    """Offsets [start, end) that nothing in the chain was learnt from, and why."""

    start: int
    end: int
    reason: str


class File(msgspec.Struct, frozen=True):
    """Size in bytes and SHA-256 of one file of a checkpoint."""

    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One checkpoint. Times are µs since 1970, UTC."""

    format_version: int
    id: str
    kind: Literal["base", "delta"]
    parent: str | None
    log_id: str
    start: int  # learnt from the offsets [start, end)
    end: int
    watermark: int  # all offsets before it were learnt from by the chain, or skipped
    skipped: list[Skipped]  # between the parent's watermark and start
    learnt: list[Range]  # by the whole chain of parents in this log: disjoint, in order, joined where they touch
    state: str | None  # the checkpoint whose live state it builds on; None: its own
    created_at: int
    code_version: str
    files: dict[str, File]  # by path relative to the checkpoint's directory
    extra: dict[str, Any]  # what the writer adds: metrics, config, ...
    checksum: str = ""  # SHA-256 of this manifest with the checksum empty

    @property
    def shadow(self) -> dict[str, str]:
        """The ancestors that are "known_good" and on "probation" to become that, as far as there are any."""
        found = self.extra.get("shadow") or {}
        return {name: found[name] for name in ("known_good", "probation") if found.get(name)}


class _Format(msgspec.Struct):
    format_version: int


def join(ranges: Iterable[Range]) -> list[Range]:
    """The ranges in order, joined where they touch; ValueError where two overlap, which would be learning twice."""
    joined: list[Range] = []
    for start, end in sorted(ranges):
        if start >= end:
            continue
        if joined and start < joined[-1].end:
            raise ValueError(f"offsets [{start}, {end}) overlap [{joined[-1].start}, {joined[-1].end}), already learnt")
        if joined and start == joined[-1].end:
            joined[-1] = Range(joined[-1].start, end)
        else:
            joined.append(Range(start, end))
    return joined


def apart(skipped: Iterable[Skipped]) -> list[Skipped]:
    """The ranges in order; of what lies in two of them the later one begins where the earlier ends."""
    found: list[Skipped] = []
    for start, end, reason in sorted(skipped):
        start = max(start, found[-1].end if found else start)
        if start < end:
            found.append(Skipped(start, end, reason))
    return found


def fill(skipped: Sequence[Skipped], start: int, end: int) -> list[Skipped]:
    """The skipped ranges within [start, end), with what they leave open filled in as "not learnt"."""
    filled: list[Skipped] = []
    for each in sorted(skipped):
        low, high = max(each.start, start), min(each.end, end)
        if low >= high:
            continue
        if low > start:
            filled.append(Skipped(start, low, "not learnt"))
        filled.append(Skipped(low, high, each.reason))
        start = high
    if start < end:
        filled.append(Skipped(start, end, "not learnt"))
    return filled


def sealed(manifest: Manifest) -> Manifest:
    """The manifest with its own checksum."""
    return msgspec.structs.replace(manifest, checksum=_checksum(manifest))


def write(directory: Path, manifest: Manifest) -> None:
    """Write a sealed manifest into a directory that nobody reads yet."""
    (directory / NAME).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))


def read(directory: Path) -> Manifest:
    """Read and check one manifest. NoCheckpoint, CorruptCheckpoint or OtherFormat say what is wrong with which file."""
    path = directory / NAME
    if not directory.is_dir():
        raise NoCheckpoint(f"{directory} does not exist: see `rec models list`")
    try:
        content = path.read_bytes()
        version = msgspec.json.decode(content, type=_Format).format_version
        if version > FORMAT_VERSION:
            raise NewerFormat(f"{path} has format {version}, this program reads {FORMAT_VERSION}: upgrade it")
        if version < FORMAT_VERSION:
            raise OlderFormat(OLDER.format(path=path, found=version, own=FORMAT_VERSION))
        manifest = msgspec.json.decode(content, type=Manifest)
    except FileNotFoundError as error:
        raise CorruptCheckpoint(f"{path} is missing") from error
    except msgspec.DecodeError as error:  # also its subclass ValidationError
        raise CorruptCheckpoint(f"{path} cannot be read: {error}") from error
    if manifest.checksum != _checksum(manifest) or manifest.id != directory.name:
        raise CorruptCheckpoint(f"{path} is not what was written")
    return manifest


def verify(directory: Path, manifest: Manifest) -> None:
    """Compare size and SHA-256 of every file with the manifest; CorruptCheckpoint names the first that differs."""
    for name, file in manifest.files.items():
        path = directory / name
        if not path.is_file():
            raise CorruptCheckpoint(f"{path} is missing")
        if path.stat().st_size != file.size or durable.sha256(path) != file.sha256:
            raise CorruptCheckpoint(f"{path} is not what was written")


def _checksum(manifest: Manifest) -> str:
    return hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(manifest, checksum=""))).hexdigest()
