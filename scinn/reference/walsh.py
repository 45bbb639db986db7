"""Walsh-Hadamard transform and degree-one sums from their definitions.

``H[x, y] = (-1)^popcount(x & y)`` in the natural (Hadamard) order; bit i of an index is set where ``x_i = -1``.
"""

from __future__ import annotations

import numpy as np

__all__ = ["degree_one_sums", "walsh_hadamard"]


def walsh_hadamard(values: np.ndarray) -> np.ndarray:
    """Return the Walsh-Hadamard transform of each row, entry by entry, in exact integers or in float64.

    Parameters
    ----------
    values : ndarray, shape (n_tables, 2^n)
        Integers or floats.

    Returns
    -------
    ndarray, shape (n_tables, 2^n)
        Of the dtype of ``values``; floats are rounded once.

    Examples
    --------
    >>> import numpy as np
    >>> walsh_hadamard(np.array([[1, 2, 3, 4]])).tolist()
    [[10, -2, -4, 0]]
    """
    size = values.shape[1]
    signs = np.array([[(-1) ** (x & y).bit_count() for y in range(size)] for x in range(size)])
    wide = values.astype(np.float64) if values.dtype.kind == "f" else values.astype(object)
    return np.array([signs.astype(wide.dtype) @ row for row in wide]).astype(values.dtype)


def degree_one_sums(table: np.ndarray) -> np.ndarray:
    """Return the sum of a table, and for each bit of the index the sum with minus signs where it is set.

    Parameters
    ----------
    table : ndarray, shape (2^n,)
        Integers or floats.

    Returns
    -------
    ndarray of int64 or float64, shape (n + 1,)

    Examples
    --------
    >>> import numpy as np
    >>> degree_one_sums(np.array([1, 2, 3, 4])).tolist()
    [10, -2, -4]
    """
    n = len(table).bit_length() - 1
    wide = table.astype(np.float64) if table.dtype.kind == "f" else table.astype(object)
    sums = [sum(wide)]
    sums += [sum(-value if y >> i & 1 else value for y, value in enumerate(wide)) for i in range(n)]
    return np.array(sums, dtype=np.float64 if table.dtype.kind == "f" else np.int64)
