"""Properties of stabilised neurons, of the choice of neurons, and of the networks that both work on.

N. Raviv, A. Kelley, M. Guo, Y. Vorobeychik, "Enhancing Robustness of Neural Networks through Fourier Stabilization",
ICML 2021. Notation: x uniform on {-1, +1}^n, neuron ``h(x) = sgn(<w, x> - theta)``, Chow parameters ``c_0 = E h``,
``c_i = E h x_i``, ``1/p + 1/q = 1``; (v, mu) is the stabilised neuron. Everything is compared with the whole cube, written
out. The paper's own numbering was not available, so that theorems are named.

The properties of Chow parameters, transforms, attacks and certificates are in :mod:`scinn.verify.chow`,
:mod:`scinn.verify.walsh`, :mod:`scinn.verify.attacks` and :mod:`scinn.verify.certificates`, and count among this paper's.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from scinn.verify import attacks, certificates, chow, walsh
from scinn.verify.arrays import largest
from scinn.verify.registry import Property
from scinn.verify.result import CheckResult, verdict

__all__ = ["PROPERTIES"]

_POWERS = (1.0, 1.5, 2.0, 4.0, math.inf)
_FIELDS = ("hidden_weights", "hidden_bias", "output_weights", "output_bias")


def _cube(n: int) -> np.ndarray:
    """Return all points of {-1, +1}^n, shape (2^n, n)."""
    return 1.0 - 2 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)


def _answers(x: np.ndarray, weights: np.ndarray, threshold: float, tie: int = 1) -> np.ndarray:
    m = x @ weights - threshold
    return np.where(m == 0, float(tie), np.sign(m))


def _neuron(
    rng: np.random.Generator, most: int = 9, ties: tuple[int, ...] = (1, 0, -1)
) -> tuple[np.ndarray, float, int]:
    """Return weights, threshold and the sign of 0 of a neuron that is not constant."""
    while True:
        n, tie = int(rng.integers(1, most + 1)), int(rng.choice(ties))
        kind = rng.random()
        if kind < 0.4:
            w, theta = rng.normal(size=n), rng.normal() * math.sqrt(n) / 2
        elif kind < 0.7:
            # Small integers: ties, and weights that never decide.
            w, theta = rng.integers(-3, 4, n).astype(float), float(rng.integers(-3, 4))
        else:
            w, theta = (
                2.0 ** -np.arange(n) * rng.choice([-1, 1], n) * rng.uniform(0.9, 1.1, n),
                0.1 * rng.normal(),
            )
        if len(np.unique(_answers(_cube(n), w, theta, tie))) > 1:
            return w, float(theta), tie


def _case(w: np.ndarray, theta: float, tie: int, **more: Any) -> dict[str, Any]:
    return {"weights": w, "threshold": theta, "tie": tie, **more}


# The closed form


def _optimality(seed: int) -> CheckResult:
    from scinn.robustness.fourier_stabilization import conjugate, norm, stabilize

    rng = np.random.default_rng(seed)
    w, theta, tie = _neuron(rng)
    p = float(rng.choice(_POWERS))
    q, x = conjugate(p), _cube(len(w))
    result = stabilize(w, theta, p=p, tie=tie, report=False)
    h = _answers(x, w, theta, tie)
    c0, c = float(h.mean()), (h[:, None] * x).mean(axis=0)
    size = norm(w, q)
    # The formula is attained by the plane that was found.
    signed = float(np.mean(h * (x @ result.weights - theta))) / norm(result.weights, q)
    bound = norm(c, p) - theta * c0 / size
    attained = largest(signed - bound, result.signed_distance - bound, result.optimum - bound)
    # And no other direction exceeds it.
    others = [
        *rng.normal(size=(30, len(w))),
        *(result.weights + 0.01 * rng.normal(size=(30, len(w)))),
        c,
        np.sign(c),
        w,
    ]
    excess = max((u @ c) / norm(u, q) - norm(c, p) for u in others if u.any())
    return verdict(
        "signed distance against the optimum",
        max(attained, excess),
        1e-12,
        f"p = {p:g}",
        **_case(w, theta, tie, p=p),
    )


def _distances_grow(seed: int) -> CheckResult:
    from scinn.robustness.fourier_stabilization import conjugate, norm, stabilize

    rng = np.random.default_rng(seed)
    w, theta, tie = _neuron(rng)
    p = float(rng.choice(_POWERS))
    x = _cube(len(w))
    result = stabilize(w, theta, p=p, tie=tie, report=False)
    size = norm(w, conjugate(p))
    m, new = x @ w - theta, x @ result.weights - theta
    h = _answers(x, w, theta, tie)
    before, signed, after = (float(np.mean(part)) / size for part in (np.abs(m), h * new, np.abs(new)))
    found = (result.distance_before - before, result.signed_distance - signed, result.distance_after - after)
    falls = max(before - signed, signed - after)
    return verdict(
        "before <= signed after <= after",
        max(largest(*found), falls),
        1e-12,
        f"p = {p:g}",
        **_case(w, theta, tie, p=p),
    )


def _norm_kept(seed: int) -> CheckResult:
    from scinn.robustness.fourier_stabilization import conjugate, norm, stabilize

    rng = np.random.default_rng(seed)
    w, theta, tie = _neuron(rng, 12)
    errors = []
    for p in (*_POWERS, float(1 + rng.exponential())):
        v = stabilize(w, theta, p=p, tie=tie, report=False).weights
        errors.append(norm(v, conjugate(p)) / norm(w, conjugate(p)) - 1)
    return verdict("||v||_q / ||w||_q - 1", largest(errors), 1e-13, **_case(w, theta, tie))


def _idempotent(seed: int) -> CheckResult:
    from scinn.robustness import stabilize

    rng = np.random.default_rng(seed)
    w, theta, tie = _neuron(rng)
    w = w.astype(np.float32 if rng.random() < 0.5 else np.float64)
    once = stabilize(w, theta, tie=tie, report=False).weights
    twice = stabilize(once, theta, tie=tie, report=False).weights
    same = once.tobytes() == twice.tobytes() and once.dtype == w.dtype
    return verdict("p = 1 twice is p = 1 once, bit for bit", float(not same), 0.0, **_case(w, theta, tie))


def _symmetries(seed: int) -> CheckResult:
    from scinn.robustness import stabilize

    rng = np.random.default_rng(seed)
    w, theta, tie = _neuron(rng)
    p, rule = float(rng.choice(_POWERS)), str(rng.choice(["keep", "zero", "joint"]))
    order, signs, factor = (
        rng.permutation(len(w)),
        rng.choice([-1.0, 1.0], len(w)),
        2.0 ** int(rng.integers(-3, 4)),
    )

    def plane(weights: np.ndarray, threshold: float) -> tuple[np.ndarray, float]:
        done = stabilize(weights, threshold, p=p, tie=tie, threshold_rule=rule, report=False)
        return done.weights, done.threshold

    v, mu = plane(w, theta)
    moved, same_mu = plane((signs * w)[order], theta)
    scaled, scaled_mu = plane(factor * w, factor * theta)
    gaps = (moved - (signs * v)[order], same_mu - mu, scaled / factor - v, scaled_mu / factor - mu)
    error = largest(*gaps) / max(largest(w), abs(theta))
    return verdict(
        "permuted, negated, scaled",
        error,
        1e-11,
        f"p = {p:g}, {rule}",
        **_case(w, theta, tie, p=p, rule=rule),
    )


def _constants(seed: int) -> CheckResult:
    from scinn.robustness import ShallowNetwork, select_neurons, stabilize

    rng = np.random.default_rng(seed)
    n, tie = int(rng.integers(1, 9)), int(rng.choice([1, 0, -1]))
    edge = bool(rng.random() < 0.5)
    # At the edge itself ties decide, and sums of integers are exact.
    w = rng.integers(-2, 3, n).astype(float) if edge else rng.normal(size=n) * (rng.random() < 0.9)
    size = math.fsum(np.abs(w)) + (float(rng.integers(-2, 2)) if edge else rng.choice([-0.01, 0.01, 3.0]))
    theta = float(rng.choice([-1, 1])) * size
    constant = len(np.unique(_answers(_cube(n), w, theta, tie))) == 1
    wrong = 0
    for p in _POWERS:
        result = stabilize(w, theta, p=p, tie=tie, report=False)
        kept = result.weights.tobytes() == w.tobytes() and result.threshold == theta
        wrong += result.changed if constant else False
        wrong += constant and not (kept and result.reason.startswith("constant"))
        wrong += not constant and not result.changed
    output = np.array([[1.0, -1.0]])
    network = ShallowNetwork(w[:, None], np.array([-theta]), output, np.zeros(2), "sign", tie)
    picked = select_neurons(network, _cube(n), np.zeros(2**n, dtype=int), floor=0.0, encoding="signs")
    wrong += constant != (0 in picked.untouched)
    return verdict(
        "constant neurons are left and named, no others", float(wrong), 0.0, **_case(w, theta, tie)
    )


# Thresholds


def _joint_optimality(seed: int) -> CheckResult:
    from scinn.robustness.fourier_stabilization import conjugate, norm, stabilize

    rng = np.random.default_rng(seed)
    w, theta, tie = _neuron(rng)
    p = float(rng.choice(_POWERS))
    x = np.hstack([_cube(len(w)), np.ones((2 ** len(w), 1))])
    h = _answers(x, np.append(w, -theta), 0.0, tie)
    c = (h[:, None] * x).mean(axis=0)
    result = stabilize(w, theta, p=p, tie=tie, threshold_rule="joint", report=False)
    if not result.changed:
        # The rule may want a constant neuron, which is left undone.
        only_threshold = p == math.inf and abs(c[-1]) > np.abs(c[:-1]).max()
        return verdict(
            "left as it was", float(not only_threshold), 0.0, result.reason, **_case(w, theta, tie, p=p)
        )
    v, q = np.append(result.weights, -result.threshold), conjugate(p)
    size = norm(np.append(w, -theta), q)
    error = max(abs(norm(v, q) / size - 1), abs((v @ c) / size - norm(c, p)))
    return verdict("joint plane against its optimum", error, 1e-12, f"p = {p:g}", **_case(w, theta, tie, p=p))


def _matched_threshold(seed: int) -> CheckResult:
    from scinn.robustness import stabilize

    rng = np.random.default_rng(seed)
    # A neuron with three answers may agree best with its plane through points, where no threshold is sought.
    w, theta, tie = _neuron(rng, 12, (1, -1))
    p = float(rng.choice([1.0, 1.0, 2.0]))
    x = _cube(len(w))
    h = _answers(x, w, theta, tie)
    keep, match = (
        stabilize(w, theta, p=p, tie=tie, threshold_rule=rule, report=rule == "match")
        for rule in ("keep", "match")
    )
    v = match.weights
    changed = [float(np.mean(_answers(x, v, mu, tie) != h)) for mu in (keep.threshold, match.threshold)]
    sums = np.unique(np.round(x @ v, 9))
    tries = np.concatenate([[sums[0] - 1], (sums[1:] + sums[:-1]) / 2, [sums[-1] + 1]])
    best = min(float(np.mean(_answers(x, v, mu, tie) != h)) for mu in tries)
    assert match.change is not None
    reported = abs(match.change.value - changed[1])
    error = max(changed[1] - changed[0], changed[1] - best, reported)
    detail = f"p = {p:g}: kept {changed[0]:g}, matched {changed[1]:g}, best {best:g}, reported {match.change.value:g}"
    return verdict("answers changed beyond the fewest", error, 1e-12, detail, **_case(w, theta, tie, p=p))


# The choice of neurons


def _network(rng: np.random.Generator) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return a network, samples as bits, and labels of which it gets most right."""
    from scinn.robustness import ShallowNetwork

    n, n_hidden, n_classes = (int(rng.integers(low, high)) for low, high in ((3, 12), (1, 9), (2, 5)))
    dtype = np.float32 if rng.random() < 0.5 else np.float64
    shapes = ((n, n_hidden), n_hidden, (n_hidden, n_classes), n_classes)
    weights, bias, output, output_bias = (rng.normal(size=shape).astype(dtype) for shape in shapes)
    if rng.random() < 0.3:
        bias[0] = 2 * np.abs(weights[:, 0]).sum()
    activation = str(rng.choice(["scaled_logistic", "tanh", "relu", "sign"]))
    network = ShallowNetwork(weights, bias, output, output_bias, activation)
    bits = rng.integers(0, 2, (int(rng.integers(1, 120)), n))
    labels = network.predict(bits, encoding="bits")
    return network, bits, np.where(rng.random(len(bits)) < 0.15, (labels + 1) % n_classes, labels)


