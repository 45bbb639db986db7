"""Reversible recurrent networks as the paper writes them: one row, one step, one half after the other.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999. The
multiplication that loses nothing is Algorithm 3 of D. Maclaurin, D. Duvenaud, R. Adams, "Gradient-based Hyperparameter
Optimization through Reversible Learning", ICML 2015, arXiv 1502.03492.

A RevGRU has the state ``h1, h2``, a RevLSTM ``h1, h2, c1, c2``, of ``n`` units each. One step updates half 1 from the input
and the old half 2, then half 2 from the input and the new half 1::

    RevGRU:   h1 <- z1 h1 + (1 - z1) g1         g1 = tanh(x W + (r1 h2) U + b),  z1 and r1 sigmoids of x W + h2 U + b
    RevLSTM:  c1 <- z1 c1 + f1 g1               all gates of x W + h2 U + b
              h1 <- p1 h1 + o1 tanh(c1)

Forget gates (z, p) are ``low + span sigmoid(.)``. What differs between kinds of arithmetic is only how ``keep h + update``
is computed and undone: see :class:`Real`, :class:`Buffer`, :class:`FloorDigit` and :class:`Drop`. Fixed-point states are
Python's integers of 23 fractional bits, gates integers of 10.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = [
    "Buffer",
    "Cell",
    "Drop",
    "FloorDigit",
    "Real",
    "central_differences",
    "gradients",
    "inverse_step",
    "step",
    "unroll",
    "unroll_back",
]

STATE_ONE, GATE_ONE = 1 << 23, 1 << 10

#: A state array, what multiplies it, and what is then added, as a function of what multiplies in the end.
Operation = tuple[int, Any, Callable[[Any], Any]]


@dataclass(frozen=True)
class Cell:
    """One layer: weights and rules.

    Parameters
    ----------
    kind : {"gru", "lstm"}
    weight_x : ndarray, shape (n_in, 6 n) or (n_in, 10 n)
        Columns z, r, g of half 1, then of half 2; for "lstm" z, g, f, o, p.
    weight_h : ndarray, shape (n, 6 n) or (n, 10 n)
        The same columns; half 1 reads the old half 2, half 2 the new half 1.
    bias : ndarray, shape (6 n,) or (10 n,)
    max_forget_bits : float, optional
        Gates stay at or above 2 to minus this; None is no limit.
    bounded : float, optional
        Gates stay at or below 1 minus 2 to minus this.
    rule : {"drift_free", "compat", "no_forgetting"}
        A RevGRU weighs its candidate by one minus the rounded gate, or by one minus the gate itself as in the paper;
        "no_forgetting" multiplies states by 1 and updates as in the paper.

    Examples
    --------
    >>> cell = Cell("gru", np.zeros((1, 6)), np.zeros((1, 6)), np.zeros(6))
    >>> cell.n, cell.low, cell.span
    (1, 0.125, 0.875)
    """

    kind: str
    weight_x: np.ndarray
    weight_h: np.ndarray
    bias: np.ndarray
    max_forget_bits: float | None = 3.0
    bounded: float | None = None
    rule: str = "drift_free"

    @property
    def n(self) -> int:
        """Units of one half."""
        return len(self.weight_h)

    @property
    def low(self) -> float:
        """Least value of a forget gate."""
        return 0.0 if self.max_forget_bits is None else 2.0**-self.max_forget_bits

    @property
    def span(self) -> float:
        """Greatest value of a forget gate minus the least."""
        return 1.0 - (0.0 if self.bounded is None else 2.0**-self.bounded) - self.low


class Real:
    """Arithmetic of floats, where undoing divides by the gate: ``h = (h' - update) / keep``.

    The division is the inverse in real numbers. In floats each one multiplies the error by ``1 / keep``.

    Parameters
    ----------
    n : int
        Units of one half.
    """

    def __init__(self, n: int) -> None:
        self.n = n

    def values(self, h: Sequence[Any]) -> np.ndarray:
        """Return the values of a state array."""
        return np.asarray(h)

    def keep(self, zeta: np.ndarray) -> Any:
        """Return what a gate multiplies by."""
        return zeta

    def apply(self, h: Any, keep: Any, update: Any) -> Any:
        """Return ``keep h + update``."""
        return keep * np.asarray(h) + update

    def undo(self, h: Any, keep: Any, update: Any) -> Any:
        """Return what was there before :meth:`apply`."""
        return (np.asarray(h) - update) / keep


class Drop:
    """Fixed point without memory: ``floor(h / 1024) z + round(update 2^23)``; cannot be undone.

    The low bits of the state that the division drops are lost. A trained network is evaluated in this way.

    Parameters
    ----------
    n : int
        Units of one half.
    """

    def __init__(self, n: int) -> None:
        self.n = n

    def values(self, h: Sequence[Any]) -> np.ndarray:
        """Return the values of a state array: ``h* 2^-23``."""
        return np.array([int(unit) / STATE_ONE for unit in h])

    def keep(self, zeta: np.ndarray) -> Any:
        """Return gates as fractions of 1024: ``max(1, round(1024 zeta)) / 1024``."""
        return np.array([max(1, round(GATE_ONE * float(gate))) / GATE_ONE for gate in zeta])

    def apply(self, h: Any, keep: Any, update: Any) -> Any:
        """Return ``keep h + update``."""
        new = []
        for j in range(len(h)):
            scaled = self.multiply(j, int(h[j]), round(GATE_ONE * float(keep[j])))
            new.append(scaled + round(float(update[j]) * STATE_ONE))
        return new

    def undo(self, h: Any, keep: Any, update: Any) -> Any:
        """Return what was there before :meth:`apply`; units go in opposite order, which matters to shared memory."""
        old = [0] * len(h)
        for j in reversed(range(len(h))):
            scaled = int(h[j]) - round(float(update[j]) * STATE_ONE)
            old[j] = self.divide(j, scaled, round(GATE_ONE * float(keep[j])))
        return old

    def multiply(self, j: int, h: int, z: int) -> int:
        """Return ``h z / 1024`` of unit ``j``."""
        return h // GATE_ONE * z

    def divide(self, j: int, h: int, z: int) -> int:
        """Return what :meth:`multiply` was given."""
        raise RuntimeError("the low bits were dropped; use Buffer or FloorDigit to go back")


class Buffer(Drop):
    """Maclaurin's multiplication: the digits that a division drops go to a number of any size, one for each unit.

    Parameters
    ----------
    n : int
        Units of one half; all arrays of a state share its numbers.

    Examples
    --------
    >>> buffer = Buffer(1)
    >>> h = buffer.multiply(0, 5_000_001, 500)
    >>> h, buffer.buffers
    (2441333, [1])
    >>> buffer.divide(0, h, 500)
    5000001
    """

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.buffers = [0] * n

    def multiply(self, j: int, h: int, z: int) -> int:
        """Return about ``h z / 1024``; a digit of base z from the buffer fills the free room at the low end."""
        buffer = self.buffers[j] * GATE_ONE + h % GATE_ONE
        self.buffers[j], digit = divmod(buffer, z)
        return h // GATE_ONE * z + digit

    def divide(self, j: int, h: int, z: int) -> int:
        """Return what :meth:`multiply` was given."""
        quotient, digit = divmod(h, z)
        buffer = self.buffers[j] * z + digit
        self.buffers[j], low = divmod(buffer, GATE_ONE)
        return quotient * GATE_ONE + low

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held."""
        return not any(self.buffers)


class FloorDigit(Drop):
    """``floor(h z / 1024)`` exactly; which of the numbers with that result it was, is kept as a digit.

    Parameters
    ----------
    n : int
        Units of one half; all arrays of a state share its numbers.

    Examples
    --------
    >>> digits = FloorDigit(1)
    >>> h = digits.multiply(0, 1001, 512)
    >>> h, digits.digits
    (500, [[1]])
    >>> digits.divide(0, h, 512)
    1001
    """

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.digits: list[list[int]] = [[] for _ in range(n)]

    def multiply(self, j: int, h: int, z: int) -> int:
        """Return ``floor(h z / 1024)``."""
        new = h * z // GATE_ONE
        self.digits[j].append(h - self._least(new, z))
        return new

    def divide(self, j: int, h: int, z: int) -> int:
        """Return what :meth:`multiply` was given."""
        return self._least(h, z) + self.digits[j].pop()

    @staticmethod
    def _least(new: int, z: int) -> int:
        """Return the least number whose product is ``new``: the ceiling of ``1024 new / z``."""
        return -(-GATE_ONE * new // z)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held."""
        return not any(self.digits)


def _sigmoid(sums: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-sums))


def _operations(
    cell: Cell, half: int, x: np.ndarray, state: Sequence[Any], arithmetic: Any
) -> list[Operation]:
    """Return what one half does to the state: array ``i`` becomes ``keep state[i] + update(keep)``, in this order."""
    n, n_gates = cell.n, {"gru": 3, "lstm": 5}[cell.kind]
    columns = slice(half * n_gates * n, (half + 1) * n_gates * n)
    other = arithmetic.values(state[1 - half])
    from_x = x @ cell.weight_x[:, columns] + cell.bias[columns]
    weight_h = cell.weight_h[:, columns]

    def gate(k: int, read: np.ndarray) -> np.ndarray:
        own = slice(k * n, (k + 1) * n)
        return from_x[own] + read @ weight_h[:, own]

    def limited(sums: np.ndarray) -> np.ndarray:
        return cell.low + cell.span * _sigmoid(sums)

    def kept(zeta: np.ndarray) -> Any:
        return np.ones_like(zeta) if cell.rule == "no_forgetting" else arithmetic.keep(zeta)

    if cell.kind == "gru":
        z, r = limited(gate(0, other)), _sigmoid(gate(1, other))
        g = np.tanh(gate(2, r * other))
        return [(half, kept(z), lambda keep: (1.0 - (keep if cell.rule == "drift_free" else z)) * g)]
    z, g, f, o, p = limited(gate(0, other)), np.tanh(gate(1, other)), *(gate(k, other) for k in (2, 3, 4))
    f, o, p = _sigmoid(f), _sigmoid(o), limited(p)
    return [
        (2 + half, kept(z), lambda keep: f * g),
        (half, kept(p), lambda keep: o * np.tanh(arithmetic.values(state[2 + half]))),
    ]


def step(cell: Cell, x: np.ndarray, state: Sequence[Any], arithmetic: Any) -> list[Any]:
    """Take one step of one row.

    Parameters
    ----------
    cell : Cell
    x : ndarray, shape (n_in,)
    state : sequence of sequences of n numbers
        ``h1, h2`` or ``h1, h2, c1, c2``: floats for :class:`Real`, integers otherwise.
    arithmetic : Real, Buffer, FloorDigit or Drop

    Returns
    -------
    list
        The new state.

    Examples
    --------
    >>> cell = Cell("gru", np.zeros((1, 6)), np.zeros((1, 6)), np.zeros(6))
    >>> step(cell, np.ones(1), [[1 << 23], [0]], Drop(1))
    [[4718592], [0]]
    """
    state = list(state)
    for half in (0, 1):
        for i, keep, update in _operations(cell, half, x, state, arithmetic):
            state[i] = arithmetic.apply(state[i], keep, update(keep))
    return state


def inverse_step(cell: Cell, x: np.ndarray, state: Sequence[Any], arithmetic: Any) -> list[Any]:
    """Undo :func:`step`.

    Parameters
    ----------
    cell, x, arithmetic
        As they were.
    state : sequence of sequences of n numbers
        State after the step.

    Returns
    -------
    list
        State before it.

    Examples
    --------
    >>> cell, buffer = Cell("gru", np.ones((1, 6)), np.ones((1, 6)), np.zeros(6)), Buffer(1)
    >>> inverse_step(cell, np.ones(1), step(cell, np.ones(1), [[77], [-5]], buffer), buffer)
    [[77], [-5]]
    """
    state = list(state)
    for half in (1, 0):
        for i, keep, update in reversed(_operations(cell, half, x, state, arithmetic)):
            state[i] = arithmetic.undo(state[i], keep, update(keep))
    return state


State = tuple[tuple[np.ndarray, ...], ...]


def _as_state(rows: list[list[list[Any]]], real: bool) -> State:
    """Turn ``rows[b][layer][i]`` into arrays (B, n)."""
    return tuple(
        tuple(
            np.array([row[layer][i] for row in rows], dtype=None if real else np.int64)
            for i in range(len(rows[0][layer]))
        )
        for layer in range(len(rows[0]))
    )


def unroll(
    cells: Sequence[Cell], x: np.ndarray, state: State, arithmetic: Callable[[int], Any], lengths: Any = None
) -> tuple[np.ndarray, State, list[list[Any]]]:
    """Run layers on top of each other over a batch of sequences.

    Parameters
    ----------
    cells : sequence of Cell
        From the bottom to the top; a layer reads ``[h1, h2]`` of the one below.
    x : ndarray, shape (time, batch, n_in)
    state : tuple over layers of tuples of ndarrays of shape (batch, n)
    arithmetic : callable
        Called with ``n`` once for each row and layer: for example ``Buffer``, or ``Real``.
    lengths : sequence of int, shape (batch,), optional
        A row stands still after its length.

    Returns
    -------
    outputs : ndarray of float64, shape (time, batch, 2 n)
        Values ``[h1, h2]`` of the top layer after each step.
    state : tuple
        The last state, like the first.
    memory : list of lists
        The arithmetic of each row and layer, to go back with.

    Examples
    --------
    >>> cell, zero = Cell("gru", np.ones((1, 6)), np.ones((1, 6)), np.zeros(6)), np.zeros((1, 1))
    >>> outputs, state, _ = unroll([cell], np.ones((2, 1, 1)), ((zero, zero),), Real)
    >>> outputs[:, 0].round(4).tolist()
    [[0.1792, 0.1674], [0.3103, 0.2937]]
    """
    n_steps, n_rows = x.shape[:2]
    outputs, rows, memory = np.zeros((n_steps, n_rows, 2 * cells[-1].n)), [], []
    for b in range(n_rows):
        row = [[list(array[b]) for array in layer] for layer in state]
        own = [arithmetic(cell.n) for cell in cells]
        for t in range(n_steps):
            below = x[t, b]
            for layer, cell in enumerate(cells):
                if lengths is None or t < lengths[b]:
                    row[layer] = step(cell, below, row[layer], own[layer])
                below = np.concatenate([own[layer].values(row[layer][i]) for i in (0, 1)])
            outputs[t, b] = below
        rows.append(row)
        memory.append(own)
    return outputs, _as_state(rows, isinstance(memory[0][0], Real)), memory


def unroll_back(
    cells: Sequence[Cell], x: np.ndarray, state: State, memory: list[list[Any]], lengths: Any = None
) -> State:
    """Undo :func:`unroll`: the top layer of a step first, because it read the layer below after its step.

    Parameters
    ----------
    cells, x, lengths
        As they were.
    state, memory
        As :func:`unroll` returned them; the memory is used up.

    Returns
    -------
    tuple
        The first state.

    Examples
    --------
    >>> cell, h = Cell("gru", np.ones((1, 6)), np.ones((1, 6)), np.zeros(6)), np.array([[123456]])
    >>> _, state, memory = unroll([cell], np.ones((9, 1, 1)), ((h, -h),), Buffer)
    >>> unroll_back([cell], np.ones((9, 1, 1)), state, memory)
    ((array([[123456]]), array([[-123456]])),)
    """
    rows = []
    for b in range(x.shape[1]):
        row = [[list(array[b]) for array in layer] for layer in state]
        for t in reversed(range(x.shape[0] if lengths is None else int(lengths[b]))):
            for layer in reversed(range(len(cells))):
                own = memory[b][layer]
                below = x[t, b]
                if layer:
                    below = np.concatenate([memory[b][layer - 1].values(row[layer - 1][i]) for i in (0, 1)])
                row[layer] = inverse_step(cells[layer], below, row[layer], own)
        rows.append(row)
    return _as_state(rows, isinstance(memory[0][0], Real))


def central_differences(
    function: Callable[[np.ndarray], float], at: np.ndarray, size: float = 1e-6
) -> np.ndarray:
    """Return the gradient of a function of an array, from differences of its values on both sides.

    Parameters
    ----------
    function : callable
    at : ndarray of float64
    size : float
        Half the distance.

    Returns
    -------
    ndarray of float64
        Same shape as ``at``.

    Examples
    --------
    >>> central_differences(lambda v: float((v**2).sum()), np.array([1.0, 3.0])).round(6).tolist()
    [2.0, 6.0]
    """
    gradient = np.zeros(at.shape)
    for index in np.ndindex(*at.shape):
        sides = []
        for sign in (1, -1):
            moved = at.astype(np.float64)
            moved[index] += sign * size
            sides.append(function(moved))
        gradient[index] = (sides[0] - sides[1]) / (2 * size)
    return gradient


def gradients(
    cells: Sequence[Cell], x: np.ndarray, state: State, weights: np.ndarray, lengths: Any = None
) -> dict[str, np.ndarray]:
    """Return gradients of ``sum(weights * outputs)`` in real arithmetic, by central differences.

    Parameters
    ----------
    cells : sequence of Cell
    x : ndarray, shape (time, batch, n_in)
    state : tuple over layers of tuples of ndarrays of shape (batch, n)
        First state, of floats.
    weights : ndarray, shape (time, batch, 2 n)
        What each output counts in the loss.
    lengths : sequence of int, shape (batch,), optional

    Returns
    -------
    dict of ndarrays
        By ``x``, by the parameters ``weight_x0``, ``weight_h0``, ``bias0``, ... and by the first state, ``state0.0`` for the
        first array of layer 0.

    Examples
    --------
    >>> cell, zero = Cell("gru", np.ones((1, 6)), np.ones((1, 6)), np.zeros(6)), np.zeros((1, 1))
    >>> grads = gradients([cell], np.ones((1, 1, 1)), ((zero, zero),), np.ones((1, 1, 2)))
    >>> sorted(grads), grads["state0.1"].round(4).tolist()
    (['bias0', 'state0.0', 'state0.1', 'weight_h0', 'weight_x0', 'x'], [[0.7397]])
    """

    def loss(cells: Sequence[Cell], x: np.ndarray, state: State) -> float:
        return float((weights * unroll(cells, x, state, Real, lengths)[0]).sum())

    result = {"x": central_differences(lambda moved: loss(cells, moved, state), x)}
    for layer, cell in enumerate(cells):
        for name in ("weight_x", "weight_h", "bias"):

            def with_parameter(moved: np.ndarray, layer: int = layer, name: str = name) -> float:
                changed = list(cells)
                fields = {**changed[layer].__dict__, name: moved}
                changed[layer] = Cell(**fields)
                return loss(changed, x, state)

            result[f"{name}{layer}"] = central_differences(with_parameter, getattr(cell, name))
        for i in range(len(state[layer])):

            def with_state(moved: np.ndarray, layer: int = layer, i: int = i) -> float:
                arrays = [list(part) for part in state]
                arrays[layer][i] = moved
                return loss(cells, x, tuple(tuple(part) for part in arrays))

            result[f"state{layer}.{i}"] = central_differences(with_state, state[layer][i])
    return result
