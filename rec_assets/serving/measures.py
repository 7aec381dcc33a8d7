"""What /metrics counts. With several workers the counters add up; gauges tell of the worker that lags most."""

import os
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

CONTENT_TYPE = CONTENT_TYPE_LATEST
SHARED = "PROMETHEUS_MULTIPROC_DIR"  # where the workers of one service keep their counts; BentoML sets it

SECONDS = (0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.1, 0.25, 0.5, 1.0, 2.5)

requests = Counter("rec_requests", "HTTP requests answered", ["route", "status"])
seconds = Histogram("rec_request_seconds", "From the first byte of a request to its answer", ["route"], buckets=SECONDS)
list_seconds = Histogram("rec_list_seconds", "Reading the log, ranking and encoding of one list", buckets=SECONDS)
events = Counter("rec_feedback_events", "Feedback events stored", ["outcome"])
rejected = Counter("rec_rejected_requests", "Requests answered 4xx", ["route", "status"])
swaps = Counter("rec_checkpoint_swaps", "Checkpoints taken up")
swap_failures = Counter("rec_checkpoint_failures", "Checkpoints that could not be loaded; the one before stays")
late = Counter("rec_late_lists", "Lists of popular items, because ranking would have come too late")
lists_dropped = Counter("rec_lists_dropped", "Served lists lost because the spool could not be written")
offset = Gauge("rec_log_offset", "The log is read up to here", multiprocess_mode="livemin")
behind = Gauge("rec_offsets_not_learnt", "Offsets read beyond the served checkpoint's", multiprocess_mode="livemax")
checkpoint_age = Gauge(
    "rec_checkpoint_age_seconds", "Since the promotion of what is served", multiprocess_mode="livemax"
)
weights_seconds = Gauge(
    "rec_weights_seconds", "From the receipt of the last event learnt to its serving", multiprocess_mode="livemax"
)
waited = Gauge(
    "rec_weights_waited_seconds",
    "From receipt to served weights, over the newest micro-batches",
    ["quantile"],
    multiprocess_mode="livemax",
)
promise_broken = Gauge(
    "rec_freshness_promise_broken", "Limits of the promised freshness that do not hold", multiprocess_mode="livemax"
)
queue = Gauge("rec_queue", "Requests that wait", ["thread"], multiprocess_mode="livesum")


def text() -> bytes:
    """All measures of all workers, in the text format of Prometheus."""
    folder = os.environ.get(SHARED)
    if folder is None:
        return generate_latest(REGISTRY)
    for file in Path(folder).glob("gauge_live*_*.db"):
        pid = int(file.stem.rpartition("_")[2])
        if not _lives(pid):  # killed: nobody else takes its gauges away
            multiprocess.mark_process_dead(pid, folder)
    shared = CollectorRegistry()
    multiprocess.MultiProcessCollector(shared, folder)
    return generate_latest(shared)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
