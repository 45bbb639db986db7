"""Chow parameters with a bound: weights rounded to a grid, and random samples.

The notation is that of :mod:`scinn.robustness.chow_games`. Grid: with integers B_i near ``|w_i| / g`` and errors
``e_i = |w_i| - g B_i``, the margin of the neuron differs from ``g <B,y> - theta`` by ``<e,y>``. That is at most ``||e||_1``,
and above u with a probability of at most ``2 exp(-u^2 / (2 ||e||_2^2))`` (Hoeffding). So the answer that is the sign of the
grid's margin m_g where ``|m_g| > u``, and 0 elsewhere, has Chow parameters within

    Pr[|m_g| <= u] + 4 exp(-u^2 / (2 ||e||_2^2))        (without the second term for u >= ||e||_1)

of the neuron's, for every u. It is the mean of two games with integer weights.

Sampling: c_i is sign(w_i) times the probability that y_i alone decides, so that one point serves all i with summands in
{0, 1} instead of {-1, 1}; Hoeffding's inequality bounds the error of all entries at once.

References
----------
N. Raviv, A. Kelley, M. Guo, Y. Vorobeychik (2021), Enhancing Robustness of Neural Networks through Fourier Stabilization,
ICML, PMLR 139; W. Hoeffding (1963), Probability inequalities for sums of bounded random variables, JASA 58. Both
certificates are derived here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from scinn.kernels import chow as kernels
from scinn.robustness.chow_exact import integer_counts, integer_seconds, words
from scinn.robustness.chow_games import Game, Outcome

__all__ = [
    "CONFIDENCE",
    "LatticeGame",
    "grid",
    "lattice_enclosure",
    "lattice_game",
    "lattice_probabilities",
    "lattice_seconds",
    "sample",
    "samples_needed",
]

#: Probability with which the bound of a sample holds.
CONFIDENCE = 1.0 - 1e-6
#: Largest sum of the integer weights of a grid: two buffers of half as many numbers, 1 GiB.
MOST_GRID = 2**27
# A lattice of more cells than this is as good as none for a series, and too fine to be seen in the digits.
_FINEST = 1e7
# Probability that random numbers come as close to multiples.
_CHANCE = 1e-4
# Seconds of an addition of probabilities, measured on one core.
_ADDED = 4e-10
_BATCH_BYTES = 2**22
_ROUNDING = 2.0**-53


# Weights that are nearly multiples of a common number


class LatticeGame(NamedTuple):
    """Integer games that enclose a game.

    Parameters
    ----------
    game : Game
        The mean of the two games that answer -1 and +1 where the lattice alone does not tell.
    spacing : float
        The common number, in the neuron's unit.
    decided : bool
        Whether the lattice tells everywhere: then the game has the answers of the neuron.
    """

    game: Game
    spacing: float
    decided: bool


def _enclosing_quotas(total: int, spacing: Fraction, threshold: Fraction, reach: Fraction) -> tuple[int, int]:
    """Return quotas between which ``|spacing (2 R - total) - threshold| <= reach``."""
    high = math.floor((total + (threshold + reach) / spacing) / 2)
    low = math.ceil((total + (threshold - reach) / spacing) / 2) - 1
    return low, high


def lattice_game(game: Game) -> LatticeGame | None:
    """Find a number of which all weights are multiples up to rounding, such as 0.1 in 0.1, 0.3, 0.7.

    Floats near such multiples are none exactly, but series see them as a lattice, and integers count on it.

    Parameters
    ----------
    game : Game

    Returns
    -------
    LatticeGame or None
    """
    largest = game.weights[0]
    sizes = np.array([weight / largest for weight in game.weights])
    # Decimals in double precision, or numbers that were rounded to single precision on the way.
    for noise in (2.0**-50, 2.0**-22):
        spacing = _common_divisor(sizes, noise)
        if spacing is not None:
            break
    else:
        return None
    multiples = np.rint(sizes / spacing)
    # The divisor carries the rounding of one multiple: fit all of them.
    spacing = float(sizes @ multiples / (multiples @ multiples))
    if np.max(np.abs(sizes / spacing - multiples)) > 0.05:
        return None
    integers = tuple(int(m) for m in multiples)
    step = Fraction(spacing) * largest * game.unit
    errors = sum(
        (abs(weight * game.unit - step * m) for weight, m in zip(game.weights, integers, strict=True)),
        Fraction(0),
    )
    if errors == 0:
        return LatticeGame(game, float(step), True)
    # On the tie where that counts as 0, otherwise between the sums that answer differently.
    level = 2 * game.quotas[-1] + (1 if len(game.quotas) == 1 else 0) - game.total
    low, high = _enclosing_quotas(sum(integers), step, level * game.unit, errors)
    quotas = (high,) if low == high else (low, high)
    return LatticeGame(game._replace(weights=integers, quotas=quotas, unit=step), float(step), low == high)


def _common_divisor(sizes: np.ndarray, noise: float) -> float | None:
    """Return a number of which descending numbers, the first 1, are multiples; by Euclid's algorithm.

    Parameters
    ----------
    sizes : ndarray
    noise : float
        Relative error of each of them.

    Returns
    -------
    float or None
        None where what remains drowns in the noise, or where numbers without a common divisor would do as well.
    """
    finest = max(1.0, 0.5 * float(np.sum(sizes))) / _FINEST
    sizes = np.unique(sizes)[::-1]
    divisor, error = float(sizes[-1]), noise * float(sizes[-1])
    while divisor >= finest:
        quotients = np.rint(sizes / divisor)
        uncertain = noise * sizes + quotients * error
        if np.max(uncertain) > 0.1 * divisor:
            return None
        rest = np.abs(sizes - divisor * quotients)
        left = np.flatnonzero(rest > uncertain)
        if not len(left):
            chance = float(np.prod(np.minimum(2.0 * uncertain[:-1] / divisor, 1.0)))
            return divisor if chance < _CHANCE else None
        smallest = left[np.argmin(rest[left])]
        divisor, error = float(rest[smallest]), float(uncertain[smallest])
    return None


def lattice_counts(lattice: LatticeGame, most_seconds: float) -> Outcome | None:
    """Count on a lattice; None where that would take too long."""
    if integer_seconds(lattice.game) > most_seconds:
        return None
    outcome = integer_counts(lattice.game)
    outcome.details["lattice_spacing"] = lattice.spacing
    if lattice.decided:
        return outcome
    near = int(outcome.details.pop("n_ties"))  # type: ignore[call-overload]
    mass = near / 2 ** len(lattice.game.weights)
    outcome.details["undecided_mass"] = mass
    return outcome._replace(bound=outcome.bound + mass, counts=None)


def lattice_seconds(game: Game) -> float:
    """Estimate the time of :func:`lattice_probabilities`; infinite where it would not fit into memory."""
    total = game.total
    if total > MOST_GRID:
        return math.inf
    return len(game.weights) * total * _ADDED + 2e-9 * sum(total / w for w in game.weights)


def lattice_probabilities(game: Game) -> Outcome:
    """Add up the probabilities of all sums of a game, in double precision: nothing but rounding goes into the bound.

    Parameters
    ----------
    game : Game
        Of weights whose sum is at most :data:`MOST_GRID`.

    Returns
    -------
    Outcome
    """
    total, n = game.total, len(game.weights)
    # The distribution of sums is symmetric: count on the side that is shorter.
    mirrored = sum(game.quotas) > len(game.quotas) * (total - 1) / 2
    quotas = [total - 1 - quota if mirrored else quota for quota in game.quotas]
    ascending = np.array(game.weights[::-1], dtype=np.int64)
    cumulative = kernels.subset_cumulative(ascending, min(max(0, *quotas), total - 1))
    value, rounding = np.zeros(n + 1), 0.0
    for quota in quotas:
        part, error = _strict(cumulative, ascending, total, quota)
        value[0] -= part[0] if mirrored else -part[0]
        value[1:] += np.maximum(part[:0:-1], 0.0)
        rounding = max(rounding, error)
    return Outcome(value / len(quotas), rounding, None, 0, {"grid": float(game.unit), "total_weight": total})


def lattice_enclosure(lattice: LatticeGame) -> Outcome:
    """Return :func:`lattice_probabilities` of a lattice; points that it leaves open go into the bound."""
    outcome = lattice_probabilities(lattice.game)
    outcome.details["lattice_spacing"] = lattice.spacing
    if lattice.decided:
        return outcome
    constants = [
        lattice_probabilities(lattice.game._replace(quotas=(quota,))).value[0]
        for quota in lattice.game.quotas
    ]
    mass = 0.5 * abs(float(constants[0] - constants[1])) + outcome.bound
    outcome.details["undecided_mass"] = mass
    return outcome._replace(bound=outcome.bound + mass)


# Grids


def grid(sizes: np.ndarray, threshold: float, *, most_weight: int) -> Outcome:
    """Enclose Chow parameters by rounding the weights to multiples of a power of two.

    Parameters
    ----------
    sizes : ndarray of float64, shape (n,)
        ``|w|``, descending, positive.
    threshold : float
        theta.
    most_weight : int
        Largest sum of the integer weights; time and memory are proportional to it, the bound inversely.

    Returns
    -------
    Outcome
        With a bound that includes all rounding.
    """
    exponent = math.ceil(math.log2(math.fsum(sizes / sizes[0]) / most_weight)) + math.frexp(sizes[0])[1]
    # A power of two scales exactly, and a number minus its nearest integer is exact.
    scaled = np.ldexp(sizes, -exponent)
    integers = np.rint(scaled)
    errors = scaled - integers
    total = int(integers.sum())
    level = Fraction(threshold) / Fraction(2) ** exponent
    bands = [_band(total, level, errors, failure) for failure in (0.0, *np.logspace(-1, -17, 33))]
    # The distribution of sums is symmetric: count on the side that is shorter.
    mirrored = bands[0].low + bands[0].high > total - 1
    if mirrored:
        bands = [band._replace(low=total - 1 - band.high, high=total - 1 - band.low) for band in bands]
    top = max(0, *(min(band.high, total - 1) for band in bands))
    kept = integers > 0
    ascending = integers[kept].astype(np.int64)[::-1].copy()
    cumulative = kernels.subset_cumulative(ascending, top)
    best = min(bands, key=lambda band: band.failure + _mass(cumulative, total, band))
    value, rounding = np.zeros(len(sizes) + 1), 0.0
    for quota in (best.low, best.high):
        part, error = _strict(cumulative, ascending, total, quota)
        value[0] += 0.5 * (-part[0] if mirrored else part[0])
        value[1:][kept] += 0.5 * part[:0:-1]
        rounding = max(rounding, error)
    bound = best.failure + _mass(cumulative, total, best) + rounding
    details: dict[str, object] = {
        "grid": math.ldexp(1.0, exponent),
        "total_weight": total,
        "undecided_mass": _mass(cumulative, total, best),
    }
    return Outcome(value, bound, None, 0, details)


class _Band(NamedTuple):
    """Sums between two quotas, and how much else can be wrong."""

    low: int
    high: int
    failure: float


def _band(total: int, level: Fraction, errors: np.ndarray, failure: float) -> _Band:
    """Return the band outside of which answers are wrong with probability ``failure / 2`` at most."""
    one_norm, two_norm = math.fsum(np.abs(errors)), math.sqrt(math.fsum(errors**2))
    reach = one_norm
    if failure > 0.0:
        reach = min(one_norm, two_norm * math.sqrt(2.0 * math.log(4.0 / failure)))
    if reach == one_norm:
        failure = 0.0
    low, high = _enclosing_quotas(total, Fraction(1), level, Fraction(reach * (1.0 + 1e-12)))
    return _Band(low, high, failure)


def _mass(cumulative: np.ndarray, total: int, band: _Band) -> float:
    def up_to(quota: int) -> float:
        return 0.0 if quota < 0 else 1.0 if quota >= total else float(cumulative[quota])

    return max(up_to(band.high) - up_to(band.low), 0.0)


def _strict(cumulative: np.ndarray, weights: np.ndarray, total: int, quota: int) -> tuple[np.ndarray, float]:
    """Return the Chow parameters of ``R > quota`` and a bound of the rounding."""
    value = np.zeros(len(weights) + 1)
    value[0] = 1.0 if quota < 0 else -1.0
    if quota < 0 or quota >= total:
        return value, 0.0
    size = kernels.window_sums(cumulative, weights, quota, value[1:])
    value[0] = 1.0 - 2.0 * cumulative[quota]
    value[1:] *= 2.0
    # One rounding a weight in each probability, two in each running sum, and one for each term of a window.
    terms = quota / float(weights[0]) + 2.0
    return value, 4.0 * _ROUNDING * (len(weights) + 2.0 * size + 2.0 * terms)


# Samples


def samples_needed(n: int, bound: float) -> int:
    """Return how many samples make :func:`sample` keep a bound."""
    failure = 1.0 - CONFIDENCE
    flips, constant = math.log(4.0 * n / failure) / 2.0, 2.0 * math.log(4.0 / failure)
    return math.ceil(max(flips, constant) / bound**2)


def sample(game: Game, n_samples: int, generator: np.random.Generator, *, estimator: str = "flip") -> Outcome:
    """Estimate Chow parameters from random points.

    Parameters
    ----------
    game : Game
        Of weights whose sum has at most 122 bits.
    n_samples : int
    generator : numpy.random.Generator
    estimator : {"flip", "plain"}, default "flip"
        Count how often each input alone decides, or average ``h y_i``.

    Returns
    -------
    Outcome
        Whose bound holds with probability :data:`CONFIDENCE`.
    """
    n, length = len(game.weights), game.total.bit_length()
    bits = max(0, length - 62)
    high, low = words(game.weights, bits)
    scale = len(game.quotas)
    above, decisive, agreement = 0, np.zeros(n, np.int64), np.zeros(n, np.int64)
    row_bytes = (n + 7) // 8
    for start in range(0, n_samples, max(1, _BATCH_BYTES // n)):
        rows = min(max(1, _BATCH_BYTES // n), n_samples - start)
        packed = np.frombuffer(generator.bytes(rows * row_bytes), np.uint8).reshape(rows, row_bytes)
        chosen = np.unpackbits(packed, axis=1, count=n)
        for quota in game.quotas:
            above += kernels.sample_counts(
                chosen, high, low, bits, quota >> bits, quota & ((1 << bits) - 1), decisive, agreement
            )
    value = np.empty(n + 1)
    value[0] = 2.0 * above / (scale * n_samples) - 1.0
    value[1:] = (decisive if estimator == "flip" else agreement) / (scale * n_samples)
    failure = 1.0 - CONFIDENCE
    bound = math.sqrt(2.0 * math.log(2.0 * (n + 1) / failure) / n_samples)
    if estimator == "flip":
        flips = math.sqrt(math.log(4.0 * n / failure) / (2.0 * n_samples))
        bound = max(flips, math.sqrt(2.0 * math.log(4.0 / failure) / n_samples))
    details: dict[str, object] = {"n_samples": n_samples, "estimator": estimator, "confidence": CONFIDENCE}
    return Outcome(value, bound, None, 0, details)


def fits_words(weights: Sequence[int]) -> bool:
    """Return whether sums of the weights fit into the two words of the kernels."""
    return sum(weights).bit_length() <= 122
