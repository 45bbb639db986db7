"""Fast Walsh-Hadamard transform and degree-one sums of tables of length 2^n.

The transform is n rounds of butterflies ``(a, b) -> (a + b, a - b)``, one for each bit of the index. Run one by one over a
table that exceeds the caches, each round reads and writes all of it. Here

* up to four rounds are done at once on sixteen vectors in registers, and the rounds inside a vector with them;
* the lowest bits are done block by block, a block being small enough for the second cache;
* the remaining bits are done on panels: a few columns of the table, seen as a matrix whose rows are blocks, are taken
  through all their rounds in a small buffer;

so that a table of 2^24 float64 is read and written twice. Integers come out exactly. Twins of the same names are in
:mod:`scinn.reference.walsh`.
"""

from __future__ import annotations

import numpy as np

from scinn.kernels._jit import jit
from scinn.kernels._vectors import add, hadamard, load, prefetch, store, subtract

__all__ = ["degree_one_sums", "walsh_hadamard"]

_VECTOR_BYTES = 64
# Sizes of a block, and of a panel with the bytes that each of its rows has at least.
_BLOCK_BYTES = 1 << 19
_PANEL_BYTES = 1 << 18
_ROW_BYTES = 512
# Length of the blocks that degree-one sums are made of; one of float64 fits into half of the first cache.
_COLUMNS = 2048


@jit
def _four(a, b, c, d):
    """Return the transform of four vectors."""
    a, b, c, d = add(a, b), subtract(a, b), add(c, d), subtract(c, d)
    return add(a, c), add(b, d), subtract(a, c), subtract(b, d)


@jit
def _load4(source, i, step):
    """Return the transform of four vectors that are ``step`` apart."""
    return _four(
        load(source, i), load(source, i + step), load(source, i + 2 * step), load(source, i + 3 * step)
    )


@jit
def _store4(out, i, step, a, b, c, d):
    """Write the transform of four vectors ``step`` apart."""
    a, b, c, d = _four(a, b, c, d)
    store(out, i, a)
    store(out, i + step, b)
    store(out, i + 2 * step, c)
    store(out, i + 3 * step, d)


@jit
def _pass2(source, s, s_step, out, o, o_step):
    a, b = load(source, s), load(source, s + s_step)
    store(out, o, add(a, b))
    store(out, o + o_step, subtract(a, b))


@jit
def _pass4(source, s, s_step, out, o, o_step):
    a, b, c, d = _load4(source, s, s_step)
    store(out, o, a)
    store(out, o + o_step, b)
    store(out, o + 2 * o_step, c)
    store(out, o + 3 * o_step, d)


@jit
def _pass8(source, s, s_step, out, o, o_step):
    a, b, c, d = _load4(source, s, s_step)
    e, f, g, h = _load4(source, s + 4 * s_step, s_step)
    store(out, o, add(a, e))
    store(out, o + o_step, add(b, f))
    store(out, o + 2 * o_step, add(c, g))
    store(out, o + 3 * o_step, add(d, h))
    o += 4 * o_step
    store(out, o, subtract(a, e))
    store(out, o + o_step, subtract(b, f))
    store(out, o + 2 * o_step, subtract(c, g))
    store(out, o + 3 * o_step, subtract(d, h))


@jit
def _pass16(source, s, s_step, out, o, o_step):
    a0, a1, a2, a3 = _load4(source, s, s_step)
    b0, b1, b2, b3 = _load4(source, s + 4 * s_step, s_step)
    c0, c1, c2, c3 = _load4(source, s + 8 * s_step, s_step)
    d0, d1, d2, d3 = _load4(source, s + 12 * s_step, s_step)
    _store4(out, o, 4 * o_step, a0, b0, c0, d0)
    _store4(out, o + o_step, 4 * o_step, a1, b1, c1, d1)
    _store4(out, o + 2 * o_step, 4 * o_step, a2, b2, c2, d2)
    _store4(out, o + 3 * o_step, 4 * o_step, a3, b3, c3, d3)


