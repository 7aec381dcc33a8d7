"""`rec doctor`: whether this installation is whole, line by line, with what to do where it is not."""

import contextlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import psutil
import typer
from packaging.requirements import Requirement
from rich.console import Console

from rec_assets import ports
from rec_assets.cli.provenance import of_list
from rec_assets.cli.serve import environment
from rec_assets.cli.stored import UNREADABLE, Finding, findings
from rec_assets.log import Log
from rec_assets.settings import Settings

DISK_BYTES = 2_000_000_000  # less free space may not last a day
OWN = re.compile(r"bentoml|dagster|rec_assets")  # in the command line of what may hold our ports
SET_UP = "run `make setup`"


def doctor(
    request: Annotated[str | None, typer.Option(help="A list's request_id; default: the newest in the log.")] = None,
) -> None:
    """Look at the environment and at all that is stored; exit status 1 if anything is wrong.

    Proves from which offsets the weights behind a served list were learnt.
    """
    settings, console = Settings(), Console(highlight=False)
    problems = 0
    for group in (
        python(),
        packages(),
        disk(settings),
        listeners(settings),
        telemetry(settings),
        findings(settings),
        origin(settings, request),
    ):
        for ok, subject, found, advice in group:
            console.print("[green]ok     [/]" if ok else "[red]problem[/]", end=" ")
            console.print(f"{subject}: {found}", markup=False, soft_wrap=True)
            if not ok:
                console.print(f"        → {advice}", markup=False, soft_wrap=True)
            problems += not ok
    console.print(f"\n{problems} problem{'s' * (problems != 1)}" if problems else "\nAll is well.")
    if problems:
        raise typer.Exit(1)


def origin(settings: Settings, request_id: str | None) -> Iterator[Finding]:
    """Where a served list came from."""
    if (settings.log_dir / "tail.sqlite").exists():
        with contextlib.suppress(*UNREADABLE), Log.open(settings.log_dir, create=False) as log:  # said already
            yield from of_list(settings, log, request_id)


def python() -> Iterator[Finding]:
    """The interpreter that was tested, with compiled bytecode."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    yield Finding(sys.version_info[:2] == (3, 11), "python", version, "use Python 3.11 and " + SET_UP)
    spec = importlib.util.find_spec("jax")
    compiled = spec is not None and spec.cached is not None and Path(spec.cached).exists()
    advice = "`python -m compileall -q .venv`: every process would start seconds later"
    yield Finding(compiled, "bytecode", "compiled" if compiled else "not compiled", advice)


def packages() -> Iterator[Finding]:
    """Every package that this one asks for, but the developers' and the GPU's, in a version that it allows."""
    wrong, seen = [], 0
    for line in importlib.metadata.requires("rec-assets") or []:
        wanted = Requirement(line)
        if wanted.marker and not any(wanted.marker.evaluate({"extra": extra}) for extra in ("", "pipeline", "serve")):
            continue
        try:
            version = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{wanted.name} is not installed")
            continue
        seen += 1
        if not wanted.specifier.contains(version, prereleases=True):
            wrong.append(f"{wanted.name} is {version}, wanted {wanted.specifier}")
    yield Finding(not wrong, "packages", "; ".join(wrong) or f"{seen} in the versions wanted", SET_UP)


def disk(settings: Settings) -> Iterator[Finding]:
    """Free space where the data lies, and the right to write there."""
    folder = settings.data.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    yield Finding(free >= DISK_BYTES, "disk", f"{free / 1e9:.1f} GB free in {folder}", "make room, or move REC_DATA")
    yield Finding(os.access(folder, os.W_OK), "data folder", str(folder), "give yourself the right to write there")


def listeners(settings: Settings) -> Iterator[Finding]:
    """Whether the ports are free, or held by a process of this project."""
    for subject, port, name in (
        ("service port", settings.service_port, "REC_SERVICE_PORT"),
        ("Dagster port", settings.dagster_port, "REC_DAGSTER_PORT"),
    ):
        if ports.is_free(settings.host, port):
            yield Finding(True, subject, f"{port} is free")
            continue
        own = OWN.search(_command_line(port)) is not None
        found = f"{port} is served by this project" if own else f"{port} is taken by {ports.holder(port)}"
        yield Finding(own, subject, found, f"stop that, or set {name}")


def telemetry(settings: Settings) -> Iterator[Finding]:
    """Whether the libraries' usage reports are off."""
    value = environment(settings, 1)["BENTOML_DO_NOT_TRACK"]
    off = value.lower() == "true"  # BentoML takes nothing else for yes
    yield Finding(off, "BentoML's telemetry", "off" if off else f"on: {value!r}", "unset BENTOML_DO_NOT_TRACK")
    path = Path(os.environ.get("DAGSTER_HOME", settings.data / "dagster")) / "dagster.yaml"
    if not path.exists():
        yield Finding(True, "Dagster's telemetry", "not set up yet")
        return
    off = re.search(r"^telemetry:\s*\n\s+enabled:\s*false\b", path.read_text(), re.MULTILINE) is not None
    yield Finding(off, "Dagster's telemetry", "off" if off else "on", f"set telemetry: enabled: false in {path}")


def _command_line(port: int) -> str:
    """Of the process that listens on a port, "" where the system does not tell."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return " ".join(psutil.Process(connection.pid).cmdline())
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        return ""
    return ""
