"""How often two neurons differ on the cube, and the threshold with which they differ least.

Notation: x uniform on {-1,+1}^n; the old neuron h = sgn(<w,x> - theta), the new one g = sgn(<v,x> - mu). Stabilisation
replaces h by g, and ``Pr[g != h]`` is what it may cost in accuracy on uniform inputs. The ways to it are in
:mod:`scinn.robustness.joint_methods`, upper bounds from Chow parameters in :mod:`scinn.robustness.accuracy_drop`.

References
----------
N. Raviv, A. Kelley, M. Guo, Y. Vorobeychik (2021), Enhancing Robustness of Neural Networks through Fourier Stabilization,
ICML, PMLR 139, whose neurons these are; the probabilities are derived here.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from scinn._input import check_choice, check_positive_int
from scinn._plot import axes_or_new
from scinn.random import RandomState, as_generator
from scinn.robustness import joint_methods as methods
from scinn.robustness.accuracy_drop import (
    AccuracyDropBound,
    accuracy_drop_bound,
    as_neuron,
    check_same_length,
)
from scinn.robustness.joint_methods import Plane
from scinn.robustness.spectral import lattice_error, series_parameters

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "AccuracyDropBound",
    "ChangeProbability",
    "ThresholdProfile",
    "accuracy_drop_bound",
    "change_probability",
    "match_threshold",
    "threshold_profile",
]

_METHODS = ("auto", "exact", "series", "sampling", "arccos", "bound")
_MOST_POINTS = 24
_MOST_SORTED = 20
# Additions of a dynamic programme, and cosines of a series, that take about a second.
_MOST_ADDITIONS = 1e9
_MOST_COSINES = 2e9
_LARGEST_LATTICE = 20_000
_CONFIDENCE = 0.999
# Returns of nearly equal weights that the lattice series has looked at.
_SEEN = 4.25
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class ChangeProbability:
    """Pr[g != h] of two neurons on the cube.

    Parameters
    ----------
    value : float
        The probability; for kind "bound" an upper bound of it.
    half_width : float
        The truth is within this of ``value``: up to rounding for "exact", by estimate for "series", with probability
        0.999 over the draws for "estimated" by sampling. For "bound" it is ``value``, and infinite for the arc cosine,
        which comes with no error.
    kind : {"exact", "series", "estimated", "bound"}
        How much the number is worth.
    method : str
        How it was found.
    """

    value: float
    half_width: float
    kind: str
    method: str

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values; an infinite width becomes None."""
        fields = asdict(self)
        if math.isinf(self.half_width):
            fields["half_width"] = None
        return fields


