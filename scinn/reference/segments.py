"""Sums and softmaxes over segments, by their definition."""

from __future__ import annotations

import numpy as np

__all__ = ["segment_softmax", "segment_softmax_backward", "segment_sum"]


def segment_sum(values: np.ndarray, indptr: np.ndarray) -> np.ndarray:
    """Return the sum of every segment ``values[indptr[s]:indptr[s + 1]]``.

    Parameters
    ----------
    values : ndarray, shape (n,) or (n, f)
    indptr : ndarray of int, shape (n_segments + 1,)

    Returns
    -------
    ndarray, shape (n_segments,) or (n_segments, f)

    Examples
    --------
    >>> import numpy as np
    >>> segment_sum(np.array([1.0, 2.0, 4.0]), np.array([0, 2, 2, 3])).tolist()
    [3.0, 0.0, 4.0]
    """
    out = np.zeros((len(indptr) - 1, *values.shape[1:]), dtype=values.dtype)
    for s in range(len(indptr) - 1):
        out[s] = values[indptr[s] : indptr[s + 1]].astype(np.float64).sum(axis=0)
    return out


def segment_softmax(values: np.ndarray, indptr: np.ndarray) -> np.ndarray:
    """Return the softmax of every segment, column by column.

    Parameters
    ----------
    values : ndarray, shape (n,) or (n, f)
    indptr : ndarray of int, shape (n_segments + 1,)

    Returns
    -------
    ndarray, shape of ``values``

    Examples
    --------
    >>> import numpy as np
    >>> segment_softmax(np.array([1.0, 1.0, 4.0]), np.array([0, 2, 2, 3])).tolist()
    [0.5, 0.5, 1.0]
    """
    out = np.empty_like(values)
    for s in range(len(indptr) - 1):
        part = values[indptr[s] : indptr[s + 1]].astype(np.float64)
        if len(part):
            powers = np.exp(part - part.max(axis=0))
            out[indptr[s] : indptr[s + 1]] = powers / powers.sum(axis=0)
    return out


def segment_softmax_backward(y: np.ndarray, dy: np.ndarray, indptr: np.ndarray) -> np.ndarray:
    """Return the gradient by the values of a segment softmax, through each segment's Jacobian diag(y) - y y^T.

    Parameters
    ----------
    y : ndarray, shape (n,) or (n, f)
        The softmax.
    dy : ndarray, shape of ``y``
    indptr : ndarray of int, shape (n_segments + 1,)

    Returns
    -------
    ndarray, shape of ``y``

    Examples
    --------
    >>> import numpy as np
    >>> segment_softmax_backward(np.array([0.5, 0.5]), np.array([1.0, 0.0]), np.array([0, 2])).tolist()
    [0.25, -0.25]
    """
    out = np.empty_like(y)
    for s in range(len(indptr) - 1):
        rows = slice(indptr[s], indptr[s + 1])
        if indptr[s] == indptr[s + 1] or y[rows].size == 0:
            continue
        part = y[rows].reshape(indptr[s + 1] - indptr[s], -1).astype(np.float64)
        slope = dy[rows].reshape(part.shape).astype(np.float64)
        result = np.empty_like(part)
        for j in range(part.shape[1]):
            jacobian = np.diag(part[:, j]) - np.outer(part[:, j], part[:, j])
            result[:, j] = jacobian @ slope[:, j]
        out[rows] = result.reshape(y[rows].shape)
    return out
