"""Chow parameters of neurons whose weights have few distinct sizes, counted group by group.

The notation is that of :mod:`scinn.robustness.chow_games`. Of k weights of one size only the number r of those with
``y_i = +1`` matters, which is binomial: d sizes with multiplicities k_1, ..., k_d have ``prod (k_g + 1)`` states instead of
2^n points. For a sign the largest group needs no states: given the others it answers -1 for ``r <= T``, with a probability
that is read from a table. With A_g(r) the mean answer given r in group g and b_k(r) = binom(k, r) / 2^k,

    E f = sum_r b_k(r) A_g(r),       E f y_i = sum_{r < k} b_{k-1}(r) (A_g(r + 1) - A_g(r)) / 2       for i in g.

Margins are compared as integers. All sums are of terms whose roundings are counted, so that the bounds are proven.

References
----------
N. Raviv, A. Kelley, M. Guo, Y. Vorobeychik (2021), Enhancing Robustness of Neural Networks through Fourier Stabilization,
ICML, PMLR 139. The grouping is derived here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from scinn.robustness.chow_games import Game, Outcome

__all__ = ["MOST_STATES", "Groups", "grouped", "grouped_function", "groups_of", "n_states"]

#: Most states that are gone through: about a second, and 200 MB.
MOST_STATES = 4_000_000
# With more sizes than this no vector of more than 24 weights has fewer states.
_MOST_SIZES = 22
_ROUNDING = 2.0**-53
_WORD = 62
# Quotients of more bits have no digits in a float where they matter.
_MOST_BITS = 60


class Groups(NamedTuple):
    """Weights by size.

    Parameters
    ----------
    sizes : tuple
        Distinct sizes, positive, descending.
    counts : tuple of int
        How often each occurs.
    """

    sizes: tuple[Any, ...]
    counts: tuple[int, ...]


def groups_of(sizes: Sequence[Any]) -> Groups | None:
    """Group descending sizes; None where there are more than 22 distinct ones.

    Parameters
    ----------
    sizes : sequence of positive numbers

    Returns
    -------
    Groups or None

    Examples
    --------
    >>> groups_of([3, 3, 1])
    Groups(sizes=(3, 1), counts=(2, 1))
    """
    if len(set(sizes)) > _MOST_SIZES:
        return None
    counts: dict[Any, int] = {}
    for size in sizes:
        counts[size] = counts.get(size, 0) + 1
    return Groups(tuple(counts), tuple(counts.values()))


def n_states(groups: Groups | None, *, sign: bool = True) -> float:
    """Return how many states there are, without those of the largest group for a sign; infinite for None."""
    if groups is None or not groups.counts:
        return math.inf
    states = math.prod(k + 1 for k in groups.counts)
    return float(states // (max(groups.counts) + 1) if sign else states)


def _binomial(k: int) -> np.ndarray:
    """Return binom(k, r) / 2^k for r = 0..k, each rounded once."""
    table, term, whole = np.empty(k + 1), 1, 1 << k
    for r in range(k // 2 + 1):
        table[r] = table[k - r] = term / whole
        term = term * (k - r) // (r + 1)
    return table


def _cumulative(k: int) -> np.ndarray:
    """Return Pr[r <= T] for T = -1..k, each rounded once."""
    table, term, total, whole = np.zeros(k + 2), 1, 0, 1 << k
    for r in range(k + 1):
        total += term
        table[r + 1] = total / whole
        term = term * (k - r) // (r + 1)
    return table


def _means(table: np.ndarray, laws: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return for each axis of a table the means over all others, under independent laws."""
    means = []
    for axis in range(table.ndim):
        part = table
        for other in range(table.ndim - 1, -1, -1):
            if other != axis:
                shape = [-1 if place == other else 1 for place in range(part.ndim)]
                part = np.sum(part * laws[other].reshape(shape), axis=other, keepdims=True)
        means.append(part.ravel())
    return means


