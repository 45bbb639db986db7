"""Chow parameters of a neuron with binary inputs: one function that picks the method and says how far it can be trusted.

N. Raviv, A. Kelley, M. Guo, Y. Vorobeychik, "Enhancing Robustness of Neural Networks through Fourier Stabilization",
ICML 2021, PMLR 139:8880-8889, arXiv 2106.04435. Notation: x uniform on {-1,+1}^n, margin ``m(x) = <w,x> - theta``, neuron
``h = f(m)`` with f a sign (or tanh and others), Chow parameters ``c_0 = E h`` and ``c_i = E h x_i``, which are the Fourier
coefficients of degree 0 and 1. For a sign, ``E|m| = <w,c> - theta c_0``, since ``|m| = h m``.

The methods live in :mod:`scinn.robustness.chow_exact` (counting), :mod:`scinn.robustness.spectral` (series and their
enclosure) and :mod:`scinn.robustness.chow_bounds` (grids, samples).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from scinn._input import as_float_array, check_choice, check_in_range
from scinn.random import RandomState, as_generator
from scinn.robustness import chow_bounds as bounds
from scinn.robustness import chow_exact as exact
from scinn.robustness import chow_groups as groups
from scinn.robustness import spectral
from scinn.robustness.chow_games import Game, Outcome, game_of_neuron
from scinn.robustness.chow_result import ChowResult, Kind

if TYPE_CHECKING:
    pass

__all__ = ["ACTIVATIONS", "METHODS", "ChowResult", "chow_parameters"]

ACTIVATIONS = ("sign", "tanh", "scaled_logistic", "relu")
METHODS = (
    "auto",
    "fold",
    "block",
    "meet-in-the-middle",
    "integer",
    "binomial",
    "groups",
    "series",
    "vaaler",
    "grid",
    "branch",
    "sampling",
)

# From this number of weights on a series is faster and accurate enough; below, counting takes at most seconds.
_MOST_COUNTED = 48
# Up to here the choice would take longer than the counting.
_MOST_HALVED_AT_ONCE = 24
# Mass that branches may leave undecided: a rounding.
_NEGLIGIBLE = 2.0**-54
# Seconds in which the enclosure proves an error of 1; it takes 1/tol times as long.
_PROVING = 4e-7
# Seconds that counting may take: where a series would do; where it would not; where a proof was asked for.
_QUICK, _PATIENT, _LONGEST = 0.01, 2.0, 10.0
# An estimated error above this is worth counting for.
_GOOD_SERIES = 1e-9
# An estimate above this is compared with a proof.
_DOUBTFUL = 1e-5
# Points that a lattice leaves open may weigh this much before a series is tried.
_LATTICE = 1e-2
# Up to 2^20 points a smooth activation is evaluated at all of them.
_MOST_EVALUATED = 20
_MOST_HARMONICS = 2**26
_PILOT_HARMONICS = 2048
_DEFAULT_HARMONICS = 2**16
_DEFAULT_GRID = 2**20
_DEFAULT_SAMPLES = 2**16
_MOST_SAMPLED = 4e9
_SMOOTH_TOLERANCE = 1e-12
# Above this estimate of the error of sign parameters a mean margin is counted.
_GOOD_MARGIN = 1e-6
_FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "tanh": np.tanh,
    "scaled_logistic": lambda z: np.tanh(0.5 * z),
    "relu": lambda z: np.maximum(z, 0.0),
}


# Arrays do not compare to one truth value.
def chow_parameters(
    weights: Any,
    threshold: float = 0.0,
    *,
    activation: str = "sign",
    tie: int = 1,
    method: str = "auto",
    tol: float | None = None,
    rng: RandomState = None,
) -> ChowResult:
    """Compute the Chow parameters of a neuron: its mean answer and the correlation of its answer with each input.

    Parameters
    ----------
    weights : array_like, shape (n,)
        w. Taken as float64; each number counts with its exact binary value, so that 0.1 + 0.2 - 0.3 is not 0. Pass integers
        to have a lattice of exact ties.
    threshold : float, default 0
        theta; a layer that computes ``x @ W + b`` has ``theta_j = -b_j``.
    activation : {"sign", "tanh", "scaled_logistic", "relu"}, default "sign"
        f: sgn(m), tanh(m), tanh(m / 2), max(m, 0).
    tie : {1, 0, -1}, default 1
        sgn(0). Other activations do not use it.
    method : str, default "auto"
        For a sign: "meet-in-the-middle" (at most 48 weights), "block" (34, little memory), "fold" (20, the table of all
        points), "branch" (weights of very different size), "integer" and "binomial" (integer weights; equal weights)
        are exact. "groups" (few distinct sizes) and "grid" on integer weights have a bound of the rounding alone;
        "vaaler" and "grid" otherwise have a proven bound; "series" (fast, many weights) is an estimate; "sampling" has
        a bound that holds with probability 1 - 1e-6. Weights that are 0 and neurons that are constant are recognised
        before. For other activations: "fold" (20), "groups" or "series"; very steep ones may get "sign", the
        parameters of the sign neuron with the points near its plane in the bound.
    tol : float, optional
        Error that is accepted. By default the best cheap method is taken. Where a number is given, ``bound <= tol`` is
        proven ("sampling" and "series" excepted), or ValueError says what can be reached.
    rng : int, SeedSequence, Generator, Key or None
        Source of "sampling".

    Returns
    -------
    ChowResult
        ``.value``, shape (n + 1,), ``.bound``, ``.kind``, ``.method``, ``.mean_margin``, ``.details``.

    Raises
    ------
    TypeError, ValueError
        For weights that are no vector of finite numbers, a method that does not serve the neuron, or a ``tol`` out of
        reach.

    Notes
    -----
    "auto" counts exactly for at most 48 non-zero weights, for integer weights (or multiples of a common number) whose sum is
    moderate, and where few weights dominate. Few distinct sizes are counted by groups, and larger integers by their
    probabilities. Else it sums the series, whose error for 80 and more weights is a few units of rounding, unless many
    have nearly the same size. Weights that span more than 122 binary digits may leave points open to a scan by name, which
    then has a bound. Weights that are multiples of a common number up to rounding, such as decimals, are counted on that
    lattice; points that the lattice leaves on the threshold then go into the bound.

    References
    ----------
    Raviv et al. (2021), section on stabilisation, for the use; the methods are derived in the modules they live in.

    Examples
    --------
    >>> from scinn.robustness import chow_parameters
    >>> chow_parameters([1, 1, 1]).value.tolist()
    [0.0, 0.5, 0.5, 0.5]
    >>> result = chow_parameters([0.5 ** i for i in range(100)], 0.25)
    >>> result.kind, result.method
    ('exact', 'branch')
    >>> import numpy as np
    >>> w = np.sqrt(np.arange(1.0, 101.0))
    >>> chow_parameters(w, 3.0).kind, chow_parameters(w, 3.0, tol=1e-4).kind
    ('estimated', 'certified')
    """
    w = _weights(weights)
    theta = check_in_range(threshold, "threshold")
    check_choice(activation, "activation", ACTIVATIONS)
    check_choice(method, "method", METHODS)
    if isinstance(tie, np.integer):
        tie = int(tie)
    check_choice(tie, "tie", (1, 0, -1))
    if tol is not None:
        tol = check_in_range(tol, "tol", 0.0, inclusive="neither")
    if activation != "sign":
        return _smooth_result(w, theta, activation, method, tol)
    game = game_of_neuron(w, theta, tie)
    outcome, name, kind = _solve(game, w, theta, method, tol, rng)
    value = np.zeros(len(w) + 1)
    value[0] = outcome.value[0]
    # Adding 0 turns -0 into 0.
    value[1 + game.order] = game.signs * outcome.value[1:] + 0.0
    details = {"activation": "sign", "tie": tie, **outcome.details}
    return ChowResult(value, float(outcome.bound), kind, name, _mean_margin(w, theta, value), details)


def _weights(weights: Any) -> np.ndarray:
    w = as_float_array(weights, "weights", dtype=np.float64)
    if w.ndim == 2 and 1 not in w.shape:
        raise ValueError(
            f"weights has shape {w.shape}; the vector of one neuron is wanted: pass a column, or use "
            "scinn.robustness.stabilize_layer for a layer"
        )
    return as_float_array(w, "weights", ndim=1)


def _mean_margin(w: np.ndarray, theta: float, value: np.ndarray) -> float:
    """Return <w,c> - theta c_0."""
    # A power of two keeps sums of huge weights finite.
    exponent = int(np.frexp(np.max(np.abs(w), initial=abs(theta)))[1])
    products = np.ldexp(w, -exponent) * value[1:]
    total = math.fsum([*products.tolist(), -math.ldexp(theta, -exponent) * float(value[0])])
    # It is a mean of absolute values; rounding can leave a tiny negative number.
    return float(np.ldexp(max(total, 0.0), exponent))


# Choice of the method


def _solve(
    game: Game, w: np.ndarray, theta: float, method: str, tol: float | None, rng: RandomState
) -> tuple[Outcome, str, Kind]:
    if game.constant:
        return exact.constant(game), "constant", "exact"
    if method == "auto":
        outcome, name = _automatic(game, w, theta, tol)
    else:
        outcome, name = _METHODS[method](game, w, theta, tol, rng), method
    if tol is not None and outcome.bound > tol:
        raise ValueError(
            f"tol is {tol:g}, but the method {name!r} reaches {outcome.bound:.2g} for these {len(game.weights)} non-zero "
            f"weights; pass a larger tol{'' if method == 'auto' else ', or another method'}"
        )
    kind: Kind = "exact" if outcome.counts is not None else "certified"
    return outcome, name, "estimated" if name in ("series", "sampling") else kind


def _automatic(game: Game, w: np.ndarray, theta: float, tol: float | None) -> tuple[Outcome, str]:
    n = len(game.weights)
    if game.weights[0] == 1:
        return exact.binomial(game), "binomial"
    if n <= _MOST_HALVED_AT_ONCE and bounds.fits_words(game.weights):
        return exact.meet_in_the_middle(game), "meet-in-the-middle"
    mass = _NEGLIGIBLE if tol is None else max(_NEGLIGIBLE, 0.01 * tol)
    integer, plan = exact.integer_seconds(game), exact.branch_plan(game, mass)
    seconds = min(integer, plan.seconds)
    quick = _QUICK if tol is None else max(_QUICK, _PROVING / tol)
    if n <= _MOST_COUNTED or seconds <= quick:
        outcome, name = _counted(game, integer, plan)
        # Branches that stayed undecided can outnumber the estimate.
        if n <= _MOST_COUNTED or outcome.bound <= (_GOOD_SERIES if tol is None else tol):
            return outcome, name
    by_size = groups.groups_of(game.weights)
    if groups.n_states(by_size) <= groups.MOST_STATES:
        assert by_size is not None
        if integer <= _PATIENT:
            return exact.integer_counts(game), "integer"
        outcome = groups.grouped(game, by_size)
        if tol is None or outcome.bound <= tol:
            return outcome, "groups"
    lattice = bounds.lattice_game(game)
    if lattice is None and bounds.lattice_seconds(game) <= _PATIENT:
        # Integers that could be chance, but are what they are.
        lattice = bounds.LatticeGame(game, float(game.unit), True)
    if lattice is not None:
        found = bounds.lattice_counts(lattice, _PATIENT)
        if found is not None and (tol is None or found.bound <= tol):
            return found, "integer"
        if found is None and bounds.lattice_seconds(lattice.game) <= _PATIENT:
            found = bounds.lattice_enclosure(lattice)
            if found.bound <= (_LATTICE if tol is None else tol):
                return found, "grid"
    nonzero = w[game.order]
    if tol is not None:
        return _proven(game, nonzero, theta, tol, integer, plan)
    outcome = _series(nonzero, theta)
    if outcome.bound <= _GOOD_SERIES:
        return outcome, "series"
    plan = exact.branch_plan(game, 0.01 * outcome.bound)
    if min(integer, plan.seconds) <= _PATIENT:
        better, name = _counted(game, integer, plan)
        if better.bound < outcome.bound:
            return better, name
    if outcome.bound > _DOUBTFUL:
        proven = _vaaler(nonzero, theta, _DEFAULT_HARMONICS)
        if proven.bound < outcome.bound:
            return proven, "vaaler"
    return outcome, "series"


def _proven(
    game: Game, nonzero: np.ndarray, theta: float, tol: float, integer: float, plan: exact.BranchPlan
) -> tuple[Outcome, str]:
    try:
        return _enclosed(nonzero, theta, tol), "vaaler"
    except ValueError:
        if min(integer, plan.seconds) > _LONGEST:
            raise
    return _counted(game, integer, plan)


def solve_game(game: Game) -> tuple[Outcome, str, Kind]:
    """Solve a game whose weights are not those of a neuron, such as a voting game.

    Parameters
    ----------
    game : Game

    Returns
    -------
    outcome : Outcome
    method : str
    kind : {"exact", "certified", "estimated"}
    """
    # Only the series needs floats. Half a unit above the quota there is no sum.
    scale = max(0, game.total.bit_length() - 1000)
    sizes = np.array([float(weight >> scale) for weight in game.weights])
    theta = float((2 * game.quotas[0] + 1 - game.total) >> scale)
    return _solve(game._replace(order=np.arange(len(sizes))), sizes, theta, "auto", None, None)


def _counted(game: Game, integer: float, plan: exact.BranchPlan) -> tuple[Outcome, str]:
    if integer < plan.seconds:
        return exact.integer_counts(game), "integer"
    if plan.depth == 0 and plan.halves:
        outcome, name = exact.meet_in_the_middle(game), "meet-in-the-middle"
    else:
        outcome, name = exact.branch(game, plan), "branch"
    if outcome.counts is None and len(game.weights) <= exact.MOST_TABULATED:
        # Weights of very different size: the table adds integers of any length.
        return exact.truth_table(game), "fold"
    return outcome, name


def _series(nonzero: np.ndarray, theta: float) -> Outcome:
    result = spectral.series_parameters(nonzero, theta)
    details: dict[str, object] = {"n_harmonics": result.n_harmonics, "period": result.period}
    return Outcome(_in_game_order(result.value, nonzero), result.error_estimate, None, 0, details)


def _in_game_order(value: np.ndarray, nonzero: np.ndarray) -> np.ndarray:
    """Turn parameters of the inputs into those of ``y_i = sign(w_i) x_i``."""
    return np.concatenate([value[:1], np.sign(nonzero) * value[1:]])


def _vaaler(nonzero: np.ndarray, theta: float, n_harmonics: int) -> Outcome:
    result = spectral.vaaler_parameters(nonzero, theta, n_harmonics=n_harmonics)
    details: dict[str, object] = {"n_harmonics": result.n_harmonics}
    return Outcome(_in_game_order(result.value, nonzero), result.bound, None, 0, details)


def _enclosed(nonzero: np.ndarray, theta: float, tol: float) -> Outcome:
    """Enclose to a tolerance, with as many harmonics as a first try suggests; the bound falls like 1/K."""
    n_harmonics = _PILOT_HARMONICS
    outcome = _vaaler(nonzero, theta, n_harmonics)
    while outcome.bound > tol and n_harmonics < _MOST_HARMONICS:
        reach = outcome.bound * n_harmonics / _MOST_HARMONICS
        if reach > tol:
            raise _too_small(tol, reach, len(nonzero))
        more = min(max(math.ceil(1.1 * n_harmonics * outcome.bound / tol), 2 * n_harmonics), _MOST_HARMONICS)
        expected = outcome.bound * n_harmonics / more
        outcome, n_harmonics = _vaaler(nonzero, theta, more), more
        if outcome.bound > max(tol, 3.0 * expected):
            # Points on the plane, or as good as on it: more harmonics do not move them.
            raise _too_small(tol, outcome.bound, len(nonzero))
    return outcome


def _too_small(tol: float, reach: float, n: int) -> ValueError:
    return ValueError(
        f"tol is {tol:g}, but for these {n} non-zero weights about {reach:.1g} is the smallest error that can be proven; "
        "pass a larger tol, or tol=None for the best estimate"
    )


# Methods by name


def _refuse(method: str, reason: str) -> ValueError:
    return ValueError(f"method is {method!r}, but {reason}; pass method='auto' to have one chosen")


def _by_count(
    name: str, count: Callable[[Game], Outcome], most: int
) -> Callable[[Game, np.ndarray, float, float | None, RandomState], Outcome]:
    def run(game: Game, w: np.ndarray, theta: float, tol: float | None, rng: RandomState) -> Outcome:
        if len(game.weights) > most:
            raise _refuse(
                name, f"there are {len(game.weights)} non-zero weights and it serves {most} at most"
            )
        return count(game)

    return run


def _by_integers(game: Game, w: np.ndarray, theta: float, tol: float | None, rng: RandomState) -> Outcome:
    seconds = exact.integer_seconds(game)
    if seconds > 6.0 * _LONGEST:
        raise _refuse(
            "integer",
            f"as integers these weights add up to about 2^{game.total.bit_length()}, which is too much to go through; they "
            "must be small multiples of a common number",
        )
    return exact.integer_counts(game)


def _by_binomial(game: Game, w: np.ndarray, theta: float, tol: float | None, rng: RandomState) -> Outcome:
    if game.weights[0] != 1:
        raise _refuse("binomial", "the non-zero weights do not all have the same size")
    return exact.binomial(game)


def _by_groups(game: Game, w: np.ndarray, theta: float, tol: float | None, rng: RandomState) -> Outcome:
    by_size = groups.groups_of(game.weights)
    if by_size is None or groups.n_states(by_size) > groups.MOST_STATES:
        raise _refuse("groups", "the weights have too many distinct sizes to go through their combinations")
    return groups.grouped(game, by_size)


def _by_branch(game: Game, w: np.ndarray, theta: float, tol: float | None, rng: RandomState) -> Outcome:
    plan = exact.branch_plan(game)
    if plan.seconds > 6.0 * _LONGEST:
        raise _refuse("branch", "too many branches stay undecided, since no few weights dominate the others")
    if plan.depth == 0:
        plan = plan._replace(depth=min(len(game.weights), 4))
    return exact.branch(game, plan)


def _by_series(game: Game, w: np.ndarray, theta: float, tol: float | None, rng: RandomState) -> Outcome:
    return _series(w[game.order], theta)


def _by_vaaler(game: Game, w: np.ndarray, theta: float, tol: float | None, rng: RandomState) -> Outcome:
    if tol is None:
        return _vaaler(w[game.order], theta, _DEFAULT_HARMONICS)
    return _enclosed(w[game.order], theta, tol)


def _by_grid(game: Game, w: np.ndarray, theta: float, tol: float | None, rng: RandomState) -> Outcome:
    if bounds.lattice_seconds(game) <= _LONGEST:
        return bounds.lattice_probabilities(game)
    sizes, weight = np.abs(w[game.order]), max(_DEFAULT_GRID, 16 * len(game.weights))
    outcome = bounds.grid(sizes, theta, most_weight=weight)
    while tol is not None and outcome.bound > tol and weight < bounds.MOST_GRID:
        weight = min(max(2 * weight, int(1.2 * weight * outcome.bound / tol)), bounds.MOST_GRID)
        outcome = bounds.grid(sizes, theta, most_weight=weight)
    return outcome


def _by_sampling(game: Game, w: np.ndarray, theta: float, tol: float | None, rng: RandomState) -> Outcome:
    n = len(game.weights)
    if not bounds.fits_words(game.weights):
        raise _refuse(
            "sampling", "the weights span more than 122 binary digits, which it does not add up exactly"
        )
    n_samples = _DEFAULT_SAMPLES if tol is None else bounds.samples_needed(n, tol)
    if n * n_samples > _MOST_SAMPLED:
        raise _refuse(
            "sampling", f"tol = {tol:g} needs {n_samples:.2g} points of {n} inputs, which would take minutes"
        )
    return bounds.sample(game, n_samples, as_generator(rng))


_METHODS: dict[str, Callable[[Game, np.ndarray, float, float | None, RandomState], Outcome]] = {
    "fold": _by_count("fold", exact.truth_table, exact.MOST_TABULATED),
    "block": _by_count("block", exact.block_scan, exact.MOST_SCANNED),
    "meet-in-the-middle": _by_count("meet-in-the-middle", exact.meet_in_the_middle, exact.MOST_HALVED),
    "integer": _by_integers,
    "binomial": _by_binomial,
    "groups": _by_groups,
    "series": _by_series,
    "vaaler": _by_vaaler,
    "grid": _by_grid,
    "branch": _by_branch,
    "sampling": _by_sampling,
}


# Smooth activations


def _smooth_result(
    w: np.ndarray, theta: float, activation: str, method: str, tol: float | None
) -> ChowResult:
    if method not in ("auto", "fold", "groups", "series"):
        raise ValueError(
            f"method is {method!r}, but {activation} neurons have only 'auto', 'fold', 'groups' and 'series'"
        )
    places = np.flatnonzero(w)
    nonzero = w[places]
    with np.errstate(over="ignore"):
        reach = float(np.sum(np.abs(nonzero))) + abs(theta)
    if not math.isfinite(reach):
        raise ValueError(
            f"weights and threshold add up to more than a float64 holds; divide them, {activation} is not scale-free"
        )
    few = len(places) <= _MOST_EVALUATED
    if method == "fold" and not few:
        raise _refuse(
            "fold",
            f"there are {len(places)} non-zero weights and for {activation} it serves {_MOST_EVALUATED} at most",
        )
    details: dict[str, Any] = {"activation": activation}
    kind: Kind
    if len(places) == 0 or method == "fold" or (few and method == "auto"):
        part, bound, margin = _evaluated(nonzero, theta, _FUNCTIONS[activation])
        kind, name = "certified", "fold"
    else:
        part, bound, margin, kind, name, own = _smooth_of_many(nonzero, theta, activation, method, tol)
        details |= own
    if tol is not None and bound > tol:
        what = "bound" if kind == "certified" else "estimated error"
        raise ValueError(
            f"tol is {tol:g}, but the {what} of the {name} of this {activation} neuron is {bound:.2g}; pass a larger tol"
        )
    value = np.zeros(len(w) + 1)
    value[0], value[1 + places] = part[0], part[1:]
    return ChowResult(value, float(bound), kind, name, float(margin), details)


_Smooth = tuple[np.ndarray, float, float, Kind, str, dict[str, Any]]


def _smooth_of_many(
    nonzero: np.ndarray, theta: float, activation: str, method: str, tol: float | None
) -> _Smooth:
    order = np.argsort(-np.abs(nonzero), kind="stable")
    by_size = groups.groups_of(np.abs(nonzero[order]).tolist())
    can_group = groups.n_states(by_size, sign=False) <= groups.MOST_STATES
    if method == "groups" and not can_group:
        raise _refuse("groups", "the weights have too many distinct sizes to go through their combinations")
    if can_group and method != "series":
        assert by_size is not None
        found, bound, margin = groups.grouped_function(by_size, theta, _FUNCTIONS[activation])
        part = np.empty(len(nonzero) + 1)
        part[0], part[1 + order] = found[0], np.sign(nonzero[order]) * np.repeat(found[1:], by_size.counts)
        return part, bound, margin, "certified", "groups", {"n_sizes": len(by_size.sizes)}
    aim = _SMOOTH_TOLERANCE if tol is None else tol
    result = spectral.smooth_parameters(nonzero, theta, activation, tol=aim)
    bound, margin = result.error_estimate, result.mean_margin
    kind: Kind = "certified" if result.proven else "estimated"
    # No answer of a bounded activation is farther from another than this.
    if activation != "relu":
        bound = min(bound, 2.0)
    own: dict[str, Any] = {"n_harmonics": result.n_harmonics, "period": result.period}
    series: _Smooth = (result.value, bound, margin, kind, "series", own)
    if method == "series" and len(nonzero) <= _MOST_HALVED_AT_ONCE:
        return series
    sign = None
    if spectral.series_parameters(nonzero, theta).error_estimate > _GOOD_MARGIN:
        # On or near a lattice a series smooths |m| too.
        sign = chow_parameters(nonzero, theta, tie=0)
        series = (*series[:2], sign.mean_margin, *series[3:])
    if method == "series" or activation == "relu" or kind == "certified":
        return series
    steep = _as_sign(nonzero, theta, activation, sign or chow_parameters(nonzero, theta, tie=0))
    return steep if steep[1] < series[1] else series


def _as_sign(nonzero: np.ndarray, theta: float, activation: str, sign: ChowResult) -> _Smooth:
    """Take a steep activation for a sign: they differ by ``2 exp(-2 a |m|)`` at most, and by 1 near the plane."""
    steepness = {"tanh": 2.0, "scaled_logistic": 1.0}[activation]
    best, kind = 2.0, sign.kind
    for far in (1e-12, 1e-5):
        band = math.log(2.0 / far) / steepness
        sides = [chow_parameters(nonzero, theta + side, tie=tie) for side, tie in ((-band, 1), (band, -1))]
        mass = 0.5 * (sides[0].constant - sides[1].constant + sides[0].bound + sides[1].bound)
        if "estimated" in (side.kind for side in sides):
            kind = "estimated"
        best = min(best, sign.bound + max(mass, 0.0) + far)
    if kind == "exact":
        kind = "certified"
    return sign.value, best, sign.mean_margin, kind, "sign", {"sign_method": sign.method}


def _evaluated(
    nonzero: np.ndarray, theta: float, function: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, float, float]:
    """Return the parameters from all points, a bound of the rounding, and the mean size of the margin."""
    n = len(nonzero)
    margins = np.full(1, -theta)
    for weight in nonzero:
        margins = np.concatenate([margins - weight, margins + weight])
    table = function(margins)
    value = np.empty(n + 1)
    size = float(np.max(np.abs(table)))
    for i in range(n - 1, -1, -1):
        half = len(table) // 2
        value[i + 1] = float(np.sum(table[half:] - table[:half])) / 2.0**n
        table = table[:half] + table[half:]
    value[0] = table[0] / 2.0**n
    # The functions are 1-Lipschitz; sums over 2^n points are pairwise or folded, n roundings each.
    reach = float(np.sum(np.abs(nonzero))) + abs(theta)
    bound = 2.0**-53 * ((n + 1.0) * reach + (4.0 * n + 8.0) * size)
    return value, bound, float(np.mean(np.abs(margins)))
