"""Layer normalisation of rows: statistics and result in one visit of each row, which stays in the cache.

Twins of the same names are in :mod:`scinn.reference.layer_norm`.
"""

from __future__ import annotations

import numpy as np

from scinn.kernels._jit import jit

__all__ = ["layer_norm", "layer_norm_gradient"]

# Reordering lets the sums over a row run in vectors; no flag lets the compiler forget NaN.
_REORDER = frozenset({"contract", "reassoc"})


@jit(fastmath=_REORDER)
def layer_norm(x, scale, shift, eps, out, mean, inverse):
    """Fill ``out`` (n, f) with ``scale (x - mean) inverse + shift``, ``mean`` and ``inverse`` deviation (n,) of the rows."""
    n_rows, n_features = x.shape
    for i in range(n_rows):
        row, result = x[i], out[i]
        total = 0.0
        for j in range(n_features):
            total += np.float64(row[j])
        center = total / n_features
        # Squares of what is left after the mean has been taken off: a large mean costs no digits.
        squares = 0.0
        for j in range(n_features):
            d = np.float64(row[j]) - center
            squares += d * d
        factor = 1.0 / np.sqrt(squares / n_features + eps)
        mean[i], inverse[i] = center, factor
        for j in range(n_features):
            result[j] = scale[j] * ((np.float64(row[j]) - center) * factor) + shift[j]


@jit(fastmath=_REORDER)
def layer_norm_gradient(x, dy, scale, mean, inverse, dx, dscale, dshift):
    """Fill ``dx`` (n, f), and add to ``dscale`` and ``dshift`` (f,; float64)."""
    n_rows, n_features = x.shape
    for i in range(n_rows):
        row, gradient, result = x[i], dy[i], dx[i]
        center, factor = mean[i], inverse[i]
        plain = product = 0.0
        for j in range(n_features):
            x_hat = (np.float64(row[j]) - center) * factor
            d = np.float64(gradient[j])
            dscale[j] += d * x_hat
            dshift[j] += d
            plain += d * scale[j]
            product += d * scale[j] * x_hat
        plain /= n_features
        product /= n_features
        for j in range(n_features):
            x_hat = (np.float64(row[j]) - center) * factor
            result[j] = factor * (np.float64(gradient[j]) * scale[j] - plain - x_hat * product)
