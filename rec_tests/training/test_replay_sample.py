import numpy as np

from rec_assets.training import examples, replay
from rec_assets.training.examples import Examples
from rec_assets.training.replay import Replay, reservoir
from rec_assets.training.stretches import Stretches, empty


def stretches(numbers):
    n = len(numbers)
    items = np.repeat(np.array(numbers, np.int32)[:, None], 9, axis=1)
    return Stretches(items, np.zeros((n, 9)), np.ones(n, np.int32), np.zeros(n, np.int32))


def test_the_sample_is_bounded_and_even():
    kept = np.zeros(1_000)
    for seed in range(40):
        rng, sample = np.random.default_rng(seed), empty(8)
        for start in range(0, 1_000, 50):
            sample = reservoir(sample, stretches(range(start, start + 50)), start, 100, rng)
        assert len(sample.first) == 100
        kept[sample.items[:, 0]] += 1
    assert abs(kept[:500].mean() - kept[500:].mean()) < 0.5  # each is kept in 4 of the 40 on average


def test_saved_and_loaded_it_goes_on_alike():
    rng = np.random.default_rng(0)
    sample = Replay(empty(8), examples.empty(3, 2))
    sample.add_stretches(stretches(range(3_000)), rng)
    n = 5
    new = Examples(
        np.ones((n, examples.KEPT, 3), np.int8),
        np.ones((n, 2), np.int8),
        np.zeros((n, examples.KEPT), np.float32),
        np.zeros(n, np.int32),
        np.zeros(n, np.int32),
    )
    sample.add_examples(new, rng)
    again = Replay.from_arrays(sample.to_arrays())
    assert len(again.stretches.first) == replay.STRETCHES
    for each in (sample, again):
        each.add_stretches(stretches(range(50)), np.random.default_rng(1))
    for name, array in sample.to_arrays().items():
        assert (array == again.to_arrays()[name]).all()


def test_a_forgotten_users_material_gives_way_to_others_and_the_sample_goes_on():
    rng = np.random.default_rng(0)
    replay = Replay(*offered(20, rng), offered_stretches=20, offered_examples=20)
    assert replay.forget([3]) == {"stretches": 5, "examples": 5}
    assert replay.forget([3]) == {"stretches": 0, "examples": 0}
    assert len(replay.stretches.first) == len(replay.examples.target) == 20
    assert set(replay.stretches.user.tolist()) == set(replay.examples.user.tolist()) == {0, 1, 2}
    assert (replay.stretches.items[:, 0] == replay.stretches.user).all()
    replay.forget([0, 1, 2])
    assert (len(replay.stretches.first), replay.offered_stretches, replay.offered_examples) == (0, 0, 0)
    again, _ = offered(3, rng)
    replay.add_stretches(again, rng)
    np.testing.assert_array_equal(replay.stretches.user, again.user)


def offered(n, rng):
    """Stretches and examples of users 0, 1, 2, 3 in turn; the first item of a stretch is its user."""
    user = np.arange(n, dtype=np.int32) % 4
    items = np.tile(user[:, None], (1, 5))
    stretches = Stretches(items, np.zeros((n, 5)), np.ones(n, np.int32), user)
    features = rng.integers(-9, 9, (n, 4, 2)).astype(np.int8)
    return stretches, Examples(features, features[:, 0], np.zeros((n, 4), np.float32), np.zeros(n, np.int32), user)
