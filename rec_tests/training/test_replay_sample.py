import numpy as np
import pytest

from rec_assets.training import batches, examples, replay
from rec_assets.training.examples import Examples
from rec_assets.training.replay import DAY, Replay
from rec_assets.training.stretches import Stretches, empty


def stretches(items, users=None, days=0.0):
    """One target each, 8 long."""
    n = len(items)
    rows = np.repeat(np.asarray(items, np.int32)[:, None], 9, axis=1)
    users = np.arange(n) if users is None else users
    times = np.broadcast_to(np.asarray(days, float)[..., None] * DAY, (n, 9)).copy()
    return Stretches(rows, times, np.zeros((n, 9), np.int16), np.full(n, 8, np.int32), np.asarray(users, np.int32))


def nothing(half_life=0.0):
    return Replay(empty(8), examples.empty(3, 2), half_life)


def kept(monkeypatch, offers, half_life=0.0, size=100, seeds=40):
    """The items of what is kept, over several draws."""
    monkeypatch.setattr(replay, "STRETCHES", size)
    found = []
    for seed in range(seeds):
        sample, rng = nothing(half_life), np.random.default_rng(seed)
        for offer in offers:
            sample.add_stretches(offer, rng)
        assert len(sample.stretches.first) == len(sample.stretch_lots) == size
        found.append(sample.stretches)
    return np.concatenate([each.items[:, 0] for each in found]), np.concatenate([each.user for each in found])


def test_the_sample_is_bounded_and_even(monkeypatch):
    offers = [stretches(range(at, at + 50), range(at, at + 50)) for at in range(0, 1_000, 50)]
    items, _ = kept(monkeypatch, offers)
    assert abs(np.mean(items < 500) - 0.5) < 0.05


def test_with_a_half_life_what_is_older_by_it_is_kept_half_as_often(monkeypatch):
    offers = [stretches(range(at, at + 50), range(at, at + 50), at / 1_000) for at in range(0, 2_000, 50)]
    items, _ = kept(monkeypatch, offers, half_life=DAY)
    assert np.mean(items < 1_000) == pytest.approx(1 / 3, abs=0.04)


def test_neither_a_busy_user_nor_a_popular_item_fills_the_sample(monkeypatch):
    busy = stretches(range(1_000), [5_000] * 1_000)
    popular = stretches([5_000] * 1_000, range(1_000, 2_000))
    others = stretches(range(2_000, 2_200), range(2_000, 2_200))
    items, users = kept(monkeypatch, [busy, popular, others], seeds=10)
    assert 0 < np.mean(users == 5_000) < 0.25
    assert 0 < np.mean(items == 5_000) < 0.25


def test_saved_and_loaded_it_goes_on_alike():
    rng = np.random.default_rng(0)
    sample = nothing(half_life=DAY)
    sample.add_stretches(stretches(range(3_000)), rng)
    ones = np.ones(5, np.int32)
    new = Examples(
        np.ones((5, examples.KEPT, 3), np.int8), np.ones((5, 2), np.int8), np.zeros((5, examples.KEPT), np.float32),
        0 * ones, ones, ones, np.ones(5),
    )  # fmt: skip
    sample.add_examples(new, rng)
    again = Replay.from_arrays(sample.to_arrays(), DAY)
    assert len(again.stretches.first) == replay.STRETCHES
    for each in (sample, again):
        each.add_stretches(stretches(range(50)), np.random.default_rng(1))
    for name, array in sample.to_arrays().items():
        np.testing.assert_array_equal(array, again.to_arrays()[name], err_msg=name)


def test_a_forgotten_users_material_leaves_and_others_have_its_room():
    rng = np.random.default_rng(0)
    sample = nothing()
    for new in (stretches(range(20), np.arange(20) % 4), stretches([7])):
        sample.add_stretches(new, rng)
    assert sample.forget([3]) == {"stretches": 5, "examples": 0}
    assert sample.forget([3]) == {"stretches": 0, "examples": 0}
    assert set(sample.stretches.user.tolist()) == {0, 1, 2}
    sample.add_stretches(stretches(range(10), [9] * 10), rng)
    assert len(sample.stretches.first) == len(sample.stretch_lots) == 26
    sample.forget([0, 1, 2, 9])
    assert len(sample.stretches.first) == len(sample.stretch_lots) == 0


def test_replayed_targets_are_the_share_that_is_asked_for():
    sample, rng = nothing(), np.random.default_rng(0)
    sample.add_stretches(stretches(range(100)), rng)
    for share, expected in ((0.0, 0), (0.5, 30), (0.75, 90)):
        assert sample.some_stretches(batches.replayed(30, share), rng).targets() == expected
    assert sample.some_stretches(1_000, rng).targets() == 100
