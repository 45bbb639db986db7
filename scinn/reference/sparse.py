"""Products of CSR matrices with dense arrays, by their definition."""

from __future__ import annotations

import numpy as np

__all__ = ["csr_matmat"]


def csr_matmat(data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return A @ x, one stored entry after the other.

    Parameters
    ----------
    data, indices, indptr : ndarray
        A CSR matrix A of shape (m, n).
    x : ndarray, shape (n, f)

    Returns
    -------
    ndarray, shape (m, f)
        In the dtype of ``x``.

    Examples
    --------
    >>> import numpy as np
    >>> csr_matmat(np.array([2.0]), np.array([1]), np.array([0, 1, 1]), np.array([[1.0], [3.0]])).tolist()
    [[6.0], [0.0]]
    """
    out = np.zeros((len(indptr) - 1, x.shape[1]), dtype=x.dtype)
    for i in range(len(indptr) - 1):
        for p in range(indptr[i], indptr[i + 1]):
            out[i] = out[i] + data[p] * x[indices[p]]
    return out
