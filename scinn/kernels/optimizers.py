"""One pass over a parameter for one step of an optimiser. Twins are in :mod:`scinn.reference.optimizers`.

Arrays of any common shape and dtype, C-contiguous; ``param`` and the moments change in place.
"""

from __future__ import annotations

import numpy as np

from scinn.kernels._jit import jit

__all__ = ["adam_step", "sgd_step"]


@jit
def _adam(param, grad, first, second, rate, beta1, rest1, beta2, rest2, inverse2, eps, shrink, l2):
    p, g = param.reshape(param.size), grad.reshape(grad.size)
    m, v = first.reshape(first.size), second.reshape(second.size)
    for i in range(p.size):
        old = p[i] * shrink
        slope = g[i] + l2 * p[i]
        m_new = beta1 * m[i] + rest1 * slope
        v_new = beta2 * v[i] + rest2 * (slope * slope)
        m[i] = m_new
        v[i] = v_new
        p[i] = old - rate * m_new / (np.sqrt(v_new * inverse2) + eps)


def adam_step(
    param,
    grad,
    first_moment,
    second_moment,
    step,
    learning_rate,
    beta1,
    beta2,
    eps,
    weight_decay=0.0,
    decoupled=False,
):
    """Take step number ``step`` (1 at first) of Adam, or of AdamW where ``decoupled``.

    g = grad + weight_decay p; m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2;
    p -= learning_rate m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps). AdamW leaves g alone and first scales p by
    1 - learning_rate weight_decay.
    """
    real = param.dtype.type
    _adam(
        param,
        grad,
        first_moment,
        second_moment,
        real(learning_rate / (1.0 - beta1**step)),
        real(beta1),
        real(1.0 - beta1),
        real(beta2),
        real(1.0 - beta2),
        real(1.0 / (1.0 - beta2**step)),
        real(eps),
        real(1.0 - learning_rate * weight_decay if decoupled else 1.0),
        real(0.0 if decoupled else weight_decay),
    )


@jit
def _sgd(param, grad, rate, l2):
    p, g = param.reshape(param.size), grad.reshape(grad.size)
    for i in range(p.size):
        p[i] -= rate * (g[i] + l2 * p[i])


@jit
def _sgd_momentum(param, grad, velocity, rate, momentum, l2, nesterov):
    p, g, v = param.reshape(param.size), grad.reshape(grad.size), velocity.reshape(velocity.size)
    # Two factors instead of a branch: the slope enters directly only in Nesterov's form.
    direct = p.dtype.type(1) if nesterov else p.dtype.type(0)
    through = momentum if nesterov else p.dtype.type(1)
    for i in range(p.size):
        slope = g[i] + l2 * p[i]
        new = momentum * v[i] + slope
        v[i] = new
        p[i] -= rate * (direct * slope + through * new)


def sgd_step(param, grad, velocity, learning_rate, momentum=0.0, weight_decay=0.0, nesterov=False):
    """Take a step of gradient descent; ``velocity`` is not looked at (and may be None) where ``momentum`` is 0.

    g = grad + weight_decay p; v = momentum v + g; p -= learning_rate v, or learning_rate (g + momentum v) in
    Nesterov's form.
    """
    real = param.dtype.type
    if momentum == 0:
        _sgd(param, grad, real(learning_rate), real(weight_decay))
    else:
        _sgd_momentum(
            param, grad, velocity, real(learning_rate), real(momentum), real(weight_decay), bool(nesterov)
        )
