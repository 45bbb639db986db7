"""Properties of Chow parameters of neurons with binary inputs.

N. Raviv, A. Kelley, M. Guo, Y. Vorobeychik, "Enhancing Robustness of Neural Networks through Fourier Stabilization",
ICML 2021, PMLR 139:8880-8889. Notation: ``m(x) = <w,x> - theta`` on the cube {-1,+1}^n, ``h = sgn(m)`` with a rule for
sgn(0), ``c_0 = E h``, ``c_i = E h x_i``. References are sums over all points in exact arithmetic
(:mod:`scinn.reference.chow`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from scinn.reference import chow as reference
from scinn.verify.arrays import largest
from scinn.verify.registry import Property
from scinn.verify.result import CheckResult, verdict

__all__ = ["PROPERTIES"]

_DYADIC = 1e-14
_SUMS = 1e-10
_KINDS = ("normal", "integer", "decimal", "geometric", "pairs", "spread")


def _chow(weights: Any, threshold: float, **options: Any) -> Any:
    from scinn.robustness import chow_parameters

    return chow_parameters(weights, threshold, **options)


def _neuron(
    rng: np.random.Generator, low: int = 0, high: int = 9, *, kinds: tuple[str, ...] = _KINDS
) -> tuple[np.ndarray, float, int]:
    """Return weights, a threshold that is often on a tie, and a tie rule."""
    n, kind = int(rng.integers(low, high + 1)), str(rng.choice(kinds))
    signs = rng.choice([-1.0, 1.0], n)
    if kind == "normal":
        w = rng.standard_normal(n)
    elif kind == "integer":
        w = rng.integers(-4, 5, n).astype(float)
    elif kind == "decimal":
        w = np.round(rng.standard_normal(n), 1)
    elif kind == "geometric":
        w = signs * rng.choice([0.5, 0.8]) ** rng.permutation(n)
    elif kind == "pairs":
        half = rng.standard_normal((n + 1) // 2)
        w = signs * np.concatenate([half, half])[:n]
    else:
        w = signs * 10.0 ** rng.integers(-30, 30, n)
    choices = [0.0, float(rng.normal()), float(math.fsum(w * rng.choice([-1.0, 1.0], n))), 0.5]
    return w, float(rng.choice(choices)), int(rng.choice([-1, 0, 1]))


def _worst(errors: dict[str, float], tolerance: float, name: str, **example: Any) -> CheckResult:
    worst = max(errors, key=lambda key: errors[key])
    return verdict(name, errors[worst], tolerance, worst, **example)


# Definition


def _definition(seed: int) -> CheckResult:
    w, theta, tie = _neuron(np.random.default_rng(seed))
    want = reference.chow_parameters(w.tolist(), theta, tie)
    errors = {}
    for method in ("auto", "fold", "block", "branch", "meet-in-the-middle"):
        result = _chow(w, theta, tie=tie, method=method)
        errors[method] = largest(result.value - want)
        # Of weights that span more than 122 binary digits scans may leave points open, and count them in the bound.
        if method not in ("auto", "fold") and result.kind == "certified":
            errors[method] = max(0.0, errors[method] - result.bound)
    return _worst(errors, 0.0, "difference to the definition", weights=w, threshold=theta, tie=tie)


def _methods_agree(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    w, theta, tie = _neuron(rng, 12, 18, kinds=("normal", "integer", "decimal", "pairs"))
    block = _chow(w, theta, tie=tie, method="block").value
    errors = {
        method: largest(_chow(w, theta, tie=tie, method=method).value - block)
        for method in ("meet-in-the-middle", "branch", "fold")
    }
    return _worst(errors, 0.0, "difference to the block scan", weights=w, threshold=theta, tie=tie)


def _integers(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 40))
    w = rng.integers(-9, 10, n) + 10 * (rng.random(n) < 0.1)
    theta, tie = float(rng.integers(-12, 13)) / 2, int(rng.choice([-1, 0, 1]))
    want, margin = reference.finite_fourier_sum(w.tolist(), theta, tie)
    result = _chow(w, theta, tie=tie, method="integer")
    errors = {
        "parameters": largest(result.value - want),
        "margin": abs(result.mean_margin - margin) / (1.0 + margin),
    }
    return _worst(errors, 1e-12, "difference to the finite Fourier sum", weights=w, threshold=theta, tie=tie)


def _equal_weights(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    n, tie = int(rng.integers(1, 60)), int(rng.choice([-1, 0, 1]))
    signs, size = rng.choice([-1.0, 1.0], n), float(rng.uniform(0.1, 3.0))
    theta = size * int(rng.integers(-n, n + 1))
    closed = _chow(size * signs, theta, tie=tie, method="binomial").value
    counted = _chow(size * signs, theta, tie=tie, method="integer").value
    return verdict(
        "closed form - counts", largest(closed - counted), 0.0, n=n, size=size, threshold=theta, tie=tie
    )


def _few_sizes(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    n_sizes = int(rng.integers(2, 4))
    digits = int(rng.integers(1, 8))
    sizes = np.unique(np.round(rng.uniform(0.1, 2.0, n_sizes), digits))
    counts = rng.integers(1, 30, len(sizes)).tolist()
    w = np.repeat(sizes, counts) * rng.choice([-1.0, 1.0], sum(counts))
    theta, tie = float(np.round(rng.uniform(-3.0, 3.0), digits)), int(rng.choice([-1, 0, 1]))
    # Integers over one power of two; a state is the number of +1 times sign(w_i) in each group.
    unit = max(Fraction(value).denominator for value in [*sizes.tolist(), theta])
    scaled, level = [int(Fraction(a) * unit) for a in sizes.tolist()], int(Fraction(theta) * unit)
    totals = [Fraction(0)] * (len(sizes) + 1)
    for state in np.ndindex(*(k + 1 for k in counts)):
        margin = sum(a * (2 * r - k) for a, r, k in zip(scaled, state, counts, strict=True)) - level
        answer = (margin > 0) - (margin < 0) or tie
        mass = answer * math.prod(math.comb(k, r) for k, r in zip(counts, state, strict=True))
        totals[0] += mass
        for g, (r, k) in enumerate(zip(state, counts, strict=True)):
            totals[g + 1] += Fraction(mass * (2 * r - k), k)
    exact = [float(total / 2 ** sum(counts)) for total in totals]
    want = np.concatenate([exact[:1], np.sign(w) * np.repeat(exact[1:], counts)])
    errors = {}
    for method in ("groups", "auto") if tie else ("groups", "auto", "series"):
        result = _chow(w, theta, tie=tie, method=method)
        # The numbers that are compared with are rounded once themselves.
        errors[method] = max(0.0, largest(result.value - want) - result.bound - 2.0**-53)
    return _worst(errors, 0.0, "error beyond the bound", weights=w, threshold=theta, tie=tie)


def _banzhaf(seed: int) -> CheckResult:
    from scinn.robustness import power_index

    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 60))
    w = rng.integers(0, 12, n)
    w[0] += 1
    quota = int(rng.integers(1, w.sum() + 1))
    want = reference.banzhaf_swings(w.tolist(), quota)
    result = power_index(w, quota)
    chow = _chow(w, float(2 * quota - w.sum()), tie=1)
    errors = {
        "swings": float(result.swings is None or list(result.swings) != want),
        "Chow parameters": largest(chow.degree_one - np.array([s / 2 ** (n - 1) for s in want])),
    }
    return _worst(errors, _DYADIC, "difference to big integers", weights=w, quota=quota)


# Theorems


def _signs(seed: int) -> CheckResult:
    w, theta, tie = _neuron(np.random.default_rng(seed))
    c = _chow(w, theta, tie=tie).degree_one
    order = np.argsort(np.abs(w))
    sizes = np.abs(c)[order]
    errors = {
        "sign of c_i against w_i": largest(np.maximum(-c * np.sign(w), 0.0), c[w == 0]),
        "size of c_i over size of w_i": largest(np.maximum(sizes[:-1] - sizes[1:], 0.0)),
    }
    return _worst(errors, 0.0, "violation", weights=w, threshold=theta, tie=tie)


def _influences(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    w, theta, tie = _neuron(rng, 1, 9, kinds=("integer",))
    tie = tie or 1
    points = np.array(list(np.ndindex(*(2,) * len(w)))) * 2 - 1
    margins = points @ w - theta
    answers = np.where(margins == 0, tie, np.sign(margins))
    flipped = margins[:, None] - 2 * points * w
    changed = np.mean(np.where(flipped == 0, tie, np.sign(flipped)) != answers[:, None], axis=0)
    error = largest(_chow(w, theta, tie=tie).influences - changed)
    return verdict("influence - flip probability", error, _DYADIC, weights=w, threshold=theta, tie=tie)


def _equivariance(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    w, theta, tie = _neuron(rng)
    n = len(w)
    value = _chow(w, theta, tie=tie).value
    order, signs = rng.permutation(n), rng.choice([-1.0, 1.0], n)
    scale = 2.0 ** int(rng.integers(-30, 31))
    opposite = _chow(-w, -theta, tie=0).value + _chow(w, theta, tie=0).value
    place = int(rng.integers(0, n + 1))
    padded = _chow(np.insert(w, place, 0.0), theta, tie=tie).value
    errors = {
        "permutation": largest(_chow(w[order], theta, tie=tie).degree_one - value[1:][order]),
        "signs": largest(_chow(w * signs, theta, tie=tie).degree_one - value[1:] * signs),
        "scale": largest(_chow(scale * w, scale * theta, tie=tie).value - value),
        "opposite": largest(opposite),
        "zero weight": largest(padded[1 + place], np.delete(padded, 1 + place) - value),
    }
    return _worst(errors, 0.0, "violation", weights=w, threshold=theta, tie=tie)


def _size(seed: int) -> CheckResult:
    w, theta, tie = _neuron(np.random.default_rng(seed), 1)
    n, value = len(w), _chow(w, theta, tie=tie).value
    weight = float(np.sum(value**2))
    most = n * math.comb(n - 1, (n - 1) // 2) / 2 ** (n - 1)
    errors = {
        "Parseval": max(0.0, weight - 1.0),
        "Gotsman-Linial": max(0.0, 0.5 - weight) if tie else 0.0,
        "total influence of majority": max(0.0, float(np.sum(np.abs(value[1:]))) - most),
    }
    return _worst(errors, _DYADIC, "violation", weights=w, threshold=theta, tie=tie)


def _majority(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 200))
    tie = int(rng.choice([-1, 1])) if n % 2 == 0 else int(rng.choice([-1, 0, 1]))
    result = _chow(rng.choice([-1.0, 1.0], n) * rng.uniform(0.1, 2.0), 0.0, tie=tie)
    want = n * math.comb(n - 1, (n - 1) // 2) / 2 ** (n - 1)
    return verdict(
        "l_1 norm / bound - 1", abs(float(np.sum(np.abs(result.degree_one))) / want - 1), _SUMS, n=n, tie=tie
    )


def _margin(seed: int) -> CheckResult:
    w, theta, tie = _neuron(np.random.default_rng(seed))
    want = reference.average_margin(w.tolist(), theta)
    error = abs(_chow(w, theta, tie=tie).mean_margin - want)
    # Relative to the terms that cancel.
    size = float(np.sum(np.abs(w))) + abs(theta)
    return verdict(
        "mean margin", error / size if size else error, 1e-15 * (len(w) + 2), weights=w, threshold=theta
    )


def _constant(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    w, _, tie = _neuron(rng, 1, 200)
    side = float(rng.choice([-1.0, 1.0]))
    total = math.fsum(np.abs(w))
    beyond = side * math.nextafter(total * (1.0 + 1e-15), math.inf)
    result = _chow(w, beyond, tie=tie)
    errors = {
        "constant": abs(result.constant + side),
        "others": largest(result.degree_one),
        "not recognised": float(result.method != "constant"),
    }
    return _worst(errors, 0.0, "violation", weights=w, threshold=beyond, tie=tie)


# Bounds


def _enclosure(method: str) -> Callable[[int], CheckResult]:
    def run(seed: int) -> CheckResult:
        rng = np.random.default_rng(seed)
        w, theta, tie = _neuron(rng, 2, 20, kinds=("normal", "integer", "pairs", "geometric"))
        if not np.any(w):
            w = w + 1.0
        exact = _chow(w, theta, tie=tie).value
        result = _chow(w, theta, tie=tie, method=method)
        error = largest(result.value - exact)
        return verdict(
            "error beyond the bound",
            error - result.bound,
            0.0,
            f"bound {result.bound:.3g}",
            weights=w,
            threshold=theta,
        )

    return run


def _flip_estimator(seed: int) -> CheckResult:
    w, theta, tie = _neuron(np.random.default_rng(seed), 1, 12, kinds=("normal", "integer", "pairs"))
    exact = _chow(w, theta, tie=tie).value
    result = _chow(w, theta, tie=tie, method="sampling", rng=seed)
    error = largest(result.value - exact)
    return verdict(
        "error beyond Hoeffding's bound",
        max(0.0, error - result.bound),
        0.0,
        weights=w,
        threshold=theta,
        tie=tie,
    )


def _series(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    w = rng.standard_normal(int(rng.integers(30, 37)))
    theta = float(rng.normal())
    exact, result = _chow(w, theta).value, _chow(w, theta, method="series")
    error = largest(result.value - exact)
    return verdict(
        "error / estimate",
        error / result.bound,
        1.0,
        f"estimate {result.bound:.3g}",
        weights=w,
        threshold=theta,
    )


# Smooth activations

_FUNCTIONS: dict[str, Callable[[float], float]] = {
    "tanh": math.tanh,
    "scaled_logistic": lambda z: math.tanh(0.5 * z),
    "relu": lambda z: max(z, 0.0),
}


def _smooth(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    w, theta, _ = _neuron(rng, 1, 9, kinds=("normal", "integer", "decimal", "geometric"))
    errors = {}
    for name, function in _FUNCTIONS.items():
        want = reference.function_parameters(w.tolist(), theta, function)
        # The series of a ReLU falls slowly; for few weights only the sum over all points is offered.
        for method in ("fold",) if name == "relu" else ("fold", "series"):
            result = _chow(w, theta, activation=name, method=method)
            errors[f"{name}, {method}"] = max(0.0, largest(result.value - want) - result.bound)
    return _worst(errors, _DYADIC, "error beyond the bound", weights=w, threshold=theta)


def _smooth_signs(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    w, theta, _ = _neuron(rng, 1, 12, kinds=("normal", "integer"))
    c = _chow(w, theta, activation=str(rng.choice(["tanh", "scaled_logistic", "relu"]))).degree_one
    wrong = np.maximum(-c * np.sign(w), 0.0)
    return verdict(
        "size of a parameter of the wrong sign", largest(wrong, c[w == 0]), 1e-13, weights=w, threshold=theta
    )


def _smooth_limit(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    w, theta, _ = _neuron(rng, 1, 9, kinds=("normal", "integer"))
    # Exactly: a sum of floats that is meant to be 0 may be a tiny number, and have a sign.
    exact = [Fraction(value) for value in w]
    margins = [
        abs(float(sum(((2 * b - 1) * v for b, v in zip(bits, exact)), -Fraction(theta))))
        for bits in np.ndindex(*(2,) * len(w))
    ]
    # Points on the plane have tanh(0) = 0.
    off = np.array([size for size in margins if size > 0.0])
    far = off[off > 1e-9]
    if not len(far):
        return verdict("no point off the plane", 0.0, 0.0)
    scale = float(rng.uniform(2.0, 10.0)) / float(far.min())
    smooth = _chow(scale * w, scale * theta, activation="scaled_logistic").value
    sign = _chow(w, theta, tie=0).value
    # |tanh(z / 2) - sgn z| <= 2 exp(-|z|).
    bound = 2.0 * float(np.sum(np.exp(-scale * off))) / len(margins)
    error = largest(smooth - sign)
    return verdict(
        "distance to the sign neuron beyond its bound",
        max(0.0, error - bound),
        1e-11,
        weights=w,
        threshold=theta,
        scale=scale,
    )


_ROWS: tuple[tuple[str, str, str, Callable[[int], CheckResult]], ...] = (
    (
        "chow-definition",
        "definition",
        "Counting gives the rational numbers that the definition gives, for every tie rule.",
        _definition,
    ),
    (
        "chow-methods-agree",
        "derived here",
        "Block scan, meeting in the middle, branching and the truth table agree in every bit.",
        _methods_agree,
    ),
    (
        "chow-integers",
        "finite Fourier sum on the lattice of sums",
        "Counting with integer weights equals the finite Fourier sum.",
        _integers,
    ),
    (
        "chow-equal-weights",
        "binomial sums",
        "Equal weights have the closed form with binomial coefficients.",
        _equal_weights,
    ),
    (
        "chow-few-sizes",
        "derived here",
        "For weights of few sizes counts by groups are within rounding of big integers, and a series within its estimate.",
        _few_sizes,
    ),
    (
        "chow-banzhaf",
        "Dubey and Shapley (1979)",
        "For votes as weights Chow parameters are the Banzhaf indices, counted exactly.",
        _banzhaf,
    ),
    (
        "chow-signs",
        "monotonicity of threshold functions",
        "Each c_i is 0 or has the sign of w_i, and its size does not fall as that of w_i grows.",
        _signs,
    ),
    (
        "chow-influences",
        "monotonicity of threshold functions",
        "The size of c_i is the probability that flipping bit i changes the answer.",
        _influences,
    ),
    (
        "chow-equivariance",
        "definition",
        "Permuting, negating, scaling and padding the weights does the same to the parameters, in every bit.",
        _equivariance,
    ),
    (
        "chow-size",
        "Parseval; Gotsman-Linial (1994); majority maximises the total influence",
        "The squares add up to at most 1 and at least 1/2, and the sizes to at most those of the majority.",
        _size,
    ),
    (
        "chow-majority",
        "majority maximises the total influence",
        "Equal weights without a threshold attain the largest total influence.",
        _majority,
    ),
    (
        "chow-margin",
        "|m| = h m",
        "The mean margin is the inner product of weights and parameters, for every tie rule.",
        _margin,
    ),
    (
        "chow-constant",
        "definition",
        "A threshold beyond the sum of all sizes makes a constant neuron, which is recognised.",
        _constant,
    ),
    (
        "chow-vaaler",
        "Vaaler (1985), derived here for Chow parameters",
        "The enclosure by Vaaler's polynomial holds, on lattices and ties too.",
        _enclosure("vaaler"),
    ),
    (
        "chow-grid",
        "derived here",
        "The certificate of weights rounded to a grid holds.",
        _enclosure("grid"),
    ),
    (
        "chow-flip-estimator",
        "Hoeffding (1963)",
        "The flip estimator stays within its bound.",
        _flip_estimator,
    ),
    (
        "chow-series",
        "Gil-Pelaez (1951)",
        "The error of the series of real weights is within its estimate.",
        _series,
    ),
    (
        "chow-smooth",
        "definition",
        "Parameters of tanh, scaled logistic and ReLU neurons equal the sums over all points.",
        _smooth,
    ),
    (
        "chow-smooth-signs",
        "monotonicity of the activation",
        "Parameters of a neuron with a monotone activation have the signs of the weights.",
        _smooth_signs,
    ),
    (
        "chow-smooth-limit",
        "derived here",
        "A steep logistic neuron has the parameters of the sign neuron with sgn(0) = 0.",
        _smooth_limit,
    ),
)

PROPERTIES: tuple[Property, ...] = tuple(
    Property("fourier-stabilization", name, theorem, text, run) for name, theorem, text, run in _ROWS
)
