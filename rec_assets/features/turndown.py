"""What speaks against an item: hides, returns, and skips, which were shown above what was acted on."""

from rec_assets.features import popularity, rings, rows
from rec_assets.features.counters import SEEN_BITS, STEPS, Counters
from rec_assets.features.kernels import kernel
from rec_assets.features.rings import Rings
from rec_assets.features.rows import Rows

TURNED_DOWN = -1.0
ALMOST = 1e-3  # sums of 32-bit numbers
LASTING = 1e9  # as strong as no position is: of a full row of items had, what was turned down stays


@kernel
def is_had(times: float) -> bool:
    """Whether the number of times says that the user has had the item."""
    return bool(times > 0)


@kernel
def is_turned_down(times: float) -> bool:
    """Whether it says that the item must not be listed for the user."""
    return bool(times <= TURNED_DOWN)


@kernel
def turn_down(counters: Counters, histories: Rings, seen: Rows, user: int, item: int, weight: float) -> None:
    """One event with a weight below 0.

    From -1 down it turns the item down at once and takes the weight back that the user's latest event gave it. Above,
    it adds up until it is -1; of what the user has had it says nothing.
    """
    place = rows.place_of(seen, user, item, SEEN_BITS)
    times = seen.values[place, 1]
    at_once = weight <= TURNED_DOWN
    if times > 0:
        if not at_once:
            return
        take_back(counters, histories, user, item, int(seen.values[place, 0]), -weight)
    if at_once or times + weight <= TURNED_DOWN + ALMOST:
        seen.values[place, 0], seen.values[place, 1] = LASTING, TURNED_DOWN
    else:
        seen.values[place, 0], seen.values[place, 1] = histories.count[user], times + weight


@kernel
def take_back(counters: Counters, histories: Rings, user: int, item: int, position: int, weight: float) -> None:
    """Undo in the counters what an event at a position of the user's history gave an item, while the history has it.

    What forgets with the number of events is left to do so: it does not say how far it has.
    """
    oldest = histories.count[user] - rings.kept(histories, user)
    if position < oldest or position >= histories.count[user]:
        return
    seconds = histories.second[rings.place_of(histories, user, position)]
    popularity.take_back(counters.popularity, item, seconds, weight)
    for step in range(1, min(position - oldest, STEPS) + 1):
        source = histories.first[rings.place_of(histories, user, position - step)]
        place = rows.find(counters.following, source, item)
        if place >= 0:
            gone = min(counters.following.values[place, 0], weight / step)
            counters.following.values[place, 0] -= gone
            counters.following_sum[source, 0] -= gone
