"""How fresh lists and weights are: 200 events/s of MovieLens 1M for ten minutes through the whole loop."""

import argparse
import os
import tempfile
import time
from pathlib import Path

import httpx
from bars import at_least, at_most, write
from rich.console import Console

from rec_assets import datasets
from rec_assets.demo.loop import Loop
from rec_assets.demo.probe import OwnListProbe
from rec_assets.demo.stream import Stream
from rec_assets.demo.waits import waited
from rec_assets.replay import replay
from rec_assets.settings import Settings

PROBE_SECONDS = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=200.0, help="events/s")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--backlog", type=int, default=20_000, help="events that are then sent at once")
    parser.add_argument("--data-set", default="movielens-1m")
    arguments = parser.parse_args()
    console = Console()
    stream = Stream.read(datasets.fetch(arguments.data_set, Settings().data / "datasets", console))
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder))
        stream.land_first_half(settings.landing_dir)
        loop = Loop.prepare(settings, console.print)
        try:
            console.print("Starting the loop and training the first checkpoint")
            loop.start()
            loop.wait_first_checkpoint(3_600)
            console.print(f"Sending {arguments.rate:g} events/s for {arguments.seconds:g} s")
            began, began_at = time.monotonic(), time.time_ns() // 1_000
            own = measure(loop, stream, arguments.rate, int(arguments.rate * arguments.seconds))
            final = loop.wait_learnt(120)
            cycle = (time.monotonic() - began) / max(final.micro_batches - 1, 1)
            sent_until = time.time_ns() // 1_000
            sustained = backlog(loop, stream, stream.half + int(arguments.rate * arguments.seconds), arguments.backlog)
            time.sleep(3)
            measure(loop, stream, 1.0, 1, stream.half - 1)  # one more event: its run measures the one before
            loop.wait_learnt(120)
        finally:
            loop.supervisor.stop()
        weights = waited(settings, began_at, sent_until)
    load = os.getloadavg()[0]
    console.print(f"{final.micro_batches - 1} micro-batches, one every {cycle:.1f} s; load average {load:.1f}")
    console.print(f"A backlog of {arguments.backlog:,} events was learnt at {sustained:.0f} events/s")
    bars = [
        at_least("events/s learnt end to end, from a backlog", sustained, 500),
        at_most("own list p99", own[1] if own else None, 100, "ms"),
        at_least("events that were served", weights["served"], weights["n"]),
        at_most("served weights p50", weights.get("p50_s"), 4, "s"),
        at_most("served weights p95", weights.get("p95_s"), 8, "s"),
        at_most("served weights p99", weights.get("p99_s"), 15, "s"),
    ]
    write(
        "freshness",
        bars,
        own_list_ms=own,
        weights=weights,
        cycle_s=cycle,
        sustained=sustained,
        load=load,
        metrics=final.metrics,
    )


def measure(loop: Loop, stream: Stream, rate: float, count: int, first: int | None = None) -> list[float] | None:
    """Send `count` events, those from row `first` or the half on, and return p50 and p99 of the own list in ms."""
    with httpx.Client(base_url=loop.service_url, timeout=30.0) as client:
        probe = OwnListProbe(client, PROBE_SECONDS)
        start = stream.half if first is None else first
        # An event_id of its own for the row that the first half has too.
        events = (stream.event(start + row) | {"event_id": f"sent-{start + row}"} for row in range(count))
        replay(events, client, rate=rate, on_sent=probe.sent)
        return probe.percentiles(50, 99)


def backlog(loop: Loop, stream: Stream, first: int, count: int) -> float:
    """Events/s from the first of `count` that are sent as fast as they are taken until the last is promoted."""
    rows = range(stream.events.num_rows)
    events = (stream.event(rows[(first + n) % len(rows)]) | {"event_id": f"backlog-{n}"} for n in range(count))
    began = time.monotonic()
    with httpx.Client(base_url=loop.service_url, timeout=60.0) as client:
        replay(events, client)
    loop.wait_learnt(600)
    return count / (time.monotonic() - began)


if __name__ == "__main__":
    main()
