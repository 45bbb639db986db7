"""Masks of dropout that hold for a whole sequence, and come from a key whenever they are asked for.

Y. Gal, Z. Ghahramani, "A Theoretically Grounded Application of Dropout in Recurrent Neural Networks", NeurIPS 2016,
arXiv 1512.05287.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scinn._input import check_in_range
from scinn.random import Key

__all__ = ["dropout_mask"]


def dropout_mask(key: Key, shape: tuple[int, ...], rate: float, dtype: Any = np.float32) -> np.ndarray | None:
    """Return a mask of zeros and ``1 / (1 - rate)``, the same whenever it is asked for.

    Parameters
    ----------
    key : Key
        Address of the mask.
    shape : tuple of int
    rate : float
        Probability of zero, in [0, 1).
    dtype : dtype, default float32

    Returns
    -------
    ndarray or None
        None for rate 0, where nothing is dropped.

    Examples
    --------
    >>> from scinn.random import Key
    >>> mask = dropout_mask(Key(0), (2, 50), 0.5)
    >>> sorted(set(mask.ravel().tolist()))
    [0.0, 2.0]
    """
    rate = check_in_range(rate, "rate", 0.0, 1.0, inclusive="left")
    if rate == 0.0:
        return None
    kept = key.generator().random(shape, dtype=np.float32) >= rate
    return kept.astype(dtype) * np.asarray(1.0 / (1.0 - rate), dtype=dtype)
