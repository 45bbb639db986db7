"""Misfit of networks and linear maps with random weights, its gradient, and derivatives of fields and predictions.

Notation: white coordinates ``xi ~ N(0, I)``, weights ``s T(xi)``, field ``u`` at n grid points, whitened predictions ``F``
and data ``r`` (m,), misfit ``Phi = |F - r|^2 / 2``, as in Li, Dunlop, Stadler (2022), "Bayesian neural network priors for
edge-preserving inversion", Inverse Problems and Imaging 16(5), arXiv 2112.10663. A collapsed model has coordinates for the
hidden layers only, and the misfit of :mod:`scinn.kernels.collapsed_model`.

Overflow is no error: a misfit that is not a number is inf, and the gradient of an infinite misfit is zero. Nothing is
allocated: scratch is the ``work`` of :func:`workspace`. Twins are in :mod:`scinn.reference.inverse_model`.
"""

from __future__ import annotations

import math

from scinn.kernels._jit import jit
from scinn.kernels.collapsed_model import collapsed_misfit, collapsed_misfit_gradient
from scinn.kernels.network_field import (
    Model,
    Workspace,
    adjoint_operator,
    apply_middle,
    apply_operator,
    apply_rows,
    backward,
    dots,
    forward,
    n_coordinates,
    n_weights,
    pull_back,
    push_forward,
    row_length,
    scale_weights,
    set_weights,
    tangent,
    workspace,
)

__all__ = [
    "Model", "Workspace", "features", "field", "field_jvp", "field_vjp", "fields", "jacobian", "jacobian_vector", "misfit",
    "misfit_gradient", "misfit_gradient_weights", "n_coordinates", "n_weights", "predict", "vector_jacobian", "workspace",
]  # fmt: skip

# Rows of a dense operator between two looks at the bound.
_ROWS = 16


@jit(inline="always")
def _evaluate(model, xi, work, with_slopes):
    """Set the weights, run the network if there is one, and return what the operator acts on."""
    set_weights(model, xi, work.weights)
    if model.kind == 0:
        return work.weights
    forward(model, work, with_slopes)
    return work.field


@jit
def field(model, xi, work, u):
    """Fill ``u`` (n,) with the field at the grid points."""
    values = _evaluate(model, xi, work, False)
    for j in range(len(u)):
        u[j] = values[j]


@jit
def fields(model, xis, work, out):
    """Fill the rows of ``out`` (J, n) with the fields of the rows of ``xis`` (J, d)."""
    for i in range(len(xis)):
        field(model, xis[i], work, out[i])


@jit
def features(model, xi, work, out):
    """Fill ``out`` (n, D_L + 1) with the values of the last hidden layer and, in the last column, ones."""
    _evaluate(model, xi, work, False)
    length, (n, count) = row_length(model), out.shape
    start = len(work.values) - count * length
    for j in range(n):
        for k in range(count):
            out[j, k] = work.values[start + k * length + j]


@jit
def predict(model, xi, work, f):
    """Fill ``f`` (m,) with the whitened prediction."""
    apply_operator(model, _evaluate(model, xi, work, False), work.middle, work.zero, f)


@jit
def _dense_misfit(left, values, inverse_sd, data, residual, stop_above):
    """Return half of the squared residual of a dense operator, or a part of that which is above ``stop_above``."""
    rows, n = left.shape
    flat = left.reshape(left.size)
    total = 0.0
    for first in range(0, rows, _ROWS):
        last = min(first + _ROWS, rows)
        dots(flat, first * n, n, values, 0, 0, residual, first, 1, 1, last - first, 1, n)
        for i in range(first, last):
            gap = residual[i] * inverse_sd[i] - data[i]
            residual[i] = gap
            total += gap * gap
        # Squares only add to a sum, in floats too.
        if 0.5 * total > stop_above:
            return 0.5 * total
    return 0.5 * total if total == total else math.inf


@jit
def _separable_misfit(model, work, values, stop_above):
    """Return the same for a separable operator."""
    apply_middle(model, values, work.middle)
    columns, rows = model.right.shape[0], model.left.shape[0]
    total = 0.0
    for first in range(0, rows, 4):
        last = min(first + 4, rows)
        apply_rows(model, values, work.middle, work.zero, first, last, work.residual)
        for i in range(first * columns, last * columns):
            work.residual[i] -= model.data[i]
            total += work.residual[i] * work.residual[i]
        if 0.5 * total > stop_above:
            return 0.5 * total
    return 0.5 * total if total == total else math.inf


