"""Banzhaf's index of power in weighted voting: the Chow parameters of a majority rule.

In a game ``[q; w_1, ..., w_n]`` a coalition wins if its votes add up to at least the quota q. Player i is decisive for a
coalition of the others that loses without i and wins with it. Of the 2^(n-1) coalitions of the others ``swings_i`` are so,
and ``swings_i / 2^(n-1)`` is the player's absolute Banzhaf index (or Penrose measure).

Write x_i = +1 where i is in the coalition and -1 elsewhere, and W for the sum of the votes. Then ``sum_{i in S} w_i`` is
``(<w,x> + W) / 2``, so S wins exactly where ``h(x) = sgn(<w,x> - (2 q - W))`` is +1 with sgn(0) = +1, and
``E h x_i = Pr[i is decisive]``: the index is a Chow parameter of a neuron of non-negative weights.

References
----------
N. Raviv, A. Kelley, M. Guo, Y. Vorobeychik (2021), Enhancing Robustness of Neural Networks through Fourier Stabilization,
ICML, PMLR 139, for Chow parameters; L. S. Penrose (1946), The elementary statistics of majority voting, JRSS 109; J. F.
Banzhaf (1965), Weighted voting doesn't work, Rutgers Law Review 19; P. Dubey and L. S. Shapley (1979), Mathematical
properties of the Banzhaf power index, Math. Oper. Res. 4, for the identity of the two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from scinn._input import as_float_array, check_choice, check_in_range
from scinn._plot import axes_or_new
from scinn.robustness.chow import solve_game
from scinn.robustness.chow_games import game_of_integers
from scinn.robustness.chow_result import Kind

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PowerIndexResult", "power_index"]


@dataclass(frozen=True, repr=False, eq=False)
class PowerIndexResult:
    """Power of the players of a weighted voting game.

    Parameters
    ----------
    banzhaf : ndarray of float64, shape (n,)
        Absolute Banzhaf index: probability that a player decides, where the others vote yes or no by tossing fair coins.
    normalized : ndarray of float64, shape (n,)
        The same divided by its sum.
    swings : tuple of int or None
        For each player the number of coalitions of the others that it turns from losing to winning, exact whatever its
        size. None where the index is not counted.
    kind : {"exact", "certified", "estimated"}
        How far to trust it, see :class:`scinn.robustness.ChowResult`.
    method : str
        The method that was used.
    bound : float
        Largest error of ``banzhaf``.
    weights : ndarray, shape (n,)
        Votes; Python integers in an object array where they do not fit 64 bits.
    quota : int or float
        Votes that a winning coalition has at least.

    Examples
    --------
    >>> result = power_index([2, 1, 1], quota=3)
    >>> result
    PowerIndexResult(3 players, quota 3, exact by meet-in-the-middle)
      normalized Banzhaf = [0.6, 0.2, 0.2]
    >>> result.swings, result.kind
    ((3, 1, 1), 'exact')
    """

    banzhaf: np.ndarray
    normalized: np.ndarray
    swings: tuple[int, ...] | None
    kind: Kind
    method: str
    bound: float
    weights: np.ndarray = field(repr=False)
    quota: float

    def __repr__(self) -> str:
        n = len(self.banzhaf)
        shown = ", ".join(f"{number:.6g}" for number in self.normalized[:6]) + (", ..." if n > 6 else "")
        return (
            f"PowerIndexResult({n} players, quota {self.quota:g}, {self.kind} by {self.method})\n"
            f"  normalized Banzhaf = [{shown}]"
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw each player's share of power beside its share of the votes.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; default: the axes of a new figure.

        Returns
        -------
        matplotlib Axes
        """
        ax = axes_or_new(ax)
        places = np.arange(len(self.banzhaf))
        ax.bar(
            places - 0.2,
            np.asarray(self.weights / self.weights.sum(), dtype=np.float64),
            0.4,
            color="0.7",
            label="votes",
        )
        ax.bar(places + 0.2, self.normalized, 0.4, color="C0", label="power")
        ax.set_xlabel("player")
        ax.set_ylabel("share")
        ax.legend()
        return ax

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON values; swings as strings, since they may be longer than a float."""
        return {
            "banzhaf": self.banzhaf.tolist(),
            "normalized": self.normalized.tolist(),
            "swings": None if self.swings is None else [str(number) for number in self.swings],
            "kind": self.kind,
            "method": self.method,
            "bound": self.bound,
            "weights": self.weights.tolist(),
            "quota": self.quota,
        }


def power_index(weights: Any, quota: float, *, kind: str = "banzhaf") -> PowerIndexResult:
    """Compute the Banzhaf power index of the players of a weighted voting game.

    Parameters
    ----------
    weights : array_like, shape (n,)
        Votes of each player, none negative; usually integers, which are counted exactly. Other numbers are taken at their
        exact binary value.
    quota : int or float
        A coalition wins with at least this many votes; above 0 and at most all votes.
    kind : {"banzhaf"}, default "banzhaf"
        Which index.

    Returns
    -------
    PowerIndexResult
        ``.banzhaf``, ``.normalized``, ``.swings``.

    Raises
    ------
    TypeError, ValueError
        For votes that are no vector of non-negative numbers, a quota that everybody or nobody reaches, or another index.

    Notes
    -----
    The Shapley-Shubik index weighs coalitions by their size; it is no Chow parameter, and is not offered.

    References
    ----------
    The identity of the module's docstring; see there for the sources.

    Examples
    --------
    The council of the European Economic Community of 1958: Germany, France, Italy; Belgium, the Netherlands; Luxembourg.

    >>> from scinn.robustness import power_index
    >>> result = power_index([4, 4, 4, 2, 2, 1], quota=12)
    >>> result.swings
    (10, 10, 10, 6, 6, 0)
    >>> result.banzhaf.tolist()
    [0.3125, 0.3125, 0.3125, 0.1875, 0.1875, 0.0]
    """
    if kind in ("shapley", "shapley-shubik"):
        raise ValueError(
            f"kind is {kind!r}, but the Shapley-Shubik index weighs coalitions by their size and is no Chow parameter; "
            "only kind='banzhaf' is offered"
        )
    check_choice(kind, "kind", ("banzhaf",))
    votes = _votes(weights)
    whole = isinstance(quota, int | np.integer) and not isinstance(quota, bool)
    quota = int(quota) if whole else check_in_range(quota, "quota")
    integers, wanted, total = _integers(votes, quota)
    if not 0 < wanted <= total:
        shown = math.fsum(votes.astype(np.float64))
        raise ValueError(
            f"quota is {quota}; it must be above 0, or the empty coalition would win, and at most the sum of all votes "
            f"({shown:g}), or none would"
        )
    game = game_of_integers(integers, wanted)
    outcome, method, trust = solve_game(game)
    banzhaf, swings = np.zeros(len(votes)), None
    banzhaf[game.order] = outcome.value[1:] + 0.0
    if outcome.counts is not None:
        # Counts are sums over all points of h y_i, that is, twice the swings among the players that have votes.
        idle = len(votes) - len(game.weights)
        numbers = [0] * len(votes)
        for place, count in zip(game.order.tolist(), outcome.counts[1:], strict=True):
            numbers[place] = (count << idle) >> 1
        swings = tuple(numbers)
        share = [number / sum(numbers) for number in numbers]
    else:
        share = (banzhaf / math.fsum(banzhaf)).tolist()
    return PowerIndexResult(
        banzhaf, np.array(share), swings, trust, method, float(outcome.bound), votes, quota
    )


def _votes(weights: Any) -> np.ndarray:
    """Return integers as they are, of any length, and other numbers as float64."""
    given = np.asarray(weights)
    if given.dtype.kind == "f" and given.ndim == 1 and isinstance(weights, list | tuple):
        # numpy rounds integers that stand beside floats, or do not fit one type of 64 bits.
        given = np.array(weights, dtype=object)
    whole = given.dtype.kind in "iu" or (given.dtype == object and _are_integers(given))
    try:
        floats = as_float_array(given, "weights", ndim=1, dtype=np.float64)
    except OverflowError:
        raise ValueError(
            "weights holds an integer beyond the largest float, 1.8e308; divide all votes"
        ) from None
    votes = given if whole else floats
    if len(votes) == 0:
        raise ValueError("weights is empty; the votes of at least one player are wanted")
    if votes.min() < 0:
        worst = int(np.argmin(votes))
        raise ValueError(f"weights holds {votes[worst]} at {worst}; votes are not negative")
    return votes


def _are_integers(values: np.ndarray) -> bool:
    return all(isinstance(vote, int | np.integer) and not isinstance(vote, bool) for vote in values.ravel())


def _integers(votes: np.ndarray, quota: float) -> tuple[list[int], int, int]:
    """Return votes and quota in the largest unit that makes them integers, and the sum of the votes."""
    if votes.dtype.kind in "iuO" and isinstance(quota, int):
        integers = [int(vote) for vote in votes]
        return integers, quota, sum(integers)
    ratios = [vote.as_integer_ratio() for vote in votes.tolist()]
    unit = max(denominator for _, denominator in ratios)
    integers = [numerator * (unit // denominator) for numerator, denominator in ratios]
    numerator, denominator = quota.as_integer_ratio()
    # Rounded up: no sum lies between.
    return integers, -(-numerator * unit // denominator), sum(integers)
