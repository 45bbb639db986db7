"""Attention of a decoder over the steps of an encoder, with its gradient: Luong's "general" form.

M.-T. Luong, H. Pham, C. D. Manning, "Effective Approaches to Attention-based Neural Machine Translation", EMNLP 2015,
arXiv 1508.04025; M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018,
arXiv 1810.10999. A query ``q`` (H) is the decoder's top state at one step, ``C_s`` (C) the context of the source's step
``s``, and ``o`` (O) what the output layer reads. Nothing of it returns into the decoder's state (there is no input
feeding), so that steps of the decoder are undone without attention, and a block of steps attends in one product.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from scinn._input import check_positive_int
from scinn.nn.initializers import initialize
from scinn.nn.layer import Layer, check_dtype, check_input, check_output_gradient, register_layer
from scinn.random import Key, RandomState, as_generator

__all__ = ["Attention", "AttentionSaved"]


class AttentionSaved(NamedTuple):
    """What the backward of attention needs.

    Parameters
    ----------
    query : ndarray, shape (n_steps, batch, n_query)
    memory : ndarray, shape (n_source, batch, n_context)
    keys : ndarray, shape (n_steps, batch, n_context)
        Queries in the context's space.
    weights : ndarray, shape (n_steps, batch, n_source)
        Attention: non-negative, of sum 1, exactly 0 behind a row's length.
    joined : ndarray, shape (n_steps, batch, n_context + n_query)
        Attended context, then query.
    output : ndarray, shape (n_steps, batch, n_out)
    """

    query: np.ndarray
    memory: np.ndarray
    keys: np.ndarray
    weights: np.ndarray
    joined: np.ndarray
    output: np.ndarray


@register_layer
class Attention(Layer):
    """Global attention with a bilinear score.

    For each step and row ``score_s = (q W_a) . C_s``, ``a = softmax(score)`` over the steps ``s`` below the row's
    length, ``c = sum_s a_s C_s`` and ``o = tanh([c, q] W_o)``, without biases. Backward, with ``e = do (1 - o^2)``:
    ``[dc, dq] = e W_o^T``, ``da_s = dc . C_s``, ``dscore = a (da - sum_s a_s da_s)``, ``dk = sum_s dscore_s C_s``,
    ``dC_s = a_s dc + dscore_s (q W_a)``, ``dq += dk W_a^T``, ``dW_a = q^T dk``, ``dW_o = [c, q]^T e``.

    Parameters
    ----------
    n_query : int
        Features of a query: the decoder's width.
    n_context : int
        Features of a context vector.
    n_out : int, optional
        Features of the output; default ``n_query``.
    dtype : dtype, default float32
        Dtype of the parameters, which inputs must share.
    rng : int, SeedSequence, Generator, Key or None
        Source of the initial values.

    Notes
    -----
    ``params["weight_score"]`` is ``W_a`` of shape (n_query, n_context), ``params["weight_out"]`` is ``W_o`` of shape
    (n_context + n_query, n_out), rows of the context first.

    References
    ----------
    Luong, Pham and Manning (2015), equations 5, 7 and 8 ("general"); MacKay et al. (2018), section 5.2.

    Examples
    --------
    >>> import numpy as np
    >>> attention = Attention(4, 3, rng=0)
    >>> query, memory = np.ones((5, 2, 4), np.float32), np.ones((7, 2, 3), np.float32)
    >>> output, saved = attention.forward(query, memory, lengths=np.array([7, 2]))
    >>> output.shape, saved.weights.shape, saved.weights[0, 1].tolist()
    ((5, 2, 4), (5, 2, 7), [0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0])
    """

    Saved = AttentionSaved
    n_inputs = 2

    def __init__(
        self,
        n_query: int,
        n_context: int,
        n_out: int | None = None,
        *,
        dtype: Any = np.float32,
        rng: RandomState = None,
    ) -> None:
        super().__init__()
        self.n_query = check_positive_int(n_query, "n_query")
        self.n_context = check_positive_int(n_context, "n_context")
        self.n_out = self.n_query if n_out is None else check_positive_int(n_out, "n_out")
        dtype, generator = check_dtype(dtype), as_generator(rng)
        self.params = {
            name: initialize("glorot_uniform", shape, rng=generator, dtype=dtype)
            for name, shape in (
                ("weight_score", (self.n_query, self.n_context)),
                ("weight_out", (self.n_context + self.n_query, self.n_out)),
            )
        }

    def forward(
        self, *x: np.ndarray, train: bool = False, key: Key | None = None, lengths: Any = None
    ) -> tuple[np.ndarray, AttentionSaved]:
        """Attend with every step's query.

        Parameters
        ----------
        *x : ndarray
            Queries of shape (n_steps, batch, n_query) and contexts of shape (n_source, batch, n_context).
        train, key
            Ignored.
        lengths : array_like of int, shape (batch,), optional
            How many steps each row's source has, from 1 to n_source; default: all.

        Returns
        -------
        output : ndarray, shape (n_steps, batch, n_out)
        saved : AttentionSaved

        Raises
        ------
        TypeError, ValueError
            For other shapes, dtypes or lengths.
        """
        query, memory = self._checked(x)
        masked = _masked_steps(lengths, memory.shape[:2])
        flat, weight_score, weight_out = (
            query.reshape(-1, self.n_query),
            self.params["weight_score"],
            self.params["weight_out"],
        )
        keys = (flat @ weight_score).reshape(*query.shape[:2], self.n_context)
        # One product per row of the batch: (n_steps, n_context) by (n_context, n_source).
        scores = np.matmul(keys.transpose(1, 0, 2), memory.transpose(1, 2, 0))
        if masked is not None:
            scores[np.broadcast_to(masked[:, None, :], scores.shape)] = -np.inf
        weights = _softmax(scores)
        joined = np.empty((*query.shape[:2], self.n_context + self.n_query), dtype=query.dtype)
        joined[..., : self.n_context] = np.matmul(weights, memory.transpose(1, 0, 2)).transpose(1, 0, 2)
        joined[..., self.n_context :] = query
        output = np.tanh(joined.reshape(-1, joined.shape[2]) @ weight_out).reshape(
            *query.shape[:2], self.n_out
        )
        return output, AttentionSaved(query, memory, keys, weights.transpose(1, 0, 2), joined, output)

    def backward(
        self, saved: AttentionSaved, dy: np.ndarray
    ) -> tuple[tuple[np.ndarray, np.ndarray], dict[str, np.ndarray]]:
        """Return the gradients by queries and contexts, and by the parameters.

        Parameters
        ----------
        saved : AttentionSaved
            From :meth:`forward`.
        dy : ndarray, shape (n_steps, batch, n_out)
            Gradient of the loss by the output.

        Returns
        -------
        dx : tuple of ndarray
            By the queries (n_steps, batch, n_query) and the contexts (n_source, batch, n_context), the latter exactly 0
            behind a row's length.
        grads : dict of str to ndarray
        """
        query, memory, keys, weights, joined, output = saved
        check_output_gradient(dy, self, output.shape, output.dtype)
        one = output.dtype.type(1)
        e = (dy * (one - output * output)).reshape(-1, self.n_out)
        djoined = (e @ self.params["weight_out"].T).reshape(joined.shape)
        dcontext = djoined[..., : self.n_context].transpose(1, 0, 2)
        by_row = weights.transpose(1, 0, 2)
        dweights = np.matmul(dcontext, memory.transpose(1, 2, 0))
        dscores = by_row * (dweights - (by_row * dweights).sum(axis=2, keepdims=True))
        dkeys = np.matmul(dscores, memory.transpose(1, 0, 2)).transpose(1, 0, 2).reshape(-1, self.n_context)
        dmemory = np.matmul(by_row.transpose(0, 2, 1), dcontext)
        dmemory += np.matmul(dscores.transpose(0, 2, 1), keys.transpose(1, 0, 2))
        flat = query.reshape(-1, self.n_query)
        dquery = dkeys @ self.params["weight_score"].T + djoined[..., self.n_context :].reshape(
            -1, self.n_query
        )
        grads = {
            "weight_score": flat.T @ dkeys,
            "weight_out": joined.reshape(-1, joined.shape[2]).T @ e,
        }
        return (dquery.reshape(query.shape), np.ascontiguousarray(dmemory.transpose(1, 0, 2))), grads

    def _checked(self, x: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
        if len(x) != 2:
            raise TypeError(f"Attention takes queries and contexts, got {len(x)} arrays")
        for array, name, width in zip(x, ("query", "memory"), (self.n_query, self.n_context)):
            check_input(array, self, name=name, n_features=width)
            if array.ndim != 3:
                raise ValueError(
                    f"Attention: {name} must have shape (steps, batch, features), got {array.shape}"
                )
        query, memory = x
        if memory.shape[0] == 0 or memory.shape[1] != query.shape[1]:
            raise ValueError(
                f"Attention: memory has shape {memory.shape}, query {query.shape}; wanted at least one source step and "
                "the same batch"
            )
        return query, memory

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "n_query": self.n_query,
            "n_context": self.n_context,
            "n_out": self.n_out,
            "dtype": str(self.params["weight_out"].dtype),
        }


def _masked_steps(lengths: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return which source steps (batch, n_source) are behind their row's length, or None where there are none."""
    if lengths is None:
        return None
    n_source, n_rows = shape
    lengths = np.asarray(lengths)
    if lengths.dtype.kind not in "iu" or lengths.shape != (n_rows,):
        raise ValueError(
            f"Attention: lengths must be {n_rows} integers, one for each row, got {lengths.dtype} of shape {lengths.shape}"
        )
    if lengths.size and (lengths.min() < 1 or lengths.max() > n_source):
        raise ValueError(
            f"Attention: lengths must lie between 1 and the {n_source} source steps, got {lengths.min()} to "
            f"{lengths.max()}; a row without steps has nothing to attend to"
        )
    masked: np.ndarray = np.arange(n_source)[None, :] >= lengths[:, None]
    return masked if masked.any() else None


def _softmax(scores: np.ndarray) -> np.ndarray:
    """Turn scores into their softmax over the last axis, in place; minus infinity becomes exactly 0."""
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return scores
