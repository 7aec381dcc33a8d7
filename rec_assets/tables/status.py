"""data/status.json: where the loop stands, written at the end of a run for pages, operators and the sensor."""

from pathlib import Path

import duckdb
import msgspec

from rec_assets import durable
from rec_assets.durable import NewerFormat
from rec_assets.tables import drift, freshness, recent, warehouse
from rec_assets.tables.recent import Recent

FORMAT_VERSION = 1
ALARMS = 20  # of drift that are shown
POOLED_BATCHES = 100  # the freshness is that of the newest so many micro-batches
POOLED_OFFSETS = 50_000  # and of no more than so many offsets
SCORED = "select system, sum(n) from prequential_metrics where n > 0 group by system order by system"
MEANS = """
select system, figure, sum(value * n) / sum(n)
from (
  unpivot (
    select * exclude (log_id, start_offset, end_offset, checkpoint, more) from prequential_metrics where n > 0
  ) on columns(* exclude (system, n)) into name figure value value
)
group by system, figure order by system, figure
"""


class Skip(msgspec.Struct, frozen=True, array_like=True):
    """Offsets [start, end) that the served weights never learnt from, and why."""

    start: int
    end: int
    reason: str


class Alarm(msgspec.Struct, frozen=True, array_like=True):
    """A change of the stream was seen in offsets [start, end): which signal, the detectors, from what to what."""

    start: int
    end: int
    what: str


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """All of status.json. Times in µs since 1970, UTC."""

    log_id: str | None
    format_version: int
    end: int  # where the next micro-batch begins
    open: list[tuple[int, int]]  # stored, but neither promoted nor passed over yet
    skipped: list[Skip]
    checkpoint: str | None  # promoted
    watermark: int | None  # of that checkpoint
    events: int  # accepted, ever
    rejected: int
    micro_batches: int
    metrics: dict[str, dict[str, float]]  # per system "n" and means over all scored events, e.g. "hit20"
    drift: list[Alarm] = []  # the newest
    promise_broken: list[str] = []  # which limits of the promised freshness the weights' times exceed
    recent: Recent | None = None  # what pages draw
    freshness: dict[str, dict[str, float] | None]  # "weights", "own": {"n", "p50_s", ...}; None: no figure
    updated_at: int


def build(
    con: duckdb.DuckDBPyConnection,
    checkpoint: str | None,
    watermark: int | None,
    now: int,
    own: dict[str, float] | None = None,
) -> Status:
    """Read the tables; `checkpoint` and `watermark` are the registry's pointer, `own` the service's own-list times."""
    totals = "select count(*), coalesce(max(end_offset), 0), coalesce(sum(events), 0), coalesce(sum(rejected), 0)"
    [(lines, end, events, rejected)] = con.execute(totals + " from micro_batches").fetchall()
    waiting = "select start_offset, end_offset from micro_batches where state = 'stored' order by start_offset"
    skipped = """
        select start_offset, end_offset, coalesce(reason, state) from micro_batches
        where state in ('refused', 'skipped') order by start_offset
    """
    return Status(
        log_id=warehouse.log_id(con),
        format_version=FORMAT_VERSION,
        end=int(end),
        open=con.execute(waiting).fetchall(),
        skipped=[Skip(*row) for row in con.execute(skipped).fetchall()],
        checkpoint=checkpoint,
        watermark=watermark,
        events=int(events),
        rejected=int(rejected),
        micro_batches=lines,
        metrics=cumulative(con),
        drift=[Alarm(*row) for row in drift.newest(con, ALARMS)],
        recent=recent.build(con, int(end)),
        freshness={"weights": _weights(con, int(end)), "own": own},
        updated_at=now,
    )


def write(path: Path, status: Status) -> None:
    """Replace status.json at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    durable.replace(path, msgspec.json.format(msgspec.json.encode(status), indent=1))


def read(path: Path) -> Status | None:
    """What the last run wrote, None before the first. ValueError names the file where it is not that."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        version = msgspec.json.decode(content, type=dict[str, msgspec.Raw]).get("format_version")
        if version is not None and int(bytes(version)) > FORMAT_VERSION:
            raise NewerFormat(f"{path} has format {bytes(version).decode()}, this program reads up to {FORMAT_VERSION}")
        return msgspec.json.decode(content, type=Status)
    except msgspec.DecodeError as error:
        raise ValueError(f"{path} cannot be read ({error}): remove it, the next run writes it again") from error


def cumulative(con: duckdb.DuckDBPyConnection) -> dict[str, dict[str, float]]:
    """Per system the means over all scored events of all micro-batches; a figure that no batch had is left out.

    auc is a mean over batches weighted by events, not the auc of the whole.
    """
    figures: dict[str, dict[str, float]] = {}
    for system, n in con.execute(SCORED).fetchall():
        figures[system] = {"n": int(n)}
    for system, figure, value in con.execute(MEANS).fetchall():
        figures[system][figure] = value
    return figures


def _weights(con: duckdb.DuckDBPyConnection, end: int) -> dict[str, float] | None:
    """Of the newest micro-batches, without those that waited for the first checkpoint to be made at all."""
    first = """
        select coalesce(max(end_offset), 0) from micro_batches
        where checkpoint = (select arg_min(checkpoint, start_offset) from micro_batches where checkpoint is not null)
    """
    newest = """
        select coalesce(min(start_offset), 0) from (
          select start_offset from micro_batches where served_at is not null order by start_offset desc limit $newest
        )
    """
    [(after,)] = con.execute(first).fetchall()
    [(floor,)] = con.execute(newest, {"newest": POOLED_BATCHES}).fetchall()
    return freshness.pooled(con, max(after, floor, end - POOLED_OFFSETS), end)
