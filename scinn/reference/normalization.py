"""Batch normalisation with a rectifier behind it, by its definition, and its gradient by the chain rule."""

from __future__ import annotations

import numpy as np

__all__ = ["batch_norm_gradient", "batch_norm_relu"]


def batch_norm_relu(
    x: np.ndarray, scale: np.ndarray, shift: np.ndarray, eps: float, *, rectify: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normalise each column by its mean and biased variance, scale, shift, and cut below zero.

    Parameters
    ----------
    x : ndarray, shape (n, n_channels)
    scale, shift : ndarray, shape (n_channels,)
    eps : float
    rectify : bool, default True

    Returns
    -------
    y : ndarray of float64, shape (n, n_channels)
    mean, variance : ndarray of float64, shape (n_channels,)

    Examples
    --------
    >>> import numpy as np
    >>> batch_norm_relu(np.array([[1.0], [3.0]]), np.ones(1), np.zeros(1), 0.0)[0].tolist()
    [[0.0], [1.0]]
    """
    wide = x.astype(np.float64)
    mean = wide.mean(axis=0)
    variance = ((wide - mean) ** 2).mean(axis=0)
    y = scale * (wide - mean) / np.sqrt(variance + eps) + shift
    return (np.maximum(y, 0.0) if rectify else y), mean, variance


def batch_norm_gradient(
    x: np.ndarray, scale: np.ndarray, shift: np.ndarray, eps: float, dy: np.ndarray, *, rectify: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the gradients of ``sum(y dy)`` by x, scale and shift, the statistics being functions of x.

    Parameters
    ----------
    x : ndarray, shape (n, n_channels)
    scale, shift : ndarray, shape (n_channels,)
    eps : float
    dy : ndarray, shape (n, n_channels)
    rectify : bool, default True

    Returns
    -------
    dx : ndarray of float64, shape (n, n_channels)
    dscale, dshift : ndarray of float64, shape (n_channels,)

    Examples
    --------
    >>> import numpy as np
    >>> dx, dscale, dshift = batch_norm_gradient(np.array([[1.0], [3.0]]), np.ones(1), np.zeros(1), 0.0, np.ones((2, 1)))
    >>> dscale.tolist(), dshift.tolist()
    ([1.0], [1.0])
    """
    y, mean, variance = batch_norm_relu(x, scale, shift, eps, rectify=False)
    deviation = np.sqrt(variance + eps)
    x_hat = (x.astype(np.float64) - mean) / deviation
    d = dy * (y > 0) if rectify else dy.astype(np.float64)
    d_hat = d * scale
    dx = (d_hat - d_hat.mean(axis=0) - x_hat * (d_hat * x_hat).mean(axis=0)) / deviation
    return dx, (d * x_hat).sum(axis=0), d.sum(axis=0)
