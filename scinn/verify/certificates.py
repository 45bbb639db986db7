"""Properties of the certificates of robustness to bit flips: bounds, exact radii and estimates against brute force.

Raviv et al. (2021), "Enhancing Robustness of Neural Networks through Fourier Stabilization", gives the setting: neurons
``sgn(<w, x> - theta)`` and detectors with one hidden layer over signs. Brute force tries all sets of flips and computes
logits by its own few lines; weights that are multiples of 1/8 make its sums and ties exact.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from scinn.verify.registry import Property
from scinn.verify.result import CheckResult, verdict

__all__ = ["PROPERTIES"]

_MARGIN = 1e-6


def _sgn(values: np.ndarray, tie: int) -> np.ndarray:
    return np.where(values > 0, 1, np.where(values < 0, -1, tie))


def _flip_sets(n: int) -> np.ndarray:
    """Return all subsets of n features as rows of booleans, fewest flips first."""
    rows = np.array(list(product([False, True], repeat=n)), dtype=bool)
    return rows[np.argsort(rows.sum(axis=1), kind="stable")]


def _draw_constraints(rng: np.random.Generator, n: int) -> Any:
    from scinn.robustness import FeatureConstraints

    kind = rng.choice(4, size=n, p=[0.7, 0.1, 0.1, 0.1])
    return FeatureConstraints(n, immutable=kind == 1, add_only=kind == 2, remove_only=kind == 3)


def _allowed(rules: Any, x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, rules.may_add, rules.may_remove)


# One halfspace


def _draw_halfspace(rng: np.random.Generator) -> tuple[np.ndarray, float, np.ndarray, int]:
    n = int(rng.integers(1, 11))
    dyadic = rng.random() < 0.6
    w = rng.integers(-12, 13, size=n) / 8 if dyadic else rng.normal(size=n)
    theta = float(rng.integers(-16, 17) / 8 if dyadic else rng.normal())
    return w, theta, rng.choice([-1, 1], size=(4, n)), int(rng.choice([1, 0, -1]))


def _halfspace_radius(seed: int) -> CheckResult:
    from scinn.robustness import halfspace_radius

    rng = np.random.default_rng(seed)
    w, theta, x, tie = _draw_halfspace(rng)
    rules = _draw_constraints(rng, w.size)
    radius = halfspace_radius(w, theta, x, tie=tie, constraints=rules, encoding="signs")
    sets = _flip_sets(w.size)
    truth = []
    for row in x:
        open_sets = sets[(sets <= _allowed(rules, row)).all(axis=1)]
        answers = _sgn(np.where(open_sets, -row, row) @ w - theta, tie)
        changed = np.flatnonzero(answers != answers[0])
        truth.append(int(open_sets[changed[0]].sum()) if changed.size else -1)
    wrong = int(np.sum(radius != truth))
    return verdict("halfspace radius against all sets of flips", wrong, 0, w=w, theta=theta, x=x, tie=tie)


def _hoelder(seed: int) -> CheckResult:
    from scinn.robustness import halfspace_radius
    from scinn.robustness.certificates import hoelder_lower_bound

    rng = np.random.default_rng(seed)
    w, theta, x, tie = _draw_halfspace(rng)
    radius = halfspace_radius(w, theta, x, tie=tie, encoding="signs")
    bound = hoelder_lower_bound(w, theta, x, encoding="signs")
    found = radius >= 0
    error = float(np.max((bound - radius)[found], initial=0.0))
    return verdict("|m| / (2 max|w|) - radius", error, 1e-12, w=w, theta=theta, x=x, tie=tie)


def _stabilized_radius(seed: int) -> CheckResult:
    from scinn.robustness import halfspace_radius

    rng = np.random.default_rng(seed)
    n, tie = int(rng.integers(1, 30)), int(rng.choice([1, -1]))
    # A power of two and whole numbers of steps, so that the formula itself is free of rounding.
    a = 2.0 ** int(rng.integers(-3, 4))
    w = a * rng.choice([-1.0, 1.0], size=n)
    theta = a * float(rng.integers(-8, 9)) * float(rng.choice([0.25, 1.0]))
    x = rng.choice([-1, 1], size=(6, n))
    radius = halfspace_radius(w, theta, x, tie=tie, encoding="signs")
    margin = x @ w - theta
    ratio = np.abs(margin) / (2 * a)
    answer = _sgn(margin, tie)
    lands = answer != tie
    formula = np.where(lands, np.ceil(ratio), np.floor(ratio) + 1).astype(int)
    helpful = (x * w * answer[:, None] > 0).sum(axis=1)
    wrong = int(np.sum(radius != np.where(helpful >= formula, formula, -1)))
    return verdict("radius of equal weights against its formula", wrong, 0, w=w, theta=theta, x=x, tie=tie)


# Networks


def _draw_network(
    rng: np.random.Generator, activations: tuple[str, ...]
) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return a small network, signs, and the labels that it gives them."""
    from scinn.robustness import ShallowNetwork

    n, hidden, classes = int(rng.integers(1, 9)), int(rng.integers(1, 5)), int(rng.integers(2, 4))
    shapes = ((n, hidden), (hidden,), (hidden, classes), (classes,))
    if rng.random() < 0.5:
        arrays = [rng.integers(-6, 7, size=shape) / 8 for shape in shapes]
    else:
        arrays = [rng.normal(size=shape) for shape in shapes]
    w, b, v, c = arrays
    network = ShallowNetwork(w, b, v, c, str(rng.choice(activations)), int(rng.choice([1, 0, -1])))
    x = rng.choice([-1, 1], size=(2, n)).astype(np.int8)
    return network, x, network.predict(x, encoding="signs")


