"""Matrix-free analysis and synthesis: the levels and degrees around the kernels' passes.

Two plans give the same operators. The *cascade* runs one recurrence a level, of degree n - 1, on the low-pass of the
level before. The *composite* plan writes every band as one polynomial on the common argument and runs a single
recurrence for all of them; its coefficients below rounding are dropped, so that for accurate filters it needs far
fewer products with the Laplacian than ``levels * (n - 1)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scinn.graphs.chebyshev import composite_coefficients, significant_length
from scinn.kernels.framelets import (
    analysis_pass,
    analysis_pass_parallel,
    synthesis_pass,
    synthesis_pass_parallel,
)

__all__ = ["LaplacianRows", "Plan", "analyze_rows", "make_plan", "synthesize_rows"]

# Features worked on at a time: a few cache lines of a row.
_BLOCK_BYTES = 512
# Terms of a composite series that add up to less than this many units of rounding are dropped.
_ROUNDING = 4


@dataclass(frozen=True)
class LaplacianRows:
    """A Laplacian as the kernels want it: ``diag(diagonal) - S``, S in CSR, all in one dtype."""

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    diagonal: np.ndarray


@dataclass(frozen=True)
class Plan:
    """A sequence of Chebyshev series to run.

    Attributes
    ----------
    composite : bool
        One recurrence for all bands, or one a level.
    steps : tuple of float
        Factor h of ``B = h L - I``, one a recurrence.
    coefficients : ndarray, shape (n_filters, n)
        Series of every filter (cascade) or band (composite); the first column halved already.
    n_bands : int
        Number of bands.
    """

    composite: bool
    steps: tuple[float, ...]
    coefficients: np.ndarray
    n_bands: int

    @property
    def n_products(self) -> int:
        """Products with the Laplacian in one analysis, or one synthesis."""
        return len(self.steps) * (self.coefficients.shape[1] - 1)


def make_plan(coefficients: np.ndarray, scales: np.ndarray, lambda_max: float, dtype: np.dtype) -> Plan:
    """Choose the cheaper plan for filters given by their Chebyshev coefficients.

    Parameters
    ----------
    coefficients : ndarray of float64, shape (R, n)
        The first column not halved.
    scales : ndarray, shape (levels,)
        Factor of the argument at every level.
    lambda_max : float
        Upper end of the spectrum; 0 for a Laplacian that is zero.
    dtype : dtype
        float32 or float64: what the transform computes in.

    Returns
    -------
    Plan
    """
    levels, n_filters = len(scales), len(coefficients)
    n_bands = (n_filters - 1) * levels + 1
    to_unit = 2.0 / lambda_max if lambda_max > 0 else 0.0
    cascade = Plan(False, tuple(float(s) * to_unit for s in scales), _halved(coefficients, dtype), n_bands)
    if levels == 1 or coefficients.shape[1] == 1:
        return cascade
    series = composite_coefficients(coefficients, scales)
    length = significant_length(series, _ROUNDING * float(np.finfo(dtype).eps))
    composite = Plan(True, (to_unit,), _halved(series[:, :length], dtype), n_bands)
    return composite if _cost(composite) < _cost(cascade) else cascade


def _halved(coefficients: np.ndarray, dtype: np.dtype) -> np.ndarray:
    halved = np.array(coefficients, dtype=np.float64)
    halved[:, 0] /= 2
    return np.ascontiguousarray(halved.astype(dtype))


def _cost(plan: Plan) -> float:
    """Rough traffic of an analysis and a synthesis, in passes over an array of the signal's size."""
    filters = len(plan.coefficients)
    # A product reads about five rows a node, and reads and writes one more; outputs are read and written every
    # third pass; the synthesis reads all its bands in every pass.
    return plan.n_products * (2 * 7 + 2 * filters / 3 + filters)


def analyze_rows(rows: LaplacianRows, plan: Plan, x: np.ndarray, parallel: bool = False) -> np.ndarray:
    """Return the coefficients of all bands.

    Parameters
    ----------
    rows : LaplacianRows
        Of the dtype of ``x``.
    plan : Plan
        Of the same dtype.
    x : ndarray, shape (n_nodes, n_features), C-contiguous
        Signals.
    parallel : bool
        Share rows among threads.

    Returns
    -------
    ndarray, shape (n_bands, n_nodes, n_features)
    """
    n_nodes, n_features = x.shape
    out = np.empty((plan.n_bands, n_nodes, n_features), x.dtype)
    if x.size == 0:
        return out
    step = analysis_pass_parallel if parallel else analysis_pass
    for column, width in _blocks(n_features, x.dtype):
        block = x if width == n_features else np.ascontiguousarray(x[:, column : column + width])
        scratch = np.empty((2, n_nodes, width), x.dtype)
        if plan.composite:
            _analyze_series(
                step, rows, plan, plan.steps[0], block, scratch, (out[0], column), out, column, (1, 1)
            )
            continue
        levels = len(plan.steps)
        lows = np.empty((min(levels - 1, 2), n_nodes, width), x.dtype)
        for level, h in enumerate(plan.steps):
            last = level == levels - 1
            low = (out[0], column) if last else (lows[level % 2], 0)
            bands = (1 + level, levels)
            _analyze_series(step, rows, plan, h, block, scratch, low, out, column, bands)
            block = low[0]
    return out


