"""Cheap bounds of the number of flips that evade a network: gains of single flips, few flips, greedy flips.

Notation of Raviv et al. (2021), "Enhancing Robustness of Neural Networks through Fourier Stabilization": signs x, hidden
layer ``z = x W + b``, logits ``f(z) V + c``, gap ``l_t - l_y`` between a class t and the label y. Flipping bit i adds
``-2 x_i W_ih`` to ``z_h``, whatever else is flipped. What is here is derived here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scinn._input import check_in_range
from scinn.robustness.constraints import resolve_constraints
from scinn.robustness.margins import Margins
from scinn.robustness.network import ShallowNetwork, activate

__all__ = ["exhaustive_search", "gain_bound", "gain_bounds", "greedy_search", "read_samples"]

_BLOCK = 1 << 20
#: Pairs times neurons up to which all pairs of flips are tried: about a tenth of a second.
PAIR_LIMIT = 3_000_000


def read_samples(
    network: Any, features: Any, labels: Any, encoding: str
) -> tuple[ShallowNetwork, np.ndarray, np.ndarray]:
    """Validate what every certificate is given; labels must be known."""
    if not isinstance(network, ShallowNetwork):
        raise TypeError(
            f"network is a {type(network).__name__}; a ShallowNetwork is wanted: convert it with "
            "ShallowNetwork.from_network or ShallowNetwork.from_mlp_classifier"
        )
    signs = network.signs(features, encoding=encoding)
    return network, signs, network.known_labels(labels, len(signs))


def gain_bound(
    network: Any,
    features: Any,
    labels: Any,
    *,
    constraints: Any = None,
    encoding: str = "auto",
    margin: float = 1e-6,
) -> np.ndarray:
    """Return a lower bound of the number of flips that evade, from the best gains of single flips in every neuron.

    For a class t let ``u_h = V_ht - V_hy``, and ``S_h(k)`` the sum of the k largest positive values among
    ``-2 x_i W_ih sgn(u_h)`` over the allowed flips i. The bound is the least k for which some class t has

    ``B_t(k) = c_t - c_y + sum_h u_h f(z_h + sgn(u_h) S_h(k)) >= margin``.

    Proof: k flips move ``z_h`` towards ``sgn(u_h)`` by ``S_h(k)`` at most, each neuron taken alone. As f does not decrease,
    ``u_h f(z_h)`` is at most its value there, and the gap at most ``B_t(k)``, which does not decrease in k. The bound is met
    where the same flips are best for all neurons. Rounding errors are bounded and taken to the attacker's side.

    It counts flips, whatever they cost, and is no bound of a cost; times the least cost of an allowed flip it is one.

    Parameters
    ----------
    network : ShallowNetwork
        Any activation. float32 weights are taken as the real numbers they are.
    features : array_like or sparse matrix, shape (n_samples, n_features)
        Bits or signs.
    labels : array_like of int, shape (n_samples,)
        True classes.
    constraints : FeatureConstraints, optional
        Which flips are allowed; costs are not used, since flips are counted.
    encoding : {"auto", "bits", "signs"}
        What the features are.
    margin : float
        An evasion makes the logit of another class exceed that of the label by this or more.

    Returns
    -------
    ndarray of int64, shape (n_samples,)
        0 for misclassified samples, -1 where no allowed flips evade (which is then proved).

    Raises
    ------
    ValueError
        For shapes that do not fit, labels out of range, or a negative margin.

    References
    ----------
    Derived here, in the proof above, for the networks and flips of Raviv et al. (2021).

    Examples
    --------
    >>> network = ShallowNetwork([[1], [1], [1]], [0], [[-1, 1]], [0, 0])
    >>> gain_bound(network, [[1, 1, 1], [1, 1, -1], [-1, -1, -1]], [1, 1, 1]).tolist()
    [2, 1, 0]
    """
    network, signs, y = read_samples(network, features, labels, encoding)
    rules = resolve_constraints(constraints, network.n_features)
    margins = Margins(network, check_in_range(margin, "margin", low=0.0))
    allowed = rules.may_flip(signs)
    result = np.zeros(len(signs), dtype=np.int64)
    right = correct(margins, signs, y)
    for i in np.flatnonzero(right):
        bounds = gain_bounds(margins, signs[i], int(y[i]), allowed[i])
        result[i] = -1 if np.isinf(bounds.min()) else int(bounds.min())
    return result


def correct(margins: Margins, signs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Tell which samples the network gets right, and not only by less than nothing: no gap reaches the margin."""
    z = margins.hidden(signs)
    predicted = margins.network.output(z).argmax(axis=1)
    return np.array(
        [p == y and not margins.evades(x, int(y)) for p, x, y in zip(predicted, signs, labels)], dtype=bool
    )


def changes(margins: Margins, signs: np.ndarray) -> np.ndarray:
    """Return what each flip adds to z, shape (n_features, n_hidden)."""
    return -2.0 * signs[:, None] * margins.weights


