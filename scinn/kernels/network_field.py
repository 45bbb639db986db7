"""Fields of networks with random weights: forward pass at the grid points, derivatives in both directions, operators.

Notation and equations follow Li, Dunlop, Stadler (2022), "Bayesian neural network priors for edge-preserving inversion",
Inverse Problems and Imaging 16(5), arXiv 2112.10663. Layer ``l = 0 .. L`` maps ``h_l`` to ``z_l = W_l h_l + b_l``, hidden
layers to ``h_(l+1) = phi(z_l)``, and the field is ``u = z_L``. Its weights are ``s_l T_l(xi)`` with white ``xi``, one block
of coordinates for each layer: ``W_l`` row by row, then ``b_l``.

Values of a layer are rows of a flat array, one for each unit, with the grid points along them; rows are padded to whole
vectors by repeating the last point, and gradients are zero there. Products of such rows run in blocks of registers: at these
sizes a call of BLAS costs as much as the product. Twins are in :mod:`scinn.reference.network_field`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from scinn.kernels._jit import jit
from scinn.kernels._vectors import add, fma, load, spread, store, total
from scinn.kernels.elementary import exp64, tanh64
from scinn.kernels.heavy_tails import n_white, pullback_block, pushforward_block, transform_block

__all__ = [
    "Model", "Workspace", "adjoint_operator", "apply_operator", "backward", "forward", "n_coordinates", "n_weights",
    "pull_back", "push_forward", "set_weights", "tangent", "workspace",
]  # fmt: skip

_LANES = 8
_LEAK = 0.01
_ERF_SLOPE = 2.0 / math.sqrt(math.pi)


class Model(NamedTuple):
    """A network or a linear map with random weights, an operator and data; arrays C-contiguous and writeable.

    ``kind`` is 0 for ``F = left @ weights`` and 1 for ``F = left @ u`` with the field of a network. The activations are
    0 tanh, 1 sign, 2 erf, 3 relu, 4 leaky relu (slope 0.01), 5 sin.
    """

    kind: int
    # 1: the last layer, whose law is Gaussian, is integrated out, and only the others have coordinates.
    collapsed: int
    # D_0 .. D_(L+1), or the number of weights in each block.
    widths: np.ndarray
    # One entry for each block; tables is (blocks, a, b).
    laws: np.ndarray
    law_parameters: np.ndarray
    tables: np.ndarray
    # The bias scales are those of layers only.
    weight_scales: np.ndarray
    bias_scales: np.ndarray
    activation: int
    # (D_0, n); (0, 0) where there is no network.
    points: np.ndarray
    # Dense (m, n) and (0, 0), or K_a (m_a, n_a) and K_b (m_b, n_b) for K_a U K_b^T.
    left: np.ndarray
    right: np.ndarray
    # (m,) each: what multiplies the operator's values, and whitened data.
    inverse_sd: np.ndarray
    data: np.ndarray


class Workspace(NamedTuple):
    """Scratch arrays for one model; nothing in them outlives a call except the padded points and the ones."""

    weights: np.ndarray
    weight_gradient: np.ndarray
    # h_0 .. h_L and a row of ones; slopes phi'(z) at the places of h_1 .. h_L.
    values: np.ndarray
    slopes: np.ndarray
    # Two layers' gradients or tangents.
    deltas: np.ndarray
    field: np.ndarray
    residual: np.ndarray
    scaled: np.ndarray
    middle: np.ndarray
    # Of the collapsed model: the operator's values of all features, what solves give, a square matrix.
    responses: np.ndarray
    solved: np.ndarray
    square: np.ndarray
    mean: np.ndarray
    zero: np.ndarray


@jit(inline="always")
def block_size(model, k):
    """Return the number of weights in block k."""
    if model.kind == 0:
        return model.widths[k]
    return model.widths[k + 1] * (model.widths[k] + 1)


@jit
def n_weights(model):
    """Return the number of weights that have coordinates."""
    count = 0
    for k in range(len(model.laws) - model.collapsed):
        count += block_size(model, k)
    return count


@jit
def n_coordinates(model):
    """Return the number of white coordinates."""
    count = 0
    for k in range(len(model.laws) - model.collapsed):
        count += block_size(model, k) * n_white(model.laws[k])
    return count


@jit
def row_length(model):
    """Return the number of grid points, rounded up to whole vectors."""
    return (model.points.shape[1] + _LANES - 1) // _LANES * _LANES


@jit
def workspace(model):
    """Return scratch arrays for the functions of one model."""
    n, length, m = model.points.shape[1], row_length(model), len(model.data)
    size, widest, features = 0, 1, 0
    if model.kind == 1:
        features = model.widths[len(model.laws) - 1] + 1
        for k in range(len(model.laws)):
            size += model.widths[k] * length
            widest = max(widest, model.widths[k])
    values = np.ones(size + length)
    for i in range(model.points.shape[0]):
        for j in range(length):
            values[i * length + j] = model.points[i, min(j, n - 1)]
    side = features if model.collapsed else 0
    middle = model.left.shape[1] * model.right.shape[0]
    return Workspace(
        np.zeros(n_weights(model)),
        np.zeros(n_weights(model)),
        values,
        np.zeros(size),
        np.zeros(2 * widest * length),
        np.zeros(length),
        np.zeros(m),
        np.zeros(m),
        np.zeros(middle),
        np.zeros(side * m),
        np.zeros(side * m),
        np.zeros(max(side, min(side, m)) ** 2),
        np.zeros(side),
        np.zeros(1),
    )


@jit
def _product_rows(a, a0, a_row, a_col, b, b0, b_row, c, c0, c_row, start, s0, s_step, inner, columns):
    """Fill four rows of :func:`product`."""
    a1, a2, a3 = a0 + a_row, a0 + 2 * a_row, a0 + 3 * a_row
    c1, c2, c3 = c0 + c_row, c0 + 2 * c_row, c0 + 3 * c_row
    j = 0
    while j + 2 * _LANES <= columns:
        x0 = y0 = spread(start[s0])
        x1 = y1 = spread(start[s0 + s_step])
        x2 = y2 = spread(start[s0 + 2 * s_step])
        x3 = y3 = spread(start[s0 + 3 * s_step])
        for k in range(inner):
            x, y = load(b, b0 + k * b_row + j), load(b, b0 + k * b_row + j + _LANES)
            one = spread(a[a0 + k * a_col])
            x0, y0 = fma(one, x, x0), fma(one, y, y0)
            one = spread(a[a1 + k * a_col])
            x1, y1 = fma(one, x, x1), fma(one, y, y1)
            one = spread(a[a2 + k * a_col])
            x2, y2 = fma(one, x, x2), fma(one, y, y2)
            one = spread(a[a3 + k * a_col])
            x3, y3 = fma(one, x, x3), fma(one, y, y3)
        store(c, c0 + j, x0)
        store(c, c0 + j + _LANES, y0)
        store(c, c1 + j, x1)
        store(c, c1 + j + _LANES, y1)
        store(c, c2 + j, x2)
        store(c, c2 + j + _LANES, y2)
        store(c, c3 + j, x3)
        store(c, c3 + j + _LANES, y3)
        j += 2 * _LANES
    while j + _LANES <= columns:
        x0, x1 = spread(start[s0]), spread(start[s0 + s_step])
        x2, x3 = spread(start[s0 + 2 * s_step]), spread(start[s0 + 3 * s_step])
        for k in range(inner):
            x = load(b, b0 + k * b_row + j)
            x0 = fma(spread(a[a0 + k * a_col]), x, x0)
            x1 = fma(spread(a[a1 + k * a_col]), x, x1)
            x2 = fma(spread(a[a2 + k * a_col]), x, x2)
            x3 = fma(spread(a[a3 + k * a_col]), x, x3)
        store(c, c0 + j, x0)
        store(c, c1 + j, x1)
        store(c, c2 + j, x2)
        store(c, c3 + j, x3)
        j += _LANES
    return j


@jit
def _product_row(a, a0, a_col, b, b0, b_row, c, c0, first, inner, columns):
    """Fill one row of :func:`product`."""
    j = 0
    while j + 4 * _LANES <= columns:
        x0 = x1 = x2 = x3 = spread(first)
        for k in range(inner):
            one, at = spread(a[a0 + k * a_col]), b0 + k * b_row + j
            x0, x1 = fma(one, load(b, at), x0), fma(one, load(b, at + _LANES), x1)
            x2, x3 = fma(one, load(b, at + 2 * _LANES), x2), fma(one, load(b, at + 3 * _LANES), x3)
        store(c, c0 + j, x0)
        store(c, c0 + j + _LANES, x1)
        store(c, c0 + j + 2 * _LANES, x2)
        store(c, c0 + j + 3 * _LANES, x3)
        j += 4 * _LANES
    while j + _LANES <= columns:
        x0 = spread(first)
        for k in range(inner):
            x0 = fma(spread(a[a0 + k * a_col]), load(b, b0 + k * b_row + j), x0)
        store(c, c0 + j, x0)
        j += _LANES
    return j


@jit
def product(a, a0, a_row, a_col, b, b0, b_row, c, c0, c_row, start, s0, s_step, rows, inner, columns):
    """Fill ``c[i, j]`` with ``start[i] + sum_k a[i, k] b[k, j]``; matrices in flat arrays, given by place and strides."""
    i = 0
    while i < rows:
        if i + 4 <= rows:
            block = 4
            done = _product_rows(
                a, a0 + i * a_row, a_row, a_col, b, b0, b_row, c, c0 + i * c_row, c_row, start, s0 + i * s_step,
                s_step, inner, columns,
            )  # fmt: skip
        else:
            block = 1
            first = start[s0 + i * s_step]
            done = _product_row(
                a, a0 + i * a_row, a_col, b, b0, b_row, c, c0 + i * c_row, first, inner, columns
            )
        for row in range(i, i + block):
            for j in range(done, columns):
                value = start[s0 + row * s_step]
                for k in range(inner):
                    value += a[a0 + row * a_row + k * a_col] * b[b0 + k * b_row + j]
                c[c0 + row * c_row + j] = value
        i += block


@jit
def dots(a, a0, a_row, b, b0, b_row, c, c0, c_row, c_col, rows, columns, inner):
    """Fill ``c[i, k]`` with ``sum_j a[i, j] b[k, j]``; matrices in flat arrays, given by place and strides."""
    whole = inner // _LANES * _LANES
    nothing = spread(0.0)
    for i in range(0, rows, 4):
        # Rows past the end are the last row again: their results are written to its place, and are the same.
        p0 = a0 + i * a_row
        i1, i2, i3 = min(i + 1, rows - 1), min(i + 2, rows - 1), min(i + 3, rows - 1)
        p1, p2, p3 = a0 + i1 * a_row, a0 + i2 * a_row, a0 + i3 * a_row
        for k in range(0, columns, 2):
            k1 = min(k + 1, columns - 1)
            q0, q1 = b0 + k * b_row, b0 + k1 * b_row
            x0 = x1 = x2 = x3 = y0 = y1 = y2 = y3 = nothing
            for j in range(0, whole, _LANES):
                x, y = load(b, q0 + j), load(b, q1 + j)
                one = load(a, p0 + j)
                x0, y0 = fma(one, x, x0), fma(one, y, y0)
                one = load(a, p1 + j)
                x1, y1 = fma(one, x, x1), fma(one, y, y1)
                one = load(a, p2 + j)
                x2, y2 = fma(one, x, x2), fma(one, y, y2)
                one = load(a, p3 + j)
                x3, y3 = fma(one, x, x3), fma(one, y, y3)
            s0, s1, s2, s3 = total(x0), total(x1), total(x2), total(x3)
            t0, t1, t2, t3 = total(y0), total(y1), total(y2), total(y3)
            for j in range(whole, inner):
                x, y = b[q0 + j], b[q1 + j]
                s0, t0 = s0 + a[p0 + j] * x, t0 + a[p0 + j] * y
                s1, t1 = s1 + a[p1 + j] * x, t1 + a[p1 + j] * y
                s2, t2 = s2 + a[p2 + j] * x, t2 + a[p2 + j] * y
                s3, t3 = s3 + a[p3 + j] * x, t3 + a[p3 + j] * y
            at, to = c0 + k * c_col, c0 + k1 * c_col
            c[at + i * c_row], c[to + i * c_row] = s0, t0
            c[at + i1 * c_row], c[to + i1 * c_row] = s1, t1
            c[at + i2 * c_row], c[to + i2 * c_row] = s2, t2
            c[at + i3 * c_row], c[to + i3 * c_row] = s3, t3


@jit(inline="always")
def set_weights(model, xi, weights):
    """Fill ``weights`` with ``s T(xi)``, block by block."""
    x0 = w0 = 0
    for k in range(len(model.laws) - model.collapsed):
        size = block_size(model, k)
        x1, w1 = x0 + size * n_white(model.laws[k]), w0 + size
        transform_block(model.laws[k], model.law_parameters[k], model.tables[k], xi[x0:x1], weights[w0:w1])
        x0, w0 = x1, w1
    scale_weights(model, weights)


@jit
def _scale(values, start, end, factor):
    if factor != 1.0:
        for j in range(start, end):
            values[j] *= factor


@jit(inline="always")
def scale_weights(model, weights):
    """Multiply the unit laws' values, or gradients by weights, with the scales, in place."""
    at = 0
    for k in range(len(model.laws) - model.collapsed):
        end = at + block_size(model, k)
        middle = end if model.kind == 0 else end - model.widths[k + 1]
        _scale(weights, at, middle, model.weight_scales[k])
        if middle < end:
            _scale(weights, middle, end, model.bias_scales[k])
        at = end


