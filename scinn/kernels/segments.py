"""Sums and softmaxes over segments: consecutive rows ``indptr[s]:indptr[s + 1]`` of an array.

Segments are the rows of a CSR matrix (attention over neighbours) or the graphs of a batch (pooling). Values are (n,),
or (n, f) with every column on its own. Twins of the same names are in :mod:`scinn.reference.segments`.
"""

from __future__ import annotations

import numpy as np

from scinn.kernels._jit import jit

__all__ = ["segment_softmax", "segment_softmax_backward", "segment_sum"]


@jit
def _sum_1d(values, indptr, out):
    for s in range(indptr.shape[0] - 1):
        total = 0.0  # float64 whatever the values are
        for p in range(indptr[s], indptr[s + 1]):
            total += values[p]
        out[s] = total


@jit
def _sum_2d(values, indptr, out):
    n_columns = values.shape[1]
    total = np.empty(n_columns, dtype=np.float64)
    for s in range(indptr.shape[0] - 1):
        for j in range(n_columns):
            total[j] = 0
        for p in range(indptr[s], indptr[s + 1]):
            for j in range(n_columns):
                total[j] += values[p, j]
        for j in range(n_columns):
            out[s, j] = total[j]


def segment_sum(values, indptr, out):
    """Fill ``out`` (n_segments,) or (n_segments, f) with the sum of every segment; 0 for empty ones."""
    (_sum_1d if values.ndim == 1 else _sum_2d)(values, indptr, out)


@jit
def _softmax_1d(values, indptr, out):
    for s in range(indptr.shape[0] - 1):
        first, last = indptr[s], indptr[s + 1]
        if first == last:
            continue
        largest = values[first]
        for p in range(first, last):
            # The first comparison fails for NaN, the second lets it through.
            if values[p] > largest or np.isnan(values[p]):
                largest = values[p]
        total = 0.0
        for p in range(first, last):
            e = np.exp(values[p] - largest)
            out[p] = e
            total += e
        for p in range(first, last):
            out[p] = out[p] / total


@jit
def _softmax_2d(values, indptr, out):
    n_columns = values.shape[1]
    largest = np.empty(n_columns, dtype=values.dtype)
    total = np.empty(n_columns, dtype=np.float64)
    for s in range(indptr.shape[0] - 1):
        first, last = indptr[s], indptr[s + 1]
        if first == last:
            continue
        for j in range(n_columns):
            largest[j] = values[first, j]
            total[j] = 0
        for p in range(first, last):
            for j in range(n_columns):
                if values[p, j] > largest[j] or np.isnan(values[p, j]):
                    largest[j] = values[p, j]
        for p in range(first, last):
            for j in range(n_columns):
                e = np.exp(values[p, j] - largest[j])
                out[p, j] = e
                total[j] += e
        for p in range(first, last):
            for j in range(n_columns):
                out[p, j] = out[p, j] / total[j]


def segment_softmax(values, indptr, out):
    """Fill ``out``, shaped as ``values``, with exp(values) divided by its sum over the segment."""
    (_softmax_1d if values.ndim == 1 else _softmax_2d)(values, indptr, out)


@jit
def _softmax_backward_1d(y, dy, indptr, out):
    for s in range(indptr.shape[0] - 1):
        inner = 0.0
        for p in range(indptr[s], indptr[s + 1]):
            inner += y[p] * dy[p]
        for p in range(indptr[s], indptr[s + 1]):
            out[p] = y[p] * (dy[p] - inner)


@jit
def _softmax_backward_2d(y, dy, indptr, out):
    n_columns = y.shape[1]
    inner = np.empty(n_columns, dtype=np.float64)
    for s in range(indptr.shape[0] - 1):
        for j in range(n_columns):
            inner[j] = 0
        for p in range(indptr[s], indptr[s + 1]):
            for j in range(n_columns):
                inner[j] += y[p, j] * dy[p, j]
        for p in range(indptr[s], indptr[s + 1]):
            for j in range(n_columns):
                out[p, j] = y[p, j] * (dy[p, j] - inner[j])


def segment_softmax_backward(y, dy, indptr, out):
    """Fill ``out`` with y (dy - sum of y dy over the segment), the gradient by the values that gave ``y``."""
    (_softmax_backward_1d if y.ndim == 1 else _softmax_backward_2d)(y, dy, indptr, out)
