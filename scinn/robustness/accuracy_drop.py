"""Upper bounds of how often a new neuron differs from an old one, from the Chow parameters of the old one.

Notation: x uniform on {-1,+1}^n; the old neuron h = sgn(<w,x> - theta) with Chow parameters c_0 = E h, c_i = E h x_i, and
the new one g = sgn(<v,x> - mu). With the same value of sgn(0),

    E |<v,x> - mu| |g - h| = E |<v,x> - mu| - (<v,c> - mu c_0) =: Gamma >= 0,

since |m| = g m. Where ``g != h`` for values -1 and 1, ``|g - h| = 2``, so that for every u > 0

    Pr[g != h] <= Pr[|<v,x> - mu| < u] + Gamma / (2 u),

and with ||v||_2 = 1 and the theorem of Berry and Esseen (constant 0.56), the best u gives

    Pr[g != h] <= 2 sqrt(Gamma / sqrt(2 pi)) + 1.12 sum_i |v_i|^3.

References
----------
N. Raviv, A. Kelley, M. Guo, Y. Vorobeychik (2021), Enhancing Robustness of Neural Networks through Fourier Stabilization,
ICML, PMLR 139 (the neurons; the bounds are derived here); I. G. Shevtsova (2010), An improvement of convergence rate
estimates in the Lyapunov theorem, Doklady Mathematics 82 (the constant).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from scinn._input import as_float_array, check_choice, check_in_range
from scinn.robustness.joint_methods import LARGEST_LATTICE, Plane, half_sums, lattice_law, plane_of

__all__ = ["AccuracyDropBound", "accuracy_drop_bound", "as_neuron", "check_same_length"]

_MOST_SORTED = 20
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class AccuracyDropBound:
    """Upper bounds of Pr[g != h] from the Chow parameters of h.

    Parameters
    ----------
    value : float
        The least of the bounds below, and at most 1.
    gamma : float
        Gamma of the module's docstring, rounded up by the error of the Chow parameters.
    law_bound : float or None
        Least of ``Pr[|<v,x> - mu| < u] + Gamma/(2u)``, where the law of <v,x> is known: few inputs or a lattice.
    distance : float or None
        The u of ``law_bound``.
    normal_bound : float
        The bound by the theorem of Berry and Esseen.
    proven : bool
        Whether the Chow parameters in use were exact or came with a proven bound.
    """

    value: float
    gamma: float
    law_bound: float | None
    distance: float | None
    normal_bound: float
    proven: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


def accuracy_drop_bound(
    weights: Any,
    threshold: float,
    new_weights: Any,
    new_threshold: float,
    *,
    tie: int = 1,
    chow: Any = None,
) -> AccuracyDropBound:
    """Bound the probability that the new neuron differs from the old one by the loss of signed distance.

    Parameters
    ----------
    weights : array_like, shape (n,)
        w of the old neuron.
    threshold : float
        theta of the old neuron.
    new_weights : array_like, shape (n,)
        v.
    new_threshold : float
        mu.
    tie : {1, 0, -1}, default 1
        sgn(0), of both. With 0, neurons that differ may do so by 1 only, and ``Gamma / u`` replaces ``Gamma / (2 u)``.
    chow : array_like, shape (n + 1,), optional
        E h and E h x_i, taken as exact. By default they are computed by :func:`scinn.robustness.chow_parameters`.

    Returns
    -------
    AccuracyDropBound

    Raises
    ------
    TypeError
        For weights that are not numbers.
    ValueError
        For vectors of different lengths or NaN.

    References
    ----------
    Derived in the module's docstring.

    Examples
    --------
    >>> bound = accuracy_drop_bound([3.0, 2.0, 2.0], 0.0, [1.0, 1.0, 1.0], 0.0)
    >>> bound.gamma < 1e-12, bound.value < 1e-12
    (True, True)
    """
    w, theta = as_neuron(weights, threshold, "weights", "threshold")
    v, mu = as_neuron(new_weights, new_threshold, "new_weights", "new_threshold")
    check_same_length(w, v, "new_weights")
    check_choice(tie, "tie", (1, 0, -1))
    gamma, proven = _gamma(w, theta, v, mu, tie, chow)
    # Three-valued neurons may differ by 1.
    share = 0.5 * gamma if tie else gamma
    law_bound = distance = None
    margins = _margin_law(v, mu)
    if margins is not None:
        law_bound, distance = _least_bound(*margins, share)
    size = float(np.linalg.norm(v))
    normal_bound = 1.0
    if size > 0.0:
        third = float(np.sum(np.abs(v / size) ** 3))
        normal_bound = 2.0 * math.sqrt(2.0 * share / size / math.sqrt(2.0 * math.pi)) + 1.12 * third
    value = min(1.0, normal_bound, 1.0 if law_bound is None else law_bound)
    return AccuracyDropBound(value, gamma, law_bound, distance, normal_bound, proven)


def as_neuron(weights: Any, threshold: Any, name: str, threshold_name: str) -> tuple[np.ndarray, float]:
    """Return what the user holds as float64 weights and a threshold."""
    w = as_float_array(weights, name, ndim=1, dtype=np.float64)
    theta = check_in_range(threshold, threshold_name)
    check_reach(w, theta, name, threshold_name)
    return w, theta


def check_reach(
    w: np.ndarray, theta: float, name: str = "weights", threshold_name: str = "threshold"
) -> None:
    """Refuse a neuron whose largest margin is infinite in float64."""
    with np.errstate(over="ignore"):
        reach = float(np.abs(w).sum(dtype=np.float64)) + abs(theta)
    if not math.isfinite(reach):
        raise ValueError(
            f"{name} and {threshold_name} add up to more than a float64 holds; divide both by the same number, which "
            "changes no answer"
        )


def check_same_length(w: np.ndarray, v: np.ndarray, name: str) -> None:
    """Refuse weights of different lengths."""
    if len(w) != len(v):
        raise ValueError(
            f"{name} has {len(v)} entries and weights has {len(w)}; both neurons need the same inputs: pass a weight of "
            "0 for an input that one of them ignores"
        )


def _gamma(w: np.ndarray, theta: float, v: np.ndarray, mu: float, tie: int, chow: Any) -> tuple[float, bool]:
    """Return Gamma with the error of the Chow parameters added, and whether these are proven."""
    from scinn.robustness.chow import chow_parameters

    reach = float(np.abs(v).sum()) + abs(mu)
    new = chow_parameters(v, mu, tie=tie)
    error, proven = reach * (new.bound + 8.0 * _EPS), new.kind != "estimated"
    if chow is None:
        old = chow_parameters(w, theta, tie=tie)
        value = old.value
        error += reach * old.bound
        proven = proven and old.kind != "estimated"
    else:
        value = as_float_array(chow, "chow", shape=(len(w) + 1,), dtype=np.float64)
    gap = float(v @ (new.value[1:] - value[1:]) - mu * (new.value[0] - value[0]))
    return max(0.0, gap) + error, proven


def _margin_law(v: np.ndarray, mu: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the possible sizes of the margin in ascending order with their probabilities, where that is known."""
    used = v[v != 0.0]
    plane = plane_of(used, 0.0) if len(used) else Plane(used, 0.0, True)
    if plane.lattice and plane.total <= LARGEST_LATTICE:
        step = float(np.abs(used).max() / np.abs(plane.weights).max()) if len(used) else 1.0
        sizes, law = (
            np.abs(step * (2.0 * np.arange(plane.total + 1) - plane.total) - mu),
            lattice_law(plane.weights),
        )
    elif len(used) <= _MOST_SORTED:
        sums = half_sums(used)
        sizes, law = np.abs(sums - mu), np.full(len(sums), 1.0 / len(sums))
    else:
        return None
    order = np.argsort(sizes, kind="stable")
    return sizes[order], law[order]


def _least_bound(sizes: np.ndarray, law: np.ndarray, share: float) -> tuple[float, float]:
    """Return the least ``Pr[|m| < u] + share / u`` and its u; between two sizes the larger one is best."""
    below = np.cumsum(law) - law
    positive = sizes > 0.0
    if not positive.any():
        return 1.0, 0.0
    bounds = below[positive] + share / sizes[positive]
    best = int(np.argmin(bounds))
    return float(bounds[best]), float(sizes[positive][best])
