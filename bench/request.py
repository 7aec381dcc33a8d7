"""What one request costs in CPU, all of it but HTTP: state, sources, features, encoder, ranker, the list; what an event
costs the state; what the state needs; and what is lost by looking at eight bits first.

A made-up shop (bench/synthetic.py) of 50,000 and of 1,000,000 items in this process, no pipeline, no HTTP: CPU seconds
of this process by requests, so that a busy machine moves them little.
"""

import argparse
import gc
import os
import time

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", XLA_FLAGS="--xla_cpu_multi_thread_eigen=false")

import environment
import numpy as np
import synthetic
from bars import Bar, at_least, at_most, write

from rec_assets.features import counters, histories, storage
from rec_assets.features.state import LiveState
from rec_assets.models.compile import use_cache
from rec_assets.ranking.expected import exact
from rec_assets.ranking.propose import propose, query_of
from rec_assets.ranking.sources import ENCODER
from rec_assets.serving import making
from rec_assets.serving.clock import LogClock
from rec_assets.serving.listing import Masks
from rec_assets.serving.loading import Served
from rec_assets.serving.making import TOGETHER, Asked
from rec_assets.serving.messages import Control
from rec_assets.serving.rules import Rules
from rec_assets.settings import TrainConfig

LIMITS = {50_000: 4.0, 1_000_000: 20.0}  # ms of CPU a request
K, ROUNDS = 20, 5
HISTORY_EVENTS, HISTORY_USERS = 100_000_000, 1_000_000  # what the memory is told for
GIB = 1 << 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, nargs="*", default=list(LIMITS))
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--users", type=int, default=20_000)
    wanted = parser.parse_args()
    use_cache(environment.ROOT / "data" / "compiled")
    bars: list[Bar] = []
    figures = {}
    for items in wanted.items:
        found, met = one_size(synthetic.Size(items, wanted.users, 50), wanted.requests)
        figures[f"{items} items"] = found
        bars += met
        print(items, found, flush=True)
        gc.collect()
    write("request", bars, **figures)


def one_size(size: synthetic.Size, requests: int) -> tuple[dict[str, object], list[Bar]]:
    """Figures and bars of a catalogue of one size."""
    config = TrainConfig()
    state, event_us = synthetic.state_of(config, size)
    model = synthetic.model_of(config, state)
    catalogue = synthetic.described(state)
    served = Served(state, catalogue, Masks(catalogue), LogClock(round(state.clock * 1e6)), "bench", model)
    rng, rules = np.random.default_rng(3), Rules()
    users = rng.integers(0, size.users, requests).tolist()
    asked = [
        Asked(Control(user_id=f"u{user}", filter="price < 50" if n % 4 == 0 else None), K)
        for n, user in enumerate(users)
    ]

    def made(together: int) -> float:
        """ms of CPU a request, the median of some rounds."""
        spent = []
        for _ in range(ROUNDS):
            began = time.process_time()
            for start in range(0, requests, together):
                making.lists(served, asked[start : start + together], rules, state.clock, True, rng)
            spent.append((time.process_time() - began) / requests * 1e3)
        return float(np.median(spent))

    making.lists(served, asked[:TOGETHER], rules, state.clock, True, rng)  # compiles
    making.lists(served, asked[:1], rules, state.clock, True, rng)
    alone, together = made(1), made(TOGETHER)
    whole = sum(array.nbytes for array in storage.to_tensors(state).values())
    recall, worst = lost(served, users[:50])
    told = {
        "request_ms": alone,
        f"request_ms_{TOGETHER}_together": together,
        "event_us": event_us,
        "events": size.users * size.events_per_user,
        "state_mib": whole / (1 << 20),
        "process_mib": synthetic.resident(),
        "recall_of_expected": recall,
        "largest_difference_of_a_score": worst,
    }
    name = f"{size.items:,} items"
    bars = [
        at_most(f"{name}: one request", alone, LIMITS.get(size.items, 20.0), "ms of CPU"),
        at_most(f"{name}: one event", event_us, 20.0, "µs of CPU"),
        at_least(f"{name}: recall of the encoder's items", recall, 0.99),
    ]
    if size.items == max(LIMITS):
        told |= memory(state, size)
    return told, bars


def lost(served: Served, users: list[int]) -> tuple[float, float]:
    """Recall of the encoder's own candidates beside a product with all vectors in full, and the largest difference of
    a score between the two.
    """
    state, model = served.state, served.model
    assert model is not None
    found, worst = [], 0.0
    vectors, bias = model.items(len(state.items))
    for user in users:
        query = query_of(state, user, state.clock)
        window = histories.history_window(query.items, query.times, query.tags, query.now, model.config.window)
        full = exact((model.users(window, len(state.items)) @ vectors.T + bias)[0])
        near = propose(state, state.counters, query, next(model.expected(window, len(state.items))))
        whole = propose(state, state.counters, query, full)
        ours, theirs = (set(each.items[0, each.source[0] == ENCODER].tolist()) for each in (near, whole))
        found.append(len(ours & theirs) / max(len(theirs), 1))
        if (near.items == whole.items).all():
            scores = [model.rank(each)[0][each.items[0] >= 0] for each in (near, whole)]
            worst = max(worst, float(np.abs(scores[0] - scores[1]).max()))
    return float(np.mean(found)), worst


def memory(state: LiveState, size: synthetic.Size) -> dict[str, float]:
    """What the state needs for HISTORY_EVENTS events of HISTORY_USERS users on this many items, in GiB.

    The bound is every row and ring at its cap, or as many places as so many events can fill, whichever is less; tables
    are at least three eighths full, so that a place in use stands for 8/3 of them at most.
    """
    per_event = {  # places that one event fills at most, bytes of a place, log2 of the cap
        "following": (counters.STEPS, 12, counters.NEXT_BITS),
        "sessions": (2 * (counters.TOGETHER + counters.BEFORE), 8, counters.SESSIONS_BITS),
        "common": (2 * counters.COMMON, 8, counters.COMMON_BITS),
        "visitors": (1, 12, counters.VISITORS_BITS),
    }
    per_user = {"histories": (1, 12, state.history_bits), "seen": (1, 12, counters.SEEN_BITS)}
    bound = {
        name: min(rows << bits, HISTORY_EVENTS * places * 8 // 3) * wide / GIB
        for rows, parts in ((size.items, per_event), (HISTORY_USERS, per_user))
        for name, (places, wide, bits) in parts.items()
    }
    fixed = ("popularity", "items", "content", "averages", "_sum", "_base")
    heads = sum(
        array.nbytes for name, array in storage.to_tensors(state).items() if any(part in name for part in fixed)
    )
    return {f"most_gib_{name}": round(value, 2) for name, value in bound.items()} | {
        "most_gib_by_item": round(heads / GIB, 2),
        "most_gib": round(sum(bound.values()) + heads / GIB, 2),
    }


if __name__ == "__main__":
    main()
