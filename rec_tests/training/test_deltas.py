"""Checkpoints that hold only the item rows that changed, over more rows than one micro-batch touches."""

import dataclasses

import numpy as np
import pytest
from chain_stream import KINDS, SMALL

from rec_assets.features import state as live
from rec_assets.features.histories import Windows
from rec_assets.registry import Registry
from rec_assets.registry.replacement import replace
from rec_assets.training import checkpoint
from rec_assets.training.erasure import redact
from rec_assets.training.model import Model
from rec_assets.training.store import SLOTS

ROWS = 400


def keys(*values):
    return np.array(values, np.int32)


def touch(model, step):
    """What a micro-batch does to the rows: some are new, some go, some are learnt, some are seen."""
    rng = np.random.default_rng(step)
    model.store.admit(np.arange(ROWS + 5 * step, ROWS + 5 * step + 5, dtype=np.int32), float(step))
    model.store.admit(rng.integers(0, ROWS, 5).astype(np.int32), step + 0.5)
    alive = np.flatnonzero(model.store.key_of[: model.store.size] >= 0).astype(np.int32)
    rows = np.unique(rng.choice(alive, 20))
    model.store.choose(rows[:5])
    gathered = model.store.gather(rows)
    drawn = {slot: type(each)(*(np.asarray(x) + rng.normal() for x in each)) for slot, each in gathered.items()}
    model.store.scatter(rows, {slot: drawn[slot] for slot in SLOTS})


class Made:
    """A chain of checkpoints in a registry, the model that wrote them, and the item arrays at each."""

    def __init__(self, folder, length, **settings):
        self.registry = Registry(folder / "checkpoints")
        self.config = dataclasses.replace(SMALL, item_rows=ROWS + 40, state_every_events=10**6, **settings)
        self.model, self.state = Model(self.config), live.init(self.config, KINDS)
        for moment, some in enumerate(np.split(np.arange(ROWS, dtype=np.int32), 40)):
            self.model.store.admit(np.repeat(some, 2), moment - 40.0)
        self.names, self.saved = [], []
        for step in range(length):
            if step:
                touch(self.model, step)
            self.save()

    def save(self):
        step, parent = len(self.names), self.names[-1] if self.names else None
        self.state.offset = (step + 1) * 10
        name = checkpoint.save(
            self.registry, self.model, self.state, parent, step * 10, self.state.offset, "log", {"metrics": {}}
        )
        self.registry.promote(name)
        self.names.append(name)
        self.saved.append({key: array.copy() for key, array in self.model.store.to_arrays().items()})


def same(store, wanted):
    found = store.to_arrays()
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.mark.parametrize("admit_events", [1, 2])
def test_any_checkpoint_of_the_chain_is_what_was_saved(tmp_path, admit_events):
    made = Made(tmp_path, 20, whole_every=8, admit_events=admit_events, item_live_days=45 / 86_400)
    kinds = [made.registry.manifest(name).kind for name in made.names]
    assert kinds[1] == "delta" and 3 <= kinds.count("base") < 8
    for name, wanted in zip(made.names, made.saved, strict=True):
        model = checkpoint.load_model(made.registry, name)
        same(model.store, wanted)
        alive = wanted["key_of"][wanted["key_of"] >= 0]
        assert (model.store.key_of[model.store.rows(alive)] == alive).all()
    going_on = checkpoint.load_model(made.registry, made.names[-1])
    for each in (going_on, made.model):
        touch(each, 30)
    same(going_on.store, made.model.store.to_arrays())
    assert going_on.store.chosen_total == made.model.store.chosen_total


def test_a_delta_costs_what_was_touched_and_many_become_a_base(tmp_path):
    made = Made(tmp_path, 12)
    sizes = [
        sum(f.size for name, f in made.registry.manifest(each).files.items() if "items" in name) for each in made.names
    ]
    assert max(sizes[1:5]) < sizes[0] / 4
    grown = [made.registry.manifest(name).kind for name in made.names]
    assert 1 < grown.count("base") < 5  # their sum had come to half of the base


def test_many_touched_rows_are_written_whole(tmp_path):
    made = Made(tmp_path, 1)
    made.model.store.admit(np.arange(ROWS * 2 // 3, dtype=np.int32), 3.0)
    made.save()
    assert made.registry.manifest(made.names[1]).kind == "base"
    assert set(made.registry.manifest(made.names[1]).files) >= {"items.safetensors"}
    assert "items.rows.safetensors" not in made.registry.manifest(made.names[1]).files


def test_a_model_of_another_parent_is_written_whole(tmp_path):
    made = Made(tmp_path, 3)
    back = checkpoint.load_model(made.registry, made.names[0])
    made.registry.rollback(made.names[0])
    made.names = [made.names[0], made.names[2]]  # as if it had learnt on from there
    made.model = back
    made.state.offset = 50
    name = checkpoint.save(made.registry, back, made.state, made.names[1], 40, 50, "log", {})
    assert made.registry.manifest(name).kind == "base"


def test_what_serves_follows_by_what_changed(tmp_path):
    made = Made(tmp_path, 5)
    held = checkpoint.load_scorer(made.registry, made.names[1])
    before = [array.copy() for array in held.rows]
    followed = checkpoint.load_scorer(made.registry, made.names[4], held, made.names[1])
    wanted = checkpoint.load_scorer(made.registry, made.names[4])
    for found, one in zip([*followed.rows, *held.rows], [*wanted.rows, *before], strict=True):
        np.testing.assert_array_equal(found, one)  # `held` too: lists that are being made go on with it
    window = (1, SMALL.window)
    told = np.full(window, 3, np.int32), np.full(window, 1e9), np.full(window, 65, np.int16)
    windows = Windows(*told, np.full(1, 1e9 + 60))
    assert (followed.logits(windows, ROWS) == wanted.logits(windows, ROWS)).all()
    (made.registry.directory / made.names[3] / "items.rows.safetensors").unlink()
    with pytest.raises(ValueError, match=made.names[3]):
        checkpoint.load_scorer(made.registry, made.names[4], held, made.names[1])


def test_forgetting_replaces_a_chain(tmp_path):
    made = Made(tmp_path, 6, whole_every=4)
    user = 7

    def forget(checkpoint_, draft):
        if checkpoint_.id == made.names[0]:
            (draft / "note").write_text("other")
            return {"notes": 1}
        return redact(checkpoint_, draft, "u", user, "log", KINDS)

    done = replace(made.registry, forget)
    assert list(done.ids) == made.names
    again = Registry(made.registry.directory)
    for name, wanted in zip(again.ids(), made.saved, strict=True):
        same(checkpoint.load_model(again, name).store, wanted)
    assert again.promoted() == again.ids()[-1]