def _logits(network: Any, x: np.ndarray) -> np.ndarray:
    z = x @ network.hidden_weights + network.hidden_bias
    a = {
        "sign": lambda: _sgn(z, network.tie),
        "relu": lambda: np.maximum(z, 0.0),
        "tanh": lambda: np.tanh(z),
        "scaled_logistic": lambda: 2 / (1 + np.exp(-z)) - 1,
    }[network.activation]()
    return a @ network.output_weights + network.output_bias


def _least_cost(network: Any, x: np.ndarray, y: int, rules: Any) -> float:
    """Return the least cost of allowed flips that evade, by trying all of them; infinite for none."""
    sets = _flip_sets(x.size)
    sets = sets[(sets <= _allowed(rules, x)).all(axis=1)]
    logits = _logits(network, np.where(sets, -x, x))
    gap = np.delete(logits - logits[:, [y]], y, axis=1).max(axis=1)
    return float(np.min((sets @ rules.costs)[gap >= _MARGIN], initial=np.inf))


def _case(network: Any, x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    names = ("hidden_weights", "hidden_bias", "output_weights", "output_bias", "activation", "tie")
    return {"x": x, "y": y, **{name: getattr(network, name) for name in names}}


def _exact_radius(seed: int) -> CheckResult:
    from scinn.robustness import exact_radius

    rng = np.random.default_rng(seed)
    network, x, y = _draw_network(rng, ("sign", "relu"))
    rules = _draw_constraints(rng, x.shape[1])
    results = exact_radius(network, x, y, constraints=rules, encoding="signs", margin=_MARGIN)
    wrong = 0
    for row, label, result in zip(x, y.tolist(), results, strict=True):
        truth = _least_cost(network, row, label, rules)
        wrong += not (result.exact and result.lower == result.upper == truth)
    return verdict("exact radius against all sets of flips", wrong, 0, **_case(network, x, y))


def _sound_bounds(seed: int) -> CheckResult:
    from scinn.robustness import certified_radius

    rng = np.random.default_rng(seed)
    network, x, y = _draw_network(rng, ("tanh", "scaled_logistic"))
    rules = _draw_constraints(rng, x.shape[1])
    pieces = int(rng.integers(1, 7))
    results = certified_radius(
        network, x, y, constraints=rules, encoding="signs", margin=_MARGIN, pieces=pieces
    )
    wrong = 0
    for row, label, result in zip(x, y.tolist(), results, strict=True):
        truth = _least_cost(network, row, label, rules)
        upper = np.inf if result.upper is None else result.upper
        wrong += not (result.lower <= truth <= upper)
    return verdict("bounds around all sets of flips", wrong, 0, pieces=pieces, **_case(network, x, y))


def _least_costs(seed: int) -> CheckResult:
    from scinn.robustness import FeatureConstraints, certified_radius

    rng = np.random.default_rng(seed)
    network, x, y = _draw_network(rng, ("sign", "relu", "tanh"))
    n = x.shape[1]
    costs = rng.integers(1, 6, size=n) / 2 if rng.random() < 0.5 else rng.uniform(0.5, 2.0, size=n)
    rules = FeatureConstraints(n, costs=costs, immutable=rng.random(n) < 0.2)
    results = certified_radius(network, x, y, constraints=rules, encoding="signs", margin=_MARGIN)
    error = 0.0
    for row, label, result in zip(x, y.tolist(), results, strict=True):
        truth = _least_cost(network, row, label, rules)
        upper = np.inf if result.upper is None else result.upper
        if result.lower == truth == upper == np.inf:
            continue
        error = max(error, result.lower - truth, truth - upper, upper - truth if result.exact else 0.0)
    return verdict("least cost against all sets of flips", error, 1e-9, costs=costs, **_case(network, x, y))


def _evasions_are_allowed(seed: int) -> CheckResult:
    from scinn.robustness import FeatureConstraints, certified_radius

    rng = np.random.default_rng(seed)
    network, x, y = _draw_network(rng, ("sign", "relu", "tanh", "scaled_logistic"))
    base = _draw_constraints(rng, x.shape[1])
    rules = FeatureConstraints(
        x.shape[1],
        immutable=~base.may_add & ~base.may_remove,
        add_only=base.may_add & ~base.may_remove,
        remove_only=~base.may_add & base.may_remove,
        costs=rng.integers(1, 4, size=x.shape[1]),
    )
    results = certified_radius(network, x, y, constraints=rules, encoding="signs", margin=_MARGIN)
    wrong = 0
    for row, label, result in zip(x, y.tolist(), results, strict=True):
        if result.adversarial is None:
            continue
        changed = row != result.adversarial
        logits = _logits(network, result.adversarial[None, :])[0]
        wrong += bool((changed & ~_allowed(rules, row)).any())
        wrong += not (np.delete(logits, label).max() - logits[label] >= _MARGIN - 1e-12)
        wrong += result.upper != float(rules.costs[changed].sum())
    return verdict(
        "evasions that are not allowed, no evasions, or not of their cost", wrong, 0, **_case(network, x, y)
    )


def _gain_bound(seed: int) -> CheckResult:
    from scinn.robustness.certificates import gain_bound

    rng = np.random.default_rng(seed)
    network, x, y = _draw_network(rng, ("sign", "relu", "tanh", "scaled_logistic"))
    rules = _draw_constraints(rng, x.shape[1])
    bounds = gain_bound(network, x, y, constraints=rules, encoding="signs", margin=_MARGIN)
    wrong = 0
    for row, label, bound in zip(x, y.tolist(), bounds.tolist(), strict=True):
        truth = _least_cost(network, row, label, rules)
        wrong += truth < np.inf if bound < 0 else bound > truth
    return verdict("gain bounds above the radius", wrong, 0, **_case(network, x, y))


def _polygon(seed: int) -> CheckResult:
    from scinn.robustness.milp import tanh_overestimator

    rng = np.random.default_rng(seed)
    low, high = np.sort(rng.normal(scale=10 ** rng.uniform(-3, 1.5), size=2) + rng.normal())
    slope, pieces = float(rng.choice([0.5, 1.0])), int(rng.integers(1, 9))
    extra = rng.uniform(low, high, size=int(rng.integers(0, 4))).tolist()
    points, values = tanh_overestimator(float(low), float(high), slope=slope, pieces=pieces, extra=extra)
    v = np.concatenate([np.linspace(low, high, 20001), points])
    below = float(np.max(np.tanh(slope * v) - np.interp(v, points, values)))
    covers = points[0] == low and points[-1] == high and bool((np.diff(points) > 0).all())
    return verdict(
        "tanh - polygon",
        max(below, 0.0) if covers else np.inf,
        0.0,
        low=low,
        high=high,
        slope=slope,
        pieces=pieces,
    )


def _all() -> tuple[Property, ...]:
    plane = "radius of one halfspace, derived here"
    model = "mixed-integer model of the flips, derived here"
    rows: list[tuple[str, str, str, Any]] = [
        (
            "halfspace-radius",
            plane,
            "The radius of a halfspace is the least number of allowed flips that change its answer, ties included.",
            _halfspace_radius,
        ),
        (
            "hoelder-bound",
            "Hoelder's inequality for p = 1",
            "No fewer than |m| / (2 max |w|) flips change the answer of a halfspace.",
            _hoelder,
        ),
        (
            "stabilized-radius",
            plane,
            "With weights +-a the radius is ceil(|m| / 2a) or floor(|m| / 2a) + 1 by the tie, where enough bits help.",
            _stabilized_radius,
        ),
        ("gain-bound", "monotone neurons", "The gain bound never exceeds the radius.", _gain_bound),
        (
            "tanh-polygon",
            "chords of a convex and tangents of a concave function",
            "The polygon of the mixed-integer model lies above tanh.",
            _polygon,
        ),
        (
            "exact-radius",
            model,
            "For sign and ReLU networks the radius is the least number of allowed flips that evade.",
            _exact_radius,
        ),
        (
            "certified-bounds",
            model,
            "For smooth networks the radius lies between the certified bounds.",
            _sound_bounds,
        ),
        (
            "least-cost",
            model,
            "With costs the bounds enclose the least cost of flips that evade.",
            _least_costs,
        ),
        (
            "evasions-are-allowed",
            "definition of an evasion",
            "Adversarial features evade, change only what may change, and cost what is said.",
            _evasions_are_allowed,
        ),
    ]
    return tuple(
        Property("fourier-stabilization", name, theorem, text, run) for name, theorem, text, run in rows
    )


PROPERTIES: tuple[Property, ...] = _all()
