"""Training over long sequences in little memory: a pass forward that keeps bits, and one back that undoes it.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999. The pass
forward keeps the current state, the tapes, and what was asked for (slices for attention, checkpoints). The pass back
rebuilds a block of steps from the tapes, hands the block's outputs to the loss, and goes back through the block with
exact straight-through gradients: rounding has derivative 1, the scaled state ``z* / 1024``.

Four ways of remembering give gradients of the same kind: ``"reverse"`` (tapes), ``"store"`` (all states),
``"checkpoint"`` (a state every ``segment`` steps, then the states of one segment at a time), and ``"hybrid"`` (a
state every ``segment`` steps, then the tapes of one segment at a time).

Checks that are always on: a checksum of the state for each block, the first state to the bit, and empty tapes.
"""

from __future__ import annotations

import copy
import hashlib
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from scinn.exceptions import ReversibilityError
from scinn.random import Key
from scinn.recurrent.layer_pass import LayerPass
from scinn.recurrent.masks import dropout_mask
from scinn.recurrent.memory import MemoryReport
from scinn.recurrent.memory_plan import plan_memory

if TYPE_CHECKING:
    from scinn.recurrent.network import ReversibleNetwork, State

__all__ = [
    "LARGEST",
    "MEMORY_MODES",
    "ArrayStream",
    "Gradients",
    "InputStream",
    "StreamResult",
    "Trace",
    "backward",
    "forward",
]

#: Inputs and weights stay below it, so that no sum of products overflows.
LARGEST = 1e15

MEMORY_MODES = ("reverse", "store", "checkpoint", "hybrid", "auto")

OutputGradient = Callable[[int, int, np.ndarray], "np.ndarray | None"]


class InputStream(Protocol):
    """Inputs made block by block, such as embeddings that are looked up."""

    shape: tuple[int, int, int]

    def block(self, first: int, end: int) -> np.ndarray:
        """Return the inputs of steps ``first`` to ``end - 1``, the same bits whenever they are asked for."""

    def accumulate(self, first: int, end: int, dx: np.ndarray) -> None:
        """Take the gradient by the inputs of a block."""


class ArrayStream:
    """Inputs that lie in an array; the gradient goes into another one, made at its first block."""

    def __init__(self, x: np.ndarray) -> None:
        self.x = x
        self.shape = x.shape
        self.dx: np.ndarray | None = None

    def block(self, first: int, end: int) -> np.ndarray:
        """Return steps ``first`` to ``end - 1``."""
        return self.x[first:end]

    def accumulate(self, first: int, end: int, dx: np.ndarray) -> None:
        """Keep the gradient of a block."""
        if self.dx is None:
            self.dx = np.zeros(self.shape, self.x.dtype)
        self.dx[first:end] = dx


class Gradients(NamedTuple):
    """Gradients by the parameters, by the first state, and by the inputs where they were an array."""

    grads: dict[str, np.ndarray]
    dstate: tuple[tuple[np.ndarray, ...], ...]
    dx: np.ndarray | None


class StreamResult(NamedTuple):
    """A loss, its gradients, the last state, and what was remembered on the way."""

    loss: float
    grads: dict[str, np.ndarray]
    state: State
    dstate: tuple[tuple[np.ndarray, ...], ...]
    dx: np.ndarray | None
    memory: MemoryReport


