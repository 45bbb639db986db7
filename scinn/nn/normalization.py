"""Batch normalisation over all axes but the last."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from scinn.nn.layer import Layer, check_dtype, check_input, register_layer
from scinn.nn.sums import column_sums
from scinn.random import Key

__all__ = ["BatchNorm"]


class BatchNormSaved(NamedTuple):
    """Normalised input and statistics (float64); ``n_rows`` is 0 where running statistics were used."""

    normalized: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    n_rows: int


@register_layer
class BatchNorm(Layer):
    """Normalise each feature by the statistics of the batch, then scale and shift.

    Forward in training ``x_hat = (x - m) / sqrt(v + eps)``, ``y = scale x_hat + shift`` with the batch's mean
    ``m`` and (biased) variance ``v`` over all axes but the last; backward
    ``dx = scale / sqrt(v + eps) (dy - mean(dy) - x_hat mean(dy x_hat))``. In inference ``m`` and ``v`` are
    the running statistics and ``dx = scale / sqrt(v + eps) dy``. All sums are added up in float64.

    Parameters
    ----------
    n_features : int
        Size of the last axis.
    momentum : float, default 0.1
        Weight of a new batch in the running statistics,
        ``running = (1 - momentum) running + momentum batch``, with the unbiased variance of the batch.
    eps : float, default 1e-5
        Added to the variance.
    dtype : dtype, default float32
        Dtype of the parameters.

    Notes
    -----
    ``forward`` never writes the running statistics: :meth:`update_state` does, from what ``saved`` holds.

    References
    ----------
    S. Ioffe and C. Szegedy (2015), Batch normalization, algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> layer = BatchNorm(1, dtype=np.float64, eps=0.0)
    >>> y, saved = layer.forward(np.array([[1.0], [3.0]]), train=True)
    >>> y.tolist()
    [[-1.0], [1.0]]
    >>> layer.update_state(saved)
    >>> float(layer.state["mean"][0])
    0.2
    """

    Saved = BatchNormSaved

    def __init__(
        self, n_features: int, *, momentum: float = 0.1, eps: float = 1e-5, dtype: Any = np.float32
    ) -> None:
        super().__init__()
        if isinstance(n_features, bool) or not isinstance(n_features, int | np.integer) or n_features < 1:
            raise ValueError(f"n_features must be a positive integer, got {n_features!r}")
        if not 0 <= momentum <= 1:
            raise ValueError(
                f"momentum must be in [0, 1], got {momentum!r}; it is the weight of the new batch"
            )
        if not eps >= 0:
            raise ValueError(f"eps must not be negative, got {eps!r}")
        self.n_features, self.momentum, self.eps = int(n_features), float(momentum), float(eps)
        dtype = check_dtype(dtype)
        self.params = {"scale": np.ones(n_features, dtype), "shift": np.zeros(n_features, dtype)}
        self.state = {"mean": np.zeros(n_features, dtype), "variance": np.ones(n_features, dtype)}

    def forward(
        self, x: np.ndarray, *, train: bool = False, key: Key | None = None
    ) -> tuple[np.ndarray, BatchNormSaved]:
        """Return the normalised input.

        Parameters
        ----------
        x : ndarray, shape (..., n_features)
            At least two rows in training: the variance of one is 0.
        train : bool
            Statistics of the batch (True) or running ones (False).
        key
            Ignored.

        Returns
        -------
        y : ndarray
            Same shape.
        saved : BatchNormSaved
        """
        check_input(x, self, n_features=self.n_features, min_ndim=2)
        n_rows = x.size // self.n_features
        if train:
            if n_rows < 2:
                raise ValueError(
                    f"BatchNorm: a training batch needs at least two rows, got {n_rows} (shape {x.shape}); "
                    "drop the last short batch or choose another batch size"
                )
            mean = column_sums(x) / n_rows
            centered = x - mean.astype(x.dtype)
            residual = column_sums(centered) / n_rows
            variance = np.maximum(column_sums(centered * centered) / n_rows - residual * residual, 0.0)
        else:
            mean = self.state["mean"].astype(np.float64)
            variance = self.state["variance"].astype(np.float64)
            centered = x - mean.astype(x.dtype)
        normalized = centered * (1.0 / np.sqrt(variance + self.eps)).astype(x.dtype)
        y = normalized * self.params["scale"] + self.params["shift"]
        return y, BatchNormSaved(normalized, mean, variance, n_rows if train else 0)

    def backward(self, saved: BatchNormSaved, dy: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return the gradients by the input, the scale and the shift."""
        x_hat, scale = saved.normalized, self.params["scale"]
        dscale, dshift = column_sums(dy * x_hat), column_sums(dy)
        factor = (scale / np.sqrt(saved.variance + self.eps)).astype(dy.dtype)
        if saved.n_rows:
            mean_dy = (dshift / saved.n_rows).astype(dy.dtype)
            mean_dy_x_hat = (dscale / saved.n_rows).astype(dy.dtype)
            dx = factor * (dy - mean_dy - x_hat * mean_dy_x_hat)
        else:
            dx = factor * dy
        return dx, {"scale": dscale.astype(scale.dtype), "shift": dshift.astype(scale.dtype)}

    def update_state(self, saved: BatchNormSaved) -> None:
        """Move the running statistics towards those of the batch; after an inference forward do nothing."""
        if saved.n_rows:
            unbiased = saved.variance * (saved.n_rows / (saved.n_rows - 1))
            for name, value in (("mean", saved.mean), ("variance", unbiased)):
                running = self.state[name]
                running[...] = (1 - self.momentum) * running.astype(np.float64) + self.momentum * value

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "n_features": self.n_features,
            "momentum": self.momentum,
            "eps": self.eps,
            "dtype": str(self.params["scale"].dtype),
        }
