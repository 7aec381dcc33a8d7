"""The table of items that users are multiplied with: kept up with the catalogue, exact whatever its size."""

import numpy as np
import pytest

from rec_assets.features import content as contents
from rec_assets.training import table as tables
from rec_assets.training.table import ItemRows, Table, rare_bias

DIM, ITEMS = 16, 300


def rows(rng):
    """Rows for half of the keys, in another order than theirs; one place is free."""
    key_of = rng.permutation(ITEMS)[: ITEMS // 2].astype(np.int32)
    key_of[3] = -1
    embedding = rng.normal(size=(len(key_of), DIM)).astype(np.float32)
    return ItemRows(key_of, embedding, rng.normal(size=len(key_of)).astype(np.float32))


def direct(given, projection, content, n):
    vectors = content.vectors[:n] @ projection
    bias = np.full(n, np.float32(rare_bias(given)))
    for row, key in enumerate(given.key_of.tolist()):
        if 0 <= key < n:
            vectors[key] += given.embedding[row]
            bias[key] = given.bias[row]
    return vectors, bias


def described(n):
    content = contents.empty()
    contents.with_items(content, n)
    for key in range(0, n, 3):
        contents.describe(content, key, f"title {key % 17} of {key % 5}", [f"kind {key % 4}"])
    return content


def test_growth_and_new_descriptions_are_followed():
    rng = np.random.default_rng(0)
    given, projection = rows(rng), rng.normal(size=(64, DIM)).astype(np.float32)
    content = described(100)
    table = Table(given, projection)
    for n in (0, 1, 100, 100):
        for found, expected in zip(table.of(n, content), direct(given, projection, content, n), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    contents.with_items(content, ITEMS)
    contents.describe(content, 5, "another title", ["kind 1"])
    contents.describe(content, 250, "a new one", [])
    for found, expected in zip(table.of(ITEMS, content), direct(given, projection, content, ITEMS), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_without_content_or_rows_there_is_still_a_place():
    nothing = ItemRows(np.zeros(0, np.int32), np.zeros((0, DIM), np.float32), np.zeros(0, np.float32))
    vectors, bias = Table(nothing, np.zeros((64, DIM), np.float32)).of(3, None)
    assert not vectors.any()
    assert bias.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("scanned", [ITEMS, 10])
def test_logits_are_off_by_no_more_than_they_say(monkeypatch, scanned):
    monkeypatch.setattr(tables, "SCANNED", scanned)
    rng = np.random.default_rng(1)
    given, projection = rows(rng), rng.normal(size=(64, DIM)).astype(np.float32) * 0.1
    content, users = described(ITEMS), (rng.normal(size=(5, DIM)) * 3).astype(np.float32)
    table = Table(given, projection)
    for n in (200, ITEMS):
        if n == ITEMS:
            contents.describe(content, 7, "another", ["other"])
        vectors, bias = direct(given, projection, content, n)
        for user, expected in zip(users, table.expected(users, n, content), strict=True):
            true = vectors @ user + bias
            assert (expected.wrong == 0) == (n <= scanned)
            assert np.abs(expected.logits - true).max() <= max(expected.wrong, 1e-4)
            if expected.wrong:
                assert expected.wrong < 0.5
                np.testing.assert_allclose(expected.vectors @ expected.user + expected.bias, true, rtol=1e-4, atol=1e-4)
