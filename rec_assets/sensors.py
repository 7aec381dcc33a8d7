"""Three sensors: the log grew, files landed, somebody is to be forgotten. They never look into DuckDB.

What a tick knows is in files, the log and Dagster's own records: status.json says where the ledger ends, the newest
run's tags what was asked for last. So a tick, a run, a worker or the daemon may die at any instant, and the next tick
asks for what is still missing.
"""

import functools
import time
from datetime import UTC, datetime
from typing import NamedTuple

import dagster as dg
from dagster import DagsterRunStatus as RunStatus

from rec_assets.log import Log, forget_jobs
from rec_assets.resources import EventLog
from rec_assets.settings import Settings
from rec_assets.sources import files
from rec_assets.tables import status as status_file
from rec_assets.tables.assets import MicroBatch
from rec_assets.tables.status import Status

MICRO_BATCH, COLLECT_FILES, FORGET_USERS = "micro_batch", "collect_files", "forget_users"  # jobs
POLL_SECONDS = 20.0  # below DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS (60)
PAUSE_SECONDS = 0.05
QUIET_SECONDS = 2.0  # the first micro-batch waits until a file has been taken in to its end
LONGEST_BACKOFF_SECONDS = 60.0
RANGE_TAG, ATTEMPT_TAG = "rec/range", "rec/attempt"
OVER = [RunStatus.SUCCESS, RunStatus.FAILURE, RunStatus.CANCELED]
IN_FLIGHT = [each for each in RunStatus if each not in OVER]


class Wanted(NamedTuple):
    """Offsets to ask for; `end` is None where nobody knows where the ledger ends, so that the run has to find out."""

    start: int
    end: int | None


class Asked(NamedTuple):
    """The newest run of a job: what was asked for, how often, and how it does. Times in seconds since 1970."""

    what: str
    attempt: int
    asked_at: float
    over_at: float | None  # None: queued or running


def read_status(settings: Settings) -> Status | None:
    """status.json; None where it is missing or damaged, which the next run makes good."""
    try:
        return status_file.read(settings.status_path)
    except ValueError:
        return None


def wanted(log: Log, status: Status | None, settings: Settings, quiet_seconds: float) -> Wanted | None:
    """What the log has and the ledger has not, or None. `quiet_seconds`: for how long the log has not grown."""
    if status is None and settings.warehouse_path.exists():
        return Wanted(0, None)
    if status is not None and status.log_id == log.log_id and status.open:
        return Wanted(*status.open[0])
    start = status.end if status is not None and status.log_id == log.log_id else 0
    head = log.head()
    events = log.count_events(start, head) if head > start else 0  # a served list asks for nothing
    if events == 0:
        return None
    if status is None or status.checkpoint is None:
        # A catalogue that came first is nothing to learn from, so kinds are counted, once per head.
        enough = events >= settings.first_events and quiet_seconds >= QUIET_SECONDS
        enough = enough and _count_kind(log, "event", start, head) >= settings.first_events
        return Wanted(start, head) if enough else None
    return Wanted(start, min(head, start + settings.batch_events))


@functools.lru_cache(maxsize=1)
def _count_kind(log: Log, kind: str, start: int, end: int) -> int:
    return log.count(kind, start, end)


def again(want: Wanted, last: Asked | None, log: Log) -> Wanted:
    """The range as it was asked for the last time, if that is not done yet: it is not cut anew."""
    prefix = f"{log.log_id}:{want.start}-"
    if last is None or not last.what.startswith(prefix) or not last.what[len(prefix) :].isdigit():
        return want
    end = int(last.what[len(prefix) :])
    return Wanted(want.start, end) if want.start < end <= log.head() else want


def wait_seconds(what: str, last: Asked | None, now: float, least_seconds: float) -> float:
    """How long to wait before asking: the least time between runs, or longer after failures of the same range."""
    if last is None:
        return 0.0
    wait = last.asked_at + least_seconds - now
    if last.what == what and last.over_at is not None and last.attempt > 1:
        backoff = min(2.0 ** (last.attempt - 1), LONGEST_BACKOFF_SECONDS)
        wait = max(wait, last.over_at + backoff - now)
    return max(wait, 0.0)


def newest(instance: dg.DagsterInstance, job: str) -> Asked | None:
    """The newest run of a job, or None."""
    for record in instance.get_run_records(dg.RunsFilter(job_name=job), limit=1):
        tags, over = record.dagster_run.tags, record.dagster_run.status in OVER
        asked_at = record.create_timestamp.replace(tzinfo=record.create_timestamp.tzinfo or UTC).timestamp()
        return Asked(
            tags.get(RANGE_TAG, ""),
            int(tags.get(ATTEMPT_TAG, "1")),
            asked_at,
            record.end_time or asked_at if over else None,
        )
    return None


