"""How often two neurons differ on the cube, and the threshold with which they differ least.

Notation: x uniform on {-1,+1}^n; the old neuron h = sgn(<w,x> - theta), the new one g = sgn(<v,x> - mu). Stabilisation
replaces h by g, and ``Pr[g != h]`` is what it may cost in accuracy on uniform inputs. The ways to it are in
:mod:`scinn.robustness.joint_methods` and :mod:`scinn.robustness.joint_points`, upper bounds from Chow parameters in
:mod:`scinn.robustness.accuracy_drop`.

References
----------
N. Raviv, A. Kelley, M. Guo, Y. Vorobeychik (2021), Enhancing Robustness of Neural Networks through Fourier Stabilization,
ICML, PMLR 139, whose neurons these are; the probabilities are derived here.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from scinn._input import check_choice, check_positive_int
from scinn._plot import axes_or_new
from scinn.random import RandomState, as_generator
from scinn.robustness import joint_methods as methods
from scinn.robustness import joint_points as points
from scinn.robustness.accuracy_drop import (
    AccuracyDropBound,
    accuracy_drop_bound,
    as_neuron,
    check_same_length,
)
from scinn.robustness.dyadic import common_step, sums_are_exact
from scinn.robustness.joint_methods import Plane
from scinn.robustness.joint_tables import (
    MOST_POINTS,
    MOST_STATES,
    LatticeTable,
    affordable_pair,
    lattice_table,
    lattice_values,
    pair_table,
    series_table,
)
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
_MOST_SORTED = 20
# Cosines of a series that take about a second.
_MOST_COSINES = 2e9
# States of groups that are sorted.
_MOST_SORTED_STATES = 1 << 20
_CONFIDENCE = 0.999
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

    Examples
    --------
    >>> result = change_probability([2.0, 1.0, 1.0], 1.0, [1.0, 1.0, 1.0], 1.0)
    >>> result.to_dict()
    {'value': 0.125, 'half_width': 0.0, 'kind': 'exact', 'method': 'enumeration'}
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


@dataclass(frozen=True, eq=False)
class ThresholdProfile:
    """Pr[g != h] as a function of the threshold of g.

    Parameters
    ----------
    thresholds : ndarray of float64, shape (n_thresholds,)
        Ascending; for a neuron on a lattice one from each class of thresholds that are the same function. With ``tie`` 0
        values of <v,x> are among them, where v is on a lattice, or sums are free of rounding, and a float holds the value;
        with a series or a sample they are not.
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
        "exact": all points for up to 24 inputs with a weight; dynamic programming where both neurons live on small lattices;
        "groups", the numbers of positive signs among inputs of equal weights, where these have at most 1e7 values.
        "series": Fourier series, see :mod:`scinn.robustness.joint_methods`; generic weights, no mass on the plane, are
        assumed. "sampling": both neurons at common random points. "arccos": the angle between w and v over pi, the answer
        for Gaussian inputs and thresholds 0. "bound": :func:`accuracy_drop_bound`. "auto" takes the first of the first three
        that can be had in about a second; a series that is worth less than the sample is passed over, so that with thousands
        of inputs of different sizes the answer is mostly a sample.
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

    Notes
    -----
    Neurons are functions of the exact values of the given floats: 0.1 + 0.2 - 0.3 is not 0 but above it. Exact methods and
    samples decide such sums in integers; the series leave them undecided, and add their estimated mass to the half width.

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
        <v,x>, or on one of them where ``tie`` is 0. For up to 20 inputs, or few distinct sizes, likewise. Otherwise a grid
        that is finer around the least value, by the double series of :mod:`scinn.robustness.joint_methods`; or the
        quantiles of a sample, also where the series is worth less than the sample.

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
    h, g = _used(methods.plane_of(w, theta), methods.lattice_of(v))
    if g.lattice:
        table = lattice_table(h, g, tie)
        if table is not None and table.error <= _width(n_samples):
            return _lattice_profile(table, g, v, tie)
    # From here on in the units of the user.
    h, g = _used(methods.plane_of(w, theta), Plane(v, 0.0, False))
    if len(h.weights) <= _MOST_SORTED:
        return _sorted_profile(h, g, tie)
    groups = points.Groups(h, g)
    if groups.n_states <= _MOST_SORTED_STATES:
        return _grouped_profile(groups, g, tie)
    if not h.weights.any():
        # A constant neuron is met beyond all points of the cube, on one side or the other.
        beyond = float(np.abs(v).sum()) + 1.0
        side = int(methods.signs_of(np.array([-h.threshold]), tie)[0])
        return _profile(np.array([-beyond, beyond]), np.array([float(side != 1), float(side != -1)]), "exact")
    if not h.lattice and g.weights.any() and _affordable_ridge(h, g):
        # The ridge smooths the steps of sums on a lattice.
        mass = max(points.atom_mass(h), points.atom_mass(g))
        if mass <= _width(n_samples):
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
        mu. For v of equal sizes it is midway between two values of <v,x> (or beyond all), so that no point is on the plane;
        with ``tie`` 0 it may be a value of <v,x>, where that leaves fewer changes.

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
    >>> match_threshold([2.0, 1.0, 1.0], 1.0, [1.0, 1.0, 1.0])
    0.0
    """
    return threshold_profile(weights, threshold, new_weights, tie=tie, n_samples=n_samples, rng=rng).threshold


def _planes(w: np.ndarray, theta: float, v: np.ndarray, mu: float) -> tuple[Plane, Plane]:
    """Return both neurons on the inputs that matter to one of them."""
    return _used(methods.plane_of(w, theta), methods.plane_of(v, mu))


def _used(h: Plane, g: Plane) -> tuple[Plane, Plane]:
    used = (h.weights != 0.0) | (g.weights != 0.0)
    return h._replace(weights=h.weights[used]), g._replace(weights=g.weights[used])


def _angle(w: np.ndarray, v: np.ndarray) -> float:
    if not w.any() or not v.any():
        return 0.5 * math.pi
    return math.atan2(methods.sine_between(w, v), float(w @ v) / math.sqrt(float(w @ w) * float(v @ v)))


def _exact_change(h: Plane, g: Plane, tie: int) -> ChangeProbability | None:
    if len(h.weights) <= MOST_POINTS:
        return ChangeProbability(points.enumerated_changes(h, g, tie), 0.0, "exact", "enumeration")
    if not affordable_pair(h, g):
        groups = points.Groups(h, g)
        if groups.n_states > MOST_STATES:
            return None
        value = groups.changes(tie)
        return ChangeProbability(value, value * groups.error, "exact", "groups")
    table = pair_table(h, g, tie)
    return ChangeProbability(_change_of(table, g, tie), table.error, table.kind, table.method)


def _change_of(table: LatticeTable, g: Plane, tie: int) -> float:
    signs = methods.signs_of(lattice_values(g) - g.threshold, tie)
    same = float(table.plus[signs == 1].sum() + table.minus[signs == -1].sum())
    same += float((table.law - table.plus - table.minus)[signs == 0].sum())
    return min(1.0, max(0.0, 1.0 - same))


def _series_change(h: Plane, g: Plane, tie: int) -> ChangeProbability | None:
    if h.lattice and not g.lattice:
        h, g = g, h
    if g.lattice:
        table = None if h.lattice else series_table(h, g)
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
    error = 0.5 * error + 16.0 * _EPS + points.atom_mass(h) + points.atom_mass(g)
    return min(1.0, max(0.0, 0.5 * (1.0 - results[0]))), error


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
    error += points.atom_mass(h) + points.atom_mass(g)
    return ChangeProbability(
        value if ratio > 0.0 else 1.0 - value, error, "series", "one series, two thresholds"
    )


def _width(n_samples: int) -> float:
    """Return Hoeffding's half width for a frequency."""
    return math.sqrt(math.log(2.0 / (1.0 - _CONFIDENCE)) / (2.0 * n_samples))


