"""An event's item against the others' items: shuffled ones are no better, whatever is popular."""

import numpy as np
from chain_stream import chain, parsed

from rec_assets.features import state as live
from rec_assets.ranking.propose import blank
from rec_assets.training.fit import KNOWN_EVENTS, comparable, fits


def lists(items, scores):
    return blank(len(items), len(items[0]))._replace(items=np.array(items, np.int32)), np.array(scores, np.float32)


def test_own_items_are_held_against_those_of_others():
    candidates, scores = lists([[7, 5, 6], [5, 6, -1], [9, 8, -1]], [[3, 2, 1], [2, 2, -np.inf], [1, 0, -np.inf]])
    compared = ~np.eye(3, dtype=bool)
    found = fits(candidates, scores, np.array([5, 6, 4], np.int32), compared)
    # 5 before 6 and 4, which is no candidate; 6 level with 5, before 4; 4 level with two that are none either.
    assert found.tolist() == [1.0, 0.75, 0.5]
    assert np.isnan(fits(candidates, scores, np.array([5, 6, 4], np.int32), np.zeros((3, 3), bool))).all()


def test_what_can_be_compared(state):
    live.update(state, parsed(chain(300)), 300)
    rows = [("u1", "i1", 2e9), ("u2", "i2", 2e9), ("u1", "i3", 2e9), ("u3", "i2", 2e9), ("u4", "new", 2e9)]
    arrays = live.to_arrays(state, parsed(rows, 300), 305)
    known = np.ones(len(state.items), bool)
    known[state.items.key("new")] = False
    state.seen.values[...] = 0  # nobody has had anything
    earlier = np.array([9, 9, 9, KNOWN_EVENTS - 1, 9])
    found = comparable(state, arrays, np.arange(5), earlier, known)
    # Not with the user's own, the same item or an unknown one; nothing for a new user.
    assert np.argwhere(found).tolist() == [[0, 1], [0, 3], [1, 0], [1, 2], [2, 1], [2, 3]]


def test_what_a_user_had_is_not_compared(state):
    live.update(state, parsed(chain(300)), 300)
    rows = [(f"u{n % 12}", f"i{n}", 2e9) for n in range(24)]
    arrays = live.to_arrays(state, parsed(rows, 300), 324)
    known = np.ones(len(state.items), bool)
    found = comparable(state, arrays, np.arange(24), np.full(24, 9), known)
    had = {(u, i) for u, i, _ in chain(300)}
    for one, other in np.argwhere(found):
        assert (rows[one][0], rows[other][1]) not in had
