"""Ensemble Kalman updates by their formulas: covariances of all coordinates, inverses, loops over members.

Emerick, Reynolds 2013 (perturbed data); Bishop, Etherton, Majumdar 2001 (square root); Iglesias, Law, Stuart 2013
(inversion); Chada, Stuart, Tong 2020 (Tikhonov form); Evensen et al. 2019 (subspace smoother); Garbuno-Inigo, Hoffmann,
Li, Stuart 2020 and Nüsken, Reich 2019 (sampler). Members are rows: coordinates U (J, d), predictions V (J, m) of data y
with unit noise.
"""

from __future__ import annotations

import numpy as np

__all__ = [
    "covariance",
    "data_misfit_step",
    "eks_drift",
    "eks_update",
    "esmda_update",
    "etki_update",
    "ies_update",
    "linear_posterior",
    "teki_update",
]


def covariance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the sample covariance of two sets of columns, with the divisor J - 1.

    Parameters
    ----------
    a : ndarray of float64, shape (J, p)
    b : ndarray of float64, shape (J, q)

    Returns
    -------
    ndarray of float64, shape (p, q)

    Examples
    --------
    >>> import numpy as np
    >>> covariance(np.array([[0.0], [2.0]]), np.array([[1.0], [5.0]])).tolist()
    [[4.0]]
    """
    total = np.zeros((a.shape[1], b.shape[1]))
    mean_a, mean_b = a.mean(axis=0), b.mean(axis=0)
    for row_a, row_b in zip(a, b, strict=True):
        total += np.outer(row_a - mean_a, row_b - mean_b)
    return total / (len(a) - 1)


def _symmetric_root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return vectors @ np.diag(np.sqrt(values)) @ vectors.T


def linear_posterior(
    operator: np.ndarray, data: np.ndarray, mean: np.ndarray, cov: np.ndarray, time: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return ``C = (C_0^-1 + t G^T G)^-1`` and ``C (C_0^-1 m_0 + t G^T y)``, without inverting C_0.

    Parameters
    ----------
    operator : ndarray of float64, shape (m, d)
        G.
    data : ndarray of float64, shape (m,)
        y.
    mean : ndarray of float64, shape (d,)
        m_0.
    cov : ndarray of float64, shape (d, d)
        C_0, which may be singular.
    time : float
        t.

    Returns
    -------
    ndarray of float64, shape (d,)
    ndarray of float64, shape (d, d)

    Examples
    --------
    >>> import numpy as np
    >>> linear_posterior(np.eye(1), np.array([2.0]), np.zeros(1), np.eye(1))
    (array([1.]), array([[0.5]]))
    """
    gain = cov @ operator.T @ np.linalg.inv(operator @ cov @ operator.T + np.eye(len(data)) / time)
    return mean + gain @ (data - operator @ mean), cov - gain @ operator @ cov


def data_misfit_step(misfits: np.ndarray, n_data: int, remaining: float) -> float:
    """Return ``min(remaining, max(m / (2 mean), sqrt(m / (2 var))))`` for positive mean and variance.

    Parameters
    ----------
    misfits : ndarray of float64, shape (J,)
    n_data : int
        m.
    remaining : float

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> data_misfit_step(np.array([1.0, 3.0]), 2, 1.0)
    0.7071067811865476
    """
    mean = sum(misfits) / len(misfits)
    variance = sum((value - mean) ** 2 for value in misfits) / (len(misfits) - 1)
    return float(min(remaining, max(n_data / (2 * mean), np.sqrt(n_data / (2 * variance)))))


def esmda_update(
    ensemble: np.ndarray, predicted: np.ndarray, data: np.ndarray, alpha: float, noise: np.ndarray
) -> np.ndarray:
    """Return ``U_j + C_uv (C_vv + alpha I)^-1 (y + sqrt(alpha) eta_j - V_j)``.

    Parameters
    ----------
    ensemble : ndarray of float64, shape (J, d)
    predicted : ndarray of float64, shape (J, m)
    data : ndarray of float64, shape (m,)
    alpha : float
    noise : ndarray of float64, shape (J, m)
        eta.

    Returns
    -------
    ndarray of float64, shape (J, d)

    Examples
    --------
    >>> import numpy as np
    >>> u = np.array([[-1.0], [1.0]])
    >>> esmda_update(u, u, np.array([3.0]), 2.0, np.zeros((2, 1))).tolist()
    [[1.0], [2.0]]
    """
    gain = covariance(ensemble, predicted) @ np.linalg.inv(
        covariance(predicted, predicted) + alpha * np.eye(predicted.shape[1])
    )
    return np.array(
        [u + gain @ (data + np.sqrt(alpha) * eta - v) for u, v, eta in zip(ensemble, predicted, noise)]
    )


def etki_update(ensemble: np.ndarray, predicted: np.ndarray, data: np.ndarray, alpha: float) -> np.ndarray:
    """Return the square-root update: the Kalman mean, and deviations times the symmetric root of ``(I + S S^T)^-1``.

    Parameters
    ----------
    ensemble : ndarray of float64, shape (J, d)
    predicted : ndarray of float64, shape (J, m)
    data : ndarray of float64, shape (m,)
    alpha : float

    Returns
    -------
    ndarray of float64, shape (J, d)

    Examples
    --------
    >>> import numpy as np
    >>> u = np.array([[-1.0], [1.0]])
    >>> etki_update(u, u, np.array([3.0]), 2.0).mean()
    np.float64(1.5)
    """
    n = len(ensemble)
    gain = covariance(ensemble, predicted) @ np.linalg.inv(
        covariance(predicted, predicted) + alpha * np.eye(predicted.shape[1])
    )
    mean = ensemble.mean(axis=0) + gain @ (data - predicted.mean(axis=0))
    s = (predicted - predicted.mean(axis=0)) / np.sqrt(alpha * (n - 1))
    root = _symmetric_root(np.linalg.inv(np.eye(n) + s @ s.T))
    return mean + root @ (ensemble - ensemble.mean(axis=0))


