"""Unit laws of network weights and of other coefficients, as maps from standard normal coordinates.

Notation: ``xi`` are white coordinates, independent standard normal; ``theta = T(xi)`` has the law. A symmetric stable
law takes two coordinates for each number, the others one. What is said of T, its accuracy and its derivatives stands in
:mod:`scinn.kernels.heavy_tails`.

References
----------
C. Li, M. Dunlop, G. Stadler (2022), Bayesian neural network priors for edge-preserving inversion, Inverse Problems and
Imaging 16(5), arXiv 2112.10663; V. Chen, M. Dunlop, O. Papaspiliopoulos, A. Stuart (2018), Dimension-robust MCMC in
Bayesian inverse problems, arXiv 1803.03344, for sampling in white coordinates; J. Chambers, C. Mallows, B. Stuck (1976), A
method for simulating stable random variables, JASA 71.
"""

from __future__ import annotations

import functools
import math
import re
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from scipy import special

from scinn._input import as_float_array, check_in_range
from scinn.kernels import heavy_tails as kernels
from scinn.random import RandomState, as_generator

__all__ = ["Law", "LawLike", "as_law"]

_CODES = {
    "gaussian": kernels.GAUSSIAN,
    "cauchy": kernels.CAUCHY,
    "laplace": kernels.LAPLACE,
    "student_t": kernels.STUDENT_T,
    "stable": kernels.STABLE,
}
# What the number in brackets is called, and its range. Below these bounds T leaves the range of float64 so early that
# no table holds it, or that most numbers are 0 or infinite.
_PARAMETERS = {"student_t": ("df", 0.5, 1000.0), "stable": ("alpha", 0.001, 2.0)}
_KNOWN = "'gaussian', 'cauchy', 'laplace', 'student_t(df)' such as 'student_t(3)', 'stable(alpha)' such as 'stable(1.5)'"
_SERIES_TERMS, _FIXED_POINT_STEPS = 80, 60