def _thresholds(groups: Groups, last: int, quota: int) -> np.ndarray:
    """Return floor((quota - R) / size of the last group), within -1 and its multiplicity, for all sums R of the others."""
    size, most = groups.sizes[last], groups.counts[last]
    others = [(a, k) for g, (a, k) in enumerate(zip(*groups, strict=True)) if g != last]
    shape = [k + 1 for _, k in others]
    steps = [
        np.arange(k + 1).reshape([-1 if place == g else 1 for place in range(len(others))])
        for g, (_, k) in enumerate(others)
    ]
    total = sum(a * k for a, k in zip(*groups, strict=True))
    if max(total, abs(quota)).bit_length() <= _WORD:
        left = np.full(shape, quota, np.int64)
        for (a, _), r in zip(others, steps, strict=True):
            left -= a * r
        return np.clip(left // size, -1, most)
    if max(total, abs(quota)).bit_length() - size.bit_length() > _MOST_BITS:
        exact = np.full(shape, quota, dtype=object)
        for (a, _), r in zip(others, steps, strict=True):
            exact = exact - a * r.astype(object)
        return np.clip(exact // size, -1, most).astype(np.int64)
    # Quotients of Python integers are rounded once; those near an integer are looked at exactly.
    quotient = np.full(shape, quota / size)
    for (a, _), r in zip(others, steps, strict=True):
        quotient -= (a / size) * r
    near = np.rint(quotient)
    doubt = 4.0 * (len(others) + 3) * _ROUNDING * ((total + abs(quota)) / size)
    result = np.floor(np.clip(quotient, -1.0, most)).astype(np.int64)
    close = np.nonzero((np.abs(quotient - near) <= doubt) & (near >= -1.0) & (near <= most + 1.0))
    if len(close[0]):
        left = np.full(len(close[0]), quota, dtype=object)
        for (a, _), r in zip(others, close, strict=True):
            left -= a * r.astype(object)
        result[close] = np.clip((left // size).astype(object), -1, most).astype(np.int64)
    return result


def grouped(game: Game, groups: Groups) -> Outcome:
    """Count a game by groups of equal weights.

    Parameters
    ----------
    game : Game
    groups : Groups
        Of ``game.weights``.

    Returns
    -------
    Outcome
        With a bound of the rounding of probabilities; no margin is rounded.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.robustness.chow_games import game_of_neuron
    >>> game = game_of_neuron(np.array([3.0, 1.0, 1.0]), 0.0, 1)
    >>> grouped(game, groups_of(game.weights)).value.tolist()
    [0.0, 1.0, 0.0, 0.0]
    """
    last = groups.counts.index(max(groups.counts))
    most = groups.counts[last]
    others = [k for g, k in enumerate(groups.counts) if g != last]
    laws = [_binomial(k) for k in others]
    cumulative, pivot = _cumulative(most), np.concatenate([[0.0], _binomial(most - 1), [0.0]])
    constant, parameters = 0.0, np.zeros(len(groups.counts))
    for quota in game.quotas:
        places = _thresholds(groups, last, quota) + 1
        below, decisive = cumulative[places], pivot[places]
        means = _means(below, laws)
        for law in reversed(laws):
            decisive = np.sum(decisive * law, axis=-1)
        mean = float(laws[0] @ means[0]) if laws else float(below)
        constant += 1.0 - 2.0 * mean
        # A mean of answers -1 falls as more of the inputs are +1.
        falls = iter(
            float(_binomial(k - 1) @ np.maximum(part[:-1] - part[1:], 0.0))
            for k, part in zip(others, means, strict=True)
        )
        parameters += [float(decisive) if g == last else next(falls) for g in range(len(groups.counts))]
    value = np.concatenate([[constant], np.repeat(parameters, groups.counts)]) / len(game.quotas)
    # Each mean is a sum of positive terms of total 1: a rounding for each addition, product and table entry.
    depth = sum(k + 3.0 for k in others) + 3.0
    bound = 2.0 * _ROUNDING * (2.0 * depth + max(groups.counts) + 4.0)
    details: dict[str, object] = {
        "n_sizes": len(groups.sizes),
        "n_states": math.prod(k + 1 for k in others),
    }
    return Outcome(value, bound, None, 0, details)


def grouped_function(
    groups: Groups, threshold: float, function: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, float, float]:
    """Return ``E f`` and ``E f y_i`` of a monotone 1-Lipschitz activation, by groups of equal weights.

    Parameters
    ----------
    groups : Groups
        Of the sizes of the weights, floats.
    threshold : float
    function : callable
        f, of arrays.

    Returns
    -------
    value : ndarray of float64, shape (n_groups + 1,)
    bound : float
        Of the rounding, that of the margins included.
    mean_margin : float
    """
    shape = [k + 1 for k in groups.counts]
    margins = np.full(shape, -threshold)
    for g, (a, k) in enumerate(zip(*groups, strict=True)):
        margins += (a * (2.0 * np.arange(k + 1) - k)).reshape(
            [-1 if place == g else 1 for place in range(len(shape))]
        )
    laws = [_binomial(k) for k in groups.counts]
    table = function(margins)
    means = _means(table, laws)
    value = [float(laws[0] @ means[0])]
    value += [
        0.5 * float(_binomial(k - 1) @ np.diff(part)) for k, part in zip(groups.counts, means, strict=True)
    ]
    sizes = np.abs(table)
    margin = np.abs(margins)
    for law in reversed(laws):
        sizes, margin = np.sum(sizes * law, axis=-1), np.sum(margin * law, axis=-1)
    reach = math.fsum(a * k for a, k in zip(*groups, strict=True)) + abs(threshold)
    # b_{k-1} <= 2 b_k, so that what rounds in means counts at most twice; 4 units for the function itself.
    depth = sum(k + 3.0 for k in groups.counts) + max(groups.counts) + 8.0
    bound = _ROUNDING * ((len(shape) + 3.0) * reach + 2.1 * depth * float(sizes))
    return np.array(value), bound, float(margin)
