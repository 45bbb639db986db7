"""Maximum and average of windows of channels-last images.

Channels are innermost: each window is a loop over its taps around a loop over channels, without branches in it, so that it
runs in vectors. Twins are in :mod:`scinn.reference.pooling`.
"""

from __future__ import annotations

import numpy as np

from scinn.kernels._jit import jit

__all__ = [
    "average_pool",
    "average_pool_gradient",
    "global_average_pool",
    "global_average_pool_gradient",
    "max_pool",
    "max_pool_gradient",
    "max_pool_with_index",
]

# Unsigned positions: for signed ones Numba asks at every access whether the index is negative.
_U = np.uint64


@jit
def _inside(place, stride, padding, kernel, size):
    """Return the first tap of a window that lies on the image, the end of those that do, and the window's start."""
    start = place * stride - padding
    return max(0, -start), min(kernel, size - start), start


@jit
def _larger(new, old):
    return (new > old) | ((new != new) & (old == old))


@jit
def _four_largest(flat, start, below, n_channels, result, at):
    """The common window, 2 by 2, in one loop: ``start`` is its first pixel, ``below`` that of its second row."""
    for c in range(n_channels):
        best = flat[start + c]
        new = flat[start + n_channels + c]
        best = new if _larger(new, best) else best
        new = flat[below + c]
        best = new if _larger(new, best) else best
        new = flat[below + n_channels + c]
        result[at + c] = new if _larger(new, best) else best


@jit
def _four_with_index(flat, start, below, n_channels, result, taps, at):
    """The same with the numbers of the taps, as wide as float32 until the end, so that one comparison decides both."""
    for c in range(n_channels):
        best, number = flat[start + c], np.int32(0)
        new = flat[start + n_channels + c]
        larger = _larger(new, best)
        best, number = new if larger else best, np.int32(1) if larger else number
        new = flat[below + c]
        larger = _larger(new, best)
        best, number = new if larger else best, np.int32(2) if larger else number
        new = flat[below + n_channels + c]
        larger = _larger(new, best)
        best, number = new if larger else best, np.int32(3) if larger else number
        result[at + c] = best
        taps[at + c] = taps.dtype.type(number)


@jit
def max_pool(x, kernel, stride, padding, out):
    """Fill ``out`` (N, H_out, W_out, C) with the maxima of windows of ``x`` (N, H, W, C).

    Pixels outside of the image do not take part, and NaN wins.
    """
    height, width, n_channels = x.shape[1], x.shape[2], _U(x.shape[3])
    flat, result = x.reshape(x.size), out.reshape(out.size)
    at = _U(0)
    for image in range(x.shape[0]):
        for i in range(out.shape[1]):
            a0, a1, top = _inside(i, stride[0], padding[0], kernel[0], height)
            for j in range(out.shape[2]):
                b0, b1, left = _inside(j, stride[1], padding[1], kernel[1], width)
                start = _U((image * height + top + a0) * width + left + b0) * n_channels
                if kernel[0] == 2 and kernel[1] == 2 and a1 - a0 == 2 and b1 - b0 == 2:
                    _four_largest(flat, start, start + _U(width) * n_channels, n_channels, result, at)
                    at += n_channels
                    continue
                for c in range(n_channels):
                    result[at + c] = flat[start + c]
                for a in range(a0, a1):
                    for b in range(b0, b1):
                        start = _U((image * height + top + a) * width + left + b) * n_channels
                        for c in range(n_channels):
                            new, old = flat[start + c], result[at + c]
                            result[at + c] = new if _larger(new, old) else old
                at += n_channels


@jit
def max_pool_with_index(x, kernel, stride, padding, out, index):
    """Fill ``out`` as :func:`max_pool`, and ``index`` (same shape) with the row-major number of the first largest tap."""
    height, width, n_channels = x.shape[1], x.shape[2], _U(x.shape[3])
    flat, result, taps = x.reshape(x.size), out.reshape(out.size), index.reshape(index.size)
    best = np.empty(x.shape[3], np.int32)
    at = _U(0)
    for image in range(x.shape[0]):
        for i in range(out.shape[1]):
            a0, a1, top = _inside(i, stride[0], padding[0], kernel[0], height)
            for j in range(out.shape[2]):
                b0, b1, left = _inside(j, stride[1], padding[1], kernel[1], width)
                start = _U((image * height + top + a0) * width + left + b0) * n_channels
                if kernel[0] == 2 and kernel[1] == 2 and a1 - a0 == 2 and b1 - b0 == 2:
                    below = start + _U(width) * n_channels
                    _four_with_index(flat, start, below, n_channels, result, taps, at)
                    at += n_channels
                    continue
                number = np.int32(a0 * kernel[1] + b0)
                for c in range(n_channels):
                    result[at + c] = flat[start + c]
                    best[c] = number
                for a in range(a0, a1):
                    for b in range(b0, b1):
                        start = _U((image * height + top + a) * width + left + b) * n_channels
                        number = np.int32(a * kernel[1] + b)
                        for c in range(n_channels):
                            new, old, before = flat[start + c], result[at + c], best[c]
                            larger = _larger(new, old)
                            result[at + c] = new if larger else old
                            best[c] = number if larger else before
                for c in range(n_channels):
                    taps[at + c] = index.dtype.type(best[c])
                at += n_channels


