import jax
import numpy as np
import optax
import pytest

from rec_assets.models import encoder, products
from rec_assets.models.softmax import softmax_loss
from rec_assets.training.packing import windows

ROWS, DIM, WINDOW = 12, 16, 8


@pytest.fixture
def parts():
    keys = jax.random.split(jax.random.key(0), 4)
    dense = encoder.init(keys[0], DIM, blocks=2, heads=2, window=WINDOW, content_dim=4)
    blocks = tuple(
        block._replace(
            position=jax.random.normal(keys[1], block.position.shape), time=jax.random.normal(keys[2], block.time.shape)
        )
        for block in dense.blocks
    )
    rows = encoder.Rows(jax.random.normal(keys[3], (ROWS, DIM)), jax.numpy.zeros(ROWS))
    content = np.random.default_rng(0).normal(size=(ROWS, 4)).astype(np.float32)
    return dense._replace(blocks=blocks), rows, content


def history(length, width, seed=0):
    rng = np.random.default_rng(seed)
    items, times = np.full((1, width), -1, np.int32), np.zeros((1, width))
    tags = np.where(np.arange(width) < width - length, 0, rng.integers(0, 4_096, width)).astype(np.int16)[None]
    items[0, width - length :] = rng.integers(0, ROWS, length)
    times[0, width - length :] = 1e9 + np.cumsum(rng.integers(1, 100_000, length))
    return items, times, tags, np.array([1e9 + 1e6])


def logits(parts, items, times, tags, now):
    dense, rows, content = parts
    return np.asarray(
        encoder.users(dense, vectors := encoder.item_vectors(dense, rows, content), windows(items, times, tags, now))
        @ vectors.T
        + rows.bias
    )


@pytest.mark.parametrize("length", [0, 1, 4])
def test_padding_on_the_left_changes_nothing(parts, length):
    wide = logits(parts, *history(length, WINDOW))
    *told, now = history(length, WINDOW)
    narrow = logits(parts, *(column[:, -5:] for column in told), now)
    assert wide == pytest.approx(narrow, abs=1e-5)


def test_the_last_position_alone_is_what_all_positions_give(parts):
    dense, rows, content = parts
    inputs = windows(*history(6, WINDOW))
    vectors = encoder.item_vectors(dense, rows, content)
    last = encoder.encode(dense, vectors, inputs, 1)
    assert np.asarray(last[:, 0]) == pytest.approx(
        np.asarray(encoder.encode(dense, vectors, inputs, WINDOW)[:, -1]), abs=1e-5
    )


def test_nothing_later_is_seen(parts):
    dense, rows, content = parts
    vectors = encoder.item_vectors(dense, rows, content)
    items, times, tags, now = history(8, WINDOW)
    before = encoder.encode(dense, vectors, windows(items, times, tags, now), WINDOW)
    items[0, 5:] = (items[0, 5:] + 1) % ROWS
    tags[0, 5:] += 1
    after = encoder.encode(dense, vectors, windows(items, times, tags, now), WINDOW)
    assert np.asarray(after[:, :5]) == pytest.approx(np.asarray(before[:, :5]), abs=1e-6)
    assert np.abs(np.asarray(after[:, 5:]) - np.asarray(before[:, 5:])).max() > 1e-3


def test_time_buckets():
    assert encoder.time_bucket(np.array([-5, 0, 1, 2, 3, 4, 1023, 1024], np.int32)).tolist() == [
        0,
        0,
        1,
        2,
        2,
        3,
        10,
        11,
    ]


def batch_of(items, weight, told=None):
    width = items.shape[1]
    times = np.tile(np.arange(width - 1.0), (len(items), 1))
    tags = np.zeros(times.shape, np.int16) if told is None else told
    inputs = windows(items[:, :-1], times, tags, np.full(len(items), width - 1.0))
    return encoder.Batch(inputs, np.arange(items[:, 1:].size, dtype=np.int32), items[:, 1:].reshape(-1), weight)


def test_the_loss_and_its_gradients_are_those_of_the_plain_formula():
    keys = jax.random.split(jax.random.key(1), 4)
    users, vectors = jax.random.normal(keys[0], (6, DIM)), jax.random.normal(keys[1], (ROWS, DIM))
    bias = jax.random.normal(keys[2], (ROWS,)).at[3].set(-np.inf)
    targets, weight = np.array([0, 1, 5, 0, 2, 3]), np.array([0.5, 1.0, 0.25, 2.0, 1.0, 0.0], np.float32)

    def plain(users, vectors, bias):
        each = optax.softmax_cross_entropy_with_integer_labels(users @ vectors.T + bias, targets)
        return jax.numpy.sum(jax.numpy.where(weight > 0, each, 0.0) * weight)

    wanted, wanted_grads = jax.value_and_grad(plain, argnums=(0, 1, 2))(users, vectors, bias)
    found, grads = jax.value_and_grad(softmax_loss, argnums=(0, 1, 2))(users, vectors, bias, targets, weight)
    assert float(found) == pytest.approx(float(wanted), abs=1e-5)
    for one, other in zip(grads, wanted_grads, strict=True):
        assert np.asarray(one) == pytest.approx(np.asarray(other), abs=1e-5)


