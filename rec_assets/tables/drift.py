"""Whether the stream turns: detectors over the loss and the input mix of the newest micro-batches.

What a detector has seen is a column of the tables, so it is asked anew each time: a restart forgets nothing, and a
micro-batch that is written again changes nothing. A detector costs less than a microsecond a value.
"""

from collections.abc import Sequence
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa

from rec_assets.tables import warehouse

NEWEST = 500  # micro-batches that a detector is shown
LEAST = 40  # fewer say nothing
LEAST_SPREAD = 0.005  # of a signal that hardly moves
SPREADS = 16  # of these lie between 0 and 1, as the detectors are shown a signal
LOSS = "loss"
MEASURE = """
with batch as (
  select user_id, item_id, event, occurred_at from interactions where log_offset >= $start and log_offset < $end
),

mix as (
  select 'kind ' || event as signal, count(*) / sum(count(*)) over () as value, sum(count(*)) over () as n
  from batch group by event
  union all
  select 'new users', count(*) filter (first_at = occurred_at) / count(*), count(*)
  from batch join users using (user_id)
  union all
  select 'new items', count(*) filter (first_at = occurred_at) / count(*), count(*)
  from batch join items using (item_id)
  union all
  select 'loss', 1 - ndcg10, n from prequential_metrics
  where start_offset = $start and end_offset = $end and system = 'online' and n > 0
)

insert into signals by name
select $start as start_offset, $end as end_offset, signal, value, cast(n as bigint) as n
from mix where value is not null
"""
SERIES = """
with newest as (
  select distinct start_offset from signals where start_offset <= $start order by start_offset desc limit $newest
)

select signal, coalesce(value, 0) from (select distinct signal from signals where start_offset = $start) as asked
cross join newest left join signals using (start_offset, signal)
where signal <> 'loss' or value is not null
order by signal, start_offset
"""


class Alarm(NamedTuple):
    """A detector saw a signal change: its mean over the last batches, and before them."""

    signal: str
    detector: str
    before: float
    now: float


def watch(con: duckdb.DuckDBPyConnection, start: int, end: int) -> list[Alarm]:
    """Measure the micro-batch [start, end), which has been tested, and note the alarms that it raises."""
    bounds = {"start": start, "end": end}
    with warehouse.transaction(con):
        for table in ("signals", "drift_alarms"):
            con.execute(f"delete from {table} where start_offset >= $start and end_offset <= $end", bounds)  # noqa: S608
        con.execute(MEASURE, bounds)
        series: dict[str, list[float]] = {}
        for signal, value in con.execute(SERIES, {"start": start, "newest": NEWEST}).fetchall():
            series.setdefault(signal, []).append(value)
        alarms = [alarm for signal, values in series.items() for alarm in changed(signal, values)]
        if alarms:
            rows = [{"start_offset": start, "end_offset": end, **alarm._asdict()} for alarm in alarms]
            con.register("raised", pa.Table.from_pylist(rows))
            con.execute("insert into drift_alarms by name select * from raised")
            con.unregister("raised")
    return alarms


def changed(signal: str, values: Sequence[float]) -> list[Alarm]:
    """The detectors that see a change at the last of the values, oldest first; each lies between 0 and 1."""
    if len(values) < LEAST:
        return []
    from river.drift import ADWIN, PageHinkley  # two seconds: only who detects pays for it

    shown = steady(np.array(values))
    detectors = {
        "ADWIN": ADWIN(clock=1),  # type: ignore[no-untyped-call]
        "Page-Hinkley": PageHinkley(min_instances=LEAST // 2, delta=0.5 / SPREADS, threshold=12 / SPREADS),
    }
    alarms = []
    for name, detector in detectors.items():
        for value in shown.tolist():
            detector.update(value)
        if detector.drift_detected:
            recent = max(len(values) // 20, 5)
            before, now = float(np.mean(values[:-recent])), float(np.mean(values[-recent:]))
            alarms.append(Alarm(signal, name, before, now))
    return alarms


def steady(values: np.ndarray) -> np.ndarray:
    """In units of its own noise, told by what changes from one value to the next, around the median; in [0, 1]."""
    spread = max(float(np.median(np.abs(np.diff(values)))) / 0.954, LEAST_SPREAD)
    shown: np.ndarray = np.clip(0.5 + (values - np.median(values)) / (SPREADS * spread), 0.0, 1.0)
    return shown


def newest(con: duckdb.DuckDBPyConnection, limit: int) -> list[tuple[int, int, str]]:
    """The newest micro-batches with alarms and what these are, in order."""
    rows = con.execute(
        """
        select start_offset, end_offset, signal || ' (' || string_agg(detector, ', ' order by detector) || '): '
          || round(any_value(before), 3) || ' to ' || round(any_value("now"), 3)
        from drift_alarms group by start_offset, end_offset, signal order by start_offset desc limit $limit
        """,
        {"limit": limit},
    ).fetchall()
    return rows[::-1]


def recent(con: duckdb.DuckDBPyConnection, batches: int) -> bool:
    """Whether one of so many newest micro-batches raised an alarm of the loss."""
    query = """
        select count(*) > 0 from drift_alarms where signal = 'loss' and start_offset >= (
          select coalesce(min(start_offset), 0)
          from (select start_offset from micro_batches order by start_offset desc limit $batches)
        )
    """
    [(found,)] = con.execute(query, {"batches": batches}).fetchall()
    return bool(found)
