import numpy as np
import pytest

from rec_assets.training import packing, stretches

WINDOW = 8
NO_TAGS = np.zeros(3_000, np.int16)


def predicted(found):
    """Every (item, time) that is a target, in order."""
    return [
        (int(item), time)
        for items, times, _, first, _ in zip(*found, strict=True)
        for item, time in zip(items[first:], times[first:], strict=True)
    ]


@pytest.mark.parametrize("offset", [0, 3])
@pytest.mark.parametrize(("count", "fresh"), [(1, 1), (5, 5), (9, 2), (40, 40), (40, 13), (40, 1)])
def test_each_fresh_event_is_predicted_once(count, fresh, offset):
    items, times = np.arange(count, dtype=np.int32), np.arange(count) * 10.0
    found = stretches.cut(3, items, times, items.astype(np.int16), fresh, WINDOW, 4, offset)
    assert predicted(found) == [(i, i * 10.0) for i in range(count - fresh, count)]
    assert found.targets() == fresh
    assert (found.tags == np.maximum(found.items, 0)).all()


def test_a_stretch_knows_what_came_before_it():
    items, times = np.arange(20, dtype=np.int32), np.arange(20.0)
    found = stretches.cut(3, items, times, NO_TAGS[:20], 2, WINDOW, 4)
    assert found.items.tolist() == [list(range(11, 20))]
    assert found.first.tolist() == [WINDOW + 1 - 2]


def test_a_stream_is_predicted_once_whatever_the_cut():
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 6, 200).astype(np.int32), rng.integers(0, 50, 200).astype(np.int32)
    found = stretches.from_events(users, items, np.arange(200.0), NO_TAGS[:200], WINDOW, rng)
    assert sorted(predicted(found), key=lambda pair: pair[1]) == list(zip(items.tolist(), range(200), strict=True))


def test_step_batches_hold_every_target_once_and_hardly_any_padding():
    rng = np.random.default_rng(1)
    users = np.minimum(rng.geometric(0.05, 3_000), 200).astype(np.int32)
    items = rng.integers(0, 50, 3_000).astype(np.int32)
    found = stretches.from_events(users, items, np.arange(3_000.0), NO_TAGS[:3_000], WINDOW, rng)
    lines = packing.pack(found)
    assert (lines.piece >= 0).mean() > 0.98
    batches = list(packing.step_batches(lines, lines.items, lines.following))
    targets = np.concatenate([np.asarray(batch.targets)[np.asarray(batch.weight) > 0] for batch in batches])
    assert sorted(targets.tolist()) == sorted(items.tolist())
    assert len({np.asarray(batch.sequences.items).shape for batch in batches}) == 1
    for batch in batches:
        positions = np.asarray(batch.positions)[np.asarray(batch.weight) > 0]
        assert len(set(positions.tolist())) == len(positions)


def test_a_line_keeps_pieces_whole():
    rng = np.random.default_rng(2)
    users = rng.integers(0, 400, 2_000).astype(np.int32)
    items, times = np.arange(2_000, dtype=np.int32), np.arange(2_000.0)
    found = stretches.from_events(users, items, times, items.astype(np.int16), WINDOW, rng)
    lines = packing.pack(found)
    for line in range(len(lines.items)):
        for piece in np.unique(lines.piece[line][lines.piece[line] >= 0]):
            columns = np.flatnonzero(lines.piece[line] == piece)
            assert (np.diff(columns) == 1).all()
            assert (lines.following[line, columns][:-1] == lines.items[line, columns][1:]).all()
            assert (lines.ahead[line, columns] == lines.following[line, columns]).all()
            assert (lines.tags[line, columns] == np.maximum(lines.items[line, columns], 0)).all()
            assert len(set(users[lines.following[line, columns]])) == 1


def test_few_targets_take_a_small_softmax():
    found = stretches.cut(3, np.arange(30, dtype=np.int32), np.arange(30.0), NO_TAGS[:30], 3, WINDOW, 4)
    lines = packing.pack(found)
    [batch] = packing.step_batches(lines, lines.items, lines.following)
    assert len(batch.targets) == packing.FEW_TARGETS
    assert batch.weight.sum() == 3


def test_nothing_packs_to_nothing():
    lines = packing.pack(stretches.empty(WINDOW))
    assert len(lines.items) == 0
    assert list(packing.step_batches(lines, lines.items, lines.following)) == []


def test_hours_and_weekdays_are_of_the_event_to_be_predicted():
    items, times = np.array([[-1, 3]], np.int32), np.array([[0.0, 1_700_000_000.0]])
    inputs = packing.windows(
        items, times, NO_TAGS[None, :2], np.array([1_700_003_700.0])
    )  # 2023-11-14, a Tuesday, 23:15
    assert (int(inputs.hour[0, -1]), int(inputs.weekday[0, -1])) == (23, 1)
    assert (inputs.ahead - inputs.times)[0, -1] == 3_700
