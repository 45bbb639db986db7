"""Pooling of channels-last images: maximum, average, and the average of the whole image."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from scinn.nn.images import as_pair, check_images, readable
from scinn.nn.layer import Layer, check_output_gradient, register_layer
from scinn.random import Key

__all__ = ["AvgPool2d", "GlobalAvgPool2d", "MaxPool2d"]


class MaxPool2dSaved(NamedTuple):
    """Which tap of each window was the largest (one byte each), and the input's shape."""

    tap: np.ndarray
    shape: tuple[int, ...]


class ShapeSaved(NamedTuple):
    """The input's shape and dtype: an average's gradient depends on nothing else."""

    shape: tuple[int, ...]
    dtype: np.dtype


class _Pool2d(Layer):
    """Windows and their options."""

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        *,
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.kernel_size = as_pair(kernel_size, "kernel_size", minimum=1)
        self.stride = self.kernel_size if stride is None else as_pair(stride, "stride", minimum=1)
        self.padding = as_pair(padding, "padding", minimum=0)
        if any(2 * p > k for p, k in zip(self.padding, self.kernel_size)):
            raise ValueError(
                f"padding must be at most half of the kernel, so that each window meets the image: got padding "
                f"{self.padding}, kernel_size {self.kernel_size}"
            )

    def output_shape(self, height: int, width: int) -> tuple[int, int]:
        """Return the size of the output for images of a size.

        Parameters
        ----------
        height, width : int

        Returns
        -------
        tuple of int

        Raises
        ------
        ValueError
            Where the window is larger than the padded image.
        """
        (kh, kw), (sh, sw), (ph, pw) = self.kernel_size, self.stride, self.padding
        shape = (height + 2 * ph - kh) // sh + 1, (width + 2 * pw - kw) // sw + 1
        if min(shape) < 1:
            raise ValueError(
                f"{type(self).__name__}: the window {self.kernel_size} is larger than the image {height} x {width} with "
                f"padding {self.padding}; use larger images or a smaller window"
            )
        return shape

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "kernel_size": list(self.kernel_size),
            "stride": list(self.stride),
            "padding": list(self.padding),
        }


