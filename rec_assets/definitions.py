"""The wiring of the pipeline: assets, jobs, schedules, sensors, resources."""

import dagster as dg

from rec_assets import log_retention, sensors
from rec_assets.evaluation import assets as evaluation_assets
from rec_assets.launcher.channel import WARM_TAG
from rec_assets.launcher.prune import prune_runs
from rec_assets.log import assets as log_assets
from rec_assets.log import forget_jobs
from rec_assets.registry import assets as registry_assets
from rec_assets.report import assets as report_assets
from rec_assets.resources import Checkpoints, EventLog, Learner, Warehouse
from rec_assets.serving import assets as serving_assets
from rec_assets.settings import Settings
from rec_assets.sources import assets as source_assets
from rec_assets.sources import sensors as source_sensors
from rec_assets.tables import assets as table_assets
from rec_assets.training import assets as training_assets

# A failed run starts again from its first step: nothing is handed from step to step but what is on disk.
ALL_STEPS = {"dagster/retry_strategy": "ALL_STEPS"}

micro_batch = dg.define_asset_job(
    sensors.MICRO_BATCH,
    selection=dg.AssetSelection.assets(
        table_assets.tables, training_assets.checkpoint, registry_assets.promoted_checkpoint
    )
    - dg.AssetSelection.checks(*table_assets.HOURLY_CHECKS),
    description="One range of the log: stored, checked, tested, learnt from, promoted.",
    tags={WARM_TAG: "true", **ALL_STEPS},
)
collect_files = dg.define_asset_job(
    sensors.COLLECT_FILES,
    selection=dg.AssetSelection.assets(source_assets.landed_files),
    description="Files in data/landing become records of the log.",
    tags=ALL_STEPS,
)
collect_sources = dg.define_asset_job(
    source_sensors.COLLECT_SOURCES,
    selection=dg.AssetSelection.assets(source_assets.polled_sources),
    description="New rows of databases and files elsewhere become records of the log.",
    tags=ALL_STEPS,
)
hourly_report = dg.define_asset_job(
    "hourly_report",
    selection=dg.AssetSelection.assets(report_assets.report, table_assets.published_tables)
    | dg.AssetSelection.checks(*table_assets.HOURLY_CHECKS),
    description="Plots, the checks that read whole tables, and all tables published anew.",
    tags=ALL_STEPS,
)

evaluate = dg.define_asset_job(
    "evaluate",
    selection=dg.AssetSelection.assets(evaluation_assets.evaluation),
    description="Every system on a file of events, beside frozen models and baselines.",
)

make_batch_lists = dg.define_asset_job(
    "make_batch_lists",
    selection=dg.AssetSelection.assets(serving_assets.batch_lists),
    description="Lists for many users as one Parquet file; put a schedule of your own on it.",
    tags=ALL_STEPS,
)


@dg.op
def compact_log(context: dg.OpExecutionContext, log: EventLog) -> int:
    """Move what is old from the log's tail into segments, and drop the segments that are not to be kept."""
    settings = Settings()
    with log.open() as records:
        moved = records.compact(settings.log_tail_rows)
        dropped = log_retention.apply(settings, records)
    context.log.info("moved %s, dropped %s", moved or "nothing", dropped or "nothing")
    return sum(end - start for start, end in moved)


@dg.op(pool="duckdb")
def forget_waiting(context: dg.OpExecutionContext, log: EventLog) -> int:
    """Whoever is to be forgotten leaves every file, as `rec forget` does it. Dagster is not told who that is."""
    # JAX takes seconds to import: only who forgets pays for it, not the code server.
    from rec_assets.forgetting import bentos_of, forget

    with log.open() as records:
        users = forget_jobs.waiting(records)
    for user_id in users:
        settings = Settings()
        report = forget(settings, user_id)
        context.log.info("forgotten at offset %s", report.offset)
        for place in [*report.still_hold, *bentos_of(settings, user_id)]:
            context.log.warning("still holds a user who is to be forgotten: %s", place)
    return len(users)


@dg.job(tags=ALL_STEPS, description="Who is to be forgotten leaves log, tables and checkpoints.")
def forget_users() -> None:
    """Wired by Dagster."""
    forget_waiting()


@dg.job(tags=ALL_STEPS, description="All tables anew from the log; checkpoints stay as they are.")
def rebuild() -> None:
    """Wired by Dagster."""
    table_assets.rebuild_tables()


@dg.job(
    tags=ALL_STEPS,
    description="What is old moves from the log's tail into Parquet segments; the oldest go, where settings say so.",
)
def compact() -> None:
    """Wired by Dagster."""
    compact_log()


@dg.job(tags=ALL_STEPS, description="Checkpoints that nothing needs any more are removed.")
def retention() -> None:
    """Wired by Dagster."""
    registry_assets.retain_checkpoints()


@dg.job(tags=ALL_STEPS, description="Dagster's own runs, logs and ticks: only the newest are kept.")
def prune() -> None:
    """Wired by Dagster."""
    prune_runs()


# Apart from each other, so that on a small machine no two start at once.
CRONS = {"hourly_report": "0 * * * *", "compact": "12 * * * *", "retention": "27 * * * *", "prune": "20,50 * * * *"}


defs = dg.Definitions(
    assets=[
        log_assets.log,
        source_assets.landed_files,
        source_assets.polled_sources,
        table_assets.tables,
        table_assets.published_tables,
        training_assets.checkpoint,
        registry_assets.promoted_checkpoint,
        report_assets.report,
        evaluation_assets.evaluation,
        serving_assets.batch_lists,
    ],
    asset_checks=[*table_assets.HOURLY_CHECKS],
    jobs=[
        micro_batch,
        collect_files,
        collect_sources,
        hourly_report,
        evaluate,
        make_batch_lists,
        rebuild,
        compact,
        forget_users,
        retention,
        prune,
    ],
    schedules=[
        dg.ScheduleDefinition(
            name=f"{job}_schedule", job_name=job, cron_schedule=cron, default_status=dg.DefaultScheduleStatus.RUNNING
        )
        for job, cron in CRONS.items()
    ],
    sensors=[sensors.log_grew, sensors.files_landed, sensors.forgetting_asked, source_sensors.sources_due],
    resources={
        "log": EventLog(),
        "warehouse": Warehouse(),
        "checkpoints": Checkpoints(),
        "learner": Learner(),
        "io_manager": dg.mem_io_manager,  # what a step hands on is on disk already
    },
    executor=dg.in_process_executor,
)
