"""Certificates: how few flips of binary features evade a detector, exactly or between two bounds.

Raviv et al. (2021), "Enhancing Robustness of Neural Networks through Fourier Stabilization", measure robustness by
attacks, which bound the number of flips from above. Here it is bounded from below as well, and often the two meet (derived
here). Notation: signs ``x in {-1, +1}^n``, hidden layer ``z = x W + b``, logits ``f(z) V + c``; flips *evade* where the
logit of some class exceeds that of the label by a margin. Steps, each only where the ones before leave a gap:

1. :func:`gain_bound`, a lower bound from the best gains of single flips in every neuron;
2. all single flips, and all pairs where they are few;
3. a greedy attack, for an upper bound where none was given;
4. for k = lower bound, ...: a mixed-integer model that asks for k flips, see :mod:`scinn.robustness.milp`. Without a
   solution the lower bound rises; flips that the model offers are checked exactly, and where they do not evade, they are
   excluded, the estimates of tanh are made exact there, and the model is solved again.

The last step makes the bounds meet for every activation if given the time. Beyond exact arithmetic the certificate trusts
one thing, that HiGHS is right when it calls a model infeasible.
"""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from scinn._input import check_in_range, check_positive_int
from scinn.exceptions import ScinnWarning
from scinn.robustness.bounds import (
    PAIR_LIMIT,
    correct,
    exhaustive_search,
    flipped,
    gain_bound,
    gain_bounds,
    greedy_search,
    read_samples,
)
from scinn.robustness.constraints import FeatureConstraints, resolve_constraints
from scinn.robustness.features import detect_encoding, to_signs
from scinn.robustness.halfspaces import halfspace_radius, hoelder_lower_bound
from scinn.robustness.margins import Margins
from scinn.robustness.milp import FlipProblem, flip_problem, solve_flips

__all__ = [
    "RadiusResult",
    "certified_radius",
    "exact_radius",
    "gain_bound",
    "halfspace_radius",
    "hoelder_lower_bound",
]

# Costs without a common unit are compared to this share; budgets then grow by steps of a quarter.
_COST_SHARE = 1e-9
_GROWTH = 1.25


