"""Ensemble Kalman sampler: interacting Langevin dynamics without derivatives.

Garbuno-Inigo, Hoffmann, Li, Stuart, "Interacting Langevin diffusions: gradient structure and ensemble Kalman sampler", SIAM
J. Appl. Dyn. Syst. 19, 2020, with the correction for finite ensembles of Nüsken, Reich, "Note on interacting Langevin
diffusions", 2019. In the notation of :mod:`scinn.inverse.ensembles.algebra`, prior N(0, I), ``C = U_c^T U_c / J``::

    dU_j = [-(1/J) sum_k <V_k - mean V, V_j - y> (U_k - mean U) - C U_j + ((q + 1)/J) (U_j - mean U)] dt + sqrt(2 C) dB_j

Derivation of the third term: members that are independent draws from exp(-J(u)) stay so if each moves by
``-C grad J(u_j) + div_j C`` with noise ``sqrt(2 C)``, and differentiating C by U_j gives
``div_j C = ((d + 1)/J)(U_j - mean U)``. Where J <= d the members never leave their affine span, whose dimension J - 1
then takes the place of d (derived here; with d itself a small ensemble would explode): ``q = min(d, J - 1)``. For
linear predictions the independent draws from the posterior (restricted to the span) are then invariant for any number
of members; without the term the spread is too small.

The step taken here is not the paper's, which treats the prior's term implicitly and leaves a bias of order dt: all
terms are linear in the members for a fixed C and linearised predictions, ``V_j + V_c^T w_j`` where a member moves by
``U_c^T w_j``, and are taken at the midpoint. With ``K = V_c V_c^T + U_c U_c^T``, standard normal z_j of length J and
the unit vector e_j::

    (I + (dt / 2J) K) w_j = -(dt/J) (V_c (V_j - y) + U_c U_j) + dt ((q + 1)/J) e_j + sqrt(2 dt/J) z_j

which samples a Gaussian exactly for a fixed C; what remains is the change of C within a step, of order dt/J. All is done in
J x J, and ``dt = step / max(1, |K|_2 / J)``, so that no direction is overshot.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scinn._input import as_float_array, check_in_range, check_positive_int
from scinn.inverse.ensembles.algebra import centred
from scinn.inverse.ensembles.driver import Callback, Target, iteration_of, one_blas_thread
from scinn.inverse.ensembles.result import EnsembleResult, Iteration
from scinn.random import RandomState, as_generator

__all__ = ["eks_update", "run_eks", "stable_step"]


def eks_update(
    ensemble: np.ndarray,
    predicted: np.ndarray,
    data: np.ndarray,
    dt: float,
    noise: np.ndarray,
    *,
    correction: bool = True,
) -> np.ndarray:
    """Return the ensemble after one step of the dynamics.

    Parameters
    ----------
    ensemble : ndarray of float64, shape (J, d)
        U.
    predicted : ndarray of float64, shape (J, m)
        V, whitened.
    data : ndarray of float64, shape (m,)
        y, whitened.
    dt : float
        Length of the step.
    noise : ndarray of float64, shape (J, J)
        z, with unit variance, a row for each member.
    correction : bool, default True
        The term for finite ensembles.

    Returns
    -------
    ndarray of float64, shape (J, d)

    References
    ----------
    A. Garbuno-Inigo, F. Hoffmann, W. Li, A. Stuart, "Interacting Langevin diffusions", 2020. N. Nüsken, S. Reich, "Note on
    interacting Langevin diffusions", 2019.

    Examples
    --------
    >>> import numpy as np
    >>> prior = np.array([[-1.0], [0.0], [1.0]])
    >>> eks_update(prior, prior, np.array([2.0]), 0.1, np.zeros((3, 3))).round(6).tolist()
    [[-0.8125], [0.125], [1.0625]]
    """
    n = len(ensemble)
    u, v = centred(ensemble), centred(predicted)
    weights = -(dt / n) * ((predicted - data) @ v.T + ensemble @ u.T) + np.sqrt(2.0 * dt / n) * noise
    if correction:
        weights += dt * (min(ensemble.shape[1], n - 1) + 1) / n * np.eye(n)
    implicit = np.eye(n) + (dt / (2.0 * n)) * (v @ v.T + u @ u.T)
    return ensemble + np.linalg.solve(implicit, weights.T).T @ u


def stable_step(ensemble: np.ndarray, predicted: np.ndarray, step: float) -> float:
    """Return ``step / max(1, |K|_2 / J)``, the length with which no direction moves by more than `step` times its distance.

    Parameters
    ----------
    ensemble : ndarray of float64, shape (J, d)
    predicted : ndarray of float64, shape (J, m)
    step : float

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> stable_step(np.array([[-3.0], [3.0]]), np.array([[0.0], [0.0]]), 0.9).__round__(12)
    0.1
    """
    u, v = centred(ensemble), centred(predicted)
    return step / max(1.0, float(np.linalg.eigvalsh(u @ u.T + v @ v.T)[-1]) / len(u))


@one_blas_thread
def run_eks(
    posterior: Any,
    ensemble: Any,
    rng: RandomState = None,
    *,
    step: float = 0.25,
    n_steps: int = 500,
    correction: bool = True,
    noise: Any = None,
    callback: Callback | None = None,
) -> EnsembleResult:
    """Run the sampler; for linear predictions the members become draws from the posterior.

    For others it follows ensemble differences instead of derivatives, and what it samples is an approximation.

    Parameters
    ----------
    posterior : object with ``dim``, ``data`` (m,) and ``predict``
        For example :class:`scinn.inverse.Posterior`; data and predictions are whitened.
    ensemble : array-like, shape (J, dim)
        The first ensemble; the members stay in its affine span.
    rng : int, SeedSequence, Generator, Key or None
    step : float, default 0.25
        The step's length relative to the fastest direction; a time of a few units forgets the start.
    n_steps : int, default 500
    correction : bool, default True
        The term for finite ensembles.
    noise : array-like, shape (n_steps, J, J), optional
        Standard normal numbers in place of draws.
    callback : callable, optional
        ``callback(iteration, ensemble)`` after each step; ensembles of later steps may be averaged.

    Returns
    -------
    EnsembleResult

    Raises
    ------
    ValueError
        For shapes that do not fit, fewer than two members, or a step that is not in (0, 2).

    References
    ----------
    A. Garbuno-Inigo, F. Hoffmann, W. Li, A. Stuart, "Interacting Langevin diffusions", 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.inverse import Deconvolution1D, GaussianProcessPrior, Posterior
    >>> problem = Deconvolution1D(dim=17, PSF="gaussian", PSF_param=0.1, noise_std=0.1, rng=0)
    >>> posterior = Posterior(GaussianProcessPrior("exponential", 0.3, 1.0), problem)
    >>> result = run_eks(posterior, np.random.default_rng(1).standard_normal((60, posterior.dim)), rng=2, n_steps=200)
    >>> result.iterations[-1].spread < result.iterations[0].spread
    True
    """
    relative = check_in_range(step, "step", 0.0, 2.0, "neither")
    n_steps = check_positive_int(n_steps, "n_steps", 0)
    target = Target(posterior, ensemble)
    members, time = target.members, 0.0
    n = len(members)
    generator = as_generator(rng)
    given = None
    if noise is not None:
        given = as_float_array(noise, "noise", shape=(n_steps, n, n), dtype=np.float64)
    predicted = target.predict(members)
    iterations: list[Iteration] = []
    for k in range(n_steps):
        dt = stable_step(members, predicted, relative)
        iterations.append(iteration_of(members, predicted, target.data, step=dt, time=time))
        z = generator.standard_normal((n, n)) if given is None else given[k]
        members = eks_update(members, predicted, target.data, dt, z, correction=correction)
        predicted = target.predict(members)
        time += dt
        if callback is not None:
            callback(iterations[-1], members)
    iterations.append(iteration_of(members, predicted, target.data, time=time))
    reason = f"{n_steps} steps reached the time {time:.3g}"
    return EnsembleResult(members, predicted, target.data, "eks", True, reason, tuple(iterations), posterior)