@jit
def _inside4(source, i, step):
    """Return the transform of four vectors that are contiguous, their own numbers included."""
    a, b, c, d = _load4(source, i, step)
    return hadamard(a), hadamard(b), hadamard(c), hadamard(d)


@jit
def _lowest(source, s, out, o, lanes):
    """Transform sixteen contiguous vectors in all their bits."""
    a0, a1, a2, a3 = _inside4(source, s, lanes)
    b0, b1, b2, b3 = _inside4(source, s + 4 * lanes, lanes)
    c0, c1, c2, c3 = _inside4(source, s + 8 * lanes, lanes)
    d0, d1, d2, d3 = _inside4(source, s + 12 * lanes, lanes)
    _store4(out, o, 4 * lanes, a0, b0, c0, d0)
    _store4(out, o + lanes, 4 * lanes, a1, b1, c1, d1)
    _store4(out, o + 2 * lanes, 4 * lanes, a2, b2, c2, d2)
    _store4(out, o + 3 * lanes, 4 * lanes, a3, b3, c3, d3)


@jit
def _rounds(source, s, s_row, out, o, o_row, n_rows, step, bits, width, lanes, next_, ahead):
    """Do the rounds of ``bits`` bits, 1 to 4, from row distance ``step`` on, in all rows and ``width`` columns.

    Where ``ahead`` is not 0, the entries of ``next_`` so far beyond those of ``out`` are fetched meanwhile.
    """
    jump = step << bits
    for high in range(0, n_rows, jump):
        for row in range(high, high + step):
            for c in range(0, width, lanes):
                i, j = s + row * s_row + c, o + row * o_row + c
                if ahead > 0:
                    for r in range(0, jump, step):
                        prefetch(next_, j + r * o_row + ahead)
                if bits == 4:
                    _pass16(source, i, step * s_row, out, j, step * o_row)
                elif bits == 3:
                    _pass8(source, i, step * s_row, out, j, step * o_row)
                elif bits == 2:
                    _pass4(source, i, step * s_row, out, j, step * o_row)
                else:
                    _pass2(source, i, step * s_row, out, j, step * o_row)


@jit
def _plain(table):
    """Transform a short table in place, round by round."""
    n = table.shape[0]
    step = 1
    while step < n:
        for high in range(0, n, 2 * step):
            for i in range(high, high + step):
                a, b = table[i], table[i + step]
                table[i], table[i + step] = a + b, a - b
        step *= 2


@jit
def _next_bits(n_rows, step):
    """Return how many rounds come next from row distance ``step`` on: four at most, and about as many each time."""
    left = 0
    while step << (left + 1) <= n_rows:
        left += 1
    n_passes = (left + 3) // 4
    return (left + n_passes - 1) // n_passes


