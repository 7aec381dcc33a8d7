"""Sources that are asked from time to time: databases, and files elsewhere."""

import json
import time

import dagster as dg

from rec_assets import sensors
from rec_assets.settings import Settings
from rec_assets.sources.assets import Due
from rec_assets.sources.configured import polled

COLLECT_SOURCES = "collect_sources"  # a job


@dg.sensor(job_name=COLLECT_SOURCES, minimum_interval_seconds=5, default_status=dg.DefaultSensorStatus.RUNNING)
def sources_due(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Asks for the sources of rec.toml whose time has come; the cursor says when each was asked for last."""
    now, intervals = time.time(), polled(Settings())
    if not intervals:
        return dg.SkipReason("rec.toml names no database and no files elsewhere: see docs/guides")
    try:
        asked = {str(name): float(at) for name, at in json.loads(context.cursor or "{}").items()}
    except (ValueError, AttributeError):
        asked = {}  # of another version
    due = [name for name, seconds in intervals.items() if asked.get(name, 0.0) + seconds <= now]
    if not due:
        return dg.SkipReason("no source is due")
    if sensors.in_flight(context.instance, COLLECT_SOURCES):
        return dg.SkipReason("sources are being collected")
    asked = {name: now if name in due else asked.get(name, 0.0) for name in intervals}
    request = dg.RunRequest(
        run_key=f"{','.join(due)}/{now:.3f}",
        run_config=dg.RunConfig(ops={"polled_sources": Due(names=due)}),
        tags={sensors.RANGE_TAG: ", ".join(due)[:200]},
    )
    return dg.SensorResult(run_requests=[request], cursor=json.dumps(asked))