@jit
def pull_back(model, xi, weight_gradient, gradient):
    """Fill ``gradient`` with that by ``xi``; ``weight_gradient`` becomes that by the unit laws' values."""
    scale_weights(model, weight_gradient)
    x0 = w0 = 0
    for k in range(len(model.laws) - model.collapsed):
        size = block_size(model, k)
        x1, w1 = x0 + size * n_white(model.laws[k]), w0 + size
        pullback_block(
            model.laws[k], model.law_parameters[k], model.tables[k], xi[x0:x1], weight_gradient[w0:w1],
            gradient[x0:x1],
        )  # fmt: skip
        x0, w0 = x1, w1


@jit
def push_forward(model, xi, dxi, weight_tangent):
    """Fill ``weight_tangent`` with the derivative of the weights in the direction ``dxi``."""
    x0 = w0 = 0
    for k in range(len(model.laws) - model.collapsed):
        size = block_size(model, k)
        x1, w1 = x0 + size * n_white(model.laws[k]), w0 + size
        pushforward_block(
            model.laws[k],
            model.law_parameters[k],
            model.tables[k],
            xi[x0:x1],
            dxi[x0:x1],
            weight_tangent[w0:w1],
        )
        x0, w0 = x1, w1
    scale_weights(model, weight_tangent)


