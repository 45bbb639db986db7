"""Depthwise convolution by its definition: one channel after the other."""

from __future__ import annotations

import numpy as np

from scinn.reference import convolution

__all__ = ["depthwise", "depthwise_input_gradient", "depthwise_weight_gradient"]


def depthwise(
    x: np.ndarray,
    weight: np.ndarray,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
) -> np.ndarray:
    """Return the convolution of each channel with a kernel of its own.

    Parameters
    ----------
    x : ndarray, shape (n, height, width, n_channels)
    weight : ndarray, shape (kernel_height, kernel_width, 1, n_channels)
    stride, padding, dilation : tuple of int

    Returns
    -------
    ndarray of float64, shape (n, out_height, out_width, n_channels)

    Examples
    --------
    >>> import numpy as np
    >>> depthwise(np.ones((1, 1, 1, 2)), np.array([2.0, 3.0]).reshape(1, 1, 1, 2)).ravel().tolist()
    [2.0, 3.0]
    """
    channels = [
        convolution.convolve(x[..., c : c + 1], weight[..., c : c + 1], stride, padding, dilation)
        for c in range(x.shape[3])
    ]
    return np.concatenate(channels, axis=3)


def depthwise_input_gradient(
    dy: np.ndarray,
    weight: np.ndarray,
    shape: tuple[int, ...],
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
) -> np.ndarray:
    """Return the gradient of ``sum(y dy)`` by the images.

    Parameters
    ----------
    dy : ndarray, shape (n, out_height, out_width, n_channels)
    weight : ndarray, shape (kernel_height, kernel_width, 1, n_channels)
    shape : tuple of int
        Shape of the images.
    stride, padding, dilation : tuple of int

    Returns
    -------
    ndarray of float64, shape ``shape``

    Examples
    --------
    >>> import numpy as np
    >>> depthwise_input_gradient(np.ones((1, 1, 1, 1)), np.full((1, 1, 1, 1), 2.0), (1, 1, 1, 1)).item()
    2.0
    """
    one = (*shape[:3], 1)
    channels = [
        convolution.convolve_input_gradient(
            dy[..., c : c + 1], weight[..., c : c + 1], one, stride, padding, dilation
        )
        for c in range(shape[3])
    ]
    return np.concatenate(channels, axis=3)


def depthwise_weight_gradient(
    x: np.ndarray,
    dy: np.ndarray,
    shape: tuple[int, ...],
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
) -> np.ndarray:
    """Return the gradient of ``sum(y dy)`` by the weights.

    Parameters
    ----------
    x : ndarray, shape (n, height, width, n_channels)
    dy : ndarray, shape (n, out_height, out_width, n_channels)
    shape : tuple of int
        Shape of the weights.
    stride, padding, dilation : tuple of int

    Returns
    -------
    ndarray of float64, shape ``shape``

    Examples
    --------
    >>> import numpy as np
    >>> depthwise_weight_gradient(np.ones((1, 2, 2, 1)), np.ones((1, 2, 2, 1)), (1, 1, 1, 1)).item()
    4.0
    """
    one = (*shape[:3], 1)
    channels = [
        convolution.convolve_weight_gradient(
            x[..., c : c + 1], dy[..., c : c + 1], one, stride, padding, dilation
        )
        for c in range(shape[3])
    ]
    return np.concatenate(channels, axis=3)
