"""Graph layers by their definitions: dense operators, plain loops, nothing fused.

The functions that share a name with one of :mod:`scinn.kernels.graph_layers` return new arrays instead of filling
``out``; the others transcribe whole layers with materialised operators ``W_k`` of shape (n_bands, n_nodes, n_nodes).
"""

from __future__ import annotations

import itertools

import numpy as np

__all__ = [
    "csr_transpose_matmat",
    "gcn_adjacency",
    "scale_shrink",
    "scale_shrink_backward",
    "segment_max",
    "segment_max_backward",
    "segment_square_sum",
    "segment_square_sum_backward",
    "segment_weighted_sum",
    "segment_weighted_sum_backward",
    "shrink_scalar",
    "shrink_threshold_gradient",
    "sure_risk",
    "ufg_conv",
    "ufg_conv_gradients",
    "ufg_pool",
]


def shrink_scalar(d: float, threshold: float, hard: bool) -> float:
    """Shrink one number; a negative threshold leaves it alone."""
    if threshold < 0:
        return d
    if abs(d) <= threshold:
        return 0.0 * d
    if hard:
        return d
    return float(np.sign(d)) * (abs(d) - threshold)


def csr_transpose_matmat(
    data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, y: np.ndarray, n_columns: int
) -> np.ndarray:
    """Return A.T @ y through the dense matrix A."""
    dense = np.zeros((len(indptr) - 1, n_columns), dtype=y.dtype)
    for i in range(len(indptr) - 1):
        for p in range(indptr[i], indptr[i + 1]):
            dense[i, indices[p]] += data[p]
    return dense.T @ y


def scale_shrink(c: np.ndarray, theta: np.ndarray, thresholds: np.ndarray, hard: bool) -> np.ndarray:
    """Return shrink(theta * c), one coefficient at a time."""
    scaled = theta[:, :, None] * c
    out = np.empty_like(scaled)
    for k, i, f in np.ndindex(*c.shape):
        out[k, i, f] = shrink_scalar(float(scaled[k, i, f]), float(thresholds[k]), hard)
    return out


