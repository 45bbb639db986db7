"""Properties of heavy-tailed unit laws in white coordinates.

C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), 2022, arXiv 2112.10663. Notation: ``xi ~ N(0, 1)`` white coordinates, ``T(xi)`` of the unit law, ``Q(xi)`` the upper
tail of the normal law. The reference of the Cauchy transform is written out in decimals of some hundred digits.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from decimal import Decimal, getcontext, localcontext
from typing import Any

import numpy as np

from scinn.verify.arrays import largest
from scinn.verify.registry import Property
from scinn.verify.result import CheckResult, verdict
from scinn.verify.scores import law_score, limit, mean_score

__all__ = ["LAWS", "PROPERTIES", "scores_of_law"]

_EPS = 2.2e-16
LAWS = (
    "gaussian",
    "cauchy",
    "laplace",
    "student_t(1.5)",
    "student_t(3)",
    "stable(0.7)",
    "stable(1)",
    "stable(1.5)",
)
_ONE_COORDINATE = LAWS[:5]


# Exact transforms, in decimals


@functools.lru_cache(maxsize=1)
def _pi(digits: int = 420) -> Decimal:
    """Return pi by Machin's formula."""
    with localcontext() as context:
        context.prec = digits + 10

        def arctan_of_inverse(n: int) -> Decimal:
            total = term = Decimal(1) / n
            k, square = 1, n * n
            while abs(term) > Decimal(10) ** -(digits + 5):
                term = -term / square
                k += 2
                total += term / k
            return total

        return 4 * (4 * arctan_of_inverse(5) - arctan_of_inverse(239))


def _exact_tail(y: float) -> Decimal:
    """Return Q(y) for y >= 0 from ``erf(z) = 2 / sqrt(pi) exp(-z^2) sum 2^n z^(2n+1) / (2n+1)!!``."""
    square = Decimal(y) * Decimal(y)
    term = total = Decimal(y)
    n = 0
    smallest = Decimal(10) ** -getcontext().prec
    while term > smallest * total:
        n += 1
        term = term * square / (2 * n + 1)
        total += term
    return (1 - 2 * total * (-square / 2).exp() / (2 * _pi()).sqrt()) / 2


def _exact_cotangent(z: Decimal) -> Decimal:
    """Return cot(z) for 0 < z <= pi / 2 from the series of cosine and sine."""
    sine = cosine = Decimal(0)
    term, n = Decimal(1), 0
    while abs(term) > Decimal(10) ** -getcontext().prec:
        if n % 2:
            sine += term if n % 4 == 1 else -term
        else:
            cosine += term if n % 4 == 0 else -term
        n += 1
        term = term * z / n
    return cosine / sine


def _cauchy_digits(seed: int) -> CheckResult:
    from scinn.inverse import as_law

    rng = np.random.default_rng(seed)
    law, worst, at = as_law("cauchy"), 0.0, 0.0
    for xi in (rng.uniform(1e-9, 1.6), rng.uniform(1.4, 9.0), rng.uniform(9.0, 37.0)):
        with localcontext() as context:
            # The tail at 37 begins after 299 zeros, and 50 digits are wanted.
            context.prec = 40 + int(xi * xi * 0.22) + 20
            value = _exact_cotangent(_pi() * _exact_tail(xi))
            density = (-(Decimal(xi) ** 2) / 2).exp() / (2 * _pi()).sqrt()
            slope = _pi() * density * (1 + value * value)
            bend = slope * (2 * _pi() * density * value - Decimal(xi))
            exact = [float(value), float(slope), float(bend)]
        got = [law.transform(xi), law.derivative(xi), law.second_derivative(xi)]
        # T'' is a difference of two terms; near 0, where it vanishes, its error is that of the larger one.
        sizes = [abs(exact[0]), abs(exact[1]), abs(exact[1]) * max(xi, abs(exact[2]) / abs(exact[1]))]
        for own, wanted, size in zip(got, exact, sizes, strict=True):
            error = abs(float(own) - wanted) / size / (_EPS * (1.0 + xi * xi))
            worst, at = (error, xi) if error > worst else (worst, at)
    return verdict("T, T' and T'' of the Cauchy law, in eps (1 + xi^2)", worst, 8.0, xi=at)


def _tails(seed: int) -> CheckResult:
    from scipy import special, stats

    from scinn.inverse import as_law

    rng = np.random.default_rng(seed)
    name = str(rng.choice(_ONE_COORDINATE[1:]))
    xi = np.concatenate([rng.uniform(0.0, 3.0, 50), rng.uniform(3.0, 20.0, 50)])
    law = as_law(name)
    theta = law.transform(xi)
    if name == "cauchy":
        log_tail = np.log(np.arctan2(1.0, theta) / np.pi)
    elif name == "laplace":
        log_tail = -theta - np.log(2.0)
    else:
        log_tail = np.log(stats.t(law.parameter).sf(theta))
    error = largest(log_tail / special.log_ndtr(-xi) - 1.0)
    return verdict(f"log tail of {name} - log Q", error, 1e-12, xi=xi)


