r"""Chebyshev series on [0, pi] and the polynomials of a multi-level framelet transform.

A function on [0, pi] is written, with ``a = pi / 2``, as

.. math:: f(x) \approx c_0 / 2 + \sum_{k=1}^{n-1} c_k T_k(x / a - 1), \qquad
          c_k = \frac{2}{\pi} \int_0^\pi \cos(k t)\, f(a (1 + \cos t))\, dt .

The first coefficient is halved when the series is used, not when it is computed; ``n`` counts coefficients, so the
degree is ``n - 1``. This is the convention of the framelet paper's code; PyGSP's differs by nothing but the interval.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence

import numpy as np

__all__ = [
    "coefficients_by_quadrature",
    "coefficients_of_exponentials",
    "composite_coefficients",
    "evaluate_series",
    "framelet_responses",
    "level_scales",
    "significant_length",
    "tightness_by_length",
]

Function = Callable[[np.ndarray], np.ndarray]

_GAUSS_NODES = 2048


def coefficients_by_quadrature(function: Function, n: int, breakpoints: Sequence[float] = ()) -> np.ndarray:
    """Return the first n Chebyshev coefficients of a function on [0, pi], by quadrature.

    Parameters
    ----------
    function : callable
        Takes an array of points of [0, pi], returns an array of the same shape.
    n : int
        Number of coefficients.
    breakpoints : sequence of float
        Points inside (0, pi) where the function jumps or has a kink. The integral is then taken piece by piece.

    Returns
    -------
    ndarray of float64, shape (n,)
        With the first one not halved.
    """
    if len(breakpoints) == 0:
        count = max(_GAUSS_NODES, 4 * n)
        angles = (np.arange(count) + 0.5) * (np.pi / count)
        weights = np.full(count, 2.0 / count)
    else:
        # In the angle, cos t = x / a - 1 falls from 1 to -1.
        cuts = [0.0, *sorted(float(np.arccos(2 * b / np.pi - 1)) for b in breakpoints), np.pi]
        nodes, rule = _gauss_legendre(256 * (2 + n // 256))
        halves = [(low, (high - low) / 2) for low, high in itertools.pairwise(cuts)]
        angles = np.concatenate([low + half * (nodes + 1) for low, half in halves])
        weights = np.concatenate([rule * (half * 2.0 / np.pi) for _, half in halves])
    values = np.asarray(function((np.pi / 2) * (1 + np.cos(angles))), dtype=np.float64) * weights
    return np.array([float(np.sum(np.cos(k * angles) * values)) for k in range(n)])


@functools.cache
def _gauss_legendre(count: int) -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(count)


def coefficients_of_exponentials(frequencies: np.ndarray, amplitudes: np.ndarray, n: int) -> np.ndarray:
    r"""Return the first n Chebyshev coefficients of a trigonometric sum, in closed form.

    For :math:`f(x) = \mathrm{Re} \sum_j a_j e^{i p_j x}` and :math:`\beta_j = p_j \pi / 2`,
    :math:`c_k = 2\, \mathrm{Re} \sum_j a_j i^k e^{i \beta_j} J_k(\beta_j)`, with Bessel functions of the first kind.

    Parameters
    ----------
    frequencies : ndarray of float64, shape (m,)
        The :math:`p_j`.
    amplitudes : ndarray of complex128, shape (m,)
        The :math:`a_j`.
    n : int
        Number of coefficients.

    Returns
    -------
    ndarray of float64, shape (n,)
        With the first one not halved.

    Examples
    --------
    >>> coefficients_of_exponentials(np.array([0.5]), np.array([1.0 + 0j]), 3).round(4).tolist()
    [1.2044, -0.5136, -0.1035]
    """
    from scipy.special import jv

    beta = np.asarray(frequencies, dtype=np.float64) * (np.pi / 2)
    order = np.arange(n)[:, None]
    turns = np.array([1, 1j, -1, -1j])[order % 4]
    return 2.0 * np.real(np.sum(turns * amplitudes * np.exp(1j * beta) * jv(order, beta), axis=1))


def evaluate_series(coefficients: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Evaluate Chebyshev series on [0, pi] by Clenshaw's rule.

    Parameters
    ----------
    coefficients : ndarray, shape (..., n)
        The first one of each series not halved.
    x : ndarray, any shape
        Points of [0, pi].

    Returns
    -------
    ndarray of float64, shape (..., *x.shape)
    """
    t = np.asarray(x, dtype=np.float64) * (2 / np.pi) - 1
    lead = coefficients.shape[:-1] + (1,) * t.ndim
    b1 = np.zeros(coefficients.shape[:-1] + t.shape)
    b2 = np.zeros_like(b1)
    for k in range(coefficients.shape[-1] - 1, 0, -1):
        b1, b2 = coefficients[..., k].reshape(lead) + 2 * t * b1 - b2, b1
    return coefficients[..., 0].reshape(lead) / 2 + t * b1 - b2


