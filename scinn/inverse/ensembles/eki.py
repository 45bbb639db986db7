"""Ensemble Kalman inversion: the Kalman update repeated as an optimiser, stopped at the noise level.

Iglesias, Law, Stuart, "Ensemble Kalman methods for inverse problems", 2013; Chada, Stuart, Tong 2020 (Tikhonov form, in
:mod:`scinn.inverse.ensembles.teki`). A step of length dt is an update with the noise inflated by ``alpha = 1 / dt``, of
one of three forms:

``"square_root"``
    The update of :mod:`scinn.inverse.ensembles.etki`. For linear predictions the covariance is
    ``C(t) = (C_0^-1 + t G^T G)^-1`` on the members' span and the mean ``C(t) (C_0^-1 m_0 + t G^T y)``, at every time t,
    so that the residual falls as 1 / t.
``"common_gain"``
    ``U_j += C_uv (C_vv + alpha I)^-1 (y - V_j)`` without perturbations: deviations contract twice as much as they
    should, and the residual falls as t^(-1/2) only.
``"perturbed"``
    With ``y + sqrt(alpha) eta_j`` in place of y: the smoother's step, repeated.

Without a rule to stop, all three fit the noise: the limit is the least-squares fit on the members' affine span. The
discrepancy principle stops once the root mean square of ``y - mean V``, in units of the noise, is at most 1.
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
    supplied_noise,
    warn_unfinished,
)
from scinn.inverse.ensembles.esmda import esmda_update
from scinn.inverse.ensembles.etki import etki_update
from scinn.inverse.ensembles.result import EnsembleResult, Iteration
from scinn.random import RandomState, as_generator

__all__ = ["FORMS", "eki_update", "run_eki"]

FORMS = ("square_root", "common_gain", "perturbed")


def eki_update(
    ensemble: np.ndarray,
    predicted: np.ndarray,
    data: np.ndarray,
    dt: float,
    form: str = "square_root",
    noise: np.ndarray | None = None,
) -> np.ndarray:
    """Return the ensemble after one step of length dt.

    Parameters
    ----------
    ensemble : ndarray of float64, shape (J, d)
        U.
    predicted : ndarray of float64, shape (J, m)
        V, whitened.
    data : ndarray of float64, shape (m,)
        y, whitened.
    dt : float
        Length of the step; the noise is inflated by 1 / dt.
    form : {"square_root", "common_gain", "perturbed"}
    noise : ndarray of float64, shape (J, m), optional
        eta, for "perturbed".

    Returns
    -------
    ndarray of float64, shape (J, d)

    References
    ----------
    M. Iglesias, K. Law, A. Stuart, "Ensemble Kalman methods for inverse problems", Inverse Problems 29, 2013.

    Examples
    --------
    >>> import numpy as np
    >>> prior = np.array([[-1.0], [0.0], [1.0]])
    >>> eki_update(prior, prior, np.array([2.0]), 3.0, "common_gain").round(12).tolist()
    [[1.25], [1.5], [1.75]]
    """
    if form == "square_root":
        return etki_update(ensemble, predicted, data, 1.0 / dt)
    if noise is None:
        noise = np.zeros_like(predicted)
    return esmda_update(ensemble, predicted, data, 1.0 / dt, noise)


@one_blas_thread
def run_eki(
    posterior: Any,
    ensemble: Any,
    rng: RandomState = None,
    *,
    form: str = "square_root",
    step: float | str = "adaptive",
    discrepancy: float = 1.0,
    perturbations: Any = None,
    max_iterations: int = 100,
    callback: Callback | None = None,
) -> EnsembleResult:
    """Fit the data by an ensemble until the residual is that of the noise.

    The result is a point estimate: the members' spread at the end is no uncertainty.

    Parameters
    ----------
    posterior : object with ``dim``, ``data`` (m,) and ``predict``
        For example :class:`scinn.inverse.Posterior`; data and predictions are whitened.
    ensemble : array-like, shape (J, dim)
        The first ensemble; the fit stays in its affine span.
    rng : int, SeedSequence, Generator, Key or None
        For the perturbations of form "perturbed".
    form : {"square_root", "common_gain", "perturbed"}
        The update.
    step : float or "adaptive"
        dt, or the data-misfit controller without a last time.
    discrepancy : float, default 1
        Stop where the root mean square of ``y - mean V`` is at most this; 0 for never.
    perturbations : array-like, shape (K, J, m), optional
        Noise of unit variance for K steps, in place of draws.
    max_iterations : int, default 100
    callback : callable, optional
        ``callback(iteration, ensemble)`` after each step.

    Returns
    -------
    EnsembleResult

    Raises
    ------
    ValueError
        For shapes that do not fit, fewer than two members, an unknown form, or a step that is not positive.

    Warns
    -----
    ConvergenceWarning
        Where a positive discrepancy is not reached.

    References
    ----------
    M. Iglesias, K. Law, A. Stuart, "Ensemble Kalman methods for inverse problems", Inverse Problems 29, 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.inverse import Deconvolution1D, GaussianProcessPrior, Posterior
    >>> problem = Deconvolution1D(dim=33, PSF="gaussian", PSF_param=0.1, noise_std=0.1, rng=0)
    >>> posterior = Posterior(GaussianProcessPrior("exponential", 0.3, 1.0), problem)
    >>> result = run_eki(posterior, np.random.default_rng(1).standard_normal((200, posterior.dim)))
    >>> result.converged, result.iterations[-1].residual <= 1.0
    (True, True)
    """
    check_choice(form, "form", FORMS)
    dt = None if step == "adaptive" else check_in_range(step, "step", 0.0, None, "neither")
    limit = check_positive_int(max_iterations, "max_iterations", 0)
    floor = check_in_range(discrepancy, "discrepancy", 0.0)
    target = Target(posterior, ensemble)
    generator = as_generator(rng)
    given = supplied_noise(perturbations, posterior, target.members)
    members, time = target.members, 0.0
    predicted = target.predict(members)
    iterations: list[Iteration] = []
    while True:
        now = iteration_of(members, predicted, target.data, time=time)
        if now.residual <= floor or len(iterations) == limit:
            iterations.append(now)
            break
        length = adaptive_step(predicted, target.data) if dt is None else dt
        if not np.isfinite(length):
            # All members predict the data exactly, or have fallen together: no step changes anything any more.
            iterations.append(now)
            break
        iterations.append(now._replace(step=length))
        noise = None
        if form == "perturbed":
            noise = given(len(iterations) - 1) if given else generator.standard_normal(predicted.shape)
        members = eki_update(members, predicted, target.data, length, form, noise)
        predicted = target.predict(members)
        time += length
        if callback is not None:
            callback(iterations[-1], members)
    last = iterations[-1]
    converged = last.residual <= floor
    reason = f"residual {last.residual:.3g} {'<=' if converged else '>'} {floor:g} after {len(iterations) - 1} steps"
    if not converged and floor > 0.0:
        warn_unfinished("eki", reason)
    return EnsembleResult(
        members, predicted, target.data, "eki", converged, reason, tuple(iterations), posterior
    )
