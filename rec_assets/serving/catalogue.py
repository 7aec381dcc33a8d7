"""What is known of the items: for cards, for search, for filters and rules; ranking itself never looks here."""

from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rec_assets.events import Items
from rec_assets.features.blocks import extended
from rec_assets.features.content import is_vector
from rec_assets.features.idmap import IdMap
from rec_assets.serving.attributes import Attributes, seconds_of

SCHEMA = pa.schema([("item_id", pa.string()), ("entry", pa.binary()), ("vectors", pa.binary())])
LONGEST_NAME = 40  # characters of an attribute that the search looks at
WITHHELD = ("hidden", "deleted")  # an item with one of them true is in no list


class Entry(msgspec.Struct, omit_defaults=True, frozen=True):
    """How one item is shown; `attributes` is the JSON object of all else that was said of it."""

    title: str | None = None
    categories: list[str] = []
    attributes: msgspec.Raw = msgspec.Raw(b"{}")


class Found(NamedTuple):
    """An item and how it is shown."""

    item_id: str
    entry: Entry


UNKNOWN = Entry()
_entry, _object, _encode = msgspec.json.Decoder(Entry), msgspec.json.Decoder(dict[str, Any]), msgspec.json.encode


class Catalogue:
    """The newest row of each item, by the key that `ids` gives it."""

    def __init__(self, ids: IdMap) -> None:
        self._ids = ids
        self._entries: dict[int, bytes] = {}
        self._vectors: dict[int, bytes] = {}  # key -> JSON of ready-made vectors: hundreds of numbers that nobody reads
        self._searched: dict[int, str] = {}  # key -> its text in lower case
        self._withheld = np.zeros(0, np.bool_)
        self.attributes = Attributes()

    def take(self, items: Items) -> None:
        """Take in catalogue rows, in the order of the log; their ids have keys."""
        columns = (items.item_id, items.title, items.categories, items.attributes)
        for item_id, title, categories, attributes in zip(*columns, strict=True):
            self._put(self._ids.key(item_id), title, list(categories), _object.decode(attributes))

    def read(self, table: pa.Table) -> None:
        """Take in what `to_arrow` gave."""
        for row in table.to_pylist():
            entry, vectors = _entry.decode(row["entry"]), row["vectors"]
            attributes = _object.decode(entry.attributes) | (_object.decode(vectors) if vectors else {})
            self._put(self._ids.key(row["item_id"]), entry.title, entry.categories, attributes)

    def to_arrow(self) -> pa.Table:
        """All entries, one row each."""
        columns = [
            [self._ids.ids[key] for key in self._entries],
            list(self._entries.values()),
            [self._vectors.get(key) for key in self._entries],
        ]
        return pa.table(columns, schema=SCHEMA)

    def __getitem__(self, item_id: str) -> Entry:
        """How an item is shown; one that was never described is UNKNOWN."""
        stored = self._entries.get(self._ids.key(item_id))
        return UNKNOWN if stored is None else _entry.decode(stored)

    def row(self, item_id: str) -> dict[str, Any]:
        """All that was said of an item, as a record of the log says it; of one that was never described its id."""
        key = self._ids.key(item_id)
        entry = self[item_id]
        return {
            "item_id": item_id,
            "title": entry.title,
            "categories": entry.categories,
            **_object.decode(entry.attributes),
            **_object.decode(self._vectors.get(key, b"{}")),
        }

    def __len__(self) -> int:
        """How many items are described."""
        return len(self._entries)

    def allowed(self, size: int) -> npt.NDArray[np.bool_]:
        """bool[size]: keys that may be in a list, because nothing hides them. A copy."""
        self.attributes.fit(size)
        self._withheld = extended(self._withheld, size, False)
        return ~self._withheld[:size]

    def search(self, query: str, limit: int) -> list[Found]:
        """Items whose title, categories or names (a brand, a publisher) hold every word of `query`; those that begin
        with it first."""
        query = query.strip().lower()
        words = query.split()
        found = [key for key, text in self._searched.items() if all(word in text for word in words)]
        best = sorted(found, key=lambda key: not self._searched[key].startswith(query))[:limit]
        return [Found(self._ids.ids[key], _entry.decode(self._entries[key])) for key in best]

    def _put(self, key: int, title: str | None, categories: list[str], attributes: dict[str, Any]) -> None:
        vectors = {name: value for name, value in attributes.items() if is_vector(value)}
        shown = {name: value for name, value in attributes.items() if name not in vectors}
        self._entries[key] = _encode(Entry(title, categories, msgspec.Raw(_encode(shown))))
        self._vectors.pop(key, None)
        if vectors:
            self._vectors[key] = _encode(vectors)
        self.attributes.put(key, {"categories": categories, **shown})
        self._withheld = extended(self._withheld, key + 1, False)
        self._withheld[key] = any(attributes.get(name) is True for name in WITHHELD)
        if attributes.get("deleted") is True:
            self._searched.pop(key, None)
        else:
            words = [title or self._ids.ids[key], str(attributes.get("year") or ""), *categories, *_names(shown)]
            self._searched[key] = " ".join(words).lower()


def _names(attributes: dict[str, Any]) -> list[str]:
    """Short texts among the attributes that name something: no address, no date."""
    texts = (value for value in attributes.values() if isinstance(value, str) and len(value) <= LONGEST_NAME)
    return [text for text in texts if "/" not in text and seconds_of(text) is None]