def level_scales(levels: int, dilation: float, arrangement: str) -> np.ndarray:
    """Return the factor of the argument at levels 1..levels.

    Parameters
    ----------
    levels : int
        Number of levels.
    dilation : float
        Larger than 1.
    arrangement : {"up", "down"}
        "up": ``dilation ** (l - levels)``, the last level sees the whole spectrum; "down": ``dilation ** (1 - l)``,
        the first one does.

    Returns
    -------
    ndarray of float64, shape (levels,)
    """
    steps = np.arange(1, levels + 1)
    return dilation ** (steps - float(levels)) if arrangement == "up" else dilation ** (1.0 - steps)


def framelet_responses(filters: Function, scales: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the responses g of all bands of the cascade at points of [0, pi].

    Parameters
    ----------
    filters : callable
        Takes points (any shape), returns the filters of one level, shape (R, *shape).
    scales : ndarray, shape (levels,)
        As :func:`level_scales` returns them.
    x : ndarray, any shape
        Scaled frequencies ``pi * lambda / lambda_max``.

    Returns
    -------
    ndarray of float64, shape ((R - 1) * levels + 1, *x.shape)
        The low-pass of the last level, then filter by filter its levels 1..levels.
    """
    x = np.asarray(x, dtype=np.float64)
    low = np.ones(x.shape)
    details = []
    for scale in scales:
        values = filters(scale * x)
        details.append(values[1:] * low)
        low = values[0] * low
    # (R - 1, levels, ...): within a filter its levels follow each other.
    stacked = np.stack(details, axis=1)
    return np.concatenate([low[None], stacked.reshape((-1, *x.shape))])


def composite_coefficients(coefficients: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Return the cascade of Chebyshev filters as one series a band, on the common argument.

    Every band of the cascade is a polynomial of degree ``levels * (n - 1)`` at most; interpolation in as many nodes
    plus one gives its coefficients exactly, up to rounding.

    Parameters
    ----------
    coefficients : ndarray, shape (R, n)
        Series of the filters of one level.
    scales : ndarray, shape (levels,)
        As :func:`level_scales` returns them.

    Returns
    -------
    ndarray of float64, shape ((R - 1) * levels + 1, levels * (n - 1) + 1)
        With the first ones not halved.
    """
    from scipy.fft import dct

    count = len(scales) * (coefficients.shape[1] - 1) + 1
    angles = (np.arange(count) + 0.5) * (np.pi / count)
    points = (np.pi / 2) * (1 + np.cos(angles))
    values = framelet_responses(lambda z: evaluate_series(coefficients, z), scales, points)
    return np.ascontiguousarray(dct(values, type=2, axis=1) / count)


def significant_length(coefficients: np.ndarray, tolerance: float) -> int:
    """Return how many leading coefficients are needed for every dropped tail to sum to at most a tolerance.

    Parameters
    ----------
    coefficients : ndarray, shape (S, n)
        Series, one a row.
    tolerance : float
        Bound on the sum of absolute values of what is dropped from a row, thus on the change of its values.

    Returns
    -------
    int
        At least 1.
    """
    tails = np.cumsum(np.abs(coefficients[:, ::-1]), axis=1)[:, ::-1].max(axis=0)
    return max(1, int(np.sum(tails > tolerance)))


def tightness_by_length(coefficients: np.ndarray, scales: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the range of ``sum_S g^2`` over points, for every number of coefficients 1..n.

    Parameters
    ----------
    coefficients : ndarray, shape (R, n)
        Series of the filters; shorter ones are their beginnings.
    scales : ndarray, shape (levels,)
        As :func:`level_scales` returns them.
    x : ndarray, shape (m,)
        Points of [0, pi].

    Returns
    -------
    ndarray of float64, shape (n, 2)
        Smallest and largest value.
    """
    t = scales[:, None] * np.asarray(x, dtype=np.float64)[None, :] * (2 / np.pi) - 1
    before, now = np.zeros_like(t), np.ones_like(t)
    filters = np.zeros((coefficients.shape[0], *t.shape))
    bounds = np.empty((coefficients.shape[1], 2))
    for k in range(coefficients.shape[1]):
        filters += coefficients[:, k, None, None] * (now if k else now / 2)
        energy = np.ones(t.shape[1])
        for level in range(len(scales) - 1, -1, -1):
            # Horner's scheme from the last level inwards: what level l gives is its high-passes + its low-pass
            # times all that follows.
            energy = filters[0, level] ** 2 * energy + np.sum(filters[1:, level] ** 2, axis=0)
        bounds[k] = energy.min(), energy.max()
        before, now = now, (t if k == 0 else 2 * t * now - before)
    return bounds
