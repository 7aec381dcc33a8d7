import json

from rec_assets.events import parse
from rec_assets.log import Record
from rec_assets.serving.catalogue import Catalogue, Entry


def rows(*items):
    records = [Record(i, "item", "s", None, 0, str(i), json.dumps(item).encode()) for i, item in enumerate(items)]
    return parse(records, {}).items


def test_the_newest_description_counts_and_survives_arrow():
    catalogue = Catalogue()
    catalogue.take(rows({"item_id": "a", "title": "Old"}, {"item_id": "b"}))
    catalogue.take(rows({"item_id": "a", "title": "Solaris", "categories": ["Drama"], "year": 1972, "stars": 5}))
    assert catalogue["a"] == Entry("Solaris", ["Drama"], 1972)
    assert catalogue["never"] == Entry(None, [])
    copied = Catalogue()
    copied.read(catalogue.to_arrow())
    assert [copied[item_id] for item_id in ("a", "b")] == [catalogue[item_id] for item_id in ("a", "b")]
    assert len(copied) == 2
    assert Catalogue().to_arrow().num_rows == 0


def test_a_year_that_is_none_is_left_out():
    catalogue = Catalogue()
    catalogue.take(rows({"item_id": "a", "year": "soon"}, {"item_id": "b", "year": 1e99}))
    assert catalogue["a"].year is catalogue["b"].year is None


def test_search_wants_every_word_and_puts_beginnings_first():
    catalogue = Catalogue()
    catalogue.take(
        rows(
            {"item_id": "a", "title": "The Thin Red Line", "categories": ["War"]},
            {"item_id": "b", "title": "Red Dawn", "categories": ["War"]},
            {"item_id": "c", "title": "Red Violin", "year": 1998},
        )
    )
    assert catalogue.search("red", 10) == ["b", "c", "a"]
    assert catalogue.search("war RED", 10) == ["a", "b"]
    assert catalogue.search("1998", 10) == ["c"]
    assert catalogue.search("red", 1) == ["b"]
    assert catalogue.search("blue", 10) == []
