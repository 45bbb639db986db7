"""The Gaussian-process prior, whose posterior for linear data is known exactly.

The comparison for C. Li, M. Dunlop and G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse
Problems and Imaging 16(5), 2022, arXiv 2112.10663, and the ground truth for samplers. Notation: ``u = m + S xi``, whitened
residual ``r = W (y - G m)`` and operator ``A = W G S = U diag(s) V^T`` (singular values), misfit
``Phi = |A xi - r|^2 / 2``. At temperature t the posterior has the density ``exp(-t Phi) / Z_t`` with respect to N(0, I):
precision ``I + t A^T A``. Covariances and evidence: Rasmussen and Williams, "Gaussian Processes for Machine Learning"
(2006), chapters 2, 4 and 5.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from scinn._input import as_float_array, check_choice, check_in_range, check_positive_int
from scinn._plot import axes_or_new
from scinn.inverse.grids import Grid, as_grid
from scinn.inverse.inverse_problem import InverseProblem
from scinn.inverse.linear_field import LinearField
from scinn.random import RandomState, as_generator

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["COVARIANCES", "GaussianPosterior", "GaussianProcessPrior", "gaussian_posterior"]

#: Correlation at distance r, in units of the length scale.
COVARIANCES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "exponential": lambda r: np.exp(-r),
    "squared_exponential": lambda r: np.exp(-0.5 * r**2),
    "matern32": lambda r: (1.0 + math.sqrt(3.0) * r) * np.exp(-math.sqrt(3.0) * r),
    "matern52": lambda r: (1.0 + math.sqrt(5.0) * r + 5.0 / 3.0 * r**2) * np.exp(-math.sqrt(5.0) * r),
}


@dataclass(frozen=True)
class GaussianProcessPrior:
    """A stationary Gaussian process.

    Parameters
    ----------
    covariance : {"exponential", "squared_exponential", "matern32", "matern52"} or callable
        Correlation of two points, a function of their distance divided by `length_scale`.
    length_scale : float
        Positive.
    std : float
        Standard deviation of u(x), positive.
    mean : float, callable or array-like
        Mean of u: a number, a function (of x on one axis, else of points (n, d)), or values on the grid.
    jitter : float
        Added to the diagonal of the correlation matrix, for the Cholesky factor to exist.

    Raises
    ------
    ValueError
        For an unknown covariance, or scales that are not positive.

    Examples
    --------
    >>> prior = GaussianProcessPrior("exponential", length_scale=0.3)
    >>> prior.sample(rng=0, size=4, grid=17).shape
    (4, 17)
    """

    covariance: str | Callable[[np.ndarray], np.ndarray] = "exponential"
    length_scale: float = 0.3
    std: float = 1.0
    mean: Any = 0.0
    jitter: float = 1e-10

    def __post_init__(self) -> None:
        if not callable(self.covariance):
            check_choice(self.covariance, "covariance", COVARIANCES)
        check_in_range(self.length_scale, "length_scale", 0.0, None, "neither")
        check_in_range(self.std, "std", 0.0, None, "neither")
        check_in_range(self.jitter, "jitter", 0.0)

    def covariance_matrix(self, grid: Any) -> np.ndarray:
        """Return the covariance of the field on a grid, jitter included.

        Parameters
        ----------
        grid : Grid, int or array-like
            The points.

        Returns
        -------
        ndarray of float64, shape (n, n)
        """
        points = as_grid(grid).points
        square = sum((column[:, None] - column[None, :]) ** 2 for column in points.T)
        distance = np.sqrt(square) / self.length_scale
        function = self.covariance if callable(self.covariance) else COVARIANCES[self.covariance]
        correlation = as_float_array(
            function(distance), "the covariance's values", shape=distance.shape, dtype=np.float64
        )
        return self.std**2 * (correlation + self.jitter * np.eye(len(points)))

    def on(self, grid: Any) -> LinearField:
        """Return the prior on a grid, with the Cholesky factor of its covariance.

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
            Where the covariance matrix is not positive definite.
        """
        held = as_grid(grid)
        try:
            root = np.linalg.cholesky(self.covariance_matrix(held))
        except np.linalg.LinAlgError as error:
            raise ValueError(
                f"the covariance on {held} is not positive definite in double precision; raise jitter, now {self.jitter:g}"
            ) from error
        return LinearField(root, ("gaussian",), (held.n,), (1.0,), _mean_values(self.mean, held), held)

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
        ndarray of float64, shape grid.shape or (size, grid.shape ...)
        """
        return self.on(grid).sample(rng, size)

    def posterior(self, problem: InverseProblem) -> GaussianPosterior:
        """Return the exact posterior.

        Parameters
        ----------
        problem : InverseProblem
            Linear data with Gaussian noise.

        Returns
        -------
        GaussianPosterior

        Examples
        --------
        >>> from scinn.inverse.problems import regression
        >>> problem = regression([0.0], truth=[5.0], noise_std=1.0).with_data([5.0])
        >>> prior = GaussianProcessPrior(mean=5.0, jitter=0.0)
        >>> posterior = prior.posterior(problem)
        >>> posterior.mean.tolist(), round(float(posterior.covariance[0, 0]), 12)
        ([5.0], 0.5)
        """
        return gaussian_posterior(self.on(problem.grid), problem)


