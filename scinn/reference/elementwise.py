"""Element-wise maps, by their definition."""

from __future__ import annotations

import numpy as np

__all__ = ["dropout"]


def dropout(x: np.ndarray, mask: np.ndarray, scale: float) -> np.ndarray:
    """Return scale * x where ``mask`` is set, and 0 elsewhere.

    Parameters
    ----------
    x : ndarray
    mask : ndarray of bool or uint8, shape of ``x``
    scale : float

    Returns
    -------
    ndarray, shape of ``x``

    Examples
    --------
    >>> import numpy as np
    >>> dropout(np.array([1.0, 2.0]), np.array([True, False]), 2.0).tolist()
    [2.0, 0.0]
    """
    out = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        if mask[index]:
            out[index] = x.dtype.type(scale) * x[index]
    return out
