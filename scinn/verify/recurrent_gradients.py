"""Properties of the gradients of reversible networks, and of their steps against slow ones.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999. Gradients
are the exact straight-through gradients of the steps that were computed: those of the surrogate of
:mod:`scinn.verify.recurrent_cases`, which are compared with difference quotients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from scinn.random import Key
from scinn.verify.arrays import largest, same_bits
from scinn.verify.recurrent_cases import Case, Slow, gradients_of, random_case, random_network
from scinn.verify.registry import Property
from scinn.verify.result import CheckResult, verdict

__all__ = ["PROPERTIES"]

_UNIT = 2.0**23


def _weights(rng: np.random.Generator, case: Case) -> tuple[np.ndarray, Any]:
    """Return random gradients by the outputs and by the last state."""
    net, dtype = case.net, case.net.dtype
    outputs = rng.standard_normal((*case.x.shape[:2], net.n_out)).astype(dtype)
    return outputs, tuple(
        tuple(rng.standard_normal(a.shape).astype(dtype) for a in one) for one in case.state
    )


def _arrays(case: Case, gradients: Any) -> list[tuple[str, np.ndarray]]:
    """Return what a loss depends on, by name, with the gradients found."""
    found = [(name, gradients.grads[name]) for name in case.net.params]
    found += [(f"state {i}.{j}", a) for i, one in enumerate(gradients.dstate) for j, a in enumerate(one)]
    return [*found, ("x", gradients.dx)]


def _slope(
    slow: Slow, case: Case, outputs: np.ndarray, last: Any, direction: dict[str, np.ndarray], h: float
) -> float:
    """Return the central difference quotient of the loss along a direction."""
    values = []
    first = [
        [np.asarray(a, np.float64) / (1.0 if slow.net.is_real else _UNIT) for a in one] for one in case.state
    ]
    params = {name: value.astype(np.float64) for name, value in case.net.params.items()}
    for step in (-h, h):
        slow.params = {name: value + step * direction[name] for name, value in params.items()}
        state = [
            [a + step * direction[f"state {i}.{j}"] for j, a in enumerate(one)] for i, one in enumerate(first)
        ]
        slow.rewind()
        y, end = slow.run(case.x + step * direction["x"], state, case.lengths)
        values.append(
            float(np.sum(outputs * y))
            + sum(float(np.sum(d * a)) for ds, one in zip(last, end) for d, a in zip(ds, one))
        )
    return (values[1] - values[0]) / (2.0 * h)


def _compare(
    rng: np.random.Generator, slow: Slow, case: Case, outputs: np.ndarray, last: Any, found: Any
) -> float:
    """Return the largest relative error of slopes along random directions, each array also on its own."""
    arrays = _arrays(case, found)
    size = (
        1.0 + sum(float(np.sum(np.abs(a))) for _, a in arrays) / (1.0 + sum(a.size for _, a in arrays)) ** 0.5
    )
    worst = 0.0
    for which in [None, *rng.choice(len(arrays), min(3, len(arrays)), replace=False)]:
        direction = {
            name: (rng.standard_normal(a.shape) if which in (None, i) else np.zeros(a.shape))
            for i, (name, a) in enumerate(arrays)
        }
        wanted = sum(float(np.sum(direction[name] * a)) for name, a in arrays)
        errors = [abs(_slope(slow, case, outputs, last, direction, h) - wanted) for h in (1e-4, 1e-5, 1e-6)]
        worst = max(worst, min(errors) / (size + abs(wanted)))
    return worst


def _outputs_alive(case: Case) -> np.ndarray:
    steps, rows = case.x.shape[:2]
    if case.lengths is None:
        return np.ones((steps, rows, 1))
    return (np.arange(steps)[:, None] < case.lengths)[..., None].astype(float)


def _real_gradient(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    case = random_case(
        rng,
        int(rng.choice([1, 4, 9])),
        dtype=np.float64,
        arithmetic="real",
        exactness=str(rng.choice(["A", "B"])),
    )
    outputs, last = _weights(rng, case)
    _, found = gradients_of(case, outputs, last)
    slow = Slow(case.net, "real")
    y, end = slow.run(case.x, case.state, case.lengths)
    got, state = case.net.run(case.x, case.state, lengths=case.lengths)
    apart = largest(got - y, *[a - b for one, two in zip(state, end) for a, b in zip(one, two)])
    error = _compare(rng, slow, case, outputs, last, found)
    return verdict("real gradient - difference quotients", max(error, 1e6 * apart), 1e-6, repr(case.net))


def _straight_through(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    coder = str(rng.choice(["floor_digit", "rans", "planes"]))
    case = random_case(
        rng, int(rng.choice([1, 3, 6])), dtype=np.float64, coder=coder, exactness=str(rng.choice(["A", "B"]))
    )
    # Slices do not change floors, and of planes only their own numbers.
    keep = int(rng.integers(0, case.net.units[-1] + 1)) if coder == "floor_digit" else 0
    outputs, last = _weights(rng, case)
    trace, found = gradients_of(case, outputs, last, keep=keep)
    fixed = Slow(case.net, "fixed", coder)
    _, end = fixed.run(case.x, case.state, case.lengths)
    if not all(np.array_equal(a, b) for one, two in zip(trace.state, end) for a, b in zip(one, two)):
        return verdict("states of the slow cells", np.inf, 0.0, repr(case.net))
    slow = Slow(case.net, "surrogate")
    slow.errors = fixed.errors
    error = _compare(rng, slow, case, outputs, last, found)
    return verdict("straight-through gradient - difference quotients", error, 1e-6, repr(case.net))


def _stored_gradient(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    options: dict[str, Any] = {
        "dropout": float(rng.choice([0.0, 0.4])),
        "weight_drop": float(rng.choice([0.0, 0.4])),
    }
    case = random_case(rng, **options)
    outputs, last = _weights(rng, case)
    keep = int(rng.choice([0, case.net.units[-1], case.net.n_out]))
    passed = {"key": Key(seed), "keep": keep}
    trace, reversed_ = gradients_of(case, outputs, last, memory="reverse", **passed)
    other, stored = gradients_of(case, outputs, last, memory="store", **passed)
    same = same_bits(tuple(reversed_), tuple(stored)) and same_bits(trace.state, other.state)
    if keep:
        same = same and same_bits(trace.kept, other.kept)
    return verdict(
        "bits of gradients from tapes and from stored states",
        float(not same),
        0.0,
        f"{case.net!r}, keep {keep}",
    )


def _ways_of_remembering(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    case = random_case(
        rng, int(rng.choice([9, 33])), coder="floor_digit", weight_drop=float(rng.choice([0.0, 0.3]))
    )
    outputs, last = _weights(rng, case)
    keep = int(rng.choice([0, case.net.units[-1], case.net.n_out]))
    segment = int(rng.choice([1, 5, 8, 16, 50]))
    wrong, seen = [], None
    for memory in ("store", "reverse", "checkpoint", "hybrid", "auto"):
        steps = None if memory in ("store", "reverse") else segment
        trace, found = gradients_of(
            case, outputs, last, memory=memory, segment=steps, keep=keep, key=Key(seed)
        )
        now = (tuple(found), trace.state, trace.kept if keep else None)
        if seen is not None and not same_bits(now, seen):
            wrong.append(memory)
        seen = now if seen is None else seen
    return verdict(
        "ways of remembering with other bits", len(wrong), 0.0, f"{wrong}, segment {segment}, {case.net!r}"
    )


def _rans_segments(seed: int) -> CheckResult:
    """A tape that begins anew at each segment hides other digits; the gradient moves by no more than these do."""
    rng = np.random.default_rng(seed)
    case = random_case(
        rng, 16, dtype=np.float64, exactness="A", scale=1.0, coder=str(rng.choice(["rans", "planes"]))
    )
    outputs, last = _weights(rng, case)
    exact, _ = (gradients_of(case, outputs, last, memory=m)[1] for m in ("store", "reverse"))
    error = 0.0
    for memory in ("checkpoint", "hybrid"):
        _, found = gradients_of(case, outputs, last, memory=memory, segment=8)
        pairs = list(zip(_arrays(case, found), _arrays(case, exact)))
        size = max(largest(b) for _, (_, b) in pairs) + 1e-3
        error = max(error, *(largest(a - b) / size for (_, a), (_, b) in pairs))
    return verdict("gradients of segments - of the whole", error, 2e-2, repr(case.net))


def _fixed_and_real(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    case = random_case(
        rng, 10, dtype=np.float64, n_hidden=[int(rng.choice([6, 8, 10]))], n_layers=1, exactness="A", scale=1.0,
        max_forget_bits=3.0, coder=str(rng.choice(["floor_digit", "rans"])),
    )  # fmt: skip
    outputs, last = _weights(rng, case)
    _, fixed = gradients_of(case, outputs, last)
    options = case.net.config() | {"arithmetic": "real"}
    real = type(case.net)(**options)
    real.params = case.net.params
    twin = Case(real, case.x, case.net.decode_state(case.state), case.lengths)
    _, wanted = gradients_of(twin, outputs, last)
    pairs = list(zip(_arrays(case, fixed), _arrays(twin, wanted)))
    size = max(largest(b) for _, (_, b) in pairs)
    error = max(largest(a - b) for (_, a), (_, b) in pairs) / size
    return verdict("gradient in fixed point - in real arithmetic", error, 1e-2, repr(case.net))


def _frozen_rows(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    case = random_case(rng, 9, n_rows=4, dtype=np.float64, ragged=False, exactness="B", coder="floor_digit")
    lengths = np.array([0, int(rng.integers(0, 10)), 9, 0])
    case = case._replace(lengths=lengths)
    outputs, last = _weights(rng, case)
    live = outputs * _outputs_alive(case)
    _, found = gradients_of(case, live, last)
    idle = np.flatnonzero(lengths == 0)
    wrong: float = sum(
        bool(np.any(g[idle] != d[idle])) for one, two in zip(found.dstate, last) for g, d in zip(one, two)
    )
    wrong += sum(bool(np.any(found.dx[lengths[b] :, b])) for b in range(4))
    rows = np.array([2])
    if lengths[1]:
        rows = np.array([1, 2])
    few = Case(
        case.net, np.ascontiguousarray(case.x[:, rows]),
        tuple(tuple(np.ascontiguousarray(a[rows]) for a in one) for one in case.state), lengths[rows],
    )  # fmt: skip
    without = gradients_of(
        few,
        np.ascontiguousarray(live[:, rows]),
        tuple(tuple(np.ascontiguousarray(a[rows]) for a in one) for one in last),
    )[1]
    error = max(
        largest(found.grads[k] - without.grads[k]) / (1.0 + largest(without.grads[k])) for k in found.grads
    )
    # Where an ended row's outputs are asked for, their gradients belong to its last state.
    _, late = gradients_of(case, outputs, last)
    for one, two in zip(late.dstate[-1][:2], last[-1][:2]):
        half = slice(0, case.net.units[-1]) if one is late.dstate[-1][0] else slice(case.net.units[-1], None)
        total = two + outputs[:, :, half].sum(axis=0)
        error = max(error, largest((one - total)[idle]) / (1.0 + largest(total)))
    return verdict("rows at rest", error + 1e3 * wrong, 1e-11, f"lengths {lengths.tolist()}, {case.net!r}")


def _cut_sequences(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    case = random_case(rng, 12, dtype=np.float64, coder="floor_digit", exactness="B", ragged=False)
    outputs, last = _weights(rng, case)
    trace, whole = gradients_of(case, outputs, last)
    cut = int(rng.integers(1, 12))
    first = case._replace(x=case.x[:cut])
    head = first.net.forward_pass(first.x, state=case.state)
    second = case._replace(x=case.x[cut:], state=head.state)
    tail, late = gradients_of(second, outputs[cut:], last)
    _, early = gradients_of(first, outputs[:cut], late.dstate)
    wrong = not same_bits(tail.state, trace.state)
    pairs = [(early.grads[k] + late.grads[k], whole.grads[k]) for k in whole.grads]
    pairs += [(a, b) for one, two in zip(early.dstate, whole.dstate) for a, b in zip(one, two)]
    pairs.append((np.concatenate([early.dx, late.dx]), whole.dx))
    error = max(largest(a - b) / (1.0 + largest(b)) for a, b in pairs)
    return verdict("two parts of a sequence - the whole", error + wrong, 1e-11, f"cut at {cut}, {case.net!r}")


def _masks(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    case = random_case(
        rng, 8, dtype=np.float64, dropout=0.5, weight_drop=0.5, n_layers=2, n_hidden=[8, 8], ragged=False,
        exactness="A", arithmetic="real",
    )  # fmt: skip
    net, key = case.net, Key(seed)
    outputs, last = _weights(rng, case)
    trace, found = gradients_of(case, outputs, last, key=key)
    _, again = gradients_of(case, outputs, last, key=key)
    _, other = gradients_of(case, outputs, last, key=Key(seed + 1))
    wrong = (not same_bits(tuple(found), tuple(again))) + same_bits(tuple(found), tuple(other))
    # One mask holds at all steps: dropped recurrent weights have the gradient 0, and others a larger weight.
    for i, mask in enumerate(trace.masks.weight_h):
        wrong += bool(np.any(found.grads[f"weight_h{i}"][mask == 0])) + (
            not set(np.unique(mask)) <= {0.0, 2.0}
        )
    plain = type(net)(**net.config() | {"dropout": 0.0, "weight_drop": 0.0})
    plain.params = {
        name: value * trace.masks.weight_h[int(name[-1])] if name.startswith("weight_h") else value.copy()
        for name, value in net.params.items()
    }
    kept = trace.masks.between[1]
    lower = type(net)(**plain.config() | {"n_layers": 1, "n_hidden": [8]})
    upper = type(net)(**plain.config() | {"n_layers": 1, "n_hidden": [8], "n_in": 8})
    for one, i in ((lower, 0), (upper, 1)):
        one.params = {f"{name}0": plain.params[f"{name}{i}"] for name in ("weight_x", "weight_h", "bias")}
    below, _ = lower.run(case.x, case.state[:1])
    _, top = upper.run(below * kept, case.state[1:])
    error = largest(*[a - b for a, b in zip(top[0], trace.state[1])])
    unmasked = net.forward_pass(case.x, state=case.state, train=False)
    wrong += unmasked.masks.weight_h[0] is not None
    return verdict("masks of one call", error + wrong, 1e-12, repr(net))


def _streams(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    case = random_case(rng, int(rng.choice([7, 20])), ragged=False)

    class Table:
        def __init__(self) -> None:
            self.shape, self.dx = case.x.shape, np.zeros_like(case.x)
            self.asked: list[tuple[int, int]] = []

        def block(self, first: int, end: int) -> np.ndarray:
            self.asked.append((first, end))
            return case.x[first:end].copy()

        def accumulate(self, first: int, end: int, dx: np.ndarray) -> None:
            self.dx[first:end] += dx

    outputs, last = _weights(rng, case)
    stream: Any = Table()
    trace, found = gradients_of(case, outputs, last)
    other, streamed = gradients_of(case._replace(x=stream), outputs, last)
    same = same_bits(found.grads, streamed.grads) and same_bits(found.dstate, streamed.dstate)
    same = (
        same
        and same_bits(found.dx, stream.dx)
        and streamed.dx is None
        and same_bits(trace.state, other.state)
    )
    long = max(end - first for first, end in stream.asked)
    return verdict(
        "inputs made block by block", float(not same or long > case.net.block), 0.0, repr(case.net)
    )


def _losses(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    case = random_case(rng, 13, dtype=np.float64, ragged=False)
    seen: list[tuple[int, int]] = []
    tops = np.zeros((*case.x.shape[:2], case.net.n_out))

    def head(first: int, end: int, top: np.ndarray) -> tuple[float, np.ndarray]:
        seen.append((first, end))
        tops[first:end] = top
        return float(np.sum(top**2)) / 2.0, top.copy()

    result = case.net.loss_and_gradients(case.x, head, state=case.state)
    tapes = case.net.make_tapes(case.x.shape[1])
    outputs, last = case.net.run(case.x, case.state, tapes)
    _, found = gradients_of(case, outputs)
    same = same_bits(tops, outputs) and same_bits(result.grads, found.grads) and same_bits(result.state, last)
    same = same and seen == sorted(seen, reverse=True)
    wanted = float(np.sum(outputs**2)) / 2.0
    error = abs(result.loss - wanted) / (1.0 + wanted) + (not same)
    return verdict("losses and outputs on the way back", error, 1e-12, repr(case.net))


# Steps against slow ones


def _trajectories(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    coder = str(rng.choice(["floor_digit", "rans", "planes"]))
    case = random_case(
        rng, int(rng.choice([5, 40])), dtype=np.float64, coder=coder, exactness=str(rng.choice(["A", "B"]))
    )
    y, end = Slow(case.net, "fixed", coder).run(case.x, case.state, case.lengths)
    outputs, last = case.net.run(
        case.x, case.state, case.net.make_tapes(case.x.shape[1]), lengths=case.lengths
    )
    wrong = [np.count_nonzero(a != b) for one, two in zip(last, end) for a, b in zip(one, two)]
    plain, _ = Slow(case.net, "fixed", "floor_digit" if coder == "floor_digit" else "plain").run(
        case.x, case.state, case.lengths
    )
    evaluated, _ = case.net.run(case.x, case.state, lengths=case.lengths)
    wrong += [np.count_nonzero(outputs != y), np.count_nonzero(evaluated != plain)]
    return verdict(
        "numbers that differ from the slow cells'", float(sum(wrong)), 0.0, f"{coder}, {case.net!r}"
    )


def _single_precision(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    coder = str(rng.choice(["floor_digit", "rans", "planes"]))
    case = random_case(
        rng, 40, dtype=np.float32, coder=coder, scale=1.0, max_forget_bits=3.0, forget=True, cell="gru",
        exactness=str(rng.choice(["A", "B"])), ragged=False,
    )  # fmt: skip
    y, _ = Slow(case.net, "fixed", coder).run(case.x, case.state)
    outputs, _ = case.net.run(case.x, case.state, case.net.make_tapes(case.x.shape[1]))
    return verdict(
        "states in single and double precision", largest(outputs - y), 1e-2, f"{coder}, {case.net!r}"
    )


def _adapter(seed: int) -> CheckResult:
    from scinn.recurrent import ReversibleLayer
    from scinn.verify.gradient import check_gradient

    rng = np.random.default_rng(seed)
    net = random_network(rng, dtype=np.float64, arithmetic="real", exactness="A", n_layers=1, n_in=2,
                         n_hidden=4, dropout=float(rng.choice([0.0, 0.3])),
                         weight_drop=float(rng.choice([0.0, 0.3])))  # fmt: skip
    masked = bool(rng.random() < 0.5)
    steps, rows = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    context: dict[str, Any] = {"lengths": rng.integers(0, steps + 1, rows)} if masked else {}
    x = rng.standard_normal((steps, rows, net.n_in))
    return check_gradient(ReversibleLayer(net, masked=masked), x, rng=seed, **context)


_GRADIENT, _PASS, _CELLS = (
    "straight-through gradients",
    "training with reconstruction",
    "section 3.1, the cells",
)
_ROWS: tuple[tuple[str, str, str, Callable[[int], CheckResult]], ...] = (
    ("real-gradient", _GRADIENT, "In real arithmetic the gradient is that of difference quotients.", _real_gradient),
    ("straight-through", _GRADIENT, "In fixed point rounding errors are held constant.", _straight_through),
    ("gradient-from-tapes", _PASS, "Gradients from tapes have the bits of those from stored states.", _stored_gradient),
    ("ways-of-remembering", _PASS, "With floors all ways of remembering have the same bits.", _ways_of_remembering),
    ("segments", _PASS, "Other hidden digits in segments move the gradient by little.", _rans_segments),
    ("fixed-and-real", _GRADIENT, "Gradients in fixed point are close to those in real arithmetic.", _fixed_and_real),
    ("rows-at-rest", _PASS, "Ended rows pass their gradient on, and add nothing to that of weights.", _frozen_rows),
    ("cut-sequences", _PASS, "Gradients of two parts of a sequence are those of the whole.", _cut_sequences),
    ("masks", _PASS, "Masks hold at all steps of a call, come back with the key, and are replayed.", _masks),
    ("streams", _PASS, "Inputs made block by block give the bits of an array's.", _streams),
    ("losses", _PASS, "Losses see the outputs of the pass forward, from the last block to the first.", _losses),
    ("slow-cells", _CELLS, "In double precision states have the bits of the paper's formulas.", _trajectories),
    ("single-precision", _CELLS, "Single precision is within 0.01 of double precision.", _single_precision),
    ("adapter", _GRADIENT, "As a layer of networks it keeps the layers' rules.", _adapter),
)  # fmt: skip

PROPERTIES: tuple[Property, ...] = tuple(
    Property("reversible-rnn", name, theorem, text, run) for name, theorem, text, run in _ROWS
)
