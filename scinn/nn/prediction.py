"""Outputs of a network for more inputs than should be in memory at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from scinn.nn.layer import Layer

__all__ = ["predict"]


def predict(network: Layer, x: np.ndarray, *, batch_size: int = 256) -> np.ndarray:
    """Return a network's output in inference mode, batch by batch.

    Parameters
    ----------
    network : Layer
        With one input and one output, whose rows belong together.
    x : ndarray, shape (n, ...)
    batch_size : int, default 256
        Rows at a time; activations of one batch are in memory at once.

    Returns
    -------
    ndarray, shape (n, ...)

    Raises
    ------
    ValueError
        For a batch size below one, or no rows.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.nn import Dense
    >>> predict(Dense(2, 1, init="ones"), np.ones((5, 2), dtype=np.float32), batch_size=2).ravel().tolist()
    [2.0, 2.0, 2.0, 2.0, 2.0]
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size < 1:
        raise ValueError(f"batch_size must be a positive integer, got {batch_size!r}")
    if len(x) == 0:
        raise ValueError("x has no rows, so that the shape of the output is not known")
    from threadpoolctl import threadpool_limits

    parts: list[Any] = []
    with threadpool_limits(limits=1, user_api="blas"):
        for start in range(0, len(x), batch_size):
            parts.append(network(x[start : start + batch_size]))
    return np.concatenate(parts)
