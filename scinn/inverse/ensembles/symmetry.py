"""Why an ensemble drawn from a network prior learns next to nothing, and a report that shows it.

Ensemble Kalman methods see the data through the covariances of coordinates and predictions. Under a network prior these
vanish (derived here). Negating the last layer's weights, but not its bias, keeps the law of all coordinates and turns u - c
into -(u - c), with the offset c: a coordinate of a hidden layer is uncorrelated with u. For a coordinate of the last layer
``Cov(xi_k, u(x)) = s E[xi_k^2] E[h_k(x)]`` and ``E h_k = 0`` for odd activations, by negating the unit's incoming
weights. Only the output's bias is left, and what a finite ensemble follows besides is sampling noise. (For a
heavy-tailed last layer no covariance exists; ranks obey the same identity.) The members of a local ensemble share their
signs and do learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scinn._input import check_choice
from scinn.inverse.ensembles.algebra import centred
from scinn.inverse.ensembles.driver import Target

__all__ = ["SymmetryReport", "is_network", "symmetry_report"]

#: Probability with which some entry exceeds the threshold by chance.
_LEVEL = 0.01


@dataclass(frozen=True, repr=False, eq=False)
class SymmetryReport:
    """Correlations of coordinates with predictions over an ensemble.

    Parameters
    ----------
    correlations : ndarray of float64, shape (d, m)
        Of the coordinates with the whitened predictions.
    threshold : float
        The largest absolute value of all entries is below this with probability about 0.99 where nothing is correlated.
    kind : {"rank", "linear"}
        Spearman's or Pearson's correlation.
    n_members : int

    Examples
    --------
    >>> from scinn.inverse import Deconvolution1D, Posterior, StableNNPrior
    >>> from scinn.inverse.ensembles import local_ensemble, prior_ensemble
    >>> problem = Deconvolution1D(dim=33, PSF="gaussian", PSF_param=0.1, noise_std=0.1, rng=0)
    >>> posterior = Posterior(StableNNPrior([1, 8, 1], law=("cauchy", "gaussian"), weight_scale=(10, 1)), problem)
    >>> symmetry_report(posterior, prior_ensemble(posterior.dim, 2000, rng=1)).informed.tolist()  # the output's bias
    [24]
    >>> local = local_ensemble(posterior.prior.sample(2), 2000, rng=3)
    >>> len(symmetry_report(posterior, local).informed) > 10
    True
    """

    correlations: np.ndarray
    threshold: float
    kind: str
    n_members: int

    @property
    def largest(self) -> np.ndarray:
        """Largest absolute correlation of each coordinate, shape (d,)."""
        return np.asarray(np.abs(self.correlations).max(axis=1, initial=0.0))

    @property
    def informed(self) -> np.ndarray:
        """Indices of the coordinates with a correlation above the threshold."""
        return np.flatnonzero(self.largest > self.threshold)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "kind": self.kind,
            "n_members": self.n_members,
            "threshold": self.threshold,
            "informed": self.informed.tolist(),
            "largest": self.largest.tolist(),
        }

    def __repr__(self) -> str:
        d = len(self.correlations)
        return (
            f"SymmetryReport({len(self.informed)} of {d} coordinates are correlated with a prediction, |{self.kind} "
            f"correlation| > {self.threshold:.3g} over {self.n_members} members)"
        )


def symmetry_report(posterior: Any, ensemble: Any, *, kind: str = "rank") -> SymmetryReport:
    """Measure which coordinates an ensemble can learn anything about.

    Parameters
    ----------
    posterior : object with ``dim``, ``data`` (m,) and ``predict``
        For example :class:`scinn.inverse.Posterior`.
    ensemble : array-like, shape (J, dim)
        A few hundred members show correlations above some 0.3, two thousand above 0.1.
    kind : {"rank", "linear"}, default "rank"
        Ranks bear the single huge members that heavy tails bring.

    Returns
    -------
    SymmetryReport

    Raises
    ------
    ValueError
        For shapes that do not fit, or fewer than two members.

    References
    ----------
    Derived here.

    Examples
    --------
    See :class:`SymmetryReport`.
    """
    check_choice(kind, "kind", ("rank", "linear"))
    target = Target(posterior, ensemble)
    rows, predicted = target.members, target.predict(target.members)
    if kind == "rank":
        from scipy.stats import rankdata

        rows, predicted = rankdata(rows, axis=0), rankdata(predicted, axis=0)
    a, b = _unit_columns(rows), _unit_columns(predicted)
    correlations = a.T @ b
    # Normal approximation, and the union bound over all entries.
    from scipy.special import ndtri

    n_entries = max(1, correlations.size)
    threshold = float(-ndtri(0.5 * _LEVEL / n_entries) / np.sqrt(max(1, len(rows) - 1)))
    return SymmetryReport(correlations, threshold, kind, len(rows))


def _unit_columns(rows: np.ndarray) -> np.ndarray:
    own = centred(rows)
    norms = np.linalg.norm(own, axis=0)
    # A constant column is correlated with nothing.
    return own / np.where(norms > 0.0, norms, 1.0)


def is_network(posterior: Any) -> bool:
    """Return whether a posterior's prior is a network."""
    return hasattr(getattr(posterior, "prior", None), "widths")
