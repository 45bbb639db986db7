"""Batch normalisation of rows of channels, with or without a rectifier behind it: few passes over memory.

Arrays are (n_rows, n_channels), C-contiguous. Rows are taken several at a time, so that loops over few channels are long
enough for vectors; sums run in the dtype of the array over short blocks and are added up in float64. Values are
shifted by those of the first row before they are squared, so that a large mean costs no digits.

No multiplication is contracted with an addition here: the forward and the backward pass of the rectifier then agree about
every sign. Twins are in :mod:`scinn.reference.normalization`.
"""

from __future__ import annotations

import numpy as np

from scinn.kernels._jit import jit

__all__ = ["moments", "normalize", "normalize_gradient", "normalize_sums"]

EXACT = frozenset()
# Numbers of one run (a few rows), and rows whose sums stay in the array's dtype.
_RUN = 128
_BLOCK_ROWS = 256


@jit(fastmath=EXACT)
def _tile_row(row, n_times):
    """Return a row repeated side by side."""
    tiled = np.empty(row.size * n_times, row.dtype)
    for i in range(n_times):
        for c in range(row.size):
            tiled[i * row.size + c] = row[c]
    return tiled


@jit(fastmath=EXACT)
def _fold(total, out):
    """Add the sums of rows that lay side by side into those of the channels."""
    for j in range(total.size):
        out[j % out.size] += total[j]


@jit(fastmath=EXACT)
def moments(x, sums, squares):
    """Add to ``sums`` and ``squares`` (n_channels,; float64) those of ``x - x[0]``, channel by channel."""
    n_rows, n_channels = x.shape
    if n_rows == 0:
        return
    n_together = max(1, _RUN // n_channels)
    width = n_together * n_channels
    flat = x.reshape(x.size)
    origin = _tile_row(x[0], n_together)
    sum_block, square_block = np.zeros(width, x.dtype), np.zeros(width, x.dtype)
    sum_total, square_total = np.zeros(width), np.zeros(width)
    n_runs = n_rows // n_together
    per_block = max(1, _BLOCK_ROWS // n_together)
    for first in range(0, n_runs, per_block):
        sum_block[:] = 0
        square_block[:] = 0
        for run in range(first, min(n_runs, first + per_block)):
            values = flat[run * width : (run + 1) * width]
            for j in range(width):
                shifted = values[j] - origin[j]
                sum_block[j] += shifted
                square_block[j] += shifted * shifted
        for j in range(width):
            sum_total[j] += sum_block[j]
            square_total[j] += square_block[j]
    _fold(sum_total, sums)
    _fold(square_total, squares)
    for row in range(n_runs * n_together, n_rows):
        for c in range(n_channels):
            shifted = x[row, c] - x[0, c]
            sums[c] += shifted
            squares[c] += shifted * shifted


@jit(fastmath=EXACT)
def normalize(x, mean, factor, shift, rectify, out):
    """Fill ``out`` with ``(x - mean) factor + shift``, rectified where asked; NaN stays NaN."""
    n_channels = x.shape[1]
    n_together = max(1, _RUN // n_channels)
    width = n_together * n_channels
    wide_mean, wide_factor, wide_shift = (
        _tile_row(mean, n_together), _tile_row(factor, n_together), _tile_row(shift, n_together),
    )  # fmt: skip
    flat, result = x.reshape(x.size), out.reshape(out.size)
    zero = x.dtype.type(0)
    for start in range(0, x.size, width):
        stop = min(x.size, start + width)
        values, target = flat[start:stop], result[start:stop]
        if rectify:
            for j in range(values.size):
                y = (values[j] - wide_mean[j]) * wide_factor[j] + wide_shift[j]
                target[j] = zero if y <= zero else y
        else:
            for j in range(values.size):
                target[j] = (values[j] - wide_mean[j]) * wide_factor[j] + wide_shift[j]


@jit(fastmath=EXACT)
def normalize_sums(x, dy, mean, factor, shift, rectify, sums, products):
    """Add to ``sums`` and ``products`` (n_channels,; float64) those of ``dy`` and of ``dy (x - mean)``.

    With ``rectify`` rows of ``dy`` count where the output, by :func:`normalize`, was positive.
    """
    n_channels = x.shape[1]
    n_together = max(1, _RUN // n_channels)
    width = n_together * n_channels
    wide_mean, wide_factor, wide_shift = (
        _tile_row(mean, n_together), _tile_row(factor, n_together), _tile_row(shift, n_together),
    )  # fmt: skip
    flat, flat_dy = x.reshape(x.size), dy.reshape(dy.size)
    sum_block, product_block = np.zeros(width, x.dtype), np.zeros(width, x.dtype)
    sum_total, product_total = np.zeros(width), np.zeros(width)
    zero = x.dtype.type(0)
    per_block = max(1, _BLOCK_ROWS // n_together) * width
    for first in range(0, x.size, per_block):
        sum_block[:] = 0
        product_block[:] = 0
        for start in range(first, min(x.size, first + per_block), width):
            stop = min(x.size, start + width)
            values, gradient = flat[start:stop], flat_dy[start:stop]
            if rectify:
                for j in range(values.size):
                    centered = values[j] - wide_mean[j]
                    kept = gradient[j] if centered * wide_factor[j] + wide_shift[j] > zero else zero
                    sum_block[j] += kept
                    product_block[j] += kept * centered
            else:
                for j in range(values.size):
                    sum_block[j] += gradient[j]
                    product_block[j] += gradient[j] * (values[j] - wide_mean[j])
        for j in range(width):
            sum_total[j] += sum_block[j]
            product_total[j] += product_block[j]
    _fold(sum_total, sums)
    _fold(product_total, products)


@jit(fastmath=EXACT)
def normalize_gradient(x, dy, mean, factor, shift, rectify, constant, slope, dx):
    """Fill ``dx`` with ``dy factor - constant - (x - mean) slope``, with ``dy`` as in :func:`normalize_sums`."""
    n_channels = x.shape[1]
    n_together = max(1, _RUN // n_channels)
    width = n_together * n_channels
    wide_mean, wide_factor, wide_shift = (
        _tile_row(mean, n_together), _tile_row(factor, n_together), _tile_row(shift, n_together),
    )  # fmt: skip
    wide_constant, wide_slope = _tile_row(constant, n_together), _tile_row(slope, n_together)
    flat, flat_dy, result = x.reshape(x.size), dy.reshape(dy.size), dx.reshape(dx.size)
    zero = x.dtype.type(0)
    for start in range(0, x.size, width):
        stop = min(x.size, start + width)
        values, gradient, target = flat[start:stop], flat_dy[start:stop], result[start:stop]
        if rectify:
            for j in range(values.size):
                centered = values[j] - wide_mean[j]
                kept = gradient[j] if centered * wide_factor[j] + wide_shift[j] > zero else zero
                target[j] = (kept * wide_factor[j] - wide_constant[j]) - centered * wide_slope[j]
        else:
            for j in range(values.size):
                centered = values[j] - wide_mean[j]
                target[j] = (gradient[j] * wide_factor[j] - wide_constant[j]) - centered * wide_slope[j]
