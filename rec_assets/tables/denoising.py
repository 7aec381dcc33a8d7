"""Rows that stay in the tables but are not learnt from: each names the rule of the policy in `excluded_by`."""

import itertools
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rec_assets.settings import Denoising

HERE = Path(__file__).parent
NEAR = "create or replace temp table near as " + (HERE / "near.sql").read_text()
JUDGE = "create or replace temp table changed as " + (HERE / "denoising.sql").read_text()
STRETCHES = 8  # of time that are looked at apart
# Times are cut into pieces of $reach: what lies further apart than one that is empty has nothing to do with each other.
TIMES = """
select min(first_at), max(last_at) from (
  select first_at, last_at, sum(apart) over (order by piece) as stretch from (
    select *, cast(piece - lag(piece, 1, piece) over (order by piece) > 1 as integer) as apart
    from (
      select min(occurred_at) as first_at, max(occurred_at) as last_at, epoch_us(occurred_at) // $reach_us as piece
      from interactions where log_offset >= $start and log_offset < $end group by piece
    )
  )
) group by stretch order by 1
"""
REWRITE = """
update interactions set excluded_by = changed.rule from changed
where interactions.log_offset = changed.log_offset
  and interactions.log_offset >= $first and interactions.log_offset <= $last
"""
PER_RULE = """
select excluded_by, count(*) from interactions
where log_offset >= $start and log_offset < $end and excluded_by is not null group by excluded_by order by excluded_by
"""
EXCLUDED = """
select log_offset from interactions
where log_offset >= $start and log_offset < $end and excluded_by is not null order by log_offset
"""


def judge(con: duckdb.DuckDBPyConnection, start: int, end: int, policy: Denoising) -> int:
    """Bring `excluded_by` up to date after rows of offsets [start, end) came in; returns how many earlier rows changed.

    Looks at the rows of the same users within two windows of theirs in time, so the cost does not depend on how large
    the table is. The kinds must be registered as the table `kinds`.
    """
    reach = window(policy)
    bounds = {"start": start, "end": end}
    pieces = {"reach_us": max(2 * reach // timedelta(microseconds=1), 1)}
    stretches: list[tuple[datetime, datetime]] = con.execute(TIMES, {**bounds, **pieces}).fetchall()
    earlier = 0
    for first, last in joined(stretches):
        around = {"earliest": first - 2 * reach, "latest": last + 2 * reach}
        times = {"first": first, "last": last, "reach": reach, **around}
        rows_alone = {"agents": policy.crawler_agents, "dwell_seconds": policy.dwell_seconds}
        con.execute(NEAR, {**bounds, **times, **rows_alone})
        con.register("pairs", pa.table({"pair": _repeated(con)}))
        con.execute(JUDGE, {**around, **_parameters(policy)})
        con.unregister("pairs")
        [(rows, low, high, old)] = con.execute(
            "select count(*), min(log_offset), max(log_offset), count(*) filter (log_offset < $start) from changed",
            {"start": start},
        ).fetchall()
        if rows:
            con.execute(REWRITE, {"first": low, "last": high})
        earlier += old
    con.execute("drop table if exists near; drop table if exists changed")
    return earlier


def _repeated(con: duckdb.DuckDBPyConnection) -> npt.NDArray[np.uint64]:
    """The pairs that `near` has more than once; to sort them is quicker than to count them in SQL."""
    pairs = np.sort(con.execute("select pair from near").fetchnumpy()["pair"])
    return np.unique(pairs[1:][pairs[1:] == pairs[:-1]])


def joined(stretches: list[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """At most STRETCHES of them, in order of time, joined where the least time lies between two."""
    gaps = [later - earlier for (_, earlier), (later, _) in itertools.pairwise(stretches)]
    widest = sorted(sorted(range(len(gaps)), key=lambda at: gaps[at], reverse=True)[: STRETCHES - 1])
    firsts, lasts = [0, *(at + 1 for at in widest)], [*widest, len(stretches) - 1]
    return [(stretches[a][0], stretches[b][1]) for a, b in zip(firsts, lasts, strict=True)] if stretches else []


def window(policy: Denoising) -> timedelta:
    """How far before and after a row a rule looks for others."""
    seconds = (
        policy.repeat_seconds, policy.burst_seconds / 2, policy.crawler_seconds / 2, policy.contradiction_seconds
    )  # fmt: skip
    return timedelta(seconds=max(seconds))


def per_rule(con: duckdb.DuckDBPyConnection, start: int, end: int) -> dict[str, int]:
    """How many rows of [start, end) each rule keeps from being learnt from, as far as is known now."""
    return dict(con.execute(PER_RULE, {"start": start, "end": end}).fetchall())


def excluded(con: duckdb.DuckDBPyConnection, start: int, end: int) -> npt.NDArray[np.int64]:
    """The offsets of [start, end) that are not to be learnt from, ascending."""
    rows = con.execute(EXCLUDED, {"start": start, "end": end}).fetchnumpy()
    return np.asarray(rows["log_offset"], np.int64)


def _parameters(policy: Denoising) -> dict[str, object]:
    return {
        "repeat": timedelta(seconds=policy.repeat_seconds),
        "burst": timedelta(seconds=policy.burst_seconds / 2),
        "burst_events": policy.burst_events,
        "few": min(filter(None, (policy.burst_events, policy.crawler_events)), default=1 << 62),
        "pace_us": max(round(1e6 * max(policy.burst_seconds, policy.crawler_seconds)), 1),
        "crawl": timedelta(seconds=policy.crawler_seconds / 2),
        "crawler_events": policy.crawler_events,
        "contradiction": timedelta(seconds=policy.contradiction_seconds),
    }
