"""Convolution of channels-last images: forward, gradient by the input, gradient by the weights.

All three are one product of a few image rows with a panel of numbers, worked on in tiles that stay in vector registers::

    tile[i, :] = sum over o, k of  A[a0 + i row + o outer + k inner] * B[b0 + o outer_B + k inner_B + (0 ... lanes - 1)]

* forward: ``i`` are output pixels of a row, ``o`` the kernel's rows, ``k`` the kernel's columns and the input channels
  (which lie side by side in memory), ``B`` the weights;
* gradient by the weights: ``i`` are kernel columns and input channels, ``o`` and ``k`` the rows and columns of the output,
  ``B`` the output's gradient;
* gradient by the input: a forward pass over the output's gradient with the flipped, transposed weights; for stride ``s``
  there are ``s`` phases an axis, each a forward pass of stride 1 with every ``s``-th tap.

No patch matrix is stored. Each output has one accumulator, so its bits do not depend on the size of the batch, on the place
in it, on the number of threads, or on the size of the tile, which alone depends on the processor.

Every function has a twin of the same name in :mod:`scinn.reference.convolution`.
"""

from __future__ import annotations

import numba
import numpy as np

from scinn.kernels._jit import jit, prange

__all__ = [
    "BLOCK_IMAGES",
    "convolve",
    "convolve_input_gradient",
    "convolve_input_gradient_parallel",
    "convolve_parallel",
    "convolve_weight_gradient",
    "convolve_weight_gradient_parallel",
]

#: Images whose weight gradients are added up in float32 before they go into a float64 total.
BLOCK_IMAGES = 16
VECTOR_BYTES = 64


def _has_wide_registers():
    """Tell whether a tile may use 32 registers of 64 bytes (AVX-512) instead of 16 of 32."""
    if numba.config.CPU_NAME or numba.config.CPU_FEATURES:
        return False
    from llvmlite import binding

    try:
        return bool(binding.get_host_cpu_features().get("avx512f"))
    except RuntimeError:
        return False


WIDE = _has_wide_registers()


if numba.config.DISABLE_JIT:

    def _make_tile(n_rows, n_panels):
        def tile(
            a, a0, a_row, a_outer, a_inner, b, b0, b_panel, b_outer, b_inner, n_outer, n_inner, c, c0, c_row, add,
        ):  # fmt: skip
            lanes = VECTOR_BYTES // a.itemsize
            o, k = np.arange(n_outer)[:, None], np.arange(n_inner)[None, :]
            i, lane = np.arange(n_rows)[:, None], np.arange(lanes)
            left = a[(a0 + i * a_row)[:, :, None] + (o * a_outer + k * a_inner)[None]].reshape(n_rows, -1)
            for panel in range(n_panels):
                where = b0 + panel * b_panel + (o * b_outer + k * b_inner).reshape(-1, 1) + lane
                result = np.einsum("ik,kl->il", left, b[where])
                target = c0 + i * c_row + panel * lanes + lane
                c[target] = c[target] + result if add else result

        return tile

