"""All that is counted over the stream, and what one event does to it."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rec_assets.features import popularity, rings, rows, statistics
from rec_assets.features.blocks import extended
from rec_assets.features.kernels import kernel
from rec_assets.features.popularity import Popularity
from rec_assets.features.rings import Rings
from rec_assets.features.rows import Rows
from rec_assets.features.statistics import SESSION_SECONDS, ItemStatistics

STEPS = 5  # an item follows so many items before it
LATELY = 30.0  # half-life of the forgetful transitions, in visits of the item they start from
TOGETHER = 25  # so many items of a session count as together with a new one
BEFORE = 5  # and so many items before the session, each at
BEFORE_WEIGHT = 0.3  # / its distance
SESSIONS_HALF_LIFE = 40_000.0  # events
COMMON = 32  # a new item has users in common with so many of a user's latest items
RESCALE = 60.0  # half-lives after which grown weights are brought back: exact in binary, and far from overflow

NEXT_BITS, SESSIONS_BITS, COMMON_BITS, VISITORS_BITS, SEEN_BITS = 9, 9, 10, 7, 12  # log2 of the caps of one row or ring


class Counters(NamedTuple):
    """I items, U users. Everything that `frozen` stops; histories are not part of it."""

    popularity: Popularity
    following: Rows  # item -> what followed it: 1/distance for good, and the same with a half-life of 30 visits
    following_sum: npt.NDArray[np.float64]  # [I, 2] sums of the row
    following_base: npt.NDArray[np.int32]  # [I] visits at which a new weight was last 1
    sessions: Rows  # item -> what stood in the same session, grown with time
    sessions_base: npt.NDArray[np.int64]  # [1] events at which a new weight was last 1
    common: Rows  # item -> users in common
    visitors: Rings  # item -> (user, position in the user's history)
    items: ItemStatistics
    averages: npt.NDArray[np.float32]  # [U, 5] moving averages of what a user chose
    events: npt.NDArray[np.int64]  # [1]


def empty() -> Counters:
    """Nothing has happened yet."""
    return Counters(
        popularity=popularity.empty(),
        following=rows.empty(2),
        following_sum=np.zeros((0, 2)),
        following_base=np.zeros(0, np.int32),
        sessions=rows.empty(1),
        sessions_base=np.zeros(1, np.int64),
        common=rows.empty(1),
        visitors=rings.empty(),
        items=statistics.no_items(),
        averages=np.zeros((0, len(statistics.AVERAGES)), np.float32),
        events=np.zeros(1, np.int64),
    )


def with_keys(counters: Counters, users: int, items: int) -> Counters:
    """For at least so many users and items; arrays that are long enough are shared."""
    return Counters(
        popularity=popularity.with_items(counters.popularity, items),
        following=rows.with_rows(counters.following, items),
        following_sum=extended(counters.following_sum, items, 0),
        following_base=extended(counters.following_base, items, 0),
        sessions=rows.with_rows(counters.sessions, items),
        sessions_base=counters.sessions_base,
        common=rows.with_rows(counters.common, items),
        visitors=rings.with_keys(counters.visitors, items),
        items=statistics.with_items(counters.items, items),
        averages=extended(counters.averages, users, 0),
        events=counters.events,
    )


ROOM = (  # places that one event may take of each pool: every row it touches may double once
    (STEPS + 1) << NEXT_BITS,
    2 * (TOGETHER + BEFORE + 1) << SESSIONS_BITS,
    2 * (COMMON + 1) << COMMON_BITS,
    1 << VISITORS_BITS,
)


def with_room(counters: Counters) -> Counters:
    """Pools with room for at least one more event."""
    return counters._replace(
        following=rows.with_room(counters.following, ROOM[0]),
        sessions=rows.with_room(counters.sessions, ROOM[1]),
        common=rows.with_room(counters.common, ROOM[2]),
        visitors=rings.with_room(counters.visitors, ROOM[3]),
    )


@kernel
def has_room(counters: Counters) -> bool:
    """Whether no pool can overflow in the next event."""
    return bool(
        counters.following.top[0] + ROOM[0] <= len(counters.following.keys)
        and counters.sessions.top[0] + ROOM[1] <= len(counters.sessions.keys)
        and counters.common.top[0] + ROOM[2] <= len(counters.common.keys)
        and counters.visitors.top[0] + ROOM[3] <= len(counters.visitors.first)
    )


@kernel
def _follow(
    following: Rows,
    sums: npt.NDArray[np.float64],
    base: npt.NDArray[np.int32],
    visits: npt.NDArray[np.int32],
    histories: Rings,
    user: int,
    item: int,
    weight: float,
) -> None:
    """The item came after each of the user's latest items."""
    for step in range(1, min(rings.kept(histories, user), STEPS) + 1):
        source = histories.first[rings.place_of(histories, user, histories.count[user] - step)]
        if source == item:
            continue
        age = (visits[source] - base[source]) / LATELY
        if age >= RESCALE:
            base[source] = visits[source]
            rows.scale(following, source, 1, 2.0**-age)
            sums[source, 1] *= 2.0**-age
            age = 0.0
        place = rows.find(following, source, item)
        if place < 0:
            place = rows.insert(following, source, item, NEXT_BITS)
        ever, lately = weight / step, weight / step * 2.0**age
        following.values[place, 0] += ever
        following.values[place, 1] += lately
        sums[source, 0] += ever
        sums[source, 1] += lately


