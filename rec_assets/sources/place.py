"""How far a table has been read: the place of the newest row, as JSON that keeps the types of its columns."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, cast
from uuid import UUID

import msgspec

from rec_assets.sources.source import SourceError
from rec_assets.sources.times import PER_SECOND, unit_of

TYPES: dict[str, tuple[type, Callable[[str], Any]]] = {
    "time": (datetime, datetime.fromisoformat),
    "date": (date, date.fromisoformat),
    "uuid": (UUID, UUID),
    "decimal": (Decimal, Decimal),
}


class Place(NamedTuple):
    """The newest row read. `seen_at`: when it was first read, seconds since 1970.

    `settled`: everything up to it was read again after late commits had their time, so nothing more can appear there.
    """

    updated_at: Any
    id: Any
    seen_at: float
    settled: bool = False

    def encode(self) -> str:
        """As a position."""
        return msgspec.json.encode([_save(self.updated_at), _save(self.id), self.seen_at, self.settled]).decode()

    @classmethod
    def decode(cls, position: str) -> "Place":
        """The place that a position says; raises SourceError."""
        try:
            updated_at, key, seen_at, settled = msgspec.json.decode(position)
            return cls(_load(updated_at), _load(key), float(seen_at), bool(settled))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise SourceError(f"the position {position!r} in the log is not one of a table ({error})") from None


def earlier(value: Any, seconds: int, column: str) -> Any:
    """The same kind of time, so many seconds before; raises SourceError for what is no time."""
    if isinstance(value, date):  # a datetime is one too; of a day alone, the day before
        return value - (timedelta(seconds=seconds) if isinstance(value, datetime) else timedelta(days=1))
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return value - seconds * PER_SECOND[unit_of(float(value))]
    if isinstance(value, str) and len(value) >= 19:
        try:  # what follows the seconds, a fraction and a zone, stays as it is
            return (datetime.fromisoformat(value[:19]) - timedelta(seconds=seconds)).isoformat(value[10]) + value[19:]
        except ValueError:
            pass
    raise SourceError(
        f"column {column!r} is no time but {value!r} ({type(value).__name__}): updated_at has to be a timestamp, "
        "a number since 1970 or text like 2026-01-31 12:00:00, so that it can be put in order"
    )


def _save(value: Any) -> Any:
    for name, (kind, _) in TYPES.items():
        if isinstance(value, kind):
            return {name: value.isoformat() if isinstance(value, date) else str(value)}
    return value


def _load(value: Any) -> Any:
    if isinstance(value, dict):
        [(name, text)] = cast("dict[str, str]", value).items()
        return TYPES[name][1](text)
    return value