def _sampled_change(h: Plane, g: Plane, tie: int, n_samples: int, rng: RandomState) -> ChangeProbability:
    first, second, _ = points.sampled_signs(h, g, n_samples, tie, as_generator(rng))
    return ChangeProbability(float(np.mean(first != second)), _width(n_samples), "estimated", "sampling")


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


def _with_ties(
    thresholds: np.ndarray,
    probabilities: np.ndarray,
    values: list[float | None],
    gains: np.ndarray,
    kind: str,
) -> ThresholdProfile:
    """Return the profile with the thresholds on the plane added, for sgn(0) = 0.

    ``values`` are the c classes of <v,x>, None where no float is on them; ``gains`` is how much more often than under the
    threshold below it a class differs once g is 0 on it.
    """
    exact = [c for c, value in enumerate(values) if value is not None]
    places = np.concatenate([thresholds, np.array([values[c] for c in exact], dtype=np.float64)])
    found = np.concatenate([probabilities, np.clip(probabilities[exact] + gains[exact], 0.0, 1.0)])
    order = np.argsort(places, kind="stable")
    return _profile(places[order], found[order], kind)


def _lattice_profile(table: LatticeTable, g: Plane, v: np.ndarray, tie: int) -> ThresholdProfile:
    taken = table.law > 0.0
    law, plus, minus = table.law[taken], table.plus[taken], table.minus[taken]
    probabilities = _cumulative(law, plus, minus)
    step = 1.0 if g.total == 0 else float(np.abs(v).max() / np.abs(g.weights).max())
    thresholds = step * _between(lattice_values(g)[taken])
    if tie or table.kind != "exact":
        return _profile(thresholds, probabilities, table.kind)
    # Below a class, g is +1 on it.
    exact_step = common_step(v)
    values: list[float | None] = []
    for place in lattice_values(g)[taken].tolist():
        value = int(place) * exact_step
        on_it = (exact_step != 0 or g.total == 0) and Fraction(float(value)) == value
        values.append(float(value) if on_it else None)
    return _with_ties(thresholds, probabilities, values, plus - (law - plus - minus), table.kind)


