"""The log in the asset graph: it is written by sources and the service, not by a run."""

import dagster as dg

log = dg.AssetSpec(
    "log",
    deps=["landed_files", "polled_sources"],
    group_name="log",
    kinds={"sqlite", "parquet"},
    owners=["team:recommender"],
    description="Every event, catalogue change and served list as received, in one sequence of offsets.",
)
