"""Batches that have nothing to test, nothing to learn, or nothing at all."""

import json

import pytest
from chain_stream import SMALL, chain

from rec_assets.log.record import Draft
from rec_assets.settings import Settings
from rec_assets.training.trainer import Trainer


def event(user, item, at, kind="click"):
    return Draft("event", json.dumps({"user_id": user, "item_id": item, "event": kind, "occurred_at": at}).encode())


ODD = {
    "only catalogue rows": [
        Draft("item", json.dumps({"item_id": f"new {n}", "title": "A title"}).encode()) for n in range(5)
    ],
    "only rejected": [Draft("event", b"{}") for _ in range(5)],
    "only hides": [event("u1", "i1", 2e9, "hide") for _ in range(5)],
    "only views": [event("u1", f"i{n}", 2e9, "view") for n in range(5)],
    "only unknown items": [event("new user", f"new item {n}", 2e9) for n in range(5)],
    "one event": [event("u3", "i4", 2e9)],
    "only served lists": [Draft("list", b"{}") for _ in range(5)],
}


@pytest.mark.parametrize("odd", ODD)
def test_odd_batches_are_learnt_and_what_follows_too(tmp_path, odd):
    trainer = Trainer.open(Settings(data=tmp_path, train=SMALL))
    trainer.log.append([event(*row) for row in chain(400)], "test")
    start = trainer.log.head()
    trainer.learn(0, start)
    trainer.log.append(ODD[odd], "test")
    middle = trainer.log.head()
    found = trainer.learn(start, middle)
    assert found.gate.passed
    trainer.log.append([event(*row) for row in chain(60, seed=1)], "test")
    after = trainer.learn(middle, trainer.log.head())
    assert after.gate.passed
    assert after.metrics["online"]["n"] > 0
