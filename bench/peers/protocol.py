"""The prequential protocol for somebody else's system: refitted before each batch, asked for every item's score.

The same rows, halves, batches, positions, candidates and ranks as `rec evaluate`; `bench/quality.py` holds that both
score the same positions. E events, M scored ones of a batch, I items, U users.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from rec_assets.evaluation import stream as streams

CHUNK = 256  # events that are scored together: [CHUNK, I] float32 is what it costs
Settings = Mapping[str, Any]


class Options(NamedTuple):
    """As `rec evaluate` names them."""

    warmup: float = 0.5
    batches: int = 50
    sample_every: int = 1
    repeats: bool = False
    kinds: str | None = None


@dataclass(frozen=True)
class Events:
    """Rows of a stream as integers, in order of first occurrence; an item of -1 is none."""

    user: npt.NDArray[np.int64]  # [E]
    item: npt.NDArray[np.int64]  # [E]
    ts: npt.NDArray[np.float64]  # [E] seconds
    users: int
    items: int
    order: npt.NDArray[np.int64]  # [E] positions by user, each user's in order
    first: npt.NDArray[np.int64]  # [U + 1] where each user's begin in `order`
    before: npt.NDArray[np.int64]  # [E] events of the same user before
    known_from: npt.NDArray[np.int64]  # [I] position of an item's first event
    again: npt.NDArray[np.bool_]  # [E] the user already had the item

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.user)

    def history(self, position: int) -> npt.NDArray[np.int64]:
        """Items of the user's events before this position, oldest first."""
        start = self.first[self.user[position]]
        items = self.item[self.order[start : start + self.before[position]]]
        return items[items >= 0]


class Past(NamedTuple):
    """All that happened before a batch."""

    events: Events
    end: int  # events [0, end)

    @property
    def user(self) -> npt.NDArray[np.int64]:
        return self.events.user[: self.end]

    @property
    def item(self) -> npt.NDArray[np.int64]:
        return self.events.item[: self.end]

    @property
    def ts(self) -> npt.NDArray[np.float64]:
        return self.events.ts[: self.end]

    def had(self) -> sparse.csr_matrix:
        """[U, I] float32, 1 where the user had the item."""
        inside = self.item >= 0
        shape = (self.events.users, self.events.items)
        ones = np.ones(int(inside.sum()), np.float32)
        matrix = sparse.csr_matrix((ones, (self.user[inside], self.item[inside])), shape=shape)
        matrix.data[:] = 1.0
        return matrix


class Peer(Protocol):
    """What a system has to answer."""

    def fit(self, past: Past) -> None:
        """Learn from everything before a batch, anew or by going on."""

    def scores(self, past: Past, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """[M, I]: how well each item suits each event, given its user's events before it."""


@dataclass
class Result:
    """Ranks of all scored events, and what they cost."""

    positions: list[npt.NDArray[np.int64]] = field(default_factory=list)
    ranks: list[npt.NDArray[np.float64]] = field(default_factory=list)
    fit_seconds: list[float] = field(default_factory=list)
    score_seconds: float = 0.0


def encode(table: pa.Table) -> Events:
    """A stream's table, as `rec_assets.evaluation.stream.read` gives it."""
    user = pc.dictionary_encode(table["user"].combine_chunks())
    item = pc.dictionary_encode(table["item"].combine_chunks())
    users = np.asarray(user.indices, np.int64)
    items = np.asarray(pc.fill_null(item.indices, -1), np.int64)
    order = np.argsort(users, kind="stable")
    first = np.searchsorted(users[order], np.arange(len(user.dictionary) + 1))
    before = np.empty(len(users), np.int64)
    before[order] = np.arange(len(users)) - first[users[order]]
    known_from = np.full(len(item.dictionary), len(users), np.int64)
    np.minimum.at(known_from, items[items >= 0], np.flatnonzero(items >= 0))
    _, earliest = np.unique(users * (len(known_from) + 1) + items, return_index=True)
    again = np.ones(len(users), np.bool_)
    again[earliest] = False
    ts = table["ts"].to_numpy()
    return Events(users, items, ts, len(user.dictionary), len(known_from), order, first, before, known_from, again)


def read(path: Path, options: Options, share: float = 1.0) -> Events:
    """The first `share` of a stream's rows; streams.BadStream where they cannot be read."""
    table = streams.read(path, options.kinds.split(",") if options.kinds else None).table
    return encode(table.slice(0, int(len(table) * share)))


def batches(events: Events, options: Options) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Where each batch starts, and the positions [M] of it that are scored."""
    bounds = np.linspace(int(len(events) * options.warmup), len(events), options.batches + 1).astype(int).tolist()
    for start, end in itertools.pairwise(bounds):
        positions = np.arange(start, end)
        wanted = (events.item[start:end] >= 0) & (options.repeats | ~events.again[start:end])
        yield start, positions[wanted & (positions % options.sample_every == 0)]


def run(peer: Peer, events: Events, options: Options, progress: Callable[[float], None]) -> Result:
    """Test, then learn, batch by batch."""
    result = Result()
    for number, (start, positions) in enumerate(batches(events, options)):
        past = Past(events, start)
        began = time.perf_counter()
        peer.fit(past)
        fitted = time.perf_counter()
        ranks = [
            rank(peer.scores(past, chunk), events, start, chunk, options.repeats)
            for chunk in np.split(positions, range(CHUNK, len(positions), CHUNK))
            if len(chunk)
        ]
        result.positions.append(positions)
        result.ranks.append(np.concatenate(ranks) if ranks else np.empty(0))
        result.fit_seconds.append(fitted - began)
        result.score_seconds += time.perf_counter() - fitted
        progress((number + 1) / options.batches)
    return result


def rank(
    scores: npt.NDArray[np.float32], events: Events, start: int, positions: npt.NDArray[np.int64], repeats: bool
) -> npt.NDArray[np.float64]:
    """Rank [M] of each event's item among what may be listed, ties half; infinite for an item unknown at `start`."""
    scores = np.where(events.known_from < start, scores, -np.inf).astype(np.float32)
    target = events.item[positions]
    rows = np.arange(len(positions))
    own = scores[rows, target]
    if not repeats:
        for row, position in enumerate(positions):
            scores[row, events.history(position)] = -np.inf
    higher = (scores > own[:, None]).sum(axis=1)
    equal = (scores == own[:, None]).sum(axis=1)  # the item itself among them
    return np.where(events.known_from[target] < start, higher + (equal + 1) / 2, np.inf)


def weighted(
    events: Events, positions: npt.NDArray[np.int64], depth: int, weight: Callable[[npt.NDArray[np.int64]], Any]
) -> sparse.csr_matrix:
    """[M, I] float32: weight(0, 1, 2, …) of each event's newest `depth` items, newest first, each item once."""
    indptr, indices, data = [0], [], []
    for position in positions:
        newest = events.history(position)[::-1][: 4 * depth]
        _, places = np.unique(newest, return_index=True)
        items = newest[np.sort(places)][:depth]
        indices.append(items)
        data.append(np.broadcast_to(weight(np.arange(len(items))), len(items)))
        indptr.append(indptr[-1] + len(items))
    parts = (np.concatenate(data).astype(np.float32), np.concatenate(indices), indptr)
    return sparse.csr_matrix(parts, shape=(len(positions), events.items))
