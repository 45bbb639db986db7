"""Properties of reversible networks: reversal to the bit, limits and sizes, what is impossible, and use.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999. The notation
is that of :mod:`scinn.recurrent.reversible`; a limit of ``k`` bits keeps forget gates at or above ``2^-k``.

The properties of tapes, of levels of exactness, and of gradients are in :mod:`scinn.verify.bit_tapes`,
:mod:`scinn.verify.recurrent_exactness` and :mod:`scinn.verify.recurrent_gradients`, and count among this paper's.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from scinn.verify import bit_tapes, recurrent_exactness, recurrent_gradients
from scinn.verify.arrays import largest, same_bits
from scinn.verify.recurrent_cases import (
    Case,
    Slow,
    gradients_of,
    random_case,
    random_network,
    run_there,
    saturate,
)
from scinn.verify.registry import Property
from scinn.verify.result import CheckResult, verdict
from scinn.verify.reversible import check_reversible

__all__ = ["PROPERTIES"]


# Reversal


def _reversal(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    case = random_case(rng, int(rng.choice([1, 2, 8, 17, 100])))
    outputs, last, tapes = run_there(case)
    held = len(tapes)
    back = case.net.run_back(case.x, last, tapes, lengths=case.lengths)
    wrong: Any = (not same_bits(back, case.state)) + len(tapes)
    if case.lengths is not None:
        # An ended row repeats its last state, and one without steps its first.
        for b, n in enumerate(case.lengths):
            first = case.net.outputs_of(case.state)[b] if n == 0 else outputs[n - 1, b]
            wrong += np.count_nonzero(outputs[max(n - 1, 0) :, b] != first)
    wrong += not case.net.forget and held > 0 and case.net.coder != "planes"
    return verdict(
        "first state and tapes after all steps were undone",
        float(wrong),
        0.0,
        f"{case.x.shape}, {case.net!r}",
    )


def _every_state(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    case = random_case(rng, int(rng.choice([1, 5, 30])), ragged=False)
    return check_reversible(case.net, case.state, list(case.x), case.net.make_tapes(case.x.shape[1]))


def _long_run(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    case = random_case(
        rng, 1000, n_rows=1, n_layers=1, n_hidden=8, ragged=False, forget=True, compat=False, bounded=2.5,
        coder=str(rng.choice(["rans", "floor_digit", "planes"])), scale=1.0,
    )  # fmt: skip
    _, last, tapes = run_there(case)
    bits = len(tapes)
    back = case.net.run_back(case.x, last, tapes)
    wrong = (not same_bits(back, case.state)) + len(tapes) + (bits == 0)
    return verdict("a thousand steps there and back", float(wrong), 0.0, f"{bits} bits, {case.net!r}")


def _from_floats(seed: int) -> CheckResult:
    """Undoing the cells in floating point, by dividing by the gates, loses everything within a few steps."""
    rng = np.random.default_rng(seed)
    net = random_network(
        rng, cell="gru", n_layers=1, n_hidden=32, n_in=3, forget=True, compat=True, dtype=np.float64, scale=1.0,
        exactness="B", arithmetic="real", max_forget_bits=None,
    )  # fmt: skip
    x = rng.standard_normal((60, 4, 3))
    errors: dict[str, float] = {}
    for dtype, steps in ((np.float32, 25), (np.float64, 60)):
        p = {name: value.astype(dtype) for name, value in net.params.items()}
        halves: Any = [rng.uniform(-1, 1, (4, 16)).astype(dtype) for _ in (0, 1)]
        first = [h.copy() for h in halves]

        def gates(half: int, x_t: np.ndarray, other: np.ndarray, p: Any = p) -> tuple[np.ndarray, np.ndarray]:
            wx, wh, bias = (
                p[f"{name}0"][..., 48 * half : 48 * half + 48] for name in ("weight_x", "weight_h", "bias")
            )
            px = x_t @ wx + bias
            z, r = (1 / (1 + np.exp(-(px + other @ wh)[:, a : a + 16])) for a in (0, 16))
            return z, (1 - z) * np.tanh(px[:, 32:] + (r * other) @ wh[:, 32:])

        for x_t in x[:steps].astype(dtype):
            for half in (0, 1):
                z, update = gates(half, x_t, halves[1 - half])
                halves[half] = z * halves[half] + update
        with np.errstate(all="ignore"):
            for x_t in x[:steps][::-1].astype(dtype):
                for half in (1, 0):
                    z, update = gates(half, x_t, halves[1 - half])
                    halves[half] = (halves[half] - update) / z
        off = max(
            float(np.nanmax(np.abs(h - h0))) if np.isfinite(h).any() else np.inf
            for h, h0 in zip(halves, first)
        )
        errors[dtype.__name__] = off
    fixed = type(net)(**net.config() | {"arithmetic": "fixed", "coder": "rans"})
    fixed.params = net.params
    case = Case(fixed, x, fixed.initial_state(4), None)
    _, last, tapes = run_there(case)
    exact = same_bits(fixed.run_back(x, last, tapes), case.state)
    broken = min(errors.values()) < 0.1 or not exact
    return verdict(
        "floating-point reversal fails where integers return", float(broken), 0.0, f"{errors}, exact: {exact}"
    )


# Sizes


def _gate_limits(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    k: Any = (1.0, 2.0, 3.0, 5.0, 0.5, None)[int(rng.integers(6))]
    cell = str(rng.choice(["gru", "lstm"]))
    bounded = 4.0 if cell == "lstm" and rng.random() < 0.5 else None
    case = random_case(
        rng, 9, n_rows=1, max_forget_bits=k, cell=cell, bounded=bounded, forget=True, exactness=str(rng.choice(["A", "B"])),
        ragged=False,
    )  # fmt: skip
    saturate(case.net, rng, float(rng.choice([3.0, 60.0])))
    k = case.net.max_forget_bits
    report = gradients_of(case, None, monitor=True)[0].memory_report()
    bits = np.concatenate([b.ravel() for b in report.forgotten])
    z = 1024.0 * 2.0**-bits
    low = max(1.0, np.rint(1024.0 * (0.0 if k is None else 2.0**-k)))
    high = 1024.0 if bounded is None else np.rint(1024.0 * (1.0 - 2.0**-bounded))
    beyond = max(low - z.min(), z.max() - high, largest(z - np.rint(z)))
    return verdict("gates beyond their limits", beyond, 1e-6, f"{z.min():.6g} to {z.max():.6g}, {case.net!r}")


def _no_drift(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    case = random_case(
        rng, 400, n_rows=2, cell="gru", compat=False, forget=True, n_layers=1, exactness="A", ragged=False,
    )  # fmt: skip
    saturate(case.net, rng, float(rng.choice([3.0, 6.0, 7.63, 9.0, 60.0])))
    state = case.net.encode_state(
        [[np.sign(a + 0.5) for a in rng.uniform(-1, 1, (2, *case.state[0][0].shape))]]
    )
    outputs, _, _ = run_there(case._replace(state=state))
    return verdict("largest state", largest(outputs), 1.13, repr(case.net))


def _paper_drifts(seed: int) -> CheckResult:
    from scinn.recurrent import RevGRU

    rng = np.random.default_rng(seed)
    steps, ends = 3000, {}
    # A gate just below 1 rounds to 1024, yet the paper's update adds (1 - z) g at every step.
    gate = rng.uniform(1023.6, 1023.9) / 1024.0
    for compat in (False, True):
        net = RevGRU(1, 2, compat=compat, max_forget_bits=None, rng=0, block=64)
        for name in ("weight_x0", "weight_h0"):
            net.params[name][...] = 0.0
        net.params["bias0"][...] = np.tile([math.log(gate / (1.0 - gate)), 0.0, 20.0], 2)
        outputs, _ = net.run(np.zeros((steps, 1, 1), np.float32), tapes=net.make_tapes(1))
        ends[compat] = largest(outputs[-1])
    wanted = steps * (1.0 - gate)
    error = abs(ends[True] / wanted - 1.0) + (ends[False] > 1.13)
    return verdict(
        "drift of the paper's update, none of ours",
        error,
        0.05,
        f"{ends}, wanted {wanted:.4g} and at most 1.13",
    )


def _bounded(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    j = float(rng.choice([1.5, 2.0, 4.0]))
    case = random_case(
        rng, 300, n_rows=1, cell="lstm", bounded=j, max_forget_bits=3.0, forget=True, n_layers=1, exactness="A",
        ragged=False,
    )  # fmt: skip
    saturate(case.net, rng)
    _, last, tapes = run_there(case)
    size = largest(*case.net.decode_state(last)[0])
    back = case.net.run_back(case.x, last, tapes)
    # The gate's rounding to 1024ths moves its limit, and hidden digits add to the sum.
    limit = 1.0 / (1.0 - (np.rint(1024.0 * (1.0 - 2.0**-j)) + 0.2) / 1024.0)
    return verdict(
        "largest state", size + 1e3 * (not same_bits(back, case.state)), limit, f"j = {j}, {case.net!r}"
    )


def _out_of_range(seed: int) -> CheckResult:
    from scinn.exceptions import StateRangeError

    rng = np.random.default_rng(seed)
    steps, rows, n = 12, 3, 3
    net = random_network(
        rng,
        cell="lstm",
        n_layers=1,
        n_hidden=2 * n,
        n_in=2,
        bounded=None,
        forget=True,
        exactness=str(rng.choice(["A", "B"])),
    )
    net.params = {name: value * 0 for name, value in net.params.items()}
    # Cells keep everything and add 1 in each step; outputs are kept, and nothing is added.
    net.params["bias0"] += np.tile(np.repeat([60.0, 60.0, 60.0, -60.0, 60.0], n), 2).astype(net.dtype)
    when, row, unit, which = (int(rng.integers(m)) for m in (steps, rows, n, 2))
    values = [np.zeros((rows, n)) for _ in range(4)]
    values[2 + which][row, unit] = 256.0 - when - 0.5
    state = net.encode_state([values])
    x, tapes = np.zeros((steps, rows, 2), net.dtype), net.make_tapes(rows)
    _, earlier = net.run(x, tapes=tapes)
    held = [tape.state_dict() for tape in tapes]
    words = (f"unit {unit} ", f"c{which + 1} ", f"row {row},", f"step {when} ", "bounded")
    wrong = []
    for name, call in (
        ("run", lambda: net.run(x, state, tapes)),
        ("forward_pass", lambda: net.forward_pass(x, state=state)),
        ("evaluation", lambda: net.run(x, state)),
    ):
        try:
            call()
        except StateRangeError as error:
            wrong += [f"{name}: {word!r} not in {error}" for word in words if word not in str(error)]
        else:
            wrong.append(f"{name}: accepted")
    same = same_bits(held, [tape.state_dict() for tape in tapes])
    back = net.run_back(x, earlier, tapes)
    broken = len(wrong) + (not same) + (not same_bits(back, net.initial_state(rows))) + len(tapes)
    return verdict(
        "states that leave the range", float(broken), 0.0, "; ".join(wrong) or f"tapes as before: {same}"
    )


def _slices(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    case = random_case(rng, 11, coder="floor_digit", forget=True)
    n, net = case.net.units[-1], case.net
    keep = int(rng.integers(1, n + 1))
    outputs, _, _ = run_there(case)
    plain = gradients_of(case, None)[0]
    trace, _ = gradients_of(case, None, keep=keep)
    wrong = (not same_bits(trace.state, plain.state)) + np.count_nonzero(trace.kept != outputs[:, :, :keep])
    report, other = trace.memory_report(), plain.memory_report()
    wrong += report.kept_bits != 32 * (12 * case.x.shape[1] * keep + trace.checks.size)
    wrong += report.stored_bits > other.stored_bits + 64 * case.x.shape[1]
    whole, _ = gradients_of(case, None, keep=net.n_out)
    wrong += np.count_nonzero(whole.kept != outputs)
    # With hidden digits, kept units drop their low bits instead, and so do all others of a whole layer.
    dropped = random_case(rng, 6, coder="rans", forget=True, dtype=np.float64, exactness="A", n_layers=1)
    keep = dropped.net.n_out
    trace, _ = gradients_of(dropped, None, keep=keep)
    y, _ = dropped.net.run(dropped.x, dropped.state, lengths=dropped.lengths)
    wrong += np.count_nonzero(trace.kept != y) + (trace.memory_report().stored_bits > 0)
    return verdict("slices", float(wrong), 0.0, f"keep {keep}, {net!r}")


def _memory_report(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    case = random_case(rng, 16, coder="floor_digit", dtype=np.float64, exactness="A")
    net, (steps, rows) = case.net, case.x.shape[:2]
    trace = net.forward_pass(case.x, state=case.state, lengths=case.lengths, monitor=True)
    report = trace.memory_report()
    slow = Slow(net, "fixed")
    slow.run(case.x, case.state, case.lengths)
    ideal = float(sum(np.sum(10.0 - np.log2(z)) for z in slow.gates))
    alive = np.arange(steps)[:, None] < (steps if case.lengths is None else case.lengths) * np.ones(rows)
    step_bits = 32 * sum(net.n_hidden_by_layer) * (len(net.state_names) // 2)
    naive = step_bits * int(alive.sum())
    counted = sum(float((b * alive.sum(axis=1)[:, None]).sum()) for b in report.forgotten)
    checks = 32 * trace.checks.size
    error = abs(report.ideal_bits - ideal) / (1.0 + ideal) + abs(counted - ideal) / (1.0 + ideal)
    wrong = (
        (report.naive_bits != naive) + (report.stored_bits != len(trace.tapes)) + (report.kept_bits != checks)
    )
    wrong += report.stored_bits < 0.98 * ideal - 64 * rows * net.n_layers
    stored = net.forward_pass(case.x, state=case.state, lengths=case.lengths, memory="store").memory_report()
    wrong += stored.stored_bits != 0 or stored.kept_bits != step_bits * rows * (steps + 1) + checks
    return verdict("bits that reports count", error + wrong, 1e-9, f"{report!r}\n{net!r}")


def _network_bits(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    case = random_case(
        rng, 140, n_rows=20, n_layers=1, n_hidden=[64], n_in=4, coder="rans", forget=True, scale=1.0, max_forget_bits=3.0,
        bounded=2.5, ragged=False, dtype=np.float32, exactness="A", compat=False,
    )  # fmt: skip
    report = case.net.forward_pass(case.x, state=case.state, monitor=True).memory_report()
    excess = (report.stored_bits - 64 * 20) / report.ideal_bits - 1.0
    return verdict("stored over ideal bits, beyond one word pair a row", abs(excess), 0.01, repr(case.net))


# No forgetting


def _nothing_forgotten(seed: int) -> CheckResult:
    from scinn.exceptions import TapeError

    rng = np.random.default_rng(seed)
    case = random_case(rng, 20, forget=False, ragged=False)
    net, (outputs, last, tapes) = case.net, run_there(case)
    # Planes note one bit for each product.
    wrong: Any = len(tapes) if net.coder != "planes" else 0
    wrong += np.count_nonzero(net.run(case.x, case.state)[0] != outputs)
    wrong += not same_bits(net.run_back(case.x, last, tapes.copy()), case.state)
    net.params["bias0"] = net.params["bias0"] + net.dtype.type(0.25)
    try:
        net.run_back(case.x, last, tapes)
    except TapeError:
        pass
    else:
        return verdict("other weights, and no error", np.inf, 0.0, repr(net))
    return verdict("bits of networks that forget nothing", float(wrong), 0.0, f"{len(tapes)} bits, {net!r}")


def _injective(seed: int) -> CheckResult:
    """Exhaust toys: finite states S, one bijection of S for each symbol, all sequences of symbols."""
    from scinn.recurrent import reversible_maps

    rng = np.random.default_rng(seed)
    symbols, slots = int(rng.integers(2, 4)), int(rng.integers(1, 5))
    # A register that never overwrites is as good as can be.
    register = reversible_maps.register_map(symbols, slots)
    drawn = reversible_maps.draw_reversible_map(symbols, int(rng.integers(1, symbols**slots + 3)), rng=rng)
    wrong, longest = 0.0, {}
    for name, maps in (("drawn", drawn), ("register", register)):
        size, first = maps.shape[1], 0 if name == "register" else int(rng.integers(maps.shape[1]))
        wrong += not np.array_equal(np.sort(maps, axis=1), np.broadcast_to(np.arange(size), maps.shape))
        steps = slots + 1
        counts = reversible_maps.distinct_states(maps, steps, first=first)
        longest[name] = reversible_maps.longest_repeat(maps, first=first)
        ends: dict[tuple[int, ...], int] = {(): first}
        last_symbol: dict[int, int] = {}
        readable = 0
        for t in range(1, steps + 1):
            ends = {(*word, v): int(maps[v, s]) for word, s in ends.items() for v in range(symbols)}
            if readable == t - 1 and all(last_symbol.setdefault(s, w[-1]) == w[-1] for w, s in ends.items()):
                readable = t
            distinct = len(set(ends.values()))
            wrong += distinct != counts[t] or distinct > size
            # A read-out that is right at every step makes the last state determine the whole sequence.
            wrong += t <= longest[name] and distinct != symbols**t
        wrong += readable != min(longest[name], steps)
        wrong += longest[name] * math.log2(symbols) > math.log2(size) + 1e-9
    wrong += longest["register"] != slots
    return verdict(
        "toys that beat the bound T log|V| <= log|S|",
        wrong,
        0.0,
        f"{symbols} symbols, states {drawn.shape[1]} and {register.shape[1]}, {longest}",
    )


def _ceiling(seed: int) -> CheckResult:
    """Fill a network that forgets nothing with all sequences of a length, and read them off its last state alone."""
    from scinn.recurrent import no_forgetting, reversible_maps

    rng = np.random.default_rng(seed)
    symbols, slots = int(rng.integers(2, 5)), int(rng.integers(1, 5))
    register = no_forgetting.register_network(symbols, slots)
    net, steps = register.net, slots + 2
    counts = reversible_maps.distinct_states(reversible_maps.register_map(symbols, slots), steps)
    wrong = 0.0
    for t in range(steps + 1):
        words = np.indices((symbols,) * t).reshape(t, symbols**t)
        tapes = net.make_tapes(words.shape[1])
        _, last = net.run(register.inputs(words), tapes=tapes)
        states = np.concatenate(last[0], axis=1)
        # Nothing is put on the tape, and a full register tells nothing of what comes after.
        wrong += len(tapes) + (len(np.unique(states, axis=0)) != counts[t])
        decoded, first = no_forgetting.decode_network(register, last, t)
        same = (decoded == words).all(axis=0)
        if t <= slots:
            wrong += np.count_nonzero(~same) + (not same_bits(first, net.initial_state(words.shape[1])))
        else:
            # Of all that end in one state, at most one is read right.
            wrong += same.sum() > counts[t]
    wrong += slots > no_forgetting.sequence_ceiling(symbols, net.n_out)
    # Longer ones are too many to try.
    n = int(rng.integers(20, 100))
    register = no_forgetting.register_network(int(rng.integers(2, 65)), n)
    words = rng.integers(register.n_symbols, size=(n, 3))
    _, last = register.net.run(register.inputs(words))
    decoded, first = no_forgetting.decode_network(register, last, n)
    wrong += np.count_nonzero(decoded != words) + (not same_bits(first, register.net.initial_state(3)))
    return verdict(
        "sequences that a register does not give back, or that are too many for it",
        wrong,
        0.0,
        f"{symbols} symbols in {slots} slots; {register.n_symbols} in {n}",
    )


# Use


def _resumed(seed: int) -> CheckResult:
    from scinn.recurrent import Tapes

    rng = np.random.default_rng(seed)
    case = random_case(rng, 24, ragged=False, block=4)
    # At level A blocks have to be the same ones in both directions.
    net = case.net
    cut = int(rng.choice([4, 8, 20])) if net.exactness == "A" else int(rng.integers(1, len(case.x)))
    outputs, last, whole = run_there(case)
    tapes = net.make_tapes(case.x.shape[1])
    first, middle = net.run(case.x[:cut], case.state, tapes)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tapes.npz"
        tapes.save(path)
        resumed = Tapes.load(path)
    second, end = net.run(case.x[cut:], middle, resumed)
    wrong = np.count_nonzero(np.concatenate([first, second]) != outputs) + (not same_bits(end, last))
    wrong += not all(same_bits(a.state_dict()[0], b.state_dict()[0]) for a, b in zip(resumed, whole))
    state = net.run_back(case.x[cut:], end, resumed)
    wrong += not same_bits(state, middle)
    wrong += (not same_bits(net.run_back(case.x[:cut], state, resumed), case.state)) + len(resumed)
    return verdict("a run that was saved half-way", float(wrong), 0.0, f"cut at {cut}, {net!r}")


_REFUSED: dict[str, tuple[str, str]] = {
    "odd n_hidden": ("RevGRU(2, 5)", "even"),
    "odd n_hidden of one layer": ("RevLSTM(2, [4, 3], 2)", "n_hidden must be even"),
    "n_hidden 0": ("RevGRU(2, 0)", "n_hidden"),
    "n_in 0": ("RevGRU(0, 4)", "n_in"),
    "widths for other layers": ("RevGRU(2, [4, 4], 3)", "n_hidden has 2 widths"),
    "limit 0": ("RevGRU(2, 4, max_forget_bits=0)", "max_forget_bits must be positive"),
    "limit below 0": ("RevLSTM(2, 4, max_forget_bits=-1.0)", "max_forget_bits must be positive"),
    "limit NaN": ("RevGRU(2, 4, max_forget_bits=float('nan'))", "max_forget_bits"),
    "limit of 11 bits": ("RevGRU(2, 4, max_forget_bits=11)", "max_forget_bits"),
    "limit as text": ("RevGRU(2, 4, max_forget_bits='3')", "max_forget_bits"),
    "bounded 0": ("RevLSTM(2, 4, bounded=0)", "bounded"),
    "no room between limits": ("RevLSTM(2, 4, max_forget_bits=1, bounded=1)", "bounded"),
    "unknown coder": ("RevGRU(2, 4, coder='huffman')", "coder"),
    "unknown level": ("RevGRU(2, 4, exactness='D')", "exactness"),
    "dropout 1": ("RevGRU(2, 4, dropout=1.0)", "dropout"),
    "block 0": ("RevGRU(2, 4, block=0)", "block"),
    "float16": ("RevGRU(2, 4, dtype=np.float16)", "dtype"),
    "NaN inputs": ("net.run(nan)", "x has nan at step 3, row 1, feature 0"),
    "NaN inputs of a step": ("net.advance(net.initial_state(2), nan[3], net.make_tapes(2))", "row 1, feature 0"),
    "infinite inputs": ("net.forward_pass(np.float32(np.inf) * np.ones((5, 2, 2), np.float32))", "finite"),
    "inputs of another dtype": ("net.run(np.ones((5, 2, 2)))", "float64"),
    "inputs of another width": ("net.run(np.ones((5, 2, 3), np.float32))", "(n_steps, n_rows, 2)"),
    "NaN weights": ("broken.run(x)", "weight_h0"),
    "NaN state": ("net.encode_state([[np.full((2, 2), np.nan), np.zeros((2, 2))]])", "h1 of layer 0"),
    "state outside the range": ("net.encode_state([[np.zeros((2, 2)), np.full((2, 2), 256.0)]])", "h2 of layer 0"),
    "state of other rows": ("net.run(x, net.initial_state(3))", "initial_state(2)"),
    "float state": ("net.run(x, net.decode_state(net.initial_state(2)))", "int32"),
    "tapes of other rows": ("net.run(x, tapes=net.make_tapes(3))", "make_tapes(2)"),
    "tapes of another coder": ("net.run(x, tapes=RevGRU(2, 4, coder='planes').make_tapes(2))", "planes"),
    "empty tapes": ("net.run_back(x, net.initial_state(2), net.make_tapes(2))", "tape"),
    "lengths beyond the end": ("net.run(x, lengths=[6, 1])", "lengths"),
    "lengths as floats": ("net.run(x, lengths=[1.0, 1.0])", "lengths"),
    "real steps back": ("RevGRU(2, 4, arithmetic='real').run_back(x, real, net.make_tapes(2))", "real"),
    "no key": ("RevGRU(2, 4, weight_drop=0.5).forward_pass(x)", "key"),
    "keep too many": ("net.forward_pass(x, keep=3)", "keep"),
    "unknown memory": ("net.forward_pass(x, memory='none')", "memory"),
    "segment 0": ("net.forward_pass(x, memory='hybrid', segment=0)", "segment"),
    "a used trace": ("[net.backward_pass(t, zero) for t in [net.forward_pass(x)] * 2]", "used"),
    "another network's trace": ("net.backward_pass(RevGRU(2, 4, rng=0).forward_pass(x), zero)", "another network"),
    "gradient of another shape": ("net.backward_pass(net.forward_pass(x), lambda a, b, y: y[0])", "output_gradient"),
    "gradient of another dtype": ("net.backward_pass(net.forward_pass(x), lambda a, b, y: y * 1.0j)", "output_gradient"),
    "large inputs at level C": ("RevGRU(2, 4, exactness='C').run(9 * x)", "exactness C"),
}  # fmt: skip


def _refused(seed: int) -> CheckResult:
    from scinn.recurrent import RevGRU, RevLSTM

    net = RevGRU(2, 4, rng=0)
    broken = RevGRU(2, 4, rng=0)
    broken.params["weight_h0"] = broken.params["weight_h0"] * np.float32(np.nan)
    x = np.ones((5, 2, 2), np.float32)
    nan = x.copy()
    nan[3, 1, 0] = np.nan
    names = {"np": np, "RevGRU": RevGRU, "RevLSTM": RevLSTM, "net": net, "broken": broken, "x": x, "nan": nan}
    names |= {"zero": lambda a, b, y: 0 * y, "real": RevGRU(2, 4, arithmetic="real").initial_state(2)}
    wrong = []
    for case, (source, word) in _REFUSED.items():
        try:
            # The sources are those of the table above.
            eval(source, names)
        except (TypeError, ValueError, RuntimeError) as error:
            if word not in str(error):
                wrong.append(f"{case}: {error}")
        else:
            wrong.append(f"{case}: accepted")
    return verdict(
        "what should be refused, with the argument's name", float(len(wrong)), 0.0, "; ".join(wrong)
    )


_REVERSAL, _FORGETTING = "section 3.2, exact reversal in fixed point", "section 3.2, limits on forgetting"
_IMPOSSIBLE, _USE = "section 4, no forgetting", "use"
_ROWS: tuple[tuple[str, str, str, Callable[[int], CheckResult]], ...] = (
    ("reversal", _REVERSAL, "All steps are undone to the bit, and tapes are empty then.", _reversal),
    ("every-state", _REVERSAL, "Each state on the way comes back, one step at a time.", _every_state),
    ("long-run", _REVERSAL, "A thousand steps come back.", _long_run),
    ("floats-fail", _REVERSAL, "Dividing by gates in floating point does not come back.", _from_floats),
    ("gate-limits", _FORGETTING, "Gates keep their limits after rounding, and none is 0.", _gate_limits),
    ("no-drift", _FORGETTING, "With the drift-free update states that begin within 1 stay within 1.13.", _no_drift),
    ("paper-drifts", _FORGETTING, "The paper's update drifts where gates round to 1; ours does not.", _paper_drifts),
    ("bounded-cells", _FORGETTING, "Bounded cells stay below their bound.", _bounded),
    ("out-of-range", _USE, "A state that leaves the range is named, and tapes stay as they were.", _out_of_range),
    ("slices", "section 3.3, attention", "Kept units are those of the run, and are not on the tape.", _slices),
    ("memory-report", _USE, "Reports count the bits that there are.", _memory_report),
    ("network-bits", _FORGETTING, "A network's tape is within 1 % of the sum of -log2(z).", _network_bits),
    ("nothing-forgotten", _IMPOSSIBLE, "Without forgetting nothing is stored, and steps are undone.", _nothing_forgotten),
    ("no-more-than-the-state", _IMPOSSIBLE, "At most log|S| / log|V| symbols can be read off in turn.", _injective),
    ("read-off-the-state", _IMPOSSIBLE, "A last state alone can give back as many symbols as fill it.", _ceiling),
    ("resumed", _USE, "A run whose tapes were saved half-way goes on as if it had not been.", _resumed),
    ("refused-input", _USE, "Bad input is refused with a message that says what is wanted.", _refused),
)  # fmt: skip

PROPERTIES: tuple[Property, ...] = (
    *(Property("reversible-rnn", name, theorem, text, run) for name, theorem, text, run in _ROWS),
    *recurrent_exactness.PROPERTIES,
    *bit_tapes.PROPERTIES,
    *recurrent_gradients.PROPERTIES,
)
