"""Kernels of convolutions, and their matrices along one axis.

Named kernels have unit integral. Notation of :mod:`scinn.inverse.operators`: ``G[i, j] = w_j k(t_i - x_j)``, plus the
terms of the field's continuation beyond the grid.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from scinn._input import as_float_array, as_index_array, check_choice, check_in_range

__all__ = ["BOUNDARIES", "KERNELS", "axis_matrix", "extended_index", "kernel_function", "row_indices"]

BOUNDARIES = ("zero", "periodic", "reflect", "nearest", "mirror")
KERNELS = ("gaussian", "box", "laplace", "moffat")


def kernel_function(kernel: str, width: float) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function k(r) of a named kernel.

    Parameters
    ----------
    kernel : {"gaussian", "box", "laplace", "moffat", "moffat(b)"}
        Its name.
    width : float
        Its length l, positive.

    Returns
    -------
    callable

    Raises
    ------
    ValueError
        For an unknown name, a width that is not positive, or b <= 1/2.

    Examples
    --------
    >>> import numpy as np
    >>> kernel_function("box", 2.0)(np.array([0.0, 1.9, 2.0])).tolist()
    [0.25, 0.25, 0.0]
    """
    name, exponent = kernel, 2.0
    matched = re.fullmatch(r"moffat\(\s*([^)]+?)\s*\)", kernel)
    if matched:
        name, exponent = "moffat", float(matched.group(1))
        check_in_range(exponent, "the exponent of kernel 'moffat'", 0.5, None, "neither")
    check_choice(name, "kernel", KERNELS)
    if width is None:
        raise ValueError(f"width is None; kernel {kernel!r} needs a length: pass width=")
    length = check_in_range(width, "width", 0.0, None, "neither")
    if name == "gaussian":
        return lambda r: np.exp(-0.5 * (r / length) ** 2) / (length * math.sqrt(2.0 * math.pi))
    if name == "box":
        return lambda r: (np.abs(r) < length) / (2.0 * length)
    if name == "laplace":
        return lambda r: np.exp(-np.abs(r) / length) / (2.0 * length)
    integral = length * math.sqrt(math.pi) * math.exp(math.lgamma(exponent - 0.5) - math.lgamma(exponent))
    return lambda r: (1.0 + (r / length) ** 2) ** -exponent / integral


def extended_index(index: np.ndarray, n: int, boundary: str) -> tuple[np.ndarray, np.ndarray]:
    """Return which of n points stands for an index beyond them, and whether any does.

    Parameters
    ----------
    index : ndarray of int
        Any integers.
    n : int
        Number of points.
    boundary : str
        One of ``BOUNDARIES``.

    Returns
    -------
    index : ndarray of int
        In 0..n-1.
    inside : ndarray of bool
        False where the field is zero.

    Examples
    --------
    >>> import numpy as np
    >>> extended_index(np.arange(-3, 6), 3, "reflect")[0].tolist()
    [2, 1, 0, 0, 1, 2, 2, 1, 0]
    """
    check_choice(boundary, "boundary", BOUNDARIES)
    inside = np.ones(index.shape, dtype=bool)
    if boundary == "periodic":
        return index % n, inside
    if boundary == "reflect":
        turned = index % (2 * n)
        return np.where(turned < n, turned, 2 * n - 1 - turned), inside
    if boundary == "mirror":
        period = max(2 * (n - 1), 1)
        turned = index % period
        return np.where(turned < n, turned, period - turned), inside
    if boundary == "zero":
        inside = (index >= 0) & (index < n)
    return np.clip(index, 0, n - 1), inside


def row_indices(rows: Any, n: int, name: str) -> np.ndarray:
    """Return the indices that a slice, an array of indices or None (all) stands for, int64.

    Parameters
    ----------
    rows : slice, array-like of int, or None
        The choice.
    n : int
        Number of points.
    name : str
        The argument's name, for messages.

    Returns
    -------
    ndarray of int64, shape (m,)

    Raises
    ------
    ValueError
        For indices out of range, or none.

    Examples
    --------
    >>> row_indices(slice(None, None, 2), 5, "rows").tolist()
    [0, 2, 4]
    """
    if rows is None:
        return np.arange(n)
    index = np.arange(n)[rows] if isinstance(rows, slice) else as_index_array(rows, name, n=n)
    if not len(index):
        raise ValueError(f"{name} chooses none of the {n} points; at least one is wanted")
    return index