class Trace:
    """What a pass forward leaves for the pass back; used up by it.

    Attributes
    ----------
    state : State
        The last state.
    n_steps, n_rows : int
    mode : str
        The way of remembering that was used.
    segment : int
        Steps between checkpoints; all steps where there are none.
    """

    def __init__(
        self,
        net: ReversibleNetwork,
        stream: InputStream,
        lengths: np.ndarray | None,
        masks: Masks,
        mode: str,
        segment: int,
        keep: int,
        monitor: bool,
    ) -> None:
        self.net, self.stream, self.masks = net, stream, masks
        self.n_steps, self.n_rows = stream.shape[:2]
        self.mode, self.segment, self.keep = mode, segment, keep
        self.lengths, self._all = lengths, np.ones(self.n_rows, dtype=bool)
        self.tapes = net.make_tapes(self.n_rows)
        self.state: State = ()
        self.checkpoints: list[State] = []
        #: Checksums of the layers' states at the checkpoints.
        self.marks: list[list[int]] = []
        #: Of each block of the segment that is held: checksums of its inputs and of the layers' states before it.
        self.checks = np.zeros((-(-segment // net.block), 1 + net.n_layers), dtype=np.uint32)
        self.weights = net.weights_checksum()
        top = net.n_layers - 1
        #: Layers whose states of the current segment are all kept.
        self.stored_layers = [
            mode in ("store", "checkpoint") or (i == top and keep > net.units[top]) for i in range(top + 1)
        ]
        self.stored: list[list[np.ndarray]] = [[] for _ in range(top + 1)]
        self._kept = None
        if 0 < keep <= net.units[top]:
            self._kept = np.zeros((self.n_steps + 1, self.n_rows, keep), dtype=net.state_dtype)
        self.bits: list[np.ndarray] | None = None
        if monitor:
            self.bits = [np.zeros((self.n_steps, n * len(net.state_names))) for n in net.units]
        self.first_digest = b""
        self.resumed: State = ()
        self.stored_bits = 0
        self.workspace_bytes = 0
        self.used = False

    def copy(self) -> Trace:
        """Return a trace that can be used up apart from this one; what a pass back does not change is shared."""
        new = copy.copy(self)
        new.tapes, new.checks, new.used = self.tapes.copy(), self.checks.copy(), False
        new.stored = [list(arrays) for arrays in self.stored]
        if isinstance(self.stream, ArrayStream):
            new.stream = ArrayStream(self.stream.x)
        return new

    def alive(self, step: int) -> np.ndarray:
        """Return which rows have this step."""
        return self._all if self.lengths is None else step < self.lengths

    def segments(self) -> list[tuple[int, int]]:
        """Return the first step and the end of each segment."""
        return [
            (first, min(first + self.segment, self.n_steps)) for first in range(0, self.n_steps, self.segment)
        ]

    def kept_before(self, step: int) -> np.ndarray | None:
        """Return the kept units as they were before a step."""
        return None if self._kept is None else self._kept[step]

    def keep_units(self, step: int, h1: np.ndarray) -> None:
        """Keep the first units of the top layer's h1 as they are before a step."""
        if self._kept is not None:
            self._kept[step] = h1[:, : self.keep]

    @property
    def kept(self) -> np.ndarray:
        """Values of the kept units after each step, shape (n_steps, n_rows, keep), made anew at each use.

        Raises
        ------
        ValueError
            Where nothing was kept.
        """
        if self._kept is not None:
            return self.net.values_of(self._kept[1:])
        if self.keep and self.stored[-1]:
            first, second = self.stored[-1][:2]
            return self.net.values_of(np.concatenate([first[1:], second[1:]], axis=2))
        raise ValueError("nothing was kept; pass keep= to forward_pass")

    def memory_report(self) -> MemoryReport:
        """Return what this pass remembers at most at once."""
        net = self.net
        kept = 0 if self._kept is None else 32 * self._kept.size
        for i, n in enumerate(net.units):
            if self.stored_layers[i]:
                whole = i == net.n_layers - 1 and self.keep > n
                steps = self.n_steps if whole else min(self.segment, self.n_steps)
                kept += 32 * (steps + 1) * self.n_rows * n * len(net.state_names)
        kept += sum(32 * array.size for state in self.checkpoints for layer in state for array in layer)
        kept += 32 * (self.checks.size + sum(len(marks) for marks in self.marks))
        row_steps = None if self.lengths is None else int(np.minimum(self.lengths, self.n_steps).sum())
        ideal, forgotten = None, None
        if self.bits is not None:
            ideal = float(sum(bits.sum() for bits in self.bits))
            rows = np.array([max(int(self.alive(t).sum()), 1) for t in range(self.n_steps)])
            forgotten = [bits / rows[:, None] for bits in self.bits]
        return MemoryReport(
            n_steps=self.n_steps,
            n_rows=self.n_rows,
            widths=tuple(net.n_hidden_by_layer),
            states_per_unit=len(net.state_names) // 2,
            stored_bits=self.stored_bits,
            ideal_bits=ideal,
            kept_bits=kept,
            workspace_bytes=self.workspace_bytes,
            forgotten=forgotten,
            n_row_steps=row_steps,
        )

    def __repr__(self) -> str:
        state = "used up" if self.used else f"{len(self.tapes)} bits on tapes"
        return f"<Trace: {self.n_steps} steps, {self.n_rows} rows, memory {self.mode!r}, {state}>"


class Masks(NamedTuple):
    """Masks of one call, the same at all steps: between layers (n_rows, width), and of the recurrent weights."""

    between: tuple[np.ndarray | None, ...]
    weight_h: tuple[np.ndarray | None, ...]


def draw_masks(net: ReversibleNetwork, n_rows: int, key: Key | None, train: bool) -> Masks:
    """Draw the masks of dropout between layers and of weight drop, or none."""
    between: list[np.ndarray | None] = [None] * net.n_layers
    weight_h: list[np.ndarray | None] = [None] * net.n_layers
    if train and (net.dropout or net.weight_drop):
        if key is None:
            raise ValueError(
                f"{type(net).__name__} drops units or weights in training: pass key=scinn.random.Key(seed), or train=False"
            )
        for i in range(net.n_layers):
            if net.dropout and i:
                shape = (n_rows, net.n_hidden_by_layer[i - 1])
                between[i] = dropout_mask(key.child("between", i), shape, net.dropout, net.dtype)
            if net.weight_drop:
                shape = net.params[f"weight_h{i}"].shape
                weight_h[i] = dropout_mask(key.child("weight_drop", i), shape, net.weight_drop, net.dtype)
    return Masks(tuple(between), tuple(weight_h))


_CONTROLLER: Any = None


def blas_controller() -> Any:
    """Return the controller of the linear algebra library's threads, made once."""
    global _CONTROLLER
    if _CONTROLLER is None:
        from threadpoolctl import ThreadpoolController

        _CONTROLLER = ThreadpoolController().select(user_api="blas")
    return _CONTROLLER


@contextmanager
def blas_threads(n_threads: int) -> Iterator[None]:
    """Fix the number of threads of the linear algebra library, on which the bits of a product depend."""
    with blas_controller().limit(limits=n_threads):
        yield


# The pass forward


def forward(net: ReversibleNetwork, trace: Trace, state: State) -> None:
    """Fill a trace: run all steps, with the tapes (or states) of the last segment left for the pass back."""
    with blas_threads(net.blas_threads):
        passes = net.passes(trace.n_rows, trace.masks, keep_gates=False, keep=trace.keep)
        for layer, given in zip(passes, state):
            layer.load(given)
        trace.keep_units(0, passes[-1].state[0])
        segments = trace.segments()
        for number, (first, end) in enumerate(segments):
            if number == 0:
                trace.first_digest = _digest(passes)
            if len(segments) > 1:
                trace.checkpoints.append(tuple(layer.snapshot() for layer in passes))
                trace.marks.append([checksum(layer.state) for layer in passes])
            last = number == len(segments) - 1
            _run_segment(trace, passes, first, end, held=last, count=True)
            if not last:
                trace.tapes.reset()
        trace.state = tuple(layer.snapshot() for layer in passes)


def _run_segment(
    trace: Trace, passes: Sequence[LayerPass], first: int, end: int, *, held: bool, count: bool
) -> None:
    """Run the steps of a segment from the passes' current states.

    Tapes are filled; where the segment is ``held`` for the pass back, states are stored and checksums kept too.
    """
    net, depth = trace.net, trace.net.block
    whole_top = trace.keep > net.units[-1]
    for i, layer in enumerate(passes):
        always = whole_top and i == len(passes) - 1
        if trace.stored_layers[i] and ((held and not always) or (always and not trace.stored[i])):
            steps = trace.n_steps if always else end - first
            trace.stored[i] = [np.empty((steps + 1, *array.shape), array.dtype) for array in layer.state]
            for stored, array in zip(trace.stored[i], layer.state):
                stored[0] = array
    for start in range(first, end, depth):
        stop = min(start + depth, end)
        x = _inputs(trace, start, stop)
        if held:
            sums = [checksum(layer.state) for layer in passes]
            trace.checks[(start - first) // depth] = [checksum((x,)), *sums]
        for i, layer in enumerate(passes):
            always = whole_top and i == len(passes) - 1
            layer.set_values(0)
            layer.begin_block(x)
            tape = trace.tapes[i]
            # A layer that is stored as a whole for attention forgets freely, as its sliced units do. Floor digits do
            # not come back into the state, so that stored states need none.
            record = not (net.is_real or always or (trace.stored_layers[i] and net.coder == "floor_digit"))
            for j in range(stop - start):
                step = start + j
                bits = trace.bits[i][step] if count and trace.bits is not None else None
                wrong = layer.forward(j, trace.alive(step), tape, record, bits)
                if wrong >= 0:
                    which, index = divmod(wrong, layer.state[0].size)
                    raise layer.range_error(which, index, step)
                if i == len(passes) - 1:
                    trace.keep_units(step + 1, layer.state[0])
                if trace.stored_layers[i] and (held or always):
                    at = step + 1 if always else step + 1 - first
                    for stored, array in zip(trace.stored[i], layer.state):
                        stored[at] = array
            if i + 1 < len(passes):
                x = _masked(layer.outputs(stop - start), trace.masks.between[i + 1])
    trace.stored_bits = max(trace.stored_bits, len(trace.tapes))
    for is_stored, tape in zip(trace.stored_layers, trace.tapes):
        if is_stored:
            tape.reset()


def _inputs(trace: Trace, start: int, stop: int) -> np.ndarray:
    """Return the inputs of a block, checked."""
    x, shape = trace.stream.block(start, stop), (stop - start, trace.n_rows, trace.net.n_in)
    if not isinstance(x, np.ndarray) or x.shape != shape or x.dtype != trace.net.dtype:
        came = f"{x.dtype} {x.shape}" if isinstance(x, np.ndarray) else type(x).__name__
        raise ValueError(f"stream.block({start}, {stop}) must return {trace.net.dtype} {shape}, got {came}")
    return _checked(np.ascontiguousarray(x), f"x from step {start} on")


def _checked(x: np.ndarray, what: str) -> np.ndarray:
    if not (np.abs(x) < LARGEST).all():
        at = tuple(int(i) for i in np.argwhere(~(np.abs(x) < LARGEST))[0])
        raise ValueError(
            f"{what} has {x[at]} at step {at[0]} of these, row {at[1]}, feature {at[2]}; inputs must be finite, and below "
            f"{LARGEST:g} in size"
        )
    return x


def _masked(x: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    return x if mask is None else x * mask


# The pass back


def backward(
    net: ReversibleNetwork, trace: Trace, output_gradient: OutputGradient, dstate: Any
) -> tuple[dict[str, np.ndarray], tuple[tuple[np.ndarray, ...], ...]]:
    """Use up a trace: rebuild blocks from the last to the first and go back through each."""
    if trace.weights != net.weights_checksum():
        raise ReversibilityError(
            "the weights have changed since the pass forward, so that its steps cannot be undone; go back before the "
            "optimiser's step"
        )
    with blas_threads(net.blas_threads):
        passes = net.passes(trace.n_rows, trace.masks, keep_gates=True, keep=trace.keep)
        for layer, last, given in zip(passes, trace.state, dstate):
            layer.load(last)
            for e, array in zip(layer.e, given):
                e[...] = array
        segments = trace.segments()
        replayed = 0
        for number in reversed(range(len(segments))):
            first, end = segments[number]
            if number < len(segments) - 1:
                if [checksum(state) for state in trace.checkpoints[number]] != trace.marks[number]:
                    raise ReversibilityError(
                        f"the checkpoint before step {first} has changed since the pass forward"
                    )
                replayed = _replay_segment(trace, first, end, *trace.checkpoints[number : number + 2])
                for layer, state in zip(passes, trace.resumed):
                    layer.load(state)
            _undo_segment(trace, passes, first, end, output_gradient)
            _check_start(trace, passes, number)
        trace.workspace_bytes = workspace(passes) + replayed
    grads: dict[str, np.ndarray] = {}
    for i, layer in enumerate(passes):
        own, mask = layer.gradients(), trace.masks.weight_h[i]
        if mask is not None:
            own["weight_h"] *= mask
        grads |= {f"{name}{i}": value for name, value in own.items()}
    return grads, tuple(tuple(layer.e) for layer in passes)


def _replay_segment(trace: Trace, first: int, end: int, start: State, after: State) -> int:
    """Run an earlier segment again from its checkpoint, and leave its tapes or states for the pass back.

    Returns
    -------
    int
        Bytes of the working arrays that this took.
    """
    passes = trace.net.passes(trace.n_rows, trace.masks, keep_gates=False, keep=trace.keep)
    for layer, state in zip(passes, start):
        layer.load(state)
    _run_segment(trace, passes, first, end, held=True, count=False)
    trace.resumed = tuple(layer.snapshot() for layer in passes)
    if not all(np.array_equal(a, b) for one, two in zip(trace.resumed, after) for a, b in zip(one, two)):
        raise ReversibilityError(
            f"running the steps from {first} again gave another state at step {end}; inputs, masks or threads changed"
        )
    return workspace(passes)


def _undo_segment(
    trace: Trace, passes: Sequence[LayerPass], first: int, end: int, output_gradient: OutputGradient
) -> None:
    net, depth = trace.net, trace.net.block
    starts = range(first, end, depth)
    whole_top = trace.keep > net.units[-1]
    for start in reversed(starts):
        stop = min(start + depth, end)
        n_steps = stop - start
        x = _inputs(trace, start, stop)
        expected = trace.checks[(start - first) // depth]
        if checksum((x,)) != expected[0]:
            raise ReversibilityError(
                f"the inputs from step {start} on have changed since the pass forward; keep them until the pass back is done"
            )
        alive = [trace.alive(step) for step in range(start, stop)]
        for i, layer in enumerate(passes):
            layer.begin_block(x)
            if trace.stored_layers[i]:
                offset = start if whole_top and i == len(passes) - 1 else start - first
                _recall(layer, trace.stored[i], offset, n_steps, alive)
            else:
                layer.set_values(n_steps)
                for j in reversed(range(n_steps)):
                    layer.back(
                        j,
                        alive[j],
                        trace.tapes[i],
                        trace.kept_before(start + j) if i == len(passes) - 1 else None,
                    )
            if checksum(layer.state) != expected[1 + i]:
                raise ReversibilityError(
                    f"layer {i} did not come back to its state before step {start}: inputs, weights, masks or threads "
                    "differ from the pass forward; the gradients were thrown away"
                )
            if i + 1 < len(passes):
                x = _masked(layer.outputs(n_steps), trace.masks.between[i + 1])
        dtop = output_gradient(start, stop, passes[-1].outputs(n_steps))
        for i in reversed(range(len(passes))):
            dx = passes[i].gradient(dtop, alive, n_steps)
            mask = trace.masks.between[i]
            dtop = dx if mask is None else dx * mask
        trace.stream.accumulate(start, stop, dx)


def _recall(
    layer: LayerPass, stored: Sequence[np.ndarray], at: int, n_steps: int, alive: Sequence[np.ndarray]
) -> None:
    """Take the states of a block from where they were stored, and compute its gates again."""
    for slot in range(n_steps + 1):
        layer.set_values(slot, [array[at + slot] for array in stored])
    for j in range(n_steps):
        layer.replay(j, alive[j])
    layer.load([array[at] for array in stored])


def _check_start(trace: Trace, passes: Sequence[LayerPass], number: int) -> None:
    """Compare the state at a segment's beginning with what it was, bit for bit, and see that the tapes are empty."""
    if trace.checkpoints:
        pairs = zip(passes, trace.checkpoints[number])
        same = all(np.array_equal(a, b) for layer, start in pairs for a, b in zip(layer.state, start))
    else:
        same = _digest(passes) == trace.first_digest
    if not same:
        raise ReversibilityError(
            "the state did not come back to the bits where it began; the gradients were thrown away"
        )
    if not trace.tapes.is_empty:
        raise ReversibilityError(
            f"{len(trace.tapes)} bits are left on the tapes after all steps were undone; the gradients were thrown away"
        )


def _digest(passes: Sequence[LayerPass]) -> bytes:
    """Return 128 bits that stand for the passes' current states."""
    digest = hashlib.blake2b(digest_size=16)
    for layer in passes:
        for array in layer.state:
            digest.update(array.data)
    return digest.digest()


def checksum(state: Sequence[np.ndarray]) -> int:
    """Return 32 bits that change with the bits of a state."""
    value = 0
    for array in state:
        value = zlib.crc32(array.data, value)
    return value


def workspace(passes: Sequence[LayerPass]) -> int:
    """Return the bytes of the working arrays of passes, which do not grow with the number of steps."""
    seen: dict[int, int] = {}

    def visit(value: Any) -> None:
        if isinstance(value, np.ndarray):
            owner = value
            while isinstance(owner.base, np.ndarray):
                owner = owner.base
            seen[id(owner)] = owner.nbytes
        elif isinstance(value, list | tuple):
            for item in value:
                visit(item)

    for layer in passes:
        for name, value in vars(layer).items():
            # Weights and their gradients are the caller's to count, inputs the stream's.
            if not name.startswith(("_input", "_recurrent", "_grad")) and name not in ("setup", "x"):
                visit(value)
    return sum(seen.values())


def choose(
    memory: str,
    segment: int | None,
    *,
    net: ReversibleNetwork,
    n_steps: int,
    n_rows: int,
    budget_bytes: int | None,
) -> tuple[str, int]:
    """Return the way of remembering and the steps of a segment, a multiple of the block."""
    if budget_bytes is not None and memory != "auto":
        raise ValueError(f"budget_bytes is for memory='auto'; with memory={memory!r} leave it out")
    if segment is not None and segment < n_steps and memory in ("store", "reverse"):
        raise ValueError(
            f"memory={memory!r} has no segments; leave segment out, or use 'checkpoint' or 'hybrid'"
        )
    if memory == "auto":
        plan = plan_memory(
            n_steps,
            n_rows,
            sum(net.n_hidden_by_layer),
            budget_bytes=budget_bytes,
            bits_per_unit=net.expected_bits,
            states_per_unit=len(net.state_names) // 2,
            n_layers=net.n_layers,
            block=net.block,
            itemsize=net.dtype.itemsize,
        )
        memory, segment = plan.mode, plan.segment if segment is None else segment
    if memory in ("store", "reverse"):
        return memory, max(n_steps, 1)
    if segment is None:
        if memory == "checkpoint":
            segment = math.isqrt(max(n_steps - 1, 0)) + 1
        else:
            segment = round(math.sqrt(32.0 * n_steps / net.expected_bits))
    return memory, -(-max(segment, 1) // net.block) * net.block
