"""Training throughput of the sequence encoder beside RecTools' SASRec (PyTorch): the same events, width, blocks, heads,
length, catalogue and full softmax, one after the other on the same cores.

The newest events of USERS users of MovieLens 1M, one window each; a position counts where an event is predicted, never
padding. The first pass compiles and is not timed; the two take turns and the median pass counts.
"""

import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import environment
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from bars import at_least, write
from rich.console import Console

from rec_assets import datasets
from rec_assets.models.compile import use_cache
from rec_assets.settings import TrainConfig
from rec_assets.training import online, stretches
from rec_assets.training.model import Model

USERS, TURNS, EPOCHS = 1_500, 2, 3
RATE = (2e-3, 2e-3)


def main() -> None:
    data = environment.ROOT / "data"
    use_cache(data / "compiled")
    config = TrainConfig()
    path = datasets.fetch("movielens-1m", data / "datasets", Console(stderr=True)) / "events.parquet"
    users, items, times = newest(pq.read_table(path), config.window)
    model, rng = Model(config), np.random.default_rng(0)
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "events.npz"
        shape: dict[str, Any] = {
            "width": config.embedding_dim,
            "blocks": config.blocks,
            "heads": config.heads,
            "length": config.window,
        }
        np.savez(given, user=users, item=items, epochs=EPOCHS, **shape)
        for _ in range(TURNS):
            ours += our_passes(model, users, items, times, rng)
            theirs += their_passes(given)
    speed = {"ours": statistics.median(ours), "rectools_sasrec": statistics.median(theirs)}
    ratio = speed["ours"] / speed["rectools_sasrec"]
    bar = at_least("trained positions per second, ours / RecTools' SASRec", ratio, 1.5)
    catalogue = len(np.unique(items))
    write("throughput", [bar], positions_per_second=speed, users=USERS, items=catalogue, ours=ours, theirs=theirs)
    print(f"ours {speed['ours']:,.0f}, RecTools {speed['rectools_sasrec']:,.0f} positions/s, {catalogue:,} items")


def newest(table: pa.Table, length: int) -> tuple[Any, Any, Any]:
    """User, item and seconds of the newest `length` events of the first USERS users, in order."""
    user, item = (
        np.asarray(pc.dictionary_encode(table[name].combine_chunks()).indices, np.int32) for name in ("user", "item")
    )
    order = np.argsort(user, kind="stable")
    ends = np.searchsorted(user[order], user[order], side="right")
    kept = np.sort(order[(ends - np.arange(len(order)) <= length) & (user[order] < USERS)])
    _, items = np.unique(item[kept], return_inverse=True)
    return user[kept], items.astype(np.int32), table["ts"].to_numpy()[kept].astype(float)


def our_passes(model: Model, users: Any, items: Any, times: Any, rng: np.random.Generator) -> list[float]:
    """Positions per second of each pass after the first."""
    speeds, untold = [], np.zeros(len(items), np.int16)
    for _ in range(EPOCHS):
        material = stretches.from_events(users, items, times, untold, model.config.window, rng)
        began = time.perf_counter()
        online.learn_stretches(model, material, RATE, rng)
        speeds.append(material.targets() / (time.perf_counter() - began))
    return speeds[1:]


def their_passes(given: Path) -> list[float]:
    """The same of RecTools, in its own environment."""
    command = [str(environment.python()), str(environment.PEERS / "throughput.py"), str(given)]
    done = subprocess.run(
        command, check=True, env=environment.surroundings(), stdout=subprocess.PIPE, text=True, cwd=given.parent
    )
    found = json.loads(done.stdout.splitlines()[-1])
    return [found["positions"] / seconds for seconds in found["epoch_seconds"][1:]]


if __name__ == "__main__":
    main()
