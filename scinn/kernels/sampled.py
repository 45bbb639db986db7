"""Products of rows of two matrices at the places of a sparse one (sampled dense-dense product).

Twins of the same names are in :mod:`scinn.reference.sampled`.
"""

from __future__ import annotations

import numpy as np

from scinn.kernels._jit import jit, prange

__all__ = ["sddmm", "sddmm_parallel"]

_U = np.uint64
# Reordering lets each sum run in vectors; no flag lets the compiler forget NaN or signs.
_REORDER = frozenset({"contract", "reassoc"})


# A function of its own, so that both compilations below run the very same sums.
@jit(fastmath=_REORDER)
def _row(indices, first, last, i, a, b, out):
    """Fill the entries of row ``i``, two at a time, so that its row of ``a`` is read once for both."""
    n_columns = _U(a.shape[1])
    one, two = _U(1), _U(2)
    p = first
    while p + two <= last:
        c0, c1 = _U(indices[p]), _U(indices[p + one])
        s0 = s1 = out.dtype.type(0)
        for f in range(n_columns):
            value = a[i, f]
            s0 += value * b[c0, f]
            s1 += value * b[c1, f]
        out[p] = s0
        out[p + one] = s1
        p += two
    if p < last:
        c0 = _U(indices[p])
        s0 = out.dtype.type(0)
        for f in range(n_columns):
            s0 += a[i, f] * b[c0, f]
        out[p] = s0


def _sddmm(indices, indptr, a, b, out):
    """Fill ``out`` (nnz,) with ``sum_f a[i, f] b[indices[p], f]`` for each stored entry ``p`` of row ``i``."""
    for row in prange(indptr.shape[0] - 1):
        i = _U(row)
        _row(indices, _U(indptr[i]), _U(indptr[i + _U(1)]), i, a, b, out)


# The entries of ``out`` are disjoint, so both give the same bits at any number of threads.
sddmm = jit(_sddmm)
sddmm_parallel = jit(_sddmm, parallel=True)
