"""What the interval of synchronisation is worth: one stream, learnt from every 200 events, served from older copies.

Weights, ranker and counters are copied to what serves every 20,000, 5,000, 1,000 or 200 events, or never (batch-only);
histories are live, as in Monolith's ablation (arXiv 2209.07663). The same for weights and ranker alone, counters live.
Then, without content, a row for each id against ids hashed into half as many rows, as in its figure 7.
"""

import argparse
import os
import time
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import streams
from bars import OUT, Bar, write
from rich.console import Console
from rich.table import Table

from rec_assets import drawing, ranking
from rec_assets.evaluation.stream import Stream
from rec_assets.events import Items
from rec_assets.features import histories, storage
from rec_assets.features import state as live
from rec_assets.features.counters import Counters
from rec_assets.metrics import gains
from rec_assets.settings import TrainConfig
from rec_assets.training import cycle, examples, heads, prequential, warmup
from rec_assets.training.model import Model
from rec_assets.training.popularity import is_first
from rec_assets.training.store import EmbeddingStore

INTERVALS = (20_000, 5_000, 1_000, 200)
STEP = 200  # events that are learnt at once, whatever is served
BATCH_ONLY = 0
HASHED = 2**30
DATA_SETS = ("movielens-1m", "movietweetings-140k")
Found = dict[str, npt.NDArray[np.float64]]  # gains [n] of the same events, by what served


class Copy(NamedTuple):
    """What serves: synchronised last at some event."""

    model: Model
    counters: Counters