def _blocks(n_features: int, dtype: np.dtype) -> list[tuple[int, int]]:
    size = max(1, _BLOCK_BYTES // np.dtype(dtype).itemsize)
    return [(start, min(size, n_features - start)) for start in range(0, n_features, size)]


def _analyze_series(step, rows, plan, h, signal, scratch, low, out, column, bands):
    """Run one recurrence on ``signal`` and fill the outputs of all filters."""
    c = plan.coefficients
    n = c.shape[1]
    low_array, low_column = low
    first, stride = bands
    width = signal.shape[1]
    one = signal.dtype.type(1)
    zero, two, h = one - one, one + one, signal.dtype.type(h)
    if n == 1:
        np.multiply(signal, c[0, 0], out=low_array[:, low_column : low_column + width])
        for r in range(1, len(c)):
            np.multiply(signal, c[r, 0], out=out[first + (r - 1) * stride, :, column : column + width])
        return
    before, now = signal, signal
    done = 0
    for k in range(1, n):
        after = scratch[k % 2]
        flush = k == n - 1 or k - done == 2
        weights = np.zeros((len(c), 3), c.dtype)
        mode = 0
        if flush:
            mode = 1 if done == 0 else 2
            weights[:, 2 - (k - done) :] = c[:, done : k + 1]
            done = k + 1
        step(
            rows.data, rows.indices, rows.indptr, rows.diagonal, h, one if k == 1 else two, zero if k == 1 else one,
            now, before, after, k < n - 1, mode, weights, low_array, low_column, out, column, first, stride,
        )  # fmt: skip
        before, now = now, after


def synthesize_rows(rows: LaplacianRows, plan: Plan, bands: np.ndarray, parallel: bool = False) -> np.ndarray:
    """Return the adjoint of :func:`analyze_rows` applied to coefficients.

    Parameters
    ----------
    rows : LaplacianRows
        Of the dtype of ``bands``.
    plan : Plan
        Of the same dtype.
    bands : ndarray, shape (n_bands, n_nodes, n_features), C-contiguous
        Coefficients.
    parallel : bool
        Share rows among threads.

    Returns
    -------
    ndarray, shape (n_nodes, n_features)
    """
    _, n_nodes, n_features = bands.shape
    result = np.empty((n_nodes, n_features), bands.dtype)
    if result.size == 0:
        return result
    step = synthesis_pass_parallel if parallel else synthesis_pass
    for column, width in _blocks(n_features, bands.dtype):
        scratch = np.empty((3, n_nodes, width), bands.dtype)
        if plan.composite:
            target = (result, column)
            _clenshaw(
                step, rows, plan, plan.steps[0], scratch, (bands[0], column), bands, column, (1, 1), target
            )
            continue
        low, low_column = bands[0], column
        levels = len(plan.steps)
        for level in range(levels - 1, -1, -1):
            # A level reads its low-pass until its last pass, which writes row by row: it may overwrite it.
            target = (result, column) if level == 0 else (scratch[2], 0)
            where = (1 + level, levels)
            _clenshaw(
                step, rows, plan, plan.steps[level], scratch, (low, low_column), bands, column, where, target
            )
            low, low_column = target
    return result


def _clenshaw(step, rows, plan, h, scratch, low, bands, column, where, target):
    """Run Clenshaw's rule from the highest degree down and write the sum to ``target``."""
    c = plan.coefficients
    n = c.shape[1]
    one = scratch.dtype.type(1)
    two, h = one + one, scratch.dtype.type(h)
    first, stride = where
    now, before = scratch[0], scratch[1]
    if n == 1:
        _weighted_sum(c[:, 0], low, bands, column, where, target, scratch.shape[2])
        return
    for k in range(n - 1, -1, -1):
        last = k == 0
        mode = 3 if last else min(n - 1 - k, 2)
        # With two coefficients nothing precedes the last pass but one term: its second array must be zero.
        if last and n == 2:
            before[...] = 0
        step(
            rows.data, rows.indices, rows.indptr, rows.diagonal, h, one if last else two, now, before, before, mode,
            np.ascontiguousarray(c[:, k]), low[0], low[1], bands, column, first, stride, target[0], target[1],
        )  # fmt: skip
        now, before = before, now


def _weighted_sum(weights, low, bands, column, where, target, width):
    first, stride = where
    total = weights[0] * low[0][:, low[1] : low[1] + width]
    for r in range(1, len(weights)):
        total += weights[r] * bands[first + (r - 1) * stride, :, column : column + width]
    target[0][:, target[1] : target[1] + width] = total
