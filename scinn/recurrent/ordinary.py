"""Ordinary GRU and LSTM networks behind the passes of the reversible ones, so that both are trained by the same code.

They store every state and gate (:class:`scinn.nn.GRU`, :class:`scinn.nn.LSTM`), and differ from the reversible
networks of M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv
1810.10999, in nothing else: the loss is asked for by blocks of steps here too, so that what is compared is the cells.
The LSTM's output is computed from the new cell (the translation code that came with the paper takes the old one).

A state is a tuple over layers of ``(h,)`` or ``(h, c)``, each of shape (n_rows, n_hidden).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scinn._input import check_choice, check_in_range, check_positive_int
from scinn.nn.layer import check_dtype, nbytes
from scinn.nn.recurrent import GRU, LSTM
from scinn.random import Key, RandomState, as_generator
from scinn.recurrent.streaming import ArrayStream, Gradients, Masks, blas_threads, draw_masks
from scinn.recurrent.widths import layer_widths

if TYPE_CHECKING:
    from scinn.recurrent.memory import MemoryReport
    from scinn.recurrent.streaming import InputStream

__all__ = ["OrdinaryNetwork", "OrdinaryTrace"]

_CELLS: dict[str, type[GRU] | type[LSTM]] = {"gru": GRU, "lstm": LSTM}


class OrdinaryTrace:
    """What a pass forward of an ordinary network leaves for the pass back: all of its states and gates.

    Attributes
    ----------
    state : tuple of tuple of ndarray
        The last state.
    n_steps, n_rows : int
    kept : ndarray, shape (n_steps, n_rows, keep)
        The first units of the last layer at every step.
    """

    def __init__(self, net: OrdinaryNetwork, stream: InputStream, masks: Masks, keep: int) -> None:
        self.net, self.stream, self.masks, self.keep = net, stream, masks, keep
        self.n_steps, self.n_rows = int(stream.shape[0]), int(stream.shape[1])
        self.state: tuple[tuple[np.ndarray, ...], ...] = ()
        self.saved: list[Any] = []
        self.layers: list[GRU | LSTM] = []
        self.outputs = np.empty(0)
        self.used = False

    @property
    def kept(self) -> np.ndarray:
        """The kept units, not to be written to; zero after a row's end."""
        if not self.keep:
            raise ValueError("nothing was kept; pass keep= to forward_pass")
        return _read_only(self.outputs[..., : self.keep])

    def memory_report(self) -> MemoryReport:
        """Return what this pass keeps: the inputs, states and gates of all steps."""
        from scinn.recurrent.memory import MemoryReport

        return MemoryReport(
            n_steps=self.n_steps,
            n_rows=self.n_rows,
            widths=tuple(self.net.n_hidden_by_layer),
            states_per_unit=len(self.net.state_names),
            stored_bits=0,
            ideal_bits=None,
            kept_bits=8 * nbytes((tuple(self.saved), self.outputs), exclude=self._parameters()),
            workspace_bytes=0,
            forgotten=None,
        )

    def _parameters(self) -> dict[str, np.ndarray]:
        return {f"{i}/{name}": a for i, layer in enumerate(self.layers) for name, a in layer.params.items()}


