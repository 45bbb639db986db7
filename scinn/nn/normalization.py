"""Batch normalisation over all axes but the last, alone and fused with the rectifier that mostly follows it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from scinn.nn.images import readable
from scinn.nn.layer import Layer, check_dtype, check_input, check_output_gradient, register_layer
from scinn.random import Key

__all__ = ["BatchNorm", "BatchNormReLU"]


class BatchNormSaved(NamedTuple):
    """Input and statistics (float64); ``n_rows`` is 0 where running statistics were used."""

    x: np.ndarray
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
    _rectify = False

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
        """Return the normalised batch.

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

        Raises
        ------
        ValueError
            In training, for a batch of one row, and for NaN or infinite values.
        """
        from scinn.kernels import normalization as kernels

        check_input(x, self, n_features=self.n_features, min_ndim=2)
        rows = readable(x).reshape(-1, self.n_features)
        if train:
            mean, variance = self._batch_statistics(rows)
        else:
            mean = self.state["mean"].astype(np.float64)
            variance = self.state["variance"].astype(np.float64)
        saved = BatchNormSaved(x, mean, variance, len(rows) if train else 0)
        y = np.empty(x.shape, dtype=x.dtype)
        kernels.normalize(rows, *self._affine(saved), self._rectify, y.reshape(rows.shape))
        return y, saved

    def _batch_statistics(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        from scinn.kernels import normalization as kernels

        who, n_rows = type(self).__name__, len(rows)
        if n_rows < 2:
            raise ValueError(
                f"{who}: a training batch needs at least two rows, got {n_rows} (of {self.n_features} features); "
                "drop the last short batch or choose another batch size"
            )
        sums, squares = np.zeros(self.n_features), np.zeros(self.n_features)
        kernels.moments(rows, sums, squares)
        shift = sums / n_rows
        with np.errstate(invalid="ignore"):
            variance = np.maximum(squares / n_rows - shift * shift, 0.0)
        if not np.isfinite(variance).all():
            feature = int(np.argmin(np.isfinite(variance)))
            raise ValueError(
                f"{who}: x must be finite, got NaN, infinite or overflowing values of feature {feature}; check the data, "
                "or lower the learning rate"
            )
        return rows[0] + shift, variance

    def _affine(self, saved: BatchNormSaved) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what is subtracted, multiplied and added, in the parameters' dtype."""
        scale, shift = self.params["scale"], self.params["shift"]
        factor = (scale / np.sqrt(saved.variance + self.eps)).astype(scale.dtype)
        return saved.mean.astype(scale.dtype), factor, readable(shift)

    def backward(self, saved: BatchNormSaved, dy: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return the gradients by the input, the scale and the shift."""
        from scinn.kernels import normalization as kernels

        scale = self.params["scale"]
        check_output_gradient(dy, self, saved.x.shape, scale.dtype)
        rows, drows = (
            readable(saved.x).reshape(-1, self.n_features),
            readable(dy).reshape(-1, self.n_features),
        )
        affine = self._affine(saved)
        sums, products = np.zeros(self.n_features), np.zeros(self.n_features)
        kernels.normalize_sums(rows, drows, *affine, self._rectify, sums, products)
        deviation = np.sqrt(saved.variance + self.eps)
        constant = slope = np.zeros(self.n_features, dtype=scale.dtype)
        if saved.n_rows:
            constant = (scale / deviation * sums / saved.n_rows).astype(scale.dtype)
            slope = (scale / deviation**3 * products / saved.n_rows).astype(scale.dtype)
        dx = np.empty(saved.x.shape, dtype=dy.dtype)
        kernels.normalize_gradient(
            rows, drows, *affine, self._rectify, constant, slope, dx.reshape(rows.shape)
        )
        return dx, {"scale": (products / deviation).astype(scale.dtype), "shift": sums.astype(scale.dtype)}

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


@register_layer
class BatchNormReLU(BatchNorm):
    """Batch normalisation and the rectifier in one: ``y = max(scale x_hat + shift, 0)``.

    Equal to :class:`BatchNorm` followed by :class:`ReLU`, in fewer passes over memory: the value in between is not
    kept but computed again, in the same order of operations, where the backward pass asks for its sign. Parameters,
    state and options are those of :class:`BatchNorm`.

    References
    ----------
    S. Ioffe and C. Szegedy (2015), Batch normalization, algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> layer = BatchNormReLU(1, dtype=np.float64, eps=0.0)
    >>> layer.forward(np.array([[1.0], [3.0]]), train=True)[0].tolist()
    [[0.0], [1.0]]
    """

    _rectify = True
