"""Misfit of a network whose Gaussian last layer is integrated out, from the Gaussian density of the data.

Given the hidden layers the whitened data are ``r ~ N(0, S)`` with ``S = I + B B^T``, and
``Phi = r^T S^-1 r / 2 + log det S / 2``: then ``exp(-Phi)`` is the mean of ``exp(-|r - B v|^2 / 2)`` over ``v ~ N(0, I)``,
constant included. Columns of ``B`` are the whitened operator's values at the features (values of the last hidden layer,
and one) times the layer's scales.
The network is that of Li, Dunlop, Stadler (2022), "Bayesian neural network priors for edge-preserving inversion",
Inverse Problems and Imaging 16(5), arXiv 2112.10663.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scinn.reference import network_field

__all__ = ["collapsed_misfit", "collapsed_misfit_gradient", "draw_last_layer", "last_layer_mean", "responses"]


def _last_scales(model: Any) -> np.ndarray:
    scales = np.full(model.widths[-2] + 1, model.weight_scales[-1])
    scales[-1] = model.bias_scales[-1]
    return scales


def responses(model: Any, weights: np.ndarray) -> np.ndarray:
    """Return B.

    Parameters
    ----------
    model : Model
        Collapsed.
    weights : ndarray of float64, shape (n_weights,)
        Of the hidden layers.

    Returns
    -------
    ndarray of float64, shape (m, D_L + 1)
    """
    last = network_field.forward(model, weights)[-1]
    features = np.concatenate([last, np.ones((1, last.shape[1]))])
    return network_field.operator_matrix(model) @ features.T * _last_scales(model)


def collapsed_misfit(model: Any, weights: np.ndarray) -> float:
    """Return ``r^T S^-1 r / 2 + log det S / 2``; inf where that is no number.

    Parameters
    ----------
    model : Model
        Collapsed.
    weights : ndarray of float64, shape (n_weights,)
        Of the hidden layers.

    Returns
    -------
    float
    """
    b = responses(model, weights)
    if not np.isfinite(b).all():
        return float("inf")
    covariance = np.eye(len(b)) + b @ b.T
    value = 0.5 * model.data @ np.linalg.solve(covariance, model.data)
    return float(value + 0.5 * np.linalg.slogdet(covariance)[1])


def collapsed_misfit_gradient(model: Any, weights: np.ndarray) -> np.ndarray:
    """Return the gradient by the weights of the hidden layers.

    The derivative by ``B`` is ``S^-1 B - S^-1 r (S^-1 r)^T B``, and that by a weight the sum of its product with the
    derivative of ``B`` by this weight.

    Parameters
    ----------
    model : Model
        Collapsed.
    weights : ndarray of float64, shape (n_weights,)
        Of the hidden layers.

    Returns
    -------
    ndarray of float64, shape (n_weights,)
    """
    b = responses(model, weights)
    inverse = np.linalg.inv(np.eye(len(b)) + b @ b.T)
    e = inverse @ model.data
    by_b = inverse @ b - np.outer(e, e) @ b
    gradient = np.empty(len(weights))
    for j, one in enumerate(np.eye(len(weights))):
        change = network_field.operator_matrix(model) @ network_field.tangent(model, weights, one).T
        gradient[j] = (by_b[:, :-1] * change * _last_scales(model)[:-1]).sum()
    return gradient


def _precision(model: Any, xi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    b = responses(model, network_field.set_weights(model, xi))
    return b, np.eye(b.shape[1]) + b.T @ b


def last_layer_mean(model: Any, xi: np.ndarray) -> np.ndarray:
    """Return ``M^-1 B^T r`` with ``M = I + B^T B``, the mean of the last layer's white coordinates given the others.

    Parameters
    ----------
    model : Model
        Collapsed.
    xi : ndarray of float64, shape (d,)
        White coordinates of the hidden layers.

    Returns
    -------
    ndarray of float64, shape (D_L + 1,)
    """
    b, precision = _precision(model, xi)
    return np.linalg.solve(precision, b.T @ model.data)


def draw_last_layer(model: Any, xi: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return ``mean + R^-T noise`` with ``M = R R^T``, which has the conditional law where the noise is white.

    Parameters
    ----------
    model : Model
        Collapsed.
    xi : ndarray of float64, shape (d,)
        White coordinates of the hidden layers.
    noise : ndarray of float64, shape (D_L + 1,)

    Returns
    -------
    ndarray of float64, shape (D_L + 1,)
    """
    _, precision = _precision(model, xi)
    factor = np.linalg.cholesky(precision)
    return last_layer_mean(model, xi) + np.linalg.solve(factor.T, noise)