def test_pieces_on_one_line_do_not_see_each_other(parts):
    dense, rows, content = parts
    vectors = encoder.item_vectors(dense, rows, content)
    one, other = windows(*history(3, 3)), windows(*history(5, 5, seed=1))
    line = encoder.Sequences(*(np.concatenate([x, y], axis=1) for x, y in zip(one, other, strict=True)))
    line = line._replace(piece=np.array([[0] * 3 + [1] * 5], np.int32))
    together = np.asarray(encoder.encode(dense, vectors, line, WINDOW))
    assert together[:, :3] == pytest.approx(np.asarray(encoder.encode(dense, vectors, one, 3)), abs=1e-5)
    assert together[:, 3:] == pytest.approx(np.asarray(encoder.encode(dense, vectors, other, 5)), abs=1e-5)


def test_half_precision_is_close(parts, monkeypatch):
    """What a GPU computes with."""
    dense, rows, content = parts
    vectors = encoder.item_vectors(dense, rows, content)
    inputs = windows(*history(6, WINDOW))
    exact = np.asarray(encoder.encode(dense, vectors, inputs, WINDOW))
    monkeypatch.setattr(products, "compute_type", lambda: jax.numpy.dtype(jax.numpy.bfloat16))
    assert np.asarray(encoder.encode(dense, vectors, inputs, WINDOW)) == pytest.approx(exact, abs=0.1)


def test_padding_changes_neither_loss_nor_gradient(parts):
    dense, rows, content = parts
    items = np.random.default_rng(3).integers(0, ROWS, (2, WINDOW + 1)).astype(np.int32)
    small = batch_of(items, np.ones(2 * WINDOW, np.float32))
    padding = np.full((1, WINDOW + 1), 0, np.int32)
    large = batch_of(np.concatenate([items, padding]), np.repeat([1.0, 1.0, 0.0], WINDOW).astype(np.float32))
    correction = np.zeros(ROWS, np.float32)
    wide_rows = encoder.Rows(*(np.concatenate([x, np.ones_like(x[:4])]) for x in map(np.asarray, rows)))
    wide_content = np.concatenate([content, content[:4]])
    wide_correction = np.concatenate([correction, np.full(4, -np.inf, np.float32)])
    grad = jax.jit(jax.value_and_grad(encoder.loss), static_argnums=5)
    value, grads = grad(dense, rows, content, correction, small, 0.0, None)
    padded_value, padded_grads = grad(dense, wide_rows, wide_content, wide_correction, large, 0.0, None)
    assert float(value) == pytest.approx(float(padded_value), abs=1e-5)
    for one, other in zip(jax.tree.leaves(grads), jax.tree.leaves(padded_grads), strict=True):
        assert np.asarray(one) == pytest.approx(np.asarray(other), abs=1e-5)


def test_an_order_is_learnt(parts):
    """Item i is followed by i + 1: after a few hundred steps that is what it says."""
    start = np.random.default_rng(4).integers(0, ROWS, (16, 1))
    batch = batch_of(((start + np.arange(WINDOW + 1)) % ROWS).astype(np.int32), np.ones(16 * WINDOW, np.float32))
    value, params = learnt(parts, batch)
    assert value < 0.1
    items, times = np.array([[3, 4, 5, 6]], np.int32), np.array([[0.0, 1, 2, 3]])
    found = logits((*params, parts[2]), items, times, np.zeros((1, 4), np.int16), np.array([4.0]))
    assert int(found.argmax()) == 7


def test_what_follows_depends_on_kind_and_value(parts):
    """Behind an event of one kind comes the next item, behind one of the other kind with a great value the third."""
    rng = np.random.default_rng(5)
    told = rng.choice([64, 128, 128 + 9], (16, WINDOW)).astype(np.int16)
    steps = np.where(told == 128 + 9, 3, 1)
    start = rng.integers(0, ROWS, (16, 1))
    items = ((start + np.cumsum(np.pad(steps, ((0, 0), (1, 0))), axis=1)) % ROWS).astype(np.int32)
    value, params = learnt(parts, batch_of(items, np.ones(16 * WINDOW, np.float32), told))
    assert value < 0.3
    items, times = np.array([[3, 4, 5, 6]], np.int32), np.array([[0.0, 1, 2, 3]])
    for last, follows in ((64, 7), (128, 7), (128 + 9, 9)):
        tags = np.array([[64, 64, 64, last]], np.int16)
        assert int(logits((*params, parts[2]), items, times, tags, np.array([4.0])).argmax()) == follows


def learnt(parts, batch):
    """The loss after some steps on a batch, and the parameters."""
    dense, rows, content = parts
    descent = optax.adam(1e-2)

    @jax.jit
    def step(params, moments):
        value, grads = jax.value_and_grad(
            lambda p: encoder.loss(*p, content, np.zeros(ROWS, np.float32), batch, 0.0, None)
        )(params)
        updates, moments = descent.update(grads, moments, params)
        return optax.apply_updates(params, updates), moments, value

    params = (dense, rows)
    moments = descent.init(params)
    for _ in range(150):
        params, moments, value = step(params, moments)
    return float(value), params
