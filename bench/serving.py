"""The service under load: `rec serve` with two workers, the load generator on the same machine.

Lists of 20 over a made-up shop (bench/synthetic.py), for users with 50 events each, a filter on every fourth request;
hello is the mounted route GET /hello of the same service. CPU a request is that of the workers. Checkpoints are
promoted one after the other, each with a thousand changed rows; every worker loads, warms and takes them up.
The peer (bench/peer_service.py) and the service beside it have learnt from the same MovieLens events.
"""

import argparse
import json
import statistics
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import environment
import hosting
import load
import numpy as np
import peer_service
import synthetic
from bars import Bar, at_least, at_most, write
from load import Answers

from rec_assets.log import Draft, Log
from rec_assets.registry import Registry
from rec_assets.settings import Settings
from rec_assets.training import checkpoint

PARTS = ("load", "swaps", "million", "peer")
WORKERS, K, USERS, EVENTS = 2, 20, 5_000, 50
CHANGED_ROWS = 1_000  # of each checkpoint that is promoted
HELLO = [load.get("/hello")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--many-items", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each load")
    parser.add_argument("--windows", type=int, default=10, help="of load, without swaps and with them in turn")
    parser.add_argument("--window-seconds", type=float, default=30.0)
    parser.add_argument("--swaps", type=int, default=6, help="promotions in each window that has them")
    wanted = parser.parse_args()
    bars: list[Bar] = []
    figures: dict[str, Any] = {}

    def note(name: str, found: dict[str, Any], met: list[Bar]) -> None:
        print(json.dumps({name: found}, indent=2), flush=True)
        figures[name] = found
        bars.extend(met)

    if {"load", "swaps"} & {*wanted.parts}:
        with shop(wanted.items) as settings, hosting.service(settings, WORKERS) as port:
            load.run(port, wishes(), 16, min(wanted.seconds, 5))
            if "load" in wanted.parts:
                note("load", *usual(port, wanted.seconds))
            if "swaps" in wanted.parts:
                chain = successors(settings, wanted.windows // 2 * wanted.swaps)
                swaps = Swaps(settings, chain, wanted.window_seconds / wanted.swaps)
                note("swaps", *swapping(swaps, port, wanted.windows, wanted.window_seconds))
    if "million" in wanted.parts:
        with shop(wanted.many_items) as settings, hosting.service(settings, WORKERS) as port:
            load.run(port, wishes(), 4, min(wanted.seconds, 5))
            note("million", *large(port, wanted.seconds))
    if "peer" in wanted.parts:
        note("peer", *peer_service.beside(K, wanted.seconds))
    write("serving", bars, **figures)


@contextmanager
def shop(items: int) -> Iterator[Settings]:
    """An installation with so many items and a promoted checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder), workers=WORKERS)
        environment.share_compiled(settings.data)
        synthetic.install(settings, synthetic.Size(items, USERS, EVENTS))
        yield settings


def wishes() -> list[bytes]:
    """Requests of many users; a quarter of them with a filter that half of the catalogue passes."""
    found: list[bytes] = []
    for user in range(0, USERS, 3):
        wish: dict[str, object] = {"user_id": f"u{user}", "k": K}
        if len(found) % 4 == 0:
            wish["filter"] = "price < 50"
        found.append(load.post("/recommend", json.dumps(wish).encode()))
    return found


def usual(port: int, seconds: float) -> tuple[dict[str, Any], list[Bar]]:
    """hello and lists at 1, 16 and 64 connections."""
    processes, lists = hosting.pids(port, WORKERS), wishes()
    found: dict[str, Any] = {}
    answers: dict[tuple[str, int], Answers] = {}
    for connections in (1, 16, 64):
        for name, requests in (("hello", HELLO), ("recommend", lists)):
            before = hosting.cpu_seconds(processes)
            got = answers[name, connections] = load.run(port, requests, connections, seconds)
            cost = (hosting.cpu_seconds(processes) - before) / max(len(got.latencies), 1) * 1e3
            found[f"{name}, {connections} connections"] = got.told() | {"cpu_ms": round(cost, 3)}
    found["memory_mib"] = {pid: synthetic.resident(pid) for pid in processes}
    ratio = answers["recommend", 64].per_second / answers["hello", 64].per_second
    slower = answers["recommend", 16].ms(99) - answers["hello", 16].ms(99)
    bars = [
        at_most("CPU of a request at 64 connections", found["recommend, 64 connections"]["cpu_ms"], 2.5, "ms"),
        at_least("requests/s, recommend / hello, 64 connections", ratio, 0.15),
        at_most("p50 at 1 connection", answers["recommend", 1].ms(50), 4, "ms"),
        at_most("p99 at 1 connection", answers["recommend", 1].ms(99), 15, "ms"),
        at_most("p99 at 16 connections above hello's", slower, 25, "ms"),
        at_most("failed requests", sum(each.failed for each in answers.values()), 0),
    ]
    return found, bars


def large(port: int, seconds: float) -> tuple[dict[str, Any], list[Bar]]:
    """A million items, 4 connections."""
    lists = wishes()
    hello, got = load.run(port, HELLO, 4, seconds), load.run(port, lists, 4, seconds)
    memory = {pid: synthetic.resident(pid) for pid in hosting.pids(port, WORKERS)}
    largest = max(each["rss"] for each in memory.values())
    bars = [
        at_most("1M items: p99 at 4 connections above hello's", got.ms(99) - hello.ms(99), 60, "ms"),
        at_most("1M items: memory of a worker", largest / 1024, 1.5, "GiB"),
        at_most("1M items: failed requests", got.failed + hello.failed, 0),
    ]
    return {"hello": hello.told(), "recommend": got.told(), "memory_mib": memory}, bars


class Swaps:
    """Promotes one checkpoint of a chain after the other, while it is let."""

    def __init__(self, settings: Settings, chain: list[str], seconds: float) -> None:
        """`seconds` from one promotion to the next."""
        self._registry, self._chain, self._seconds = Registry(settings.checkpoints_dir), chain, seconds
        self.made = 0

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """From a thread, until the block is left; the first at once."""
        stop = threading.Event()

        def work() -> None:
            while not stop.is_set() and self.made < len(self._chain):
                self._registry.promote(self._chain[self.made])
                self.made += 1
                stop.wait(self._seconds)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def successors(settings: Settings, number: int) -> list[str]:
    """A chain of checkpoints from the promoted one on, each with an event more, which is nobody's, and changed rows."""
    registry, log, rng = Registry(settings.checkpoints_dir), Log.open(settings.log_dir), np.random.default_rng(4)
    parent = registry.promoted()
    assert parent is not None
    model, state = checkpoint.load(registry, parent, settings.kinds)
    chain: list[str] = []
    for _ in range(number):
        log.append([Draft("user", b'{"user_id": "nobody"}')], "bench")
        model.store.choose(rng.choice(len(model.store), CHANGED_ROWS, replace=False).astype(np.int32))
        start, state.offset = state.offset, log.head()
        parent = checkpoint.save(registry, model, state, parent, start, state.offset, log.log_id, {})
        chain.append(parent)
    log.close()
    return chain


def swapping(swaps: Swaps, port: int, windows: int, seconds: float) -> tuple[dict[str, Any], list[Bar]]:
    """Windows without swaps and with them take turns."""
    pairs: list[tuple[Answers, Answers]] = []
    for _ in range(windows // 2):
        still = load.run(port, wishes(), 8, seconds)
        with swaps.going_on():
            pairs.append((still, load.run(port, wishes(), 8, seconds)))
    ratio = statistics.median(moving.ms(99) / still.ms(99) for still, moving in pairs) if pairs else None
    bars = [
        at_least("swaps under load", swaps.made, 30),
        at_most("failed requests before, during and after them", sum(a.failed + b.failed for a, b in pairs), 0),
        at_most("p99 with swaps / without, median of pairs of windows", ratio, 1.5),
    ]
    told = [{"without": still.told(), "with": moving.told()} for still, moving in pairs]
    return {"swaps": swaps.made, "windows": told}, bars


if __name__ == "__main__":
    main()
