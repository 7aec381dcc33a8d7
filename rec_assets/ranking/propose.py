"""One query in, candidates with their features out: the same kernel for serving, the prequential test and training."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rec_assets.features import counters as counting
from rec_assets.features import rings
from rec_assets.features.counters import Counters
from rec_assets.features.kernels import kernel
from rec_assets.features.rings import Rings
from rec_assets.features.rows import Rows
from rec_assets.features.state import EventArrays, LiveState, describe, take
from rec_assets.features.turndown import is_had, is_turned_down
from rec_assets.ranking import candidates as union
from rec_assets.ranking import content, dense, features, knn, neighbours, own, ranks, sessions, transitions
from rec_assets.ranking import scratch as scratching
from rec_assets.ranking.content import Described, described
from rec_assets.ranking.expected import NOTHING, Expected, exact
from rec_assets.ranking.scratch import Scratch
from rec_assets.ranking.sources import SOURCES

BEST = 20  # of each source alone, as long as a list


class Query(NamedTuple):
    """What is asked for: the full recent history, newest last, of a user (key -1: of nobody we know) at a time."""

    items: npt.NDArray[np.int32]  # [h] keys
    times: npt.NDArray[np.float64]  # [h] seconds
    tags: npt.NDArray[np.int16]  # [h] kinds and values
    user: int
    now: float  # seconds
    exclude: npt.NDArray[np.int32]  # keys that must not be listed
    bar_had: bool  # nor what the user already had


class Candidates(NamedTuple):
    """n queries, C places, F features of a candidate, K of the moment, S sources."""

    items: npt.NDArray[np.int32]  # [n, C] keys, -1 on padding
    source: npt.NDArray[np.int8]  # [n, C] index in SOURCES of who proposed it first
    features: npt.NDArray[np.float32]  # [n, C, F], 0 on padding
    context: npt.NDArray[np.float32]  # [n, K]
    known: npt.NDArray[np.int64]  # [n] items that could be ranked, candidates or not
    target: npt.NDArray[np.int32]  # [n] column of the event's item, -1 where it is no candidate
    outcome: npt.NDArray[np.int8]  # [n] ranks.RANKED, UNKNOWN or HAD
    # [n, S] of the event's item in each source's order alone, inf unless RANKED; [0, S] if not asked for
    ranks: npt.NDArray[np.float64]
    best: npt.NDArray[np.int32]  # [n, S, BEST] keys of each source's own first items, -1 behind; or [0, S, BEST]


def blank(n: int, size: int, ranked: int = 0) -> Candidates:
    """Room for n queries, the first `ranked` of them with the sources' ranks."""
    return Candidates(
        items=np.full((n, size), -1, np.int32),
        source=np.zeros((n, size), np.int8),
        features=np.zeros((n, size, features.F), np.float32),
        context=np.zeros((n, features.K), np.float32),
        known=np.zeros(n, np.int64),
        target=np.full(n, -1, np.int32),
        outcome=np.zeros(n, np.int8),
        ranks=np.full((ranked, len(SOURCES)), np.inf),
        best=np.full((ranked, len(SOURCES), BEST), -1, np.int32),
    )


@kernel
def _bar(scratch: Scratch, seen: Rows, query: Query) -> None:
    """Take out what must not be listed: excluded, turned down, and had where that is barred."""
    for item in query.exclude:
        scratch.listable[item] = False
    if query.bar_had:
        for item in query.items:
            scratch.listable[item] = False
    if query.user >= 0 and seen.bits[query.user] > 0:
        start = seen.start[query.user]
        for place in range(start, start + (1 << seen.bits[query.user])):
            times = seen.values[place, 1]
            if seen.keys[place] >= 0 and (is_turned_down(times) or (query.bar_had and is_had(times))):
                scratch.listable[seen.keys[place]] = False


