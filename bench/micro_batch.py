"""A micro-batch of MovieTweetings on one core: what testing it and learning it takes.

The live state has taken in all events before. The weights have learnt from few of them and know every item, for what an
update costs goes by how much of everything there is, not by what was learnt.
"""

import os
import time

import numpy as np
import streams
from bars import at_most, write
from rich.console import Console

from rec_assets.features import state as live
from rec_assets.settings import TrainConfig
from rec_assets.training import cycle, heads, prequential, warmup
from rec_assets.training.popularity import is_first

LEARNT, EVENTS, TESTED, TURNS = 6_000, 1_000, 256, 7


def main() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before JAX first computes and counts the cores
    stream = streams.read("movietweetings-140k", Console(stderr=True))
    state = live.init(TrainConfig(), stream.kinds)
    begin = len(stream) - TURNS * EVENTS
    live.take_all(state, live.to_arrays(state, stream.parsed(0, begin - LEARNT), begin - LEARNT))
    model = warmup.run(state, live.to_arrays(state, stream.parsed(begin - LEARNT, begin), begin))
    model.store.admit(np.arange(len(state.items), dtype=np.int32), state.clock)
    model.changed()
    spent, tested_in = [], []
    for start in range(begin, len(stream), EVENTS):
        began, cpu = time.perf_counter(), time.process_time()
        arrays = live.to_arrays(state, stream.parsed(start, start + EVENTS), start + EVENTS)
        first = np.flatnonzero(is_first(state, arrays))
        index = np.sort(np.random.default_rng(start).choice(first, min(TESTED, len(first)), replace=False))
        observed = heads.observe(model, state, arrays)
        tested = prequential.run(model, None, state, arrays, index, ())
        tested_in.append(time.perf_counter() - began)
        cycle.learn(model, state, arrays, tested.choices["online"], observed)
        spent.append((time.perf_counter() - began, time.process_time() - cpu))
        print(len(index), spent[-1], flush=True)
    seconds, cpu = np.median(spent[1:], axis=0).tolist()  # the first compiles
    write(
        "micro_batch",
        [at_most(f"{EVENTS:,} events, {TESTED} tested, one core", cpu, 1.5, "s of CPU")],
        seconds=seconds,
        seconds_to_test=float(np.median(tested_in[1:])),
        items=len(state.items),
        rows=len(model.store),
    )


if __name__ == "__main__":
    main()
