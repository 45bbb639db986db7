"""Attacks that flip binary features, one sample at a time, from nothing but a function that returns logits.

Every candidate is written out and evaluated. ``logits`` maps signs (m, n) to an array (m, n_classes); the class is that of
the largest logit, the lowest of equal ones. Results are lists of flipped features, or None where the class stays.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, islice

import numpy as np

__all__ = ["exhaustive_flips", "greedy_flips", "jsma", "network_logits"]

Logits = Callable[[np.ndarray], np.ndarray]

_ROWS = 4096


def network_logits(
    weights: np.ndarray,
    hidden_bias: np.ndarray,
    output: np.ndarray,
    bias: np.ndarray,
    activation: str,
    tie: int = 1,
) -> Logits:
    """Return the function ``x -> f(x W + b) V + c``, in float64.

    Parameters
    ----------
    weights, hidden_bias, output, bias : ndarray
        W (n, n_hidden), b (n_hidden,), V (n_hidden, n_classes), c (n_classes,).
    activation : {"sign", "tanh", "scaled_logistic", "relu"}
        ``scaled_logistic`` is ``2 / (1 + exp(-z)) - 1``.
    tie : {1, 0, -1}
        ``sgn(0)``.

    Returns
    -------
    callable

    Examples
    --------
    >>> import numpy as np
    >>> network_logits(np.eye(1), np.zeros(1), np.array([[2.0, -2.0]]), np.zeros(2), "sign")(np.array([[-1]])).tolist()
    [[-2.0, 2.0]]
    """
    functions: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "sign": lambda z: np.where(z == 0, float(tie), np.sign(z)),
        "tanh": np.tanh,
        "scaled_logistic": lambda z: 2.0 / (1.0 + np.exp(-z)) - 1.0,
        "relu": lambda z: np.maximum(z, 0.0),
    }
    f = functions[activation]
    w, b, v, c = (array.astype(np.float64) for array in (weights, hidden_bias, output, bias))
    return lambda signs: f(signs.astype(np.float64) @ w + b) @ v + c


def _flipped(signs: np.ndarray, features: list[int]) -> np.ndarray:
    """Return one row for each feature, with that feature flipped."""
    rows = np.repeat(signs[None, :], len(features), axis=0)
    for row, feature in zip(rows, features):
        row[feature] = -row[feature]
    return rows


def _allowed(signs: np.ndarray, may_add: np.ndarray, may_remove: np.ndarray) -> list[int]:
    return [i for i in range(len(signs)) if (may_add[i] if signs[i] > 0 else may_remove[i])]


def jsma(
    logits: Logits,
    signs: np.ndarray,
    label: int,
    target: int,
    may_add: np.ndarray,
    may_remove: np.ndarray,
    costs: np.ndarray,
    max_flips: int,
) -> list[int] | None:
    """Flip the feature of largest saliency until the class changes.

    The saliency of a feature is ``-D_t D_o / cost`` if ``D_t > 0`` and ``D_o < 0``, else 0, with ``D_t`` the change of the
    target's logit and ``D_o`` the sum of the changes of all others; the lowest of equal ones is taken, and none twice.

    Parameters
    ----------
    logits : callable
    signs : ndarray, shape (n,)
        The sample.
    label, target : int
        Its class, and the one to raise.
    may_add, may_remove : ndarray of bool, shape (n,)
        Whether a sign +1, -1 may change.
    costs : ndarray, shape (n,)
    max_flips : int

    Returns
    -------
    list of int or None
        In the order of the flips.

    Examples
    --------
    >>> import numpy as np
    >>> rule = lambda x: np.stack([x.sum(axis=1), -x.sum(axis=1)], axis=1)
    >>> free = np.ones(3, bool)
    >>> jsma(rule, np.array([1, 1, -1]), 0, 1, free, free, np.ones(3), 5)
    [0]
    """
    x = signs.copy()
    flips: list[int] = []
    left = _allowed(signs, may_add, may_remove)
    while True:
        now = logits(x[None, :])[0]
        if int(np.argmax(now)) != label:
            return flips
        if not left or len(flips) == max_flips:
            return None
        change = logits(_flipped(x, left)) - now
        d_target = change[:, target]
        d_others = np.delete(change, target, axis=1).sum(axis=1)
        saliency = np.where((d_target > 0) & (d_others < 0), -d_target * d_others, 0.0) / costs[left]
        feature = left.pop(int(np.argmax(saliency)))
        x[feature] = -x[feature]
        flips.append(feature)


def _margin(values: np.ndarray, label: int) -> np.ndarray:
    return values[:, label] - np.delete(values, label, axis=1).max(axis=1)


def greedy_flips(
    logits: Logits,
    signs: np.ndarray,
    label: int,
    may_add: np.ndarray,
    may_remove: np.ndarray,
    costs: np.ndarray,
    max_flips: int,
    prune: bool = True,
) -> list[int] | None:
    """Flip the feature that lowers the label's margin most for its cost until the class changes, then prune.

    A flip that raises the margin by r counts as ``-r cost``. Pruning tries to undo the flips, the dearest first and the
    latest of equal cost, and starts again after each one that was not needed.

    Parameters
    ----------
    logits, signs, label, may_add, may_remove, costs, max_flips
        As for :func:`jsma`.
    prune : bool

    Returns
    -------
    list of int or None

    Examples
    --------
    >>> import numpy as np
    >>> rule = lambda x: np.stack([x @ [1.0, 3.0], -x @ [1.0, 3.0]], axis=1)
    >>> free = np.ones(2, bool)
    >>> greedy_flips(rule, np.array([1, 1]), 0, free, free, np.ones(2), 5)
    [1]
    """
    x = signs.copy()
    flips: list[int] = []
    left = _allowed(signs, may_add, may_remove)
    while True:
        now = logits(x[None, :])
        if int(np.argmax(now)) != label:
            break
        if not left or len(flips) == max_flips:
            return None
        gain = _margin(now, label) - _margin(logits(_flipped(x, left)), label)
        gain = np.where(gain > 0, gain / costs[left], gain * costs[left])
        feature = left.pop(int(np.argmax(gain)))
        x[feature] = -x[feature]
        flips.append(feature)
    again = prune
    while again and len(flips) > 1:
        again = False
        for at in sorted(range(len(flips)), key=lambda at: (-costs[flips[at]], -at)):
            without = x.copy()
            without[flips[at]] = -without[flips[at]]
            if int(np.argmax(logits(without[None, :])[0])) != label:
                x, again = without, True
                del flips[at]
                break
    return flips


def exhaustive_flips(
    logits: Logits,
    signs: np.ndarray,
    label: int,
    may_add: np.ndarray,
    may_remove: np.ndarray,
    costs: np.ndarray,
    max_flips: int,
) -> tuple[list[int] | None, int]:
    """Try every set of flips: the cheapest one that changes the class, the first of equal ones.

    Parameters
    ----------
    logits, signs, label, may_add, may_remove, costs, max_flips
        As for :func:`jsma`.

    Returns
    -------
    flips : list of int or None
        In ascending order; sets come by size, then in lexicographic order.
    bound : int
        The smallest size with a success; without any, one more than the largest size tried.

    Examples
    --------
    >>> import numpy as np
    >>> rule = lambda x: np.stack([x.sum(axis=1), -x.sum(axis=1)], axis=1)
    >>> free = np.ones(4, bool)
    >>> exhaustive_flips(rule, np.ones(4), 0, free, free, np.ones(4), 4)
    ([0, 1, 2], 3)
    """
    if int(np.argmax(logits(signs[None, :])[0])) != label:
        return [], 0
    allowed = _allowed(signs, may_add, may_remove)
    best: list[int] | None = None
    least, bound = np.inf, min(max_flips, len(allowed)) + 1
    floor = np.cumsum(np.sort(costs[allowed]))
    for size in range(1, min(max_flips, len(allowed)) + 1):
        if floor[size - 1] >= least:
            break
        sets = combinations(allowed, size)
        while block := list(islice(sets, _ROWS)):
            rows = np.repeat(signs[None, :], len(block), axis=0)
            for row, flips in zip(rows, block):
                row[list(flips)] *= -1
            for at in np.flatnonzero(logits(rows).argmax(axis=1) != label):
                bound = min(bound, size)
                cost = float(costs[list(block[at])].sum())
                if cost < least:
                    least, best = cost, list(block[at])
    return best, bound
