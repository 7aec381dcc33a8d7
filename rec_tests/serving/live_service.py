"""A small log, and the service as a process of its own beside it."""

import json
import os
import random
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx

from rec_assets.cli.serve import command, environment
from rec_assets.log import Draft, Log
from rec_assets.registry import Registry
from rec_assets.settings import Settings, TrainConfig
from rec_assets.training.trainer import Trainer

ITEMS, USERS = 60, 40
TINY = TrainConfig(
    embedding_dim=8,
    blocks=1,
    heads=1,
    window=16,
    warmup_passes=1,
    ranker_passes=1,
    update_passes=1,
    tested_events=64,
    gate_events=50,
    state_every_events=300,
)
START = 880_000_000  # seconds: a stream of 1997


def stream(n: int, seed: int = 0, start: int = START) -> list[Draft]:
    """Clicks in which the next item tends to follow the last one, a minute apart."""
    rng = random.Random(seed)
    last = [rng.randrange(ITEMS) for _ in range(USERS)]
    drafts = []
    for i in range(n):
        user = rng.randrange(USERS)
        last[user] = (last[user] + 1) % ITEMS if rng.random() < 0.7 else int(ITEMS * rng.random() ** 2)
        event = {"user_id": f"u{user}", "item_id": f"i{last[user]}", "event": "click", "occurred_at": start + 60 * i}
        drafts.append(Draft("event", json.dumps(event).encode(), event_id=f"e{seed}-{i}", user_id=f"u{user}"))
    return drafts


def catalogue() -> list[Draft]:
    kinds = ["Drama", "Comedy", "War"]
    rows = [
        {"item_id": f"i{i}", "title": f"Film {i}, The ({1950 + i})", "categories": kinds[i % 3 :][:2]}
        for i in range(ITEMS)
    ]
    return [Draft("item", json.dumps(row).encode(), event_id=f"row-{row['item_id']}") for row in rows]


def settings_in(folder: Path) -> Settings:
    """An installation in a folder; compiled functions are shared by all of one test session."""
    data, shared = folder / "data", folder.parent / "compiled"
    data.mkdir(parents=True)
    shared.mkdir(exist_ok=True)
    (data / "compiled").symlink_to(shared)
    return Settings(data=data, train=TINY)


def fill(settings: Settings, events: int = 600) -> Log:
    log = Log.open(settings.log_dir)
    log.append(catalogue() + stream(events), "test")
    return log


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """The service as `rec serve` runs it, on a free port."""

    def __init__(
        self, settings: Settings, workers: int = 1, arguments: list[str] | None = None, cwd: Path | None = None
    ):
        self.settings, self.port = settings, free_port()
        settings.data.mkdir(parents=True, exist_ok=True)
        tiny = {
            f"REC_TRAIN__{name.upper()}": str(getattr(TINY, name))
            for name in ("window", "embedding_dim", "blocks", "heads")
        }
        self.output = settings.data / f"service-{self.port}.txt"
        self.process = subprocess.Popen(
            (arguments and [*arguments, "--port", str(self.port)]) or command("127.0.0.1", self.port),
            env=environment(settings, workers) | tiny,
            stdout=self.output.open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=cwd,
        )
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=20)

    def wait(self, path: str = "/readyz", seconds: float = 200) -> "Server":
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.output.read_text()[-5000:]
            try:
                if self.http.get(path).status_code == 200:
                    return self
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"not ready after {seconds} s:\n{self.output.read_text()[-5000:]}")

    def recommend(self, **wish):
        answer = self.http.post("/recommend", json=wish)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def feedback(self, event):
        return self.http.post("/feedback", json=event)

    def kill(self):
        """As a crash does it: the supervisor and, through it, its workers."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
        self.http.close()


def learn(settings: Settings, start: int, end: int) -> str:
    """A checkpoint learnt from [start, end), promoted."""
    trainer = Trainer.open(settings)
    learnt = trainer.learn(start, end)
    trainer.close()
    Registry(settings.checkpoints_dir).promote(learnt.checkpoint_id)
    return learnt.checkpoint_id
