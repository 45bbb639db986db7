"""What a decoder attends to: the encoder's top state, a slice of it, the embedded source, or both of the latter.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999, section
5.2. A slice is stored in full at every step, while the other units of the encoder are undone; embeddings cost nothing,
because they are looked up again. ``S`` are the steps of the source, ``B`` the rows of a batch.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scinn._input import check_choice, check_positive_int
from scinn.recurrent.cells import is_reversible
from scinn.recurrent.heads import EmbeddingStream

__all__ = ["CONTEXTS", "ContextSource"]

CONTEXTS = ("hidden", "embedding", "slice", "slice_embedding")
# What the paper's code calls them.
_SHORT_NAMES = {"emb": "embedding", "slice_emb": "slice_embedding"}


class ContextSource:
    """Where a model takes its context vectors from, and where their gradient goes.

    Parameters
    ----------
    context : {"hidden", "embedding", "slice", "slice_embedding"}
        ``"emb"`` and ``"slice_emb"`` are other names.
    n_slice : int or None
        Units of a slice; only for the contexts with slices.
    cell : str
        Cell of the encoder, see :data:`scinn.recurrent.cells.CELLS`; of a reversible one at most half of the units can
        be a slice.
    n_hidden, n_embedding : int
        Units of the encoder, features of an embedding.

    Attributes
    ----------
    name : str
        The context, by its long name.
    n_slice : int or None
    keep : int
        How many units of the encoder's last layer are stored at every step.
    n_features : int
        Features of a context vector, the embedding first.

    Raises
    ------
    ValueError
        For an unknown context, or a slice that does not fit.

    Examples
    --------
    >>> source = ContextSource("slice_emb", 2, "rev_gru", n_hidden=8, n_embedding=5)
    >>> source.name, source.keep, source.n_features
    ('slice_embedding', 2, 7)
    """

    def __init__(
        self, context: str, n_slice: int | None, cell: str, *, n_hidden: int, n_embedding: int
    ) -> None:
        self.name = check_choice(_SHORT_NAMES.get(context, context), "context", CONTEXTS)
        self.n_slice = self._checked_slice(n_slice, cell, n_hidden)
        self.keep = n_hidden if self.name == "hidden" else self.n_slice or 0
        self._embedded = "embedding" in self.name
        self.n_features = self.keep + (n_embedding if self._embedded else 0)

    def _checked_slice(self, n_slice: int | None, cell: str, n_hidden: int) -> int | None:
        if "slice" not in self.name:
            if n_slice is not None:
                raise ValueError(
                    f"n_slice is {n_slice}, and the context {self.name!r} has no slices; leave it out"
                )
            return None
        if n_slice is None:
            raise ValueError(f"the context {self.name!r} needs n_slice, the number of units that are stored")
        n_slice = check_positive_int(n_slice, "n_slice")
        most = n_hidden // 2 if is_reversible(cell) else n_hidden
        if n_slice > most:
            raise ValueError(
                f"n_slice is {n_slice}; at most {most} of {n_hidden} units can be stored as a slice, and "
                "context='hidden' stores all"
            )
        return n_slice

    def vectors(
        self, stream: EmbeddingStream, kept: np.ndarray | None, mask: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the context vectors.

        Parameters
        ----------
        stream : EmbeddingStream
            The encoder's inputs.
        kept : ndarray, shape (S, B, keep), or None
            The units that are stored, where there are any.
        mask : ndarray, shape (B, keep), optional
            Factor of these at all steps.

        Returns
        -------
        ndarray, shape (S, B, n_features)
        """
        parts = [stream.block(0, stream.shape[0])] if self._embedded else []
        if kept is not None:
            parts.append(kept if mask is None else kept * mask)
        return np.concatenate(parts, axis=2) if len(parts) > 1 else parts[0]

    def gradient(
        self, stream: EmbeddingStream, dcontexts: np.ndarray, mask: np.ndarray | None = None
    ) -> Callable[[int, int, np.ndarray], np.ndarray | None]:
        """Add the gradient by embedded contexts to the table's, and return what the encoder's top state receives.

        Parameters
        ----------
        stream, mask
            As for :meth:`vectors`.
        dcontexts : ndarray, shape (S, B, n_features)
            Gradient by the context vectors.

        Returns
        -------
        callable
            The ``output_gradient`` of the encoder's pass back.
        """
        keep = self.keep
        if self._embedded:
            stream.accumulate(0, stream.shape[0], dcontexts[..., : stream.shape[2]])
        if not keep:
            return lambda first, end, top: None
        dkept = dcontexts[..., dcontexts.shape[2] - keep :]
        if mask is not None:
            dkept = dkept * mask

        def gradient(first: int, end: int, top: np.ndarray) -> np.ndarray:
            dtop = np.zeros_like(top)
            dtop[..., :keep] = dkept[first:end]
            return dtop

        return gradient