def _odd(seed: int) -> CheckResult:
    from scinn.inverse import as_law

    rng = np.random.default_rng(seed)
    law = as_law(str(rng.choice(LAWS)))
    xi = np.sort(
        np.concatenate([rng.standard_normal(200), rng.uniform(-37.0, 37.0, 200), [0.0, 37.0, -37.0, 60.0]])
    )
    if law.n_white == 1:
        value, slope = law.transform(xi), law.derivative(xi)
        mirrored, start = -law.transform(-xi), law.transform(0.0)
        even = np.array_equal(slope, law.derivative(-xi))
    else:
        other = np.full_like(xi, rng.standard_normal())
        value, slope = (
            law.transform(np.concatenate([xi, other])),
            law.derivative(np.concatenate([xi, other]))[: len(xi)],
        )
        mirrored = -law.transform(np.concatenate([-xi, other]))
        start = law.transform(np.array([0.0, other[0]]))[0]
        even = np.array_equal(slope, law.derivative(np.concatenate([-xi, other]))[: len(xi)])
    # Beyond float64 a heavy-tailed stable number is infinite, and its slope too.
    with np.errstate(invalid="ignore"):
        falls = np.diff(value) < -1e-13 * np.abs(value[1:])
    wrong = [
        not np.array_equal(value, mirrored),
        not even,
        float(start) != 0.0,
        bool(np.isnan(value).any() or np.isnan(slope).any()),
        bool(falls.any()),
        bool(np.any(slope < 0.0)),
        law.code <= 3 and not np.isfinite(value).all(),
    ]
    return verdict(f"{law.name}: odd, increasing, no NaN", float(sum(wrong)), 0.0, str(wrong), xi=xi)


def _round_trip(seed: int) -> CheckResult:
    from scinn.inverse import as_law

    rng = np.random.default_rng(seed)
    law = as_law(str(rng.choice(_ONE_COORDINATE)))
    xi = np.concatenate([rng.standard_normal(100), rng.uniform(-37.0, 37.0, 100), [0.0, 37.0, 1e-300]])
    back = law.inverse(law.transform(xi))
    return verdict(
        f"{law.name}: T^-1(T(xi)) - xi", largest((back - xi) / np.maximum(1.0, np.abs(xi))), 1e-12, xi=xi
    )


def _slopes(seed: int) -> CheckResult:
    from scinn.inverse import as_law

    rng = np.random.default_rng(seed)
    law = as_law(str(rng.choice(LAWS)))
    p, step = 40, 1e-5
    xi = rng.uniform(-6.0, 6.0, p * law.n_white)
    # Laplace's law has a kink at 0.
    xi = np.where(np.abs(xi) < 1e-3, 0.5, xi)
    slope, worst = law.derivative(xi), 0.0
    for block in range(law.n_white):
        own = slice(block * p, (block + 1) * p)
        shift = np.zeros_like(xi)
        shift[own] = step
        up, down = law.transform(xi + shift), law.transform(xi - shift)
        quotient = (up - down) / (2.0 * step)
        worst = max(worst, largest((slope[own] - quotient) / (np.abs(slope[own]) + np.abs(up) + 1e-30)))
    return verdict(f"{law.name}: T' - difference quotient", worst, 2e-8, xi=xi)


def _unit_law(seed: int) -> CheckResult:
    from scipy import stats

    from scinn.inverse import as_law

    rng = np.random.default_rng(seed)
    law = as_law(str(rng.choice(LAWS)))
    draws = law.sample(rng, 4000)
    score, n_tests = scores_of_law(draws, law)
    if law.name == "stable(1)":
        score, n_tests = max(score, law_score(draws, stats.cauchy.cdf)), n_tests + 1
    return verdict(f"draws of {law.name} against the law", score, limit(n_tests))


def scores_of_law(values: np.ndarray, law: Any) -> tuple[float, int]:
    """Return the largest score of draws against a unit law, and the number of tests.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        Independent draws.
    law : Law

    Returns
    -------
    float
        See :mod:`scinn.verify.scores`. For stable laws the empirical characteristic function is tested.
    int
    """
    from scipy import stats

    if law.name == "gaussian":
        return law_score(values, stats.norm.cdf), 1
    if law.name == "cauchy":
        return law_score(values, stats.cauchy.cdf), 1
    if law.name == "laplace":
        return law_score(values, stats.laplace.cdf), 1
    if law.name.startswith("student_t"):
        return law_score(values, stats.t(law.parameter).cdf), 1
    places = (0.1, 0.4, 1.0, 2.5)
    scores = [mean_score(np.cos(t * values), float(np.exp(-(t**law.parameter)))) for t in places]
    return max(*scores, mean_score(np.sign(values))), len(places) + 1


_TRANSFORM = "normal quantile transform to heavy-tailed laws"
_STABLE = "Chambers, Mallows and Stuck 1976"
_ROWS: tuple[tuple[str, str, str, Callable[[int], CheckResult]], ...] = (
    (
        "cauchy-digits",
        _TRANSFORM,
        "The Cauchy transform and two derivatives have all digits that the rounding of xi leaves.",
        _cauchy_digits,
    ),
    ("tails", _TRANSFORM, "A number and its white coordinate have the same tail probability.", _tails),
    ("odd-transforms", _TRANSFORM, "Transforms are exactly odd, increasing, and never NaN.", _odd),
    ("inverse-transforms", _TRANSFORM, "The inverse gives back white coordinates up to 37.", _round_trip),
    ("transform-slopes", _TRANSFORM, "Derivatives are those of the transforms.", _slopes),
    ("unit-laws", _STABLE, "Transformed normal numbers have the law that is named.", _unit_law),
)

PROPERTIES: tuple[Property, ...] = tuple(
    Property("heavy-tailed-priors", name, theorem, text, run) for name, theorem, text, run in _ROWS
)
