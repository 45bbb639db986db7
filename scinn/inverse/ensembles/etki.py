"""Square-root ensemble Kalman update (ensemble transform): no perturbations, exact for linear predictions.

Bishop, Etherton, Majumdar, "Adaptive sampling with the ensemble transform Kalman filter", 2001; symmetric square root after
Wang, Bishop, Julier 2004. With ``S = V_c / sqrt(alpha (J - 1))`` of shape (J, m) and ``Om = (I + S S^T)^-1``::

    mean += U_c^T Om S (y - mean V) / sqrt(alpha (J - 1)),     U_c <- Om^(1/2) U_c   (symmetric root)

For linear predictions any schedule with ``sum 1 / alpha = 1`` gives mean and covariance of the posterior that has the first
ensemble's Gaussian as its prior, to rounding: precisions add up along the schedule. The symmetric root keeps the mean of
the deviations at zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scinn._input import check_positive_int
from scinn.inverse.ensembles.algebra import centred, factors, gain_product
from scinn.inverse.ensembles.driver import Callback, one_blas_thread, temper
from scinn.inverse.ensembles.result import EnsembleResult
from scinn.inverse.ensembles.steps import inflation_schedule
from scinn.random import RandomState

__all__ = ["etki_update", "run_etki"]


def etki_update(
    ensemble: np.ndarray, predicted: np.ndarray, data: np.ndarray, alpha: float = 1.0
) -> np.ndarray:
    """Return the ensemble after one square-root update.

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

    Returns
    -------
    ndarray of float64, shape (J, d)

    References
    ----------
    C. Bishop, B. Etherton, S. Majumdar, "Adaptive sampling with the ensemble transform Kalman filter", 2001.

    Examples
    --------
    >>> import numpy as np
    >>> prior = np.array([[-1.0], [0.0], [1.0]])
    >>> posterior = etki_update(prior, prior, np.array([2.0]))
    >>> posterior.mean().round(12), posterior.var(ddof=1).round(12)
    (np.float64(1.0), np.float64(0.5))
    """
    own = factors(predicted, alpha)
    deviations = centred(ensemble)
    scale = np.sqrt(alpha * (len(ensemble) - 1))
    shift = gain_product(own, (data - predicted.mean(axis=0))[None, :], deviations / scale)
    root = 1.0 / np.sqrt(1.0 + own.values**2)
    contracted = deviations + (own.members * (root - 1.0)) @ (own.members.T @ deviations)
    return ensemble.mean(axis=0) + shift + contracted


@one_blas_thread
def run_etki(
    posterior: Any,
    ensemble: Any,
    rng: RandomState = None,
    *,
    inflation: Any = 1,
    max_iterations: int = 100,
    callback: Callback | None = None,
) -> EnsembleResult:
    """Take an ensemble from the prior to the posterior by square-root updates; nothing is random.

    Parameters
    ----------
    posterior : object with ``dim``, ``data`` (m,) and ``predict``
        For example :class:`scinn.inverse.Posterior`; data and predictions are whitened.
    ensemble : array-like, shape (J, dim)
        The first ensemble, whose mean and covariance act as the prior.
    rng : None
        Not used; all methods are called alike.
    inflation : int, sequence of float, or "adaptive", default 1
        Number of equal steps, or inflations with ``sum 1 / alpha = 1``, or the data-misfit controller.
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
    C. Bishop, B. Etherton, S. Majumdar, "Adaptive sampling with the ensemble transform Kalman filter", 2001.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.inverse import Deconvolution1D, GaussianProcessPrior, Posterior
    >>> problem = Deconvolution1D(dim=33, PSF="gaussian", PSF_param=0.1, noise_std=0.1, rng=0)
    >>> posterior = Posterior(GaussianProcessPrior("exponential", 0.3, 1.0), problem)
    >>> start = np.random.default_rng(1).standard_normal((200, posterior.dim))
    >>> one, four = run_etki(posterior, start), run_etki(posterior, start, inflation=4)
    >>> np.allclose(one.mean, four.mean, atol=1e-10)
    True
    """

    def update(
        _: int, members: np.ndarray, predicted: np.ndarray, data: np.ndarray, alpha: float
    ) -> np.ndarray:
        return etki_update(members, predicted, data, alpha)

    limit = check_positive_int(max_iterations, "max_iterations")
    return temper(posterior, ensemble, "etki", inflation_schedule(inflation), update, limit, callback)
