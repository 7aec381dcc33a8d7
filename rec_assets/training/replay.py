"""A bounded, even sample of all that was learnt from, kept with the checkpoint against forgetting and for the gate."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from rec_assets.training.examples import Examples
from rec_assets.training.stretches import Stretches

STRETCHES, EXAMPLES = 2_048, 1_024

Sample = TypeVar("Sample", Stretches, Examples)


@dataclass
class Replay:
    """Two reservoirs and how many each has been offered."""

    stretches: Stretches
    examples: Examples
    offered_stretches: int = 0
    offered_examples: int = 0

    def add_stretches(self, new: Stretches, rng: np.random.Generator) -> None:
        """Offer stretches."""
        self.stretches = reservoir(self.stretches, new, self.offered_stretches, STRETCHES, rng)
        self.offered_stretches += len(new.first)

    def add_examples(self, new: Examples, rng: np.random.Generator) -> None:
        """Offer examples."""
        self.examples = reservoir(self.examples, new, self.offered_examples, EXAMPLES, rng)
        self.offered_examples += len(new.target)

    def forget(self, users: Sequence[int]) -> dict[str, int]:
        """Take out what is of these users, by key; returns how much was.

        Others' material stands in its place, twice then, so that the sample stays as long as what was offered says.
        """
        if not len(users):
            return {}
        self.stretches, stretches = _without(self.stretches, users)
        self.examples, examples = _without(self.examples, users)
        self.offered_stretches *= len(self.stretches.first) > 0
        self.offered_examples *= len(self.examples.target) > 0
        return {"stretches": stretches, "examples": examples}

    def some_stretches(self, number: int, rng: np.random.Generator) -> Stretches:
        """At most `number` different ones, by chance."""
        return self.stretches.take(rng.permutation(len(self.stretches.first))[:number])

    def some_examples(self, number: int, rng: np.random.Generator) -> Examples:
        """At most `number` different ones, by chance."""
        return self.examples.take(rng.permutation(len(self.examples.target))[:number])

    def to_arrays(self) -> dict[str, npt.NDArray]:
        """What a checkpoint keeps."""
        arrays: dict[str, npt.NDArray] = {f"stretches.{name}": x for name, x in self.stretches._asdict().items()}
        arrays |= {f"examples.{name}": x for name, x in self.examples._asdict().items()}
        return arrays | {"offered": np.array([self.offered_stretches, self.offered_examples])}

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray]) -> "Replay":
        """The sample that `to_arrays` was taken from."""
        for part, count in (("stretches", "first"), ("examples", "target")):  # those of old do not say whose they are
            arrays.setdefault(f"{part}.user", np.full(len(arrays[f"{part}.{count}"]), -1, np.int32))
        stretches = Stretches(*(arrays[f"stretches.{name}"] for name in Stretches._fields))
        examples = Examples(*(arrays[f"examples.{name}"] for name in Examples._fields))
        return cls(stretches, examples, *arrays["offered"].tolist())


def _without(kept: Sample, users: Sequence[int]) -> tuple[Sample, int]:
    theirs = np.isin(kept.user, users)
    others = np.flatnonzero(~theirs)
    if not len(others):
        return kept.take(others), int(theirs.sum())
    index = np.arange(len(theirs))
    index[theirs] = others[np.arange(int(theirs.sum())) % len(others)]
    return kept.take(index), int(theirs.sum())


def reservoir(kept: Sample, new: Sample, offered: int, size: int, rng: np.random.Generator) -> Sample:
    """Each of all that was ever offered is kept with the same chance (Vitter's algorithm R). Returns new arrays."""
    place = offered + np.arange(len(new[0]))
    place = np.where(place < size, place, rng.integers(0, place + 1))
    taken = np.flatnonzero(place < size)
    total = max(len(kept[0]), int(place[taken].max(initial=-1)) + 1)

    def filled(old: npt.NDArray[Any], fresh: npt.NDArray[Any]) -> npt.NDArray[Any]:
        column = np.empty((total, *old.shape[1:]), old.dtype)
        column[: len(old)] = old
        column[place[taken]] = fresh[taken]
        return column

    columns: list[tuple[npt.NDArray[Any], npt.NDArray[Any]]] = list(zip(kept, new, strict=True))
    return type(kept)(*(filled(old, fresh) for old, fresh in columns))