@jit
def _activate(code, z, slopes, with_slopes):
    """Replace z by phi(z), and fill ``slopes`` with phi'(z) where asked for; NaN stays NaN."""
    if code == 0:
        for j in range(len(z)):
            z[j] = tanh64(z[j])
        if with_slopes:
            for j in range(len(z)):
                slopes[j] = 1.0 - z[j] * z[j]
    elif code == 1:
        for j in range(len(z)):
            z[j] = 1.0 if z[j] > 0.0 else (-1.0 if z[j] < 0.0 else z[j])
            slopes[j] = 0.0
    elif code == 2:
        if with_slopes:
            for j in range(len(z)):
                slopes[j] = _ERF_SLOPE * exp64(-z[j] * z[j])
        for j in range(len(z)):
            z[j] = math.erf(z[j])
    elif code == 5:
        for j in range(len(z)):
            # The sine of infinity is an error in the C library, and NaN here.
            finite = z[j] if abs(z[j]) < math.inf else math.nan
            z[j] = math.sin(finite)
            if with_slopes:
                slopes[j] = math.cos(finite)
    elif code == 3:
        for j in range(len(z)):
            slopes[j] = 1.0 if z[j] > 0.0 else 0.0
            # No product: 0 times minus infinity would be NaN.
            z[j] = 0.0 if z[j] < 0.0 else z[j]
    else:
        for j in range(len(z)):
            slopes[j] = 1.0 if z[j] > 0.0 else _LEAK
            z[j] = _LEAK * z[j] if z[j] < 0.0 else z[j]


