"""Tensor grids on which fields are represented.

The setting is that of C. Li, M. Dunlop and G. Stadler, "Bayesian neural network priors for edge-preserving inversion",
Inverse Problems and Imaging 16(5), 2022, arXiv 2112.10663. Notation: a grid has points ``x_1, ..., x_n`` in d
dimensions (d is 1 or more), the product of d sorted axes in row-major order, and a field is the vector of its values
``u_j = u(x_j)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scinn._input import as_float_array, check_in_range, check_positive_int

__all__ = ["Grid", "as_grid", "uniform_grid"]

# Steps that differ by less than this share of a step are rounding errors of numpy.linspace.
_UNIFORM = 1e-9


@dataclass(frozen=True, eq=False, repr=False)
class Grid:
    """Product of sorted axes.

    Parameters
    ----------
    axes : sequence of array-like, each of shape (n_k,)
        Coordinates along each dimension, not decreasing, at least one each. Repeated points are allowed.

    Raises
    ------
    ValueError
        For an empty or decreasing axis, or NaN.

    Examples
    --------
    >>> grid = Grid(([0.0, 1.0, 3.0], [0.0, 0.5]))
    >>> grid.shape, grid.n, grid.points[1].tolist()
    ((3, 2), 6, [0.0, 0.5])
    """

    axes: tuple[np.ndarray, ...]

    if TYPE_CHECKING:
        # The field above is what is kept; this is what may come.
        def __init__(self, axes: Any) -> None: ...

    def __post_init__(self) -> None:
        held = self.axes
        if isinstance(held, np.ndarray) and held.ndim == 1:
            held = (held,)
        if not isinstance(held, Iterable) or isinstance(held, str | bytes):
            raise TypeError(f"axes is a {type(held).__name__}; a tuple of 1-D arrays is wanted")
        axes = tuple(np.array(_axis(axis, f"axes[{k}]")) for k, axis in enumerate(held))
        if not axes:
            raise ValueError("axes is empty; at least one axis is wanted")
        object.__setattr__(self, "axes", axes)

    @property
    def dimension(self) -> int:
        """Number of axes d."""
        return len(self.axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of points along each axis."""
        return tuple(len(axis) for axis in self.axes)

    @property
    def n(self) -> int:
        """Number of points."""
        return int(np.prod(self.shape))

    @property
    def points(self) -> np.ndarray:
        """All points in row-major order, float64, shape (n, d)."""
        mesh = np.meshgrid(*self.axes, indexing="ij")
        return np.ascontiguousarray(np.stack([coordinate.ravel() for coordinate in mesh], axis=1))

    @property
    def is_uniform(self) -> bool:
        """Whether every axis has one positive step (an axis of one point counts)."""
        return all(_step(axis) is not None for axis in self.axes)

    @property
    def spacing(self) -> tuple[float, ...]:
        """The step h of each axis; 1.0 for an axis of one point.

        Raises
        ------
        ValueError
            Where an axis has steps of different length.
        """
        steps = tuple(_step(axis) for axis in self.axes)
        uneven = [k for k, step in enumerate(steps) if step is None]
        if uneven:
            raise ValueError(
                f"axis {uneven[0]} of the grid has unequal or zero steps; a uniform grid is wanted: use "
                "scinn.inverse.uniform_grid"
            )
        return tuple(float(step) for step in steps if step is not None)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Grid)
            and self.shape == other.shape
            and all(np.array_equal(a, b) for a, b in zip(self.axes, other.axes))
        )

    def __hash__(self) -> int:
        return hash(tuple(axis.tobytes() for axis in self.axes))

    def __repr__(self) -> str:
        spans = " x ".join(f"[{axis[0]:g}, {axis[-1]:g}]" for axis in self.axes)
        return f"Grid({' x '.join(map(str, self.shape))} points on {spans})"


def _axis(values: Any, name: str) -> np.ndarray:
    axis = as_float_array(values, name, ndim=1, dtype=np.float64)
    if not len(axis):
        raise ValueError(f"{name} is empty; at least one point is wanted")
    if (np.diff(axis) < 0).any():
        place = int(np.flatnonzero(np.diff(axis) < 0)[0])
        raise ValueError(
            f"{name} decreases from {axis[place]:g} to {axis[place + 1]:g} at {place + 1}; sort it with numpy.sort"
        )
    return axis


def _step(axis: np.ndarray) -> float | None:
    if len(axis) == 1:
        return 1.0
    step = float(axis[-1] - axis[0]) / (len(axis) - 1)
    return step if step > 0 and np.abs(np.diff(axis) - step).max() <= _UNIFORM * step else None


def uniform_grid(
    n: int | Sequence[int],
    lower: float | Sequence[float] = -1.0,
    upper: float | Sequence[float] = 1.0,
) -> Grid:
    """Return a grid of equal steps that includes both ends.

    Parameters
    ----------
    n : int or sequence of int
        Number of points along each axis; one number makes a grid in one dimension.
    lower, upper : float or sequence of float
        Ends of each axis; one number holds for all.

    Returns
    -------
    Grid

    Raises
    ------
    ValueError
        For ``lower >= upper``, or ends whose number is not that of the axes.

    Examples
    --------
    >>> uniform_grid(5).axes[0].tolist()
    [-1.0, -0.5, 0.0, 0.5, 1.0]
    >>> uniform_grid((3, 2), lower=0.0).points[:2].tolist()
    [[0.0, 0.0], [0.0, 1.0]]
    """
    held = [n] if isinstance(n, int | np.integer | float) else list(n)
    counts = [check_positive_int(value, "n") for value in held]
    if not counts:
        raise ValueError("n is empty; the number of points along at least one axis is wanted")
    low, high = (_ends(ends, name, len(counts)) for ends, name in ((lower, "lower"), (upper, "upper")))
    for a, b in zip(low, high):
        if a >= b:
            raise ValueError(f"lower is {a:g} and upper {b:g}; lower < upper is wanted")
    return Grid(tuple(np.linspace(a, b, count) for a, b, count in zip(low, high, counts)))


def _ends(ends: Any, name: str, dimension: int) -> list[float]:
    held = [ends] * dimension if np.ndim(ends) == 0 else list(ends)
    if len(held) != dimension:
        raise ValueError(
            f"{name} has {len(held)} numbers and the grid {dimension} axes; one each, or one for all, is wanted"
        )
    return [check_in_range(value, name) for value in held]


def as_grid(grid: Any, name: str = "grid") -> Grid:
    """Return a Grid of what the user holds.

    Parameters
    ----------
    grid : Grid, int, or array-like of shape (n,)
        A whole number makes that many points on [-1, 1], a sorted vector is an axis.
    name : str
        The argument's name, for messages.

    Returns
    -------
    Grid

    Examples
    --------
    >>> as_grid(3).axes[0].tolist(), as_grid([0.0, 2.0]).shape
    ([-1.0, 0.0, 1.0], (2,))
    """
    if isinstance(grid, Grid):
        return grid
    if isinstance(grid, int | np.integer) and not isinstance(grid, bool):
        return uniform_grid(check_positive_int(grid, name))
    if isinstance(grid, tuple):
        raise TypeError(f"{name} is a tuple; pass scinn.inverse.uniform_grid{grid!r} or Grid(axes)")
    return Grid((_axis(grid, name),))
