"""Matrix products whose bits are defined: each entry is a sum in the order of the inner index, with nothing contracted.

``out[b, j] = ((0 + a[b, 0] w[0, j]) + a[b, 1] w[1, j]) + ...``, every product and every sum rounded. Entries do not see each
other, so neither the number of rows, nor the place in the batch, nor the number of threads, nor the length of the
processor's registers changes a bit.

Columns are worked on in panels of two vectors, four rows at a time. Twins of the same names are in
:mod:`scinn.reference.exact_products`.
"""

from __future__ import annotations

from scinn.kernels._jit import jit, prange
from scinn.kernels._vectors import add, load, multiply, spread, store

__all__ = ["ordered_product", "ordered_product_parallel"]

EXACT = frozenset()


@jit(fastmath=EXACT)
def _few_columns(a, w, n_inner, n_columns, first, out):
    """Fill the columns from ``first`` on one by one; all arrays flat."""
    zero = out.dtype.type(0)
    for b in range(out.size // n_columns):
        for j in range(first, n_columns):
            total = zero
            for k in range(n_inner):
                total += a[b * n_inner + k] * w[k * n_columns + j]
            out[b * n_columns + j] = total


@jit(fastmath=EXACT)
def _one_vector(a, w, n_inner, n_columns, j, out):
    """Fill one vector of columns, from ``j`` on, of all rows; all arrays flat."""
    n_rows = out.size // n_columns
    zero = spread(out.dtype.type(0))
    b = 0
    while b + 4 <= n_rows:
        a0, a1, a2, a3 = b * n_inner, (b + 1) * n_inner, (b + 2) * n_inner, (b + 3) * n_inner
        s0, s1, s2, s3 = zero, zero, zero, zero
        for k in range(n_inner):
            x = load(w, k * n_columns + j)
            s0 = add(s0, multiply(spread(a[a0 + k]), x))
            s1 = add(s1, multiply(spread(a[a1 + k]), x))
            s2 = add(s2, multiply(spread(a[a2 + k]), x))
            s3 = add(s3, multiply(spread(a[a3 + k]), x))
        store(out, b * n_columns + j, s0)
        store(out, (b + 1) * n_columns + j, s1)
        store(out, (b + 2) * n_columns + j, s2)
        store(out, (b + 3) * n_columns + j, s3)
        b += 4
    while b < n_rows:
        s0 = zero
        for k in range(n_inner):
            s0 = add(s0, multiply(spread(a[b * n_inner + k]), load(w, k * n_columns + j)))
        store(out, b * n_columns + j, s0)
        b += 1


@jit(fastmath=EXACT)
def _two_vectors(a, w, n_inner, n_columns, j, lanes, out):
    """Fill two vectors of columns, from ``j`` on, of all rows; all arrays flat."""
    n_rows = out.size // n_columns
    zero = spread(out.dtype.type(0))
    b = 0
    while b + 4 <= n_rows:
        a0, a1, a2, a3 = b * n_inner, (b + 1) * n_inner, (b + 2) * n_inner, (b + 3) * n_inner
        s0, s1, s2, s3 = zero, zero, zero, zero
        t0, t1, t2, t3 = zero, zero, zero, zero
        for k in range(n_inner):
            x, y = load(w, k * n_columns + j), load(w, k * n_columns + j + lanes)
            c0, c1, c2, c3 = spread(a[a0 + k]), spread(a[a1 + k]), spread(a[a2 + k]), spread(a[a3 + k])
            s0, t0 = add(s0, multiply(c0, x)), add(t0, multiply(c0, y))
            s1, t1 = add(s1, multiply(c1, x)), add(t1, multiply(c1, y))
            s2, t2 = add(s2, multiply(c2, x)), add(t2, multiply(c2, y))
            s3, t3 = add(s3, multiply(c3, x)), add(t3, multiply(c3, y))
        store(out, b * n_columns + j, s0)
        store(out, b * n_columns + j + lanes, t0)
        store(out, (b + 1) * n_columns + j, s1)
        store(out, (b + 1) * n_columns + j + lanes, t1)
        store(out, (b + 2) * n_columns + j, s2)
        store(out, (b + 2) * n_columns + j + lanes, t2)
        store(out, (b + 3) * n_columns + j, s3)
        store(out, (b + 3) * n_columns + j + lanes, t3)
        b += 4
    while b < n_rows:
        s0, t0 = zero, zero
        for k in range(n_inner):
            c0 = spread(a[b * n_inner + k])
            s0 = add(s0, multiply(c0, load(w, k * n_columns + j)))
            t0 = add(t0, multiply(c0, load(w, k * n_columns + j + lanes)))
        store(out, b * n_columns + j, s0)
        store(out, b * n_columns + j + lanes, t0)
        b += 1


def _ordered_product(a, w, out):
    """Fill ``out`` (B, N) with ``a`` (B, K) times ``w`` (K, N); C-contiguous, of one dtype."""
    n_inner, n_columns = w.shape
    rows, weights, result = a.reshape(a.size), w.reshape(w.size), out.reshape(out.size)
    lanes = 64 // out.itemsize
    n_panels = n_columns // (2 * lanes)
    for panel in prange(n_panels):
        _two_vectors(rows, weights, n_inner, n_columns, panel * 2 * lanes, lanes, result)
    done = n_panels * 2 * lanes
    if n_columns < lanes:
        if n_columns > 0:
            _few_columns(rows, weights, n_inner, n_columns, 0, result)
        return
    if done + lanes <= n_columns:
        _one_vector(rows, weights, n_inner, n_columns, done, result)
        done += lanes
    if done < n_columns:
        # Ends with the last column: some columns are computed a second time, to the same bits.
        _one_vector(rows, weights, n_inner, n_columns, n_columns - lanes, result)


ordered_product = jit(_ordered_product, fastmath=EXACT)
ordered_product_parallel = jit(_ordered_product, parallel=True, fastmath=EXACT)
