"""What became of a micro-batch after it was stored, in the ledger, and its metrics. Running again changes nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import msgspec
import pyarrow as pa

from rec_assets.tables import warehouse
from rec_assets.tables.warehouse import microseconds, timestamp

FIGURES = (
    *(f"{name}{k}" for name in ("hit", "recall", "precision", "f1_") for k in (1, 5, 10, 20, 50)),
    "ndcg10",
    "ndcg20",
    "mrr",
    "accuracy",
    "auc",
    "log_loss",
)
PLACE = ("start_offset", pa.int64()), ("end_offset", pa.int64()), ("checkpoint", pa.string()), ("system", pa.string())
MEASURED_SCHEMA = pa.schema(
    [*PLACE, ("n", pa.int64()), *((name, pa.float64()) for name in FIGURES), ("more", pa.string())]
)
TRAINED = """
update micro_batches set checkpoint = $checkpoint, trained_at = $at
where start_offset >= $start and end_offset <= $end
"""
PROMOTED = """
update micro_batches set state = 'promoted', reason = null, checkpoint = $checkpoint, promoted_at = $at
where start_offset >= $start and end_offset <= $end
"""
PASSED_OVER = """
update micro_batches
set state = $state, reason = $reason, checkpoint = coalesce($checkpoint, checkpoint), promoted_at = null
where start_offset >= $start and end_offset <= $end
"""
FORGET = "delete from prequential_metrics where start_offset >= $start and end_offset <= $end"
MEASURED = "insert into prequential_metrics by name select log_id, measured.* from measured cross join warehouse"


def trained(
    con: duckdb.DuckDBPyConnection,
    start: int,
    end: int,
    checkpoint: str,
    metrics: Mapping[str, Mapping[str, float]],
    at: int | None = None,
) -> None:
    """A candidate was learnt from all micro-batches in [start, end) after these figures per system were taken.

    Figures are named as metrics.py does, e.g. "hit@20"; "n" is how many events were scored. `at` in µs, default now.
    """
    with warehouse.transaction(con):
        _update(con, TRAINED, start, end, checkpoint=checkpoint, at=_moment(at))
        con.execute(FORGET, {"start": start, "end": end})
        if metrics:
            place = {"start_offset": start, "end_offset": end, "checkpoint": checkpoint}
            rows = [place | {"system": system} | _metrics_row(figures) for system, figures in metrics.items()]
            con.register("measured", pa.Table.from_pylist(rows, MEASURED_SCHEMA))
            con.execute(MEASURED)
            con.unregister("measured")


def promoted(con: duckdb.DuckDBPyConnection, start: int, end: int, checkpoint: str, at: int | None = None) -> None:
    """The candidate that was learnt from [start, end) is what is served; `at` is promoted_at of the registry, in µs."""
    _update(con, PROMOTED, start, end, checkpoint=checkpoint, at=_moment(at))


def refused(con: duckdb.DuckDBPyConnection, start: int, end: int, checkpoint: str, reason: str) -> None:
    """The gate refused the candidate: nothing served ever learns from [start, end), unless it is asked to."""
    _update(con, PASSED_OVER, start, end, state="refused", reason=reason, checkpoint=checkpoint)


def skipped(con: duckdb.DuckDBPyConnection, start: int, end: int, reason: str) -> None:
    """[start, end) is passed over without a candidate, or what was learnt from it was rolled back."""
    _update(con, PASSED_OVER, start, end, state="skipped", reason=reason, checkpoint=None)


def settle(
    con: duckdb.DuckDBPyConnection,
    checkpoint: str,
    learnt: Sequence[tuple[int, int]],
    promoted_at: int,
    reason: str = "rolled back",
) -> dict[str, list[tuple[int, int]]]:
    """Bring the ledger in line with the promoted checkpoint, after a kill between the two or a change by hand.

    `learnt` are the offsets that the checkpoint's chain has learnt, as its manifest has them. Lines within them become
    promoted, promoted ones outside of them skipped for that `reason`; both are returned.
    """
    rows = con.execute("select start_offset, end_offset, state from micro_batches order by start_offset").fetchall()
    changed: dict[str, list[tuple[int, int]]] = {"promoted": [], "skipped": []}
    for start, end, state in rows:
        inside = any(low <= start and end <= high for low, high in learnt)
        if inside and state != "promoted":
            promoted(con, start, end, checkpoint, promoted_at)
            changed["promoted"].append((start, end))
        elif not inside and state == "promoted":
            skipped(con, start, end, reason)
            changed["skipped"].append((start, end))
    return changed


def _update(con: duckdb.DuckDBPyConnection, sql: str, start: int, end: int, **values: Any) -> None:
    [(lines,)] = con.execute(sql, {"start": start, "end": end, **values}).fetchall()
    if lines == 0:
        raise LookupError(f"the ledger of log {warehouse.log_id(con)} has no micro-batch within [{start}, {end})")


def _moment(at: int | None) -> Any:
    return timestamp(microseconds() if at is None else at)


def _metrics_row(figures: Mapping[str, float]) -> dict[str, Any]:
    """Columns of prequential_metrics from {"n": 3, "hit@20": .5}; others go to `more`, nan becomes null."""
    row: dict[str, Any] = {}
    more: dict[str, float] = {}
    for name, value in figures.items():
        column = name.replace("f1@", "f1_").replace("@", "")
        if column == "n":
            row["n"] = int(value)
        elif column in FIGURES:
            row[column] = None if value != value else float(value)
        else:
            more[column] = value
    row.setdefault("n", 0)
    return row | {"more": msgspec.json.encode(more).decode() if more else None}
