"""Fields of networks with random weights, layer by layer, and their derivatives in one direction after the other.

Notation: ``h_0 = x``, ``z_l = W_l h_l + b_l``, ``h_(l+1) = phi(z_l)``, ``u = z_L``; weights ``s T(xi)``, for each layer
those of ``W_l`` row by row, then ``b_l`` (Li, Dunlop, Stadler 2022, "Bayesian neural network priors for edge-preserving
inversion", Inverse Problems and Imaging 16(5), arXiv 2112.10663). ``model`` has the attributes of
:class:`scinn.kernels.network_field.Model`. Arrays of a layer are (units, points).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import erf

from scinn.reference import heavy_tails

__all__ = [
    "adjoint_operator", "apply_operator", "backward", "forward", "layers", "n_coordinates", "n_weights", "operator_matrix",
    "pull_back", "push_forward", "set_weights", "tangent", "unit_jacobian",
]  # fmt: skip

_STABLE = 4
_LEAK = 0.01


def _blocks(model: Any) -> list[tuple[int, int, int]]:
    """Return the numbers of white coordinates, of weights, and of biases among them, of each block with coordinates."""
    found = []
    for k in range(len(model.laws) - model.collapsed):
        size, n_biases = int(model.widths[k]), 0
        if model.kind == 1:
            n_biases = int(model.widths[k + 1])
            size = n_biases * (size + 1)
        found.append((2 * size if model.laws[k] == _STABLE else size, size, n_biases))
    return found


def n_coordinates(model: Any) -> int:
    """Return the number of white coordinates.

    Parameters
    ----------
    model : Model

    Returns
    -------
    int
    """
    return sum(white for white, _, _ in _blocks(model))


def n_weights(model: Any) -> int:
    """Return the number of weights that have coordinates.

    Parameters
    ----------
    model : Model

    Returns
    -------
    int
    """
    return sum(size for _, size, _ in _blocks(model))


def _scales(model: Any) -> np.ndarray:
    parts = []
    for k, (_, size, n_biases) in enumerate(_blocks(model)):
        parts.append(np.full(size - n_biases, model.weight_scales[k]))
        parts.append(np.full(n_biases, model.bias_scales[k] if n_biases else 0.0))
    return np.concatenate([np.empty(0), *parts])


def scale_weights(model: Any, values: np.ndarray) -> np.ndarray:
    """Return values of the unit laws times the scales.

    Parameters
    ----------
    model : Model
    values : ndarray of float64, shape (n_weights,)

    Returns
    -------
    ndarray of float64, shape (n_weights,)
    """
    return _scales(model) * values


def set_weights(model: Any, xi: np.ndarray) -> np.ndarray:
    """Return the weights ``s T(xi)``.

    Parameters
    ----------
    model : Model
    xi : ndarray of float64, shape (d,)
        White coordinates.

    Returns
    -------
    ndarray of float64, shape (n_weights,)
    """
    values, at = [np.empty(0)], 0
    for k, (white, _, _) in enumerate(_blocks(model)):
        values.append(
            heavy_tails.transform_block(int(model.laws[k]), model.law_parameters[k], xi[at : at + white])
        )
        at += white
    return scale_weights(model, np.concatenate(values))


def unit_jacobian(model: Any, xi: np.ndarray) -> np.ndarray:
    """Return the derivative of the unit laws' values by the white coordinates.

    Parameters
    ----------
    model : Model
    xi : ndarray of float64, shape (d,)

    Returns
    -------
    ndarray of float64, shape (n_weights, d)
    """
    out = np.zeros((n_weights(model), n_coordinates(model)))
    column = row = 0
    for k, (white, size, _) in enumerate(_blocks(model)):
        own = xi[column : column + white]
        for j in range(white):
            out[row : row + size, column + j] = heavy_tails.pushforward_block(
                int(model.laws[k]), model.law_parameters[k], own, np.eye(white)[j]
            )
        column, row = column + white, row + size
    return out


def push_forward(model: Any, xi: np.ndarray, dxi: np.ndarray) -> np.ndarray:
    """Return the derivative of the weights in the direction ``dxi``.

    Parameters
    ----------
    model : Model
    xi, dxi : ndarray of float64, shape (d,)

    Returns
    -------
    ndarray of float64, shape (n_weights,)
    """
    return scale_weights(model, unit_jacobian(model, xi) @ dxi)


def pull_back(model: Any, xi: np.ndarray, weight_gradient: np.ndarray) -> np.ndarray:
    """Return the gradient by ``xi`` from that by the weights.

    Parameters
    ----------
    model : Model
    xi : ndarray of float64, shape (d,)
    weight_gradient : ndarray of float64, shape (n_weights,)

    Returns
    -------
    ndarray of float64, shape (d,)
    """
    return unit_jacobian(model, xi).T @ (_scales(model) * weight_gradient)


def layers(model: Any, weights: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the matrices and biases of the layers that have coordinates.

    Parameters
    ----------
    model : Model
    weights : ndarray of float64, shape (n_weights,)

    Returns
    -------
    list of tuple of ndarray
        ``W_l`` (D_{l+1}, D_l) and ``b_l`` (D_{l+1},).
    """
    found, at = [], 0
    for k, (_, size, n_biases) in enumerate(_blocks(model)):
        matrix = weights[at : at + size - n_biases].reshape(n_biases, model.widths[k])
        found.append((matrix, weights[at + size - n_biases : at + size]))
        at += size
    return found