class OrdinaryNetwork:
    """Layers of GRU or LSTM with the passes of :class:`~scinn.recurrent.RevGRU`.

    Parameters
    ----------
    cell : {"gru", "lstm"}
    n_in : int
        Number of input features.
    n_hidden : int or sequence of int
        Number of units; one number for all layers, or one for each.
    n_layers : int, default 1
    dropout, weight_drop : float, default 0
        Shares of units dropped between layers, and of recurrent weights dropped, by masks that hold for a whole call.
    block : int, default 8
        Steps of a block in which the loss is asked for.
    dtype : dtype, default float32
    rng : int, SeedSequence, Generator, Key or None
        Source of the initial values.

    Notes
    -----
    ``params`` holds those of the layers, numbered: ``weight_x{l}``, ``weight_h{l}``, ``bias{l}``, and ``bias_h{l}``
    of a GRU.

    Examples
    --------
    >>> import numpy as np
    >>> net = OrdinaryNetwork("lstm", 3, 4, n_layers=2, rng=0)
    >>> outputs, state = net.run(np.ones((5, 2, 3), dtype=np.float32))
    >>> outputs.shape, len(state), [array.shape for array in state[0]]
    ((5, 2, 4), 2, [(2, 4), (2, 4)])
    """

    def __init__(
        self,
        cell: str,
        n_in: int,
        n_hidden: int | Sequence[int],
        n_layers: int = 1,
        *,
        dropout: float = 0.0,
        weight_drop: float = 0.0,
        block: int = 8,
        dtype: Any = np.float32,
        rng: RandomState = None,
    ) -> None:
        self.cell = check_choice(cell, "cell", _CELLS)
        self.n_in = check_positive_int(n_in, "n_in")
        self.n_layers = check_positive_int(n_layers, "n_layers")
        self.n_hidden_by_layer = layer_widths(n_hidden, self.n_layers)
        self.dropout = check_in_range(dropout, "dropout", 0.0, 1.0, inclusive="left")
        self.weight_drop = check_in_range(weight_drop, "weight_drop", 0.0, 1.0, inclusive="left")
        self.block = check_positive_int(block, "block")
        dtype, generator = check_dtype(dtype), as_generator(rng)
        below = (self.n_in, *self.n_hidden_by_layer[:-1])
        self._layers = [
            _CELLS[self.cell](n, width, masked=True, dtype=dtype, rng=generator)
            for n, width in zip(below, self.n_hidden_by_layer)
        ]
        self.params = {
            f"{name[:-1]}{i}": value
            for i, layer in enumerate(self._layers)
            for name, value in layer.params.items()
        }

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of a layer's state arrays."""
        return ("h", "c") if self.cell == "lstm" else ("h",)

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

    def __repr__(self) -> str:
        hidden = ", ".join(str(width) for width in self.n_hidden_by_layer)
        return f"OrdinaryNetwork({self.cell!r}, {self.n_in} -> {hidden}; {self.n_parameters} parameters)"

    def initial_state(self, n_rows: int) -> tuple[tuple[np.ndarray, ...], ...]:
        """Return the state of zeros.

        Parameters
        ----------
        n_rows : int

        Returns
        -------
        tuple of tuple of ndarray
        """
        return tuple(
            tuple(np.zeros((n_rows, width), self.dtype) for _ in self.state_names)
            for width in self.n_hidden_by_layer
        )

    def run(
        self, x: np.ndarray, state: Any = None, *, lengths: Any = None
    ) -> tuple[np.ndarray, tuple[tuple[np.ndarray, ...], ...]]:
        """Take all steps of a sequence, in evaluation.

        Parameters
        ----------
        x : ndarray, shape (n_steps, n_rows, n_in)
        state : tuple of tuple of ndarray, optional
            The first state; default zeros.
        lengths : array_like of int, shape (n_rows,), optional
            Steps of each row, from 1 to n_steps.

        Returns
        -------
        outputs : ndarray, shape (n_steps, n_rows, n_out)
            Zero after a row's end.
        state : tuple of tuple of ndarray
            The last state.
        """
        trace = self.forward_pass(x, state=state, lengths=lengths, train=False)
        return trace.outputs, trace.state

    def forward_pass(
        self,
        x: np.ndarray | InputStream,
        *,
        state: Any = None,
        lengths: Any = None,
        key: Key | None = None,
        train: bool = True,
        keep: int = 0,
    ) -> OrdinaryTrace:
        """Run over sequences and keep everything.

        Parameters
        ----------
        x : ndarray of shape (n_steps, n_rows, n_in), or InputStream
        state : tuple of tuple of ndarray, optional
            The first state; default zeros.
        lengths : array_like of int, shape (n_rows,), optional
            Steps of each row, from 1 to n_steps.
        key : Key, optional
            Address of the masks.
        train : bool, default True
            Whether masks are drawn.
        keep : int, default 0
            How many units of the last layer :attr:`OrdinaryTrace.kept` shows.

        Returns
        -------
        OrdinaryTrace

        Raises
        ------
        ValueError, TypeError
            For inputs, lengths or states that do not fit.
        """
        stream: InputStream = ArrayStream(x) if isinstance(x, np.ndarray) else x
        shape = tuple(getattr(stream, "shape", ()))
        if len(shape) != 3 or shape[2] != self.n_in or shape[0] < 1:
            came = f"{x.dtype} {x.shape}" if isinstance(x, np.ndarray) else type(x).__name__
            raise ValueError(
                f"x must be an ndarray or a stream of shape (n_steps, n_rows, {self.n_in}) with at least one step, "
                f"got {came}"
            )
        n_steps, n_rows = shape[:2]
        keep = check_positive_int(keep, "keep", 0)
        if keep > self.n_out:
            raise ValueError(f"keep is {keep}, and the last layer has {self.n_out} units")
        lengths = np.full(n_rows, n_steps) if lengths is None else lengths
        # Masks depend on names and sizes that both kinds of networks have.
        alike: Any = self
        trace = OrdinaryTrace(self, stream, draw_masks(alike, n_rows, key, train), keep)
        first = self.initial_state(n_rows) if state is None else state
        if len(first) != self.n_layers or any(len(layer) != len(self.state_names) for layer in first):
            raise ValueError(
                f"state must hold, for each of {self.n_layers} layers, the arrays {', '.join(self.state_names)}"
            )
        sequence = stream.block(0, n_steps)
        with blas_threads(1):
            trace.outputs, trace.state = self._layers_forward(trace, sequence, first, lengths)
        return trace

    def _layers_forward(
        self, trace: OrdinaryTrace, sequence: np.ndarray, first: Any, lengths: Any
    ) -> tuple[np.ndarray, tuple[tuple[np.ndarray, ...], ...]]:
        """Run all layers; return the outputs and the last state."""
        lasts = []
        for i, layer in enumerate(self._layers):
            between, dropped = trace.masks.between[i], trace.masks.weight_h[i]
            if dropped is not None:
                layer = copy.copy(layer)
                layer.params = dict(layer.params) | {"weight_h0": layer.params["weight_h0"] * dropped}
            if between is not None:
                sequence = sequence * between
            (sequence, *last), saved = layer.forward(sequence, *(a[None] for a in first[i]), lengths=lengths)
            trace.layers.append(layer)
            trace.saved.append(saved)
            lasts.append(tuple(array[0] for array in last))
        return sequence, tuple(lasts)

    def backward_pass(
        self,
        trace: OrdinaryTrace,
        output_gradient: Callable[[int, int, np.ndarray], np.ndarray | None],
        *,
        dstate: Any = None,
    ) -> Gradients:
        """Go back over the steps of a trace and return the gradients.

        Parameters
        ----------
        trace : OrdinaryTrace
            From :meth:`forward_pass`.
        output_gradient : callable
            ``output_gradient(first, end, outputs)``, asked for blocks of steps from the last to the first, returns the
            gradient by these outputs (end - first, n_rows, n_out), or None. The outputs cannot be written to, because
            the pass back needs them.
        dstate : tuple of tuple of ndarray, optional
            Gradient by the last state; default zeros.

        Returns
        -------
        Gradients

        Raises
        ------
        ValueError
            For a trace of another network, or one that was used already.
        """
        if trace.net is not self or trace.used:
            raise ValueError(
                "the trace is another network's, or was used already; make one with forward_pass"
            )
        trace.used = True
        gradient = np.zeros_like(trace.outputs)
        for first in reversed(range(0, trace.n_steps, self.block)):
            end = min(first + self.block, trace.n_steps)
            block = output_gradient(first, end, _read_only(trace.outputs[first:end]))
            if block is not None:
                gradient[first:end] = block
        grads: dict[str, np.ndarray] = {}
        firsts: list[tuple[np.ndarray, ...]] = []
        for i in reversed(range(self.n_layers)):
            given = tuple(None if dstate is None else a[None] for a in (dstate or trace.state)[i])
            with blas_threads(1):
                (gradient, *first_states), own = trace.layers[i].backward(trace.saved[i], (gradient, *given))
            if trace.masks.weight_h[i] is not None:
                own["weight_h0"] = own["weight_h0"] * trace.masks.weight_h[i]
            if trace.masks.between[i] is not None:
                gradient = gradient * trace.masks.between[i]
            firsts.append(tuple(array[0] for array in first_states))
            grads |= {f"{name[:-1]}{i}": value for name, value in own.items()}
        trace.stream.accumulate(0, trace.n_steps, gradient)
        dx = trace.stream.dx if isinstance(trace.stream, ArrayStream) else None
        return Gradients({name: grads[name] for name in self.params}, tuple(firsts[::-1]), dx)


def _read_only(view: np.ndarray) -> np.ndarray:
    view.flags.writeable = False
    return view
