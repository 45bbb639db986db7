"""The end of a decoder that attends: attention, softmax and cross-entropy, by blocks of steps.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999, section
5.2. ``S`` and ``T`` are the steps of source and target, ``B`` the rows of a batch.
"""

from __future__ import annotations

import numpy as np

from scinn.recurrent.attention import Attention
from scinn.recurrent.heads import SoftmaxHead

__all__ = ["AttentionHead"]


class AttentionHead:
    """From a block of a decoder's outputs to the loss and back: mask, attention, softmax.

    Called with blocks of steps, it returns the gradient of the loss by the outputs, and adds up the rest. The loss is
    a sum over symbols and a mean over rows. An object is made for one batch.

    Parameters
    ----------
    attention : Attention
    weight : ndarray, shape (n_out, n_symbols)
        Of the softmax.
    bias : ndarray, shape (n_symbols,)
    contexts : ndarray, shape (S, B, n_context)
    source_lengths : ndarray of int, shape (B,)
    targets : ndarray of int, shape (T, B)
        The symbol that each step predicts.
    lengths : ndarray of int, shape (B,)
        How many steps of each row count.
    mask : ndarray, shape (B, n_query), optional
        Factor of the outputs at all steps.

    Attributes
    ----------
    nats : float
        Cross-entropy of the blocks so far, summed.
    dcontexts : ndarray, shape (S, B, n_context)
        Gradient by the contexts of the blocks so far.

    Examples
    --------
    >>> attention = Attention(4, 3, rng=0)
    >>> contexts, targets = np.ones((5, 2, 3), np.float32), np.array([[0, 1], [2, 0]])
    >>> head = AttentionHead(
    ...     attention, np.zeros((4, 3), np.float32), np.zeros(3, np.float32), contexts, np.array([5, 2]), targets,
    ...     np.array([2, 1]),
    ... )
    >>> head(0, 2, np.ones((2, 2, 4), np.float32)).shape, round(head.nats / 3, 6)
    ((2, 2, 4), 1.098612)
    """

    def __init__(
        self,
        attention: Attention,
        weight: np.ndarray,
        bias: np.ndarray,
        contexts: np.ndarray,
        source_lengths: np.ndarray,
        targets: np.ndarray,
        lengths: np.ndarray,
        mask: np.ndarray | None = None,
    ) -> None:
        self._attention, self._contexts, self._source_lengths = attention, contexts, source_lengths
        self._mask = mask
        alive = np.arange(len(targets))[:, None] < lengths[None, :]
        self._softmax = SoftmaxHead(weight, bias, targets, position_weights=alive, scale=1.0)
        self._scale = weight.dtype.type(1.0 / len(lengths))
        self._grads = {name: np.zeros_like(value) for name, value in attention.params.items()}
        self.dcontexts = np.zeros_like(contexts)
        self.nats = 0.0

    def __call__(self, first: int, end: int, top: np.ndarray) -> np.ndarray:
        """Return the gradient of the loss by the outputs of steps ``first`` to ``end - 1``."""
        query = top if self._mask is None else top * self._mask
        attended, saved = self._attention.forward(query, self._contexts, lengths=self._source_lengths)
        nats, dattended = self._softmax(first, end, attended)
        self.nats += nats
        (dquery, dcontexts), grads = self._attention.backward(saved, dattended * self._scale)
        self.dcontexts += dcontexts
        for name, value in grads.items():
            self._grads[name] += value
        return dquery if self._mask is None else dquery * self._mask

    def loss(self, first: int, end: int, top: np.ndarray) -> float:
        """Return the nats of a block, without gradients."""
        attended, _ = self._attention.forward(top, self._contexts, lengths=self._source_lengths)
        return self._softmax.loss(first, end, attended)

    @property
    def grads(self) -> dict[str, np.ndarray]:
        """Gradients by the parameters of attention and softmax."""
        grads = {f"attention.{name}": value for name, value in self._grads.items()}
        return grads | {f"output.{name}": value * self._scale for name, value in self._softmax.grads.items()}
