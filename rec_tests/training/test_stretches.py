import numpy as np
import pytest

from rec_assets.training import stretches

WINDOW = 8


def predicted(found):
    """Every (item, time) that is a target, in order."""
    return [
        (int(item), time)
        for items, times, first, _ in zip(*found, strict=True)
        for item, time in zip(items[first:], times[first:], strict=True)
    ]


@pytest.mark.parametrize("offset", [0, 3])
@pytest.mark.parametrize(("count", "fresh"), [(1, 1), (5, 5), (9, 2), (40, 40), (40, 13), (40, 1)])
def test_each_fresh_event_is_predicted_once(count, fresh, offset):
    items, times = np.arange(count, dtype=np.int32), np.arange(count) * 10.0
    found = stretches.cut(3, items, times, fresh, WINDOW, 4, offset)
    assert predicted(found) == [(i, i * 10.0) for i in range(count - fresh, count)]
    assert found.targets() == fresh


def test_a_stretch_knows_what_came_before_it():
    items, times = np.arange(20, dtype=np.int32), np.arange(20.0)
    found = stretches.cut(3, items, times, 2, WINDOW, 4)
    assert found.items.tolist() == [list(range(11, 20))]
    assert found.first.tolist() == [WINDOW + 1 - 2]


def test_a_stream_is_predicted_once_whatever_the_cut():
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 6, 200).astype(np.int32), rng.integers(0, 50, 200).astype(np.int32)
    found = stretches.from_events(users, items, np.arange(200.0), WINDOW, rng)
    assert sorted(predicted(found), key=lambda pair: pair[1]) == list(zip(items.tolist(), range(200), strict=True))


def test_step_batches_hold_every_target_once_and_padding_weighs_nothing():
    rng = np.random.default_rng(1)
    users = np.minimum(rng.geometric(0.05, 3_000), 200).astype(np.int32)
    items = rng.integers(0, 50, 3_000).astype(np.int32)
    found = stretches.from_events(users, items, np.arange(3_000.0), WINDOW, rng)
    batches = list(stretches.step_batches(found, found.items))
    targets = np.concatenate([np.asarray(batch.targets)[np.asarray(batch.weight) > 0] for batch in batches])
    assert sorted(targets.tolist()) == sorted(items.tolist())
    shapes = {np.asarray(batch.sequences.items).shape for batch in batches}
    assert len(shapes) <= 2
    for batch in batches:
        positions = np.asarray(batch.positions)[np.asarray(batch.weight) > 0]
        assert len(set(positions.tolist())) == len(positions)
        following = np.asarray(batch.sequences.items).reshape(-1)[
            positions + 1 - (positions + 1 >= batch.sequences.items.size)
        ]
        inside = (positions + 1) % batch.sequences.items.shape[1] != 0
        assert (following[inside] == np.asarray(batch.targets)[np.asarray(batch.weight) > 0][inside]).all()


def test_hours_and_weekdays_are_of_the_event_to_be_predicted():
    items, times = np.array([[-1, 3]], np.int32), np.array([[0.0, 1_700_000_000.0]])
    inputs = stretches.sequences(items, times, np.array([1_700_003_700.0]))  # 2023-11-14, a Tuesday, 23:15
    assert (int(inputs.hour[0, -1]), int(inputs.weekday[0, -1])) == (23, 1)
    assert inputs.times.tolist() == [[0, 0, 3_700]]