def _selection(rng: np.random.Generator, **options: Any) -> tuple[Any, Any, np.ndarray, np.ndarray]:
    from scinn.robustness import select_neurons

    network, bits, labels = _network(rng)
    floor = float(rng.uniform(0.5, 1.0)) * network.accuracy(bits, labels, encoding="bits")
    chosen: dict[str, Any] = {
        "method": str(rng.choice(["gmbc", "gmb", "gmbb", "logn"])),
        "layers": [("hidden",), ("output",), ("hidden", "output")][int(rng.integers(3))],
        "on_violation": str(rng.choice(["skip", "stop"])),
        "p": float(rng.choice([1.0, 1.0, 2.0])),
        "benefit": str(rng.choice(["proxy", "proxy", "exact"])),
    } | options
    return (
        network,
        select_neurons(network, bits, labels, floor=floor, encoding="bits", **chosen),
        bits,
        labels,
    )


def _floor_holds(seed: int) -> CheckResult:
    from scinn.robustness import select_neurons

    rng = np.random.default_rng(seed)
    network, result, bits, labels = _selection(rng)
    before, after = (one.accuracy(bits, labels, encoding="bits") for one in (network, result.network))
    # The search by halves measures its prefixes only; single steps on the way may lie lower.
    on_the_way = [] if result.method == "logn" else [step.accuracy for step in result.steps]
    wrong = [min([after, *on_the_way]) < result.floor]
    wrong += [before != result.accuracy_before, after != result.accuracy]
    if before < 1:
        try:
            select_neurons(network, bits, labels, floor=(1 + before) / 2, encoding="bits")
            wrong.append(True)
        except ValueError as error:
            wrong.append("above the accuracy" not in str(error))
    return verdict(
        "below the floor, or another accuracy than reported", float(sum(wrong)), 0.0, result.method
    )


