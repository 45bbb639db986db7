"""Test fields: functions with and without jumps, for inverse problems with a known truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from scinn._input import as_float_array, check_choice
from scinn.inverse.grids import Grid

__all__ = ["PHANTOMS_1D", "PHANTOMS_2D", "phantom", "truth_values"]


def _jumps_1d(x: np.ndarray) -> np.ndarray:
    steps = ((-0.75, -0.45, 1.0), (-0.2, 0.05, 0.4), (0.3, 0.7, -0.6))
    return sum((height * ((x > a) & (x < b)) for a, b, height in steps), np.zeros_like(x))


def _jumps_2d(points: np.ndarray) -> np.ndarray:
    a, b = points.T
    block = (a > -0.7) & (a < -0.1) & (b > -0.6) & (b < 0.5)
    disc = (a - 0.45) ** 2 + (b - 0.3) ** 2 < 0.12
    return 1.0 * block - 0.7 * disc


#: Functions of x, by name: "jumps" 1 on (-.75, -.45), .4 on (-.2, .05), -.6 on (.3, .7); "smooth"
#: ``exp(-(x/.4)^2) + sin(3x)/2``; "square" 1 on (-.5, .1); "mixed" a step beside a smooth hill.
PHANTOMS_1D: dict[str, Callable[[np.ndarray], Any]] = {
    "jumps": _jumps_1d,
    "smooth": lambda x: np.exp(-((x / 0.4) ** 2)) + 0.5 * np.sin(3.0 * x),
    "square": lambda x: 1.0 * ((x > -0.5) & (x < 0.1)),
    "mixed": lambda x: 1.0 * ((x > -0.7) & (x < -0.2)) + 0.8 * np.exp(-(((x - 0.45) / 0.2) ** 2)),
}

#: Functions of points (n, 2), by name: "jumps" 1 on a rectangle and -.7 on a disc; "smooth" two hills; "square" 1 on
#: (-.5, .1)^2.
PHANTOMS_2D: dict[str, Callable[[np.ndarray], Any]] = {
    "jumps": _jumps_2d,
    "smooth": lambda p: (
        np.exp(-(((p + 0.35) / 0.4) ** 2).sum(axis=1)) - 0.7 * np.exp(-(((p - 0.4) / 0.3) ** 2).sum(axis=1))
    ),
    "square": lambda p: 1.0 * ((p > -0.5) & (p < 0.1)).all(axis=1),
}


def phantom(name: str, grid: Grid) -> np.ndarray:
    """Return a named test field on a grid.

    Parameters
    ----------
    name : str
        One of ``PHANTOMS_1D`` or ``PHANTOMS_2D``.
    grid : Grid
        Of one or two axes.

    Returns
    -------
    ndarray of float64, shape grid.shape

    Raises
    ------
    ValueError
        For an unknown name, or a grid of three axes and more.

    Examples
    --------
    >>> from scinn.inverse.grids import uniform_grid
    >>> phantom("jumps", uniform_grid(9)).tolist()
    [0.0, 0.0, 1.0, 0.0, 0.4, 0.0, -0.6, 0.0, 0.0]
    """
    if grid.dimension > 2:
        raise ValueError(f"grid has {grid.dimension} axes; named truths exist for 1 and 2: pass a function")
    known = PHANTOMS_1D if grid.dimension == 1 else PHANTOMS_2D
    values = known[check_choice(name, "truth", known)](grid.axes[0] if grid.dimension == 1 else grid.points)
    return np.asarray(values, dtype=np.float64).reshape(grid.shape)


def truth_values(truth: Any, grid: Grid) -> np.ndarray:
    """Return a field on a grid from its name, a function or its values.

    Parameters
    ----------
    truth : str, callable or array-like
        A function takes x of shape (n,) on one axis, else points of shape (n, d).
    grid : Grid
        Where it is wanted.

    Returns
    -------
    ndarray of float64, shape grid.shape

    Raises
    ------
    ValueError
        For values of another shape, or NaN.

    Examples
    --------
    >>> from scinn.inverse.grids import uniform_grid
    >>> truth_values(lambda x: x**2, uniform_grid(3)).tolist()
    [1.0, 0.0, 1.0]
    """
    if isinstance(truth, str):
        return phantom(truth, grid)
    if callable(truth):
        truth = truth(grid.axes[0] if grid.dimension == 1 else grid.points)
    values = as_float_array(truth, "truth", dtype=np.float64)
    if values.shape not in ((grid.n,), grid.shape):
        raise ValueError(f"truth has shape {values.shape}; {grid.shape} is wanted")
    return np.array(values.reshape(grid.shape))
