"""A made-up shop of any size: items, users with tastes and sessions, and weights that are drawn instead of learnt.

How long an answer takes depends on sizes and on how rows and rings are filled, not on what was learnt.
"""

import dataclasses
import json
import time
from pathlib import Path

import jax
import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rec_assets import features
from rec_assets.features.content import place
from rec_assets.features.state import EventArrays, LiveState, fit, take
from rec_assets.log import Draft, Log
from rec_assets.registry import Registry
from rec_assets.serving.catalogue import SCHEMA, Catalogue
from rec_assets.settings import Settings, TrainConfig
from rec_assets.training import checkpoint
from rec_assets.training.model import Model

START = 1_700_000_000.0  # seconds
CATEGORIES = 200
LIKED = 0.7  # share of events among the categories that a user has a taste for
DRAFTS = 20_000  # catalogue rows appended at once


@dataclasses.dataclass(frozen=True)
class Size:
    """How much of everything."""

    items: int
    users: int
    events_per_user: int


def stream(size: Size, seed: int = 0) -> EventArrays:
    """All events in the order of time: popularity falls as rank^-0.9, four of five gaps are of minutes."""
    rng = np.random.default_rng(seed)
    n = size.users * size.events_per_user
    weights = 1 / np.arange(1, size.items + 1) ** 0.9
    ranks = np.searchsorted(np.cumsum(weights) / weights.sum(), rng.random(n)).astype(np.int64)
    user = np.repeat(np.arange(size.users, dtype=np.int32), size.events_per_user)
    tastes = rng.integers(0, CATEGORIES, (size.users, 3))
    taste = tastes[user, rng.integers(0, 3, n)]
    ranks = np.where(rng.random(n) < LIKED, ranks // CATEGORIES * CATEGORIES + taste, ranks)
    item = rng.permutation(size.items).astype(np.int32)[np.minimum(ranks, size.items - 1)]
    gaps = np.where(rng.random(n) < 0.8, rng.exponential(120, n), rng.exponential(4e5, n))
    times = np.cumsum(gaps.reshape(size.users, -1), axis=1) + rng.random(size.users)[:, None] * 3e7
    order = np.argsort(times.ravel(), kind="stable")
    ones, untold = np.ones(n, np.float32), (np.full(n, np.nan), np.zeros(n, np.int16))
    return EventArrays(
        user[order],
        item[order],
        ones,
        np.ones(n, bool),
        START + times.ravel()[order],
        *untold,
        np.zeros(n, bool),
        (),
        n,
    )


def vectors(items: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Content of items: what their category says, and something of their own."""
    common = rng.normal(size=(CATEGORIES, features.content.DIM)).astype(np.float32)
    found = common[np.arange(items) % CATEGORIES] + rng.normal(size=(items, common.shape[1])).astype(np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found


def state_of(config: TrainConfig, size: Size) -> tuple[LiveState, float]:
    """The live state after all events, and what one event costs it in µs of CPU."""
    state = features.init(config, Settings().kinds)
    for user in range(size.users):
        state.users.assign(f"u{user}")
    for item in range(size.items):
        state.items.assign(f"i{item}")
    fit(state)
    rng = np.random.default_rng(1)
    place(state.content, 0, vectors(size.items, rng))
    events = stream(size)
    warm = min(1_000, len(events.user))
    take(state, events, 0, warm)
    began = time.process_time()
    take(state, events, warm, len(events.user))
    return state, (time.process_time() - began) / max(len(events.user) - warm, 1) * 1e6


def model_of(config: TrainConfig, state: LiveState) -> Model:
    """Rows for every item and a ranker that listens to all of its inputs; norms are those of trained weights."""
    model, rng = Model(config), np.random.default_rng(2)
    model.store.admit(np.arange(len(state.items), dtype=np.int32))
    rows = model.store.item_rows()
    rows.embedding[:] = rng.normal(size=rows.embedding.shape) * 0.2
    rows.bias[:] = rng.normal(size=len(rows.bias)) - 2
    model.ranker = jax.tree.map(lambda x: jax.numpy.asarray(rng.normal(size=x.shape) * 0.1, x.dtype), model.ranker)
    model.content = state.content
    return model


def row_of(item: int) -> dict[str, object]:
    """What the catalogue says of an item."""
    return {
        "item_id": f"i{item}",
        "title": f"Item {item}",
        "categories": [f"c{item % CATEGORIES}"],
        "price": item % 97 + 0.5,
    }


def install(settings: Settings, size: Size) -> str:
    """A log with the catalogue, and a promoted checkpoint whose state has taken in the events too; returns its id.

    The events themselves are not in the log: nothing reads them again.
    """
    log, registry = Log.open(settings.log_dir), Registry(settings.checkpoints_dir)
    for start in range(0, size.items, DRAFTS):
        rows = [row_of(item) for item in range(start, min(start + DRAFTS, size.items))]
        log.append([Draft("item", json.dumps(row).encode(), event_id=f"row-{row['item_id']}") for row in rows], "bench")
    state, _ = state_of(settings.train, size)
    state.offset = log.head()
    model = model_of(settings.train, state)
    made = checkpoint.save(registry, model, state, None, 0, state.offset, log.log_id, {})
    registry.promote(made)
    log.close()
    return made


def described(state: LiveState) -> Catalogue:
    """The catalogue of a state, in memory."""
    made = Catalogue(state.items)
    for start in range(0, len(state.items), DRAFTS):
        rows = [row_of(item) for item in range(start, min(start + DRAFTS, len(state.items)))]
        entries = [
            msgspec.json.encode(
                {"title": r["title"], "categories": r["categories"], "attributes": {"price": r["price"]}}
            )
            for r in rows
        ]
        ids = [r["item_id"] for r in rows]
        made.read(pa.table([ids, entries, [None] * len(rows)], schema=SCHEMA))
    return made


def resident(pid: int | str = "self") -> dict[str, float]:
    """Memory of a process in MiB: what it has (rss) and its share of what several have in common (pss)."""
    found = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in ("Rss", "Pss"):
            found[name.lower()] = int(value.split()[0]) / 1024
    return found
