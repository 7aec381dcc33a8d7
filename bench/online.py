"""Training and checkpoints over a large catalogue: events per second, what the number of rows costs, whether memory
stays flat while ids come and go, the map from keys to rows beside a dict, what a checkpoint of the changed rows costs
beside one of all, and how long the service takes for it. Synthetic events, no tables, no ranker.
"""

import argparse
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from bars import Bar, at_least, at_most, write

from rec_assets.features import state as live
from rec_assets.models.compile import use_cache
from rec_assets.registry import Registry
from rec_assets.settings import KINDS, TrainConfig
from rec_assets.training import batches, checkpoint, keymap, online, stretches
from rec_assets.training.model import Model
from rec_assets.training.scorer import Scorer
from rec_assets.training.stretches import Stretches

ROOT = Path(__file__).parents[1]
RATE = (1e-3, 1e-3)
ADMITTED = 100_000  # keys that are given their rows at once
ASKED = 20_000
TURNS = 5


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--items", type=int, default=1_000_000, help="rows while events per second are counted")
    arguments.add_argument("--rows", type=int, default=10_000_000, help="rows that are held against --few")
    arguments.add_argument("--few", type=int, default=10_000)
    arguments.add_argument("--batches", type=int, default=500, help="micro-batches of constantly new ids")
    arguments.add_argument("--limit", type=int, default=50_000, help="item_rows while ids come and go")
    given = arguments.parse_args()
    use_cache(ROOT / "data" / "compiled")
    bars: list[Bar] = []
    figures: dict[str, Any] = {}
    parts: tuple[Callable[[], Found], ...] = (
        lambda: of_map(given.items),
        lambda: of_speed(given.items),
        lambda: of_checkpoints(given.items),
        lambda: of_rows(given.few, given.rows),
        lambda: of_memory(given.batches, given.limit),
    )
    for part in parts:
        found, more = part()
        bars += found
        figures |= more
        gc.collect()
        print(more, flush=True)
    write("online", bars, **figures, **vars(given))


Found = tuple[list[Bar], dict[str, float]]


