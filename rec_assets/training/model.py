"""All that is learnt and what learning needs: weights, item rows, their optimizer states and the replay sample."""

import copy
from typing import Self

import numpy as np
import numpy.typing as npt
import optax

from rec_assets.features.content import DIM as CONTENT_DIM
from rec_assets.ranking import CONTEXT, FEATURES
from rec_assets.settings import TrainConfig
from rec_assets.training import examples, stretches
from rec_assets.training.optimizer import optimizer
from rec_assets.training.replay import DAY, Replay
from rec_assets.training.scorer import Scorer
from rec_assets.training.store import EmbeddingStore, Limits
from rec_assets.training.table import ItemRows


class Model(Scorer):
    """Changed in place by training, which calls `changed` when it is done."""

    def __init__(self, config: TrainConfig) -> None:
        """A model that has learnt nothing yet."""
        super().__init__(config)
        self.dense_moments: optax.OptState = optimizer().init(self.dense)
        self.store = EmbeddingStore(config.embedding_dim, config.seed, limits_of(config))
        self.row_steps = 0  # encoder steps so far
        self.ranker_moments: optax.OptState = optimizer().init(self.ranker)
        self.heads_moments: optax.OptState = optimizer().init(self.heads)
        none = stretches.empty(config.window), examples.empty(len(FEATURES), len(CONTEXT))
        self.replay = Replay(*none, half_life=config.replay_half_life_days * DAY)
        self.events = 0  # learnt from

    def item_rows(self) -> ItemRows:
        """The rows as they are now."""
        return self.store.item_rows()

    def content_of(self, keys: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """Content vectors f32[n, K] of item keys, 0 where nothing is known."""
        found = np.zeros((len(keys), CONTENT_DIM), np.float32)
        if self.content is not None:
            known = (keys >= 0) & (keys < len(self.content.vectors))
            found[known] = self.content.vectors[keys[known]]
        return found

    def copy(self) -> Self:
        """The same model, which learns no more when this one does."""
        copied = copy.copy(self)
        copied.store, copied.replay = copy.deepcopy(self.store), copy.copy(self.replay)  # what is changed in place
        copied.changed()
        return copied


def limits_of(config: TrainConfig) -> Limits:
    """What keeps the item rows bounded."""
    return Limits(config.item_rows, config.admit_events, config.item_live_days * 86_400)
