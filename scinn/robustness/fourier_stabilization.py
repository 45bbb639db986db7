"""Stabilising a neuron in closed form, and what that does to it, before a model is touched.

N. Raviv, A. Kelley, M. Guo, Y. Vorobeychik, "Enhancing Robustness of Neural Networks through Fourier Stabilization",
ICML 2021, PMLR 139:8880-8889. The authors' program and this derivation agree; the paper's own numbering was not available.

Notation: x uniform on the cube {-1, +1}^n; neuron ``h(x) = sgn(<w, x> - theta)``; margin ``m(x) = <w, x> - theta``; Chow
parameters ``c_0 = E h``, ``c_i = E h x_i``; ``1/p + 1/q = 1``. The l_p distance of x to the plane is ``|m(x)| / ||w||_q``.

The old neuron's labels are kept, and another plane (v, mu) is sought that is as far as possible from them on average,

    maximise  E[h (<v, x> - mu)] / ||v||_q = (<v, c> - mu c_0) / ||v||_q .

In v this is a linear form on the unit ball of l_q, so by Hoelder's inequality the maximum is ``||c||_p``, attained at

    v_i = sign(c_i) |c_i|^(p-1)     (1 < p < inf),       v_i = sign(c_i)     (p = 1),

and for p = inf with all weight on the largest ``|c_i|``. The scale is chosen so that ``||v||_q = ||w||_q``. The objective is
linear in mu with slope -c_0, so mu cannot be part of the optimisation; the rules for it are described at :func:`stabilize`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from scinn._input import as_float_array, check_choice, check_in_range
from scinn._plot import axes_or_new
from scinn.random import RandomState
from scinn.robustness.accuracy_drop import accuracy_drop_bound, check_reach
from scinn.robustness.chow import ChowResult, chow_parameters
from scinn.robustness.joint_law import ChangeProbability, change_probability, match_threshold
from scinn.robustness.network import ACTIVATIONS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "THRESHOLD_RULES",
    "StabilizedLayer",
    "StabilizedNeuron",
    "is_constant",
    "proxy_benefit",
    "stabilize",
    "stabilize_layer",
    "stabilized_columns",
]

THRESHOLD_RULES = ("keep", "zero", "joint", "match")
ZERO_INFLUENCE = ("sign", "drop")
SURROGATES = ("sign", "activation")
# A coefficient below this share of the largest is 0 where the error bound allows it; a wider bound decides nothing.
_NOISE = 1e-9
CONSTANT = "constant: its sign is the same on the whole cube, so there is nothing to stabilise"
_ALL_THRESHOLD = "its joint optimum has no weights, only a threshold; choose another threshold rule"
_TOO_SMALL = "nearly constant: its Chow parameters are too small to be told from 0"


@dataclass(frozen=True, repr=False, eq=False)
class StabilizedNeuron:
    """A stabilised neuron and the report about it.

    Distances are l_p distances to the decision plane, averaged over the cube. All of them are those of the sign of the
    neuron, whatever its activation.

    Parameters
    ----------
    weights : ndarray, shape (n,)
        v, in the dtype of the original weights.
    threshold : float
        mu.
    original_weights : ndarray, shape (n,)
        w.
    original_threshold : float
        theta.
    p : float
        Of the distance.
    threshold_rule, zero_influence, surrogate : str
        As asked for.
    changed : bool
        False where the neuron was left as it was.
    reason : str
        Why it was left as it was; empty otherwise.
    chow : ChowResult
        Of the sign of the original neuron.
    distance_before : float
        ``E|m| / ||w||_q``.
    signed_distance : float
        ``(<v, c> - mu c_0) / ||v||_q``: average distance of the new plane, counted negative where the new neuron
        contradicts the old one.
    distance_after : float
        Average distance of the new plane, ``E|<v, x> - mu| / ||v||_q``.
    optimum : float
        ``||c||_p - mu c_0 / ||v||_q``: what no plane with this threshold and norm exceeds.
    change : ChangeProbability or None
        Of the new neuron's answer differing from the old one's; None where no report was asked for.
    change_bound : float or None
        A proven bound of that probability, :func:`scinn.robustness.accuracy_drop_bound`.
    """

    weights: np.ndarray
    threshold: float
    original_weights: np.ndarray
    original_threshold: float
    p: float
    threshold_rule: str
    zero_influence: str
    surrogate: str
    changed: bool
    reason: str
    chow: ChowResult
    distance_before: float
    signed_distance: float
    distance_after: float
    optimum: float
    change: ChangeProbability | None = field(default=None)
    change_bound: float | None = None

    @property
    def benefit(self) -> float:
        """Gain of the objective: signed distance after, minus distance before."""
        return self.signed_distance - self.distance_before

    @property
    def proxy_benefit(self) -> float:
        """What the authors' program maximises, see :func:`proxy_benefit`."""
        return float(proxy_benefit(self.original_weights[:, None], self.weights[:, None], self.p)[0])

    def to_dict(self) -> dict[str, Any]:
        """Return the report as what JSON can hold."""
        return {
            "p": self.p if math.isfinite(self.p) else "inf",
            "threshold_rule": self.threshold_rule,
            "changed": self.changed,
            "reason": self.reason,
            "threshold_before": float(self.original_threshold),
            "threshold_after": float(self.threshold),
            "distance_before": self.distance_before,
            "signed_distance": self.signed_distance,
            "distance_after": self.distance_after,
            "optimum": self.optimum,
            "benefit": self.benefit,
            "proxy_benefit": self.proxy_benefit,
            "change": None if self.change is None else self.change.to_dict(),
            "change_bound": self.change_bound,
            "chow": {"kind": self.chow.kind, "method": self.chow.method, "bound": self.chow.bound},
        }

    def __repr__(self) -> str:
        n = len(self.weights)
        if not self.changed:
            return f"StabilizedNeuron({n} features, left as it was; {self.reason})"
        change = (
            "" if self.change is None else f", changes its answer with probability {self.change.value:.4g}"
        )
        return (
            f"StabilizedNeuron({n} features, p = {self.p:g}: average distance {self.distance_before:.4g} -> "
            f"{self.signed_distance:.4g}, optimum {self.optimum:.4g}{change})"
        )


