"""Recurrent layers by their definition: one sequence, one step, one unit after the other."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["gru", "lstm"]


def _sigmoid(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value)) if value > -700 else 0.0


def lstm(
    x: np.ndarray,
    weight_x: np.ndarray,
    weight_h: np.ndarray,
    bias: np.ndarray,
    h: np.ndarray,
    c: np.ndarray,
    lengths: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Run one LSTM layer over sequences.

    Per step ``i, f, o = sigmoid(...)``, ``g = tanh(...)`` of ``x W_x + h W_h + b`` in the order i, f, g, o, then
    ``c = f c + i g`` and ``h = o tanh(c)``. After a sequence's end its outputs are zero and its state stands still.

    Parameters
    ----------
    x : ndarray, shape (time, batch, n_in)
    weight_x : ndarray, shape (n_in, 4 n)
    weight_h : ndarray, shape (n, 4 n)
    bias : ndarray, shape (4 n,)
    h, c : ndarray, shape (batch, n)
        First state.
    lengths : ndarray of int, shape (batch,), optional

    Returns
    -------
    y : ndarray of float64, shape (time, batch, n)
    h, c : ndarray of float64, shape (batch, n)
        Last state.

    Examples
    --------
    >>> import numpy as np
    >>> zero = np.zeros((1, 1))
    >>> y, h, c = lstm(np.ones((2, 1, 1)), np.ones((1, 4)), np.zeros((1, 4)), np.zeros(4), zero, zero)
    >>> y.ravel().round(4).tolist()
    [0.3696, 0.5453]
    """
    n = h.shape[1]
    y = np.zeros((*x.shape[:2], n))
    h, c = h.astype(np.float64), c.astype(np.float64)
    for b in range(x.shape[1]):
        for t in range(x.shape[0] if lengths is None else int(lengths[b])):
            z = x[t, b] @ weight_x + h[b] @ weight_h + bias
            for j in range(n):
                i, f, o = (_sigmoid(float(z[k * n + j])) for k in (0, 1, 3))
                c[b, j] = f * c[b, j] + i * math.tanh(z[2 * n + j])
                y[t, b, j] = o * math.tanh(c[b, j])
            h[b] = y[t, b]
    return y, h, c


def gru(
    x: np.ndarray,
    weight_x: np.ndarray,
    weight_h: np.ndarray,
    bias: np.ndarray,
    bias_h: np.ndarray,
    h: np.ndarray,
    lengths: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Run one GRU layer over sequences.

    Per step ``r = sigmoid(x W_xr + h W_hr + b_r)``, ``z`` likewise, ``n = tanh(x W_xn + b_n + r (h W_hn + b_h))`` and
    ``h = (1 - z) n + z h``. After a sequence's end its outputs are zero and its state stands still.

    Parameters
    ----------
    x : ndarray, shape (time, batch, n_in)
    weight_x : ndarray, shape (n_in, 3 n)
    weight_h : ndarray, shape (n, 3 n)
    bias : ndarray, shape (3 n,)
    bias_h : ndarray, shape (n,)
    h : ndarray, shape (batch, n)
        First state.
    lengths : ndarray of int, shape (batch,), optional

    Returns
    -------
    y : ndarray of float64, shape (time, batch, n)
    h : ndarray of float64, shape (batch, n)
        Last state.

    Examples
    --------
    >>> import numpy as np
    >>> y, h = gru(np.ones((1, 1, 1)), np.ones((1, 3)), np.zeros((1, 3)), np.zeros(3), np.zeros(1), np.zeros((1, 1)))
    >>> y.ravel().round(4).tolist()
    [0.2048]
    """
    n = h.shape[1]
    y = np.zeros((*x.shape[:2], n))
    h = h.astype(np.float64)
    for b in range(x.shape[1]):
        for t in range(x.shape[0] if lengths is None else int(lengths[b])):
            own, other = x[t, b] @ weight_x + bias, h[b] @ weight_h
            for j in range(n):
                r, z = (_sigmoid(float(own[k * n + j] + other[k * n + j])) for k in (0, 1))
                new = math.tanh(own[2 * n + j] + r * (other[2 * n + j] + bias_h[j]))
                y[t, b, j] = (1 - z) * new + z * h[b, j]
            h[b] = y[t, b]
    return y, h
