"""How many bits must flip before a halfspace changes its answer.

Notation of Raviv et al. (2021), "Enhancing Robustness of Neural Networks through Fourier Stabilization": signs
``x in {-1, +1}^n``, halfspace ``h(x) = sgn(<w, x> - theta)``, margin ``m(x) = <w, x> - theta``. Flipping bit i changes the
margin by ``-2 x_i w_i``; it helps an attacker by ``2 x_i w_i sgn(m)`` where that is positive. Flips add up, so that the
best k of them are the k largest (derived here).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scinn._input import as_float_array, check_choice, check_in_range
from scinn.robustness.constraints import resolve_constraints
from scinn.robustness.dyadic import to_integers
from scinn.robustness.features import to_signs

__all__ = ["halfspace_radius", "hoelder_lower_bound"]

_BLOCK_ENTRIES = 4_000_000


def _halfspace(
    weights: Any, threshold: Any, features: Any, encoding: str
) -> tuple[np.ndarray, float, np.ndarray]:
    w = as_float_array(weights, "weights", ndim=1, dtype=np.float64)
    if not w.size:
        raise ValueError("weights is empty; one weight a feature is wanted, at least one")
    theta = check_in_range(threshold, "threshold")
    x = to_signs(features, encoding=encoding)
    x = x[None, :] if x.ndim == 1 else x
    if x.ndim != 2 or x.shape[1] != w.size:
        raise ValueError(f"features has shape {x.shape}; (any, {w.size}) is wanted, one column a weight")
    return w, theta, x


def halfspace_radius(
    weights: Any,
    threshold: Any,
    features: Any,
    *,
    tie: int = 1,
    constraints: Any = None,
    encoding: str = "auto",
) -> np.ndarray:
    """Return the least number of flips that changes the answer of a halfspace on each sample.

    It is the least k such that the k largest helpful changes ``2 x_i w_i sgn(m) > 0`` sum to more than ``|m|``, or to
    ``|m|`` and more where the plane itself belongs to the other answer. Sums too close to call in double precision are
    decided in integers, so that the result is exact for the numbers given. Sorting is done once; a sample costs O(n).

    Parameters
    ----------
    weights : array_like of float, shape (n_features,)
        w.
    threshold : float
        theta.
    features : array_like or sparse matrix, shape (n_samples, n_features) or (n_features,)
        Bits or signs.
    tie : {1, 0, -1}
        ``sgn(0)``. With 0 the plane is a third answer: reaching it counts as a change, and so does leaving it.
    constraints : FeatureConstraints, optional
        Which flips are allowed. Flips are counted, so that all costs must be equal.
    encoding : {"auto", "bits", "signs"}
        What the features are.

    Returns
    -------
    ndarray of int64, shape (n_samples,)
        -1 where no allowed flips change the answer.

    Raises
    ------
    ValueError
        For shapes that do not fit, NaN, or costs that differ: the least cost is a knapsack problem, which
        :func:`scinn.robustness.exact_radius` solves.

    References
    ----------
    Derived here; compare the l_1 distance ``|m| / ||w||_inf`` to the plane in Raviv et al. (2021).

    Examples
    --------
    >>> halfspace_radius([3, 2, 2], 0, [[1, 1, 1], [1, -1, -1]])
    array([2, 1])
    >>> halfspace_radius([1, 1], -2, [[1, -1], [-1, -1]], tie=1), halfspace_radius([1, 1], -2, [[1, -1]], tie=-1)
    (array([-1, -1]), array([1]))
    """
    w, theta, x = _halfspace(weights, threshold, features, encoding)
    check_choice(tie, "tie", (1, 0, -1))
    rules = resolve_constraints(constraints, w.size)
    if np.ptp(rules.costs):
        raise ValueError(
            f"constraints have costs from {rules.costs.min():g} to {rules.costs.max():g}; flips are counted here, so that "
            "equal costs are wanted: for the least cost put the halfspace into a network, "
            "exact_radius(ShallowNetwork(weights[:, None], [-threshold], [[-1, 1]], [0, 0], 'sign'), ...)"
        )
    # A power of two, so that nothing is rounded that matters and nothing overflows.
    scale = -int(np.frexp(max(np.abs(w).max(), abs(theta)))[1])
    floats = np.ldexp(np.append(w, theta), scale)
    integers, _ = to_integers(np.append(w, theta))
    total = sum(abs(int(k)) for k in integers)
    narrow = total < 2**61
    values = integers.astype(np.int64) if narrow else floats
    rounding = 0.0 if narrow else float((w.size + 4) * np.finfo(np.float64).eps * np.abs(floats).sum())
    radius = np.empty(len(x), dtype=np.int64)
    rows = max(1, _BLOCK_ENTRIES // w.size)
    for start in range(0, len(x), rows):
        block = x[start : start + rows]
        allowed = rules.may_flip(block)
        found, unsure = _radius(values[:-1], values[-1], block, allowed, tie, rounding)
        again = np.flatnonzero(unsure)
        if again.size:
            found[again], _ = _radius(integers[:-1], integers[-1], block[again], allowed[again], tie, 0.0)
        radius[start : start + rows] = found
    return radius


def _radius(
    w: np.ndarray, theta: Any, x: np.ndarray, allowed: np.ndarray, tie: int, rounding: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the radii, and which of them a rounding error of that size could change; any dtype, Python integers too."""
    margin = x.astype(w.dtype) @ w - theta
    positive, negative = margin > 0, margin < 0
    on_plane = ~positive & ~negative
    answer = positive.astype(np.int8) - negative.astype(np.int8) + tie * on_plane.astype(np.int8)
    size = np.array([abs(int(k)) for k in w]) if w.dtype == object else np.abs(w)
    order = np.argsort(-size, kind="stable")
    w, x, allowed = w[order], x[:, order], allowed[:, order]
    signs = (w > 0).astype(np.int8) - (w < 0).astype(np.int8)
    helpful = allowed & (x * signs * answer[:, None] > 0)
    sums = np.cumsum(np.where(helpful, 2 * size[order], 0), axis=1)
    need = np.abs(margin)[:, None]
    # Landing on the plane suffices unless its answer is the present one.
    lands = (answer != tie)[:, None]
    met = (sums > need) | (lands & (sums == need))
    first = np.where(met.any(axis=1), met.argmax(axis=1), -1)
    counts = np.take_along_axis(np.cumsum(helpful, axis=1), np.maximum(first, 0)[:, None], axis=1)[:, 0]
    radius = np.where(first < 0, -1, counts).astype(np.int64)
    if tie == 0:
        radius = np.where(on_plane, np.where((allowed & (signs != 0)).any(axis=1), 1, -1), radius)
    if rounding == 0.0:
        return radius, np.zeros(len(x), dtype=bool)
    close = (helpful & (np.abs(sums - need) <= 2 * rounding)).any(axis=1)
    return radius, close | (np.abs(margin) <= rounding)