@dataclass(frozen=True)
class Law:
    """One unit law; :func:`as_law` makes it.

    Parameters
    ----------
    name : str
        As :func:`as_law` takes it: ``"cauchy"``, ``"student_t(3)"``.
    code : int
        The kernels' number of the law: 0 Gaussian, 1 Cauchy, 2 Laplace, 3 Student's t, 4 stable.
    parameter : float
        Degrees of freedom or alpha; 0 for laws without.
    table : ndarray of float64
        Quantiles of Student's law for the kernels, shape (0, 0) for the others.

    Examples
    --------
    >>> law = as_law("cauchy")
    >>> law.transform([0.0, 1.0, -2.0]).round(4).tolist()
    [0.0, 1.8373, -13.9677]
    >>> law.inverse(law.transform([0.5, -30.0])).round(12).tolist()
    [0.5, -30.0]
    """

    name: str
    code: int
    parameter: float = 0.0
    table: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)), repr=False, compare=False)

    @property
    def n_white(self) -> int:
        """How many white coordinates one number takes: 2 for stable laws, 1 for the others."""
        return 2 if self.code == kernels.STABLE else 1

    @property
    def index(self) -> float:
        """Index of stability, of the stable laws that scaled sums of independent numbers of the law are drawn to.

        1 for the Cauchy law, a stable law's own, ``min(df, 2)`` for Student's t, 2 for the others. The law has a mean if it
        is above 1.
        """
        if self.code == kernels.CAUCHY:
            return 1.0
        return min(self.parameter, 2.0) if self.code in (kernels.STUDENT_T, kernels.STABLE) else 2.0

    @property
    def has_moments(self) -> bool:
        """Whether all moments exist: of the stable laws only alpha = 2, which is Gaussian, has them."""
        if self.code == kernels.STABLE:
            return self.parameter == 2.0
        return self.code in (kernels.GAUSSIAN, kernels.LAPLACE)

    def neg_log_density(self, x: Any) -> np.ndarray:
        """Return minus the log density at numbers of the law, constants included.

        Parameters
        ----------
        x : array-like

        Returns
        -------
        ndarray of float64
            Same shape.

        Raises
        ------
        ValueError
            For a stable law, whose density has no closed form.

        Examples
        --------
        >>> as_law("cauchy").neg_log_density([0.0, 1.0]).round(6).tolist()
        [1.14473, 1.837877]
        """
        values = self._arguments(x)
        if self.code == kernels.GAUSSIAN:
            return 0.5 * values**2 + 0.5 * math.log(2.0 * math.pi)
        if self.code == kernels.LAPLACE:
            return np.abs(values) + math.log(2.0)
        df = self._df
        outer, ratio = _folded(values / math.sqrt(df))
        constant = _log_beta(0.5 * df) + 0.5 * math.log(df)
        return (df + 1.0) * (np.log(outer) + 0.5 * np.log1p(ratio**2)) + constant

    def score(self, x: Any) -> np.ndarray:
        """Return the derivative of :meth:`neg_log_density`, ``-p'/p``.

        Parameters
        ----------
        x : array-like

        Returns
        -------
        ndarray of float64
            Same shape; 0 at 0 for Laplace's law.

        Raises
        ------
        ValueError
            For a stable law.

        Examples
        --------
        >>> as_law("cauchy").score([0.0, 1.0, -3.0]).round(12)
        array([ 0. ,  1. , -0.6])
        """
        values = self._arguments(x)
        if self.code == kernels.GAUSSIAN:
            return values.copy()
        if self.code == kernels.LAPLACE:
            return np.sign(values)
        root = math.sqrt(self._df)
        _, ratio = _folded(values / root)
        return np.copysign((self._df + 1.0) / root * (ratio / (1.0 + ratio**2)), values)

    @property
    def _df(self) -> float:
        """Degrees of freedom; the Cauchy law is Student's with one."""
        return 1.0 if self.code == kernels.CAUCHY else self.parameter

    def _arguments(self, x: Any) -> np.ndarray:
        if self.code == kernels.STABLE:
            raise ValueError(
                f"the law {self.name!r} has no density in closed form; work in its white coordinates, or take 'cauchy' for "
                "stable(1) and 'gaussian' for stable(2), up to scale"
            )
        return as_float_array(x, "x", dtype=np.float64, allow_nan=True)

    def transform(self, xi: Any) -> np.ndarray:
        """Return numbers of the law from white coordinates.

        Parameters
        ----------
        xi : array-like, shape (..., n_white * p)
            Finite. For a stable law the first half of the last axis holds the coordinates of the angles, the second half
            those of the exponential variables.

        Returns
        -------
        ndarray of float64, shape (..., p)
            Odd in ``xi`` (in its first half) and increasing; infinite where the number is beyond float64, never NaN.
            All laws but the Gaussian stay constant beyond 37.

        Raises
        ------
        ValueError
            For NaN, infinities, or a last axis of odd length for a stable law.
        """
        white, shape = self._white(xi)
        theta = np.empty(white.size // self.n_white)
        kernels.transform_block(self.code, self.parameter, self.table, white, theta)
        return theta.reshape(shape)

    def derivative(self, xi: Any) -> np.ndarray:
        """Return the derivative of each number by its white coordinate, or by both of them.

        Parameters
        ----------
        xi : array-like, shape (..., n_white * p)
            As for :meth:`transform`.

        Returns
        -------
        ndarray of float64, shape (..., n_white * p)
            In the layout of ``xi``; 0 beyond 37 (but for the Gaussian law).
        """
        white, shape = self._white(xi)
        slope = np.empty_like(white)
        ones = np.ones(white.size // self.n_white)
        kernels.pullback_block(self.code, self.parameter, self.table, white, ones, slope)
        if self.n_white == 1:
            return slope.reshape(shape)
        return np.concatenate([half.reshape(shape) for half in np.split(slope, 2)], axis=-1)

    def second_derivative(self, xi: Any) -> np.ndarray:
        """Return the second derivative of the Cauchy or the Gaussian transform.

        Parameters
        ----------
        xi : array-like
            Finite.

        Returns
        -------
        ndarray of float64
            Same shape.

        Raises
        ------
        ValueError
            For the other laws: Laplace's has a jump in it at 0, and the others' is not implemented.
        """
        if self.code not in (kernels.GAUSSIAN, kernels.CAUCHY):
            raise ValueError(
                f"second derivatives exist for the laws 'gaussian' and 'cauchy', not for {self.name!r}"
            )
        white, shape = self._white(xi)
        result = np.zeros_like(white)
        if self.code == kernels.CAUCHY:
            kernels.cauchy_second_derivative_block(white, result)
        return result.reshape(shape)

    def inverse(self, theta: Any) -> np.ndarray:
        """Return the white coordinates of numbers of the law.

        Parameters
        ----------
        theta : array-like
            Finite numbers.

        Returns
        -------
        ndarray of float64
            Same shape; at most 37 in size but for the Gaussian law.

        Raises
        ------
        ValueError
            For a stable law, where two coordinates belong to each number.
        """
        if self.code == kernels.STABLE:
            raise ValueError(
                f"the law {self.name!r} makes one number of two white coordinates and has no inverse; "
                "'cauchy' is stable(1) and 'gaussian' is stable(2) up to scale, from one coordinate each"
            )
        values = as_float_array(theta, "theta", dtype=np.float64)
        flat = values.reshape(-1)
        xi = np.empty_like(flat)
        if self.code == kernels.STUDENT_T:
            log_tail = _student_log_tail(self.parameter, np.abs(flat))
            kernels.inverse_block(kernels.LAPLACE, np.copysign(-log_tail, flat), xi)
        else:
            kernels.inverse_block(self.code, flat, xi)
        return xi.reshape(values.shape)

    def sample(self, rng: RandomState = None, size: int | tuple[int, ...] = ()) -> np.ndarray:
        """Draw numbers of the law.

        Parameters
        ----------
        rng : int, SeedSequence, Generator, Key or None
            Where the draws come from.
        size : int or tuple of int
            Shape of the result.

        Returns
        -------
        ndarray of float64, shape ``size``

        Examples
        --------
        >>> as_law("stable(1.5)").sample(0, (2, 3)).shape
        (2, 3)
        """
        shape = (size,) if isinstance(size, int | np.integer) else tuple(size)
        white = as_generator(rng).standard_normal((self.n_white, *shape))
        theta = np.empty(white.size // self.n_white)
        kernels.transform_block(self.code, self.parameter, self.table, white.reshape(-1), theta)
        return theta.reshape(shape)

    def _white(self, xi: Any) -> tuple[np.ndarray, tuple[int, ...]]:
        """Return the coordinates in the order of the kernels, and the shape of the numbers they make."""
        values = as_float_array(xi, "xi", dtype=np.float64)
        if self.n_white == 1:
            return values.reshape(-1), values.shape
        if values.ndim == 0 or values.shape[-1] % 2:
            raise ValueError(
                f"xi has shape {values.shape}; the law {self.name!r} wants a last axis of even length: all first "
                "coordinates, then all second ones"
            )
        first, second = np.split(values, 2, axis=-1)
        return np.concatenate([first.ravel(), second.ravel()]), first.shape


LawLike: TypeAlias = "str | tuple[str, float] | Law"


def as_law(law: LawLike) -> Law:
    """Return a law from its name.

    Parameters
    ----------
    law : str, tuple or Law
        ``"gaussian"``: standard normal, ``T(xi) = xi``. ``"cauchy"``: density ``1 / (pi (1 + x^2))``. ``"laplace"``: density
        ``exp(-|x|) / 2``. ``"student_t(3)"`` or ``("student_t", 3)``: Student's t, 0.5 to 1000 degrees of freedom.
        ``"stable(1.5)"`` or ``("stable", 1.5)``: characteristic function ``exp(-|t|^alpha)``, alpha from 0.001 to 2; note
        that ``stable(2)`` is N(0, 2). A Law is returned as it is.

    Returns
    -------
    Law

    Raises
    ------
    ValueError
        For a name that no law has, or a parameter that is missing, superfluous or out of range.
    TypeError
        For what is neither text, nor a pair, nor a Law.

    Examples
    --------
    >>> as_law("student_t(3)")
    Law(name='student_t(3)', code=3, parameter=3.0)
    >>> as_law(("stable", 1.5)) == as_law("stable(1.5)")
    True
    """
    if isinstance(law, Law):
        return law
    name, parameter = _name_and_parameter(law)
    if name not in _CODES:
        raise ValueError(f"law is {law!r}, which is not known; the laws are {_KNOWN}")
    if name not in _PARAMETERS:
        if parameter is not None:
            raise ValueError(f"law is {law!r}, but {name!r} takes no parameter: pass {name!r}")
        return Law(name, _CODES[name])
    what, low, high = _PARAMETERS[name]
    if parameter is None:
        raise ValueError(
            f"law is {law!r}, which lacks its parameter {what}: pass '{name}({what})' or ({name!r}, {what})"
        )
    value = check_in_range(parameter, f"{what} of the law {name!r}", low, high)
    label = f"{name}({value:.17g})" if float(f"{value:g}") != value else f"{name}({value:g})"
    if name == "student_t":
        return Law(label, _CODES[name], value, _student_table(value))
    return Law(label, _CODES[name], value)


def _name_and_parameter(law: Any) -> tuple[str, Any]:
    if isinstance(law, tuple | list) and len(law) == 2 and isinstance(law[0], str):
        return law[0].strip().lower(), law[1]
    if not isinstance(law, str):
        raise TypeError(f"law is {law!r}; a name is wanted: {_KNOWN}")
    match = re.fullmatch(r"(\w+)(?:\((.*)\))?", law.strip().lower())
    if match is None:
        return law, None
    name, text = match[1], match[2]
    if text is None:
        return name, None
    # "student_t(df=3)", as a reader of the signature would write it.
    number = re.sub(r"^\s*(df|alpha)\s*=", "", text)
    try:
        return name, float(number)
    except ValueError:
        raise ValueError(f"law is {law!r}, where {text!r} is not a number; the laws are {_KNOWN}") from None


def _folded(r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a = max(|r|, 1) and b = min(|r|, 1 / |r|): ``1 + r^2 = a^2 (1 + b^2)`` without a large square."""
    size = np.abs(r)
    outer = np.maximum(size, 1.0)
    return outer, np.minimum(size, 1.0) / outer


def _log_series(half: float, rest: np.ndarray) -> np.ndarray:
    """Return log of 2F1(half, 1/2; half + 1; rest), all terms positive; for rest up to 3 / 4."""
    term, total = np.ones_like(rest), np.ones_like(rest)
    for n in range(1, _SERIES_TERMS):
        term = term * rest * ((n - 0.5) / n)
        total += term * (half / (half + n))
    return np.log(total)


@functools.lru_cache(maxsize=64)
def _log_beta(half: float) -> float:
    """Return log of the beta function B(half, 1/2); scipy's difference of large logarithms loses digits."""
    steps = max(0, int(half) - 50)
    start = half - steps
    growth = math.fsum(math.log1p(0.5 / (start + k)) for k in range(steps))
    return math.log(math.sqrt(math.pi) * math.gamma(start) / math.gamma(start + 0.5)) - growth


def _student_log_tail(df: float, size: np.ndarray) -> np.ndarray:
    """Return log of the probability that a Student number is larger than ``size`` in size."""
    half = 0.5 * df
    # In the order that neither squares a large number nor cancels.
    ratio = size / np.sqrt(df)
    log_rest = -2.0 * np.log(np.hypot(1.0, ratio))
    share = (ratio / np.hypot(1.0, ratio)) ** 2
    near = np.log1p(-np.minimum(special.betainc(0.5, half, share), 0.75))
    rest = np.minimum(np.exp(log_rest), 0.75)
    far = half * log_rest + _log_series(half, rest) - np.log(half) - _log_beta(half)
    with np.errstate(divide="ignore"):
        middle = np.log(special.betainc(half, 0.5, np.exp(log_rest)))
    return np.where(share < 0.5, np.where(near > -0.5, near, middle), far)


@functools.lru_cache(maxsize=32)
def _student_table(df: float) -> np.ndarray:
    """Return the coefficients of R and S on each interval, for :mod:`scinn.kernels.heavy_tails`.

    With a = df / 2, y = |xi| and w = exp(y^2 / df) df / (df + T^2), the equation of the tail, 2 Q(y) = I(a, 1/2), reads
    ``a log w + log 2F1(a, 1/2; a + 1; df / (df + T^2)) = log(erfcx(y / sqrt 2) a B(a, 1/2))``: no term is large. So
    ``R = T exp(-y^2 / (2 df)) / y`` and ``S = T' exp(-y^2 / (2 df))`` have nearly all digits.
    """
    half, n = 0.5 * df, kernels.N_COEFFICIENTS
    nodes = np.cos(np.pi * (np.arange(n) + 0.5) / n)
    y = (np.arange(kernels.N_INTERVALS)[:, None] + 0.5 * (1.0 + nodes)) / kernels.INTERVALS_PER_UNIT
    z, square = y * np.sqrt(0.5), y * y / df
    log_beta = _log_beta(half)
    share = np.where(
        y < 1.0,
        special.betaincinv(0.5, half, special.erf(z)),
        special.betainccinv(0.5, half, special.erfc(z)),
    )
    far = (share >= 0.5) & (y >= 1.0)
    share = np.where(far, 0.0, share)
    log_w = np.log1p(-share) + square
    wanted = np.log(special.erfcx(z[far])) + np.log(half) + log_beta
    log_far = wanted / half
    for _ in range(_FIXED_POINT_STEPS):
        rest = np.exp(np.minimum(log_far - square[far], np.log(0.75)))
        log_far = (wanted - _log_series(half, rest)) / half
    log_w[far] = log_far
    share[far] = -np.expm1(log_far - square[far])
    value = np.sqrt(df * share) * np.exp(-0.5 * log_w) / y
    slope = np.exp(log_beta + 0.5 * np.log(df / (2.0 * np.pi)) - (half + 0.5) * log_w)
    powers = np.vander(nodes, increasing=True)
    return np.ascontiguousarray(np.hstack([np.linalg.solve(powers, part.T).T for part in (value, slope)]))