def _mean_values(mean: Any, grid: Grid) -> np.ndarray:
    if callable(mean):
        mean = mean(grid.axes[0] if grid.dimension == 1 else grid.points)
    values = as_float_array(mean, "mean", dtype=np.float64)
    if values.shape not in ((), (grid.n,), grid.shape):
        raise ValueError(
            f"mean has shape {values.shape}; a number, a function or shape {grid.shape} is wanted"
        )
    return np.full(grid.n, float(values)) if values.ndim == 0 else values.reshape(grid.n)


@dataclass(frozen=True, eq=False, repr=False)
class GaussianPosterior:
    """Exact posterior of a Gaussian field given linear data.

    Parameters
    ----------
    mean : ndarray of float64, shape grid.shape
        Posterior mean of u, which is its mode too.
    covariance : ndarray of float64, shape (n, n)
        Posterior covariance of u.
    white_mean : ndarray of float64, shape (d,)
        Posterior mean of the white coordinates.
    log_evidence : float
        Log density of the data, ``log p(y)``.
    log_normaliser : float
        ``log Z = log of the prior mean of exp(-Phi)``, which lacks the noise's constant.
    grid : Grid
        The points.

    Examples
    --------
    >>> from scinn.inverse.problems import deconvolution_1d
    >>> problem = deconvolution_1d(33, noise_std=0.1, rng=0)
    >>> posterior = GaussianProcessPrior().posterior(problem)
    >>> posterior.mean.shape, posterior.tempered_misfit(1.0) < posterior.tempered_misfit(0.0)
    ((33,), True)
    """

    mean: np.ndarray
    covariance: np.ndarray
    white_mean: np.ndarray
    log_evidence: float
    log_normaliser: float
    grid: Grid
    _field: LinearField = field(repr=False)
    _singular_values: np.ndarray = field(repr=False)
    _directions: np.ndarray = field(repr=False)
    _residual: np.ndarray = field(repr=False)
    _outside: float = field(repr=False)

    @property
    def std(self) -> np.ndarray:
        """Posterior standard deviation of u, shape grid.shape."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0)).reshape(self.grid.shape)

    @property
    def white_covariance(self) -> np.ndarray:
        """Posterior covariance of the white coordinates, shape (d, d)."""
        s2 = self._singular_values**2
        v = self._directions
        return np.eye(v.shape[1]) - (v.T * (s2 / (1.0 + s2))) @ v

    def tempered_misfit(self, t: Any) -> Any:
        """Return the mean of Phi under the posterior at temperature t, ``-d log Z_t / dt``.

        Parameters
        ----------
        t : float or array-like
            In [0, infinity); 0 is the prior and 1 the posterior.

        Returns
        -------
        float or ndarray of float64
        """
        t = as_float_array(t, "t", dtype=np.float64)
        s2 = self._singular_values**2
        shrink = 1.0 + t[..., None] * s2
        value = 0.5 * (
            ((self._residual / shrink) ** 2).sum(axis=-1) + self._outside + (s2 / shrink).sum(axis=-1)
        )
        return float(value) if t.ndim == 0 else value

    def tempered_log_normaliser(self, t: Any) -> Any:
        """Return ``log Z_t``, the log of the prior mean of ``exp(-t Phi)``.

        Parameters
        ----------
        t : float or array-like
            In [0, infinity).

        Returns
        -------
        float or ndarray of float64
        """
        t = as_float_array(t, "t", dtype=np.float64)
        value = _log_normaliser(t, self._singular_values, self._residual, self._outside)
        return float(value) if t.ndim == 0 else value

    def sample_white(self, rng: RandomState = None, size: int | None = None) -> np.ndarray:
        """Draw white coordinates from the posterior, independently.

        Parameters
        ----------
        rng : int, SeedSequence, Generator, Key or None
            Source of randomness.
        size : int, optional
            How many; None draws one, without a leading axis.

        Returns
        -------
        ndarray of float64, shape (d,) or (size, d)
        """
        rows = () if size is None else (check_positive_int(size, "size", 0),)
        z = as_generator(rng).standard_normal((*rows, len(self.white_mean)))
        shrink = 1.0 / np.sqrt(1.0 + self._singular_values**2) - 1.0
        return self.white_mean + z + ((z @ self._directions.T) * shrink) @ self._directions

    def sample(self, rng: RandomState = None, size: int | None = None) -> np.ndarray:
        """Draw fields from the posterior, independently.

        Parameters
        ----------
        rng, size
            As in :meth:`sample_white`.

        Returns
        -------
        ndarray of float64, shape grid.shape or (size, grid.shape ...)
        """
        return self._field.field(self.sample_white(rng, size))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the mean and a band of two standard deviations; on two axes, the mean.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; default: the axes of a new figure.

        Returns
        -------
        matplotlib Axes
        """
        ax = axes_or_new(ax)
        if self.grid.dimension == 2:
            ax.pcolormesh(*self.grid.axes, self.mean.T, shading="nearest")
            return ax
        x, std = self.grid.axes[0], self.std
        ax.fill_between(x, self.mean - 2 * std, self.mean + 2 * std, alpha=0.3, linewidth=0.0)
        ax.plot(x, self.mean)
        ax.set_xlabel("x")
        ax.set_ylabel("u")
        return ax

    def to_dict(self) -> dict[str, Any]:
        """Return mean, standard deviation and evidence as JSON values."""
        return {
            "mean": self.mean.tolist(),
            "std": self.std.tolist(),
            "log_evidence": self.log_evidence,
            "log_normaliser": self.log_normaliser,
        }

    def __repr__(self) -> str:
        return (
            f"GaussianPosterior({self.grid!r}, log evidence {self.log_evidence:.6g}, "
            f"sd {self.std.min():.3g} to {self.std.max():.3g})"
        )