@jit
def forward(model, work, with_slopes):
    """Fill the values of all layers, and ``field`` unless the model is collapsed, from the weights."""
    length, last = row_length(model), len(model.laws) - 1
    at = w = 0
    for k in range(last + 1 - model.collapsed):
        d, d_new = model.widths[k], model.widths[k + 1]
        target, to = (work.field, 0) if k == last else (work.values, at + d * length)
        product(
            work.weights, w, d, 1, work.values, at, length, target, to, length, work.weights, w + d_new * d, 1,
            d_new, d, length,
        )  # fmt: skip
        if k < last:
            end = to + d_new * length
            _activate(model.activation, work.values[to:end], work.slopes[to:end], with_slopes)
        at, w = to, w + d_new * (d + 1)


@jit
def _times_slopes(deltas, slopes):
    """Multiply gradients by slopes; where a unit is saturated nothing comes through, be its weights infinite."""
    for j in range(len(deltas)):
        product = deltas[j] * slopes[j]
        deltas[j] = product if slopes[j] != 0.0 else 0.0


@jit
def _layer_gradient(model, work, k, here, at, w):
    """Fill the gradient by the weights of layer k from that by its sums, rows of ``deltas`` from ``here`` on."""
    length, d, d_new = row_length(model), model.widths[k], model.widths[k + 1]
    # Rows are taken four at a time: the longer side goes first.
    if d >= d_new:
        a, a0, b, b0, rows, columns, step, other = work.values, at, work.deltas, here, d, d_new, 1, d
    else:
        a, a0, b, b0, rows, columns, step, other = work.deltas, here, work.values, at, d_new, d, d, 1
    dots(a, a0, length, b, b0, length, work.weight_gradient, w, step, other, rows, columns, length)
    for i in range(d_new):
        row = spread(0.0)
        for j in range(0, length, _LANES):
            row = add(row, load(work.deltas, here + i * length + j))
        work.weight_gradient[w + d * d_new + i] = total(row)


