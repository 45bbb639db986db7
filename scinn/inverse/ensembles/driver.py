"""The loop around the ensemble updates: predictions, records of the steps, the tempering time.

See :mod:`scinn.inverse.ensembles.algebra` for the notation.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import numpy as np

from scinn._input import as_float_array
from scinn.exceptions import ConvergenceWarning
from scinn.inverse.ensembles.result import EnsembleResult, Iteration
from scinn.inverse.ensembles.steps import data_misfit_step

__all__ = [
    "Callback",
    "Target",
    "iteration_of",
    "one_blas_thread",
    "supplied_noise",
    "temper",
    "warn_unfinished",
]

Callback: TypeAlias = Callable[[Iteration, np.ndarray], Any]
Update: TypeAlias = Callable[[int, np.ndarray, np.ndarray, np.ndarray, float], np.ndarray]
_Driver = TypeVar("_Driver", bound=Callable[..., EnsembleResult])


def one_blas_thread(method: _Driver) -> _Driver:
    """Make a driver's bits independent of the number of threads of the linear algebra library."""

    @functools.wraps(method)
    def limited(*args: Any, **options: Any) -> EnsembleResult:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(limits=1, user_api="blas"):
            return method(*args, **options)

    return limited  # type: ignore[return-value]


class Target:
    """A validated posterior with an ensemble's first members.

    Parameters
    ----------
    posterior : object with ``dim``, ``data`` (m,) and ``predict``
    ensemble : array-like, shape (J, dim)
        At least two members.

    Attributes
    ----------
    members : ndarray of float64, shape (J, dim)
    data : ndarray of float64, shape (m,)
    """

    def __init__(self, posterior: Any, ensemble: Any) -> None:
        missing = [name for name in ("dim", "data", "predict") if not hasattr(posterior, name)]
        if missing:
            raise TypeError(
                f"posterior is a {type(posterior).__name__} without {', '.join(missing)}; an object with dim, whitened data "
                "(m,) and predict(xi (J, dim)) -> (J, m) is wanted, for example scinn.inverse.Posterior(prior, problem)"
            )
        self.posterior = posterior
        self.data = as_float_array(posterior.data, "posterior.data", ndim=1, dtype=np.float64)
        self.members = as_float_array(ensemble, "ensemble", shape=(None, posterior.dim), dtype=np.float64)
        if len(self.members) < 2:
            raise ValueError(f"ensemble has {len(self.members)} members; at least 2 are wanted")

    def predict(self, members: np.ndarray) -> np.ndarray:
        """Return the whitened predictions of members, shape (J, m), or say which of them failed."""
        predicted = np.asarray(self.posterior.predict(members), dtype=np.float64)
        wanted = (len(members), len(self.data))
        if predicted.shape != wanted:
            raise ValueError(f"posterior.predict returned shape {predicted.shape}; {wanted} is wanted")
        failed = np.flatnonzero(~np.isfinite(predicted).all(axis=1))
        if failed.size:
            raise ValueError(
                f"the predictions of {failed.size} of {len(members)} members are not finite, the first of member "
                f"{failed[0]}: start with less spread, or nearer to the data"
            )
        return predicted


def iteration_of(
    members: np.ndarray, predicted: np.ndarray, data: np.ndarray, *, step: float = 0.0, time: float = 0.0
) -> Iteration:
    """Return the record of an ensemble before a step, shape as documented in :class:`Iteration`."""
    misfits = misfits_of(predicted, data)
    with np.errstate(over="ignore"):
        return Iteration(
            misfit_mean=float(misfits.mean()),
            misfit_variance=float(misfits.var(ddof=1)),
            residual=float(np.sqrt(np.mean((data - predicted.mean(axis=0)) ** 2))) if data.size else 0.0,
            spread=float(np.sqrt(members.var(axis=0, ddof=1).mean())) if members.size else 0.0,
            step=step,
            time=time,
        )


def misfits_of(predicted: np.ndarray, data: np.ndarray) -> np.ndarray:
    """Return ``|y - V_j|^2 / 2``, shape (J,)."""
    with np.errstate(over="ignore"):
        return np.asarray(0.5 * np.sum((data - predicted) ** 2, axis=1))


def adaptive_step(predicted: np.ndarray, data: np.ndarray, remaining: float = np.inf) -> float:
    """Return the data-misfit controller's step, or refuse misfits too large for one."""
    with np.errstate(over="ignore", invalid="ignore"):
        step = data_misfit_step(misfits_of(predicted, data), len(data), remaining)
    if not step > 0.0:
        raise ValueError(
            "the misfits of the ensemble are too large for a step: start with less spread, or nearer to the data"
        )
    return step


def supplied_noise(perturbations: Any, posterior: Any, ensemble: Any) -> Callable[[int], np.ndarray] | None:
    """Return a function from the number of a step to its noise (J, m), or None where noise is to be drawn."""
    if perturbations is None:
        return None
    shape = (None, len(ensemble), len(posterior.data))
    noise = as_float_array(perturbations, "perturbations", shape=shape, dtype=np.float64)

    def given(k: int) -> np.ndarray:
        if k >= len(noise):
            raise ValueError(f"perturbations holds noise for {len(noise)} steps, and step {k + 1} has none")
        return noise[k]

    return given


def temper(
    posterior: Any,
    ensemble: Any,
    method: str,
    schedule: tuple[float, ...] | None,
    update: Update,
    max_iterations: int,
    callback: Callback | None,
) -> EnsembleResult:
    """Take the tempering time from 0 to 1 by a schedule of inflations, or by the data-misfit controller."""
    target = Target(posterior, ensemble)
    members, time, k = target.members, 0.0, 0
    predicted = target.predict(members)
    iterations: list[Iteration] = []
    n_steps = max_iterations if schedule is None else len(schedule)
    while k < n_steps and time < 1.0:
        if schedule is None:
            step = adaptive_step(predicted, target.data, 1.0 - time)
        else:
            step = 1.0 / schedule[k]
        last = step >= 1.0 - time if schedule is None else k == n_steps - 1
        iterations.append(iteration_of(members, predicted, target.data, step=step, time=time))
        members = update(k, members, predicted, target.data, 1.0 / step)
        predicted = target.predict(members)
        # Set, since sums of rounded steps may stop short of one and leave a step of nearly nothing.
        time = 1.0 if last else time + step
        k += 1
        if callback is not None:
            callback(iterations[-1], members)
    converged = time == 1.0
    reason = "the tempering time reached 1" if converged else f"{k} steps reached the time {time:.3g} of 1"
    if not converged:
        warn_unfinished(method, reason)
    iterations.append(iteration_of(members, predicted, target.data, time=time))
    return EnsembleResult(
        members, predicted, target.data, method, converged, reason, tuple(iterations), posterior
    )


def warn_unfinished(method: str, reason: str) -> None:
    """Warn that an iteration ended early."""
    warnings.warn(f"{method}: {reason}; raise max_iterations", ConvergenceWarning, stacklevel=4)
