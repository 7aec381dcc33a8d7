"""Poisoned micro-batches, ten times as large and with shuffled items, against a twin that never had one: plain calls.

Each seed shuffles in its own way, at a place of its own in the stream; once told of users by chance, once of the
batch's own.
"""

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
import streams
from bars import at_most, write
from rich.console import Console

from rec_assets.log import Draft, Log
from rec_assets.settings import Settings
from rec_assets.training.trainer import Learnt, Trainer

TIMES, AFTER = 10, 5  # its volume; the batches after it that are pooled
APART = 2
OTHERS, OWN = "others", "its own users"
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


class Poisoned(NamedTuple):
    """A poisoned batch and those after it."""

    place: int  # of how many micro-batches before
    told_of: str
    tail: list[Batch]

    def stopped_after(self) -> int | None:
        """Micro-batches from the poisoned one, 0, to the one at which it was refused or rolled back."""
        return next((n for n, each in enumerate(self.tail) if not each.passed or each.dropped), None)

    def below(self, twin: Sequence[Batch]) -> float:
        """By what share the metric, pooled over the batches after it, lies below the twin's."""
        return all_below([self], twin)


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


def batch(learnt: Learnt) -> Batch:
    online = learnt.metrics["online"]
    return Batch(
        learnt.gate.passed, learnt.gate.reason, learnt.verdict.dropped, learnt.verdict.z, learnt.verdict.share,
        online["n"], online.get(METRIC, float("nan")), learnt.seconds,
    )  # fmt: skip


def run(data: Path, batches: Sequence[Sequence[dict[str, Any]]]) -> list[Batch]:
    """Every batch through test, shadow, gate and promotion, from the checkpoint that is promoted there."""
    trainer, found = Trainer.open(Settings(data=data)), []
    for events in batches:
        learnt, trainer = learn(trainer, events)
        found.append(batch(learnt))
    trainer.close()
    return found


def pooled(batches: Sequence[Batch]) -> float:
    return sum(each.n * each.metric for each in batches if each.n) / sum(each.n for each in batches)


def all_below(bad: Sequence[Poisoned], twin: Sequence[Batch]) -> float:
    ours = [one for each in bad for one in each.tail[1:]]
    return 1 - pooled(ours) / pooled([one for each in bad for one in twin[each.place + 1 :][:AFTER]])


def told(each: Poisoned, twin: Sequence[Batch]) -> str:
    lines = [f"after {each.place} batches, told of {each.told_of}:"]
    for n, one in enumerate(each.tail):
        lines.append(
            f"  {n}: gate {one.reason}; shadow z {one.z:.1f}, {one.worse:.1%}{' rolled back' * one.dropped}; "
            f"{METRIC} {one.metric:.4f}, of the twin {twin[each.place + n].metric:.4f}"
        )
    return "\n".join([*lines, f"  pooled {METRIC} of the {AFTER} after it: {each.below(twin):.1%} below the twin's"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-set", default="movielens-100k")
    parser.add_argument("--batch", type=int, default=400, help="events")
    parser.add_argument("--before", type=int, default=12, help="good micro-batches before the first seed's poison")
    parser.add_argument("--seeds", type=int, default=3, help=f"each {APART} micro-batches after the one before")
    parser.add_argument("--first", type=int, help="events that the first checkpoint learns; default: half of all")
    arguments = parser.parse_args()
    console = Console()
    stream = streams.sent(arguments.data_set, console)
    places = {arguments.before + APART * seed: seed for seed in range(arguments.seeds)}
    bounds = [stream.half + number * arguments.batch for number in range(max(places) + AFTER + 2)]
    batches = [[stream.event(row) for row in range(*pair)] for pair in itertools.pairwise(bounds)]
    everyone = stream.events["user"][: stream.half].unique().to_pylist()
    good, bad = list[Batch](), list[Poisoned]()
    with tempfile.TemporaryDirectory() as folder:
        twin, data = Path(folder, "twin"), Path(folder, "poisoned")
        trainer = Trainer.open(Settings(data=twin))
        head = [stream.event(row) for row in range(stream.half - (arguments.first or stream.half), stream.half)]
        append(trainer.log, head)
        began = time.perf_counter()
        trainer.registry.promote(trainer.learn(0, len(head)).checkpoint_id)
        trainer.close()
        console.print(f"The first checkpoint, of {len(head):,} events, took {time.perf_counter() - began:.0f} s")
        for place, events in enumerate(batches):
            for told_of, users in ((OTHERS, everyone), (OWN, [])) if place in places else ():
                shutil.copytree(twin, data)
                poison = poisoned(events, users, np.random.default_rng(places[place]))
                bad.append(Poisoned(place, told_of, run(data, [poison, *batches[place + 1 :][:AFTER]])))
                shutil.rmtree(data)
            good += run(twin, [events])
    for each in bad:
        console.print(told(each, good))
    alarms = [n for n, each in enumerate(good) if not each.passed or each.dropped]
    console.print(f"twin: refused or rolled back {alarms}, largest z of the shadow {max(each.z for each in good):.1f}")
    waits = [each.stopped_after() for each in bad]
    longest = None if None in waits else float(max(wait for wait in waits if wait is not None))
    bars = [at_most(f"micro-batches until it was stopped, the longest of {len(bad)}", longest, 2)]
    for told_of in (OTHERS, OWN):
        below = all_below([each for each in bad if each.told_of == told_of], good)
        bars.append(
            at_most(f"pooled {METRIC} of the {AFTER} after it, told of {told_of}, below the twin's", below, 0.05)
        )
    bars.append(at_most("micro-batches of the twin that were refused or rolled back", float(len(alarms)), 0))
    figures = {
        "good": [each._asdict() for each in good],
        "bad": [each._asdict() | {"tail": [one._asdict() for one in each.tail]} for each in bad],
        "below": [each.below(good) for each in bad],
        "stopped_after": waits,
    }
    write("poison", bars, load=os.getloadavg()[0], options=vars(arguments), **figures)


if __name__ == "__main__":
    main()
