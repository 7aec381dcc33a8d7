"""A column of times: numbers whose unit is told once for the whole column, or text in one form."""

import math
import re
import zoneinfo
from datetime import UTC, datetime, timedelta
from typing import Any

from rec_assets.settings import Columns
from rec_assets.sources.source import SourceError
from rec_assets.validation import EPOCH

PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000}
LIMITS = {"s": (1, 10**11), "ms": (10**11, 10**14), "us": (10**14, 1 << 62)}
NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")
DATE = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
SET = 'set columns.time_format to "s", "ms" or "us", or to a form such as "%Y%m%d"'


class Times:
    """Values of one column, in a form that the validation understands; remembers the unit of its numbers."""

    def __init__(self, columns: Columns) -> None:
        """Raises SourceError where the time zone does not exist."""
        self.unit: str | None = None
        self.form = columns.time_format
        self._least, self._past = 0, 0  # whole numbers in between are known to be of the unit
        try:
            self.zone = None if columns.timezone == "UTC" else zoneinfo.ZoneInfo(columns.timezone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError):
            raise SourceError(f"columns.timezone: {columns.timezone!r} is no time zone") from None

    def read(self, value: Any) -> Any:
        """The value as a number or ISO text; what is no time stays as it is. Raises ValueError where units mix."""
        if type(value) is str and value.isdecimal() and self._past:
            value = int(value)
        if type(value) is int and self._least <= value < self._past:
            return value
        if self.form is not None and self.form not in PER_SECOND:
            return self._formed(value)
        if isinstance(value, str) and NUMBER.fullmatch(value):
            value = number(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return self._counted(value)
        if self.zone is not None and isinstance(value, str):
            return self._zoned(value)
        return value

    @property
    def range(self) -> tuple[int, int]:
        """Whole numbers [least, past) are read as they are; (0, 0) before a unit is known."""
        return self._least, self._past

    def forget(self) -> None:
        """Tell the unit of the next number by its own size."""
        self.unit, self._least, self._past = None, 0, 0

    def _counted(self, value: float) -> Any:
        if value == 0 or not math.isfinite(value):
            return value
        unit = unit_of(value)
        if self.form is not None:
            return value if unit == self.form else _iso(value, PER_SECOND[self.form])
        if self.unit is None:
            if DATE.fullmatch(str(value)):
                raise ValueError(f"a date, or seconds since 1970? {SET}")
            self.unit = unit
            self._least, self._past = LIMITS[unit]
        elif unit != self.unit:
            raise ValueError(f"by its size it is in {unit}, those before it are in {self.unit}; {SET}")
        return value

    def _formed(self, value: Any) -> Any:
        assert self.form is not None
        try:
            at = datetime.strptime(str(value), self.form)
        except ValueError:
            return value
        return at.isoformat() if at.tzinfo else at.replace(tzinfo=self.zone or UTC).isoformat()

    def _zoned(self, value: str) -> str:
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            return value
        return value if at.tzinfo else at.replace(tzinfo=self.zone).isoformat()


def unit_of(value: float) -> str:
    """The unit of a number of seconds, ms or µs since 1970, told by its size: seconds until the year 5138."""
    size = abs(value)
    return "s" if size < LIMITS["s"][1] else "ms" if size < LIMITS["ms"][1] else "us"


def number(text: str) -> int | float:
    """The number that a text of digits says."""
    return int(text) if text.lstrip("+-").isdigit() else float(text)


def _iso(value: float, per_second: int) -> Any:
    try:
        return (EPOCH + timedelta(microseconds=round(value * (1_000_000 // per_second)))).isoformat()
    except OverflowError:
        return str(value)
