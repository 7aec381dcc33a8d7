"""How well the items of a batch's events fit those who acted, whatever is popular.

An event's list is asked for its own item and for the items of the others: which comes first? Where a batch's items were
shuffled, or made up, its own is no better than theirs, a half of them on average, on any stream. Where people chose, it
is better (the area under the ROC curve of Hand and Till 2001, for one event against all others).
"""

import numpy as np
import numpy.typing as npt

from rec_assets.features.state import EventArrays, LiveState
from rec_assets.ranking import Candidates
from rec_assets.training import popularity

KNOWN_EVENTS = 5  # of a user; who has fewer is told what is popular


def comparable(
    state: LiveState,
    arrays: EventArrays,
    index: npt.NDArray[np.int64],
    earlier: npt.NDArray[np.int64],
    known: npt.NDArray[np.bool_],
) -> npt.NDArray[np.bool_]:
    """[m, m] whether the list of the one event could have the other's item, of a batch that is not yet in the state.

    `index` chooses m events of it, `earlier` [m] are as many as their users had before them, `known` [items] those that
    can be listed. An event is not compared with its user's others, which fit as well.
    """
    users, items = arrays.user[index], arrays.item[index]
    one, other = np.repeat(np.arange(len(index)), len(index)), np.tile(np.arange(len(index)), len(index))
    listable = known[items][other] & known[items][one] & (earlier[one] >= KNOWN_EVENTS)
    listable &= (users[one] != users[other]) & (items[one] != items[other])
    if not state.config.repeats:
        pairs = arrays._replace(user=users[one], item=items[other], weight=np.zeros(len(one), np.float32))
        listable &= popularity.is_first(state, pairs)
    return listable.reshape(len(index), len(index))


def fits(
    candidates: Candidates,
    scores: npt.NDArray[np.float32],
    items: npt.NDArray[np.int32],
    compared: npt.NDArray[np.bool_],
) -> npt.NDArray[np.float64]:
    """Of each event [m] the share of the others' `items` [m], as far as they are `compared` [m, m], that its list has
    behind its own, ties half; nan where there are none. `scores` [m, C] are those of the candidates.
    """
    found = np.full(len(items), np.nan)
    for row in np.flatnonzero(compared.any(1)).tolist():
        order = np.argsort(candidates.items[row])
        places = np.minimum(np.searchsorted(candidates.items[row], items, sorter=order), len(order) - 1)
        columns = order[places]
        theirs = np.where(candidates.items[row, columns] == items, scores[row, columns], -np.inf)
        own, theirs = theirs[row], theirs[compared[row]]
        found[row] = np.mean((own > theirs) + (own == theirs) / 2)
    return found
