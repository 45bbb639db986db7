"""Fourier series of a neuron on the cube, harmonic by harmonic, with complex products and the C library's cosine.

For x uniform on {-1,+1}^n, ``E exp(i t <w,x>) = prod_j cos(w_j t)`` and ``E x_i exp(i t <w,x>) = i sin(w_i t)
prod_{j != i} cos(w_j t)``. Frequencies are counted in half turns: ``w_j t = pi a_j k``.
"""

from __future__ import annotations

import math

import numpy as np

__all__ = ["harmonic_sums", "pair_products", "shifted_products"]


def _cos(half_turns: float) -> float:
    return math.cos(math.pi * math.remainder(half_turns, 2.0))


def _sin(half_turns: float) -> float:
    return math.sin(math.pi * math.remainder(half_turns, 2.0))


def harmonic_sums(
    weights: np.ndarray,
    threshold: float,
    period: float,
    first: float,
    step: float,
    sine: np.ndarray,
    cosine: np.ndarray,
    even: np.ndarray,
) -> np.ndarray:
    """Return the expectations of a trigonometric sum of the margin, alone and times each input.

    With ``t_r = pi (first + step r) / period``, ``f(s) = sum_r sine_r sin(t_r s) + cosine_r cos(t_r s)``, ``g(s) = sum_r
    even_r cos(t_r s)``, and the margin ``m(x) = <w,x> - theta``.

    Parameters
    ----------
    weights : ndarray of float64, shape (n,)
    threshold : float
    period : float
    first, step : float
    sine, cosine, even : ndarray of float64, shape (count,)
        Coefficients.

    Returns
    -------
    ndarray of float64, shape (n + 2,)
        ``E f(m)``, then ``E f(m) x_i`` for each i, then ``E g(m)``.

    Examples
    --------
    >>> import numpy as np
    >>> one, zero = np.ones(1), np.zeros(1)
    >>> harmonic_sums(np.array([1.5]), 0.0, 3.0, 1.0, 2.0, one, zero, zero).round(12).tolist()
    [0.0, 1.0, 0.0]
    """
    n = len(weights)
    out = np.zeros(n + 2)
    for r in range(len(sine)):
        k = (first + step * r) / period
        backward = complex(_cos(threshold * k), -_sin(threshold * k))
        full = backward * math.prod(_cos(w * k) for w in weights)
        out[0] += cosine[r] * full.real + sine[r] * full.imag
        out[n + 1] += even[r] * full.real
        for i in range(n):
            others = math.prod(_cos(weights[j] * k) for j in range(n) if j != i)
            value = backward * complex(0.0, _sin(weights[i] * k)) * others
            out[1 + i] += cosine[r] * value.real + sine[r] * value.imag
    return out


def shifted_products(
    weights: np.ndarray, threshold: float, period: float, first: float, step: float, count: int
) -> np.ndarray:
    """Return ``E cos(t (<w,x> - theta))`` at ``t = pi (first + step r) / period``.

    Parameters
    ----------
    weights : ndarray of float64, shape (n,)
    threshold : float
    period : float
    first, step : float
    count : int
        Number of harmonics.

    Returns
    -------
    ndarray of float64, shape (count,)

    Examples
    --------
    >>> import numpy as np
    >>> shifted_products(np.array([4.0, 2.0]), 0.0, 8.0, 0.0, 4.0, 3).round(12).tolist()
    [1.0, -1.0, 1.0]
    """
    frequencies = [(first + step * r) / period for r in range(count)]
    values = [_cos(threshold * k) * math.prod(_cos(w * k) for w in weights) for k in frequencies]
    return np.array(values)


def pair_products(
    weights: np.ndarray,
    period: float,
    others: np.ndarray,
    other_period: float,
    rows: np.ndarray,
    starts: np.ndarray,
    step: float,
    n_columns: int,
) -> np.ndarray:
    """Return ``E exp(i (t <w,x> + s <v,x>))`` at two lists of frequencies.

    ``t = pi rows[r] / period`` and ``s = pi (starts[r] + step c) / other_period``.

    Parameters
    ----------
    weights, others : ndarray of float64, shape (n,)
        w and v.
    period, other_period : float
    rows, starts : ndarray of float64, shape (n_rows,)
    step : float
    n_columns : int

    Returns
    -------
    ndarray of float64, shape (n_rows, n_columns)

    Examples
    --------
    >>> import numpy as np
    >>> one = np.array([1.0])
    >>> pair_products(one, 2.0, one, 2.0, np.array([1.0]), np.array([1.0]), 2.0, 2).round(12).tolist()
    [[-1.0, 1.0]]
    """
    out = np.empty((len(rows), n_columns))
    for r in range(len(rows)):
        for c in range(n_columns):
            k, m = rows[r] / period, (starts[r] + step * c) / other_period
            out[r, c] = math.prod(_cos(w * k + v * m) for w, v in zip(weights, others, strict=True))
    return out
