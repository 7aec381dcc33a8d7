"""The report in the asset graph: every hour, as pictures in its metadata."""

import dagster as dg

from rec_assets import drawing
from rec_assets.drawing import Line
from rec_assets.registry import Registry
from rec_assets.report import plots
from rec_assets.resources import Checkpoints, Warehouse
from rec_assets.tables import status
from rec_assets.tables.warehouse import microseconds


@dg.asset(
    deps=["promoted_checkpoint"],
    group_name="report",
    kinds={"matplotlib"},
    owners=["team:recommender"],
    pool="duckdb",
)
def report(warehouse: Warehouse, checkpoints: Checkpoints) -> dg.MaterializeResult[None]:
    """Plots over the micro-batches: metrics of each system, losses, how long events waited, and what came in."""
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
            **{name: _picture(png) for name, png in pictures.items()},
            "checkpoint": now.checkpoint or "none",
            "watermark": now.watermark or 0,
            "events": now.events,
            **{f"online_{name}": online[name] for name in ("n", "hit20", "ndcg10") if name in online},
        }
    )


def losses(registry: Registry) -> dict[str, Line]:
    """The losses on replayed events, of the promoted checkpoint and its kept ancestors, oldest first, by name."""
    promoted = registry.promoted()
    lines: dict[str, Line] = {}
    for manifest in reversed(registry.chain(promoted)) if promoted is not None else ():
        for name, value in manifest.extra.get("gate", {}).get("figures", {}).items():
            if name.endswith("_loss") and value is not None and value == value:
                line = lines.setdefault(name, Line([], []))
                line.x.append(manifest.end)
                line.y.append(float(value))
    return lines


def _picture(png: bytes | None) -> dg.MarkdownMetadataValue:
    if png is None:
        return dg.MetadataValue.md("nothing yet")
    return dg.MetadataValue.md(drawing.markdown(png))
