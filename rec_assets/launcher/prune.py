"""Dagster's own records: a run every few seconds would fill a disk in weeks."""

import time

import dagster as dg
from dagster._core.storage.event_log import SqlEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from dagster._core.storage.runs import SqlRunStorage
from dagster._core.storage.runs.schema import RunTagsTable

KEEP_RUNS = 1_000
KEEP_TICKS_SECONDS = 6 * 3600.0
AT_ONCE = 100


def prune(instance: dg.DagsterInstance, keep: int = KEEP_RUNS) -> int:
    """Delete all but the newest `keep` runs with their logs, whatever their age; returns how many."""
    deleted = 0
    newest = [record.dagster_run.run_id for record in instance.get_run_records(limit=keep)]
    if len(newest) < keep:
        return 0
    while True:
        older = [run for run in instance.get_runs(limit=AT_ONCE, cursor=newest[-1]) if run.is_finished]
        if not older:
            return deleted
        for run in older:
            instance.delete_run(run.run_id)
        _delete_rest(instance, [run.run_id for run in older])
        deleted += len(older)


def prune_ticks(instance: dg.DagsterInstance, now: float) -> None:
    """Delete the records of sensors' and schedules' ticks that are too old; `now` in seconds since 1970."""
    for state in instance.all_instigator_state():
        instance.purge_ticks(state.instigator_origin_id, state.selector_id, now - KEEP_TICKS_SECONDS)


def _delete_rest(instance: dg.DagsterInstance, run_ids: list[str]) -> None:
    """What Dagster keeps when it deletes a run in SQLite: its tags and the results of its asset checks."""
    runs, events = instance.run_storage, instance.event_log_storage
    assert isinstance(runs, SqlRunStorage)
    assert isinstance(events, SqlEventLogStorage)
    with runs.connect() as connection:
        connection.execute(RunTagsTable.delete().where(RunTagsTable.c.run_id.in_(run_ids)))
    with events.index_connection() as connection:
        connection.execute(AssetCheckExecutionsTable.delete().where(AssetCheckExecutionsTable.c.run_id.in_(run_ids)))


@dg.op
def prune_runs(context: dg.OpExecutionContext) -> int:
    """Keep the newest 1,000 runs and the ticks of the last hours."""
    deleted = prune(context.instance)
    prune_ticks(context.instance, time.time())
    context.add_output_metadata({"deleted": deleted})
    return deleted
