"""Files that a kill or a power cut leaves either as they were or whole: write beside, fsync, rename."""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path


class OtherFormat(ValueError):
    """Written by another version of this program, and this one cannot read it."""


class NewerFormat(OtherFormat):
    """By a newer version."""


class OlderFormat(OtherFormat):
    """By an older one."""


def sync(path: Path) -> None:
    """Wait until a file's content, or a directory's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(directory: Path) -> None:
    """Sync every file below a directory, then the directories themselves, the outermost last."""
    for folder, _, names in os.walk(directory, topdown=False):
        for name in names:
            sync(Path(folder, name))
        sync(Path(folder))


def replace(path: Path, content: bytes) -> None:
    """Give a file new content at once: a reader sees all of the old or all of the new."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_bytes(content)
    put(beside, path)


def put(beside: Path, path: Path) -> None:
    """The same with a file that was written beside it."""
    sync(beside)
    beside.replace(path)
    sync(path.parent)


def sha256(path: Path) -> str:
    """The file's SHA-256 in hex, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold a lock file alone, among processes and threads; the kernel lets go of it when a process dies.

    BlockingIOError where another holds it and nobody is to `wait`.
    """
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
