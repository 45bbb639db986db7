"""Shrinkage of framelet coefficients: threshold functions, and the rules that choose the thresholds.

Notation: c_k are the coefficients of band k, N the number of nodes, sigma a noise level or a hyper-parameter.
Three families of thresholds are offered. The paper's layers use ``sigma sqrt(2 ln N) / sqrt(N)``
(:func:`universal_threshold`), the same for all detail bands in the authors' released code and scaled by band energy
(:func:`energy_scales`) as the text intends. For denoising without learning there are the classical rules: Donoho and
Johnstone's universal threshold ``sigma sqrt(2 ln N)`` with a noise level from the finest band
(:func:`estimate_noise`), and :func:`sure_threshold`, which minimises an unbiased estimate of the risk.

References
----------
X. Zheng et al. (2021), How framelets enhance graph neural networks, ICML; D. L. Donoho and I. M. Johnstone (1994),
Ideal spatial adaptation by wavelet shrinkage, Biometrika 81; the same (1995), Adapting to unknown smoothness via
wavelet shrinkage, JASA 90.
"""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np

from scinn._input import as_csr, as_float_array, check_choice, check_in_range, check_positive_int
from scinn.nn.layer import is_sparse

__all__ = [
    "energy_scales",
    "estimate_noise",
    "hard_threshold",
    "nonzero_share",
    "shrink_bands",
    "soft_threshold",
    "sure_threshold",
    "universal_threshold",
]

# Median of |z| for a standard normal z: the factor between a median absolute value and a standard deviation.
_NORMAL_MAD = 0.6744897501960817


def soft_threshold(x: Any, threshold: float) -> np.ndarray:
    """Shrink towards zero: ``sign(x) max(|x| - t, 0)``.

    Parameters
    ----------
    x : array_like of float
        Any shape.
    threshold : float
        ``t >= 0``; infinity gives zeros.

    Returns
    -------
    ndarray
        Shape and dtype of ``x``.

    Raises
    ------
    ValueError
        For a negative or NaN threshold.

    Examples
    --------
    >>> soft_threshold([-3.0, 0.5, 2.0], 1.0).tolist()
    [-2.0, 0.0, 1.0]
    """
    x, t = _checked(x, threshold)
    return x - np.clip(x, -t, t)


def hard_threshold(x: Any, threshold: float) -> np.ndarray:
    """Keep what exceeds the threshold: ``x [|x| > t]``, strictly.

    Parameters
    ----------
    x : array_like of float
        Any shape.
    threshold : float
        ``t >= 0``.

    Returns
    -------
    ndarray
        Shape and dtype of ``x``.

    Raises
    ------
    ValueError
        For a negative or NaN threshold.

    Examples
    --------
    >>> hard_threshold([-3.0, 0.5, 1.0, 2.0], 1.0).tolist()
    [-3.0, 0.0, 0.0, 2.0]
    """
    x, t = _checked(x, threshold)
    return np.where(np.abs(x) > t, x, x.dtype.type(0))


def _checked(x: Any, threshold: float) -> tuple[np.ndarray, Any]:
    x = as_float_array(x, "x")
    if isinstance(threshold, np.ndarray) and threshold.ndim == 0:
        threshold = threshold.item()
    if not isinstance(threshold, Real):
        hint = (
            "; for one threshold a band use shrink_bands"
            if isinstance(threshold, np.ndarray | list | tuple)
            else ""
        )
        raise TypeError(f"threshold must be one number >= 0, got {threshold!r}{hint}")
    if not threshold >= 0:
        raise ValueError(f"threshold must be a number >= 0, got {threshold!r}")
    # Beyond the range of float32 it is infinite, which shrinks as much.
    with np.errstate(over="ignore"):
        return x, x.dtype.type(threshold)


