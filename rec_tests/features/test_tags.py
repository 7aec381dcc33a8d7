import numpy as np

from rec_assets.features import tags
from rec_assets.settings import DOMAINS, Kind


def test_no_two_kinds_of_the_vocabularies_share_a_code():
    names = {name for kinds in DOMAINS.values() for name in kinds}
    codes = {tags.kind_code(name) for name in names}
    assert len(codes) == len(names)
    assert min(codes) > tags.UNTOLD and max(codes) < tags.KINDS


def test_ratings_are_told_apart_by_halves_and_amounts_by_magnitude():
    values = np.array([np.nan, 0.0, 0.5, 4.0, 4.5, 10.0, 100.0])
    ratings = tags.value_codes(values, np.ones(7, np.bool_))
    assert ratings[0] == tags.UNTOLD
    assert (np.diff(ratings) > 0).all()
    amounts = tags.value_codes(np.array([np.nan, -3.0, 0.0, 9.0, 10.0, 1e30]), np.zeros(6, np.bool_))
    assert amounts.tolist() == [tags.UNTOLD, 22, 22, 29, 29, tags.VALUES - 1]


def test_a_tag_is_a_kind_and_a_value():
    kinds = {"rating": Kind(value="rating"), "click": Kind()}
    found = tags.tags_of(["rating", "click", "click"], np.array([4.0, np.nan, 2.0]), kinds)
    kind, value = np.divmod(found, tags.VALUES)
    assert kind.tolist() == [tags.kind_code(name) for name in ("rating", "click", "click")]
    assert value.tolist() == [9, tags.UNTOLD, 25]
    assert tags.tags_of([], np.zeros(0), kinds).tolist() == []
