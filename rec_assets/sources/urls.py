"""Files at a path or URL that fsspec knows: a file, a folder or a pattern; each taken whole, once, or followed."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import fsspec
import msgspec

from rec_assets import durable
from rec_assets.log import Log
from rec_assets.settings import FileSource, Settings
from rec_assets.sources.environment import filled
from rec_assets.sources.files import UNFINISHED, StillWritten, take
from rec_assets.sources.growing import GrowingFile
from rec_assets.sources.mapping import ColumnMapping
from rec_assets.sources.rows import SUFFIXES
from rec_assets.sources.source import BrokenFile, Collected, Progress, SourceError, collect
from rec_assets.sources.streams import Remote

# What file systems call the things that change with a file's content.
VERSION = ("size", "mtime", "LastModified", "last_modified", "ETag", "etag", "updated", "created")


class Found(NamedTuple):
    """A file, and what tells whether it is still the same."""

    filesystem: Any
    path: str
    version: str


class Taken(msgspec.Struct):
    """What became of a file: the position of its path. One that was refused waits for other settings."""

    version: str
    settings: str
    error: str | None = None


def collect_urls(
    name: str, origin: FileSource, settings: Settings, log: Log, progress: Progress | None = None
) -> list[Collected]:
    """Append what files have that the log has not, in the order of their paths. Raises SourceError."""
    try:
        found = list(find(origin))
        if origin.follow:
            return [_follow(each, name, origin, settings, log, progress) for each in found]
        return [taken for each in found if (taken := _whole(each, name, origin, settings, log, progress)) is not None]
    except (OSError, ImportError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise SourceError(f"sources.{name}: {origin.url}: {reason}") from error


def find(origin: FileSource) -> Iterator[Found]:
    """The files of a source; raises SourceError where the URL is none, OSError where there is nothing."""
    if not origin.url:
        raise SourceError("a source of files needs a url: a path, a pattern, or an address like s3://bucket/folder")
    options = {key: filled(value) if isinstance(value, str) else value for key, value in origin.options.items()}
    try:
        filesystem, root = fsspec.core.url_to_fs(filled(origin.url), **options)
    except (ValueError, TypeError) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"{origin.url}: {error}") from error
    filesystem.invalidate_cache()
    if fsspec.core.has_magic(root):
        paths = filesystem.glob(root)
    elif filesystem.isdir(root):
        paths = [path for path in filesystem.ls(root, detail=False) if path.lower().endswith(SUFFIXES)]
    else:
        paths = [root]
    for path in sorted(paths):
        file_name = path.rsplit("/", 1)[-1]
        if file_name.startswith(".") or file_name.lower().endswith(UNFINISHED):
            continue
        info = filesystem.info(path)
        if info.get("type") != "directory":
            yield Found(filesystem, path, _version(info))


def _version(info: dict[str, Any]) -> str:
    return " ".join(f"{key}={info[key]}" for key in VERSION if info.get(key) is not None)


def _follow(
    found: Found, name: str, origin: FileSource, settings: Settings, log: Log, progress: Progress | None
) -> Collected:
    file = GrowingFile(f"follow:{name}/{found.path}", Remote(found.filesystem, found.path), origin, settings.kinds)
    try:
        return collect(file, log, progress)
    except BrokenFile as error:  # what stands before the place is stored
        head = log.head()
        return Collected(found.path, 0, head, head, str(error))


def _whole(
    found: Found, name: str, origin: FileSource, settings: Settings, log: Log, progress: Progress | None
) -> Collected | None:
    """None where it was taken, or refused, before."""
    source = f"url:{name}/{found.path}"
    read_as = hashlib.blake2b(origin.model_dump_json().encode(), digest_size=8).hexdigest()
    position = log.position(source)
    if position is not None:
        taken = msgspec.json.decode(position, type=Taken)
        if taken.version == found.version and (taken.error is None or taken.settings == read_as):
            return None
    now = Taken(found.version, read_as)
    mapping, head = ColumnMapping.like(origin.columns), log.head()
    with tempfile.TemporaryDirectory(prefix=".collect-", dir=settings.log_dir) as folder:
        path = _local(found, Path(folder))
        if path is None:
            return Collected(found.path, 0, head, head)
        try:
            collected = take(path, durable.sha256(path), log, mapping, origin.csv, settings.kinds, progress)
        except StillWritten:
            return Collected(found.path, 0, head, head)
        except BrokenFile as error:
            now.error = str(error)
            collected = Collected(found.path, 0, head, head, now.error)
    log.append([], source, msgspec.json.encode(now).decode())
    return collected._replace(file=found.path)


def _local(found: Found, folder: Path) -> Path | None:
    """The file on this machine, copied here if need be; None where it changed meanwhile."""
    if "file" in (found.filesystem.protocol if isinstance(found.filesystem.protocol, tuple) else ()):
        return Path(found.path)
    path = folder / found.path.rsplit("/", 1)[-1]
    with found.filesystem.open(found.path, "rb") as source, path.open("wb") as copy:
        shutil.copyfileobj(source, copy, 1 << 20)
    found.filesystem.invalidate_cache()
    return path if _version(found.filesystem.info(found.path)) == found.version else None
