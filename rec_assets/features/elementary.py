"""Logarithm and power of two in single precision, written so that the compiler computes many at once.

The polynomials are those of Cephes (Moshier): within 1e-7 of the true value, relative.
"""

from typing import Any

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic

_f32 = np.float32


@intrinsic
def _bits(_: Any, x: Any) -> Any:  # noqa: ARG001 - Numba counts and names the arguments
    """The bits of a float32 as an int32."""
    return types.int32(types.float32), lambda _, builder, __, given: builder.bitcast(given[0], ir.IntType(32))


@intrinsic
def _float(_: Any, x: Any) -> Any:  # noqa: ARG001
    """The float32 that has these bits."""
    return types.float32(types.int32), lambda _, builder, __, given: builder.bitcast(given[0], ir.FloatType())


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz"}, inline="always")
def log(x: Any) -> Any:
    """Natural logarithm of a normal number above 0."""
    bits: Any = _bits(_f32(x))  # type: ignore[call-arg]  # Numba gives the first
    exponent = (bits - np.int32(0x3F3504F3)) >> np.int32(23)  # so that the rest lies in [√½, √2)
    m = _float(np.int32(bits - (exponent << np.int32(23)))) - _f32(1)
    p = _f32(7.0376836292e-2)
    for c in (
        -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1, 2.0000714765e-1,
        -2.4999993993e-1, 3.3333331174e-1,
    ):  # fmt: skip
        p = p * m + _f32(c)
    square = m * m
    return m + (m * square * p - _f32(0.5) * square) + _f32(exponent) * _f32(0.6931471805599453)


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz"}, inline="always")
def exp2(x: Any) -> Any:
    """2^x for x up to 127; below -126 the smallest normal number."""
    x = max(_f32(x), _f32(-126))
    whole = np.floor(x + _f32(0.5))
    rest = x - whole
    p = _f32(1.535336188319500e-4)
    for c in (
        1.339887440266574e-3, 9.618437357674640e-3, 5.550332471162809e-2, 2.402264791363012e-1,
        6.931472028550421e-1, 1.0,
    ):  # fmt: skip
        p = p * rest + _f32(c)
    return p * _float((np.int32(whole) + np.int32(127)) << np.int32(23))  # type: ignore[call-arg]
