"""Layer normalisation by its definition, and its gradient by the chain rule."""

from __future__ import annotations

import numpy as np

__all__ = ["layer_norm", "layer_norm_gradient"]


def layer_norm(x: np.ndarray, scale: np.ndarray, shift: np.ndarray, eps: float) -> np.ndarray:
    """Normalise each row by its mean and biased variance, then scale and shift.

    Parameters
    ----------
    x : ndarray, shape (n, n_features)
    scale, shift : ndarray, shape (n_features,)
    eps : float

    Returns
    -------
    ndarray of float64, shape (n, n_features)

    Examples
    --------
    >>> import numpy as np
    >>> layer_norm(np.array([[1.0, 3.0]]), np.ones(2), np.zeros(2), 0.0).tolist()
    [[-1.0, 1.0]]
    """
    y = np.zeros(x.shape)
    for i, row in enumerate(x.astype(np.float64)):
        centered = row - row.mean()
        y[i] = scale * centered / np.sqrt((centered**2).mean() + eps) + shift
    return y


def layer_norm_gradient(
    x: np.ndarray, scale: np.ndarray, eps: float, dy: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the gradients of ``sum(y dy)`` by x, scale and shift.

    Each row's Jacobian is written out: ``dy_j / dx_k = scale_j / s (delta_jk - 1 / f - x_hat_j x_hat_k / f)``.

    Parameters
    ----------
    x : ndarray, shape (n, n_features)
    scale : ndarray, shape (n_features,)
    eps : float
    dy : ndarray, shape (n, n_features)

    Returns
    -------
    dx : ndarray of float64, shape (n, n_features)
    dscale, dshift : ndarray of float64, shape (n_features,)

    Examples
    --------
    >>> import numpy as np
    >>> dx, dscale, dshift = layer_norm_gradient(np.array([[1.0, 3.0]]), np.ones(2), 0.0, np.ones((1, 2)))
    >>> dx.tolist(), dscale.tolist(), dshift.tolist()
    ([[0.0, 0.0]], [-1.0, 1.0], [1.0, 1.0])
    """
    f = x.shape[1]
    dx, dscale = np.zeros(x.shape), np.zeros(f)
    for i, row in enumerate(x.astype(np.float64)):
        centered = row - row.mean()
        deviation = np.sqrt((centered**2).mean() + eps)
        x_hat = centered / deviation
        jacobian = (np.eye(f) - 1 / f - np.outer(x_hat, x_hat) / f) * (scale / deviation)[:, None]
        dx[i] = dy[i] @ jacobian
        dscale += dy[i] * x_hat
    return dx, dscale, dy.sum(axis=0, dtype=np.float64)
