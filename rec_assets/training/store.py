"""Item rows on the host. A jitted step never sees the table, only the rows it touches, so nothing recompiles when it
grows.
"""

import numpy as np
import numpy.typing as npt

from rec_assets.models import encoder
from rec_assets.models.compile import bucket

Keys = npt.NDArray[np.int32]
SLOTS = ("value", "first", "second")  # the parameter and Adam's two moments: they live and die with the row


class EmbeddingStore:
    """Key -> row map and arrays that double when they are full.

    Keys are the stable integers of item ids, rows are places in the arrays. Each slot holds an embedding f32[rows,
    dim] and a bias f32[rows].
    """

    def __init__(self, dim: int, seed: int) -> None:
        self.dim, self.seed = dim, seed
        self.size = 0
        self.row_of: Keys = np.full(64, -1, np.int32)  # by key; -1: no row
        self.key_of: Keys = np.full(64, -1, np.int32)  # by row
        self.embedding = {slot: np.zeros((64, dim), np.float32) for slot in SLOTS}
        self.bias = {slot: np.zeros(64, np.float32) for slot in SLOTS}
        self.chosen = np.zeros(
            64, np.float32
        )  # how often a row was a target: its share is its chance to be in a sample

    def rows(self, keys: Keys) -> Keys:
        """The row of each key, -1 where it has none or is itself -1. Any shape."""
        inside = (keys >= 0) & (keys < len(self.row_of))
        return np.where(inside, self.row_of[np.where(inside, keys, 0)], np.int32(-1))

    def admit(self, keys: Keys) -> None:
        """Give a row to every key that has none: a small embedding drawn by the key, and the bias of a rare item."""
        new = np.unique(keys[keys >= 0])
        new = new[self.rows(new) < 0]
        if not len(new):
            return
        self.row_of = grown(self.row_of, int(new[-1]) + 1, -1)
        start, end = self.size, self.size + len(new)
        bias = self.rare_bias()
        self.key_of = grown(self.key_of, end, -1)
        for slot in SLOTS:
            self.embedding[slot] = grown(self.embedding[slot], end, 0.0)
            self.bias[slot] = grown(self.bias[slot], end, 0.0)
        self.chosen = grown(self.chosen, end, 0.0)
        self.row_of[new] = np.arange(start, end, dtype=np.int32)
        self.key_of[start:end] = new
        rng = np.random.default_rng((self.seed, start))
        self.embedding["value"][start:end] = rng.normal(0.0, 0.02, (len(new), self.dim))
        self.bias["value"][start:end] = bias
        self.size = end

    def rare_bias(self) -> float:
        """What an item without a row is given: the tenth part of the rows has a lower bias."""
        return float(np.quantile(self.bias["value"][: self.size], 0.1)) if self.size else 0.0

    def gather(self, rows: Keys) -> dict[str, encoder.Rows]:
        """Each slot's rows, padded with zeros to a bucketed number of them."""
        gathered = {}
        for slot in SLOTS:
            embedding = np.zeros((bucket(len(rows)), self.dim), np.float32)
            bias = np.zeros(len(embedding), np.float32)
            embedding[: len(rows)], bias[: len(rows)] = self.embedding[slot][rows], self.bias[slot][rows]
            gathered[slot] = encoder.Rows(embedding, bias)
        return gathered

    def scatter(self, rows: Keys, gathered: dict[str, encoder.Rows]) -> None:
        """Write back what `gather` gave for the same rows."""
        for slot, (embedding, bias) in gathered.items():
            self.embedding[slot][rows] = np.asarray(embedding)[: len(rows)]
            self.bias[slot][rows] = np.asarray(bias)[: len(rows)]

    def to_arrays(self) -> dict[str, npt.NDArray]:
        """What a checkpoint keeps: the rows in use."""
        arrays: dict[str, npt.NDArray] = {"key_of": self.key_of[: self.size], "chosen": self.chosen[: self.size]}
        for slot in SLOTS:
            arrays[f"embedding.{slot}"] = self.embedding[slot][: self.size]
            arrays[f"bias.{slot}"] = self.bias[slot][: self.size]
        return arrays

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray], dim: int, seed: int) -> "EmbeddingStore":
        """The store that `to_arrays` was taken from."""
        store = cls(dim, seed)
        keys = arrays["key_of"]
        store.size = len(keys)
        store.row_of = grown(store.row_of, int(keys.max(initial=-1)) + 1, -1)
        store.row_of[keys] = np.arange(len(keys), dtype=np.int32)
        store.key_of = filled(store.key_of, keys, -1)
        store.chosen = filled(store.chosen, arrays["chosen"], 0.0)
        for slot in SLOTS:
            store.embedding[slot] = filled(store.embedding[slot], arrays[f"embedding.{slot}"], 0.0)
            store.bias[slot] = filled(store.bias[slot], arrays[f"bias.{slot}"], 0.0)
        return store


def grown(array: npt.NDArray, size: int, fill: float) -> npt.NDArray:
    """The array itself if it has `size` rows, else a copy with its rows doubled until it has."""
    rows = len(array)
    while rows < size:
        rows *= 2
    if rows == len(array):
        return array
    larger = np.full((rows, *array.shape[1:]), fill, array.dtype)
    larger[: len(array)] = array
    return larger


def filled(array: npt.NDArray, values: npt.NDArray, fill: float) -> npt.NDArray:
    """The array, grown to hold `values` in its first rows."""
    array = grown(array, len(values), fill)
    array[: len(values)] = values
    return array
