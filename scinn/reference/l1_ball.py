"""Projection onto balls of the l1 norm, by sorting."""

from __future__ import annotations

import numpy as np

__all__ = ["project_rows"]


def project_rows(points: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Return the nearest points whose l1 norm is at most ``radius``.

    Parameters
    ----------
    points : ndarray, shape (m, n)
    radius : ndarray, shape (m,)
        Non-negative; may hold infinity.

    Returns
    -------
    ndarray of float64, shape (m, n)

    References
    ----------
    J. Duchi, S. Shalev-Shwartz, Y. Singer, T. Chandra (2008), Efficient projections onto the l1-ball for learning in high
    dimensions, ICML, figure 1.

    Examples
    --------
    >>> import numpy as np
    >>> project_rows(np.array([[3.0, 1.0], [-0.5, 0.0]]), np.array([2.0, 2.0])).tolist()
    [[2.0, 0.0], [-0.5, 0.0]]
    """
    out = np.zeros(points.shape)
    for row, (point, r) in enumerate(zip(points.astype(np.float64), radius)):
        if np.abs(point).sum() <= r:
            out[row] = point
            continue
        if r == 0:
            continue
        ordered = np.sort(np.abs(point))[::-1]
        excess = np.cumsum(ordered) - r
        number = np.arange(1, len(point) + 1)
        last = np.flatnonzero(ordered * number > excess)[-1]
        theta = excess[last] / number[last]
        out[row] = np.sign(point) * np.maximum(np.abs(point) - theta, 0.0)
    return out
