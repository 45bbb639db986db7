"""Steps of optimisers as their papers state them; new arrays instead of changed ones, all in float64."""

from __future__ import annotations

import numpy as np

__all__ = ["adam_step", "sgd_step"]


def adam_step(
    param: np.ndarray,
    grad: np.ndarray,
    first_moment: np.ndarray,
    second_moment: np.ndarray,
    step: int,
    learning_rate: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float = 0.0,
    decoupled: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return parameter and moments after step number ``step`` of Adam, or of AdamW where ``decoupled``.

    Parameters
    ----------
    param, grad, first_moment, second_moment : ndarray of one shape
    step : int
        1 at the first step.
    learning_rate, beta1, beta2, eps : float
    weight_decay : float
        Added to the gradient as weight_decay * param, or, decoupled, taken off the parameter.
    decoupled : bool

    Returns
    -------
    param, first_moment, second_moment : ndarray

    References
    ----------
    D. P. Kingma and J. Ba (2015), Adam: a method for stochastic optimization, algorithm 1.
    I. Loshchilov and F. Hutter (2019), Decoupled weight decay regularization, algorithm 2.

    Examples
    --------
    >>> import numpy as np
    >>> zero = np.zeros(1)
    >>> adam_step(np.ones(1), np.full(1, 4.0), zero, zero, 1, 0.1, 0.9, 0.999, 0.0)[0].tolist()
    [0.9]
    """
    p, g = param.astype(np.float64), grad.astype(np.float64)
    if weight_decay and not decoupled:
        g = g + weight_decay * p
    m = beta1 * first_moment.astype(np.float64) + (1.0 - beta1) * g
    v = beta2 * second_moment.astype(np.float64) + (1.0 - beta2) * g**2
    m_hat = m / (1.0 - beta1**step)
    v_hat = v / (1.0 - beta2**step)
    new = p - learning_rate * m_hat / (np.sqrt(v_hat) + eps)
    if weight_decay and decoupled:
        new = new - learning_rate * weight_decay * p
    return new.astype(param.dtype), m.astype(param.dtype), v.astype(param.dtype)


def sgd_step(
    param: np.ndarray,
    grad: np.ndarray,
    velocity: np.ndarray,
    learning_rate: float,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Return parameter and velocity after a step of gradient descent with momentum.

    Parameters
    ----------
    param, grad, velocity : ndarray of one shape
    learning_rate, momentum, weight_decay : float
    nesterov : bool
        Look ahead along the new velocity.

    Returns
    -------
    param, velocity : ndarray
        The velocity is unchanged where ``momentum`` is 0.

    Examples
    --------
    >>> import numpy as np
    >>> param, velocity = sgd_step(np.ones(1), np.ones(1), np.ones(1), 0.1, momentum=0.5)
    >>> velocity.tolist(), np.round(param, 6).tolist()
    ([1.5], [0.85])
    """
    p, g, v = (a.astype(np.float64) for a in (param, grad, velocity))
    g = g + weight_decay * p
    if momentum == 0:
        return (p - learning_rate * g).astype(param.dtype), velocity.copy()
    v = momentum * v + g
    direction = g + momentum * v if nesterov else v
    return (p - learning_rate * direction).astype(param.dtype), v.astype(param.dtype)
