"""One reversible layer in one pass over a sequence: its weights made ready, its working arrays, its steps.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999. A state
of ``H = 2 n`` units is cut into halves that are updated in turn, each from the input and the other half. Going
forward half 1 reads the old half 2 and half 2 the new half 1; going back half 2 is undone first, from the half 1 that
it read. Both directions compute gates by the same calls on arrays of the same shape, so that they find the same bits.

Steps are taken in blocks of ``depth``: the products with the inputs, and those of the weights' gradients, are one
product for a block, and memory is that of a block, whatever the length of the sequence.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from scinn.exceptions import StateRangeError
from scinn.nn.sums import column_sums
from scinn.recurrent.fixed_point import STATE_LIMIT, Limits, from_fixed
from scinn.recurrent.products import Products
from scinn.recurrent.tape import Tape

__all__ = ["GRUPass", "LSTMPass", "LayerPass", "LayerSetup"]

DRIFT_FREE, COMPAT, NO_FORGETTING = 0, 1, 2


@dataclass(frozen=True)
class LayerSetup:
    """What a pass of one layer is made of: sizes, used weights (after weight drop), rules and products."""

    index: int
    n_rows: int
    depth: int
    weight_x: np.ndarray
    weight_h: np.ndarray
    bias: np.ndarray
    limits: Limits
    rule: int
    real: bool
    products: Products
    #: Units of h1 that are kept in full at every step and bypass the tape.
    n_kept: int = 0


class LayerPass(ABC):
    """The state of one layer and everything that its steps work with.

    ``state`` holds the integers (floats in real arithmetic) of the current step, ``values[i][j]`` the value of state
    array ``i`` before step ``j`` of the block, gates of the block stay for the gradient where ``keep_gates``.
    """

    state_names: ClassVar[tuple[str, ...]]
    n_gates: ClassVar[int]

    def __init__(self, setup: LayerSetup, *, keep_gates: bool) -> None:
        self.setup = setup
        self.n_in = setup.weight_x.shape[0]
        self.n = setup.weight_h.shape[0]
        self.dtype = setup.weight_x.dtype
        rows, n, depth = setup.n_rows, self.n, setup.depth
        width = self.n_gates * n
        self.width = width
        self.gate_depth = depth if keep_gates else 1
        self.state: list[np.ndarray] = []
        self._spare: list[np.ndarray] = []
        self._values = [np.zeros((depth + 1, rows, n), self.dtype) for _ in self.state_names]
        self.values = [list(array) for array in self._values]
        self._z = np.empty((rows, n), np.uint16)
        self._update = np.empty((rows, n), np.int32)
        prepare, wx, wh = setup.products.prepare, setup.weight_x, setup.weight_h
        self._input = [
            prepare(wx[:, h * width : (h + 1) * width], setup.bias[h * width : (h + 1) * width])
            for h in (0, 1)
        ]
        self._recurrent = [
            [
                prepare(wh[:, h * width + a * n : h * width + b * n], None)
                for a, b in self._products_with_state()
            ]
            for h in (0, 1)
        ]
        self._sums: list[list[np.ndarray]] = []
        self.x = np.empty((0, rows, self.n_in), self.dtype)
        if setup.products.level == "C":
            self._pre = np.zeros((rows, width), self.dtype)
            self._zero = [np.zeros((rows, (b - a) * n), self.dtype) for a, b in self._products_with_state()]
        if keep_gates:
            self._prepare_gradient()

    @staticmethod
    @abstractmethod
    def _products_with_state() -> tuple[tuple[int, int], ...]:
        """Return which gates (first, end) each product with the other half gives."""

    def _prepare_gradient(self) -> None:
        rows, n, width, depth = self.setup.n_rows, self.n, self.width, self.setup.depth
        wx, wh = self.setup.weight_x, self.setup.weight_h
        self._q = [np.zeros((depth, rows, width), self.dtype) for _ in (0, 1)]
        self._input_back = [np.ascontiguousarray(wx[:, h * width : (h + 1) * width].T) for h in (0, 1)]
        self._recurrent_back = [
            [
                np.ascontiguousarray(wh[:, h * width + a * n : h * width + b * n].T)
                for a, b in self._products_with_state()
            ]
            for h in (0, 1)
        ]
        self.e = [np.zeros((rows, n), self.dtype) for _ in self.state_names]
        # Sums of each product apart: a sum into columns of a whole matrix would move more memory than the product.
        self._grad_x = [np.zeros((self.n_in, width), self.dtype) for _ in (0, 1)]
        self._grad_h = [
            [np.zeros((n, (b - a) * n), self.dtype) for a, b in self._products_with_state()] for _ in (0, 1)
        ]
        self._grad_bias = [np.zeros(width, self.dtype) for _ in (0, 1)]

    def gradients(self) -> dict[str, np.ndarray]:
        """Return the gradients by the parameters, in the parameters' shapes."""
        return {
            "weight_x": np.concatenate(self._grad_x, axis=1),
            "weight_h": np.concatenate([part for half in self._grad_h for part in half], axis=1),
            "bias": np.concatenate(self._grad_bias),
        }

    # States

    def load(self, state: Sequence[np.ndarray]) -> None:
        """Take a copy of a state as the current one."""
        self.state = [np.array(array, order="C") for array in state]
        self._spare = [np.empty_like(array) for array in self.state]

    def snapshot(self) -> tuple[np.ndarray, ...]:
        """Return a copy of the current state."""
        return tuple(array.copy() for array in self.state)

    def set_values(self, slot: int, state: Sequence[np.ndarray] | None = None) -> None:
        """Write the values of a state, by default the current one, into a slot of the block."""
        for values, array in zip(self._values, self.state if state is None else state):
            values[slot] = array if self.setup.real else from_fixed(array, self.dtype)

    def outputs(self, n_steps: int) -> np.ndarray:
        """Return the outputs of the block's steps, ``[h1, h2]`` of shape (n_steps, n_rows, 2 n)."""
        return np.concatenate([self._values[0][1 : n_steps + 1], self._values[1][1 : n_steps + 1]], axis=2)

    # Steps

    def begin_block(self, x: np.ndarray) -> None:
        """Take the inputs of a block (k, n_rows, n_in) and make all products with them."""
        self.x = x
        rows = x.reshape(-1, self.n_in)
        shape = (*x.shape[:2], self.width)
        self._sums = [
            list(self.setup.products.project(rows, handle).reshape(shape)) for handle in self._input
        ]

    @abstractmethod
    def forward(self, j: int, alive: np.ndarray, tape: Tape, record: bool, bits: np.ndarray | None) -> int:
        """Take step ``j`` of the block; return -1, or which number would leave the range (state array, flat index)."""

    @abstractmethod
    def back(self, j: int, alive: np.ndarray, tape: Tape, kept_before: np.ndarray | None) -> None:
        """Undo step ``j`` of the block with the bits of the tape."""

    @abstractmethod
    def replay(self, j: int, alive: np.ndarray) -> None:
        """Compute the gates of step ``j`` again from the values before and after it."""

    @abstractmethod
    def _step_gradient(self, j: int, alive: np.ndarray) -> None:
        """Turn the gradients by the state after step ``j`` into those before it, and fill the sums' gradients."""

    @abstractmethod
    def _add_weight_gradients(self, n_steps: int) -> None:
        """Add the block's gradients of the weights that multiply the state."""

    def gradient(self, dtop: np.ndarray | None, alive: Sequence[np.ndarray], n_steps: int) -> np.ndarray:
        """Go back through the block; return the gradient by its inputs (k, n_rows, n_in)."""
        n = self.n
        for j in reversed(range(n_steps)):
            if dtop is not None:
                self.e[0] += dtop[j, :, :n]
                self.e[1] += dtop[j, :, n:]
            self._step_gradient(j, alive[j])
        self._add_weight_gradients(n_steps)
        rows = self.x.reshape(-1, self.n_in)
        dx = None
        for half in (0, 1):
            q = self._q[half][:n_steps].reshape(-1, self.width)
            part = q @ self._input_back[half]
            dx = part if dx is None else np.add(dx, part, out=dx)
            self._grad_x[half] += rows.T @ q
            self._grad_bias[half] += column_sums(q)
        assert dx is not None
        return dx.reshape(self.x.shape)

    # Shared parts of the steps

    def _with_state(self, half: int, j: int, which: int, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the sums of a step's inputs (all gates) and of its product ``which`` with the state, ready to add."""
        products, px = self.setup.products, self._sums[half][j]
        u = products.recurrent(a, self._recurrent[half][which])
        if products.level != "C":
            return px, u
        first, end = self._products_with_state()[which]
        columns = slice(first * self.n, end * self.n)
        self._pre[:, columns], _ = products.finish(px[:, columns], u)
        return self._pre, self._zero[which]

    def _advance(
        self, i: int, j: int, z: np.ndarray, update: np.ndarray, alive: np.ndarray, tape: Tape, record: bool
    ) -> int:
        """Scale state array ``i`` and add its update; return -1 or the flat index of what would leave the range."""
        h, new, value, kept = self.state[i], self._spare[i], self.values[i][j + 1], self._kept_of(i)
        # Where nothing is scaled there is nothing to put on the tape.
        record = record and self.setup.rule != NO_FORGETTING
        if not kept:
            return (tape.multiply if record else tape.multiply_plain)(h, z, update, alive, new, value)
        for part in (slice(0, kept), slice(kept, None)):
            pieces = [np.ascontiguousarray(array[:, part]) for array in (h, z, update, new, value)]
            if pieces[0].size == 0:
                continue
            through_tape = record and part.start
            multiply = tape.multiply if through_tape else tape.multiply_plain
            wrong = multiply(pieces[0], pieces[1], pieces[2], alive, pieces[3], pieces[4])
            if wrong >= 0:
                row, unit = divmod(wrong, pieces[0].shape[1])
                return int(row * self.n + unit + part.start)
            new[:, part], value[:, part] = pieces[3:]
        return -1

    def _undo(
        self,
        i: int,
        j: int,
        z: np.ndarray,
        update: np.ndarray,
        alive: np.ndarray,
        tape: Tape,
        kept_before: Any,
    ) -> None:
        """Bring back state array ``i`` as it was before step ``j``."""
        new, h, value, kept = self.state[i], self._spare[i], self.values[i][j], self._kept_of(i)
        if self.setup.rule == NO_FORGETTING:
            np.subtract(new, update, out=h)
            h[~alive] = new[~alive]
            value[...] = from_fixed(h, self.dtype)
            return
        if not kept:
            tape.divide(new, z, update, alive, h, value)
            return
        pieces = [np.ascontiguousarray(array[:, kept:]) for array in (new, z, update, h, value)]
        if pieces[0].size:
            tape.divide(pieces[0], pieces[1], pieces[2], alive, pieces[3], pieces[4])
            h[:, kept:], value[:, kept:] = pieces[3:]
        h[:, :kept] = kept_before
        value[:, :kept] = from_fixed(kept_before, self.dtype)

    def _take_back(self, i: int, z: np.ndarray, update: np.ndarray, alive: np.ndarray, tape: Tape) -> None:
        """Take from the tape what a step that cannot be finished has put there for state array ``i``."""
        if self.setup.rule == NO_FORGETTING:
            return
        kept = self._kept_of(i)
        new, gates, added = (np.ascontiguousarray(array[:, kept:]) for array in (self._spare[i], z, update))
        if new.size:
            tape.divide(new, gates, added, alive, np.empty_like(new), np.empty(new.shape, self.dtype))

    def _kept_of(self, i: int) -> int:
        return self.setup.n_kept if i == 0 else 0

    def _count(self, i: int, z: np.ndarray, alive: np.ndarray, bits: np.ndarray | None) -> None:
        """Add what the step forgets of state array ``i`` to ``bits``, one number for each unit of all arrays."""
        if bits is None:
            return
        from scinn.kernels.reversible_cells import forgotten

        kept = self._kept_of(i)
        own = np.zeros(self.n)
        forgotten(z, alive, own)
        own[:kept] = 0.0
        bits[i * self.n : (i + 1) * self.n] += own

    def _swap(self, *which: int) -> None:
        for i in which:
            self.state[i], self._spare[i] = self._spare[i], self.state[i]

    def range_error(self, i: int, index: int, step: int) -> StateRangeError:
        """Return the error that names the unit and the step."""
        row, unit = divmod(index, self.n)
        value = float(self.state[i][row, unit]) * 2.0**-23
        if self.setup.rule == NO_FORGETTING:
            advice = "a state that forgets nothing can grow by 1 in each step; use shorter sequences, or forget=True"
        elif self.n_gates == GRUPass.n_gates:
            advice = "begin within [-1, 1], and keep states there with the drift-free update (compat=False)"
        else:
            advice = "bound the states with bounded=4, or train with smaller steps or clipped gradients"
        return StateRangeError(
            f"unit {unit} of {self.state_names[i]} in layer {self.setup.index}, row {row}, leaves the fixed-point range "
            f"[-{STATE_LIMIT:g}, {STATE_LIMIT:g}) at step {step} (it was {value:.4g} before); {advice}"
        )


class GRUPass(LayerPass):
    """RevGRU: ``h1' = z1 h1 + (1 - z1) g1`` and the same for half 2, where g reads ``r`` times the other half."""

    state_names = ("h1", "h2")
    n_gates = 3

    @staticmethod
    def _products_with_state() -> tuple[tuple[int, int], ...]:
        return ((0, 2), (2, 3))

    def __init__(self, setup: LayerSetup, *, keep_gates: bool) -> None:
        super().__init__(setup, keep_gates=keep_gates)
        shape = (self.gate_depth, setup.n_rows, self.n)
        # Of each half: sigmoid of z, r, candidate g, share kept, reset times other half.
        self._stacks = [[np.empty(shape, self.dtype) for _ in range(5)] for _ in (0, 1)]
        self._gates = [
            [[stack[j] for stack in stacks] for j in range(self.gate_depth)] for stacks in self._stacks
        ]

    def _half(self, half: int, j: int, other: np.ndarray) -> None:
        """Compute the gates of one half, its ``z`` and its update."""
        from scinn.kernels.reversible_cells import gru_candidate, gru_gates

        (low, span), rule, real = self.setup.limits, self.setup.rule, self.setup.real
        s, r, g, keep, reset = self._gates[half][j % self.gate_depth]
        px, u = self._with_state(half, j, 0, other)
        gru_gates(px, u, other, low, span, rule, real, s, r, keep, self._z, reset)
        px, v = self._with_state(half, j, 1, reset)
        gru_candidate(px, v, s, keep, low, span, rule, g, self._update)

    def forward(self, j: int, alive: np.ndarray, tape: Tape, record: bool, bits: np.ndarray | None) -> int:
        from scinn.kernels.reversible_cells import gru_new_real

        for half in (0, 1):
            other = self.values[1 - half][j + half]
            self._half(half, j, other)
            if self.setup.real:
                s, _, g, keep, _ = self._gates[half][j % self.gate_depth]
                h, new = self.values[half][j], self.values[half][j + 1]
                gru_new_real(s, keep, g, h, *self.setup.limits, self.setup.rule, alive, new)
                self._spare[half][...] = new
                continue
            wrong = self._advance(half, j, self._z, self._update, alive, tape, record)
            if wrong >= 0:
                if half and record:
                    self._half(0, j, self.values[1][j])
                    self._take_back(0, self._z, self._update, alive, tape)
                return half * self._z.size + wrong
            self._count(half, self._z, alive, bits)
        self._swap(0, 1)
        return -1

    def back(self, j: int, alive: np.ndarray, tape: Tape, kept_before: np.ndarray | None) -> None:
        for half in (1, 0):
            self._half(half, j, self.values[1 - half][j + half])
            self._undo(half, j, self._z, self._update, alive, tape, kept_before)
        self._swap(0, 1)

    def replay(self, j: int, alive: np.ndarray) -> None:
        for half in (0, 1):
            self._half(half, j, self.values[1 - half][j + half])

    def _step_gradient(self, j: int, alive: np.ndarray) -> None:
        from scinn.kernels.reversible_cells import gru_candidate_gradient, gru_reset_gradient

        (low, span), rule, n = self.setup.limits, self.setup.rule, self.n
        for half in (1, 0):
            own, e_other, q = self.e[half], self.e[1 - half], self._q[half][j]
            s, r, g, keep, _ = self._gates[half][j]
            back_zr, back_g = self._recurrent_back[half]
            gru_candidate_gradient(own, alive, self.values[half][j], s, g, keep, low, span, rule, q)
            v = q[:, 2 * n :] @ back_g
            gru_reset_gradient(v, self.values[1 - half][j + half], r, alive, q, e_other)
            e_other += q[:, : 2 * n] @ back_zr

    def _add_weight_gradients(self, n_steps: int) -> None:
        n, width = self.n, self.width
        for half in (0, 1):
            q = self._q[half][:n_steps].reshape(-1, width)
            other = self._values[1 - half][half : n_steps + half].reshape(-1, n)
            reset = self._stacks[half][4][:n_steps].reshape(-1, n)
            zr, g = self._grad_h[half]
            zr += other.T @ q[:, : 2 * n]
            g += reset.T @ q[:, 2 * n :]


class LSTMPass(LayerPass):
    """RevLSTM: ``c1' = z1 c1 + f1 g1``, ``h1' = p1 h1 + o1 tanh(c1')``, and the same for half 2."""

    state_names = ("h1", "h2", "c1", "c2")
    n_gates = 5

    @staticmethod
    def _products_with_state() -> tuple[tuple[int, int], ...]:
        return ((0, 5),)

    def __init__(self, setup: LayerSetup, *, keep_gates: bool) -> None:
        super().__init__(setup, keep_gates=keep_gates)
        rows, n = setup.n_rows, self.n
        # Of each half: the five gates; share of c and of h kept; tanh(c').
        self._gates = [
            [
                (
                    np.empty((rows, self.width), self.dtype),
                    np.empty((rows, n), self.dtype),
                    np.empty((rows, n), self.dtype),
                    np.empty((rows, n), self.dtype),
                )
                for _ in range(self.gate_depth)
            ]
            for _ in (0, 1)
        ]
        self._z_h, self._update_h = np.empty_like(self._z), np.empty_like(self._update)

    def _half(self, half: int, j: int, other: np.ndarray) -> None:
        from scinn.kernels.reversible_cells import lstm_gates

        (low, span), rule, real = self.setup.limits, self.setup.rule, self.setup.real
        gates, keep_c, keep_h, _ = self._gates[half][j % self.gate_depth]
        px, u = self._with_state(half, j, 0, other)
        lstm_gates(px, u, low, span, rule, real, gates, keep_c, keep_h, self._z, self._z_h, self._update)

    def _output(self, half: int, j: int) -> None:
        """Compute what the new cell adds to the output."""
        from scinn.kernels.reversible_cells import lstm_output

        gates, _, _, squashed = self._gates[half][j % self.gate_depth]
        lstm_output(gates, self.values[2 + half][j + 1], squashed, self._update_h)

    def forward(self, j: int, alive: np.ndarray, tape: Tape, record: bool, bits: np.ndarray | None) -> int:
        from scinn.kernels.reversible_cells import lstm_new_real

        for half in (0, 1):
            self._half(half, j, self.values[1 - half][j + half])
            if self.setup.real:
                gates, keep_c, keep_h, squashed = self._gates[half][j % self.gate_depth]
                h, c = self.values[half], self.values[2 + half]
                lstm_new_real(gates, keep_c, keep_h, h[j], c[j], alive, squashed, h[j + 1], c[j + 1])
                self._spare[half][...], self._spare[2 + half][...] = h[j + 1], c[j + 1]
                continue
            wrong = self._advance(2 + half, j, self._z, self._update, alive, tape, record)
            if wrong >= 0:
                self._take_back_halves(half, j, alive, tape, record)
                return (2 + half) * self._z.size + wrong
            self._output(half, j)
            wrong = self._advance(half, j, self._z_h, self._update_h, alive, tape, record)
            if wrong >= 0:
                if record:
                    self._take_back(2 + half, self._z, self._update, alive, tape)
                self._take_back_halves(half, j, alive, tape, record)
                return half * self._z.size + wrong
            self._count(2 + half, self._z, alive, bits)
            self._count(half, self._z_h, alive, bits)
        self._swap(0, 1, 2, 3)
        return -1

    def _take_back_halves(self, half: int, j: int, alive: np.ndarray, tape: Tape, record: bool) -> None:
        """Take from the tape what half 1 of a step put there, where half 2 could not be finished."""
        if half and record:
            self._half(0, j, self.values[1][j])
            self._output(0, j)
            self._take_back(0, self._z_h, self._update_h, alive, tape)
            self._take_back(2, self._z, self._update, alive, tape)

    def back(self, j: int, alive: np.ndarray, tape: Tape, kept_before: np.ndarray | None) -> None:
        for half in (1, 0):
            self._half(half, j, self.values[1 - half][j + half])
            self._output(half, j)
            self._undo(half, j, self._z_h, self._update_h, alive, tape, kept_before)
            self._undo(2 + half, j, self._z, self._update, alive, tape, None)
        self._swap(0, 1, 2, 3)

    def replay(self, j: int, alive: np.ndarray) -> None:
        for half in (0, 1):
            self._half(half, j, self.values[1 - half][j + half])
            self._output(half, j)

    def _step_gradient(self, j: int, alive: np.ndarray) -> None:
        from scinn.kernels.reversible_cells import lstm_half_gradient

        for half in (1, 0):
            gates, keep_c, keep_h, squashed = self._gates[half][j]
            q = self._q[half][j]
            lstm_half_gradient(
                self.e[half], self.e[2 + half], alive, self.values[half][j], self.values[2 + half][j],
                gates, squashed, keep_c, keep_h, self.setup.limits.span, self.setup.rule, q,
            )  # fmt: skip
            self.e[1 - half] += q @ self._recurrent_back[half][0]

    def _add_weight_gradients(self, n_steps: int) -> None:
        for half in (0, 1):
            q = self._q[half][:n_steps].reshape(-1, self.width)
            other = self._values[1 - half][half : n_steps + half].reshape(-1, self.n)
            self._grad_h[half][0] += other.T @ q
