"""Convolution of channels-last images and its two gradients, by their definition: one loop for each index."""

from __future__ import annotations

import numpy as np

__all__ = ["convolve", "convolve_input_gradient", "convolve_weight_gradient", "output_size"]


def output_size(size: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    """Return how many places a kernel has along an axis.

    Parameters
    ----------
    size, kernel, stride, padding, dilation : int

    Returns
    -------
    int

    Examples
    --------
    >>> output_size(5, 3, 2, 1), output_size(2, 3, 1, 0)
    (3, 0)
    """
    return len(range(0, size + 2 * padding - dilation * (kernel - 1), stride))


def _meetings(shape, weight_shape, out_shape, stride, padding, dilation, groups):
    """Yield which input entry, weight and output entry meet: all indices of one image."""
    height, width = shape
    kh, kw, n_in, n_out = weight_shape
    for i in range(out_shape[0]):
        for j in range(out_shape[1]):
            for a in range(kh):
                for b in range(kw):
                    row = i * stride[0] + a * dilation[0] - padding[0]
                    column = j * stride[1] + b * dilation[1] - padding[1]
                    if 0 <= row < height and 0 <= column < width:
                        for d in range(n_out):
                            first = (d // (n_out // groups)) * n_in
                            for c in range(n_in):
                                yield (row, column, first + c), (a, b, c, d), (i, j, d)


def convolve(
    x: np.ndarray,
    weight: np.ndarray,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> np.ndarray:
    """Return ``y[n, i, j, d] = sum_{a, b, c} x[n, i s + a l - p, j s + b l - p, c] w[a, b, c, d]``.

    Entries outside of the image count as zero; ``s``, ``l`` and ``p`` are stride, dilation and padding, each a pair.

    Parameters
    ----------
    x : ndarray, shape (n, height, width, n_in)
    weight : ndarray, shape (kernel_height, kernel_width, n_in / groups, n_out)
    stride, padding, dilation : tuple of int
    groups : int
        Output channel ``d`` sees the channels of its group only.

    Returns
    -------
    ndarray of float64, shape (n, out_height, out_width, n_out)

    Examples
    --------
    >>> import numpy as np
    >>> convolve(np.ones((1, 2, 2, 1)), np.ones((3, 3, 1, 1)), padding=(1, 1))[0, :, :, 0].tolist()
    [[4.0, 4.0], [4.0, 4.0]]
    """
    size = [
        output_size(x.shape[1 + i], weight.shape[i], stride[i], padding[i], dilation[i]) for i in range(2)
    ]
    y = np.zeros((len(x), *size, weight.shape[3]))
    for n in range(len(x)):
        for p, w, q in _meetings(x.shape[1:3], weight.shape, size, stride, padding, dilation, groups):
            y[(n, *q)] += float(x[(n, *p)]) * float(weight[w])
    return y


def convolve_input_gradient(
    dy: np.ndarray,
    weight: np.ndarray,
    shape: tuple[int, ...],
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> np.ndarray:
    """Return the gradient of ``sum(y dy)`` by ``x``.

    Parameters
    ----------
    dy : ndarray, shape (n, out_height, out_width, n_out)
    weight : ndarray, shape (kernel_height, kernel_width, n_in / groups, n_out)
    shape : tuple of int
        Shape of ``x``.
    stride, padding, dilation : tuple of int
    groups : int

    Returns
    -------
    ndarray of float64, shape ``shape``

    Examples
    --------
    >>> import numpy as np
    >>> dx = convolve_input_gradient(np.ones((1, 1, 1, 1)), np.full((1, 1, 1, 1), 2.0), (1, 2, 2, 1), stride=(2, 2))
    >>> dx[0, :, :, 0].tolist()
    [[2.0, 0.0], [0.0, 0.0]]
    """
    dx = np.zeros(shape)
    for n in range(len(dy)):
        for p, w, q in _meetings(shape[1:3], weight.shape, dy.shape[1:3], stride, padding, dilation, groups):
            dx[(n, *p)] += float(dy[(n, *q)]) * float(weight[w])
    return dx


def convolve_weight_gradient(
    x: np.ndarray,
    dy: np.ndarray,
    shape: tuple[int, ...],
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> np.ndarray:
    """Return the gradient of ``sum(y dy)`` by the weights.

    Parameters
    ----------
    x : ndarray, shape (n, height, width, n_in)
    dy : ndarray, shape (n, out_height, out_width, n_out)
    shape : tuple of int
        Shape of the weights.
    stride, padding, dilation : tuple of int
    groups : int

    Returns
    -------
    ndarray of float64, shape ``shape``

    Examples
    --------
    >>> import numpy as np
    >>> convolve_weight_gradient(np.ones((1, 2, 2, 1)), np.ones((1, 2, 2, 1)), (1, 1, 1, 1)).item()
    4.0
    """
    dweight = np.zeros(shape)
    for n in range(len(x)):
        for p, w, q in _meetings(x.shape[1:3], shape, dy.shape[1:3], stride, padding, dilation, groups):
            dweight[w] += float(x[(n, *p)]) * float(dy[(n, *q)])
    return dweight
