"""The report in the asset graph: every hour, as pictures in its metadata."""

from typing import TYPE_CHECKING

import dagster as dg

from rec_assets.registry import Registry
from rec_assets.resources import Checkpoints, Warehouse
from rec_assets.tables import status
from rec_assets.tables.warehouse import microseconds

if TYPE_CHECKING:
    from rec_assets.drawing import Line


@dg.asset(
    deps=["promoted_checkpoint"],
    group_name="report",
    kinds={"matplotlib"},
    owners=["team:recommender"],
    pool="duckdb",
)
def report(warehouse: Warehouse, checkpoints: Checkpoints) -> dg.MaterializeResult[None]:
    """Plots over the micro-batches: metrics of each system, losses, how long events waited, and what came in."""
    # Matplotlib takes its time to import: only who draws pays for it, not the code server.
    from rec_assets import drawing
    from rec_assets.report import plots

    registry = checkpoints.open()
    pointer = registry.pointer()
    histories = losses(registry)
    with warehouse.connect() as con:
        pictures = {
            "metrics": plots.metrics(con),
            "freshness": plots.freshness(con),
            "input_mix": plots.mix(con),
            "micro_batches": plots.sizes(con),
            "losses": plots.losses(histories),
        }
        now = status.build(con, pointer.id if pointer else None, pointer.watermark if pointer else None, microseconds())
    online = now.metrics.get("online", {})
    return dg.MaterializeResult(
        metadata={
            **{
                name: dg.MetadataValue.md("nothing yet" if png is None else drawing.markdown(png))
                for name, png in pictures.items()
            },
            "checkpoint": now.checkpoint or "none",
            "watermark": now.watermark or 0,
            "events": now.events,
            **{f"online_{name}": online[name] for name in ("n", "hit20", "ndcg10") if name in online},
        }
    )


def losses(registry: Registry) -> "dict[str, Line]":
    """The losses on replayed events, of the promoted checkpoint and its kept ancestors, oldest first, by name."""
    from rec_assets.drawing import Line

    promoted = registry.promoted()
    lines: dict[str, Line] = {}
    for manifest in reversed(registry.chain(promoted)) if promoted is not None else ():
        for name, value in manifest.extra.get("gate", {}).get("figures", {}).items():
            if name.endswith("_loss") and value is not None and value == value:
                line = lines.setdefault(name, Line([], []))
                line.x.append(manifest.end)
                line.y.append(float(value))
    return lines
