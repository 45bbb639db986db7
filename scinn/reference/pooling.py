"""Maximum and average of windows of images, by their definition."""

from __future__ import annotations

import numpy as np

__all__ = [
    "average_pool",
    "average_pool_gradient",
    "global_average_pool",
    "global_average_pool_gradient",
    "max_pool",
    "max_pool_gradient",
]


def _windows(shape, kernel, stride, padding):
    """Yield each output place with the pixels of its window, in row-major order."""
    height, width = shape
    for i in range((height + 2 * padding[0] - kernel[0]) // stride[0] + 1):
        for j in range((width + 2 * padding[1] - kernel[1]) // stride[1] + 1):
            rows = [i * stride[0] - padding[0] + a for a in range(kernel[0])]
            columns = [j * stride[1] - padding[1] + b for b in range(kernel[1])]
            inside = [(r, c) for r in rows for c in columns if 0 <= r < height and 0 <= c < width]
            yield (i, j), inside


def _size(shape, kernel, stride, padding):
    return [(shape[i] + 2 * padding[i] - kernel[i]) // stride[i] + 1 for i in range(2)]


def max_pool(
    x: np.ndarray, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int] = (0, 0)
) -> np.ndarray:
    """Return the largest pixel of each window, channel by channel; pixels outside of the image do not take part.

    Parameters
    ----------
    x : ndarray, shape (n, height, width, n_channels)
    kernel, stride, padding : tuple of int

    Returns
    -------
    ndarray, shape (n, out_height, out_width, n_channels)

    Examples
    --------
    >>> import numpy as np
    >>> max_pool(np.arange(4.0).reshape(1, 2, 2, 1), (2, 2), (2, 2)).item()
    3.0
    """
    y = np.zeros((len(x), *_size(x.shape[1:3], kernel, stride, padding), x.shape[3]), dtype=x.dtype)
    for (i, j), inside in _windows(x.shape[1:3], kernel, stride, padding):
        y[:, i, j] = np.max([x[:, row, column] for row, column in inside], axis=0)
    return y


def max_pool_gradient(
    x: np.ndarray,
    dy: np.ndarray,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int] = (0, 0),
) -> np.ndarray:
    """Return the gradient of ``sum(y dy)`` by x: of equal pixels the first in row-major order gets it.

    Parameters
    ----------
    x : ndarray, shape (n, height, width, n_channels)
    dy : ndarray, shape (n, out_height, out_width, n_channels)
    kernel, stride, padding : tuple of int

    Returns
    -------
    ndarray, shape of ``x``

    Examples
    --------
    >>> import numpy as np
    >>> max_pool_gradient(np.ones((1, 2, 2, 1)), np.ones((1, 1, 1, 1)), (2, 2), (2, 2)).ravel().tolist()
    [1.0, 0.0, 0.0, 0.0]
    """
    dx = np.zeros_like(x)
    for (i, j), inside in _windows(x.shape[1:3], kernel, stride, padding):
        for n in range(len(x)):
            for c in range(x.shape[3]):
                winner = inside[int(np.argmax([x[n, row, column, c] for row, column in inside]))]
                dx[(n, *winner, c)] += dy[n, i, j, c]
    return dx


def average_pool(
    x: np.ndarray, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int] = (0, 0)
) -> np.ndarray:
    """Return the mean of each window, channel by channel; pixels outside of the image count as zero.

    Parameters
    ----------
    x : ndarray, shape (n, height, width, n_channels)
    kernel, stride, padding : tuple of int

    Returns
    -------
    ndarray, shape (n, out_height, out_width, n_channels)

    Examples
    --------
    >>> import numpy as np
    >>> average_pool(np.arange(4.0).reshape(1, 2, 2, 1), (2, 2), (2, 2)).item()
    1.5
    """
    y = np.zeros((len(x), *_size(x.shape[1:3], kernel, stride, padding), x.shape[3]), dtype=x.dtype)
    for (i, j), inside in _windows(x.shape[1:3], kernel, stride, padding):
        y[:, i, j] = sum(x[:, row, column] for row, column in inside) / (kernel[0] * kernel[1])
    return y


def average_pool_gradient(
    dy: np.ndarray,
    shape: tuple[int, ...],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int] = (0, 0),
) -> np.ndarray:
    """Return the gradient of ``sum(y dy)`` by x.

    Parameters
    ----------
    dy : ndarray, shape (n, out_height, out_width, n_channels)
    shape : tuple of int
        Shape of x.
    kernel, stride, padding : tuple of int

    Returns
    -------
    ndarray, shape ``shape``

    Examples
    --------
    >>> import numpy as np
    >>> average_pool_gradient(np.ones((1, 1, 1, 1)), (1, 2, 2, 1), (2, 2), (2, 2)).ravel().tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    dx = np.zeros(shape, dtype=dy.dtype)
    for (i, j), inside in _windows(shape[1:3], kernel, stride, padding):
        for row, column in inside:
            dx[:, row, column] += dy[:, i, j] / (kernel[0] * kernel[1])
    return dx


def global_average_pool(x: np.ndarray) -> np.ndarray:
    """Return the mean of each channel over all pixels.

    Parameters
    ----------
    x : ndarray, shape (n, height, width, n_channels)

    Returns
    -------
    ndarray of float64, shape (n, n_channels)

    Examples
    --------
    >>> import numpy as np
    >>> global_average_pool(np.arange(4.0).reshape(1, 2, 2, 1)).tolist()
    [[1.5]]
    """
    n, height, width, n_channels = x.shape
    y = np.zeros((n, n_channels))
    for i in range(height):
        for j in range(width):
            y += x[:, i, j].astype(np.float64) / (height * width)
    return y


def global_average_pool_gradient(dy: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the gradient of ``sum(y dy)`` by x.

    Parameters
    ----------
    dy : ndarray, shape (n, n_channels)
    shape : tuple of int
        Shape of x.

    Returns
    -------
    ndarray of float64, shape ``shape``

    Examples
    --------
    >>> import numpy as np
    >>> global_average_pool_gradient(np.ones((1, 1)), (1, 1, 2, 1)).ravel().tolist()
    [0.5, 0.5]
    """
    dx = np.zeros(shape)
    for i in range(shape[1]):
        for j in range(shape[2]):
            dx[:, i, j] = dy.astype(np.float64) / (shape[1] * shape[2])
    return dx
