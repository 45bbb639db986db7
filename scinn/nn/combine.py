"""Layers that join branches of a network: sum and concatenation."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from scinn.nn.layer import Layer, check_input, register_layer
from scinn.random import Key

__all__ = ["Add", "Concat"]


class AddSaved(NamedTuple):
    """Number of summands."""

    n_inputs: int


class ConcatSaved(NamedTuple):
    """Where one input ends and the next begins along the axis."""

    bounds: tuple[int, ...]


@register_layer
class Add(Layer):
    """Sum of any number of arrays of one shape: ``y = x_1 + x_2 + x_3``; each ``dx_i = dy``.

    Examples
    --------
    >>> import numpy as np
    >>> Add()(np.ones(2), np.ones(2)).tolist()
    [2.0, 2.0]
    """

    n_inputs = None
    Saved = AddSaved

    def forward(
        self, *x: np.ndarray, train: bool = False, key: Key | None = None
    ) -> tuple[np.ndarray, AddSaved]:
        """Return the sum of the inputs."""
        _check_inputs(x, self)
        for i, other in enumerate(x[1:], start=1):
            if other.shape != x[0].shape:
                raise ValueError(
                    f"Add: inputs must have one shape, got {x[0].shape} and {other.shape} (input {i})"
                )
        total = x[0]
        if len(x) > 1:
            total = x[0] + x[1]
            for other in x[2:]:
                total += other
        return total, AddSaved(len(x))

    def backward(self, saved: AddSaved, dy: np.ndarray) -> tuple[Any, dict[str, np.ndarray]]:
        """Return ``dy`` once per input."""
        return (dy if saved.n_inputs == 1 else (dy,) * saved.n_inputs), {}


@register_layer
class Concat(Layer):
    """Concatenation along one axis; the backward cuts ``dy`` at the same places.

    Parameters
    ----------
    axis : int, default -1
        The axis; the last one holds the features.

    Examples
    --------
    >>> import numpy as np
    >>> Concat()(np.ones((1, 2)), np.zeros((1, 1))).tolist()
    [[1.0, 1.0, 0.0]]
    """

    n_inputs = None
    Saved = ConcatSaved

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = int(axis)

    def forward(
        self, *x: np.ndarray, train: bool = False, key: Key | None = None
    ) -> tuple[np.ndarray, ConcatSaved]:
        """Return the concatenated inputs."""
        _check_inputs(x, self)
        ndim = x[0].ndim
        if not -ndim <= self.axis < ndim:
            raise ValueError(f"Concat: axis {self.axis} does not exist in inputs of shape {x[0].shape}")
        axis = self.axis % ndim
        rest = x[0].shape[:axis] + x[0].shape[axis + 1 :]
        for i, other in enumerate(x):
            if other.ndim != ndim or other.shape[:axis] + other.shape[axis + 1 :] != rest:
                raise ValueError(
                    f"Concat: inputs may differ along axis {self.axis} only, "
                    f"got {x[0].shape} and {other.shape} (input {i})"
                )
        bounds = (0, *(int(b) for b in np.cumsum([other.shape[axis] for other in x])))
        return np.concatenate(x, axis=axis), ConcatSaved(bounds)

    def backward(self, saved: ConcatSaved, dy: np.ndarray) -> tuple[Any, dict[str, np.ndarray]]:
        """Return the pieces of ``dy``, in the order of the inputs."""
        axis = self.axis % dy.ndim
        before = (slice(None),) * axis
        pieces = tuple(
            np.ascontiguousarray(dy[(*before, slice(a, b))]) for a, b in zip(saved.bounds, saved.bounds[1:])
        )
        return (pieces[0] if len(pieces) == 1 else pieces), {}

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"axis": self.axis}


def _check_inputs(x: tuple[np.ndarray, ...], layer: Layer) -> None:
    if not x:
        raise ValueError(f"{type(layer).__name__} needs at least one input")
    for i, other in enumerate(x):
        check_input(other, layer, name=f"input {i}")
        if other.dtype != x[0].dtype:
            raise TypeError(
                f"{type(layer).__name__}: inputs must have one dtype, "
                f"got {x[0].dtype} and {other.dtype} (input {i})"
            )
