"""How events arrive: out of order, and how long after they occurred, per source."""

from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

LAG = """
select source, count(*), quantile_cont(epoch_us(received_at) / 1e6 - epoch_us(occurred_at) / 1e6, [0.5, 0.95, 1.0])
from interactions where log_offset >= $start and log_offset < $end and not occurred_at_filled
group by source order by source
"""


def late(occurred_at: npt.NDArray[np.int64], clock: int | None) -> npt.NDArray[np.bool_]:
    """Which of the events, in the order of the log, occurred before something that an earlier one told of.

    Times in µs; `clock` is the latest occurred_at of all events before these, None where there are none.
    """
    told = np.concatenate([[np.iinfo(np.int64).min if clock is None else clock], occurred_at[:-1]])
    return np.asarray(occurred_at < np.maximum.accumulate(told), np.bool_)


def lag(con: duckdb.DuckDBPyConnection, start: int, end: int) -> Iterator[dict[str, Any]]:
    """Per source of [start, end): its dated interactions and the p50, p95 and longest time until received, seconds."""
    for source, rows, (p50, p95, longest) in con.execute(LAG, {"start": start, "end": end}).fetchall():
        yield {"source": source, "rows": rows, "p50_s": p50, "p95_s": p95, "max_s": longest}
