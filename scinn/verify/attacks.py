"""Properties of the attacks on binary features.

N. Raviv, A. Kelley, M. Guo, Y. Vorobeychik, "Enhancing Robustness of Neural Networks through Fourier Stabilization", ICML
2021, PMLR 139:8880-8889. Every case draws a small random network in double precision, so that brute force over all flips is
possible and rounding does not decide.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from scinn.verify.arrays import largest
from scinn.verify.registry import Property
from scinn.verify.result import CheckResult, verdict

__all__ = ["PROPERTIES"]

_ACTIVATIONS = ("scaled_logistic", "tanh", "relu", "sign")
_SMOOTH = _ACTIVATIONS[:2]


def _draw(
    seed: int,
    *,
    activations: tuple[str, ...] = _ACTIVATIONS,
    scales: tuple[float, ...] = (0.3, 1.0, 3.0),
    most: int = 20,
    m: int = 8,
) -> tuple[Any, ...]:
    """Return a generator, a network, signs of m samples, and labels of which most are right."""
    from scinn.robustness import ShallowNetwork

    rng = np.random.default_rng(seed)
    n, n_hidden, n_classes = int(rng.integers(1, most)), int(rng.integers(1, 9)), int(rng.integers(2, 5))
    scale = float(rng.choice(scales))
    network = ShallowNetwork(
        scale * rng.standard_normal((n, n_hidden)),
        scale * rng.standard_normal(n_hidden),
        rng.standard_normal((n_hidden, n_classes)),
        rng.standard_normal(n_classes),
        str(rng.choice(activations)),
        int(rng.integers(-1, 2)),
    )
    signs = rng.choice(np.array([-1, 1], dtype=np.int8), (m, n))
    labels = network.predict(signs, encoding="signs")
    labels = np.where(rng.random(m) < 0.85, labels, rng.integers(0, n_classes, m))
    return rng, network, signs, labels


def _constraints(rng: np.random.Generator, n: int, *, costs: bool = True) -> Any:
    """Return random constraints; now and then none."""
    from scinn.robustness import FeatureConstraints

    if rng.random() < 0.3:
        return FeatureConstraints.none(n)
    add = rng.random(n) < 0.3
    return FeatureConstraints(
        n,
        immutable=rng.random(n) < 0.2,
        add_only=add,
        remove_only=~add & (rng.random(n) < 0.3),
        costs=rng.integers(1, 5, n) / 2 if costs else None,
    )


def _case(network: Any, signs: np.ndarray, labels: np.ndarray, **more: Any) -> dict[str, Any]:
    """Return what a reader needs to build the case."""
    names = ("hidden_weights", "hidden_bias", "output_weights", "output_bias")
    arrays = {name: getattr(network, name) for name in names}
    return {
        **arrays, "activation": network.activation, "tie": network.tie, "signs": signs, "labels": labels, **more
    }  # fmt: skip


def _flip_attacks(network: Any, signs: np.ndarray, labels: np.ndarray, constraints: Any) -> dict[str, Any]:
    from scinn.robustness import exhaustive_flips, greedy_flips, jsma

    options = {"constraints": constraints, "encoding": "signs"}
    return {
        "jsma": jsma(network, signs, labels, **options),
        "greedy": greedy_flips(network, signs, labels, **options),
        "exhaustive": exhaustive_flips(network, signs, labels, max_flips=2, **options),
    }


# Attacks that flip


def _labels_flip(seed: int) -> CheckResult:
    rng, network, signs, labels = _draw(seed)
    constraints = _constraints(rng, network.n_features)
    faults = []
    for name, result in _flip_attacks(network, signs, labels, constraints).items():
        wrong = network.logits_of_signs(result.adversarial).argmax(axis=1) != labels
        count = (result.adversarial != signs).sum(axis=1)
        price = constraints.cost(signs, result.adversarial)
        listed = [sorted(i for i in row if i >= 0) for row in result.order.tolist()]
        changed = [np.flatnonzero(row).tolist() for row in result.adversarial != signs]
        kept = {
            "success": (wrong == result.success).all(),
            "n_flips": (np.where(result.success, count, -1) == result.n_flips).all(),
            "l1": (np.where(result.success, 2.0 * count, np.inf) == result.l1).all(),
            "cost": (np.where(result.success, price, np.inf) == result.cost).all(),
            "order": listed == changed,
            "constraints": constraints.check(signs, result.adversarial) is None,
        }
        faults += [f"{name}: {rule}" for rule, holds in kept.items() if not holds]
    case = _case(network, signs, labels, constraints=constraints)
    return verdict("rules broken by a result", len(faults), 0, "; ".join(faults), **case)


def _shortest_prefix(seed: int) -> CheckResult:
    from scinn.robustness import jsma

    rng, network, signs, labels = _draw(seed)
    result = jsma(network, signs, labels, constraints=_constraints(rng, network.n_features), encoding="signs")
    broken = 0
    for row in np.flatnonzero(result.n_flips > 0):
        x = signs[row].copy()
        for feature in result.order[row, : result.n_flips[row]]:
            broken += int(network.logits_of_signs(x[None, :]).argmax() != labels[row])
            x[feature] *= -1
    return verdict("prefixes of an attack that succeed already", broken, 0, **_case(network, signs, labels))


def _definition(seed: int) -> CheckResult:
    from scinn.reference import flips

    # Small weights: deep in saturation the definition, a difference of logits, loses all digits, and kernels do not.
    rng, network, signs, labels = _draw(seed, activations=_SMOOTH, scales=(0.1, 0.3))
    constraints = _constraints(rng, network.n_features)
    limits = (constraints.may_add, constraints.may_remove, constraints.costs)
    logits = flips.network_logits(
        network.hidden_weights, network.hidden_bias, network.output_weights, network.output_bias,
        network.activation, network.tie,
    )  # fmt: skip
    results = _flip_attacks(network, signs, labels, constraints)
    different = []
    for row, (x, label) in enumerate(zip(signs, labels.tolist())):
        first = logits(x[None, :])[0]
        target = int(np.argmax(np.where(np.arange(len(first)) == label, -np.inf, first)))
        wanted = {
            "jsma": flips.jsma(logits, x, label, target, *limits, 1000),
            "greedy": flips.greedy_flips(logits, x, label, *limits, 1000),
            "exhaustive": flips.exhaustive_flips(logits, x, label, *limits, 2)[0],
        }
        for name, flipped in wanted.items():
            count = int(results[name].n_flips[row])
            got = None if count < 0 else results[name].order[row, :count].tolist()
            if got != flipped:
                different.append(f"{name}, sample {row}: {got}, wanted {flipped}")
    case = _case(network, signs, labels, constraints=constraints)
    return verdict("samples that differ from the definition", len(different), 0, "\n".join(different), **case)


def _irreducible(seed: int) -> CheckResult:
    from scinn.robustness import greedy_flips

    rng, network, signs, labels = _draw(seed)
    result = greedy_flips(
        network, signs, labels, constraints=_constraints(rng, network.n_features), encoding="signs"
    )
    broken = 0
    for row in np.flatnonzero(result.n_flips > 1):
        for feature in result.order[row, : result.n_flips[row]]:
            x = result.adversarial[row].copy()
            x[feature] *= -1
            broken += int(network.logits_of_signs(x[None, :]).argmax() != labels[row])
    return verdict("flips that a pruned attack did not need", broken, 0, **_case(network, signs, labels))


def _every_set(seed: int) -> CheckResult:
    from scinn.robustness import exhaustive_flips, greedy_flips, jsma

    rng, network, signs, labels = _draw(seed, most=9, m=3)
    n = network.n_features
    constraints = _constraints(rng, n)
    most = int(rng.integers(1, n + 1))
    options = {"constraints": constraints, "encoding": "signs"}
    exact = exhaustive_flips(network, signs, labels, max_flips=most, **options)
    others = [attack(network, signs, labels, **options) for attack in (jsma, greedy_flips)]
    broken = []
    for row, x in enumerate(signs):
        allowed = np.flatnonzero(constraints.may_flip(x)[0])
        sets = [
            c for size in range(min(most, len(allowed)) + 1) for c in combinations(allowed.tolist(), size)
        ]
        points = np.repeat(x[None, :], len(sets), axis=0)
        for point, chosen in zip(points, sets):
            point[list(chosen)] *= -1
        hits = np.flatnonzero(network.logits_of_signs(points).argmax(axis=1) != labels[row])
        costs = [float(constraints.costs[list(sets[i])].sum()) for i in hits]
        cheapest = min(costs, default=np.inf)
        fewest = min((len(sets[i]) for i in hits), default=min(most, len(allowed)) + 1)
        assert exact.lower_bound is not None
        if exact.cost[row] != cheapest or exact.lower_bound[row] != fewest:
            broken.append(f"sample {row}: cost {exact.cost[row]}, wanted {cheapest}")
        for other in others:
            if other.success[row] and other.n_flips[row] < fewest:
                broken.append(f"sample {row}: {other.attack} needs fewer flips than the least number")
            if other.success[row] and other.n_flips[row] <= most and other.cost[row] < cheapest:
                broken.append(f"sample {row}: {other.attack} is cheaper than the cheapest")
    case = _case(network, signs, labels, constraints=constraints, max_flips=most)
    return verdict("samples that differ from brute force", len(broken), 0, "\n".join(broken), **case)


def _halfspace(seed: int) -> CheckResult:
    from scinn.robustness import ShallowNetwork, exhaustive_flips, greedy_flips, jsma

    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 16))
    w, theta = rng.standard_normal(n), float(rng.standard_normal())
    signs = rng.choice(np.array([-1, 1], dtype=np.int8), (6, n))
    network = ShallowNetwork(
        w[:, None], np.array([-theta]), np.array([[-1.0, 1.0]]), np.zeros(2), str(rng.choice(_SMOOTH))
    )
    margins = signs @ w - theta
    labels = (margins > 0).astype(np.int64)
    least = []
    for x, m in zip(signs, margins):
        gains = np.cumsum(np.sort(np.maximum(2 * x * w * np.sign(m), 0))[::-1])
        enough = np.flatnonzero(gains > abs(m))
        least.append(int(enough[0]) + 1 if enough.size else -1)
    broken = 0
    for result in (
        jsma(network, signs, labels, encoding="signs"),
        greedy_flips(network, signs, labels, encoding="signs"),
        exhaustive_flips(network, signs, labels, max_flips=n, encoding="signs"),
    ):
        # For one neuron flips add up, so that every one of the three takes the largest gains.
        broken += int((result.n_flips != least).sum())
    return verdict("samples of other radius", broken, 0, w=w, theta=theta, signs=signs, least=least)


# Continuous attacks


def _norms_and_boxes(seed: int) -> CheckResult:
    from scinn.robustness import fmn_l1, pgd_l1

    rng, network, signs, labels = _draw(seed, activations=("scaled_logistic", "tanh", "relu"))
    constraints = _constraints(rng, network.n_features, costs=False)
    box = (-1.0 - float(rng.choice([0.0, 1.0])), 1.0 + float(rng.choice([0.0, 0.7])))
    budget = float(rng.uniform(0, 6))
    options = {"constraints": constraints, "box": box, "encoding": "signs", "n_steps": 40}
    error, broken = 0.0, []
    results = [
        fmn_l1(network, signs, labels, **options),
        pgd_l1(network, signs, labels, budget=budget, **options),
    ]
    for result in results:
        delta = result.adversarial - signs
        hit = result.success
        norms = np.array([sum(abs(value) for value in row) for row in delta.tolist()])
        error = largest(error, (norms - result.l1)[hit])
        kept = {
            "success": ((network.logits_of_signs(result.adversarial).argmax(axis=1) != labels) == hit).all(),
            "box": (result.adversarial >= box[0]).all() and (result.adversarial <= box[1]).all(),
            "unchanged": not delta[~hit].any() and not delta[result.already_misclassified].any(),
            "add": not (delta < 0)[:, ~constraints.may_add].any(),
            "remove": not (delta > 0)[:, ~constraints.may_remove].any(),
        }
        broken += [f"{result.attack}: {rule}" for rule, holds in kept.items() if not holds]
    if (results[1].l1[results[1].success] > budget).any():
        broken.append("PGD is above its budget")
    case = _case(network, signs, labels, constraints=constraints, box=box, budget=budget)
    return verdict(
        "norm against the sum of the move", np.inf if broken else error, 1e-12, "; ".join(broken), **case
    )


def _distance_to_a_plane(seed: int) -> CheckResult:
    from scinn.robustness import ShallowNetwork, fmn_l1

    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 30))
    w, theta = rng.standard_normal(n), float(rng.standard_normal())
    signs = rng.choice(np.array([-1, 1], dtype=np.int8), (8, n))
    network = ShallowNetwork(w[:, None], np.array([-theta]), np.array([[-1.0, 1.0]]), np.zeros(2), "tanh")
    margins = signs @ w - theta
    result = fmn_l1(
        network, signs, (margins > 0).astype(np.int64), box=(-100, 100), n_steps=60, encoding="signs"
    )
    short = largest(np.maximum(1 - result.l1 / (np.abs(margins) / np.abs(w).max()), 0))
    return verdict("share by which a norm is below the distance", short, 1e-12, w=w, theta=theta, signs=signs)


def _gradient(seed: int) -> CheckResult:
    from scinn.robustness.gradient_attacks import margin_gradient

    rng, network, signs, labels = _draw(seed, activations=_SMOOTH)
    points = rng.uniform(-1.5, 1.5, signs.shape)
    margin, gradient, _ = margin_gradient(network, points, labels)
    logits = network.logits_of_signs(points)
    others = np.where(np.arange(network.n_classes) == labels[:, None], -np.inf, logits)
    target = others.argmax(axis=1)
    rows = np.arange(len(labels))
    error = largest(margin - (logits[rows, labels] - others.max(axis=1)))
    step = 1e-5
    for i in range(network.n_features):
        ends = []
        for sign in (1, -1):
            moved = points.copy()
            moved[:, i] += sign * step
            values = network.logits_of_signs(moved)
            ends.append(values[rows, labels] - values[rows, target])
        error = largest(error, gradient[:, i] - (ends[0] - ends[1]) / (2 * step))
    # Central differences err by the third derivative times the squared step.
    scale = 1.0 + np.abs(network.hidden_weights).max() ** 3 * np.abs(network.output_weights).sum()
    return verdict(
        "gradient against central differences", error / scale, 1e-8, **_case(network, signs, labels)
    )


def _projection(seed: int) -> CheckResult:
    from scinn.kernels.l1_ball import project_rows

    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 200))
    points, radius = rng.standard_normal((5, n)), rng.uniform(0, 1.5 * n, 5) * rng.choice([0.01, 1.0])
    nearest = np.empty_like(points)
    project_rows(points, radius, nearest)
    norms = np.abs(nearest).sum(axis=1)
    error = largest(np.maximum(norms - radius, 0))
    # p is the nearest point of the ball iff (v - p, q - p) <= 0 for its corners q = +-r e_i.
    rest = points - nearest
    corners = radius * np.abs(rest).max(axis=1) - (rest * nearest).sum(axis=1)
    error = largest(error, np.maximum(corners, 0))
    return verdict("distance from the nearest point of the ball", error, 1e-11, points=points, radius=radius)


def _all() -> tuple[Property, ...]:
    paper = "attack of the experiments"
    own = "derived here"
    rows = [
        ("labels-flip", paper, "Attacks flip labels, count their flips, and obey constraints.", _labels_flip),
        ("shortest-prefix", paper, "The saliency attack stops at its first success.", _shortest_prefix),
        ("attacks-by-definition", paper, "Kernels make the flips of the definitions.", _definition),
        ("irreducible", own, "A pruned attack needs every one of its flips.", _irreducible),
        ("every-set", own, "The exhaustive attack equals brute force, no other beats it.", _every_set),
        ("halfspace-flips", own, "One neuron needs the k largest gains that exceed its margin.", _halfspace),
        (
            "norms-and-boxes",
            "Pintor et al. 2021",
            "Norms, boxes and constraints are as told.",
            _norms_and_boxes,
        ),
        (
            "distance-to-a-plane",
            "Hoelder's inequality",
            "No norm is below the distance |margin| / max |w| of a neuron's plane.",
            _distance_to_a_plane,
        ),
        ("margin-gradient", own, "The margin's gradient agrees with central differences.", _gradient),
        ("l1-projection", "Michelot 1986", "The projection is the nearest point of the ball.", _projection),
    ]
    return tuple(
        Property("fourier-stabilization", name, theorem, text, run) for name, theorem, text, run in rows
    )


PROPERTIES: tuple[Property, ...] = _all()
