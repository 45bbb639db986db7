"""What an ensemble method returns: the last ensemble, how it got there, and its functions.

See :mod:`scinn.inverse.ensembles.algebra` for the notation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from scinn._input import as_float_array
from scinn._plot import axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["EnsembleResult", "Iteration", "plot_band"]


class Iteration(NamedTuple):
    """One ensemble on the way, and the step that was then taken.

    Parameters
    ----------
    misfit_mean, misfit_variance : float
        Of ``Phi_j = |y - V_j|^2 / 2`` over the members; m / 2 is what noise alone gives.
    residual : float
        Root mean square of ``y - mean V``, in units of the noise; the discrepancy principle stops at 1.
    spread : float
        Root of the coordinates' mean variance; 1 for draws from the prior.
    step : float
        What was done with this ensemble: dt = 1 / alpha for the Kalman updates, the relaxation of the subspace smoother; 0
        for the last ensemble, with which nothing was done.
    time : float
        Sum of the steps before.
    """

    misfit_mean: float
    misfit_variance: float
    residual: float
    spread: float
    step: float
    time: float


@dataclass(frozen=True, repr=False, eq=False)
class EnsembleResult:
    """The ensemble at the end of a run.

    Parameters
    ----------
    ensemble : ndarray of float64, shape (J, d)
        White coordinates of the members.
    predicted : ndarray of float64, shape (J, m)
        Their whitened predictions.
    data : ndarray of float64, shape (m,)
        Whitened.
    method : str
    converged : bool
        Whether the method's own rule ended the run.
    reason : str
        Why it ended.
    iterations : tuple of Iteration
        One for each ensemble, the first and the last included.
    posterior : object
        Its ``field`` turns coordinates into functions.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.inverse import Deconvolution1D, EnsembleKalman, GaussianProcessPrior, Posterior
    >>> problem = Deconvolution1D(dim=33, PSF="gaussian", PSF_param=0.1, noise_std=0.1, rng=0)
    >>> posterior = Posterior(GaussianProcessPrior("exponential", 0.3, 1.0), problem)
    >>> result = EnsembleKalman(posterior, 200, method="etki", init="prior").run(0)
    >>> result.quantiles((0.05, 0.5, 0.95)).shape
    (3, 33)
    """

    ensemble: np.ndarray
    predicted: np.ndarray
    data: np.ndarray
    method: str
    converged: bool
    reason: str
    iterations: tuple[Iteration, ...]
    posterior: Any = field(compare=False)

    @property
    def n_members(self) -> int:
        """J."""
        return len(self.ensemble)

    @property
    def mean(self) -> np.ndarray:
        """Mean of the white coordinates, shape (d,)."""
        return np.asarray(self.ensemble.mean(axis=0))

    def fields(self) -> np.ndarray:
        """Return the members' functions on the grid.

        Returns
        -------
        ndarray of float64, shape (J, grid ...)
        """
        if not hasattr(self.posterior, "field"):
            raise TypeError(
                f"posterior is a {type(self.posterior).__name__} without field(xi); its members have no functions to show"
            )
        return np.asarray(self.posterior.field(self.ensemble))

    def quantiles(self, probabilities: Any = (0.05, 0.5, 0.95)) -> np.ndarray:
        """Return pointwise quantiles of the members' functions.

        They are the ensemble's, not the posterior's: an optimiser's ensemble (``"eki"``, ``"teki"``) collapses, and a
        nonlinear problem's smoother is an approximation of unknown quality.

        Parameters
        ----------
        probabilities : array-like, shape (q,)

        Returns
        -------
        ndarray of float64, shape (q, grid ...)
        """
        levels = as_float_array(probabilities, "probabilities", ndim=1, dtype=np.float64)
        if levels.size and (levels.min() < 0.0 or levels.max() > 1.0):
            raise ValueError(f"probabilities holds {levels.tolist()}; numbers in [0, 1] are wanted")
        return np.asarray(np.quantile(self.fields(), levels, axis=0))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the pointwise median, in one dimension with the band from the 5 % to the 95 % quantile.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; default: the axes of a new figure.

        Returns
        -------
        matplotlib Axes
        """
        return plot_band(ax, self.quantiles(), self.posterior, f"{self.method}, {self.n_members} members")

    def to_dict(self) -> dict[str, Any]:
        """Return settings and the records of the iterations as JSON values, without the arrays."""
        return {
            "method": self.method,
            "n_members": self.n_members,
            "dim": self.ensemble.shape[1],
            "n_data": len(self.data),
            "converged": self.converged,
            "reason": self.reason,
            "iterations": [own._asdict() for own in self.iterations],
        }

    def __repr__(self) -> str:
        last = self.iterations[-1]
        return (
            f"EnsembleResult({self.method}: {self.n_members} members in {self.ensemble.shape[1]} dimensions, "
            f"{len(self.iterations) - 1} steps, residual {self.iterations[0].residual:.3g} -> {last.residual:.3g}, "
            f"spread {self.iterations[0].spread:.3g} -> {last.spread:.3g}; {self.reason})"
        )


def plot_band(ax: Axes | None, quantiles: np.ndarray, posterior: Any, title: str) -> Axes:
    """Draw lower, middle and upper quantile of functions, shape (3, grid ...); in two dimensions the middle alone."""
    ax = axes_or_new(ax)
    ax.set_title(title)
    points = np.asarray(posterior.points)
    lower, middle, upper = quantiles
    if middle.ndim == 1:
        x = points[:, 0]
        ax.fill_between(x, lower, upper, color="C0", alpha=0.25, linewidth=0.0, label="5 % to 95 %")
        ax.plot(x, middle, color="C0", label="median")
        ax.set_xlabel("x")
        ax.set_ylabel("u")
        ax.legend()
        return ax
    if middle.ndim != 2:
        raise ValueError(f"the grid has {middle.ndim} dimensions; functions on 1 or 2 can be drawn")
    (left, bottom), (right, top) = points.min(axis=0), points.max(axis=0)
    # The first axis of the grid runs to the right, which images take for the second.
    image = ax.imshow(middle.T, origin="lower", extent=(left, right, bottom, top), aspect="auto")
    ax.figure.colorbar(image, ax=ax)
    return ax
