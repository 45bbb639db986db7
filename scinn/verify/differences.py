"""Directional central differences that know their own rounding error and recognise kinks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["Slope", "compare_slope"]

_EPS = float(np.finfo(np.float64).eps)
_LADDER = (1.0, 10.0, 0.1)
_ROUNDING = 32.0


@dataclass(frozen=True)
class Slope:
    """How an analytic directional derivative compares with differences.

    Parameters
    ----------
    error : float
        Smallest relative error over the ladder of steps.
    numeric : float
        The difference that gave it.
    kinked : bool
        Whether the one-sided differences keep apart as the step shrinks.
    one_sided : bool
        Whether the analytic value is one of the one-sided derivatives at a kink.
    """

    error: float
    numeric: float
    kinked: bool = False
    one_sided: bool = False


def compare_slope(
    value: Callable[[float], float], analytic: float, *, scale: float, magnitude: float, tol: float
) -> Slope:
    """Compare the derivative of ``value(t)`` at t = 0 with an analytic one.

    Parameters
    ----------
    value : callable
        The function along the direction.
    analytic : float
        Its claimed derivative at 0.
    scale : float
        Typical size of the array that moves; the step is ``eps^(1/3) max(1, scale)``.
    magnitude : float
        Sum of the absolute values of the terms of the function, which bounds its rounding error.
    tol : float
        Relative error at which the search for a better step stops.

    Returns
    -------
    Slope
    """
    base = _EPS ** (1 / 3) * max(1.0, scale)
    best = Slope(np.inf, np.nan)
    for factor in _LADDER:
        step = base * factor
        central = (value(step) - value(-step)) / (2 * step)
        error = _relative(central, analytic, step, magnitude, tol)
        if error < best.error:
            best = Slope(error, central)
        if error <= tol:
            return best
        half = step / 2
        finer = (value(half) - value(-half)) / (2 * half)
        richardson = (4 * finer - central) / 3
        error = _relative(richardson, analytic, half, magnitude, tol)
        if error < best.error:
            best = Slope(error, richardson)
        if error <= tol:
            return best
    return _examine_kink(value, analytic, best, base, magnitude, tol)


def _relative(numeric: float, analytic: float, step: float, magnitude: float, tol: float) -> float:
    """Return the error relative to the larger slope, or to what rounding alone may contribute."""
    if not np.isfinite(numeric) or not np.isfinite(analytic):
        return np.inf
    # Two evaluations, each off by some eps * magnitude, leave this much in the difference whatever the slope;
    # dividing it by tol makes a gap of that size count as an error of tol.
    rounding = _ROUNDING * _EPS * magnitude / step
    floor = max(rounding / tol, float(np.finfo(np.float64).tiny))
    return abs(numeric - analytic) / max(abs(numeric), abs(analytic), floor)


def _examine_kink(
    value: Callable[[float], float], analytic: float, best: Slope, base: float, magnitude: float, tol: float
) -> Slope:
    here = value(0.0)
    gaps = []
    one_sided = False
    for step in (base, base / 2, base / 4):
        right, left = (value(step) - here) / step, (here - value(-step)) / step
        noise = _ROUNDING * _EPS * magnitude / step
        size = max(abs(right), abs(left), noise)
        gaps.append(max(0.0, abs(right - left) - 2 * noise) / size)
        # First-order differences of a curved branch are off by step * curvature; Richardson removes it.
        half = step / 2
        sides = (
            2 * (value(half) - here) / half - right,
            2 * (here - value(-half)) / half - left,
        )
        one_sided |= any(abs(side - analytic) <= 10 * tol * size + 4 * noise for side in sides)
    # On a smooth curve the gap is step times the curvature and halves with the step; at a kink it stays.
    stays = gaps[-1] > 1e-4 and gaps[-1] > 0.6 * gaps[0]
    vanishes = gaps[0] > 1e-4 and gaps[-1] < 0.2 * gaps[0]
    kinked = stays or vanishes
    return Slope(best.error, best.numeric, kinked, kinked and one_sided)
