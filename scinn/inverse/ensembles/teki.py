"""Tikhonov ensemble Kalman inversion: the optimiser whose limit is the MAP estimate instead of the least-squares fit.

Chada, Stuart, Tong, "Tikhonov regularization within ensemble Kalman inversion", SIAM J. Numer. Anal. 58, 2020. The data are
augmented by the prior, ``0 = xi + N(0, I)``, so that the misfit becomes ``J = |y - F(xi)|^2 / 2 + |xi|^2 / 2``, and
:mod:`scinn.inverse.ensembles.eki` minimises that, over the members' affine span.

The prior is in the augmented data already. An ensemble drawn from it and stopped at the tempering time 1 would count it
twice: for linear predictions the covariance at time t is ``(C_0^-1 + t (G^T G + I))^-1``. This driver therefore runs
until J no longer falls, where the start has been forgotten, and the ensemble at the end is no posterior: it has collapsed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scinn._input import check_choice, check_in_range, check_positive_int
from scinn.inverse.ensembles.driver import (
    Callback,
    Target,
    adaptive_step,
    iteration_of,
    one_blas_thread,
    warn_unfinished,
)
from scinn.inverse.ensembles.eki import FORMS, eki_update
from scinn.inverse.ensembles.result import EnsembleResult, Iteration
from scinn.random import RandomState, as_generator

__all__ = ["run_teki", "teki_update"]


def teki_update(
    ensemble: np.ndarray,
    predicted: np.ndarray,
    data: np.ndarray,
    dt: float,
    form: str = "square_root",
    noise: np.ndarray | None = None,
) -> np.ndarray:
    """Return the ensemble after one step on the data augmented by the prior.

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
    form : {"square_root", "common_gain", "perturbed"}
        As for :func:`scinn.inverse.ensembles.eki.eki_update`.
    noise : ndarray of float64, shape (J, m + d), optional
        For "perturbed".

    Returns
    -------
    ndarray of float64, shape (J, d)

    References
    ----------
    N. Chada, A. Stuart, X. Tong, "Tikhonov regularization within ensemble Kalman inversion", 2020.

    Examples
    --------
    >>> import numpy as np
    >>> prior = np.array([[-1.0], [0.0], [1.0]])
    >>> teki_update(prior, prior, np.array([2.0]), 1e9).round(6).tolist()  # the MAP estimate is 1
    [[0.999978], [1.0], [1.000022]]
    """
    both = np.concatenate([predicted, ensemble], axis=1)
    return eki_update(ensemble, both, np.concatenate([data, np.zeros(ensemble.shape[1])]), dt, form, noise)


@one_blas_thread
def run_teki(
    posterior: Any,
    ensemble: Any,
    rng: RandomState = None,
    *,
    form: str = "square_root",
    step: float | str = "adaptive",
    tolerance: float = 1e-6,
    max_iterations: int = 500,
    callback: Callback | None = None,
) -> EnsembleResult:
    """Minimise ``|y - F|^2 / 2 + |xi|^2 / 2`` by an ensemble without derivatives.

    Parameters
    ----------
    posterior : object with ``dim``, ``data`` (m,) and ``predict``
        For example :class:`scinn.inverse.Posterior`; data and predictions are whitened.
    ensemble : array-like, shape (J, dim)
        The first ensemble; the estimate stays in its affine span.
    rng : int, SeedSequence, Generator, Key or None
        For the perturbations of form "perturbed".
    form : {"square_root", "common_gain", "perturbed"}
        The update.
    step : float or "adaptive"
        dt, or the data-misfit controller on the augmented data.
    tolerance : float, default 1e-6
        Stop where a step changes J at the mean (with the mean of the predictions) by at most ``tolerance max(1, J)``.
    max_iterations : int, default 500
    callback : callable, optional
        ``callback(iteration, ensemble)`` after each step.

    Returns
    -------
    EnsembleResult
        Its mean is the estimate.

    Raises
    ------
    ValueError
        For shapes that do not fit, fewer than two members, an unknown form, or a step that is not positive.

    Warns
    -----
    ConvergenceWarning
        Where J still moves after `max_iterations`.

    References
    ----------
    N. Chada, A. Stuart, X. Tong, "Tikhonov regularization within ensemble Kalman inversion", 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.inverse import Deconvolution1D, GaussianProcessPrior, Posterior
    >>> problem = Deconvolution1D(dim=17, PSF="gaussian", PSF_param=0.1, noise_std=0.1, rng=0)
    >>> posterior = Posterior(GaussianProcessPrior("exponential", 0.3, 1.0), problem)
    >>> result = run_teki(posterior, np.random.default_rng(1).standard_normal((40, posterior.dim)))
    >>> bool(np.abs(posterior.grad(result.mean)).max() < 0.2)
    True
    """
    check_choice(form, "form", FORMS)
    dt = None if step == "adaptive" else check_in_range(step, "step", 0.0, None, "neither")
    bound = check_in_range(tolerance, "tolerance", 0.0)
    limit = check_positive_int(max_iterations, "max_iterations", 0)
    target = Target(posterior, ensemble)
    generator = as_generator(rng)
    members, time, converged = target.members, 0.0, False
    augmented = np.concatenate([target.data, np.zeros(members.shape[1])])
    predicted = target.predict(members)
    value = _objective(members, predicted, target.data)
    iterations: list[Iteration] = []
    while not converged and len(iterations) < limit:
        both = np.concatenate([predicted, members], axis=1)
        length = adaptive_step(both, augmented) if dt is None else dt
        if not np.isfinite(length):
            converged = True
            break
        iterations.append(iteration_of(members, predicted, target.data, step=length, time=time))
        noise = generator.standard_normal(both.shape) if form == "perturbed" else None
        members = teki_update(members, predicted, target.data, length, form, noise)
        predicted = target.predict(members)
        time += length
        before, value = value, _objective(members, predicted, target.data)
        converged = abs(before - value) <= bound * max(1.0, value)
        if callback is not None:
            callback(iterations[-1], members)
    reason = f"J at the mean is {value:.6g} after {len(iterations)} steps" + (
        "" if converged else " and still moves"
    )
    if not converged:
        warn_unfinished("teki", reason)
    iterations.append(iteration_of(members, predicted, target.data, time=time))
    return EnsembleResult(
        members, predicted, target.data, "teki", converged, reason, tuple(iterations), posterior
    )


def _objective(members: np.ndarray, predicted: np.ndarray, data: np.ndarray) -> float:
    residual, mean = data - predicted.mean(axis=0), members.mean(axis=0)
    return 0.5 * float(residual @ residual + mean @ mean)
