"""A poisoned micro-batch, ten times as large and with shuffled items, against a twin that never had it: plain calls."""

import argparse
import itertools
import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from bars import at_most, write
from rich.console import Console

from rec_assets import datasets
from rec_assets.demo.stream import Stream
from rec_assets.log import Draft, Log
from rec_assets.settings import Settings
from rec_assets.training.trainer import Learnt, Trainer

TIMES, AFTER = 10, 5  # its volume; the batches after it that are pooled
METRIC = "ndcg@20"


class Batch(NamedTuple):
    """What became of one micro-batch."""

    passed: bool
    reason: str
    dropped: bool
    z: float
    worse: float
    n: float
    metric: float
    seconds: dict[str, float]


def append(log: Log, events: Sequence[dict[str, Any]]) -> None:
    log.append([Draft("event", json.dumps(event).encode(), event["event_id"]) for event in events], "bench")


def poisoned(events: Sequence[dict[str, Any]], users: Sequence[str], rng: np.random.Generator) -> list[dict[str, Any]]:
    """TIMES copies of each event, told of users by chance, or of its own where none are given; items shuffled."""
    many = list(events) * TIMES
    items = [many[i]["item_id"] for i in rng.permutation(len(many)).tolist()]
    told = rng.choice(users, len(many)).tolist() if users else [event["user_id"] for event in many]
    return [
        event | {"event_id": f"poison-{n}", "item_id": item, "user_id": user}
        for n, (event, item, user) in enumerate(zip(many, items, told, strict=True))
    ]


def learn(trainer: Trainer, events: Sequence[dict[str, Any]]) -> tuple[Learnt, Trainer]:
    """As the loop does with a range of the log, whatever became of those before."""
    start = trainer.log.head()
    append(trainer.log, events)
    learnt = trainer.learn(start, trainer.log.head())
    if learnt.gate.passed:
        trainer.registry.promote(learnt.checkpoint_id)
        return learnt, trainer
    trainer.registry.refuse(learnt.checkpoint_id, learnt.gate.reason)
    settings = trainer.settings
    trainer.close()
    return learnt, Trainer.open(settings)


def run(
    data: Path, first: Sequence[Sequence[dict[str, Any]]], poison: tuple[int, list[dict[str, Any]]] | None
) -> list[Batch]:
    """Every batch through test, shadow, gate and promotion; the poison takes the place of its batch."""
    trainer, found = Trainer.open(Settings(data=data)), []
    for number, events in enumerate(first):
        learnt, trainer = learn(trainer, poison[1] if poison is not None and poison[0] == number else events)
        online = learnt.metrics["online"]
        found.append(
            Batch(
                learnt.gate.passed, learnt.gate.reason, learnt.verdict.dropped, learnt.verdict.z, learnt.verdict.share,
                online["n"], online.get(METRIC, float("nan")), learnt.seconds,
            )
        )  # fmt: skip
    trainer.close()
    return found


def pooled(batches: Sequence[Batch]) -> float:
    return sum(each.n * each.metric for each in batches if each.n) / sum(each.n for each in batches)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-set", default="movielens-100k")
    parser.add_argument("--batch", type=int, default=400, help="events")
    parser.add_argument("--before", type=int, default=12, help="good micro-batches before the poisoned one")
    parser.add_argument("--first", type=int, help="events that the first checkpoint learns; default: half of all")
    parser.add_argument("--own-users", action="store_true", help="the poison is told of the batch's own users")
    arguments = parser.parse_args()
    console = Console()
    stream = Stream.read(datasets.fetch(arguments.data_set, Settings().data / "datasets", console))
    count, size = arguments.before + 1 + AFTER, arguments.batch
    bounds = [stream.half + number * size for number in range(count + 1)]
    batches = [[stream.event(row) for row in range(*pair)] for pair in itertools.pairwise(bounds)]
    with tempfile.TemporaryDirectory() as folder:
        data, twin = Path(folder, "poisoned"), Path(folder, "twin")
        trainer = Trainer.open(Settings(data=data))
        head = [stream.event(row) for row in range(stream.half - (arguments.first or stream.half), stream.half)]
        append(trainer.log, head)
        began = time.perf_counter()
        trainer.registry.promote(trainer.learn(0, len(head)).checkpoint_id)
        trainer.close()
        console.print(f"The first checkpoint, of {len(head):,} events, took {time.perf_counter() - began:.0f} s")
        shutil.copytree(data, twin)
        users = [] if arguments.own_users else stream.events["user"][: stream.half].unique().to_pylist()
        poison = poisoned(batches[arguments.before], users, np.random.default_rng(0))
        good, bad = run(twin, batches, None), run(data, batches, (arguments.before, poison))
    tail = bad[arguments.before :]
    caught = next((n for n, each in enumerate(tail) if not each.passed or each.dropped), None)
    for n, each in enumerate(tail):
        console.print(
            f"{n}: gate {each.reason}; shadow z {each.z:.1f}, {each.worse:.1%}{' rolled back' * each.dropped}; "
            f"{METRIC} {each.metric:.4f}, of the twin {good[arguments.before + n].metric:.4f}"
        )
    ours, theirs = pooled(tail[1:]), pooled(good[arguments.before + 1 :])
    alarms = [n for n, each in enumerate(good) if not each.passed or each.dropped]
    console.print(f"twin: refused or rolled back {alarms}, largest z of the shadow {max(each.z for each in good):.1f}")
    bars = [
        at_most("micro-batches until it was stopped", None if caught is None else float(caught), 2),
        at_most(f"pooled {METRIC} of the {AFTER} after it, below the twin's", 1 - ours / theirs, 0.05),
    ]
    figures = {name: [each._asdict() for each in found] for name, found in (("good", good), ("bad", bad))}
    write("poison", bars, load=os.getloadavg()[0], options=vars(arguments), **figures)


if __name__ == "__main__":
    main()
