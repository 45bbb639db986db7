"""Matrix products with a defined order of rounding, term by term; and products of rounded numbers with Python's integers."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

__all__ = ["integer_product", "ordered_product"]


def ordered_product(a: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Return ``a w``, each entry summed in the order of the inner index, each product and each sum rounded.

    Parameters
    ----------
    a : ndarray, shape (B, K)
        float32 or float64.
    w : ndarray, shape (K, N)
        The same dtype.

    Returns
    -------
    ndarray, shape (B, N)
        The same dtype.

    Examples
    --------
    >>> import numpy as np
    >>> ordered_product(np.array([[1e16, 1.0, -1e16]]), np.ones((3, 1))).tolist()
    [[0.0]]
    """
    out = np.zeros((a.shape[0], w.shape[1]), dtype=a.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        for b, j in np.ndindex(*out.shape):
            total = a.dtype.type(0)
            for k in range(w.shape[0]):
                product = a[b, k] * w[k, j]
                total = total + product
            out[b, j] = total
    return out


def integer_product(
    parts: list[tuple[np.ndarray, np.ndarray]], bias: np.ndarray, dtype: type[np.floating]
) -> np.ndarray:
    """Return the sum of products and a bias, all rounded to multiples of 2^-16, exact up to one rounding at the end.

    Parameters
    ----------
    parts : list of (ndarray of shape (B, K), ndarray of shape (K, N))
        Values and weights.
    bias : ndarray, shape (N,)
    dtype : type
        float32 or float64.

    Returns
    -------
    ndarray of the dtype, shape (B, N)

    Examples
    --------
    >>> import numpy as np
    >>> integer_product([(np.array([[1.5]]), np.array([[2.0]]))], np.array([0.25]), np.float64).tolist()
    [[3.25]]
    """

    def whole(value: Any) -> int:
        return round(Fraction(float(value)) * 2**16)

    n_rows, n_columns = parts[0][0].shape[0], len(bias)
    out = np.zeros((n_rows, n_columns), dtype=dtype)
    for b, j in np.ndindex(n_rows, n_columns):
        total = whole(bias[j]) * 2**16
        for values, weights in parts:
            total += sum(whole(values[b, k]) * whole(weights[k, j]) for k in range(weights.shape[0]))
        # An integer below 2^53: dividing it by a power of two is exact.
        out[b, j] = dtype(total / 2**32)
    return out
