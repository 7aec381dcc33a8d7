"""Sources: where records come from. Each appends to the log, with its own position in the same transaction."""

from rec_assets.sources.files import collect_landed, waiting
from rec_assets.sources.mapping import ColumnMapping
from rec_assets.sources.source import Batch, Collected, Source, SourceError, collect

__all__ = ["Batch", "Collected", "ColumnMapping", "Source", "SourceError", "collect", "collect_landed", "waiting"]