@kernel
def _answer(
    query: Query,
    counters: Counters,
    histories: Rings,
    seen: Rows,
    about: Described,
    logits: npt.NDArray[np.float32],
    expected: Expected,
    may_list: npt.NDArray[np.bool_],
    scratch: Scratch,
    per_source: int,
    repeats: bool,
    target: int,
    out: Candidates,
    first_row: int,
    rows_each: int,
) -> None:
    """Fill one row of the candidates for each of several encoders, `logits` [V, items], `rows_each` apart: what the
    other sources say is computed once. `expected` says what else there is to the logits of one that may be off.
    `may_list` [items] says which keys are in the catalogue; target is -1 when serving.
    """
    items = query.items
    session = sessions.length_of(query.times, query.now)
    transitions.score(scratch, counters, items)
    knn.score(scratch, counters, items)
    sessions.score(scratch, counters, items, session)
    neighbours.score(scratch, counters, histories, items, query.user)
    had, number = np.zeros((0, own.KEPT)), 0
    if repeats:  # else what the user had is never listed
        had, number = own.score(scratch, items, query.times, query.now, session)
    profile = content.profile(about.vectors, items)
    listable, had_target = scratch.listable, False
    listable[:] = True
    _bar(scratch, seen, query)
    if target >= 0:
        had_target = not listable[target]
    for item in range(len(listable)):
        listable[item] &= may_list[item]
    known = np.sum(listable)
    best, mass = union.best_of_each(scratch, counters.popularity, about, profile, per_source)
    for each in range(len(logits)):
        row = first_row + each * rows_each
        out.known[row] = known
        said = Expected(logits[each], expected.wrong, expected.user, expected.vectors, expected.bias)
        union.predicted(scratch, said, best)
        n = union.merge(scratch, best, out.items[row], out.source[row])
        features.context(counters, query.times, query.user, query.now, session, number, mass, out.context[row])
        features.fill(
            scratch, counters, about.vectors, profile, had, number, items, query.times, query.user, query.now, mass,
            said, dense.log_sum(logits[each], may_list), out.items[row, :n], out.features[row],
        )  # fmt: skip
        if target < 0:
            continue
        if had_target:
            out.outcome[row] = ranks.HAD
        elif not may_list[target]:
            out.outcome[row] = ranks.UNKNOWN
        else:
            for column in range(n):
                if out.items[row, column] == target:
                    out.target[row] = column
            if row < len(out.ranks):
                ranks.by_source(
                    scratch, counters.popularity, about.vectors, profile, logits[each], target, out.ranks[row]
                )
                first = min(BEST, best.shape[1])
                out.best[row, :, :first] = best[:, :first]
    if repeats:
        own.clear(scratch, items)
    scratching.clear(scratch)


_NO_LOGITS, _NONE = np.zeros(0, np.float32), np.zeros(0, np.int32)


def _plain(array: npt.NDArray, dtype: type) -> npt.NDArray:
    """The array as the kernel is compiled for: JAX gives read-only ones, and each other kind would compile for 15 s."""
    return np.require(array, dtype, ("C", "A", "W"))


def _ask(
    state: LiveState,
    counters: Counters,
    query: Query,
    expected: Sequence[Expected],
    may_list: npt.NDArray[np.bool_],
    target: int,
    out: Candidates,
    row: int,
    rows_each: int,
) -> None:
    given = [each.logits for each in expected]
    if len(given) == 1:
        together = _plain(given[0], np.float32)[None]  # a list that is served waits for no copy
    else:
        together = np.full((len(given), max(len(each) for each in given)), -np.inf, np.float32)
        for line, each in zip(together, given, strict=True):
            line[: len(each)] = each
    _answer(
        query, counters, state.histories, state.seen, described(state.content), together,
        expected[0]._replace(logits=_NO_LOGITS), may_list,
        scratching.scratch(len(state.users), len(may_list)),
        state.config.per_source, state.config.repeats, target, out, row, rows_each,
    )  # fmt: skip


def query_of(state: LiveState, user: int, now: float, exclude: npt.NDArray[np.int32] = _NONE) -> Query:
    """What a user's next list is made from; a key below 0 has no history."""
    items, times = rings.read(state.histories, user, 1 << state.history_bits)
    tags = rings.read_tags(state.histories, user, 1 << state.history_bits)
    return Query(items, times, tags, user, now, exclude, not state.config.repeats)


