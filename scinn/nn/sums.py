"""Sums over rows that do not lose digits: float32 blocks are added up in float64."""

from __future__ import annotations

import numpy as np

__all__ = ["column_sums"]

_BLOCK = 1024


def column_sums(x: np.ndarray) -> np.ndarray:
    """Return the float64 sums of ``x`` over all axes but the last.

    ``x.sum(axis=0)`` is a plain running sum in the array's dtype, 1e-4 off after 1e5 float32 rows; here
    blocks of fixed size are converted and added in float64, in an order that depends on the shape alone.

    Parameters
    ----------
    x : ndarray of float32 or float64, shape (..., n_features)

    Returns
    -------
    ndarray of float64, shape (n_features,)

    Examples
    --------
    >>> import numpy as np
    >>> float(column_sums(np.full((100_000, 1), 0.1, dtype=np.float32))[0]) - 100_000 * float(np.float32(0.1))
    0.0
    """
    rows = x.reshape(-1, x.shape[-1])
    total = np.zeros(rows.shape[1], dtype=np.float64)
    for start in range(0, rows.shape[0], _BLOCK):
        total += rows[start : start + _BLOCK].astype(np.float64).sum(axis=0)
    return total
