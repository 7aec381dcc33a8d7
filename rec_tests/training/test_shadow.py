"""After promotion: a drop against the known-good checkpoint rolls back, and learning goes on from there."""

import dataclasses
import json

import numpy as np
import pytest
from chain_stream import SMALL, chain

from rec_assets.log.record import Draft
from rec_assets.registry import NotPromotable
from rec_assets.settings import Settings
from rec_assets.training import shadow as shadows
from rec_assets.training.shadow import LEAST, PROVEN, Evidence, Shadow, compare, judge
from rec_assets.training.trainer import Trainer

RNG = np.random.default_rng(0)
RANKS = RNG.integers(1, 200, 300).astype(float)


def test_the_same_ranks_are_no_drop_and_worse_ones_are():
    assert not judge([compare(RANKS, RANKS)]).dropped
    assert not judge([compare(RANKS / 2, RANKS)]).dropped
    found = judge([compare(RANKS * 3, RANKS)])
    assert found.dropped
    assert found.n == 300
    assert "300 events" in found.reason
    assert not judge([compare(RANKS[: LEAST - 1] * 3, RANKS[: LEAST - 1])]).dropped


def test_one_bad_batch_shows_after_many_good_ones_and_slow_decay_over_many():
    good, bad = compare(RANKS / 1.5, RANKS), compare(RANKS * 3, RANKS)
    assert judge([*[good] * 10, bad]).n == 300
    noise = RNG.choice([0.4, 3.0], 300, p=[0.35, 0.65])
    slowly = compare(RANKS * noise, RANKS)
    assert not judge([slowly]).dropped
    assert judge([slowly] * 12).dropped


def test_what_was_unknown_to_both_is_a_draw():
    ranks = np.where(RANKS > 100, np.inf, RANKS)
    assert compare(ranks, ranks).worse == 0


def test_known_good_is_what_was_served_long_enough():
    state, seen = Shadow("a"), Evidence(PROVEN // 3 + 1, 100.0, 0.0, 0.0)
    assert state.after("a", seen) == state
    for served in "bcde":
        state = state.after(served, seen)
    assert (state.known_good, state.probation) == ("b", "d")
    assert sum(each.n for each in state.evidence) == seen.n
    assert Shadow.of({"shadow": state.plain()}) == state
    assert Shadow.of({}) is None


def test_evidence_is_bounded():
    state = Shadow("a", "b")
    for number in range(3 * shadows.KEPT):
        state = state.after(f"c{number}", Evidence(1, 1.0, 0.0, 0.0))
    assert len(state.evidence) <= shadows.KEPT
    assert sum(each.n for each in state.evidence) == 3 * shadows.KEPT


@pytest.fixture
def trainer(tmp_path):
    rows = chain(1_200)
    trainer = Trainer.open(Settings(data=tmp_path, train=dataclasses.replace(SMALL, repeats=True, tested_events=200)))
    append(trainer, rows)
    return trainer


def append(trainer, rows):
    events = [{"user_id": u, "item_id": i, "event": "click", "occurred_at": t} for u, i, t in rows]
    trainer.log.append([Draft("event", json.dumps(event).encode()) for event in events], "test")


def step(trainer, start, end):
    found = trainer.learn(start, end)
    trainer.registry.promote(found.checkpoint_id)
    return found


def spoil(trainer):
    """As a bad batch that the gate let pass would."""
    trainer.model.store.embedding["value"][:] = np.roll(trainer.model.store.embedding["value"], 7, axis=0)
    trainer.model.ranker = trainer.model.ranker._replace(weight=-3 * trainer.model.ranker.weight - 1)
    trainer.model.changed()


@pytest.mark.parametrize("again", [False, True], ids=["in memory", "after a restart"])
def test_a_drop_rolls_back_and_the_range_is_skipped_with_its_reason(trainer, monkeypatch, again):
    monkeypatch.setattr(shadows, "LEAST", 10_000)
    first = step(trainer, 0, 600)
    second = step(trainer, 600, 700)
    spoil(trainer)
    bad = step(trainer, 700, 800)  # the gate compares it with what was spoilt before it, so it passes
    monkeypatch.setattr(shadows, "LEAST", 20)
    if again:
        trainer.close()
        trainer = Trainer.open(trainer.settings)
    after = trainer.learn(800, 950)
    assert after.verdict.dropped
    assert after.parent == first.checkpoint_id
    pointer = trainer.registry.pointer()
    assert (pointer.id, pointer.action, pointer.previous) == (first.checkpoint_id, "rolled back", bad.checkpoint_id)
    trainer.registry.promote(after.checkpoint_id)
    manifest = trainer.registry.manifest(after.checkpoint_id)
    assert manifest.learnt == [(0, 600), (800, 950)]
    [skipped] = manifest.skipped
    assert (skipped.start, skipped.end) == (600, 800)
    assert "standard errors worse" in skipped.reason
    assert second.checkpoint_id not in trainer.registry.ancestors(after.checkpoint_id)
    assert not trainer.learn(950, 1_100).verdict.dropped


def test_known_good_moves_on_and_is_kept_by_retention(trainer, monkeypatch):
    monkeypatch.setattr(shadows, "PROVEN", 30)
    found = [step(trainer, *bounds) for bounds in ((0, 600), (600, 700), (700, 800), (800, 900), (900, 1_000))]
    named = trainer.registry.manifest(found[-1].checkpoint_id).shadow
    assert named["known_good"] in {each.checkpoint_id for each in found[1:3]}
    trainer.registry.retain(keep=1)
    assert named["known_good"] in trainer.registry.ancestors(found[-1].checkpoint_id)
    opened = Trainer.open(trainer.settings)
    assert opened.shadow == trainer.shadow
    last = opened.learn(1_000, 1_100)
    assert last.metrics["known_good"]["n"] == last.metrics["online"]["n"]
    assert trainer.registry.rollback(named["known_good"]).id == named["known_good"]


def test_only_what_is_still_promoted_is_given_up(trainer):
    first, second = step(trainer, 0, 600), step(trainer, 600, 700)
    with pytest.raises(NotPromotable, match="is promoted by now"):
        trainer.registry.rollback(first.checkpoint_id, given_up=first.checkpoint_id)
    assert trainer.registry.promoted() == second.checkpoint_id
