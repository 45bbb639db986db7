"""Losses and their gradients, by their definition."""

from __future__ import annotations

import numpy as np

__all__ = ["softmax_cross_entropy"]


def softmax_cross_entropy(
    logits: np.ndarray, target: np.ndarray, row_weight: np.ndarray, label_smoothing: float
) -> tuple[float, np.ndarray]:
    """Return the weighted sum of the rows' cross-entropies, and its gradient.

    With p = softmax(logits) and q = (1 - s) onehot(target) + s / c the loss of a row is -sum q log p, and its
    gradient p - q.

    Parameters
    ----------
    logits : ndarray, shape (n, c)
    target : ndarray of int, shape (n,)
        Class numbers; not looked at where the weight is 0.
    row_weight : ndarray, shape (n,)
    label_smoothing : float
        s in [0, 1).

    Returns
    -------
    loss : float
    dlogits : ndarray, shape (n, c)

    Examples
    --------
    >>> import numpy as np
    >>> loss, dlogits = softmax_cross_entropy(np.zeros((1, 2)), np.array([0]), np.ones(1), 0.0)
    >>> round(loss, 6), dlogits.tolist()
    (0.693147, [[-0.5, 0.5]])
    """
    n_rows, n_classes = logits.shape
    loss = 0.0
    dlogits = np.zeros_like(logits)
    for i in range(n_rows):
        if row_weight[i] == 0:
            continue
        row = logits[i].astype(np.float64)
        log_p = row - row.max()
        log_p = log_p - np.log(np.exp(log_p).sum())
        q = np.full(n_classes, label_smoothing / n_classes)
        q[target[i]] += 1.0 - label_smoothing
        loss += row_weight[i] * -sum(q[c] * log_p[c] for c in range(n_classes) if q[c] > 0)
        dlogits[i] = row_weight[i] * (np.exp(log_p) - q)
    return float(loss), dlogits
