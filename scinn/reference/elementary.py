"""Exponential function and hyperbolic tangent, number by number, from the C library in double precision."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["exp_array", "tanh_array"]


def exp_array(x: np.ndarray) -> np.ndarray:
    """Return exp(x), rounded once to the dtype of ``x``; inf where it is too large.

    Parameters
    ----------
    x : ndarray of float32 or float64

    Returns
    -------
    ndarray
        Same shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> exp_array(np.array([0.0, 1000.0])).tolist()
    [1.0, inf]
    """

    def one(value: float) -> float:
        return math.inf if value > 710 else math.exp(value)

    with np.errstate(over="ignore"):
        return np.array([one(float(value)) for value in x.ravel()]).astype(x.dtype).reshape(x.shape)


def tanh_array(x: np.ndarray) -> np.ndarray:
    """Return tanh(x), rounded once to the dtype of ``x``.

    Parameters
    ----------
    x : ndarray of float32 or float64

    Returns
    -------
    ndarray
        Same shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> tanh_array(np.array([0.0])).tolist()
    [0.0]
    """
    return np.array([math.tanh(float(value)) for value in x.ravel()]).astype(x.dtype).reshape(x.shape)
