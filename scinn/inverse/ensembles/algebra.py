"""What the ensemble methods share: deviations, their singular values, and products with gains.

Li, Dunlop, Stadler (2022), "Bayesian neural network priors for edge-preserving inversion", arXiv 2112.10663, approximate
posteriors by ensembles. Notation: J members as rows, ``U`` of shape (J, d) in white coordinates, whitened predictions
``V`` of shape (J, m), data y with unit noise. With ``S = V_c / sqrt(J - 1)`` and ``A = U_c / sqrt(J - 1)`` the sample
covariances are ``C_uv = A^T S`` and ``C_vv = S^T S``, and the gain is ``A^T S (S^T S + alpha I)^-1``.

Everything goes through the thin singular value decomposition ``S = P diag(s) Q^T``: it costs min(m, J) max(m, J)^2
at most, no d x d or squared matrix is formed, and small singular values keep their accuracy.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Factors", "centred", "factors", "gain_product"]


class Factors(NamedTuple):
    """Thin singular value decomposition ``P diag(s) Q^T`` of scaled deviations, of shape (J, m).

    Parameters
    ----------
    members : ndarray of float64, shape (J, k)
        P, k = min(m, J).
    values : ndarray of float64, shape (k,)
        s.
    data : ndarray of float64, shape (k, m)
        Q^T.
    """

    members: np.ndarray
    values: np.ndarray
    data: np.ndarray


def centred(rows: np.ndarray) -> np.ndarray:
    """Return the rows less their mean.

    Parameters
    ----------
    rows : ndarray of float64, shape (J, d)

    Returns
    -------
    ndarray of float64, shape (J, d)

    Examples
    --------
    >>> import numpy as np
    >>> centred(np.array([[1.0], [3.0]])).tolist()
    [[-1.0], [1.0]]
    """
    return rows - rows.mean(axis=0)


def factors(predicted: np.ndarray, alpha: float = 1.0) -> Factors:
    """Factorise ``V_c / sqrt(alpha (J - 1))``.

    Parameters
    ----------
    predicted : ndarray of float64, shape (J, m)
        V.
    alpha : float
        Inflation of the noise.

    Returns
    -------
    Factors

    Examples
    --------
    >>> import numpy as np
    >>> factors(np.array([[1.0], [3.0]])).values.round(12).tolist()
    [1.414213562373]
    """
    scaled = centred(predicted) / np.sqrt(alpha * (len(predicted) - 1))
    return Factors(*np.linalg.svd(scaled, full_matrices=False))


def gain_product(own: Factors, residuals: np.ndarray, deviations: np.ndarray) -> np.ndarray:
    """Return ``R (S^T S + I)^-1 S^T A``: residuals times the gain, without the J x J weights in between.

    Parameters
    ----------
    own : Factors
        Of S.
    residuals : ndarray of float64, shape (r, m)
        R.
    deviations : ndarray of float64, shape (J, d)
        A.

    Returns
    -------
    ndarray of float64, shape (r, d)

    Examples
    --------
    >>> import numpy as np
    >>> s = factors(np.array([[1.0], [3.0]]))
    >>> gain_product(s, np.array([[3.0]]), np.array([[-1.0], [1.0]])).round(12).tolist()
    [[2.0]]
    """
    shrunk = own.values / (1.0 + own.values**2)
    return ((residuals @ own.data.T) * shrunk) @ (own.members.T @ deviations)
