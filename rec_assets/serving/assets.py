"""Lists for many users as an asset, for what cannot ask the service: mailings, caches, other databases."""

from typing import Any

import dagster as dg
from pydantic import Field

from rec_assets.resources import EventLog
from rec_assets.settings import Settings
from rec_assets.tables import published


class Batch(dg.Config):
    """For whom, how long, and what may be listed."""

    name: str = Field("lists", pattern="^[a-z0-9_-]+$", description="of the file: data/lists/NAME.parquet")
    users: list[str] | None = Field(None, description="user_ids; none: those that the query gives")
    query: str = Field(
        "select user_id from users order by user_id",
        description="one SELECT over the published tables, whose first column is the user_ids",
    )
    k: int = Field(10, ge=1, le=100)
    control: dict[str, Any] = Field(
        default_factory=dict, description="as a request says it: filter, seen, boosts, caps, placement, …"
    )


@dg.asset(
    deps=["promoted_checkpoint", "published_tables"],
    group_name="registry",
    kinds={"parquet"},
    owners=["team:recommender"],
)
def batch_lists(context: dg.AssetExecutionContext, config: Batch, log: EventLog) -> dg.MaterializeResult[None]:
    """The best items for many users, by the service's engine and the promoted checkpoint, as one Parquet file."""
    # JAX takes seconds to import: only who makes lists pays for it, not the code server.
    from rec_assets.models.compile import use_cache
    from rec_assets.serving import batch
    from rec_assets.serving.engine import Engine

    settings = Settings()
    use_cache(settings.data / "compiled")
    users = list(dict.fromkeys(config.users if config.users is not None else named_by(config.query, settings)))
    engine = Engine(settings)
    try:
        engine.warm()
        with log.open() as records:
            made = batch.write(
                engine, records, users, config.k, config.control, settings.lists_dir / f"{config.name}.parquet",
                lambda done, of: context.log.info("%s of %s lists", f"{done:,}", f"{of:,}"),
            )  # fmt: skip
        checkpoint = engine.served.checkpoint
    finally:
        engine.close()
    return dg.MaterializeResult(
        metadata={
            "file": dg.MetadataValue.path(made.path),
            "users": made.users,
            "rows": made.rows,
            "empty_lists": made.empty,
            "forgotten_meanwhile": made.forgotten,
            "lists_per_second": round(made.users / made.seconds, 1),
            "checkpoint": checkpoint or "none",
        }
    )


def named_by(query: str, settings: Settings) -> list[str]:
    """The user_ids that a query over the published tables gives; ValueError for what is no query."""
    con, _ = published.connect(settings.published_dir)
    with con:
        return [str(row[0]) for row in published.ask(con, query).fetchall() if row[0] is not None]
