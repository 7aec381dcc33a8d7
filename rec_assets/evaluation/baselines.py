"""Simple systems, refitted before every batch: popularity, item-kNN, co-visitation, matrix factorization. What a learnt
model has to beat.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from rec_assets.evaluation.factors import Factors
from rec_assets.evaluation.placing import rank_and_show
from rec_assets.features.kernels import kernel
from rec_assets.metrics import SHOWN

DAY = 86_400.0
LAST_DAYS = 7.0
STEPS = 5  # an item is visited together with so many before it, each at 1 / its distance
FADING = 0.9  # per event back, of a history's items in item-kNN
SHRINKING = 5.0  # users added to each item's, so that a rare one is no sure neighbour
HALF_LIFE = 2_000.0  # events, of decayed popularity
BASELINES = (
    "popularity",
    "popularity_last_days",
    "popularity_decayed",
    "item_knn",
    "co_visitation",
    "matrix_factorization",
)


class Fitted(NamedTuple):
    """Score of item j = base[j] + Σ over a history's items h of weight(h) · matrix[h, j] · norm[j].

    The weight of the d-th newest is norm[h] · FADING^(d − 1), each item once, or 1 / d.
    """

    base: npt.NDArray[np.float64]  # [items]
    indptr: npt.NDArray[np.int64]  # of the matrix, by rows
    indices: npt.NDArray[np.int32]
    data: npt.NDArray[np.float32]
    norm: npt.NDArray[np.float64]  # [items]
    depth: int  # newest events of a history that count
    by_distance: bool  # which of the two weights


class Baselines:
    """Every event so far, and what is counted of it. Keys are those of the live state."""

    def __init__(self, systems: Sequence[str], repeats: bool, seed: int) -> None:
        self.systems = [name for name in BASELINES if name in systems]
        self.repeats = repeats
        self.user = np.empty(0, np.int32)
        self.item = np.empty(0, np.int32)
        self.time = np.empty(0)
        self.previous = np.empty(0, np.int64)  # position of the same user's event before, -1 for none
        self.newest = np.full(0, -1, np.int64)  # [users] position of the user's last event
        self.had = sparse.csr_matrix((0, 0), dtype=np.float32)  # user x item, 1 where had
        self.common = sparse.csr_matrix((0, 0), dtype=np.float32)  # users in common
        self.visits = sparse.csr_matrix((0, 0), dtype=np.float32)
        self.factors = Factors(seed)

    def add(
        self,
        user: npt.NDArray[np.int32],
        item: npt.NDArray[np.int32],
        time: npt.NDArray[np.float64],
        users: int,
        items: int,
    ) -> npt.NDArray[np.int64]:
        """Note a batch's events, and return their positions; it is counted by `count`, after it was scored."""
        start = len(self.user)
        newest = np.full(users, -1, np.int64)
        newest[: len(self.newest)] = self.newest
        previous = _chain(user, item, newest, start)
        self.user, self.item = np.concatenate([self.user, user]), np.concatenate([self.item, item])
        self.time, self.previous = np.concatenate([self.time, time]), np.concatenate([self.previous, previous])
        self.newest = newest
        for name in ("had", "common", "visits"):
            matrix = getattr(self, name).copy()
            matrix.resize((users if name == "had" else items, items))
            setattr(self, name, matrix)
        return np.arange(start, start + len(user))

    def count(self, positions: npt.NDArray[np.int64]) -> dict[str, float]:
        """Count the events of these positions; returns the seconds that each system took."""
        inside = positions[self.item[positions] >= 0]
        user, item = self.user[inside], self.item[inside]
        seconds = {}
        for name in self.systems:
            began = time.perf_counter()
            self._count(name, inside, user, item)
            seconds[name] = time.perf_counter() - began
        return seconds

    def _count(
        self, name: str, inside: npt.NDArray[np.int64], user: npt.NDArray[np.int32], item: npt.NDArray[np.int32]
    ) -> None:
        if name == "item_knn" in self.systems:
            new = sparse.csr_matrix((np.ones(len(item), np.float32), (user, item)), shape=self.had.shape)
            new.data[:] = 1.0
            new = (new - new.multiply(self.had)).tocsr()
            new.eliminate_zeros()
            across = new.T @ self.had
            self.common = (self.common + across + across.T + new.T @ new).tocsr()
            self.had = (self.had + new).tocsr()
        if name == "co_visitation":
            source, target, weight = [], [], []
            at = self.previous[inside]
            for distance in range(1, STEPS + 1):
                there = at >= 0
                source.append(self.item[at[there]])
                target.append(item[there])
                weight.append(np.full(int(there.sum()), 1 / distance, np.float32))
                at = np.where(there, self.previous[at], -1)
            shape = self.visits.shape
            new = sparse.csr_matrix(
                (np.concatenate(weight), (np.concatenate(source), np.concatenate(target))), shape=shape
            )
            self.visits = (self.visits + new).tocsr()
        if name == "matrix_factorization":
            self.factors.learn(user, item, len(self.newest), self.visits.shape[0])

    def ranks(
        self, positions: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], now: float
    ) -> dict[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.int32], float]]:
        """Per system the ranks [m] of the items of these positions, what was shown [m, 20], and the seconds it took.

        `counts` [items] are the events of each item before the batch, 0 for one that is unknown and ranks at
        infinity; `now` is the time of the batch's first event in seconds.
        """
        told = (counts, self.item, self.previous, positions, self.repeats)
        found = {}
        for name in self.systems:
            began = time.perf_counter()
            if name == "matrix_factorization":
                ranks, shown = self.factors.ranks(self.user, *told)
            else:
                ranks, shown = _ranks(self._fitted(name, counts, now), *told)
            found[name] = ranks, shown, time.perf_counter() - began
        return found

    def bytes_of(self, name: str) -> int:
        """What a system holds: every event, and what it counted of them."""
        events = sum(each.nbytes for each in (self.user, self.item, self.time, self.previous, self.newest))
        matrices = {"item_knn": (self.had, self.common), "co_visitation": (self.visits,)}.get(name, ())
        held = sum(int(each.data.nbytes + each.indices.nbytes + each.indptr.nbytes) for each in matrices)
        return events + held + (self.factors.bytes_held() if name == "matrix_factorization" else 0)

    def _fitted(self, name: str, counts: npt.NDArray[np.int64], now: float) -> Fitted:
        items = len(counts)
        nothing = sparse.csr_matrix((items, items), dtype=np.float32)
        ones = np.ones(items)
        if name == "popularity":
            return _of(counts.astype(np.float64), nothing, ones, 0, False)
        if name == "popularity_last_days":
            lately = (self.time >= now - LAST_DAYS * DAY) & (self.time < now) & (self.item >= 0)
            return _of(np.bincount(self.item[lately], minlength=items).astype(np.float64), nothing, ones, 0, False)
        if name == "popularity_decayed":
            ages = np.arange(len(self.item))[::-1][self.item >= 0]
            weights = 2.0 ** (-ages / HALF_LIFE)
            decayed = np.bincount(self.item[self.item >= 0], weights, items).astype(np.float64)
            return _of(decayed, nothing, ones, 0, False)
        if name == "item_knn":
            norm = 1 / np.sqrt(np.asarray(self.had.sum(axis=0)).ravel() + SHRINKING)
            return _of(np.zeros(items), self.common, norm, 50, False)
        return _of(np.zeros(items), self.visits, ones, STEPS, True)


