"""Heavy-tailed unit laws as maps of standard normal numbers, number by number, from the C library's erfc and SciPy.

Li, Dunlop, Stadler 2022, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), arXiv 2112.10663. Notation: ``Q(y) = erfc(y / sqrt 2) / 2`` upper normal tail, ``ph`` normal density, ``hazard = ph /
Q``. Laws: 0 Gaussian, 1 Cauchy, 2 Laplace, 3 Student's t (parameter df), 4 symmetric stable (parameter alpha). White
coordinates beyond 37 in size are taken for 37, and derivatives by them for 0.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special

__all__ = [
    "cauchy",
    "cauchy_derivative",
    "cauchy_inverse",
    "cauchy_second_derivative",
    "laplace",
    "laplace_derivative",
    "laplace_inverse",
    "pullback_block",
    "pushforward_block",
    "stable",
    "stable_gradient",
    "student_t",
    "student_t_derivative",
    "transform_block",
]


def _tail(xi: float) -> float:
    return 0.5 * math.erfc(xi / math.sqrt(2.0))


def _density(xi: float) -> float:
    return math.exp(-0.5 * xi * xi) / math.sqrt(2.0 * math.pi)


def _clamped(xi: float) -> float:
    return min(max(xi, -37.0), 37.0)


def cauchy(xi: float) -> float:
    """Return T(xi) of the Cauchy law: ``tan(pi / 2 erf(xi / sqrt 2))``, in the tails ``cot(pi Q)``.

    Examples
    --------
    >>> round(cauchy(1.0), 6)
    1.837337
    """
    y = abs(_clamped(xi))
    if y < 1.0:
        return math.tan(0.5 * math.pi * math.erf(_clamped(xi) / math.sqrt(2.0)))
    angle = math.pi * _tail(y)
    return math.copysign(math.cos(angle) / math.sin(angle), xi)


def cauchy_derivative(xi: float) -> float:
    """Return T'(xi): ``pi ph (1 + T^2)``, in the tails ``|T| hazard 2 pi Q / sin(2 pi Q)``.

    Examples
    --------
    >>> round(cauchy_derivative(0.0) ** 2 * 2 / math.pi, 12)
    1.0
    """
    if abs(xi) > 37.0:
        return 0.0
    if abs(xi) < 1.0:
        return math.pi * _density(xi) * (1.0 + cauchy(xi) ** 2)
    tail = _tail(abs(xi))
    angle = 2.0 * math.pi * tail
    return abs(cauchy(xi)) * (_density(xi) / tail) * (angle / math.sin(angle))


def cauchy_second_derivative(xi: float) -> float:
    """Return ``T'' = T' (2 pi ph T - xi)`` of the Cauchy law.

    Examples
    --------
    >>> cauchy_second_derivative(0.0)
    0.0
    """
    return cauchy_derivative(xi) * (2.0 * math.pi * _density(xi) * cauchy(xi) - xi)


def cauchy_inverse(theta: float) -> float:
    """Return the xi of a Cauchy number, from SciPy's normal quantiles.

    Examples
    --------
    >>> round(cauchy_inverse(cauchy(20.0)), 9)
    20.0
    """
    if abs(theta) < 1.0:
        return math.sqrt(2.0) * float(special.erfinv(2.0 / math.pi * math.atan(theta)))
    return math.copysign(min(-float(special.ndtri(math.atan(1.0 / abs(theta)) / math.pi)), 37.0), theta)


def laplace(xi: float) -> float:
    """Return ``T(xi) = -sign(xi) log(2 Q(|xi|))`` of the Laplace law.

    Examples
    --------
    >>> round(laplace(-1.0), 6)
    -1.147874
    """
    y = abs(_clamped(xi))
    if y < 1.0:
        return math.copysign(-math.log1p(-math.erf(y / math.sqrt(2.0))), xi)
    return math.copysign(-math.log(2.0 * _tail(y)), xi)


def laplace_derivative(xi: float) -> float:
    """Return ``T'(xi)``, the hazard at ``|xi|``.

    Examples
    --------
    >>> round(laplace_derivative(0.0) ** 2 * math.pi / 2, 12)
    1.0
    """
    return _density(xi) / _tail(abs(xi)) if abs(xi) <= 37.0 else 0.0


def laplace_inverse(theta: float) -> float:
    """Return the xi of a Laplace number, from SciPy's normal quantiles.

    Examples
    --------
    >>> round(laplace_inverse(laplace(-20.0)), 9)
    -20.0
    """
    if abs(theta) < 0.5:
        return math.copysign(math.sqrt(2.0) * float(special.erfinv(-math.expm1(-abs(theta)))), theta)
    tail = 0.5 * math.exp(-abs(theta))
    return math.copysign(min(-float(special.ndtri(tail)), 37.0) if tail > 0.0 else 37.0, theta)


def student_t(df: float, xi: float) -> float:
    """Return T(xi) of Student's law: the number whose tail is ``Q(|xi|)``, by inverse incomplete beta functions.

    Examples
    --------
    >>> round(student_t(1.0, 1.5) / cauchy(1.5), 9)
    1.0
    """
    y, half = abs(_clamped(xi)), 0.5 * df
    if y < 1.0:
        share = float(special.betaincinv(0.5, half, math.erf(y / math.sqrt(2.0))))
        return math.copysign(math.sqrt(df * share / (1.0 - share)), xi)
    tail = 2.0 * _tail(y)
    # The leading term of the incomplete beta function, where the inverse one would be too small a number.
    log_rest = (math.log(tail * half) + float(special.betaln(half, 0.5))) / half
    if log_rest > -40.0:
        share = float(special.betainccinv(0.5, half, tail))
        rest = 1.0 - share if share < 0.5 else float(special.betaincinv(half, 0.5, tail))
        return math.copysign(math.sqrt(df * (share if share < 0.5 else 1.0 - rest) / rest), xi)
    return (
        math.copysign(math.sqrt(df) * math.exp(-0.5 * log_rest), xi) if log_rest > -1400.0 else math.inf * xi
    )


def student_t_derivative(df: float, xi: float) -> float:
    """Return ``T'(xi) = ph(xi) / f(T)``, f the density of Student's law.

    Examples
    --------
    >>> round(student_t_derivative(1.0, 2.0) / cauchy_derivative(2.0), 9)
    1.0
    """
    if abs(xi) > 37.0:
        return 0.0
    size = abs(student_t(df, xi)) / math.sqrt(df)
    log_density = -(df + 1.0) * math.log(math.hypot(1.0, size)) - float(special.betaln(0.5 * df, 0.5))
    log_slope = 0.5 * math.log(df) - 0.5 * math.log(2.0 * math.pi) - 0.5 * xi * xi - log_density
    return math.exp(log_slope) if log_slope < 709.0 else math.inf


def _stable_parts(alpha: float, xi1: float, xi2: float) -> tuple[float, float, float]:
    first = _clamped(xi1)
    angle = math.copysign(0.5 * math.pi - math.pi * _tail(abs(first)), xi1) if first else 0.0
    variable = -math.log(_tail(_clamped(xi2)))
    factor = (math.cos((1.0 - alpha) * angle) / variable) ** ((1.0 - alpha) / alpha)
    return angle, variable, math.sin(alpha * angle) / math.cos(angle) ** (1.0 / alpha) * factor


def stable(alpha: float, xi1: float, xi2: float) -> float:
    """Return the number of Chambers, Mallows and Stuck, as their formula has it; not for the tails.

    ``sin(alpha U) / cos(U)^(1/alpha) (cos((1 - alpha) U) / E)^((1 - alpha) / alpha)``.

    Examples
    --------
    >>> round(stable(1.0, 1.5, 0.3) / cauchy(1.5), 9)
    1.0
    """
    return _stable_parts(alpha, xi1, xi2)[2]


def stable_gradient(alpha: float, xi1: float, xi2: float) -> tuple[float, float]:
    """Return the derivatives of :func:`stable` by both coordinates, ``xi1`` not 0; not for the tails.

    Examples
    --------
    >>> round(stable_gradient(1.0, 1.5, 0.3)[0] / cauchy_derivative(1.5), 9)
    1.0
    """
    angle, variable, value = _stable_parts(alpha, xi1, xi2)
    by_angle = alpha / math.tan(alpha * angle) + math.tan(angle) / alpha
    by_angle -= (1.0 - alpha) ** 2 / alpha * math.tan((1.0 - alpha) * angle)
    by_variable = -(1.0 - alpha) / alpha / variable
    hazard = _density(xi2) / _tail(xi2)
    return value * by_angle * math.pi * _density(xi1), value * by_variable * hazard


def transform_block(code: int, parameter: float, xi: np.ndarray) -> np.ndarray:
    """Return the numbers of a block of white coordinates.

    Parameters
    ----------
    code : int
        The law.
    parameter : float
        df or alpha.
    xi : ndarray, shape (p,), or (2p,) for stable laws
        First coordinates, then second ones.

    Returns
    -------
    ndarray, shape (p,)

    Examples
    --------
    >>> transform_block(0, 0.0, np.array([1.0, 2.0])).tolist()
    [1.0, 2.0]
    """
    if code == 4:
        return np.array([stable(parameter, a, b) for a, b in xi.reshape(2, -1).T])
    if code == 3:
        return np.array([student_t(parameter, float(x)) for x in xi])
    if code == 0:
        return np.array(xi, dtype=np.float64)
    function = {1: cauchy, 2: laplace}[code]
    return np.array([function(float(x)) for x in xi])


def _jacobian(code: int, parameter: float, xi: np.ndarray) -> np.ndarray:
    """Return the (p, p) or (p, 2p) matrix of derivatives."""
    if code == 4:
        slopes = np.array([stable_gradient(parameter, a, b) for a, b in xi.reshape(2, -1).T]).reshape(-1, 2)
        return np.hstack([np.diag(slopes[:, 0]), np.diag(slopes[:, 1])])
    if code == 3:
        return np.diag(np.array([student_t_derivative(parameter, float(x)) for x in xi]))
    if code == 0:
        return np.eye(xi.size)
    function = {1: cauchy_derivative, 2: laplace_derivative}[code]
    return np.diag(np.array([function(float(x)) for x in xi]))


def pullback_block(code: int, parameter: float, xi: np.ndarray, gtheta: np.ndarray) -> np.ndarray:
    """Return the transposed Jacobian of :func:`transform_block` times ``gtheta``.

    Parameters
    ----------
    code, parameter, xi
        As for :func:`transform_block`.
    gtheta : ndarray, shape (p,)

    Returns
    -------
    ndarray, of the size of ``xi``

    Examples
    --------
    >>> pullback_block(0, 0.0, np.array([1.0, 2.0]), np.array([3.0, 4.0])).tolist()
    [3.0, 4.0]
    """
    return _jacobian(code, parameter, xi).T @ gtheta


def pushforward_block(code: int, parameter: float, xi: np.ndarray, dxi: np.ndarray) -> np.ndarray:
    """Return the Jacobian of :func:`transform_block` times ``dxi``.

    Parameters
    ----------
    code, parameter, xi
        As for :func:`transform_block`.
    dxi : ndarray, of the size of ``xi``

    Returns
    -------
    ndarray, shape (p,)

    Examples
    --------
    >>> pushforward_block(0, 0.0, np.array([1.0, 2.0]), np.array([3.0, 4.0])).tolist()
    [3.0, 4.0]
    """
    return _jacobian(code, parameter, xi) @ dxi
