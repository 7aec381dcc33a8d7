import json

import numpy as np

from rec_assets.events import parse
from rec_assets.features.idmap import IdMap
from rec_assets.log import Record
from rec_assets.serving.catalogue import UNKNOWN, Catalogue


def catalogue_of(*items):
    catalogue = Catalogue(IdMap())
    take(catalogue, *items)
    return catalogue


def take(catalogue, *items):
    records = [Record(i, "item", "s", None, 0, str(i), json.dumps(item).encode()) for i, item in enumerate(items)]
    for item in items:
        catalogue._ids.assign(item["item_id"])
    catalogue.take(parse(records, {}).items)


def test_the_newest_description_counts_and_survives_arrow():
    catalogue = catalogue_of({"item_id": "a", "title": "Old"}, {"item_id": "b"})
    solaris = {"item_id": "a", "title": "Solaris", "categories": ["Drama"], "year": 1972, "image": [0.5, 1, 2]}
    take(catalogue, solaris)
    assert (catalogue["a"].title, catalogue["a"].categories) == ("Solaris", ["Drama"])
    assert json.loads(bytes(catalogue["a"].attributes)) == {"year": 1972}  # nobody reads a vector
    assert catalogue.row("a") == solaris
    assert catalogue["never"] == UNKNOWN
    copied = Catalogue(catalogue._ids)
    copied.read(catalogue.to_arrow())
    assert [copied.row(item_id) for item_id in ("a", "b")] == [catalogue.row(item_id) for item_id in ("a", "b")]
    assert len(copied) == 2
    assert catalogue_of().to_arrow().num_rows == 0


def test_what_is_hidden_or_deleted_is_in_no_list():
    catalogue = catalogue_of({"item_id": "a"}, {"item_id": "b", "hidden": True}, {"item_id": "c", "deleted": True})
    assert catalogue.allowed(4).tolist() == [True, False, False, True]
    take(catalogue, {"item_id": "b", "hidden": False})
    assert np.flatnonzero(catalogue.allowed(4)).tolist() == [0, 1, 3]
    assert [found.item_id for found in catalogue.search("", 10)] == ["a", "b"]


def test_search_wants_every_word_and_puts_beginnings_first():
    catalogue = catalogue_of(
        {"item_id": "a", "title": "The Thin Red Line", "categories": ["War"]},
        {"item_id": "b", "title": "Red Dawn", "categories": ["War"]},
        {"item_id": "c", "title": "Red Violin", "year": 1998},
    )

    def search(query, limit=10):
        return [found.item_id for found in catalogue.search(query, limit)]

    assert search("red") == ["b", "c", "a"]
    assert search("war RED") == ["a", "b"]
    assert search("1998") == ["c"]
    assert search("red", 1) == ["b"]
    assert search("blue") == []