def _of(
    base: npt.NDArray[np.float64],
    matrix: sparse.csr_matrix,
    norm: npt.NDArray[np.float64],
    depth: int,
    by_distance: bool,
) -> Fitted:
    matrix.sort_indices()
    indptr, indices = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32)
    return Fitted(base, indptr, indices, matrix.data.astype(np.float32), norm, depth, by_distance)


@kernel
def _chain(
    user: npt.NDArray[np.int32], item: npt.NDArray[np.int32], newest: npt.NDArray[np.int64], start: int
) -> npt.NDArray[np.int64]:
    previous = np.empty(len(user), np.int64)
    for i in range(len(user)):
        previous[i] = newest[user[i]]
        if item[i] >= 0:
            newest[user[i]] = start + i
    return previous


@kernel
def _ranks(
    fitted: Fitted,
    counts: npt.NDArray[np.int64],
    item: npt.NDArray[np.int32],
    previous: npt.NDArray[np.int64],
    positions: npt.NDArray[np.int64],
    repeats: bool,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int32]]:
    items = len(counts)
    ranks = np.full(len(positions), np.inf)
    shown = np.full((len(positions), SHOWN), -1, np.int32)
    scores = np.empty(items)
    for row in range(len(positions)):
        scores[:] = 0.0
        had = np.zeros(items, np.bool_)
        event, distance = previous[positions[row]], 1
        while event >= 0:
            h = item[event]
            if distance <= fitted.depth and (fitted.by_distance or not had[h]):
                weight = 1.0 / distance if fitted.by_distance else fitted.norm[h] * FADING ** (distance - 1)
                for place in range(fitted.indptr[h], fitted.indptr[h + 1]):
                    scores[fitted.indices[place]] += weight * fitted.data[place]
            had[h] = True
            event = previous[event]
            distance += 1
        for j in range(items):
            scores[j] = fitted.base[j] + scores[j] * fitted.norm[j]
        ranks[row] = rank_and_show(scores, counts, had, repeats, item[positions[row]], shown[row])
    return ranks, shown