def axis_matrix(
    axis: np.ndarray,
    kernel: Any,
    width: Any,
    rows: np.ndarray,
    *,
    boundary: str,
    quadrature: str,
    normalise: bool,
) -> np.ndarray:
    """Return the matrix of a convolution along one axis.

    Parameters
    ----------
    axis : ndarray of float64, shape (n,)
        Sorted points.
    kernel, width, boundary, quadrature, normalise
        As in :class:`scinn.inverse.operators.Convolution1D`.
    rows : ndarray of int64, shape (m,)
        Points that have data.

    Returns
    -------
    ndarray of float64, shape (m, n)

    Examples
    --------
    >>> import numpy as np
    >>> options = dict(boundary="periodic", quadrature="rectangle", normalise=False)
    >>> axis_matrix(np.arange(3.0), [0.0, 1.0, 2.0], None, np.arange(3), **options).tolist()
    [[1.0, 0.0, 2.0], [2.0, 1.0, 0.0], [0.0, 2.0, 1.0]]
    """
    from scinn.inverse.grids import Grid

    check_choice(boundary, "boundary", BOUNDARIES)
    check_choice(quadrature, "quadrature", ["rectangle", "trapezoid"])
    taps_given = not (isinstance(kernel, str) or callable(kernel))
    if quadrature == "trapezoid" and (boundary != "zero" or taps_given):
        raise ValueError(
            f"quadrature is 'trapezoid' with boundary {boundary!r} and kernel {type(kernel).__name__}; it is meant for "
            "boundary 'zero' and a kernel that is a name or a function: use quadrature='rectangle'"
        )
    if taps_given:
        taps = as_float_array(kernel, "kernel", ndim=1, dtype=np.float64)
        if not len(taps):
            raise ValueError("kernel is empty; at least one tap is wanted")
        return _folded(_normalised(taps, normalise), len(taps) // 2, len(axis), rows, boundary)
    function = kernel_function(kernel, width) if isinstance(kernel, str) else kernel
    grid = Grid((axis,))
    if quadrature == "trapezoid" and not grid.is_uniform:
        if normalise:
            raise ValueError("normalise is True on a grid with unequal steps; a uniform grid is wanted")
        gaps = np.diff(axis)
        weights = 0.5 * (np.append(gaps, 0.0) + np.append(0.0, gaps))
        return _values(function, axis[rows, None] - axis[None, :]) * weights
    step = grid.spacing[0]
    reach = len(axis) - 1
    taps = _values(function, step * np.arange(-reach, reach + 1)) * step
    matrix = _folded(_normalised(taps, normalise), reach, len(axis), rows, boundary)
    if quadrature == "trapezoid" and len(axis) > 1:
        matrix[:, [0, -1]] *= 0.5
    return matrix


def _values(function: Callable[[np.ndarray], Any], r: np.ndarray) -> np.ndarray:
    values = as_float_array(function(r), "the kernel's values", dtype=np.float64)
    if values.shape != r.shape:
        raise ValueError(
            f"kernel returned shape {values.shape} for distances of shape {r.shape}; a function of each distance is wanted"
        )
    return values


def _normalised(taps: np.ndarray, normalise: bool) -> np.ndarray:
    if not normalise:
        return taps
    total = taps.sum()
    if total == 0:
        raise ValueError(
            "the kernel's values on the grid sum to 0; they cannot be normalised: pass normalise=False"
        )
    return taps / total


def _folded(taps: np.ndarray, centre: int, n: int, rows: np.ndarray, boundary: str) -> np.ndarray:
    """Return the matrix of ``(G u)_i = sum_o taps[o] u[i - (o - centre)]`` with the field continued."""
    source, inside = extended_index(rows[:, None] - (np.arange(len(taps)) - centre)[None, :], n, boundary)
    place = np.arange(len(rows))[:, None] * n + source
    weights = np.where(inside, taps[None, :], 0.0)
    return np.bincount(place.ravel(), weights.ravel(), minlength=len(rows) * n).reshape(len(rows), n)