def _activation(code: int, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return phi(z) and phi'(z)."""
    if code == 0:
        return np.tanh(z), 1.0 - np.tanh(z) ** 2
    if code == 1:
        return np.sign(z), np.zeros_like(z)
    if code == 2:
        return erf(z), 2.0 / np.sqrt(np.pi) * np.exp(-(z**2))
    if code == 5:
        return np.sin(z), np.cos(z)
    if code == 3:
        return np.where(z < 0.0, 0.0, z), np.where(z > 0.0, 1.0, 0.0)
    return np.where(z < 0.0, _LEAK * z, z), np.where(z > 0.0, 1.0, _LEAK)


def forward(model: Any, weights: np.ndarray) -> list[np.ndarray]:
    """Return ``h_0`` to ``h_L``, and the field as an array of one row unless the model is collapsed.

    Parameters
    ----------
    model : Model
    weights : ndarray of float64, shape (n_weights,)

    Returns
    -------
    list of ndarray
        Shapes (D_l, n).
    """
    values = [model.points]
    with np.errstate(all="ignore"):
        for k, (matrix, bias) in enumerate(layers(model, weights)):
            z = matrix @ values[-1] + bias[:, None]
            values.append(z if k == len(model.laws) - 1 else _activation(model.activation, z)[0])
    return values


def tangent(model: Any, weights: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Return the derivative of the last array of :func:`forward` in a direction of the weights.

    ``dz_l = W_l dh_l + dW_l h_l + db_l`` and ``dh_(l+1) = phi'(z_l) dz_l``, zero where the slope is.

    Parameters
    ----------
    model : Model
    weights, change : ndarray of float64, shape (n_weights,)

    Returns
    -------
    ndarray of float64, shape (1, n) or (D_L, n)
    """
    h, dh = model.points, np.zeros_like(model.points)
    pairs = zip(layers(model, weights), layers(model, change))
    for k, ((matrix, bias), (matrix_change, bias_change)) in enumerate(pairs):
        z = matrix @ h + bias[:, None]
        dz = matrix @ dh + matrix_change @ h + bias_change[:, None]
        if k == len(model.laws) - 1:
            return dz
        h, slope = _activation(model.activation, z)
        dh = np.where(slope == 0.0, 0.0, slope * dz)
    return dh


def backward(model: Any, weights: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Return the gradient by the weights from that by the last array of :func:`forward`: the adjoint of :func:`tangent`.

    Parameters
    ----------
    model : Model
    weights : ndarray of float64, shape (n_weights,)
    gradient : ndarray of float64, shape (1, n) or (D_L, n)

    Returns
    -------
    ndarray of float64, shape (n_weights,)
    """
    return np.array([(tangent(model, weights, one) * gradient).sum() for one in np.eye(len(weights))])


def operator_matrix(model: Any) -> np.ndarray:
    """Return the whitened operator as a matrix.

    Parameters
    ----------
    model : Model

    Returns
    -------
    ndarray of float64, shape (m, n)
    """
    matrix = np.kron(model.left, model.right) if model.right.size else model.left
    return model.inverse_sd[:, None] * matrix


def apply_operator(model: Any, u: np.ndarray) -> np.ndarray:
    """Return the whitened operator's values.

    Parameters
    ----------
    model : Model
    u : ndarray of float64, shape (n,)

    Returns
    -------
    ndarray of float64, shape (m,)
    """
    return operator_matrix(model) @ u


def adjoint_operator(model: Any, q: np.ndarray) -> np.ndarray:
    """Return the values of the whitened operator's adjoint.

    Parameters
    ----------
    model : Model
    q : ndarray of float64, shape (m,)

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    return operator_matrix(model).T @ q
