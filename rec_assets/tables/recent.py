"""What of the newest micro-batches is drawn for operators: the curve, the batches, what was rejected, the sources."""

import duckdb
import msgspec

NEWEST = 500  # micro-batches of the curve
POINTS = 50  # that they become
BATCHES = 60
LOOKED_AT = 200_000  # newest offsets in which rejections are counted and sources looked for
REJECTIONS = 8
DRAWN = ("online", "frozen_weights", "frozen", "popularity")
CURVE = """
with newest as (
  select start_offset, ntile($points) over (order by start_offset) as point
  from (select distinct start_offset from prequential_metrics where n > 0 order by start_offset desc limit $newest)
)

select point, max(end_offset), system, sum(hit20 * n) / sum(n)
from prequential_metrics join newest using (start_offset)
where n > 0 and system in (select unnest($drawn))
group by point, system order by point
"""
NEWEST_BATCHES = """
select
  micro_batches.start_offset, micro_batches.end_offset, state, reason, micro_batches.checkpoint, events, rejected,
  epoch_us(stored_at), epoch_us(promoted_at), p95_seconds
from micro_batches left join freshness on freshness.start_offset = micro_batches.start_offset and stage = 'served'
order by micro_batches.start_offset desc limit $batches
"""
REJECTED = """
select rule, field, count(*), arg_max(reason, log_offset), arg_max(value, log_offset)
from rejected_events where log_offset >= $floor group by rule, field order by count(*) desc, rule, field limit $limit
"""
SOURCES = """
select
  source, count(*), epoch_us(max(received_at)),
  coalesce(median(epoch_us(received_at) - epoch_us(occurred_at)) filter (not occurred_at_filled), 0) / 1e6
from interactions where log_offset >= $floor group by source order by source
"""


class Curve(msgspec.Struct, frozen=True):
    """hit@20 of each system over the newest micro-batches, means over some of them; `offsets` are where these end."""

    offsets: list[int]
    hit20: dict[str, list[float | None]]


class Batch(msgspec.Struct, frozen=True):
    """A micro-batch as the ledger has it. Times in µs since 1970, UTC."""

    start: int
    end: int
    state: str
    reason: str | None
    checkpoint: str | None
    events: int
    rejected: int
    stored_at: int | None
    promoted_at: int | None
    served_p95_s: float | None  # from received to served


class Rejection(msgspec.Struct, frozen=True):
    """What one rule rejected of one field, and the newest example."""

    rule: str
    field: str
    n: int
    reason: str
    value: str


class Source(msgspec.Struct, frozen=True):
    """What a source brought: interactions, the newest (µs since 1970, UTC), and how old they were when they came."""

    name: str
    n: int
    received_at: int
    lag_s: float  # median from occurred to received, of those that say when they occurred


class Recent(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    curve: Curve
    batches: list[Batch]  # in order
    rejections: list[Rejection]  # the most frequent first
    sources: list[Source]


def build(con: duckdb.DuckDBPyConnection, end: int) -> Recent:
    """Read the tables, which reach up to offset `end`."""
    floor = {"floor": end - LOOKED_AT}
    batches = con.execute(NEWEST_BATCHES, {"batches": BATCHES}).fetchall()
    rejected = con.execute(REJECTED, {**floor, "limit": REJECTIONS}).fetchall()
    return Recent(
        curve=_curve(con),
        batches=[Batch(*row) for row in reversed(batches)],
        rejections=[Rejection(*row) for row in rejected],
        sources=[Source(*row) for row in con.execute(SOURCES, floor).fetchall()],
    )


def _curve(con: duckdb.DuckDBPyConnection) -> Curve:
    rows = con.execute(CURVE, {"points": POINTS, "newest": NEWEST, "drawn": list(DRAWN)}).fetchall()
    offsets: dict[int, int] = {}
    for point, offset, _, _ in rows:
        offsets[point] = max(offset, offsets.get(point, 0))
    values = {(point, system): value for point, _, system, value in rows}
    systems = [system for system in DRAWN if any(row[2] == system for row in rows)]
    return Curve(list(offsets.values()), {name: [values.get((point, name)) for point in offsets] for name in systems})
