"""What is asked of all that is learnt: encoder, item table, ranker and heads, without what only learning needs."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from rec_assets.features.content import DIM as CONTENT_DIM
from rec_assets.features.content import Content
from rec_assets.features.histories import Windows, blank
from rec_assets.models import encoder, heads, ranker
from rec_assets.ranking import CONTEXT, FEATURES, Candidates
from rec_assets.ranking.expected import Expected
from rec_assets.settings import TrainConfig
from rec_assets.training import packing, ratings
from rec_assets.training.table import Floats, ItemRows, Table

ROWS = (1, 4, 16, 64)  # windows or lists that are asked for at once: padded to these, more are cut into pieces


class Scorer:
    """Weights to ask; asking changes none. One thread at a time: the item table is kept and follows the catalogue."""

    def __init__(self, config: TrainConfig) -> None:
        """Weights that have learnt nothing yet."""
        self.config = config
        encoder_key, ranker_key = jax.random.split(jax.random.key(config.seed))
        self.dense = encoder.init(
            encoder_key, config.embedding_dim, config.blocks, config.heads, config.window, CONTENT_DIM
        )
        self.ranker = ranker.init(ranker_key, len(FEATURES), len(CONTEXT))
        self.scaling = ranker.Scaling(
            jnp.zeros(len(FEATURES)), jnp.ones(len(FEATURES)), jnp.zeros(len(CONTEXT)), jnp.ones(len(CONTEXT))
        )
        self.heads = heads.init(jax.random.fold_in(encoder_key, 1), config.embedding_dim)
        self.ratings = ratings.none()
        self.content: Content | None = None  # of the live state that goes with it
        self.rows = ItemRows(
            np.zeros(0, np.int32), np.zeros((0, config.embedding_dim), np.float32), np.zeros(0, np.float32)
        )
        self._table: Table | None = None

    def items(self, n_items: int) -> tuple[Floats, Floats]:
        """Vectors [n_items, D] and biases [n_items] by item key. An item without a row has its content's place only."""
        return self._kept().of(n_items, self.content)

    def prepare(self, n_items: int) -> None:
        """Derive from the weights what `expected` needs, before the first answer."""
        self._kept().prepare(n_items, self.content)

    def _kept(self) -> Table:
        if self._table is None:
            self._table = Table(self.item_rows(), np.asarray(self.dense.content))
        return self._table

    def item_rows(self) -> ItemRows:
        """What was learnt of single items."""
        return self.rows

    def users(self, windows: Windows, n_items: int) -> Floats:
        """User vectors [m, D] at `windows.now`. Only the rows of the windows' own items enter compiled code, so a
        catalogue that grows compiles nothing.
        """
        vectors, _ = self.items(n_items)
        found = np.empty((len(windows.now), self.config.embedding_dim), np.float32)
        for start, end, size in pieces(len(windows.now)):
            keys = pad(windows.items[start:end], size, -1)
            places = np.where(keys >= 0, np.arange(keys.size, dtype=np.int32).reshape(keys.shape), np.int32(-1))
            gathered = (vectors if n_items else np.zeros((1, found.shape[1]), np.float32))[np.maximum(keys.ravel(), 0)]
            inputs = packing.windows(
                places, *(pad(part[start:end], size) for part in (windows.times, windows.tags, windows.now))
            )
            found[start:end] = np.asarray(encoder.users(self.dense, gathered, inputs))[: end - start]
        return found

    def logits(self, windows: Windows, n_items: int) -> Floats:
        """[m, n_items] by item key: what comes next, at `windows.now`.

        The product is NumPy's: for one window it adds up in another order than for many, which moves a logit by its
        last bits (relative 1e-6) and never more.
        """
        vectors, bias = self.items(n_items)
        found: Floats = self.users(windows, n_items) @ vectors.T
        found += bias
        return found

    def expected(self, windows: Windows, n_items: int) -> Iterator[Expected]:
        """The same for `propose`, one window after the other; one is to be used before the next is asked for.

        Of more than table.SCANNED items the logits are near and the best of them exact: what is proposed is the same.
        """
        yield from self._kept().expected(self.users(windows, n_items), n_items, self.content)

    def rank(self, candidates: Candidates) -> Floats:
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

    def warm(self, together: int = ROWS[-1]) -> None:
        """Compile, or load from the cache, whatever answering so many at once needs; shapes are all that counts."""
        length = self.config.window
        for size in (each for each in ROWS if each <= together):
            self.users(blank(size, length), 0)
            ranker.score(
                self.ranker,
                self.scaling,
                np.zeros((size, self.config.candidates, len(FEATURES)), np.float32),
                np.zeros((size, len(CONTEXT)), np.float32),
                np.full((size, self.config.candidates), -1, np.int32),
            )

    def changed(self) -> None:
        """Forget what was derived from the weights."""
        self._table = None


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