def propose(
    state: LiveState,
    counters: Counters,
    query: Query,
    expected: Expected = NOTHING,
    may_list: npt.NDArray[np.bool_] | None = None,
) -> Candidates:
    """Candidates (n = 1) for a list now, out of the items that `may_list` bool[items] names, the whole catalogue by
    default. `expected` is what the encoder says.
    """
    query = Query(
        _plain(query.items, np.int32),
        _plain(query.times, np.float64),
        _plain(query.tags, np.int16),
        int(query.user),
        float(query.now),
        _plain(query.exclude, np.int32),
        bool(query.bar_had),
    )
    out = blank(1, state.config.candidates)
    counters = counting.with_keys(counters, len(state.users), len(state.items))
    may_list = np.ones(len(state.items), np.bool_) if may_list is None else _plain(may_list, np.bool_)
    _ask(state, counters, query, [expected], may_list, -1, out, 0, 1)
    return out


def walk(
    state: LiveState,
    arrays: EventArrays,
    scored: npt.NDArray[np.bool_],
    logits: Sequence[npt.NDArray[np.float32] | None],
    counters: Sequence[Counters],
    may_list: npt.NDArray[np.bool_] | None = None,
    ranked: bool = False,
    seconds: npt.NDArray[np.float64] | None = None,
) -> list[Candidates]:
    """Take a batch into the state, and for each event that is scored [n] give the candidates as they were just before
    it.

    One result per entry of `counters`, each with its `logits` f32[m, items] for the m scored events; the state's
    own counters go along with every event, others stay as they are; results over the same counters share what does
    not depend on the encoder. `may_list` bool[items] says what is in the catalogue, by default what had an event
    before the batch. With `ranked` the first result has the sources' own ranks too. What each result took is added to
    `seconds` [results], what is shared to each that shares it.
    """
    index = np.flatnonzero(scored)
    n = len(index)
    groups: dict[tuple[int, bool], list[int]] = {}  # results by their counters and whether an encoder is asked
    for number, given in enumerate(counters):
        groups.setdefault((id(given), logits[number] is None), []).append(number)
    out = [
        blank(n * len(group), state.config.candidates, n if ranked and 0 in group else 0) for group in groups.values()
    ]
    if may_list is None:
        may_list = state.counters.items.events[: len(state.items)] > 0
    users, items = len(state.users), len(state.items)
    live = [given is state.counters for given in counters]
    fitted = [counting.with_keys(given, users, items) for given in counters]
    at = described = 0
    for row, event in enumerate(index.tolist()):
        described = describe(state, arrays, described, event)
        take(state, arrays, at, event)
        at = event
        query = query_of(state, int(arrays.user[event]), float(arrays.time[event]))
        for group, room in zip(groups.values(), out, strict=True):
            began = time.perf_counter()
            asked = [exact(each[row]) if each is not None else NOTHING for each in (logits[number] for number in group)]
            counted = state.counters if live[group[0]] else fitted[group[0]]
            _ask(state, counted, query, asked, may_list, int(arrays.item[event]), room, row, n)
            if seconds is not None:
                seconds[group] += time.perf_counter() - began
    describe(state, arrays, described, len(arrays.user))
    take(state, arrays, at, len(arrays.user))
    state.offset = arrays.end
    parts = {
        number: Candidates._make(column[n * place : n * (place + 1)] for column in room)
        for group, room in zip(groups.values(), out, strict=True)
        for place, number in enumerate(group)
    }
    return [parts[number] for number in range(len(counters))]


def recommend(candidates: Candidates, scores: npt.NDArray[np.float32], k: int) -> npt.NDArray[np.int64]:
    """Columns of the best k candidates of the first query by scores f32[C], best first; fewer where there are fewer."""
    order: npt.NDArray[np.int64] = np.argsort(-scores, kind="stable")[:k]
    picked: npt.NDArray[np.int64] = order[candidates.items[0, order] >= 0]
    return picked
