import dataclasses
import itertools
import json

import numpy as np
import pytest
from chain_stream import SMALL, chain

from rec_assets.log import Log
from rec_assets.log.record import Draft
from rec_assets.registry import Registry
from rec_assets.settings import Settings
from rec_assets.tables import denoising, warehouse, write
from rec_assets.training import checkpoint
from rec_assets.training.trainer import FROZEN, Trainer, state_at


@pytest.fixture
def settings(tmp_path):
    settings = Settings(data=tmp_path, train=SMALL)
    trainer = Trainer.open(settings)
    drafts = [
        Draft("event", json.dumps({"user_id": u, "item_id": i, "event": "click", "occurred_at": t}).encode(), f"e{n}")
        for n, (u, i, t) in enumerate(chain(900))
    ]
    trainer.log.append(drafts, "test")
    trainer.close()
    return settings


def learnt(settings, *bounds, promote=True):
    """The trainer after it has learnt the ranges between the bounds, and what each gave."""
    trainer, found = Trainer.open(settings), []
    for start, end in itertools.pairwise(bounds):
        found.append(trainer.learn(start, end))
        if promote:
            trainer.registry.promote(found[-1].checkpoint_id)
    return trainer, found


def test_a_warm_start_goes_on_as_if_it_had_never_stopped(settings):
    kept, _ = learnt(settings, 0, 600, 700)
    opened = Trainer.open(settings)
    assert opened.checkpoint_id == kept.checkpoint_id
    assert int(opened.model.dense_moments[0].count) == int(kept.model.dense_moments[0].count) > 0
    one, other = kept.learn(700, 800), opened.learn(700, 800)
    assert one.metrics == other.metrics
    n_items = len(kept.state.items)
    vectors = [np.asarray(trainer.model.items(n_items)[0]) for trainer in (kept, opened)]
    assert vectors[0] == pytest.approx(vectors[1], abs=1e-5)


def test_saved_and_loaded_logits_are_equal(settings):
    trainer, [first] = learnt(settings, 0, 600)
    model, state = checkpoint.load(trainer.registry, first.checkpoint_id, settings.kinds)
    from rec_assets.features import histories

    for user in range(len(state.users)):
        window = histories.window(state, user, state.clock + 60, SMALL.window)
        expected = trainer.model.logits(window, len(trainer.state.items))
        assert (model.logits(window, len(state.items)) == expected).all()


def test_the_first_checkpoint_is_the_frozen_reference(settings):
    trainer, found = learnt(settings, 0, 600, 700, 800)
    assert trainer.registry.pinned(FROZEN) == found[0].checkpoint_id
    assert found[0].metrics == {}
    assert set(found[2].metrics) == {"online", "frozen", "frozen_weights", "popularity"}
    assert found[2].metrics["online"]["n"] == SMALL.tested_events or found[2].metrics["online"]["n"] > 0
    manifest = trainer.registry.manifest(found[2].checkpoint_id)
    assert manifest.extra["gate"]["passed"] == found[2].gate.passed
    assert manifest.extra["config"] == dataclasses.asdict(SMALL)


def test_the_live_state_is_written_now_and_then(settings):
    trainer, found = learnt(settings, 0, 300, 500, 700, 800, 850)
    carriers = [trainer.registry.manifest(each.checkpoint_id).state for each in found]
    first, fourth = found[0].checkpoint_id, found[3].checkpoint_id
    assert carriers == [None, first, first, None, fourth]
    opened = Trainer.open(settings)
    assert opened.state.offset == 850
    assert opened.state.items.ids == trainer.state.items.ids


def test_what_the_tables_exclude_enters_the_state_and_is_not_learnt(settings):
    with Log.open(settings.log_dir) as log, warehouse.connect(":memory:") as con:
        again = [{"user_id": "u1", "item_id": "i1", "event": "click", "occurred_at": 1.1e9 + n} for n in range(30)]
        log.append([Draft("event", json.dumps(row).encode(), f"again{n}") for n, row in enumerate(again)], "test")
        write.write(con, log, 0, 600, settings.kinds, "run")
        write.write(con, log, 600, 930, settings.kinds, "run")
        first, excluded = denoising.excluded(con, 0, 600), denoising.excluded(con, 600, 930)
        assert (len(first), excluded.tolist()) == (0, list(range(901, 930)))
    trainer, _ = learnt(settings, 0, 600)
    found = trainer.learn(600, 930, excluded=excluded)
    assert trainer.model.events == 901
    assert int(trainer.state.counters.events[0]) == 930
    assert found.gate.passed
    opened = Trainer.open(settings)
    assert opened.learn(600, 930).metrics["online"]["n"] >= found.metrics["online"]["n"]
    assert opened.model.events == 930


def test_a_refused_range_is_passed_over_but_seen(settings):
    trainer, [first] = learnt(settings, 0, 600)
    trainer.learn(600, 700)  # and is not promoted
    with pytest.raises(ValueError, match="the state has read to 700"):
        trainer.learn(600, 700)
    opened = Trainer.open(settings)
    assert opened.checkpoint_id == first.checkpoint_id
    later = opened.learn(700, 800)
    manifest = Registry(settings.checkpoints_dir).manifest(later.checkpoint_id)
    assert (manifest.parent, manifest.learnt) == (first.checkpoint_id, [(0, 600), (700, 800)])
    assert opened.state.counters.events[0] == 800


def test_a_state_is_read_on_from_the_newest_that_can_be_read(settings):
    trainer, found = learnt(settings, 0, 300, 500, 700, 800, 850)
    registry, log_id = trainer.registry, trainer.log.log_id
    offsets = [state_at(registry, settings, log_id, offset).offset for offset in (850, 799, 299)]
    assert offsets == [800, 300, 0]
    (registry.directory / found[3].checkpoint_id / "manifest.json").write_text("{")
    assert state_at(registry, settings, log_id, 850).offset == 300