def _log_normaliser(t: Any, singular_values: np.ndarray, residual: np.ndarray, outside: float) -> Any:
    s2 = np.asarray(t)[..., None] * singular_values**2
    quadratic = (residual**2 / (1.0 + s2)).sum(axis=-1) + outside
    return -0.5 * np.log1p(s2).sum(axis=-1) - 0.5 * t * quadratic


def gaussian_posterior(prior: LinearField, problem: InverseProblem) -> GaussianPosterior:
    """Return the exact posterior of any field with Gaussian coefficients.

    Parameters
    ----------
    prior : LinearField
        On the problem's grid, with the law "gaussian".
    problem : InverseProblem
        Linear data with Gaussian noise.

    Returns
    -------
    GaussianPosterior

    Raises
    ------
    ValueError
        For other laws, or another number of points.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.inverse.inverse_problem import InverseProblem
    >>> prior = LinearField(np.eye(2), ["gaussian"], [2], [1.0])
    >>> gaussian_posterior(prior, InverseProblem(np.eye(2), [2.0, 0.0], 1.0)).mean.tolist()
    [1.0, 0.0]
    """
    if not prior.is_gaussian:
        raise ValueError(
            f"prior has the laws {[law.name for law in prior.laws]}; 'gaussian' is wanted for an exact posterior"
        )
    if prior.grid.n != problem.grid.n:
        raise ValueError(
            f"prior lives on {prior.grid.n} points and problem on {problem.grid.n}; use on(problem.grid)"
        )
    root = prior.square_root()
    forward = problem.whiten(problem.operator.apply(root.T)).T
    residual = problem.whitened_data - problem.whiten(problem.operator.apply(prior.mean))
    left, s, directions = np.linalg.svd(forward, full_matrices=False)
    inside = left.T @ residual
    outside = float(((residual - left @ inside) ** 2).sum())
    white_mean = (inside * s / (1.0 + s**2)) @ directions
    seen = (root @ directions.T) * (s / np.sqrt(1.0 + s**2))
    log_normaliser = float(_log_normaliser(1.0, s, inside, outside))
    return GaussianPosterior(
        mean=(prior.mean + root @ white_mean).reshape(prior.grid.shape),
        covariance=root @ root.T - seen @ seen.T,
        white_mean=white_mean,
        log_evidence=log_normaliser - problem.log_noise_constant,
        log_normaliser=log_normaliser,
        grid=prior.grid,
        _field=prior,
        _singular_values=s,
        _directions=directions,
        _residual=inside,
        _outside=outside,
    )
