"""Reversible networks beside PyTorch's ordinary cells: time of a training step, what is remembered for it, and the coders.

Both sides go forward and back over the same inputs in float32 and give gradients by weights and inputs of the sum of all
outputs. M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from scinn.bench.peers import PeerResult, run_peer
from scinn.bench.recurrent_worker import N_WARM_UP, least_seconds, normals, resident_growth, root_segment
from scinn.bench.rows import Benchmark, Callback, Row, size
from scinn.bench.timing import one_thread
from scinn.recurrent import RevGRU, RevLSTM, Tapes, make_tape
from scinn.recurrent.tape import CODERS

__all__ = ["REVERSIBLE_RNN", "run_reversible_rnn", "step_growth"]

#: Most bits that a step may forget of a unit.
LIMIT = 3.0
#: Steps over which stored bits are compared with the ideal.
N_STEPS = 140
N_ROWS = 20
#: Goals: our time over PyTorch's; its bytes over ours; bits over the ideal; the coder's part of a step.
GOALS = {"time": 1.6, "bytes": 60.0, "excess": 0.01, "share": 0.15}

_NETWORKS: dict[str, Any] = {"GRU": RevGRU, "LSTM": RevLSTM}


class Case(NamedTuple):
    """A cell and sizes that both sides train."""

    cell: str
    #: Rows, inputs, hidden units.
    sizes: tuple[int, int, int]
    n_steps: int
    #: Ways of remembering of ours, beside reversal.
    others: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Sizes in words."""
        return f"{self.sizes}, T = {self.n_steps:,}"


CASES = (
    Case("GRU", (20, 256, 256), 70),
    Case("GRU", (20, 256, 256), 1000, ("store", "hybrid")),
    Case("GRU", (20, 650, 650), 70, ("store",)),
    Case("GRU", (20, 650, 650), 1000),
    Case("LSTM", (20, 256, 256), 70),
    Case("LSTM", (20, 256, 256), 1000),
    Case("LSTM", (20, 650, 650), 70),
)


# Training steps.


def network(cell: str, sizes: tuple[int, int, int], coder: str = "rans") -> Any:
    """Return a reversible network of one layer with seeded weights."""
    return _NETWORKS[cell](sizes[1], sizes[2], max_forget_bits=LIMIT, coder=coder, rng=0)


