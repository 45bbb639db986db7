"""Maximum a posteriori estimates of network priors, in two coordinates, from many starts.

Li, Dunlop, Stadler (2022), "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), arXiv 2112.10663. A density changes with the coordinates in which it is written, and its mode with it::

    white coordinates    J(xi)    = Phi + |xi|^2 / 2
    weight coordinates   J(theta) = Phi + sum over weights of -log p(theta / s),   p the unit law of the layer
                                    (Cauchy log(1 + t^2), Gaussian t^2 / 2, Laplace |t|, Student (df + 1)/2 log(1 + t^2/df))

A third way for a Gaussian last layer minimises over it exactly for each hidden xi (variable projection):
``J_red(xi_h) = min_v Phi(xi_h, v) + |v|^2 / 2 + |xi_h|^2 / 2``, whose gradient is the partial one at the minimiser v*. It
has the minima of the white coordinates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scinn._input import as_float_array, check_choice, check_in_range, check_positive_int
from scinn._plot import axes_or_new
from scinn.inverse.posterior import Posterior
from scinn.random import RandomState, as_generator

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["MapMinimum", "MapResult", "map_estimate"]

COORDINATES = ("white", "weight", "projected")
#: Stands for an infinite objective, so that line searches step back instead of meeting NaN.
_WALL = 1e100


@dataclass(frozen=True, repr=False, eq=False)
class MapMinimum:
    """One local minimum.

    Parameters
    ----------
    xi : ndarray of float64, shape (dim,)
        White coordinates.
    field : ndarray of float64, shape (grid ...)
        The function on the grid.
    objective : float
        J in the coordinates of the search.
    misfit : float
        Phi.
    gradient_norm : float
        Of the objective at the end.
    n_iter, n_evaluations : int
    converged : bool
        Whether the optimiser's own tests were met before `max_iter`, at a finite objective: from a start of infinite misfit
        no gradient leads away.
    start : int
        Number of the start.
    """

    xi: np.ndarray
    field: np.ndarray
    objective: float
    misfit: float
    gradient_norm: float
    n_iter: int
    n_evaluations: int
    converged: bool
    start: int

    def __repr__(self) -> str:
        return (
            f"MapMinimum(objective={self.objective:.6g}, misfit={self.misfit:.6g}, gradient_norm={self.gradient_norm:.2g}, "
            f"n_iter={self.n_iter}, converged={self.converged}, start={self.start})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers, without the arrays."""
        names = ("objective", "misfit", "gradient_norm", "n_iter", "n_evaluations", "converged", "start")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, repr=False, eq=False)
