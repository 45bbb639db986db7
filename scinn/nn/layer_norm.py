"""Layer normalisation over the last axis."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from scinn.nn.images import readable
from scinn.nn.layer import Layer, check_dtype, check_input, check_output_gradient, register_layer
from scinn.random import Key

__all__ = ["LayerNorm"]


class LayerNormSaved(NamedTuple):
    """Input, and mean and inverse deviation of its rows (float64)."""

    x: np.ndarray
    mean: np.ndarray
    inverse: np.ndarray


@register_layer
class LayerNorm(Layer):
    """Normalise each row by its own mean and deviation, then scale and shift its features.

    Forward ``x_hat = (x - m) / sqrt(v + eps)``, ``y = scale x_hat + shift`` with mean ``m`` and (biased) variance ``v`` over
    the last axis; backward ``dx = (d - mean(d) - x_hat mean(d x_hat)) / sqrt(v + eps)`` with ``d = scale dy``. Rows do not
    depend on each other, and training does as inference. Sums are added up in float64.

    Parameters
    ----------
    n_features : int
        Size of the last axis.
    eps : float, default 1e-5
        Added to the variance.
    dtype : dtype, default float32
        Dtype of the parameters.

    References
    ----------
    J. Ba, J. Kiros and G. Hinton (2016), Layer normalization, arXiv:1607.06450, equations 3 and 4.

    Examples
    --------
    >>> import numpy as np
    >>> LayerNorm(2, eps=0.0, dtype=np.float64)(np.array([[1.0, 3.0]])).tolist()
    [[-1.0, 1.0]]
    """

    Saved = LayerNormSaved

    def __init__(self, n_features: int, *, eps: float = 1e-5, dtype: Any = np.float32) -> None:
        super().__init__()
        if isinstance(n_features, bool) or not isinstance(n_features, int | np.integer) or n_features < 1:
            raise ValueError(f"n_features must be a positive integer, got {n_features!r}")
        if not eps >= 0:
            raise ValueError(f"eps must not be negative, got {eps!r}")
        self.n_features, self.eps = int(n_features), float(eps)
        dtype = check_dtype(dtype)
        self.params = {"scale": np.ones(n_features, dtype), "shift": np.zeros(n_features, dtype)}

    def forward(
        self, x: np.ndarray, *, train: bool = False, key: Key | None = None
    ) -> tuple[np.ndarray, LayerNormSaved]:
        """Return the normalised rows.

        Parameters
        ----------
        x : ndarray, shape (..., n_features)
        train, key
            Ignored.

        Returns
        -------
        y : ndarray
            Same shape.
        saved : LayerNormSaved
        """
        from scinn.kernels import layer_norm as kernels

        check_input(x, self, n_features=self.n_features, min_ndim=2)
        rows = readable(x).reshape(-1, self.n_features)
        y, mean, inverse = np.empty(x.shape, dtype=x.dtype), np.empty(len(rows)), np.empty(len(rows))
        affine = (readable(self.params["scale"]), readable(self.params["shift"]))
        kernels.layer_norm(rows, *affine, self.eps, y.reshape(rows.shape), mean, inverse)
        return y, LayerNormSaved(x, mean, inverse)

    def backward(self, saved: LayerNormSaved, dy: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return the gradients by the input, the scale and the shift."""
        from scinn.kernels import layer_norm as kernels

        scale = self.params["scale"]
        check_output_gradient(dy, self, saved.x.shape, scale.dtype)
        rows, drows = (readable(value).reshape(-1, self.n_features) for value in (saved.x, dy))
        dx, dscale, dshift = np.empty(dy.shape, dtype=dy.dtype), np.zeros(scale.size), np.zeros(scale.size)
        statistics = (readable(saved.mean), readable(saved.inverse))
        kernels.layer_norm_gradient(
            rows, drows, readable(scale), *statistics, dx.reshape(rows.shape), dscale, dshift
        )
        return dx, {"scale": dscale.astype(scale.dtype), "shift": dshift.astype(scale.dtype)}

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"n_features": self.n_features, "eps": self.eps, "dtype": str(self.params["scale"].dtype)}