def _nothing_else_changes(seed: int) -> CheckResult:
    from scinn.robustness.fourier_stabilization import stabilized_columns

    rng = np.random.default_rng(seed)
    state = rng.bit_generator.state
    network, result, bits, labels = _selection(rng, p=1.0)
    rng.bit_generator.state = state
    drawn, same_bits, same_labels = _network(rng)
    wrong = int(not np.array_equal(bits, same_bits)) + int(not np.array_equal(labels, same_labels))
    wrong += sum(getattr(network, name).tobytes() != getattr(drawn, name).tobytes() for name in _FIELDS)
    want = {name: getattr(network, name).copy() for name in _FIELDS}
    for layer, chosen in (("hidden", result.hidden), ("output", result.output)):
        columns = list(chosen)
        want[f"{layer}_weights"][:, columns] = stabilized_columns(want[f"{layer}_weights"])[:, columns]
    wrong += sum(getattr(result.network, name).tobytes() != want[name].tobytes() for name in _FIELDS)
    return verdict("arrays that are not what the steps say", float(wrong), 0.0, f"{result!r}")


def _tries(seed: int) -> CheckResult:
    from scinn.robustness.selection import _Plan, _Scan

    rng = np.random.default_rng(seed)
    network, bits, labels = _network(rng)
    p = float(rng.choice([1.0, 2.0]))
    plan = _Plan(network, ("hidden", "output"), "proxy", p, "keep", "sign")
    scan = _Scan(network, (1 - 2 * bits).astype(np.int8), labels, plan)
    columns = list(plan.benefit)
    rng.shuffle(columns)
    worst, done = 0.0, 0
    while done < len(columns):
        tried = columns[done : done + int(rng.integers(1, 4))]
        arrays = {name: getattr(scan.network(), name).copy() for name in _FIELDS[::2]}
        for layer, j in tried:
            arrays[f"{layer}_weights"][:, j] = plan.weights[layer][:, j]
        fresh = network.replace(**arrays).accuracy(bits, labels, encoding="bits")
        worst = max(worst, abs(scan.attempt(tried) - fresh))
        scan.take(tried[:1])
        done += 1
    return verdict("accuracy of a try against a network built anew", worst, 0.0, repr(network))


