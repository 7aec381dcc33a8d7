"""A file of events taken as it is: no cleaning, no deduplication, no sorting; positions count from 0."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rec_assets.events import Events, Items, Parsed, Rejected, Users
from rec_assets.features.content import is_vector
from rec_assets.settings import KINDS, Kind

COLUMNS = ("user", "item", "ts", "event", "value")  # value may be missing


class BadStream(ValueError):
    """The file is not what an evaluation can read; the message says what is wrong."""


@dataclass(frozen=True)
class Stream:
    """Rows of a stream in its own order, and what is known of its items beforehand."""

    table: pa.Table  # user string, item string, ts float64, event string, value float64, NaN for none
    content: Items
    kinds: dict[str, Kind]  # each kind that occurs: a target of weight 1, its value read as the usual vocabulary does

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.table)

    def parsed(self, start: int, end: int) -> Parsed:
        """Rows [start, end) as accepted events; the items' content comes before the first row."""
        rows = self.table.slice(start, end - start)
        n = len(rows)
        times = np.rint(rows["ts"].to_numpy() * 1e6).astype(np.int64)
        events = Events(
            offset=np.arange(start, start + n),
            event_id=[str(position) for position in range(start, start + n)],
            user_id=rows["user"].to_pylist(),
            item_id=rows["item"].to_pylist(),
            event=rows["event"].to_pylist(),
            value=rows["value"].to_numpy(),
            occurred_at=times,
            received_at=times,
            request_id=[None] * n,
            context=[None] * n,
            dated=np.ones(n, np.bool_),
            source=[""] * n,
        )
        content = self.content if start == 0 else Items.of([])
        return Parsed(events, content, Users.of([]), Rejected.of([]))


def read(path: Path, kinds: Sequence[str] | None = None, items: Path | None = None) -> Stream:
    """The rows of `kinds`, or all. BadStream where a column is missing, a user or time is null, or nothing is left."""
    table = pq.read_table(path)
    if missing := [name for name in COLUMNS[:4] if name not in table.column_names]:
        raise BadStream(f"{path} lacks {', '.join(missing)}: it needs the columns {', '.join(COLUMNS)}")
    text = {name: table[name].cast(pa.string()) for name in ("user", "item", "event")}
    value = table["value"].cast(pa.float64()) if "value" in table.column_names else pa.nulls(len(table), pa.float64())
    table = pa.table({**text, "ts": table["ts"].cast(pa.float64()), "value": pc.fill_null(value, np.nan)})
    if kinds is not None:
        table = table.filter(pc.is_in(table["event"], pa.array(list(kinds))))
    if not len(table):
        raise BadStream(f"{path} has no event" + (f" of the kinds {', '.join(kinds)}" if kinds else ""))
    for name in ("user", "ts", "event"):
        if table[name].null_count:
            raise BadStream(f"{path} has {table[name].null_count} rows without {name}")
    found = {kind: Kind(value=KINDS.get(kind, Kind()).value) for kind in sorted(pc.unique(table["event"]).to_pylist())}
    return Stream(table.combine_chunks(), read_content(items) if items else Items.of([]), found)


def read_content(path: Path) -> Items:
    """Title, categories (a list, or text parted by |) and, of all other columns, numbers and vectors of items; the
    first row of an item counts.
    """
    table = pq.read_table(path)
    if "item" not in table.column_names:
        raise BadStream(f"{path} lacks the column item")
    ids = table["item"].cast(pa.string()).to_pylist()
    titles = table["title"].cast(pa.string()).to_pylist() if "title" in table.column_names else [None] * len(ids)
    genres = table["genres"].to_pylist() if "genres" in table.column_names else [None] * len(ids)
    rows: dict[str, tuple[int, str, str | None, list[str], str]] = {}
    others = table.drop_columns([name for name in ("item", "title", "genres") if name in table.column_names])
    for item, title, genre, other in zip(ids, titles, genres, others.to_pylist(), strict=True):
        categories = genre.split("|") if isinstance(genre, str) else list(genre or [])
        if item is not None:
            rows.setdefault(item, (-1, item, title, [c for c in categories if c], _numbers(other)))
    return Items.of(list(rows.values()))


def _numbers(row: dict[str, Any]) -> str:
    """The numbers and vectors of a row as JSON."""
    kept = {name: value for name, value in row.items() if isinstance(value, int | float) or is_vector(value)}
    return msgspec.json.encode(kept).decode()