@dataclass(frozen=True)
class ThresholdProfile:
    """Pr[g != h] as a function of the threshold of g.

    Parameters
    ----------
    thresholds : ndarray of float64, shape (n_thresholds,)
        Ascending; for a neuron on a lattice one from each class of thresholds that are the same function.
    probabilities : ndarray of float64, shape (n_thresholds,)
    threshold : float
        A threshold of least probability; of several equal ones that nearest to 0.
    probability : float
        The least probability.
    kind : {"exact", "series", "estimated"}
    """

    thresholds: np.ndarray = field(repr=False)
    probabilities: np.ndarray = field(repr=False)
    threshold: float
    probability: float
    kind: str

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {
            "thresholds": self.thresholds.tolist(),
            "probabilities": self.probabilities.tolist(),
            "threshold": self.threshold,
            "probability": self.probability,
            "kind": self.kind,
        }

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the probability against the threshold.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; default: the axes of a new figure.

        Returns
        -------
        matplotlib Axes
        """
        axes: Axes = axes_or_new(ax)
        axes.plot(self.thresholds, self.probabilities, ".-", linewidth=0.8, markersize=3)
        axes.axvline(self.threshold, color="0.6", linewidth=0.8)
        axes.set_xlabel("threshold")
        axes.set_ylabel("Pr[new != old]")
        axes.set_title(f"least {self.probability:.4g} at {self.threshold:.4g} ({self.kind})")
        return axes


class _Table(NamedTuple):
    """Joint law of h and of the integer r of a neuron on a lattice: Pr[r = j], and with h = 1 and h = -1."""

    law: np.ndarray
    plus: np.ndarray
    minus: np.ndarray
    error: float
    kind: str
    method: str


def change_probability(
    weights: Any,
    threshold: float,
    other_weights: Any,
    other_threshold: float,
    *,
    tie: int = 1,
    method: str = "auto",
    n_samples: int = 200_000,
    rng: RandomState = None,
) -> ChangeProbability:
    """Return the probability that two neurons differ at a uniform point of the cube.

    Parameters
    ----------
    weights : array_like, shape (n,)
        w.
    threshold : float
        theta.
    other_weights : array_like, shape (n,)
        v.
    other_threshold : float
        mu.
    tie : {1, 0, -1}, default 1
        sgn(0), of both.
    method : {"auto", "exact", "series", "sampling", "arccos", "bound"}, default "auto"
        "exact": all points for up to 24 inputs with a weight, dynamic programming where both neurons live on small lattices.
        "series": Fourier series, see :mod:`scinn.robustness.joint_methods`; generic weights, no mass on the plane, are
        assumed. "sampling": both neurons at common random points. "arccos": the angle between w and v over pi, the answer
        for Gaussian inputs and thresholds 0. "bound": :func:`accuracy_drop_bound`. "auto" takes the first of the first three
        that can be had in about a second.
    n_samples : int, default 200_000
        Points of "sampling".
    rng : int, SeedSequence, Generator, Key or None
        Of "sampling".

    Returns
    -------
    ChangeProbability

    Raises
    ------
    TypeError
        For weights that are not numbers.
    ValueError
        For vectors of different lengths, NaN, or a method that does not apply.

    References
    ----------
    Derived here.

    Examples
    --------
    >>> import numpy as np
    >>> change_probability([3.0, 2.0, 2.0], 0.0, [1.0, 1.0, 1.0], 0.0)
    ChangeProbability(value=0.0, half_width=0.0, kind='exact', method='enumeration')
    >>> w = np.sqrt(np.arange(1.0, 101.0))
    >>> result = change_probability(w, 0.5, np.ones(100), 0.5)
    >>> round(result.value, 4), result.kind, result.half_width < 1e-12
    (0.1089, 'series', True)
    """
    w, theta = as_neuron(weights, threshold, "weights", "threshold")
    v, mu = as_neuron(other_weights, other_threshold, "other_weights", "other_threshold")
    check_same_length(w, v, "other_weights")
    check_choice(tie, "tie", (1, 0, -1))
    check_choice(method, "method", _METHODS)
    n_samples = check_positive_int(n_samples, "n_samples")
    if method == "bound":
        bound = accuracy_drop_bound(w, theta, v, mu, tie=tie)
        return ChangeProbability(bound.value, bound.value, "bound", "accuracy drop bound")
    if method == "arccos":
        return ChangeProbability(_angle(w, v) / math.pi, math.inf, "estimated", "arccos")
    h, g = _planes(w, theta, v, mu)
    result = None
    if method in ("auto", "exact"):
        result = _exact_change(h, g, tie)
    if result is None and method in ("auto", "series"):
        result = _series_change(h, g, tie)
        if method == "auto" and result is not None and result.half_width > _width(n_samples):
            result = None
    if result is None and method in ("auto", "sampling"):
        return _sampled_change(h, g, tie, n_samples, rng)
    if result is None:
        raise ValueError(
            f"method is {method!r}, which does not apply to these {len(h.weights)} weights; pass method='sampling' or "
            "'auto'"
        )
    return result


def threshold_profile(
    weights: Any,
    threshold: float,
    new_weights: Any,
    *,
    tie: int = 1,
    n_samples: int = 200_000,
    rng: RandomState = 0,
) -> ThresholdProfile:
    """Return Pr[new != old] for the thresholds that a neuron with new weights can have.

    Parameters
    ----------
    weights : array_like, shape (n,)
        w of the old neuron.
    threshold : float
        theta of the old neuron.
    new_weights : array_like, shape (n,)
        v.
    tie : {1, 0, -1}, default 1
        sgn(0).
    n_samples : int, default 200_000
        Points of the sampling that is the last resort.
    rng : int, SeedSequence, Generator, Key or None, default 0
        Of the sampling.

    Returns
    -------
    ThresholdProfile
        Where v is on a lattice, for example of equal sizes, all distinct thresholds, midway between neighbouring values of
        <v,x>. For up to 20 inputs likewise. Otherwise a grid that is finer around the least value, by the double series of
        :mod:`scinn.robustness.joint_methods`; or the quantiles of a sample.

    Raises
    ------
    TypeError
        For weights that are not numbers.
    ValueError
        For vectors of different lengths or NaN.

    References
    ----------
    Derived here.

    Examples
    --------
    >>> profile = threshold_profile([2.0, 1.0, 1.0], 1.0, [1.0, 1.0, 1.0])
    >>> profile.thresholds.tolist(), profile.probabilities.tolist()
    ([-4.0, -2.0, 0.0, 2.0, 4.0], [0.625, 0.5, 0.125, 0.25, 0.375])
    """
    w, theta = as_neuron(weights, threshold, "weights", "threshold")
    v, _ = as_neuron(new_weights, 0.0, "new_weights", "threshold")
    check_same_length(w, v, "new_weights")
    check_choice(tie, "tie", (1, 0, -1))
    n_samples = check_positive_int(n_samples, "n_samples")
    h, g = _planes(w, theta, v, 0.0)
    if g.lattice:
        table = _lattice_table(h, g, tie)
        if table is not None:
            step = 1.0 if g.total == 0 else float(np.abs(v).max() / np.abs(g.weights).max())
            return _lattice_profile(table, g, step)
    if len(h.weights) <= _MOST_SORTED:
        return _sorted_profile(h, g, tie)
    if not h.weights.any():
        # A constant neuron is met beyond all points of the cube, on one side or the other.
        beyond = float(np.abs(v).sum()) + 1.0
        side = int(methods.signs_of(np.array([-h.threshold]), tie)[0])
        return _profile(np.array([-beyond, beyond]), np.array([float(side != 1), float(side != -1)]), "exact")
    if not h.lattice and _affordable_ridge(h, g):
        return _ridge_profile(h, g)
    return _sampled_profile(h, g, tie, n_samples, rng)


def match_threshold(
    weights: Any,
    threshold: float,
    new_weights: Any,
    *,
    tie: int = 1,
    n_samples: int = 200_000,
    rng: RandomState = 0,
) -> float:
    """Return the threshold with which a neuron of new weights differs least often from the old neuron.

    Parameters
    ----------
    weights : array_like, shape (n,)
        w of the old neuron.
    threshold : float
        theta of the old neuron.
    new_weights : array_like, shape (n,)
        v.
    tie : {1, 0, -1}, default 1
        sgn(0).
    n_samples : int, default 200_000
        Points of the sampling that is the last resort of :func:`threshold_profile`.
    rng : int, SeedSequence, Generator, Key or None, default 0
        Of the sampling.

    Returns
    -------
    float
        mu. For v of equal sizes it is midway between two values of <v,x> (or beyond all), so that no point is on the plane.

    References
    ----------
    Derived here.

    Examples
    --------
    >>> match_threshold([2.0, 1.0, 1.0], 1.0, [1.0, 1.0, 1.0])
    0.0
    """
    return threshold_profile(weights, threshold, new_weights, tie=tie, n_samples=n_samples, rng=rng).threshold


def _planes(w: np.ndarray, theta: float, v: np.ndarray, mu: float) -> tuple[Plane, Plane]:
    """Return both neurons on the inputs that matter to one of them."""
    h, g = methods.plane_of(w, theta), methods.plane_of(v, mu)
    used = (h.weights != 0.0) | (g.weights != 0.0)
    return h._replace(weights=h.weights[used]), g._replace(weights=g.weights[used])


def _angle(w: np.ndarray, v: np.ndarray) -> float:
    if not w.any() or not v.any():
        return 0.5 * math.pi
    return math.atan2(methods.sine_between(w, v), float(w @ v) / math.sqrt(float(w @ w) * float(v @ v)))


def _exact_change(h: Plane, g: Plane, tie: int) -> ChangeProbability | None:
    if len(h.weights) <= _MOST_POINTS:
        return ChangeProbability(methods.enumerated_changes(h, g, tie), 0.0, "exact", "enumeration")
    if not _affordable_pair(h, g):
        return None
    table = _pair_table(h, g, tie)
    return ChangeProbability(_change_of(table, g, tie), table.error, table.kind, table.method)


def _affordable_pair(h: Plane, g: Plane) -> bool:
    if not (h.lattice and g.lattice):
        return False
    return len(h.weights) * (h.total + 1.0) * (g.total + 1.0) <= _MOST_ADDITIONS


def _values(plane: Plane) -> np.ndarray:
    """Return the values of <a,x> in the order of r."""
    return -float(plane.total) + 2.0 * np.arange(plane.total + 1)


def _pair_table(h: Plane, g: Plane, tie: int) -> _Table:
    law = methods.lattice_pair_law(h.weights, g.weights)
    signs = methods.signs_of(_values(h) - h.threshold, tie)
    plus, minus = law @ (signs == 1), law @ (signs == -1)
    return _Table(law.sum(axis=1), plus, minus, len(h.weights) * _EPS, "exact", "dynamic programming")


def _lattice_table(h: Plane, g: Plane, tie: int) -> _Table | None:
    """Return the joint law of h and the integer of g, or None where it takes too long."""
    if len(h.weights) <= _MOST_POINTS and g.total <= _LARGEST_LATTICE:
        plus, minus, law = np.zeros((3, g.total + 1))
        for signs, _, margins in methods.enumerated_signs(h, g, tie):
            r = np.round(0.5 * (margins + g.threshold + g.total)).astype(np.int64)
            law += np.bincount(r, minlength=len(law))
            plus += np.bincount(r[signs == 1], minlength=len(law))
            minus += np.bincount(r[signs == -1], minlength=len(law))
        share = math.ldexp(1.0, -len(h.weights))
        return _Table(law * share, plus * share, minus * share, 0.0, "exact", "enumeration")
    if _affordable_pair(h, g):
        return _pair_table(h, g, tie)
    if h.lattice:
        return None
    return _series_table(h, g)


def _series_table(h: Plane, g: Plane) -> _Table | None:
    size = math.sqrt(float(h.weights @ h.weights)) / float(np.abs(h.weights).max())
    rows = int(min(4096.0, _MOST_COSINES / (2.0 * (g.total + 1.0) * len(h.weights))))
    # Enough for the Gaussian range and the first returns of nearly equal weights.
    if g.total > _LARGEST_LATTICE or rows < 64.0 + 25.0 * size:
        return None
    moments, tail = methods.lattice_moments(h, g.weights, most_rows=rows)
    second, _ = methods.lattice_moments(h, g.weights, stretch=1.1, most_rows=rows)
    law = methods.lattice_law(g.weights)
    atoms = lattice_error(h.weights, _SEEN * math.pi / float(np.abs(h.weights).max()))
    error = 0.5 * (float(np.sum(np.abs(moments - second))) + tail + atoms) + 16.0 * _EPS
    return _Table(law, 0.5 * (law + moments), 0.5 * (law - moments), error, "series", "lattice series")


def _change_of(table: _Table, g: Plane, tie: int) -> float:
    signs = methods.signs_of(_values(g) - g.threshold, tie)
    same = float(table.plus[signs == 1].sum() + table.minus[signs == -1].sum())
    same += float((table.law - table.plus - table.minus)[signs == 0].sum())
    return min(1.0, max(0.0, 1.0 - same))


def _series_change(h: Plane, g: Plane, tie: int) -> ChangeProbability | None:
    if h.lattice and not g.lattice:
        h, g = g, h
    if g.lattice:
        table = None if h.lattice else _series_table(h, g)
        if table is None:
            return None
        return ChangeProbability(_change_of(table, g, tie), table.error, table.kind, table.method)
    if methods.sine_between(h.weights, g.weights) <= 1e-10:
        return _parallel_change(h, g)
    if not _affordable_ridge(h, g):
        return None
    value, error = _ridge_change(h, g)
    return ChangeProbability(value, error, "series", "double series")


def _affordable_ridge(h: Plane, g: Plane) -> bool:
    return len(h.weights) * methods.ridge_size(h.weights, g.weights) <= _MOST_COSINES


def _ridge_change(h: Plane, g: Plane) -> tuple[float, float]:
    mu = np.array([g.threshold])
    results = []
    for stretch, margin in ((1.0, 8), (1.1, 12)):
        found = methods.ridge(h, g.weights, abs(g.threshold), stretch=stretch, margin=margin)
        results.append(float(methods.ridge_correlations(found, h.threshold, mu)[0]))
    error = abs(results[0] - results[1]) + methods.ridge_error(found, len(h.weights))
    error += lattice_error(h.weights, 0.0) + lattice_error(g.weights, 0.0)
    return min(1.0, max(0.0, 0.5 * (1.0 - results[0]))), 0.5 * error + 16.0 * _EPS


def _parallel_change(h: Plane, g: Plane) -> ChangeProbability:
    """Return the change of neurons with the same direction or opposite ones: one sum, two thresholds."""
    ratio = float(h.weights @ g.weights) / float(h.weights @ h.weights)
    moved = g.threshold / ratio
    first = series_parameters(h.weights, h.threshold)
    second = series_parameters(h.weights, moved)
    value = 0.5 * abs(float(first.value[0] - second.value[0]))
    # The rest of the direction, 1e-10 at most, moves few points across.
    error = first.error_estimate + second.error_estimate
    error += 10.0 * methods.sine_between(h.weights, g.weights)
    return ChangeProbability(
        value if ratio > 0.0 else 1.0 - value, error, "series", "one series, two thresholds"
    )


def _width(n_samples: int) -> float:
    """Return Hoeffding's half width for a frequency."""
    return math.sqrt(math.log(2.0 / (1.0 - _CONFIDENCE)) / (2.0 * n_samples))