def _blended(seed: int) -> CheckResult:
    from scinn.robustness import select_neurons

    rng = np.random.default_rng(seed)
    network, bits, labels = _network(rng)
    floor = float(rng.uniform(0.5, 1.0)) * network.accuracy(bits, labels, encoding="bits")
    options: dict[str, Any] = {"floor": floor, "layers": ("hidden", "output"), "encoding": "bits"}
    totals = [
        select_neurons(network, bits, labels, method=m, **options).total_benefit
        for m in ("gmbb", "gmb", "gmbc")
    ]
    return verdict("total benefit of GMBB below that of GMB or GMBC", max(totals[1:]) - totals[0], 0.0)


def _stabilized_columns(seed: int) -> CheckResult:
    from scinn.robustness import stabilize_layer

    rng = np.random.default_rng(seed)
    w = rng.normal(size=(int(rng.integers(1, 30)), int(rng.integers(0, 5)))).astype(np.float32)
    w[rng.random(w.shape) < 0.1] = 0
    layer = stabilize_layer(w, np.zeros(w.shape[1]), tie=0, report=False)
    want = np.array(
        [[math.copysign(1, a) * max(map(abs, w[:, j])) if a else 0.0 for j, a in enumerate(row)] for row in w]
    )
    same = np.array_equal(layer.weights, want.reshape(w.shape)) and layer.weights.dtype == np.float32
    return verdict("sign(w) max|w| in float32", float(not same), 0.0, weights=w)


