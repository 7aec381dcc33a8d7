"""Dagster's own records stay few."""

import pytest
import sqlalchemy
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from rec_assets.launcher import home
from rec_assets.launcher.prune import prune
from rec_tests.launcher.waiting_job import waiting


@pytest.fixture
def instance(tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with home.instance(home.prepare(tmp_path)) as instance:
        yield instance


def rows(instance: DagsterInstance, run_id: str) -> dict[str, int]:
    """In which tables a run still has rows."""
    found = {}
    for connect in (instance.run_storage.connect, instance.event_log_storage.index_connection):
        with connect() as connection:
            for table in sqlalchemy.inspect(connection).get_table_names():
                columns = [column["name"] for column in sqlalchemy.inspect(connection).get_columns(table)]
                if "run_id" in columns:
                    query = sqlalchemy.text(f"select count(*) from {table} where run_id = :run_id")
                    found[table] = connection.execute(query, {"run_id": run_id}).scalar_one()
    return found


def test_only_the_newest_runs_stay_and_nothing_of_the_others(instance):
    runs = []
    for _ in range(7):
        run = instance.create_run_for_job(waiting, status=DagsterRunStatus.SUCCESS, tags={"some": "tag"})
        instance.report_engine_event("something", run)
        runs.append(run.run_id)
    unfinished = instance.create_run_for_job(waiting, status=DagsterRunStatus.STARTED).run_id
    assert prune(instance, keep=4) == 4
    assert [run.run_id for run in instance.get_runs()] == [unfinished, *reversed(runs[4:])]
    assert {table for table, n in rows(instance, runs[0]).items() if n} == set()
    assert rows(instance, runs[6])["event_logs"] > 0
    assert prune(instance, keep=4) == 0
    assert instance.get_runs_count(RunsFilter()) == 4


@pytest.mark.slow
def test_a_thousand_of_two_thousand_runs_stay(instance):
    for _ in range(2_000):
        instance.report_engine_event("x", instance.create_run_for_job(waiting, status=DagsterRunStatus.SUCCESS))
    assert prune(instance) == 1_000
    assert instance.get_runs_count(RunsFilter()) == 1_000