def hoelder_lower_bound(weights: Any, threshold: Any, features: Any, *, encoding: str = "auto") -> np.ndarray:
    """Return the l_1 distance of each sample to the plane, in flips: ``|m| / (2 ||w||_inf)``.

    No fewer flips change the answer, since each changes the margin by ``2 ||w||_inf`` at most. Once the weights are
    stabilised for p = 1, so that all are ``+-a``, the bound is met: where enough bits help, :func:`halfspace_radius` is
    ``ceil(|m| / 2a)`` where the plane belongs to the other answer, and ``floor(|m| / 2a) + 1`` where it does not.

    Parameters
    ----------
    weights : array_like of float, shape (n_features,)
        w.
    threshold : float
        theta.
    features : array_like or sparse matrix, shape (n_samples, n_features) or (n_features,)
        Bits or signs.
    encoding : {"auto", "bits", "signs"}
        What the features are.

    Returns
    -------
    ndarray of float64, shape (n_samples,)
        Not rounded up; correct to rounding. Infinite where all weights are 0.

    Raises
    ------
    ValueError
        For shapes that do not fit, or NaN.

    References
    ----------
    Raviv et al. (2021), the distance that stabilisation enlarges, for p = 1.

    Examples
    --------
    >>> hoelder_lower_bound([3, 2, 2], 0, [[1, 1, 1], [1, -1, -1]]).round(3).tolist()
    [1.167, 0.167]
    """
    w, theta, x = _halfspace(weights, threshold, features, encoding)
    largest = np.abs(w).max()
    if largest == 0:
        return np.full(len(x), np.inf)
    # Divided first, so that large weights do not overflow.
    return np.abs(x.astype(np.float64) @ (w / largest) - theta / largest) / 2
