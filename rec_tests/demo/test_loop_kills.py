"""kill -9 of whatever runs, at random instants, while events stream in: nothing is lost and nothing learnt twice."""

import json
from collections.abc import Callable, Iterator

import httpx
import pytest

from rec_assets.demo.kills import Killer, problems, wait_until_ready
from rec_assets.demo.loop import Loop
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


def run_with_kills(settings: Settings, kills: int, apart: float, seed: int) -> None:
    loop = Loop.prepare(settings, print)
    settings.landing_dir.mkdir(parents=True)
    rows = "".join(json.dumps(event(number)) + "\n" for number in range(FIRST_EVENTS))
    (settings.landing_dir / "first.jsonl").write_text(rows)
    acknowledged: list[int] = []
    try:
        loop.start()
        loop.wait_first_checkpoint(240)
        killer = Killer(loop, kills, apart, seed)

        def sent(_events, _sent_at, offsets) -> None:
            acknowledged.extend(offsets)
            killer.tick()

        with httpx.Client(base_url=loop.service_url, timeout=30.0) as client:
            replay(stream(lambda: not killer.is_done), client, rate=RATE, on_sent=sent)
        loop.wait_learnt(240)
        wait_until_ready(loop, 120)
        answer = httpx.post(f"{loop.service_url}/recommend", json={"user_id": "somebody new", "k": 5}, timeout=30.0)
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["items"]) == 5
    finally:
        loop.supervisor.stop()
    assert problems(settings, acknowledged, FIRST_EVENTS + len(acknowledged)) == []


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
