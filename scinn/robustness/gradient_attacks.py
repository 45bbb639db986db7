"""Continuous attacks of small l1 norm on detectors of binary features, with gradients by hand.

Notation of N. Raviv, A. Kelley, M. Guo, Y. Vorobeychik, "Enhancing Robustness of Neural Networks through Fourier
Stabilization", ICML 2021, PMLR 139:8880-8889: signs ``x in {-1, +1}^n``, logits ``L = f(x W + b) V + c``. An attack moves a
sample by delta within a box around the cube, the paper's within ``[-2, 2]^n``. Both attacks here descend the margin
``L_y - L_t`` to the largest other logit t, whose gradient is

    dX = ((V_y - V_t) * f'(Z)) W^T,    f'(Z) = (1 - A^2) / 2 for the scaled logistic function.

* :func:`fmn_l1` looks for the nearest misclassified point (M. Pintor et al., "Fast minimum-norm adversarial attacks through
  adaptive norm constraints", NeurIPS 2021), in place of the paper's Brendel and Bethge attack;
* :func:`pgd_l1` looks for a misclassified point within a given l1 ball by projected gradient steps.

Features that constraints hold back get no move, or moves of one sign only: a feature that may not be added does not go
down, one that may not be removed does not go up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from scinn._input import as_float_array, check_in_range, check_positive_int
from scinn.robustness.attack_results import ContinuousAttackResult
from scinn.robustness.attacks import as_model
from scinn.robustness.constraints import FeatureConstraints, resolve_constraints
from scinn.robustness.network import ShallowNetwork, activate, activation_gradient

__all__ = ["ContinuousAttackResult", "fmn_l1", "margin_gradient", "pgd_l1"]

#: Samples that move together: their arrays stay in the cache.
_BLOCK = 256


def margin_gradient(
    network: ShallowNetwork, points: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return margins to the largest other logit, their gradients, and which points are misclassified.

    Parameters
    ----------
    network : ShallowNetwork
    points : ndarray, shape (m, n_features)
        Any real points, in the dtype of the network; not validated.
    labels : ndarray of int, shape (m,)

    Returns
    -------
    margin : ndarray, shape (m,)
    gradient : ndarray, shape (m, n_features)
    wrong : ndarray of bool, shape (m,)
        Whether another class is the first of the largest logits.

    Examples
    --------
    >>> import numpy as np
    >>> network = ShallowNetwork([[1.0], [2.0]], [0.0], [[1.0, -1.0]], [0.0, 0.0], activation="tanh")
    >>> margin, gradient, wrong = margin_gradient(network, np.zeros((1, 2)), np.array([0]))
    >>> margin.tolist(), gradient.tolist(), wrong.tolist()
    ([0.0], [[2.0, 4.0]], [False])
    """
    a = activate(network.preactivations(points), network.activation, network.tie)
    logits = a @ network.output_weights + network.output_bias
    wrong = logits.argmax(axis=1) != labels
    rows = np.arange(len(labels))
    own = logits[rows, labels]
    logits[rows, labels] = -np.inf
    other = logits.argmax(axis=1)
    columns = network.output_weights.T
    dz = (columns[labels] - columns[other]) * activation_gradient(a, network.activation)
    return own - logits[rows, other], dz @ network.hidden_weights.T, wrong


def _cosine(first: float, last: float, step: int, n_steps: int) -> float:
    return last + (first - last) * (1.0 + np.cos(np.pi * step / n_steps)) / 2.0


def _direction(gradient: np.ndarray, length: float) -> np.ndarray:
    """Return gradients scaled to an l2 norm; zero stays zero, and tiny numbers do not underflow when squared."""
    largest = np.abs(gradient).max(axis=1, keepdims=True)
    unit = gradient / np.where(largest > 0, largest, 1)
    norm = np.sqrt(np.square(unit).sum(axis=1, keepdims=True))
    return unit * (gradient.dtype.type(length) / np.where(norm > 0, norm, 1))


class _Best:
    """The nearest misclassified point of each sample so far."""

    def __init__(self, x: np.ndarray) -> None:
        self.x, self.points, self.l1 = x, x.copy(), np.full(len(x), np.inf)

    def offer(self, points: np.ndarray, wrong: np.ndarray) -> np.ndarray:
        """Take over points that are misclassified and nearer; return the norms of all offered ones."""
        norms = np.abs(points - self.x).sum(axis=1, dtype=np.float64)
        better = wrong & (norms < self.l1)
        self.l1[better] = norms[better]
        self.points[better] = points[better]
        return norms


def _project(delta: np.ndarray, radius: np.ndarray) -> np.ndarray:
    from scinn.kernels.l1_ball import project_rows

    out = np.empty_like(delta)
    project_rows(delta, radius, out)
    return out


