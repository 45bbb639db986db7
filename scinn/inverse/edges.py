"""Where a random function jumps: probabilities of edges, places of jumps, the jump share.

Li, Dunlop, Stadler (2022), "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), arXiv 2112.10663. Notation: draws ``u_1, ..., u_n`` of a function on a grid, increments ``du_i = u_{i+1} - u_i``.

A network of finite width is smooth, so a jump exists only relative to a grid and a threshold: here an interval holds a jump
where ``|du_i|`` exceeds the threshold, and neighbouring intervals that do so in the same direction are one jump. Whoever
looks for edges in a reconstruction wants these probabilities rather than a band around the median (the products are ours).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scinn._input import as_float_array, check_in_range

__all__ = ["JumpLocation", "default_threshold", "jump_locations", "jump_probability", "jump_share"]

#: The default threshold, as a share of the functions' range.
RANGE_SHARE = 0.2


def _draws(fields: Any, n_grid: int | None = None) -> tuple[np.ndarray, int]:
    """Return the draws and how many of the last axes are the grid's."""
    values = as_float_array(fields, "fields", dtype=np.float64, allow_nan=True)
    if n_grid is None:
        n_grid = 1
    if n_grid not in (1, 2) or values.ndim < n_grid:
        raise ValueError(
            f"fields has shape {values.shape} and n_grid is {n_grid}; functions on a grid of 1 or 2 dimensions are "
            "wanted, in the last axes"
        )
    if 0 in values.shape:
        raise ValueError(
            f"fields has shape {values.shape}, which holds no values; at least one draw is wanted"
        )
    return values, n_grid


def default_threshold(fields: Any, *, n_grid: int = 1, share: float = RANGE_SHARE) -> float:
    """Return the threshold that is used where none is given: a fifth of the median range of the draws.

    Parameters
    ----------
    fields : array-like, shape (..., grid ...)
        Draws of a function; all leading axes are draws.
    n_grid : {1, 2}, default 1
        Dimensions of the grid.
    share : float, default 0.2
        Of the median, over draws, of ``max u - min u``.

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> default_threshold(np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 1.0]]))
    0.2
    """
    values, n_grid = _draws(fields, n_grid)
    axes = tuple(range(-n_grid, 0))
    spread = values.max(axis=axes) - values.min(axis=axes)
    return float(check_in_range(share, "share", 0.0, 1.0, "right") * np.median(spread))


def _threshold(values: np.ndarray, n_grid: int, threshold: float | None) -> float:
    if threshold is None:
        return default_threshold(values, n_grid=n_grid)
    return check_in_range(threshold, "threshold", 0.0)


def _magnitude(values: np.ndarray) -> np.ndarray:
    """Return the gradient's magnitude at each pixel, each part the larger of the two one-sided differences."""
    squares = np.zeros(values.shape)
    for axis in (-2, -1):
        # A central difference would halve a jump, which lies between two pixels.
        steps = np.abs(np.diff(values, axis=axis))
        rim = np.zeros_like(np.take(values, [0], axis=axis))
        sides = np.concatenate([rim, steps, rim], axis=axis)
        n = values.shape[axis]
        before, after = (np.take(sides, np.arange(k, n + k), axis=axis) for k in (0, 1))
        squares += np.maximum(before, after) ** 2
    return np.sqrt(squares)


def jump_probability(fields: Any, threshold: float | None = None, *, n_grid: int = 1) -> np.ndarray:
    """Return the probability of a jump in every interval, or of an edge at every pixel.

    Parameters
    ----------
    fields : array-like, shape (..., n) or (..., n_a, n_b)
        Draws of a function; all leading axes are draws.
    threshold : float, optional
        A jump is an increment of larger magnitude than this; by default :func:`default_threshold`.
    n_grid : {1, 2}, default 1
        Dimensions of the grid.

    Returns
    -------
    ndarray of float64, shape (n - 1,) or (n_a, n_b)
        In one dimension, the share of draws with ``|u_{i+1} - u_i| > threshold``. In two, the share with a gradient
        of larger magnitude, whose two parts are the larger of the differences to both neighbours: the pixels on
        both sides of an edge belong to it.

    Raises
    ------
    ValueError
        For a negative threshold, or no draws.

    Examples
    --------
    >>> import numpy as np
    >>> jump_probability(np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 1.0], [0.0, 1.0, 1.0], [0.0, 1.0, 1.0]]))
    array([0.75, 0.25])
    """
    values, n_grid = _draws(fields, n_grid)
    limit = _threshold(values, n_grid, threshold)
    size = np.abs(np.diff(values, axis=-1)) if n_grid == 1 else _magnitude(values)
    return np.mean(size > limit, axis=tuple(range(values.ndim - n_grid)))


