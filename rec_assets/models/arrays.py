"""What a jitted function takes: arrays of the host or of the device."""

from typing import Any

import jax
import numpy.typing as npt

Array = jax.Array | npt.NDArray[Any]
