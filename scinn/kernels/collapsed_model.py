"""Misfit of a network whose Gaussian last layer is integrated out, its gradient, and that layer's conditional law.

Given the other layers the whitened prediction is ``B v`` with white ``v ~ N(0, I)``: column k of ``B`` (m, D_L + 1) is
the whitened operator's value at feature k, the last feature being one, times the layer's scale. With the whitened data
``r``, ``S = I + B B^T`` and ``M = I + B^T B``,

    exp(-Phi_c) = integral of exp(-|r - B v|^2 / 2) N(dv),
    Phi_c = |e|^2 / 2 + |v|^2 / 2 + (log det S) / 2   with   v = M^-1 B^T r,  e = r - B v = S^-1 r,

constant included. This form has no difference of large numbers, and errors of ``v`` enter it squared. ``log det S =
log det M`` and ``S^-1 B = B M^-1``, so that either matrix serves, and the smaller is taken. The gradient by ``B`` is
``S^-1 B - e v^T``. For the model see Li, Dunlop, Stadler (2022), "Bayesian neural network priors for edge-preserving
inversion", Inverse Problems and Imaging 16(5), arXiv 2112.10663. Twins are in :mod:`scinn.reference.collapsed_model`.
"""

from __future__ import annotations

import math

from scinn.kernels._jit import jit
from scinn.kernels._vectors import fma, load, spread, store
from scinn.kernels.network_field import (
    adjoint_operator,
    apply_operator,
    backward,
    dots,
    forward,
    product,
    row_length,
    set_weights,
)

__all__ = ["collapsed_misfit", "collapsed_misfit_gradient", "draw_last_layer", "last_layer_mean"]


@jit
def _scale(model, k):
    """Return the scale of the last layer's weight k, or of its bias."""
    last = len(model.laws) - 1
    return model.weight_scales[last] if k < model.widths[last] else model.bias_scales[last]


@jit
def _respond(model, work):
    """Fill ``responses`` with the rows of ``B^T``, from the values of the last hidden layer."""
    n, length, m = model.points.shape[1], row_length(model), len(model.data)
    count = model.widths[len(model.laws) - 1] + 1
    start = len(work.values) - count * length
    if model.right.size:
        for k in range(count):
            at = start + k * length
            apply_operator(
                model, work.values[at : at + n], work.middle, work.zero, work.responses[k * m : (k + 1) * m]
            )
    else:
        left = model.left.reshape(m * n)
        dots(work.values, start, length, left, 0, n, work.responses, 0, m, 1, count, m, n)
    for k in range(count):
        scale = _scale(model, k)
        for i in range(m):
            own = scale if model.right.size else scale * model.inverse_sd[i]
            work.responses[k * m + i] *= own
    return count


@jit
def _subtract(x, to, factor, y, source, n):
    """Subtract from ``n`` numbers of ``x`` the factor times those of ``y``."""
    # In vectors by hand: a loop over slices takes longer to begin than these rows to end.
    whole, minus = n // 8 * 8, spread(-factor)
    for j in range(0, whole, 8):
        store(x, to + j, fma(minus, load(y, source + j), load(x, to + j)))
    for j in range(whole, n):
        x[to + j] -= factor * y[source + j]


@jit
def _factor(square, side):
    """Replace a symmetric matrix by its Cholesky factor, transposed: the upper triangle, whose rows lie in one piece.

    Returns half of the logarithm of the determinant, inf where the matrix has no factor in floats.
    """
    logarithm = 0.0
    for k in range(side):
        pivot = square[k * side + k]
        # Also where it is NaN.
        if not 0.0 < pivot < math.inf:
            return math.inf
        root = math.sqrt(pivot)
        logarithm += math.log(root)
        row = k * side
        square[row + k] = root
        for j in range(k + 1, side):
            square[row + j] /= root
        for i in range(k + 1, side):
            _subtract(square, i * side + i, square[row + i], square, row + i, side - i)
    return logarithm


@jit
def _forward_solve(square, side, x, columns):
    """Solve ``R X = X`` in place, R the transposed upper triangle."""
    for i in range(side):
        for k in range(i):
            _subtract(x, i * columns, square[k * side + i], x, k * columns, columns)
        for c in range(columns):
            x[i * columns + c] /= square[i * side + i]


@jit
def _backward_solve(square, side, x, columns):
    """Solve ``R^T X = X`` in place, R the transposed upper triangle."""
    for i in range(side - 1, -1, -1):
        for k in range(i + 1, side):
            _subtract(x, i * columns, square[i * side + k], x, k * columns, columns)
        for c in range(columns):
            x[i * columns + c] /= square[i * side + i]


@jit
def _factor_features(model, work, count):
    """Fill ``square`` with the factor of M; return half of the logarithm of its determinant."""
    m = len(model.data)
    dots(work.responses, 0, m, work.responses, 0, m, work.square, 0, count, 1, count, count, m)
    for k in range(count):
        work.square[k * count + k] += 1.0
    return _factor(work.square, count)


