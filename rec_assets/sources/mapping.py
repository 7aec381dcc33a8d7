"""Which column means what, and rows of a file as payloads of the log."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from rec_assets.log import Draft
from rec_assets.sources.rows import BrokenFile, Row
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
NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")
ID_TYPES = re.compile(r"|(large_)?string(_view)?|u?int\d+|dictionary<values=(large_)?string,.*")
IDS = ("user_id", "item_id", "event_id", "request_id")


@dataclass(frozen=True)
class ColumnMapping:
    """The file's name of each canonical field, None for the usual names; `default_event` where rows say no kind."""

    user_id: str | None = None
    item_id: str | None = None
    event: str | None = None
    value: str | None = None
    occurred_at: str | None = None
    event_id: str | None = None
    request_id: str | None = None
    title: str | None = None
    categories: str | None = None
    default_event: str | None = None

    def of(self, columns: Mapping[str, str], file: str) -> "FileMapping":
        """What this file's columns (name -> Parquet type, or "") are.

        Raises BrokenFile where a named one is missing, none names user or item, or an id has a type such as float, in
        which ids do not look as they did.
        """
        lower = {column.strip().lower(): column for column in reversed(list(columns))}
        found: dict[str, str] = {}
        for field, usual in USUAL.items():
            wish = getattr(self, field)
            if wish is not None and wish not in columns:
                raise BrokenFile(file, f"there is no column {wish!r} for {field}; there are {', '.join(columns)}")
            name = wish or next((lower[name] for name in usual if name in lower), None)
            if name is not None:
                found[name] = field
            if name is not None and field in IDS and not ID_TYPES.fullmatch(columns[name]):
                raise BrokenFile(file, f"column {name!r} is {columns[name]}; ids are texts or integers")
        return FileMapping(found, _kind(set(found.values()), list(columns), file), self.default_event or _event(found))


def _kind(fields: set[str], columns: list[str], file: str) -> str:
    if "user_id" in fields:
        return "event" if fields & {"item_id", "event", "occurred_at"} else "user"
    if "item_id" in fields and not fields & {"event", "occurred_at"}:
        return "item"
    missing = "user" if "item_id" in fields else "user and none that names the item"
    raise BrokenFile(
        file, f"no column names the {missing} (user_id, user; item_id, item); there are {', '.join(columns)}"
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

    def draft(self, row: Row) -> Draft:
        """The record of a row. What cannot be understood is kept as it stands, for the validation to reject."""
        if isinstance(row.values, bytes):
            return Draft(self.kind, row.values, source_position=str(row.number))
        payload = self.payload(row.values)
        event_id, user_id = payload.get("event_id"), payload.get("user_id")
        return Draft(
            self.kind,
            msgspec.json.encode(payload),
            event_id=event_id if isinstance(event_id, str) and len(event_id) <= ID_LENGTH else None,
            user_id=user_id if isinstance(user_id, str) else None,
            source_position=str(row.number),
        )

    def payload(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Canonical names and types; empty and null values are left out, columns of no meaning to us are kept."""
        payload: dict[str, Any] = {}
        for name, value in values.items():
            if value is None or value == "":
                continue
            field = self.fields.get(name)
            if field is not None:
                payload[field] = _typed(field, value)
            elif name not in USUAL:
                payload[name] = value
        if self.kind == "event":
            payload.setdefault("event", self.default_event)
        return payload


def _typed(field: str, value: Any) -> Any:
    if field in IDS:  # an integer's decimal text; whatever else is no text is rejected later
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if field in ("value", "occurred_at") and isinstance(value, str) and NUMBER.fullmatch(value):
        return int(value) if value.lstrip("+-").isdigit() else float(value)
    if isinstance(value, float) and math.isinf(value):  # which JSON cannot say: kept as text, and rejected as such
        return str(value)
    if field == "categories" and isinstance(value, str):
        return [category for category in value.split("|") if category]
    return value
