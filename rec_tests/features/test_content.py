import numpy as np

from rec_assets.features import content


def described(*items):
    held = content.empty()
    content.with_items(held, len(items))
    for key, (title, categories) in enumerate(items):
        content.describe(held, key, title, categories)
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
