"""What items are called, for cards and for search; ranking never looks here."""

from typing import NamedTuple

import msgspec
import pyarrow as pa

from rec_assets.events import Items

SCHEMA = pa.schema(
    [("item_id", pa.string()), ("title", pa.string()), ("categories", pa.list_(pa.string())), ("year", pa.int64())]
)


class Entry(NamedTuple):
    """How one item is shown."""

    title: str | None
    categories: list[str]
    year: int | None = None


class _Attributes(msgspec.Struct):
    year: int | None = None


UNKNOWN = Entry(None, [])


class Catalogue:
    """The newest title and categories per item id."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._searched: dict[str, str] = {}  # item id -> its text in lower case

    def take(self, items: Items) -> None:
        """Take in catalogue rows, in the order of the log."""
        columns = (items.item_id, items.title, items.categories, items.attributes)
        for item_id, title, categories, attributes in zip(*columns, strict=True):
            self._put(item_id, Entry(title, list(categories), _year(attributes)))

    def read(self, table: pa.Table) -> None:
        """Take in what `to_arrow` gave."""
        for row in table.to_pylist():
            self._put(row["item_id"], Entry(row["title"], row["categories"], row["year"]))

    def to_arrow(self) -> pa.Table:
        """All entries, one row each."""
        rows = [(item_id, *entry) for item_id, entry in self._entries.items()]
        return pa.table([list(column) for column in zip(*rows, strict=True)] or [[]] * len(SCHEMA), schema=SCHEMA)

    def __getitem__(self, item_id: str) -> Entry:
        """How an item is shown; one that was never described is UNKNOWN."""
        return self._entries.get(item_id, UNKNOWN)

    def __len__(self) -> int:
        """How many items are described."""
        return len(self._entries)

    def search(self, query: str, limit: int) -> list[str]:
        """Ids of items whose title or categories hold every word of `query`; those that begin with it first."""
        query = query.strip().lower()
        words = query.split()
        found = [item_id for item_id, text in self._searched.items() if all(word in text for word in words)]
        return sorted(found, key=lambda item_id: not self._searched[item_id].startswith(query))[:limit]

    def _put(self, item_id: str, entry: Entry) -> None:
        self._entries[item_id] = entry
        self._searched[item_id] = " ".join([entry.title or item_id, str(entry.year or ""), *entry.categories]).lower()


def _year(attributes: str) -> int | None:
    """The year among an item's other attributes, where it is one."""
    try:
        return msgspec.json.decode(attributes, type=_Attributes).year
    except msgspec.DecodeError:
        return None