def _sampled_change(h: Plane, g: Plane, tie: int, n_samples: int, rng: RandomState) -> ChangeProbability:
    first, second = methods.sampled_margins(h, g, n_samples, as_generator(rng))
    changed = methods.signs_of(first, tie) != methods.signs_of(second, tie)
    return ChangeProbability(float(np.mean(changed)), _width(n_samples), "estimated", "sampling")


def _profile(thresholds: np.ndarray, probabilities: np.ndarray, kind: str) -> ThresholdProfile:
    low = float(probabilities.min())
    best = np.flatnonzero(probabilities <= low + 1e-13)
    chosen = best[np.argmin(np.abs(thresholds[best]))]
    return ThresholdProfile(
        thresholds, probabilities, float(thresholds[chosen]), float(probabilities[chosen]), kind
    )


def _cumulative(law: np.ndarray, plus: np.ndarray, minus: np.ndarray) -> np.ndarray:
    """Return Pr[g != h] where g = -1 on the first c classes, for c = 0..n_classes."""
    below = np.concatenate([[0.0], np.cumsum(law - minus)])
    above = np.concatenate([np.cumsum((law - plus)[::-1])[::-1], [0.0]])
    return np.clip(below + above, 0.0, 1.0)


def _between(values: np.ndarray) -> np.ndarray:
    """Return the points midway between ascending values, and one beyond each end."""
    inner = 0.5 * (values[1:] + values[:-1])
    return np.concatenate([[values[0] - 1.0], inner, [values[-1] + 1.0]])


