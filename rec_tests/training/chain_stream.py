"""A small stream with a pattern, and the small model that learns it."""

from pathlib import Path

import numpy as np

from rec_assets.events import Events, Items, Parsed, Rejected, Users
from rec_assets.models.compile import use_cache
from rec_assets.settings import Kind, TrainConfig

use_cache(Path("data") / "compiled")  # what an earlier run compiled serves this one

KINDS = {"click": Kind(), "view": Kind(0.3, target=False), "hide": Kind(-1.0, target=False)}
SMALL = TrainConfig(
    embedding_dim=16,
    blocks=1,
    window=8,
    candidates=24,
    per_source=8,
    encoder_rate=1e-2,
    warmup_passes=2,
    ranker_passes=1,
    tested_events=16,
    gate_events=100,
    state_every_events=500,
    history_size=64,
)
ITEMS, USERS = 30, 12


def chain(n, seed=0):
    """n clicks: a user goes from item i to i + 1, sometimes elsewhere; every row is (user, item, seconds)."""
    rng = np.random.default_rng(seed)
    at = rng.integers(0, ITEMS, USERS)
    rows = []
    for position in range(n):
        user = int(rng.integers(USERS))
        at[user] = rng.integers(ITEMS) if rng.random() < 0.1 else (at[user] + 1) % ITEMS
        rows.append((f"u{user}", f"i{at[user]}", 1e9 + 60.0 * position))
    return rows


def parsed(rows, start=0):
    """Rows as accepted clicks at offsets from `start`."""
    n = len(rows)
    user, item, seconds = zip(*rows, strict=True)
    times = (np.array(seconds) * 1e6).astype(np.int64)
    events = Events(
        np.arange(start, start + n), [f"e{start + i}" for i in range(n)], list(user), list(item), ["click"] * n,
        np.full(n, np.nan), times, times, [None] * n, [None] * n, np.ones(n, np.bool_), ["test"] * n,
    )  # fmt: skip
    return Parsed(events, Items.of([]), Users.of([]), Rejected.of([]))