def sum_of_outputs(first: int, end: int, top: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the loss of a block and its gradient by the outputs."""
    return float(top.sum()), np.ones_like(top)


def training_step(net: Any, x: Any, memory: str) -> Callable[[], Any]:
    """Return a step forward and back; it raises where the state does not come back to the bit."""
    return partial(net.loss_and_gradients, x, sum_of_outputs, memory=memory)


def comes_back(net: Any, x: np.ndarray) -> bool:
    """Run a network forward and undo it, apart from any training step; tell whether every bit of the state is as before."""
    first = net.initial_state(x.shape[1])
    tapes = net.make_tapes(x.shape[1])
    _, last = net.run(x, first, tapes)
    found = net.run_back(x, last, tapes)
    same = all(np.array_equal(a, b) for one, two in zip(found, first) for a, b in zip(one, two))
    return same and len(tapes) == 0


class Times(NamedTuple):
    """Least processor times of both sides by way of remembering; the peer's may be a reason why there are none."""

    ours: dict[str, float]
    theirs: dict[str, float]
    peer: str
    reason: str
    exact: bool


def race(case: Case, n_rounds: int, n_repeats: int) -> Times:
    """Time all ways of a case in turn, both sides by turns, so that a disturbance meets all of them."""
    net = network(case.cell, case.sizes)
    n_rows, n_in, _ = case.sizes
    x = normals(case.n_steps, n_rows, n_in)
    ours = dict.fromkeys(("reverse", *case.others), float("inf"))
    theirs: dict[str, float] = {}
    segments = {"plain": None} | ({"checkpointed": root_segment(case.n_steps)} if case.others else {})
    peer, reason = f"torch.nn.{case.cell}", ""
    with one_thread():
        for way in ours:
            training_step(net, x[:N_WARM_UP], way)()
        for _ in range(n_rounds):
            for name, segment in segments.items():
                options = case._asdict() | {"segment": segment, "n_repeats": n_repeats, "what": "seconds"}
                answer = run_peer("torch_recurrent", {}, options) if not reason else PeerResult(reason=reason)
                if not answer:
                    reason = answer.reason
                    continue
                peer = f"torch.nn.{case.cell} {answer.info['versions']['torch']}"
                theirs[name] = min(theirs.get(name, float("inf")), answer.info["seconds"])
            for way in ours:
                ours[way] = min(ours[way], least_seconds(training_step(net, x, way), n_repeats))
        exact = comes_back(net, x)
    return Times(ours, theirs, peer, reason, exact)


_WAYS = {"reverse": "reversal", "store": "all states stored", "hybrid": "checkpoints and reversal"}


def training_rows(case: Case, times: Times) -> list[Row]:
    """Return a row for each way of remembering: reversal and stored states beside PyTorch, hybrid beside checkpoints."""
    rows = []
    for way, seconds in times.ours.items():
        against = "checkpointed" if way == "hybrid" else "plain"
        theirs = times.theirs.get(against)
        peer = f"{times.peer}, sqrt(T) checkpoints" if way == "hybrid" else times.peer
        note = f"not run: {times.reason}" if theirs is None else f"{seconds / theirs:.2f} times its time"
        if theirs is not None and way == "reverse" and case.cell == "GRU":
            note += f" (goal {GOALS['time']:g})"
        note += "; " + exactness(times.exact)
        numbers: dict[str, Any] = {
            "way": way,
            "slowdown": None if theirs is None else seconds / theirs,
            "exact": times.exact,
        }
        numbers |= {"sizes": list(case.sizes), "n_steps": case.n_steps}
        title = f"Rev{case.cell} {case.name}: training step, {_WAYS[way]}"
        rows.append(Row(title, seconds, peer, theirs, note, numbers))
    return rows


def exactness(exact: bool) -> str:
    """Say whether the state came back."""
    return "state back to the bit" if exact else "STATE DID NOT COME BACK"


# A trained network.


class Trained(NamedTuple):
    """Weights that have learned to forget, and text for them."""

    #: Parameters of a RevGRU.
    params: dict[str, np.ndarray]
    #: Embedded text, (steps, rows, inputs).
    x: np.ndarray
    about: str

    def network(self, coder: str = "rans") -> Any:
        """Return the network with these weights."""
        n_in, width = self.params["weight_x0"].shape
        net = network("GRU", (self.x.shape[1], n_in, width // 3), coder)
        for name, value in self.params.items():
            net.params[name][...] = value
        return net


def train(n_hidden: int, n_batches: int, n_steps: int = 70) -> Trained:
    """Train a character model on the text that every CPython has, for so many batches."""
    from scinn import datasets
    from scinn.nn.optimizers import Adam
    from scinn.recurrent.language_model import LanguageModel

    data: Any = datasets.load("python-topics", level="characters")
    ids = np.asarray(data.train)
    length = len(ids) // N_ROWS
    stream = ids[: length * N_ROWS].reshape(N_ROWS, length).T
    model = LanguageModel(
        len(data.vocabulary), n_hidden, n_hidden, cell="rev_gru", max_forget_bits=LIMIT, rng=0
    )
    optimizer = Adam(2e-3)
    memory = optimizer.init(model.params)
    state, at, loss = None, 0, float("nan")
    with one_thread():
        for _ in range(n_batches):
            if at + n_steps + 1 > length:
                state, at = None, 0
            inputs, targets = stream[at : at + n_steps], stream[at + 1 : at + n_steps + 1]
            step = model.loss_and_gradients(inputs, targets, state=state)
            optimizer.step(model.params, step.grads, memory)
            state, at, loss = step.state, at + n_steps, float(step.loss)
    valid = np.asarray(data.valid)
    valid = valid[: N_STEPS * N_ROWS].reshape(N_ROWS, N_STEPS).T
    prefix = "cell."
    params = {name[len(prefix) :]: value for name, value in model.params.items() if name.startswith(prefix)}
    about = f"character model, {n_batches} batches of {N_ROWS} x {n_steps}, {loss / np.log(2):.2f} bits per character"
    return Trained(params, np.ascontiguousarray(model.params["embedding"][valid]), about)


def memory_rows(trained: Trained) -> list[Row]:
    """Compare what the tapes hold with the ideal, and with what PyTorch saves for as many units and steps.

    The goal is about what is remembered, which grows with the steps: our tape against PyTorch's saved tensors. The working
    arrays of our pass back, which do not grow, are given beside the tape; those of PyTorch are not counted.
    """
    n_steps, n_rows, n_in = trained.x.shape
    rows = []
    units = n_steps * n_rows * trained.network().n_out
    options = {
        "what": "saved",
        "cell": "GRU",
        "sizes": (n_rows, n_in, trained.network().n_out),
        "n_steps": n_steps,
    }
    answer = run_peer("torch_recurrent", {}, options)
    for coder in CODERS:
        net = trained.network(coder)
        with one_thread():
            step = training_step(net, trained.x, "reverse")
            step()
            seconds = least_seconds(step, 3)
            report = net.loss_and_gradients(trained.x, sum_of_outputs, memory="reverse", monitor=True).memory
            exact = comes_back(net, trained.x)
        rows.append(_memory_row(trained, coder, seconds, report, units, answer, exact))
    return rows


def _memory_row(
    trained: Trained, coder: str, seconds: float, report: Any, units: int, answer: PeerResult, exact: bool
) -> Row:
    ideal, stored = report.ideal_bits / units, report.stored_bits / units
    excess = report.stored_bits / report.ideal_bits - 1
    note = f"{stored:.3f} bits stored per unit and step, ideal {ideal:.3f}, {100 * excess:+.2f} %"
    note += f" (goal {100 * GOALS['excess']:g} %)"
    tape, arrays = stored / 8, report.workspace_bytes / units
    numbers: dict[str, Any] = {
        "coder": coder,
        "bits": stored,
        "ideal_bits": ideal,
        "excess": excess,
        "bytes": tape,
        "workspace_bytes": arrays,
        "exact": exact,
    }
    peer = ""
    if answer:
        saved = answer.info["bytes"] / units
        peer = f"torch.nn.GRU {answer.info['versions']['torch']}"
        note += (
            f"; {tape:.3f} bytes on the tape against the {saved:.3g} that {peer} saves, {saved / tape:.0f} times less "
            f"(goal {GOALS['bytes']:g}); with our working arrays {tape + arrays:.3f} bytes, {saved / (tape + arrays):.1f} "
            "times less"
        )
        numbers |= {
            "peer_bytes": saved,
            "fewer": saved / tape,
            "fewer_with_workspace": saved / (tape + arrays),
        }
    else:
        note += (
            f"; {tape:.3f} bytes on the tape, {tape + arrays:.3f} with our working arrays; "
            f"PyTorch not run: {answer.reason}"
        )
    n_steps, n_rows, _ = trained.x.shape
    note += f"; working arrays are {size(report.workspace_bytes)} at any number of steps, here over {n_steps}"
    title = f"trained RevGRU ({n_rows} rows, T = {n_steps}), {coder}: training step"
    return Row(title, seconds, "", None, f"{note}; {exactness(exact)}; {trained.about}", numbers)


# Coders.


class WatchedTape:
    """A tape whose multiplications and divisions are timed, and recorded if wanted; all else goes to the tape itself."""

    def __init__(
        self, tape: Any, seconds: list[float], calls: list[tuple[np.ndarray, ...]] | None = None
    ) -> None:
        self._tape, self._seconds, self._calls = tape, seconds, calls

    def __len__(self) -> int:
        return len(self._tape)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tape, name)

    def multiply(self, h: Any, z: Any, update: Any, *rest: Any) -> int:
        """Multiply on the tape, and remember for how long."""
        if self._calls is not None:
            self._calls.append((h.copy(), z.copy(), update.copy()))
        start = time.process_time()
        answer = int(self._tape.multiply(h, z, update, *rest))
        self._seconds[0] += time.process_time() - start
        return answer

    def divide(self, *arguments: Any) -> None:
        """Divide on the tape, and remember for how long."""
        start = time.process_time()
        self._tape.divide(*arguments)
        self._seconds[1] += time.process_time() - start


def watch(net: Any, seconds: list[float], calls: list[tuple[np.ndarray, ...]] | None = None) -> Any:
    """Make a network's tapes watched ones; return the network."""

    def make_tapes(n_rows: int) -> Tapes:
        # A stand-in: the passes ask nothing of a tape that it does not hand on.
        tapes: Any = [WatchedTape(make_tape(net.coder, n_rows), seconds, calls) for _ in range(net.n_layers)]
        return Tapes(tapes)

    net.make_tapes = make_tapes
    return net


def share_row(name: str, net: Any, x: np.ndarray, n_repeats: int) -> Row:
    """Time the calls of the tape inside a training step, beside the step in which they are."""
    seconds = [0.0, 0.0]
    watch(net, seconds)
    step = training_step(net, x, "reverse")
    best = (0.0, 0.0, float("inf"))
    with one_thread():
        training_step(net, x[:N_WARM_UP], "reverse")()
        for _ in range(n_repeats):
            seconds[:] = 0.0, 0.0
            start = time.process_time()
            step()
            whole = time.process_time() - start
            best = min(best, (seconds[0], seconds[1], whole), key=lambda one: one[2])
    multiply, divide, whole = best
    share = (multiply + divide) / whole
    per = x.shape[0] * x.shape[1] * net.n_out
    note = (
        f"{100 * share:.1f} % of the step (goal {100 * GOALS['share']:g} %), {1e9 * multiply / per:.1f} ns to multiply and "
        f"{1e9 * divide / per:.1f} ns to divide a unit; timed around each call inside the step, with the update and the "
        "conversion to floats that the call does too"
    )
    numbers = {"share": share, "multiply_ns": 1e9 * multiply / per, "divide_ns": 1e9 * divide / per}
    return Row(
        f"{name}: the {net.coder} coder's calls", multiply + divide, "the whole step", whole, note, numbers
    )


class Calls(NamedTuple):
    """Multiplications of a training step, one half of the state after the other."""

    #: States of the two halves before their first calls, (2, rows, units), int32.
    h: np.ndarray
    #: Of each call, (calls, rows, units).
    z: np.ndarray
    update: np.ndarray


def record_calls(trained: Trained) -> Calls:
    """Return what a pass over text asks of the tape, from the second step on."""
    calls: list[tuple[np.ndarray, ...]] = []
    net = watch(trained.network(), [0.0, 0.0], calls)
    training_step(net, trained.x, "reverse")()
    h, z, update = zip(*calls)
    # First states are zeros, which a coder may keep for nothing.
    return Calls(np.array(h[2:4]), np.array(z[2:]), np.array(update[2:]))


class Coding(NamedTuple):
    """What a coder made of recorded calls: seconds per unit, bits, and whether the states came back."""

    multiply: float
    divide: float
    n_bits: int
    exact: bool


def code(coder: str, calls: Calls, n_repeats: int) -> Coding:
    """Do recorded multiplications on a fresh tape, and undo them."""
    n_calls, n_rows, n_units = calls.z.shape
    alive = np.ones(n_rows, dtype=bool)
    value = np.empty((n_rows, n_units), dtype=np.float32)
    best, exact, n_bits = [float("inf")] * 2, True, 0
    with one_thread():
        # The first round finds code to compile.
        for _ in range(n_repeats + 1):
            tape = make_tape(coder, n_rows)
            states, spare = list(calls.h.copy()), list(np.empty_like(calls.h))
            start = time.process_time()
            for i in range(n_calls):
                half = i % 2
                wrong = tape.multiply(states[half], calls.z[i], calls.update[i], alive, spare[half], value)
                assert wrong < 0
                states[half], spare[half] = spare[half], states[half]
            multiplied = time.process_time()
            n_bits = len(tape)
            begun = time.process_time()
            for i in reversed(range(n_calls)):
                half = i % 2
                tape.divide(states[half], calls.z[i], calls.update[i], alive, spare[half], value)
                states[half], spare[half] = spare[half], states[half]
            divided = time.process_time()
            best = [min(best[0], multiplied - start), min(best[1], divided - begun)]
            exact &= bool(np.array_equal(states, calls.h)) and len(tape) == 0
    per = calls.z.size
    return Coding(best[0] / per, best[1] / per, n_bits, exact)


def coder_rows(trained: Trained, n_repeats: int) -> list[Row]:
    """Time the three coders on the gates of a trained network, the first beside constriction's."""
    calls = record_calls(trained)
    n_calls, n_rows, n_units = calls.z.shape
    ideal = float(-np.log2(calls.z / 1024.0).sum())
    arrays = {
        "h": calls.h.reshape(2, -1),
        "z": calls.z.reshape(n_calls, -1),
        "update": calls.update.reshape(n_calls, -1),
    }
    answer = run_peer("constriction_ans", arrays, {"n_repeats": n_repeats})
    rows = []
    for coder in CODERS:
        found = code(coder, calls, n_repeats)
        seconds = found.multiply + found.divide
        note = (
            f"a unit: {1e9 * found.multiply:.1f} ns to multiply, {1e9 * found.divide:.1f} ns to divide; "
            f"{found.n_bits / calls.z.size:.4f} bits, ideal {ideal / calls.z.size:.4f}; {exactness(found.exact)}"
        )
        numbers: dict[str, Any] = {"multiply_ns": 1e9 * found.multiply, "divide_ns": 1e9 * found.divide}
        numbers |= {
            "bits": found.n_bits / calls.z.size,
            "ideal_bits": ideal / calls.z.size,
            "exact": found.exact,
        }
        peer, theirs = "", None
        if coder == "rans":
            peer = "constriction's ANS"
            if answer:
                info = answer.info
                peer = f"constriction's ANS {info['versions']['constriction']}"
                theirs = (info["multiply"] + info["divide"]) * calls.z[0].size
                note += (
                    f"; there {1e9 * info['multiply']:.1f} and {1e9 * info['divide']:.1f} ns for the coder's calls alone, "
                    f"{info['n_bits'] / calls.z.size:.4f} bits in one stream, {exactness(info['exact'])}"
                )
                numbers["peer"] = info
            else:
                note += f"; not run: {answer.reason}"
        title = f"{coder}: multiply and divide {n_rows} x {n_units} units"
        rows.append(Row(title, seconds * calls.z[0].size, peer, theirs, note, numbers))
    return rows


# Memory of processes.


class DrawnStream:
    """Inputs that are drawn when they are asked for, and whose gradients are dropped: nothing grows with the steps."""

    def __init__(self, n_steps: int, n_rows: int, n_in: int) -> None:
        self.shape = (n_steps, n_rows, n_in)

    def block(self, first: int, end: int) -> np.ndarray:
        """Return the inputs of a block."""
        return np.stack([normals(*self.shape[1:], seed=step) for step in range(first, end)])

    def accumulate(self, first: int, end: int, dx: np.ndarray) -> None:
        """Drop a gradient."""


def step_growth(
    cell: str, sizes: tuple[int, int, int], n_steps: int, memory: str, streamed: bool
) -> dict[str, Any]:
    """Watch how a training step makes this process grow; called in a process of its own.

    Parameters
    ----------
    cell : {"GRU", "LSTM"}
    sizes : tuple of int
        Rows, inputs, hidden units.
    n_steps : int
    memory : str
        Way of remembering.
    streamed : bool
        Draw inputs block by block and drop their gradients, instead of holding both in arrays.

    Returns
    -------
    dict
        ``"bytes"`` (None where the system does not tell) and ``"seconds"`` of processor time.
    """
    n_rows, n_in, _ = sizes
    net = network(cell, sizes)
    x: Any = DrawnStream(n_steps, n_rows, n_in) if streamed else normals(n_steps, n_rows, n_in)
    warm_up = DrawnStream(2 * N_WARM_UP, n_rows, n_in) if streamed else x[: 2 * N_WARM_UP]
    with one_thread():
        training_step(net, warm_up, memory)()
        start = time.process_time()
        growth = resident_growth(training_step(net, x, memory))
        seconds = time.process_time() - start
    return {"bytes": growth, "seconds": seconds}


def _own_growth(**options: Any) -> dict[str, Any]:
    script = (
        "import json\nfrom scinn.bench.reversible_rnn import step_growth\n"
        f"print(json.dumps(step_growth(**{options!r})))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def growth_rows(sizes: tuple[int, int, int], n_steps: int) -> list[Row]:
    """Compare how much processes grow in a training step: reversal beside PyTorch, hybrid beside checkpoints."""
    rows = []
    for memory, streamed, segment, against in (
        ("reverse", False, None, ""),
        ("hybrid", False, root_segment(n_steps), ", sqrt(T) checkpoints"),
        ("hybrid", True, None, ""),
    ):
        ours = _own_growth(cell="GRU", sizes=sizes, n_steps=n_steps, memory=memory, streamed=streamed)
        what = _WAYS[memory] + (", inputs streamed" if streamed else "")
        note = f"the process grows by {_size(ours['bytes'])}"
        numbers = {"bytes": ours["bytes"], "way": memory, "streamed": streamed, "n_steps": n_steps}
        peer, theirs = "", None
        if not streamed:
            options = {
                "what": "growth",
                "cell": "GRU",
                "sizes": sizes,
                "n_steps": n_steps,
                "segment": segment,
            }
            answer = run_peer("torch_recurrent", {}, options)
            peer = f"torch.nn.GRU{against}"
            if answer:
                peer = f"torch.nn.GRU {answer.info['versions']['torch']}{against}"
                theirs = answer.info["seconds"]
                numbers["peer_bytes"] = answer.info["bytes"]
                note += f" against {_size(answer.info['bytes'])}"
            else:
                note += f"; not run: {answer.reason}"
            gradient = 4 * n_steps * sizes[0] * sizes[1]
            note += f"; of this {size(gradient)} are the gradient by the inputs on both sides"
        title = f"RevGRU {sizes}, T = {n_steps:,}: memory, {what}"
        rows.append(Row(title, ours["seconds"], peer, theirs, f"{note}; {exactness(True)}", numbers))
    return rows


def _size(n_bytes: int | None) -> str:
    return "an unknown size" if n_bytes is None else size(max(n_bytes, 0))


# All of it.


def run_reversible_rnn(quick: bool, callback: Callback) -> list[Row]:
    """Race training steps, then measure a trained network's memory, coders, and whole processes."""
    cases = tuple(Case(case.cell, (4, 16, 16), 20, case.others) for case in CASES[1::4]) if quick else CASES
    n_hidden, n_batches = (16, 5) if quick else (256, 150)
    n_repeats = 1 if quick else 5
    rows: list[Row] = []
    for case in cases:
        callback(f"reversible-rnn: {case.cell} {case.name}")
        long = case.n_steps > 100
        rows += training_rows(case, race(case, 1 if quick else 3, 1 if quick else 2 if long else 4))
    callback("reversible-rnn: training a character model")
    trained = train(n_hidden, n_batches)
    callback("reversible-rnn: bits and bytes")
    rows += memory_rows(trained)
    callback("reversible-rnn: coders")
    rows += coder_rows(trained, n_repeats)
    name = f"trained RevGRU {(N_ROWS, n_hidden, n_hidden)}, T = 70"
    rows.append(share_row(name, trained.network(), trained.x[:70], n_repeats))
    if not quick:
        wide = Case("GRU", (20, 650, 650), 70)
        rows.append(
            share_row(f"RevGRU {wide.name}", network("GRU", wide.sizes), normals(70, 20, 650), n_repeats)
        )
    for n_steps in (50,) if quick else (1000, 10_000):
        callback(f"reversible-rnn: memory of processes, T = {n_steps}")
        rows += growth_rows((4, 16, 16) if quick else (20, 128, 128), n_steps)
    return rows


REVERSIBLE_RNN = Benchmark(
    "reversible-rnn",
    "Reversible recurrent networks",
    "One thread, float32, one layer, forget gates limited to 3 bits: forward and back, gradients of the sum of all outputs "
    "by weights and inputs on both sides, which take turns. Ours checks in every step that the state comes back to the bit. "
    "What PyTorch saves is counted by hooks on its saved tensors, every storage once, without inputs and weights. The goal "
    "in bytes is about our tape; the working arrays of our pass back are given beside it, PyTorch's are not counted. Memory "
    "of processes is the growth of the resident set over that before the step, the inputs not counted.",
    run_reversible_rnn,
)
