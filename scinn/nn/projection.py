"""``x W`` and its gradients, where x may be dense or a CSR array of features; shared by every layer with a weight."""

from __future__ import annotations

from typing import Any

import numpy as np

from scinn.nn.layer import is_sparse

__all__ = ["project", "project_backward"]


def project(x: Any, weight: np.ndarray) -> np.ndarray:
    """Return ``x @ weight`` for a dense x of shape (..., n_in) or a CSR x of shape (n, n_in)."""
    if not is_sparse(x):
        return x @ weight
    from scinn.kernels.sparse import csr_matmat

    out = np.empty((x.shape[0], weight.shape[1]), dtype=weight.dtype)
    csr_matmat(x.data, x.indices, x.indptr, np.ascontiguousarray(weight), out)
    return out


def project_backward(x: Any, weight: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """Return the gradients of ``x @ weight`` by x, ``dy W^T`` (None for a CSR x), and by weight, ``x^T dy``."""
    n_in, n_out = weight.shape
    if not is_sparse(x):
        return dy @ weight.T, x.reshape(-1, n_in).T @ dy.reshape(-1, n_out)
    from scinn.kernels.graph_layers import csr_transpose_matmat

    dweight = np.empty(weight.shape, dtype=weight.dtype)
    csr_transpose_matmat(x.data, x.indices, x.indptr, np.ascontiguousarray(dy), dweight)
    return None, dweight
