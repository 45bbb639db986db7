"""LSTM and GRU as layers of whole sequences: ``(time, batch, features)`` in and out.

The products with the inputs are one matrix product for all steps, and so are those of the weights' gradients: only
the product with the state remains in the loop over time.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, NamedTuple

import numpy as np

from scinn.nn.initializers import initialize
from scinn.nn.layer import Layer, check_dtype, check_input, check_output_gradient, register_layer
from scinn.nn.sums import column_sums
from scinn.random import Key, RandomState, as_generator

__all__ = ["GRU", "LSTM"]


class RecurrentLayerSaved(NamedTuple):
    """One layer of units: input (T, B, n_in), gates (T, B, k n), and states before and after each step (T + 1, B, n).

    ``extra`` holds the cells of an LSTM (T + 1, B, n), and of a GRU the inner sums of its candidate (T, B, n).
    """

    x: np.ndarray
    gates: np.ndarray
    h: np.ndarray
    extra: np.ndarray


class RecurrentSaved(NamedTuple):
    """What the backward of a recurrent layer needs: its layers of units, and which steps exist (T, B)."""

    layers: tuple[RecurrentLayerSaved, ...]
    alive: np.ndarray
    n_states: int


class _Recurrent(Layer):
    """What LSTM and GRU share: parameters, checks, and the stack of layers."""

    n_inputs = None
    n_gates: ClassVar[int]
    state_names: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        n_layers: int = 1,
        *,
        masked: bool = False,
        dtype: Any = np.float32,
        rng: RandomState = None,
    ) -> None:
        super().__init__()
        for name, value in (("n_in", n_in), ("n_hidden", n_hidden), ("n_layers", n_layers)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise ValueError(f"{name} must be a positive integer, got {value!r}")
        self.n_in, self.n_hidden, self.n_layers = int(n_in), int(n_hidden), int(n_layers)
        self.masked = bool(masked)
        if self.masked:
            self.context = ("lengths",)
        dtype, generator = check_dtype(dtype), as_generator(rng)
        width = self.n_gates * self.n_hidden
        params: dict[str, np.ndarray] = {}
        for i in range(self.n_layers):
            for name, rows in (
                (f"weight_x{i}", self.n_hidden if i else self.n_in),
                (f"weight_h{i}", self.n_hidden),
            ):
                params[name] = initialize(
                    "lecun_uniform", (rows, width), rng=generator, dtype=dtype, fan_in=self.n_hidden
                )
            params[f"bias{i}"] = np.zeros(width, dtype=dtype)
        self.params = params

    @abstractmethod
    def _run(
        self, i: int, x: np.ndarray, alive: np.ndarray, states: tuple[np.ndarray, ...]
    ) -> tuple[tuple[np.ndarray, ...], RecurrentLayerSaved]:
        """Run layer ``i`` over all steps; return its last states."""

    @abstractmethod
    def _run_back(
        self, i: int, saved: RecurrentLayerSaved, alive: np.ndarray, dy: np.ndarray, dstates: list[np.ndarray]
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return the gradients by layer ``i``'s input and parameters; ``dstates`` become those by its first states."""

    def forward(
        self, *x: np.ndarray, train: bool = False, key: Key | None = None, lengths: Any = None
    ) -> tuple[tuple[np.ndarray, ...], RecurrentSaved]:
        """Run over sequences.

        Parameters
        ----------
        *x : ndarray
            The sequences, shape (time, batch, n_in), and optionally the first state(s), each of shape
            (n_layers, batch, n_hidden); default zero.
        train, key
            Ignored.
        lengths : array_like of int, shape (batch,)
            Of a masked layer: how many steps each sequence has, from 1 to time.

        Returns
        -------
        y : tuple of ndarray
            Outputs of the last layer, shape (time, batch, n_hidden), zero after a sequence's end; then the last
            state(s), each of shape (n_layers, batch, n_hidden).
        saved : RecurrentSaved

        Raises
        ------
        TypeError, ValueError
            For other shapes, dtypes or lengths.
        """
        sequence, states = self._checked(x)
        alive = self._alive(lengths, sequence.shape[:2])
        layers, lasts = [], []
        for i in range(self.n_layers):
            last, kept = self._run(i, sequence, alive, tuple(state[i] for state in states))
            sequence = (
                kept.h[1:] if alive.all() else np.where(alive[..., None], kept.h[1:], sequence.dtype.type(0))
            )
            layers.append(kept)
            lasts.append(last)
        stacked = tuple(np.stack(parts) for parts in zip(*lasts))
        return (sequence, *stacked), RecurrentSaved(tuple(layers), alive, len(x) - 1)

    def backward(self, saved: RecurrentSaved, dy: Any) -> tuple[Any, dict[str, np.ndarray]]:
        """Return the gradients by the sequences, the first states that were given, and the parameters.

        Parameters
        ----------
        saved : RecurrentSaved
            From :meth:`forward`.
        dy : tuple of (ndarray or None)
            Gradients of the loss by the outputs; None where it does not see one.

        Returns
        -------
        dx : ndarray, or tuple of ndarray where first states were given
        grads : dict of str to ndarray
        """
        n_steps, n_sequences = saved.alive.shape
        dtype, state = self.params["bias0"].dtype, (self.n_layers, n_sequences, self.n_hidden)
        shapes = [(n_steps, n_sequences, self.n_hidden), *(state for _ in self.state_names)]
        if not isinstance(dy, tuple) or len(dy) != len(shapes):
            raise TypeError(
                f"{type(self).__name__}: dy must be a tuple of {len(shapes)} gradients, one for each output"
            )
        parts = [np.zeros(shape, dtype) if part is None else part for part, shape in zip(dy, shapes)]
        for part, shape in zip(parts, shapes):
            check_output_gradient(part, self, shape, dtype)
        grads: dict[str, np.ndarray] = {}
        gradient, firsts = parts[0], []
        for i in reversed(range(self.n_layers)):
            gradient = np.ascontiguousarray(gradient)
            dstates = [np.array(part[i], order="C") for part in parts[1:]]
            gradient, own = self._run_back(i, saved.layers[i], saved.alive, gradient, dstates)
            firsts.append(dstates)
            grads |= own
        ordered = {name: grads[name] for name in self.params}
        if not saved.n_states:
            return gradient, ordered
        return (gradient, *(np.stack(parts[::-1]) for parts in zip(*firsts))), ordered

    def _checked(self, x: tuple[np.ndarray, ...]) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        who, n_states = type(self).__name__, len(self.state_names)
        if len(x) not in (1, 1 + n_states):
            raise TypeError(
                f"{who} takes the sequences, or the sequences and {' and '.join(self.state_names)}, got {len(x)} arrays"
            )
        sequence = x[0]
        check_input(sequence, self, n_features=self.n_in)
        if sequence.ndim != 3 or len(sequence) == 0:
            raise ValueError(
                f"{who}: x must have shape (time, batch, features) with at least one step, got {sequence.shape}"
            )
        shape = (self.n_layers, sequence.shape[1], self.n_hidden)
        for name, state in zip(self.state_names, x[1:]):
            check_input(state, self, name=name)
            if state.shape != shape:
                raise ValueError(
                    f"{who}: {name} must have shape (n_layers, batch, n_hidden) = {shape}, got {state.shape}"
                )
        states = x[1:] or tuple(np.zeros(shape, dtype=sequence.dtype) for _ in self.state_names)
        return np.ascontiguousarray(sequence), tuple(np.ascontiguousarray(state) for state in states)

    def _alive(self, lengths: Any, shape: tuple[int, ...]) -> np.ndarray:
        who, (n_steps, n_sequences) = type(self).__name__, shape
        if lengths is None:
            if self.masked:
                raise ValueError(
                    f"{who}: a masked layer needs lengths=, one for each of {n_sequences} sequences"
                )
            return np.ones((n_steps, n_sequences), dtype=bool)
        if not self.masked:
            raise TypeError(f"{who}: lengths were given to a layer that was built without masked=True")
        lengths = np.asarray(lengths)
        if lengths.dtype.kind not in "iu" or lengths.shape != (n_sequences,):
            raise ValueError(
                f"{who}: lengths must be {n_sequences} integers, one for each sequence, got {lengths.dtype} of shape "
                f"{lengths.shape}"
            )
        if lengths.size and (lengths.min() < 1 or lengths.max() > n_steps):
            raise ValueError(
                f"{who}: lengths must lie between 1 and the number of steps {n_steps}, got {lengths.min()} to "
                f"{lengths.max()}"
            )
        alive: np.ndarray = np.arange(n_steps)[:, None] < lengths[None, :]
        return alive

    def _project(self, i: int, x: np.ndarray) -> np.ndarray:
        """Return ``x W_x + b`` for all steps at once."""
        z = x.reshape(-1, x.shape[2]) @ self.params[f"weight_x{i}"]
        z += self.params[f"bias{i}"]
        return z.reshape(*x.shape[:2], z.shape[1])

    def _collect(
        self, i: int, saved: RecurrentLayerSaved, dzx: np.ndarray, dzh: np.ndarray
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return the gradients by the input and the parameters from those of all steps' sums."""
        width, weight = dzx.shape[2], self.params[f"weight_x{i}"]
        rows, products = dzx.reshape(-1, width), dzh.reshape(-1, width)
        grads = {
            f"weight_x{i}": saved.x.reshape(-1, saved.x.shape[2]).T @ rows,
            f"weight_h{i}": saved.h[:-1].reshape(-1, self.n_hidden).T @ products,
            f"bias{i}": column_sums(rows).astype(weight.dtype),
        }
        return (rows @ weight.T).reshape(saved.x.shape), grads

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "n_in": self.n_in,
            "n_hidden": self.n_hidden,
            "n_layers": self.n_layers,
            "masked": self.masked,
            "dtype": str(self.params["bias0"].dtype),
        }


