"""The linear model as a system: it orders the candidates by σ(w·x + b), learnt by plain gradient descent."""

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from rec_assets.models import linear, ranker
from rec_assets.ranking import FEATURES, Candidates
from rec_assets.training import examples
from rec_assets.training.examples import LEVELS, Choices, Examples
from rec_assets.training.model import Model

RATE = 0.5  # divided by the rows of a step
EVENTS = 64  # in one step
FIRST_EVENTS, FIRST_PASSES = 8_000, 3


class LinearRanker:
    """Whether a candidate is what was chosen, by its features alone; starts from choices of the warm-up."""

    def __init__(self, model: Model, seed: int) -> None:
        self._scaling = model.scaling
        self._params = linear.init(len(FEATURES), 1)
        kept = model.replay.some_examples(FIRST_EVENTS, np.random.default_rng(seed))
        for _ in range(FIRST_PASSES):
            self._learn(kept)

    def score(self, candidates: Candidates) -> npt.NDArray[np.float32]:
        """Scores [n, C], -inf on padding."""
        x = (candidates.features - np.asarray(self._scaling.feature_mean)) * np.asarray(self._scaling.feature_scale)
        scores = np.clip(x, -ranker.CLIP, ranker.CLIP) @ np.asarray(self._params.weight)[0]
        return np.where(candidates.items >= 0, scores, -np.inf).astype(np.float32)

    def learn(self, choices: Choices) -> None:
        """Pass over what a batch's scored events chose from, once."""
        self._learn(examples.standardise(choices, self._scaling))

    def _learn(self, material: Examples) -> None:
        for start in range(0, len(material.target) // EVENTS * EVENTS, EVENTS):  # whole steps: one shape
            step = slice(start, start + EVENTS)
            x = material.features[step].astype(np.float32) / np.float32(LEVELS)
            there = np.isfinite(material.correction[step])
            y = (np.arange(x.shape[1]) == material.target[step, None]) & there
            rows = np.where(there[..., None], x, 0.0).reshape(-1, x.shape[2])
            self._params, _ = linear.step(
                self._params, jnp.asarray(rows), jnp.asarray(y.reshape(-1, 1), jnp.float32), RATE / EVENTS,
                loss="cross_entropy",
            )  # fmt: skip