def _held_back(gradient: np.ndarray, points: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the gradient without the coordinates in which a step against it would leave the box at once."""
    return np.where(np.where(gradient > 0, points > low, points < high), gradient, gradient.dtype.type(0))


def _network_with_gradient(network: Any) -> ShallowNetwork:
    shallow, _ = as_model(network)
    if shallow is None:
        raise TypeError(
            f"network is a {type(network).__name__} that is no chain of one hidden layer; gradients are known of a "
            "ShallowNetwork only: attack others with jsma or greedy_flips"
        )
    if shallow.activation == "sign":
        raise ValueError(
            "sign neurons have no gradient to follow: attack them with jsma or greedy_flips, or attack "
            'network.replace(activation="tanh") in their place'
        )
    return shallow


def _box(box: Any) -> tuple[float, float]:
    ends = as_float_array(box, "box", shape=(2,), dtype=np.float64)
    if ends[0] > -1 or ends[1] < 1:
        raise ValueError(
            f"box is ({ends[0]:g}, {ends[1]:g}), which does not contain -1 and 1: pass (-1, 1) or wider"
        )
    return float(ends[0]), float(ends[1])


def _two(values: Any, name: str) -> list[float]:
    """Return the first and last value of a schedule."""
    numbers = as_float_array(values, name, dtype=np.float64)
    if numbers.shape != (2,):
        raise ValueError(
            f"{name} is {values!r}; two numbers are wanted, the first and the last of the schedule: for a constant one "
            f"pass {name}=(value, value)"
        )
    return [float(number) for number in numbers]


Move = Callable[[ShallowNetwork, np.ndarray, np.ndarray, np.ndarray, np.ndarray], _Best]


def _attack(
    network: Any,
    features: Any,
    labels: Any,
    constraints: FeatureConstraints | None,
    box: Any,
    encoding: str,
    name: str,
    move: Move,
) -> ContinuousAttackResult:
    """Check the arguments, move what is classified right, and put the result together.

    ``move(network, x, labels, low, high)`` works on the samples x; moved points lie between ``low`` and ``high``.
    """
    from threadpoolctl import threadpool_limits

    model = _network_with_gradient(network)
    ends = _box(box)
    signs = model.signs(features, encoding=encoding)
    known = model.known_labels(labels, len(signs))
    limits = resolve_constraints(constraints, model.n_features)
    if not limits.unit_costs:
        raise ValueError(
            "constraints hold costs; continuous attacks measure the plain l1 norm: leave the costs out, or use "
            "greedy_flips, which minds them"
        )
    x = signs.astype(model.dtype)
    adversarial = x.copy()
    wrong = model.logits_of_signs(signs).argmax(axis=1) != known if len(x) else np.zeros(0, dtype=bool)
    rows = np.flatnonzero(~wrong)
    # Small products on several threads wait for each other, and their bits depend on the number of threads.
    with threadpool_limits(limits=1, user_api="blas"):
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK]
            low = np.where(limits.may_add, model.dtype.type(ends[0]), x[block])
            high = np.where(limits.may_remove, model.dtype.type(ends[1]), x[block])
            adversarial[block] = move(model, x[block], known[block], low, high).points
    # Asked again all at once, as a user would: rounding may depend on the number of rows.
    missed = ~wrong
    if len(rows):
        missed &= model.logits_of_signs(adversarial).argmax(axis=1) == known
    adversarial[missed] = x[missed]
    l1 = np.abs(adversarial.astype(np.float64) - signs).sum(axis=1)
    l1[missed] = np.inf
    return ContinuousAttackResult(adversarial, l1, ~missed, wrong, name, ends)


def fmn_l1(
    network: Any,
    features: Any,
    labels: Any,
    *,
    n_steps: int = 200,
    box: Any = (-1.0, 1.0),
    gamma: tuple[float, float] = (0.05, 1e-4),
    alpha: tuple[float, float] = (1.0, 1e-5),
    constraints: FeatureConstraints | None = None,
    encoding: str = "auto",
) -> ContinuousAttackResult:
    """Look for the misclassified point of least l1 norm by the fast minimum-norm attack.

    Starting from delta = 0 and radius infinity, step k computes the margin and its gradient g at ``x + delta``. If the
    point is misclassified, the radius becomes ``min(best norm, radius) (1 - gamma_k)``; if none was so far, the first-order
    estimate ``||delta||_1 + margin / ||g||_inf``; else ``radius (1 + gamma_k)``. Then
    ``delta <- clip(project(delta - alpha_k g / ||g||_2))``, with the projection onto the l1 ball of that radius.
    Coordinates in which a step would leave the box at once do not count in g.

    Parameters
    ----------
    network : ShallowNetwork or scinn.nn.Network
        With one hidden layer, over signs, without sign neurons.
    features : array_like or sparse matrix, shape (n_samples, n_features)
        Bits or signs.
    labels : array_like of int, shape (n_samples,)
        The right classes.
    n_steps : int
        Steps; 200 to 1000 are sensible.
    box : (float, float)
        Where the moved points must lie, in every coordinate, in units of signs. Default: the hull of the cube. The paper's
        figures were made with (-2, 2).
    gamma, alpha : (float, float)
        First and last relative change of the radius, and length of a step; between them along a cosine.
    constraints : FeatureConstraints, optional
        What may change. Costs other than 1 are refused.
    encoding : {"auto", "bits", "signs"}
        What the features are.

    Returns
    -------
    ContinuousAttackResult
        Norms are upper bounds of the least ones.

    Raises
    ------
    ValueError
        For sign neurons, labels out of range, a box that does not contain the cube, gamma or alpha that are not two numbers
        in range, or constraints with costs.

    References
    ----------
    Pintor et al. (2021), algorithm 1 for the l1 norm.

    Examples
    --------
    >>> network = ShallowNetwork([[1.0], [2.0]], [0.0], [[1.0, -1.0]], [-0.1, 0.0], activation="tanh")
    >>> result = fmn_l1(network, [[0, 0]], [0])
    >>> result.success, bool(1.47 < result.l1[0] < 1.5)
    (array([ True]), True)
    """
    n_steps = check_positive_int(n_steps, "n_steps")
    gammas = [check_in_range(value, "gamma", 0.0, 1.0, "left") for value in _two(gamma, "gamma")]
    alphas = [check_in_range(value, "alpha", 0.0) for value in _two(alpha, "alpha")]

    def move(
        model: ShallowNetwork, x: np.ndarray, known: np.ndarray, low: np.ndarray, high: np.ndarray
    ) -> _Best:
        delta, radius, best = np.zeros_like(x), np.full(len(x), np.inf), _Best(x)
        for step in range(n_steps + 1):
            # The sum may round past the box where delta does not.
            points = np.clip(x + delta, low, high)
            margin, gradient, wrong = margin_gradient(model, points, known)
            norms = best.offer(points, wrong)
            if step == n_steps:
                break
            g = _held_back(gradient, points, low, high)
            rate = _cosine(gammas[0], gammas[1], step, n_steps)
            steepest = np.abs(g).max(axis=1).astype(np.float64)
            with np.errstate(divide="ignore", invalid="ignore"):
                # Without a gradient there is no estimate, and nothing to project.
                estimate = np.where(steepest > 0, norms + np.maximum(margin, 0) / steepest, np.inf)
            known_best = np.isfinite(best.l1)
            outward = np.where(known_best, radius * (1.0 + rate), estimate)
            radius = np.where(wrong, np.minimum(best.l1, radius) * (1.0 - rate), outward)
            delta = _project(delta - _direction(g, _cosine(alphas[0], alphas[1], step, n_steps)), radius)
            np.clip(delta, low - x, high - x, out=delta)
        return best

    return _attack(network, features, labels, constraints, box, encoding, "FMN-l1", move)


def pgd_l1(
    network: Any,
    features: Any,
    labels: Any,
    *,
    budget: float,
    n_steps: int = 50,
    step: float | None = None,
    box: Any = (-1.0, 1.0),
    constraints: FeatureConstraints | None = None,
    encoding: str = "auto",
) -> ContinuousAttackResult:
    """Look for a misclassified point within an l1 ball by projected gradient steps.

    ``delta <- clip(project(delta - step g / ||g||_2))``, with g the gradient of the margin and the projection onto the l1
    ball of radius ``budget``; the misclassified iterate of least norm is returned. No random start.

    Parameters
    ----------
    network, features, labels, box, constraints, encoding
        As for :func:`fmn_l1`.
    budget : float
        Largest l1 norm of a move, at least 0, in units of signs: a flip is 2.
    n_steps : int
        Steps.
    step : float, optional
        l2 length of a step; default ``2.5 budget / n_steps``.

    Returns
    -------
    ContinuousAttackResult
        No norm is above the budget; a sample that no point was found for counts as robust at every budget.

    Raises
    ------
    ValueError
        For a negative budget, and as for :func:`fmn_l1`.

    References
    ----------
    A. Madry et al. (2018), Towards deep learning models resistant to adversarial attacks, ICLR, for the l1 norm.

    Examples
    --------
    >>> network = ShallowNetwork([[1.0], [2.0]], [0.0], [[1.0, -1.0]], [-0.1, 0.0], activation="tanh")
    >>> [bool(pgd_l1(network, [[0, 0]], [0], budget=budget).success[0]) for budget in (1.4, 1.6)]
    [False, True]
    """
    budget = check_in_range(budget, "budget", 0.0)
    n_steps = check_positive_int(n_steps, "n_steps")
    length = 2.5 * budget / n_steps if step is None else check_in_range(step, "step", 0.0)

    def move(
        model: ShallowNetwork, x: np.ndarray, known: np.ndarray, low: np.ndarray, high: np.ndarray
    ) -> _Best:
        delta, best = np.zeros_like(x), _Best(x)
        # Held a few roundings inside, so that the norm of the moved point is within the budget.
        radius = np.full(len(x), budget * (1.0 - 16.0 * float(np.finfo(x.dtype).eps)))
        for number in range(n_steps + 1):
            points = np.clip(x + delta, low, high)
            _, gradient, wrong = margin_gradient(model, points, known)
            norms = np.abs(points - x).sum(axis=1, dtype=np.float64)
            best.offer(points, wrong & (norms <= budget))
            if number == n_steps:
                break
            g = _held_back(gradient, points, low, high)
            delta = _project(delta - _direction(g, length), radius)
            np.clip(delta, low - x, high - x, out=delta)
        return best

    return _attack(network, features, labels, constraints, box, encoding, "PGD-l1", move)
