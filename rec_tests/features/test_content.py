import json

import numpy as np
from small_stream import SMALL

from rec_assets import features
from rec_assets.events import Items, parse
from rec_assets.features import content
from rec_assets.settings import KINDS


def described(*items):
    held = content.empty()
    content.with_items(held, len(items))
    for key, (title, categories, *told) in enumerate(items):
        content.describe(held, key, title, categories, json.dumps(told[0] if told else {}))
    return held.vectors[: len(items)]


def test_items_that_share_words_are_close():
    a, b, c, d = described(
        ("The Iron Giant", ["Animation"]),
        ("Iron Giants Return", ["Animation"]),
        ("Notting Hill", ["Romance"]),
        (None, []),
    )
    assert a @ b > a @ c + 0.2
    np.testing.assert_allclose([a @ a, b @ b, c @ c], 1, rtol=1e-5)
    assert not d.any()


def test_a_rare_word_says_more_than_a_common_one():
    common = [("the film", [])] * 30
    vectors = described(*common, ("the zebra", []), ("one zebra", []), ("the film two", []))
    assert vectors[30] @ vectors[31] > vectors[30] @ vectors[0]


def test_a_vector_depends_on_the_words_alone():
    np.testing.assert_array_equal(described(("a b", ["c"]))[0], described(("b a", ["c"]))[0])


def test_items_with_like_vectors_are_close_however_long_and_far_from_zero_these_are():
    rng = np.random.default_rng(0)
    topics = rng.normal(size=(2, 300))
    given = [3.0 + topics[key % 2] + rng.normal(size=300) for key in range(60)]
    vectors = described(*(("film", [], {"text_vector": (7 * x).tolist(), "shown": True}) for x in given))
    late = vectors[40:]
    alike = np.add.outer(np.arange(20), np.arange(20)) % 2 == 0
    close = late @ late.T
    assert close[alike].mean() > close[~alike].mean() + 0.3


def test_numbers_are_measured_by_what_is_usual():
    rng = np.random.default_rng(1)
    prices = np.concatenate([np.exp(rng.normal(3, 1, 200)), [5.0, 6.0, 80.0]])
    cheap, like_it, dear = described(*(("mug", [], {"price": price}) for price in prices.tolist()))[-3:]
    assert cheap @ like_it > 0.95 > 0.85 > cheap @ dear > 0.3  # the same words still count most


def test_what_cannot_be_measured_changes_nothing():
    odd = {"stock": 10**400, "flags": [0, 0], "sizes": ["s", "m"], "sold": False, "note": None}
    plain, other = described(("mug", []), ("mug", [], odd))
    np.testing.assert_allclose(plain, other, rtol=1e-6)


def test_what_is_usual_is_saved_with_the_state(tmp_path):
    def take(state, start):
        rows = [(i, f"i{i}", None, [], json.dumps({"price": i + 1, "v": [i, 1, -i]})) for i in range(start, start + 9)]
        features.update(state, parse([], KINDS)._replace(items=Items.of(rows)), start + 9)

    state = features.init(SMALL, KINDS)
    take(state, 0)
    features.save(state, tmp_path)
    loaded = features.load(tmp_path, SMALL, KINDS)
    for each in (state, loaded):
        take(each, 9)
    np.testing.assert_array_equal(state.content.vectors[:18], loaded.content.vectors[:18])
    assert np.abs(loaded.content.vectors[:18]).sum(axis=1).all()
