"""Walsh-Hadamard transform, and the degree-one Fourier coefficients of a truth table.

Notation: f a function on {-1,+1}^n, given as the table of its 2^n values; bit i of the index is set where ``x_i = -1``, so
that entry y of the table is f(x) with ``x_i = (-1)^(bit i of y)``. The transform in natural (Hadamard) order is

    (H f)[k] = sum_y (-1)^popcount(k & y) f[y],        H H = 2^n I,

and ``(H f)[k] / 2^n`` is the Fourier coefficient of f at the product of the x_i over the bits i of k. The coefficients of
degree zero and one, ``E f`` and ``E f x_i``, are the Chow parameters of f; they need a fold of ``2 * 2^n`` additions instead
of the ``n 2^n`` of the transform.

References
----------
N. Raviv, A. Kelley, M. Guo, Y. Vorobeychik (2021), Enhancing Robustness of Neural Networks through Fourier Stabilization,
ICML, PMLR 139, whose coefficients these are; R. O'Donnell (2014), Analysis of Boolean Functions, chapters 1 and 5.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scinn._input import as_float_array
from scinn.kernels import walsh as kernels
from scinn.nn.images import readable

__all__ = ["degree_one_coefficients", "walsh_hadamard_transform"]

_KEPT = (np.dtype(np.float64), np.dtype(np.float32), np.dtype(np.int64), np.dtype(np.int32))


def walsh_hadamard_transform(values: Any, *, normalize: bool = False, overwrite: bool = False) -> np.ndarray:
    """Return the Walsh-Hadamard transform along the last axis, in natural order.

    Parameters
    ----------
    values : array_like, shape (..., 2^n)
        One table, or many. float32, float64, int32 and int64 keep their dtype, other integers become int64.
    normalize : bool, default False
        Divide by ``2^(n/2)``, which makes the transform orthogonal and its own inverse; integers become float64.
    overwrite : bool, default False
        Write the result into ``values``, which must be a writeable C-contiguous array of one of the four dtypes.

    Returns
    -------
    ndarray, shape of the input
        ``scipy.linalg.hadamard(2**n) @ values`` for each table, exact for integers.

    Raises
    ------
    TypeError
        For booleans, whose meaning as signs is open, and what is not an array of real numbers.
    ValueError
        For a length that is not a power of two, NaN or infinity, integers whose sums could exceed their range, and
        ``overwrite`` of what cannot be written.

    References
    ----------
    O'Donnell (2014), section 1.2 (the coefficients); the blocking of the computation is derived here.

    Examples
    --------
    >>> import numpy as np
    >>> walsh_hadamard_transform(np.array([1, 2, 3, 4])).tolist()
    [10, -2, -4, 0]
    >>> walsh_hadamard_transform([3.0, 1.0], normalize=True).round(3).tolist()
    [2.828, 1.414]
    """
    array = _table(values, "values")
    size = _checked_length(array, "values")
    n_bits = size.bit_length() - 1
    if array.dtype.kind == "i":
        _check_range(array, "values", n_bits)
    if overwrite:
        _check_writeable(values, array, normalize)
    out = array if overwrite else np.empty_like(array)
    if array.size:
        kernels.walsh_hadamard(readable(array.reshape(-1, size)), out.reshape(-1, size))
    if not normalize:
        return out
    factor = 2.0 ** (-0.5 * n_bits)
    if out.dtype.kind == "i":
        return out * factor
    out *= out.dtype.type(factor)
    return out


def degree_one_coefficients(table: Any) -> np.ndarray:
    """Return the Fourier coefficients of degree zero and one of a function given by its table.

    Parameters
    ----------
    table : array_like, shape (2^n,)
        f(x) at index y, where bit i of y is set exactly if ``x_i = -1``. Integers (of up to 64 bits) are added exactly.

    Returns
    -------
    ndarray of float64, shape (n + 1,)
        ``E f``, then ``E f x_i`` for i = 0..n-1, for x uniform on {-1,+1}^n.

    Raises
    ------
    TypeError
        For booleans, whose meaning as signs is open, and what is not an array of real numbers.
    ValueError
        For a length that is not a power of two, NaN or infinity, and integers whose sums could exceed 64 bits.

    References
    ----------
    Raviv et al. (2021), the coefficients of a neuron; the fold is derived here.

    Examples
    --------
    The majority of three signs:

    >>> import numpy as np
    >>> x = 1 - 2 * (np.arange(8)[:, None] >> np.arange(3) & 1)
    >>> degree_one_coefficients(np.sign(x.sum(axis=1))).tolist()
    [0.0, 0.5, 0.5, 0.5]
    """
    array = _table(table, "table", widen=False)
    if array.ndim != 1:
        raise ValueError(
            f"table has {array.ndim} dimensions (shape {array.shape}); one table, of shape (2^n,), is wanted"
        )
    n_bits = _checked_length(array, "table").bit_length() - 1
    integers = array.dtype.kind in "iu"
    if integers:
        _check_range(array, "table", n_bits, np.dtype(np.int64))
    sums = np.empty(n_bits + 1, dtype=np.int64 if integers else np.float64)
    kernels.degree_one_sums(readable(array), sums)
    return np.ldexp(sums.astype(np.float64), -n_bits)


def _table(values: Any, name: str, *, widen: bool = True) -> np.ndarray:
    """Return a C-contiguous array of float32, float64 or integers; ``widen`` makes short integers int64."""
    array = values
    if isinstance(values, list | tuple):
        try:
            array = np.asarray(values)
        except ValueError:  # ragged: the general door says so
            array = values
    plain = isinstance(array, np.ndarray) and not isinstance(array, np.ma.MaskedArray | np.matrix)
    if plain and array.dtype.kind == "b":
        raise TypeError(
            f"{name} is boolean; numbers are wanted: pass 1 - 2 * {name}.astype(int) for True = -1, or "
            f"{name}.astype(int) for True = 1 and False = 0"
        )
    if not plain or array.dtype.kind not in "iu":
        return as_float_array(values, name)
    if widen and array.dtype.newbyteorder("=") not in _KEPT:
        if array.size and array.dtype.kind == "u" and int(array.max()) > np.iinfo(np.int64).max:
            raise ValueError(f"{name} holds {int(array.max())}, which no 64-bit signed integer can hold")
        array = array.astype(np.int64)
    if array.flags.c_contiguous and array.dtype.isnative:
        return array
    return np.array(array, dtype=array.dtype.newbyteorder("="), order="C")


def _checked_length(array: np.ndarray, name: str) -> int:
    if array.ndim == 0:
        raise ValueError(f"{name} is a single number; an array of shape (..., 2^n) is wanted: pass [{name}]")
    size = array.shape[-1]
    if size < 1 or size & (size - 1):
        below = 1 << max(size.bit_length() - 1, 0)
        entries = "entry" if size == 1 else "entries"
        raise ValueError(
            f"{name} has {size} {entries} along its last axis; a power of two is wanted, the nearest are {below} and "
            f"{2 * below}: a function of n signs has 2^n values"
        )
    return size


def _check_range(array: np.ndarray, name: str, n_bits: int, dtype: np.dtype | None = None) -> None:
    """Refuse integers whose sum over 2^n entries could leave the dtype."""
    dtype = array.dtype if dtype is None else dtype
    if array.size == 0:
        return
    largest = max(-int(array.min()), int(array.max()))
    if largest << n_bits > np.iinfo(dtype).max:
        wider = "'int64'" if dtype.itemsize == 4 else "'float64', which rounds"
        raise ValueError(
            f"{name} holds integers of size {largest}, and sums of 2^{n_bits} of them could exceed {dtype}; convert it "
            f"to {wider}"
        )


def _check_writeable(values: Any, array: np.ndarray, normalize: bool) -> None:
    if not isinstance(values, np.ndarray) or not np.shares_memory(array, values):
        raise ValueError(
            "overwrite=True needs a C-contiguous NumPy array of float64, float32, int64 or int32; pass overwrite=False"
        )
    if not values.flags.writeable:
        raise ValueError("values is read-only; pass overwrite=False or a copy")
    if normalize and array.dtype.kind == "i":
        raise ValueError(
            "normalize=True makes integers float64, which overwrite=True cannot store; drop one of them"
        )
