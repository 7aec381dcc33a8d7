"""Peers that count: popularity, item-kNN, co-visitation, neighbouring users, and EASE's closed form."""

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from protocol import Past, weighted
from scipy import linalg, sparse

DAY = 86_400.0
Scores = npt.NDArray[np.float32]
Positions = npt.NDArray[np.int64]


class Popularity:
    """Counts of all time, of the last `days`, or halved every `half_life` events; the last follow every event."""

    def __init__(self, days: float | None = None, half_life: float | None = None) -> None:
        self.days, self.half_life = days, half_life
        self.level: npt.NDArray[np.float32]

    def fit(self, past: Past) -> None:
        weight = np.ones(past.end)
        if self.days is not None:
            weight = (past.ts >= past.ts[-1] - self.days * DAY).astype(float)
        if self.half_life is not None:
            weight = 0.5 ** ((past.end - 1 - np.arange(past.end)) / self.half_life)
        inside = past.item >= 0
        counted = np.bincount(past.item[inside], weights=weight[inside], minlength=past.events.items)
        self.level = counted.astype(np.float32)

    def scores(self, past: Past, positions: Positions) -> Scores:
        if self.half_life is None:
            return np.broadcast_to(self.level, (len(positions), len(self.level)))
        found = np.empty((len(positions), len(self.level)), np.float32)
        for row, position in enumerate(positions.tolist()):
            since = past.events.item[past.end : position]
            weight = 0.5 ** ((position - 1 - np.arange(past.end, position)) / self.half_life)
            counted = np.bincount(since[since >= 0], weights=weight[since >= 0], minlength=len(self.level))
            found[row] = self.level * 0.5 ** ((position - past.end) / self.half_life) + counted
        return found


class ItemKnn:
    """Users in common, normed by both items' users; the newest `depth` items count, each `fading` times the one after
    it (Sarwar et al. 2001, with shrinking).
    """

    def __init__(self, shrink: float, fading: float, depth: int) -> None:
        self.shrink, self.fading, self.depth = shrink, fading, depth
        self.similar: sparse.csr_matrix

    def fit(self, past: Past) -> None:
        had = past.had()
        norm = sparse.diags(1 / np.sqrt(np.asarray(had.sum(axis=0)).ravel() + self.shrink + 1e-9))
        common = (had.T @ had).tocsr()
        common.setdiag(0)
        self.similar = (norm @ common @ norm).tocsr().astype(np.float32)

    def scores(self, past: Past, positions: Positions) -> Scores:
        history = weighted(past.events, positions, self.depth, lambda back: self.fading**back)
        return np.asarray((history @ self.similar).toarray(), np.float32)


class CoVisitation:
    """What followed within `steps` events of the same user, at 1 / distance, given the newest items at 1 / distance;
    one step is a Markov chain. `smooth` is added to each row's sum; none leaves rows as they are.
    """

    def __init__(self, steps: int, smooth: float | None) -> None:
        self.steps, self.smooth = steps, smooth
        self.followed: sparse.csr_matrix

    def fit(self, past: Past) -> None:
        events = past.events
        order = events.order[events.order < past.end]
        user, item = events.user[order], events.item[order]
        rows, columns, data = [], [], []
        for distance in range(1, self.steps + 1):
            same = (user[distance:] == user[:-distance]) & (item[distance:] >= 0) & (item[:-distance] >= 0)
            rows.append(item[:-distance][same])
            columns.append(item[distance:][same])
            data.append(np.full(int(same.sum()), 1 / distance, np.float32))
        parts = (np.concatenate(data), (np.concatenate(rows), np.concatenate(columns)))
        followed = sparse.csr_matrix(parts, shape=(events.items, events.items))
        if self.smooth is not None:
            followed = sparse.diags(1 / (np.asarray(followed.sum(axis=1)).ravel() + self.smooth)) @ followed
        self.followed = followed.tocsr().astype(np.float32)

    def scores(self, past: Past, positions: Positions) -> Scores:
        history = weighted(past.events, positions, self.steps, lambda back: 1 / (1 + back))
        return np.asarray((history @ self.followed).toarray(), np.float32)


class VSknn:
    """V-SKNN (Ludewig and Jannach 2018), a user's whole history as the session: `neighbours` users with the largest
    weighted overlap with the newest `depth` items, weights falling linearly; a neighbour's items count its overlap
    times the weight of the newest shared item, times 1 + `rare` · idf.
    """

    def __init__(self, neighbours: int, depth: int, rare: float) -> None:
        self.neighbours, self.depth, self.rare = neighbours, depth, rare
        self.had: sparse.csr_matrix
        self.users_of: sparse.csc_matrix
        self.worth: npt.NDArray[np.float32]

    def fit(self, past: Past) -> None:
        self.had = past.had()
        self.users_of = self.had.tocsc()
        count = np.diff(self.users_of.indptr)
        self.worth = (1 + self.rare * np.log((1 + self.had.shape[0]) / (1 + count))).astype(np.float32)

    def scores(self, past: Past, positions: Positions) -> Scores:
        found = np.zeros((len(positions), past.events.items), np.float32)
        for row, position in enumerate(positions):
            newest = past.events.history(position)[::-1][: self.depth]
            own = past.events.user[position]
            _neighbours(
                newest,
                own,
                self.users_of.indptr,
                self.users_of.indices,
                self.had.indptr,
                self.had.indices,
                self.neighbours,
                found[row],
            )
        return found * self.worth


@numba.njit(cache=True)
def _neighbours(
    newest: Any, own: int, by_item: Any, users: Any, by_user: Any, items: Any, neighbours: int, out: Any
) -> None:
    overlap = np.zeros(len(by_user) - 1, np.float32)
    match = np.zeros(len(by_user) - 1, np.float32)
    for back in range(len(newest)):
        weight = 1.0 - back / len(newest)
        for place in range(by_item[newest[back]], by_item[newest[back] + 1]):
            user = users[place]
            if match[user] == 0.0:
                match[user] = weight
            overlap[user] += weight
    overlap[own] = 0.0
    kept = np.flatnonzero(overlap)
    if len(kept) > neighbours:
        kept = kept[np.argsort(-overlap[kept])[:neighbours]]
    for user in kept:
        for place in range(by_user[user], by_user[user + 1]):
            out[items[place]] += overlap[user] * match[user]


class Ease:
    """EASE (Steck 2019), B = I - P / diag(P), P = (XᵀX + penalty · I)⁻¹, over the `most` most frequent items."""

    def __init__(self, penalty: float, fading: float, most: int) -> None:
        self.penalty, self.fading, self.most = penalty, fading, most
        self.items: npt.NDArray[np.int64]
        self.weights: npt.NDArray[np.float32]

    def fit(self, past: Past) -> None:
        had = past.had()
        count = np.asarray(had.sum(axis=0)).ravel()
        self.items = np.sort(np.argsort(-count, kind="stable")[: min(self.most, int((count > 0).sum()))])
        gram = np.asarray((had[:, self.items].T @ had[:, self.items]).toarray(), np.float32)
        gram[np.diag_indices(len(gram))] += self.penalty
        inverse = linalg.inv(gram, overwrite_a=True, check_finite=False)
        self.weights = -inverse / np.diag(inverse)
        np.fill_diagonal(self.weights, 0.0)

    def scores(self, past: Past, positions: Positions) -> Scores:
        history = weighted(past.events, positions, 500, lambda back: self.fading**back)
        found = np.full((len(positions), past.events.items), -1e9, np.float32)
        found[:, self.items] = history[:, self.items] @ self.weights
        return found
