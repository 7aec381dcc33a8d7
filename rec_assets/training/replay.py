"""A bounded sample of all that was learnt from, kept with the checkpoint against forgetting and for the gate.

Whatever is offered draws a lot once: ln 2 · time / half-life plus a Gumbel variate. The highest lots of all that was
ever offered are then a sample without replacement in which a piece's weight halves with its age (Efraimidis and
Spirakis 2006, with the forward decay of Cormode et al. 2009). Users and items are the strata: the n-th highest lot of
one user, and of one item, counts for 1/n of its weight, so that neither who does much nor what is popular fills it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from rec_assets.training.examples import Examples
from rec_assets.training.stretches import Stretches

STRETCHES, EXAMPLES = 2_048, 1_024
DAY = 86_400

Material = TypeVar("Material", Stretches, Examples)
Lots = npt.NDArray[np.float64]


@dataclass
class Replay:
    """Two samples, each with the lots of its pieces; `half_life` in seconds, 0: old ones weigh as much as new ones."""

    stretches: Stretches
    examples: Examples
    half_life: float = 0.0
    stretch_lots: Lots = field(default_factory=lambda: np.empty(0))
    example_lots: Lots = field(default_factory=lambda: np.empty(0))

    def add_stretches(self, new: Stretches, rng: np.random.Generator) -> None:
        """Offer stretches; of each its last event says when and what it was about."""
        lots = np.concatenate([self.stretch_lots, self._draw(new.times[:, -1], rng)])
        index = chosen(
            lots, _joined(self.stretches.user, new.user), _joined(self.stretches.items, new.items)[:, -1], STRETCHES
        )
        self.stretches, self.stretch_lots = _taken(self.stretches, new, index), lots[index]

    def add_examples(self, new: Examples, rng: np.random.Generator) -> None:
        """Offer examples."""
        lots = np.concatenate([self.example_lots, self._draw(new.time, rng)])
        index = chosen(lots, _joined(self.examples.user, new.user), _joined(self.examples.item, new.item), EXAMPLES)
        self.examples, self.example_lots = _taken(self.examples, new, index), lots[index]

    def _draw(self, times: npt.NDArray[np.float64], rng: np.random.Generator) -> Lots:
        age = np.log(2) * times / self.half_life if self.half_life > 0 else 0.0
        return np.asarray(rng.gumbel(size=len(times)) + age)

    def forget(self, users: Sequence[int]) -> dict[str, int]:
        """Take out what is of these users, by key; returns how much was."""
        if not len(users):
            return {}
        ours, theirs = np.isin(self.stretches.user, users), np.isin(self.examples.user, users)
        self.stretches, self.stretch_lots = self.stretches.take(np.flatnonzero(~ours)), self.stretch_lots[~ours]
        self.examples, self.example_lots = self.examples.take(np.flatnonzero(~theirs)), self.example_lots[~theirs]
        return {"stretches": int(ours.sum()), "examples": int(theirs.sum())}

    def some_stretches(self, targets: int, rng: np.random.Generator) -> Stretches:
        """Different ones by chance, until they have so many targets, or all."""
        order = rng.permutation(len(self.stretches.first))
        found = np.cumsum(self.stretches.items.shape[1] - self.stretches.first[order])
        return self.stretches.take(order[: np.searchsorted(found, targets) + 1] if targets > 0 else order[:0])

    def some_examples(self, number: int, rng: np.random.Generator) -> Examples:
        """At most `number` different ones, by chance."""
        return self.examples.take(rng.permutation(len(self.examples.target))[:number])

    def to_arrays(self) -> dict[str, npt.NDArray]:
        """What a checkpoint keeps."""
        arrays: dict[str, npt.NDArray] = {f"stretches.{name}": x for name, x in self.stretches._asdict().items()}
        arrays |= {f"examples.{name}": x for name, x in self.examples._asdict().items()}
        return arrays | {"stretches.lot": self.stretch_lots, "examples.lot": self.example_lots}

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray], half_life: float = 0.0) -> "Replay":
        """The sample that `to_arrays` was taken from."""
        stretches = Stretches(*(arrays[f"stretches.{name}"] for name in Stretches._fields))
        examples = Examples(*(arrays[f"examples.{name}"] for name in Examples._fields))
        return cls(stretches, examples, half_life, arrays["stretches.lot"], arrays["examples.lot"])


def chosen(lots: Lots, users: npt.NDArray[np.int32], items: npt.NDArray[np.int32], size: int) -> npt.NDArray[np.int64]:
    """Which of n pieces are kept, at most `size`, ascending."""
    if len(lots) <= size:
        return np.arange(len(lots))
    weights = lots - np.log1p(_turns(users, lots)) - np.log1p(_turns(items, lots))
    return np.sort(np.argsort(-weights, kind="stable")[:size])


def _turns(strata: npt.NDArray[np.int32], lots: Lots) -> npt.NDArray[np.int64]:
    """How many of the same stratum [n] have a higher lot."""
    order = np.lexsort((-lots, strata))
    starts = np.flatnonzero(np.diff(strata[order], prepend=strata[order[0]] - 1))
    turns = np.empty(len(lots), np.int64)
    turns[order] = np.arange(len(lots)) - np.repeat(starts, np.diff(starts, append=len(lots)))
    return turns


def _joined(old: npt.NDArray[Any], new: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.concatenate([old, new])


def _taken(old: Material, new: Material, index: npt.NDArray[np.int64]) -> Material:
    """Those of an ascending index over both, one after the other."""
    first = np.searchsorted(index, len(old.user))
    kept, added = old.take(index[:first]), new.take(index[first:] - len(old.user))
    columns: list[tuple[npt.NDArray[Any], npt.NDArray[Any]]] = list(zip(kept, added, strict=True))
    return type(old)(*(_joined(*pair) for pair in columns))