# Networks


def _round_trip(seed: int) -> CheckResult:
    from scinn.robustness import ShallowNetwork

    rng = np.random.default_rng(seed)
    network, bits, _ = _network(rng)
    if network.activation == "sign":
        network = network.replace(activation="tanh")
    other = network.to_network()
    again = ShallowNetwork.from_network(other)
    signs = (1 - 2 * bits).astype(network.dtype)
    wrong = sum(getattr(again, name).tobytes() != getattr(network, name).tobytes() for name in _FIELDS)
    wrong += again.activation != network.activation
    wrong += other(signs).tobytes() != network.logits(bits, encoding="bits").tobytes()
    return verdict("a network of layers and back, bit for bit", float(wrong), 0.0, network.activation)


def _mlp(seed: int) -> CheckResult:
    from sklearn.neural_network import MLPClassifier

    from scinn.robustness import ShallowNetwork

    rng = np.random.default_rng(seed)
    n_classes, encoding = int(rng.integers(2, 4)), str(rng.choice(["bits", "signs"]))
    bits = rng.integers(0, 2, (40, int(rng.integers(1, 8))))
    seen = (bits if encoding == "bits" else 1 - 2 * bits).astype(np.float64)
    activation = str(rng.choice(["tanh", "relu", "logistic"]))
    model = MLPClassifier((int(rng.integers(1, 7)),), activation=activation, random_state=seed % 2**31)
    labels = np.append(np.arange(n_classes), rng.integers(0, n_classes, 40 - n_classes))
    for _ in range(3):
        model.partial_fit(seen, labels, classes=np.arange(n_classes))
    logits = ShallowNetwork.from_mlp_classifier(model, encoding=encoding).logits(bits, encoding="bits")
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    error = largest(shares / shares.sum(axis=1, keepdims=True) - model.predict_proba(seen))
    return verdict(
        "class probabilities of an MLPClassifier",
        error,
        1e-13,
        f"{activation}, {n_classes} classes, {encoding}",
    )


