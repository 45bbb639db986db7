"""Ensemble smoother with multiple data assimilation: Kalman updates with perturbed data, each with its inflated noise.

Emerick, Reynolds, "Ensemble smoother with multiple data assimilation", Computers & Geosciences 55, 2013. In the notation of
:mod:`scinn.inverse.ensembles.algebra`::

    U_j += C_uv (C_vv + alpha I)^-1 (y + sqrt(alpha) eta_j - V_j),   eta_j ~ N(0, I),   sum over the steps of 1 / alpha = 1

One step with ``alpha = 1`` is the ensemble smoother. For linear predictions and many members the result has the law of the
posterior that has the first ensemble's Gaussian as its prior.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scinn._input import as_float_array, check_positive_int
from scinn.inverse.ensembles.algebra import centred, factors, gain_product
from scinn.inverse.ensembles.driver import Callback, one_blas_thread, supplied_noise, temper
from scinn.inverse.ensembles.result import EnsembleResult
from scinn.inverse.ensembles.steps import inflation_schedule
from scinn.random import RandomState, as_generator

__all__ = ["esmda_update", "run_esmda"]


def esmda_update(
    ensemble: np.ndarray,
    predicted: np.ndarray,
    data: np.ndarray,
    alpha: float,
    noise: np.ndarray,
    taper: np.ndarray | None = None,
) -> np.ndarray:
    """Return the ensemble after one update with perturbed data.

    Parameters
    ----------
    ensemble : ndarray of float64, shape (J, d)
        U.
    predicted : ndarray of float64, shape (J, m)
        V, whitened.
    data : ndarray of float64, shape (m,)
        y, whitened.
    alpha : float
        Inflation of the noise; a step of length dt has 1 / dt.
    noise : ndarray of float64, shape (J, m)
        eta, with unit variance; zeros for the update without perturbations.
    taper : ndarray of float64, shape (d, m), optional
        Localisation: factors of the entries of the gain. The result then leaves the members' affine span.

    Returns
    -------
    ndarray of float64, shape (J, d)

    References
    ----------
    A. Emerick, A. Reynolds, "Ensemble smoother with multiple data assimilation", 2013.

    Examples
    --------
    >>> import numpy as np
    >>> prior = np.array([[-1.0], [0.0], [1.0]])
    >>> esmda_update(prior, prior, np.array([2.0]), 1.0, np.zeros((3, 1))).round(12).tolist()
    [[0.5], [1.0], [1.5]]
    """
    own = factors(predicted, alpha)
    scale = np.sqrt(alpha * (len(ensemble) - 1))
    residuals = data + np.sqrt(alpha) * noise - predicted
    if taper is None:
        return ensemble + gain_product(own, residuals, centred(ensemble) / scale)
    gain = gain_product(own, np.eye(predicted.shape[1]), centred(ensemble) / scale).T
    return ensemble + residuals @ (taper * gain).T


@one_blas_thread
def run_esmda(
    posterior: Any,
    ensemble: Any,
    rng: RandomState = None,
    *,
    inflation: Any = 4,
    centre_noise: bool = False,
    perturbations: Any = None,
    taper: Any = None,
    max_iterations: int = 100,
    callback: Callback | None = None,
) -> EnsembleResult:
    """Take an ensemble from the prior to the posterior by updates with perturbed data.

    Parameters
    ----------
    posterior : object with ``dim``, ``data`` (m,) and ``predict``
        For example :class:`scinn.inverse.Posterior`; data and predictions are whitened.
    ensemble : array-like, shape (J, dim)
        The first ensemble, whose mean and covariance act as the prior.
    rng : int, SeedSequence, Generator, Key or None
        For the perturbations.
    inflation : int, sequence of float, or "adaptive", default 4
        Number of equal steps, or inflations with ``sum 1 / alpha = 1``, or the data-misfit controller.
    centre_noise : bool, default False
        Subtract the mean of the perturbations, so that the ensemble's mean moves as in the Kalman filter.
    perturbations : array-like, shape (K, J, m), optional
        Noise of unit variance for each of K >= the number of steps, in place of draws.
    taper : array-like, shape (dim, m), optional
        Localisation, see :func:`esmda_update`.
    max_iterations : int, default 100
        For "adaptive".
    callback : callable, optional
        ``callback(iteration, ensemble)`` after each step.

    Returns
    -------
    EnsembleResult

    Raises
    ------
    ValueError
        For shapes that do not fit, fewer than two members, or inflations whose inverses do not sum to one.

    Warns
    -----
    ConvergenceWarning
        Where "adaptive" needs more steps than `max_iterations`.

    References
    ----------
    A. Emerick, A. Reynolds, "Ensemble smoother with multiple data assimilation", 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.inverse import Deconvolution1D, GaussianProcessPrior, Posterior
    >>> problem = Deconvolution1D(dim=33, PSF="gaussian", PSF_param=0.1, noise_std=0.1, rng=0)
    >>> posterior = Posterior(GaussianProcessPrior("exponential", 0.3, 1.0), problem)
    >>> result = run_esmda(posterior, np.random.default_rng(1).standard_normal((200, posterior.dim)), rng=2)
    >>> result.fields().shape, len(result.iterations)
    ((200, 33), 5)
    """
    schedule = inflation_schedule(inflation)
    generator = as_generator(rng)
    given = supplied_noise(perturbations, posterior, ensemble)
    own_taper = None
    if taper is not None:
        own_taper = as_float_array(
            taper, "taper", shape=(posterior.dim, len(posterior.data)), dtype=np.float64
        )

    def update(
        k: int, members: np.ndarray, predicted: np.ndarray, data: np.ndarray, alpha: float
    ) -> np.ndarray:
        noise = given(k) if given else generator.standard_normal(predicted.shape)
        noise = centred(noise) if centre_noise else noise
        return esmda_update(members, predicted, data, alpha, noise, own_taper)

    limit = check_positive_int(max_iterations, "max_iterations")
    return temper(posterior, ensemble, "esmda", schedule, update, limit, callback)
