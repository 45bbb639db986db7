"""Cases for the properties of reversible networks, and the cells once more, slowly, as the paper writes them.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999. The slow cells
share no code with :mod:`scinn.recurrent`. They run in fixed point, in real arithmetic, or as the *surrogate* whose
ordinary gradient the straight-through gradient is: rounding errors of one run in fixed point are added as constants, so
that the surrogate passes through the same states and can be differentiated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from scinn.verify.bit_tapes import CODERS
from scinn.verify.textbook_tapes import Operation, PaperPlanes, TextbookLanes

__all__ = [
    "Case",
    "Slow",
    "gradients_of",
    "random_case",
    "random_network",
    "run_there",
    "saturate",
    "take_rows",
]

LIMITS: tuple[float | None, ...] = (1.0, 2.0, 3.0, 5.0, None)
_UNIT = 2.0**23

Arrays = "list[list[np.ndarray]]"


class Case(NamedTuple):
    """A network with inputs, a first state, and lengths or None."""

    net: Any
    x: np.ndarray
    state: Any
    lengths: np.ndarray | None


def random_network(rng: np.random.Generator, *, n_in: int | None = None, **fixed: Any) -> Any:
    """Return a network of random make; `fixed` are arguments of its constructor, and ``cell``."""
    from scinn.recurrent import RevGRU, RevLSTM

    def pick(name: str, *choices: Any) -> Any:
        choice = choices[int(rng.integers(len(choices)))]
        return fixed.pop(name, choice)

    cell = pick("cell", "gru", "lstm")
    level = pick("exactness", "A", "B", "C")
    layers = pick("n_layers", 1, 2, 3)
    widths = pick("n_hidden", [int(w) for w in rng.choice([2, 4, 6, 10], layers)])
    options: dict[str, Any] = {
        "max_forget_bits": pick("max_forget_bits", *LIMITS),
        "coder": pick("coder", *CODERS),
        "exactness": level,
        "forget": pick("forget", True, True, True, False),
        "block": pick("block", 1, 3, 8),
        "dtype": pick("dtype", np.float32, np.float64),
        "rng": int(rng.integers(2**31)),
    }
    if cell == "gru":
        options["compat"] = pick("compat", False, False, True)
        fixed.pop("bounded", None)
    else:
        options["bounded"] = pick("bounded", 2.0) if level == "C" else pick("bounded", None, 4.0)
        fixed.pop("compat", None)
        if options["bounded"] is not None and options["max_forget_bits"] == 1.0:
            options["max_forget_bits"] = 2.0
    scale = fixed.pop("scale", float(rng.choice([1.0, 1.5, 3.0])))
    net = (RevGRU if cell == "gru" else RevLSTM)(
        int(rng.integers(1, 5)) if n_in is None else n_in, widths, layers, **options, **fixed
    )
    for name, value in net.params.items():
        noise = rng.standard_normal(value.shape) if name.startswith("bias") else scale * value
        net.params[name] = noise.astype(net.dtype)
    return net


def random_case(
    rng: np.random.Generator,
    n_steps: int | None = None,
    *,
    n_rows: int | None = None,
    ragged: bool = True,
    **fixed: Any,
) -> Case:
    """Return a network with inputs and a first state."""
    net = random_network(rng, **fixed)
    steps = int(rng.choice([1, 2, 7, 8, 9, 33])) if n_steps is None else n_steps
    if net.exactness == "C" and not net.forget:
        # Without forgetting states grow by up to 1 in each step; level C wants them below 8, after dropout.
        steps = min(steps, 3)
    rows = int(rng.choice([1, 2, 3, 5])) if n_rows is None else n_rows
    x = np.clip(rng.standard_normal((steps, rows, net.n_in)), -3.0, 3.0).astype(net.dtype)
    state = net.encode_state(
        [[rng.uniform(-1.0, 1.0, a.shape) for a in layer] for layer in net.initial_state(rows)]
    )
    lengths = rng.integers(0, steps + 1, rows) if ragged and rng.random() < 0.5 else None
    return Case(net, x, state, lengths)


def run_there(case: Case) -> tuple[np.ndarray, Any, Any]:
    """Return outputs, last state and filled tapes of a run."""
    tapes = case.net.make_tapes(case.x.shape[1])
    outputs, last = case.net.run(case.x, case.state, tapes, lengths=case.lengths)
    return outputs, last, tapes


def take_rows(case: Case, which: Any) -> Case:
    """Return the case on some rows of the batch."""

    def take(a: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(a[which])

    return Case(
        case.net,
        np.ascontiguousarray(case.x[:, which]),
        tuple(tuple(take(a) for a in one) for one in case.state),
        None if case.lengths is None else take(case.lengths),
    )


def saturate(net: Any, rng: np.random.Generator, size: float = 60.0) -> None:
    """Give every gate a bias that decides it alone."""
    for i in range(net.n_layers):
        bias = net.params[f"bias{i}"]
        net.params[f"bias{i}"] = (size * rng.choice([-1.0, 1.0], bias.shape)).astype(bias.dtype)


def gradients_of(
    case: Case, weights: np.ndarray | None, dstate: Any = None, **options: Any
) -> tuple[Any, Any]:
    """Return trace and gradients of ``sum(weights * outputs) + sum(dstate * last state)``."""
    trace = case.net.forward_pass(case.x, state=case.state, lengths=case.lengths, **options)
    head: Callable[..., Any] = lambda first, end, _: None if weights is None else weights[first:end]  # noqa: E731
    return trace, case.net.backward_pass(trace, head, dstate=dstate)


def _sigmoid(a: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-a))


class Slow:
    """The cells of a network, a step and a half at a time, in float64.

    Parameters
    ----------
    net : RevGRU or RevLSTM
        Gives sizes and options; its parameters are read at each step, so that they can be moved.
    arithmetic : {"fixed", "real", "surrogate"}
        States are integers, or floats.
    coder : {"floor_digit", "rans", "planes", "plain"}
        How products are rounded; ``"plain"`` drops low bits.
    n_kept : int
        First units of the top layer's h1 that bypass the tape.
    """

    def __init__(self, net: Any, arithmetic: str, coder: str = "floor_digit", n_kept: int = 0) -> None:
        self.net, self.arithmetic, self.coder, self.n_kept = net, arithmetic, coder, n_kept
        self.params = {name: value.astype(np.float64) for name, value in net.params.items()}
        self.tapes: dict[int, PaperPlanes | TextbookLanes] = {}
        #: Rounding errors in the order in which they came about: of the gate, of the new state.
        self.errors: list[tuple[np.ndarray, np.ndarray]] = []
        self._replayed = 0
        self.gates: list[np.ndarray] = []
        k = net.max_forget_bits
        self.low = 0.0 if k is None else 2.0**-k
        bounded = getattr(net, "bounded", None)
        self.span = (1.0 if bounded is None else 1.0 - 2.0**-bounded) - self.low
        self.compat = bool(getattr(net, "compat", False))

    def rewind(self) -> None:
        """Begin the run again, with the same rounding errors."""
        self._replayed = 0

    def run(
        self, x: np.ndarray, state: Any, lengths: Any = None
    ) -> tuple[np.ndarray, list[list[np.ndarray]]]:
        """Return the outputs, as values, and the last state."""
        current = [[np.array(a) for a in layer] for layer in state]
        outputs = np.empty((len(x), x.shape[1], self.net.n_out))
        for t in range(len(x)):
            alive = np.ones(x.shape[1], dtype=bool) if lengths is None else t < np.asarray(lengths)
            below = x[t].astype(np.float64)
            for i, layer in enumerate(current):
                self._layer(i, below, layer, alive)
                below = np.concatenate([self._value(layer[0]), self._value(layer[1])], axis=1)
            outputs[t] = below
        return outputs, current

    def _value(self, a: np.ndarray) -> np.ndarray:
        return a / _UNIT if self.arithmetic == "fixed" else a

    def _layer(self, i: int, x: np.ndarray, state: list[np.ndarray], alive: np.ndarray) -> None:
        n, gates = self.net.units[i], self.net.n_gates
        for half in (0, 1):
            columns = slice(half * gates * n, (half + 1) * gates * n)
            wx, wh, bias = (
                self.params[f"{name}{i}"][..., columns] for name in ("weight_x", "weight_h", "bias")
            )
            other = self._value(state[1 - half])
            px = x @ wx + bias
            if gates == 3:
                z, r = (_sigmoid((px + other @ wh)[:, a * n : (a + 1) * n]) for a in (0, 1))
                g = np.tanh(px[:, 2 * n :] + (r * other) @ wh[:, 2 * n :])
                state[half] = self._scaled(i, half, state[half], z, g, alive, weigh=True)
            else:
                p = px + other @ wh
                z, f, o, keep = (_sigmoid(p[:, a * n : (a + 1) * n]) for a in (0, 2, 3, 4))
                g = np.tanh(p[:, n : 2 * n])
                state[2 + half] = self._scaled(i, 2 + half, state[2 + half], z, f * g, alive)
                new = o * np.tanh(self._value(state[2 + half]))
                state[half] = self._scaled(i, half, state[half], keep, new, alive)

    def _scaled(
        self,
        i: int,
        which: int,
        h: np.ndarray,
        s: np.ndarray,
        g: np.ndarray,
        alive: np.ndarray,
        weigh: bool = False,
    ) -> np.ndarray:
        """Return ``keep h + g``, or ``keep h + (1 - keep) g``, of rows that are alive."""
        zeta = self.low + self.span * s
        forget = self.net.forget
        if self.arithmetic == "fixed":
            z = np.maximum(1, np.rint(1024.0 * zeta)).astype(np.int64) if forget else np.full(h.shape, 1024)
            keep = z / 1024.0
        elif self.arithmetic == "surrogate":
            error = self.errors[self._replayed]
            self._replayed += 1
            keep = zeta + error[0] if forget else np.ones(h.shape)
        else:
            keep = zeta if forget else np.ones(h.shape)
        exact_weight = 1.0 - (zeta if self.compat or not forget else keep)
        update = exact_weight * g if weigh else g
        if self.arithmetic != "fixed":
            new = keep * h + update
            return np.where(alive[:, None], new + error[1] if self.arithmetic == "surrogate" else new, h)
        one = Operation(
            h.astype(np.int32), z.astype(np.uint16), np.rint(update * _UNIT).astype(np.int32), alive
        )
        self.gates.append(np.where(alive[:, None], z, 1024))
        new = self._integers(i, which, one)
        self.errors.append((keep - zeta, new / _UNIT - (keep * (h / _UNIT) + update)))
        return new

    def _integers(self, i: int, which: int, one: Operation) -> np.ndarray:
        h, z = one.h.astype(np.int64), one.z.astype(np.int64)
        dropped = np.where(z == 1024, h, h // 1024 * z) + one.update
        kept = self.n_kept if which == 0 and i == self.net.n_layers - 1 else 0
        if self.coder == "floor_digit":
            new = h * z // 1024 + one.update
        elif self.coder == "plain":
            new = dropped
        else:
            if i not in self.tapes:
                self.tapes[i] = (TextbookLanes if self.coder == "rans" else PaperPlanes)(h.shape)
            new = self.tapes[i].multiply(one)
        if self.coder != "floor_digit":
            new[:, :kept] = dropped[:, :kept]
        return np.where(one.alive[:, None], new, h)
