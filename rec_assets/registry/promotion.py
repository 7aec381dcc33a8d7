"""The promoted pointer and the history of what became of each checkpoint. Written under the registry's lock only."""

from pathlib import Path
from typing import Literal

import msgspec

from rec_assets import durable

POINTER, HISTORY, ERASURES = "promoted.json", "history.jsonl", "erasures.json"
KEPT_LINES = 20_000  # of history; older ones go when retention runs

Action = Literal["promoted", "rolled back", "refused"]


class NotPromotable(RuntimeError):
    """The checkpoint's parent is not the promoted one, or the gate refused it."""


class Promoted(msgspec.Struct, frozen=True):
    """promoted.json. Pollers may read it without the lock: it is replaced at once."""

    id: str
    watermark: int
    log_id: str
    promoted_at: int  # µs
    previous: str | None  # what was promoted before
    action: Action = "promoted"  # or "rolled back": then previous is what was given up
    reason: str = ""


class Line(msgspec.Struct, frozen=True):
    """One line of the history: what was done to a checkpoint, and when (µs); rolled back: the one that was given up."""

    at: int
    action: Action
    id: str
    to: str | None = None  # the checkpoint rolled back to
    reason: str = ""


def read_pointer(directory: Path) -> Promoted | None:
    """What is promoted, or None before the first promotion."""
    try:
        return msgspec.json.decode((directory / POINTER).read_bytes(), type=Promoted)
    except FileNotFoundError:
        return None


def write_pointer(directory: Path, pointer: Promoted) -> None:
    """Move the pointer, then note it in the history: a kill between the two is made good by `catch_up`."""
    durable.replace(directory / POINTER, msgspec.json.format(msgspec.json.encode(pointer), indent=1))
    append(directory, _line(pointer))


def erasures(directory: Path) -> int:
    """How often users were forgotten here: what a process holds in memory from before is not to be written again."""
    try:
        return msgspec.json.decode((directory / ERASURES).read_bytes(), type=int)
    except FileNotFoundError:
        return 0


def count_erasure(directory: Path) -> None:
    """One more."""
    durable.replace(directory / ERASURES, msgspec.json.encode(erasures(directory) + 1))


def catch_up(directory: Path) -> None:
    """Note the last move of the pointer in the history if a kill came between."""
    pointer = read_pointer(directory)
    if pointer is not None and _line(pointer) not in reversed(read_history(directory)):
        append(directory, _line(pointer))


def read_history(directory: Path) -> list[Line]:
    """All lines, oldest first. A line that a power cut left torn is passed over: the pointer itself is never torn."""
    try:
        content = (directory / HISTORY).read_bytes()
    except FileNotFoundError:
        return []
    lines = []
    for line in content.splitlines():
        try:
            lines.append(msgspec.json.decode(line, type=Line))
        except msgspec.DecodeError:
            continue
    return lines


def append(directory: Path, line: Line) -> None:
    """Add one line, on the disk when this returns."""
    path = directory / HISTORY
    with path.open("ab+") as file:
        size = file.seek(0, 2)
        file.seek(max(size - 1, 0))
        torn = file.read(1) not in (b"", b"\n")
        file.write(b"\n" * torn + msgspec.json.encode(line) + b"\n")
    durable.sync(path)


def trim(directory: Path) -> None:
    """Keep the newest lines of the history."""
    lines = read_history(directory)
    if len(lines) > KEPT_LINES + KEPT_LINES // 10:
        content = b"".join(msgspec.json.encode(line) + b"\n" for line in lines[-KEPT_LINES:])
        durable.replace(directory / HISTORY, content)


def _line(pointer: Promoted) -> Line:
    if pointer.action == "rolled back" and pointer.previous is not None:
        return Line(pointer.promoted_at, "rolled back", pointer.previous, to=pointer.id, reason=pointer.reason)
    return Line(pointer.promoted_at, "promoted", pointer.id, reason=pointer.reason)
