"""Losses: functions that return the loss and its gradient by the predictions."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["binary_cross_entropy_with_logits", "kl_divergence", "mse", "softmax", "softmax_cross_entropy"]

_REDUCTIONS = ("mean", "sum")


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the softmax over the last axis, without overflow.

    Parameters
    ----------
    logits : ndarray of float32 or float64, shape (..., n_classes)

    Returns
    -------
    ndarray
        Same shape and dtype; the last axis sums to 1.

    Examples
    --------
    >>> import numpy as np
    >>> softmax(np.array([0.0, 0.0, -2000.0])).tolist()
    [0.5, 0.5, 0.0]
    """
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def softmax_cross_entropy(
    logits: Any,
    target: Any,
    *,
    mask: Any = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> tuple[float, np.ndarray]:
    """Cross-entropy between softmax probabilities and targets.

    For each row ``-sum_c q_c log p_c`` with ``p = softmax(logits)`` and
    ``q = (1 - s) target + s / n_classes``; the gradient is ``(p - q) / n``
    (``p - q`` for ``reduction="sum"``) on rows of the mask and 0 elsewhere.

    Parameters
    ----------
    logits : ndarray of float32 or float64, shape (..., n_classes)
        Unnormalised log probabilities.
    target : ndarray
        Class numbers (integers, shape ``logits.shape[:-1]``) or probabilities (floats, shape of ``logits``).
    mask : ndarray of bool, shape ``logits.shape[:-1]``, optional
        Rows that count; ``n`` is their number. Class numbers elsewhere are not looked at.
    label_smoothing : float, default 0
        ``s`` in [0, 1).
    reduction : {"mean", "sum"}

    Returns
    -------
    loss : float
    dlogits : ndarray, shape of ``logits``

    Raises
    ------
    ValueError
        For NaN or infinite logits, targets out of range, an empty mask, or shapes that do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> loss, dlogits = softmax_cross_entropy(np.zeros((1, 2)), np.array([0]))
    >>> round(loss, 6), dlogits.tolist()
    (0.693147, [[-0.5, 0.5]])
    """
    logits = _check_prediction(logits, "logits", min_ndim=2)
    _check_reduction(reduction)
    if isinstance(label_smoothing, bool) or not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing must be in [0, 1), got {label_smoothing!r}")
    keep = _check_mask(mask, logits.shape[:-1])
    rows = np.require(logits.reshape(-1, logits.shape[-1]), requirements="C")
    scale = _scale(reduction, keep, rows.shape[0])
    target = np.asarray(target)
    if target.dtype.kind in "iu":
        from scinn.kernels import losses as kernels

        labels = _check_labels(target, logits, keep)
        weight = np.full(rows.shape[0], scale) if keep is None else scale * keep
        dlogits = np.empty_like(rows)
        loss = kernels.softmax_cross_entropy(rows, labels, weight, label_smoothing, dlogits)
    else:
        q = _check_probabilities(target, logits)
        if label_smoothing:
            q = q * q.dtype.type(1 - label_smoothing) + q.dtype.type(label_smoothing / q.shape[1])
        loss, dlogits = _cross_entropy_of_probabilities(rows, q, keep, scale)
    return float(loss), dlogits.reshape(logits.shape)


def _cross_entropy_of_probabilities(
    rows: np.ndarray, q: np.ndarray, keep: np.ndarray | None, scale: float
) -> tuple[float, np.ndarray]:
    log_p = _log_softmax(rows)
    per_row = -np.where(q > 0, q * log_p, 0).sum(axis=-1, dtype=np.float64)
    dlogits = (np.exp(log_p) * q.sum(axis=-1, keepdims=True) - q) * rows.dtype.type(scale)
    if keep is not None:
        per_row = per_row[keep]
        dlogits[~keep] = 0
    return float(per_row.sum() * scale), dlogits


def _check_probabilities(target: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Return target probabilities as rows in the dtype of the logits."""
    if target.dtype.kind != "f":
        raise TypeError(f"target must hold integers or probabilities, got dtype {target.dtype}")
    if target.shape != logits.shape:
        raise ValueError(
            f"target probabilities have shape {target.shape}, logits {logits.shape}; "
            "class numbers must be integers"
        )
    if not np.all(target >= 0) or not np.allclose(target.sum(axis=-1), 1, atol=1e-4):
        raise ValueError("target probabilities must be non-negative and sum to 1 along the last axis")
    return target.reshape(-1, logits.shape[-1]).astype(logits.dtype, copy=False)


def _check_labels(target: np.ndarray, logits: np.ndarray, keep: np.ndarray | None) -> np.ndarray:
    n_classes = logits.shape[-1]
    if target.shape != logits.shape[:-1]:
        raise ValueError(
            f"target has shape {target.shape}, wanted one class number per row: {logits.shape[:-1]}"
        )
    labels = np.require(target.reshape(-1), dtype=np.int64, requirements="C")
    if keep is not None:
        labels = np.where(keep, labels, 0)
    if labels.size and (labels.min() < 0 or labels.max() >= n_classes):
        bad = int(np.flatnonzero((labels < 0) | (labels >= n_classes))[0])
        raise ValueError(
            f"target {int(labels[bad])} in row {bad} is out of range: logits have {n_classes} classes, "
            f"numbered 0 to {n_classes - 1}"
        )
    return labels


def mse(
    prediction: Any, target: Any, *, mask: Any = None, reduction: str = "mean"
) -> tuple[float, np.ndarray]:
    """Mean squared error ``mean((prediction - target)^2)`` over all entries, or their sum.

    Parameters
    ----------
    prediction : ndarray of float32 or float64
    target : ndarray
        Same shape.
    mask : ndarray of bool, shape ``prediction.shape[:1]``, optional
        Rows that count.
    reduction : {"mean", "sum"}

    Returns
    -------
    loss : float
    dprediction : ndarray
        ``2 (prediction - target) / n`` with ``n`` the number of entries that count.

    Examples
    --------
    >>> import numpy as np
    >>> loss, gradient = mse(np.array([1.0, 3.0]), np.array([0.0, 3.0]))
    >>> loss, gradient.tolist()
    (0.5, [1.0, 0.0])
    """
    prediction = _check_prediction(prediction, "prediction")
    _check_reduction(reduction)
    difference = prediction - _check_target(target, prediction)
    keep = _check_mask(mask, prediction.shape[:1])
    if keep is not None:
        difference[~keep] = 0
    scale = _scale(reduction, keep, prediction.shape[0]) if prediction.ndim else 1.0
    if reduction == "mean" and prediction.ndim > 1:
        scale /= max(int(np.prod(prediction.shape[1:])), 1)
    flat = difference.reshape(-1).astype(np.float64)
    return float(flat @ flat * scale), difference * prediction.dtype.type(2 * scale)


def binary_cross_entropy_with_logits(
    logits: Any, target: Any, *, mask: Any = None, reduction: str = "mean"
) -> tuple[float, np.ndarray]:
    """Binary cross-entropy of independent logits.

    Per entry ``max(z, 0) - z t + log(1 + exp(-|z|))``, which never overflows; the gradient is
    ``(sigmoid(z) - t) / n``.

    Parameters
    ----------
    logits : ndarray of float32 or float64
    target : ndarray
        Probabilities in [0, 1] (bool and 0/1 integers too), same shape.
    mask : ndarray of bool, shape ``logits.shape[:1]``, optional
        Rows that count.
    reduction : {"mean", "sum"}

    Returns
    -------
    loss : float
    dlogits : ndarray

    Examples
    --------
    >>> import numpy as np
    >>> loss, dlogits = binary_cross_entropy_with_logits(np.array([0.0]), np.array([1]))
    >>> round(loss, 6), dlogits.tolist()
    (0.693147, [-0.5])
    """
    from scinn.nn.activations import sigmoid

    logits = _check_prediction(logits, "logits")
    _check_reduction(reduction)
    target = _check_target(target, logits)
    if target.size and (target.min() < 0 or target.max() > 1):
        raise ValueError(f"target must be in [0, 1], got values from {target.min()} to {target.max()}")
    per_entry = np.maximum(logits, 0) - logits * target + np.log1p(np.exp(-np.abs(logits)))
    return _reduce_entries(per_entry, sigmoid(logits) - target, mask, reduction)


def kl_divergence(
    logits: Any, target: Any, *, mask: Any = None, reduction: str = "mean"
) -> tuple[float, np.ndarray]:
    """Kullback-Leibler divergence ``KL(target || softmax(logits))`` of each row, averaged or summed.

    ``sum_c q_c (log q_c - log p_c)`` with ``0 log 0 = 0``; the gradient is that of the cross-entropy.

    Parameters
    ----------
    logits : ndarray of float32 or float64, shape (..., n_classes)
    target : ndarray, shape of ``logits``
        Probabilities, for example a teacher's.
    mask : ndarray of bool, shape ``logits.shape[:-1]``, optional
        Rows that count.
    reduction : {"mean", "sum"}

    Returns
    -------
    loss : float
    dlogits : ndarray

    Examples
    --------
    >>> import numpy as np
    >>> loss, dlogits = kl_divergence(np.zeros((1, 2)), np.array([[0.5, 0.5]]))
    >>> round(loss, 12), dlogits.tolist()
    (0.0, [[0.0, 0.0]])
    """
    logits = _check_prediction(logits, "logits", min_ndim=2)
    target = np.asarray(target)
    if target.dtype.kind != "f":
        raise TypeError(
            f"target must hold probabilities, got dtype {target.dtype}; for class numbers use "
            "softmax_cross_entropy"
        )
    cross_entropy, dlogits = softmax_cross_entropy(logits, target, mask=mask, reduction=reduction)
    keep = _check_mask(mask, logits.shape[:-1])
    q = target.reshape(-1, logits.shape[-1]).astype(np.float64)
    entropy = -(q * np.log(np.where(q > 0, q, 1))).sum(axis=-1)
    if keep is not None:
        entropy = entropy[keep]
    return cross_entropy - float(entropy.sum() * _scale(reduction, keep, q.shape[0])), dlogits


def _reduce_entries(
    per_entry: np.ndarray, gradient: np.ndarray, mask: Any, reduction: str
) -> tuple[float, np.ndarray]:
    keep = _check_mask(mask, per_entry.shape[:1])
    if keep is not None:
        per_entry = per_entry[keep]
        gradient[~keep] = 0
    scale = 1.0 / max(per_entry.size, 1) if reduction == "mean" else 1.0
    return float(per_entry.sum(dtype=np.float64) * scale), gradient * gradient.dtype.type(scale)


def _scale(reduction: str, keep: np.ndarray | None, n_rows: int) -> float:
    if reduction == "sum":
        return 1.0
    return 1.0 / max(n_rows if keep is None else int(keep.sum()), 1)


def _check_prediction(x: Any, name: str, min_ndim: int = 1) -> np.ndarray:
    x = np.asarray(x)
    if x.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"{name} must be float32 or float64, got {x.dtype}")
    if x.ndim < min_ndim:
        raise ValueError(f"{name} needs at least {min_ndim} axes, got shape {x.shape}")
    if not np.all(np.isfinite(x)):
        bad = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
        raise ValueError(
            f"{name} must be finite, got {x[bad]} at index {bad}; the network diverged or its input is not "
            "finite: check the inputs, lower the learning rate"
        )
    return x


def _check_target(target: Any, prediction: np.ndarray) -> np.ndarray:
    target = np.asarray(target)
    if target.dtype.kind not in "fiub":
        raise TypeError(f"target must hold numbers, got dtype {target.dtype}")
    if target.shape != prediction.shape:
        raise ValueError(
            f"target has shape {target.shape}, the prediction {prediction.shape}; they must be equal"
        )
    if not np.all(np.isfinite(target)):
        raise ValueError("target must be finite")
    return target.astype(prediction.dtype, copy=False)


def _check_mask(mask: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    if mask is None:
        return None
    mask = np.asarray(mask)
    if mask.dtype != np.bool_ or mask.shape != shape:
        raise ValueError(
            f"mask must be a bool array of shape {shape}, got {mask.dtype} of shape {mask.shape}; "
            "from row numbers: mask = np.zeros(n, bool); mask[rows] = True"
        )
    if not mask.any():
        raise ValueError("mask selects no row, so there is no loss; check the split")
    return mask.reshape(-1)


def _check_reduction(reduction: str) -> None:
    if reduction not in _REDUCTIONS:
        raise ValueError(f"reduction must be one of {_REDUCTIONS}, got {reduction!r}")
