"""Beside a train-and-serve peer, recotem (a FastAPI service over matrix factorization): the same events, the same load.

recotem runs in an environment of its own, which needs Python 3.12, as one process, as it always does; so ours has one
worker here. Its model is iALS with its own defaults. Ours has taken in all events; its weights are drawn instead of
learnt, which changes what is listed and not how long that takes.
"""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import environment
import hosting
import httpx
import load
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import synthetic
from bars import Bar, at_least, at_most
from rich.console import Console

from rec_assets import datasets, features
from rec_assets.events import parse
from rec_assets.log import Draft, Log
from rec_assets.registry import Registry
from rec_assets.settings import Settings
from rec_assets.training import checkpoint

CONNECTIONS = 8
SIGNING = {"RECOTEM_SIGNING_KEYS": "bench:" + "0" * 64}  # of a model that lives as long as the bench
RECIPE = """
name: movies
source: {{type: csv, path: {events}, dtype: {{user: str, item: str}}}}
schema: {{user_column: user, item_column: item}}
training: {{algorithms: [IALS], metric: ndcg, cutoff: 20, n_trials: 1}}
output: {{path: {folder}/movies.recotem}}
"""


def beside(k: int, seconds: float) -> tuple[dict[str, Any], list[Bar]]:
    """Lists of k for MovieLens' users from both services in turn; without Python 3.12 there is no figure."""
    names = ("requests/s, ours / recotem's", "p99, ours / recotem's")
    python = environment.recotem()
    if python is None:
        return {"recotem": "needs Python 3.12"}, [at_least(names[0], None, 2), at_most(names[1], None, 1)]
    events = pq.read_table(_data() / "events.parquet")
    users = events["user"].unique().to_pylist()
    with (
        tempfile.TemporaryDirectory() as folder,
        ours(Path(folder) / "ours", events) as port,
        theirs(python, Path(folder), events) as other,
    ):
        mine = [load.post("/recommend", _body(user_id=user, k=k)) for user in users]
        its = [load.post("/v1/recipes/movies:recommend", _body(user_id=user, limit=k)) for user in users]
        services = {"ours": (port, mine), "recotem": (other, its)}
        for at, asked in services.values():
            load.run(at, asked, CONNECTIONS, min(seconds, 2))
        got = {name: load.run(at, asked, CONNECTIONS, seconds) for name, (at, asked) in services.items()}
    bars = [
        at_least(names[0], got["ours"].per_second / got["recotem"].per_second, 2),
        at_most(names[1], got["ours"].ms(99) / got["recotem"].ms(99), 1),
        at_most("failed requests of both", got["ours"].failed + got["recotem"].failed, 0),
    ]
    return {name: each.told() for name, each in got.items()}, bars


def _data() -> Path:
    return datasets.fetch("movielens-100k", Settings().data / "datasets", Console())


def _body(**wish: object) -> bytes:
    return json.dumps(wish).encode()


@contextmanager
def ours(data: Path, events: pa.Table) -> Iterator[int]:
    """The port of a service of ours with one worker, whose live state has taken in the events."""
    settings = Settings(data=data)
    environment.share_compiled(data)
    log, registry = Log.open(settings.log_dir), Registry(settings.checkpoints_dir)
    rows = events.to_pylist()
    drafts = [
        Draft("event", _body(user_id=row["user"], item_id=row["item"], event=row["event"], occurred_at=row["ts"]))
        for row in rows
    ]
    log.append(drafts, "bench")
    state = features.init(settings.train, settings.kinds)
    for records in log.batches(0, log.head(), 10_000):
        features.update(state, parse(records, state.kinds), records[-1].offset + 1)
    model = synthetic.model_of(settings.train, state)
    made = checkpoint.save(registry, model, state, None, 0, state.offset, log.log_id, {})
    registry.promote(made)
    log.close()
    with hosting.service(settings, 1) as port:
        yield port


@contextmanager
def theirs(python: Path, folder: Path, events: pa.Table) -> Iterator[int]:
    """The port of recotem, trained on the events."""
    recipes, table = folder / "recipes", folder / "events.csv"
    recipes.mkdir()
    pyarrow.csv.write_csv(events.select(["user", "item", "ts"]), table)
    (recipes / "movies.yaml").write_text(RECIPE.format(events=table, folder=folder))
    surroundings = os.environ | SIGNING | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [str(python), "-m", "recotem"]
    train = subprocess.run(
        [*command, "train", str(recipes / "movies.yaml")], env=surroundings, capture_output=True, text=True
    )
    assert train.returncode == 0, train.stderr[-3_000:]
    port = hosting.free_port()
    process = subprocess.Popen(
        [*command, "serve", "--recipes", str(recipes), "--port", str(port)],
        env=surroundings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + hosting.PATIENCE
        while True:
            assert process.poll() is None and time.monotonic() < deadline, "recotem did not start"
            try:
                if httpx.get(f"http://127.0.0.1:{port}/v1/health", timeout=5).status_code == 200:
                    break
            except httpx.HTTPError:
                pass
            time.sleep(0.2)
        yield port
    finally:
        hosting.stop(process)
