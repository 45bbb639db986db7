"""Depthwise convolution of channels-last images: each channel has a kernel of its own.

Channels are innermost, so that the loops run over them in vectors; every output has one accumulator, filled in the order of
the taps. Twins are :func:`scinn.reference.convolution.convolve` and its gradients with as many groups as channels.
"""

from __future__ import annotations

import numpy as np

from scinn.kernels._jit import jit, prange

__all__ = [
    "depthwise",
    "depthwise_input_gradient",
    "depthwise_input_gradient_parallel",
    "depthwise_parallel",
    "depthwise_weight_gradient",
]


def _depthwise(x, weight, stride, padding, dilation, out):
    """Fill ``out`` (N, H_out, W_out, C) from ``x`` (N, H, W, C) and ``weight`` (kh, kw, 1, C)."""
    kh, kw, n_channels = weight.shape[0], weight.shape[1], weight.shape[3]
    height, width = x.shape[1], x.shape[2]
    for image in prange(x.shape[0]):
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                pixel = out[image, i, j]
                for c in range(n_channels):
                    pixel[c] = 0
                for a in range(kh):
                    row = i * stride[0] + a * dilation[0] - padding[0]
                    if row < 0 or row >= height:
                        continue
                    for b in range(kw):
                        column = j * stride[1] + b * dilation[1] - padding[1]
                        if column < 0 or column >= width:
                            continue
                        values, tap = x[image, row, column], weight[a, b, 0]
                        for c in range(n_channels):
                            pixel[c] += values[c] * tap[c]


def _depthwise_input_gradient(dy, weight, stride, padding, dilation, dx):
    """Fill ``dx`` (N, H, W, C) from ``dy`` (N, H_out, W_out, C)."""
    kh, kw, n_channels = weight.shape[0], weight.shape[1], weight.shape[3]
    height, width = dx.shape[1], dx.shape[2]
    for image in prange(dy.shape[0]):
        whole = dx[image]
        whole[:] = 0
        for i in range(dy.shape[1]):
            for j in range(dy.shape[2]):
                gradient = dy[image, i, j]
                for a in range(kh):
                    row = i * stride[0] + a * dilation[0] - padding[0]
                    if row < 0 or row >= height:
                        continue
                    for b in range(kw):
                        column = j * stride[1] + b * dilation[1] - padding[1]
                        if column < 0 or column >= width:
                            continue
                        pixel, tap = whole[row, column], weight[a, b, 0]
                        for c in range(n_channels):
                            pixel[c] += gradient[c] * tap[c]


@jit
def depthwise_weight_gradient(x, dy, stride, padding, dilation, dweight):
    """Fill ``dweight`` (kh, kw, 1, C; float64); each image row is added up in the dtype of ``x`` first."""
    kh, kw, n_channels = dweight.shape[0], dweight.shape[1], dweight.shape[3]
    height, width = x.shape[1], x.shape[2]
    dweight[:] = 0
    partial = np.empty(n_channels, x.dtype)
    for image in range(x.shape[0]):
        for i in range(dy.shape[1]):
            for a in range(kh):
                row = i * stride[0] + a * dilation[0] - padding[0]
                if row < 0 or row >= height:
                    continue
                for b in range(kw):
                    partial[:] = 0
                    for j in range(dy.shape[2]):
                        column = j * stride[1] + b * dilation[1] - padding[1]
                        if column < 0 or column >= width:
                            continue
                        values, gradient = x[image, row, column], dy[image, i, j]
                        for c in range(n_channels):
                            partial[c] += values[c] * gradient[c]
                    tap = dweight[a, b, 0]
                    for c in range(n_channels):
                        tap[c] += partial[c]


# One body, two compilations: images are disjoint, so both give the same bits.
depthwise = jit(_depthwise)
depthwise_parallel = jit(_depthwise, parallel=True)
depthwise_input_gradient = jit(_depthwise_input_gradient)
depthwise_input_gradient_parallel = jit(_depthwise_input_gradient, parallel=True)
