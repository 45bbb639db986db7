"""Priors and problems as flat arrays, the form in which the compiled kernels take them.

Li, Dunlop, Stadler (2022), "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), arXiv 2112.10663. Notation: white coordinates ``xi ~ N(0, I)``, weights ``theta = s T(xi)``, function values ``u`` at
the n points of a grid, whitened predictions ``F = Gamma^(-1/2) G u`` of the m data.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from scinn.inverse.laws import Law
from scinn.kernels import collapsed_model, inverse_model
from scinn.kernels.inverse_model import Model

__all__ = ["ACTIVATIONS", "CompiledModel", "linear_model", "network_model"]

#: Names of the activations in the order of their codes.
ACTIVATIONS = ("tanh", "sign", "erf", "relu", "leaky_relu", "sin")


def _tables(laws: Sequence[Law]) -> np.ndarray:
    """Stack the laws' tables into one array, padded with zeros."""
    rows = max((law.table.shape[0] for law in laws), default=0)
    columns = max((law.table.shape[1] for law in laws), default=0)
    out = np.zeros((len(laws), rows, columns))
    for own, law in zip(out, laws):
        own[: law.table.shape[0], : law.table.shape[1]] = law.table
    return out


def _writeable(array: Any) -> np.ndarray:
    # Numba compiles anew for read-only arrays; kernels do not write into these.
    return np.require(np.array(array, dtype=np.float64), requirements=["C", "W"])


def network_model(
    widths: Sequence[int],
    laws: Sequence[Law],
    weight_scales: np.ndarray,
    bias_scales: np.ndarray,
    activation: str,
    points: np.ndarray,
    *,
    operator: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
    data: np.ndarray | None = None,
) -> Model:
    """Return the arrays of a network prior, with or without data.

    Parameters
    ----------
    widths : sequence of int, length L + 2
        D_0, ..., D_{L+1}.
    laws : sequence of Law, length L + 1
        Of the layers.
    weight_scales, bias_scales : ndarray of float64, shape (L + 1,)
        Scales of the weights, the division by the width included, and of the biases.
    activation : str
        One of :data:`ACTIVATIONS`.
    points : ndarray of float64, shape (n, D_0)
        Where the function is evaluated.
    operator : tuple of ndarray, optional
        ``(left, right, inverse_sd)`` of the whitened forward operator; none: the function alone.
    data : ndarray of float64, shape (m,), optional
        Whitened data.

    Returns
    -------
    Model

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.inverse.laws import as_law
    >>> laws = [as_law("cauchy"), as_law("gaussian")]
    >>> model = network_model([1, 3, 1], laws, np.ones(2), np.ones(2), "tanh", np.zeros((5, 1)))
    >>> model.points.shape
    (1, 5)
    """
    left, right, inverse_sd = operator or (np.empty((0, len(points))), np.empty((0, 0)), np.empty(0))
    return Model(
        kind=1,
        collapsed=0,
        widths=np.array(widths, dtype=np.int64),
        laws=np.array([law.code for law in laws], dtype=np.int64),
        law_parameters=_writeable([law.parameter for law in laws]),
        tables=_tables(laws),
        weight_scales=_writeable(weight_scales),
        bias_scales=_writeable(bias_scales),
        activation=ACTIVATIONS.index(activation),
        points=_writeable(points.T),
        left=_writeable(left),
        right=_writeable(right),
        inverse_sd=_writeable(inverse_sd),
        data=_writeable(np.empty(0) if data is None else data),
    )


def linear_model(
    sizes: Sequence[int], laws: Sequence[Law], scales: Sequence[float], left: np.ndarray, data: np.ndarray
) -> Model:
    """Return the arrays of a prior that is linear in its coefficients: ``F = left theta``.

    Parameters
    ----------
    sizes : sequence of int
        Number of coefficients of each block.
    laws : sequence of Law
        Of the blocks.
    scales : sequence of float
        Of the blocks.
    left : ndarray of float64, shape (m, sum of sizes)
        Whitened operator times the matrix of the prior.
    data : ndarray of float64, shape (m,)
        Whitened data, less the whitened image of the prior's mean.

    Returns
    -------
    Model

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.inverse.laws import as_law
    >>> linear_model([2], [as_law("cauchy")], [1.0], np.eye(2), np.zeros(2)).kind
    0
    """
    return Model(
        kind=0,
        collapsed=0,
        widths=np.array(sizes, dtype=np.int64),
        laws=np.array([law.code for law in laws], dtype=np.int64),
        law_parameters=_writeable([law.parameter for law in laws]),
        tables=_tables(laws),
        weight_scales=_writeable(scales),
        bias_scales=np.zeros(len(sizes)),
        activation=0,
        points=np.empty((0, 0)),
        left=_writeable(left),
        right=np.empty((0, 0)),
        inverse_sd=np.ones(len(left)),
        data=_writeable(data),
    )


