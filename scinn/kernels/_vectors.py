"""Vectors of 64 bytes for compiled code: eight float64 or int64, sixteen float32 or int32, held in registers.

Numba leaves it to LLVM whether a loop runs in vectors; short loops inside others often do not. Code written with these
functions does, on any processor: where registers are shorter, LLVM takes several. Without compilation a vector is a small
NumPy array. Arrays are one-dimensional and C-contiguous; indices count elements and are not tested.
"""

from __future__ import annotations

import numba
import numpy as np

__all__ = [
    "absolute", "add", "alternate", "fma", "hadamard", "largest", "load", "maximum", "minimum", "multiply", "prefetch",
    "spread", "store", "subtract", "total",
]  # fmt: skip

_BYTES = 64


if numba.config.DISABLE_JIT:

    def load(array, index):
        """Return the numbers of an array from an index on."""
        start = int(index)
        return array[start : start + _BYTES // array.itemsize].copy()

    def store(array, index, vector):
        """Write a vector into an array from an index on."""
        start = int(index)
        array[start : start + len(vector)] = vector

    def prefetch(array, index):
        """Ask for the cache line of an entry, which may lie beyond the end."""

    def spread(number):
        """Return a vector of one number."""
        value = np.asarray(number)
        return np.full(_BYTES // value.itemsize, value)

    def add(vector, other):
        """Return vector + other."""
        return vector + other

    def subtract(vector, other):
        """Return vector - other."""
        return vector - other

    def multiply(vector, other):
        """Return vector * other."""
        return vector * other

    def fma(vector, other, start):
        """Return vector * other + start, fused where the processor can."""
        return vector * other + start

    def absolute(vector):
        """Return the sizes of floats."""
        return np.abs(vector)

    def maximum(vector, other):
        """Return the larger of each two floats that are not NaN."""
        return np.maximum(vector, other)

    def minimum(vector, other):
        """Return the smaller of each two floats that are not NaN."""
        return np.minimum(vector, other)

    def alternate(vector, shifted):
        """Return float64, negated where the lowest bit of ``shifted`` is set."""
        return np.where(shifted.view(np.int64) & 1, -vector, vector)

    def hadamard(vector):
        """Return the Walsh-Hadamard transform of the numbers of a vector."""
        step = 1
        while step < len(vector):
            pairs = vector.reshape(-1, 2, step)
            vector = np.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]], axis=1).reshape(-1)
            step *= 2
        return vector

    def largest(vector):
        """Return the largest of floats that are not NaN."""
        return vector.max()

    def total(vector):
        """Return the sum: halves are added until one number is left."""
        while len(vector) > 1:
            vector = vector[: len(vector) // 2] + vector[len(vector) // 2 :]
        return vector[0]

else:
    from llvmlite import ir
    from numba.core import cgutils, types
    from numba.extending import intrinsic, models, register_model
    from numba.np import arrayobj

    class _Vector(types.Type):
        def __init__(self, dtype):
            self.dtype = dtype
            self.lanes = 8 * _BYTES // dtype.bitwidth
            super().__init__(name=f"Vector64({dtype})")

    @register_model(_Vector)
    class _VectorModel(models.PrimitiveModel):
        def __init__(self, manager, vector):
            element = manager.lookup(vector.dtype).get_value_type()
            super().__init__(manager, vector, ir.VectorType(element, vector.lanes))

    def _pointer(context, builder, array_type, array, index):
        view = arrayobj.make_array(array_type)(context, builder, array)
        element = context.get_value_type(array_type.dtype)
        vector = ir.VectorType(element, _Vector(array_type.dtype).lanes)
        return builder.bitcast(builder.gep(view.data, [index]), vector.as_pointer())

    def _mask(indices):
        return ir.Constant(ir.VectorType(ir.IntType(32), len(indices)), list(indices))

    def _shuffle(builder, vector, indices):
        return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), _mask(indices))

    def _is_float(vector):
        return isinstance(vector.dtype, types.Float)

    def _sum(builder, vector, a, b):
        return builder.fadd(a, b) if _is_float(vector) else builder.add(a, b)

    def _difference(builder, vector, a, b):
        return builder.fsub(a, b) if _is_float(vector) else builder.sub(a, b)

    @intrinsic
    def load(typing_context, array, index):
        """Return the numbers of an array from an index on."""

        def generate(context, builder, signature, arguments):
            where = context.cast(builder, arguments[1], index, types.intp)
            # An array promises the alignment of its elements only.
            pointer = _pointer(context, builder, array, arguments[0], where)
            return builder.load(pointer, align=array.dtype.bitwidth // 8)

        return _Vector(array.dtype)(array, index), generate

    @intrinsic
    def store(typing_context, array, index, vector):
        """Write a vector into an array from an index on."""

        def generate(context, builder, signature, arguments):
            where = context.cast(builder, arguments[1], index, types.intp)
            pointer = _pointer(context, builder, array, arguments[0], where)
            builder.store(arguments[2], pointer, align=array.dtype.bitwidth // 8)
            return context.get_dummy_value()

        return types.none(array, index, vector), generate

    @intrinsic
    def prefetch(typing_context, array, index):
        """Ask for the cache line of an entry, which may lie beyond the end."""

        def generate(context, builder, signature, arguments):
            where = context.cast(builder, arguments[1], index, types.intp)
            pointer = _pointer(context, builder, array, arguments[0], where)
            number, byte = ir.IntType(32), ir.IntType(8).as_pointer()
            kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
            function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
            # To be read, into the second cache, from the data side.
            flags = [number(0), number(2), number(1)]
            builder.call(function, [builder.bitcast(pointer, byte), *flags])
            return context.get_dummy_value()

        return types.none(array, index), generate

    @intrinsic
    def spread(typing_context, number):
        """Return a vector of one number."""
        number_type = types.unliteral(number)
        vector = _Vector(number_type)

        def generate(context, builder, signature, arguments):
            kind = context.get_value_type(vector)
            one = builder.insert_element(ir.Constant(kind, ir.Undefined), arguments[0], ir.IntType(32)(0))
            return _shuffle(builder, one, [0] * vector.lanes)

        return vector(number_type), generate

    @intrinsic
    def add(typing_context, vector, other):
        """Return vector + other."""

        def generate(context, builder, signature, arguments):
            return _sum(builder, vector, *arguments)

        return vector(vector, other), generate

    @intrinsic
    def subtract(typing_context, vector, other):
        """Return vector - other."""

        def generate(context, builder, signature, arguments):
            return _difference(builder, vector, *arguments)

        return vector(vector, other), generate

    @intrinsic
    def multiply(typing_context, vector, other):
        """Return vector * other."""

        def generate(context, builder, signature, arguments):
            return builder.fmul(*arguments)

        return vector(vector, other), generate

    @intrinsic
    def fma(typing_context, vector, other, start):
        """Return vector * other + start, fused where the processor can."""

        def generate(context, builder, signature, arguments):
            product = builder.fmul(arguments[0], arguments[1], flags=("contract",))
            return builder.fadd(product, arguments[2], flags=("contract",))

        return vector(vector, other, start), generate

    @intrinsic
    def absolute(typing_context, vector):
        """Return the sizes of floats."""

        def generate(context, builder, signature, arguments):
            kind, width = arguments[0].type, vector.dtype.bitwidth
            bits = ir.VectorType(ir.IntType(width), kind.count)
            rest = ir.Constant(bits, [2 ** (width - 1) - 1] * kind.count)
            return builder.bitcast(builder.and_(builder.bitcast(arguments[0], bits), rest), kind)

        return vector(vector), generate

    def _chosen(comparison):
        def generate(context, builder, signature, arguments):
            return builder.select(builder.fcmp_ordered(comparison, *arguments), *arguments)

        return generate

    @intrinsic
    def maximum(typing_context, vector, other):
        """Return the larger of each two floats that are not NaN."""
        return vector(vector, other), _chosen(">")

    @intrinsic
    def minimum(typing_context, vector, other):
        """Return the smaller of each two floats that are not NaN."""
        return vector(vector, other), _chosen("<")

    @intrinsic
    def alternate(typing_context, vector, shifted):
        """Return float64, negated where the lowest bit of ``shifted`` is set."""

        def generate(context, builder, signature, arguments):
            kind = arguments[0].type
            bits = ir.VectorType(ir.IntType(64), kind.count)
            top = builder.shl(builder.bitcast(arguments[1], bits), ir.Constant(bits, [63] * kind.count))
            return builder.bitcast(builder.xor(builder.bitcast(arguments[0], bits), top), kind)

        return vector(vector, shifted), generate

    @intrinsic
    def hadamard(typing_context, vector):
        """Return the Walsh-Hadamard transform of the numbers of a vector."""

        def generate(context, builder, signature, arguments):
            value, lanes, step = arguments[0], range(vector.lanes), 1
            while step < vector.lanes:
                swapped = _shuffle(builder, value, [lane ^ step for lane in lanes])
                sums = _sum(builder, vector, value, swapped)
                differences = _difference(builder, vector, swapped, value)
                picks = [lane + vector.lanes if lane & step else lane for lane in lanes]
                value = builder.shuffle_vector(sums, differences, _mask(picks))
                step *= 2
            return value

        return vector(vector), generate

    def _reduced(builder, vector, value, combine):
        half = vector.lanes // 2
        while half:
            low = _shuffle(builder, value, range(half))
            high = _shuffle(builder, value, range(half, 2 * half))
            value, half = combine(low, high), half // 2
        return builder.extract_element(value, ir.IntType(32)(0))

    @intrinsic
    def largest(typing_context, vector):
        """Return the largest of floats that are not NaN."""

        def generate(context, builder, signature, arguments):
            def combine(low, high):
                return builder.select(builder.fcmp_ordered(">", low, high), low, high)

            return _reduced(builder, vector, arguments[0], combine)

        return vector.dtype(vector), generate

    @intrinsic
    def total(typing_context, vector):
        """Return the sum: halves are added until one number is left."""

        def generate(context, builder, signature, arguments):
            return _reduced(builder, vector, arguments[0], lambda low, high: _sum(builder, vector, low, high))

        return vector.dtype(vector), generate
