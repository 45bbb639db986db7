"""How far a sample is from what was expected, in units of a normal variable's standard deviation.

A property that tries a true statement on random draws fails with probability :data:`ALPHA` per case, so that thousands of
cases may be run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["ALPHA", "batch_score", "law_score", "limit", "mean_score", "score_of"]

#: Probability of failing a true statement, for one case.
ALPHA = 1e-6


def score_of(p_value: float) -> float:
    """Return the absolute normal quantile whose two tails have the probability `p_value`.

    Examples
    --------
    >>> round(score_of(0.05), 2)
    1.96
    """
    from scipy.stats import norm

    return float(norm.isf(max(float(p_value), 1e-300) / 2.0))


def limit(n_tests: int = 1, alpha: float = ALPHA) -> float:
    """Return the score that the largest of some tests exceeds with a probability of at most `alpha`."""
    return score_of(alpha / max(1, n_tests))


def law_score(values: np.ndarray, cdf: Callable[..., Any]) -> float:
    """Return the score of independent draws against a distribution function, by Kolmogorov and Smirnov.

    Parameters
    ----------
    values : ndarray, shape (n,)
    cdf : callable

    Returns
    -------
    float
        Infinite where a value is NaN.
    """
    from scipy.stats import kstest

    if np.isnan(values).any():
        return np.inf
    return score_of(float(kstest(values, cdf).pvalue))


def mean_score(values: np.ndarray, expected: float = 0.0) -> float:
    """Return the score of the mean of independent bounded draws.

    Parameters
    ----------
    values : ndarray, shape (n,)
    expected : float

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> mean_score(np.array([1.0, 1.0]), 1.0)
    0.0
    """
    gap = abs(float(np.mean(values)) - expected)
    error = float(np.std(values, ddof=1)) / np.sqrt(len(values))
    if not np.isfinite(gap):
        return np.inf
    if error == 0.0:
        return 0.0 if gap <= 1e-12 * max(1.0, abs(expected)) else np.inf
    return gap / error


def batch_score(chain: np.ndarray, expected: float = 0.0, n_batches: int = 50) -> float:
    """Return the score of the mean of a stationary chain, whose error is that of the means of long batches.

    Parameters
    ----------
    chain : ndarray, shape (n,)
    expected : float
    n_batches : int

    Returns
    -------
    float
        A t-statistic, turned into the normal score of the same probability.
    """
    from scipy.stats import t

    length = len(chain) // n_batches
    means = np.asarray(chain[: length * n_batches], dtype=np.float64).reshape(n_batches, length).mean(axis=1)
    error = float(np.std(means, ddof=1)) / np.sqrt(n_batches)
    gap = abs(float(means.mean()) - expected)
    if error == 0.0:
        return 0.0 if gap <= 1e-12 * max(1.0, abs(expected)) else np.inf
    return score_of(2.0 * float(t.sf(gap / error, n_batches - 1)))
