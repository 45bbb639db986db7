"""Layers, losses and their gradients by definition: plain loops over numbers, in float64.

The oracle for :mod:`scinn.nn`. Nothing here is fast, and nothing is shared with the code that it judges.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

__all__ = [
    "batch_norm",
    "cross_entropy",
    "dense",
    "dropout",
    "embedding_gradient",
    "numerical_gradient",
    "reduce_on_plateau",
    "softmax",
]


def dense(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """Return ``y[i, k] = sum_j x[i, j] W[j, k] + b[k]``.

    Parameters
    ----------
    x : ndarray, shape (n, n_in)
    weight : ndarray, shape (n_in, n_out)
    bias : ndarray, shape (n_out,), optional

    Returns
    -------
    ndarray of float64, shape (n, n_out)

    Examples
    --------
    >>> import numpy as np
    >>> dense(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]])).tolist()
    [[11.0]]
    """
    n, n_in = x.shape
    n_out = weight.shape[1]
    y = np.zeros((n, n_out))
    for i in range(n):
        for k in range(n_out):
            terms = [float(x[i, j]) * float(weight[j, k]) for j in range(n_in)]
            y[i, k] = math.fsum(terms) + (0.0 if bias is None else float(bias[k]))
    return y


def dropout(x: np.ndarray, mask: np.ndarray, rate: float) -> np.ndarray:
    """Return ``x / (1 - rate)`` where the mask is true and 0 elsewhere.

    Parameters
    ----------
    x, mask : ndarray
        Of one shape.
    rate : float

    Returns
    -------
    ndarray of float64

    Examples
    --------
    >>> import numpy as np
    >>> dropout(np.array([1.0, 1.0]), np.array([True, False]), 0.5).tolist()
    [2.0, 0.0]
    """
    y = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        if mask[index]:
            y[index] = float(x[index]) / (1.0 - rate)
    return y


def batch_norm(
    x: np.ndarray, scale: np.ndarray, shift: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normalise each column by its mean and biased variance, then scale and shift.

    Parameters
    ----------
    x : ndarray, shape (n, n_features)
    scale, shift : ndarray, shape (n_features,)
    eps : float

    Returns
    -------
    y : ndarray of float64, shape (n, n_features)
    mean, variance : ndarray of float64, shape (n_features,)

    Examples
    --------
    >>> import numpy as np
    >>> batch_norm(np.array([[1.0], [3.0]]), np.ones(1), np.zeros(1), 0.0)[0].tolist()
    [[-1.0], [1.0]]
    """
    n, n_features = x.shape
    y, mean, variance = np.zeros((n, n_features)), np.zeros(n_features), np.zeros(n_features)
    for k in range(n_features):
        column = [float(value) for value in x[:, k]]
        mean[k] = math.fsum(column) / n
        variance[k] = math.fsum((value - mean[k]) ** 2 for value in column) / n
        for i in range(n):
            y[i, k] = scale[k] * (column[i] - mean[k]) / math.sqrt(variance[k] + eps) + shift[k]
    return y, mean, variance


def embedding_gradient(index: np.ndarray, dy: np.ndarray, n_symbols: int) -> np.ndarray:
    """Return the table's gradient: each row of ``dy`` is added to the row it was looked up from.

    Parameters
    ----------
    index : ndarray of integers, any shape
    dy : ndarray, shape index.shape + (n_features,)
    n_symbols : int

    Returns
    -------
    ndarray of float64, shape (n_symbols, n_features)

    Examples
    --------
    >>> import numpy as np
    >>> embedding_gradient(np.array([1, 1]), np.ones((2, 1)), 2).tolist()
    [[0.0], [2.0]]
    """
    gradient = np.zeros((n_symbols, dy.shape[-1]))
    for position in np.ndindex(index.shape):
        gradient[index[position]] += dy[position]
    return gradient


def softmax(z: np.ndarray) -> np.ndarray:
    """Return ``exp(z_c) / sum_k exp(z_k)`` for one row.

    Parameters
    ----------
    z : ndarray, shape (n_classes,)

    Returns
    -------
    ndarray of float64, shape (n_classes,)

    Examples
    --------
    >>> import numpy as np
    >>> softmax(np.zeros(2)).tolist()
    [0.5, 0.5]
    """
    largest = max(float(value) for value in z)
    exponentials = [math.exp(float(value) - largest) for value in z]
    total = math.fsum(exponentials)
    return np.array([value / total for value in exponentials])


def cross_entropy(
    logits: np.ndarray, labels: np.ndarray, rows: np.ndarray, label_smoothing: float = 0.0
) -> float:
    """Return the mean over ``rows`` of ``-sum_c q_c log softmax(z)_c``.

    Parameters
    ----------
    logits : ndarray, shape (n, n_classes)
    labels : ndarray of integers, shape (n,)
    rows : ndarray of integers
        The rows that count.
    label_smoothing : float
        ``q = (1 - s) onehot + s / n_classes``.

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> round(cross_entropy(np.zeros((1, 2)), np.array([0]), np.array([0])), 6)
    0.693147
    """
    n_classes = logits.shape[1]
    losses = []
    for i in rows:
        z = [float(value) for value in logits[i]]
        log_total = max(z) + math.log(math.fsum(math.exp(value - max(z)) for value in z))
        for c in range(n_classes):
            q = label_smoothing / n_classes + ((1.0 - label_smoothing) if c == labels[i] else 0.0)
            losses.append(-q * (z[c] - log_total))
    return math.fsum(losses) / len(rows)


def numerical_gradient(f: Callable[[np.ndarray], float], x: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """Return the central differences of ``f`` at ``x``, one entry at a time.

    Parameters
    ----------
    f : callable
        From an array to a number.
    x : ndarray of float64
    step : float, default 1e-6

    Returns
    -------
    ndarray of float64, shape of ``x``

    Examples
    --------
    >>> import numpy as np
    >>> numerical_gradient(lambda x: float(x @ x), np.array([3.0])).round(6).tolist()
    [6.0]
    """
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        above, below = x.copy(), x.copy()
        above[index] += step
        below[index] -= step
        gradient[index] = (f(above) - f(below)) / (2.0 * step)
    return gradient


def reduce_on_plateau(values: list[float], learning_rate: float, factor: float, patience: int) -> list[float]:
    """Return the rate of each epoch, the one after the last included, for small values being good.

    Each epoch looks back: the rate falls once more than ``patience`` epochs have passed both since the best value
    and since the last fall.

    Parameters
    ----------
    values : list of float
    learning_rate, factor : float
    patience : int

    Returns
    -------
    list of float, one longer than ``values``

    Examples
    --------
    >>> reduce_on_plateau([3.0, 3.0, 3.0], 1.0, 0.5, 1)
    [1.0, 1.0, 1.0, 0.5]
    """
    rates, last_fall = [learning_rate], -1
    for epoch in range(len(values)):
        best = min(range(epoch + 1), key=lambda e: (values[e], e))
        fell = epoch - max(best, last_fall) > patience
        rates.append(rates[-1] * factor if fell else rates[-1])
        if fell:
            last_fall = epoch
    return rates
