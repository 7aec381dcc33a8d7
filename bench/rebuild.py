"""A model made anew from all of the log against the one that has learnt online: both on the same events to come."""

import argparse
import os

import numpy as np
import streams
from bars import Bar, write
from rich.console import Console

from rec_assets.features import state as live
from rec_assets.metrics import gains, paired_ratio
from rec_assets.settings import TrainConfig
from rec_assets.training import cycle, heads, prequential, warmup
from rec_assets.training.popularity import is_first

STEP = 400  # events that are learnt online at once
MARGIN = 0.05  # by so much of the online one's NDCG@20 the rebuilt one may be worse


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-set", default="movielens-100k")
    parser.add_argument("--first", type=int, default=0, help="learnt at first; 0: half of all")
    parser.add_argument("--online", type=int, default=20_000, help="then learnt online")
    parser.add_argument("--scored", type=int, default=4_000, help="events after these, learnt by neither")
    arguments = parser.parse_args()
    console, config = Console(), TrainConfig()
    stream = streams.read(arguments.data_set, console)
    first = arguments.first or len(stream) // 2
    middle = first + arguments.online
    end = min(middle + arguments.scored, len(stream))
    state = live.init(config, stream.kinds)
    online = warmup.run(state, live.to_arrays(state, stream.parsed(0, first), first))
    for start in range(first, middle, STEP):
        until = min(start + STEP, middle)
        arrays = live.to_arrays(state, stream.parsed(start, until), until)
        index = np.flatnonzero(is_first(state, arrays))[: config.tested_events]
        observed = heads.observe(online, state, arrays)
        tested = prequential.run(online, None, state, arrays, index, ("online",))
        cycle.learn(online, state, arrays, tested.choices["online"], observed)
    fresh = live.init(config, stream.kinds)  # the same keys: they follow from the order of the log
    rebuilt = warmup.run(fresh, live.to_arrays(fresh, stream.parsed(0, middle), middle))
    rebuilt.content = state.content
    arrays = live.to_arrays(state, stream.parsed(middle, end), end)
    index = np.flatnonzero(is_first(state, arrays))
    tested = prequential.run(online, None, state, arrays, index, ("online",), known_good=rebuilt)
    scored = {name: gains(each.ranks, 20) for name, each in tested.systems.items()}
    ratio, low, high = paired_ratio(scored["known_good"], scored["online"], 0)
    console.print(
        f"NDCG@20 online {scored['online'].mean():.4f}, rebuilt {scored['known_good'].mean():.4f}: "
        f"{ratio:.3f} ({low:.3f} to {high:.3f}), n = {len(index):,}"
    )
    bars = [Bar("rebuilt over online, NDCG@20, lower end of 95 %", low, f">= {1 - MARGIN:g}", low >= 1 - MARGIN)]
    figures = {name: float(each.mean()) for name, each in scored.items()}
    write(
        "rebuild",
        bars,
        ratio=[ratio, low, high],
        n=len(index),
        load=os.getloadavg()[0],
        options=vars(arguments),
        **figures,
    )


if __name__ == "__main__":
    main()
