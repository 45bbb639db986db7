"""The network that RevGRU and RevLSTM are cells of: parameters, states, and the ways through a sequence.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999. The
notation is that of :mod:`scinn.recurrent.reversible`.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, ClassVar, TypeAlias

import numpy as np

from scinn._input import check_choice, check_in_range, check_positive_int
from scinn.nn.initializers import initialize
from scinn.nn.layer import check_dtype
from scinn.random import Key, RandomState, as_generator
from scinn.recurrent import stepping, streaming
from scinn.recurrent.fixed_point import forgetting_limits, from_fixed, to_fixed
from scinn.recurrent.layer_pass import COMPAT, DRIFT_FREE, NO_FORGETTING, LayerPass, LayerSetup
from scinn.recurrent.products import LEVELS, make_products
from scinn.recurrent.provenance import claim
from scinn.recurrent.streaming import ArrayStream, Gradients, InputStream, Masks, StreamResult, Trace
from scinn.recurrent.tape import CODERS
from scinn.recurrent.tapes import Tapes
from scinn.recurrent.widths import layer_widths

__all__ = ["ReversibleNetwork", "State"]

#: Over layers, and in each over (h1, h2) or (h1, h2, c1, c2): arrays of shape (n_rows, n_hidden / 2).
State: TypeAlias = "tuple[tuple[np.ndarray, ...], ...]"


class ReversibleNetwork:
    """What RevGRU and RevLSTM share: parameters, states, and the ways through a sequence.

    Parameters are in ``params``: ``weight_x{l}`` (n_in, 2 k n), ``weight_h{l}`` (n, 2 k n) and ``bias{l}`` (2 k n,)
    of layer ``l``, where the columns are the ``k`` gates of half 1 and then those of half 2.
    """

    n_gates: ClassVar[int]
    state_names: ClassVar[tuple[str, ...]]
    _pass: ClassVar[type[LayerPass]]

    def __init__(
        self,
        n_in: int,
        n_hidden: int | Sequence[int],
        n_layers: int = 1,
        *,
        max_forget_bits: float | None = 3.0,
        coder: str = "rans",
        exactness: str = "A",
        forget: bool = True,
        arithmetic: str = "fixed",
        dropout: float = 0.0,
        weight_drop: float = 0.0,
        block: int = 8,
        dtype: Any = np.float32,
        rng: RandomState = None,
        _bounded: float | None = None,
        _compat: bool = False,
    ) -> None:
        self.n_in = check_positive_int(n_in, "n_in")
        self.n_layers = check_positive_int(n_layers, "n_layers")
        self.n_hidden_by_layer = layer_widths(n_hidden, self.n_layers, even=True)
        self.units = tuple(width // 2 for width in self.n_hidden_by_layer)
        self.limits = forgetting_limits(max_forget_bits, _bounded)
        self.max_forget_bits = max_forget_bits
        self.coder = check_choice(coder, "coder", CODERS)
        self.exactness = check_choice(exactness, "exactness", LEVELS)
        self.arithmetic = check_choice(arithmetic, "arithmetic", ("fixed", "real"))
        self.forget = bool(forget)
        self.rule = NO_FORGETTING if not self.forget else COMPAT if _compat else DRIFT_FREE
        self.dropout = check_in_range(dropout, "dropout", 0.0, 1.0, inclusive="left")
        self.weight_drop = check_in_range(weight_drop, "weight_drop", 0.0, 1.0, inclusive="left")
        self.block = check_positive_int(block, "block")
        #: Threads of the linear algebra library inside passes; part of what decides the bits at level A.
        self.blas_threads = 1
        #: Bits that a unit is assumed to forget in a step, where memory is planned before anything was measured.
        self.expected_bits = 2.0 if max_forget_bits is None else min(2.0, 0.75 * max_forget_bits)
        dtype, generator = check_dtype(dtype), as_generator(rng)
        self.params: dict[str, np.ndarray] = {}
        below = self.n_in
        for i, width in enumerate(self.n_hidden_by_layer):
            columns, n = self.n_gates * width, width // 2
            for name, rows in ((f"weight_x{i}", below), (f"weight_h{i}", n)):
                self.params[name] = initialize(
                    "lecun_uniform", (rows, columns), rng=generator, dtype=dtype, fan_in=width
                )
            self.params[f"bias{i}"] = np.zeros(columns, dtype=dtype)
            below = width

    # What it is

    @property
    def dtype(self) -> np.dtype:
        """Dtype of parameters, inputs and outputs."""
        return self.params["bias0"].dtype

    @property
    def n_out(self) -> int:
        """Number of outputs, the width of the last layer."""
        return self.n_hidden_by_layer[-1]

    @property
    def n_parameters(self) -> int:
        """Number of trained scalars."""
        return sum(value.size for value in self.params.values())

    @property
    def is_real(self) -> bool:
        """Whether states are floating-point numbers, for checks of the gradient; such steps cannot be undone."""
        return self.arithmetic == "real"

    @property
    def state_dtype(self) -> np.dtype:
        """Dtype of the state's arrays: int32, or that of the parameters in real arithmetic."""
        return self.dtype if self.is_real else np.dtype(np.int32)

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values."""
        return {
            "n_in": self.n_in,
            "n_hidden": list(self.n_hidden_by_layer),
            "n_layers": self.n_layers,
            "max_forget_bits": self.max_forget_bits,
            "coder": self.coder,
            "exactness": self.exactness,
            "forget": self.forget,
            "arithmetic": self.arithmetic,
            "dropout": self.dropout,
            "weight_drop": self.weight_drop,
            "block": self.block,
            "dtype": str(self.dtype),
        }

    def __repr__(self) -> str:
        hidden = ", ".join(str(width) for width in self.n_hidden_by_layer)
        limit = "no limit" if self.max_forget_bits is None else f"at most {self.max_forget_bits:g} bits"
        what = f"{limit} forgotten in a step, coder {self.coder!r}" if self.forget else "nothing forgotten"
        return f"{type(self).__name__}({self.n_in} -> {hidden}; {what}; {self.n_parameters} parameters)"

    # States

    def initial_state(self, n_rows: int) -> State:
        """Return the state of zeros.

        Parameters
        ----------
        n_rows : int

        Returns
        -------
        State
        """
        n_rows = check_positive_int(n_rows, "n_rows", 0)
        return tuple(
            tuple(np.zeros((n_rows, n), dtype=self.state_dtype) for _ in self.state_names) for n in self.units
        )

    def encode_state(self, values: Sequence[Sequence[np.ndarray]]) -> State:
        """Round values to a state of this network.

        Parameters
        ----------
        values : sequence of sequence of ndarray of float
            Over layers, and in each over the state's arrays.

        Returns
        -------
        State

        Raises
        ------
        ValueError
            For other numbers of arrays, NaN, or values outside the fixed-point range.
        """
        if len(values) != self.n_layers or any(len(layer) != len(self.state_names) for layer in values):
            raise ValueError(
                f"values must hold, for each of {self.n_layers} layers, the arrays {', '.join(self.state_names)}"
            )
        if self.is_real:
            return tuple(tuple(np.array(a, dtype=self.dtype) for a in layer) for layer in values)
        return tuple(
            tuple(to_fixed(a, f"{name} of layer {i}") for name, a in zip(self.state_names, layer))
            for i, layer in enumerate(values)
        )

    def decode_state(self, state: State) -> tuple[tuple[np.ndarray, ...], ...]:
        """Return the values of a state.

        Parameters
        ----------
        state : State

        Returns
        -------
        tuple of tuple of ndarray
            Of the parameters' dtype.
        """
        return tuple(tuple(self.values_of(array) for array in layer) for layer in state)

    def values_of(self, array: np.ndarray) -> np.ndarray:
        """Return the values of an array of the state, in the parameters' dtype."""
        return array.copy() if self.is_real else from_fixed(array, self.dtype)

    def outputs_of(self, state: State) -> np.ndarray:
        """Return the last layer's output ``[h1, h2]`` in a state, shape (n_rows, n_out)."""
        return np.concatenate([self.values_of(state[-1][0]), self.values_of(state[-1][1])], axis=1)

    def make_tapes(self, n_rows: int) -> Tapes:
        """Return empty tapes for a batch, one for each layer.

        Parameters
        ----------
        n_rows : int

        Returns
        -------
        Tapes
        """
        return Tapes.make(self.coder, check_positive_int(n_rows, "n_rows", 0), self.n_layers)

    # One step: the contract of a reversible map

    def advance(self, state: State, x: np.ndarray, tapes: Tapes) -> State:
        """Take one step, and leave on the tapes what it forgets.

        Parameters
        ----------
        state : State
        x : ndarray, shape (n_rows, n_in)
            Inputs, in the parameters' dtype.
        tapes : Tapes
            From :meth:`make_tapes`.

        Returns
        -------
        State

        Raises
        ------
        ValueError
            For inputs that do not fit, or are not finite.
        TapeError
            Where the tapes were filled by other weights, at another level of exactness or number of threads.
        StateRangeError
            Where a unit leaves the fixed-point range; the tapes are then as they were before.
        """
        return self.run(self._one_step(x), state, tapes)[1]

    def reverse(self, state: State, x: np.ndarray, tapes: Tapes) -> State:
        """Undo one step, with what :meth:`advance` left on the tapes.

        Parameters
        ----------
        state : State
            The state after the step.
        x : ndarray, shape (n_rows, n_in)
            The inputs of the step.
        tapes : Tapes
            Those of the step; its bits are taken off.

        Returns
        -------
        State
            The state before the step, to the bit.

        Raises
        ------
        TapeError
            Where the tapes are empty, or were filled by other weights or settings.
        """
        return self.run_back(self._one_step(x), state, tapes)

    def _one_step(self, x: np.ndarray) -> np.ndarray:
        if not isinstance(x, np.ndarray) or x.ndim != 2:
            raise ValueError(
                f"x must be an ndarray of shape (n_rows, {self.n_in}) for one step, got {_kind(x)}"
            )
        return x[None]

    # Many steps

    def run(
        self, x: np.ndarray, state: State | None = None, tapes: Tapes | None = None, *, lengths: Any = None
    ) -> tuple[np.ndarray, State]:
        """Take all steps of a sequence.

        Parameters
        ----------
        x : ndarray, shape (n_steps, n_rows, n_in)
            Inputs, in the parameters' dtype.
        state : State, optional
            The first state; default zeros.
        tapes : Tapes, optional
            Where forgotten bits go. Without tapes they are dropped, as in evaluation.
        lengths : array_like of int, shape (n_rows,), optional
            Steps of each row, from 0 to n_steps; afterwards a row keeps its state and stores nothing.

        Returns
        -------
        outputs : ndarray, shape (n_steps, n_rows, n_out)
            ``[h1, h2]`` of the last layer after each step.
        state : State
            The last state.

        Raises
        ------
        ValueError, TapeError, StateRangeError
            As :meth:`advance`.

        Examples
        --------
        >>> import numpy as np
        >>> from scinn.recurrent import RevGRU
        >>> net = RevGRU(3, 4, rng=0)
        >>> x, tapes = np.ones((5, 2, 3), dtype=np.float32), net.make_tapes(2)
        >>> outputs, last = net.run(x, tapes=tapes)
        >>> first = net.run_back(x, last, tapes)
        >>> outputs.shape, bool((first[0][0] == 0).all()), len(tapes)
        ((5, 2, 4), True, 0)
        """
        x = self._checked_input(x)
        n_steps, n_rows = x.shape[:2]
        state = self._checked_state(state, n_rows)
        alive = _alive(lengths, n_steps, n_rows)
        if tapes is None:
            self.weights_checksum()
            return stepping.run(self, x, state, alive, None)
        claim(self, tapes, n_rows)
        with tapes.whole_or_damaged():
            result = stepping.run(self, x, state, alive, tapes)
            tapes.put_run(n_steps)
        return result

    def run_back(
        self, x: np.ndarray, state: State, tapes: Tapes | None = None, *, lengths: Any = None
    ) -> State:
        """Undo all steps of a sequence.

        Parameters
        ----------
        x : ndarray, shape (n_steps, n_rows, n_in)
            The inputs of the steps.
        state : State
            The state after them.
        tapes : Tapes, optional
            Those of the steps; their bits are taken off. A network that forgets nothing can do without.
        lengths : array_like of int, shape (n_rows,), optional
            As given to :meth:`run`.

        Returns
        -------
        State
            The state before the first step, to the bit.

        Raises
        ------
        TapeError
            Where the tapes run out, or were filled by other weights or settings.
        """
        x = self._checked_input(x)
        n_steps, n_rows = x.shape[:2]
        state = self._checked_state(state, n_rows)
        if self.is_real:
            raise ValueError(
                "steps in real arithmetic cannot be undone; build the network with arithmetic='fixed'"
            )
        alive = _alive(lengths, n_steps, n_rows)
        if tapes is None:
            if self.forget:
                raise ValueError(
                    "steps that forget cannot be undone without their tapes; pass tapes= to run and to run_back"
                )
            self.weights_checksum()
            return stepping.run_back(self, x, state, alive, self.make_tapes(n_rows))
        claim(self, tapes, n_rows)
        tapes.check_run(n_steps, whole=self.exactness == "A")
        with tapes.whole_or_damaged():
            first = stepping.run_back(self, x, state, alive, tapes)
            tapes.take_run(n_steps)
        return first

    # Gradients

    def forward_pass(
        self,
        x: np.ndarray | InputStream,
        *,
        state: State | None = None,
        lengths: Any = None,
        key: Key | None = None,
        train: bool = True,
        memory: str = "reverse",
        segment: int | None = None,
        budget_bytes: int | None = None,
        keep: int = 0,
        monitor: bool = False,
    ) -> Trace:
        """Run over sequences and remember as little as is needed to go back.

        Parameters
        ----------
        x : ndarray of shape (n_steps, n_rows, n_in), or InputStream
            Inputs in the parameters' dtype, or an object that makes them block by block.
        state : State, optional
            The first state; default zeros.
        lengths : array_like of int, shape (n_rows,), optional
            Steps of each row.
        key : Key, optional
            Address of the masks of ``dropout`` and ``weight_drop``, which are the same at all steps.
        train : bool, default True
            Whether masks are drawn.
        memory : {"reverse", "store", "checkpoint", "hybrid", "auto"}
            How the way back is remembered; ``"auto"`` asks :func:`scinn.recurrent.plan_memory`.
        segment : int, optional
            Steps between checkpoints, rounded up to a multiple of the block; default: the best for the mode.
        budget_bytes : int, optional
            For ``"auto"``: the most that may be remembered.
        keep : int, default 0
            Units that are kept in full at every step: the first ones of the last layer's h1 (at most ``n_out / 2``), or
            ``n_out`` for the whole last layer.
        monitor : bool, default False
            Count what each unit forgets in each step.

        Returns
        -------
        Trace

        Raises
        ------
        ValueError
            For inputs, states or options that do not fit.
        StateRangeError
            Where a unit leaves the fixed-point range.
        """
        stream: InputStream = ArrayStream(self._checked_input(x)) if isinstance(x, np.ndarray) else x
        shape = tuple(getattr(stream, "shape", ()))
        if len(shape) != 3 or shape[2] != self.n_in or shape[0] < 1:
            raise ValueError(
                f"x must be an ndarray or a stream of shape (n_steps, n_rows, {self.n_in}) with at least one step, "
                f"got {_kind(x)}"
            )
        n_steps, n_rows = int(shape[0]), int(shape[1])
        check_choice(memory, "memory", streaming.MEMORY_MODES)
        if segment is not None:
            check_positive_int(segment, "segment")
        if self.is_real and memory != "checkpoint":
            memory = "store"
        memory, segment = streaming.choose(
            memory, segment, net=self, n_steps=n_steps, n_rows=n_rows, budget_bytes=budget_bytes
        )
        keep = check_positive_int(keep, "keep", 0)
        if keep > self.units[-1] and keep != self.n_out:
            raise ValueError(
                f"keep is {keep}; wanted at most {self.units[-1]} units (half of the last layer), or {self.n_out} for all"
            )
        checked = None if lengths is None else _checked_lengths(lengths, n_steps, n_rows)
        masks = streaming.draw_masks(self, n_rows, key, train)
        trace = Trace(self, stream, checked, masks, memory, segment, keep, bool(monitor))
        streaming.forward(self, trace, self._checked_state(state, n_rows))
        return trace

    def backward_pass(
        self, trace: Trace, output_gradient: streaming.OutputGradient, *, dstate: Any = None
    ) -> Gradients:
        """Go back over the steps of a trace and return the gradients; the trace is used up.

        Parameters
        ----------
        trace : Trace
            From :meth:`forward_pass`.
        output_gradient : callable
            ``output_gradient(first, end, outputs)`` is called for blocks of steps from the last to the first, with the
            outputs (end - first, n_rows, n_out) of these steps, and returns the gradient by them, or None. Outputs of
            rows past their length repeat their last state.
        dstate : tuple of tuple of ndarray, optional
            Gradient by the last state, shaped as a state; default zeros.

        Returns
        -------
        Gradients
            ``grads`` under the parameters' names, ``dstate`` by the first state, ``dx`` by an array of inputs.

        Raises
        ------
        ReversibilityError
            Where the steps do not come back to the bits where they began.
        """
        if trace.net is not self:
            raise ValueError("the trace was made by another network; go back with the one that went forward")
        if trace.used:
            raise ValueError("the trace was used already; make a new one with forward_pass")
        trace.used = True
        if dstate is None:
            dstate = tuple(tuple(np.zeros(a.shape, self.dtype) for a in layer) for layer in trace.state)
        else:
            self._check_dstate(dstate, trace)
        wide, dtype = self.n_out, self.dtype

        def checked(first: int, end: int, outputs: np.ndarray) -> np.ndarray | None:
            dtop = output_gradient(first, end, outputs)
            if dtop is None:
                return None
            if (
                not isinstance(dtop, np.ndarray)
                or dtop.shape != (end - first, trace.n_rows, wide)
                or dtop.dtype != dtype
            ):
                raise ValueError(
                    f"output_gradient must return a {dtype} array of shape {(end - first, trace.n_rows, wide)}, got "
                    f"{_kind(dtop)}"
                )
            return dtop

        grads, first_gradient = streaming.backward(self, trace, checked, dstate)
        dx = trace.stream.dx if isinstance(trace.stream, ArrayStream) else None
        return Gradients(grads, first_gradient, dx)

    def loss_and_gradients(self, x: np.ndarray | InputStream, head: Any, **options: Any) -> StreamResult:
        """Return a loss over all outputs and its gradients, without keeping the outputs.

        Parameters
        ----------
        x : ndarray of shape (n_steps, n_rows, n_in), or InputStream
            Inputs.
        head : callable
            ``head(first, end, outputs)`` returns the loss of a block of steps and its gradient by the outputs, both
            summed over blocks; it is called from the last block to the first.
        **options
            As :meth:`forward_pass`.

        Returns
        -------
        StreamResult
            ``loss``, ``grads``, last ``state``, ``dstate`` by the first state, ``dx`` by an array of inputs,
            ``memory``.

        Examples
        --------
        >>> import numpy as np
        >>> from scinn.recurrent import RevGRU
        >>> net = RevGRU(3, 4, rng=0)
        >>> x = np.ones((50, 2, 3), dtype=np.float32)
        >>> result = net.loss_and_gradients(x, lambda first, end, y: (float((y * y).sum() / 2), y))
        >>> result.loss > 0, result.dx.shape, sorted(result.grads)
        (True, (50, 2, 3), ['bias0', 'weight_h0', 'weight_x0'])
        """
        trace = self.forward_pass(x, **options)
        losses: list[float] = []

        def output_gradient(first: int, end: int, outputs: np.ndarray) -> np.ndarray | None:
            loss, dtop = head(first, end, outputs)
            losses.append(float(loss))
            return dtop

        gradients = self.backward_pass(trace, output_gradient)
        return StreamResult(
            sum(losses), gradients.grads, trace.state, gradients.dstate, gradients.dx, trace.memory_report()
        )

    # Inside

    def passes(self, n_rows: int, masks: Masks, *, keep_gates: bool, keep: int = 0) -> list[LayerPass]:
        """Return one pass for each layer, with weights made ready."""
        products = make_products(self.exactness, self.dtype)
        result = []
        for i in range(self.n_layers):
            weight_h, mask = self.params[f"weight_h{i}"], masks.weight_h[i]
            setup = LayerSetup(
                index=i,
                n_rows=n_rows,
                depth=self.block,
                weight_x=self.params[f"weight_x{i}"],
                weight_h=weight_h if mask is None else weight_h * mask,
                bias=self.params[f"bias{i}"],
                limits=self.limits,
                rule=self.rule,
                real=self.is_real,
                products=products,
                n_kept=keep if i == self.n_layers - 1 and keep <= self.units[i] else 0,
            )
            result.append(self._pass(setup, keep_gates=keep_gates))
        return result

    def weights_checksum(self) -> int:
        """Return 32 bits that change with any parameter; refuse parameters that are not finite, or would overflow."""
        value = 0
        for name, array in self.params.items():
            if not (np.abs(array) < streaming.LARGEST).all():
                raise ValueError(
                    f"parameter {name!r} holds NaN, infinity or numbers of {streaming.LARGEST:g} and more in size; the "
                    "network cannot be run"
                )
            value = zlib.crc32(np.ascontiguousarray(array).data, value)
        return value

    def _checked_input(self, x: np.ndarray) -> np.ndarray:
        who = type(self).__name__
        if not isinstance(x, np.ndarray) or x.ndim != 3 or x.shape[2] != self.n_in:
            raise ValueError(
                f"{who}: x must be an ndarray of shape (n_steps, n_rows, {self.n_in}), got {_kind(x)}"
            )
        if x.dtype != self.dtype:
            raise TypeError(
                f"{who}: x is {x.dtype} and the network {self.dtype}; use x.astype(np.{self.dtype})"
            )
        if not (np.abs(x) < streaming.LARGEST).all():
            at = tuple(int(i) for i in np.argwhere(~(np.abs(x) < streaming.LARGEST))[0])
            raise ValueError(
                f"{who}: x has {x[at]} at step {at[0]}, row {at[1]}, feature {at[2]}; inputs must be finite, and below "
                f"{streaming.LARGEST:g} in size"
            )
        return x

    def _checked_state(self, state: State | None, n_rows: int) -> State:
        if state is None:
            return self.initial_state(n_rows)
        wanted = [(n_rows, n) for n in self.units for _ in self.state_names]
        arrays = [array for layer in state for array in layer]
        if [getattr(a, "shape", None) for a in arrays] != wanted or any(
            a.dtype != self.state_dtype for a in arrays
        ):
            raise ValueError(
                f"state must hold, for each layer, the {self.state_dtype} arrays {', '.join(self.state_names)} of shapes "
                f"{wanted}, got {[_kind(a) for a in arrays]}; make one with initial_state({n_rows}) or encode_state"
            )
        return state

    def _check_dstate(self, dstate: Any, trace: Trace) -> None:
        given = [array for layer in dstate for array in layer]
        wanted = [array.shape for layer in trace.state for array in layer]
        fits = [getattr(array, "shape", None) for array in given] == wanted
        if not fits or any(array.dtype != self.dtype or not np.isfinite(array).all() for array in given):
            raise ValueError(
                f"dstate must hold finite {self.dtype} arrays shaped as a state, {wanted}, got {[_kind(a) for a in given]}"
            )


def _alive(lengths: Any, n_steps: int, n_rows: int) -> np.ndarray:
    if lengths is None:
        return np.ones((n_steps, n_rows), dtype=bool)
    alive: np.ndarray = np.arange(n_steps)[:, None] < _checked_lengths(lengths, n_steps, n_rows)[None, :]
    return alive


def _checked_lengths(lengths: Any, n_steps: int, n_rows: int) -> np.ndarray:
    lengths = np.asarray(lengths)
    if lengths.dtype.kind not in "iu" or lengths.shape != (n_rows,):
        raise ValueError(
            f"lengths must be {n_rows} integers, one for each row, got {lengths.dtype} of shape {lengths.shape}"
        )
    if lengths.size and (lengths.min() < 0 or lengths.max() > n_steps):
        raise ValueError(f"lengths must lie between 0 and {n_steps}, got {lengths.min()} to {lengths.max()}")
    return lengths.astype(np.int64)


def _kind(x: Any) -> str:
    return f"{x.dtype} {x.shape}" if isinstance(x, np.ndarray) else type(x).__name__
