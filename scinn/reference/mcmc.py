"""One step of each sampler that uses no gradient, from its definition, on callables and with the noise as an argument.

C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), 2022, arXiv 2112.10663, sample posteriors with density ``exp(-Phi(xi))`` with respect to the prior ``N(0, I)``. Here
the density is ``exp(-t Phi(xi))`` with a temperature ``t`` (1: the posterior, 0: the prior). Notation: position ``u``,
proposal ``v``, noise ``w ~ N(0, I)``, ``E`` an exponential variable with mean 1. A proposal is accepted where
``log ratio >= -E``, the same event as ``log U <= log ratio`` for a uniform ``U``. A NaN misfit counts as infinite. Samplers
with gradients are in :mod:`scinn.reference.mcmc_gradient`.

S. Cotter, G. Roberts, A. Stuart, D. White, "MCMC methods for functions: modifying old algorithms to make them faster",
Statistical Science 28, 2013 (pCN). I. Murray, R. Adams, D. MacKay, "Elliptical slice sampling", AISTATS 2010. D. Rudolf,
B. Sprungk, "On a generalization of the preconditioned Crank-Nicolson Metropolis algorithm", Foundations of Computational
Mathematics 18, 2018 (gpCN). Z. Hu, Z. Yao, J. Li, "On an adaptive preconditioned Crank-Nicolson MCMC algorithm for infinite
dimensional Bayesian inference", Journal of Computational Physics 332, 2017.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

__all__ = [
    "Outcome",
    "crank_nicolson_proposal",
    "elliptical_slice_step",
    "pcn_step",
    "random_walk_step",
]

Misfit = Callable[[np.ndarray, float], float]

MAX_SHRINKS = 200


class Outcome(NamedTuple):
    """What a step did.

    Parameters
    ----------
    position : ndarray, shape (d,)
        The new position.
    misfit : float
        Its misfit.
    gradient : ndarray, shape (d,), or None
        The gradient of its misfit, for the samplers that use gradients.
    accepted : bool
        Whether the proposal became the position.
    log_ratio : float
        Logarithm of the acceptance ratio, not cut at 0. Where the misfit was stopped early it is an upper bound.
    misfit_proposed : float
        Misfit of the proposal, or a lower bound of it that was enough for rejecting.
    n_evaluations : int
        How often the misfit, or the misfit with its gradient, was computed.
    """

    position: np.ndarray
    misfit: float
    gradient: np.ndarray | None
    accepted: bool
    log_ratio: float
    misfit_proposed: float
    n_evaluations: int


def _at_least(value: float) -> float:
    """Return a misfit, with infinity for NaN."""
    return math.inf if math.isnan(value) else float(value)


def _misfit_ratio(current: float, proposed: float, temperature: float) -> float:
    if temperature == 0.0 or current == proposed:
        return 0.0
    return temperature * (current - proposed)


def _limit(current: float, exponential: float, temperature: float) -> float:
    """Return the largest misfit with which a prior-reversible proposal is accepted."""
    return math.inf if temperature == 0.0 else current + exponential / temperature


def crank_nicolson_proposal(
    position: np.ndarray,
    noise: np.ndarray,
    beta: float,
    variances: np.ndarray | None = None,
    vectors: np.ndarray | None = None,
    eigenvalues: np.ndarray | None = None,
) -> np.ndarray:
    """Return the (generalised) preconditioned Crank-Nicolson proposal, which is reversible for N(0, I).

    Parameters
    ----------
    position, noise : ndarray, shape (d,)
    beta : float
        In (0, 1].
    variances : ndarray, shape (d,), optional
        In (0, 1]: ``v_i = sqrt(1 - beta^2 c_i) u_i + beta sqrt(c_i) w_i``.
    vectors : ndarray, shape (r, d), optional
        Orthonormal rows; used where `variances` is None.
    eigenvalues : ndarray, shape (r,), optional
        ``lam >= 0``: in the direction of row k the variance ``c = 1 / (1 + lam_k)`` takes the place of 1.

    Returns
    -------
    ndarray, shape (d,)

    References
    ----------
    Cotter et al. 2013, equation (4.4); Rudolf and Sprungk 2018, section 3; Hu, Yao and Li 2017.

    Examples
    --------
    >>> import numpy as np
    >>> crank_nicolson_proposal(np.array([1.0, 0.0]), np.array([0.0, 1.0]), 0.6)
    array([0.8, 0.6])
    """
    if variances is not None:
        return np.sqrt(1.0 - beta**2 * variances) * position + beta * np.sqrt(variances) * noise
    keep, move = math.sqrt(1.0 - beta**2), beta
    proposal = keep * position + move * noise
    if vectors is None or eigenvalues is None:
        return proposal
    for vector, eigenvalue in zip(vectors, eigenvalues, strict=True):
        variance = 1.0 / (1.0 + eigenvalue)
        along = (math.sqrt(1.0 - beta**2 * variance) - keep) * (vector @ position)
        proposal = proposal + (along + (beta * math.sqrt(variance) - move) * (vector @ noise)) * vector
    return proposal


def pcn_step(
    misfit: Misfit,
    position: np.ndarray,
    value: float,
    beta: float,
    noise: np.ndarray,
    exponential: float,
    temperature: float = 1.0,
    *,
    variances: np.ndarray | None = None,
    vectors: np.ndarray | None = None,
    eigenvalues: np.ndarray | None = None,
) -> Outcome:
    """Make one step of pCN, gpCN (with `vectors`) or pCN with variances of its own for each coordinate.

    Proposal and prior are in balance, so that only the misfits are left in the ratio: accept where
    ``t Phi(v) <= t Phi(u) + E``. The misfit is told this limit and may stop as soon as it is exceeded.

    Parameters
    ----------
    misfit : callable
        ``misfit(xi, stop_above) -> float``.
    position : ndarray, shape (d,)
    value : float
        Misfit of `position`.
    beta : float
    noise : ndarray, shape (d,)
    exponential : float
    temperature : float
    variances, vectors, eigenvalues : ndarray, optional
        As in :func:`crank_nicolson_proposal`.

    Returns
    -------
    Outcome

    References
    ----------
    Cotter et al. 2013, section 4.1.

    Examples
    --------
    >>> import numpy as np
    >>> step = pcn_step(lambda xi, stop: 0.5 * xi @ xi, np.ones(1), 0.5, 0.6, np.zeros(1), 0.1)
    >>> step.accepted, step.position
    (True, array([0.8]))
    """
    proposal = crank_nicolson_proposal(position, noise, beta, variances, vectors, eigenvalues)
    limit = _limit(value, exponential, temperature)
    proposed = _at_least(misfit(proposal, limit))
    accepted = proposed <= limit
    ratio = _misfit_ratio(value, proposed, temperature)
    if accepted:
        return Outcome(proposal, proposed, None, True, ratio, proposed, 1)
    return Outcome(position, value, None, False, ratio, proposed, 1)


def random_walk_step(
    misfit: Misfit,
    position: np.ndarray,
    value: float,
    step: float,
    noise: np.ndarray,
    exponential: float,
    temperature: float = 1.0,
) -> Outcome:
    """Make one step of random-walk Metropolis, ``v = u + s w``, in white coordinates.

    Parameters
    ----------
    misfit : callable
        ``misfit(xi, stop_above) -> float``.
    position : ndarray, shape (d,)
    value : float
    step : float
        Standard deviation ``s``.
    noise : ndarray, shape (d,)
    exponential, temperature : float

    Returns
    -------
    Outcome

    Examples
    --------
    >>> import numpy as np
    >>> random_walk_step(lambda xi, stop: 0.0, np.zeros(1), 0.0, 2.0, np.ones(1), 1.0).accepted
    False
    """
    proposal = position + step * noise
    prior = 0.5 * float((position - proposal) @ (position + proposal))
    limit = _limit(value, exponential + prior, temperature)
    proposed = _at_least(misfit(proposal, limit))
    ratio = _misfit_ratio(value, proposed, temperature) + prior
    accepted = ratio >= -exponential
    if accepted:
        return Outcome(proposal, proposed, None, True, ratio, proposed, 1)
    return Outcome(position, value, None, False, ratio, proposed, 1)


def elliptical_slice_step(
    misfit: Misfit,
    position: np.ndarray,
    value: float,
    noise: np.ndarray,
    exponential: float,
    uniform: Callable[[], float],
    temperature: float = 1.0,
) -> Outcome:
    """Make one step of elliptical slice sampling: shrink an arc of the ellipse through `position` and `noise`.

    Parameters
    ----------
    misfit : callable
        ``misfit(xi, stop_above) -> float``.
    position : ndarray, shape (d,)
    value : float
    noise : ndarray, shape (d,)
    exponential : float
        The slice is ``t Phi <= t Phi(u) + E``.
    uniform : callable
        Returns a new number, uniform on [0, 1), at each call.
    temperature : float

    Returns
    -------
    Outcome
        With the position itself, not accepted, in the event (of rounding) that 200 shrinks find no point.

    References
    ----------
    Murray, Adams and MacKay 2010, figure 2.

    Examples
    --------
    >>> import numpy as np
    >>> step = elliptical_slice_step(lambda xi, stop: 0.0, np.ones(1), 0.0, np.zeros(1), 1.0, lambda: 0.5)
    >>> step.position, step.n_evaluations
    (array([-1.]), 1)
    """
    limit = _limit(value, exponential, temperature)
    angle = 2.0 * math.pi * uniform()
    low, high = angle - 2.0 * math.pi, angle
    proposed = math.inf
    for k in range(MAX_SHRINKS):
        proposal = math.cos(angle) * position + math.sin(angle) * noise
        proposed = _at_least(misfit(proposal, limit))
        if proposed <= limit:
            return Outcome(proposal, proposed, None, True, 0.0, proposed, k + 1)
        low, high = (angle, high) if angle < 0.0 else (low, angle)
        angle = low + (high - low) * uniform()
    return Outcome(position, value, None, False, -math.inf, proposed, MAX_SHRINKS)
