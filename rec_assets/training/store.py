"""Item rows on the host that grow and forget. A jitted step never sees the table, only the rows it touches: nothing
recompiles when it grows, and a step costs what it touches. The ideas are Monolith's (arXiv 2209.07663).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rec_assets.models import encoder
from rec_assets.models.compile import bucket
from rec_assets.registry.changes import Changes
from rec_assets.training import keymap
from rec_assets.training.table import ItemRows, rare_bias

Keys = npt.NDArray[np.int32]
Arrays = dict[str, npt.NDArray]
SLOTS = ("value", "first", "second")  # the parameter and Adam's two moments: they live and die with the row
COLUMNS = ("key_of", "chosen", "seen_at")  # the other arrays with a place for each row
LEAST = 64  # rows that there is room for
SPARE = 16  # a full store gives up this part of its rows at once, those unseen for longest
SWEPT = 8_192  # rows looked at for their time to live at each admission


class Limits(NamedTuple):
    """What keeps a store bounded."""

    rows: int  # at most
    admit_events: int = 1  # an id has a row from its n-th event on
    live_seconds: float = 0.0  # a row goes when its item was not seen for so long; 0: it stays


class EmbeddingStore:
    """Key -> row map and arrays that double when they are full, up to a limit.

    Keys are the stable integers of item ids, rows are places in the arrays, given again once they are free. Each slot
    holds an embedding f32[rows, dim] and a bias f32[rows].
    """

    def __init__(self, dim: int, seed: int, limits: Limits) -> None:
        self.dim, self.seed, self.limits = dim, seed, limits
        self.size = 0  # rows that were ever given: the arrays are in use up to here
        self.map = keymap.empty(LEAST)
        self.key_of: Keys = np.full(LEAST, -1, np.int32)  # by row; -1: free
        self.free: Keys = np.empty(0, np.int32)  # rows below `size` that may be given again
        self.embedding = {slot: np.zeros((LEAST, dim), np.float32) for slot in SLOTS}
        self.bias = {slot: np.zeros(LEAST, np.float32) for slot in SLOTS}
        self.chosen = np.zeros(LEAST, np.float32)  # how often a row was a target: its share is its chance to be sampled
        self.chosen_total = 0.0
        self.seen_at = np.zeros(LEAST)  # by row, seconds of the stream
        self.touched = np.zeros(LEAST, np.bool_)  # by row: another one than in the checkpoint `saved_as`
        self.saved_as: str | None = None
        counters = 1 << max(10, (4 * min(limits.rows, 1 << 22) - 1).bit_length()) if limits.admit_events > 1 else 0
        self.counts = np.zeros(counters, np.uint8)  # of events of ids without a row
        self.counted = 0  # events in `counts`
        self.hand = 0  # where the next sweep begins
        self.born = 0  # rows given so far: what a new one's values are drawn by

    def __len__(self) -> int:
        """Rows in use."""
        return self.size - len(self.free)

    def rows(self, keys: Keys) -> Keys:
        """The row of each key, -1 where it has none or is itself -1. Any shape."""
        return keymap.find(self.map, keys.ravel().astype(np.int64)).reshape(keys.shape)

    def admit(self, keys: Keys, now: float = 0.0) -> None:
        """See keys at a moment of the stream (seconds). One that was seen often enough gets a row: a small embedding
        and the bias of a rare item. Rows that were not seen for too long go, in a full store those unseen for longest.
        """
        events = keys[keys >= 0]
        known, counts = np.unique(events, return_counts=True)
        rows = self.rows(known)
        self.seen_at[rows[rows >= 0]] = now
        self.touched[rows[rows >= 0]] = True
        self._sweep(now)
        new = known[rows < 0]
        if self.limits.admit_events > 1 and len(new):
            new = self._often(new, counts[rows < 0])
        if len(new):
            self._give(new, now)

    def choose(self, rows: Keys) -> None:
        """Count rows [n] that were targets; -1 is passed over."""
        rows = rows[rows >= 0]
        np.add.at(self.chosen, rows, 1.0)
        self.touched[rows] = True
        self.chosen_total += len(rows)

    def item_rows(self) -> ItemRows:
        """What is asked: the values, as they are now."""
        end = self.size
        return ItemRows(self.key_of[:end], self.embedding["value"][:end], self.bias["value"][:end])

    def gather(self, rows: Keys) -> dict[str, encoder.Rows]:
        """Each slot's rows, padded with zeros to a bucketed number of them."""
        gathered = {}
        for slot in SLOTS:
            embedding = np.zeros((bucket(len(rows)), self.dim), np.float32)
            bias = np.zeros(len(embedding), np.float32)
            np.take(self.embedding[slot], rows, axis=0, out=embedding[: len(rows)])
            bias[: len(rows)] = self.bias[slot][rows]
            gathered[slot] = encoder.Rows(embedding, bias)
        return gathered

    def scatter(self, rows: Keys, gathered: dict[str, encoder.Rows]) -> None:
        """Write back what `gather` gave for the same rows."""
        self.touched[rows] = True
        for slot, (embedding, bias) in gathered.items():
            self.embedding[slot][rows] = np.asarray(embedding)[: len(rows)]
            self.bias[slot][rows] = np.asarray(bias)[: len(rows)]

    def _often(self, keys: Keys, counts: npt.NDArray[np.int64]) -> Keys:
        """Those of new keys that have had enough events. Counters are few and shared: a rare id may come in early."""
        before_last = np.repeat(keys.astype(np.int64), np.minimum(counts, self.limits.admit_events))
        if self.counted > len(self.counts) // 2:
            self.counts >>= 1  # what was seen long ago counts half
            self.counted //= 2
        self.counted += len(before_last)
        found = keymap.count(self.counts, before_last)
        enough: Keys = np.unique(before_last[found >= self.limits.admit_events]).astype(np.int32)
        return enough

    def _give(self, new: Keys, now: float) -> None:
        """Give rows to keys that have none: free ones first, then new ones, then those unseen for longest."""
        lacking = len(self) + len(new) - self.limits.rows
        if lacking > 0:
            alive = np.flatnonzero((self.key_of[: self.size] >= 0) & (self.seen_at[: self.size] < now))
            gone = min(max(lacking, self.limits.rows // SPARE), len(alive))
            if gone:
                self._release(alive[np.argpartition(self.seen_at[alive], gone - 1)[:gone]])
            new = new[: self.limits.rows - len(self)]
        again = self.free[: len(new)]
        self.free = self.free[len(again) :]
        start, end = self.size, self.size + len(new) - len(again)
        self._grow(end)
        rows = np.concatenate([again, np.arange(start, end, dtype=np.int32)])
        bias = rare_bias(self.item_rows())
        self.size = end
        keymap.insert(self.map, new.astype(np.int64), rows)
        self.key_of[rows] = new
        for slot in SLOTS:
            self.embedding[slot][rows] = 0.0
            self.bias[slot][rows] = 0.0
        rng = np.random.default_rng((self.seed, self.born))
        self.embedding["value"][rows] = rng.normal(0.0, 0.02, (len(new), self.dim))
        self.bias["value"][rows] = bias
        self.chosen[rows] = 0.0
        self.seen_at[rows] = now
        self.touched[rows] = True
        self.born += len(new)

    def _grow(self, size: int) -> None:
        if 2 * size > len(self.map.keys):
            alive = np.flatnonzero(self.key_of[: self.size] >= 0).astype(np.int32)
            self.map = keymap.empty(2 * size)
            keymap.insert(self.map, self.key_of[alive].astype(np.int64), alive)
        self.key_of = grown(self.key_of, size, -1)
        for slot in SLOTS:
            self.embedding[slot] = grown(self.embedding[slot], size, 0.0)
            self.bias[slot] = grown(self.bias[slot], size, 0.0)
        self.chosen, self.seen_at = grown(self.chosen, size, 0.0), grown(self.seen_at, size, 0.0)
        self.touched = grown(self.touched, size, 0.0)

    def _sweep(self, now: float) -> None:
        """Let go of rows past their time to live; each call looks at the next few rows only."""
        if self.limits.live_seconds <= 0 or not self.size:
            return
        rows = np.arange(self.hand, min(self.hand + SWEPT, self.size))
        self.hand = int(rows[-1] + 1) % self.size
        old = (self.key_of[rows] >= 0) & (self.seen_at[rows] < now - self.limits.live_seconds)
        self._release(rows[old])

    def _release(self, rows: npt.NDArray[np.int64]) -> None:
        keymap.remove(self.map, self.key_of[rows].astype(np.int64))
        self.key_of[rows] = -1
        self.chosen_total -= float(self.chosen[rows].sum())
        self.chosen[rows] = 0.0
        self.touched[rows] = True
        self.free = np.concatenate([self.free, rows.astype(np.int32)])

    def to_arrays(self) -> Arrays:
        """What a checkpoint keeps."""
        return {name: array[: self.size] for name, array in self._columns().items()} | self._others()

    def changes(self) -> Changes:
        """What became of the arrays of the checkpoint `saved_as`."""
        rows = np.flatnonzero(self.touched[: self.size]).astype(np.int32)
        changed = {name: array[rows] for name, array in self._columns().items()}
        return Changes(rows, self.size, changed, self._others())

    def saved(self, checkpoint_id: str) -> None:
        """From now on changes are counted from this checkpoint."""
        self.saved_as = checkpoint_id
        self.touched[: self.size] = False

    def _columns(self) -> Arrays:
        columns: Arrays = {name: getattr(self, name) for name in COLUMNS}
        for slot in SLOTS:
            columns |= {f"embedding.{slot}": self.embedding[slot], f"bias.{slot}": self.bias[slot]}
        return columns

    def _others(self) -> Arrays:
        numbers = np.array([self.counted, self.hand, self.born], np.int64)
        return {"free": self.free, "counts": self.counts, "numbers": numbers}

    @classmethod
    def from_arrays(cls, arrays: Arrays, dim: int, seed: int, limits: Limits) -> "EmbeddingStore":
        """The store that `to_arrays` was taken from. It takes the arrays over."""
        store = cls(dim, seed, limits)
        store.key_of, store.chosen, store.seen_at = (arrays[name] for name in COLUMNS)
        store.embedding = {slot: arrays[f"embedding.{slot}"] for slot in SLOTS}
        store.bias = {slot: arrays[f"bias.{slot}"] for slot in SLOTS}
        store.size = len(store.key_of)
        store.touched = np.zeros(store.size, np.bool_)
        alive = np.flatnonzero(store.key_of >= 0).astype(np.int32)
        store.map = keymap.empty(max(store.size, LEAST))
        keymap.insert(store.map, store.key_of[alive].astype(np.int64), alive)
        store.free = arrays["free"]
        if len(arrays["counts"]) == len(store.counts):  # else other limits were in force
            store.counts = arrays["counts"]
        store.counted, store.hand, store.born = arrays["numbers"].tolist()
        store.chosen_total = float(store.chosen.sum(dtype=np.float64))
        return store


def grown(array: npt.NDArray, size: int, fill: float) -> npt.NDArray:
    """The array itself if it has `size` rows, else a copy with its rows doubled until it has."""
    rows = max(len(array), LEAST)
    while rows < size:
        rows *= 2
    if rows == len(array):
        return array
    larger = np.zeros((rows, *array.shape[1:]), array.dtype)  # from the system, page by page as they are touched
    larger[: len(array)] = array
    if fill:
        larger[len(array) :] = fill
    return larger
