"""All that is learnt and how it is asked: encoder, item rows, ranker, their optimizer states and the replay sample."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax

from rec_assets.features.content import DIM as CONTENT_DIM
from rec_assets.features.content import Content
from rec_assets.features.histories import Windows
from rec_assets.models import encoder, ranker
from rec_assets.models.compile import bucket
from rec_assets.ranking import CONTEXT, FEATURES, Candidates
from rec_assets.settings import TrainConfig
from rec_assets.training import examples, packing, stretches
from rec_assets.training.optimizer import optimizer
from rec_assets.training.replay import DAY, Replay
from rec_assets.training.store import EmbeddingStore, Limits

ROWS = (1, 8, 64)  # windows or lists that are asked for at once: padded to these, more are cut into pieces
LOWEST = -1e30  # the logit of an item that nothing can be said about


class Model:
    """Changed in place by training; readers ask `logits` and `rank`, which never change it."""

    def __init__(self, config: TrainConfig) -> None:
        """A model that has learnt nothing yet."""
        self.config = config
        encoder_key, ranker_key = jax.random.split(jax.random.key(config.seed))
        self.dense = encoder.init(
            encoder_key, config.embedding_dim, config.blocks, config.heads, config.window, CONTENT_DIM
        )
        self.dense_moments: optax.OptState = optimizer().init(self.dense)
        self.store = EmbeddingStore(config.embedding_dim, config.seed, limits_of(config))
        self.row_steps = 0  # encoder steps so far
        self.ranker = ranker.init(ranker_key, len(FEATURES), len(CONTEXT))
        self.scaling = ranker.Scaling(
            jnp.zeros(len(FEATURES)), jnp.ones(len(FEATURES)), jnp.zeros(len(CONTEXT)), jnp.ones(len(CONTEXT))
        )
        self.ranker_moments: optax.OptState = optimizer().init(self.ranker)
        none = stretches.empty(config.window), examples.empty(len(FEATURES), len(CONTEXT))
        self.replay = Replay(*none, half_life=config.replay_half_life_days * DAY)
        self.events = 0  # learnt from
        self.content: Content | None = None  # of the live state that goes with it
        self._catalogue: tuple[tuple[int, int], jax.Array, jax.Array] | None = None

    def logits(self, windows: Windows, n_items: int) -> npt.NDArray[np.float32]:
        """[m, n_items] by item key: what comes next, at `windows.now`. An item without a row has its content's place
        only.
        """
        vectors, bias = self._vectors(n_items)
        found = np.empty((len(windows.now), n_items), np.float32)
        for start, end, size in pieces(len(windows.now)):
            inputs = packing.windows(
                pad(windows.items[start:end], size, -1),
                pad(windows.times[start:end], size),
                pad(windows.now[start:end], size),
            )
            found[start:end] = np.asarray(encoder.logits(self.dense, vectors, bias, inputs))[: end - start, :n_items]
        return found

    def rank(self, candidates: Candidates) -> npt.NDArray[np.float32]:
        """Scores [n, C], -inf on padding."""
        found = np.empty(candidates.items.shape, np.float32)
        for start, end, size in pieces(len(found)):
            scores = ranker.score(
                self.ranker,
                self.scaling,
                pad(candidates.features[start:end], size),
                pad(candidates.context[start:end], size),
                pad(candidates.items[start:end], size, -1),
            )
            found[start:end] = np.asarray(scores)[: end - start]
        return found

    def warm(self, n_items: int) -> None:
        """Compile, or load from the cache, whatever answering needs, for this and the next size of the catalogue."""
        length = self.config.window
        for size in ROWS:
            windows = Windows(np.full((size, length), -1, np.int32), np.zeros((size, length)), np.zeros(size))
            for items in (n_items, bucket(n_items) + 1):
                self.logits(windows, items)
            ranker.score(
                self.ranker,
                self.scaling,
                np.zeros((size, self.config.candidates, len(FEATURES)), np.float32),
                np.zeros((size, len(CONTEXT)), np.float32),
                np.full((size, self.config.candidates), -1, np.int32),
            )
        self.changed()

    def prepare(self, n_items: int) -> None:
        """Derive from the weights what answering needs, before the first answer."""
        self._vectors(n_items)

    def content_of(self, keys: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """Content vectors f32[n, K] of item keys, 0 where nothing is known."""
        found = np.zeros((len(keys), CONTENT_DIM), np.float32)
        if self.content is not None:
            known = (keys >= 0) & (keys < len(self.content.vectors))
            found[known] = self.content.vectors[keys[known]]
        return found

    def copy(self) -> "Model":
        """The same model, which learns no more when this one does."""
        copied = copy.copy(self)
        copied.store, copied.replay = copy.deepcopy(self.store), copy.copy(self.replay)  # what is changed in place
        return copied

    def changed(self) -> None:
        """Forget what was derived from the weights."""
        self._catalogue = None

    def _vectors(self, n_items: int) -> tuple[jax.Array, jax.Array]:
        """Vectors [N, D] and biases [N] of the items by key, N a bucket that holds them; kept until something
        changes.
        """
        version = (n_items, self.content.items if self.content is not None else 0)
        if self._catalogue is not None and self._catalogue[0] == version:
            return self._catalogue[1:]
        keys = np.arange(n_items, dtype=np.int32)
        rows = self.store.rows(keys)
        vectors = np.zeros((bucket(n_items), self.config.embedding_dim), np.float32)
        bias = np.full(len(vectors), LOWEST, np.float32)
        vectors[:n_items] = self.content_of(keys) @ np.asarray(self.dense.content)
        vectors[:n_items][rows >= 0] += self.store.embedding["value"][rows[rows >= 0]]
        bias[:n_items] = np.where(rows >= 0, self.store.bias["value"][rows], np.float32(self.store.rare_bias()))
        self._catalogue = (version, jnp.asarray(vectors), jnp.asarray(bias))
        return self._catalogue[1:]


def limits_of(config: TrainConfig) -> Limits:
    """What keeps the item rows bounded."""
    return Limits(config.item_rows, config.admit_events, config.item_live_days * 86_400)


def pieces(count: int) -> list[tuple[int, int, int]]:
    """(start, end, padded size) of the pieces of `count` rows."""
    found, start = [], 0
    while start < count:
        size = next((size for size in ROWS if size >= count - start), ROWS[-1])
        found.append((start, min(start + size, count), size))
        start += size
    return found


def pad(array: npt.NDArray, size: int, fill: float = 0.0) -> npt.NDArray:
    """With rows of `fill` behind, up to `size` of them."""
    if len(array) == size:
        return array
    return np.concatenate([array, np.full((size - len(array), *array.shape[1:]), fill, array.dtype)])
