"""Properties of the levels of exactness of reversible networks, and of the checks that see every change.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999. Level A
repeats the same calls of the linear algebra library in both directions, level B sums in a defined order, level C in
integers; see :mod:`scinn.recurrent.products`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from scinn.random import Key
from scinn.verify.arrays import same_bits
from scinn.verify.recurrent_cases import random_case, run_there, take_rows
from scinn.verify.registry import Property
from scinn.verify.result import CheckResult, verdict

__all__ = ["PROPERTIES"]


# Rows, threads, blocks


def _row_order(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    case = random_case(
        rng,
        12,
        n_rows=5,
        exactness=str(rng.choice(["B", "C"])),
        coder=str(rng.choice(["rans", "floor_digit"])),
    )
    order = rng.permutation(5)
    outputs, last, tapes = run_there(case)
    permuted, there, others = run_there(take_rows(case, order))
    wrong = np.count_nonzero(permuted != outputs[:, order]) + (len(tapes) != len(others))
    wrong += sum(np.count_nonzero(a[order] != b) for one, two in zip(last, there) for a, b in zip(one, two))
    # Rows by themselves, too: no product depends on how many there are.
    few = rng.permutation(5)[: int(rng.integers(1, 4))]
    wrong += np.count_nonzero(run_there(take_rows(case, few))[0] != outputs[:, few])
    return verdict("numbers that change with other rows", float(wrong), 0.0, repr(case.net))


def _threads(seed: int) -> CheckResult:
    import numba

    rng = np.random.default_rng(seed)
    level = str(rng.choice(["B", "C"]))
    case = random_case(
        rng, 9, n_rows=24, n_in=40, n_hidden=[64], n_layers=1, exactness=level, scale=1.0, forget=True
    )
    outputs, last, tapes = run_there(case)
    before = numba.get_num_threads()
    wrong = 0.0
    try:
        for count in (1, before):
            numba.set_num_threads(count)
            case.net.blas_threads = 1 + count
            again, _, _ = run_there(case)
            wrong += np.count_nonzero(again != outputs)
        # Forward on so many threads, back on another number.
        case.net.blas_threads = 1
        back = case.net.run_back(case.x, last, tapes, lengths=case.lengths)
    finally:
        numba.set_num_threads(before)
    wrong += (not same_bits(back, case.state)) + len(tapes)
    return verdict("numbers that change with threads", float(wrong), 0.0, repr(case.net))


def _blocks(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    case = random_case(
        rng,
        13,
        n_in=33,
        n_hidden=[34],
        n_layers=1,
        exactness=str(rng.choice(["B", "C"])),
        scale=1.0,
        forget=True,
    )
    outputs, last, tapes = run_there(case)
    other = type(case.net)(**case.net.config() | {"block": int(rng.choice([1, 2, 5, 16]))})
    other.params = case.net.params
    again, _, _ = run_there(case._replace(net=other))
    back = other.run_back(case.x, last, tapes, lengths=case.lengths)
    wrong = np.count_nonzero(again != outputs) + (not same_bits(back, case.state)) + len(tapes)
    return verdict("numbers that change with the block", float(wrong), 0.0, repr(case.net))


def _never_silently(seed: int) -> CheckResult:
    """Undo a run in other parts than it was made in: the first state, or an error, or bits that are left."""
    rng = np.random.default_rng(seed)
    case = random_case(
        rng, 21, n_in=129, n_rows=int(rng.choice([1, 1, 3])), n_hidden=[64], n_layers=1, dtype=np.float32, scale=1.0,
        ragged=False, block=8, bounded=4.0, max_forget_bits=3.0, exactness=str(rng.choice(["A", "A", "B"])),
    )  # fmt: skip
    _, state, tapes = run_there(case)
    cuts = [
        0,
        *sorted(int(c) for c in rng.choice(np.arange(1, 21), int(rng.choice([1, 3, 20])), replace=False)),
        21,
    ]
    try:
        for first, end in reversed(list(itertools.pairwise(cuts))):
            state = case.net.run_back(case.x[first:end], state, tapes)
    except (RuntimeError, ValueError) as error:
        return verdict("an error was raised", float(case.net.exactness != "A"), 0.0, str(error))
    same = same_bits(state, case.state)
    return verdict(
        "another first state and empty tapes, without an error", float(not same and not len(tapes)), 0.0,
        f"cut at {cuts}; {len(tapes)} bits left, same state: {same}, {case.net!r}",
    )  # fmt: skip


def _provenance(seed: int) -> CheckResult:
    from scinn.exceptions import TapeError

    rng = np.random.default_rng(seed)
    case = random_case(rng, 9, forget=True, ragged=False, scale=1.0, max_forget_bits=3.0, coder="rans")
    net, (_, last, tapes) = case.net, run_there(case)
    name = str(rng.choice(list(net.params)))
    wrong = []

    def refused(what: str, change: Callable[[], None], undo: Callable[[], None], wanted: bool = True) -> None:
        change()
        try:
            for call in (lambda t: net.run_back(case.x, last, t), lambda t: net.run(case.x, last, t)):
                try:
                    call(tapes.copy())
                except TapeError:
                    if not wanted:
                        wrong.append(what)
                else:
                    if wanted:
                        wrong.append(what)
        finally:
            undo()

    value, moved = net.params[name], net.params[name].copy()
    moved.flat[int(rng.integers(moved.size))] += 1e-3
    refused(
        f"{name} changed", lambda: net.params.update({name: moved}), lambda: net.params.update({name: value})
    )
    threads = lambda n: lambda: setattr(net, "blas_threads", n)  # noqa: E731
    refused("threads", threads(2), threads(1), wanted=net.exactness == "A")
    level = net.exactness
    other = "B" if level == "A" else "A"
    refused("level", lambda: setattr(net, "exactness", other), lambda: setattr(net, "exactness", level))
    back = net.run_back(case.x, last, tapes)
    broken = len(wrong) + (not same_bits(back, case.state)) + len(tapes)
    return verdict("tapes of other weights, threads, or levels", float(broken), 0.0, f"{wrong}, {net!r}")


# The self-test of the pass back


def _flip(trace: Any, rng: np.random.Generator) -> None:
    """Change one bit of a tape that holds some."""
    from scinn.recurrent import Tape

    tapes = list(trace.tapes)
    i = int(rng.choice([i for i, tape in enumerate(tapes) if len(tape)]))
    arrays, description = tapes[i].state_dict()
    arrays = {name: array.copy() for name, array in arrays.items()}
    words = max(arrays, key=lambda name: arrays[name].nbytes)
    view = arrays[words].view(np.uint8).reshape(-1)
    used = np.flatnonzero(view)
    view[int(rng.choice(used))] ^= 1
    tapes[i] = Tape.from_state_dict(arrays, description)
    trace.tapes._tapes = tuple(tapes)


_SABOTAGE = (
    "nothing", "weights", "weights in place", "mask", "input", "order", "lengths", "state", "checkpoint", "tape",
    "tapes swapped",
)  # fmt: skip


def _self_test(seed: int) -> CheckResult:
    from scinn.exceptions import ReversibilityError

    rng = np.random.default_rng(seed)
    memory = str(rng.choice(["reverse", "hybrid", "checkpoint"]))
    case = random_case(
        rng, 12, ragged=False, forget=True, block=2, weight_drop=0.3, dropout=0.3, n_layers=2, scale=1.0,
        max_forget_bits=float(rng.integers(1, 4)), n_in=3, n_hidden=[6, 6],
    )  # fmt: skip
    wrong, done = [], []
    for what in _SABOTAGE:
        x = case.x.copy()
        segment = None if memory == "reverse" else 4
        trace = case.net.forward_pass(x, state=case.state, key=Key(seed), memory=memory, segment=segment)
        saved = {name: value.copy() for name, value in case.net.params.items()}
        if what == "weights":
            case.net.params["weight_h1"] = case.net.params["weight_h1"] * case.net.dtype.type(1.001)
        elif what == "weights in place":
            case.net.params["weight_x0"][0, 0] += 0.01
        elif what == "mask":
            i = int(rng.integers(2))
            trace.masks.weight_h[i][...] = trace.masks.weight_h[i][::-1, ::-1].copy()
        elif what == "input":
            x[int(rng.integers(12))] += 0.5
        elif what == "order":
            x[...] = x[::-1].copy()
        elif what == "lengths":
            trace.lengths = rng.integers(0, 12, x.shape[1])
        elif what == "state":
            # The last state is where the way back begins.
            array = trace.state[int(rng.integers(2))][0]
            array.setflags(write=True)
            array.flat[int(rng.integers(array.size))] += 1
        elif what == "checkpoint" and trace.checkpoints:
            array = trace.checkpoints[int(rng.integers(len(trace.checkpoints)))][0][0]
            array.setflags(write=True)
            array.flat[0] += 1
        elif what == "tape" and len(trace.tapes):
            _flip(trace, rng)
        elif what == "tapes swapped" and len(trace.tapes):
            trace.tapes._tapes = tuple(trace.tapes)[::-1]
        elif what != "nothing":
            continue
        done.append(what)
        try:
            case.net.backward_pass(trace, lambda first, end, top: top)
        except ReversibilityError:
            if what == "nothing":
                wrong.append(what)
        except Exception as error:
            wrong.append(f"{what}: {type(error).__name__} {error}")
        else:
            # Stored states are what a stored pass goes by: neither masks nor states are undone.
            if what != "nothing" and not (memory == "checkpoint" and what in ("state", "lengths")):
                wrong.append(what)
        finally:
            case.net.params.update(saved)
    return verdict(
        "changes that the way back did not see", len(wrong), 0.0, f"{wrong} of {done}, {memory}, {case.net!r}"
    )


_EXACTNESS, _REVERSAL = "levels of exactness", "section 3.2, exact reversal in fixed point"
_ROWS: tuple[tuple[str, str, str, Callable[[int], CheckResult]], ...] = (
    ("row-order", _EXACTNESS, "At levels B and C rows do not see each other.", _row_order),
    ("threads", _EXACTNESS, "At levels B and C threads change no bit.", _threads),
    ("blocks", _EXACTNESS, "At levels B and C the block changes no bit.", _blocks),
    ("parts-of-a-run", _EXACTNESS, "A run undone in other parts comes back, or is seen not to.", _never_silently),
    ("provenance", _EXACTNESS, "Tapes of other weights, levels, or (at level A) threads are refused.", _provenance),
    ("self-test", _REVERSAL, "The way back raises on any change since the way there.", _self_test),
)  # fmt: skip

PROPERTIES: tuple[Property, ...] = tuple(
    Property("reversible-rnn", name, theorem, text, run) for name, theorem, text, run in _ROWS
)
