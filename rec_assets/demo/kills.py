"""kill -9 of whatever runs, at random instants, while events stream in; and what must hold afterwards."""

import itertools
import os
import random
import signal
import time
from collections.abc import Sequence

import duckdb
import psutil

from rec_assets.demo.loop import Loop, answers
from rec_assets.registry import Registry
from rec_assets.settings import Settings


def victims(loop: Loop) -> dict[str, psutil.Process]:
    """What can be killed now, by name: the supervised processes and all that they started, cold runs among it."""
    found = {}
    for name, each in loop.supervisor.status().items():
        if name == "webserver" or each.pid is None or not each.running:
            continue
        process = psutil.Process(each.pid)
        found[name] = process
        for number, child in enumerate(process.children(recursive=True)):
            found[f"{name}'s child {number}"] = child
    return found


class Killer:
    """Kills one process by chance whenever `tick` is called and it is time to, `kills` times in all.

    From one kill to the next pass `apart` seconds or up to half as many more. After each of the kills named in
    `pauses` (counted from 1) it rests for `pause_seconds`.
    """

    def __init__(
        self, loop: Loop, kills: int, apart: float, seed: int, pauses: Sequence[int] = (), pause_seconds: float = 0.0
    ) -> None:
        self.loop, self.kills, self.apart = loop, kills, apart
        self.pauses, self.pause_seconds = frozenset(pauses), pause_seconds
        self.rng = random.Random(seed)  # noqa: S311 - no secret
        self.killed: list[str] = []
        self.rested: list[tuple[int, int]] = []  # µs since 1970 of each pause's begin and end
        self.next_at = time.monotonic() + apart * self.rng.random()

    @property
    def is_done(self) -> bool:
        """Whether all kills are done, and the last pause is over."""
        return len(self.killed) >= self.kills and (len(self.killed) not in self.pauses or self._is_time())

    def _is_time(self) -> bool:
        return time.monotonic() >= self.next_at

    def tick(self) -> None:
        """Kill, if it is time to."""
        if len(self.killed) >= self.kills or not self._is_time():
            return
        choices = victims(self.loop)
        if not choices:
            return
        name = self.rng.choice(sorted(choices))
        os.kill(choices[name].pid, signal.SIGKILL)
        self.killed.append(name)
        wait = self.apart * (1 + self.rng.random() / 2)
        if len(self.killed) in self.pauses:
            began = time.time_ns() // 1_000
            self.rested.append((began, began + round(self.pause_seconds * 1e6)))
            wait = max(wait, self.pause_seconds)
        self.next_at = time.monotonic() + wait


def wait_until_ready(loop: Loop, timeout: float) -> None:
    """What was killed last may still be starting; TimeoutError where the service does not come back."""
    deadline = time.monotonic() + timeout
    while not answers(f"{loop.service_url}/readyz"):
        if time.monotonic() >= deadline:
            raise TimeoutError(f"the service does not come back within {timeout:.0f} s: see {loop.supervisor.logs}")
        time.sleep(0.2)


def problems(settings: Settings, acknowledged: Sequence[int], total: int) -> list[str]:
    """What was lost, stored twice or learnt twice, once the loop has stopped; [] where nothing was.

    `acknowledged` are the offsets that the service has answered with, `total` is how many events were sent.
    """
    found = []
    if len(set(acknowledged)) != len(acknowledged):
        found.append("an offset was given to two events")
    with duckdb.connect(str(settings.warehouse_path), read_only=True) as con:
        [(rows, ids)] = con.execute("select count(*), count(distinct event_id) from interactions").fetchall()
        stored = {offset for (offset,) in con.execute("select log_offset from interactions").fetchall()}
    if (rows, ids) != (total, total):
        found.append(f"{total} events were sent, {rows} are stored, {ids} of them different")
    if lost := set(acknowledged) - stored:
        found.append(f"{len(lost)} acknowledged events are not in the tables, offset {min(lost)} the first")
    registry = Registry(settings.checkpoints_dir)
    # Those that retention removed are in `learnt` too: the registry refuses a candidate whose range overlaps it.
    promoted = registry.manifest(str(registry.promoted()))
    if any(before.end >= after.start for before, after in itertools.pairwise(promoted.learnt)):
        found.append(f"the learnt ranges are not disjoint: {promoted.learnt}")
    covered = {offset for start, end, *_ in promoted.learnt for offset in range(start, end)}
    covered |= {offset for each in registry.passed_over(promoted.log_id, 0, promoted.watermark)
                for offset in range(each.start, each.end)}  # fmt: skip
    if missing := stored - covered:
        found.append(f"{len(missing)} events were neither learnt nor passed over, offset {min(missing)} the first")
    return found
