"""Files dropped into data/landing, and what databases and other places have, become records of the log."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from rec_assets.resources import EventLog
from rec_assets.settings import Settings
from rec_assets.sources import configured
from rec_assets.sources.files import collect_landed
from rec_assets.sources.source import Collected, SourceError


@dg.asset(group_name="log", kinds={"csv", "json", "parquet"}, owners=["team:recommender"])
def landed_files(log: EventLog) -> dg.MaterializeResult[None]:
    """Files from data/landing, each taken into the log once: CSV, JSON lines or Parquet."""
    with log.open() as records:
        collected = collect_landed(Settings(), records)
        return dg.MaterializeResult(metadata=_metadata(collected, records.head()))


class Due(dg.Config):
    """Names of sources; none: all that are asked from time to time."""

    names: list[str] = Field(default_factory=list)


@dg.asset(group_name="log", kinds={"postgres", "mysql", "sqlite"}, owners=["team:recommender"])
def polled_sources(config: Due, log: EventLog) -> dg.MaterializeResult[None]:
    """New and changed rows of databases, and new files elsewhere, as rec.toml names them."""
    settings, collected = Settings(), []
    with log.open() as records:
        for name in config.names or configured.polled(settings):
            try:
                collected += configured.collect_once(name, settings, records)
            except SourceError as error:  # the others are not to wait for it
                collected.append(Collected(name, 0, records.head(), records.head(), str(error)))
        metadata = _metadata(collected, records.head())
    if refused := [f"{each.file}: {each.error}" for each in collected if each.error]:
        raise dg.Failure("; ".join(refused), metadata=metadata)
    return dg.MaterializeResult(metadata=metadata)


def _metadata(collected: Sequence[Collected], watermark: int) -> dict[str, Any]:
    lines = [f"| {each.file} | {each.records:,} | {each.error or ''} |" for each in collected]
    return {
        "files": len(collected),
        "records": sum(each.records for each in collected),
        "refused": sum(each.error is not None for each in collected),
        "watermark": watermark,
        "each": dg.MetadataValue.md("\n".join(["| from | records | refused because |", "|---|---|---|", *lines])),
    }
