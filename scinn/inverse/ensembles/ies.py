"""Subspace iterative ensemble smoother: each member minimises its own randomised objective over the first ensemble's span.

Evensen, Raanes, Stordal, Hove, "Efficient implementation of an iterative ensemble smoother for data assimilation and
reservoir history matching", Frontiers in Applied Mathematics and Statistics 5, 2019. In the notation of
:mod:`scinn.inverse.ensembles.algebra`, with members as rows and weights W of shape (J, J), the transpose of the paper's::

    U = U_0 + W U_0c / sqrt(J - 1),   D_j = y + eta_j fixed
    objective of member j:  |W_j|^2 / 2 + |D_j - V_j|^2 / 2
    S = (I + W / sqrt(J - 1))^-1 V_c / sqrt(J - 1), less its mean over the members
    W <- W - g (W - (W S + D - V) (S^T S + I)^-1 S^T)

The mean must be subtracted after the solve: for linear predictions the solve alone returns the first ensemble's deviations
plus a rank-one error as soon as the mean has moved (derived here). With it, linear predictions reach the fixed point in one
step of g = 1, which is the ensemble smoother's. No projection is applied where the members outnumber the coordinates.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scinn._input import as_float_array, check_in_range, check_positive_int
from scinn.inverse.ensembles.algebra import Factors, centred, gain_product
from scinn.inverse.ensembles.driver import Callback, Target, iteration_of, one_blas_thread, warn_unfinished
from scinn.inverse.ensembles.result import EnsembleResult, Iteration
from scinn.random import RandomState, as_generator

__all__ = ["ies_update", "run_ies"]

_MAX_HALVINGS = 10


def ies_update(
    weights: np.ndarray, predicted: np.ndarray, perturbed: np.ndarray, step: float = 1.0
) -> np.ndarray:
    """Return the weights after one Gauss-Newton step.

    Parameters
    ----------
    weights : ndarray of float64, shape (J, J)
        W, a row for each member; zeros at first.
    predicted : ndarray of float64, shape (J, m)
        V of the members that W stands for, whitened.
    perturbed : ndarray of float64, shape (J, m)
        D, the data with each member's noise, whitened.
    step : float
        g, in (0, 1].

    Returns
    -------
    ndarray of float64, shape (J, J)
        Its rows sum to zero where those of `weights` do.

    References
    ----------
    G. Evensen, P. Raanes, A. Stordal, J. Hove, "Efficient implementation of an iterative ensemble smoother", 2019.

    Examples
    --------
    >>> import numpy as np
    >>> prior = np.array([[-1.0], [0.0], [1.0]])
    >>> weights = ies_update(np.zeros((3, 3)), prior, np.full((3, 1), 2.0))
    >>> (prior + weights @ prior / np.sqrt(2)).round(12).tolist()
    [[0.5], [1.0], [1.5]]
    """
    scale = np.sqrt(len(weights) - 1)
    sensitivities = np.linalg.solve(np.eye(len(weights)) + weights / scale, centred(predicted) / scale)
    sensitivities = centred(sensitivities)
    own = Factors(*np.linalg.svd(sensitivities, full_matrices=False))
    wanted = gain_product(own, weights @ sensitivities + perturbed - predicted, np.eye(len(weights)))
    return weights - step * (weights - wanted)


@one_blas_thread
def run_ies(
    posterior: Any,
    ensemble: Any,
    rng: RandomState = None,
    *,
    step: float = 0.5,
    centre_noise: bool = False,
    perturbations: Any = None,
    tolerance: float = 1e-3,
    max_iterations: int = 50,
    callback: Callback | None = None,
) -> EnsembleResult:
    """Let every member minimise its own randomised objective, over the first ensemble's affine span.

    All members share the sensitivities of predictions to weights that the ensemble shows. A step is halved where it both
    raises the members' mean objective and is followed by a longer one.

    Parameters
    ----------
    posterior : object with ``dim``, ``data`` (m,) and ``predict``
        For example :class:`scinn.inverse.Posterior`; data and predictions are whitened.
    ensemble : array-like, shape (J, dim)
        The first ensemble, whose mean and covariance act as the prior.
    rng : int, SeedSequence, Generator, Key or None
        For the perturbations.
    step : float, default 0.5
        g, in (0, 1]; the longest that is tried.
    centre_noise : bool, default False
        Subtract the mean of the perturbations.
    perturbations : array-like, shape (J, m), optional
        Noise of unit variance, in place of a draw.
    tolerance : float, default 1e-3
        Stop where a full step changes the weights by at most this, relative to them (in the norm of all).
    max_iterations : int, default 50
    callback : callable, optional
        ``callback(iteration, ensemble)`` after each step.

    Returns
    -------
    EnsembleResult

    Raises
    ------
    ValueError
        For shapes that do not fit, fewer than two members, or a step outside (0, 1].

    Warns
    -----
    ConvergenceWarning
        Where the weights still move after `max_iterations`, or no step improves them any more.

    References
    ----------
    G. Evensen, P. Raanes, A. Stordal, J. Hove, "Efficient implementation of an iterative ensemble smoother", 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.inverse import Deconvolution1D, GaussianProcessPrior, Posterior
    >>> problem = Deconvolution1D(dim=33, PSF="gaussian", PSF_param=0.1, noise_std=0.1, rng=0)
    >>> posterior = Posterior(GaussianProcessPrior("exponential", 0.3, 1.0), problem)
    >>> start = np.random.default_rng(1).standard_normal((200, posterior.dim))
    >>> len(run_ies(posterior, start, rng=2, step=1.0).iterations)  # linear: the first ensemble, one step, the last
    2
    """
    longest = check_in_range(step, "step", 0.0, 1.0, "right")
    bound = check_in_range(tolerance, "tolerance", 0.0)
    limit = check_positive_int(max_iterations, "max_iterations", 0)
    target = Target(posterior, ensemble)
    first = target.members
    predicted = target.predict(first)
    if perturbations is None:
        noise = as_generator(rng).standard_normal(predicted.shape)
    else:
        noise = as_float_array(perturbations, "perturbations", shape=predicted.shape, dtype=np.float64)
    perturbed = target.data + (centred(noise) if centre_noise else noise)
    directions = centred(first) / np.sqrt(len(first) - 1)
    now = _State(np.zeros((len(first), len(first))), first, predicted, perturbed)
    time, stuck = 0.0, False
    iterations: list[Iteration] = []
    while not (now.small(bound) or stuck) and len(iterations) < limit:
        g = longest
        for _ in range(_MAX_HALVINGS):
            weights = now.weights + g * now.change
            members = first + weights @ directions
            trial = _State(weights, members, target.predict(members), perturbed)
            if trial.improves(now):
                break
            g *= 0.5
        else:
            stuck = True
            break
        iterations.append(iteration_of(now.members, now.predicted, target.data, step=g, time=time))
        now = trial
        time += g
        if callback is not None:
            callback(iterations[-1], now.members)
    converged = now.small(bound)
    reason = f"mean objective {now.objective:.6g} after {len(iterations)} steps"
    if not converged:
        reason += ", and no step improves it" if stuck else ", and the weights still move"
        warn_unfinished("ies", reason)
    members, predicted = now.members, now.predicted
    iterations.append(iteration_of(members, predicted, target.data, time=time))
    return EnsembleResult(
        members, predicted, target.data, "ies", converged, reason, tuple(iterations), posterior
    )


class _State:
    """Weights, their members, and the full step from them."""

    def __init__(
        self, weights: np.ndarray, members: np.ndarray, predicted: np.ndarray, perturbed: np.ndarray
    ) -> None:
        self.weights, self.members, self.predicted = weights, members, predicted
        self.change = ies_update(weights, predicted, perturbed, 1.0) - weights
        self.length = float(np.linalg.norm(self.change))
        with np.errstate(over="ignore"):
            total = np.sum(weights**2) + np.sum((perturbed - predicted) ** 2)
        self.objective = 0.5 * float(total / len(weights))

    def improves(self, other: _State) -> bool:
        # The fixed point of shared sensitivities is not where the objective is least: near it only the step's length falls.
        return self.objective < other.objective or self.length < other.length

    def small(self, bound: float) -> bool:
        return self.length <= bound * max(1.0, float(np.linalg.norm(self.weights)))
