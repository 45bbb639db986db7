"""Properties of the Walsh-Hadamard transform, of Fourier series for neurons, and of how often two neurons differ.

N. Raviv, A. Kelley, M. Guo, Y. Vorobeychik, "Enhancing Robustness of Neural Networks through Fourier Stabilization",
ICML 2021, PMLR 139:8880-8889. Notation: x uniform on {-1,+1}^n, old neuron ``h = sgn(<w,x> - theta)`` with Chow parameters
``c_0 = E h``, ``c_i = E h x_i``, new neuron ``g = sgn(<v,x> - mu)``. References are means over all points of the cube,
written out here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from scinn.verify.arrays import largest
from scinn.verify.registry import Property
from scinn.verify.result import CheckResult, verdict

__all__ = ["PROPERTIES"]

_SMOOTH: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "tanh": np.tanh,
    "scaled_logistic": lambda m: np.tanh(0.5 * m),
    "relu": lambda m: np.maximum(m, 0.0),
}
_DTYPES = (np.float64, np.float32, np.int64, np.int32)


def _points(n: int) -> np.ndarray:
    """Return all points, shape (2^n, n); bit i of the row number is set where x_i = -1."""
    return 1.0 - 2.0 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)


def _signs(margins: np.ndarray, tie: float) -> np.ndarray:
    # The neurons below have sums that are exact, or none within this of their threshold.
    return np.where(np.abs(margins) < 1e-12, tie, np.sign(margins))


def _weights(rng: np.random.Generator, n: int, *, zeros: bool = True) -> np.ndarray:
    kind = int(rng.integers(5))
    if kind == 0:
        return rng.standard_normal(n)
    if kind == 1:
        return 0.75 * rng.choice([-1.0, 1.0], n)
    if kind == 2:
        low = rng.integers(-4, 5, n).astype(float)
        return low if zeros else np.where(low == 0.0, 1.0, low)
    if kind == 3:
        return rng.choice([-1.0, 1.0], n) * 2.0 ** -np.arange(n)
    return rng.choice([-0.5, 0.0, 0.5], n) if zeros else rng.uniform(0.9, 1.1, n)


def _threshold(rng: np.random.Generator, weights: np.ndarray) -> float:
    # A point lies on the plane only where sums are exact.
    exact = bool(np.all(weights == np.round(weights * 2.0**20) / 2.0**20))
    point = float(rng.choice([-1.0, 1.0], len(weights)) @ weights) if exact else 0.125
    return float(rng.choice([0.0, 0.3 * np.linalg.norm(weights), 0.25, point, np.abs(weights).sum() + 1.0]))


def _chow(weights: np.ndarray, threshold: float, tie: float) -> np.ndarray:
    x = _points(len(weights))
    h = _signs(x @ weights - threshold, tie)
    return np.concatenate([[h.mean()], h @ x / len(x)])


# The transform


def _table(seed: int, most_bits: int) -> tuple[np.random.Generator, np.ndarray, int]:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(0, most_bits + 1))
    dtype = _DTYPES[int(rng.integers(4))]
    if np.dtype(dtype).kind == "f":
        return rng, rng.standard_normal(2**n).astype(dtype), n
    return rng, rng.integers(-1000, 1001, 2**n).astype(dtype), n


def _rounding(values: np.ndarray, n: int) -> float:
    """Return what n rounds of additions may lose: nothing for integers."""
    if values.dtype.kind != "f":
        return 0.0
    return 4.0 * float(np.finfo(values.dtype).eps) * max(n, 1) * float(np.abs(values).sum())


def _dense(seed: int) -> CheckResult:
    from scipy.linalg import hadamard

    from scinn.robustness import walsh_hadamard_transform

    _, values, n = _table(seed, 10)
    result = walsh_hadamard_transform(values)
    wide = values.astype(np.float64 if values.dtype.kind == "f" else np.int64)
    error = largest(result - hadamard(2**n, dtype=wide.dtype) @ wide)
    if result.dtype != values.dtype:
        error = np.inf
    return verdict("transform - dense matrix", error, _rounding(values, n), values=values)


def _involution(seed: int) -> CheckResult:
    from scinn.robustness import walsh_hadamard_transform

    _, values, n = _table(seed, 17)
    twice = walsh_hadamard_transform(walsh_hadamard_transform(values.astype(np.float64)))
    error = largest(np.ldexp(twice, -n) - values)
    normal = walsh_hadamard_transform(
        walsh_hadamard_transform(values.astype(np.float64), normalize=True), normalize=True
    )
    size = max(1.0, largest(values))
    return verdict("H H / 2^n - identity", largest(error, normal - values) / size, 1e-13, values=values)


def _parseval(seed: int) -> CheckResult:
    from scinn.robustness import walsh_hadamard_transform

    _, values, n = _table(seed, 17)
    numbers = values.astype(np.float64)
    before, after = float(numbers @ numbers), float(np.sum(walsh_hadamard_transform(numbers) ** 2)) / 2**n
    return verdict("energy after / before - 1", after / before - 1 if before else after, 1e-13, values=values)


def _linearity(seed: int) -> CheckResult:
    from scinn.robustness import walsh_hadamard_transform

    rng, values, n = _table(seed, 14)
    other = rng.permutation(values)
    a, b = (values.dtype.type(number) for number in rng.integers(-5, 6, 2))
    joint = walsh_hadamard_transform(a * values + b * other)
    error = largest(joint - (a * walsh_hadamard_transform(values) + b * walsh_hadamard_transform(other)))
    return verdict("H(a f + b g) - a H f - b H g", error, 12.0 * _rounding(values, n), values=values)


def _overwriting(seed: int) -> CheckResult:
    from scinn.robustness import walsh_hadamard_transform

    rng, values, _ = _table(seed, 12)
    tables = np.stack([values, rng.permutation(values)])
    want = np.stack([walsh_hadamard_transform(row) for row in tables])
    again = tables.copy()
    returned = walsh_hadamard_transform(again, overwrite=True)
    same = returned is again and np.array_equal(walsh_hadamard_transform(tables), want)
    error = largest(again - want) if same else np.inf
    return verdict("transform in place - transform of each table", error, 0.0, values=values)


def _fold(seed: int) -> CheckResult:
    from scinn.robustness import degree_one_coefficients, walsh_hadamard_transform

    _, values, n = _table(seed, 16)
    wide = values.astype(np.float64 if values.dtype.kind == "f" else np.int64)
    full = np.ldexp(walsh_hadamard_transform(wide).astype(np.float64), -n)
    error = largest(degree_one_coefficients(values) - full[[0, *(1 << i for i in range(n))]])
    tolerance = 1e-13 * max(1.0, largest(values)) if values.dtype.kind == "f" else 0.0
    return verdict("fold - entries of the transform", error, tolerance, values=values)


# The series


def _series(seed: int) -> CheckResult:
    from scinn.robustness.spectral import series_parameters

    rng = np.random.default_rng(seed)
    w = _weights(rng, int(rng.integers(1, 13)), zeros=False)
    theta = _threshold(rng, w)
    result = series_parameters(w, theta)
    error = largest(result.value - _chow(w, theta, 0.0))
    return verdict("series - mean over the cube", error, result.error_estimate, weights=w, threshold=theta)


def _two_periods(seed: int) -> CheckResult:
    from scinn.robustness.spectral import series_parameters

    rng = np.random.default_rng(seed)
    w = rng.standard_normal(int(rng.integers(90, 400)))
    theta = float(rng.standard_normal())
    result = series_parameters(w, theta)
    identity = (float(w @ result.value[1:]) - theta * float(result.value[0])) / result.mean_margin - 1.0
    return verdict(
        "difference of two periods, and of two formulas for the mean margin",
        largest(result.error_estimate, identity),
        1e-12,
        weights=w,
        threshold=theta,
    )


def _enclosure(seed: int) -> CheckResult:
    from scinn.robustness.spectral import vaaler_parameters

    rng = np.random.default_rng(seed)
    w = _weights(rng, int(rng.integers(1, 11)), zeros=False)
    theta, degree = _threshold(rng, w), int(rng.choice([1, 2, 15, 200, 3000]))
    result = vaaler_parameters(w, theta, n_harmonics=degree)
    error = largest(*(result.value - _chow(w, theta, tie) for tie in (-1.0, 0.0, 1.0)))
    return verdict(
        "enclosure - mean over the cube", error, result.bound, weights=w, threshold=theta, degree=degree
    )


def _narrowing(seed: int) -> CheckResult:
    from scinn.robustness.spectral import vaaler_parameters

    rng = np.random.default_rng(seed)
    w = rng.standard_normal(int(rng.integers(90, 200)))
    theta = float(rng.standard_normal())
    wide, narrow = (vaaler_parameters(w, theta, n_harmonics=degree).bound for degree in (1000, 10_000))
    # The shorter degree allows a slightly shorter period.
    return verdict(
        "bound at ten times the degree, times ten", 10.0 * narrow / wide, 1.3, weights=w, threshold=theta
    )


def _smooth(seed: int) -> CheckResult:
    from scinn.robustness.spectral import smooth_parameters

    rng = np.random.default_rng(seed)
    w = _weights(rng, int(rng.integers(1, 11)), zeros=False) * 10.0 ** rng.uniform(-2, 2)
    theta, activation = _threshold(rng, w), str(rng.choice(list(_SMOOTH)))
    x = _points(len(w))
    f = _SMOOTH[activation](x @ w - theta)
    result = smooth_parameters(w, theta, activation, tol=10.0 ** -rng.uniform(2, 13))
    error = largest(result.value - np.concatenate([[f.mean()], f @ x / len(x)]))
    # The means over the cube are rounded too.
    tolerance = result.error_estimate + 1e-15 * (np.abs(w).sum() + abs(theta) + 1.0)
    return verdict(
        "series - mean over the cube",
        error,
        tolerance,
        activation,
        weights=w,
        threshold=theta,
        activation=activation,
    )


def _steep(seed: int) -> CheckResult:
    from scinn.robustness.spectral import series_parameters, smooth_parameters

    rng = np.random.default_rng(seed)
    w = rng.standard_normal(int(rng.integers(90, 200)))
    w /= np.linalg.norm(w)
    theta = float(0.5 * rng.standard_normal())
    sign = series_parameters(w, theta).value
    gaps = [largest(smooth_parameters(k * w, k * theta, "tanh").value - sign) for k in (10.0, 1e3, 1e5)]
    falls = all(later < earlier for earlier, later in itertools.pairwise(gaps))
    return verdict(
        "tanh(k m) - sgn(m) at k = 1e5", gaps[-1] if falls else np.inf, 1e-8, weights=w, threshold=theta
    )


# Two neurons


def _pair(seed: int, most: int) -> tuple[np.ndarray, float, np.ndarray, float, int]:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, most + 1))
    w, v = _weights(rng, n), _weights(rng, n)
    return w, _threshold(rng, w), v, _threshold(rng, v), int(rng.choice([-1, 0, 1]))


def _changed(w: np.ndarray, theta: float, v: np.ndarray, mu: float, tie: int) -> float:
    x = _points(len(w))
    return float(np.mean(_signs(x @ w - theta, tie) != _signs(x @ v - mu, tie)))


def _names(w: np.ndarray, theta: float, v: np.ndarray, mu: float, tie: int) -> dict[str, Any]:
    return {"weights": w, "threshold": theta, "other_weights": v, "other_threshold": mu, "tie": tie}


def _joint_exact(seed: int) -> CheckResult:
    from scinn.robustness import change_probability

    case = _pair(seed, 12)
    w, theta, v, mu, tie = case
    result = change_probability(w, theta, v, mu, tie=tie)
    error = abs(result.value - _changed(*case)) if result.kind == "exact" else np.inf
    return verdict("probability - share of points", error, 0.0, **_names(*case))


def _joint_series(seed: int) -> CheckResult:
    from scinn.robustness import change_probability

    rng = np.random.default_rng(seed)
    n = int(rng.integers(8, 15))
    w = rng.standard_normal(n)
    lattice = rng.random() < 0.6
    v = np.sign(w) * rng.choice([1.0, 1.0, 0.0], n) if lattice else w + rng.standard_normal(n)
    theta, mu = float(rng.standard_normal()), float(rng.uniform(0.01, 0.99))
    result = change_probability(w, theta, v, mu, method="series")
    error = abs(result.value - _changed(w, theta, v, mu, 1))
    return verdict(
        "series - share of points", error, result.half_width, result.method, **_names(w, theta, v, mu, 1)
    )


def _joint_groups(seed: int) -> CheckResult:
    from scinn.robustness import change_probability

    rng = np.random.default_rng(seed)
    # Decimal fractions: sums that are 0 by decimals are not by binary numbers, and integers tell their sign.
    sizes = rng.choice([1, 2, 3, 6, 7], 2, replace=False) / 10
    counts = [int(k) for k in rng.integers(13, 26, 2)]
    theta, tie = float(rng.integers(-3, 4)) / 10, int(rng.integers(-1, 2))
    w, v = np.repeat(sizes, counts), np.ones(sum(counts))
    ones = np.ones(2)
    changed = 0
    for heads in itertools.product(*(range(k + 1) for k in counts)):
        sums = [2 * c - k for c, k in zip(heads, counts, strict=True)]
        signs = {_exact_sign(sums, sizes, theta, tie), _exact_sign(sums, ones, 0.0, tie)}
        changed += math.prod(math.comb(k, c) for k, c in zip(counts, heads, strict=True)) * (len(signs) - 1)
    want = changed / 2 ** sum(counts)
    result = change_probability(w, theta, v, 0.0, tie=tie)
    error = abs(result.value - want) if result.kind == "exact" else np.inf
    return verdict("probability - share of points", error, 1e-13, **_names(w, theta, v, 0.0, tie))


def _exact_sign(sums: list[int], sizes: np.ndarray, theta: float, tie: int) -> int:
    margin = -Fraction(theta)
    for total, size in zip(sums, sizes.tolist(), strict=True):
        margin += total * Fraction(size)
    return (margin > 0) - (margin < 0) if margin else tie


def _joint_methods(seed: int) -> CheckResult:
    from scinn.robustness import change_probability

    rng = np.random.default_rng(seed)
    w = rng.standard_normal(int(rng.integers(60, 160)))
    v = np.sign(w) * np.abs(w) ** float(rng.choice([0.0, 0.5, 1.5]))
    theta, mu = (float(rng.standard_normal()) for _ in range(2))
    series = change_probability(w, theta, v, mu, method="series")
    sampled = change_probability(w, theta, v, mu, method="sampling", n_samples=20_000, rng=seed)
    gap = abs(series.value - sampled.value)
    return verdict(
        "series - sampling", gap, 1.5 * sampled.half_width + series.half_width, **_names(w, theta, v, mu, 1)
    )


def _matched(seed: int) -> CheckResult:
    from scinn.robustness import match_threshold

    case = _pair(seed, 9)
    w, theta, v, _, tie = case
    values = np.unique(np.round(_points(len(v)) @ v, 9))
    cuts = [values[0] - 1.0, *(0.5 * (values[1:] + values[:-1])), values[-1] + 1.0]
    if tie == 0 and np.array_equal(4.0 * values, np.round(4.0 * values)):
        # Without a sign of 0 each value is a threshold of its own, where floats hold it.
        cuts += values.tolist()
    best = min(_changed(w, theta, v, float(mu), tie) for mu in cuts)
    mu = match_threshold(w, theta, v, tie=tie)
    excess = _changed(w, theta, v, mu, tie) - best
    return verdict(
        "change at the matched threshold - least change", excess, 1e-12, **_names(w, theta, v, mu, tie)
    )


def _accuracy_identity(seed: int) -> CheckResult:
    from scinn.robustness import accuracy_drop_bound

    case = _pair(seed, 10)
    w, theta, v, mu, tie = case
    x = _points(len(w))
    m = x @ v - mu
    want = float(np.mean(np.abs(m) * np.abs(_signs(m, tie) - _signs(x @ w - theta, tie))))
    gap = accuracy_drop_bound(w, theta, v, mu, tie=tie).gamma - want
    size = 1.0 + np.abs(v).sum() + abs(mu)
    return verdict("Gamma - E|m||g - h|", gap / size, 1e-14, **_names(*case))


def _accuracy_bound(seed: int) -> CheckResult:
    from scinn.robustness import accuracy_drop_bound

    case = _pair(seed, 11)
    w, theta, v, mu, tie = case
    changed, bound = _changed(*case), accuracy_drop_bound(w, theta, v, mu, tie=tie)
    bounds = [bound.value, bound.normal_bound]
    bounds += [] if bound.law_bound is None else [bound.law_bound]
    return verdict("probability - least bound", max(0.0, changed - min(bounds)), 1e-12, **_names(*case))


_TRANSFORM = "Walsh-Hadamard transform"
_INVERSION = "Fourier inversion of the law of the margin"
_DIFFERENCE = "how often two neurons differ"
_ROWS: tuple[tuple[str, str, str, Callable[[int], CheckResult]], ...] = (
    ("walsh-definition", _TRANSFORM, "The transform is the product with the Hadamard matrix.", _dense),
    ("walsh-involution", _TRANSFORM, "Twice the transform is 2^n times the table.", _involution),
    ("walsh-parseval", _TRANSFORM, "The transform multiplies energy by 2^n.", _parseval),
    ("walsh-linearity", _TRANSFORM, "The transform is linear.", _linearity),
    (
        "walsh-in-place",
        _TRANSFORM,
        "Tables one by one, together and in place give the same bits.",
        _overwriting,
    ),
    ("walsh-fold", _TRANSFORM, "The fold gives the transform's entries of degree zero and one.", _fold),
    ("series-estimate", _INVERSION, "The series is right within its own estimate.", _series),
    (
        "series-periods",
        _INVERSION,
        "For many generic weights the series does not depend on the period.",
        _two_periods,
    ),
    ("vaaler-enclosure", _INVERSION, "The enclosure holds for every value of sgn(0).", _enclosure),
    ("vaaler-narrowing", _INVERSION, "The enclosure narrows like the inverse of its degree.", _narrowing),
    ("smooth-series", _INVERSION, "Chow parameters of tanh and ReLU are right within their bound.", _smooth),
    ("steep-tanh", _INVERSION, "A steep tanh has the Chow parameters of the sign.", _steep),
    ("change-exact", _DIFFERENCE, "The exact probability of a change is a share of points.", _joint_exact),
    (
        "change-series",
        _DIFFERENCE,
        "The series for a change is right within its own estimate.",
        _joint_series,
    ),
    (
        "change-groups",
        _DIFFERENCE,
        "With few distinct sizes the probability of a change is exact, ties of binary numbers included.",
        _joint_groups,
    ),
    ("change-methods", _DIFFERENCE, "Series and sampling agree on long neurons.", _joint_methods),
    ("least-change", _DIFFERENCE, "No threshold changes fewer points than the matched one.", _matched),
    (
        "accuracy-identity",
        _DIFFERENCE,
        "Lost signed distance is the mean margin of changed points.",
        _accuracy_identity,
    ),
    ("accuracy-bound", _DIFFERENCE, "The bounds of the probability of a change hold.", _accuracy_bound),
)

PROPERTIES: tuple[Property, ...] = tuple(
    Property("fourier-stabilization", name, theorem, text, run) for name, theorem, text, run in _ROWS
)
