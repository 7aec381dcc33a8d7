"""Random kills across worker, daemon, run and service under a stream, with pauses in which the promise holds again."""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from bars import at_least, at_most, write
from rich.console import Console

from rec_assets import datasets
from rec_assets.demo.kills import Killer, problems, wait_until_ready
from rec_assets.demo.loop import Loop
from rec_assets.demo.stream import Stream
from rec_assets.demo.waits import waited
from rec_assets.replay import replay
from rec_assets.settings import Settings
from rec_assets.tables import promise

RECOVERY = 0.5  # of a pause; the promise is looked at over the rest of it


def rows(stream: Stream, killer: Killer) -> Iterator[dict[str, Any]]:
    """The second half, and again with other ids where it is too short, for as long as there are kills to come."""
    turn = 0
    while True:
        for row in range(stream.half, stream.events.num_rows):
            killer.tick()
            if killer.is_done:
                return
            event = stream.event(row)
            yield event | {"event_id": f"{event['event_id']}-{turn}"}
        turn += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-set", default="movielens-1m")
    parser.add_argument("--rate", type=float, default=200.0, help="events/s")
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--apart", type=float, default=25.0, help="seconds at least")
    parser.add_argument("--pauses", type=int, default=5)
    parser.add_argument("--pause", type=float, default=120.0, help="seconds of each")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    console = Console()
    stream = Stream.read(datasets.fetch(arguments.data_set, Settings().data / "datasets", console))
    after = [round((number + 1) * arguments.kills / arguments.pauses) for number in range(arguments.pauses)]
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder))
        stream.land_first_half(settings.landing_dir)
        loop = Loop.prepare(settings, console.print)
        acknowledged: list[int] = []
        try:
            loop.start()
            loop.wait_first_checkpoint(1_800)
            killer = Killer(loop, arguments.kills, arguments.apart, arguments.seed, after, arguments.pause)
            console.print(f"{arguments.rate:g} events/s, {arguments.kills} kills")
            began = time.monotonic()
            with httpx.Client(base_url=loop.service_url, timeout=30.0) as client:
                replay(
                    rows(stream, killer), client, rate=arguments.rate,
                    on_sent=lambda _events, _at, offsets: acknowledged.extend(offsets),
                )  # fmt: skip
            seconds = time.monotonic() - began
            loop.wait_learnt(600)
            wait_until_ready(loop, 120)
            time.sleep(3)
            last = stream.event(stream.half) | {"event_id": "the last"}  # its run measures the one before
            with httpx.Client(base_url=loop.service_url, timeout=30.0) as client:
                replay([last], client, rate=1.0, on_sent=lambda _events, _at, offsets: acknowledged.extend(offsets))
            final = loop.wait_learnt(600)
        finally:
            loop.supervisor.stop()
        wrong = problems(settings, acknowledged, stream.half + len(acknowledged))
        rested = [waited(settings, first + round(RECOVERY * (last - first)), last) for first, last in killer.rested]
    for problem in wrong:
        console.print(problem, style="red")
    kept = 0
    for number, times in enumerate(rested):
        complete = times["n"] == times["served"] > 0
        broken = promise.broken(settings.promise, times if complete else None)
        kept += complete and not broken
        console.print(f"pause {number + 1}: {times} {'; '.join(broken)}")
    bars = [
        at_most("lost, or stored or learnt twice", float(len(wrong)), 0),
        at_least(f"of {len(rested)} pauses, the promise holds again in", float(kept), len(rested)),
        at_least("kills", float(len(killer.killed)), arguments.kills),
    ]
    write(
        "kills", bars, killed=killer.killed, pauses=rested, seconds=seconds, weights=final.freshness["weights"],
        load=os.getloadavg()[0], options=vars(arguments),
    )  # fmt: skip


if __name__ == "__main__":
    main()