class MapResult:
    """All minima that were found, the best first.

    Parameters
    ----------
    minima : tuple of MapMinimum
        Sorted by objective.
    coordinates : {"white", "weight", "projected"}
        In which the objective was minimised.
    posterior : Posterior
    """

    minima: tuple[MapMinimum, ...]
    coordinates: str
    posterior: Posterior

    @property
    def best(self) -> MapMinimum:
        """The minimum with the lowest objective."""
        return self.minima[0]

    @property
    def fields(self) -> np.ndarray:
        """Functions of all minima on the grid, the best first, shape (n_starts, grid ...)."""
        return np.stack([minimum.field for minimum in self.minima])

    @property
    def positions(self) -> np.ndarray:
        """White coordinates of all minima, the best first, shape (n_starts, dim)."""
        return np.stack([minimum.xi for minimum in self.minima])

    def errors(self, truth: Any) -> np.ndarray:
        """Return the relative L2 error of each minimum's function, the best objective first.

        Parameters
        ----------
        truth : array-like, shape (grid ...)

        Returns
        -------
        ndarray of float64, shape (n_starts,)
        """
        wanted = as_float_array(truth, "truth", shape=self.posterior.shape, dtype=np.float64)
        gaps = (self.fields - wanted).reshape(len(self.minima), -1)
        return np.linalg.norm(gaps, axis=1) / np.linalg.norm(wanted)

    def __repr__(self) -> str:
        objectives = [minimum.objective for minimum in self.minima]
        return (
            f"MapResult({len(self.minima)} minima in {self.coordinates} coordinates, objective {objectives[0]:.6g} to "
            f"{objectives[-1]:.6g}, {sum(m.converged for m in self.minima)} converged)"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers, without the arrays."""
        return {"coordinates": self.coordinates, "minima": [minimum.to_dict() for minimum in self.minima]}

    def plot(self, ax: Any = None) -> Axes:
        """Draw the best function and, faintly, the others (1-D), or the best one as an image (2-D).

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional

        Returns
        -------
        matplotlib.axes.Axes
        """
        axes = axes_or_new(ax)
        grid = self.posterior.problem.grid
        if len(grid.shape) == 1:
            for minimum in self.minima[:0:-1]:
                axes.plot(grid.points[:, 0], minimum.field, color="0.7", lw=0.8)
            axes.plot(grid.points[:, 0], self.best.field, color="C0", label="lowest objective")
            axes.set(xlabel="x", ylabel="u(x)")
            axes.legend()
        else:
            first, second = grid.axes
            extent = (second[0], second[-1], first[0], first[-1])
            image = axes.imshow(self.best.field, origin="lower", extent=extent)
            axes.figure.colorbar(image, ax=axes, label="u")
            axes.set(xlabel="second axis", ylabel="first axis")
        return axes


class _White:
    """The objective in white coordinates."""

    def __init__(self, posterior: Posterior) -> None:
        self.posterior = posterior
        self.dim = posterior.dim

    def start(self, xi: np.ndarray) -> np.ndarray:
        return xi

    def end(self, point: np.ndarray) -> np.ndarray:
        return point

    def __call__(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        misfit, gradient = self.posterior.misfit_and_gradient(point)
        return misfit + 0.5 * float(point @ point), gradient + point


class _Weights:
    """The objective in weight coordinates, which are in units of the layers' scales."""

    def __init__(self, posterior: Posterior) -> None:
        for law, _ in posterior.blocks:
            if law.n_white == 2:
                raise ValueError(f"law {law.name!r} has no density in closed form; use coordinates='white'")
        scales = np.concatenate([posterior.model.weight_scales, posterior.model.bias_scales])
        if posterior.model.kind == 1 and np.any(scales == 0.0):
            raise ValueError(
                "a layer's scale is 0, so that its weights are no coordinates; use coordinates='white'"
            )
        self.posterior = posterior
        ends = np.cumsum([0, *(size for _, size in posterior.blocks)])
        self.dim = int(ends[-1])
        self.parts = [
            # The penalty is 0 at its least.
            (slice(a, b), law, float(law.neg_log_density(0.0)))
            for a, b, (law, _) in zip(ends[:-1], ends[1:], posterior.blocks)
        ]

    def start(self, xi: np.ndarray) -> np.ndarray:
        return np.concatenate([law.transform(xi[part]) for part, law, _ in self.parts])

    def end(self, point: np.ndarray) -> np.ndarray:
        return np.concatenate([law.inverse(point[part]) for part, law, _ in self.parts])

    def __call__(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = self.posterior.misfit_and_gradient_of_weights(point)
        for part, law, least in self.parts:
            value += float((law.neg_log_density(point[part]) - least).sum())
            gradient[part] += law.score(point[part])
        return value, gradient


class _Projected:
    """The objective of the hidden coordinates, minimised over the last layer."""

    def __init__(self, posterior: Posterior) -> None:
        self.posterior = posterior
        self.collapsed = posterior.collapse()
        self.dim = self.collapsed.dim

    def start(self, xi: np.ndarray) -> np.ndarray:
        return xi[: self.dim]

    def end(self, point: np.ndarray) -> np.ndarray:
        return np.concatenate([point, self.collapsed.last_layer_mean(point)])

    def __call__(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        full = self.end(point)
        misfit, gradient = self.posterior.misfit_and_gradient(full)
        return misfit + 0.5 * float(full @ full), gradient[: self.dim] + point


_OBJECTIVES: dict[str, Callable[[Posterior], Any]] = {
    "white": _White,
    "weight": _Weights,
    "projected": _Projected,
}


def map_estimate(
    posterior: Posterior,
    *,
    coordinates: str = "white",
    n_starts: int = 10,
    start_scale: float = 0.5,
    starts: Any = None,
    max_iter: int = 2000,
    memory: int = 20,
    tol: float = 1e-9,
    rng: RandomState = None,
    callback: Callable[[MapMinimum], None] | None = None,
) -> MapResult:
    """Minimise the negative log posterior from many starts with L-BFGS, and keep every minimum.

    Parameters
    ----------
    posterior : Posterior
    coordinates : {"white", "weight", "projected"}, default "white"
        In which the density is maximised: the white coordinates, the weights (more repeatable where all layers are Cauchy),
        or the white coordinates with a Gaussian last layer minimised exactly ("projected", variable projection).
    n_starts : int, default 10
        How many random starts.
    start_scale : float, default 0.5
        Starts are this times standard normal white coordinates.
    starts : array-like, shape (n_starts, dim), optional
        White coordinates to start from, instead of random ones.
    max_iter : int, default 2000
        Iterations of L-BFGS for each start.
    memory : int, default 20
        Pairs that L-BFGS keeps.
    tol : float, default 1e-9
        Smallest relative decrease of the objective in a step that goes on.
    rng : int, SeedSequence, Generator, Key or None
        For the starts.
    callback : callable, optional
        Called with each :class:`MapMinimum` as it is found.

    Returns
    -------
    MapResult

    Raises
    ------
    TypeError
        Where `posterior` is no :class:`Posterior`.
    ValueError
        For the sign activation, weight coordinates of a law without a density, or projection of a last layer that is not
        Gaussian.

    Notes
    -----
    Networks of odd activation have 2^D D! equal minima for each hidden layer of width D, so minima are compared by their
    functions and values, never by their coordinates. A step inside a gap of the grid costs the misfit nothing: evaluate the
    function on a finer grid before trusting a spike.

    References
    ----------
    C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", 2022. The coordinates that
    the paper's estimates use could not be read.
    G. Golub, V. Pereyra, "Separable nonlinear least squares: the variable projection method", Inverse Problems 19, 2003.

    Examples
    --------
    >>> from scinn.inverse import Deconvolution1D, Posterior, StableNNPrior, map_estimate
    >>> problem = Deconvolution1D(dim=33, PSF="gaussian", PSF_param=0.1, noise_std=0.05, rng=0)
    >>> prior = StableNNPrior([1, 5, 1], law=("cauchy", "gaussian"), weight_scale=(10, 1), bias_scale=(10, 0.5))
    >>> result = map_estimate(Posterior(prior, problem), n_starts=2, max_iter=50, rng=0)
    >>> len(result.minima), result.best.objective <= result.minima[1].objective
    (2, True)
    """
    from threadpoolctl import threadpool_limits

    if not isinstance(posterior, Posterior):
        raise TypeError(
            f"posterior is a {type(posterior).__name__}; a scinn.inverse.Posterior(prior, problem) is wanted. To minimise "
            "over the hidden layers with the last one at its best, pass it with coordinates='projected'"
        )
    check_choice(coordinates, "coordinates", COORDINATES)
    if not posterior.differentiable:
        raise ValueError(
            "activation is 'sign', whose derivative is zero almost everywhere; use activation='tanh' for MAP estimates"
        )
    check_positive_int(max_iter, "max_iter")
    check_positive_int(memory, "memory")
    check_in_range(tol, "tol", 0.0)
    objective = _OBJECTIVES[coordinates](posterior)
    if starts is None:
        check_positive_int(n_starts, "n_starts")
        check_in_range(start_scale, "start_scale", 0.0)
        begin = start_scale * as_generator(rng).standard_normal((n_starts, posterior.dim))
    else:
        begin = np.atleast_2d(as_float_array(starts, "starts", dtype=np.float64))
        if begin.ndim != 2 or begin.shape[1] != posterior.dim:
            raise ValueError(f"starts has shape {np.shape(starts)}; (n_starts, {posterior.dim}) is wanted")

    minima = []
    # The products are small: more threads of BLAS only wait for each other.
    with threadpool_limits(limits=1, user_api="blas"):
        for number, xi in enumerate(begin):
            minimum = _descend(objective, xi, number, max_iter, memory, tol)
            minima.append(minimum)
            if callback is not None:
                callback(minimum)
    return MapResult(tuple(sorted(minima, key=lambda m: m.objective)), coordinates, posterior)


def _descend(
    objective: Any, xi: np.ndarray, number: int, max_iter: int, memory: int, tol: float
) -> MapMinimum:
    """Minimise from one start."""
    from scipy.optimize import minimize

    def guarded(point: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = objective(point)
        if not (np.isfinite(value) and np.all(np.isfinite(gradient))):
            return _WALL, np.zeros_like(point)
        return value, gradient

    found = minimize(
        guarded, objective.start(xi), jac=True, method="L-BFGS-B",
        options={"maxiter": max_iter, "maxfun": 4 * max_iter, "maxcor": memory, "ftol": tol, "gtol": 1e-8},
    )  # fmt: skip
    white = objective.end(found.x)
    return MapMinimum(
        xi=white,
        field=objective.posterior.field(white),
        objective=float(found.fun),
        misfit=objective.posterior.misfit(white),
        gradient_norm=float(np.linalg.norm(found.jac)),
        n_iter=int(found.nit),
        n_evaluations=int(found.nfev),
        converged=bool(found.success) and float(found.fun) < _WALL,
        start=number,
    )
