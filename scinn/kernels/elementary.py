"""Exponential function and hyperbolic tangent of float32 that run in vectors.

Numba calls the C library for each number; these are polynomials after a reduction of the argument, without branches and
without calls, so that loops around them are vectorised. Nothing is contracted: the bits are the same on every machine with
IEEE arithmetic. float64 goes to NumPy's functions.

* ``exp``: ``x = n ln 2 + r`` with ``|r| <= ln(2) / 2`` (ln 2 in two parts), a polynomial of degree 6 in ``r``, and two
  factors that make ``2^n``, so that overflow gives inf, and what is too small for normal numbers is rounded to
  denormal ones.
* ``tanh``: an odd polynomial below 0.625 in size, ``1 - 2 / (exp(2 |x|) + 1)`` with the sign of ``x`` above.

NaN stays NaN. Twins are in :mod:`scinn.reference.elementary`.
"""

from __future__ import annotations

import numba
import numpy as np

from scinn.kernels._jit import jit

__all__ = ["exp", "exp_array", "tanh", "tanh_array"]

EXACT = frozenset()
_F = np.float32
_LOG2_E = _F(1.4426950408889634)
# The first part has zeros at its end, so that its multiples by n are exact.
_LN2_HIGH, _LN2_LOW = _F(0.693359375), _F(-2.12194440e-4)
# Adding and subtracting 1.5 2^23 rounds to an integer, which then stands in the lowest bits.
_ROUND = _F(12582912.0)
_LOWEST, _HIGHEST = _F(-104.0), _F(89.0)
_E2, _E3, _E4, _E5, _E6 = (
    _F(0.5), _F(0.16666576266288757), _F(0.041666556149721146), _F(0.008363203145563602), _F(0.0013926213141530752),
)  # fmt: skip
_T3, _T5, _T7, _T9, _T11, _T13 = (
    _F(-0.3333333432674408), _F(0.1333330273628235), _F(-0.053959157317876816), _F(0.021768074482679367),
    _F(-0.008341185748577118), _F(0.002289623487740755),
)  # fmt: skip
_ONE, _TWO, _SMALL = _F(1.0), _F(2.0), _F(0.625)


@jit(fastmath=EXACT)
def _power_of_two(n):
    """Return 2^n for an integer (int32) from -126 to 127, from its bits."""
    return np.int32((n + np.int32(127)) << np.int32(23)).view(np.float32)


@jit(fastmath=EXACT)
def exp32(x):
    """Return exp(x) of a float32."""
    # Written so that NaN goes to the lower bound: it comes back in the last line.
    y = x if x > _LOWEST else _LOWEST
    y = y if y < _HIGHEST else _HIGHEST
    shifted = y * _LOG2_E + _ROUND
    whole = shifted - _ROUND
    r = (y - whole * _LN2_HIGH) - whole * _LN2_LOW
    p = ((((_E6 * r + _E5) * r + _E4) * r + _E3) * r + _E2) * (r * r) + r
    p = p + _ONE
    n = np.int32(whole)
    half = n >> np.int32(1)
    result = (p * _power_of_two(half)) * _power_of_two(np.int32(n - half))
    return x if x != x else result


@jit(fastmath=EXACT)
def tanh32(x):
    """Return tanh(x) of a float32."""
    size = abs(x)
    square = x * x
    p = ((((_T13 * square + _T11) * square + _T9) * square + _T7) * square + _T5) * square + _T3
    small = size + (size * square) * p
    large = _ONE - _TWO / (exp32(size + size) + _ONE)
    return np.copysign(small if size < _SMALL else large, x)


if numba.config.DISABLE_JIT:

    def exp(x):
        """Return exp(x), by :func:`exp32` for float32."""
        return exp32(x) if isinstance(x, np.float32) else np.exp(x)

    def tanh(x):
        """Return tanh(x), by :func:`tanh32` for float32."""
        return tanh32(x) if isinstance(x, np.float32) else np.tanh(x)

else:
    from numba import types
    from numba.extending import overload

    def exp(x):
        """Return exp(x), by :func:`exp32` for float32; for compiled code."""
        raise NotImplementedError("only compiled code calls this")

    def tanh(x):
        """Return tanh(x), by :func:`tanh32` for float32; for compiled code."""
        raise NotImplementedError("only compiled code calls this")

    @overload(exp)
    def _overload_exp(x):
        return (lambda x: exp32(x)) if x == types.float32 else (lambda x: np.exp(x))

    @overload(tanh)
    def _overload_tanh(x):
        return (lambda x: tanh32(x)) if x == types.float32 else (lambda x: np.tanh(x))


@jit
def exp_array(x, out):
    """Fill ``out`` with exp(x); C-contiguous arrays of one shape."""
    values, result = x.reshape(x.size), out.reshape(out.size)
    for i in range(values.size):
        result[i] = exp(values[i])


@jit
def tanh_array(x, out):
    """Fill ``out`` with tanh(x); C-contiguous arrays of one shape."""
    values, result = x.reshape(x.size), out.reshape(out.size)
    for i in range(values.size):
        result[i] = tanh(values[i])
