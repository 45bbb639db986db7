"""Linear threshold functions as weighted games: exact integers in place of real weights.

Floats are dyadic rationals, so ``h(x) = sgn(<w,x> - theta)`` is exactly a weighted game: with ``y_i = sign(w_i) x_i``,
A_i the integer ``|w_i| / unit``, and ``R`` the sum of the A_i with ``y_i = +1``,

    <w,x> = unit (2 R - sum A),       h = +1  where R > quota,       h = -1  where R < quota,

and a point with R = quota is a tie (or answers -1, where no point can be a tie). ``sgn(0) = +1`` moves the quota down by
one and ``sgn(0) = 0`` is the mean of the two games, so that all that is ever counted is ``R > quota``. Sums are compared as
integers: no point can fall on the wrong side by rounding.

References
----------
N. Raviv, A. Kelley, M. Guo, Y. Vorobeychik (2021), Enhancing Robustness of Neural Networks through Fourier Stabilization,
ICML, PMLR 139. The reduction to games is derived here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from scinn.robustness.dyadic import dyadics

__all__ = ["Counts", "Game", "Outcome", "counted", "decided", "game_of_integers", "game_of_neuron"]

Counts = list[int]


class Game(NamedTuple):
    """A neuron as a weighted game (or as the mean of two).

    Parameters
    ----------
    weights : tuple of int
        Positive, descending, without a common divisor.
    quotas : tuple of int
        The answer is the mean over quotas of +1 where ``R > quota`` and -1 elsewhere.
    order : ndarray of int64
        Places of the weights among those of the neuron; zero weights are left out.
    signs : ndarray of float64
        Signs of those weights.
    unit : Fraction
        ``|w_i| = A_i unit``.
    n : int
        Weights of the neuron, zeros included.
    """

    weights: tuple[int, ...]
    quotas: tuple[int, ...]
    order: np.ndarray
    signs: np.ndarray
    unit: Fraction
    n: int

    @property
    def total(self) -> int:
        """Sum of the weights."""
        return sum(self.weights)

    @property
    def constant(self) -> bool:
        """Whether every point gets the same answer."""
        return all(quota < 0 or quota >= self.total for quota in self.quotas)


class Outcome(NamedTuple):
    """Chow parameters of a game, in the order of its weights.

    Parameters
    ----------
    value : ndarray of float64, shape (n_weights + 1,)
        E h, then E h y_i.
    bound : float
        No entry is farther from the truth.
    counts : list of int or None
        The exact numerators over ``2^exponent``, where they are known.
    exponent : int
    details : dict
    """

    value: np.ndarray
    bound: float
    counts: Counts | None
    exponent: int
    details: dict[str, object]


def game_of_neuron(weights: np.ndarray, threshold: float, tie: int) -> Game:
    """Return the game of a neuron, exactly.

    Parameters
    ----------
    weights : ndarray of float64, shape (n,)
    threshold : float
    tie : {1, 0, -1}
        sgn(0).

    Returns
    -------
    Game

    Examples
    --------
    >>> import numpy as np
    >>> game = game_of_neuron(np.array([0.5, -1.5, 0.0]), 1.0, 1)
    >>> game.weights, game.quotas, game.order.tolist()
    ((3, 1), (2,), [1, 0])
    """
    places = np.flatnonzero(weights)
    places = places[np.argsort(-np.abs(weights[places]), kind="stable")]
    integers, lowest = dyadics(np.abs(weights[places]))
    (integer,), exponent = dyadics(np.array([threshold]))
    # In units of 2^lowest; a threshold between two of their multiples cannot be met.
    between = exponent < lowest and integer != 0
    level = integer >> (lowest - exponent) if between else integer << max(exponent - lowest, 0)
    doubled = sum(integers) + level
    signs = np.sign(weights[places])
    return _reduced(
        integers,
        doubled >> 1,
        tie if not between and doubled % 2 == 0 else -1,
        places,
        signs,
        len(weights),
        lowest,
    )


def game_of_integers(weights: Sequence[int], quota: int) -> Game:
    """Return the game in which a coalition wins with at least ``quota`` votes.

    Parameters
    ----------
    weights : sequence of non-negative int
    quota : int

    Returns
    -------
    Game

    Examples
    --------
    >>> game_of_integers([10, 0, 20], 25).quotas
    (2,)
    """
    order = sorted((i for i, w in enumerate(weights) if w), key=lambda i: -weights[i])
    places = np.array(order, dtype=np.int64)
    return _reduced([weights[i] for i in order], quota, 1, places, np.ones(len(order)), len(weights), 0)


def _reduced(
    weights: list[int], quota: int, tie: int, order: np.ndarray, signs: np.ndarray, n: int, exponent: int
) -> Game:
    """Divide by the common divisor; ``tie`` is the answer at ``R = quota``."""
    divisor = math.gcd(*weights) if weights else 1
    if quota % divisor:
        tie = -1
    quota //= divisor
    quotas = {1: (quota - 1,), 0: (quota - 1, quota), -1: (quota,)}[tie]
    unit = Fraction(divisor) * Fraction(2) ** exponent
    return Game(tuple(w // divisor for w in weights), quotas, order, signs, unit, n)


def counted(game: Game, counts: list[Counts], details: dict[str, object]) -> Outcome:
    """Return the mean of the counts of a game's quotas; each has as many entries as weights, and one more."""
    exponent = len(game.weights) + len(counts) - 1
    total = counts[0] if len(counts) == 1 else [a + b for a, b in zip(*counts, strict=True)]
    if len(counts) == 2:
        details["n_ties"] = (counts[0][0] - counts[1][0]) // 2
    # Python divides integers of any size with one rounding; equal weights have equal numbers.
    quotients = {number: number / (1 << exponent) for number in set(total)}
    value = np.array([quotients[number] for number in total])
    return Outcome(value, 0.0 if exponent <= 53 else 2.0**-54, total, exponent, details)


def decided(weights: Sequence[int], quota: int, total: int) -> Counts | None:
    if 0 <= quota < total:
        return None
    return [(1 if quota < 0 else -1) << len(weights)] + [0] * len(weights)
