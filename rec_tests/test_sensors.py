"""What the sensors decide, from files and Dagster's own records alone."""

import time

import dagster as dg
import msgspec
import pytest

from rec_assets import sensors
from rec_assets.log import Draft, Log, forget_jobs
from rec_assets.resources import EventLog
from rec_assets.sensors import Asked, Wanted
from rec_assets.settings import Settings
from rec_assets.tables import status as status_file
from rec_assets.tables.status import Status


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("REC_DATA", str(tmp_path))
    monkeypatch.setenv("REC_FIRST_EVENTS", "10")
    monkeypatch.setenv("REC_BATCH_EVENTS", "50")
    monkeypatch.setenv("REC_BATCH_SECONDS", "0")
    monkeypatch.setattr(sensors, "POLL_SECONDS", 0.3)
    monkeypatch.setattr(sensors, "QUIET_SECONDS", 0.1)
    return Settings()


@pytest.fixture
def log(settings):
    with Log.open(settings.log_dir) as log:
        yield log


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def append(log, number, kind="event"):
    log.append([Draft(kind, b"{}") for _ in range(number)], "test")


def status(log, end, checkpoint: str | None = "000001-aaaaaaaa", log_id=None, waiting=()):
    return Status(
        log_id=log_id or log.log_id,
        format_version=1,
        end=end,
        open=list(waiting),
        skipped=[],
        checkpoint=checkpoint,
        watermark=end,
        events=end,
        rejected=0,
        micro_batches=1,
        metrics={},
        freshness={},
        updated_at=0,
    )


def tick(instance):
    context = dg.build_sensor_context(instance=instance, sensor_name="log_grew")
    return sensors.log_grew(context, log=EventLog())


def ran(instance, request, run_status):
    """The run of a request as it would be in Dagster's records."""
    run = dg.DagsterRun(job_name=request.job_name, status=run_status, tags=request.tags)
    instance.add_run(run)
    return run


@pytest.mark.parametrize(
    ("events", "quiet", "wanted"), [(9, 9.0, None), (10, 0.0, None), (10, 9.0, Wanted(0, 10)), (80, 9.0, Wanted(0, 80))]
)
def test_the_first_micro_batch_is_all_there_is_once_the_log_rests(settings, log, events, quiet, wanted):
    append(log, events)
    assert sensors.wanted(log, None, settings, quiet) == wanted


def test_then_what_lies_behind_the_ledger_in_order_and_in_pieces(settings, log):
    append(log, 80)
    assert sensors.wanted(log, status(log, 80), settings, 0.0) is None
    assert sensors.wanted(log, status(log, 79), settings, 0.0) == Wanted(79, 80)
    assert sensors.wanted(log, status(log, 20), settings, 0.0) == Wanted(20, 70)


def test_an_erasure_is_a_reason_for_a_run(settings, log):
    append(log, 20)
    append(log, 1, "forget")
    assert sensors.wanted(log, status(log, 20), settings, 9.0) == Wanted(20, 21)


def test_served_lists_ask_for_nothing(settings, log):
    append(log, 20)
    append(log, 5, kind="list")
    assert sensors.wanted(log, status(log, 20), settings, 9.0) is None
    append(log, 1)
    assert sensors.wanted(log, status(log, 20), settings, 9.0) == Wanted(20, 26)


def test_what_was_stored_and_not_learnt_comes_first(settings, log):
    append(log, 40)
    assert sensors.wanted(log, status(log, 30, waiting=[(10, 30)]), settings, 0.0) == Wanted(10, 30)


def test_a_ledger_of_another_log_does_not_count(settings, log):
    append(log, 40)
    assert sensors.wanted(log, status(log, 30, log_id="other"), settings, 9.0) == Wanted(0, 40)


@pytest.mark.parametrize("content", [None, b"", b'{"log_id": "', b"[]"])
def test_without_a_status_the_run_finds_out_where_the_ledger_ends(settings, log, content):
    append(log, 40)
    settings.warehouse_path.touch()
    if content is not None:
        settings.status_path.write_bytes(content)
    assert sensors.wanted(log, sensors.read_status(settings), settings, 0.0) == Wanted(0, None)