@jit
def max_pool_gradient(dy, index, kernel, stride, padding, dx):
    """Fill ``dx`` (N, H, W, C): each entry of ``dy`` goes to the pixel that ``index`` names."""
    height, width, n_channels = dx.shape[1], dx.shape[2], _U(dx.shape[3])
    flat, gradient, taps = dx.reshape(dx.size), dy.reshape(dy.size), index.reshape(index.size)
    zero = dx.dtype.type(0)
    # Windows side by side meet every pixel once: then there is nothing to clear and nothing to add.
    tiling = (
        stride[0] == kernel[0] and stride[1] == kernel[1] and padding[0] == 0 and padding[1] == 0
        and height == dy.shape[1] * kernel[0] and width == dy.shape[2] * kernel[1]
    )  # fmt: skip
    if not tiling:
        flat[:] = zero
    at = _U(0)
    for image in range(dy.shape[0]):
        for i in range(dy.shape[1]):
            a0, a1, top = _inside(i, stride[0], padding[0], kernel[0], height)
            for j in range(dy.shape[2]):
                b0, b1, left = _inside(j, stride[1], padding[1], kernel[1], width)
                for a in range(a0, a1):
                    for b in range(b0, b1):
                        start = _U((image * height + top + a) * width + left + b) * n_channels
                        number = index.dtype.type(a * kernel[1] + b)
                        if tiling:
                            for c in range(n_channels):
                                value = gradient[at + c]
                                flat[start + c] = value if taps[at + c] == number else zero
                        else:
                            for c in range(n_channels):
                                value = gradient[at + c]
                                flat[start + c] += value if taps[at + c] == number else zero
                at += n_channels


@jit
def average_pool(x, kernel, stride, padding, out):
    """Fill ``out`` (N, H_out, W_out, C) with the means of windows of ``x``; pixels outside of the image count as zero."""
    height, width, n_channels = x.shape[1], x.shape[2], _U(x.shape[3])
    flat, result = x.reshape(x.size), out.reshape(out.size)
    share = x.dtype.type(1.0 / (kernel[0] * kernel[1]))
    at = _U(0)
    for image in range(x.shape[0]):
        for i in range(out.shape[1]):
            a0, a1, top = _inside(i, stride[0], padding[0], kernel[0], height)
            for j in range(out.shape[2]):
                b0, b1, left = _inside(j, stride[1], padding[1], kernel[1], width)
                for c in range(n_channels):
                    result[at + c] = 0
                for a in range(a0, a1):
                    for b in range(b0, b1):
                        start = _U((image * height + top + a) * width + left + b) * n_channels
                        for c in range(n_channels):
                            result[at + c] += share * flat[start + c]
                at += n_channels


@jit
def average_pool_gradient(dy, kernel, stride, padding, dx):
    """Fill ``dx`` (N, H, W, C): each entry of ``dy`` is shared out over its window."""
    height, width, n_channels = dx.shape[1], dx.shape[2], _U(dx.shape[3])
    flat, gradient = dx.reshape(dx.size), dy.reshape(dy.size)
    share = dx.dtype.type(1.0 / (kernel[0] * kernel[1]))
    tiling = (
        stride[0] == kernel[0] and stride[1] == kernel[1] and padding[0] == 0 and padding[1] == 0
        and height == dy.shape[1] * kernel[0] and width == dy.shape[2] * kernel[1]
    )  # fmt: skip
    if not tiling:
        flat[:] = 0
    at = _U(0)
    for image in range(dy.shape[0]):
        for i in range(dy.shape[1]):
            a0, a1, top = _inside(i, stride[0], padding[0], kernel[0], height)
            for j in range(dy.shape[2]):
                b0, b1, left = _inside(j, stride[1], padding[1], kernel[1], width)
                for a in range(a0, a1):
                    for b in range(b0, b1):
                        start = _U((image * height + top + a) * width + left + b) * n_channels
                        if tiling:
                            for c in range(n_channels):
                                flat[start + c] = share * gradient[at + c]
                        else:
                            for c in range(n_channels):
                                flat[start + c] += share * gradient[at + c]
                at += n_channels


@jit
def global_average_pool(x, out):
    """Fill ``out`` (N, C) with the means over the pixels of ``x`` (N, H, W, C), rows added up in float64."""
    n_images, height, width, n_channels = x.shape[0], x.shape[1], x.shape[2], _U(x.shape[3])
    flat = x.reshape(x.size)
    row_sum, total = np.empty(x.shape[3], x.dtype), np.empty(x.shape[3])
    at = _U(0)
    for image in range(n_images):
        total[:] = 0
        for _row in range(height):
            row_sum[:] = 0
            for _ in range(width):
                for c in range(n_channels):
                    row_sum[c] += flat[at + c]
                at += n_channels
            for c in range(n_channels):
                total[c] += row_sum[c]
        for c in range(n_channels):
            out[image, c] = total[c] / (height * width)


@jit
def global_average_pool_gradient(dy, dx):
    """Fill ``dx`` (N, H, W, C): every pixel gets its share of ``dy`` (N, C)."""
    n_pixels, n_channels = dx.shape[1] * dx.shape[2], _U(dx.shape[3])
    flat = dx.reshape(dx.size)
    shares = np.empty(dx.shape[3], dx.dtype)
    at = _U(0)
    for image in range(dx.shape[0]):
        for c in range(n_channels):
            shares[c] = dy[image, c] / n_pixels
        for _ in range(n_pixels):
            for c in range(n_channels):
                flat[at + c] = shares[c]
            at += n_channels
