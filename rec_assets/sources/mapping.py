"""Which column means what, and rows of a file or table, or JSON objects, as payloads of the log."""

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from rec_assets.log import Draft
from rec_assets.settings import Columns
from rec_assets.sources.rows import Row
from rec_assets.sources.source import BrokenFile
from rec_assets.sources.times import NUMBER, Times, number
from rec_assets.validation import ID_LENGTH

# What a column is called that nobody has named; the first that a file has is taken.
USUAL = {
    "user_id": ("user_id", "user"),
    "item_id": ("item_id", "item"),
    "event": ("event",),
    "value": ("value", "rating"),
    "occurred_at": ("occurred_at", "ts", "timestamp"),
    "event_id": ("event_id",),
    "request_id": ("request_id",),
    "title": ("title",),
    "categories": ("categories", "genres"),
}
COMMA = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+")
POINTS = re.compile(r"[+-]?\d{1,3}(\.\d{3})+")  # thousands, where the comma is the decimal sign
COMMAS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")  # thousands, where the point is
ID_TYPES = re.compile(r"|(large_)?string(_view)?|u?int\d+|dictionary<values=(large_)?string,.*")
IDS = ("user_id", "item_id", "event_id", "request_id")


class ColumnMapping(Columns, frozen=True):
    """The file's name of each canonical field, None for the usual names; `default_event` where rows say no kind."""

    @classmethod
    def like(cls, columns: Columns) -> "ColumnMapping":
        """The same as the settings have it."""
        return cls(**columns.model_dump())

    def of(self, columns: Mapping[str, str], file: str) -> "FileMapping":
        """What this file's columns (name -> Parquet type, or "") are.

        Raises BrokenFile where a named one is missing, none names user or item, or an id has a type such as float, in
        which ids do not look as they did.
        """
        for field in USUAL:
            wish = getattr(self, field)
            if wish is not None and wish not in columns:
                there = ", ".join(columns)
                raise BrokenFile(
                    file, f"there is no column {wish!r} for {field}; there are {there}: set columns.{field}"
                )
        found = self._found(columns)
        for name, field in found.items():
            if field in IDS and not ID_TYPES.fullmatch(columns[name]):
                raise BrokenFile(file, f"column {name!r} is {columns[name]}; ids are texts or integers")
        kind = self.kind or _kind(set(found.values()), list(columns), file)
        return FileMapping(found, kind, self.default_event or _event(found), file, Times(self), self.decimal)

    def of_objects(self, file: str) -> "ObjectMapping":
        """For JSON objects, each of which may have other names."""
        return ObjectMapping(self, file)

    def _found(self, columns: Iterable[str]) -> dict[str, str]:
        """Column -> field."""
        lower = {column.strip().lower(): column for column in reversed(list(columns))}
        found: dict[str, str] = {}
        for field, usual in USUAL.items():
            name = getattr(self, field) or next((lower[name] for name in usual if name in lower), None)
            if name is not None:
                found[name] = field
        return found


def _kind(fields: set[str], columns: list[str], file: str) -> str:
    if "user_id" in fields:
        return "event" if fields & {"item_id", "event", "occurred_at"} else "user"
    if "item_id" in fields and not fields & {"event", "occurred_at"}:
        return "item"
    missing = "user" if "item_id" in fields else "user and none that names the item"
    raise BrokenFile(
        file,
        f"no column names the {missing} (user_id, user; item_id, item); there are {', '.join(columns)}: "
        "set columns.user_id and columns.item_id",
    )


def _event(found: Mapping[str, str]) -> str:
    return (
        "rating"
        if any(field == "value" and name.strip().lower() == "rating" for name, field in found.items())
        else "click"
    )


@dataclass(frozen=True)
class FileMapping:
    """One file's columns by name -> canonical field, the kind of record its rows are, and the event of rows without."""

    fields: Mapping[str, str]
    kind: str
    default_event: str
    file: str
    times: Times
    decimal: str | None = None
    strict: bool = True  # else what can be understood in two ways is kept as text

    def draft(self, row: Row) -> Draft:
        """The record of a row. What cannot be understood is kept as it stands, for the validation to reject.

        Raises BrokenFile where a time or number can be understood in two ways.
        """
        if isinstance(row.values, bytes):
            return Draft(self.kind, row.values, source_position=str(row.number))
        payload = self.payload(row.values, row.number)
        event_id, user_id = payload.get("event_id"), payload.get("user_id")
        return Draft(
            self.kind,
            msgspec.json.encode(payload),
            event_id=event_id if isinstance(event_id, str) and len(event_id) <= ID_LENGTH else None,
            user_id=user_id if isinstance(user_id, str) else None,
            source_position=str(row.number),
        )

    def payload(self, values: Mapping[str, Any], number: int | None = None) -> dict[str, Any]:
        """Canonical names and types; empty and null values are left out, columns of no meaning to us are kept."""
        payload: dict[str, Any] = {}
        for name, value in values.items():
            if value is None or value == "":
                continue
            field = self.fields.get(name)
            if field is not None:
                try:
                    payload[field] = self._typed(field, value)
                except ValueError as error:
                    if not self.strict:
                        payload[field] = str(value)
                        continue
                    raise BrokenFile(self.file, str(error), number, value, name) from None
            elif name and name not in USUAL:
                payload[name] = value
        if self.kind == "event":
            payload.setdefault("event", self.default_event)
        return payload

    def _typed(self, field: str, value: Any) -> Any:
        if field in IDS:  # an integer's decimal text; whatever else is no text is rejected later
            return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if field == "occurred_at":
            return self.times.read(value)
        if isinstance(value, float) and math.isinf(value):  # which JSON cannot say: kept as text, and rejected as such
            return str(value)
        if field == "value" and isinstance(value, str):
            return read_number(value, self.decimal)
        if field == "categories" and isinstance(value, str):
            return [category for category in value.split("|") if category]
        return value


class ObjectMapping:
    """JSON objects as records; the mapping of each set of names is worked out once."""

    def __init__(self, columns: ColumnMapping, file: str) -> None:
        self.columns, self.kind = columns, columns.kind or "event"
        self._common = FileMapping({}, self.kind, columns.default_event or "click", file, Times(columns), strict=False)
        self._mappings: dict[tuple[str, ...], FileMapping] = {}

    def draft(self, row: Row) -> Draft:
        """The record of an object, or of what stood in its place, for the validation to reject."""
        if isinstance(row.values, bytes):
            return self._common.draft(row)
        names = tuple(row.values)
        mapping = self._mappings.get(names)
        if mapping is None:
            found = self.columns._found(names)
            event = self.columns.default_event or _event(found)
            mapping = dataclasses.replace(self._common, fields=found, default_event=event, times=Times(self.columns))
            if len(self._mappings) < 1_000:
                self._mappings[names] = mapping
        mapping.times.forget()  # each object stands for itself, and so does the unit of its time
        return mapping.draft(row)


def read_number(text: str, decimal: str | None) -> Any:
    """A number written with the decimal sign, the text where it is none; ValueError where the sign is not known."""
    if NUMBER.fullmatch(text) and decimal != ",":
        return number(text)
    if decimal is None and COMMA.fullmatch(text):
        raise ValueError('is the comma its decimal sign? Set columns.decimal to "," or "."')
    if decimal == "," and (COMMA.fullmatch(text) or POINTS.fullmatch(text) or text.lstrip("+-").isdigit()):
        return number(text.replace(".", "").replace(",", "."))
    if decimal == "." and COMMAS.fullmatch(text):
        return number(text.replace(",", ""))
    return text
