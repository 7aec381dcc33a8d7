"""Streams by name for a bench: a folder of STREAMS (`make bench-NAME STREAMS=DIR`) where it has it, else fetched."""

import os
from pathlib import Path

from rich.console import Console

from rec_assets import datasets
from rec_assets.demo.stream import Stream as Sent
from rec_assets.evaluation import stream as streams
from rec_assets.evaluation.stream import Stream
from rec_assets.models.compile import use_cache
from rec_assets.settings import Settings


def there_are(*wanted: str) -> list[str]:
    """Those of the names that can be read: folders of STREAMS, or known data sets."""
    return [name for name in wanted if _folder(name) is not None or name in datasets.DATASETS]


def read(name: str, console: Console) -> Stream:
    """The stream; what JAX compiles from now on is kept with the data sets."""
    where = _where(name, console)
    items = where / "items.parquet"
    return streams.read(where / "events.parquet", items=items if items.exists() else None)


def sent(name: str, console: Console) -> Sent:
    """The same, as events that are sent one by one."""
    return Sent.read(_where(name, console))


def _where(name: str, console: Console) -> Path:
    data = Settings().data
    use_cache(data / "compiled")
    return _folder(name) or datasets.fetch(name, data / "datasets", console)


def _folder(name: str) -> Path | None:
    given = os.environ.get("STREAMS")
    return Path(given, name) if given and Path(given, name, "events.parquet").exists() else None
