"""Deep ensembles of exact last layers: several MAP estimates, the last layer integrated out at each, and their mixture.

Li, Dunlop, Stadler (2022), "Bayesian neural network priors for edge-preserving inversion", arXiv 2112.10663; deep
ensembles after Lakshminarayanan, Pritzel, Blundell 2017, last-layer posteriors after Kristiadi, Hein, Hennig 2020. With
the hidden layers fixed at a minimum, ``u = H v`` with the scaled features H, and v is Gaussian given the data (see
:mod:`scinn.inverse.posterior`), so that u at each point has the law ``sum_i w_i N(H_i mean_i, H_i cov_i H_i^T)``.
Nothing is said about the hidden layers between and around the minima, so that the mixture is narrower than the posterior.

Weights of the k members: equal; ``"density"``, by the posterior density ``exp(-J)`` at the given coordinates with the
last layer at its mean; ``"evidence"``, by the posterior density of the hidden coordinates with the last layer
integrated out. Densities of minima that differ by a few units leave a single member: equal weights are the default.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from scinn._input import as_float_array, check_choice, check_positive_int
from scinn.inverse.ensembles.result import plot_band
from scinn.random import RandomState, as_generator

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["WEIGHTS", "LastLayerMixture", "last_layer_mixture", "mixture_quantile"]

WEIGHTS = ("equal", "density", "evidence")


@dataclass(frozen=True, repr=False, eq=False)
class LastLayerMixture:
    """Mixture of exact last-layer posteriors.

    Parameters
    ----------
    weights : ndarray of float64, shape (k,)
        Of the members; they sum to one.
    hidden : ndarray of float64, shape (k, d_hidden)
        White coordinates of the hidden layers.
    means : ndarray of float64, shape (k, p)
        Of the last layer's white coordinates, p = D_L + 1.
    covariances : ndarray of float64, shape (k, p, p)
    features : ndarray of float64, shape (k, n, p)
        H, on the grid.
    posterior : Posterior

    Examples
    --------
    See :func:`last_layer_mixture`.
    """

    weights: np.ndarray
    hidden: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    features: np.ndarray
    posterior: Any = field(compare=False)

    @property
    def n_members(self) -> int:
        """k."""
        return len(self.weights)

    def member_means(self) -> np.ndarray:
        """Return the mean function of each member, shape (k, n)."""
        return np.einsum("knp,kp->kn", self.features, self.means)

    def member_deviations(self) -> np.ndarray:
        """Return the pointwise standard deviation of each member, shape (k, n)."""
        variances = np.einsum("knp,kpq,knq->kn", self.features, self.covariances, self.features)
        return np.sqrt(np.maximum(variances, 0.0))

    def mean(self) -> np.ndarray:
        """Return the mixture's mean function, shape (grid ...)."""
        return (self.weights @ self.member_means()).reshape(self.posterior.shape)

    def deviation(self) -> np.ndarray:
        """Return the mixture's pointwise standard deviation: within members and between them, shape (grid ...)."""
        means = self.member_means()
        within = self.weights @ self.member_deviations() ** 2
        between = self.weights @ (means - self.weights @ means) ** 2
        return np.asarray(np.sqrt(within + between)).reshape(self.posterior.shape)

    def quantiles(self, probabilities: Any = (0.05, 0.5, 0.95)) -> np.ndarray:
        """Return the mixture's pointwise quantiles, exact to rounding.

        Parameters
        ----------
        probabilities : array-like, shape (q,)
            In (0, 1).

        Returns
        -------
        ndarray of float64, shape (q, grid ...)
        """
        levels = as_float_array(probabilities, "probabilities", ndim=1, dtype=np.float64)
        if levels.size and (levels.min() <= 0.0 or levels.max() >= 1.0):
            raise ValueError(
                f"probabilities holds {levels.tolist()}; numbers strictly between 0 and 1 are wanted"
            )
        means, deviations = self.member_means(), self.member_deviations()
        out = np.array([mixture_quantile(self.weights, means, deviations, p) for p in levels.tolist()])
        return out.reshape(len(levels), *self.posterior.shape)

    def draw(self, n: int, rng: RandomState = None) -> np.ndarray:
        """Draw white coordinates: a member by its weight, and a last layer from its posterior.

        Parameters
        ----------
        n : int
        rng : int, SeedSequence, Generator, Key or None

        Returns
        -------
        ndarray of float64, shape (n, d)
            For ``posterior.field``; importance weights for the exact posterior are ``logpdf`` less the mixture's density.
        """
        n = check_positive_int(n, "n", 0)
        generator = as_generator(rng)
        members = generator.choice(self.n_members, size=n, p=self.weights)
        noise = generator.standard_normal((n, self.means.shape[1]))
        roots = np.linalg.cholesky(self.covariances)
        last = self.means[members] + np.einsum("jpq,jq->jp", roots[members], noise)
        return np.concatenate([self.hidden[members], last], axis=1)

    def fields(self, n: int, rng: RandomState = None) -> np.ndarray:
        """Draw functions on the grid, shape (n, grid ...)."""
        return np.asarray(self.posterior.field(self.draw(n, rng)))

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
        return plot_band(ax, self.quantiles(), self.posterior, f"last layers of {self.n_members} minima")

    def to_dict(self) -> dict[str, Any]:
        """Return weights and moments as JSON values."""
        return {
            "weights": self.weights.tolist(),
            "mean": self.mean().tolist(),
            "deviation": self.deviation().tolist(),
        }

    def __repr__(self) -> str:
        effective = 1.0 / float(np.sum(self.weights**2))
        return (
            f"LastLayerMixture({self.n_members} members, effectively {effective:.3g}; {self.means.shape[1]} coordinates of "
            f"the last layer each)"
        )


