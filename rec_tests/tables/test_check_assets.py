"""Checks as Dagster shows them: what broke is named, and only what makes the tables wrong stops training."""

from datetime import timedelta

import dagster as dg
import msgspec
import pytest

from rec_assets.definitions import defs
from rec_assets.log import Draft, Log
from rec_assets.settings import Settings
from rec_assets.tables import warehouse
from rec_assets.tables.assets import sources_are_fresh, tables, volume_is_usual

HOURS = """
insert into interactions by name select
  -1 - 1000 * hour - n as log_offset, source, source || hour || '-' || n as event_id, 'u' as user_id, 'i' as item_id,
  'view' as event, 1.0 as weight, true as target, $hour - hour * interval 1 hour as received_at,
  $hour - hour * interval 1 hour as occurred_at
from (values ('app', 1), ('till', 30)) as told(source, since), range(1, 48) as hours(hour), range(200) as rows(n)
where hour >= since
"""


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("REC_DATA", str(tmp_path))
    settings = Settings()
    with warehouse.connect(settings.warehouse_path) as con:
        hour = warehouse.timestamp(warehouse.microseconds()).replace(minute=0, second=0, microsecond=0)
        con.execute(HOURS, {"hour": hour})
    return settings


def evaluations(*assets, **more):
    resources = {name: defs.resources[name] for name in ("log", "warehouse", "checkpoints")}
    result = dg.materialize([*assets], resources=resources, raise_on_error=False, **more)
    return result, {each.check_name: each for each in result.get_asset_check_evaluations()}


def check(checked):
    job = dg.Definitions(
        asset_checks=[checked], resources={"warehouse": defs.resources["warehouse"]},
        jobs=[dg.define_asset_job("check", selection=dg.AssetSelection.checks(checked))],
    ).resolve_job_def("check")  # fmt: skip
    [found] = job.execute_in_process().get_asset_check_evaluations()
    return found


def offenders(evaluation):
    return evaluation.metadata["offenders"].value


def test_a_silent_source_is_named_and_the_other_is_not(settings):
    found = check(sources_are_fresh)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert [row["source"] for row in offenders(found)] == ["till"]


def test_an_hour_that_brought_too_little_is_named(settings):
    assert check(volume_is_usual).passed
    with warehouse.connect(settings.warehouse_path) as con:
        last = warehouse.timestamp(warehouse.microseconds()).replace(minute=0, second=0, microsecond=0)
        con.execute("delete from interactions where received_at >= $at", {"at": last - timedelta(hours=1)})
    found = check(volume_is_usual)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert [(row["rows"], row["median"]) for row in offenders(found)] == [(0, 200)]


def test_another_mix_of_kinds_warns_and_training_goes_on(settings):
    with Log.open(settings.log_dir) as log:
        event = {"user_id": "u", "item_id": "i", "event": "purchase", "value": 1}
        log.append([Draft("event", msgspec.json.encode(event | {"event_id": f"e{n}"})) for n in range(300)], "shop")
    result, found = evaluations(tables)
    assert result.success
    mix = found["kind_mix_is_usual"]
    assert (mix.passed, mix.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert [(row["event"], row["share"], row["before"]) for row in offenders(mix)] == [
        ("purchase", 1.0, 0.0),
        ("view", 0.0, 1.0),
    ]
    assert all(each.passed for name, each in found.items() if each.severity == dg.AssetCheckSeverity.ERROR)
