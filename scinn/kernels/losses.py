"""Losses fused with their gradients. Twins of the same names are in :mod:`scinn.reference.losses`."""

from __future__ import annotations

import numpy as np

from scinn.kernels._jit import jit
from scinn.kernels.elementary import exp

__all__ = ["softmax_cross_entropy"]


# Reordering lets maxima and sums run in vectors; no flag lets the compiler forget NaN.
_REORDER = frozenset({"contract", "reassoc"})
_LANES = 16


@jit
def _largest(values):
    """Return the largest number; NaN is passed over, unless it comes first."""
    if values.size < 2 * _LANES:
        largest = values[0]
        for c in range(1, values.size):
            largest = values[c] if values[c] > largest else largest
        return largest
    lanes = np.empty(_LANES, values.dtype)
    lanes[:] = values[0]
    whole = values.size - values.size % _LANES
    for start in range(0, whole, _LANES):
        block = values[start : start + _LANES]
        for lane in range(_LANES):
            new, old = block[lane], lanes[lane]
            lanes[lane] = new if new > old else old
    largest = values[0]
    for lane in range(_LANES):
        largest = max(largest, lanes[lane])
    for c in range(whole, values.size):
        largest = values[c] if values[c] > largest else largest
    return largest


@jit(fastmath=_REORDER)
def _sum(values):
    """Return the sum in float64."""
    total = 0.0
    for c in range(values.size):
        total += np.float64(values[c])
    return total


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
        row, gradient = logits[i], dlogits[i]
        largest = _largest(row)
        # A NaN that the maximum passed over makes the total NaN.
        total = 0.0
        # A few numbers are done sooner by the C library than by vectors that are mostly empty.
        if n_classes < 2 * _LANES:
            for c in range(n_classes):
                gradient[c] = np.exp(row[c] - largest)
                total += gradient[c]
        else:
            for c in range(n_classes):
                gradient[c] = exp(row[c] - largest)
            total = _sum(gradient)
        log_total = np.log(total)
        own = target[i]
        row_loss = (1.0 - label_smoothing) * (log_total - np.float64(logits[i, own] - largest))
        if share > 0:
            for c in range(n_classes):
                row_loss += share * (log_total - np.float64(logits[i, c] - largest))
        loss += weight * row_loss
        scale, shift = dlogits.dtype.type(weight / total), dlogits.dtype.type(weight * share)
        for c in range(n_classes):
            gradient[c] = scale * gradient[c] - shift
        dlogits[i, own] -= weight * (1.0 - label_smoothing)
    return loss


def softmax_cross_entropy(logits, target, row_weight, label_smoothing, dlogits):
    """Return the sum over rows of weight * cross-entropy, and fill ``dlogits`` (n, c) with its gradient.

    With p = softmax(logits) and q = (1 - s) onehot(target) + s / c the row's loss is -sum q log p, and its gradient
    p - q. A row of weight 0 gets a gradient of 0, and its target is not looked at.
    """
    return _softmax_cross_entropy(logits, target, row_weight, float(label_smoothing), dlogits)