def _encodings(seed: int) -> CheckResult:
    from scinn.nn import Dense, Network, ReLU, Tanh
    from scinn.robustness import ShallowNetwork
    from scinn.robustness.command import replace_columns

    rng = np.random.default_rng(seed)
    n, n_hidden = int(rng.integers(1, 9)), int(rng.integers(1, 6))
    middle = [ReLU(), Tanh(), Tanh(0.5), Tanh(float(rng.uniform(0.2, 3)))][int(rng.integers(4))]
    bias = bool(rng.random() < 0.7)
    network = Network.sequential(
        Dense(n, n_hidden, bias=bias, dtype=np.float64, rng=seed),
        middle,
        Dense(n_hidden, 2, dtype=np.float64, rng=seed + 1),
    )
    for value in network.params.values():
        value += 0.3 * rng.normal(size=value.shape)
    bits = rng.integers(0, 2, (20, n))
    encoding = str(rng.choice(["bits", "signs"]))
    seen = (bits if encoding == "bits" else 1 - 2 * bits).astype(np.float64)
    read = ShallowNetwork.from_network(network, encoding=encoding)
    both = (read.logits(bits, encoding="bits"), read.logits(1 - 2 * bits, encoding="signs"))
    gap = largest(*(logits - network(seen) for logits in both))
    weights = read.hidden_weights.copy()
    weights[:, 0] = np.sign(weights[:, 0])
    changed = read.replace(hidden_weights=weights)
    written = replace_columns(network, read, changed, encoding)
    back = largest(written(seen) - changed.logits(bits, encoding="bits"))
    return verdict(
        "networks of bits read and written", max(gap, back), 1e-12, f"{type(middle).__name__}, {encoding}"
    )


def _files(seed: int) -> CheckResult:
    import tempfile
    from pathlib import Path

    from scinn.robustness import ShallowNetwork

    network, _, _ = _network(np.random.default_rng(seed))
    with tempfile.TemporaryDirectory() as folder:
        network.save(Path(folder) / "network.npz")
        again = ShallowNetwork.load(Path(folder) / "network.npz")
    wrong = sum(getattr(again, name).tobytes() != getattr(network, name).tobytes() for name in _FIELDS)
    wrong += (again.activation, again.tie) != (network.activation, network.tie)
    return verdict("saved and loaded, bit for bit", float(wrong), 0.0)


def _own() -> tuple[Property, ...]:
    form, rules, greedy, networks = (
        "closed form (Hoelder's inequality)",
        "rules for the threshold (derived)",
        "greedy algorithms of the paper",
        "detectors with one hidden layer",
    )
    rows = [
        (
            "optimality",
            form,
            "No plane is farther from a neuron's labels than the stabilised one, for any p.",
            _optimality,
        ),
        (
            "distances-grow",
            form,
            "Average distance before <= signed distance after <= distance after.",
            _distances_grow,
        ),
        ("norm-kept", form, "The stabilised weights have the l_q norm of the original ones.", _norm_kept),
        ("idempotent", form, "Stabilising for p = 1 twice is stabilising once, bit for bit.", _idempotent),
        (
            "symmetries",
            form,
            "Renamed, negated and scaled inputs give renamed, negated and scaled weights.",
            _symmetries,
        ),
        (
            "constant-neurons",
            form,
            "Neurons that are constant on the cube are left alone and named.",
            _constants,
        ),
        (
            "stabilized-columns",
            form,
            "For p = 1 a column becomes sign(w) max|w|, bit for bit.",
            _stabilized_columns,
        ),
        (
            "joint-threshold",
            rules,
            "The joint rule is optimal among planes with a constant input.",
            _joint_optimality,
        ),
        (
            "matched-rule",
            rules,
            "No threshold changes fewer of the answers +1 and -1 than the matched one.",
            _matched_threshold,
        ),
        (
            "accuracy-floor",
            greedy,
            "The accuracy never falls below the floor, and one above it is refused.",
            _floor_holds,
        ),
        (
            "nothing-else-changes",
            greedy,
            "A search changes the columns it names and nothing else.",
            _nothing_else_changes,
        ),
        ("tried-accuracy", greedy, "The accuracy of a try is that of a network built anew.", _tries),
        ("blended-greedy", greedy, "The blended search has the larger of both total benefits.", _blended),
        ("round-trip", networks, "A network of layers read back is the same, bit for bit.", _round_trip),
        ("scikit-learn-networks", networks, "An MLPClassifier's probabilities survive the conversion.", _mlp),
        ("bits-or-signs", networks, "A network of bits is rewritten for signs and back.", _encodings),
        ("files", networks, "A saved network is loaded bit for bit.", _files),
    ]
    return tuple(
        Property("fourier-stabilization", name, theorem, text, run) for name, theorem, text, run in rows
    )


PROPERTIES: tuple[Property, ...] = (
    *_own(),
    *chow.PROPERTIES,
    *walsh.PROPERTIES,
    *attacks.PROPERTIES,
    *certificates.PROPERTIES,
)
