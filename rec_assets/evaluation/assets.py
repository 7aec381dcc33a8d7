"""An evaluation as an asset: a stream of events of one's choice, with table and plots in the metadata."""

from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from rec_assets.settings import Settings

SHOWN = ("n", "hit@10", "hit@20", "ndcg@10", "mrr", "coverage@20", "novelty@20")


class Evaluated(dg.Config):
    """What `rec evaluate` takes."""

    events: str = Field(description="Parquet with user, item, ts (Unix seconds), event, value")
    items: str | None = Field(None, description="Parquet with item, title, genres")
    batches: int = Field(50, ge=1)
    warmup: float = Field(0.5, ge=0.05, le=0.95)
    sample_every: int = Field(1, ge=1)
    repeats: bool = False
    kinds: list[str] | None = None
    systems: list[str] | None = Field(None, description="run only these; all by default")
    seed: int = 0


@dg.asset(group_name="report", kinds={"jax"}, owners=["team:recommender"])
def evaluation(context: dg.AssetExecutionContext, config: Evaluated) -> dg.MaterializeResult[None]:
    """Every system on a file of events, each batch tested before it is learnt: report.json, ranks and plots."""
    # JAX and Matplotlib take seconds to import: only who evaluates pays for them, not the code server.
    from rec_assets import drawing
    from rec_assets.evaluation import runs
    from rec_assets.models.compile import use_cache

    settings = Settings()
    use_cache(settings.data / "compiled")
    folder = settings.data / "evaluations" / context.run.run_id
    folder.mkdir(parents=True, exist_ok=True)
    asked = runs.Asked(
        events=Path(config.events),
        out=folder / "report.json",
        ranks=folder / "ranks.parquet",
        items=Path(config.items) if config.items else None,
        warmup=config.warmup,
        batches=config.batches,
        sample_every=config.sample_every,
        repeats=config.repeats,
        kinds=tuple(config.kinds) if config.kinds else None,
        systems=tuple(config.systems) if config.systems else None,
        seed=config.seed,
    )
    last: list[str] = []

    def tell(what: str, done: float) -> None:
        if last[-1:] != [what]:
            last.append(what)
            context.log.info("%3.0f %%: %s", 100 * done, what)

    report = runs.run(asked, settings.train, tell)
    picture = drawing.markdown((folder / "report.png").read_bytes())
    return dg.MaterializeResult(
        metadata={
            "systems": dg.MetadataValue.md(table(report)),
            "plots": dg.MetadataValue.md(picture),
            "report": dg.MetadataValue.path(asked.out),
            "best_baseline": report["best_baseline"] or "none",
        }
    )


def table(report: dict[str, Any]) -> str:
    """The systems as a Markdown table."""
    lines = ["| system | " + " | ".join(SHOWN) + " |", "|---" * (len(SHOWN) + 1) + "|"]
    for system in report["systems"]:
        cells = [f"{system[name]:,}" if name == "n" else f"{system[name]:.4f}" for name in SHOWN]
        lines.append(f"| {system['system']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
