"""One evaluation from file to files: what `rec evaluate` and the asset run."""

import dataclasses
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rec_assets import durable
from rec_assets.evaluation import leave_one_out, plots, prequential, report
from rec_assets.evaluation import stream as streams
from rec_assets.evaluation.prequential import Progress, nothing_told
from rec_assets.settings import TrainConfig

Protocol = Literal["prequential", "leave-one-out"]
PROTOCOLS: tuple[Protocol, ...] = ("prequential", "leave-one-out")


class Asked(NamedTuple):
    """What is to be evaluated, as the command line has it."""

    events: Path
    out: Path  # report.json; its plots go beside it
    ranks: Path | None = None
    items: Path | None = None
    protocol: Protocol = "prequential"
    warmup: float = 0.5
    batches: int = 50
    sample_every: int = 1
    repeats: bool = False
    kinds: tuple[str, ...] | None = None
    systems: tuple[str, ...] | None = None
    passes: int = 200
    seed: int = 0


def run(asked: Asked, config: TrainConfig, progress: Progress = nothing_told) -> dict[str, Any]:
    """Evaluate, write report, plots and ranks, and return the report.

    ValueError names an argument or a file that is wrong, before anything is trained.
    """
    config = dataclasses.replace(config, seed=asked.seed, repeats=asked.repeats)
    loo = asked.protocol == "leave-one-out"
    every = leave_one_out.SYSTEMS if loo else prequential.SYSTEMS
    systems = chosen(asked.systems or every, every)
    stream = streams.read(asked.events, asked.kinds, asked.items)
    arguments = {"events": str(asked.events), "kinds": asked.kinds, "items": str(asked.items) if asked.items else None}
    if loo:
        few = leave_one_out.Options(asked.passes, systems)
        tested = leave_one_out.run(stream, config, few, progress)
        built = report.build_leave_one_out(tested, stream, config, few, arguments)
        positions, ranks = tested.positions, tested.ranks
    else:
        options = prequential.Options(asked.warmup, asked.batches, asked.sample_every, systems)
        outcome = prequential.run(stream, config, options, progress)
        built = report.build(outcome, stream, config, options, arguments)
        positions = np.concatenate(outcome.positions)
        ranks = outcome.joined()
        durable.replace(asked.out.with_suffix(".png"), plots.png(built))
    if asked.ranks is not None:
        content = pa.BufferOutputStream()
        pq.write_table(report.ranks_table(positions, ranks, stream), content)
        durable.replace(asked.ranks, content.getvalue())
    durable.replace(asked.out, msgspec.json.format(msgspec.json.encode(built), indent=1))  # NaN becomes null
    return built


def chosen(wanted: tuple[str, ...], every: tuple[str, ...]) -> tuple[str, ...]:
    """The systems of these names, in our order; ValueError names one that does not exist."""
    if unknown := [name for name in wanted if name not in every]:
        raise ValueError(f"no system is called {unknown[0]!r}: there are {', '.join(every)}")
    return tuple(name for name in every if name in wanted)