def in_flight(instance: dg.DagsterInstance, job: str) -> bool:
    """Whether any run of the job is queued or running, however old."""
    return bool(instance.get_runs(dg.RunsFilter(job_name=job, statuses=IN_FLIGHT), limit=1))


def request(job: str, what: str, last: Asked | None, run_config: dg.RunConfig | None = None) -> dg.RunRequest:
    """Ask for a run. Dagster remembers a run_key for ever, so it counts how often the same was asked for."""
    attempt = last.attempt + 1 if last is not None and last.what == what else 1
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    # The time too: a range may be asked for anew after another one, by a rollback or a reset of the data folder.
    return dg.RunRequest(
        run_key=f"{what}/{attempt}/{at}",
        job_name=job,
        run_config=run_config,
        tags={RANGE_TAG: what, ATTEMPT_TAG: str(attempt)},
    )


def forget_request(instance: dg.DagsterInstance, log: Log) -> dg.RunRequest | None:
    """Ask for those to be forgotten whose job is open, unless that is being done or has just failed. Names nobody."""
    users = forget_jobs.waiting(log)
    if not users or in_flight(instance, FORGET_USERS):
        return None
    what = ", ".join(sorted(forget_jobs.source_of(log, user_id) for user_id in users))[:200]
    last = newest(instance, FORGET_USERS)
    return None if wait_seconds(what, last, time.time(), 0.0) else request(FORGET_USERS, what, last)


def files_request(instance: dg.DagsterInstance, settings: Settings) -> dg.RunRequest | None:
    """Ask for the files that wait in data/landing, unless that is being done or has just failed."""
    waiting = files.waiting(settings.landing_dir)
    if not waiting or in_flight(instance, COLLECT_FILES):
        return None
    what = ", ".join(sorted(path.name for path in waiting))[:200]
    last = newest(instance, COLLECT_FILES)
    return None if wait_seconds(what, last, time.time(), 0.0) else request(COLLECT_FILES, what, last)


@dg.sensor(job_name=MICRO_BATCH, minimum_interval_seconds=1, default_status=dg.DefaultSensorStatus.RUNNING)
def log_grew(context: dg.SensorEvaluationContext, log: EventLog) -> dg.RunRequest | dg.SkipReason:
    """Waits in its tick until the log has grown past the ledger, then asks for a micro-batch; one is in flight."""
    settings, deadline, next_look = Settings(), time.monotonic() + POLL_SECONDS, 0.0
    with log.open() as records:
        head, grew_at = records.head(), time.monotonic()
        while (now := time.monotonic()) < deadline:
            if records.head() != head:
                head, grew_at = records.head(), now
            # A stream that never rests gets its first micro-batch at the tick's end.
            quiet = QUIET_SECONDS if deadline - now < 1.0 else now - grew_at
            if wanted(records, read_status(settings), settings, quiet) is not None:
                found = _micro_batch(context.instance, records, settings, quiet)
                if found is not None:
                    return found
            if now >= next_look:
                next_look = now + 1.0
                if files_request(context.instance, settings) is not None:
                    return dg.SkipReason("files have landed: their sensor is next")
                if forget_request(context.instance, records) is not None:
                    return dg.SkipReason("somebody is to be forgotten: their sensor is next")
            time.sleep(PAUSE_SECONDS)
    return dg.SkipReason(f"the log is at {head}")


def _micro_batch(
    instance: dg.DagsterInstance, log: Log, settings: Settings, quiet_seconds: float
) -> dg.RunRequest | None:
    """A request, unless it is too early for one."""
    last = newest(instance, MICRO_BATCH)
    if (last is not None and last.over_at is None) or in_flight(instance, MICRO_BATCH):
        return None
    # Read again: a run that has just ended wrote it before it ended.
    want = wanted(log, read_status(settings), settings, quiet_seconds)
    if want is None:
        return None
    want = again(want, last, log)
    what = f"{log.log_id}:{want.start}-{'' if want.end is None else want.end}"
    if wait_seconds(what, last, time.time(), settings.batch_seconds):
        return None
    run_config = dg.RunConfig(ops={"tables": MicroBatch(start=want.start, end=want.end)})
    return request(MICRO_BATCH, what, last, run_config)


@dg.sensor(job_name=COLLECT_FILES, minimum_interval_seconds=1, default_status=dg.DefaultSensorStatus.RUNNING)
def files_landed(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Asks for files in data/landing to be taken into the log."""
    return files_request(context.instance, Settings()) or dg.SkipReason("no new file")


@dg.sensor(job_name=FORGET_USERS, minimum_interval_seconds=1, default_status=dg.DefaultSensorStatus.RUNNING)
def forgetting_asked(context: dg.SensorEvaluationContext, log: EventLog) -> dg.RunRequest | dg.SkipReason:
    """Asks for whom DELETE /users/{user_id} named, or an interrupted `rec forget`, to be taken out of all files."""
    with log.open() as records:
        return forget_request(context.instance, records) or dg.SkipReason("nobody is to be forgotten")