def _lattice_profile(table: _Table, g: Plane, step: float) -> ThresholdProfile:
    taken = table.law > 0.0
    probabilities = _cumulative(table.law[taken], table.plus[taken], table.minus[taken])
    return _profile(step * _between(_values(g)[taken]), probabilities, table.kind)


def _sorted_profile(h: Plane, g: Plane, tie: int) -> ThresholdProfile:
    chunks = [(signs, margins) for signs, _, margins in methods.enumerated_signs(h, g, tie)]
    signs = np.concatenate([c[0] for c in chunks])
    values = np.concatenate([c[1] for c in chunks]) + g.threshold
    order = np.argsort(values, kind="stable")
    values, signs = values[order], signs[order]
    # Sums that rounding cannot tell apart stay on one side.
    apart = (len(g.weights) + 4) * 2.0 * _EPS * float(np.abs(g.weights).sum())
    first = np.flatnonzero(np.concatenate([[True], np.diff(values) > apart]))
    share = math.ldexp(1.0, -len(h.weights))
    law = np.diff(np.append(first, len(values))) * share
    plus = np.add.reduceat(signs == 1, first, dtype=np.int64) * share
    minus = np.add.reduceat(signs == -1, first, dtype=np.int64) * share
    last = np.append(first[1:], len(values)) - 1
    thresholds = np.concatenate(
        [[values[0] - 1.0], 0.5 * (values[last[:-1]] + values[first[1:]]), [values[-1] + 1.0]]
    )
    return _profile(thresholds, _cumulative(law, plus, minus), "exact")