def last_layer_mixture(posterior: Any, minima: Any, *, weights: Any = "equal") -> LastLayerMixture:
    """Return the mixture of the exact last-layer posteriors at several points.

    Parameters
    ----------
    posterior : Posterior
        Of a network prior whose last law is Gaussian.
    minima : MapResult, or array-like, shape (k, d) or (k, d_hidden)
        MAP estimates: white coordinates, of which those of the last layer are not used.
    weights : {"equal", "density", "evidence"} or array-like, shape (k,)
        See the module; numbers are divided by their sum.

    Returns
    -------
    LastLayerMixture

    Raises
    ------
    ValueError
        For shapes that do not fit, no minima, weights that are negative or all zero, or a last layer that is not Gaussian.

    References
    ----------
    B. Lakshminarayanan, A. Pritzel, C. Blundell, "Simple and scalable predictive uncertainty estimation using deep
    ensembles", 2017. A. Kristiadi, M. Hein, P. Hennig, "Being Bayesian, even just a bit", 2020.

    Examples
    --------
    >>> from scinn.inverse import Deconvolution1D, Posterior, StableNNPrior
    >>> problem = Deconvolution1D(dim=65, PSF="gaussian", PSF_param=0.05, noise_std=0.05, rng=0)
    >>> posterior = Posterior(StableNNPrior([1, 10, 10, 1], law=("cauchy", "cauchy", "gaussian")), problem)
    >>> mixture = last_layer_mixture(posterior, posterior.prior.sample(1, size=4))
    >>> mixture.quantiles((0.05, 0.95)).shape, mixture.draw(7, rng=2).shape
    ((2, 65), (7, 141))
    """
    collapsed = posterior.collapse()
    rows = getattr(minima, "positions", minima)
    hidden = as_float_array(rows, "minima", ndim=2, dtype=np.float64)
    if not len(hidden) or hidden.shape[1] not in (posterior.dim, collapsed.dim):
        raise ValueError(
            f"minima has shape {hidden.shape}; at least one row of all {posterior.dim} white coordinates, or of the "
            f"{collapsed.dim} of the hidden layers, is wanted"
        )
    hidden = np.ascontiguousarray(hidden[:, : collapsed.dim])
    means, covariances = zip(*(collapsed.last_layer(row) for row in hidden))
    own_weights = _weights(weights, posterior, collapsed, hidden, means)
    features = np.stack([collapsed.features(row) for row in hidden])
    return LastLayerMixture(own_weights, hidden, np.stack(means), np.stack(covariances), features, posterior)


def _weights(
    weights: Any, posterior: Any, collapsed: Any, hidden: np.ndarray, means: Sequence[np.ndarray]
) -> np.ndarray:
    if not isinstance(weights, str):
        own = as_float_array(weights, "weights", shape=(len(hidden),), dtype=np.float64)
        if own.min() < 0.0 or own.sum() <= 0.0:
            raise ValueError(
                "weights holds a negative number, or zeros only; non-negative weights are wanted"
            )
        return own / own.sum()
    check_choice(weights, "weights", WEIGHTS)
    if weights == "equal":
        return np.full(len(hidden), 1.0 / len(hidden))
    if weights == "density":
        logs = np.array([posterior.logpdf(np.concatenate([row, v])) for row, v in zip(hidden, means)])
    else:
        logs = np.array([collapsed.logpdf(row) for row in hidden])
    if not np.isfinite(logs.max()):
        raise ValueError("the misfits of all minima are infinite; minima with finite misfits are wanted")
    own = np.exp(logs - logs.max())
    return np.asarray(own / own.sum())


def mixture_quantile(
    weights: np.ndarray, means: np.ndarray, deviations: np.ndarray, probability: float
) -> np.ndarray:
    """Return a quantile of mixtures of normal laws, one for each column, by bisection.

    Parameters
    ----------
    weights : ndarray of float64, shape (k,)
        They sum to one.
    means, deviations : ndarray of float64, shape (k, n)
        Deviations may be zero.
    probability : float
        In (0, 1).

    Returns
    -------
    ndarray of float64, shape (n,)

    Examples
    --------
    >>> import numpy as np
    >>> half, one = np.array([0.5, 0.5]), np.ones((2, 1))
    >>> mixture_quantile(half, np.array([[-2.0], [4.0]]), one, 0.5).round(9).tolist()
    [1.0]
    """
    from scipy.special import ndtr, ndtri

    # The mixture's quantile lies between the least and the largest quantile of its members.
    ends = means + deviations * ndtri(probability)
    low, high = ends.min(axis=0), ends.max(axis=0)
    positive = deviations > 0.0
    scale = np.where(positive, deviations, 1.0)
    while True:
        middle = 0.5 * (low + high)
        if np.all((middle <= low) | (middle >= high)):
            return middle
        below = np.where(positive, ndtr((middle - means) / scale), (middle >= means).astype(np.float64))
        left = weights @ below < probability
        low, high = np.where(left, middle, low), np.where(left, high, middle)