@register_layer
class LSTM(_Recurrent):
    """Long short-term memory over whole sequences.

    Per step, with ``z = x W_x + h W_h + b`` cut into four: ``i, f, o = sigmoid(z_i), sigmoid(z_f), sigmoid(z_o)``,
    ``g = tanh(z_g)``, ``c' = f c + i g``, ``h' = o tanh(c')``. Backward through time, with ``d`` the gradient by ``h'``:
    ``dc' += d o (1 - tanh(c')^2)``, ``dz_i = dc' g i (1 - i)``, ``dz_f = dc' c f (1 - f)``, ``dz_g = dc' i (1 - g^2)``,
    ``dz_o = d tanh(c') o (1 - o)``, ``dc = dc' f``, ``dh = dz W_h^T``; the weights' gradients are one product over all
    steps.

    Parameters
    ----------
    n_in, n_hidden : int
        Numbers of input features and of units.
    n_layers : int, default 1
        Layers on top of each other; each reads the outputs of the one below.
    masked : bool, default False
        Whether sequences differ in length: the layer then needs the context ``lengths``. After its end a sequence's
        outputs are zero, and its last state is that of its last step.
    dtype : dtype, default float32
        Dtype of the parameters, which inputs must share.
    rng : int, SeedSequence, Generator, Key or None
        Source of the initial values, uniform within ``1 / sqrt(n_hidden)``; biases start at zero.

    Notes
    -----
    ``params["weight_x0"]`` has shape (n_in, 4 n_hidden) with the gates in the order i, f, g, o, ``params["weight_h0"]``
    (n_hidden, 4 n_hidden), ``params["bias0"]`` (4 n_hidden,); further layers are numbered. A first state is given as
    further inputs ``forward(x, h0, c0)``. The outputs are the tuple (sequence, last h, last c).

    References
    ----------
    S. Hochreiter and J. Schmidhuber (1997), Long short-term memory; F. Gers, J. Schmidhuber and F. Cummins (2000),
    Learning to forget (the forget gate).

    Examples
    --------
    >>> import numpy as np
    >>> layer = LSTM(3, 4, n_layers=2, rng=0)
    >>> (y, h, c), saved = layer.forward(np.ones((5, 2, 3), dtype=np.float32))
    >>> y.shape, h.shape, c.shape
    ((5, 2, 4), (2, 2, 4), (2, 2, 4))
    """

    Saved = RecurrentSaved
    n_gates = 4
    state_names = ("h0", "c0")

    def _run(
        self, i: int, x: np.ndarray, alive: np.ndarray, states: tuple[np.ndarray, ...]
    ) -> tuple[tuple[np.ndarray, ...], RecurrentLayerSaved]:
        from scinn.kernels.recurrent import lstm_step

        zx, weight = self._project(i, x), self.params[f"weight_h{i}"]
        h = np.empty((len(x) + 1, *states[0].shape), dtype=x.dtype)
        c, gates = np.empty_like(h), np.empty_like(zx)
        h[0], c[0] = states
        for t in range(len(x)):
            lstm_step(zx[t], h[t] @ weight, c[t], h[t], alive[t], gates[t], c[t + 1], h[t + 1])
        return (h[-1], c[-1]), RecurrentLayerSaved(x, gates, h, c)

    def _run_back(
        self, i: int, saved: RecurrentLayerSaved, alive: np.ndarray, dy: np.ndarray, dstates: list[np.ndarray]
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        from scinn.kernels.recurrent import lstm_step_gradient
        from scinn.nn.images import readable

        gates, cells, dy = readable(saved.gates), readable(saved.extra), readable(dy)
        alive, back = readable(alive), self.params[f"weight_h{i}"].T
        dh, dc = dstates
        dz = np.empty(gates.shape, dtype=gates.dtype)
        for t in reversed(range(len(dz))):
            lstm_step_gradient(gates[t], cells[t], cells[t + 1], dy[t], alive[t], dh, dc, dz[t])
            dh += dz[t] @ back
        return self._collect(i, saved, dz, dz)


@register_layer
class GRU(_Recurrent):
    """Gated recurrent units over whole sequences.

    Per step ``r, z = sigmoid(x W_x + h W_h + b)`` in their columns, ``m = h W_hn + b_h``, ``n = tanh(x W_xn + b_n + r m)``,
    ``h' = (1 - z) n + z h``: the variant that resets after the product. Backward through time, with ``d`` the gradient by
    ``h'``: ``da = d (1 - z) (1 - n^2)``, ``dr = da m r (1 - r)``, ``dz = d (h - n) z (1 - z)``, ``dm = da r`` and
    ``dh = d z + (dr, dz, dm) W_h^T``; the weights' gradients are one product over all steps.

    Parameters
    ----------
    n_in, n_hidden : int
        Numbers of input features and of units.
    n_layers : int, default 1
        Layers on top of each other; each reads the outputs of the one below.
    masked : bool, default False
        Whether sequences differ in length: the layer then needs the context ``lengths``. After its end a sequence's
        outputs are zero, and its last state is that of its last step.
    dtype : dtype, default float32
        Dtype of the parameters, which inputs must share.
    rng : int, SeedSequence, Generator, Key or None
        Source of the initial values, uniform within ``1 / sqrt(n_hidden)``; biases start at zero.

    Notes
    -----
    ``params["weight_x0"]`` has shape (n_in, 3 n_hidden) with the gates in the order r, z, n, ``params["weight_h0"]``
    (n_hidden, 3 n_hidden), ``params["bias0"]`` (3 n_hidden,), ``params["bias_h0"]`` (n_hidden,); further layers are
    numbered. A first state is given as a further input ``forward(x, h0)``. The outputs are the tuple
    (sequence, last h).

    References
    ----------
    K. Cho et al. (2014), Learning phrase representations using RNN encoder-decoder, equations 5 to 8 (there the reset
    comes before the product).

    Examples
    --------
    >>> import numpy as np
    >>> layer = GRU(3, 4, rng=0)
    >>> (y, h), saved = layer.forward(np.ones((5, 2, 3), dtype=np.float32))
    >>> y.shape, h.shape, bool((y[-1] == h[0]).all())
    ((5, 2, 4), (1, 2, 4), True)
    """

    Saved = RecurrentSaved
    n_gates = 3
    state_names = ("h0",)

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        n_layers: int = 1,
        *,
        masked: bool = False,
        dtype: Any = np.float32,
        rng: RandomState = None,
    ) -> None:
        super().__init__(n_in, n_hidden, n_layers, masked=masked, dtype=dtype, rng=rng)
        self.params = dict(self.params) | {
            f"bias_h{i}": np.zeros(self.n_hidden, dtype=check_dtype(dtype)) for i in range(self.n_layers)
        }

    def _run(
        self, i: int, x: np.ndarray, alive: np.ndarray, states: tuple[np.ndarray, ...]
    ) -> tuple[tuple[np.ndarray, ...], RecurrentLayerSaved]:
        from scinn.kernels.recurrent import gru_step
        from scinn.nn.images import readable

        zx, weight = self._project(i, x), self.params[f"weight_h{i}"]
        bias = readable(self.params[f"bias_h{i}"])
        h = np.empty((len(x) + 1, *states[0].shape), dtype=x.dtype)
        gates, inner = np.empty_like(zx), np.empty((len(x), *states[0].shape), dtype=x.dtype)
        h[0] = states[0]
        for t in range(len(x)):
            gru_step(zx[t], h[t] @ weight, bias, h[t], alive[t], gates[t], inner[t], h[t + 1])
        return (h[-1],), RecurrentLayerSaved(x, gates, h, inner)

    def _run_back(
        self, i: int, saved: RecurrentLayerSaved, alive: np.ndarray, dy: np.ndarray, dstates: list[np.ndarray]
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        from scinn.kernels.recurrent import gru_step_gradient
        from scinn.nn.images import readable

        gates, inner, h = readable(saved.gates), readable(saved.extra), readable(saved.h)
        alive, dy, back = readable(alive), readable(dy), self.params[f"weight_h{i}"].T
        dh = dstates[0]
        dzx = np.empty(gates.shape, dtype=gates.dtype)
        dzh = np.empty_like(dzx)
        for t in reversed(range(len(dzx))):
            gru_step_gradient(gates[t], inner[t], h[t], dy[t], alive[t], dh, dzx[t], dzh[t])
            dh += dzh[t] @ back
        dx, grads = self._collect(i, saved, dzx, dzh)
        grads[f"bias_h{i}"] = column_sums(dzh[..., 2 * self.n_hidden :]).astype(dh.dtype)
        return dx, grads