def _ridge_profile(h: Plane, g: Plane) -> ThresholdProfile:
    norm = math.sqrt(float(g.weights @ g.weights))
    reach = min(float(np.abs(g.weights).sum()), 9.0 * norm)
    found = methods.ridge(h, g.weights, reach)
    thresholds = np.linspace(-reach, reach, 257)
    correlations = methods.ridge_correlations(found, h.threshold, thresholds)
    width = thresholds[1] - thresholds[0]
    for _ in range(4):
        middle = thresholds[np.argmax(correlations)]
        finer = middle + width * np.linspace(-1.0, 1.0, 33)
        thresholds = np.concatenate([thresholds, finer])
        correlations = np.concatenate([correlations, methods.ridge_correlations(found, h.threshold, finer)])
        width /= 16.0
    thresholds, where = np.unique(thresholds, return_index=True)
    return _profile(thresholds, np.clip(0.5 * (1.0 - correlations[where]), 0.0, 1.0), "series")


def _sampled_profile(h: Plane, g: Plane, tie: int, n_samples: int, rng: RandomState) -> ThresholdProfile:
    first, second = methods.sampled_margins(h, g, n_samples, as_generator(rng))
    order = np.argsort(second, kind="stable")
    values, signs = second[order] + g.threshold, methods.signs_of(first[order], tie)
    share = np.full(n_samples, 1.0 / n_samples)
    probabilities = _cumulative(share, (signs == 1) * share, (signs == -1) * share)
    # A cut between equal sums is none.
    cuts = np.concatenate([[True], np.diff(values) > 0.0, [True]])
    return _profile(_between(values)[cuts], probabilities[cuts], "estimated")
