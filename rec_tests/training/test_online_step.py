import threading

import jax
import numpy as np
import pytest
from chain_stream import SMALL, chain, parsed

from rec_assets.features import state as live
from rec_assets.features.histories import Windows, blank
from rec_assets.training import batches, online, stretches
from rec_assets.training.compiling import Compiled
from rec_assets.training.model import Model


def material(rows, state, model, seed=0):
    arrays = live.to_arrays(state, parsed(rows), len(rows))
    model.store.admit(arrays.item)
    rng = np.random.default_rng(seed)
    return stretches.from_events(arrays.user, arrays.item, arrays.time, arrays.tag, model.config.window, rng)


def after(items, length):
    window = blank(1, length)
    window.now[0] = 1e9 + 60 * (len(items) + 1)
    window.items[0, -len(items) :] = items
    window.times[0, -len(items) :] = 1e9 + 60 * np.arange(len(items))
    return window


@pytest.mark.parametrize("full_rows", [online.FULL_ROWS, 8], ids=["full", "sampled"])
def test_an_order_is_learnt(state, config, monkeypatch, full_rows):
    monkeypatch.setattr(online, "FULL_ROWS", full_rows)
    monkeypatch.setattr(online, "SAMPLED_ROWS", 24)
    model, rng = Model(config), np.random.default_rng(0)
    found = material(chain(2_000), state, model)
    losses = [online.learn_stretches(model, found, (1e-2, 1e-2), rng) for _ in range(25)]
    assert losses[-1] < losses[0] * 0.6
    names = ["i3", "i4", "i5", "i6"]
    logits = model.logits(after([state.items.key(name) for name in names], config.window), len(state.items))
    assert int(logits[0].argmax()) == state.items.key("i7")


def test_a_growing_catalogue_and_other_batch_sizes_compile_nothing(state, config):
    model, rng = Model(config), np.random.default_rng(0)
    rows = [(f"u{i % 40}", f"i{i % 40}", 1e9 + i) for i in range(400)] + [(f"v{i}", "i1", 2e9 + i) for i in range(30)]
    online.learn_stretches(model, material(rows, state, model), (1e-3, 1e-3), rng)
    ready = Compiled()
    ready.now(model)
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, _seconds, **_: compiled.append(event) if event.endswith("backend_compile_duration") else None
    )
    for count, items in ((7, 45), (90, 50), (333, 60), (333, 70)):
        ready.ahead(model)  # 60 items do not leave much room in 64 rows
        for thread in threading.enumerate():
            if thread.name == "compile ahead":
                thread.join()
                compiled.clear()
        more = [(f"u{i % 9}", f"i{i % items}", 3e9 + i) for i in range(count)]
        online.learn_stretches(model, material(more, state, model), (1e-3, 2e-3), rng)
        for asked in (1, 5, 40):
            window = after([1, 2, 3], config.window)
            model.logits(Windows(*(np.repeat(part, asked, axis=0) for part in window)), len(state.items))
    assert len(model.store) == 70
    assert compiled == []


def test_fresh_stretches_are_the_batch(state, config):
    rows = chain(300)
    live.update(state, parsed(rows[:200]), 200)
    arrays = live.to_arrays(state, parsed(rows[200:], 200), 300)
    live.take_all(state, arrays)
    found = batches.fresh_stretches(state, arrays, config.window)
    columns = np.arange(config.window + 1) >= found.first[:, None]
    pairs = sorted(zip(found.items[columns].tolist(), found.times[columns].tolist(), strict=True))
    assert pairs == sorted(zip(arrays.item.tolist(), arrays.time.tolist(), strict=True))


def test_an_excluded_event_is_known_but_no_target(state, config):
    rows = chain(300)
    live.update(state, parsed(rows[:200]), 200)
    arrays = live.to_arrays(state, parsed(rows[200:], 200), 300)
    arrays.excluded[::3] = True
    arrays.excluded[arrays.user == 0] = True
    live.take_all(state, arrays)
    found = batches.fresh_stretches(state, arrays, config.window)
    columns = np.arange(config.window + 1) >= found.first[:, None]
    pairs = sorted(zip(found.items[columns].tolist(), found.times[columns].tolist(), strict=True))
    kept = ~arrays.excluded
    assert pairs == sorted(zip(arrays.item[kept].tolist(), arrays.time[kept].tolist(), strict=True))
    assert np.isin(arrays.time[arrays.excluded & (arrays.user != 0)], found.times).mean() > 0.5  # as what came before
    assert batches.events_learnt(arrays) == len(pairs) == found.targets()


def test_no_event_no_change(state):
    model, rng = Model(SMALL), np.random.default_rng(0)
    assert np.isnan(online.learn_stretches(model, stretches.empty(SMALL.window), (1e-3, 1e-3), rng))
    assert np.isnan(online.learn_examples(model, model.replay.examples, (1e-3, 1e-3), rng))
    assert model.row_steps == 0
