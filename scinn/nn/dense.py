"""The affine map ``y = x W + b``, for dense arrays and for sparse rows of features."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from scinn.nn.initializers import initialize
from scinn.nn.layer import Layer, check_dtype, check_input, check_output_gradient, register_layer
from scinn.nn.projection import project, project_backward
from scinn.nn.sums import column_sums
from scinn.random import Key, RandomState, as_generator

__all__ = ["Dense"]


class DenseSaved(NamedTuple):
    """What the backward of :class:`Dense` needs: the input."""

    x: Any


@register_layer
class Dense(Layer):
    """Affine map of the last axis.

    Forward ``y = x W + b``; backward ``dx = dy W^T``, ``dW = x^T dy``, ``db = sum of dy over the rows``
    (added up in float64).

    Parameters
    ----------
    n_in, n_out : int
        Numbers of input and output features.
    bias : bool, default True
        Whether there is a ``b``; it starts at zero.
    init : str, default "glorot_uniform"
        Initial values of ``W``, see :func:`scinn.nn.initialize`.
    dtype : dtype, default float32
        Dtype of the parameters, which inputs must share.
    rng : int, SeedSequence, Generator, Key or None
        Source of the initial values. Two layers made with the same int start equal: give each its own
        generator state or key.

    Notes
    -----
    ``params["weight"]`` has shape (n_in, n_out), ``params["bias"]`` (n_out,). A SciPy CSR array is welcome as
    ``x``; it then has no gradient (``dx`` is None).

    Examples
    --------
    >>> import numpy as np
    >>> layer = Dense(2, 1, init="ones")
    >>> layer(np.array([[1.0, 2.0]], dtype=np.float32))
    array([[3.]], dtype=float32)
    """

    Saved = DenseSaved

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        bias: bool = True,
        init: str = "glorot_uniform",
        dtype: Any = np.float32,
        rng: RandomState = None,
    ) -> None:
        super().__init__()
        for name, value in (("n_in", n_in), ("n_out", n_out)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise ValueError(f"{name} must be a positive integer, got {value!r}")
        self.n_in, self.n_out, self.bias, self.init = int(n_in), int(n_out), bool(bias), init
        dtype = check_dtype(dtype)
        weight = initialize(init, (self.n_in, self.n_out), rng=as_generator(rng), dtype=dtype)
        self.params = {"weight": weight}
        if bias:
            self.params["bias"] = np.zeros(self.n_out, dtype=dtype)

    def forward(
        self, x: Any, *, train: bool = False, key: Key | None = None
    ) -> tuple[np.ndarray, DenseSaved]:
        """Return ``x W + b`` and the input.

        Parameters
        ----------
        x : ndarray, shape (..., n_in), or CSR array, shape (n, n_in)
            The input, in the parameters' dtype.
        train, key
            Ignored.

        Returns
        -------
        y : ndarray, shape (..., n_out)
        saved : DenseSaved
        """
        check_input(x, self, n_features=self.n_in, min_ndim=2, sparse=True)
        y = project(x, self.params["weight"])
        if self.bias:
            y += self.params["bias"]
        return y, DenseSaved(x)

    def backward(self, saved: DenseSaved, dy: np.ndarray) -> tuple[np.ndarray | None, dict[str, np.ndarray]]:
        """Return ``dy W^T`` (None for a sparse input) and the gradients of weight and bias.

        Parameters
        ----------
        saved : DenseSaved
            From :meth:`forward`.
        dy : ndarray, shape (..., n_out)
            Gradient of the loss by the output.

        Returns
        -------
        dx : ndarray, shape (..., n_in), or None
        grads : dict
            ``"weight"`` and, with a bias, ``"bias"``.
        """
        weight = self.params["weight"]
        check_output_gradient(dy, self, (*saved.x.shape[:-1], self.n_out), weight.dtype)
        dx, dweight = project_backward(saved.x, weight, dy)
        grads = {"weight": dweight}
        if self.bias:
            grads["bias"] = column_sums(dy).astype(weight.dtype)
        return dx, grads

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "n_in": self.n_in,
            "n_out": self.n_out,
            "bias": self.bias,
            "init": self.init,
            "dtype": str(self.params["weight"].dtype),
        }