@kernel
def _meet(
    sessions: Rows,
    base: npt.NDArray[np.int64],
    events: int,
    histories: Rings,
    user: int,
    item: int,
    seconds: float,
    weight: float,
) -> None:
    """The item stands in a session with what came just before it."""
    age = (events - base[0]) / SESSIONS_HALF_LIFE
    if age >= RESCALE:
        base[0] = events
        for row in range(len(sessions.bits)):
            if sessions.bits[row] > 0:
                rows.scale(sessions, row, 0, 2.0**-age)
        age = 0.0
    weight *= 2.0**age
    others, weights, n = np.empty(TOGETHER + BEFORE, np.int32), np.empty(TOGETHER + BEFORE, np.float32), 0
    count, inside, before, later = histories.count[user], True, 0, seconds
    for back in range(1, min(rings.kept(histories, user), TOGETHER + BEFORE) + 1):
        place = rings.place_of(histories, user, count - back)
        inside = inside and back <= TOGETHER and later - histories.second[place] <= SESSION_SECONDS
        later = histories.second[place]
        if not inside:
            before += 1
            if before > BEFORE:
                break
        if histories.first[place] != item:
            others[n] = histories.first[place]
            weights[n] = weight if inside else weight * BEFORE_WEIGHT / before
            n += 1
    rows.join(sessions, item, others[:n], weights[:n], SESSIONS_BITS)


@kernel
def _share(common: Rows, seen: Rows, histories: Rings, user: int, item: int) -> None:
    """The user is one more that the item and each of the user's latest items have in common."""
    if seen.bits[user] == 0:
        return
    others, n = np.empty(COMMON, np.int32), 0
    start, oldest = seen.start[user], histories.count[user] - COMMON
    for place in range(start, start + (1 << seen.bits[user])):
        other = seen.keys[place]
        if other >= 0 and other != item and seen.values[place, 1] > 0 and seen.values[place, 0] >= oldest:
            others[n] = other
            n += 1
    rows.join(common, item, others[:n], np.ones(n, np.float32), COMMON_BITS)


@kernel
def count(
    counters: Counters, histories: Rings, seen: Rows, user: int, item: int, seconds: float, weight: float
) -> None:
    """One event with a weight above 0; the user's history and seen items are those from before it."""
    position, n = histories.count[user], rings.kept(histories, user)
    place = rows.find(seen, user, item)
    is_repeat = place >= 0 and seen.values[place, 1] > 0
    gap = 0.0
    if n > 0:
        gap = max(0.0, seconds - histories.second[rings.place_of(histories, user, position - 1)])
    statistics.average(counters.averages[user], counters.items, item, seconds, n == 0, gap, is_repeat)
    _follow(
        counters.following, counters.following_sum, counters.following_base, counters.items.events,
        histories, user, item, weight,
    )  # fmt: skip
    _meet(counters.sessions, counters.sessions_base, counters.events[0], histories, user, item, seconds, weight)
    if not is_repeat:
        _share(counters.common, seen, histories, user, item)
    rings.append(counters.visitors, item, user, float(position), VISITORS_BITS)
    statistics.count_item(counters.items, item, seconds, not is_repeat)
    popularity.add(counters.popularity, item, counters.events[0], seconds, weight)
    counters.events[0] += 1