def teki_update(ensemble: np.ndarray, predicted: np.ndarray, data: np.ndarray, dt: float) -> np.ndarray:
    """Return the square-root update with ``alpha = 1 / dt`` for the data and for ``0 = xi + N(0, I)``.

    Parameters
    ----------
    ensemble : ndarray of float64, shape (J, d)
    predicted : ndarray of float64, shape (J, m)
    data : ndarray of float64, shape (m,)
    dt : float

    Returns
    -------
    ndarray of float64, shape (J, d)

    Examples
    --------
    >>> import numpy as np
    >>> u = np.array([[-1.0], [1.0]])
    >>> round(float(teki_update(u, u, np.array([4.0]), 1e9).mean()), 6)
    2.0
    """
    both = np.array([np.append(v, u) for u, v in zip(ensemble, predicted)])
    return etki_update(ensemble, both, np.append(data, np.zeros(ensemble.shape[1])), 1.0 / dt)


def ies_update(weights: np.ndarray, predicted: np.ndarray, perturbed: np.ndarray, step: float) -> np.ndarray:
    """Return the subspace smoother's step, in the paper's orientation with a column for each member inside.

    Parameters
    ----------
    weights : ndarray of float64, shape (J, J)
        A row for each member.
    predicted, perturbed : ndarray of float64, shape (J, m)
        V and D.
    step : float
        g.

    Returns
    -------
    ndarray of float64, shape (J, J)

    Examples
    --------
    >>> import numpy as np
    >>> u = np.array([[-1.0], [1.0]])
    >>> ies_update(np.zeros((2, 2)), u, np.full((2, 1), 3.0), 1.0).round(9).tolist()
    [[-1.333333333, 1.333333333], [-0.666666667, 0.666666667]]
    """
    n, w, v, d = len(weights), weights.T, predicted.T, perturbed.T
    y = (v - v.mean(axis=1, keepdims=True)) / np.sqrt(n - 1)
    s = y @ np.linalg.inv(np.eye(n) + w / np.sqrt(n - 1))
    s = s - s.mean(axis=1, keepdims=True)
    h = s @ w + d - v
    return (w - step * (w - s.T @ np.linalg.inv(s @ s.T + np.eye(len(v))) @ h)).T


def eks_drift(
    ensemble: np.ndarray, predicted: np.ndarray, data: np.ndarray, dimension: int | None
) -> np.ndarray:
    """Return the sampler's drift, member by member.

    Parameters
    ----------
    ensemble : ndarray of float64, shape (J, d)
    predicted : ndarray of float64, shape (J, m)
    data : ndarray of float64, shape (m,)
    dimension : int or None
        q of the correction ``((q + 1)/J)(U_j - mean U)``; None leaves it out.

    Returns
    -------
    ndarray of float64, shape (J, d)

    Examples
    --------
    >>> import numpy as np
    >>> u = np.array([[-1.0], [1.0]])
    >>> eks_drift(u, u, np.array([1.0]), 1).tolist()
    [[2.0], [0.0]]
    """
    n, mean_u, mean_v = len(ensemble), ensemble.mean(axis=0), predicted.mean(axis=0)
    c = covariance(ensemble, ensemble) * (n - 1) / n
    drift = np.zeros_like(ensemble)
    for j in range(n):
        for k in range(n):
            product = (predicted[k] - mean_v) @ (predicted[j] - data)
            drift[j] -= product * (ensemble[k] - mean_u) / n
        drift[j] -= c @ ensemble[j]
        if dimension is not None:
            drift[j] += (dimension + 1) / n * (ensemble[j] - mean_u)
    return drift


def eks_update(
    ensemble: np.ndarray,
    operator: np.ndarray,
    data: np.ndarray,
    dt: float,
    noise: np.ndarray,
    dimension: int | None,
) -> np.ndarray:
    """Return the linearly implicit midpoint step for linear predictions ``V_j = G U_j``.

    ``(I + (dt/2) C (G^T G + I)) (U_j' - U_j) = dt drift_j + sqrt(2 dt / J) sum_k z_jk (U_k - mean U)``.

    Parameters
    ----------
    ensemble : ndarray of float64, shape (J, d)
    operator : ndarray of float64, shape (m, d)
        G.
    data : ndarray of float64, shape (m,)
    dt : float
    noise : ndarray of float64, shape (J, J)
        z.
    dimension : int or None
        As for :func:`eks_drift`.

    Returns
    -------
    ndarray of float64, shape (J, d)

    Examples
    --------
    >>> import numpy as np
    >>> u = np.array([[-1.0], [1.0]])
    >>> eks_update(u, np.eye(1), np.array([1.0]), 1.0, np.zeros((2, 2)), 1).tolist()
    [[0.0], [1.0]]
    """
    n, d = ensemble.shape
    drift = eks_drift(ensemble, ensemble @ operator.T, data, dimension)
    c = covariance(ensemble, ensemble) * (n - 1) / n
    implicit = np.eye(d) + 0.5 * dt * c @ (operator.T @ operator + np.eye(d))
    out = []
    for j in range(n):
        kick = sum(noise[j, k] * (ensemble[k] - ensemble.mean(axis=0)) for k in range(n))
        out.append(ensemble[j] + np.linalg.solve(implicit, dt * drift[j] + np.sqrt(2 * dt / n) * kick))
    return np.array(out)
