"""A reversible network as a layer: whole sequences in and out, for checks and for networks of layers.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999. A layer
hands out all outputs at once, which costs the memory that reversal saves; long sequences are trained by
:meth:`~scinn.recurrent.RevGRU.loss_and_gradients`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from scinn.nn.layer import Layer, check_output_gradient, register_layer
from scinn.random import Key
from scinn.recurrent.network import ReversibleNetwork
from scinn.recurrent.reversible import RevGRU, RevLSTM
from scinn.recurrent.streaming import Trace

__all__ = ["ReversibleLayer"]

_CELLS: dict[str, type[ReversibleNetwork]] = {"RevGRU": RevGRU, "RevLSTM": RevLSTM}


class ReversibleSaved(NamedTuple):
    """What the backward needs: the inputs, the last states, and a trace whose tapes are copied before they are used."""

    x: np.ndarray
    state: tuple[np.ndarray, ...]
    trace: Trace


@register_layer
class ReversibleLayer(Layer):
    """A RevGRU or RevLSTM that takes ``(time, batch, n_in)`` and returns ``(time, batch, n_out)``.

    Parameters
    ----------
    net : RevGRU or RevLSTM
        The network; its parameters are this layer's.
    masked : bool, default False
        Whether sequences differ in length: the layer then needs the context ``lengths``.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.recurrent import RevGRU
    >>> layer = ReversibleLayer(RevGRU(3, 4, rng=0))
    >>> y, saved = layer.forward(np.ones((5, 2, 3), dtype=np.float32))
    >>> dx, grads = layer.backward(saved, np.ones_like(y))
    >>> y.shape, dx.shape
    ((5, 2, 4), (5, 2, 3))
    """

    Saved = ReversibleSaved

    def __init__(self, net: ReversibleNetwork, *, masked: bool = False) -> None:
        super().__init__()
        if not isinstance(net, ReversibleNetwork):
            raise TypeError(f"net must be a RevGRU or a RevLSTM, got {type(net).__name__}")
        self.net = net
        self.masked = bool(masked)
        if self.masked:
            self.context = ("lengths",)
        self.params = net.params

    def forward(
        self, *x: np.ndarray, train: bool = False, key: Key | None = None, lengths: Any = None
    ) -> tuple[np.ndarray, ReversibleSaved]:
        """Run over sequences from a state of zeros.

        Parameters
        ----------
        *x : ndarray
            One array, shape (time, batch, n_in).
        train : bool
            Whether units and weights are dropped.
        key : Key, optional
            Address of the masks.
        lengths : array_like of int, shape (batch,)
            Of a masked layer: steps of each sequence.

        Returns
        -------
        y : ndarray, shape (time, batch, n_out)
            Zero after a sequence's end.
        saved : ReversibleSaved
        """
        if len(x) != 1:
            raise TypeError(f"{type(self).__name__} takes one array of sequences, got {len(x)}")
        if self.masked != (lengths is not None):
            wanted = "needs lengths=" if self.masked else "takes no lengths; build it with masked=True"
            raise TypeError(f"{type(self).__name__} {wanted}")
        net = self._net()
        trace = net.forward_pass(x[0], lengths=lengths, key=key, train=train)
        outputs = np.zeros((*x[0].shape[:2], net.n_out), dtype=net.dtype)

        def take(first: int, end: int, block: np.ndarray) -> None:
            outputs[first:end] = block

        # Outputs are read off on a way back that is thrown away, so that they are those which backward sees.
        net.backward_pass(trace.copy(), take)
        for t in range(trace.n_steps):
            outputs[t][~trace.alive(t)] = 0
        return outputs, ReversibleSaved(x[0], tuple(a for layer in trace.state for a in layer), trace)

    def backward(self, saved: ReversibleSaved, dy: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return the gradients by the sequences and by the parameters.

        Parameters
        ----------
        saved : ReversibleSaved
            From :meth:`forward`; it can be used again.
        dy : ndarray, shape (time, batch, n_out)
            Gradient of the loss by the outputs.

        Returns
        -------
        dx : ndarray, shape (time, batch, n_in)
        grads : dict of str to ndarray
        """
        trace = saved.trace.copy()
        check_output_gradient(dy, self, (trace.n_steps, trace.n_rows, trace.net.n_out), trace.net.dtype)
        alive = np.stack([trace.alive(t) for t in range(trace.n_steps)])
        live = np.where(alive[..., None], dy, dy.dtype.type(0))
        gradients = trace.net.backward_pass(trace, lambda first, end, _: live[first:end])
        assert gradients.dx is not None
        return gradients.dx, {name: gradients.grads[name] for name in self.params}

    def _net(self) -> ReversibleNetwork:
        # Layers are copied with other parameters (astype); the network then has to follow.
        if self.net.params is not self.params:
            net = type(self.net)(**self.net.config() | {"dtype": str(self.dtype)})
            net.params = dict(self.params)
            self.net = net
        return self.net

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values."""
        return {"cell": type(self.net).__name__, "masked": self.masked, **self.net.config()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ReversibleLayer:
        """Build the layer that :meth:`config` describes, with freshly initialised arrays."""
        rest = {name: value for name, value in config.items() if name not in ("cell", "masked")}
        return cls(_CELLS[config["cell"]](**rest), masked=config["masked"])
