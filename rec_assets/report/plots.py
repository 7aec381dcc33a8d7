"""What the report shows: figures over micro-batches, drawn from the tables. A plot is a PNG, or None without data."""

from collections.abc import Mapping, Sequence

import duckdb
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rec_assets import drawing
from rec_assets.drawing import COLOURS, Line, smoothed

NEWEST = 500  # micro-batches shown
SMOOTHED = 10  # micro-batches that one point is the mean of
METRICS = """
select end_offset, system, n, hit20, ndcg10, log_loss, more from prequential_metrics
where n > 0 and end_offset >= (
  select coalesce(min(end_offset), 0) from (select end_offset from micro_batches order by end_offset desc limit $newest)
)
order by end_offset
"""
FRESHNESS = """
select end_offset, stage, p50_seconds, p95_seconds from freshness
where end_offset >= (
  select coalesce(min(end_offset), 0) from (select end_offset from micro_batches order by end_offset desc limit $newest)
)
order by end_offset
"""
ROLLED_BACK = """
select start_offset, end_offset from micro_batches
where state = 'skipped' and starts_with(reason, 'rolled back') and end_offset >= $floor order by start_offset
"""
DRIFTED = """
select distinct end_offset from drift_alarms where signal = 'loss' and end_offset >= $floor order by end_offset
"""
SIGNALS = """
select end_offset, signal, n, value from signals
where signal <> 'loss' and end_offset >= (
  select coalesce(min(end_offset), 0) from (select end_offset from micro_batches order by end_offset desc limit $newest)
)
order by end_offset
"""
ALARMS = "select end_offset, signal from drift_alarms where end_offset >= $floor"
SIZES = """
select end_offset, events, rejected, state from micro_batches order by end_offset desc limit $newest
"""


def metrics(con: duckdb.DuckDBPyConnection, newest: int = NEWEST) -> bytes | None:
    """hit@20 and NDCG@10 per system, each event scored before it was learnt from; a mean over some micro-batches.

    What was rolled back is shaded, alarms of drift are dotted."""
    rows = con.execute(METRICS, {"newest": newest}).fetchall()
    if not rows:
        return None
    figure, axes = _figure(("hit@20", "NDCG@10"))
    for axis, column in zip(axes, (3, 4), strict=True):
        for system in COLOURS:
            own = [(row[0], row[2], row[column]) for row in rows if row[1] == system and row[column] is not None]
            _draw(axis, smoothed(own, SMOOTHED), system, COLOURS[system])
        for start, end in con.execute(ROLLED_BACK, {"floor": rows[0][0]}).fetchall():
            axis.axvspan(start, end, color="#9e2a2b", alpha=0.15, linewidth=0)
        for (end,) in con.execute(DRIFTED, {"floor": rows[0][0]}).fetchall():
            axis.axvline(end, color="#e09f3e", linestyle=":", linewidth=1.2)
    return drawing.png(figure, axes)


def mix(con: duckdb.DuckDBPyConnection, newest: int = NEWEST) -> bytes | None:
    """The shares of new users and items and of each kind per micro-batch; alarms of drift are marked."""
    rows = con.execute(SIGNALS, {"newest": newest}).fetchall()
    if not rows:
        return None
    alarms = set(con.execute(ALARMS, {"floor": rows[0][0]}).fetchall())
    figure, axes = _figure(("new users and items", "kinds"))
    for axis, is_kind in zip(axes, (False, True), strict=True):
        for signal in sorted({row[1] for row in rows if row[1].startswith("kind ") == is_kind}):
            own = [(row[0], row[2], row[3]) for row in rows if row[1] == signal]
            line = smoothed(own, SMOOTHED)
            [drawn] = axis.plot(line.x, line.y, label=signal.removeprefix("kind "), linewidth=1.4)
            marked = [(x, y) for x, y in zip(line.x, line.y, strict=True) if (x, signal) in alarms]
            if marked:
                axis.scatter(*zip(*marked, strict=True), color=drawn.get_color(), marker="v")
    return drawing.png(figure, axes)


def freshness(con: duckdb.DuckDBPyConnection, newest: int = NEWEST) -> bytes | None:
    """Seconds from received to promoted and to served: median and 95th percentile per micro-batch."""
    rows = con.execute(FRESHNESS, {"newest": newest}).fetchall()
    if not rows:
        return None
    figure, axes = _figure(("median: seconds from received to …", "95th percentile"))
    colours = {"stored": "#6c757d", "trained": "#e09f3e", "promoted": "#33658a", "served": "#2a9d2a"}
    for axis, column in zip(axes, (2, 3), strict=True):
        for stage, colour in colours.items():
            own = [row for row in rows if row[1] == stage]
            _draw(axis, Line([row[0] for row in own], [row[column] for row in own]), stage, colour)
        axis.set_yscale("log")
    return drawing.png(figure, axes)


def sizes(con: duckdb.DuckDBPyConnection, newest: int = NEWEST) -> bytes | None:
    """Events and rejected records per micro-batch; those whose candidate was refused or passed over are marked."""
    rows = con.execute(SIZES, {"newest": newest}).fetchall()[::-1]
    if not rows:
        return None
    figure, axes = _figure(("accepted events", "rejected records"))
    for axis, column in zip(axes, (1, 2), strict=True):
        _draw(axis, Line([row[0] for row in rows], [row[column] for row in rows]), "", "#33658a")
        marked = [row for row in rows if row[3] in ("refused", "skipped")]
        if marked:
            axis.scatter(
                [row[0] for row in marked], [row[column] for row in marked], color="#9e2a2b", label="not learnt"
            )
    return drawing.png(figure, axes)


def losses(histories: Mapping[str, Line]) -> bytes | None:
    """Losses in nats by name, as the checkpoints have them."""
    if not histories:
        return None
    figure, axes = _figure(tuple(histories))
    for axis, line in zip(axes, histories.values(), strict=True):
        _draw(axis, line, "", "#33658a")
        axis.set_ylabel("nats")
    return drawing.png(figure, axes)


def _figure(titles: Sequence[str]) -> tuple[Figure, list[Axes]]:
    figure, axes = drawing.figure(titles)
    for axis in axes:
        axis.set_xlabel("offset of the log")
        axis.grid(alpha=0.25)
    return figure, axes


def _draw(axis: Axes, line: Line, label: str, colour: str) -> None:
    if line.x:
        axis.plot(
            line.x, line.y, label=label or None, color=colour, linewidth=1.4, marker="." if len(line.x) < 40 else ""
        )
