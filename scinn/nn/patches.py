"""Convolution as a product of matrices (im2col): every patch a row, every filter a column.

The simple path, for groups and dilations that the tile kernels of :mod:`scinn.kernels.convolution` do not cover. The
products are BLAS's, whose bits depend on the number of rows: equal batches give equal bits, other batches rounding.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

__all__ = ["Geometry", "patch_convolve", "patch_input_gradient", "patch_weight_gradient"]

# Rows of one product: its matrix of patches stays in the cache.
_ROWS = 1024


class Geometry(NamedTuple):
    """Where a kernel lies on an image; pairs are (rows, columns)."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int

    def output_shape(self, height: int, width: int) -> tuple[int, int]:
        """Return the height and width of the output; not positive where the kernel does not fit."""
        (kh, kw), (sh, sw), (ph, pw), (lh, lw) = self.kernel, self.stride, self.padding, self.dilation
        return (height + 2 * ph - lh * (kh - 1) - 1) // sh + 1, (width + 2 * pw - lw * (kw - 1) - 1) // sw + 1


def _padded(x: np.ndarray, padding: tuple[int, int]) -> np.ndarray:
    ph, pw = padding
    return np.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0))) if ph or pw else x


def _patches(x: np.ndarray, geometry: Geometry, shape: tuple[int, int], first: int, width: int) -> np.ndarray:
    """Return a view (N, H_out, W_out, kh, kw, width) of some channels of padded images."""
    n, row, column, channel = x.strides
    (kh, kw), (sh, sw), (lh, lw) = geometry.kernel, geometry.stride, geometry.dilation
    return as_strided(
        x[..., first : first + width],
        (len(x), *shape, kh, kw, width),
        (n, sh * row, sw * column, lh * row, lw * column, channel),
        writeable=False,
    )


def _blocks(n_images: int, n_places: int) -> list[slice]:
    step = max(1, _ROWS // max(n_places, 1))
    return [slice(start, start + step) for start in range(0, n_images, step)]


def patch_convolve(x: np.ndarray, weight: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Return the convolution of images (N, H, W, C_in) with weights (kh, kw, C_in / groups, C_out)."""
    padded = _padded(x, geometry.padding)
    shape = geometry.output_shape(*x.shape[1:3])
    depth, width = weight.shape[2], weight.shape[3] // geometry.groups
    y = np.empty((len(x), *shape, weight.shape[3]), dtype=x.dtype)
    for group in range(geometry.groups):
        filters = weight[..., group * width : (group + 1) * width].reshape(-1, width)
        views = _patches(padded, geometry, shape, group * depth, depth)
        for block in _blocks(len(x), shape[0] * shape[1]):
            part = y[block, ..., group * width : (group + 1) * width]
            part[...] = (views[block].reshape(-1, len(filters)) @ filters).reshape(part.shape)
    return y


def patch_input_gradient(
    dy: np.ndarray, weight: np.ndarray, shape: tuple[int, ...], geometry: Geometry
) -> np.ndarray:
    """Return the gradient by the images, whose shape is given: each tap's product is added where it was read."""
    ph, pw = geometry.padding
    height, columns = shape[1] + 2 * ph, shape[2] + 2 * pw
    dx = np.zeros((shape[0], height, columns, shape[3]), dtype=dy.dtype)
    (kh, kw), (sh, sw), (lh, lw) = geometry.kernel, geometry.stride, geometry.dilation
    depth, width = weight.shape[2], weight.shape[3] // geometry.groups
    oh, ow = dy.shape[1:3]
    for group in range(geometry.groups):
        part = np.ascontiguousarray(dy[..., group * width : (group + 1) * width])
        target = dx[..., group * depth : (group + 1) * depth]
        for a in range(kh):
            for b in range(kw):
                rows = slice(a * lh, a * lh + (oh - 1) * sh + 1, sh)
                places = slice(b * lw, b * lw + (ow - 1) * sw + 1, sw)
                target[:, rows, places] += part @ weight[a, b, :, group * width : (group + 1) * width].T
    return dx[:, ph : height - ph, pw : columns - pw]


def patch_weight_gradient(
    x: np.ndarray, dy: np.ndarray, shape: tuple[int, ...], geometry: Geometry
) -> np.ndarray:
    """Return the gradient by the weights, whose shape is given, added up over blocks of images in float64."""
    padded = _padded(x, geometry.padding)
    dweight = np.zeros(shape)
    depth, width = shape[2], shape[3] // geometry.groups
    for group in range(geometry.groups):
        views = _patches(padded, geometry, (dy.shape[1], dy.shape[2]), group * depth, depth)
        channels = slice(group * width, (group + 1) * width)
        for block in _blocks(len(x), dy.shape[1] * dy.shape[2]):
            patches = views[block].reshape(-1, geometry.kernel[0] * geometry.kernel[1] * depth)
            product = patches.T @ dy[block, ..., channels].reshape(-1, width)
            dweight[..., channels] += product.reshape(*shape[:3], width)
    return dweight