def of_map(entries: int) -> Found:
    """Look-ups of the map and of a dict, in turns, CPU nanoseconds a key; bytes an entry."""
    rng = np.random.default_rng(0)
    keys = rng.permutation(10 * entries)[:entries].astype(np.int64)
    rows, asked = np.arange(entries, dtype=np.int32), rng.choice(keys, ASKED)
    table = keymap.empty(entries)
    keymap.insert(table, keys, rows)
    plain = dict(zip(keys.tolist(), rows.tolist(), strict=True))
    ways: dict[str, Callable[[], npt.NDArray[np.int32]]] = {
        "map": lambda: keymap.find(table, asked),
        "dict": lambda: np.fromiter((plain.get(key, -1) for key in asked.tolist()), np.int32, len(asked)),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for name, way in ways.items():
        assert (rows[way()] == way()).all(), name
    for _ in range(TURNS):
        for name, way in ways.items():
            began = time.process_time()
            way()
            taken[name].append((time.process_time() - began) / ASKED * 1e9)
    spent = {f"{name}_ns_a_key": statistics.median(each) for name, each in taken.items()}
    objects = 2 * sys.getsizeof(entries)  # a key and a row, as Python's integers
    spent |= {
        "map_bytes_an_entry": (table.keys.nbytes + table.rows.nbytes) / entries,
        "dict_bytes_an_entry": sys.getsizeof(plain) / entries + objects,
    }
    ratio = spent["dict_ns_a_key"] / spent["map_ns_a_key"]
    return [at_least("look-ups per second, id map / dict", ratio, 1.0)], spent


def of_speed(items: int) -> Found:
    """Events per second of one pass over a micro-batch's stretches, and of all that a micro-batch learns in the end."""
    model, rng = filled(items), np.random.default_rng(1)
    fresh = [micro_batch(rng, 40, 50, items) for _ in range(TURNS + 1)]
    model.replay.add_stretches(fresh[0], rng)
    once, whole = [], []
    for each in fresh:
        began = time.perf_counter()
        online.learn_stretches(model, each, RATE, rng)
        between = time.perf_counter()
        batches.learn_encoder(model, each, model.config.update_passes, rng)
        once.append(each.targets() / (between - began))
        whole.append(each.targets() / (time.perf_counter() - between))
    step, all_of_it = statistics.median(once[1:]), statistics.median(whole[1:])
    bar = at_least(f"events a second, the training step alone, {items:,} items", step, 2_000)
    return [bar], {"step_events_per_second": step, "with_replay_and_all_passes": all_of_it}


def of_checkpoints(items: int) -> Found:
    """Megabytes and seconds of a checkpoint of all rows and of one of those that a micro-batch of 1,000 events changed;
    seconds until the service's new weights stand beside the old ones, from all that is written and from what changed.
    """
    model, state, rng = filled(items), live.init(TrainConfig(), KINDS), np.random.default_rng(4)
    with tempfile.TemporaryDirectory() as folder:
        registry, names, seconds = Registry(Path(folder)), list[str](), list[float]()
        for number in range(TURNS):
            if number:
                batches.learn_encoder(model, micro_batch(rng, 40, 25, items), model.config.update_passes, rng)
            state.offset = number + 1
            parent, began = (names[-1] if names else None), time.perf_counter()
            names.append(checkpoint.save(registry, model, state, parent, number, number + 1, "bench", {}))
            registry.promote(names[-1])
            seconds.append(time.perf_counter() - began)
        written = [
            sum(file.size for path, file in registry.manifest(name).files.items() if "/" not in path) for name in names
        ]
        rows = [sum(each.size for path, each in registry.manifest(n).files.items() if "items" in path) for n in names]
        held, all_of_it, prepared = served(lambda: checkpoint.load_scorer(registry, names[-2]), items)
        _, changed, again = served(lambda: checkpoint.load_scorer(registry, names[-1], held, names[-2]), items)
    figures = {
        "whole_mb": written[0] / 1e6,
        "changed_mb": statistics.median(written[1:]) / 1e6,
        "changed_rows_mb": statistics.median(rows[1:]) / 1e6,
        "whole_write_seconds": seconds[0],
        "changed_write_seconds": statistics.median(seconds[1:]),
        "swap_by_all_seconds": all_of_it,
        "swap_by_changes_seconds": changed,
        "vectors_seconds": statistics.mean([prepared, again]),
    }
    ratio = figures["changed_mb"] / figures["whole_mb"]
    return [at_most(f"bytes of a checkpoint, changed rows / all {items:,}", ratio, 0.1)], figures


def served(load: Callable[[], Scorer], items: int) -> tuple[Scorer, float, float]:
    """The weights, the seconds of loading them, and those until they can answer."""
    began = time.perf_counter()
    scorer = load()
    loaded = time.perf_counter()
    scorer.prepare(items)
    return scorer, loaded - began, time.perf_counter() - loaded


def of_rows(few: int, many: int) -> Found:
    """The same micro-batch learnt by a store with few rows and by one with many, in turns."""
    models = {few: filled(few), many: filled(many)}
    fresh = micro_batch(np.random.default_rng(2), 64, 25, few)
    taken: dict[int, list[float]] = {rows: [] for rows in models}
    for turn in range(2 * TURNS + 1):
        for rows, model in models.items():
            rng, steps = np.random.default_rng(turn), model.row_steps
            began = time.perf_counter()
            online.learn_stretches(model, fresh, RATE, rng)
            taken[rows].append(1e3 * (time.perf_counter() - began) / (model.row_steps - steps))
    spent = {f"step_ms_{rows}_rows": statistics.median(each[1:]) for rows, each in taken.items()}
    ratio = spent[f"step_ms_{many}_rows"] / spent[f"step_ms_{few}_rows"]
    return [at_most(f"step time, {many:,} rows / {few:,} rows", ratio, 1.3)], spent


def of_memory(count: int, limit: int) -> Found:
    """Resident memory after a fifth of the micro-batches, when the store is full, and after all of them."""
    model, rng = filled(limit, limit), np.random.default_rng(3)
    after_some, new = 0.0, limit
    for number in range(count):
        fresh = micro_batch(rng, 8, 25, limit)
        chosen = np.arange(fresh.items.shape[1]) >= fresh.first[:, None]
        ids = np.arange(new, new + chosen.sum(), dtype=np.int32)
        fresh.items[chosen], new = ids, new + len(ids)
        batches.learn_encoder(model, fresh._replace(times=fresh.times + 3_600.0 * number), 1, rng)
        model.replay.add_stretches(fresh, rng)
        assert len(model.store) <= limit
        if number == count // 5:
            after_some = resident()
    figures = {"resident_mb_after_a_fifth": after_some, "resident_mb_at_the_end": resident(), "ids": float(new)}
    ratio = figures["resident_mb_at_the_end"] / after_some
    return [at_most(f"resident memory, after {count} micro-batches of new ids / a fifth", ratio, 1.05)], figures


def filled(rows: int, limit: int | None = None) -> Model:
    """A model whose store has so many rows."""
    model = Model(TrainConfig(item_rows=limit or max(rows, 1)))
    for start in range(0, rows, ADMITTED):
        model.store.admit(np.arange(start, min(start + ADMITTED, rows), dtype=np.int32))
    return model


def micro_batch(rng: np.random.Generator, users: int, events: int, items: int) -> Stretches:
    """`events` new events of each of `users`, behind a full window of older ones; items by a long tail."""
    window = TrainConfig().window
    parts = []
    for user in range(users):
        keys = (items * rng.random(window + events) ** 3).astype(np.int32)
        times = np.cumsum(rng.integers(1, 1_000, window + events)).astype(np.float64)
        parts.append(stretches.cut(user, keys, times, np.zeros(len(keys), np.int16), events, window, batches.TARGETS))
    return stretches.join(parts, window)


def resident() -> float:
    """Resident memory of this process now, MB."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
