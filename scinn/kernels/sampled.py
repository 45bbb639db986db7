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


def _sddmm(indices, indptr, a, b, out):
    """Fill ``out`` (nnz,) with ``sum_f a[i, f] b[indices[p], f]`` for each stored entry ``p`` of row ``i``.

    Two entries at a time, so that the row of ``a`` is read once for both.
    """
    n_columns = _U(a.shape[1])
    one, two = _U(1), _U(2)
    for row in prange(indptr.shape[0] - 1):
        i = _U(row)
        p, end = _U(indptr[i]), _U(indptr[i + one])
        while p + two <= end:
            c0, c1 = _U(indices[p]), _U(indices[p + one])
            s0 = s1 = out.dtype.type(0)
            for f in range(n_columns):
                value = a[i, f]
                s0 += value * b[c0, f]
                s1 += value * b[c1, f]
            out[p] = s0
            out[p + one] = s1
            p += two
        if p < end:
            c0 = _U(indices[p])
            s0 = out.dtype.type(0)
            for f in range(n_columns):
                s0 += a[i, f] * b[c0, f]
            out[p] = s0


# One body, two compilations: the entries of ``out`` are disjoint, so both give the same bits at any number of threads.
sddmm = jit(_sddmm, fastmath=_REORDER)
sddmm_parallel = jit(_sddmm, fastmath=_REORDER, parallel=True)
