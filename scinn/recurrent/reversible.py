"""Reversible recurrent networks: states that can be undone to the last bit, at the price of the bits that were forgotten.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999; the
lossless multiplication is Algorithm 3 of D. Maclaurin, D. Duvenaud, R. Adams, "Gradient-based Hyperparameter
Optimization through Reversible Learning", ICML 2015, arXiv 1502.03492.

Notation: ``x`` input (B, n_in); ``h1, h2`` halves of the state, each (B, n) with ``n = n_hidden / 2``; ``[a, b]``
columns side by side; ``z`` keeps (``z = 1`` forgets nothing). States are integers ``h* = 2^23 h``, gates
``z* = round(1024 z)``.

What the paper leaves to the reader, or its code does otherwise, and what is done here:

* The update of the RevGRU is ``(1 - z* / 1024) g`` with the rounded gate, so that a state that starts within [-1, 1]
  stays within 1.13 for ever; with the unrounded gate of the paper (``compat=True``) a saturated gate drifts.
* Gradients are the exact straight-through gradients of the steps that were computed, at the states that reversal
  brings back.
* Each layer has a tape of its own, and forgotten bits are packed by an entropy coder (``coder="rans"``, an asymmetric
  numeral system) unless the paper's layout is asked for (``coder="planes"``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scinn.random import RandomState
from scinn.recurrent.layer_pass import GRUPass, LSTMPass
from scinn.recurrent.network import ReversibleNetwork

__all__ = ["RevGRU", "RevLSTM"]


class RevGRU(ReversibleNetwork):
    """Reversible gated recurrent units.

    Per step, for half 1 and then, with the new half 1, for half 2::

        z1, r1 = sigmoid([x, h2] W_zr1 + b_zr1)         z1 = 2^-k + (1 - 2^-k) z1
        g1     = tanh([x, r1 * h2] W_g1 + b_g1)
        h1'    = z1 * h1 + (1 - z1) * g1

    in fixed point: ``z1 * h1`` is an integer product that puts what it would drop on the tape, and the update is
    rounded. Going back, ``h2`` and then ``h1`` are brought back to the bit. Backward, with ``e`` the gradient by
    ``h1'`` and ``v = dg W_g^T``: ``dg = e (1 - z) (1 - g^2)``, ``dz = e (h1 - g)``, ``dr = v h2``; the gradient by
    the old half is ``e z``, and the other half takes ``v r + [dz z'(.), dr r (1 - r)] W_zr^T``.

    Parameters
    ----------
    n_in : int
        Number of input features.
    n_hidden : int or sequence of int
        Number of units, even; one number for all layers, or one for each.
    n_layers : int, default 1
        Layers on top of each other.
    max_forget_bits : float or None, default 3
        Most bits ``k`` that a step may forget of a unit; None is no limit.
    coder : {"rans", "floor_digit", "planes"}
        How forgotten bits are packed: by an entropy coder, by digits that leave the forward pass free of noise, or as
        in the paper's code.
    exactness : {"A", "B", "C"}
        What may change between the directions without changing bits. A: nothing that decides the bits of a matrix
        product (threads, library, machine), which is fast and is checked. B: the number of threads and the shape of
        blocks. C: also the library; products are exact in integers, for inputs and weights below 8 in size.
    compat : bool, default False
        The paper's update ``(1 - z) g`` with the unrounded gate.
    forget : bool, default True
        With False nothing is ever scaled: ``h1' = h1 + (1 - z1) g1``, and there is nothing to store.
    arithmetic : {"fixed", "real"}
        Real arithmetic is for checks of gradients; it cannot be undone.
    dropout, weight_drop : float, default 0
        Shares of units dropped between layers, and of recurrent weights dropped, by masks that hold for a whole call.
    block : int, default 8
        Steps that share one product with the inputs.
    dtype : dtype, default float32
        Dtype of the parameters and of gates.
    rng : int, SeedSequence, Generator, Key or None
        Source of the initial values, uniform within ``1 / sqrt(n_hidden)``; biases start at zero.

    References
    ----------
    MacKay et al. (2018), section 3.1 (RevGRU) and section 5 (forgetting).

    Examples
    --------
    >>> import numpy as np
    >>> net = RevGRU(3, 4, n_layers=2, max_forget_bits=2, rng=0)
    >>> tapes = net.make_tapes(1)
    >>> before = net.initial_state(1)
    >>> after = net.advance(before, np.ones((1, 3), dtype=np.float32), tapes)
    >>> again = net.reverse(after, np.ones((1, 3), dtype=np.float32), tapes)
    >>> bool((again[1][0] == before[1][0]).all()), len(tapes)
    (True, 0)
    """

    n_gates = 3
    state_names = ("h1", "h2")
    _pass = GRUPass

    def __init__(
        self,
        n_in: int,
        n_hidden: int | Sequence[int],
        n_layers: int = 1,
        *,
        max_forget_bits: float | None = 3.0,
        coder: str = "rans",
        exactness: str = "A",
        compat: bool = False,
        forget: bool = True,
        arithmetic: str = "fixed",
        dropout: float = 0.0,
        weight_drop: float = 0.0,
        block: int = 8,
        dtype: Any = np.float32,
        rng: RandomState = None,
    ) -> None:
        super().__init__(
            n_in, n_hidden, n_layers, max_forget_bits=max_forget_bits, coder=coder, exactness=exactness, forget=forget,
            arithmetic=arithmetic, dropout=dropout, weight_drop=weight_drop, block=block, dtype=dtype, rng=rng,
            _compat=bool(compat),
        )  # fmt: skip
        self.compat = bool(compat)

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values."""
        return super().config() | {"compat": self.compat}


class RevLSTM(ReversibleNetwork):
    """Reversible long short-term memory.

    Per step, for half 1 from ``[x, h2]`` and then for half 2 from ``[x, h1']``::

        z, p = 2^-k + (1 - 2^-k) sigmoid(.)             g = tanh(.)      f, o = sigmoid(.)
        c1'  = z * c1 + f * g
        h1'  = p * h1 + o * tanh(c1')

    with both products in fixed point and reversible; ``p`` is the further gate that an output needs which may not be
    overwritten. Backward, with ``e_h`` and ``e_c`` the gradients by ``h1'`` and ``c1'`` and ``t = tanh(c1')``:
    ``dc = e_c + e_h o (1 - t^2)``, ``do = e_h t``, ``dp = e_h h1``, ``dz = dc c1``, ``df = dc g``, ``dg = dc f``; the
    old state takes ``e_h p`` and ``dc z``.

    Parameters
    ----------
    n_in : int
        Number of input features.
    n_hidden : int or sequence of int
        Number of units, even; one number for all layers, or one for each.
    n_layers : int, default 1
        Layers on top of each other.
    max_forget_bits : float or None, default 3
        Most bits that a step may forget of a unit; None is no limit.
    bounded : float or None, default None
        With ``j``, ``z`` and ``p`` stay at or below ``1 - 2^-j``, so that cells and outputs never exceed ``2^j`` in
        size (use at most 7.9). Without it states can grow until they leave the fixed-point range, which is an error.
    coder, exactness, forget, arithmetic, dropout, weight_drop, block, dtype, rng
        As for :class:`RevGRU`; without forgetting ``c1' = c1 + f g`` and ``h1' = h1 + o tanh(c1')``.

    Notes
    -----
    The columns of the weights are the gates z, g, f, o, p of half 1 and then of half 2.

    References
    ----------
    MacKay et al. (2018), section 3.1 (RevLSTM) and section 5 (forgetting).

    Examples
    --------
    >>> import numpy as np
    >>> net = RevLSTM(3, 4, bounded=4, rng=0)
    >>> outputs, state = net.run(np.ones((5, 2, 3), dtype=np.float32))
    >>> outputs.shape, [array.shape for array in state[0]]
    ((5, 2, 4), [(2, 2), (2, 2), (2, 2), (2, 2)])
    """

    n_gates = 5
    state_names = ("h1", "h2", "c1", "c2")
    _pass = LSTMPass

    def __init__(
        self,
        n_in: int,
        n_hidden: int | Sequence[int],
        n_layers: int = 1,
        *,
        max_forget_bits: float | None = 3.0,
        bounded: float | None = None,
        coder: str = "rans",
        exactness: str = "A",
        forget: bool = True,
        arithmetic: str = "fixed",
        dropout: float = 0.0,
        weight_drop: float = 0.0,
        block: int = 8,
        dtype: Any = np.float32,
        rng: RandomState = None,
    ) -> None:
        super().__init__(
            n_in, n_hidden, n_layers, max_forget_bits=max_forget_bits, coder=coder, exactness=exactness, forget=forget,
            arithmetic=arithmetic, dropout=dropout, weight_drop=weight_drop, block=block, dtype=dtype, rng=rng,
            _bounded=bounded,
        )  # fmt: skip
        self.bounded = bounded

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values."""
        return super().config() | {"bounded": self.bounded}
