"""What every bench ends with: a table on the terminal and bench/out/NAME.json with its bars."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

OUT = Path(__file__).parent / "out"


@dataclass(frozen=True)
class Bar:
    """A figure and what it must reach. A figure that could not be taken is None, and its bar is not met."""

    name: str
    value: float | None
    target: str  # as it is read: "<= 100 ms"
    ok: bool


def at_most(name: str, value: float | None, limit: float, unit: str = "") -> Bar:
    """A bar that holds while the value is not above the limit."""
    return Bar(name, value, f"<= {limit:g} {unit}".rstrip(), value is not None and value <= limit)


def at_least(name: str, value: float | None, limit: float, unit: str = "") -> Bar:
    """A bar that holds while the value is not below the limit."""
    return Bar(name, value, f">= {limit:g} {unit}".rstrip(), value is not None and value >= limit)


def write(name: str, bars: Sequence[Bar], **figures: Any) -> Path:
    """Print the bars and write them with all other figures to bench/out/NAME.json."""
    table = Table(title=name)
    for column in ("bar", "value", "target", "ok"):
        table.add_column(column, justify="left" if column == "bar" else "right")
    for bar in bars:
        value = "no figure" if bar.value is None else f"{bar.value:.4g}"
        table.add_row(bar.name, value, bar.target, "yes" if bar.ok else "NO")
    Console().print(table)
    OUT.mkdir(exist_ok=True)
    path = OUT / f"{name}.json"
    path.write_text(json.dumps({"bars": [asdict(bar) for bar in bars], **figures}, indent=2) + "\n")
    return path