def scale_shrink_backward(
    c: np.ndarray, theta: np.ndarray, thresholds: np.ndarray, pull: np.ndarray, de: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradients by c and by theta."""
    scaled = theta[:, :, None] * c
    passed = (np.abs(scaled) > thresholds[:, None, None]) | (thresholds < 0)[:, None, None]
    pulled = np.where(thresholds < 0, 0, pull).astype(c.dtype)
    dd = np.where(passed, de, 0) + pulled[:, None, None] * scaled
    per_coefficient = dd * c
    dtheta = per_coefficient.sum(axis=2)
    if theta.shape[1] == 1:
        dtheta = dtheta.sum(axis=1, keepdims=True)
    return theta[:, :, None] * dd, dtheta


def shrink_threshold_gradient(
    c: np.ndarray, theta: np.ndarray, thresholds: np.ndarray, de: np.ndarray
) -> np.ndarray:
    """Return the gradient by each soft threshold."""
    scaled = theta[:, :, None] * c
    passed = np.abs(scaled) > thresholds[:, None, None]
    total = -(np.sign(scaled) * passed * de).sum(axis=(1, 2))
    return np.where(thresholds < 0, 0, total)


def segment_weighted_sum(weights: np.ndarray, x: np.ndarray, node_ptr: np.ndarray) -> np.ndarray:
    """Return the weighted sums of each graph's rows, shape (n_graphs, n_bands, n_features)."""
    blocks = [weights[:, a:b] @ x[a:b] for a, b in itertools.pairwise(node_ptr)]
    return np.array(blocks).reshape(len(node_ptr) - 1, weights.shape[0], x.shape[1])


def segment_weighted_sum_backward(weights: np.ndarray, dp: np.ndarray, node_ptr: np.ndarray) -> np.ndarray:
    """Return the gradient by x of :func:`segment_weighted_sum`."""
    dx = np.zeros((weights.shape[1], dp.shape[2]), dtype=dp.dtype)
    for g, (a, b) in enumerate(itertools.pairwise(node_ptr)):
        dx[a:b] = weights[:, a:b].T @ dp[g]
    return dx


def segment_square_sum(c: np.ndarray, node_ptr: np.ndarray) -> np.ndarray:
    """Return each graph's band energies, shape (n_graphs, n_bands, n_features)."""
    blocks = [(c[:, a:b] ** 2).sum(axis=1) for a, b in itertools.pairwise(node_ptr)]
    return np.array(blocks).reshape(len(node_ptr) - 1, c.shape[0], c.shape[2])


def segment_square_sum_backward(c: np.ndarray, dp: np.ndarray, node_ptr: np.ndarray) -> np.ndarray:
    """Return the gradient by c of :func:`segment_square_sum`."""
    dc = np.zeros_like(c)
    for g, (a, b) in enumerate(itertools.pairwise(node_ptr)):
        dc[:, a:b] = 2 * c[:, a:b] * dp[g][:, None, :]
    return dc


def segment_max(x: np.ndarray, node_ptr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each graph's column maxima and the rows that attain them first (0 and -1 for a graph of no node)."""
    n_graphs = len(node_ptr) - 1
    out = np.zeros((n_graphs, x.shape[1]), dtype=x.dtype)
    winner = np.full((n_graphs, x.shape[1]), -1, dtype=np.int64)
    for g, (a, b) in enumerate(itertools.pairwise(node_ptr)):
        if b > a:
            winner[g] = a + np.argmax(x[a:b], axis=0)
            out[g] = x[a:b].max(axis=0)
    return out, winner


def segment_max_backward(dp: np.ndarray, winner: np.ndarray, n_nodes: int) -> np.ndarray:
    """Return the gradient by x of :func:`segment_max`."""
    dx = np.zeros((n_nodes, dp.shape[1]), dtype=dp.dtype)
    for g, f in np.ndindex(*dp.shape):
        if winner[g, f] >= 0:
            dx[winner[g, f], f] += dp[g, f]
    return dx


def gcn_adjacency(adjacency: np.ndarray) -> np.ndarray:
    """Return (D + I)^{-1/2} (A + I) (D + I)^{-1/2} of a dense adjacency."""
    looped = adjacency + np.eye(len(adjacency))
    scale = np.diag(1 / np.sqrt(looped.sum(axis=1)))
    return scale @ looped @ scale


def sure_risk(x: np.ndarray, threshold: float) -> float:
    """Return Stein's unbiased estimate of the risk of soft thresholding, for unit noise, divided by the size."""
    n = x.size
    kept = np.sum(np.abs(x) > threshold)
    return float((n - 2 * (n - kept) + np.sum(np.minimum(np.abs(x), threshold) ** 2)) / n)


def ufg_conv(
    operators: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    theta: np.ndarray,
    bias: np.ndarray,
    thresholds: np.ndarray,
    hard: bool = False,
) -> np.ndarray:
    """Return sum_k W_k^T shrink(diag(theta_k) W_k X Theta) + b with materialised operators."""
    z = x @ weight
    y = np.zeros_like(z)
    for k, w in enumerate(operators):
        scaled = np.diag(np.broadcast_to(theta[k], len(z))) @ (w @ z)
        shrunk = np.vectorize(lambda d, t=thresholds[k]: shrink_scalar(d, t, hard), otypes=[float])(scaled)
        y += w.T @ shrunk
    return y + bias


def ufg_conv_gradients(
    operators: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    theta: np.ndarray,
    thresholds: np.ndarray,
    dy: np.ndarray,
) -> dict[str, np.ndarray]:
    """Return the gradients of :func:`ufg_conv` by ``x``, ``weight``, ``filter`` and ``bias``, thresholds held fixed."""
    z = x @ weight
    dz = np.zeros_like(z)
    dtheta = np.zeros_like(theta)
    for k, w in enumerate(operators):
        c = w @ z
        dd = w @ dy
        if thresholds[k] >= 0:
            dd = dd * (np.abs(theta[k][:, None] * c) > thresholds[k])
        rows = (dd * c).sum(axis=1)
        dtheta[k] = rows if theta.shape[1] > 1 else rows.sum()
        dz += w.T @ (theta[k][:, None] * dd)
    return {"x": dz @ weight.T, "weight": x.T @ dz, "filter": dtheta, "bias": dy.sum(axis=0)}


def ufg_pool(operators: np.ndarray, x: np.ndarray, node_ptr: np.ndarray, mode: str) -> np.ndarray:
    """Return the framelet readout of every graph, shape (n_graphs, n_bands * n_features), bands outermost."""
    rows = []
    for a, b in itertools.pairwise(node_ptr):
        parts = []
        for w in operators:
            c = w[a:b, a:b] @ x[a:b]
            parts.append(c.sum(axis=0) if mode == "sum" else (c**2).sum(axis=0))
        rows.append(np.concatenate(parts))
    return np.array(rows)
