import sqlite3
import threading
import time

import httpx
import pytest
from live_service import fill, learn, stream

from rec_assets.log import Log
from rec_assets.registry import Registry
from rec_assets.registry.promotion import Promoted, write_pointer


@pytest.fixture
def first(trained):
    """The id of the promoted checkpoint."""
    return Registry(trained.checkpoints_dir).promoted()


def await_checkpoint(server, checkpoint, seconds=20.0):
    started = time.monotonic()
    while server.recommend(user_id="u1", k=1)["checkpoint"] != checkpoint:
        assert time.monotonic() - started < seconds
        time.sleep(0.02)
    return time.monotonic() - started


class Asking:
    """Three clients that ask for lists as fast as they are answered, until the block is left."""

    def __init__(self, server):
        self.server, self.stop, self.failures, self.answered = server, threading.Event(), [], []
        self.threads = [threading.Thread(target=self.ask, args=(number,)) for number in range(3)]

    def ask(self, number):
        with httpx.Client(base_url=self.server.http.base_url, timeout=20) as http:
            while not self.stop.is_set():
                answer = http.post("/recommend", json={"user_id": f"u{number}", "k": 5})
                if answer.status_code != 200 or len(answer.json()["items"]) != 5:
                    self.failures.append(answer.text)
                    return
                self.answered.append(answer.json()["checkpoint"])

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *raised):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def test_promoted_checkpoints_are_taken_up_without_a_failed_request(trained, first, serve):
    server = serve(trained).wait()
    assert server.recommend(user_id="u1")["checkpoint"] == first
    log, chain = Log.open(trained.log_dir), [first]
    with Asking(server) as asking:
        for number in range(3):
            start = log.head()
            log.append(stream(80, seed=number + 1, start=880_100_000 + 10_000 * number), "test")
            chain.append(learn(trained, start, log.head()))
            assert await_checkpoint(server, chain[-1]) < 5  # a second on a quiet machine
    assert asking.failures == []
    assert set(asking.answered) <= set(chain)
    assert asking.answered[-1] == chain[-1]
    with sqlite3.connect(trained.spool_path) as spool:
        noted = spool.execute("select checkpoint, watermark, served_at from swaps order by served_at").fetchall()
        [(checkpoint, seen_at)] = spool.execute("select checkpoint, seen_at from workers").fetchall()
    assert [row[0] for row in noted] == chain
    assert noted[-1][1] == log.head()
    assert checkpoint == chain[-1]
    assert abs(seen_at / 1e6 - time.time()) < 30
    log.close()


@pytest.mark.slow
def test_thirty_swaps_forth_and_back_fail_no_request(trained, first, serve):
    log, registry = Log.open(trained.log_dir), Registry(trained.checkpoints_dir)
    start = log.head()
    log.append(stream(80, seed=1, start=880_100_000), "test")
    second = learn(trained, start, log.head())
    log.close()
    server = serve(trained).wait()
    with Asking(server) as asking:
        for number in range(30):
            if number % 2:
                registry.promote(second)
            else:
                registry.rollback()
            await_checkpoint(server, second if number % 2 else first)
    assert asking.failures == []
    assert set(asking.answered) == {first, second}


@pytest.mark.slow
def test_a_first_checkpoint_is_taken_up_by_a_service_that_had_none(settings, serve):
    log = fill(settings)
    server = serve(settings).wait()
    before = server.recommend(user_id="u1", k=20)
    checkpoint = learn(settings, 0, log.head())
    await_checkpoint(server, checkpoint)
    after = server.recommend(user_id="u1", k=20)
    assert before["checkpoint"] is None
    assert [item["item_id"] for item in before["items"]] != [item["item_id"] for item in after["items"]]
    log.close()


def test_a_corrupt_checkpoint_is_not_served(trained, first, serve):
    server = serve(trained).wait()
    log = Log.open(trained.log_dir)
    start = log.head()
    log.append(stream(80, seed=1), "test")
    registry = Registry(trained.checkpoints_dir)
    good = registry.pointer()
    second = learn(trained, start, log.head())
    await_checkpoint(server, second)
    write_pointer(registry.directory, good)
    await_checkpoint(server, first)
    damaged = next((registry.directory / second).glob("*.safetensors"))
    damaged.write_bytes(damaged.read_bytes()[:-7] + b"damaged")
    write_pointer(registry.directory, Promoted(second, log.head(), good.log_id, good.promoted_at + 1, first))
    time.sleep(1.5)
    assert server.recommend(user_id="u1")["checkpoint"] == first
    assert "rec_checkpoint_failures_total 1.0" in server.http.get("/metrics").text
    assert "cannot be served" in server.output.read_text()
    again = serve(trained).wait()  # and started again: the one before
    assert again.recommend(user_id="u1")["checkpoint"] == first
    log.close()