@dataclass(frozen=True, repr=False, eq=False)
class RadiusResult:
    """What is proved about the least number (or cost) of flips that evade on one sample.

    Parameters
    ----------
    lower : int or float
        No allowed flips of fewer (or of smaller cost) evade; infinite where none evade at all. An int where every flip
        costs 1.
    upper : int, float or None
        So many suffice; None where no evasion is known, infinite where there is none.
    adversarial : ndarray of int8 or None, shape (n_features,)
        Features that evade with ``upper``, in the encoding of the input. None where there are none, or where only their
        number was given.
    status : {"exact", "bounded", "misclassified", "robust"}
        Whether the bounds meet, whether the sample needs no flip at all, and whether no allowed flips evade.
    seconds : float
        Wall time.
    method : {"clean", "gain bound", "exhaustive", "mixed-integer"}
        What proved the lower bound.

    Examples
    --------
    >>> RadiusResult(2, 3, None, "bounded", 0.25, "exhaustive")
    RadiusResult(2 to 3 flips, bounded; lower bound by exhaustive search, 0.25 s)
    """

    lower: int | float
    upper: int | float | None
    adversarial: np.ndarray | None
    status: str
    seconds: float
    method: str

    @property
    def exact(self) -> bool:
        """Whether the radius is known, be it 0 or infinite."""
        return self.status != "bounded"

    def __repr__(self) -> str:
        most = "?" if self.upper is None else f"{self.upper:g}"
        if self.status == "robust":
            what = "no allowed flips evade"
        else:
            what = most if self.upper == self.lower else f"{self.lower:g} to {most}"
            flips = "flip" if self.upper == self.lower == 1 else "flips"
            what = f"{what} {flips}" if isinstance(self.lower, int) else f"cost {what}"
        method = "exhaustive search" if self.method == "exhaustive" else self.method
        method = f"; lower bound by {method}" if self.method != "clean" else ""
        return f"RadiusResult({what}, {self.status}{method}, {self.seconds:.2g} s)"

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON values; infinity, which JSON lacks, becomes None."""

        def number(value: int | float | None) -> int | float | None:
            return None if value is None or math.isinf(value) else value

        return {
            "lower": number(self.lower),
            "upper": number(self.upper),
            "status": self.status,
            "method": self.method,
            "adversarial": None if self.adversarial is None else self.adversarial.tolist(),
            "seconds": self.seconds,
        }


def exact_radius(
    network: Any,
    features: Any,
    labels: Any,
    *,
    constraints: Any = None,
    time_limit: float = 60.0,
    encoding: str = "auto",
    margin: float = 1e-6,
    upper: Any = None,
) -> list[RadiusResult]:
    """Return the least number or cost of flips that evade a network of sign or ReLU neurons.

    As :func:`certified_radius`, for networks that a mixed-integer model represents without an estimate.

    Parameters
    ----------
    network : ShallowNetwork
        Of sign or ReLU neurons.
    features, labels, constraints, time_limit, encoding, margin, upper
        As for :func:`certified_radius`.

    Returns
    -------
    list of RadiusResult
        One a sample; "bounded" only where the time was up, or where sums lie closer to a threshold than the solver can
        tell.

    Raises
    ------
    ValueError
        For other activations, and as :func:`certified_radius`.

    References
    ----------
    Derived here.

    Examples
    --------
    >>> from scinn.robustness import FeatureConstraints, ShallowNetwork
    >>> network = ShallowNetwork([[3], [2], [2]], [0], [[-1, 1]], [0, 0], "sign")
    >>> exact_radius(network, [[0, 0, 0]], [1])[0].upper
    2
    >>> add_only = FeatureConstraints(3, add_only=True, costs=[1, 9, 9])
    >>> exact_radius(network, [[0, 0, 0]], [1], constraints=add_only)[0].upper
    10.0
    """
    network, signs, y = read_samples(network, features, labels, encoding)
    if network.activation not in ("sign", "relu"):
        raise ValueError(
            f"network has {network.activation} neurons; exact_radius is for 'sign' and 'relu': use certified_radius, whose "
            "bounds usually meet for smooth neurons too"
        )
    return _certify(network, signs, y, features, encoding, constraints, time_limit, margin, upper, 1)


def certified_radius(
    network: Any,
    features: Any,
    labels: Any,
    *,
    constraints: Any = None,
    pieces: int = 6,
    time_limit: float = 15.0,
    encoding: str = "auto",
    margin: float = 1e-6,
    upper: Any = None,
) -> list[RadiusResult]:
    """Return bounds of the least number or cost of flips that evade a network, for every activation.

    Flips evade where the logit of some class exceeds that of the label by ``margin``. The certificate speaks of the
    network in real arithmetic: float32 weights are taken as the numbers they are, and nothing is rounded. A float32
    network's own ``predict`` may differ where two logits agree to seven digits, hence the margin: with a margin above the
    rounding errors an adversarial example is one for ``predict`` too, and with ``margin=0`` even ties count, so that the
    lower bound holds for every rule of breaking them.

    Parameters
    ----------
    network : ShallowNetwork
        Any activation.
    features : array_like or sparse matrix, shape (n_samples, n_features) or (n_features,)
        Bits or signs.
    labels : array_like of int, shape (n_samples,)
        True classes.
    constraints : FeatureConstraints, optional
        Which flips are allowed and what they cost; with costs other than 1 the least cost is sought. Costs without a
        common unit are told apart to 1e-6 of the largest.
    pieces : int
        Chords of the first estimate of tanh on its convex side; more are added where needed.
    time_limit : float
        Seconds for each sample, after which no further mixed-integer search is begun. Results that it cuts short depend on
        the machine.
    encoding : {"auto", "bits", "signs"}
        What the features are.
    margin : float
        See above; not negative.
    upper : array_like or AttackResult, optional
        Known evasions, which spare a search: adversarial features, shape (n_samples, n_features), in the encoding of
        ``features`` (each is checked, and ignored where it does not evade); or their number of flips, shape (n_samples,),
        or their cost where flips do not cost 1, which are taken on trust: negative or infinite where unknown.

    Returns
    -------
    list of RadiusResult
        One a sample.

    Raises
    ------
    ValueError
        For shapes that do not fit, labels out of range, a time limit that is not positive, or a negative margin.

    Warns
    -----
    ScinnWarning
        Where a size in ``upper`` contradicts what was proved; it is then ignored.

    References
    ----------
    Derived here. The attack of Raviv et al. (2021) that it complements is :func:`scinn.robustness.jsma`.

    Examples
    --------
    >>> from scinn.robustness import ShallowNetwork
    >>> network = ShallowNetwork([[3], [2], [2]], [0], [[-1, 1]], [0, 0])
    >>> result = certified_radius(network, [[0, 0, 0]], [1])[0]
    >>> result.lower, result.upper, result.adversarial.tolist(), result.status
    (2, 2, [1, 1, 0], 'exact')
    """
    network, signs, y = read_samples(network, features, labels, encoding)
    pieces = check_positive_int(pieces, "pieces")
    return _certify(network, signs, y, features, encoding, constraints, time_limit, margin, upper, pieces)


def _certify(
    network: Any,
    signs: np.ndarray,
    labels: np.ndarray,
    features: Any,
    encoding: str,
    constraints: Any,
    time_limit: float,
    margin: float,
    upper: Any,
    pieces: int,
) -> list[RadiusResult]:
    rules = resolve_constraints(constraints, network.n_features)
    limit = check_in_range(time_limit, "time_limit", low=0.0, inclusive="neither")
    margins = Margins(network, check_in_range(margin, "margin", low=0.0))
    kind = detect_encoding(features) if encoding == "auto" else encoding
    units = _units(rules.costs)
    allowed = rules.may_flip(signs)
    known = _known_evasions(upper, margins, signs, labels, allowed, units, kind)
    right = correct(margins, signs, labels)
    results, wrong = [], []
    for i, (x, y) in enumerate(zip(signs, labels.tolist(), strict=True)):
        start = time.perf_counter()
        if not right[i]:
            best: tuple[float, np.ndarray | None] = (0.0, np.zeros(0, dtype=np.int64))
            search = _Search(margins, x, y, allowed[i], units, best, pieces)
            search.method = "clean"
        else:
            search = _Search(margins, x, y, allowed[i], units, known[i], pieces)
            search.run(start + limit)
            if search.contradicted:
                wrong.append(i)
        results.append(_result(search, rules, kind, time.perf_counter() - start, misclassified=not right[i]))
    if wrong:
        warnings.warn(
            f"upper[{wrong[0]}] is less than what was proved to be needed with margin {margins.margin:g}"
            f"{f', and so are {len(wrong) - 1} more' if len(wrong) > 1 else ''}; ignored: pass the adversarial features "
            "themselves to have them checked",
            ScinnWarning,
            stacklevel=3,
        )
    return results


def _result(
    search: _Search, rules: FeatureConstraints, kind: str, seconds: float, *, misclassified: bool
) -> RadiusResult:
    lower: float = search.lower * search.units.size
    upper: float | None = search.upper * search.units.size
    if search.flips is not None:
        # In the order of the features, so that the sum does not depend on how they were found.
        upper = math.fsum(rules.costs[np.sort(search.flips)])
        lower = upper if search.lower == search.upper else min(lower, upper)
    status = "exact" if search.lower == search.upper else "bounded"
    if search.lower == np.inf:
        lower, upper, status = math.inf, math.inf, "robust"
    elif upper == math.inf:
        upper = None
    if rules.unit_costs:
        lower = lower if math.isinf(lower) else round(lower)
        upper = upper if upper is None or math.isinf(upper) else round(upper)
    adversarial = None
    if search.flips is not None and status != "robust":
        adversarial = flipped(search.signs, search.flips)
        if kind == "bits":
            adversarial = (adversarial < 0).astype(np.int8)
    return RadiusResult(
        lower, upper, adversarial, "misclassified" if misclassified else status, seconds, search.method
    )


@dataclass(frozen=True, eq=False)
class _Units:
    """Costs as multiples of their common unit.

    Parameters
    ----------
    costs : ndarray of float64, shape (n_features,)
        Whole numbers where there is a unit, else the costs themselves.
    size : float
        The unit; 1 where there is none.
    whole : bool
        Whether there is a unit.
    equal : bool
        Whether all costs are one unit: then flips are counted.
    """

    costs: np.ndarray
    size: float
    whole: bool
    equal: bool


def _units(costs: np.ndarray) -> _Units:
    if not np.ptp(costs):
        return _Units(np.ones_like(costs), float(costs[0]), True, True)
    # Decimal costs such as 0.1 are meant as decimals, not as the dyadic numbers nearest to them.
    values = [Fraction(c).limit_denominator(10_000) for c in np.unique(costs).tolist()]
    if all(float(v) == c for v, c in zip(values, np.unique(costs).tolist())):
        scale = math.lcm(*(v.denominator for v in values))
        unit = Fraction(math.gcd(*(int(v * scale) for v in values)), scale)
        whole = np.round(costs / float(unit))
        if whole.max() <= 10_000:
            return _Units(whole, float(unit), True, False)
    return _Units(costs, 1.0, False, False)


_Evasion = tuple[float, np.ndarray | None]


def _known_evasions(
    upper: Any,
    margins: Margins,
    signs: np.ndarray,
    labels: np.ndarray,
    allowed: np.ndarray,
    units: _Units,
    kind: str,
) -> list[_Evasion]:
    """Return for each sample the cost in units of a known evasion, infinite for none, and its flips where known."""
    if upper is None:
        return [(np.inf, None)] * len(signs)
    given = getattr(upper, "adversarial", upper)
    array = np.asarray(given)
    if array.ndim == 1 and array.dtype.kind in "iuf" and array.shape == (len(signs),):
        sizes = array.astype(np.float64)
        sizes = np.where(np.isfinite(sizes) & (sizes >= 0), sizes, np.inf) / units.size
        # A cost below the next whole number of units is one of the whole number below, but for rounding.
        return [(float(np.floor(size + 1e-6) if units.whole else size), None) for size in sizes]
    if array.ndim != 2 or array.shape != signs.shape:
        raise ValueError(
            f"upper has shape {array.shape}; adversarial features of shape {signs.shape} or sizes of shape ({len(signs)},) "
            "are wanted"
        )
    turned = to_signs(array, encoding=kind, name="upper")
    result: list[_Evasion] = []
    for x, other, y, free in zip(signs, turned, labels.tolist(), allowed, strict=True):
        flips = np.flatnonzero(x != other)
        good = free[flips].all() and margins.evades(other, y)
        result.append((float(units.costs[flips].sum()), flips) if good else (np.inf, None))
    return result


@dataclass(eq=False)
class _Target:
    """The problem of one target class, and what was learnt about it."""

    problem: FlipProblem
    features: np.ndarray
    excluded: list[np.ndarray] = field(default_factory=list)
    touch: list[np.ndarray] = field(default_factory=list)


class _Search:
    """Bounds of one sample in units of cost, tightened step by step until they meet or the time is up."""

    def __init__(
        self,
        margins: Margins,
        signs: np.ndarray,
        label: int,
        allowed: np.ndarray,
        units: _Units,
        best: _Evasion,
        pieces: int,
    ) -> None:
        self.margins, self.signs, self.label, self.allowed = margins, signs, label, allowed
        self.units, self.pieces = units, pieces
        self.lower = 0.0
        self.upper, self.flips = best
        self.method = "gain bound"
        self.contradicted = False
        self.targets: dict[int, _Target] = {}
        self.deadline = math.inf
        self.least = np.zeros(0)

    def run(self, deadline: float) -> None:
        """Tighten the bounds of a sample that is classified right."""
        self.deadline = deadline
        self.least = self._cost_of_flips(gain_bounds(self.margins, self.signs, self.label, self.allowed))
        self.lower = max(float(self.least.min()), float(self.units.costs.min()))
        self._check_trust()
        if self.units.equal:
            self._try_few_flips()
            self._check_trust()
        if self.lower < self.upper == np.inf:
            free = np.flatnonzero(self.allowed)
            found = greedy_search(self.margins, self.signs, self.label, free, self.units.costs)
            if found is not None:
                self._found(found)
        while self.lower < self.upper and time.perf_counter() < self.deadline:
            if not self._examine():
                break
        if self.upper <= self.lower * (1 + _COST_SHARE):
            # Sums of the same costs in another order.
            self.lower = self.upper

    def _cost_of_flips(self, flips: np.ndarray) -> np.ndarray:
        """Return the least cost of so many allowed flips, for each target class."""
        if self.units.equal:
            return flips
        sums = np.concatenate([[0.0], np.cumsum(np.sort(self.units.costs[self.allowed]))])
        return np.array([np.inf if np.isinf(k) else sums[int(k)] for k in flips])

    def _check_trust(self) -> None:
        # Only sizes taken on trust can fall below a bound that was proved.
        if self.upper < self.lower * (1 - _COST_SHARE):
            self.contradicted = True
            self.upper, self.flips = np.inf, None

    def _found(self, flips: np.ndarray) -> None:
        cost = float(self.units.costs[flips].sum())
        if cost < self.upper or (cost == self.upper and self.flips is None):
            self.upper, self.flips = cost, flips

    def _try_few_flips(self) -> None:
        free = np.flatnonzero(self.allowed)
        pairs = len(free) * (len(free) - 1) // 2 * len(self.margins.bias)
        for n_flips in (1, 2):
            if not self.lower == n_flips < self.upper or (n_flips == 2 and pairs > PAIR_LIMIT):
                return
            found = exhaustive_search(self.margins, self.signs, self.label, free, n_flips)
            self.method = "exhaustive"
            if found is None:
                self.lower = n_flips + 1.0
            else:
                self._found(found)

    def _next_budget(self) -> tuple[float, bool]:
        """Return the cost up to which flips are sought next, and whether all that remain are then covered."""
        free = self.units.costs[self.allowed]
        total = float(free.sum())
        if self.units.whole:
            most = min(self.upper - 1.0, total)
            budget = self.lower if self.units.equal else max(self.lower, math.floor(_GROWTH * self.lower))
            return min(budget, most), budget >= most
        most = min(self.upper * (1 - _COST_SHARE), total)
        budget = _GROWTH * self.lower
        return min(budget, most), budget >= most

    def _examine(self) -> bool:
        """Search one budget, every target class; return whether it was decided."""
        budget, last = self._next_budget()
        found, decided, undecided_from = False, True, math.inf
        for target in np.argsort(self.least, kind="stable").tolist():
            if self.least[target] > budget:
                continue
            kind, bound = self._ask(int(target), budget)
            if kind == "found":
                found = True
                if self.units.equal:
                    self.lower, self.method = self.upper, "mixed-integer"
                    return True
                budget = self.upper - 1.0 if self.units.whole else self.upper * (1 - _COST_SHARE)
            elif kind == "undecided":
                decided = False
                undecided_from = min(undecided_from, bound)
        if decided:
            after = budget + 1.0 if self.units.whole else budget
            closed = found or (last and self.upper < np.inf)
            self.lower = self.upper if closed else np.inf if last else max(self.lower, after)
            self.method = "mixed-integer"
        elif not self.units.equal and self.lower < undecided_from:
            bound = math.ceil(undecided_from - 1e-6) if self.units.whole else undecided_from * (1 - 1e-6)
            # Classes beyond the budget were not asked.
            bound = min(float(bound), self.upper, budget)
            if bound > self.lower:
                self.lower, self.method = bound, "mixed-integer"
        return decided

    def _slack(self, cost: float) -> float:
        """Return by how much a limit of the cost is widened: less than a unit, more than rounding."""
        return 0.5 if self.units.whole else cost * _COST_SHARE / 4

    def _ask(self, target: int, budget: float) -> tuple[str, float]:
        """Return whether flips to one class exist within a budget: "none", "found", "undecided" with a cost bound."""
        if target not in self.targets:
            problem, features = flip_problem(
                self.margins, self.signs, self.label, target, self.allowed, self.units.costs
            )
            self.targets[target] = _Target(problem, features)
        state = self.targets[target]
        bound = self.lower
        while (left := self.deadline - time.perf_counter()) > 0:
            solution = solve_flips(
                state.problem,
                budget=budget + self._slack(budget),
                floor=self.lower - self._slack(self.lower),
                cheapest=not self.units.equal,
                excluded=state.excluded,
                touch=state.touch,
                pieces=self.pieces,
                time_limit=left,
            )
            bound = max(bound, solution.cost_bound) if np.isfinite(solution.cost_bound) else bound
            if solution.kind != "found":
                return solution.kind, bound
            flips = state.features[solution.flips]
            changed = flipped(self.signs, flips)
            if self.margins.evades(changed, self.label):
                self._found(flips)
                return ("found" if solution.proven or self.units.equal else "undecided"), bound
            if any(np.array_equal(solution.flips, other) for other in state.excluded):
                break
            state.excluded.append(solution.flips)
            if self.margins.activation in ("tanh", "scaled_logistic"):
                state.touch.append(self.margins.hidden(changed[None, :])[0])
        return "undecided", bound