@register_layer
class MaxPool2d(_Pool2d):
    """Largest pixel of each window, channel by channel.

    Forward ``y[n, i, j, c] = max_{a, b} x[n, i s + a - p, j s + b - p, c]`` over the pixels inside of the image;
    backward: each ``dy`` goes to the pixel that was largest, the first in row-major order of equal ones. NaN wins.

    Parameters
    ----------
    kernel_size : int or pair of int
        Height and width of the window.
    stride : int or pair of int, optional
        Pixels from window to window; default the window's size.
    padding : int or pair of int, default 0
        Rows and columns that windows may reach beyond each side; at most half a window.

    Raises
    ------
    ValueError
        For a window with a padding of more than its half.

    Examples
    --------
    >>> import numpy as np
    >>> MaxPool2d(2)(np.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0].tolist()
    [[5.0, 7.0], [13.0, 15.0]]
    """

    Saved = MaxPool2dSaved

    def forward(
        self, x: np.ndarray, *, train: bool = False, key: Key | None = None
    ) -> tuple[np.ndarray, MaxPool2dSaved]:
        """Return the maxima of ``x`` of shape (n, height, width, n_channels), and where they were."""
        from scinn.kernels import pooling as kernels

        check_images(x, self)
        shape = (len(x), *self.output_shape(x.shape[1], x.shape[2]), x.shape[3])
        n_taps = self.kernel_size[0] * self.kernel_size[1]
        y = np.empty(shape, dtype=x.dtype)
        index = np.empty(shape, dtype=np.uint8 if n_taps <= 256 else np.int32)
        kernels.max_pool_with_index(readable(x), self.kernel_size, self.stride, self.padding, y, index)
        return y, MaxPool2dSaved(index, x.shape)

    def __call__(self, x: np.ndarray, **context: Any) -> np.ndarray:
        """Return the maxima alone, which is faster."""
        from scinn.kernels import pooling as kernels

        check_images(x, self)
        y = np.empty((len(x), *self.output_shape(x.shape[1], x.shape[2]), x.shape[3]), dtype=x.dtype)
        kernels.max_pool(readable(x), self.kernel_size, self.stride, self.padding, y)
        return y

    def backward(self, saved: MaxPool2dSaved, dy: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return ``dy`` at the places of the maxima."""
        from scinn.kernels import pooling as kernels

        check_output_gradient(dy, self, saved.tap.shape, dy.dtype)
        dx = np.empty(saved.shape, dtype=dy.dtype)
        kernels.max_pool_gradient(
            readable(dy), readable(saved.tap), self.kernel_size, self.stride, self.padding, dx
        )
        return dx, {}


@register_layer
class AvgPool2d(_Pool2d):
    """Mean of each window, channel by channel; pixels outside of the image count as zero.

    Forward ``y[n, i, j, c] = sum_{a, b} x[n, i s + a - p, j s + b - p, c] / (k_h k_w)``; backward: each ``dy`` is
    shared out over its window.

    Parameters
    ----------
    kernel_size : int or pair of int
        Height and width of the window.
    stride : int or pair of int, optional
        Pixels from window to window; default the window's size.
    padding : int or pair of int, default 0
        Rows and columns of zeros on each side; at most half a window.

    Raises
    ------
    ValueError
        For a window with a padding of more than its half.

    Examples
    --------
    >>> import numpy as np
    >>> AvgPool2d(2)(np.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0].tolist()
    [[2.5, 4.5], [10.5, 12.5]]
    """

    Saved = ShapeSaved

    def forward(
        self, x: np.ndarray, *, train: bool = False, key: Key | None = None
    ) -> tuple[np.ndarray, ShapeSaved]:
        """Return the means of ``x`` of shape (n, height, width, n_channels), and its shape as saved."""
        from scinn.kernels import pooling as kernels

        check_images(x, self)
        y = np.empty((len(x), *self.output_shape(x.shape[1], x.shape[2]), x.shape[3]), dtype=x.dtype)
        kernels.average_pool(readable(x), self.kernel_size, self.stride, self.padding, y)
        return y, ShapeSaved(x.shape, x.dtype)

    def backward(self, saved: ShapeSaved, dy: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return ``dy`` shared out over the windows."""
        from scinn.kernels import pooling as kernels

        n, height, width, n_channels = saved.shape
        check_output_gradient(dy, self, (n, *self.output_shape(height, width), n_channels), saved.dtype)
        dx = np.empty(saved.shape, dtype=dy.dtype)
        kernels.average_pool_gradient(readable(dy), self.kernel_size, self.stride, self.padding, dx)
        return dx, {}


@register_layer
class GlobalAvgPool2d(Layer):
    """Mean over all pixels: images (n, height, width, n_channels) become rows (n, n_channels).

    Forward ``y[n, c] = sum_{i, j} x[n, i, j, c] / (H W)``, rows added up in float64; backward ``dx = dy / (H W)`` at
    every pixel.

    Examples
    --------
    >>> import numpy as np
    >>> GlobalAvgPool2d()(np.arange(4.0).reshape(1, 2, 2, 1)).tolist()
    [[1.5]]
    """

    Saved = ShapeSaved

    def forward(
        self, x: np.ndarray, *, train: bool = False, key: Key | None = None
    ) -> tuple[np.ndarray, ShapeSaved]:
        """Return the means, of shape (n, n_channels), and the shape of ``x`` as saved."""
        from scinn.kernels import pooling as kernels

        check_images(x, self)
        y = np.empty((len(x), x.shape[3]), dtype=x.dtype)
        kernels.global_average_pool(readable(x), y)
        return y, ShapeSaved(x.shape, x.dtype)

    def backward(self, saved: ShapeSaved, dy: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return ``dy / (H W)`` at every pixel."""
        from scinn.kernels import pooling as kernels

        check_output_gradient(dy, self, (saved.shape[0], saved.shape[3]), saved.dtype)
        dx = np.empty(saved.shape, dtype=dy.dtype)
        kernels.global_average_pool_gradient(readable(dy), dx)
        return dx, {}
