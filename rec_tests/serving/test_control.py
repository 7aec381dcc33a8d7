import numpy as np
import pytest

from rec_assets.serving.control import Caps, Control, adjusted, pick

KEYS = np.array([10, 11, 12, 13, 14, -1, -1], np.int32)
SCORES = np.array([1.0, 5.0, 3.0, 4.0, 2.0, -np.inf, -np.inf], np.float32)  # 11, 13, 12, 14, 10
SELLER = {10: "a", 11: "b", 12: "b", 13: "b", 14: "a"}
VECTORS = np.array([[1, 0], [0, 1], [0.1, 0.99], [0, 1], [1, 0], [0, 0], [0, 0]], np.float32)


def picked(k, control, seed=0):
    caps = Caps(control.caps, lambda key, _: [SELLER[key]])
    return pick(KEYS, SCORES, k, control, caps, VECTORS, np.random.default_rng(seed))


def test_without_control_the_best_scores_are_the_list():
    assert picked(3, Control()).keys.tolist() == [11, 13, 12]
    assert picked(99, Control()).keys.tolist() == [11, 13, 12, 14, 10]
    assert picked(2, Control()).propensities.tolist() == [1.0, 1.0]


def test_a_cap_lets_the_next_best_in():
    assert picked(3, Control(caps={"seller": 1})).keys.tolist() == [11, 14]
    assert picked(3, Control(caps={"seller": 2})).keys.tolist() == [11, 13, 14]


def test_a_pin_stands_at_its_place_and_nowhere_else():
    assert picked(3, Control(pins={1: 10})).keys.tolist() == [11, 10, 13]
    found = picked(3, Control(pins={0: 77}))
    assert found.keys.tolist() == [77, 11, 13]
    assert found.columns.tolist()[0] == -1
    assert picked(2, Control(pins={5: 10})).keys.tolist() == [11, 13]  # behind the end of the list
    assert picked(9, Control(pins={8: 77})).keys.tolist() == [11, 13, 12, 14, 10, 77]


def test_a_pin_counts_for_the_caps():
    assert picked(3, Control(pins={0: 12}, caps={"seller": 1})).keys.tolist() == [12, 14]


def test_diversity_prefers_what_is_unlike_the_list_so_far():
    assert picked(2, Control(diversity=0.6)).keys.tolist() == [11, 14]
    assert picked(5, Control(diversity=0.6)).keys.tolist()[2:] != [12, 13]


def test_exploration_shows_each_item_as_often_as_its_propensity_says():
    first = [picked(1, Control(exploration=0.5), seed) for seed in range(4_000)]
    shares = {key: np.mean([list_.keys[0] == key for list_ in first]) for key in KEYS[:5].tolist()}
    for key, share in shares.items():
        told = {list_.propensities[0] for list_ in first if list_.keys[0] == key}
        assert list(told) == [pytest.approx(0.6 if key == 11 else 0.1)]
        assert share == pytest.approx(told.pop(), abs=0.03)


def test_a_boost_multiplies_the_odds():
    mask = np.array([1, 0, 0, 0, 0, 0, 0], np.bool_)
    changed = adjusted(SCORES, (mask, np.log(3.0)))
    before, after = np.exp(SCORES[:5]), np.exp(changed[:5])
    assert after[0] / after[1] == pytest.approx(3 * before[0] / before[1], rel=1e-5)
    assert adjusted(SCORES) is SCORES
