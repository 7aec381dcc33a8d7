"""One peer on one stream: `run.py EVENTS.parquet OUT --peer NAME`, or with --tune its settings from the warm-up half.

Writes OUT.parquet (position, rank) and OUT.json, each beside and renamed, JSON last: what has its JSON is complete.
"""

import argparse
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import protocol
import pyarrow as pa
import pyarrow.parquet as pq
from counting import CoVisitation, Ease, ItemKnn, Popularity, VSknn
from protocol import Events, Options, Peer

from rec_assets import durable, metrics

SEED = 0
TUNED_SHARE, TUNED_WARMUP, TUNED_BATCHES, TUNED_EVENTS = 0.5, 0.7, 3, 1_500


def als(**settings: Any) -> Peer:
    from factors import Als  # each library is imported only where it is used

    return Als(**settings, seed=SEED)


def bpr(**settings: Any) -> Peer:
    from factors import Bpr

    return Bpr(**settings, seed=SEED)


def river(**settings: Any) -> Peer:
    from factors import River

    return River(**settings, seed=SEED)


def sasrec(every: int) -> Callable[..., Peer]:
    def build(**settings: Any) -> Peer:
        from sasrec import SasRec

        return SasRec(every, **settings, seed=SEED)

    return build


# Each peer with the values that are tried for each of its settings.
PEERS: dict[str, tuple[Callable[..., Peer], Mapping[str, tuple[Any, ...]]]] = {
    "popularity": (Popularity, {}),
    "popularity_last_days": (Popularity, {"days": (1, 3, 7, 30)}),
    "popularity_decayed": (Popularity, {"half_life": (200, 1_000, 3_000, 10_000)}),
    "item_knn": (ItemKnn, {"shrink": (0, 10), "fading": (0.9, 0.97), "depth": (30, 100)}),
    "co_visitation": (CoVisitation, {"steps": (1, 3, 5, 10), "smooth": (None, 5)}),
    "v_sknn": (VSknn, {"neighbours": (100, 500), "depth": (10, 30), "rare": (0, 1)}),
    "ease": (Ease, {"penalty": (100, 500), "fading": (0.9, 0.97, 1.0), "most": (4_000,)}),
    "als": (als, {"factors": (64,), "penalty": (0.01, 1.0), "alpha": (1, 10), "fading": (0.95, 1.0)}),
    "bpr": (bpr, {"factors": (64,), "rate": (0.02, 0.05), "penalty": (0.001, 0.01), "passes": (50,)}),
    "river": (river, {"factors": (16,), "rate": (0.02, 0.05), "negatives": (1,)}),
    "sasrec_once": (sasrec(0), {"epochs": (10, 40, 120), "length": (50,), "rate": (1e-3,), "width": (64,)}),
    "sasrec_every_5": (sasrec(5), {"epochs": (10, 40, 120), "length": (50,), "rate": (1e-3,), "width": (64,)}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("events", type=Path)
    parser.add_argument("out", type=Path, help="without a suffix")
    parser.add_argument("--peer", choices=PEERS, required=True)
    parser.add_argument("--tune", action="store_true", help="on the warm-up half alone; OUT.json gets the settings")
    parser.add_argument("--settings", type=json.loads, default={}, help="JSON, as --tune found it")
    parser.add_argument("--batches", type=int, default=50)
    parser.add_argument("--sample-every", type=int, default=1)
    parser.add_argument("--repeats", action="store_true")
    parser.add_argument("--kinds")
    asked = parser.parse_args()
    options = Options(0.5, asked.batches, asked.sample_every, asked.repeats, asked.kinds)
    if asked.tune:
        events = protocol.read(asked.events, options, TUNED_SHARE)
        write(asked.out.with_suffix(".json"), tune(asked.peer, events, options))
        return
    events = protocol.read(asked.events, options)
    began = time.perf_counter()
    result = protocol.run(PEERS[asked.peer][0](**asked.settings), events, options, shown(asked.peer))
    columns = {"position": np.concatenate(result.positions), "rank": np.concatenate(result.ranks)}
    beside = asked.out.with_suffix(f".{os.getpid()}")
    pq.write_table(pa.table(columns), beside)
    beside.rename(asked.out.with_suffix(".parquet"))
    figures = {
        "settings": asked.settings,
        **metrics.summary(columns["rank"]),
        "fit_seconds": sum(result.fit_seconds),
        "score_seconds": result.score_seconds,
        "seconds": time.perf_counter() - began,
    }
    write(asked.out.with_suffix(".json"), figures)


def tune(name: str, events: Events, options: Options) -> dict[str, Any]:
    """The settings with the highest NDCG@10 on the last part of these events, which are the warm-up half."""
    tested = int(len(events) * (1 - TUNED_WARMUP))
    inner = options._replace(warmup=TUNED_WARMUP, batches=TUNED_BATCHES, sample_every=max(1, tested // TUNED_EVENTS))
    build, grid = PEERS[name]
    tried = []
    for values in itertools.product(*grid.values()):
        settings = dict(zip(grid, values, strict=True))
        result = protocol.run(build(**settings), events, inner, shown(f"{name} {settings}"))
        ranks = np.concatenate(result.ranks)
        tried.append(
            {
                "settings": settings,
                "n": len(ranks),
                "hit@20": metrics.hit(ranks, 20),
                "ndcg@10": metrics.ndcg(ranks, 10),
                "fit_seconds": sum(result.fit_seconds),
            }
        )
    best = max(tried, key=lambda one: one["ndcg@10"])
    return {"settings": best["settings"], "tried": tried}


def shown(name: str) -> Callable[[float], None]:
    """Progress on standard error, one line that is written over."""
    began = time.perf_counter()

    def show(done: float) -> None:
        line = f"  {name}: {100 * done:3.0f} %, {time.perf_counter() - began:.0f} s"
        sys.stderr.write(f"\r{line}" if sys.stderr.isatty() else f"{line}\n")
        sys.stderr.write("\n" if done >= 1 and sys.stderr.isatty() else "")
        sys.stderr.flush()

    return show


def write(path: Path, found: dict[str, Any]) -> None:
    """Write JSON beside and rename it."""
    durable.replace(path, (json.dumps(found, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
