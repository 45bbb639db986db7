"""Projection onto balls of the l1 norm, row by row. The twin is in :mod:`scinn.reference.l1_ball`.

The projection of v with ``||v||_1 > r`` is ``sign(v) max(|v| - theta, 0)``, where theta solves
``sum max(|v| - theta, 0) = r``. Newton's steps from below, theta <- (sum of the |v_i| above theta, minus r) / (their
number), reach it after finitely many passes (C. Michelot, J. Optim. Theory Appl. 50, 1986).
"""

from __future__ import annotations

import numpy as np

from scinn.kernels._jit import jit

__all__ = ["project_rows"]

# Reordering lets the sum run in vectors; no flag lets the compiler forget NaN.
_REORDER = frozenset({"contract", "reassoc"})


@jit(fastmath=_REORDER)
def _above(values, theta):
    """Return the sum and the number of the magnitudes above theta."""
    total = count = values.dtype.type(0)
    zero, one = values.dtype.type(0), values.dtype.type(1)
    for i in range(len(values)):
        size = abs(values[i])
        total += size if size > theta else zero
        count += one if size > theta else zero
    return total, count


@jit
def project_rows(points, radius, out):
    """Fill ``out`` (m, n) with the nearest points of norm at most ``radius`` (m,); ``radius`` may hold inf."""
    m, n = points.shape
    for s in range(m):
        row, r = points[s], points.dtype.type(max(radius[s], 0.0))
        total, count = _above(row, points.dtype.type(-1))
        theta = points.dtype.type(0)
        if r <= 0:
            out[s, :] = 0
            continue
        if total > r:
            while True:
                new = (total - r) / count
                # Rounding may stop the rise one step early.
                if new <= theta:
                    break
                theta = new
                total, fewer = _above(row, theta)
                if fewer == count or fewer == 0:
                    break
                count = fewer
        for i in range(n):
            size = abs(row[i]) - theta
            out[s, i] = np.copysign(size, row[i]) if size > 0 else points.dtype.type(0)
