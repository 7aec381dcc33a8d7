"""Whether what came lately looks like what came before it: signs of a broken source, never a reason to stop."""

import itertools
import math
from datetime import datetime, timedelta

import duckdb

from rec_assets.tables import warehouse
from rec_assets.tables.checks import OFFENDERS, Result

PAST_OFFSETS = 50_000  # a range is compared with so many offsets before it
ENOUGH_ROWS, ENOUGH_PAST = 200, 1_000  # fewer say nothing
LEAST_CHANGE = 0.1  # of a share
DEVIATIONS = 5.0  # of a share in a sample of that size
TIMES_USUAL = 10  # so many times more or less than the median hour
HOURS = 24  # compared with
ENOUGH_HOURS = 6
ENOUGH_EVENTS = 100  # in the median hour
PATIENCE = 3  # times its longest pause of the week, a source may be silent
SHARES = """
select
  log_offset >= $start as new, count(*) as rows,
  count(*) filter (value is null) as "value is null", count(*) filter (value_filled) as value_filled,
  count(*) filter (occurred_at_filled) as occurred_at_filled,
  count(*) filter (request_id is null) as "request_id is null", count(*) filter (context is null) as "context is null"
from interactions where log_offset >= $past and log_offset < $end group by new
"""
KINDS = """
select log_offset >= $start as new, event, count(*) from interactions
where log_offset >= $past and log_offset < $end group by all
"""
PER_HOUR = """
select date_trunc('hour', received_at) as received_hour, count(*) from interactions
where received_at >= $first and received_at < $last group by received_hour
"""
SOURCES = """
select source, list(distinct date_trunc('hour', received_at) order by date_trunc('hour', received_at)) as hours,
  max(received_at) as last_at
from interactions where received_at >= $first and received_at <= $now group by source order by source
"""


def kind_mix(con: duckdb.DuckDBPyConnection, start: int, end: int) -> Result:
    """Each kind's share of the interactions of [start, end) is about what it was in the 50,000 offsets before."""
    rows = con.execute(KINDS, _bounds(start, end)).fetchall()
    counts = {new: {event: n for is_new, event, n in rows if is_new == new} for new in (True, False)}
    return _compared(counts[True], sum(counts[True].values()), counts[False], sum(counts[False].values()), "event")


def null_shares(con: duckdb.DuckDBPyConnection, start: int, end: int) -> Result:
    """What may be missing in an event is missing in [start, end) about as often as before."""
    result = con.execute(SHARES, _bounds(start, end))
    names = [column[0] for column in result.description][2:]
    found = {new: (rows, dict(zip(names, counts, strict=True))) for new, rows, *counts in result.fetchall()}
    (rows, counts), (past, before) = found.get(True, (0, {})), found.get(False, (0, {}))
    return _compared(counts, rows, before, past, "what")


def volume(con: duckdb.DuckDBPyConnection, now: int) -> Result:
    """The last whole hour before `now` (µs) brought between a tenth and ten times of the median hour of its day."""
    last = warehouse.timestamp(now).replace(minute=0, second=0, microsecond=0)
    first = last - timedelta(hours=HOURS + 1)
    hours: dict[datetime, int] = dict(con.execute(PER_HOUR, {"first": first, "last": last}).fetchall())
    hour = last - timedelta(hours=1)
    newest = hours.pop(hour, 0)
    median = sorted(hours.values())[len(hours) // 2] if hours else 0
    judged = len(hours) >= ENOUGH_HOURS and median >= ENOUGH_EVENTS
    usual = not judged or median <= newest * TIMES_USUAL <= median * TIMES_USUAL**2
    figures = {"newest_hour": newest, "median_hour": median, "hours": len(hours)}
    return Result(usual, figures, [] if usual else [{"hour": str(hour), "rows": newest, "median": median}])


def sources_fresh(con: duckdb.DuckDBPyConnection, now: int) -> Result:
    """No source that told something in at least 3 hours of the week has been silent for 3 times its longest pause."""
    at = warehouse.timestamp(now)
    rows = con.execute(SOURCES, {"first": at - timedelta(days=7), "now": at}).fetchall()
    silent, judged = [], 0
    for source, hours, last_at in rows:
        if len(hours) < PATIENCE:
            continue
        judged += 1
        longest = max(b - a for a, b in itertools.pairwise(hours))
        if at - last_at > PATIENCE * longest:
            hours_silent = round((at - last_at).total_seconds() / 3_600, 1)
            silent.append({"source": source, "last_at": str(last_at), "silent_hours": hours_silent})
    return Result(not silent, {"sources": judged, "silent": len(silent)}, silent[:OFFENDERS])


def _bounds(start: int, end: int) -> dict[str, int]:
    return {"past": start - PAST_OFFSETS, "start": start, "end": end}


def _compared(new: dict[str, int], rows: int, past: dict[str, int], past_rows: int, name: str) -> Result:
    """A share has changed where it moved by a tenth and by more than chance moves it; few rows say nothing."""
    figures = {"rows": rows, "past_rows": past_rows}
    if rows < ENOUGH_ROWS or past_rows < ENOUGH_PAST:
        return Result(True, figures, [])
    changed = []
    for key in sorted(new.keys() | past.keys()):
        share, before = new.get(key, 0) / rows, past.get(key, 0) / past_rows
        if abs(share - before) > max(LEAST_CHANGE, DEVIATIONS * math.sqrt(before * (1 - before) / rows)):
            changed.append({name: key, "share": round(share, 3), "before": round(before, 3)})
    return Result(not changed, figures, changed[:OFFENDERS])