@jit(inline="always")
def _residual_misfit(model, work, values, stop_above):
    """Fill ``residual`` with F - r and return half of its square, or a part of that which is above ``stop_above``."""
    # Models are long argument lists: passing them costs more than a small product does.
    if model.right.size > 0:
        value = _separable_misfit(model, work, values, stop_above)
    else:
        value = _dense_misfit(model.left, values, model.inverse_sd, model.data, work.residual, stop_above)
    return value


@jit(inline="always")
def misfit(model, xi, work, stop_above):
    """Return the misfit; where it is above ``stop_above``, the result may be anything above."""
    if model.collapsed:
        set_weights(model, xi, work.weights)
        return collapsed_misfit(model, work, stop_above)
    return _residual_misfit(model, work, _evaluate(model, xi, work, False), stop_above)


@jit
def _pull_back_field(model, work, q):
    """Fill ``weight_gradient`` with the transposed derivative of F by the weights, at ``q`` (m,)."""
    if model.kind == 0:
        adjoint_operator(model, q, work.scaled, work.middle, work.zero, work.weight_gradient)
    else:
        adjoint_operator(model, q, work.scaled, work.middle, work.zero, work.deltas)
        backward(model, work)


@jit
def _misfit_gradient_scaled(model, work):
    """Return the misfit of the weights in ``work``, and fill ``weight_gradient`` unless it is inf."""
    if model.collapsed:
        return collapsed_misfit_gradient(model, work)
    if model.kind == 1:
        forward(model, work, True)
    values = work.field if model.kind == 1 else work.weights
    value = _residual_misfit(model, work, values, math.inf)
    if value < math.inf:
        _pull_back_field(model, work, work.residual)
    return value


@jit
def misfit_gradient(model, xi, work, gradient):
    """Return the misfit, and fill ``gradient`` with that by ``xi``; zero where the misfit is inf."""
    set_weights(model, xi, work.weights)
    value = _misfit_gradient_scaled(model, work)
    if value < math.inf:
        pull_back(model, xi, work.weight_gradient, gradient)
    else:
        gradient[:] = 0.0
    return value


@jit
def misfit_gradient_weights(model, theta, work, gradient):
    """Return the misfit at values ``theta`` of the unit laws, and fill ``gradient`` with that by ``theta``."""
    for j in range(len(theta)):
        work.weights[j] = theta[j]
    scale_weights(model, work.weights)
    value = _misfit_gradient_scaled(model, work)
    if value < math.inf:
        scale_weights(model, work.weight_gradient)
        for j in range(len(theta)):
            gradient[j] = work.weight_gradient[j]
    else:
        gradient[:] = 0.0
    return value


@jit
def vector_jacobian(model, xi, q, work, gradient):
    """Fill ``gradient`` (d,) with the transposed derivative of F at ``q`` (m,)."""
    _evaluate(model, xi, work, True)
    _pull_back_field(model, work, q)
    pull_back(model, xi, work.weight_gradient, gradient)


@jit
def jacobian(model, xi, work, out):
    """Fill ``out`` (m, d) with the derivative of F, by one backward pass for each row."""
    _evaluate(model, xi, work, True)
    work.residual[:] = 0.0
    for i in range(len(out)):
        work.residual[i] = 1.0
        _pull_back_field(model, work, work.residual)
        work.residual[i] = 0.0
        pull_back(model, xi, work.weight_gradient, out[i])


@jit
def field_vjp(model, xi, q, work, gradient):
    """Fill ``gradient`` (d,) with the transposed derivative of the field at ``q`` (n,)."""
    _evaluate(model, xi, work, True)
    for j in range(len(q)):
        work.deltas[j] = q[j]
    backward(model, work)
    pull_back(model, xi, work.weight_gradient, gradient)


@jit
def field_jvp(model, xi, dxi, work, du):
    """Fill ``du`` (n,) with the derivative of the field in the direction ``dxi`` (d,)."""
    _evaluate(model, xi, work, True)
    push_forward(model, xi, dxi, work.weight_gradient)
    tangent(model, work, du)


@jit
def jacobian_vector(model, xi, dxi, work, df):
    """Fill ``df`` (m,) with the derivative of F in the direction ``dxi`` (d,)."""
    if model.kind == 0:
        push_forward(model, xi, dxi, work.weight_gradient)
        apply_operator(model, work.weight_gradient, work.middle, work.zero, df)
    else:
        field_jvp(model, xi, dxi, work, work.field)
        apply_operator(model, work.field, work.middle, work.zero, df)