def universal_threshold(n: int, sigma: float = 1.0, *, normalized: bool = True) -> float:
    """Return the universal threshold for ``n`` numbers.

    Parameters
    ----------
    n : int
        How many numbers share the threshold; for a graph its nodes.
    sigma : float, default 1.0
        Noise level, or the paper's hyper-parameter; at least 0.
    normalized : bool, default True
        True: ``sigma sqrt(2 ln n) / sqrt(n)``, what the framelet paper's layers use. False: Donoho and Johnstone's
        ``sigma sqrt(2 ln n)``, below which all of ``n`` pure noises of standard deviation ``sigma`` stay with high
        probability.

    Returns
    -------
    float

    References
    ----------
    X. Zheng et al. (2021), section on shrinkage; Donoho and Johnstone (1994), section 3.1.

    Examples
    --------
    >>> round(universal_threshold(2708), 4)
    0.0764
    """
    n = check_positive_int(n, "n")
    sigma = check_in_range(sigma, "sigma", 0.0)
    value = sigma * math.sqrt(2.0 * math.log(n))
    return value / math.sqrt(n) if normalized else value


def estimate_noise(coefficients: Any) -> float:
    """Estimate the standard deviation of Gaussian noise robustly: median of ``|c|`` over 0.6745.

    Parameters
    ----------
    coefficients : array_like of float
        Coefficients of the finest band, in which most entries are noise; any shape, not empty.

    Returns
    -------
    float

    References
    ----------
    Donoho and Johnstone (1994), section 4.2.

    Examples
    --------
    >>> import numpy as np
    >>> noise = np.random.default_rng(0).normal(scale=2.0, size=100_000)
    >>> bool(abs(estimate_noise(noise) - 2.0) < 0.05)
    True
    """
    c = as_float_array(coefficients, "coefficients")
    if c.size == 0:
        raise ValueError("coefficients is empty; a noise level needs at least one coefficient")
    return float(np.median(np.abs(c)) / _NORMAL_MAD)


def sure_threshold(x: Any, sigma: float = 1.0) -> float:
    """Return the soft threshold with the least estimated risk (Stein's unbiased risk estimate, SURE).

    Over the candidates ``t = |x_(k)|``, sorted upwards, and ``t = 0``, the risk of soft thresholding for unit noise
    is estimated by ``(n - 2 k + sum_{j <= k} x_(j)^2 + (n - k) x_(k)^2) / n``.

    Parameters
    ----------
    x : array_like of float
        Noisy coefficients; any shape.
    sigma : float, default 1.0
        Standard deviation of their noise; 0 gives the threshold 0.

    Returns
    -------
    float
        Never above the universal threshold ``sigma sqrt(2 ln n)``, beyond which noise gains nothing.

    References
    ----------
    Donoho and Johnstone (1995), section 2.3.

    Examples
    --------
    >>> sure_threshold([0.1, -0.2, 0.1, 9.0], sigma=0.2) < 0.5
    True
    """
    x = as_float_array(x, "x")
    sigma = check_in_range(sigma, "sigma", 0.0)
    n = x.size
    if n == 0 or sigma == 0:
        return 0.0
    largest = float(np.max(np.abs(x)))
    if max(largest, sigma) < 1e140 and sigma > 1e-140 and largest / sigma < 1e140:
        squares = np.sort(np.square(x, dtype=np.float64).ravel() / sigma**2)
    else:
        # The squares of x or sigma leave float64, not those of their ratio, or else it is far above any threshold.
        with np.errstate(over="ignore"):
            ratios = np.abs(x.ravel(), dtype=np.float64) / sigma
        squares = np.sort(np.minimum(ratios, 1e140) ** 2)
    k = np.arange(1, n + 1)
    risk = (n - 2 * k + np.cumsum(squares) + (n - k) * squares) / n
    best = int(np.argmin(risk))
    # t = 0 keeps everything and has risk exactly 1 for unit noise.
    chosen = math.sqrt(squares[best]) if risk[best] < 1.0 else 0.0
    return sigma * min(chosen, math.sqrt(2.0 * math.log(n)))