def _sorted_profile(h: Plane, g: Plane, tie: int) -> ThresholdProfile:
    chunks = [(signs, margins) for signs, _, margins in points.enumerated_signs(h, g, tie)]
    signs = np.concatenate([c[0] for c in chunks])
    values = np.concatenate([c[1] for c in chunks]) + g.threshold
    return _ordered_profile(np.full(len(signs), math.ldexp(1.0, -len(h.weights))), signs, values, g, tie)


def _grouped_profile(groups: points.Groups, g: Plane, tie: int) -> ThresholdProfile:
    chunks = [(law, signs, margins) for law, signs, _, margins in groups.states(tie)]
    law, signs, margins = (np.concatenate([c[i] for c in chunks]) for i in range(3))
    return _ordered_profile(law, signs, margins + g.threshold, g, tie)


def _apart(g: Plane) -> float:
    """Return the distance within which rounding may not tell two sums apart."""
    return (len(g.weights) + 4) * 2.0 * _EPS * float(np.abs(g.weights).sum())


def _ordered_profile(
    share: np.ndarray, signs: np.ndarray, values: np.ndarray, g: Plane, tie: int
) -> ThresholdProfile:
    order = np.argsort(values, kind="stable")
    values, signs, share = values[order], signs[order], share[order]
    # Sums that rounding cannot tell apart stay on one side.
    first = np.flatnonzero(np.concatenate([[True], np.diff(values) > _apart(g)]))
    law = np.add.reduceat(share, first)
    plus = np.add.reduceat(share * (signs == 1), first)
    minus = np.add.reduceat(share * (signs == -1), first)
    last = np.append(first[1:], len(values)) - 1
    thresholds = np.concatenate(
        [[values[0] - 1.0], 0.5 * (values[last[:-1]] + values[first[1:]]), [values[-1] + 1.0]]
    )
    probabilities = _cumulative(law, plus, minus)
    if tie or not sums_are_exact(g.weights[:, None])[0]:
        return _profile(thresholds, probabilities, "exact")
    return _with_ties(
        thresholds, probabilities, list(values[first].tolist()), plus - (law - plus - minus), "exact"
    )


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
    first, _, second = points.sampled_signs(h, g, n_samples, tie, as_generator(rng))
    order = np.argsort(second, kind="stable")
    values, signs = second[order] + g.threshold, first[order]
    share = np.full(n_samples, 1.0 / n_samples)
    probabilities = _cumulative(share, (signs == 1) * share, (signs == -1) * share)
    # A cut between equal sums is none.
    cuts = np.concatenate([[True], np.diff(values) > _apart(g), [True]])
    return _profile(_between(values)[cuts], probabilities[cuts], "estimated")
