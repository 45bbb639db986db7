"""Generalised pCN: longer steps where the data say nothing, shorter ones where they say much.

C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), 2022, arXiv 2112.10663; D. Rudolf, B. Sprungk, "On a generalization of the preconditioned Crank-Nicolson Metropolis
algorithm", Foundations of Computational Mathematics 18, 2018. With the Gauss-Newton Hessian ``J^T J = V diag(lam) V^T``
of the misfit at a reference point, the proposal has the variance ``beta^2 / (1 + lam)`` along the columns of V, and is
still in balance with the prior.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scinn._input import as_float_array, check_positive_int
from scinn.inverse.samplers.contract import check_position
from scinn.inverse.samplers.pcn import PCN

__all__ = ["GPCN", "likelihood_informed_directions"]


def likelihood_informed_directions(
    jacobian: Any, *, rank: int | None = None, threshold: float = 1e-3
) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenpairs of ``J^T J`` above a threshold, from a thin singular value decomposition.

    Parameters
    ----------
    jacobian : array-like, shape (m, d)
        Derivative of the whitened predictions by the white coordinates.
    rank : int, optional
        Largest number of pairs.
    threshold : float, default 1e-3
        Smaller eigenvalues are left out: there the posterior is the prior.

    Returns
    -------
    vectors : ndarray, shape (d, r)
        Orthonormal columns.
    eigenvalues : ndarray, shape (r,)
        In descending order.

    References
    ----------
    T. Cui, K. Law, Y. Marzouk, "Dimension-independent likelihood-informed MCMC", Journal of Computational Physics 304, 2016.

    Examples
    --------
    >>> vectors, eigenvalues = likelihood_informed_directions([[3.0, 0.0], [0.0, 0.0]])
    >>> abs(vectors), eigenvalues
    (array([[1.],
           [0.]]), array([9.]))
    """
    matrix = as_float_array(jacobian, "jacobian", ndim=2, dtype=np.float64)
    _, values, rows = np.linalg.svd(matrix, full_matrices=False)
    count = int(np.sum(values**2 >= threshold))
    if rank is not None:
        count = min(count, check_positive_int(rank, "rank"))
    return np.ascontiguousarray(rows[:count].T), values[:count] ** 2


@dataclass(frozen=True, eq=False)
class GPCN(PCN):
    """Generalised pCN.

    Parameters
    ----------
    target : Target
        With ``dim`` and ``misfit(xi)``, and ``jacobian(xi)`` where `reference` is a point.
    reference : array-like, shape (dim,), or pair (vectors (dim, r), eigenvalues (r,))
        The point where the Jacobian is taken, such as a MAP estimate, or the orthonormal directions and their curvatures.
        Any choice leaves the target invariant; a good one makes long steps possible.
    rank : int, optional
        Largest number of directions; by default all with curvature above 0.001.
    beta, ladder, early_rejection, temperature, target_acceptance
        As in :class:`PCN`.

    Raises
    ------
    TypeError
        Where `reference` is a point and the target has no ``jacobian``.
    ValueError
        For directions that are not orthonormal, curvatures below 0, or options out of range.

    References
    ----------
    Rudolf and Sprungk 2018, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> target = SimpleNamespace(
    ...     dim=3, misfit=lambda xi: 50.0 * float(xi[0] - 1.0) ** 2, jacobian=lambda xi: np.array([[10.0, 0.0, 0.0]])
    ... )
    >>> sampler = GPCN(target, reference=np.zeros(3), beta=0.9)
    >>> sampler.directions[1]
    array([100.])
    >>> state, info = sampler.run(0, sampler.init([1.0, 0.0, 0.0]), 1000)
    >>> info.acceptance_rate > 0.3
    True
    """

    reference: Any = field(default=None, kw_only=True, repr=False)
    rank: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        vectors, eigenvalues = self._find_directions()
        object.__setattr__(self, "_rows", np.ascontiguousarray(vectors.T))
        object.__setattr__(self, "_eigenvalues", np.ascontiguousarray(eigenvalues))

    @property
    def directions(self) -> tuple[np.ndarray, np.ndarray]:
        """Directions (dim, r) and their curvatures (r,)."""
        rows, eigenvalues = self._directions()
        return rows.T, eigenvalues

    def _find_directions(self) -> tuple[np.ndarray, np.ndarray]:
        if self.reference is None:
            raise ValueError(
                "reference is None; a point of shape (dim,) where the Jacobian is taken, such as a MAP estimate, or a pair "
                "(vectors, eigenvalues) is wanted"
            )
        if isinstance(self.reference, tuple):
            return self._checked_pair(*self.reference)
        point = check_position(self.reference, self.dim)
        if not callable(getattr(self.target, "jacobian", None)):
            raise TypeError(
                f"target is a {type(self.target).__name__} without jacobian(xi); pass reference=(vectors, eigenvalues), see "
                "likelihood_informed_directions"
            )
        return likelihood_informed_directions(self.target.jacobian(point), rank=self.rank)

    def _checked_pair(self, *pair: Any) -> tuple[np.ndarray, np.ndarray]:
        if len(pair) != 2:
            raise ValueError(f"reference has {len(pair)} parts; the pair (vectors, eigenvalues) is wanted")
        vectors = as_float_array(pair[0], "vectors of reference", ndim=2, dtype=np.float64)
        eigenvalues = as_float_array(pair[1], "eigenvalues of reference", ndim=1, dtype=np.float64)
        if vectors.shape != (self.dim, len(eigenvalues)):
            raise ValueError(
                f"vectors of reference have shape {vectors.shape}; one column of length {self.dim} for each of the "
                f"{len(eigenvalues)} eigenvalues is wanted"
            )
        gap = np.abs(vectors.T @ vectors - np.eye(len(eigenvalues)))
        if gap.size and gap.max() > 1e-8:
            raise ValueError(
                f"vectors of reference are not orthonormal (off by {gap.max():.2g}), and the proposal would not "
                f"be in balance "
                "with the prior; take those of numpy.linalg.eigh or numpy.linalg.svd"
            )
        if np.any(eigenvalues < 0.0):
            raise ValueError(f"eigenvalues of reference hold {eigenvalues.min()}; curvatures >= 0 are wanted")
        if self.rank is not None:
            order = np.argsort(-eigenvalues, kind="stable")[: check_positive_int(self.rank, "rank")]
            return vectors[:, order], eigenvalues[order]
        return vectors, eigenvalues

    def _directions(self) -> tuple[np.ndarray, np.ndarray]:
        return self._rows, self._eigenvalues  # type: ignore[attr-defined]

    def _options(self, state: Any) -> dict[str, Any]:
        rows, eigenvalues = self._directions()
        return {"vectors": rows, "eigenvalues": eigenvalues}
