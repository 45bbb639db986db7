"""Kernels of the graph layers: scaled shrinkage of band coefficients, transposed sparse products, readouts.

Every function has a twin of the same name in :mod:`scinn.reference.graph_layers`, which returns new arrays instead
of filling ``out``.
"""

from __future__ import annotations

from scinn.kernels._jit import jit

__all__ = [
    "csr_transpose_matmat",
    "scale_shrink",
    "scale_shrink_backward",
    "segment_max",
    "segment_max_backward",
    "segment_square_sum",
    "segment_square_sum_backward",
    "segment_weighted_sum",
    "segment_weighted_sum_backward",
    "shrink_threshold_gradient",
]


@jit
def csr_transpose_matmat(data, indices, indptr, y, out):
    """Fill ``out`` (n_columns, f) with A.T @ y by scattering rows, so that no transpose is ever stored."""
    out[:] = 0
    n_features = y.shape[1]
    for i in range(indptr.shape[0] - 1):
        for p in range(indptr[i], indptr[i + 1]):
            value = data[p]
            j = indices[p]
            for f in range(n_features):
                out[j, f] += value * y[i, f]


@jit
def scale_shrink(c, theta, thresholds, hard, out):
    """Fill ``out`` with shrink(theta * c); theta is (n_bands, n_nodes) or (n_bands, 1).

    A negative threshold leaves its band alone.
    """
    n_bands, n_nodes, n_features = c.shape
    per_node = theta.shape[1] > 1
    for k in range(n_bands):
        t = thresholds[k]
        for i in range(n_nodes):
            scale = theta[k, i] if per_node else theta[k, 0]
            if t < 0:
                for f in range(n_features):
                    out[k, i, f] = scale * c[k, i, f]
            elif hard:
                for f in range(n_features):
                    d = scale * c[k, i, f]
                    out[k, i, f] = d if abs(d) > t else 0 * d
            else:
                for f in range(n_features):
                    d = scale * c[k, i, f]
                    out[k, i, f] = d - t if d > t else (d + t if d < -t else 0 * d)


@jit
def scale_shrink_backward(c, theta, thresholds, pull, de, dc, dtheta):
    """Fill ``dc`` and ``dtheta`` from the gradient ``de`` of the shrunk coefficients.

    With D = theta * c, the gradient of D is de where |D| passes the threshold, plus pull[k] * D (the way the
    thresholds themselves depend on D).
    """
    n_bands, n_nodes, n_features = c.shape
    per_node = theta.shape[1] > 1
    for k in range(n_bands):
        t = thresholds[k]
        a = pull[k]
        if not per_node:
            dtheta[k, 0] = 0
        band_total = 0.0
        for i in range(n_nodes):
            scale = theta[k, i] if per_node else theta[k, 0]
            total = 0.0
            if t < 0:
                for f in range(n_features):
                    g = de[k, i, f]
                    total += g * c[k, i, f]
                    dc[k, i, f] = scale * g
            else:
                for f in range(n_features):
                    value = c[k, i, f]
                    d = scale * value
                    g = (de[k, i, f] if abs(d) > t else 0 * d) + a * d
                    total += g * value
                    dc[k, i, f] = scale * g
            if per_node:
                dtheta[k, i] = total
            else:
                band_total += total
        if not per_node:
            dtheta[k, 0] = band_total


@jit
def shrink_threshold_gradient(c, theta, thresholds, de, out):
    """Fill ``out`` (n_bands,) with the gradient of each soft threshold: minus the sum of sign(D) de where it passed."""
    n_bands, n_nodes, n_features = c.shape
    per_node = theta.shape[1] > 1
    for k in range(n_bands):
        t = thresholds[k]
        total = 0.0
        if t >= 0:
            for i in range(n_nodes):
                scale = theta[k, i] if per_node else theta[k, 0]
                row = 0.0
                for f in range(n_features):
                    d = scale * c[k, i, f]
                    if d > t:
                        row -= de[k, i, f]
                    elif d < -t:
                        row += de[k, i, f]
                total += row
        out[k] = total


@jit
def segment_weighted_sum(weights, x, node_ptr, out):
    """Fill ``out`` (n_graphs, n_bands, f) with the sums over each graph's nodes of weights[k, i] * x[i]."""
    n_bands = weights.shape[0]
    n_features = x.shape[1]
    out[:] = 0
    for g in range(node_ptr.shape[0] - 1):
        for i in range(node_ptr[g], node_ptr[g + 1]):
            for k in range(n_bands):
                w = weights[k, i]
                for f in range(n_features):
                    out[g, k, f] += w * x[i, f]


@jit
def segment_weighted_sum_backward(weights, dp, node_ptr, dx):
    """Fill ``dx`` (n_nodes, f) with the sum over bands of weights[k, i] * dp[graph of i, k]."""
    n_bands = weights.shape[0]
    n_features = dx.shape[1]
    dx[:] = 0
    for g in range(node_ptr.shape[0] - 1):
        for i in range(node_ptr[g], node_ptr[g + 1]):
            for k in range(n_bands):
                w = weights[k, i]
                for f in range(n_features):
                    dx[i, f] += w * dp[g, k, f]


@jit
def segment_square_sum(c, node_ptr, out):
    """Fill ``out`` (n_graphs, n_bands, f) with each graph's band energies: sums of c[k, i] squared."""
    n_bands, _, n_features = c.shape
    out[:] = 0
    for g in range(node_ptr.shape[0] - 1):
        for k in range(n_bands):
            for i in range(node_ptr[g], node_ptr[g + 1]):
                for f in range(n_features):
                    out[g, k, f] += c[k, i, f] * c[k, i, f]


@jit
def segment_square_sum_backward(c, dp, node_ptr, dc):
    """Fill ``dc`` with 2 c[k, i] dp[graph of i, k]."""
    n_bands, _, n_features = c.shape
    for k in range(n_bands):
        for g in range(node_ptr.shape[0] - 1):
            for i in range(node_ptr[g], node_ptr[g + 1]):
                for f in range(n_features):
                    dc[k, i, f] = 2 * c[k, i, f] * dp[g, k, f]


@jit
def segment_max(x, node_ptr, out, winner):
    """Fill ``out`` (n_graphs, f) with maxima and ``winner`` with the first row that attains each; -1 and 0 if empty."""
    n_features = x.shape[1]
    for g in range(node_ptr.shape[0] - 1):
        start = node_ptr[g]
        stop = node_ptr[g + 1]
        for f in range(n_features):
            if start == stop:
                out[g, f] = 0
                winner[g, f] = -1
            else:
                best = start
                for i in range(start + 1, stop):
                    if x[i, f] > x[best, f]:
                        best = i
                out[g, f] = x[best, f]
                winner[g, f] = best


@jit
def segment_max_backward(dp, winner, dx):
    """Fill ``dx`` with zeros but dp at the winning rows."""
    dx[:] = 0
    for g in range(dp.shape[0]):
        for f in range(dp.shape[1]):
            if winner[g, f] >= 0:
                dx[winner[g, f], f] += dp[g, f]
