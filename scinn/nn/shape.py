"""Layers that change the shape of arrays and nothing else."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scinn.nn.layer import Layer, check_input, check_output_gradient, register_layer
from scinn.random import Key

__all__ = ["Flatten"]


class FlattenSaved(NamedTuple):
    """The input's shape and dtype."""

    shape: tuple[int, ...]
    dtype: np.dtype


@register_layer
class Flatten(Layer):
    """All axes but the first as one: images (n, height, width, channels) become rows, channels running fastest.

    Forward and backward are changes of shape, views where memory allows.

    Examples
    --------
    >>> import numpy as np
    >>> Flatten()(np.zeros((5, 2, 2, 3))).shape
    (5, 12)
    """

    Saved = FlattenSaved

    def forward(
        self, x: np.ndarray, *, train: bool = False, key: Key | None = None
    ) -> tuple[np.ndarray, FlattenSaved]:
        """Return ``x``, of shape (n, ...), as rows, and its shape as saved."""
        check_input(x, self, min_ndim=2)
        return x.reshape(len(x), int(np.prod(x.shape[1:]))), FlattenSaved(x.shape, x.dtype)

    def backward(self, saved: FlattenSaved, dy: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return ``dy`` in the input's shape."""
        shape = (saved.shape[0], int(np.prod(saved.shape[1:])))
        check_output_gradient(dy, self, shape, saved.dtype)
        return dy.reshape(saved.shape), {}