def best_sums(gains: np.ndarray) -> np.ndarray:
    """Return for each column the sums of its k largest positive entries, k = 0..n; shape (n + 1, n_columns)."""
    falling = -np.sort(-np.maximum(gains, 0.0), axis=0)
    return np.vstack([np.zeros((1, gains.shape[1])), np.cumsum(falling, axis=0)])


def gain_bounds(margins: Margins, signs: np.ndarray, label: int, allowed: np.ndarray) -> np.ndarray:
    """Return :func:`gain_bound` of one sample for each class, infinite for the label and where nothing evades."""
    z = margins.hidden(signs[None, :])[0]
    steps = changes(margins, signs)[allowed]
    up, down = best_sums(steps), best_sums(-steps)
    # Sums of changes are rounded too, and twice as large as z.
    slack = 4 * margins.hidden_error
    high = activate(z + slack + up, margins.activation, margins.tie)
    low = activate(z - slack - down, margins.activation, margins.tie)
    result = np.full(margins.output.shape[1], np.inf)
    for t in margins.targets(label):
        u = margins.output[:, t] - margins.output[:, label]
        gap = np.where(u > 0, high, low) @ u + (margins.output_bias[t] - margins.output_bias[label])
        reached = gap >= margins.margin - margins.gap_error(label)[t]
        # The sample itself is known not to evade, whatever rounding may suggest.
        reached[0] = False
        if reached.any():
            result[t] = reached.argmax()
    return result


def exhaustive_search(
    margins: Margins, signs: np.ndarray, label: int, free: np.ndarray, n_flips: int
) -> np.ndarray | None:
    """Return the indices of one or two flips that evade, or None where none do; exact.

    Parameters
    ----------
    margins : Margins
    signs : ndarray of int8, shape (n_features,)
    label : int
    free : ndarray of int
        Features that may flip.
    n_flips : {1, 2}
    """
    z = margins.hidden(signs[None, :])[0]
    steps = changes(margins, signs)[free]
    if n_flips == 1:
        return _first_evasion(margins, signs, label, z + steps, free[:, None])
    rows = max(1, _BLOCK // max(1, steps.size))
    for start in range(0, len(free), rows):
        first, second = np.triu_indices(min(rows, len(free) - start), 1, len(free) - start)
        first, second = first + start, second + start
        found = _first_evasion(
            margins,
            signs,
            label,
            z + steps[first] + steps[second],
            np.stack([free[first], free[second]], axis=1),
        )
        if found is not None:
            return found
    return None


def _first_evasion(
    margins: Margins, signs: np.ndarray, label: int, z: np.ndarray, flips: np.ndarray
) -> np.ndarray | None:
    sure, close = margins.screen(z, label)
    if sure.any():
        return flips[int(sure.argmax())]
    for row in np.flatnonzero(close):
        if margins.evades(flipped(signs, flips[row]), label):
            return flips[row]
    return None


def flipped(signs: np.ndarray, flips: np.ndarray) -> np.ndarray:
    """Return a copy with some signs turned."""
    result = signs.copy()
    result[flips] *= -1
    return result


def greedy_search(
    margins: Margins, signs: np.ndarray, label: int, free: np.ndarray, costs: np.ndarray
) -> np.ndarray | None:
    """Return the indices of flips that evade, found greedily, or None; the cheapest over all target classes.

    Each step takes the flip of largest gain per cost; flips that turn out superfluous are taken back. Sign neurons are
    smoothed for the choice, as single flips often change none of them.
    """
    best: np.ndarray | None = None
    for target in margins.targets(label):
        found = _greedy_to(margins, signs, label, int(target), free, costs)
        if found is not None and (best is None or costs[found].sum() < costs[best].sum()):
            best = found
    return best


def _greedy_to(
    margins: Margins, signs: np.ndarray, label: int, target: int, free: np.ndarray, costs: np.ndarray
) -> np.ndarray | None:
    u = margins.output[:, target] - margins.output[:, label]
    steps = changes(margins, signs)[free]
    width = 2 * np.sqrt((margins.weights**2).sum(axis=0)) + np.finfo(np.float64).tiny

    def score(z: np.ndarray) -> np.ndarray:
        if margins.activation == "sign":
            return np.tanh(z / width) @ u
        return activate(z, margins.activation) @ u

    z = margins.hidden(signs[None, :])[0]
    open_ = np.ones(len(free), dtype=bool)
    chosen: list[int] = []
    while not margins.evades(flipped(signs, free[chosen]), label):
        gains = np.where(open_, (score(z + steps) - score(z)) / costs[free], -np.inf)
        if not gains.size or gains.max() <= 0:
            return None
        pick = int(gains.argmax())
        open_[pick] = False
        chosen.append(pick)
        z = z + steps[pick]
    for pick in chosen[:-1]:
        fewer = [other for other in chosen if other != pick]
        if margins.evades(flipped(signs, free[fewer]), label):
            chosen = fewer
    return free[chosen]
