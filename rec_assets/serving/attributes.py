"""What is known of the items, by item key, in columns that a filter can mask 50,000 items with in microseconds.

Numbers, truth values and dates are columns of numbers; texts and lists of texts are sets of keys per value.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from rec_assets.features.blocks import extended

LONGEST_VALUE = 128  # characters; longer texts are shown, but no filter asks for them
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?")


def seconds_of(text: str) -> float | None:
    """Seconds since 1970 of an ISO date or time (UTC where it says no zone); None for other texts."""
    if not _DATE.fullmatch(text):
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


class Attributes:
    """The attributes of `size` item keys. One thread changes it; `version` grows with every change."""

    def __init__(self) -> None:
        self.size, self.version = 0, 0
        self._numbers: dict[str, npt.NDArray[np.float64]] = {}
        self._words: dict[str, dict[str, set[int]]] = {}
        self._held: dict[int, list[tuple[str, str]]] = {}  # key -> the (name, word) pairs that name it

    @property
    def names(self) -> set[str]:
        """The attributes that any item has, or had."""
        return self._numbers.keys() | self._words.keys()

    def fit(self, size: int) -> None:
        """Make room for keys below `size`."""
        if size > self.size:
            self.size, self.version = size, self.version + 1

    def put(self, key: int, attributes: dict[str, object]) -> None:
        """What is said of an item from now on; all that was said before is forgotten."""
        self.fit(key + 1)
        self.version += 1
        for column in self._numbers.values():
            if key < len(column):
                column[key] = np.nan
        for name, word in self._held.pop(key, []):
            self._words[name][word].discard(key)
        held = []
        for name, value in attributes.items():
            number = _number(value)
            if number is not None:
                column = self._numbers.get(name, np.zeros(0))
                if key >= len(column):
                    self._numbers[name] = column = extended(column, self.size, np.nan)
                column[key] = number
            for word in _words(value):
                self._words.setdefault(name, {}).setdefault(word, set()).add(key)
                held.append((name, word))
        if held:
            self._held[key] = held

    def number(self, name: str) -> npt.NDArray[np.float64]:
        """f64[size]: numbers as they are, True and False as 1 and 0, dates as seconds since 1970; else NaN."""
        column = self._numbers.get(name, np.zeros(0))
        if len(column) < self.size:
            column = extended(column, self.size, np.nan)
            if name in self._numbers:
                self._numbers[name] = column
        return column[: self.size]

    def mark(self, name: str, word: str, mask: npt.NDArray[np.bool_]) -> None:
        """Set the mask where the text `name` is `word`, or the list `name` holds it."""
        keys = self._words.get(name, {}).get(word)
        if keys:
            mask[np.fromiter(keys, np.int64, len(keys))] = True

    def present(self, name: str) -> npt.NDArray[np.bool_]:
        """bool[size]: where the attribute is given."""
        found = ~np.isnan(self.number(name))
        for word in self._words.get(name, {}):
            self.mark(name, word, found)
        return found

    def words_of(self, key: int, name: str) -> list[str]:
        """The texts of one attribute of one item; a number counts as its text."""
        words = [word for held, word in self._held.get(key, []) if held == name]
        column = self._numbers.get(name)
        if not words and column is not None and key < len(column) and not np.isnan(column[key]):
            return [str(column[key])]
        return words


def _number(value: object) -> float | None:
    if isinstance(value, bool | int | float):
        try:
            return float(value)
        except OverflowError:
            return None
    return seconds_of(value) if isinstance(value, str) else None


def _words(value: object) -> Iterable[str]:
    values = value if isinstance(value, list) else [value]
    return {word for word in values if isinstance(word, str) and len(word) <= LONGEST_VALUE}
