"""The wiring loads, and a run may die at any step: the next one finishes what it began, once."""

import subprocess
import sys

import dagster as dg
import msgspec
import numpy as np
import pytest

from rec_assets.definitions import CRONS, defs
from rec_assets.log import Draft, Log, forget_jobs
from rec_assets.registry import Registry
from rec_assets.registry.assets import promoted_checkpoint
from rec_assets.report.assets import report
from rec_assets.settings import Settings
from rec_assets.tables import checks, denoising, ledger, promise, published, status, usual, warehouse, write
from rec_assets.tables.assets import MicroBatch, choose, published_tables, tables
from rec_assets.training.assets import checkpoint

GATE = {"passed": True, "reason": "fine", "figures": {"encoder_loss": 1.0, "ranker_loss": None}}
METRICS = {"online": {"n": 3.0, "hit@20": 0.5, "ndcg@10": 0.25, "auc": None}}


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("REC_DATA", str(tmp_path))
    return Settings()


@pytest.fixture
def log(settings):
    with Log.open(settings.log_dir) as log:
        append(log, 30)
        yield log


@pytest.fixture
def registry(settings):
    return Registry(settings.checkpoints_dir)


def append(log, number):
    drafts = []
    for _ in range(number):
        n = log.head() + len(drafts)
        drafts.append(
            Draft("event", msgspec.json.encode({"user_id": f"u{n % 4}", "item_id": f"i{n % 7}", "event": "click"}))
        )
    log.append(drafts, "test")


def candidate(registry, log, start, end, gate=GATE):
    """As a run that was killed after it has learnt leaves it."""
    arrays = {"encoder": {"x": np.zeros(2, np.float32)}}
    extra = {"gate": gate, "metrics": METRICS}
    return registry.write(registry.promoted(), start, end, arrays, manifest=extra, log_id=log.log_id)


def materialize(*assets, end=None):
    config = {"ops": {"tables": {"config": {"end": end}}}} if tables in assets and end is not None else None
    resources = {name: defs.resources[name] for name in ("log", "warehouse", "checkpoints", "learner")}
    return dg.materialize([*assets], resources=resources, run_config=config, raise_on_error=False)


def states(settings):
    with warehouse.connect(settings.warehouse_path) as con:
        return [(line.start, line.end, line.state, line.checkpoint) for line in ledger.lines(con)]


def test_everything_loads_and_is_described():
    repository = defs.get_repository_def()
    repository.load_all_definitions()
    assert set(CRONS) | {"micro_batch", "collect_files", "rebuild"} <= {job.name for job in repository.get_all_jobs()}
    for spec in defs.resolve_all_asset_specs():
        assert spec.description, spec.key
        assert spec.group_name != "default", spec.key
        assert spec.owners, spec.key
        assert spec.kinds, spec.key
    for sensor in repository.sensor_defs:
        assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    for schedule in repository.schedule_defs:
        assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING


def test_the_micro_batch_job_is_warm_and_leaves_out_what_reads_whole_tables():
    job = defs.resolve_job_def("micro_batch")
    assert job.tags["rec/warm"] == "true"
    assert [node.name for node in sorted(job.graph.node_defs, key=lambda node: node.name)] == [
        "checkpoint",
        "promoted_checkpoint",
        "tables",
    ]


def test_a_range_is_stored_learnt_and_promoted_once(settings, log, registry):
    assert materialize(tables, end=20).success
    assert states(settings) == [(0, 20, "stored", None)]
    # Asked for again, and for more: what was begun is finished first.
    assert materialize(tables, end=30).success
    assert states(settings) == [(0, 20, "stored", None)]
    first = candidate(registry, log, 0, 20)
    for _ in range(2):
        assert materialize(checkpoint, promoted_checkpoint).success
        assert states(settings) == [(0, 20, "promoted", first)]
        assert registry.promoted() == first
    now = status.read(settings.status_path)
    assert (now.end, now.checkpoint, now.open, now.metrics["online"]["hit20"]) == (20, first, [], 0.5)
    assert materialize(tables, end=30).success
    assert states(settings)[1:] == [(20, 30, "stored", None)]
    with warehouse.connect(settings.warehouse_path) as con:
        assert checks.each_event_once_anywhere(con).passed
        assert con.execute("select count(*) from interactions").fetchall() == [(30,)]


def test_what_a_run_stores_is_checked_told_and_published(settings, log):
    log.append([Draft("event", msgspec.json.encode({"user_id": "u1", "item_id": "i1", "event": "click"}))] * 2, "web")
    result = materialize(tables, end=32)
    checked = {each.check_name: (each.passed, each.severity) for each in result.get_asset_check_evaluations()}
    error, warn = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
    assert checked == {
        "schema_holds": (True, error), "each_event_counts_once": (True, error), "ids_are_known": (True, error),
        "kind_mix_is_usual": (True, warn), "null_shares_are_usual": (True, warn),
    }  # fmt: skip
    [told] = [each for each in result.get_asset_materialization_events() if each.asset_key.path == ["interactions"]]
    figures = {name: value.value for name, value in told.materialization.metadata.items()}
    assert figures["excluded_by_rule"].keys() <= {"duplicate", "near duplicate"}
    assert figures["excluded"] >= 1
    with warehouse.connect(settings.warehouse_path) as con:
        assert len(denoising.excluded(con, 0, 32)) == figures["excluded"]
        assert usual.volume(con, 0).passed
    for _ in range(2):
        assert materialize(published_tables).success
    reader, found = published.connect(settings.published_dir)
    assert (found.whole_end, published.ask(reader, "select count(*) from interactions").fetchall()) == (32, [(32,)])


