"""Difference priors: independent heavy-tailed increments, in the limit a Levy process.

M. Markkanen, L. Roininen, J. Huttunen and S. Lasanen, "Cauchy difference priors for edge-preserving Bayesian inversion",
Journal of Inverse and Ill-posed Problems 27(2), 2019; a comparison for C. Li, M. Dunlop and G. Stadler, "Bayesian neural
network priors for edge-preserving inversion", Inverse Problems and Imaging 16(5), 2022, arXiv 2112.10663. Notation: location
m, points ``x_0 <= ... <= x_{n-1}`` with gaps ``h_i = x_i - x_{i-1}``, and ``v = u - m``:

``v_0 = start_scale T(xi_0)``,  ``v_i - v_{i-1} = gamma h_i^(1/a) T(xi_i)``.

For a stable law of index a the increments over a stretch add up to one of the same law with the stretch's length,
whatever the grid (Cauchy: a = 1, Cauchy motion; Gaussian: a = 2, Brownian motion).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr

from scinn._input import as_float_array, check_in_range
from scinn.inverse.gaussian_process import _mean_values
from scinn.inverse.grids import Grid, as_grid
from scinn.inverse.laws import as_law
from scinn.inverse.linear_field import LinearField
from scinn.random import RandomState

__all__ = ["CauchyDifferencePrior"]


@dataclass(frozen=True, repr=False, eq=False)
class CauchyDifferencePrior:
    """Independent increments on a line.

    Parameters
    ----------
    scale : float
        gamma: scale of the increment over a stretch of length 1, positive.
    start_scale : float
        Scale of ``u - location`` at the first point, positive.
    law : str or Law
        Unit law of the start and of the increments; any law, "cauchy" by default.
    location : float, callable or array-like
        m: a number, a function of x, or values on the grid.

    Raises
    ------
    ValueError
        For an unknown law, or scales that are not positive.

    Notes
    -----
    The index a is that of the stable law whose domain the unit law belongs to: 1 for "cauchy", the law's own for
    "stable(a)", 2 for "gaussian" and "laplace", min(df, 2) for "student_t(df)". For laws that are not stable, fine grids
    have that stable process as their limit, but the law of an increment depends on the grid.

    Examples
    --------
    >>> prior = CauchyDifferencePrior(scale=2.0)
    >>> field = prior.on(5)
    >>> field.dim, field.matrix[-1].tolist()
    (5, [1.0, 0.5, 0.5, 0.5, 0.5])
    """

    scale: float = 1.0
    start_scale: float = 1.0
    law: Any = "cauchy"
    location: Any = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "law", as_law(self.law))
        check_in_range(self.scale, "scale", 0.0, None, "neither")
        check_in_range(self.start_scale, "start_scale", 0.0, None, "neither")

    @property
    def index(self) -> float:
        """The index a of the limiting stable process."""
        return float(self.law.index)

    def on(self, grid: Any) -> LinearField:
        """Return the prior on a grid of one axis, of any gaps.

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
            For a grid of several axes.
        """
        held = _line(grid)
        n = held.n
        matrix = np.tril(np.ones((n, n))) * np.append(1.0, np.diff(held.axes[0]) ** (1.0 / self.index))
        sizes, scales = ((1, n - 1), (self.start_scale, self.scale)) if n > 1 else ((1,), (self.start_scale,))
        mean = _mean_values(self.location, held)
        return LinearField(matrix, (self.law,) * len(sizes), sizes, scales, mean, held)

    def sample(self, rng: RandomState = None, size: int | None = None, grid: Any = 129) -> np.ndarray:
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
        ndarray of float64, shape (n,) or (size, n)
        """
        return self.on(grid).sample(rng, size)

    def neg_log_density(self, u: Any, grid: Any) -> Any:
        """Return minus the log density of the field's values.

        Parameters
        ----------
        u : array-like, shape (..., n)
            Values on the grid.
        grid : Grid, int or array-like
            The points, without repetition.

        Returns
        -------
        float or ndarray of float64, shape (...)
            Constants included.

        Raises
        ------
        ValueError
            For a general stable law, whose density has no closed form, or repeated points.
        """
        z, scales = self._standardised(u, grid)
        value = self.law.neg_log_density(z).sum(axis=-1) + np.log(scales).sum()
        return float(value) if value.ndim == 0 else value

    def neg_log_density_gradient(self, u: Any, grid: Any) -> np.ndarray:
        """Return the gradient of :meth:`neg_log_density` with respect to u.

        Parameters
        ----------
        u : array-like, shape (..., n)
            Values on the grid.
        grid : Grid, int or array-like
            The points, without repetition.

        Returns
        -------
        ndarray of float64, shape (..., n)

        Examples
        --------
        >>> prior = CauchyDifferencePrior(location=3.0)
        >>> prior.neg_log_density_gradient([3.0, 3.0, 3.0], 3).tolist()
        [0.0, 0.0, 0.0]
        """
        z, scales = self._standardised(u, grid)
        slope = self.law.score(z) / scales
        gradient = slope.copy()
        gradient[..., :-1] -= slope[..., 1:]
        return gradient

    def white(self, u: Any, grid: Any) -> np.ndarray:
        """Return the white coordinates that make a field, for starting samplers from it.

        Parameters
        ----------
        u : array-like, shape (..., n)
            Values on the grid.
        grid : Grid, int or array-like
            The points, without repetition.

        Returns
        -------
        ndarray of float64, shape (..., n)
        """
        z, _ = self._standardised(u, grid)
        return np.asarray(self.law.inverse(z))

    def cdf(self, u: Any, grid: Any) -> np.ndarray:
        """Return the distribution function of the start and of each increment, one number each.

        Parameters
        ----------
        u : array-like, shape (..., n)
            Values on the grid.
        grid : Grid, int or array-like
            The points, without repetition.

        Returns
        -------
        ndarray of float64, shape (..., n)

        Examples
        --------
        >>> CauchyDifferencePrior().cdf([1.0, 1.0, 0.0], 3).round(12).tolist()
        [0.75, 0.5, 0.25]
        """
        return ndtr(self.white(u, grid))

    def _standardised(self, u: Any, grid: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the start and the increments in units of their scales, and the scales."""
        held = _line(grid)
        values = as_float_array(u, "u", dtype=np.float64)
        if not values.ndim or values.shape[-1] != held.n:
            raise ValueError(f"u has shape {values.shape}; (..., {held.n}) is wanted")
        if self.law.n_white != 1:
            raise ValueError(
                f"law is {self.law.name!r}, whose density has no closed form; use the white coordinates of on(grid)"
            )
        gaps = np.diff(held.axes[0])
        if (gaps == 0).any():
            raise ValueError(
                "grid has repeated points, between which the increment is 0 and has no density: use numpy.unique"
            )
        scales = np.append(self.start_scale, self.scale * gaps ** (1.0 / self.index))
        own = values - _mean_values(self.location, held)
        return np.diff(own, axis=-1, prepend=0.0) / scales, scales

    def __repr__(self) -> str:
        place = f", location={self.location}" if np.ndim(self.location) == 0 and self.location != 0 else ""
        return f"CauchyDifferencePrior(scale={self.scale:g}, start_scale={self.start_scale:g}, law={self.law.name!r}{place})"


def _line(grid: Any) -> Grid:
    held = as_grid(grid)
    if held.dimension != 1:
        raise ValueError(
            f"grid has {held.dimension} axes; increments are ordered along one: use BesovPrior or a network prior"
        )
    return held
