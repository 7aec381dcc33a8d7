"""What a micro-batch gives to learn from: pieces of it, and stretches of the histories it made longer."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from rec_assets.features import histories
from rec_assets.features.state import EventArrays, LiveState
from rec_assets.training import online, stretches
from rec_assets.training.model import Model
from rec_assets.training.stretches import Stretches

TARGETS = 25  # at most, of one stretch of a micro-batch, which so knows what came before them


def between(arrays: EventArrays, start: int, end: int) -> EventArrays:
    """Events [start, end) of a batch and the catalogue rows that come before each of them; the last piece has the
    rest.
    """
    last = end == len(arrays.user)
    inside = [row for row in arrays.descriptions if start <= row.before < end or (last and row.before >= end)]
    forgotten = [each for each in arrays.forgotten if start <= each.before < end or (last and each.before >= end)]
    return arrays._replace(
        user=arrays.user[start:end],
        item=arrays.item[start:end],
        weight=arrays.weight[start:end],
        target=arrays.target[start:end],
        time=arrays.time[start:end],
        value=arrays.value[start:end],
        tag=arrays.tag[start:end],
        excluded=arrays.excluded[start:end],
        descriptions=[row._replace(before=row.before - start) for row in inside],
        forgotten=[each._replace(before=each.before - start) for each in forgotten],
    )


def fresh_stretches(state: LiveState, arrays: EventArrays, window: int) -> Stretches:
    """Each event of the batch as a target once, with what came before it. The batch has been taken into the state.

    An excluded event is no target; what came after it knows of it, as the service does.
    """
    counted = (arrays.item >= 0) & (arrays.weight > 0)
    users, place, counts = np.unique(arrays.user[counted], return_inverse=True, return_counts=True)
    excluded = np.split(arrays.excluded[counted][np.argsort(place, kind="stable")], np.cumsum(counts)[:-1])
    if not len(users):
        return stretches.empty(window)
    items, times, tags = histories.last(state, users, window + 1 + int(counts.max()))
    kept = (items >= 0).sum(axis=1)
    parts, size = [], min(TARGETS, window)
    for row, count in enumerate(counts):
        fresh = min(int(count), int(kept[row]))
        own = items.shape[1] - min(int(kept[row]), window + 1 + fresh)
        for behind, targets in runs(excluded[row][len(excluded[row]) - fresh :]):
            past = items.shape[1] - behind
            known = items[row, own:past], times[row, own:past], tags[row, own:past]
            parts.append(stretches.cut(int(users[row]), *known, targets, window, size))
    return stretches.join(parts, window)


def runs(excluded: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Of one user's events [m]: each run that has no excluded one, as (events behind it, its length)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], excluded, [True]])))
    for start, end in edges.reshape(-1, 2).tolist():
        yield len(excluded) - end, end - start


def learn_encoder(model: Model, fresh: Stretches, passes: int, rng: np.random.Generator, times: float = 1.0) -> float:
    """Learn a batch's stretches `passes` times, each time mixed with others that are replayed, at `times` the update
    rate. Loss of the first pass.
    """
    model.store.admit(fresh.chosen(), float(fresh.times.max(initial=0.0)))
    config, rate = model.config, times * model.config.encoder_update_rate
    losses = []
    for _ in range(passes):
        again = model.replay.some_stretches(replayed(fresh.targets(), config.replay_share), rng)
        mixed = stretches.join([fresh, again], config.window)
        losses.append(online.learn_stretches(model, mixed.take(rng.permutation(len(mixed.first))), (rate, rate), rng))
    return losses[0]


def replayed(fresh: int, share: float) -> int:
    """How many are replayed beside so many fresh ones to be a share, below 1, of all."""
    return round(fresh * share / (1 - share))


def events_learnt(arrays: EventArrays) -> int:
    """How many events of the batch enter the encoder's loss."""
    return int(np.sum((arrays.item >= 0) & (arrays.weight > 0) & ~arrays.excluded))


Index = npt.NDArray[np.int64]


def spread(index: Index, number: int) -> Index:
    """At most `number` of an ascending index, evenly spread over it."""
    if len(index) <= number:
        return index
    return index[np.linspace(0, len(index) - 1, number).astype(np.int64)]