@jit
def backward(model, work):
    """Fill ``weight_gradient`` from the gradient by the sums ``z`` of the last layer that has coordinates.

    That gradient is taken from the start of ``deltas``: of one row, the field, or of those of the last hidden layer where
    the model is collapsed, whose own slopes are applied here.
    """
    length, last = row_length(model), len(model.laws) - 1 - model.collapsed
    n = model.points.shape[1]
    for i in range(model.widths[last + 1]):
        for j in range(n, length):
            work.deltas[i * length + j] = 0.0
    at = w = 0
    for k in range(last):
        at += model.widths[k] * length
        w += model.widths[k + 1] * (model.widths[k] + 1)
    here, there = 0, len(work.deltas) // 2
    for k in range(last, -1, -1):
        d, d_new = model.widths[k], model.widths[k + 1]
        if k < last or model.collapsed:
            size, own = d_new * length, at + d * length
            _times_slopes(work.deltas[here : here + size], work.slopes[own : own + size])
        _layer_gradient(model, work, k, here, at, w)
        if k > 0:
            product(
                work.weights, w, 1, d, work.deltas, here, length, work.deltas, there, length, work.zero, 0, 0, d,
                d_new, length,
            )  # fmt: skip
            here, there = there, here
            at -= model.widths[k - 1] * length
            w -= d * (model.widths[k - 1] + 1)


