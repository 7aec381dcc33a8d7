"""The live state and the one way in which it changes: events and catalogue rows in the order of the log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from rec_assets.features import content, counters, erasure, rings, rows, tags, turndown
from rec_assets.features.content import Content
from rec_assets.features.counters import SEEN_BITS, Counters
from rec_assets.features.idmap import IdMap
from rec_assets.features.kernels import kernel
from rec_assets.features.rings import Rings
from rec_assets.features.rows import Rows
from rec_assets.settings import Kind, TrainConfig

if TYPE_CHECKING:
    from rec_assets.events import Erasures, Parsed


class Description(NamedTuple):
    """A catalogue row that comes before event number `before` of its batch."""

    before: int
    item: int
    title: str | None
    categories: Sequence[str]
    attributes: str  # JSON


class Forgotten(NamedTuple):
    """A user who is forgotten before event number `before` of a batch; who comes again has another key."""

    before: int
    user: int


class EventArrays(NamedTuple):
    """A batch of n accepted events in the order of the log, by key, and the catalogue rows between them."""

    user: npt.NDArray[np.int32]  # [n]
    item: npt.NDArray[np.int32]  # [n] -1 for an event without an item
    weight: npt.NDArray[np.float32]  # [n] above 0 enters histories and counters, below 0 speaks against the item
    target: npt.NDArray[np.bool_]  # [n] has an item and is of a kind that is predicted and scored
    time: npt.NDArray[np.float64]  # [n] seconds, when it happened
    value: npt.NDArray[np.float64]  # [n] NaN for none
    tag: npt.NDArray[np.int16]  # [n] of tags.tags_of: its kind and value
    excluded: npt.NDArray[np.bool_]  # [n] taken into the state, but neither scored nor learnt from
    descriptions: Sequence[Description]
    end: int  # offset behind the batch
    forgotten: Sequence[Forgotten] = ()


@dataclass
class LiveState:
    """Everything known up to an offset of the log. One thread at a time may change or read it."""

    config: TrainConfig
    kinds: Mapping[str, Kind]
    users: IdMap
    items: IdMap
    histories: Rings  # user -> (item, seconds), tagged
    # user -> item: (position of the last time, times had; 0 down to -1 where it was passed over, turned down)
    seen: Rows
    counters: Counters
    content: Content
    clock: float = 0.0  # the latest time of any event, seconds
    offset: int = 0  # the log is read up to here

    @property
    def history_bits(self) -> int:
        """Log2 of the events kept per user."""
        return max(2, self.config.history_size.bit_length() - 1)


def init(config: TrainConfig, kinds: Mapping[str, Kind]) -> LiveState:
    """The state before the first record."""
    histories = rings.empty(tagged=True)
    return LiveState(config, kinds, IdMap(), IdMap(), histories, rows.empty(2), counters.empty(), content.empty())


def fit(state: LiveState) -> None:
    """Make room for all keys that have been assigned."""
    users, items = len(state.users), len(state.items)
    state.histories = rings.with_keys(state.histories, users)
    state.seen = rows.with_rows(state.seen, users)
    state.counters = counters.with_keys(state.counters, users, items)
    content.with_items(state.content, items)


def to_arrays(state: LiveState, parsed: "Parsed", end: int) -> EventArrays:
    """The accepted records of [state.offset, end) by key; new ids get their keys in the order of the log."""
    events, items, erasures = parsed.events, parsed.items, parsed.erasures
    n, descriptions, forgotten = len(events), [], []
    user, item, excluded = np.empty(n, np.int32), np.full(n, -1, np.int32), np.zeros(n, np.bool_)
    # One merge of all, so that keys do not depend on where the stream was cut into batches.
    others = [(offset, 0, row) for row, offset in enumerate(items.offset.tolist())]
    others = sorted([*others, *((offset, 1, row) for row, offset in enumerate(erasures.offset.tolist()))])
    offsets, done = [*events.offset.tolist(), np.inf], 0
    for i, offset in enumerate(offsets):
        while done < len(others) and others[done][0] < offset:
            _, is_erasure, row = others[done]
            done += 1
            if not is_erasure:
                key = state.items.assign(items.item_id[row])
                descriptions.append(Description(i, key, items.title[row], items.categories[row], items.attributes[row]))
            elif (key := _erase(state, erasures, row)) >= 0:
                forgotten.append(Forgotten(i, key))
                excluded[:i] |= user[:i] == key  # nothing is learnt from who is forgotten before the batch ends
        if i < n:
            user[i] = state.users.assign(events.user_id[i])
            item_id = events.item_id[i]
            if item_id is not None:
                item[i] = state.items.assign(item_id)
    fit(state)
    kinds = [state.kinds[kind] for kind in events.event]
    weight = np.array([kind.weight for kind in kinds], np.float32)
    least = np.array([-np.inf if kind.against_below is None else kind.against_below for kind in kinds])
    weight = np.where(events.value < least, -np.abs(weight), weight)  # where there is no value, it stays
    return EventArrays(
        user=user,
        item=item,
        weight=weight,
        target=np.array([kind.target for kind in kinds], np.bool_) & (weight > 0) & (item >= 0),
        time=events.occurred_at / 1e6,
        value=events.value,
        tag=tags.tags_of(events.event, events.value, state.kinds),
        excluded=excluded,
        descriptions=descriptions,
        end=end,
        forgotten=forgotten,
    )


def _erase(state: LiveState, erasures: "Erasures", row: int) -> int:
    """The key of the user who is to be forgotten, -1 for none. What is left of a record gives its keys away again."""
    if erasures.user[row]:
        return state.users.forget(erasures.user[row], erasures.salt[row], int(erasures.key[row]))
    if erasures.new_user[row]:
        state.users.skip()
    item_id = erasures.item_id[row]
    if item_id is not None:
        state.items.assign(item_id)
    return -1


@kernel
def _take(
    state: Counters,
    histories: Rings,
    seen: Rows,
    history_bits: int,
    user: npt.NDArray[np.int32],
    item: npt.NDArray[np.int32],
    weight: npt.NDArray[np.float32],
    time: npt.NDArray[np.float64],
    tag: npt.NDArray[np.int16],
    start: int,
    end: int,
) -> int:
    """Take events [start, end) into the state; returns early, before an event for which a pool may be too short."""
    for i in range(start, end):
        if (
            not counters.has_room(state)
            or histories.top[0] + (1 << history_bits) > len(histories.first)
            or seen.top[0] + (1 << SEEN_BITS) > len(seen.keys)
        ):
            return i
        if item[i] < 0 or weight[i] == 0:
            continue
        if weight[i] < 0:
            turndown.turn_down(state, histories, seen, user[i], item[i], weight[i])
            continue
        counters.count(state, histories, seen, user[i], item[i], time[i], weight[i])
        place = rows.place_of(seen, user[i], item[i], SEEN_BITS)
        seen.values[place, 0] = histories.count[user[i]]
        seen.values[place, 1] = max(seen.values[place, 1], 0) + 1
        rings.append(histories, user[i], item[i], time[i], history_bits, tag[i])
    return end


def take(state: LiveState, arrays: EventArrays, start: int, end: int) -> None:
    """Take events [start, end) of a batch into the histories and counters, in place.

    Who is forgotten in between, or right before event `end`, is forgotten there.
    """
    for before, user in arrays.forgotten:
        if start <= before <= end:
            _take_events(state, arrays, start, before)
            erasure.clear(state, user)
            start = before
    _take_events(state, arrays, start, end)


def _take_events(state: LiveState, arrays: EventArrays, start: int, end: int) -> None:
    if start < end:
        state.clock = max(state.clock, float(arrays.time[start:end].max()))
    while start < end:
        start = _take(
            state.counters,
            state.histories,
            state.seen,
            state.history_bits,
            arrays.user,
            arrays.item,
            arrays.weight,
            arrays.time,
            arrays.tag,
            start,
            end,
        )
        if start < end:
            state.counters = counters.with_room(state.counters)
            state.histories = rings.with_room(state.histories, 1 << state.history_bits)
            state.seen = rows.with_room(state.seen, 1 << SEEN_BITS)


def describe(state: LiveState, arrays: EventArrays, done: int, event: int) -> int:
    """Take in a batch's catalogue rows from number `done` on that come before an event; returns how many are done."""
    while done < len(arrays.descriptions) and arrays.descriptions[done].before <= event:
        row = arrays.descriptions[done]
        content.describe(state.content, row.item, row.title, row.categories, row.attributes)
        done += 1
    return done


def take_all(state: LiveState, arrays: EventArrays) -> None:
    """Take a whole batch into the state, in place."""
    describe(state, arrays, 0, len(arrays.user))
    take(state, arrays, 0, len(arrays.user))
    state.offset = arrays.end


def update(state: LiveState, parsed: "Parsed", end: int) -> None:
    """Take the accepted records of [state.offset, end) into the state, in place; where the stream is cut changes
    nothing.
    """
    take_all(state, to_arrays(state, parsed, end))
