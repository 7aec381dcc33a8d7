"""Sources: where records come from. Each appends to the log, with its own position in the same transaction."""

from rec_assets.sources.files import collect_landed, waiting
from rec_assets.sources.mapping import ColumnMapping
from rec_assets.sources.source import Collected, Source

__all__ = ["Collected", "ColumnMapping", "Source", "collect_landed", "waiting"]
