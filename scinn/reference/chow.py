"""Chow parameters by the definition: all points of the cube, exact rational arithmetic, big integers.

N. Raviv, A. Kelley, M. Guo, Y. Vorobeychik, "Enhancing Robustness of Neural Networks through Fourier Stabilization",
ICML 2021. A neuron is ``h(x) = sgn(<w,x> - theta)`` on {-1,+1}^n; its Chow parameters are ``E h`` and ``E h x_i``. In the
counting form of :mod:`scinn.kernels.chow`, weights are positive integers A_i, a subset of them has the sum R, and the
neuron answers +1 where R > quota.

Numbers are taken at their exact value: a float is a dyadic rational.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

__all__ = [
    "above_counts",
    "average_margin",
    "banzhaf_swings",
    "block_scan",
    "chow_parameters",
    "count_residues",
    "decisive_counts",
    "finite_fourier_sum",
    "fold_sorted",
    "fold_table",
    "function_parameters",
    "pair_counts",
    "sample_counts",
    "sorted_subset_sums",
    "subset_cumulative",
    "window_sums",
]


def _sign(value: Any, tie: int) -> int:
    return tie if value == 0 else (1 if value > 0 else -1)


def _cube(n: int) -> Any:
    return itertools.product((-1, 1), repeat=n)


def chow_parameters(weights: Sequence[Any], threshold: Any, tie: int = 1) -> np.ndarray:
    """Return E h, E h x_1, ..., E h x_n by going through all 2^n points.

    Parameters
    ----------
    weights : sequence of n numbers
        w, each taken as the rational number that it is.
    threshold : number
        theta.
    tie : {1, 0, -1}
        sgn(0).

    Returns
    -------
    ndarray of float64, shape (n + 1,)
        Each entry is the rational result, rounded once.

    Examples
    --------
    >>> chow_parameters([1, 1, 1], 0).tolist()
    [0.0, 0.5, 0.5, 0.5]
    >>> chow_parameters([2, 1], 1, tie=0).tolist()
    [-0.25, 0.75, 0.25]
    """
    w, theta = [Fraction(value) for value in weights], Fraction(threshold)
    n = len(w)
    totals = [0] * (n + 1)
    for x in _cube(n):
        h = _sign(sum((a * b for a, b in zip(w, x, strict=True)), Fraction(0)) - theta, tie)
        totals[0] += h
        for i in range(n):
            totals[i + 1] += h * x[i]
    return np.array([total / 2**n for total in totals])


def average_margin(weights: Sequence[Any], threshold: Any) -> float:
    """Return ``E|<w,x> - theta|`` by going through all 2^n points.

    Parameters
    ----------
    weights : sequence of n numbers
    threshold : number

    Returns
    -------
    float
        The rational result, rounded once.

    Examples
    --------
    >>> average_margin([1, 1, 1], 0)
    1.5
    """
    w, theta = [Fraction(value) for value in weights], Fraction(threshold)
    total = sum(
        (abs(sum((a * b for a, b in zip(w, x, strict=True)), Fraction(0)) - theta) for x in _cube(len(w))),
        Fraction(0),
    )
    return float(total / 2 ** len(w))


def function_parameters(
    weights: Sequence[float], threshold: float, function: Callable[[float], float]
) -> np.ndarray:
    """Return ``E f(<w,x> - theta)`` and ``E f(<w,x> - theta) x_i`` by going through all 2^n points.

    Parameters
    ----------
    weights : sequence of n floats
    threshold : float
    function : callable
        f, of one float.

    Returns
    -------
    ndarray of float64, shape (n + 1,)

    Examples
    --------
    >>> function_parameters([1.0, 2.0], 0.0, lambda z: z).tolist()
    [0.0, 1.0, 2.0]
    """
    n = len(weights)
    terms: list[list[float]] = [[] for _ in range(n + 1)]
    for x in _cube(n):
        value = function(math.fsum([w * s for w, s in zip(weights, x, strict=True)] + [-threshold]))
        terms[0].append(value)
        for i in range(n):
            terms[i + 1].append(value * x[i])
    return np.array([math.fsum(term) / 2**n for term in terms])


def finite_fourier_sum(weights: Sequence[int], threshold: float, tie: int = 1) -> tuple[np.ndarray, float]:
    """Return Chow parameters and E|<w,x> - theta| of integer weights by a sum over finitely many frequencies.

    <w,x> takes the values ``-W + 2r``, r = 0..W, with W the sum of ``|w_i|``. A function of it is a sum of the W + 1
    exponentials ``exp(i t_k s)``, ``t_k = pi k / (W + 1)``, whose means over the cube are products of cosines.

    Parameters
    ----------
    weights : sequence of n integers
    threshold : float
    tie : {1, 0, -1}

    Returns
    -------
    value : ndarray of float64, shape (n + 1,)
    average_margin : float

    Notes
    -----
    Double precision, O(n^2 W).

    Examples
    --------
    >>> value, margin = finite_fourier_sum([1, 1, -1], 0)
    >>> [round(entry, 12) + 0.0 for entry in value.tolist()], round(margin, 12)
    ([0.0, 0.5, 0.5, -0.5], 1.5)
    """
    n, total = len(weights), sum(abs(int(w)) for w in weights)
    sums = [-total + 2 * r for r in range(total + 1)]
    labels = np.fft.fft([float(_sign(s - threshold, tie)) for s in sums]) / (total + 1)
    margins = np.fft.fft([abs(float(s - threshold)) for s in sums]) / (total + 1)
    value, margin = np.zeros(n + 1), 0.0
    for k in range(total + 1):
        t = math.pi * k / (total + 1)
        shift = np.exp(1j * total * t)
        cosines = [math.cos(w * t) for w in weights]
        value[0] += float(np.real(labels[k] * shift * math.prod(cosines)))
        margin += float(np.real(margins[k] * shift * math.prod(cosines)))
        for i, w in enumerate(weights):
            others = math.prod(cosines[:i] + cosines[i + 1 :])
            value[i + 1] += float(np.real(1j * labels[k] * shift * math.sin(w * t) * others))
    return value, margin


def banzhaf_swings(weights: Sequence[int], quota: int) -> list[int]:
    """Return for each player in how many coalitions of the others it is decisive, with big integers.

    Parameters
    ----------
    weights : sequence of n non-negative integers
        Votes of each player.
    quota : int
        A coalition wins with at least this many votes.

    Returns
    -------
    list of int

    Examples
    --------
    The council of the European Economic Community of 1958, where Luxembourg's vote never mattered:

    >>> banzhaf_swings([4, 4, 4, 2, 2, 1], 12)
    [10, 10, 10, 6, 6, 0]
    """
    swings = []
    for i in range(len(weights)):
        ways = {0: 1}
        for j, w in enumerate(weights):
            if j != i:
                longer = dict(ways)
                for votes, number in ways.items():
                    longer[votes + int(w)] = longer.get(votes + int(w), 0) + number
                ways = longer
        swings.append(
            sum(number for votes, number in ways.items() if quota - int(weights[i]) <= votes < quota)
        )
    return swings


# The counting form


def _subsets(n: int) -> list[tuple[int, ...]]:
    return list(itertools.product((0, 1), repeat=n))


def _total(weights: Sequence[int], chosen: Sequence[int]) -> int:
    return sum(int(w) for w, inside in zip(weights, chosen, strict=True) if inside)


def above_counts(weights: Sequence[int], quota: int) -> list[int]:
    """Return how many subsets have a sum above the quota, and by how much those with i outnumber those without it.

    Parameters
    ----------
    weights : sequence of n integers
    quota : int

    Returns
    -------
    list of n + 1 integers

    Examples
    --------
    >>> above_counts([2, 1], 1)
    [2, 2, 0]
    """
    above = [chosen for chosen in _subsets(len(weights)) if _total(weights, chosen) > quota]
    return [len(above)] + [sum(1 if chosen[i] else -1 for chosen in above) for i in range(len(weights))]


def decisive_counts(weights: Sequence[int], quota: int) -> list[int]:
    """Return how many subsets have a sum of at most the quota, and for each i how many of the others i lifts above it.

    Parameters
    ----------
    weights : sequence of n integers
    quota : int

    Returns
    -------
    list of n + 1 integers

    Examples
    --------
    >>> decisive_counts([2, 1], 1)
    [2, 2, 0]
    """
    n = len(weights)
    counts = [sum(_total(weights, chosen) <= quota for chosen in _subsets(n))]
    for i in range(n):
        others = [chosen for chosen in _subsets(n) if not chosen[i]]
        sums = [_total(weights, chosen) for chosen in others]
        counts.append(sum(value <= quota < value + int(weights[i]) for value in sums))
    return counts


def _words(value: int, bits: int) -> tuple[int, int]:
    return value >> bits, value & ((1 << bits) - 1)


def _joined(high: np.ndarray, low: np.ndarray, bits: int) -> list[int]:
    return [(int(a) << bits) + int(b) for a, b in zip(high, low, strict=True)]


def sorted_subset_sums(high: np.ndarray, low: np.ndarray, bits: int) -> list[tuple[int, tuple[int, ...]]]:
    """Return all subset sums in ascending order, each with its subset; of equal sums, the one without the last
    differing weight comes first.

    Parameters
    ----------
    high, low : ndarray of int64, shape (n,)
        Words of the weights ``high 2^bits + low``.
    bits : int

    Returns
    -------
    list of (int, tuple of int)

    Examples
    --------
    >>> import numpy as np
    >>> sorted_subset_sums(np.array([2, 1]), np.array([0, 0]), 0)
    [(0, (0, 0)), (1, (0, 1)), (2, (1, 0)), (3, (1, 1))]
    """
    weights = _joined(high, low, bits)
    rows = [(_total(weights, chosen), chosen) for chosen in _subsets(len(weights))]
    return sorted(rows, key=lambda row: (row[0], row[1][::-1]))


def pair_counts(left: Sequence[int], right: Sequence[int], quota: int) -> tuple[list[int], list[int]]:
    """For each number of one list, count the numbers of the other with ``left + right > quota``.

    Parameters
    ----------
    left, right : sequences of int
    quota : int

    Returns
    -------
    tuple of two lists of int

    Examples
    --------
    >>> pair_counts([0, 2], [0, 1, 3], 2)
    ([1, 2], [0, 1, 2])
    """
    return (
        [sum(a + b > quota for b in right) for a in left],
        [sum(a + b > quota for a in left) for b in right],
    )


def fold_sorted(counts: Sequence[int], subsets: Sequence[tuple[int, ...]], n: int) -> tuple[int, list[int]]:
    """Return the total of some counts and, for each i < n, the counts of subsets with i minus the others.

    Parameters
    ----------
    counts : sequence of 2^n integers
    subsets : sequence of 2^n tuples
        The subset that each count belongs to.
    n : int

    Returns
    -------
    total : int
    signed : list of n integers

    Examples
    --------
    >>> fold_sorted([3, 5], [(0,), (1,)], 1)
    (8, [2])
    """
    signed = [
        sum(int(c) * (1 if chosen[i] else -1) for c, chosen in zip(counts, subsets, strict=True))
        for i in range(n)
    ]
    return sum(int(c) for c in counts), signed


def fold_table(table: Sequence[int], n: int) -> tuple[int, list[int]]:
    """Return the total of a table and, for each i < n, the entries with bit i of their index set minus the others.

    Parameters
    ----------
    table : sequence of 2^n integers
    n : int

    Returns
    -------
    total : int
    signed : list of n integers

    Examples
    --------
    >>> fold_table([1, 2, 4, 8], 2)
    (15, [5, 9])
    """
    signed = [sum(int(c) * (1 if code >> i & 1 else -1) for code, c in enumerate(table)) for i in range(n)]
    return sum(int(c) for c in table), signed


def block_scan(high: np.ndarray, low: np.ndarray, bits: int, quota_high: int, quota_low: int) -> list[int]:
    """Return :func:`above_counts` of weights and quota in two words.

    Parameters
    ----------
    high, low : ndarray of int64, shape (n,)
    bits, quota_high, quota_low : int

    Returns
    -------
    list of n + 1 integers

    Examples
    --------
    >>> import numpy as np
    >>> block_scan(np.array([1, 0]), np.array([0, 1]), 1, 0, 1)
    [2, 2, 0]
    """
    return above_counts(_joined(high, low, bits), (int(quota_high) << bits) + int(quota_low))


def count_residues(weights: Sequence[int], quota: int, modulus: int) -> list[int]:
    """Return :func:`decisive_counts` modulo a number, 0 standing for 2^64.

    Parameters
    ----------
    weights : sequence of n integers
    quota, modulus : int

    Returns
    -------
    list of n + 1 integers

    Examples
    --------
    >>> count_residues([2, 1, 1], 1, 2)
    [1, 1, 1, 1]
    """
    return [count % (modulus or 2**64) for count in decisive_counts(weights, quota)]


def subset_cumulative(weights: Sequence[int], quota: int) -> list[float]:
    """Return the probability that a random subset has a sum of at most r, for r = 0..quota.

    Parameters
    ----------
    weights : sequence of n integers
    quota : int

    Returns
    -------
    list of float

    Examples
    --------
    >>> subset_cumulative([2, 1], 2)
    [0.25, 0.5, 0.75]
    """
    sums = [_total(weights, chosen) for chosen in _subsets(len(weights))]
    return [sum(value <= r for value in sums) / len(sums) for r in range(quota + 1)]


def window_sums(weights: Sequence[int], quota: int) -> list[float]:
    """Return for each i the probability that i lifts a random subset of all the weights but i above the quota, halved.

    Parameters
    ----------
    weights : sequence of n integers
    quota : int

    Returns
    -------
    list of n floats

    Examples
    --------
    >>> window_sums([2, 1], 1)
    [0.5, 0.0]
    """
    return [count / 2 ** len(weights) for count in decisive_counts(weights, quota)[1:]]


def sample_counts(chosen: np.ndarray, weights: Sequence[int], quota: int) -> tuple[int, list[int], list[int]]:
    """Return over given subsets how many are above the quota, how often i alone decides, and the sum of ``h y_i``.

    Parameters
    ----------
    chosen : ndarray of uint8, shape (n_samples, n)
        1 where i belongs to the subset.
    weights : sequence of n integers
    quota : int

    Returns
    -------
    above : int
    decisive, agreement : lists of n integers

    Examples
    --------
    >>> import numpy as np
    >>> sample_counts(np.array([[1, 0]], np.uint8), [2, 1], 1)
    (1, [1, 0], [1, -1])
    """
    n = len(weights)
    above, decisive, agreement = 0, [0] * n, [0] * n
    for row in chosen.tolist():
        answer = _total(weights, row) > quota
        above += answer
        for i in range(n):
            flipped = [*row]
            flipped[i] = 1 - flipped[i]
            decisive[i] += (_total(weights, flipped) > quota) != answer
            agreement[i] += 1 if answer == bool(row[i]) else -1
    return above, decisive, agreement
