"""Peers that factorise: ALS and BPR of implicit, BiasedMF of river."""

import numpy as np
import numpy.typing as npt
import threadpoolctl
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from protocol import Past, weighted
from river import optim, reco

Scores = npt.NDArray[np.float32]
Positions = npt.NDArray[np.int64]
WHOLE = 500  # newest items of a history that a user's vector is folded from


class Als:
    """Implicit ALS (Hu et al. 2008), each event's user folded in from the history before it."""

    def __init__(self, factors: int, penalty: float, alpha: float, fading: float, seed: int) -> None:
        self.settings = {"factors": factors, "regularization": penalty, "random_state": seed, "iterations": 15}
        self.alpha, self.fading = alpha, fading
        self.model: AlternatingLeastSquares

    def fit(self, past: Past) -> None:
        self.model = AlternatingLeastSquares(**self.settings, use_gpu=False)
        with threadpoolctl.threadpool_limits(1, "blas"):
            self.model.fit(past.had() * self.alpha, show_progress=False)

    def scores(self, past: Past, positions: Positions) -> Scores:
        history = weighted(past.events, positions, WHOLE, lambda back: self.alpha * self.fading**back)
        with threadpoolctl.threadpool_limits(1, "blas"):
            vectors = self.model.recalculate_user(np.arange(len(positions)), history)
        return np.asarray(vectors @ self.model.item_factors.T, np.float32)


class Bpr:
    """BPR (Rendle et al. 2009); a user's vector is that of the last fit, a new user's is 0 and leaves the bias."""

    def __init__(self, factors: int, rate: float, penalty: float, passes: int, seed: int) -> None:
        self.settings = {"factors": factors, "learning_rate": rate, "regularization": penalty, "iterations": passes}
        self.seed = seed
        self.model: BayesianPersonalizedRanking
        self.seen: npt.NDArray[np.bool_]

    def fit(self, past: Past) -> None:
        had = past.had()
        self.seen = np.diff(had.indptr) > 0
        self.model = BayesianPersonalizedRanking(**self.settings, random_state=self.seed, use_gpu=False)
        self.model.fit(had, show_progress=False)

    def scores(self, past: Past, positions: Positions) -> Scores:
        users = past.events.user[positions]
        vectors = self.model.user_factors[users].copy()
        vectors[~self.seen[users], :-1] = 0.0  # the last is 1, against the item's bias
        vectors[~self.seen[users], -1] = 1.0
        return np.asarray(vectors @ self.model.item_factors.T, np.float32)


class River:
    """river's BiasedMF, event by event: 1 for what was chosen, 0 for `negatives` drawn items each."""

    def __init__(self, factors: int, rate: float, negatives: int, seed: int) -> None:
        self.factors, self.negatives = factors, negatives
        self.rng = np.random.default_rng(seed)
        rates = {"bias_optimizer": optim.SGD(rate), "latent_optimizer": optim.SGD(rate)}
        self.model = reco.BiasedMF(n_factors=factors, l2_bias=0.001, l2_latent=0.001, seed=seed, **rates)
        self.learnt = 0

    def fit(self, past: Past) -> None:
        known = np.flatnonzero(past.events.known_from < past.end)
        for position in range(self.learnt, past.end):
            user, item = int(past.user[position]), int(past.item[position])
            if item < 0:
                continue
            self.model.learn_one(user, item, y=1.0)
            for other in self.rng.choice(known, self.negatives):
                self.model.learn_one(user, int(other), y=0.0)
        self.learnt = past.end

    def scores(self, past: Past, positions: Positions) -> Scores:
        items = past.events.items
        bias, vectors = np.zeros(items, np.float32), np.zeros((items, self.factors), np.float32)
        for item, value in self.model.i_biases.items():
            bias[item] = value
        for item, value in self.model.i_latents.items():
            vectors[item] = value
        users = np.zeros((len(positions), self.factors), np.float32)
        for row, user in enumerate(past.events.user[positions].tolist()):
            if user in self.model.u_latents:
                users[row] = self.model.u_latents[user]
        return users @ vectors.T + bias