@dataclass(frozen=True, repr=False, eq=False)
class StabilizedLayer:
    """A layer of stabilised neurons with one report each.

    Parameters
    ----------
    weights : ndarray, shape (n_features, n_hidden)
        One column for each neuron.
    thresholds : ndarray, shape (n_hidden,)
    neurons : tuple of StabilizedNeuron
    """

    weights: np.ndarray
    thresholds: np.ndarray
    neurons: tuple[StabilizedNeuron, ...]

    @property
    def unchanged(self) -> dict[int, str]:
        """The neurons that were left as they were, with the reason."""
        return {j: neuron.reason for j, neuron in enumerate(self.neurons) if not neuron.changed}

    def to_dict(self) -> dict[str, Any]:
        """Return the reports as what JSON can hold."""
        return {
            "n_features": int(self.weights.shape[0]),
            "n_hidden": int(self.weights.shape[1]),
            "neurons": [{"neuron": j, **neuron.to_dict()} for j, neuron in enumerate(self.neurons)],
        }

    def __repr__(self) -> str:
        before = [f"{neuron.distance_before:.4g}" for neuron in self.neurons]
        lines = [f"StabilizedLayer({self.weights.shape[0]} features, {len(self.neurons)} neurons)"]
        lines.append("  neuron  distance before  after, signed  optimum   answer changes")
        for j, neuron in enumerate(self.neurons):
            if not neuron.changed:
                lines.append(f"  {j:>6}  {before[j]:<15}  {neuron.reason}")
                continue
            change = "" if neuron.change is None else f"{neuron.change.value:.4g} ({neuron.change.kind})"
            lines.append(
                f"  {j:>6}  {before[j]:<15}  {neuron.signed_distance:<13.4g}  {neuron.optimum:<8.4g}  {change}"
            )
        return "\n".join(lines)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the average distance of every neuron before and after.

        The second bar is what the method maximises: points whose answer changes count negative there.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Drawn into; by default a new figure's.

        Returns
        -------
        matplotlib Axes
        """
        ax = axes_or_new(ax)
        place = np.arange(len(self.neurons))
        ax.bar(place - 0.2, [n.distance_before for n in self.neurons], 0.4, label="before")
        signed = [n.signed_distance for n in self.neurons]
        ax.bar(place + 0.2, signed, 0.4, label="after, minus where the answer changes")
        ax.plot(place + 0.2, [n.distance_after for n in self.neurons], "k_", markersize=9, label="after")
        p = self.neurons[0].p if self.neurons else 1.0
        # Room for the legend above the bars.
        ax.set_ylim(0.0, 1.35 * max((n.distance_after for n in self.neurons), default=1.0) or 1.0)
        ax.set_xlabel("hidden neuron")
        ax.set_ylabel(f"average $\\ell_{{{p:g}}}$ distance to the plane")
        ax.legend(loc="upper left", ncols=2, fontsize="small")
        return ax


def conjugate(p: float) -> float:
    """Return q with ``1/p + 1/q = 1``.

    Examples
    --------
    >>> conjugate(1.0), conjugate(2.0), conjugate(math.inf)
    (inf, 2.0, 1.0)
    """
    if p == 1.0:
        return math.inf
    return 1.0 if math.isinf(p) else p / (p - 1.0)


def norm(values: np.ndarray, q: float) -> float:
    """Return ``||values||_q`` in float64, without overflow or underflow."""
    sizes = np.abs(np.asarray(values, dtype=np.float64))
    top = float(sizes.max(initial=0.0))
    if top == 0.0 or math.isinf(q):
        return top
    if q == 1.0:
        return math.fsum(sizes)
    return top * math.fsum((sizes / top) ** q) ** (1.0 / q)


def is_constant(weights: np.ndarray, threshold: float, tie: int = 1) -> bool:
    """Tell whether ``sgn(<w, x> - theta)`` is the same on the whole cube; nothing is validated.

    Examples
    --------
    >>> import numpy as np
    >>> is_constant(np.array([1.0, 1.0]), 2.5), is_constant(np.array([1.0, 1.0]), -2.0), is_constant(np.ones(2), 2.0)
    (True, True, False)
    """
    sizes = np.abs(np.asarray(weights, dtype=np.float64)).tolist()
    # The sums are rounded once, so that their signs are exact.
    highest, lowest = math.fsum([*sizes, -threshold]), math.fsum([*(-s for s in sizes), -threshold])
    if highest == lowest:
        return True
    return lowest > 0 or highest < 0 or (lowest == 0 and tie == 1) or (highest == 0 and tie == -1)


def stabilized_columns(weights: np.ndarray) -> np.ndarray:
    """Return ``sign(w) max|w|`` for each column: the stabilised weights for p = 1, as in the authors' program.

    Parameters
    ----------
    weights : ndarray, shape (n_features, n_hidden)

    Returns
    -------
    ndarray, same shape and dtype
        ``sign(0) = 0``.

    Examples
    --------
    >>> import numpy as np
    >>> stabilized_columns(np.array([[0.5], [-2.0], [0.0]])).ravel().tolist()
    [2.0, -2.0, 0.0]
    """
    return np.sign(weights) * np.abs(weights).max(axis=0, initial=0.0)


def proxy_benefit(before: np.ndarray, after: np.ndarray, p: float = 1.0) -> np.ndarray:
    """Return by how much the largest distance of any point of the cube to each plane through 0 grows.

    For p = 1 and no zero weights this is ``n - ||w||_1 / ||w||_inf``, by which the authors' program ranks neurons. It is the
    gain of the *largest* margin, not of the average distance that the method is about.

    Parameters
    ----------
    before, after : ndarray, shape (n_features, n_hidden)
        Weights.
    p : float, default 1.0
        Of the distance.

    Returns
    -------
    ndarray of float64, shape (n_hidden,)

    Examples
    --------
    >>> import numpy as np
    >>> proxy_benefit(np.array([[1.0], [0.5]]), np.array([[1.0], [1.0]])).tolist()
    [0.5]
    """
    q = conjugate(p)

    def largest(w: np.ndarray) -> float:
        size = norm(w, q)
        return norm(w, 1.0) / size if size else 0.0

    return np.array([largest(after[:, j]) - largest(before[:, j]) for j in range(before.shape[1])])


def _direction(
    c: np.ndarray, bound: float, weights: np.ndarray, p: float, zero_influence: str, joint: bool = False
) -> np.ndarray:
    """Return the optimal direction, not yet scaled, in float64."""
    nothing = _indistinct(c, bound)
    if p == 1.0:
        # sign(c_i) = sign(w_i) wherever weight i decides anything at all.
        direction = np.sign(weights).astype(np.float64)
        if zero_influence == "drop":
            direction[nothing] = 0.0
        return direction
    # What cannot be told from 0 must not become a direction: for p near 1 even rounding would.
    c = np.where(nothing, 0.0, c)
    top = float(np.abs(c).max())
    share = np.abs(c) / top
    if math.isinf(p):
        return np.sign(c) * (share >= 1.0 - max(2.0 * bound / top, 1e-12))
    # The sign of an uncertain coefficient is still that of its weight; a threshold, last, has no such tie.
    signs = np.sign(c)
    tied = len(weights) - int(joint)
    signs[:tied] = np.where(nothing[:tied], 0.0, np.sign(weights[:tied]))
    return signs * share ** (p - 1.0)


def _indistinct(c: np.ndarray, bound: float) -> np.ndarray:
    """Tell which coefficients count as 0: those within the bound, unless the bound is too wide to say so."""
    return np.abs(c) <= min(bound, _NOISE * float(np.abs(c).max()))


def _distance(weights: np.ndarray, threshold: float, value: np.ndarray, q: float) -> float:
    """Return ``(<w, c> - theta c_0) / ||w||_q``."""
    products = (weights.astype(np.float64) * value[1:]).tolist()
    return math.fsum([*products, -threshold * value[0]]) / norm(weights, q)


def check_p(p: Any) -> float:
    """Return the p of a norm, at least 1 and perhaps infinite."""
    if isinstance(p, float | np.floating) and math.isinf(p) and p > 0:
        return math.inf
    if isinstance(p, int | float | np.integer | np.floating) and not isinstance(p, bool) and p < 1:
        raise ValueError(
            f"p is {p}; a number >= 1 or math.inf is wanted: for p < 1 there is no norm and no closed form"
        )
    return check_in_range(p, "p", 1.0)


def stabilize(
    weights: Any,
    threshold: float = 0.0,
    *,
    p: float = 1.0,
    activation: str = "sign",
    tie: int = 1,
    threshold_rule: str = "keep",
    zero_influence: str = "sign",
    surrogate: str = "sign",
    report: bool = True,
    rng: RandomState = 0,
) -> StabilizedNeuron:
    r"""Stabilise a neuron ``f(<w, x> - theta)`` in closed form, without data.

    Parameters
    ----------
    weights : array_like, shape (n,)
        w. float32 stays float32.
    threshold : float, default 0.0
        theta; in a layer ``z = x W + b`` it is ``-b``.
    p : float, default 1.0
        Of the distance, from 1 to ``math.inf``. p = 1 counts flipped bits, and is the paper's choice.
    activation : {"sign", "tanh", "scaled_logistic", "relu"}
        f. It matters only with ``surrogate="activation"``.
    tie : {1, 0, -1}
        ``sgn(0)``.
    threshold_rule : {"keep", "zero", "joint", "match"}
        T1 ``"keep"``: mu = theta, what the paper's greedy experiments do. T2 ``"zero"``: mu = 0, to be followed by
        :func:`scinn.robustness.retrain_biases`. T3 ``"joint"``: theta is the weight of a constant input, and the norms are
        over n + 1 entries. T4 ``"match"``: the mu for which the new neuron changes the fewest answers.
    zero_influence : {"sign", "drop"}
        For p = 1, what a weight becomes that never decides (c_i = 0 although w_i is not): ``"sign"`` makes it as large as
        the others, as the authors' program does, which changes the function; ``"drop"`` makes it 0, which the closed form
        allows as well.
    surrogate : {"sign", "activation"}
        Whose coefficients are used for p > 1: those of the sign, or those of the activation itself.
    report : bool, default True
        Whether to compute the probability that the answer changes, which costs more than all the rest.
    rng : int, SeedSequence, Generator, Key or None
        For the probability where it has to be sampled.

    Returns
    -------
    StabilizedNeuron
        A neuron whose sign is constant on the cube comes back as it was, with the reason.

    Raises
    ------
    ValueError
        For NaN weights, p < 1, or unknown choices.

    References
    ----------
    Raviv et al. (2021) for p = 1 and 1 < p < inf; p = inf, T3 and T4 are derived here.

    Examples
    --------
    >>> import numpy as np
    >>> result = stabilize([3.0, -1.0, 1.0, 0.5], 0.25)
    >>> result.weights.tolist(), result.threshold
    ([3.0, -3.0, 3.0, 3.0], 0.25)
    >>> bool(result.distance_after > result.distance_before)
    True
    """
    w = as_float_array(weights, "weights", ndim=1)
    if w.size == 0:
        raise ValueError("weights is empty; one weight for each feature is wanted")
    theta = check_in_range(threshold, "threshold")
    check_reach(w, theta)
    p = check_p(p)
    check_choice(activation, "activation", ACTIVATIONS)
    tie = check_choice(tie, "tie", (1, 0, -1))
    check_choice(threshold_rule, "threshold_rule", THRESHOLD_RULES)
    check_choice(zero_influence, "zero_influence", ZERO_INFLUENCE)
    check_choice(surrogate, "surrogate", SURROGATES)
    q = conjugate(p)
    chow = chow_parameters(w, theta, tie=tie, rng=rng)
    size = norm(w, q)
    before = _distance(w, theta, chow.value, q) if size else 0.0

    def result(v: np.ndarray, mu: float, reason: str, **more: Any) -> StabilizedNeuron:
        return StabilizedNeuron(
            v,
            mu,
            w,
            theta,
            p,
            threshold_rule,
            zero_influence,
            surrogate,
            not reason,
            reason,
            chow,
            before,
            **more,
        )

    def untouched(reason: str) -> StabilizedNeuron:
        return result(w, theta, reason, signed_distance=before, distance_after=before, optimum=before)

    if is_constant(w, theta, tie):
        return untouched(CONSTANT)
    source = chow
    if surrogate == "activation" and activation != "sign":
        source = chow_parameters(w, theta, activation=activation, rng=rng)
    by_sign_alone = p == 1.0 and zero_influence == "sign" and threshold_rule != "joint"
    if not by_sign_alone and not np.abs(source.value[1:]).max() > source.bound:
        return untouched(_TOO_SMALL)
    v, mu = _new_plane(w, theta, source, p, tie, threshold_rule, zero_influence)
    if not v.any():
        return untouched(_ALL_THRESHOLD)
    after = chow_parameters(v, mu, tie=tie, rng=rng)
    new_size = norm(v, q)
    return result(
        v,
        mu,
        "",
        signed_distance=_distance(v, mu, chow.value, q),
        distance_after=_distance(v, mu, after.value, q),
        optimum=norm(chow.value[1:], p) - mu * float(chow.value[0]) / new_size,
        change=change_probability(w, theta, v, mu, tie=tie, rng=rng) if report else None,
        change_bound=float(accuracy_drop_bound(w, theta, v, mu, tie=tie).value) if report else None,
    )


def _new_plane(
    w: np.ndarray,
    theta: float,
    source: ChowResult,
    p: float,
    tie: int,
    threshold_rule: str,
    zero_influence: str,
) -> tuple[np.ndarray, float]:
    """Return weights and threshold of the stabilised neuron, from the coefficients of the neuron or of its activation."""
    q = conjugate(p)
    value = source.value
    if threshold_rule == "joint":
        # The threshold is the weight of an input that is always 1.
        extended = np.concatenate([w.astype(np.float64), [-theta]])
        c = np.concatenate([value[1:], value[:1]])
        direction = _direction(c, source.bound, extended, p, zero_influence, joint=True)
        if p == 1.0:
            # Nothing ties the sign of c_0 to that of the threshold.
            direction[-1] = 0.0 if _indistinct(c, source.bound)[-1] else np.sign(c[-1])
        v = direction * (norm(extended, q) / norm(direction, q))
        return v[:-1].astype(w.dtype), float(-v[-1])
    direction = _direction(value[1:], source.bound, w, p, zero_influence)
    if p == 1.0:
        v = (direction * float(np.abs(w).max())).astype(w.dtype)
    else:
        v = (direction * (norm(w, q) / norm(direction, q))).astype(w.dtype)
    if threshold_rule == "zero":
        return v, 0.0
    if threshold_rule == "match":
        return v, match_threshold(w, theta, v, tie=tie)
    return v, theta


def stabilize_layer(weights: Any, thresholds: Any, **options: Any) -> StabilizedLayer:
    """Stabilise every neuron of a layer.

    Parameters
    ----------
    weights : array_like, shape (n_features, n_hidden)
        One column for each neuron.
    thresholds : array_like, shape (n_hidden,)
        theta; in a layer ``z = x W + b`` it is ``-b``.
    **options
        As for :func:`stabilize`.

    Returns
    -------
    StabilizedLayer

    Examples
    --------
    >>> layer = stabilize_layer([[3.0, 1.0], [-1.0, 1.0], [1.0, 1.0]], [0.0, 5.0], report=False)
    >>> layer.weights.tolist()
    [[3.0, 1.0], [-3.0, 1.0], [3.0, 1.0]]
    >>> list(layer.unchanged)
    [1]
    """
    w = as_float_array(weights, "weights", ndim=2)
    theta = as_float_array(thresholds, "thresholds", shape=(w.shape[1],))
    return _layer([stabilize(w[:, j], float(theta[j]), **options) for j in range(w.shape[1])], w)


def _layer(neurons: Sequence[StabilizedNeuron], weights: np.ndarray) -> StabilizedLayer:
    columns = [neuron.weights for neuron in neurons]
    stacked = np.stack(columns, axis=1) if columns else weights.copy()
    return StabilizedLayer(stacked, np.array([neuron.threshold for neuron in neurons]), tuple(neurons))