def test_a_run_that_died_after_the_promotion_is_repaired_not_repeated(settings, log, registry):
    materialize(tables, end=20)
    first = candidate(registry, log, 0, 20)
    registry.promote(first)
    assert materialize(tables, promoted_checkpoint, end=20).success
    assert states(settings) == [(0, 20, "promoted", first)]
    assert status.read(settings.status_path).watermark == 20
    assert registry.ids() == [first]


def test_the_promise_is_a_check_and_a_policy(settings, log, registry):
    weights = {"n": 100, "p50_s": 3.0, "p95_s": 9.0, "p99_s": 14.0}
    assert promise.broken(settings.promise, weights) == ["p95 9.0 s, promised 8 s"]
    assert promise.broken(settings.promise, None) == []
    materialize(tables, end=20)
    candidate(registry, log, 0, 20)
    result = materialize(checkpoint, promoted_checkpoint)
    checked = {each.check_name: each.passed for each in result.get_asset_check_evaluations()}
    assert checked["freshness_promise"]
    assert status.read(settings.status_path).promise_broken == []
    [policy] = [spec.freshness_policy for spec in promoted_checkpoint.specs]
    assert policy is not None


def test_what_the_gate_refuses_is_passed_over(settings, log, registry):
    materialize(tables, end=20)
    bad = candidate(registry, log, 0, 20, GATE | {"passed": False, "reason": "worse"})
    result = materialize(checkpoint, promoted_checkpoint)
    assert not result.success
    checked = {each.check_name: each.passed for each in result.get_asset_check_evaluations()}
    assert checked == {"gate": False, "shadow": True, "drift": True}
    assert registry.promoted() is None
    assert states(settings) == [(0, 20, "refused", bad)]
    now = status.read(settings.status_path)
    assert (now.end, [tuple(msgspec.to_builtins(each)) for each in now.skipped]) == (20, [(0, 20, "worse")])
    assert materialize(tables, end=30).success
    assert states(settings)[1] == (20, 30, "stored", None)


def test_tables_that_were_lost_are_stored_again_and_nothing_is_learnt_again(settings, log, registry):
    materialize(tables, end=20)
    first = candidate(registry, log, 0, 20)
    materialize(checkpoint, promoted_checkpoint)
    settings.warehouse_path.unlink()
    settings.status_path.unlink()
    assert materialize(tables, promoted_checkpoint).success
    assert states(settings) == [(0, 20, "promoted", first)]
    assert status.read(settings.status_path).end == 20


def test_a_rolled_back_range_stands_as_skipped(settings, log, registry):
    for end in (10, 20):
        materialize(tables, end=end)
        candidate(registry, log, end - 10, end)
        materialize(checkpoint, promoted_checkpoint)
    first, second = registry.ids()
    registry.rollback(reason="worse")
    materialize(tables, end=30)
    with warehouse.connect(settings.warehouse_path) as con:
        assert [line.reason for line in ledger.lines(con)] == [None, "rolled back: worse", None]
    assert states(settings) == [(0, 10, "promoted", first), (10, 20, "skipped", second), (20, 30, "stored", None)]


def test_the_first_range_is_all_there_is_and_later_ones_are_bounded(settings, log, registry):
    with warehouse.connect(":memory:") as con:
        assert choose(con, log, registry, None, batch_events=5) == (0, 30)
        assert choose(con, log, registry, 12, batch_events=5) == (0, 12)
        write.write(con, log, 0, 30, settings.kinds, "run")
        registry.promote(candidate(registry, log, 0, 30))
        append(log, 20)
        assert choose(con, log, registry, None, batch_events=5) == (30, 35)
        assert choose(con, log, registry, 30, batch_events=5) is None
    assert MicroBatch().end is None


def test_the_report_draws_what_there_is(settings, log, registry):
    assert materialize(report).success  # nothing yet
    materialize(tables, end=20)
    candidate(registry, log, 0, 20)
    materialize(checkpoint, promoted_checkpoint)
    result = materialize(report)
    [event] = result.get_asset_materialization_events()
    pictures = [
        value.value for value in event.materialization.metadata.values() if isinstance(value, dg.MarkdownMetadataValue)
    ]
    assert len(pictures) == 5
    assert [picture[:26] for picture in pictures] == ["![](data:image/png;base64,"] * 5


def test_whom_the_service_was_asked_to_forget_leaves_without_dagster_knowing_who(settings, log):
    with dg.DagsterInstance.ephemeral() as instance:
        materialize(tables, end=30)
        forget_jobs.ask(log, "u1", -1)
        assert defs.resolve_job_def("forget_users").execute_in_process(instance=instance).success
        [run] = instance.get_runs()
        told = repr(run) + "".join(entry.to_json() for entry in instance.all_logs(run.run_id))
    assert "u1" not in told
    assert (forget_jobs.waiting(log), log.find("u1")) == ([], [])
    with warehouse.connect(settings.warehouse_path) as con:
        assert con.execute("select distinct user_id from interactions order by 1").fetchall() == [
            ("u0",),
            ("u2",),
            ("u3",),
        ]


def test_the_code_server_imports_nothing_that_only_runs_need():
    asked = "import sys, rec_assets.definitions; print({'jax', 'numba', 'matplotlib', 'river'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", asked], text=True).strip() == "set()"