else:
    from llvmlite import ir
    from numba.core import cgutils, types
    from numba.extending import intrinsic

    def _make_tile(n_rows, n_panels):
        """Make the function that computes ``n_rows`` by ``n_panels`` vectors of one tile."""

        @intrinsic
        def tile(
            typing_context, a, a0, a_row, a_outer, a_inner, b, b0, b_panel, b_outer, b_inner, n_outer, n_inner,
            c, c0, c_row, add,
        ):  # fmt: skip
            dtype = a.dtype
            lanes, alignment = VECTOR_BYTES * 8 // dtype.bitwidth, dtype.bitwidth // 8

            def generate(context, builder, signature, arguments):
                (
                    a, a0, a_row, a_outer, a_inner, b, b0, b_panel, b_outer, b_inner, n_outer, n_inner,
                    c, c0, c_row, add,
                ) = arguments  # fmt: skip
                integer = ir.IntType(64)
                vector = ir.VectorType(context.get_value_type(dtype), lanes)
                undefined = ir.Constant(vector, ir.Undefined)
                first_lane = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
                # llvm.fma would become a call of the C library where the processor has no such instruction.
                kind = ir.FunctionType(vector, [vector] * 3)
                name = f"llvm.fmuladd.v{lanes}f{dtype.bitwidth}"
                multiply_add = cgutils.get_or_insert_function(builder.module, kind, name)

                def start(number, array, offset):
                    view = context.make_array(signature.args[number])(context, builder, array)
                    return builder.gep(view.data, [offset])

                def as_vector(pointer):
                    return builder.bitcast(pointer, vector.as_pointer())

                def times(stride, count):
                    return builder.mul(stride, integer(count))

                a_start, b_start, c_start = start(0, a, a0), start(5, b, b0), start(12, c, c0)
                cells = {(i, v): None for i in range(n_rows) for v in range(n_panels)}
                for cell in cells:
                    cells[cell] = cgutils.alloca_once(builder, vector)
                    builder.store(ir.Constant(vector, None), cells[cell])
                offsets = [times(a_row, i) for i in range(min(n_rows, 4))]
                fourth = times(a_row, 4)
                hidden = ir.FunctionType(a_start.type, [a_start.type])
                with cgutils.for_range(builder, n_outer, intp=integer) as outer:
                    a_o = builder.gep(a_start, [builder.mul(outer.index, a_outer)])
                    b_o = builder.gep(b_start, [builder.mul(outer.index, b_outer)])
                    with cgutils.for_range(builder, n_inner, intp=integer) as inner:
                        a_k = builder.gep(a_o, [builder.mul(inner.index, a_inner)])
                        b_k = builder.gep(b_o, [builder.mul(inner.index, b_inner)])
                        panels = [
                            builder.load(as_vector(builder.gep(b_k, [times(b_panel, v)])), align=alignment)
                            for v in range(n_panels)
                        ]
                        # LLVM would keep a pointer for each row, more than there are registers. Behind an empty piece of
                        # assembly it does not see where the pointer comes from, and adds offsets instead.
                        a_k = builder.asm(hidden, "", "=r,0", [a_k], False)
                        for i in range(n_rows):
                            if i and i % 4 == 0:
                                a_k = builder.gep(a_k, [fourth])
                            number = builder.load(builder.gep(a_k, [offsets[i % 4]]), align=alignment)
                            one = builder.insert_element(undefined, number, ir.IntType(32)(0))
                            splat = builder.shuffle_vector(one, undefined, first_lane)
                            for v in range(n_panels):
                                total = builder.load(cells[i, v])
                                total = builder.call(multiply_add, [splat, panels[v], total])
                                builder.store(total, cells[i, v])

                def finish(adding):
                    for (i, v), cell in cells.items():
                        pointer = as_vector(
                            builder.gep(c_start, [builder.add(times(c_row, i), integer(v * lanes))])
                        )
                        total = builder.load(cell)
                        if adding:
                            total = builder.fadd(builder.load(pointer, align=alignment), total)
                        builder.store(total, pointer, align=alignment)

                with builder.if_else(add) as (then, otherwise):
                    with then:
                        finish(True)
                    with otherwise:
                        finish(False)
                return context.get_dummy_value()

            n = types.int64
            signature = types.none(a, n, n, n, n, b, n, n, n, n, n, n, c, n, n, types.boolean)
            return signature, generate

        return tile


_tile_8x2 = _make_tile(8, 2)
_tile_16x1 = _make_tile(16, 1)
_tile_8x1 = _make_tile(8, 1)
_tile_4x2 = _make_tile(4, 2)
_tile_4x1 = _make_tile(4, 1)
_tile_1x1 = _make_tile(1, 1)