def energy_scales(coefficients: Any) -> np.ndarray:
    """Return each detail band's energy over the first detail band's: the paper's intended threshold scales.

    Parameters
    ----------
    coefficients : array_like of float, shape (n_bands, n_nodes) or (n_bands, n_nodes, n_features)
        Low-pass band first.

    Returns
    -------
    ndarray of float64, shape (n_bands,)
        Entry 0 (low-pass) is 0, entry 1 is 1. If the first detail band is all zero, every detail band gets 1. Energies
        may leave float64, only their ratios need not: a ratio above its range is infinite.

    Raises
    ------
    TypeError
        For what is not an array of real numbers.
    ValueError
        For NaN, infinity or no bands.

    Examples
    --------
    >>> import numpy as np
    >>> energy_scales(np.array([[5.0], [1.0], [2.0]])).tolist()
    [0.0, 1.0, 4.0]
    """
    c = as_float_array(coefficients, "coefficients", dtype=np.float64)
    if c.ndim == 0 or len(c) == 0:
        raise ValueError(
            f"coefficients has shape {c.shape}; (n_bands, n_nodes) or (n_bands, n_nodes, n_features) is wanted, "
            "with at least the low-pass band"
        )
    if isinstance(coefficients, np.ndarray) and coefficients.dtype == np.float64:
        # Not the contiguous copy: the order in which BLAS sums depends on the layout.
        c = coefficients
    scales = np.ones(len(c))
    scales[0] = 0.0
    if len(c) == 1:
        return scales
    detail = c[1:].reshape(len(c) - 1, math.prod(c.shape[1:]))
    largest = np.max(np.abs(detail), axis=1, initial=0.0)
    # Each band divided by a power of two, where the squares would overflow or vanish.
    exponents = np.zeros(len(detail), dtype=np.int64)
    extreme = (largest > 1e140) | ((largest < 1e-140) & (largest > 0))
    exponents[extreme] = np.frexp(largest[extreme])[1]
    if extreme.any():
        detail = np.ldexp(detail, -exponents[:, None])
    energy = np.array([float(np.vdot(band, band)) for band in detail])
    if energy[0] > 0:
        with np.errstate(over="ignore", under="ignore"):
            scales[1:] = np.ldexp(energy / energy[0], 2 * (exponents - exponents[0]))
    return scales


def shrink_bands(coefficients: Any, thresholds: Any, *, shrinkage: str = "soft") -> np.ndarray:
    """Shrink stacked bands, leaving the low-pass band (index 0) untouched.

    Parameters
    ----------
    coefficients : array_like, shape (n_bands, n_nodes) or (n_bands, n_nodes, n_features)
        As returned by ``FrameletTransform.analyze``.
    thresholds : float or array_like
        One number for all detail bands, or an array that broadcasts against ``coefficients[1:]`` after axes of
        length 1 have been added at its end: one per detail band, or one per detail band and node.
    shrinkage : {"soft", "hard"}
        Which function.

    Returns
    -------
    ndarray
        Shape and dtype of ``coefficients``.

    Examples
    --------
    >>> shrink_bands([[0.5, 0.5], [0.5, 3.0]], 1.0).tolist()
    [[0.5, 0.5], [0.0, 2.0]]
    """
    c = as_float_array(coefficients, "coefficients")
    check_choice(shrinkage, "shrinkage", ("soft", "hard"))
    t = np.asarray(thresholds, dtype=c.dtype)
    if t.ndim > c.ndim or (t.ndim and t.shape[0] != len(c) - 1):
        raise ValueError(
            f"thresholds must be one number or have one row per detail band ({len(c) - 1}), got shape {t.shape}"
        )
    if not np.all(t >= 0):
        raise ValueError("thresholds must be >= 0 and not NaN")
    t = t.reshape(t.shape + (1,) * (c.ndim - t.ndim)) if t.ndim else t
    detail = c[1:]
    out = c.copy()
    if shrinkage == "soft":
        out[1:] = detail - np.clip(detail, -t, t)
    else:
        out[1:] = np.where(np.abs(detail) > t, detail, c.dtype.type(0))
    return out


def nonzero_share(coefficients: Any) -> float:
    """Return the share of coefficients that are not zero: the paper's measure of compression.

    Parameters
    ----------
    coefficients : array_like or sparse array
        Any shape; empty counts as 0. NaN counts as not zero, but is refused in a sparse array.

    Returns
    -------
    float
        In [0, 1].

    Examples
    --------
    >>> nonzero_share([[1.0, 0.0], [0.0, 0.0]])
    0.25
    """
    if is_sparse(coefficients):
        matrix = as_csr(coefficients, "coefficients")
        return float(matrix.nnz / math.prod(matrix.shape)) if math.prod(matrix.shape) else 0.0
    c = as_float_array(coefficients, "coefficients", allow_nan=True)
    return float(np.count_nonzero(c) / c.size) if c.size else 0.0
