import numpy as np
import pytest

from rec_assets.serving.attributes import Attributes
from rec_assets.serving.expression import BadFilter, read

ITEMS = [
    {"price": 5, "categories": ["Comedy", "Drama"], "released": "2024-01-31", "colour": "red", "on_sale": True},
    {"price": 20.5, "categories": ["Drama"], "released": "2023-06-01T12:00:00+02:00", "colour": "blue"},
    {"categories": [], "stock": 0, "on_sale": False, "old_price": 3},
    {"price": 10, "old_price": 12, "stock": -1, "colour": 'it\'s "quoted", ünï'},
]


@pytest.fixture
def items():
    attributes = Attributes()
    for key, said in enumerate(ITEMS):
        attributes.put(key, said)
    attributes.fit(5)  # one of which nothing was said
    return attributes


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("price < 20", [0, 3]),
        ("20 > price", [0, 3]),
        ("5 < price <= 20.5", [1, 3]),
        ('"Comedy" in categories', [0]),
        ('"Comedy" not in categories', [1, 2, 3, 4]),
        ('categories in ["Comedy", "Drama"]', [0, 1]),
        ('categories == "Drama"', [0, 1]),
        ('colour in ("red", "blue") and not price > 6', [0]),
        ('colour != "red"', [1, 2, 3, 4]),
        ("colour == 'it\\'s \"quoted\", ünï'", [3]),
        ("stock > -1", [2]),
        ("stock == -1", [3]),
        ("price is None", [2, 4]),
        ("price is not None and stock != None", [3]),
        ("on_sale", [0]),
        ("not on_sale", [1, 2, 3, 4]),
        ("on_sale == False", [2]),
        ('released >= "2024-01-01"', [0]),
        ('released < "2023-06-01T11:00"', [1]),
        ("released <= now", [1]),
        ("price < old_price", [3]),
        ("price == 10 or stock == 0", [2, 3]),
        ("True", [0, 1, 2, 3, 4]),
        ("nobody_said == 'this'", []),
    ],
)
def test_a_filter_masks_the_items_that_it_describes(items, text, keys):
    now = 1_700_000_000.0  # November 2023
    assert np.flatnonzero(read(text).mask(items, now)).tolist() == keys


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not understood"),
        ("price <", "not understood"),
        ("price", None),
        ("__import__('os').system('true')", "is no condition"),
        ("price.__class__ == 1", "compare an attribute"),
        ("[x for x in y]", "is no condition"),
        ("lambda: 1", "is no condition"),
        ("price < 'cheap'", "only numbers and dates have an order"),
        ("price < None", "is None"),
        ("price + 1 < 3", "a number, a text in quotes"),
        ("now", "compare it"),
        ("now == 3", "is a time"),
        ("1 < 2 in 3", "compare an attribute"),
        ("price < 1" + "0" * 400, "too large"),
        ("(" * 300 + "price" + ")" * 300, "not understood"),
        ("not " * 60 + "price", "levels deep"),
        ("price < 3 and " * 200 + "True", "characters"),
        ("price < 3; stock", "not understood"),
    ],
)
def test_what_is_no_filter_is_refused_with_its_place(text, told):
    if told is None:
        read(text)
        return
    with pytest.raises(BadFilter, match=told):
        read(text)


def test_what_is_said_anew_replaces_what_was_said(items):
    items.put(0, {"price": 100, "categories": ["Horror"]})
    assert np.flatnonzero(read('"Comedy" in categories or price < 20').mask(items, 0.0)).tolist() == [3]
    assert np.flatnonzero(read("colour is None").mask(items, 0.0)).tolist() == [0, 2, 4]
    assert items.words_of(0, "categories") == ["Horror"]
    assert items.words_of(0, "price") == ["100.0"]


def test_the_names_that_a_filter_asks_for_are_known():
    filter_ = read('price < 20 and "x" in categories and released <= now')
    assert filter_.names == {"price", "categories", "released"}
    assert filter_.timed
    assert not read("price < 20").timed
