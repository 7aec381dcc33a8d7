"""Updating beside training from scratch, on MovieLens 100K: `make bench-updating`.

The first half trains, then each micro-batch of the second half is tested and learnt. At RETRAINED of these a second
model is trained from scratch on all events so far, and both are tested on the same next TESTED micro-batches, neither
learning anything of them before the test of the last.
"""

import copy
import time

import numpy as np
import numpy.typing as npt
import streams
from bars import at_least, at_most, write
from rich.console import Console

from rec_assets import metrics
from rec_assets.evaluation.stream import Stream
from rec_assets.features import state as live
from rec_assets.features.state import LiveState
from rec_assets.settings import TrainConfig
from rec_assets.training import cycle, heads, prequential, warmup
from rec_assets.training.model import Model
from rec_assets.training.popularity import is_first

BATCHES, TESTED = 50, 2
RETRAINED = (16, 32, 48)  # before these micro-batches

console = Console(stderr=True)


def main() -> None:
    stream = streams.read("movielens-100k", console)
    bounds = np.linspace(len(stream) // 2, len(stream), BATCHES + 1).astype(int).tolist()
    model, state, _ = trained(stream, bounds[0])
    updates, retrainings = list[float](), list[float]()
    ours, theirs = [], []
    for number in range(BATCHES):
        if number in RETRAINED:
            end = bounds[number + TESTED]
            again, its_state, seconds = trained(stream, bounds[number])
            retrainings.append(seconds)
            theirs.append(ranks(again, its_state, stream, bounds[number], end))
            ours.append(ranks(model, copy.deepcopy(state), stream, bounds[number], end))
            console.print(f"before batch {number}: from scratch {seconds:.0f} s, an update {np.mean(updates):.2f} s")
        updates.append(update(model, state, stream, bounds[number], bounds[number + 1]))
    report(updates, retrainings, np.concatenate(ours), np.concatenate(theirs))


def trained(stream: Stream, end: int) -> tuple[Model, LiveState, float]:
    """A model and its live state from the first events, and the seconds it took."""
    state = live.init(TrainConfig(), stream.kinds)
    arrays = live.to_arrays(state, stream.parsed(0, end), end)
    began = time.perf_counter()
    return warmup.run(state, arrays), state, time.perf_counter() - began


def ranks(model: Model, state: LiveState, stream: Stream, start: int, end: int) -> npt.NDArray[np.float64]:
    """Of the items of events [start, end), by the list as it would have been just before each; the weights stay."""
    arrays = live.to_arrays(state, stream.parsed(start, end), end)
    index = np.flatnonzero(is_first(state, arrays))
    return prequential.run(model, None, state, arrays, index, ()).systems["online"].ranks


def update(model: Model, state: LiveState, stream: Stream, start: int, end: int) -> float:
    """Test and learn a micro-batch, in place; the seconds of learning, the live state's part included."""
    arrays = live.to_arrays(state, stream.parsed(start, end), end)
    index = np.flatnonzero(is_first(state, arrays))[:: max(1, (end - start) // model.config.tested_events)]
    began = time.perf_counter()
    observed = heads.observe(model, state, arrays)
    watched = time.perf_counter() - began
    tested = prequential.run(model, None, state, arrays, index, ())
    began = time.perf_counter()
    cycle.learn(model, state, arrays, tested.choices["online"], observed)
    return tested.seconds["online"] + watched + time.perf_counter() - began


def report(
    updates: list[float], retrainings: list[float], ours: npt.NDArray[np.float64], theirs: npt.NDArray[np.float64]
) -> None:
    """Costs and quality, and their bars."""
    cost = float(np.median(updates)) / float(np.mean(retrainings))
    quality = {
        "hit@20": metrics.paired_ratio((ours <= 20).astype(float), (theirs <= 20).astype(float), seed=0),
        "ndcg@10": metrics.paired_ratio(metrics.gains(ours, 10), metrics.gains(theirs, 10), seed=0),
    }
    bars = [at_most("an update / training from scratch, seconds", cost, 1 / 20)]
    for figure, (ratio, low, high) in quality.items():
        console.print(f"updated / from scratch, {figure}: {ratio:.3f} ({low:.3f} to {high:.3f}), n = {len(ours):,}")
        bars.append(at_least(f"updated / from scratch, {figure}, high end of the interval", high, 1.0))
    figures = {"updated": metrics.summary(ours), "from_scratch": metrics.summary(theirs), "ratio": quality}
    write("updating", bars, update_seconds=updates, from_scratch_seconds=retrainings, **figures)


if __name__ == "__main__":
    main()
