"""Files dropped into data/landing become records of the log."""

from typing import Any

import dagster as dg

from rec_assets.resources import EventLog
from rec_assets.settings import Settings
from rec_assets.sources.files import collect_landed


@dg.asset(group_name="log", kinds={"csv", "json", "parquet"}, owners=["team:recommender"])
def landed_files(log: EventLog) -> dg.MaterializeResult[None]:
    """Files from data/landing, each taken into the log once: CSV, JSON lines or Parquet."""
    with log.open() as records:
        collected = collect_landed(Settings(), records)
        lines = [f"| {each.file} | {each.records:,} | {each.error or ''} |" for each in collected]
        metadata: dict[str, Any] = {
            "files": len(collected),
            "records": sum(each.records for each in collected),
            "refused": sum(each.error is not None for each in collected),
            "watermark": records.head(),
            "each": dg.MetadataValue.md("\n".join(["| file | records | refused because |", "|---|---|---|", *lines])),
        }
        return dg.MaterializeResult(metadata=metadata)