@jit
def _tiles(
    a, a0, a_row, a_outer, a_inner, b, b0, b_panel, b_outer, b_inner, n_outer, n_inner, c, c0, c_row, add,
    n_rows, n_panels,
):  # fmt: skip
    """Compute ``n_rows`` rows of ``n_panels`` panels; ``add`` to what stands in ``c`` or replace it."""
    lanes = VECTOR_BYTES // a.itemsize
    panel = 0
    while panel < n_panels:
        pair = WIDE and panel + 2 <= n_panels
        b_at, c_at = b0 + panel * b_panel, c0 + panel * lanes
        i = 0
        while i < n_rows:
            rest = n_rows - i
            # A last tile may overlap the one before it, unless that would add twice.
            if WIDE and not pair and rest >= 16:
                _tile_16x1(
                    a, a0 + i * a_row, a_row, a_outer, a_inner, b, b_at, b_panel, b_outer, b_inner, n_outer, n_inner,
                    c, c_at + i * c_row, c_row, add,
                )  # fmt: skip
                i += 16
            elif WIDE and (rest >= 8 or (rest > 4 and i > 0 and not add)):
                if rest < 8:
                    i = n_rows - 8
                if pair:
                    _tile_8x2(
                        a, a0 + i * a_row, a_row, a_outer, a_inner, b, b_at, b_panel, b_outer, b_inner, n_outer, n_inner,
                        c, c_at + i * c_row, c_row, add,
                    )  # fmt: skip
                else:
                    _tile_8x1(
                        a, a0 + i * a_row, a_row, a_outer, a_inner, b, b_at, b_panel, b_outer, b_inner, n_outer, n_inner,
                        c, c_at + i * c_row, c_row, add,
                    )  # fmt: skip
                i += 8
            elif rest >= 4 or (n_rows > 4 and not add):
                if rest < 4:
                    i = n_rows - 4
                if pair:
                    _tile_4x2(
                        a, a0 + i * a_row, a_row, a_outer, a_inner, b, b_at, b_panel, b_outer, b_inner, n_outer, n_inner,
                        c, c_at + i * c_row, c_row, add,
                    )  # fmt: skip
                else:
                    _tile_4x1(
                        a, a0 + i * a_row, a_row, a_outer, a_inner, b, b_at, b_panel, b_outer, b_inner, n_outer, n_inner,
                        c, c_at + i * c_row, c_row, add,
                    )  # fmt: skip
                i += 4
            else:
                for v in range(2 if pair else 1):
                    _tile_1x1(
                        a, a0 + i * a_row, a_row, a_outer, a_inner, b, b_at + v * b_panel, b_panel, b_outer, b_inner,
                        n_outer, n_inner, c, c_at + v * lanes + i * c_row, c_row, add,
                    )  # fmt: skip
                i += 1
        panel += 2 if pair else 1


@jit
def _correlate(
    a, a0, a_row, a_pixel, a_tap, n_taps, n_inner, packed, out, out0, out_row, out_pixel, n_rows, n_columns, n_channels,
    scratch,
):  # fmt: skip
    """Fill the pixels of one image: each is a product of ``n_taps`` runs of ``n_inner`` numbers with the packed weights."""
    lanes = VECTOR_BYTES // a.itemsize
    whole = n_channels // lanes
    rest = n_channels - whole * lanes
    panel = n_taps * n_inner * lanes
    for row in range(n_rows):
        _tiles(
            a, a0 + row * a_row, a_pixel, a_tap, 1, packed, 0, panel, n_inner * lanes, lanes, n_taps, n_inner,
            out, out0 + row * out_row, out_pixel, False, n_columns, whole,
        )  # fmt: skip
        if rest > 0:
            _tiles(
                a, a0 + row * a_row, a_pixel, a_tap, 1, packed, whole * panel, panel, n_inner * lanes, lanes, n_taps,
                n_inner, scratch, 0, lanes, False, n_columns, 1,
            )  # fmt: skip
            for j in range(n_columns):
                start = out0 + row * out_row + j * out_pixel + whole * lanes
                for lane in range(rest):
                    out[start + lane] = scratch[j * lanes + lane]


