"""Exponential function and hyperbolic tangent that run in vectors.

Numba calls the C library for each number; these are polynomials after a reduction of the argument, without branches and
without calls, so that loops around them are vectorised. In float32 nothing is contracted: the bits are the same on every
machine with IEEE arithmetic. The generic ``exp`` and ``tanh`` give float64 to NumPy's functions.

* ``exp``: ``x = n ln 2 + r`` with ``|r| <= ln(2) / 2`` (ln 2 in two parts), a polynomial of degree 6 in ``r``, and two
  factors that make ``2^n``, so that overflow gives inf, and what is too small for normal numbers is rounded to
  denormal ones.
* ``tanh``: an odd polynomial below 0.625 in size, ``1 - 2 / (exp(2 |x|) + 1)`` with the sign of ``x`` above.

For float64 there are ``exp64`` (1 unit in the last place) and ``tanh64`` (2.5 units, ``e / (e + 2)`` with ``e = exp(2 |x|) -
1`` throughout), where fused multiply-add is admitted: about 1.5 ns each in a loop with 512-bit vectors.

NaN stays NaN. Twins are in :mod:`scinn.reference.elementary`.
"""

from __future__ import annotations

import numba
import numpy as np

from scinn.kernels._jit import jit

__all__ = [
    "exp",
    "exp64",
    "exp64_array",
    "exp_array",
    "growing_exp64",
    "tanh",
    "tanh64",
    "tanh64_array",
    "tanh_array",
]

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


# float64: the same reductions. The lowest bits of `shifted` hold n; the low part of ln 2 is what its high part, cut to
# 33 bits, leaves.
_D_LOG2_E = 1.4426950408889634
_D_LN2_HIGH, _D_LN2_LOW = float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33")
_D_ROUND = 6755399441055744.0
_D_LOWEST, _D_HIGHEST, _D_SATURATED = -746.0, 710.0, 22.0
_BITS_OF_ROUND, _BIAS, _MANTISSA = np.int64(0x4338000000000000), np.int64(1023), np.int64(52)
# (e^r - 1 - r) / r^2 for |r| <= ln(2) / 2, interpolated at the Chebyshev points.
_D2, _D3, _D4, _D5, _D6, _D7, _D8, _D9, _D10, _D11 = (
    0.5000000000000001, 0.16666666666666669, 0.04166666666662413, 0.008333333333330062, 0.0013888888917213717,
    0.00019841269863053618, 2.4801521295954376e-05, 2.7557268459997064e-06, 2.7620088445409746e-07,
    2.510038549551032e-08,
)  # fmt: skip


@jit
def _power_of_two64(n):
    """Return 2^n for an integer (int64) from -1022 to 1023, from its bits."""
    return np.int64((n + _BIAS) << _MANTISSA).view(np.float64)


@jit
def _reduced64(y):
    """Return n and e^r - 1, where y = n ln 2 + r and |r| <= ln(2) / 2."""
    shifted = np.float64(y * _D_LOG2_E + _D_ROUND)
    whole = shifted - _D_ROUND
    r = (y - whole * _D_LN2_HIGH) - whole * _D_LN2_LOW
    p = (((_D11 * r + _D10) * r + _D9) * r + _D8) * r + _D7
    p = (((((p * r + _D6) * r + _D5) * r + _D4) * r + _D3) * r + _D2) * (r * r) + r
    return np.int64(shifted.view(np.int64) - _BITS_OF_ROUND), p


@jit
def exp64(x):
    """Return exp(x) of a float64."""
    y = x if x > _D_LOWEST else _D_LOWEST
    y = y if y < _D_HIGHEST else _D_HIGHEST
    n, p = _reduced64(y)
    half = n >> np.int64(1)
    result = ((p + 1.0) * _power_of_two64(half)) * _power_of_two64(np.int64(n - half))
    return x if x != x else result


@jit
def growing_exp64(x):
    """Return exp(x) of a float64 from -708 to 709, with less work."""
    n, p = _reduced64(x)
    return (p + 1.0) * _power_of_two64(n)


@jit
def tanh64(x):
    """Return tanh(x) of a float64, as e / (e + 2) where e = exp(2 |x|) - 1."""
    size = abs(x)
    y = size if size < _D_SATURATED else _D_SATURATED
    n, p = _reduced64(y + y)
    power = _power_of_two64(n)
    # Both terms are exact up to the rounding of p, and never cancel.
    e = power * p + (power - 1.0)
    result = np.copysign(e / (e + 2.0), x)
    return x if x != x else result


@jit
def exp64_array(x, out):
    """Fill ``out`` with :func:`exp64` of ``x``; C-contiguous float64 arrays of one shape."""
    values, result = x.reshape(x.size), out.reshape(out.size)
    for i in range(values.size):
        result[i] = exp64(values[i])


@jit
def tanh64_array(x, out):
    """Fill ``out`` with :func:`tanh64` of ``x``; C-contiguous float64 arrays of one shape."""
    values, result = x.reshape(x.size), out.reshape(out.size)
    for i in range(values.size):
        result[i] = tanh64(values[i])