@jit
def _blocks(source, out, block, buffer, lanes):
    """Do the rounds inside blocks, from the source to ``out``, which may be the same."""
    chunk = 16 * lanes
    n_rows = block // chunk
    # Sixteen parts of a block, the rows of its last rounds, go one by one through the rounds before.
    inner = max(1, n_rows // 16)
    # Rows of a power of two would all compete for the same lines of the cache.
    stride = chunk + lanes
    for begin in range(0, out.shape[0], block):
        if n_rows == 1:
            _lowest(source, begin, out, begin, lanes)
            continue
        for first in range(0, n_rows, inner):
            for r in range(first, first + inner):
                _lowest(source, begin + r * chunk, buffer, r * stride, lanes)
            step, o = 1, first * stride
            while step < inner:
                bits = _next_bits(inner, step)
                _rounds(buffer, o, stride, buffer, o, stride, inner, step, bits, chunk, lanes, source, 0)
                step <<= bits
        bits = _next_bits(n_rows, inner)
        _rounds(buffer, 0, stride, out, begin, chunk, n_rows, inner, bits, chunk, lanes, source, block)


@jit
def _panels(table, begin, n_rows, row, width, buffer, lanes):
    """Do the rounds over ``n_rows`` rows of length ``row`` from ``begin`` on, a panel of columns at a time."""
    stride = width + lanes
    for c in range(begin, begin + row, width):
        step = 1
        while step < n_rows:
            bits = _next_bits(n_rows, step)
            last = step << bits == n_rows
            if step == 1 and last:
                _rounds(table, c, row, table, c, row, n_rows, step, bits, width, lanes, table, 0)
            elif step == 1:
                _rounds(table, c, row, buffer, 0, stride, n_rows, step, bits, width, lanes, table, 0)
            elif last:
                _rounds(buffer, 0, stride, table, c, row, n_rows, step, bits, width, lanes, table, width)
            else:
                _rounds(buffer, 0, stride, buffer, 0, stride, n_rows, step, bits, width, lanes, table, 0)
            step <<= bits


@jit
def walsh_hadamard(values, out):
    """Fill ``out`` (n_tables, 2^n) with ``sum_y (-1)^popcount(x & y) values[y]`` for each table; both may be one array.

    float64, float32, int64 or int32; integers are exact where no sum of sizes exceeds their range.
    """
    size = out.shape[1]
    lanes = _VECTOR_BYTES // out.itemsize
    block = min(size, _BLOCK_BYTES // out.itemsize)
    n_rows = _PANEL_BYTES // _ROW_BYTES
    buffer = np.empty(2 * max(_PANEL_BYTES, _BLOCK_BYTES) // out.itemsize, out.dtype)
    for t in range(out.shape[0]):
        source, table = values[t], out[t]
        if size < 16 * lanes:
            for i in range(size):
                table[i] = source[i]
            _plain(table)
            continue
        _blocks(source, table, block, buffer, lanes)
        row = block
        while row < size:
            rows = min(n_rows, size // row)
            width = _PANEL_BYTES // out.itemsize // rows
            width = min(width, row)
            for begin in range(0, size, rows * row):
                _panels(table, begin, rows, row, width, buffer, lanes)
            row *= rows


# Reordering lets the sum of a block run in vectors; no flag lets the compiler forget NaN.
_REORDER = frozenset({"contract", "reassoc"})


@jit(fastmath=_REORDER)
def _add_block(table, begin, columns):
    """Add a block to the column sums, and return its sum."""
    block_sum = columns.dtype.type(0)
    for j in range(columns.shape[0]):
        value = columns.dtype.type(table[begin + np.uint64(j)])
        columns[j] += value
        block_sum += value
    return block_sum


@jit(fastmath=_REORDER)
def _fold(sums, out, first):
    """Write ``sum_y +-sums[y]`` for each bit of the index to ``out[first:]``, minus where it is set; return the sum of all.

    ``sums`` is used up.
    """
    size, bit = sums.shape[0], 0
    while size >> bit > 1:
        bit += 1
    while size > 1:
        size //= 2
        bit -= 1
        difference = sums.dtype.type(0)
        for j in range(size):
            difference += sums[j] - sums[j + size]
            sums[j] += sums[j + size]
        out[first + bit] = difference
    return sums[0]


@jit
def degree_one_sums(table, out):
    """Fill ``out`` (n + 1,) with ``sum_y table[y]`` and, for each bit i, ``sum_y (-1)^(bit i of y) table[y]``.

    Sums are made in the dtype of ``out``, float64 or int64.
    """
    size = table.shape[0]
    columns = np.zeros(min(size, _COLUMNS), out.dtype)
    n_blocks = size // columns.shape[0]
    blocks = np.empty(n_blocks, out.dtype)
    for b in range(n_blocks):
        blocks[b] = _add_block(table, np.uint64(b * columns.shape[0]), columns)
    n_low = 0
    while columns.shape[0] >> n_low > 1:
        n_low += 1
    _fold(columns, out, 1)
    out[0] = _fold(blocks, out, 1 + n_low)
