"""Floating-point numbers as what they are, integers over a power of two: sums that are exact, lattices that sums live on.

Derived here. A float is ``k 2^e``; several floats have a common e, so that sums, signs and ties of ``<w, x> - theta`` can be
decided without rounding.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

__all__ = ["common_step", "dyadics", "sums_are_exact", "to_integers"]

_MANTISSA = 53
# Beyond this many steps a lattice tells nothing that a solver with tolerances of 1e-6 could see.
_MOST_STEPS = 1e5


def _mantissas(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return odd int64 mantissas and exponents of the values; zero has the mantissa 0 and a huge exponent."""
    fraction, exponent = np.frexp(values.astype(np.float64, copy=False))
    mantissa = np.ldexp(fraction, _MANTISSA).astype(np.int64)
    lowest = mantissa & -mantissa
    zeros = np.where(mantissa == 0, 0, np.round(np.log2(np.maximum(lowest, 1)))).astype(np.int64)
    power = exponent.astype(np.int64) - _MANTISSA + zeros
    return mantissa >> zeros, np.where(mantissa == 0, np.int64(1 << 40), power)


def to_integers(values: np.ndarray) -> tuple[np.ndarray, int]:
    """Return integers k and an exponent e with ``values = k 2^e`` exactly.

    Parameters
    ----------
    values : ndarray of float
        Finite; not validated.

    Returns
    -------
    (ndarray of object, int)
        Python integers in the shape of ``values``, the exponent as large as possible.

    Examples
    --------
    >>> import numpy as np
    >>> to_integers(np.array([0.5, -3.0, 0.0]))
    (array([1, -6, 0], dtype=object), -1)
    """
    integers, low = dyadics(values.ravel())
    result = np.empty(values.size, dtype=object)
    result[:] = integers
    return result.reshape(values.shape), low


def dyadics(values: np.ndarray) -> tuple[list[int], int]:
    """Return :func:`to_integers` of a vector, as a list.

    Parameters
    ----------
    values : ndarray of float, shape (n,)
        Finite; not validated.

    Returns
    -------
    (list of int, int)
        The integers; the exponent, 0 where there are no values but 0.

    Examples
    --------
    >>> import numpy as np
    >>> dyadics(np.array([0.5, -3.0, 0.0]))
    ([1, -6, 0], -1)
    """
    mantissa, power = _mantissas(values)
    used = mantissa != 0
    if not used.any():
        return [0] * len(values), 0
    low = int(power[used].min())
    shifts = np.where(used, power - low, 0).tolist()
    return [number << shift for number, shift in zip(mantissa.tolist(), shifts, strict=True)], low


def sums_are_exact(values: np.ndarray) -> np.ndarray:
    """Tell for each column whether sums of its entries with any signs, in any order, are free of rounding.

    They are where ``sum |v| <= 2^53 q`` for a power of two q that divides all entries: every partial sum is then a multiple
    of q that float64 holds. Weights that came from float32 mostly qualify.

    Parameters
    ----------
    values : ndarray of float, shape (n_terms, n_columns)

    Returns
    -------
    ndarray of bool, shape (n_columns,)

    Examples
    --------
    >>> import numpy as np
    >>> sums_are_exact(np.array([[0.5, 0.1], [3.0, 1e-9]])).tolist()
    [True, False]
    """
    _, power = _mantissas(values)
    low = power.min(axis=0, initial=1 << 40)
    total = np.abs(values.astype(np.float64, copy=False)).sum(axis=0)
    # Halved, since the total itself may have been rounded.
    return total <= np.ldexp(1.0, np.minimum(low + _MANTISSA - 1, 1020).astype(np.int32))


def common_step(values: np.ndarray) -> Fraction:
    """Return the largest number of which all values are whole multiples, or 0 where it is too small to matter.

    Parameters
    ----------
    values : ndarray of float, shape (n,)

    Returns
    -------
    Fraction
        0 where all values are 0 or the largest is more than 1e5 steps.

    Examples
    --------
    >>> import numpy as np
    >>> common_step(np.array([1.5, -2.5, 0.0]))
    Fraction(1, 2)
    >>> common_step(np.array([0.1, 0.3]))
    Fraction(0, 1)
    """
    integers, exponent = to_integers(values)
    step = math.gcd(*(int(k) for k in integers))
    if step == 0 or max(abs(int(k)) for k in integers) > _MOST_STEPS * step:
        return Fraction(0)
    return Fraction(step) * Fraction(2) ** exponent
