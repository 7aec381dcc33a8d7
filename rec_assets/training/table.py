"""The items by key as a user's vector is multiplied with them: one copy of what is learnt, none of what learning needs.

I items, R rows of the store, D dimensions, K content dimensions; float32.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rec_assets.features import codes as coding
from rec_assets.features.blocks import extended
from rec_assets.features.content import Content
from rec_assets.ranking.expected import Expected, exact
from rec_assets.registry.changes import Changes, apply

Floats = npt.NDArray[np.float32]
ROWS = ("key_of", "embedding.value", "bias.value")  # of a checkpoint's arrays, those of ItemRows
PIECE = 1 << 16  # items filled in at once
LOOKED_AT = 1_024  # rows that stand for all when a rare item's bias is asked for
ROUNDING = 1e-5  # what a sum in single precision may lose, of the product of the lengths
SCANNED = 100_000  # items that one product looks at in full; of more, eight bits are looked at first


class ItemRows(NamedTuple):
    """What was learnt of single items; not to be changed."""

    key_of: npt.NDArray[np.int32]  # [R]
    embedding: Floats  # [R, D]
    bias: Floats  # [R]

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> "ItemRows":
        """Out of those that a checkpoint keeps."""
        return cls(*(arrays[name] for name in ROWS))

    def after(self, changes: Sequence[Changes]) -> "ItemRows":
        """What these become by changes, oldest first; beside them, for they stay as they are."""
        return self.from_arrays(apply(dict(zip(ROWS, self, strict=True)), changes, keep=True))


def rare_bias(rows: ItemRows) -> float:
    """What an item without a row is given: the tenth part of the rows has a lower bias. From evenly spread rows."""
    spread = slice(0, len(rows.bias), max(len(rows.bias) // LOOKED_AT, 1))
    biases = rows.bias[spread][rows.key_of[spread] >= 0]
    return float(np.quantile(biases, 0.1)) if len(biases) else 0.0


class Table:
    """Vectors [I, D], embedding plus projected content, and biases [I]. One thread at a time may ask it."""

    def __init__(self, rows: ItemRows, projection: Floats) -> None:
        """Empty; `projection` is [K, D]."""
        self._rows, self._projection = rows, projection
        self._rare = np.float32(rare_bias(rows))
        self._row_of = np.full(int(rows.key_of.max(initial=-1)) + 1, -1, np.int32)
        used = np.flatnonzero(rows.key_of >= 0)
        self._row_of[rows.key_of[used]] = used
        self._items, self._changes = 0, 0
        self._codes: coding.Codes | None = None  # of the vectors, once they are many
        self._longest = 0.0  # of the vectors
        self._logits = np.zeros(0, np.float32)  # where those of one user are computed, again and again
        self._vectors, self._bias = np.zeros((0, projection.shape[1]), np.float32), np.zeros(0, np.float32)

    def of(self, items: int, content: Content | None) -> tuple[Floats, Floats]:
        """Vectors and biases of the first `items` keys. What is new, or described anew, costs; the rest does not."""
        changes = content.changes if content is not None else 0
        stale = np.arange(self._items, items)
        if content is not None and changes > self._changes:
            old = content.changed_at[: self._items] > self._changes
            stale = np.concatenate([np.flatnonzero(old), stale])
        if len(stale):
            self._vectors, self._bias = extended(self._vectors, items, 0), extended(self._bias, items, 0)
            for start in range(0, len(stale), PIECE):
                self._fill(stale[start : start + PIECE], content)
        self._items, self._changes = max(items, self._items), changes
        return self._vectors[:items], self._bias[:items]

    def prepare(self, items: int, content: Content | None) -> None:
        """Make ahead of the first answer what `expected` needs."""
        vectors, _ = self.of(items, content)
        if items > SCANNED and self._codes is None:
            self._codes = coding.of(vectors)
            self._longest = max(float(np.linalg.norm(each, axis=1).max()) for each in np.array_split(vectors, 64))

    def expected(self, users: Floats, items: int, content: Content | None) -> Iterator[Expected]:
        """What each of the users [m, D] is expected to do; one is to be used before the next is asked for."""
        vectors, bias = self.of(items, content)
        if items <= SCANNED:
            logits = users @ vectors.T
            logits += bias
            yield from (exact(row) for row in logits)
            return
        self.prepare(items, content)
        assert self._codes is not None
        self._logits = extended(self._logits, items, 0)
        near = self._logits[:items]
        for user in users:
            lost = coding.products(self._codes.codes, self._codes.scale, user, near)
            near += bias
            length = float(np.linalg.norm(user))
            wrong = self._codes.error * length + lost * (self._longest + self._codes.error)
            yield Expected(near, wrong + ROUNDING * length * self._longest, user, vectors, bias)

    def _fill(self, keys: npt.NDArray[np.int64], content: Content | None) -> None:
        vectors = np.zeros((len(keys), self._vectors.shape[1]), np.float32)
        if content is not None:
            known = keys < len(content.vectors)
            vectors[known] = content.vectors[keys[known]] @ self._projection
        rows = np.full(len(keys), -1, np.int32)
        inside = keys < len(self._row_of)
        rows[inside] = self._row_of[keys[inside]]
        learnt = rows >= 0
        vectors[learnt] += self._rows.embedding[rows[learnt]]
        self._vectors[keys] = vectors
        if self._codes is not None:
            coding.fit(self._codes, len(self._vectors))
            coding.put_at(self._codes, keys, vectors)
            self._longest = max(self._longest, float(np.linalg.norm(vectors, axis=1).max()))
        self._bias[keys] = np.where(learnt, self._rows.bias[rows], self._rare) if len(self._rows.bias) else self._rare
