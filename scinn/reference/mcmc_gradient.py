"""One step of each sampler that uses the gradient of the misfit, from its definition, with the noise as an argument.

C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), 2022, arXiv 2112.10663. Notation as in :mod:`scinn.reference.mcmc`; ``g`` is the gradient of the misfit Phi alone, the
target is ``exp(-t Phi)`` with respect to ``N(0, I)``. Ratios are those of the full densities of target and proposal.

S. Cotter, G. Roberts, A. Stuart, D. White, "MCMC methods for functions: modifying old algorithms to make them faster",
Statistical Science 28, 2013 (pCNL). A. Beskos, F. Pinski, J. Sanz-Serna, A. Stuart, "Hybrid Monte Carlo on Hilbert spaces",
Stochastic Processes and their Applications 121, 2011 (infinity-HMC).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from scinn.reference.mcmc import Outcome

__all__ = [
    "Trajectory",
    "hmc_step",
    "inf_hmc_step",
    "inf_hmc_trajectory",
    "inf_mala_step",
    "mala_step",
    "pcnl_step",
]

MisfitAndGradient = Callable[[np.ndarray], tuple[float, np.ndarray]]


class Trajectory(NamedTuple):
    """The end of a Hamiltonian trajectory.

    Parameters
    ----------
    position, momentum, gradient : ndarray, shape (d,)
    misfit : float
    n_evaluations : int
    """

    position: np.ndarray
    momentum: np.ndarray
    gradient: np.ndarray
    misfit: float
    n_evaluations: int


def _at_least(value: float) -> float:
    """Return a misfit, with infinity for NaN."""
    return math.inf if math.isnan(value) else float(value)


def _decide(
    position: np.ndarray,
    value: float,
    gradient: np.ndarray,
    proposal: np.ndarray,
    proposed: float,
    proposed_gradient: np.ndarray,
    ratio: float,
    exponential: float,
    n_evaluations: int,
) -> Outcome:
    # A comparison with NaN is false: what is not a number is rejected.
    if ratio >= -exponential:
        return Outcome(proposal, proposed, proposed_gradient, True, ratio, proposed, n_evaluations)
    return Outcome(position, value, gradient, False, ratio, proposed, n_evaluations)


def pcnl_step(
    misfit_and_gradient: MisfitAndGradient,
    position: np.ndarray,
    value: float,
    gradient: np.ndarray,
    delta: float,
    noise: np.ndarray,
    exponential: float,
    temperature: float = 1.0,
) -> Outcome:
    """Make one step of pCNL, ``(2 + d) v = (2 - d) u - 2 d g + sqrt(8 d) w``.

    Parameters
    ----------
    misfit_and_gradient : callable
        ``misfit_and_gradient(xi) -> (float, (d,))``.
    position : ndarray, shape (d,)
    value : float
    gradient : ndarray, shape (d,)
    delta : float
    noise : ndarray, shape (d,)
    exponential, temperature : float

    Returns
    -------
    Outcome

    References
    ----------
    Cotter et al. 2013, equations (4.8) and (4.9): the ratio is ``exp(rho(u, v) - rho(v, u))`` with
    ``rho(u, v) = Phi(u) + <v - u, g> / 2 + (d / 4) <u + v, g> + (d / 4) |g|^2``.

    Examples
    --------
    >>> import numpy as np
    >>> quadratic = lambda xi: (0.5 * float(xi @ xi), xi)
    >>> pcnl_step(quadratic, np.ones(1), 0.5, np.ones(1), 0.5, np.zeros(1), 0.1).position
    array([0.2])
    """

    def rho(u: np.ndarray, v: np.ndarray, phi: float, g: np.ndarray) -> float:
        inner = 0.5 * (v - u) @ g + 0.25 * delta * ((u + v) @ g + g @ g)
        return float(phi + inner)

    g = temperature * gradient
    proposal = ((2.0 - delta) * position - 2.0 * delta * g + math.sqrt(8.0 * delta) * noise) / (2.0 + delta)
    proposed, proposed_gradient = misfit_and_gradient(proposal)
    proposed = _at_least(proposed)
    ratio = rho(position, proposal, temperature * value, g)
    ratio -= rho(proposal, position, temperature * proposed, temperature * proposed_gradient)
    return _decide(position, value, gradient, proposal, proposed, proposed_gradient, ratio, exponential, 1)


def inf_mala_step(
    misfit_and_gradient: MisfitAndGradient,
    position: np.ndarray,
    value: float,
    gradient: np.ndarray,
    step: float,
    noise: np.ndarray,
    exponential: float,
    temperature: float = 1.0,
) -> Outcome:
    """Make one step of infinity-MALA, with the ratio written out with the densities of both proposals.

    ``v = r u - sqrt(1 - r^2) (sqrt(h) / 2) g + sqrt(1 - r^2) w`` with ``r = (1 - h/4) / (1 + h/4)``: pCNL with
    ``d = h / 2``, in another form.

    Parameters
    ----------
    misfit_and_gradient : callable
        ``misfit_and_gradient(xi) -> (float, (d,))``.
    position : ndarray, shape (d,)
    value : float
    gradient : ndarray, shape (d,)
    step : float
        ``h > 0``.
    noise : ndarray, shape (d,)
    exponential, temperature : float

    Returns
    -------
    Outcome

    References
    ----------
    Cotter et al. 2013, section 4.3; Beskos et al. 2011.

    Examples
    --------
    >>> import numpy as np
    >>> quadratic = lambda xi: (0.5 * float(xi @ xi), xi)
    >>> inf_mala_step(quadratic, np.ones(1), 0.5, np.ones(1), 1.0, np.zeros(1), 0.1).position.round(12)
    array([0.2])
    """
    keep = (1.0 - step / 4.0) / (1.0 + step / 4.0)
    spread = math.sqrt(1.0 - keep**2)

    def mean(u: np.ndarray, g: np.ndarray) -> np.ndarray:
        return keep * u - spread * (math.sqrt(step) / 2.0) * temperature * g

    return _langevin(
        misfit_and_gradient, position, value, gradient, mean, spread, noise, exponential, temperature
    )


def mala_step(
    misfit_and_gradient: MisfitAndGradient,
    position: np.ndarray,
    value: float,
    gradient: np.ndarray,
    step: float,
    noise: np.ndarray,
    exponential: float,
    temperature: float = 1.0,
) -> Outcome:
    """Make one step of the ordinary MALA, ``v = u - (h / 2)(t g + u) + sqrt(h) w``, in white coordinates.

    Parameters
    ----------
    misfit_and_gradient : callable
        ``misfit_and_gradient(xi) -> (float, (d,))``.
    position : ndarray, shape (d,)
    value : float
    gradient : ndarray, shape (d,)
        Of the misfit, without the prior.
    step : float
        ``h > 0``.
    noise : ndarray, shape (d,)
    exponential, temperature : float

    Returns
    -------
    Outcome

    References
    ----------
    G. Roberts, R. Tweedie, "Exponential convergence of Langevin distributions", Bernoulli 2, 1996.

    Examples
    --------
    >>> import numpy as np
    >>> flat = lambda xi: (0.0, np.zeros_like(xi))
    >>> mala_step(flat, np.ones(1), 0.0, np.zeros(1), 0.5, np.zeros(1), 0.1).position
    array([0.75])
    """

    def mean(u: np.ndarray, g: np.ndarray) -> np.ndarray:
        return u - 0.5 * step * (temperature * g + u)

    spread = math.sqrt(step)
    return _langevin(
        misfit_and_gradient, position, value, gradient, mean, spread, noise, exponential, temperature
    )


def _langevin(
    misfit_and_gradient: MisfitAndGradient,
    position: np.ndarray,
    value: float,
    gradient: np.ndarray,
    mean: Callable[[np.ndarray, np.ndarray], np.ndarray],
    spread: float,
    noise: np.ndarray,
    exponential: float,
    temperature: float,
) -> Outcome:
    """Propose from ``N(mean(u), spread^2 I)`` and compare the full densities; the spreads are equal and cancel."""
    proposal = mean(position, gradient) + spread * noise
    proposed, proposed_gradient = misfit_and_gradient(proposal)
    proposed = _at_least(proposed)
    forth = proposal - mean(position, gradient)
    back = position - mean(proposal, proposed_gradient)
    ratio = temperature * (value - proposed) + 0.5 * float(position @ position - proposal @ proposal)
    ratio += 0.5 * float(forth @ forth - back @ back) / spread**2
    return _decide(position, value, gradient, proposal, proposed, proposed_gradient, ratio, exponential, 1)


def _trajectory(
    misfit_and_gradient: MisfitAndGradient,
    position: np.ndarray,
    momentum: np.ndarray,
    value: float,
    gradient: np.ndarray,
    step: float,
    n_leapfrog: int,
    temperature: float,
    exact_prior: bool,
) -> Trajectory:
    q, p, g = position, momentum, gradient
    for k in range(n_leapfrog):
        if exact_prior:
            p = p - 0.5 * step * temperature * g
            q, p = math.cos(step) * q + math.sin(step) * p, math.cos(step) * p - math.sin(step) * q
        else:
            p = p - 0.5 * step * (temperature * g + q)
            q = q + step * p
        value, g = misfit_and_gradient(q)
        value = _at_least(value)
        if math.isinf(value):
            return Trajectory(q, p, g, value, k + 1)
        p = p - 0.5 * step * (temperature * g if exact_prior else temperature * g + q)
    return Trajectory(q, p, g, value, n_leapfrog)


def inf_hmc_trajectory(
    misfit_and_gradient: MisfitAndGradient,
    position: np.ndarray,
    momentum: np.ndarray,
    value: float,
    gradient: np.ndarray,
    step: float,
    n_leapfrog: int,
    temperature: float = 1.0,
) -> Trajectory:
    """Follow the split Hamiltonian flow: half a kick by the misfit, an exact rotation by the prior, half a kick.

    Parameters
    ----------
    misfit_and_gradient : callable
        ``misfit_and_gradient(xi) -> (float, (d,))``.
    position, momentum : ndarray, shape (d,)
    value : float
    gradient : ndarray, shape (d,)
    step : float
        Angle of one rotation.
    n_leapfrog : int
        Number of rotations. It stops at once where the misfit is infinite; the end is then rejected.
    temperature : float

    Returns
    -------
    Trajectory

    References
    ----------
    Beskos et al. 2011, equations (3.6) to (3.9).

    Examples
    --------
    >>> import numpy as np
    >>> flat = lambda xi: (0.0, np.zeros_like(xi))
    >>> end = inf_hmc_trajectory(flat, np.ones(1), np.zeros(1), 0.0, np.zeros(1), np.pi / 4, 2)
    >>> bool(abs(end.position[0]) < 1e-15), end.momentum
    (True, array([-1.]))
    """
    return _trajectory(
        misfit_and_gradient, position, momentum, value, gradient, step, n_leapfrog, temperature, True
    )


def inf_hmc_step(
    misfit_and_gradient: MisfitAndGradient,
    position: np.ndarray,
    value: float,
    gradient: np.ndarray,
    step: float,
    n_leapfrog: int,
    noise: np.ndarray,
    exponential: float,
    temperature: float = 1.0,
) -> Outcome:
    """Make one step of infinity-HMC; the change of energy is that of ``t Phi(q) + |q|^2 / 2 + |p|^2 / 2``.

    Parameters
    ----------
    misfit_and_gradient : callable
        ``misfit_and_gradient(xi) -> (float, (d,))``.
    position : ndarray, shape (d,)
    value : float
    gradient : ndarray, shape (d,)
    step : float
        Angle of one rotation, jitter included.
    n_leapfrog : int
    noise : ndarray, shape (d,)
        The momentum at the start.
    exponential, temperature : float

    Returns
    -------
    Outcome

    References
    ----------
    Beskos et al. 2011, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> flat = lambda xi: (0.0, np.zeros_like(xi))
    >>> inf_hmc_step(flat, np.ones(1), 0.0, np.zeros(1), 0.1, 3, np.zeros(1), 1.0).accepted
    True
    """
    return _hamiltonian_step(
        misfit_and_gradient,
        position,
        value,
        gradient,
        step,
        n_leapfrog,
        noise,
        exponential,
        temperature,
        True,
    )


def hmc_step(
    misfit_and_gradient: MisfitAndGradient,
    position: np.ndarray,
    value: float,
    gradient: np.ndarray,
    step: float,
    n_leapfrog: int,
    noise: np.ndarray,
    exponential: float,
    temperature: float = 1.0,
) -> Outcome:
    """Make one step of the ordinary HMC (leapfrog, unit masses) in white coordinates.

    Parameters
    ----------
    misfit_and_gradient : callable
        ``misfit_and_gradient(xi) -> (float, (d,))``.
    position : ndarray, shape (d,)
    value : float
    gradient : ndarray, shape (d,)
        Of the misfit, without the prior.
    step : float
    n_leapfrog : int
    noise : ndarray, shape (d,)
        The momentum at the start.
    exponential, temperature : float

    Returns
    -------
    Outcome

    References
    ----------
    R. Neal, "MCMC using Hamiltonian dynamics", Handbook of Markov Chain Monte Carlo, 2011.

    Examples
    --------
    >>> import numpy as np
    >>> flat = lambda xi: (0.0, np.zeros_like(xi))
    >>> hmc_step(flat, np.ones(1), 0.0, np.zeros(1), 0.5, 1, np.zeros(1), 1.0).position
    array([0.875])
    """
    return _hamiltonian_step(
        misfit_and_gradient,
        position,
        value,
        gradient,
        step,
        n_leapfrog,
        noise,
        exponential,
        temperature,
        False,
    )


def _hamiltonian_step(
    misfit_and_gradient: MisfitAndGradient,
    position: np.ndarray,
    value: float,
    gradient: np.ndarray,
    step: float,
    n_leapfrog: int,
    noise: np.ndarray,
    exponential: float,
    temperature: float,
    exact_prior: bool,
) -> Outcome:
    end = _trajectory(
        misfit_and_gradient, position, noise, value, gradient, step, n_leapfrog, temperature, exact_prior
    )
    if math.isinf(end.misfit):
        return Outcome(position, value, gradient, False, -math.inf, math.inf, end.n_evaluations)
    before = temperature * value + 0.5 * float(position @ position + noise @ noise)
    after = temperature * end.misfit + 0.5 * float(end.position @ end.position + end.momentum @ end.momentum)
    return _decide(
        position, value, gradient, end.position, end.misfit, end.gradient, before - after, exponential,
        end.n_evaluations,
    )  # fmt: skip