# Reordering lets the sum run in vectors; 0 x is 0 or NaN in any order, and no flag lets the compiler forget NaN.
@jit(fastmath=frozenset({"contract", "reassoc"}))
def _is_finite(values):
    total = values.dtype.type(0)
    for i in range(values.size):
        total += values[i] * values.dtype.type(0)
    return total == 0


@jit
def _copy_padded(x, image, top, left, width, padded):
    """Write an image into the middle of a padded one whose border is zero already."""
    n_rows, n_columns, n_channels = x.shape[1], x.shape[2], x.shape[3]
    flat = x.reshape(x.size)
    run = n_columns * n_channels
    for row in range(n_rows):
        start, begin = ((row + top) * width + left) * n_channels, (image * n_rows + row) * run
        source, target = flat[begin : begin + run], padded[start : start + run]
        for j in range(run):
            target[j] = source[j]


@jit
def _pack(weight):
    """Return the weights (kh, kw, C_in, C_out) panel by panel: (panels, kh, kw, C_in, lanes), filled up with zeros."""
    lanes = VECTOR_BYTES // weight.itemsize
    kh, kw, n_in, n_out = weight.shape
    n_panels = (n_out + lanes - 1) // lanes
    packed = np.zeros(n_panels * kh * kw * n_in * lanes, weight.dtype)
    at = 0
    for panel in range(n_panels):
        width = min(lanes, n_out - panel * lanes)
        for a in range(kh):
            for b in range(kw):
                for c in range(n_in):
                    for lane in range(width):
                        packed[at + lane] = weight[a, b, c, panel * lanes + lane]
                    at += lanes
    return packed


