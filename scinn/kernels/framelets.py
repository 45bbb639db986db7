"""Chebyshev recurrences on a graph with many filters at once: one pass over the rows a degree.

The Laplacian is given as its diagonal and the positive weights off the diagonal, ``L = diag(diagonal) - S``. With
``B = h L - I`` a pass forms one more term of a three-term recurrence row by row. The analysis adds three terms at
once to the outputs of all filters while their rows are in the first-level cache, so that outputs are touched at
every third degree only; the synthesis (Clenshaw's rule) gathers its right side from all bands in the same pass.
"""

from __future__ import annotations

import numpy as np

from scinn.kernels._jit import jit, prange

__all__ = [
    "BLOCK_ROWS",
    "analysis_pass",
    "analysis_pass_parallel",
    "synthesis_pass",
    "synthesis_pass_parallel",
]

BLOCK_ROWS = 1024


@jit
def _add_edges(data, indices, start, stop, edge, now, row):
    """Add edge * sum of data * now[neighbour] to a row, four neighbours at a time."""
    width = row.shape[0]
    p = start
    while stop - p >= 4:
        c0, c1, c2, c3 = indices[p], indices[p + 1], indices[p + 2], indices[p + 3]
        w0, w1, w2, w3 = edge * data[p], edge * data[p + 1], edge * data[p + 2], edge * data[p + 3]
        for j in range(width):
            row[j] += w0 * now[c0, j] + w1 * now[c1, j] + w2 * now[c2, j] + w3 * now[c3, j]
        p += 4
    if stop - p >= 2:
        c0, c1 = indices[p], indices[p + 1]
        w0, w1 = edge * data[p], edge * data[p + 1]
        for j in range(width):
            row[j] += w0 * now[c0, j] + w1 * now[c1, j]
        p += 2
    if stop - p == 1:
        c0 = indices[p]
        w0 = edge * data[p]
        for j in range(width):
            row[j] += w0 * now[c0, j]


@jit
def _analysis_rows(
    begin, end, data, indices, indptr, diagonal, h, a, g, now, before, after, mode, weights, low, low_column, out,
    column, first, stride,
):  # fmt: skip
    width = now.shape[1]
    row = np.empty(width, now.dtype)
    for i in range(begin, end):
        own = a * (h * diagonal[i]) - a
        for j in range(width):
            row[j] = own * now[i, j] - g * before[i, j]
        _add_edges(data, indices, indptr[i], indptr[i + 1], -a * h, now, row)
        if mode > 0:
            v0, v1, v2 = weights[0, 0], weights[0, 1], weights[0, 2]
            if mode == 1:
                for j in range(width):
                    low[i, low_column + j] = v0 * before[i, j] + v1 * now[i, j] + v2 * row[j]
            else:
                for j in range(width):
                    low[i, low_column + j] += v0 * before[i, j] + v1 * now[i, j] + v2 * row[j]
            for r in range(1, weights.shape[0]):
                v0, v1, v2 = weights[r, 0], weights[r, 1], weights[r, 2]
                band = first + (r - 1) * stride
                if mode == 1:
                    for j in range(width):
                        out[band, i, column + j] = v0 * before[i, j] + v1 * now[i, j] + v2 * row[j]
                else:
                    for j in range(width):
                        out[band, i, column + j] += v0 * before[i, j] + v1 * now[i, j] + v2 * row[j]
        for j in range(width):
            after[i, j] = row[j]


@jit
def analysis_pass(
    data, indices, indptr, diagonal, h, a, g, now, before, after, mode, weights, low, low_column, out, column, first,
    stride,
):  # fmt: skip
    """Set after = a B now - g before, and write (mode 1) or add (mode 2) three terms of each filter's series.

    Filter 0 goes to ``low[:, low_column:]``, filter r to ``out[first + (r - 1) * stride, :, column:]``; its terms are
    ``weights[r] . (before, now, after)``. Mode 0 leaves the outputs alone. ``after`` may be the memory of ``before``.
    """
    _analysis_rows(
        0, now.shape[0], data, indices, indptr, diagonal, h, a, g, now, before, after, mode, weights, low,
        low_column, out, column, first, stride,
    )  # fmt: skip


@jit(parallel=True)
def analysis_pass_parallel(
    data, indices, indptr, diagonal, h, a, g, now, before, after, mode, weights, low, low_column, out, column, first,
    stride,
):  # fmt: skip
    """The same as ``analysis_pass``, to the bit, with blocks of rows shared among threads."""
    n = now.shape[0]
    for block in prange((n + BLOCK_ROWS - 1) // BLOCK_ROWS):
        _analysis_rows(
            block * BLOCK_ROWS, min(n, (block + 1) * BLOCK_ROWS), data, indices, indptr, diagonal, h, a, g, now,
            before, after, mode, weights, low, low_column, out, column, first, stride,
        )  # fmt: skip


@jit
def _synthesis_rows(
    begin, end, data, indices, indptr, diagonal, h, a, now, before, after, mode, weights, low, low_column, bands,
    column, first, stride, result, result_column,
):  # fmt: skip
    width = now.shape[1]
    row = np.empty(width, now.dtype)
    for i in range(begin, end):
        v = weights[0]
        for j in range(width):
            row[j] = v * low[i, low_column + j]
        for r in range(1, weights.shape[0]):
            v = weights[r]
            band = first + (r - 1) * stride
            for j in range(width):
                row[j] += v * bands[band, i, column + j]
        if mode > 0:
            own = a * (h * diagonal[i]) - a
            for j in range(width):
                row[j] += own * now[i, j]
            _add_edges(data, indices, indptr[i], indptr[i + 1], -a * h, now, row)
        if mode > 1:
            for j in range(width):
                row[j] -= before[i, j]
        if mode == 3:
            for j in range(width):
                result[i, result_column + j] = row[j]
        else:
            for j in range(width):
                after[i, j] = row[j]


@jit
def synthesis_pass(
    data, indices, indptr, diagonal, h, a, now, before, after, mode, weights, low, low_column, bands, column, first,
    stride, result, result_column,
):  # fmt: skip
    """Set after = G + a B now - before, where G is the weighted sum of the bands: one step of Clenshaw's rule.

    G is ``weights[0] * low[:, low_column:]`` plus ``weights[r] * bands[first + (r - 1) * stride, :, column:]``. Mode 0
    leaves out ``now`` and ``before`` (zero at the start), mode 1 ``before``; mode 3 writes to
    ``result[:, result_column:]`` instead of ``after``. ``after`` may be the memory of ``before``.
    """
    _synthesis_rows(
        0, now.shape[0], data, indices, indptr, diagonal, h, a, now, before, after, mode, weights, low, low_column,
        bands, column, first, stride, result, result_column,
    )  # fmt: skip


@jit(parallel=True)
def synthesis_pass_parallel(
    data, indices, indptr, diagonal, h, a, now, before, after, mode, weights, low, low_column, bands, column, first,
    stride, result, result_column,
):  # fmt: skip
    """The same as ``synthesis_pass``, to the bit, with blocks of rows shared among threads."""
    n = now.shape[0]
    for block in prange((n + BLOCK_ROWS - 1) // BLOCK_ROWS):
        _synthesis_rows(
            block * BLOCK_ROWS, min(n, (block + 1) * BLOCK_ROWS), data, indices, indptr, diagonal, h, a, now, before,
            after, mode, weights, low, low_column, bands, column, first, stride, result, result_column,
        )  # fmt: skip