def test_a_range_that_is_not_done_is_asked_for_as_it_was(log):
    append(log, 60)
    asked = Asked(f"{log.log_id}:20-40", 1, 0.0, 1.0)
    assert sensors.again(Wanted(20, 60), asked, log) == Wanted(20, 40)
    assert sensors.again(Wanted(40, 60), asked, log) == Wanted(40, 60)  # it is done
    assert sensors.again(Wanted(20, 60), asked._replace(what="other:20-40"), log) == Wanted(20, 60)
    assert sensors.again(Wanted(0, None), asked._replace(what=f"{log.log_id}:0-"), log) == Wanted(0, None)


def test_failures_of_one_range_are_tried_again_later_and_later():
    def wait(attempt, what="a", over_at=100.0):
        return sensors.wait_seconds(what, Asked("a", attempt, 99.0, over_at), 100.0, 2.0)

    assert [wait(attempt) for attempt in (1, 2, 3, 4, 50)] == [1.0, 2.0, 4.0, 8.0, sensors.LONGEST_BACKOFF_SECONDS]
    assert wait(4, what="b") == 1.0
    assert sensors.wait_seconds("a", None, 100.0, 2.0) == 0.0


def test_a_tick_asks_once_and_again_only_when_the_run_is_over(settings, log, instance):
    append(log, 30)
    first = tick(instance)
    assert isinstance(first, dg.RunRequest)
    assert first.tags[sensors.RANGE_TAG] == f"{log.log_id}:0-30"
    run = ran(instance, first, dg.DagsterRunStatus.STARTING)
    assert isinstance(tick(instance), dg.SkipReason)
    append(log, 5)
    instance.report_run_failed(run)
    second = tick(instance)
    assert second.tags[sensors.RANGE_TAG] == first.tags[sensors.RANGE_TAG]
    assert second.tags[sensors.ATTEMPT_TAG] == "2"
    assert second.run_key != first.run_key
    ran(instance, second, dg.DagsterRunStatus.SUCCESS)
    status_file.write(settings.status_path, status(log, 30))
    assert tick(instance).tags[sensors.RANGE_TAG] == f"{log.log_id}:30-35"


def test_a_tick_waits_for_the_log_and_ends_in_time(settings, log, instance):
    append(log, 30)
    status_file.write(settings.status_path, status(log, 30))
    began = time.monotonic()
    assert isinstance(tick(instance), dg.SkipReason)
    assert 0.2 < time.monotonic() - began < 2.0


def test_the_range_reaches_the_run(settings, log, instance):
    append(log, 30)
    config = msgspec.to_builtins(tick(instance).run_config)
    assert config["ops"]["tables"]["config"] == {"start": 0, "end": 30}


def test_files_that_landed_are_asked_for_once(settings, instance):
    settings.landing_dir.mkdir()
    assert sensors.files_request(instance, settings) is None
    (settings.landing_dir / "a.csv").write_text("user_id,item_id\nu,i\n")
    request = sensors.files_request(instance, settings)
    assert request.job_name == sensors.COLLECT_FILES
    run = ran(instance, request, dg.DagsterRunStatus.STARTED)
    assert sensors.files_request(instance, settings) is None
    instance.report_run_failed(run)
    assert sensors.files_request(instance, settings).tags[sensors.ATTEMPT_TAG] == "2"


def test_who_is_to_be_forgotten_is_asked_for_without_a_name(settings, log, instance):
    append(log, 5)
    assert sensors.forget_request(instance, log) is None
    forget_jobs.ask(log, "a person", -1)
    assert "their sensor is next" in tick(instance).skip_message
    context = dg.build_sensor_context(instance=instance, sensor_name="forgetting_asked")
    request = sensors.forgetting_asked(context, log=EventLog())
    assert request.job_name == sensors.FORGET_USERS
    assert "a person" not in repr(request)
    run = ran(instance, request, dg.DagsterRunStatus.STARTED)
    assert sensors.forget_request(instance, log) is None
    instance.report_run_failed(run)
    assert sensors.forget_request(instance, log).tags[sensors.ATTEMPT_TAG] == "2"
    forget_jobs.end(log, "a person")
    assert sensors.forget_request(instance, log) is None
