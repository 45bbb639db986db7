"""A table of vectors, looked up by integers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from scinn.nn.initializers import initialize
from scinn.nn.layer import Layer, check_dtype, register_layer
from scinn.random import Key, RandomState, as_generator

__all__ = ["Embedding"]


class EmbeddingSaved(NamedTuple):
    """The indices that were looked up."""

    indices: np.ndarray


@register_layer
class Embedding(Layer):
    """Row lookup: ``y[i] = W[index[i]]``; ``dW[k]`` is the sum of ``dy[i]`` over ``index[i] = k``; no ``dx``.

    Parameters
    ----------
    n_symbols : int
        Number of rows of the table.
    n_features : int
        Length of a row.
    init : str, default "normal"
        Initial values, see :func:`scinn.nn.initialize`.
    dtype : dtype, default float32
        Dtype of the table.
    rng : int, SeedSequence, Generator, Key or None
        Source of the initial values.

    Examples
    --------
    >>> import numpy as np
    >>> layer = Embedding(5, 2, init="ones")
    >>> layer(np.array([[0, 4, 4]])).shape
    (1, 3, 2)
    """

    Saved = EmbeddingSaved

    def __init__(
        self,
        n_symbols: int,
        n_features: int,
        *,
        init: str = "normal",
        dtype: Any = np.float32,
        rng: RandomState = None,
    ) -> None:
        super().__init__()
        for name, value in (("n_symbols", n_symbols), ("n_features", n_features)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise ValueError(f"{name} must be a positive integer, got {value!r}")
        self.n_symbols, self.n_features, self.init = int(n_symbols), int(n_features), init
        shape = (self.n_symbols, self.n_features)
        self.params = {"weight": initialize(init, shape, rng=as_generator(rng), dtype=check_dtype(dtype))}

    def forward(
        self, index: np.ndarray, *, train: bool = False, key: Key | None = None
    ) -> tuple[np.ndarray, EmbeddingSaved]:
        """Return the rows of the table at ``index``.

        Parameters
        ----------
        index : ndarray of integers, any shape
            In [0, n_symbols).
        train, key
            Ignored.

        Returns
        -------
        y : ndarray, shape index.shape + (n_features,)
        saved : EmbeddingSaved
        """
        if not isinstance(index, np.ndarray) or index.dtype.kind not in "iu":
            came = index.dtype if isinstance(index, np.ndarray) else type(index).__name__
            raise TypeError(f"Embedding: index must be an ndarray of integers, got {came}")
        if index.size and (index.min() < 0 or index.max() >= self.n_symbols):
            raise ValueError(
                f"Embedding: index must be in [0, {self.n_symbols}), "
                f"got values from {index.min()} to {index.max()}"
            )
        return self.params["weight"][index], EmbeddingSaved(index)

    def backward(self, saved: EmbeddingSaved, dy: np.ndarray) -> tuple[None, dict[str, np.ndarray]]:
        """Return None and the gradient of the table: rows of ``dy`` added up by index, in float64."""
        index = saved.indices.reshape(-1)
        rows = dy.reshape(-1, self.n_features)
        dweight = np.zeros((self.n_symbols, self.n_features), dtype=np.float64)
        if index.size:
            order = np.argsort(index, kind="stable")
            used, starts = np.unique(index[order], return_index=True)
            dweight[used] = np.add.reduceat(rows[order].astype(np.float64), starts, axis=0)
        return None, {"weight": dweight.astype(dy.dtype)}

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "n_symbols": self.n_symbols,
            "n_features": self.n_features,
            "init": self.init,
            "dtype": str(self.params["weight"].dtype),
        }