@jit
def _set_mean(model, work, count):
    """Fill ``mean`` with ``v`` by the factor of M, and ``residual`` with ``e``; return ``(|e|^2 + |v|^2) / 2``."""
    m = len(model.data)
    dots(work.responses, 0, m, model.data, 0, 0, work.mean, 0, 1, 1, count, 1, m)
    _forward_solve(work.square, count, work.mean, 1)
    _backward_solve(work.square, count, work.mean, 1)
    product(work.mean, 0, 0, 1, work.responses, 0, m, work.residual, 0, 0, work.zero, 0, 0, 1, count, m)
    value = 0.0
    for i in range(m):
        work.residual[i] = model.data[i] - work.residual[i]
        value += work.residual[i] * work.residual[i]
    for k in range(count):
        value += work.mean[k] * work.mean[k]
    return 0.5 * value


@jit
def _set_mean_by_data(model, work, count):
    """Do what :func:`_set_mean` does, by the factor of S."""
    m = len(model.data)
    for i in range(m):
        work.residual[i] = model.data[i]
    _forward_solve(work.square, m, work.residual, 1)
    _backward_solve(work.square, m, work.residual, 1)
    dots(work.responses, 0, m, work.residual, 0, 0, work.mean, 0, 1, 1, count, 1, m)
    value = 0.0
    for i in range(m):
        value += work.residual[i] * work.residual[i]
    for k in range(count):
        value += work.mean[k] * work.mean[k]
    return 0.5 * value


@jit
def _value(model, work, count, stop_above):
    """Return the misfit from ``responses``; leaves the factor, ``mean`` and ``residual``."""
    m = len(model.data)
    if count <= m:
        logarithm = _factor_features(model, work, count)
        # The other two terms are squares: what is above already stays above.
        if logarithm > stop_above or logarithm == math.inf:
            return logarithm
        value = _set_mean(model, work, count) + logarithm
    else:
        product(
            work.responses, 0, 1, m, work.responses, 0, m, work.square, 0, m, work.zero, 0, 0, m, count, m
        )
        for i in range(m):
            work.square[i * m + i] += 1.0
        logarithm = _factor(work.square, m)
        if logarithm > stop_above or logarithm == math.inf:
            return logarithm
        value = _set_mean_by_data(model, work, count) + logarithm
    return value if value == value else math.inf


@jit
def collapsed_misfit(model, work, stop_above):
    """Return the collapsed misfit of the weights in ``work``; where it is above ``stop_above``, anything above."""
    forward(model, work, False)
    count = _respond(model, work)
    return _value(model, work, count, stop_above)


@jit
def collapsed_misfit_gradient(model, work):
    """Return the collapsed misfit of the weights in ``work``, and fill ``weight_gradient`` unless it is inf."""
    n, length, m = model.points.shape[1], row_length(model), len(model.data)
    forward(model, work, True)
    count = _respond(model, work)
    value = _value(model, work, count, math.inf)
    if value == math.inf:
        return value
    # Rows of (S^-1 B)^T: M^-1 B^T, or the same by S, whose systems stand in columns.
    if count <= m:
        for j in range(count * m):
            work.solved[j] = work.responses[j]
        _forward_solve(work.square, count, work.solved, m)
        _backward_solve(work.square, count, work.solved, m)
        row, column = m, 1
    else:
        for k in range(count):
            for i in range(m):
                work.solved[i * count + k] = work.responses[k * m + i]
        _forward_solve(work.square, m, work.solved, count)
        _backward_solve(work.square, m, work.solved, count)
        row, column = 1, count
    for k in range(count):
        scale = _scale(model, k)
        for i in range(m):
            gradient = work.solved[k * row + i * column] - work.mean[k] * work.residual[i]
            work.responses[k * m + i] = scale * gradient
    # The row of ones has no weights before it.
    if model.right.size:
        for k in range(count - 1):
            adjoint_operator(
                model, work.responses[k * m : (k + 1) * m], work.scaled, work.middle, work.zero,
                work.deltas[k * length : k * length + n],
            )  # fmt: skip
    else:
        for k in range(count - 1):
            for i in range(m):
                work.responses[k * m + i] *= model.inverse_sd[i]
        left = model.left.reshape(m * n)
        product(work.responses, 0, m, 1, left, 0, n, work.deltas, 0, length, work.zero, 0, 0, count - 1, m, n)
    backward(model, work)
    return value


@jit
def _condition(model, xi, work):
    """Fill ``mean`` and the factor of M for white coordinates of the hidden layers; return whether there is one."""
    set_weights(model, xi, work.weights)
    forward(model, work, False)
    count = _respond(model, work)
    if _factor_features(model, work, count) == math.inf:
        return False
    return _set_mean(model, work, count) < math.inf


@jit
def last_layer_mean(model, xi, work, mean):
    """Fill ``mean`` (D_L + 1,) with that of the last layer's white coordinates given the others, or with NaN."""
    found = _condition(model, xi, work)
    for k in range(len(mean)):
        mean[k] = work.mean[k] if found else math.nan


@jit
def draw_last_layer(model, xi, noise, work, v):
    """Fill ``v`` (D_L + 1,) with ``mean + R^-T noise`` for ``M = R R^T``: white noise gives a draw of the last layer.

    The draw is NaN where there is no conditional law, which is where the misfit is inf.
    """
    found = _condition(model, xi, work)
    count = len(v)
    for k in range(count):
        v[k] = noise[k]
    if found:
        _backward_solve(work.square, count, v, 1)
    for k in range(count):
        v[k] = v[k] + work.mean[k] if found else math.nan
