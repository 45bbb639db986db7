"""The rectifier whose slope for negative inputs is trained."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from scinn.nn.layer import Layer, check_dtype, check_input, check_output_gradient, register_layer
from scinn.nn.sums import column_sums
from scinn.random import Key

__all__ = ["PReLU"]


class PReLUSaved(NamedTuple):
    """The input."""

    x: np.ndarray


@register_layer
class PReLU(Layer):
    """Parametric rectifier: ``y = x`` where x > 0, ``a x`` elsewhere, with a trained ``a``.

    Backward ``dx = dy`` where x > 0, ``a dy`` elsewhere (at 0 too), and ``da`` the sum of ``x dy`` over the entries with
    x <= 0, added up in float64.

    Parameters
    ----------
    n_features : int, default 1
        Size of the last axis, each feature with a slope of its own; 1: one slope for all, whatever the last axis.
    init : float, default 0.25
        Slope at the start.
    dtype : dtype, default float32
        Dtype of the parameters.

    References
    ----------
    K. He et al. (2015), Delving deep into rectifiers, equations 1 and 3.

    Examples
    --------
    >>> import numpy as np
    >>> PReLU(init=0.5, dtype=np.float64)(np.array([[-2.0, 3.0]])).tolist()
    [[-1.0, 3.0]]
    """

    Saved = PReLUSaved

    def __init__(self, n_features: int = 1, *, init: float = 0.25, dtype: Any = np.float32) -> None:
        super().__init__()
        if isinstance(n_features, bool) or not isinstance(n_features, int | np.integer) or n_features < 1:
            raise ValueError(f"n_features must be a positive integer, got {n_features!r}")
        if not np.isfinite(init):
            raise ValueError(f"init must be finite, got {init!r}")
        self.n_features, self.init = int(n_features), float(init)
        self.params = {"slope": np.full(self.n_features, init, dtype=check_dtype(dtype))}

    def forward(
        self, x: np.ndarray, *, train: bool = False, key: Key | None = None
    ) -> tuple[np.ndarray, PReLUSaved]:
        """Return the activation of ``x``, of shape (..., n_features), and the input as saved."""
        check_input(x, self, n_features=self.n_features if self.n_features > 1 else None)
        return np.where(x > 0, x, x * self.params["slope"]), PReLUSaved(x)

    def backward(self, saved: PReLUSaved, dy: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return the gradients by the input and the slopes."""
        x, slope = saved.x, self.params["slope"]
        check_output_gradient(dy, self, x.shape, slope.dtype)
        positive = x > 0
        dslope = column_sums(np.where(positive, 0, x * dy).reshape(-1, self.n_features))
        return np.where(positive, dy, dy * slope), {"slope": dslope.astype(slope.dtype)}

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"n_features": self.n_features, "init": self.init, "dtype": str(self.params["slope"].dtype)}
