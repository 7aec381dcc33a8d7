"""A poisoned micro-batch, ten times as large, with shuffled items, is refused, and what is served goes on as well."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from chain_stream import ITEMS, SMALL

from rec_assets.log.record import Draft
from rec_assets.settings import Settings
from rec_assets.training.trainer import Trainer

USERS, FIRST, SIZE, BEFORE, AFTER = 100, 4_000, 300, 6, 5
TRAIN = dataclasses.replace(SMALL, repeats=True, tested_events=200)


def clicks(number):
    """Users who go from one item to the next, each at a place of their own, now and then elsewhere."""
    rng = np.random.default_rng(0)
    at, rows = rng.integers(0, ITEMS, USERS), []
    for position in range(number):
        user = int(rng.integers(USERS))
        at[user] = rng.integers(ITEMS) if rng.random() < 0.1 else (at[user] + 1) % ITEMS
        rows.append({"user_id": f"u{user}", "item_id": f"i{at[user]}", "occurred_at": 1e9 + 60.0 * position})
    return rows


def learn(settings, batches):
    """What the gate said of each batch, and the NDCG@20 of what was served."""
    found = []
    for rows in batches:
        trainer = Trainer.open(settings)
        start = trainer.log.head()
        trainer.log.append([Draft("event", json.dumps(row | {"event": "click"}).encode()) for row in rows], "test")
        learnt = trainer.learn(start, trainer.log.head())
        if learnt.gate.passed:
            trainer.registry.promote(learnt.checkpoint_id)
        else:
            trainer.registry.refuse(learnt.checkpoint_id, learnt.gate.reason)
        trainer.close()
        found.append((learnt.gate, learnt.metrics["online"]["ndcg@20"] if learnt.metrics else 0.0))
    return found


@pytest.mark.slow
def test_a_poisoned_batch_is_refused_and_what_is_served_goes_on_as_well(tmp_path):
    settings = Settings(data=tmp_path / "twin", train=TRAIN)
    rows = clicks(FIRST + SIZE * (BEFORE + 1 + AFTER))
    batches = [rows[FIRST + SIZE * n :][:SIZE] for n in range(BEFORE + 1 + AFTER)]
    learn(settings, [rows[:FIRST], *batches[:BEFORE]])
    for seed in range(3):
        shutil.copytree(settings.data, tmp_path / str(seed))
    good = learn(settings, batches[BEFORE:])
    assert all(gate.passed for gate, _ in good)
    for seed in range(3):
        rng, many = np.random.default_rng(seed), batches[BEFORE] * 10
        items = rng.permutation([row["item_id"] for row in many]).tolist()
        users = [f"u{user}" for user in rng.integers(0, USERS, len(many))]
        poison = [row | {"item_id": i, "user_id": u} for row, i, u in zip(many, items, users, strict=True)]
        bad = learn(Settings(data=tmp_path / str(seed), train=TRAIN), [poison, *batches[BEFORE + 1 :]])
        assert "shuffled" in bad[0][0].reason
        assert all(gate.passed for gate, _ in bad[1:])
        pooled = [np.mean([metric for _, metric in each[1:]]) for each in (bad, good)]
        assert pooled[0] > 0.9 * pooled[1], pooled