@jit
def _pack_phase(weight, first_row, first_column, row_stride, column_stride):
    """Return the taps of one phase, in reversed order and with input and output channels exchanged, packed as above."""
    kh, kw, n_in, n_out = weight.shape
    n_rows = max(0, (kh - first_row + row_stride - 1) // row_stride)
    n_columns = max(0, (kw - first_column + column_stride - 1) // column_stride)
    taps = np.empty((n_rows, n_columns, n_out, n_in), weight.dtype)
    for i in range(n_rows):
        for j in range(n_columns):
            a = first_row + (n_rows - 1 - i) * row_stride
            b = first_column + (n_columns - 1 - j) * column_stride
            for c in range(n_out):
                for d in range(n_in):
                    taps[i, j, c, d] = weight[a, b, d, c]
    return _pack(taps), n_rows, n_columns


def _convolve(x, weight, bias, row_stride, column_stride, row_padding, column_padding, out, finite):
    """Fill ``out`` (N, H_out, W_out, C_out) from ``x`` (N, H, W, C_in) and ``weight`` (kh, kw, C_in, C_out).

    ``bias`` (C_out or 0,) is added where it has entries; ``finite`` (N,) tells which images were (as they pass through
    the cache, where asking costs one or two percent).
    """
    n_images, height, width, n_in = x.shape
    kh, kw, n_out = weight.shape[0], weight.shape[1], weight.shape[3]
    out_height, out_width = out.shape[1], out.shape[2]
    lanes = VECTOR_BYTES // x.itemsize
    packed = _pack(weight)
    flat_out, flat_x = out.reshape(out.size), x.reshape(x.size)
    padded_height, padded_width = height + 2 * row_padding, width + 2 * column_padding
    padding = row_padding > 0 or column_padding > 0
    n_blocks = (n_images + BLOCK_IMAGES - 1) // BLOCK_IMAGES
    for block in prange(n_blocks):
        scratch = np.empty(out_width * lanes, x.dtype)
        padded = np.zeros(padded_height * padded_width * n_in if padding else 0, x.dtype)
        for image in range(block * BLOCK_IMAGES, min(n_images, (block + 1) * BLOCK_IMAGES)):
            start = image * height * width * n_in
            finite[image] = _is_finite(flat_x[start : start + height * width * n_in])
            source = flat_x
            if padding:
                _copy_padded(x, image, row_padding, column_padding, padded_width, padded)
                start = 0
                source = padded
            _correlate(
                source, start, row_stride * padded_width * n_in, column_stride * n_in, padded_width * n_in, kh, kw * n_in,
                packed, flat_out, image * out_height * out_width * n_out, out_width * n_out, n_out,
                out_height, out_width, n_out, scratch,
            )  # fmt: skip
            if bias.size > 0:
                for pixel in range(image * out_height * out_width, (image + 1) * out_height * out_width):
                    for c in range(n_out):
                        flat_out[pixel * n_out + c] += bias[c]


@jit
def _phase(place, padding, stride, kernel):
    """Return the first tap that a phase of places meets, the output at its first place, and its number of taps."""
    first = (place + padding) % stride
    return first, (place + padding) // stride, (kernel - first + stride - 1) // stride


@jit
def _border(size, out_size, kernel, stride, padding):
    """Return how many zeros before and behind an axis of ``dy`` some phase reads."""
    before = behind = 0
    for place in range(min(stride, size)):
        _, shift, n_taps = _phase(place, padding, stride, kernel)
        before = max(before, n_taps - 1 - shift)
        behind = max(behind, (size - 1 - place) // stride + shift - (out_size - 1))
    return before, behind


def _convolve_input_gradient(dy, weight, row_stride, column_stride, row_padding, column_padding, dx):
    """Fill ``dx`` (N, H, W, C_in) with the gradient by the input, from ``dy`` (N, H_out, W_out, C_out).

    Input row ``r + s u`` meets the taps ``a = a_0 + s t`` with ``a_0 = (r + p) mod s`` at the output rows
    ``u + e - t``, where ``e = (r + p - a_0) / s``: for each ``r`` a convolution of stride 1 in ``u``.
    """
    n_images, height, width, n_in = dx.shape
    kh, kw, n_out = weight.shape[0], weight.shape[1], weight.shape[3]
    out_height, out_width = dy.shape[1], dy.shape[2]
    lanes = VECTOR_BYTES // dy.itemsize
    top, bottom = _border(height, out_height, kh, row_stride, row_padding)
    left, right = _border(width, out_width, kw, column_stride, column_padding)
    padding = top > 0 or left > 0 or bottom > 0 or right > 0
    padded_height, padded_width = out_height + top + bottom, out_width + left + right
    flat_dx, flat_dy = dx.reshape(dx.size), dy.reshape(dy.size)
    phases = []
    for r in range(min(row_stride, height)):
        first_row = _phase(r, row_padding, row_stride, kh)[0]
        for c in range(min(column_stride, width)):
            first_column = _phase(c, column_padding, column_stride, kw)[0]
            phases.append(_pack_phase(weight, first_row, first_column, row_stride, column_stride))
    n_phase_columns = min(column_stride, width)
    n_blocks = (n_images + BLOCK_IMAGES - 1) // BLOCK_IMAGES
    for block in prange(n_blocks):
        scratch = np.empty(width * lanes, dy.dtype)
        padded = np.zeros(padded_height * padded_width * n_out if padding else 0, dy.dtype)
        for image in range(block * BLOCK_IMAGES, min(n_images, (block + 1) * BLOCK_IMAGES)):
            start = image * out_height * out_width * n_out
            source = flat_dy
            if padding:
                _copy_padded(dy, image, top, left, padded_width, padded)
                start = 0
                source = padded
            for r in range(min(row_stride, height)):
                row_shift = (r + row_padding) // row_stride
                for c in range(n_phase_columns):
                    column_shift = (c + column_padding) // column_stride
                    packed, n_tap_rows, n_tap_columns = phases[r * n_phase_columns + c]
                    first_row = top + row_shift - (n_tap_rows - 1)
                    first_column = left + column_shift - (n_tap_columns - 1)
                    if n_tap_rows == 0 or n_tap_columns == 0:
                        n_tap_rows = n_tap_columns = first_row = first_column = 0
                    _correlate(
                        source, start + (first_row * padded_width + first_column) * n_out, padded_width * n_out, n_out,
                        padded_width * n_out, n_tap_rows, n_tap_columns * n_out, packed,
                        flat_dx, ((image * height + r) * width + c) * n_in, row_stride * width * n_in, column_stride * n_in,
                        (height - r + row_stride - 1) // row_stride, (width - c + column_stride - 1) // column_stride,
                        n_in, scratch,
                    )  # fmt: skip


@jit
def _add_weight_gradient(source, start, padded_width, row_stride, column_stride, n_in, kh, kw, dy, at, out_height,
                         out_width, n_columns, partial):  # fmt: skip
    """Add one image's gradient to ``partial`` (kh, kw, C_in, C_out up to whole vectors), flat."""
    lanes = VECTOR_BYTES // source.itemsize
    for a in range(kh):
        _tiles(
            source, start + a * padded_width * n_in, 1, row_stride * padded_width * n_in, column_stride * n_in,
            dy, at, lanes, out_width * n_columns, n_columns, out_height, out_width,
            partial, a * kw * n_in * n_columns, n_columns, True, kw * n_in, n_columns // lanes,
        )  # fmt: skip


def _convolve_weight_gradient(
    x, dy, row_stride, column_stride, row_padding, column_padding, partials, dweight
):
    """Fill ``dweight`` (kh, kw, C_in, C_out; float64) with the gradient by the weights.

    ``partials`` (blocks of :data:`BLOCK_IMAGES` images, kh kw C_in, C_out rounded up to whole vectors), in the dtype of
    ``x``, is work space.
    """
    n_images, height, width, n_in = x.shape
    kh, kw, n_out = dweight.shape[0], dweight.shape[1], dweight.shape[3]
    out_height, out_width = dy.shape[1], dy.shape[2]
    n_columns = partials.shape[2]
    flat_x, flat_dy = x.reshape(x.size), dy.reshape(dy.size)
    padded_height, padded_width = height + 2 * row_padding, width + 2 * column_padding
    padding = row_padding > 0 or column_padding > 0
    for block in prange(partials.shape[0]):
        partial = partials[block].reshape(partials[block].size)
        partial[:] = 0
        padded = np.zeros(padded_height * padded_width * n_in if padding else 0, x.dtype)
        whole = np.zeros(out_height * out_width * n_columns if n_columns != n_out else 0, x.dtype)
        for image in range(block * BLOCK_IMAGES, min(n_images, (block + 1) * BLOCK_IMAGES)):
            start, at = image * height * width * n_in, image * out_height * out_width * n_out
            source, gradient = flat_x, flat_dy
            if padding:
                _copy_padded(x, image, row_padding, column_padding, padded_width, padded)
                start = 0
                source = padded
            if n_columns != n_out:
                for pixel in range(out_height * out_width):
                    for c in range(n_out):
                        whole[pixel * n_columns + c] = flat_dy[at + pixel * n_out + c]
                at = 0
                gradient = whole
            _add_weight_gradient(
                source, start, padded_width, row_stride, column_stride, n_in, kh, kw, gradient, at, out_height, out_width,
                n_columns, partial,
            )  # fmt: skip
    flat = dweight.reshape(kh * kw * n_in, n_out)
    flat[:] = 0
    for block in range(partials.shape[0]):
        for i in range(flat.shape[0]):
            for c in range(n_out):
                flat[i, c] += partials[block, i, c]


# One body, two compilations: blocks of images are fixed, so both give the same bits at any number of threads.
convolve = jit(_convolve)
convolve_parallel = jit(_convolve, parallel=True)
convolve_input_gradient = jit(_convolve_input_gradient)
convolve_input_gradient_parallel = jit(_convolve_input_gradient, parallel=True)
convolve_weight_gradient = jit(_convolve_weight_gradient)
convolve_weight_gradient_parallel = jit(_convolve_weight_gradient, parallel=True)
