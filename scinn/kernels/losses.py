"""Losses fused with their gradients. Twins of the same names are in :mod:`scinn.reference.losses`."""

from __future__ import annotations

import numpy as np

from scinn.kernels._jit import jit

__all__ = ["softmax_cross_entropy"]


@jit
def _softmax_cross_entropy(logits, target, row_weight, label_smoothing, dlogits):
    n_rows, n_classes = logits.shape
    loss = 0.0
    share = label_smoothing / n_classes
    for i in range(n_rows):
        weight = np.float64(row_weight[i])
        if weight == 0:
            for c in range(n_classes):
                dlogits[i, c] = 0
            continue
        largest = logits[i, 0]
        for c in range(1, n_classes):
            if logits[i, c] > largest or np.isnan(logits[i, c]):
                largest = logits[i, c]
        total = 0.0
        for c in range(n_classes):
            e = np.exp(logits[i, c] - largest)
            dlogits[i, c] = e
            total += e
        log_total = np.log(total)
        own = target[i]
        row_loss = (1.0 - label_smoothing) * (log_total - np.float64(logits[i, own] - largest))
        if share > 0:
            for c in range(n_classes):
                row_loss += share * (log_total - np.float64(logits[i, c] - largest))
        loss += weight * row_loss
        scale = weight / total
        for c in range(n_classes):
            dlogits[i, c] = scale * dlogits[i, c] - weight * share
        dlogits[i, own] -= weight * (1.0 - label_smoothing)
    return loss


def softmax_cross_entropy(logits, target, row_weight, label_smoothing, dlogits):
    """Return the sum over rows of weight * cross-entropy, and fill ``dlogits`` (n, c) with its gradient.

    With p = softmax(logits) and q = (1 - s) onehot(target) + s / c the row's loss is -sum q log p, and its gradient
    p - q. A row of weight 0 gets a gradient of 0, and its target is not looked at.
    """
    return _softmax_cross_entropy(logits, target, row_weight, float(label_smoothing), dlogits)
