"""Ends of a language model: tokens become vectors at one, a softmax over all symbols is trained at the other.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999; masks
that hold for a whole sequence: Y. Gal, Z. Ghahramani, "A Theoretically Grounded Application of Dropout in Recurrent
Neural Networks", NeurIPS 2016, arXiv 1512.05287. Sequences have ``T`` steps of ``B`` rows, there are ``V`` symbols.

Both ends work on blocks of steps, because a reversible network knows its outputs block by block on the way back only:
the logits of all steps, ``T B V`` numbers, would take more memory than the states that reversal saves.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scinn._input import as_float_array, as_index_array, check_in_range, check_positive_int
from scinn.recurrent.masks import dropout_mask

__all__ = ["EmbeddingStream", "SoftmaxHead", "dropout_mask"]

# Two working arrays of this size stay in a few caches, and are wide enough for fast matrix products.
_CHUNK_BYTES = 8 << 20
_SLICE_BYTES = 1 << 20


class EmbeddingStream:
    """Inputs of a network that are looked up block by block, and the gradient of the table they come from.

    A row of the table is multiplied by its ``row_scale`` and by the mask of its sequence; the same bits come whenever a
    block is asked for.

    Parameters
    ----------
    ids : ndarray of int, shape (n_steps, n_rows)
        Which row of the table each input is.
    table : ndarray of float, shape (n_symbols, n_features)
        The embedding.
    row_scale : ndarray, shape (n_symbols,), optional
        Factor of each row of the table: a mask that drops whole symbols.
    mask : ndarray, shape (n_rows, n_features), optional
        Factor of the inputs at all steps.
    grad : ndarray, shape (n_symbols, n_features), optional
        An array that the gradient is added to, such as that of a tied output; default: a new one of zeros.

    Raises
    ------
    TypeError, ValueError
        For ids that are no rows of the table, and arrays of other shapes or dtypes.

    Notes
    -----
    ``grad`` holds, after all blocks went through :meth:`accumulate`, the sums of ``dx mask row_scale`` over the
    positions of each symbol.

    Examples
    --------
    >>> import numpy as np
    >>> stream = EmbeddingStream(np.array([[0, 2], [2, 2]]), np.eye(3))
    >>> stream.shape, stream.block(1, 2).tolist()
    ((2, 2, 3), [[[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]])
    >>> stream.accumulate(0, 2, np.ones((2, 2, 3)))
    >>> stream.grad[:, 0].tolist()
    [1.0, 0.0, 3.0]
    """

    def __init__(
        self,
        ids: np.ndarray,
        table: np.ndarray,
        *,
        row_scale: np.ndarray | None = None,
        mask: np.ndarray | None = None,
        grad: np.ndarray | None = None,
    ) -> None:
        _check_floats(table, "table", (None, None), None)
        n_symbols, n_features = table.shape
        self.ids = as_index_array(ids, "ids", n=n_symbols, ndim=2)
        self.table = table
        if row_scale is not None:
            _check_floats(row_scale, "row_scale", (n_symbols,), table.dtype)
        if mask is not None:
            _check_floats(mask, "mask", (self.ids.shape[1], n_features), table.dtype)
        if grad is not None:
            _check_floats(grad, "grad", table.shape, table.dtype)
        self.row_scale, self.mask = row_scale, mask
        self.shape: tuple[int, int, int] = (self.ids.shape[0], self.ids.shape[1], n_features)
        self.grad = np.zeros_like(table) if grad is None else grad

    def block(self, first: int, end: int) -> np.ndarray:
        """Return the inputs of steps ``first`` to ``end - 1``, shape (end - first, n_rows, n_features)."""
        return self._scaled(self.table[self.ids[first:end]], self.ids[first:end])

    def accumulate(self, first: int, end: int, dx: np.ndarray) -> None:
        """Add what the gradient by a block of inputs is by the table."""
        ids = self.ids[first:end].reshape(-1)
        if not ids.size:
            return
        rows = self._scaled(dx, self.ids[first:end]).reshape(-1, self.shape[2])
        # Rows of one symbol become neighbours, and each symbol is added once: np.add.at goes one by one.
        order = np.argsort(ids, kind="stable")
        sorted_ids = ids[order]
        starts = np.flatnonzero(np.r_[True, sorted_ids[1:] != sorted_ids[:-1]])
        self.grad[sorted_ids[starts]] += np.add.reduceat(rows[order], starts, axis=0)

    def _scaled(self, values: np.ndarray, ids: np.ndarray) -> np.ndarray:
        if self.mask is not None:
            values = values * self.mask
        if self.row_scale is not None:
            values = values * self.row_scale[ids][..., None]
        return values


class SoftmaxHead:
    """Cross-entropy of a softmax over all symbols, by blocks of steps, with its gradient.

    For each position ``logits = (outputs mask) W + b`` and the loss is ``-w log softmax(logits)[target]``. With ``p``
    the softmax, ``dlogits = w (p - onehot)``, ``dW += (outputs mask)^T dlogits``, ``db += sum dlogits``, and
    ``doutputs = mask dlogits W^T``. An object is made for one call; it is the ``head`` of
    :meth:`~scinn.recurrent.RevGRU.loss_and_gradients`.

    Parameters
    ----------
    weight : ndarray of float, shape (n_features, n_symbols)
        In C or Fortran order: an embedding ``E`` (n_symbols, n_features) is tied by passing ``E.T``.
    bias : ndarray, shape (n_symbols,)
    targets : ndarray of int, shape (n_steps, n_rows)
        The symbol of each position.
    position_weights : ndarray, shape (n_steps, n_rows), optional
        How much each position counts, 0 for padding; default 1.
    scale : float, optional
        Factor of all of them; default 1 over their sum, so that the loss is a mean.
    mask : ndarray, shape (n_rows, n_features), optional
        Factor of the outputs at all steps.
    chunk_bytes : int, default 8 MiB
        Most memory for logits; at least one position is taken at a time.

    Raises
    ------
    TypeError, ValueError
        For arrays of other shapes or dtypes, targets that are no symbols, or weights that sum to zero without a scale.

    Notes
    -----
    ``grads`` holds the gradients by ``weight`` and ``bias`` of the blocks so far, that of the weight in the weight's
    memory order. Each block must be asked for once.

    References
    ----------
    MacKay et al. (2018), section 5.1; tied weights: O. Press, L. Wolf (2017), Using the output embedding to improve
    language models.

    Examples
    --------
    >>> import numpy as np
    >>> targets = np.array([[0], [2]])
    >>> head = SoftmaxHead(np.zeros((4, 3)), np.zeros(3), targets)
    >>> loss, doutputs = head(0, 2, np.ones((2, 1, 4)))
    >>> round(loss, 6), doutputs.shape, np.round(head.grads["bias"], 3).tolist()
    (1.098612, (2, 1, 4), [-0.167, 0.333, -0.167])
    """

    def __init__(
        self,
        weight: np.ndarray,
        bias: np.ndarray,
        targets: np.ndarray,
        *,
        position_weights: np.ndarray | None = None,
        scale: float | None = None,
        mask: np.ndarray | None = None,
        chunk_bytes: int = _CHUNK_BYTES,
    ) -> None:
        _check_floats(weight, "weight", (None, None), None)
        self.n_features, self.n_symbols = weight.shape
        _check_floats(bias, "bias", (self.n_symbols,), weight.dtype)
        self.targets = as_index_array(targets, "targets", n=self.n_symbols, ndim=2)
        if mask is not None:
            _check_floats(mask, "mask", (self.targets.shape[1], self.n_features), weight.dtype)
        self.weight, self.bias, self.mask = weight, bias, mask
        self._counts = _counts(position_weights, scale, self.targets.shape)
        chunk_bytes = check_positive_int(chunk_bytes, "chunk_bytes")
        self._most_rows = max(chunk_bytes // max(self.n_symbols * weight.itemsize, 1), 1)
        self._dweight: np.ndarray | None = None
        self._dbias = np.zeros(self.n_symbols, dtype=np.float64)
        self._work: list[np.ndarray] = []

    def __call__(self, first: int, end: int, outputs: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the loss of a block of steps and its gradient by the outputs.

        Parameters
        ----------
        first, end : int
            The block's first step and its end.
        outputs : ndarray, shape (end - first, n_rows, n_features)

        Returns
        -------
        loss : float
            Summed over the block's positions with their weights.
        doutputs : ndarray
            Shape and dtype of ``outputs``.
        """
        rows, targets, counts = self._rows(first, end, outputs)
        drows = np.empty_like(rows)
        loss = 0.0
        dweight = self._weight_gradient()
        for part in self._parts(len(rows)):
            own, dlogits = self._loss(rows[part], targets[part], counts[part])
            loss += own
            np.matmul(dlogits, self.weight.T, out=drows[part])
            self._dbias += dlogits.sum(axis=0)
            _add_outer(rows[part], dlogits, dweight)
        doutputs = drows.reshape(outputs.shape)
        return loss, doutputs if self.mask is None else doutputs * self.mask

    def loss(self, first: int, end: int, outputs: np.ndarray) -> float:
        """Return the loss of a block of steps, without gradients.

        Parameters
        ----------
        first, end : int
            The block's first step and its end.
        outputs : ndarray, shape (end - first, n_rows, n_features)

        Returns
        -------
        float
        """
        rows, targets, counts = self._rows(first, end, outputs)
        return sum(self._loss(rows[p], targets[p], counts[p])[0] for p in self._parts(len(rows)))

    @property
    def grads(self) -> dict[str, np.ndarray]:
        """Gradients by ``"weight"`` and ``"bias"`` of the blocks so far."""
        return {"weight": self._weight_gradient(), "bias": self._dbias.astype(self.bias.dtype)}

    def _weight_gradient(self) -> np.ndarray:
        if self._dweight is None:
            order: Any = "C" if self.weight.flags.c_contiguous else "F"
            self._dweight = np.zeros(self.weight.shape, self.weight.dtype, order=order)
        return self._dweight

    def _rows(self, first: int, end: int, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        n_steps, n_rows = self.targets.shape
        wanted = (end - first, n_rows, self.n_features)
        if not 0 <= first <= end <= n_steps or outputs.shape != wanted or outputs.dtype != self.weight.dtype:
            raise ValueError(
                f"outputs of steps {first} to {end} of {n_steps} must be {self.weight.dtype} of shape {wanted}, got "
                f"{outputs.dtype} {outputs.shape}"
            )
        masked = outputs if self.mask is None else outputs * self.mask
        rows = np.ascontiguousarray(masked).reshape(-1, self.n_features)
        return rows, self.targets[first:end].reshape(-1), self._counts[first:end].reshape(-1)

    def _parts(self, n_rows: int) -> list[slice]:
        """Cut rows into parts of nearly equal size, which make better products than full ones and a small rest."""
        n_parts = -(-n_rows // self._most_rows)
        return [slice(n_rows * i // n_parts, n_rows * (i + 1) // n_parts) for i in range(n_parts)]

    def _loss(self, rows: np.ndarray, targets: np.ndarray, counts: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the loss of some rows, and the gradient by their logits in an array that is used again."""
        from scinn.kernels.losses import softmax_cross_entropy

        if not self._work or len(self._work[0]) < len(rows):
            self._work = [np.empty((len(rows), self.n_symbols), self.weight.dtype) for _ in range(2)]
        logits, dlogits = (array[: len(rows)] for array in self._work)
        np.matmul(rows, self.weight, out=logits)
        logits += self.bias
        return float(softmax_cross_entropy(logits, targets, counts, 0.0, dlogits)), dlogits


def _add_outer(rows: np.ndarray, dlogits: np.ndarray, total: np.ndarray) -> None:
    """Add ``rows^T dlogits`` in slices of symbols: a product as large as the weight would leave the caches."""
    n_features, n_symbols = total.shape
    width = max(_SLICE_BYTES // (n_features * total.itemsize), 1)
    for first in range(0, n_symbols, width):
        part = slice(first, first + width)
        if total.flags.c_contiguous:
            total[:, part] += rows.T @ dlogits[:, part]
        else:
            turned = total[:, part].T
            turned += dlogits[:, part].T @ rows


def _counts(position_weights: Any, scale: float | None, shape: tuple[int, ...]) -> np.ndarray:
    """Return the factor of each position's loss, in float64."""
    if position_weights is None:
        weights = np.ones(shape)
    else:
        weights = as_float_array(position_weights, "position_weights", shape=shape, dtype=np.float64)
        if weights.size and weights.min() < 0:
            raise ValueError(f"position_weights must not be negative, got {weights.min():g}")
    if scale is None:
        total = weights.sum()
        if total == 0:
            raise ValueError("no position counts, so that there is no mean loss; check position_weights")
        scale = 1.0 / total
    return weights * check_in_range(scale, "scale", 0.0)


def _check_floats(array: Any, name: str, shape: tuple[int | None, ...], dtype: Any) -> None:
    """Refuse what is not a float array of a shape and, where one is given, a dtype."""
    if not isinstance(array, np.ndarray) or array.dtype not in (np.float32, np.float64):
        came = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise TypeError(f"{name} must be an ndarray of float32 or float64, got {came}")
    fits = array.ndim == len(shape) and all(w is None or w == s for w, s in zip(shape, array.shape))
    if not fits:
        wanted = "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"
        raise ValueError(f"{name} must have shape {wanted}, got {array.shape}")
    if dtype is not None and array.dtype != dtype:
        raise TypeError(f"{name} is {array.dtype}, and {dtype} is wanted, as of the other arrays")
