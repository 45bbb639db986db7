"""Products of CSR matrices with dense arrays.

Every function has a twin of the same name in :mod:`scinn.reference.sparse`, which returns a new array.
"""

from __future__ import annotations

import numpy as np

from scinn.kernels._jit import jit, prange

__all__ = ["csr_matmat", "csr_matmat_parallel"]

# Unsigned positions: for signed ones Numba adds a branch for negative indices to every access, which keeps LLVM
# from vectorising loops over columns.
_U = np.uint64
_1, _2, _3, _4 = _U(1), _U(2), _U(3), _U(4)


def _csr_matmat(data, indices, indptr, x, out):
    """Fill ``out`` (m, f) with A @ x for a CSR matrix A (m, n) and x (n, f).

    Rows of ``x`` are taken four at a time, so that ``out`` is read and written once for four stored entries; the
    one to three entries that remain come first and write instead of adding, which saves clearing ``out``.
    Blocks of columns were measured and lose: the hardware likes long rows. For one or two columns there are no long
    rows, and a plain sum for each column wins.
    """
    n_columns = _U(x.shape[1])
    if n_columns <= _2:
        for row in prange(indptr.shape[0] - 1):
            i = _U(row)
            for j in range(n_columns):
                total = out.dtype.type(0)
                for p in range(_U(indptr[i]), _U(indptr[i + _1])):
                    total += data[p] * x[_U(indices[p]), j]
                out[i, j] = total
        return
    for row in prange(indptr.shape[0] - 1):
        i = _U(row)
        p = _U(indptr[i])
        end = _U(indptr[i + _1])
        rest = (end - p) & _3
        if rest == _1:
            a0, c0 = data[p], _U(indices[p])
            for j in range(n_columns):
                out[i, j] = a0 * x[c0, j]
        elif rest == _2:
            a0, c0 = data[p], _U(indices[p])
            a1, c1 = data[p + _1], _U(indices[p + _1])
            for j in range(n_columns):
                out[i, j] = a0 * x[c0, j] + a1 * x[c1, j]
        elif rest == _3:
            a0, c0 = data[p], _U(indices[p])
            a1, c1 = data[p + _1], _U(indices[p + _1])
            a2, c2 = data[p + _2], _U(indices[p + _2])
            for j in range(n_columns):
                out[i, j] = a0 * x[c0, j] + a1 * x[c1, j] + a2 * x[c2, j]
        else:
            for j in range(n_columns):
                out[i, j] = 0
        p += rest
        while p < end:
            a0, c0 = data[p], _U(indices[p])
            a1, c1 = data[p + _1], _U(indices[p + _1])
            a2, c2 = data[p + _2], _U(indices[p + _2])
            a3, c3 = data[p + _3], _U(indices[p + _3])
            for j in range(n_columns):
                out[i, j] += (a0 * x[c0, j] + a1 * x[c1, j]) + (a2 * x[c2, j] + a3 * x[c3, j])
            p += _4


# One body, two compilations: the rows of ``out`` are disjoint, so both give the same bits at any number of threads.
csr_matmat = jit(_csr_matmat)
csr_matmat_parallel = jit(_csr_matmat, parallel=True)
