"""Products of rows of two matrices at the places of a sparse one, by their definition."""

from __future__ import annotations

import numpy as np

__all__ = ["sddmm"]


def sddmm(indices: np.ndarray, indptr: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return ``sum_f a[i, f] b[j, f]`` for each stored entry (i, j) of a CSR pattern.

    Parameters
    ----------
    indices, indptr : ndarray
        The pattern, of shape (m, n).
    a : ndarray, shape (m, f)
    b : ndarray, shape (n, f)

    Returns
    -------
    ndarray of float64, shape (nnz,)

    Examples
    --------
    >>> import numpy as np
    >>> sddmm(np.array([0]), np.array([0, 1]), np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]])).tolist()
    [11.0]
    """
    out = np.zeros(len(indices))
    for i in range(len(indptr) - 1):
        for p in range(indptr[i], indptr[i + 1]):
            out[p] = sum(float(x) * float(y) for x, y in zip(a[i], b[indices[p]]))
    return out