class Hashed(EmbeddingStore):
    """Ids share rows: keys are hashed into `buckets` others, from HASHED on, before anything is done with them."""

    buckets = 1

    def admit(self, keys: npt.NDArray[np.int32], now: float = 0.0) -> None:
        super().admit(self.hashed(keys), now)

    def rows(self, keys: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        return super().rows(self.hashed(keys))

    def hashed(self, keys: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        mixed = HASHED + (keys.astype(np.int64) * 2_654_435_761 % 2**32) % self.buckets
        return np.where((keys < 0) | (keys >= HASHED), keys, mixed).astype(np.int32)


def run(
    stream: Stream, first: int, end: int, sample_every: int, intervals: tuple[int, ...], console: Console,
    buckets: int = 0,
) -> Found:  # fmt: skip
    """Learn the rows before `first`, then score and learn up to `end`. Names are "all 200", "weights 200" and so on,
    "weights 0" with weights that learn no more. `buckets` > 0: ids are hashed into so many rows.
    """
    config = TrainConfig()
    state, model = live.init(config, stream.kinds), Model(config)
    if buckets:
        model.store = Hashed(model.store.dim, model.store.seed, model.store.limits)
        model.store.buckets = buckets
    model = warmup.run(state, live.to_arrays(state, stream.parsed(0, first), first), model=model)
    served = dict.fromkeys((*intervals, BATCH_ONLY), Copy(model.copy(), storage.copy_counters(state)))
    found: dict[str, list[npt.NDArray[np.float64]]] = {}
    began = time.monotonic()
    for start in range(first, end, STEP):
        for interval in intervals:
            if (start - first) % interval == 0:
                served[interval] = Copy(model.copy(), storage.copy_counters(state))
        arrays = live.to_arrays(state, stream.parsed(start, min(start + STEP, end)), min(start + STEP, end))
        index = np.flatnonzero(is_first(state, arrays) & ((start + np.arange(len(arrays.user))) % sample_every == 0))
        unknown = state.counters.items.events[arrays.item[index]] == 0
        window = histories.windows(state, arrays, index, config.window)
        logits = {interval: copy.model.logits(window, len(state.items)) for interval, copy in served.items()}
        variants = {
            f"{what} {interval}": (copy.model, logits[interval], counters)
            for interval, copy in served.items()
            for what, counters in (("all", copy.counters), ("weights", state.counters))
        }
        scored = np.zeros(len(arrays.user), bool)
        scored[index] = True
        _, asked, counters = zip(*variants.values(), strict=True)
        observed = heads.observe(model, state, arrays)
        walked = dict(zip(variants, ranking.walk(state, arrays, scored, asked, counters), strict=True))
        for name, candidates in walked.items():
            ranks, _ = prequential.ranked(candidates, variants[name][0].rank(candidates))
            found.setdefault(name, []).append(gains(np.where(unknown, np.inf, ranks), 20))
        own = walked[f"weights {STEP}"]
        rng = np.random.default_rng((config.seed, start))
        choices = examples.thin(own, arrays.user[index], arrays.time[index], rng)
        cycle.learn(model, state, arrays, choices, observed)
        if (start - first) // STEP % 50 == 49:
            console.print(f"{start - first + STEP:,} events in {time.monotonic() - began:.0f} s", style="dim")
    return {name: np.concatenate(parts) for name, parts in found.items()}


def interval_of(values: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean and its 95 % confidence interval over events."""
    mean, half = float(values.mean()), 1.96 * float(values.std(ddof=1)) / len(values) ** 0.5
    return mean, mean - half, mean + half


def slope(found: Found, what: str) -> tuple[float, float, float]:
    """Of NDCG@20 per tenfold shorter interval, with its 95 % confidence interval, each event its own line."""
    x = -np.log10(np.array(INTERVALS, float))
    x = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
    return interval_of(np.stack([found[f"{what} {n}"] for n in INTERVALS], axis=1) @ x)


def plot(name: str, found: Found) -> None:
    figure, [axis] = drawing.figure([f"{name}: NDCG@20 above batch-only, 95 %"])
    for what, colour in (("all", drawing.COLOURS["online"]), ("weights", drawing.COLOURS["known_good"])):
        base = found[f"{what} {BATCH_ONLY}"]
        points = [interval_of(found[f"{what} {n}"] - base) for n in INTERVALS]
        low, high = [mean - low for mean, low, _ in points], [high - mean for mean, _, high in points]
        label = "weights, ranker, counters" if what == "all" else "weights and ranker alone"
        axis.errorbar(INTERVALS, [p[0] for p in points], yerr=(low, high), label=label, color=colour, capsize=3)
    axis.set_xscale("log")
    axis.invert_xaxis()
    axis.set_xlabel("events from one synchronisation to the next")
    axis.axhline(0, color=drawing.COLOURS["frozen"], linewidth=0.8)
    OUT.mkdir(exist_ok=True)
    (OUT / f"sync-{name}.png").write_bytes(drawing.png(figure, [axis]))


def above_zero(name: str, found: tuple[float, float, float]) -> Bar:
    """The lower end of a confidence interval, above 0."""
    return Bar(name, found[1], "> 0", found[1] > 0)


def report(name: str, found: Found, console: Console) -> tuple[list[Bar], dict[str, Any]]:
    """Print what each interval is worth; the bars, and the figures behind them."""
    table, figures = Table("synchronised every", "NDCG@20", "above batch-only, 95 %", "weights alone", title=name), {}
    for n in (*INTERVALS, BATCH_ONLY):
        all_of, alone = found[f"all {n}"], found[f"weights {n}"]
        gain, only = interval_of(all_of - found["all 0"]), interval_of(alone - found["weights 0"])
        cells = [f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]" for mean, low, high in (gain, only)]
        table.add_row(f"{n:,} events" if n else "never", f"{all_of.mean():.4f}", *cells)
        figures[f"{name} {n}"] = {"all": gain, "weights": only, "ndcg20": float(all_of.mean()), "n": len(all_of)}
    console.print(table)
    whole = slope(found, "all")
    figures[f"{name} slope"] = {"all": whole, "weights": slope(found, "weights")}
    bars = [
        above_zero(f"{name}: slope per tenfold shorter interval, lower end", whole),
        above_zero(f"{name}: 200 events against batch-only, lower end", interval_of(found["all 200"] - found["all 0"])),
    ]
    return bars, figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-set", action="append", help=f"may repeat; default: {', '.join(DATA_SETS)}")
    parser.add_argument("--sample-every", type=int, default=8, help="score the events at multiples of it")
    parser.add_argument("--first", type=int, default=0, help="rows learnt at first; 0: half of all")
    parser.add_argument("--rows", type=int, default=0, help="learnt and scored after these; 0: all")
    parser.add_argument("--part", choices=("intervals", "collisions"), help="default: both")
    arguments = parser.parse_args()
    console, bars = Console(), list[Bar]()
    figures: dict[str, Any] = {"load_before": os.getloadavg()[0]}
    for name in arguments.data_set or streams.there_are(*DATA_SETS):
        stream = streams.read(name, console)
        first = arguments.first or len(stream) // 2
        end = min(first + (arguments.rows or len(stream)), len(stream))
        if arguments.part != "collisions":
            found = run(stream, first, end, arguments.sample_every, INTERVALS, console)
            more, of_name = report(name, found, console)
            bars, figures = bars + more, figures | of_name
            plot(name, found)
        if arguments.part != "intervals":
            items = len(set(stream.table["item"].to_pylist()))
            plain = Stream(stream.table, Items.of([]), stream.kinds)
            own, shared = (
                run(plain, first, end, arguments.sample_every, (STEP,), console, buckets) for buckets in (0, items // 2)
            )
            gained = {
                what: interval_of(own[f"{what} {STEP}"] - shared[f"{what} {STEP}"]) for what in ("all", "weights")
            }
            figures[f"{name} collisions"] = gained
            console.print(f"{name}: a row for each id, against {items // 2:,} shared by {items:,}: {gained}")
            bars.append(above_zero(f"{name}: collision-free against half as many rows, lower end", gained["weights"]))
    write("sync", bars, load=os.getloadavg()[0], options=vars(arguments), **figures)


if __name__ == "__main__":
    main()
