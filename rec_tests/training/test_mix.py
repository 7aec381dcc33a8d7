"""A batch is held against what is usual; odd ones are refused once, and a change that stays is let pass."""

import dataclasses
import json

import numpy as np
import pytest
from chain_stream import ITEMS, SMALL, chain

from rec_assets.log.record import Draft
from rec_assets.settings import Settings
from rec_assets.training import mix
from rec_assets.training.mix import Usual
from rec_assets.training.trainer import Trainer

RNG = np.random.default_rng(0)
GOOD, HARD, SHUFFLED = RNG.beta(4, 1, 128), RNG.beta(2.5, 1, 128), RNG.random(128)


@pytest.fixture
def usual():
    found = Usual.of({})
    for _ in range(10):
        found = found.after(mix.seen(["click"] * 300 + ["view"] * 100, GOOD))
    return found


@pytest.mark.parametrize(
    ("kinds", "fit", "word"),
    [
        (["click"] * 300 + ["view"] * 100, GOOD, ""),
        (["click"] * 4_000, GOOD, ""),  # a backlog
        (["click"] * 300, SHUFFLED, "shuffled"),
        (["click"] * 300, HARD, ""),
        (["click"] * 300, SHUFFLED[:20], ""),  # few say nothing
        (["hide"] * 400, GOOD, "other kinds"),
        (["hide"] * 40, SHUFFLED, ""),
        (["click"] * 400, np.full(128, np.nan), ""),  # new items or users
    ],
)
def test_what_is_not_normal_is_told(usual, kinds, fit, word):
    found = mix.strange(usual, mix.seen(kinds, fit))
    assert (word in found) if word else (found == "")


def test_what_is_usual_moves_and_survives_the_manifest(usual):
    assert usual.kinds == pytest.approx({"click": 0.75, "view": 0.25})
    later = usual
    for _ in range(200):
        later = later.after(mix.seen(["view"] * 800, GOOD))
    assert later.kinds["view"] > 0.95
    assert later.fit == pytest.approx(GOOD.mean())
    assert Usual.of({"usual": json.loads(json.dumps(later._asdict()))}) == later
    assert usual.after(mix.seen([], np.empty(0))) == usual


def test_shuffled_labels_are_refused_once_and_a_change_that_stays_is_learnt(tmp_path):
    train = dataclasses.replace(SMALL, repeats=True, tested_events=100)
    trainer = Trainer.open(Settings(data=tmp_path, train=train))

    def learn(rows):
        events = [{"user_id": u, "item_id": i, "event": "click", "occurred_at": t} for u, i, t in rows]
        start = trainer.log.head()
        trainer.log.append([Draft("event", json.dumps(event).encode()) for event in events], "test")
        return trainer.learn(start, trainer.log.head())

    rows = chain(4_000)
    trainer.registry.promote(learn(rows[:1_500]).checkpoint_id)
    for number in range(6):
        trainer.registry.promote(learn(rows[1_500 + 250 * number :][:250]).checkpoint_id)
    items = [f"i{n}" for n in RNG.integers(ITEMS, size=2_500)]
    poison = [(user, item, at) for (user, _, at), item in zip(rows[:2_500], items, strict=True)]
    refused = learn([(user, item, 1e8 + at) for user, item, at in poison])
    assert not refused.gate.passed
    assert "shuffled" in refused.gate.reason
    trainer.registry.refuse(refused.checkpoint_id, refused.gate.reason)
    trainer.close()
    trainer = Trainer.open(trainer.settings)
    again = learn([(user, item, 2e8 + at) for user, item, at in poison[:1_000]])
    assert again.gate.passed, again.gate.reason
    [skipped] = trainer.registry.manifest(again.checkpoint_id).skipped
    assert skipped.reason == f"refused: {refused.gate.reason}"
