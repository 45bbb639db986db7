"""Chebyshev recurrences on a graph with many filters at once: one pass over the rows a degree.

The Laplacian is given as its diagonal and the positive weights off the diagonal, ``L = diag(diagonal) - S``. With
``B = h L - I`` a pass forms one more term of a three-term recurrence row by row. The analysis adds three terms at
once to the outputs of all filters while their rows are in registers, so that outputs are touched at every third
degree only; the synthesis (Clenshaw's rule) gathers its right side from all bands in the same pass.

Rows are worked on in vectors, which Numba is taught below: its own loops over a dozen columns spend most of their
time on entering and leaving.
"""

from __future__ import annotations

import numba
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
CHUNK_ROWS = 256
LANES = 8

if numba.config.DISABLE_JIT:

    def _load(array, where):
        return array[(*where[:-1], slice(where[-1], where[-1] + LANES))].copy()

    def _store(array, where, vector):
        array[(*where[:-1], slice(where[-1], where[-1] + LANES))] = vector

    def _scale(number, vector):
        return number * vector

    def _add(vector, other):
        return vector + other

    def _fma(number, vector, start):
        return number * vector + start

else:
    from llvmlite import ir
    from numba.core import cgutils, types
    from numba.extending import intrinsic, models, register_model
    from numba.np import arrayobj

    class _Vector(types.Type):
        """Floats held in vector registers."""

        def __init__(self, dtype):
            self.dtype = dtype
            super().__init__(name=f"Vector{LANES}({dtype})")

    @register_model(_Vector)
    class _VectorModel(models.PrimitiveModel):
        def __init__(self, manager, vector):
            element = manager.lookup(vector.dtype).get_value_type()
            super().__init__(manager, vector, ir.VectorType(element, LANES))

    def _pointer(context, builder, array_type, array, index_type, index):
        view = arrayobj.make_array(array_type)(context, builder, array)
        indices = [
            context.cast(builder, value, kind, types.intp)
            for value, kind in zip(cgutils.unpack_tuple(builder, index), index_type)
        ]
        shape = cgutils.unpack_tuple(builder, view.shape)
        strides = cgutils.unpack_tuple(builder, view.strides)
        pointer = cgutils.get_item_pointer2(context, builder, view.data, shape, strides, "C", indices)
        element = context.get_value_type(array_type.dtype)
        return builder.bitcast(pointer, ir.VectorType(element, LANES).as_pointer())

    def _splat(context, builder, vector_type, number):
        kind = context.get_value_type(vector_type)
        empty = ir.Constant(kind, ir.Undefined)
        one = builder.insert_element(empty, number, ir.IntType(32)(0))
        return builder.shuffle_vector(
            one, empty, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        )

    @intrinsic
    def _load(typing_context, array, where):
        """Return the numbers of a C-contiguous array from an index on."""

        def generate(context, builder, signature, arguments):
            pointer = _pointer(context, builder, array, arguments[0], where, arguments[1])
            # An array promises the alignment of its elements only.
            return builder.load(pointer, align=array.dtype.bitwidth // 8)

        return _Vector(array.dtype)(array, where), generate

    @intrinsic
    def _store(typing_context, array, where, vector):
        """Write a vector into a C-contiguous array from an index on."""

        def generate(context, builder, signature, arguments):
            pointer = _pointer(context, builder, array, arguments[0], where, arguments[1])
            builder.store(arguments[2], pointer, align=array.dtype.bitwidth // 8)
            return context.get_dummy_value()

        return types.none(array, where, vector), generate

    @intrinsic
    def _scale(typing_context, number, vector):
        """Return number * vector."""

        def generate(context, builder, signature, arguments):
            cast = context.cast(builder, arguments[0], number, vector.dtype)
            return builder.fmul(_splat(context, builder, vector, cast), arguments[1])

        return vector(number, vector), generate

    @intrinsic
    def _add(typing_context, vector, other):
        """Return vector + other."""

        def generate(context, builder, signature, arguments):
            return builder.fadd(arguments[0], arguments[1])

        return vector(vector, other), generate

    @intrinsic
    def _fma(typing_context, number, vector, start):
        """Return number * vector + start, fused where the processor can."""

        def generate(context, builder, signature, arguments):
            cast = context.cast(builder, arguments[0], number, vector.dtype)
            product = builder.fmul(_splat(context, builder, vector, cast), arguments[1], flags=("contract",))
            return builder.fadd(product, arguments[2], flags=("contract",))

        return vector(number, vector, start), generate


@jit
def _analysis_rows(
    begin, end, data, indices, indptr, diagonal, h, a, g, now, before, after, keep, mode, weights, low, low_column,
    out, column, first, stride,
):  # fmt: skip
    width = now.shape[1]
    whole = width - width % LANES
    edge = -a * h
    for i in range(begin, end if whole > 0 else begin):
        own = a * (h * diagonal[i]) - a
        start, stop = indptr[i], indptr[i + 1]
        for j in range(0, whole, LANES):
            t0, t1 = _load(before, (i, j)), _load(now, (i, j))
            t2 = _fma(own, t1, _scale(-g, t0))
            for p in range(start, stop):
                t2 = _fma(edge * data[p], _load(now, (indices[p], j)), t2)
            if keep:
                _store(after, (i, j), t2)
            if mode == 0:
                continue
            for r in range(weights.shape[0]):
                total = _fma(weights[r, 0], t0, _fma(weights[r, 1], t1, _scale(weights[r, 2], t2)))
                if r == 0:
                    if mode == 2:
                        total = _add(total, _load(low, (i, low_column + j)))
                    _store(low, (i, low_column + j), total)
                else:
                    where = (first + (r - 1) * stride, i, column + j)
                    if mode == 2:
                        total = _add(total, _load(out, where))
                    _store(out, where, total)
    # What is left of the columns goes chunk by chunk of rows, so that the loops over filters are long ones.
    fresh = np.empty(CHUNK_ROWS, now.dtype)
    for j in range(whole, width):
        for lo in range(begin, end, CHUNK_ROWS):
            hi = min(end, lo + CHUNK_ROWS)
            for i in range(lo, hi):
                value = (a * (h * diagonal[i]) - a) * now[i, j] - g * before[i, j]
                for p in range(indptr[i], indptr[i + 1]):
                    # An unsigned index needs no test for counting from the end.
                    value += edge * data[p] * now[np.uint64(indices[p]), j]
                fresh[i - lo] = value
            if mode > 0:
                v0, v1, v2 = weights[0, 0], weights[0, 1], weights[0, 2]
                if mode == 1:
                    for i in range(lo, hi):
                        low[i, low_column + j] = v0 * before[i, j] + v1 * now[i, j] + v2 * fresh[i - lo]
                else:
                    for i in range(lo, hi):
                        low[i, low_column + j] += v0 * before[i, j] + v1 * now[i, j] + v2 * fresh[i - lo]
                for r in range(1, weights.shape[0]):
                    v0, v1, v2 = weights[r, 0], weights[r, 1], weights[r, 2]
                    band = first + (r - 1) * stride
                    if mode == 1:
                        for i in range(lo, hi):
                            out[band, i, column + j] = v0 * before[i, j] + v1 * now[i, j] + v2 * fresh[i - lo]
                    else:
                        for i in range(lo, hi):
                            out[band, i, column + j] += (
                                v0 * before[i, j] + v1 * now[i, j] + v2 * fresh[i - lo]
                            )
            if keep:
                for i in range(lo, hi):
                    after[i, j] = fresh[i - lo]


@jit
def analysis_pass(
    data, indices, indptr, diagonal, h, a, g, now, before, after, keep, mode, weights, low, low_column, out, column,
    first, stride,
):  # fmt: skip
    """Set after = a B now - g before, and write (mode 1) or add (mode 2) three terms of each filter's series.

    Filter 0 goes to ``low[:, low_column:]``, filter r to ``out[first + (r - 1) * stride, :, column:]``; its terms are
    ``weights[r] . (before, now, after)``. Mode 0 leaves the outputs alone. ``after`` may be the memory of ``before``; it
    is not written unless ``keep``.
    """
    _analysis_rows(
        0, now.shape[0], data, indices, indptr, diagonal, h, a, g, now, before, after, keep, mode, weights, low,
        low_column, out, column, first, stride,
    )  # fmt: skip


@jit(parallel=True)
def analysis_pass_parallel(
    data, indices, indptr, diagonal, h, a, g, now, before, after, keep, mode, weights, low, low_column, out, column,
    first, stride,
):  # fmt: skip
    """The same as ``analysis_pass``, to the bit, with blocks of rows shared among threads."""
    n = now.shape[0]
    for block in prange((n + BLOCK_ROWS - 1) // BLOCK_ROWS):
        _analysis_rows(
            block * BLOCK_ROWS, min(n, (block + 1) * BLOCK_ROWS), data, indices, indptr, diagonal, h, a, g, now,
            before, after, keep, mode, weights, low, low_column, out, column, first, stride,
        )  # fmt: skip


@jit
def _synthesis_rows(
    begin, end, data, indices, indptr, diagonal, h, a, now, before, after, mode, weights, low, low_column, bands,
    column, first, stride, result, result_column,
):  # fmt: skip
    width = now.shape[1]
    whole = width - width % LANES
    edge = -a * h
    for i in range(begin, end if whole > 0 else begin):
        own = a * (h * diagonal[i]) - a
        # Without a term before it there is no neighbour to read.
        start, stop = indptr[i], indptr[i + 1] if mode > 0 else indptr[i]
        for j in range(0, whole, LANES):
            total = _scale(weights[0], _load(low, (i, low_column + j)))
            for r in range(1, weights.shape[0]):
                total = _fma(weights[r], _load(bands, (first + (r - 1) * stride, i, column + j)), total)
            if mode > 0:
                total = _fma(own, _load(now, (i, j)), total)
            if mode > 1:
                total = _fma(-1, _load(before, (i, j)), total)
            for p in range(start, stop):
                total = _fma(edge * data[p], _load(now, (indices[p], j)), total)
            if mode == 3:
                _store(result, (i, result_column + j), total)
            else:
                _store(after, (i, j), total)
    fresh = np.empty(CHUNK_ROWS, now.dtype)
    for j in range(whole, width):
        for lo in range(begin, end, CHUNK_ROWS):
            hi = min(end, lo + CHUNK_ROWS)
            v = weights[0]
            for i in range(lo, hi):
                fresh[i - lo] = v * low[i, low_column + j]
            for r in range(1, weights.shape[0]):
                v = weights[r]
                band = first + (r - 1) * stride
                for i in range(lo, hi):
                    fresh[i - lo] += v * bands[band, i, column + j]
            if mode > 0:
                for i in range(lo, hi):
                    value = fresh[i - lo] + (a * (h * diagonal[i]) - a) * now[i, j]
                    for p in range(indptr[i], indptr[i + 1]):
                        value += edge * data[p] * now[np.uint64(indices[p]), j]
                    fresh[i - lo] = value
            if mode > 1:
                for i in range(lo, hi):
                    fresh[i - lo] -= before[i, j]
            if mode == 3:
                for i in range(lo, hi):
                    result[i, result_column + j] = fresh[i - lo]
            else:
                for i in range(lo, hi):
                    after[i, j] = fresh[i - lo]


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
