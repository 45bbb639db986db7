"""Element-wise activations. Each saves what its derivative is cheapest in, mostly its own output."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from scinn.nn.layer import Layer, check_input, register_layer
from scinn.random import Key

__all__ = ["LeakyReLU", "ReLU", "Sigmoid", "Tanh", "sigmoid"]


class OutputSaved(NamedTuple):
    """An activation's own output: the next layer holds the same array, so it costs no memory."""

    y: np.ndarray


class SignSaved(NamedTuple):
    """Where the input was positive."""

    positive: np.ndarray


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Return ``1 / (1 + exp(-x))`` without overflow, in the dtype of ``x``.

    Parameters
    ----------
    x : ndarray of float32 or float64

    Returns
    -------
    ndarray
        Same shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    decay = np.exp(-np.abs(x))
    return np.where(x >= 0, x.dtype.type(1), decay) / (1 + decay)


@register_layer
class ReLU(Layer):
    """Rectifier: ``y = max(x, 0)``; ``dx = dy [y > 0]`` (the derivative at 0 is 0). NaN stays NaN.

    Examples
    --------
    >>> import numpy as np
    >>> ReLU()(np.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    Saved = OutputSaved

    def forward(
        self, x: np.ndarray, *, train: bool = False, key: Key | None = None
    ) -> tuple[np.ndarray, OutputSaved]:
        """Return ``max(x, 0)`` for ``x`` of any shape, and the output itself as saved."""
        check_input(x, self)
        y = np.maximum(x, x.dtype.type(0))
        return y, OutputSaved(y)

    def backward(self, saved: OutputSaved, dy: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return ``dy [y > 0]``."""
        return dy * (saved.y > 0), {}


@register_layer
class LeakyReLU(Layer):
    """Leaky rectifier: ``y = x`` where x > 0, ``slope x`` elsewhere; the derivative at 0 is ``slope``.

    Parameters
    ----------
    slope : float, default 0.01
        Slope for negative inputs.

    Examples
    --------
    >>> import numpy as np
    >>> LeakyReLU(0.5)(np.array([-1.0, 2.0])).tolist()
    [-0.5, 2.0]
    """

    Saved = SignSaved

    def __init__(self, slope: float = 0.01) -> None:
        super().__init__()
        if not np.isfinite(slope):
            raise ValueError(f"slope must be finite, got {slope!r}")
        self.slope = float(slope)

    def forward(
        self, x: np.ndarray, *, train: bool = False, key: Key | None = None
    ) -> tuple[np.ndarray, SignSaved]:
        """Return the activation of ``x`` of any shape, and the mask of its positive entries."""
        check_input(x, self)
        positive = x > 0
        return np.where(positive, x, x * x.dtype.type(self.slope)), SignSaved(positive)

    def backward(self, saved: SignSaved, dy: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return ``dy`` where x was positive, ``slope dy`` elsewhere."""
        return np.where(saved.positive, dy, dy * dy.dtype.type(self.slope)), {}

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"slope": self.slope}


@register_layer
class Tanh(Layer):
    """Hyperbolic tangent: ``y = tanh(slope x)``; ``dx = dy slope (1 - y^2)``.

    Parameters
    ----------
    slope : float, default 1.0
        Derivative at 0. With 0.5 it is the logistic function scaled to (-1, 1), ``2 / (1 + exp(-x)) - 1``.

    Examples
    --------
    >>> import numpy as np
    >>> Tanh()(np.array([0.0])).tolist()
    [0.0]
    """

    Saved = OutputSaved

    def __init__(self, slope: float = 1.0) -> None:
        super().__init__()
        if not np.isfinite(slope):
            raise ValueError(f"slope must be finite, got {slope!r}")
        self.slope = float(slope)

    def forward(
        self, x: np.ndarray, *, train: bool = False, key: Key | None = None
    ) -> tuple[np.ndarray, OutputSaved]:
        """Return ``tanh(slope x)`` for ``x`` of any shape, and the output itself as saved."""
        check_input(x, self)
        y = np.tanh(x if self.slope == 1.0 else x * x.dtype.type(self.slope))
        return y, OutputSaved(y)

    def backward(self, saved: OutputSaved, dy: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return ``dy slope (1 - y^2)``."""
        dx = dy * (1 - saved.y * saved.y)
        return (dx if self.slope == 1.0 else dx * dy.dtype.type(self.slope)), {}

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"slope": self.slope}


@register_layer
class Sigmoid(Layer):
    """Logistic function: ``y = 1 / (1 + exp(-x))``; ``dx = dy y (1 - y)``.

    Examples
    --------
    >>> import numpy as np
    >>> Sigmoid()(np.array([0.0])).tolist()
    [0.5]
    """

    Saved = OutputSaved

    def forward(
        self, x: np.ndarray, *, train: bool = False, key: Key | None = None
    ) -> tuple[np.ndarray, OutputSaved]:
        """Return the logistic function of ``x`` of any shape, and the output itself as saved."""
        check_input(x, self)
        y = sigmoid(x)
        return y, OutputSaved(y)

    def backward(self, saved: OutputSaved, dy: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return ``dy y (1 - y)``."""
        return dy * saved.y * (1 - saved.y), {}
