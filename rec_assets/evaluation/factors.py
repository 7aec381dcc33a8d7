"""Matrix factorization by Bayesian personalised ranking (Rendle et al. 2009), which goes on learning batch by batch."""

import numpy as np
import numpy.typing as npt

from rec_assets.evaluation.placing import rank_and_show
from rec_assets.features.blocks import extended
from rec_assets.features.kernels import kernel
from rec_assets.metrics import SHOWN

DIM = 32
SCALE = 0.1  # standard deviation of new vectors
RATE, DECAY = 0.05, 0.01
FIRST_PASSES, PASSES = 20, 3  # over the first part, over each batch


class Factors:
    """A vector per user and item, and a bias per item: score = user · item + bias."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._users, self._items = np.zeros((0, DIM), np.float32), np.zeros((0, DIM), np.float32)
        self._bias = np.zeros(0, np.float32)
        self._known = (0, 0)

    def bytes_held(self) -> int:
        """Of all vectors and biases."""
        return self._users.nbytes + self._items.nbytes + self._bias.nbytes

    def learn(self, user: npt.NDArray[np.int32], item: npt.NDArray[np.int32], users: int, items: int) -> None:
        """Pass over events [n] of known keys in random order, each against an item drawn from all."""
        passes = PASSES if self._known[1] else FIRST_PASSES
        self._fit(users, items)
        for _ in range(passes):
            order = self._rng.permutation(len(user))
            against = self._rng.integers(0, items, len(user)).astype(np.int32)
            _learn(self._users, self._items, self._bias, user[order], item[order], against, RATE, DECAY)

    def ranks(
        self,
        user: npt.NDArray[np.int32],
        counts: npt.NDArray[np.int64],
        item: npt.NDArray[np.int32],
        previous: npt.NDArray[np.int64],
        positions: npt.NDArray[np.int64],
        repeats: bool,
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int32]]:
        """Ranks [m] of the items of these positions of all events, and what was shown [m, SHOWN]."""
        self._fit(int(user.max()) + 1, len(counts))
        return _ranks(self._users, self._items, self._bias, user, counts, item, previous, positions, repeats)

    def _fit(self, users: int, items: int) -> None:
        old_users, old_items = self._known
        self._users, self._items = extended(self._users, users, 0), extended(self._items, items, 0)
        self._bias = extended(self._bias, items, 0)
        for rows, old, new in ((self._users, old_users, users), (self._items, old_items, items)):
            if new > old:
                rows[old:new] = self._rng.normal(0, SCALE, (new - old, DIM))
        self._known = (max(users, old_users), max(items, old_items))


@kernel
def _learn(
    users: npt.NDArray[np.float32],
    items: npt.NDArray[np.float32],
    bias: npt.NDArray[np.float32],
    user: npt.NDArray[np.int32],
    item: npt.NDArray[np.int32],
    against: npt.NDArray[np.int32],
    rate: float,
    decay: float,
) -> None:
    for i in range(len(user)):
        u, chosen, other = user[i], item[i], against[i]
        if chosen == other:
            continue
        margin = bias[chosen] - bias[other]
        for d in range(DIM):
            margin += users[u, d] * (items[chosen, d] - items[other, d])
        slope = np.float32(rate / (1.0 + np.exp(margin)))
        shrink = np.float32(rate * decay)
        bias[chosen] += slope - shrink * bias[chosen]
        bias[other] -= slope + shrink * bias[other]
        for d in range(DIM):
            a, b, c = users[u, d], items[chosen, d], items[other, d]
            users[u, d] += slope * (b - c) - shrink * a
            items[chosen, d] += slope * a - shrink * b
            items[other, d] -= slope * a + shrink * c


@kernel
def _ranks(
    users: npt.NDArray[np.float32],
    items: npt.NDArray[np.float32],
    bias: npt.NDArray[np.float32],
    user: npt.NDArray[np.int32],
    counts: npt.NDArray[np.int64],
    item: npt.NDArray[np.int32],
    previous: npt.NDArray[np.int64],
    positions: npt.NDArray[np.int64],
    repeats: bool,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int32]]:
    ranks = np.empty(len(positions))
    shown = np.full((len(positions), SHOWN), -1, np.int32)
    scores = np.empty(len(counts))
    for row in range(len(positions)):
        position = positions[row]
        had = np.zeros(len(counts), np.bool_)
        event = previous[position]
        while event >= 0:
            had[item[event]] = True
            event = previous[event]
        for j in range(len(counts)):
            score = bias[j]
            for d in range(DIM):
                score += users[user[position], d] * items[j, d]
            scores[j] = score
        ranks[row] = rank_and_show(scores, counts, had, repeats, item[position], shown[row])
    return ranks, shown