@jit
def tangent(model, work, out):
    """Fill ``out`` (n,) with the derivative of the field in the direction of ``weight_gradient``; slopes are there."""
    length, n_layers = row_length(model), len(model.laws)
    half = len(work.deltas) // 2
    at = w = 0
    here, there = 0, half
    for j in range(half):
        work.deltas[j] = 0.0
    for k in range(n_layers):
        d, d_new = model.widths[k], model.widths[k + 1]
        last = k == n_layers - 1
        # dW h + db, then W dh.
        for i in range(d_new):
            bias = work.weight_gradient[w + d * d_new + i]
            target = out if last else work.deltas[there + i * length : there + (i + 1) * length]
            for j in range(len(target)):
                target[j] = bias
            for c in range(d):
                change, weight = work.weight_gradient[w + i * d + c], work.weights[w + i * d + c]
                for j in range(len(target)):
                    target[j] += change * work.values[at + c * length + j]
                    target[j] += weight * work.deltas[here + c * length + j]
        if not last:
            at += d * length
            size = d_new * length
            _times_slopes(work.deltas[there : there + size], work.slopes[at : at + size])
        here, there, w = there, here, w + d_new * (d + 1)


@jit
def apply_middle(model, u, middle):
    """Fill ``middle`` (n_a, m_b) of a separable operator with ``U K_b^T``."""
    n_a, n_b, m_b = model.left.shape[1], model.right.shape[1], model.right.shape[0]
    dots(u, 0, n_b, model.right.reshape(m_b * n_b), 0, n_b, middle, 0, m_b, 1, n_a, m_b, n_b)


@jit(inline="always")
def apply_rows(model, u, middle, zero, first, last, out):
    """Fill ``out`` with the whitened operator's values of rows first to last of ``left``."""
    n = model.left.shape[1]
    left = model.left.reshape(model.left.size)
    columns = 1
    if model.right.size:
        columns = model.right.shape[0]
        product(
            left,
            first * n,
            n,
            1,
            middle,
            0,
            columns,
            out,
            first * columns,
            columns,
            zero,
            0,
            0,
            last - first,
            n,
            columns,
        )
    else:
        dots(left, first * n, n, u, 0, 0, out, first, 1, 1, last - first, 1, n)
    for i in range(first * columns, last * columns):
        out[i] *= model.inverse_sd[i]


@jit
def apply_operator(model, u, middle, zero, out):
    """Fill ``out`` (m,) with the whitened operator's values at ``u``."""
    if model.right.size:
        apply_middle(model, u, middle)
    apply_rows(model, u, middle, zero, 0, model.left.shape[0], out)


@jit
def adjoint_operator(model, q, scaled, middle, zero, out):
    """Fill ``out`` (n,) with the adjoint of the whitened operator at ``q`` (m,); ``scaled`` (m,) is scratch."""
    n = model.left.shape[1]
    left = model.left.reshape(model.left.size)
    for i in range(len(model.data)):
        scaled[i] = q[i] * model.inverse_sd[i]
    if model.right.size:
        m_b, n_b = model.right.shape
        product(left, 0, 1, n, scaled, 0, m_b, middle, 0, m_b, zero, 0, 0, n, model.left.shape[0], m_b)
        product(
            middle, 0, m_b, 1, model.right.reshape(m_b * n_b), 0, n_b, out, 0, n_b, zero, 0, 0, n, m_b, n_b
        )
    else:
        product(scaled, 0, 0, 1, left, 0, n, out, 0, n, zero, 0, 0, 1, len(model.data), n)
