"""Besov priors: Haar series with independent Laplace coefficients.

M. Lassas, E. Saksman and S. Siltanen, "Discretization-invariant Bayesian inversion and Besov space priors", Inverse
Problems and Imaging 3(1), 2009; a comparison for C. Li, M. Dunlop and G. Stadler, "Bayesian neural network priors for
edge-preserving inversion", Inverse Problems and Imaging 16(5), 2022, arXiv 2112.10663. Notation: on the unit cube of
dimension d,

``u = scale (T(xi_0) + sum_{j, k, l} 2^(-j (s + d/2 - d/p)) T(xi_jkl) psi_jkl)``

with the Haar wavelets ``psi_jk(t) = 2^(j/2) psi(2^j t - k)``; for d = 2 the three tensor products of wavelet and step at
each scale and place. T has the Laplace law for p = 1: minus the log density is then the norm of ``B^s_11``, and the
weights are ``2^(-j (s - 1/2))`` on a line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scinn._input import check_in_range, check_positive_int
from scinn.inverse.gaussian_process import _mean_values
from scinn.inverse.grids import as_grid
from scinn.inverse.laws import as_law
from scinn.inverse.linear_field import LinearField
from scinn.random import RandomState

__all__ = ["BesovPrior", "haar_matrix"]


@dataclass(frozen=True, repr=False, eq=False)
class BesovPrior:
    """A random Haar series on a line or in the plane.

    Parameters
    ----------
    s : float
        Smoothness.
    scale : float
        Of all coefficients, positive.
    law : str or Law
        Unit law of the coefficients.
    p : float, optional
        Integrability, at least 1; default: 2 for the law "gaussian", else 1.
    levels : int, optional
        Number J of scales; default: the least with 2^J points along each axis.
    mean : float, callable or array-like
        Mean of u.

    Raises
    ------
    ValueError
        For an unknown law, or numbers out of range.

    Notes
    -----
    The Haar functions are those of the grid's bounding box, evaluated at its points, so the prior does not depend on the
    grid; only the number of scales follows it. On 2^J points of equal steps they are an orthogonal basis. On other numbers
    of points some of the 2^(d J) functions of the finest scales vanish or repeat others, which is harmless.

    Examples
    --------
    >>> prior = BesovPrior(s=1.0)
    >>> prior.on(8).dim, prior.sample(rng=0, size=2, grid=5).shape
    (8, (2, 5))
    """

    s: float = 1.0
    scale: float = 1.0
    law: Any = "laplace"
    p: float | None = None
    levels: int | None = None
    mean: Any = 0.0

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "law", as_law(self.law))
        check_in_range(self.s, "s")
        check_in_range(self.scale, "scale", 0.0, None, "neither")
        put(self, "p", (2.0 if self.law.name == "gaussian" else 1.0) if self.p is None else self.p)
        check_in_range(self.p, "p", 1.0)
        if self.levels is not None:
            check_positive_int(self.levels, "levels", 0)

    def on(self, grid: Any) -> LinearField:
        """Return the prior on a grid of one or two axes.

        Parameters
        ----------
        grid : Grid, int or array-like
            The points.

        Returns
        -------
        LinearField

        Raises
        ------
        ValueError
            For a grid of three axes and more.
        """
        held = as_grid(grid)
        if held.dimension > 2:
            raise ValueError(f"grid has {held.dimension} axes; 1 or 2 are wanted")
        levels = self.levels
        if levels is None:
            levels = max(int(np.ceil(np.log2(n))) for n in held.shape)
        places = [_unit(axis) for axis in held.axes]
        basis, level = haar_matrix(places[0], levels) if len(places) == 1 else _plane(places, levels)
        d = held.dimension
        assert self.p is not None
        weights = 2.0 ** (-level * (self.s + d / 2.0 - d / self.p))
        mean = _mean_values(self.mean, held)
        return LinearField(basis * weights, (self.law,), (basis.shape[1],), (self.scale,), mean, held)

    def sample(self, rng: RandomState = None, size: int | None = None, grid: Any = 128) -> np.ndarray:
        """Draw fields on a grid.

        Parameters
        ----------
        rng : int, SeedSequence, Generator, Key or None
            Source of randomness.
        size : int, optional
            How many; None draws one, without a leading axis.
        grid : Grid, int or array-like
            The points.

        Returns
        -------
        ndarray of float64, shape grid.shape or (size, grid.shape ...)
        """
        return self.on(grid).sample(rng, size)

    def __repr__(self) -> str:
        return f"BesovPrior(s={self.s:g}, scale={self.scale:g}, law={self.law.name!r}, p={self.p:g})"


def _unit(axis: np.ndarray) -> np.ndarray:
    length = axis[-1] - axis[0]
    return (axis - axis[0]) / length if length > 0 else np.zeros(len(axis))


def _cells(t: np.ndarray, j: int) -> np.ndarray:
    """Return the cell of each place at scale j; the right end belongs to the last one."""
    return np.minimum(np.floor(t * 2.0**j).astype(np.int64), 2**j - 1)


def _steps_and_wavelets(t: np.ndarray, j: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the step functions and the wavelets of scale j at the places, each of shape (n, 2^j)."""
    cell, half = _cells(t, j), _cells(t, j + 1) % 2
    step = np.zeros((len(t), 2**j))
    step[np.arange(len(t)), cell] = 2.0 ** (j / 2.0)
    return step, step * (1.0 - 2.0 * half)[:, None]


def haar_matrix(t: Any, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the Haar functions of the unit interval at given places.

    Parameters
    ----------
    t : array-like, shape (n,)
        Places in [0, 1].
    levels : int
        Number J of scales.

    Returns
    -------
    matrix : ndarray of float64, shape (n, 2^J)
        The constant, then the wavelets from coarse to fine, each scale from left to right.
    level : ndarray of float64, shape (2^J,)
        Scale j of each column; 0 for the constant.

    Examples
    --------
    >>> haar_matrix([0.1, 0.4, 0.6, 0.9], 1)[0].tolist()
    [[1.0, 1.0], [1.0, 1.0], [1.0, -1.0], [1.0, -1.0]]
    """
    places = np.asarray(t, dtype=np.float64)
    parts = [np.ones((len(places), 1))] + [_steps_and_wavelets(places, j)[1] for j in range(levels)]
    level = np.repeat(np.append(0, np.arange(levels)), [part.shape[1] for part in parts])
    return np.concatenate(parts, axis=1), level.astype(np.float64)


def _plane(places: list[np.ndarray], levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the constant and the three products of each scale and place, and their scales."""
    n = len(places[0]) * len(places[1])
    parts, level = [np.ones((n, 1))], [np.zeros(1)]
    for j in range(levels):
        (step_a, wave_a), (step_b, wave_b) = (_steps_and_wavelets(t, j) for t in places)
        for first, second in ((step_a, wave_b), (wave_a, step_b), (wave_a, wave_b)):
            parts.append(np.kron(first, second))
            level.append(np.full(4**j, float(j)))
    return np.concatenate(parts, axis=1), np.concatenate(level)
