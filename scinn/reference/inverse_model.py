"""Misfit of networks and linear maps with random weights, and derivatives, from dense Jacobian matrices.

Notation as in :mod:`scinn.reference.network_field`; ``Phi(xi) = |F - r|^2 / 2`` with whitened predictions ``F`` and data
``r``, or the collapsed misfit (Li, Dunlop, Stadler 2022, "Bayesian neural network priors for edge-preserving inversion",
Inverse Problems and Imaging 16(5), arXiv 2112.10663). A misfit that is no number is inf, and its gradient zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scinn.reference import collapsed_model, network_field

__all__ = [
    "features", "field", "field_jacobian", "fields", "jacobian", "misfit", "misfit_gradient", "misfit_gradient_weights",
    "predict",
]  # fmt: skip


def _acted_on(model: Any, weights: np.ndarray) -> np.ndarray:
    return weights if model.kind == 0 else network_field.forward(model, weights)[-1][0]


def field(model: Any, xi: np.ndarray) -> np.ndarray:
    """Return the field at the grid points; the weights where there is no network.

    Parameters
    ----------
    model : Model
    xi : ndarray of float64, shape (d,)

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    return _acted_on(model, network_field.set_weights(model, xi))


def fields(model: Any, xis: np.ndarray) -> np.ndarray:
    """Return the fields of the rows of an array.

    Parameters
    ----------
    model : Model
    xis : ndarray of float64, shape (J, d)

    Returns
    -------
    ndarray of float64, shape (J, n)
    """
    return np.array([field(model, xi) for xi in xis]).reshape(len(xis), model.points.shape[1])


def features(model: Any, xi: np.ndarray) -> np.ndarray:
    """Return the values of the last hidden layer and a column of ones.

    Parameters
    ----------
    model : Model
    xi : ndarray of float64, shape (d,)

    Returns
    -------
    ndarray of float64, shape (n, D_L + 1)
    """
    last = network_field.forward(model, network_field.set_weights(model, xi))[len(model.laws) - 1]
    return np.concatenate([last.T, np.ones((last.shape[1], 1))], axis=1)


def predict(model: Any, xi: np.ndarray) -> np.ndarray:
    """Return the whitened prediction.

    Parameters
    ----------
    model : Model
    xi : ndarray of float64, shape (d,)

    Returns
    -------
    ndarray of float64, shape (m,)
    """
    return network_field.apply_operator(model, field(model, xi))


def _misfit_of_weights(model: Any, weights: np.ndarray) -> float:
    if model.collapsed:
        return collapsed_model.collapsed_misfit(model, weights)
    with np.errstate(all="ignore"):
        residual = network_field.apply_operator(model, _acted_on(model, weights)) - model.data
        value = float(0.5 * (residual**2).sum())
    return float("inf") if np.isnan(value) else value


def misfit(model: Any, xi: np.ndarray) -> float:
    """Return the misfit.

    Parameters
    ----------
    model : Model
    xi : ndarray of float64, shape (d,)

    Returns
    -------
    float
    """
    return _misfit_of_weights(model, network_field.set_weights(model, xi))


def _field_by_weights(model: Any, weights: np.ndarray) -> np.ndarray:
    """Return the derivative of what the operator acts on, (n, n_weights)."""
    if model.kind == 0:
        return np.eye(len(weights))
    columns = [network_field.tangent(model, weights, one)[0] for one in np.eye(len(weights))]
    return np.array(columns).T


def _gradient_by_weights(model: Any, weights: np.ndarray) -> np.ndarray:
    if not _misfit_of_weights(model, weights) < np.inf:
        return np.zeros(len(weights))
    if model.collapsed:
        return collapsed_model.collapsed_misfit_gradient(model, weights)
    operator = network_field.operator_matrix(model)
    residual = operator @ _acted_on(model, weights) - model.data
    return (operator @ _field_by_weights(model, weights)).T @ residual


def misfit_gradient(model: Any, xi: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the misfit and its gradient.

    Parameters
    ----------
    model : Model
    xi : ndarray of float64, shape (d,)

    Returns
    -------
    float
    ndarray of float64, shape (d,)
    """
    gradient = _gradient_by_weights(model, network_field.set_weights(model, xi))
    return misfit(model, xi), network_field.pull_back(model, xi, gradient)


def misfit_gradient_weights(model: Any, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the misfit at values of the unit laws and its gradient by them.

    Parameters
    ----------
    model : Model
    theta : ndarray of float64, shape (n_weights,)

    Returns
    -------
    float
    ndarray of float64, shape (n_weights,)
    """
    weights = network_field.scale_weights(model, theta)
    gradient = network_field.scale_weights(model, _gradient_by_weights(model, weights))
    return _misfit_of_weights(model, weights), gradient


def field_jacobian(model: Any, xi: np.ndarray) -> np.ndarray:
    """Return the derivative of :func:`field`.

    Parameters
    ----------
    model : Model
    xi : ndarray of float64, shape (d,)

    Returns
    -------
    ndarray of float64, shape (n, d)
    """
    by_weights = _field_by_weights(model, network_field.set_weights(model, xi))
    by_unit = np.array([network_field.scale_weights(model, row) for row in by_weights])
    return by_unit.reshape(by_weights.shape) @ network_field.unit_jacobian(model, xi)


def jacobian(model: Any, xi: np.ndarray) -> np.ndarray:
    """Return the derivative of :func:`predict`.

    Parameters
    ----------
    model : Model
    xi : ndarray of float64, shape (d,)

    Returns
    -------
    ndarray of float64, shape (m, d)
    """
    return network_field.operator_matrix(model) @ field_jacobian(model, xi)