def jump_share(fields: Any, *, n_grid: int = 1) -> np.ndarray:
    """Return the jump share of each draw, ``R = max |du| / sum |du|``.

    It is of the order of the grid's spacing for smooth functions, and stays where functions have jumps.

    Parameters
    ----------
    fields : array-like, shape (..., n) or (..., n_a, n_b)
        Draws of a function.
    n_grid : {1, 2}, default 1
        Dimensions of the grid; in two, the increments along both axes count.

    Returns
    -------
    ndarray of float64, shape (...)
        Between 0 and 1; 0 for constant functions.

    Examples
    --------
    >>> import numpy as np
    >>> jump_share(np.array([[0.0, 0.0, 2.0], [0.0, 1.0, 2.0], [1.0, 1.0, 1.0]]))
    array([1. , 0.5, 0. ])
    """
    values, n_grid = _draws(fields, n_grid)
    leading = values.shape[: values.ndim - n_grid]
    steps = [np.abs(np.diff(values, axis=-axis)).reshape(*leading, -1) for axis in range(1, n_grid + 1)]
    flat = np.concatenate(steps, axis=-1)
    if flat.shape[-1] == 0:
        return np.zeros(leading)
    largest, total = flat.max(axis=-1), flat.sum(axis=-1)
    return np.divide(largest, total, out=np.zeros(leading), where=total > 0)


@dataclass(frozen=True)
class JumpLocation:
    """A jump that many draws share.

    Parameters
    ----------
    probability : float
        Share of the draws with at least one jump between `first` and `last`.
    median : float
        Median place of these jumps.
    lower, upper : float
        5 % and 95 % quantiles of the place.
    size : float
        Median size, with its sign.
    first, last : float
        Ends of the stretch of the grid in which the jumps were gathered.
    """

    probability: float
    median: float
    lower: float
    upper: float
    size: float
    first: float
    last: float


def _jumps(draw: np.ndarray, x: np.ndarray, limit: float) -> list[tuple[float, float]]:
    """Return place and size of each jump of one draw; consecutive steep intervals of one sign are one jump."""
    steps = np.diff(draw)
    steep = np.flatnonzero(np.abs(steps) > limit)
    if len(steep) == 0:
        return []
    breaks = (
        np.flatnonzero((np.diff(steep) > 1) | (np.sign(steps[steep[1:]]) != np.sign(steps[steep[:-1]]))) + 1
    )
    middles = 0.5 * (x[1:] + x[:-1])
    out = []
    for run in np.split(steep, breaks):
        size = float(steps[run].sum())
        out.append((float(steps[run] @ middles[run]) / size, size))
    return out


def _slopes(probability: np.ndarray, left: int, right: int) -> tuple[int, int]:
    """Widen a stretch of intervals down both slopes of the probability."""
    while left > 0 and 0.0 < probability[left - 1] < probability[left]:
        left -= 1
    while right + 1 < len(probability) and 0.0 < probability[right + 1] < probability[right]:
        right += 1
    return left, right


def jump_locations(
    fields: Any, x: Any, threshold: float | None = None, *, least: float = 0.05
) -> list[JumpLocation]:
    """Return where the draws of a function of one variable jump, and how surely.

    Parameters
    ----------
    fields : array-like, shape (..., n)
        Draws of a function; all leading axes are draws.
    x : array-like, shape (n,)
        The grid, increasing.
    threshold : float, optional
        As for :func:`jump_probability`.
    least : float, default 0.05
        A location has an interval in which at least this share of the draws jumps.

    Returns
    -------
    list of JumpLocation
        From left to right.

    Notes
    -----
    The jumps of every draw are placed at the mean of the steep intervals' middles, weighted by their increments. They
    are gathered over stretches of consecutive intervals whose probability of a jump is at least `least`, and on both
    sides as long as that probability falls without being 0; two jumps whose uncertainties overlap are one location.

    Examples
    --------
    >>> import numpy as np
    >>> u = np.zeros((10, 5))
    >>> u[:8, 3:] = 1.0
    >>> u[8:, 2:] = 1.0
    >>> [(jump.median, jump.probability) for jump in jump_locations(u, np.linspace(0, 1, 5))]
    [(0.625, 1.0)]
    """
    values, _ = _draws(fields, 1)
    grid = as_float_array(x, "x", shape=(values.shape[-1],), dtype=np.float64)
    if np.any(np.diff(grid) <= 0):
        raise ValueError("x does not increase; sort the grid, and the fields with it")
    share = check_in_range(least, "least", 0.0, 1.0, "right")
    limit = _threshold(values, 1, threshold)
    draws = values.reshape(-1, values.shape[-1])
    probability = np.mean(np.abs(np.diff(draws, axis=-1)) > limit, axis=0)
    busy = np.flatnonzero(probability >= share)
    if len(busy) == 0:
        return []
    jumps = [(number, *jump) for number, draw in enumerate(draws) for jump in _jumps(draw, grid, limit)]
    owner, place, size = (np.array(column) for column in zip(*jumps))
    out = []
    for stretch in np.split(busy, np.flatnonzero(np.diff(busy) > 1) + 1):
        left, right = _slopes(probability, int(stretch[0]), int(stretch[-1]))
        first, last = grid[left], grid[right + 1]
        inside = (place >= first) & (place <= last)
        if not inside.any():
            continue
        lower, median, upper = np.quantile(place[inside], (0.05, 0.5, 0.95))
        owners = len(np.unique(owner[inside])) / len(draws)
        numbers = (owners, median, lower, upper, np.median(size[inside]), first, last)
        out.append(JumpLocation(*(float(number) for number in numbers)))
    return out
