"""The sources that the settings name: each is opened, collected from once, or followed until it is told to stop."""

import contextlib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

from rec_assets import durable
from rec_assets.log import Log
from rec_assets.settings import FileSource, KafkaSource, OwnSource, Settings, SqlSource
from rec_assets.sources.files import collect_landed
from rec_assets.sources.source import Collected, Progress, Source, SourceError, Stop, collect


def streams(settings: Settings) -> list[str]:
    """The sources that `rec collect` keeps running: all that Dagster does not ask from time to time."""
    return [name for name, origin in settings.sources.items() if name != "landing" and not _polled(origin)]


def polled(settings: Settings) -> dict[str, float]:
    """The sources that Dagster asks from time to time, and after how many seconds."""
    return {
        name: origin.every_seconds
        for name, origin in settings.sources.items()
        if name != "landing" and isinstance(origin, FileSource | SqlSource) and _polled(origin)
    }


def collect_once(name: str, settings: Settings, log: Log, progress: Progress | None = None) -> list[Collected]:
    """Append what a source has that the log has not. Raises SourceError; one process at a time, others wait."""
    origin = _origin(name, settings)
    with _alone(name, settings):
        if name == "landing":
            return collect_landed(settings, log, progress)
        if isinstance(origin, FileSource):
            from rec_assets.sources.urls import collect_urls

            return collect_urls(name, origin, settings, log, progress)
        if isinstance(origin, SqlSource):
            from rec_assets.sources.sql import open_table

            with open_table(name, origin, settings.kinds) as table:
                return [collect(table, log, progress)]
        if isinstance(origin, KafkaSource):
            from rec_assets.sources.kafka import Topic

            return Topic(name, origin, settings.kinds).collect(log, progress)
        return [collect(open_own(origin), log, progress)]


def follow(name: str, settings: Settings, log: Log, stop: Stop, progress: Progress | None = None) -> None:
    """Append what comes until `stop` says so. Raises SourceError."""
    origin = _origin(name, settings)
    if isinstance(origin, KafkaSource):
        from rec_assets.sources.kafka import Topic

        Topic(name, origin, settings.kinds).follow(log, stop, progress)
        return
    said: list[str] = []
    while True:
        refused = [each.error for each in collect_once(name, settings, log, progress) if each.error]
        if refused and refused != said:
            sys.stderr.write("".join(f"{line}\n" for line in refused))  # a process of its own: into its log
            sys.stderr.flush()
        said = refused
        if stop(origin.every_seconds):
            return


def open_own(origin: OwnSource) -> Source:
    """A source that somebody wrote for themselves; a module beside rec.toml is found. Raises SourceError."""
    module, _, attribute = origin.call.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        make = getattr(importlib.import_module(module), attribute)
        source: Source = make(**origin.options)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise SourceError(f"{origin.call!r} with the options {', '.join(origin.options) or 'none'}: {error}") from error
    return source


def _polled(origin: object) -> bool:
    return isinstance(origin, SqlSource) or (isinstance(origin, FileSource) and not origin.follow)


def _origin(name: str, settings: Settings) -> FileSource | SqlSource | KafkaSource | OwnSource:
    try:
        return settings.sources[name]
    except KeyError:
        if name == "landing":
            return FileSource(type="files")
        there = ", ".join(settings.sources) or "none; see docs/guides"
        raise SourceError(f"no source is named {name!r} in rec.toml; there are {there}") from None


@contextlib.contextmanager
def _alone(name: str, settings: Settings) -> Iterator[None]:
    directory = settings.log_dir / "sources"
    directory.mkdir(parents=True, exist_ok=True)
    with durable.locked(directory / f"{name}.lock"):
        yield
