"""What the encoder expects of every item: exact, or nearly so where a catalogue is too large to look at it in full."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rec_assets.features.kernels import kernel

Floats = npt.NDArray[np.float32]


class Expected(NamedTuple):
    """By key; I items, D dimensions. With `wrong` 0 the logits are exact and nothing else is looked at."""

    logits: Floats  # [I]
    wrong: float  # no logit is off by more
    user: Floats  # [D] an exact logit is user · vector + bias
    vectors: Floats  # [I, D]
    bias: Floats  # [I]


_NONE, _NO_VECTORS = np.zeros(0, np.float32), np.zeros((0, 1), np.float32)


def exact(logits: Floats) -> Expected:
    """Logits [I] that are what they are."""
    return Expected(logits, 0.0, _NONE, _NO_VECTORS, _NONE)


NOTHING = exact(_NONE)


@kernel
def logit(expected: Expected, item: int) -> float:
    """The exact logit of an item."""
    if expected.wrong == 0:
        return float(expected.logits[item])
    total = expected.bias[item]
    for d in range(len(expected.user)):
        total += expected.user[d] * expected.vectors[item, d]
    return float(total)
