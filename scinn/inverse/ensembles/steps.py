"""How far an ensemble moves at once: schedules of inflations and the data-misfit controller.

A step of length dt in the tempering time from prior (0) to posterior (1) is an update with the inflated noise
``alpha = 1 / dt``, so that ``sum 1 / alpha = 1`` takes a smoother from prior to posterior (Emerick, Reynolds, "Ensemble
smoother with multiple data assimilation", 2013). The controller of Iglesias, Yang, "Adaptive regularisation for
ensemble Kalman inversion", 2021, with the misfits Phi_j of the J members and m data::

    dt = min(1 - t, max(m / (2 mean Phi), sqrt(m / (2 var Phi))))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scinn._input import as_float_array, check_positive_int

__all__ = ["data_misfit_step", "inflation_schedule"]


def data_misfit_step(misfits: np.ndarray, n_data: int, remaining: float = np.inf) -> float:
    """Return the next step of the data-misfit controller.

    Parameters
    ----------
    misfits : ndarray of float64, shape (J,)
        Phi of the members; at least two.
    n_data : int
        m.
    remaining : float
        Time left: 1 - t for a smoother, infinite for an optimiser.

    Returns
    -------
    float
        dt, positive and at most `remaining`.

    References
    ----------
    M. Iglesias, Y. Yang, "Adaptive regularisation for ensemble Kalman inversion", Inverse Problems 37, 2021, equation 29
    (recalled; the variance here has the divisor J - 1).

    Examples
    --------
    >>> import numpy as np
    >>> data_misfit_step(np.array([40.0, 60.0]), n_data=10)
    0.15811388300841897
    >>> data_misfit_step(np.array([1.0, 1.1]), n_data=10, remaining=0.25)
    0.25
    """
    mean, variance = float(np.mean(misfits)), float(np.var(misfits, ddof=1))
    by_mean = 0.5 * n_data / mean if mean > 0.0 else np.inf
    by_spread = np.inf
    if variance != 0.0:
        # Squares of large misfits overflow, upon which the first rule decides.
        by_spread = float(np.sqrt(0.5 * n_data / variance)) if np.isfinite(variance) else 0.0
    return min(remaining, max(by_mean, by_spread))


def inflation_schedule(inflation: Any) -> tuple[float, ...] | None:
    """Read a user's schedule of inflations.

    Parameters
    ----------
    inflation : int, sequence of float, or "adaptive"
        A number K of equal inflations K, or inflations alpha_k with ``sum 1 / alpha_k = 1``.

    Returns
    -------
    tuple of float, or None
        None for "adaptive".

    Raises
    ------
    ValueError
        Where the inverses do not sum to one within 1e-8: the ensemble would stop before or beyond the posterior.

    Examples
    --------
    >>> inflation_schedule(4), inflation_schedule([1.5, 3]), inflation_schedule("adaptive")
    ((4.0, 4.0, 4.0, 4.0), (1.5, 3.0), None)
    """
    if isinstance(inflation, str):
        if inflation == "adaptive":
            return None
        raise ValueError(
            f"inflation is {inflation!r}; 'adaptive', a number of equal steps, or inflations are wanted"
        )
    if not isinstance(inflation, Sequence | np.ndarray):
        n = check_positive_int(inflation, "inflation")
        return (float(n),) * n
    alphas = as_float_array(inflation, "inflation", ndim=1, dtype=np.float64)
    if not alphas.size or alphas.min() <= 0.0:
        raise ValueError(
            "inflation holds a number that is not positive, or none; positive inflations are wanted"
        )
    total = float(np.sum(1.0 / alphas))
    if abs(total - 1.0) > 1e-8:
        raise ValueError(
            f"inflation has the inverses' sum {total:.10g}; 1 is wanted, or the data would count {total:.3g} times: "
            "multiply the inflations by that sum"
        )
    return tuple(alphas.tolist())
