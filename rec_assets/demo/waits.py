"""How long events waited to be in the served weights, from the tables of a loop that has stopped."""

import duckdb

from rec_assets.settings import Settings

WAITED = """
with waited as (
  select epoch_us(served_at) / 1e6 - epoch_us(received_at) / 1e6 as seconds
  from interactions left join micro_batches on log_offset >= start_offset and log_offset < end_offset
  where epoch_us(received_at) >= $first and epoch_us(received_at) < $last
)

select count(*), count(seconds), quantile_cont(seconds, [0.5, 0.95, 0.99]) from waited
"""


def waited(settings: Settings, first: int, last: int) -> dict[str, float]:
    """Seconds until served of the events received in [first, last), µs: {"n", "served", "p50_s", "p95_s", "p99_s"}.

    A batch's figure is taken by the next run: the newest batch has none.
    """
    with duckdb.connect(str(settings.warehouse_path), read_only=True) as con:
        [(n, served, quantiles)] = con.execute(WAITED, {"first": first, "last": last}).fetchall()
    names = ("p50_s", "p95_s", "p99_s")
    return {"n": n, "served": served} | (dict(zip(names, quantiles, strict=True)) if served else {})
