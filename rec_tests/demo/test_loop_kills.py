"""kill -9 of whatever runs, at random instants, while events stream in: nothing is lost and nothing learnt twice."""

import itertools
import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator

import duckdb
import httpx
import psutil
import pytest

from rec_assets.demo.loop import Loop, answers
from rec_assets.registry import Registry
from rec_assets.replay import replay
from rec_assets.settings import Settings

FIRST_EVENTS, RATE = 1_500, 40.0
SMALL = {  # the real model, made small
    "REC_TRAIN__EMBEDDING_DIM": "16",
    "REC_TRAIN__BLOCKS": "1",
    "REC_TRAIN__WARMUP_PASSES": "1",
    "REC_TRAIN__RANKER_PASSES": "1",
    "REC_TRAIN__TESTED_EVENTS": "32",
    "REC_BATCH_SECONDS": "1",
}


def event(number: int) -> dict[str, object]:
    user, item = number * 7 % 97, number * number % 61
    return {
        "event_id": f"e{number}",
        "user_id": f"u{user}",
        "item_id": f"i{item}",
        "event": "click",
        "occurred_at": 1_000_000_000 + number,
    }


def stream(is_wanted: Callable[[], bool]) -> Iterator[dict[str, object]]:
    """Events for as long as they are wanted, and for two seconds after."""
    number = FIRST_EVENTS
    while is_wanted():
        yield event(number)
        number += 1
    for last in range(number, number + int(2 * RATE)):
        yield event(last)


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


def wait_until_ready(loop: Loop, timeout: float) -> None:
    """What was killed last may still be starting."""
    deadline = time.monotonic() + timeout
    while not answers(f"{loop.service_url}/readyz"):
        assert time.monotonic() < deadline, "the service does not come back"
        time.sleep(0.2)


def run_with_kills(settings: Settings, kills: int, apart: float, seed: int) -> None:
    rng = random.Random(seed)
    loop = Loop.prepare(settings, print)
    settings.landing_dir.mkdir(parents=True)
    rows = "".join(json.dumps(event(number)) + "\n" for number in range(FIRST_EVENTS))
    (settings.landing_dir / "first.jsonl").write_text(rows)
    acknowledged: list[int] = []
    try:
        loop.start()
        loop.wait_first_checkpoint(240)
        killed: list[str] = []
        next_kill = time.monotonic() + apart * rng.random()

        def sent(_events, _sent_at, offsets) -> None:
            nonlocal next_kill
            acknowledged.extend(offsets)
            if len(killed) < kills and time.monotonic() >= next_kill:
                choices = victims(loop)
                name = rng.choice(sorted(choices))
                os.kill(choices[name].pid, signal.SIGKILL)
                killed.append(name)
                next_kill = time.monotonic() + apart * (0.5 + rng.random())

        with httpx.Client(base_url=loop.service_url, timeout=30.0) as client:
            replay(stream(lambda: len(killed) < kills), client, rate=RATE, on_sent=sent)
        loop.wait_learnt(240)
        wait_until_ready(loop, 120)
        answer = httpx.post(f"{loop.service_url}/recommend", json={"user_id": "somebody new", "k": 5}, timeout=30.0)
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["items"]) == 5
    finally:
        loop.supervisor.stop()
    assert len(set(acknowledged)) == len(acknowledged)
    check_exactly_once(settings, acknowledged, FIRST_EVENTS + len(acknowledged))


def check_exactly_once(settings: Settings, acknowledged: list[int], total: int) -> None:
    with duckdb.connect(str(settings.warehouse_path), read_only=True) as con:
        [(rows, ids)] = con.execute("select count(*), count(distinct event_id) from interactions").fetchall()
        stored = {offset for (offset,) in con.execute("select log_offset from interactions").fetchall()}
    assert (rows, ids) == (total, total)
    assert set(acknowledged) <= stored
    registry = Registry(settings.checkpoints_dir)
    # Those that retention removed are in `learnt` too: the registry refuses a candidate whose range overlaps it.
    learnt = registry.manifest(registry.promoted()).learnt
    assert all(before.end < after.start for before, after in itertools.pairwise(learnt)), learnt
    assert {offset for start, end in learnt for offset in range(start, end)} >= stored
    kept = [manifest for manifest in reversed(registry.chain(registry.promoted())) if manifest.parent is not None]
    assert all(before.end == after.start for before, after in itertools.pairwise(kept)), kept


@pytest.fixture
def settings(tmp_path, monkeypatch):
    for name, value in SMALL.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("REC_DATA", str(tmp_path / "data"))
    return Settings(service_port=3300, dagster_port=3370)


@pytest.mark.timeout(600)
def test_three_kills_lose_nothing_and_repeat_nothing(settings):
    run_with_kills(settings, kills=3, apart=5.0, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_kills_lose_nothing_and_repeat_nothing(settings):
    run_with_kills(settings, kills=20, apart=12.0, seed=2)