class CompiledModel:
    """A :class:`Model` with the memory that its kernels work in, one set for each thread.

    Parameters
    ----------
    model : Model

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.inverse.laws import as_law
    >>> compiled = CompiledModel(linear_model([2], [as_law("gaussian")], [1.0], np.eye(2), np.ones(2)))
    >>> compiled.misfit(np.zeros(2))
    1.0
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.n_coordinates = int(inverse_model.n_coordinates(model))
        self._local = threading.local()

    def __getstate__(self) -> dict[str, Any]:
        # Worker processes get the arrays, never the working memory.
        return {"model": self.model}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["model"])  # type: ignore[misc]

    @property
    def work(self) -> Any:
        """The working memory of this thread."""
        if not hasattr(self._local, "work"):
            self._local.work = inverse_model.workspace(self.model)
        return self._local.work

    def field(self, xi: np.ndarray) -> np.ndarray:
        """Return u at the points, shape (n,), or (J, n) for coordinates of shape (J, d)."""
        n = self.model.points.shape[1]
        if xi.ndim == 1:
            out = np.empty(n)
            inverse_model.field(self.model, xi, self.work, out)
            return out
        out = np.empty((len(xi), n))
        inverse_model.fields(self.model, xi, self.work, out)
        return out

    def predict(self, xi: np.ndarray) -> np.ndarray:
        """Return F, shape (m,), or (J, m) for coordinates of shape (J, d)."""
        rows = np.atleast_2d(xi)
        out = np.empty((len(rows), len(self.model.data)))
        for row, own in zip(rows, out):
            inverse_model.predict(self.model, row, self.work, own)
        return out[0] if xi.ndim == 1 else out

    def misfit(self, xi: np.ndarray, stop_above: float = np.inf) -> float:
        """Return the misfit, or anything above `stop_above` where it is above."""
        return float(inverse_model.misfit(self.model, xi, self.work, stop_above))

    def misfit_and_gradient(self, xi: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the misfit and its gradient in white coordinates."""
        gradient = np.empty(self.n_coordinates)
        value = float(inverse_model.misfit_gradient(self.model, xi, self.work, gradient))
        return value, gradient

    def misfit_and_gradient_of_weights(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the misfit and its gradient in the values of the unit laws, ``theta / s``."""
        gradient = np.empty(len(theta))
        value = float(inverse_model.misfit_gradient_weights(self.model, theta, self.work, gradient))
        return value, gradient

    def jacobian(self, xi: np.ndarray) -> np.ndarray:
        """Return the derivative of F, shape (m, d), by one reverse pass for each row."""
        m = len(self.model.data)
        out = np.empty((m, self.n_coordinates))
        unit = np.zeros(m)
        for i in range(m):
            unit[i] = 1.0
            inverse_model.vector_jacobian(self.model, xi, unit, self.work, out[i])
            unit[i] = 0.0
        return out

    def jacobian_vector(self, xi: np.ndarray, dxi: np.ndarray) -> np.ndarray:
        """Return the derivative of F times a direction, shape (m,)."""
        out = np.empty(len(self.model.data))
        inverse_model.jacobian_vector(self.model, xi, dxi, self.work, out)
        return out

    def field_vjp(self, xi: np.ndarray, q: np.ndarray) -> np.ndarray:
        """Return the transposed derivative of u times `q`, shape (d,)."""
        out = np.empty(self.n_coordinates)
        inverse_model.field_vjp(self.model, xi, q, self.work, out)
        return out

    def field_jvp(self, xi: np.ndarray, dxi: np.ndarray) -> np.ndarray:
        """Return the derivative of u times a direction, shape (n,)."""
        out = np.empty(self.model.points.shape[1])
        inverse_model.field_jvp(self.model, xi, dxi, self.work, out)
        return out

    def features(self, xi: np.ndarray) -> np.ndarray:
        """Return the values of the last hidden layer and a column of ones, shape (n, D_L + 1)."""
        out = np.empty((self.model.points.shape[1], self.model.widths[-2] + 1))
        inverse_model.features(self.model, xi, self.work, out)
        return out

    def last_layer_mean(self, hidden: np.ndarray) -> np.ndarray:
        """Return the mean of the last layer's white coordinates given the others, shape (D_L + 1,)."""
        out = np.empty(self.model.widths[-2] + 1)
        collapsed_model.last_layer_mean(self.model, hidden, self.work, out)
        return out
