"""The demo's stream: the first half of a data set is dropped as files, the second half is sent as it happens."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rec_assets import durable
from rec_assets.log import Log

COLUMNS = ["user", "item", "ts", "event", "value"]


@dataclass(frozen=True)
class Stream:
    """A data set in its order. Columns of `events`: user, item, ts (s), event, value."""

    name: str
    events: pa.Table
    items: Path

    @classmethod
    def read(cls, directory: Path) -> "Stream":
        """Read what `rec fetch` wrote."""
        return cls(directory.name, pq.read_table(directory / "events.parquet"), directory / "items.parquet")

    @property
    def half(self) -> int:
        """The first row that is replayed."""
        rows: int = self.events.num_rows
        return rows // 2

    @property
    def catalogue_rows(self) -> int:
        """How many records the catalogue is."""
        rows: int = pq.read_metadata(self.items).num_rows
        return rows

    def land_first_half(self, landing: Path) -> None:
        """Drop the catalogue and the first half, once: what was dropped before, by name, is not dropped again."""
        landing.mkdir(parents=True, exist_ok=True)
        for name, table in (
            (f"{self.name}-1-items.parquet", pq.read_table(self.items)),
            (f"{self.name}-2-first-half.parquet", self.events.slice(0, self.half)),
        ):
            if (landing / name).exists() or (landing / "done" / name).exists():
                continue
            beside = landing / f".{name}"
            pq.write_table(table, beside)
            durable.sync(beside)
            beside.rename(landing / name)
        durable.sync(landing)

    def event(self, row: int) -> dict[str, Any]:
        """One row as the feedback endpoint takes it; its event_id is the same in every run."""
        user, item, ts, kind, value = (column[row].as_py() for column in self.events.select(COLUMNS).columns)
        event_id = f"{self.name}-{row}"
        return {
            "event_id": event_id, "user_id": user, "item_id": item, "event": kind, "value": value, "occurred_at": ts
        }  # fmt: skip

    def second_half(self, start: int) -> Iterator[dict[str, Any]]:
        """The events from row `start` on."""
        for row in range(start, self.events.num_rows):
            yield self.event(row)

    def next_row(self, log: Log) -> int:
        """The first row of the second half that the log does not have: where an earlier run was stopped."""
        low, high = self.half, self.events.num_rows
        while low < high:
            middle = (low + high) // 2
            if log.has(f"{self.name}-{middle}"):
                low = middle + 1
            else:
                high = middle
        return low
