import json

import jax
import numpy as np
import pytest
from chain_stream import SMALL

from rec_assets import features
from rec_assets.events import parse
from rec_assets.features.tags import kind_code
from rec_assets.log.record import Record
from rec_assets.models import heads as head_model
from rec_assets.registry import Registry
from rec_assets.settings import Kind
from rec_assets.training import checkpoint, heads
from rec_assets.training.model import Model

KINDS = {
    "view": Kind(0.3, target=False),
    "click": Kind(),
    "purchase": Kind(2.0, value="price"),
    "rating": Kind(value="rating", against_below=2.5),
}
ITEMS, USERS = 12, 6


def rows(n, seed=0):
    """What was clicked before is bought; user and item say how an item is rated: 1 to 5."""
    rng = np.random.default_rng(seed)
    clicked, found = set(), []
    for position in range(n):
        user, item = int(rng.integers(USERS)), int(rng.integers(ITEMS))
        row = {"user_id": f"u{user}", "item_id": f"i{item}", "occurred_at": 1_000_000 + 60 * position}
        if rng.random() < 0.3:
            row |= {"event": "rating", "value": 1 + (user + item) % 5}
        elif (user, item) in clicked:
            row |= {"event": "purchase", "value": 10.0}
            clicked.discard((user, item))
        else:
            row |= {"event": "click"}
            clicked.add((user, item))
        found.append(row)
    return found


def taken(rows, start=0):
    """Parsed rows, as records from an offset on."""
    records = [
        Record(start + n, "event", "test", None, 10**15, f"e{start + n}", json.dumps(row).encode())
        for n, row in enumerate(rows)
    ]
    return parse(records, KINDS)


def stream(model, state, n, size=100):
    """All of a stream as observed batch by batch, each before it is taken in."""
    found = []
    for start in range(0, n, size):
        arrays = features.to_arrays(state, taken(rows(n)[start : start + size], start), start + size)
        found.append(heads.observe(model, state, arrays))
        features.take_all(state, arrays)
    return found


@pytest.fixture
def observed():
    state, model = features.init(SMALL, KINDS), Model(SMALL)
    return model, state, stream(model, state, 1_500)


def test_labels_are_learnt_and_told(observed):
    model, _, batches = observed
    rng = np.random.default_rng(0)
    for passes in (10, 10):
        heads.learn(model, heads.join(batches[:12]), KINDS, rng, passes, heads.FIRST_RATE)
    late = heads.join(batches[12:])
    told = heads.tell(model, late.inputs)
    bought = late.kind == kind_code("purchase")
    chance = told.kinds[:, kind_code("purchase")]
    assert chance[bought].mean() > chance[~bought].mean() + 0.2
    rated = np.isfinite(late.rating)
    assert np.corrcoef(told.rating[rated], late.rating[rated])[0, 1] > 0
    weight = heads.vocabulary(KINDS).weight
    assert weight[kind_code("purchase")] == 2
    assert weight[kind_code("view")] == 0
    assert not heads.vocabulary({"click": Kind(), "view": KINDS["view"]}).weight.any()


def test_what_speaks_against_an_item_is_observed_too(observed):
    model, _, batches = observed
    every = heads.join(batches[1:])  # before the first rating none is usual
    low = every.rating < 2.5
    assert 0.3 < low.sum() / np.isfinite(every.rating).sum() < 0.5
    assert not every.liked[low].any()
    ratings = heads.join(batches).rating
    assert model.ratings.mean == pytest.approx(np.nanmean(ratings), abs=1e-3)
    assert model.ratings.spread == pytest.approx(np.nanstd(ratings), abs=1e-3)
    assert model.ratings.items[:, 1].sum() == np.isfinite(ratings).sum()


def test_a_kind_before_is_that_of_the_latest_event_with_the_item(observed):
    _, _, batches = observed
    every = heads.join(batches)
    histories, expected = {}, []
    for row in rows(1_500):
        history = histories.setdefault(row["user_id"], [])
        latest = [kind for item, kind in history[-SMALL.window :] if item == row["item_id"]]
        expected.append((latest[-1] if latest else 0, history[-1][1] if history else 0))
        if row.get("value", 5) >= 2.5:
            history.append((row["item_id"], kind_code(row["event"])))
    assert list(zip(every.inputs.before.tolist(), every.inputs.last.tolist(), strict=True)) == expected


def test_padding_changes_neither_loss_nor_gradient(observed):
    model, _, batches = observed
    [batch] = heads._batches(model, batches[0].take(np.arange(heads.PER_STEP)))
    fewer = jax.tree.map(lambda column: np.asarray(column)[:40], batch)
    padded = batch._replace(weight=(np.arange(heads.PER_STEP) < 40).astype(np.float32))
    weight = heads.vocabulary(KINDS).weight
    moved = model.heads._replace(out=jax.random.normal(jax.random.key(0), model.heads.out.shape))
    one, other = (jax.value_and_grad(head_model.loss)(moved, each, weight) for each in (fewer, padded))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_heads_and_ratings_are_in_the_checkpoint(observed, tmp_path):
    model, state, batches = observed
    heads.learn(model, batches[0], KINDS, np.random.default_rng(0))
    registry = Registry(tmp_path)
    loaded = checkpoint.load_model(registry, checkpoint.save(registry, model, state, None, 0, 1_500, "log", {}))
    before, after = heads.tell(model, batches[1].inputs), heads.tell(loaded, batches[1].inputs)
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)
    heads.learn(loaded, batches[1], KINDS, np.random.default_rng(0))
    assert loaded.ratings.of(np.arange(ITEMS, dtype=np.int32))[1].tolist() == model.ratings.items[:ITEMS, 1].tolist()
