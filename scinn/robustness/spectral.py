"""Chow parameters of a neuron by Fourier series: a fast series, a rigorous enclosure, smooth activations.

Notation: x uniform on {-1,+1}^n, S = <w,x>, margin m = S - theta, Phi(t) = E exp(i t S) = prod_j cos(w_j t). For a period
P and the odd harmonics t_k = k pi / P,

    sgn(s) = (4/pi) sum_k sin(t_k s)/k,          |s| = P/2 - (4P/pi^2) sum_k cos(t_k s)/k^2       for |s| < P,

so that, with D_i(t) = sin(w_i t) and the products without i built from both ends,

    c_0  = -(4/pi) sum_k sin(theta t_k) Phi(t_k)/k
    c_i  =  (4/pi) sum_k cos(theta t_k) D_i(t_k) prod_{j != i} cos(w_j t_k)/k
    E|m| =  P/2 - (4P/pi^2) sum_k cos(theta t_k) Phi(t_k)/k^2.

Here sgn(0) = 0. ``P = 1.1 (||w||_1 + |theta|)`` holds every margin; ``P = |theta| + 9 ||w||_2`` all but 1e-17 of them, by
Hoeffding's inequality. The smaller is taken.

The enclosure uses Vaaler's trigonometric polynomial of degree K: with Lambda(a) = pi a (1 - a) cot(pi a) + a, every Chow
parameter c, for every value of sgn(0) in [-1, 1], satisfies ``|c - c*| <= B``,

    c* = the series above up to K with 1/k replaced by Lambda(k/(K+1))/k,
    B  = 2/(K+1) (1 + 2 sum_{k even <= K} (1 - k/(K+1)) cos(theta t_k) Phi(t_k)).

References
----------
N. Raviv, A. Kelley, M. Guo, Y. Vorobeychik (2021), Enhancing Robustness of Neural Networks through Fourier Stabilization,
ICML, PMLR 139; J. Gil-Pelaez (1951), Note on the inversion theorem, Biometrika 38; J. D. Vaaler (1985), Some extremal
functions in Fourier analysis, Bull. AMS 12. The series of the smooth activations is derived in :func:`smooth_parameters`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from scinn.kernels import spectral as kernels
from scinn.nn.images import readable

__all__ = [
    "DROP",
    "REACH",
    "RETURNS",
    "SeriesResult",
    "VaalerResult",
    "lattice_error",
    "series_parameters",
    "short_period",
    "smooth_parameters",
    "vaaler_parameters",
]

_LANES = kernels.LANES
# Products below this cannot change a sum of double precision: the coefficients add up to about ten.
DROP = 1e-17
# Odd harmonics at most, where their number is found automatically.
_MOST_HARMONICS = 50_000
# The series is left where its estimated remainder is below this.
_TARGET = 1e-13
# sqrt(-2 ln 1e-20): beyond this distance from the peak a Gaussian is gone.
REACH = 9.6
# Weights near a common size a bring the product back at t = pi / a, 2 pi / a, .., those near its multiples at some of these,
# which an early stop would not see. Four returns of the largest weight are always looked at, and more until they are gone.
RETURNS = 4.25
# Beyond what was summed the products themselves are looked at: up to this multiple of it, ...
_SCANNED = 12.0
# ... in at most so many points, and, where so many weights are close together that products keep coming back, in these.
_GLANCE, _MOST_SCANNED = 1 << 11, 1 << 17
# Weights whose phases differ by less than this are one size, radians.
_SAME = 0.25
# A level of products that is none.
_GONE = 1e-13
# A larger estimate is compared with what can be proven.
_PROVABLE = 1e-3
# So few weights have products of random size that add up.
_FEW = 48
# Absolute error of a cosine or sine of the kernels, a factor in a product included.
_COSINE_ERROR = 8e-16
_CHUNK = 1 << 18


class SeriesResult(NamedTuple):
    """Chow parameters from a truncated series.

    Parameters
    ----------
    value : ndarray of float64, shape (n + 1,)
        E f, then E f x_i.
    error_estimate : float
        Estimate of the largest error of an entry (see the functions).
    mean_margin : float
        E|<w,x> - theta|.
    n_harmonics : int
        Odd harmonics that were summed.
    period : float
        P.
    proven : bool
        Whether ``error_estimate`` is a proven bound.
    """

    value: np.ndarray
    error_estimate: float
    mean_margin: float
    n_harmonics: int
    period: float
    proven: bool = False


class VaalerResult(NamedTuple):
    """Chow parameters with a proven bound.

    Parameters
    ----------
    value : ndarray of float64, shape (n + 1,)
        E h, then E h x_i.
    bound : float
        No entry is farther from the truth, whatever sgn(0) in [-1, 1] is.
    mean_margin : float
        E|<w,x> - theta|, from the series (not covered by ``bound``).
    n_harmonics : int
        The degree K.
    """

    value: np.ndarray
    bound: float
    mean_margin: float
    n_harmonics: int


class _Neuron(NamedTuple):
    """A neuron, in units of a power of two where its numbers are extreme, with its norms."""

    weights: np.ndarray
    threshold: float
    unit: float
    one_norm: float
    two_norm: float
    max_norm: float


def _normalised(weights: np.ndarray, threshold: float) -> _Neuron:
    weights, sizes = readable(weights), np.abs(weights)
    top = float(sizes.max())
    unit = 1.0
    if not 1e-100 < top < 1e100:
        exponent = math.frexp(top)[1]
        unit = math.ldexp(1.0, exponent)
        weights, sizes = np.ldexp(weights, -exponent), np.ldexp(sizes, -exponent)
        threshold = float(np.ldexp(threshold, -exponent))
    return _Neuron(
        weights, threshold, unit, float(sizes.sum()), math.sqrt(float(weights @ weights)), float(sizes.max())
    )


def short_period(period: float) -> float:
    """Round up to 26 bits, so that products with the high parts of ratios are exact."""
    mantissa, exponent = math.frexp(period)
    return math.ldexp(math.ceil(math.ldexp(mantissa, 26)), exponent - 26)


def _period(neuron: _Neuron, deviations: float) -> tuple[float, float]:
    """Return a period and a bound of the probability that a margin lies beyond it."""
    reach = abs(neuron.threshold)
    certain, likely = 1.1 * (neuron.one_norm + reach), reach + deviations * neuron.two_norm
    if certain <= likely:
        return short_period(certain), 0.0
    return short_period(likely), 2.0 * math.exp(-0.5 * deviations**2)


class _Expansion(NamedTuple):
    """A function of the margin as a series in the odd harmonics of a period.

    ``coefficients(k)`` gives the sine, cosine and margin coefficients at harmonics k; ``tail_norm(k)`` is the Euclidean
    norm of all sine or cosine coefficients beyond k, ``tail_sum(k)`` the sum of their sizes where it is finite, else 0;
    ``density(t)`` bounds their sizes per unit of the frequency.
    """

    period: float
    coefficients: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
    tail_norm: Callable[[float], float]
    tail_sum: Callable[[float], float]
    density: Callable[[np.ndarray], np.ndarray] = lambda t: (2.0 / math.pi) / t


def _common_level(neuron: _Neuron, t: float) -> float:
    """Return the root mean square of products around a frequency, if only weights of nearly one size know of each other.

    Over a random phase ``cos^(2k)`` has the mean ``binom(2k, k) / 4^k``, which for k equal weights is far above 4^-k.
    """
    sizes = np.sort(np.abs(neuron.weights))
    width = _SAME / t
    # Chains of close sizes are an upper bound, and mostly short.
    level = _group_level(np.diff(np.flatnonzero(np.diff(sizes, prepend=-math.inf, append=math.inf) > width)))
    if level <= _GONE:
        return level
    ends = np.searchsorted(sizes, sizes + width, side="right").tolist()
    starts = [0]
    while starts[-1] < len(sizes):
        starts.append(ends[starts[-1]])
    return _group_level(np.diff(starts))


def _group_level(counts: np.ndarray) -> float:
    # binom(2k, k) / 4^k is at most 1 / sqrt(pi k).
    return math.exp(
        -0.5 * float(np.sum(np.where(counts == 1, math.log(2.0), 0.5 * np.log(math.pi * counts))))
    )


class _Scan:
    """The products beyond a frequency, as far as weights of nearly one size can bring them back."""

    def __init__(self, neuron: _Neuron, start: float) -> None:
        # A return has about the shape of a Gaussian, whose sum at steps of two standard deviations is right to 2 %.
        step = 2.0 / neuron.two_norm
        first = math.ceil(start / step)
        count = min(math.ceil((_SCANNED - 1.0) * start / step), _GLANCE)
        n, level = len(neuron.weights), _common_level(neuron, (first + count) * step)
        # Among many random weights a few pairs are close.
        if n <= _FEW or level > max(_GONE, 32.0 * 2.0 ** (-0.5 * n)):
            count = _MOST_SCANNED
            level = _common_level(neuron, (first + count) * step)
        products = np.empty(count)
        kernels.shifted_products(
            neuron.weights, 0.0, short_period(math.pi / step), float(first), 1.0, DROP, products
        )
        seen = np.flatnonzero(products)
        self.t = (first + seen) * step
        # The product without one weight, whose sine takes its place, may be larger.
        self.sizes = 2.0 * step * np.abs(products[seen])
        self.end = (first + count) * step
        self.level = level

    def beyond(self, t: float, expansion: _Expansion) -> float:
        """Estimate what the harmonics beyond a frequency add up to."""
        seen = int(np.searchsorted(self.t, t, side="right"))
        remainder = float(np.sum(self.sizes[seen:] * expansion.density(self.t[seen:])))
        k = max(self.end, t) * expansion.period / math.pi
        return remainder + self.level * 6.0 * expansion.tail_norm(k)


class _Sum:
    """A series that is summed range by range."""

    def __init__(self, neuron: _Neuron, expansion: _Expansion) -> None:
        self.neuron, self.expansion = neuron, expansion
        #: Harmonics in the range where the product is like a Gaussian.
        self.gaussian = math.ceil(0.5 * REACH * expansion.period / (math.pi * neuron.two_norm))
        self.count = 0
        self.left_out = 0.0
        self.total = np.zeros(len(neuron.weights) + 2)
        self.before = self.total
        self.envelope = np.empty(0)
        self.scan: _Scan | None = None

    def extend(self, count: int) -> None:
        """Go on until ``count`` harmonics are summed."""
        self.before = self.total.copy()
        first = 1.0 + 2.0 * self.count
        k = first + 2.0 * np.arange(count - self.count)
        envelope = np.empty(len(k))
        self.left_out += kernels.harmonic_sums(
            self.neuron.weights, self.neuron.threshold, self.expansion.period, first, 2.0,
            *self.expansion.coefficients(k), DROP, envelope, self.total,
        )  # fmt: skip
        self.envelope = envelope if self.count == 0 else np.concatenate([self.envelope, envelope])
        self.count = count

    def tail(self) -> float:
        """Estimate the remainder, as a sum of terms of random signs and of the size that the last products had."""
        k = 2.0 * self.count - 1.0
        level = self.level()
        tail = level * (6.0 * self.expansion.tail_norm(k) + self.expansion.tail_sum(k))
        if level > 1e-10 and self.before.any():
            # Where the products stay large, terms may have one sign; the latest range of harmonics tells about that.
            tail += float(np.max(np.abs(self.total[:-1] - self.before[:-1])))
        return tail

    def returns(self) -> float:
        """Estimate what products that come back beyond the last harmonic add."""
        if self.scan is None:
            self.scan = _Scan(self.neuron, max(self.reach(), REACH / self.neuron.two_norm))
        return self.scan.beyond(self.reach(), self.expansion)

    def level(self) -> float:
        """Return the size of the products beyond the last harmonic.

        For weights without rational relations they have a mean square of 2^-n over all t, which is taken where the last
        ones happen to be smaller.
        """
        start = min(max(self.gaussian, self.count // 2), 3 * self.count // 4)
        last = self.envelope[start:]
        return max(math.sqrt(float(last @ last) / len(last)), 2.0 ** (-0.5 * len(self.neuron.weights)))

    def reach(self) -> float:
        """Return the largest t that was summed."""
        return math.pi * (2 * self.count - 1) / self.expansion.period

    def run(self) -> None:
        """Sum as many harmonics as are needed."""
        returns = 0.5 * RETURNS * self.expansion.period / self.neuron.max_norm
        count = max(2 * _LANES, self.gaussian + math.ceil(min(returns, 4096.0)))
        self.extend(min(-(-count // _LANES) * _LANES, _MOST_HARMONICS))
        while self.count < _MOST_HARMONICS and self.tail() > _TARGET:
            self.extend(min(2 * self.count, _MOST_HARMONICS))
        while self.count < _MOST_HARMONICS and self.returns() > _TARGET:
            self.extend(min(2 * self.count, _MOST_HARMONICS))


def _sign_expansion(period: float) -> _Expansion:
    def coefficients(k: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        sine = (4.0 / math.pi) / k
        return sine, np.zeros_like(k), (-period / math.pi) * sine / k

    return _Expansion(period, coefficients, lambda k: (4.0 / math.pi) * math.sqrt(0.5 / k), lambda k: 0.0)


def _modulus_expansion(period: float) -> _Expansion:
    def coefficients(k: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        cosine = (-4.0 * period / math.pi**2) / k**2
        return np.zeros_like(k), cosine, cosine

    size = 4.0 * period / math.pi**2
    return _Expansion(
        period,
        coefficients,
        lambda k: size / math.sqrt(6.0 * k**3),
        lambda k: 0.5 * size / k,
        lambda t: (2.0 / math.pi) / t**2,
    )


def _summed(neuron: _Neuron, expansion: _Expansion, count: int | None) -> _Sum:
    series = _Sum(neuron, expansion)
    if count is None:
        series.run()
    else:
        series.extend(count)
    return series


def _rounding(n: int) -> float:
    return float(np.finfo(np.float64).eps) * (4.0 + math.sqrt(n))


def _constant(neuron: _Neuron) -> bool:
    # The norm is rounded; what is left to the series here has a mass of 2^-n.
    return abs(neuron.threshold) > neuron.one_norm * (1.0 + 1e-12)


def _lattice_spacing(neuron: _Neuron) -> float:
    """Return a number of which all weights are multiples to nine digits, at most by 10^6; 0 where there is none."""
    floor, zero = 1e-6 * neuron.max_norm, 1e-9 * neuron.max_norm
    spacing = neuron.max_norm
    for size in neuron.weights.tolist():
        a, b = spacing, abs(size)
        while b > zero:
            if b < floor:
                return 0.0
            # The remainder of least size: a multiple that is a digit too small leaves no remainder then.
            a, b = b, abs(math.remainder(a, b))
        spacing = a
    return spacing


def lattice_error(weights: np.ndarray, t_max: float) -> float:
    """Estimate the error of a series up to a frequency that is due to products which return to size 1 beyond it.

    Parameters
    ----------
    weights : ndarray of float64, shape (n,)
        At least one is not 0.
    t_max : float
        The frequency.

    Returns
    -------
    float
        0 for generic weights.
    """
    neuron = _normalised(weights[weights != 0.0], 0.0)
    t_max *= neuron.unit
    return max(_smoothing(neuron, t_max), _returning(neuron, t_max))


def _returning(neuron: _Neuron, t_max: float) -> float:
    """Estimate the error by the largest product up to the fourth return of the largest weight."""
    step = 0.5 / neuron.two_norm
    first = math.ceil(max(t_max, REACH / neuron.two_norm) / step)
    count = min(math.floor(RETURNS * math.pi / (neuron.max_norm * step)) - first, 1 << 16)
    if count <= 0:
        return 0.0
    products = np.empty(count)
    period = short_period(math.pi / step)
    kernels.shifted_products(neuron.weights, 0.0, period, float(first), 1.0, DROP, products)
    return float(np.max(np.abs(products))) * _atom(neuron, neuron.max_norm)


def _atom(neuron: _Neuron, spacing: float) -> float:
    """Return about the largest mass of a point of the law on a lattice, with a half in hand."""
    return min(2.0, math.sqrt(2.0 / math.pi) * 1.5 * spacing / neuron.two_norm)


def _smoothing(neuron: _Neuron, t_max: float) -> float:
    """Estimate the error for weights on a lattice, whose series up to ``t_max`` is that of a law without atoms."""
    spacing = _lattice_spacing(neuron)
    if spacing == 0.0 or t_max * spacing >= math.pi:
        return 0.0
    return _atom(neuron, spacing)


def _enclosing_error(neuron: _Neuron, value: np.ndarray, degree: int) -> float:
    """Return a proven bound of the error of a value, for every sgn(0)."""
    # A period so short that the mass beyond it is just below what the degree can resolve.
    deviations = min(9.0, math.sqrt(2.0 * math.log(4e4 * degree)))
    period, beyond = _period(neuron, deviations)
    star, error = _vaaler_values(neuron, period, degree)
    bound = _vaaler_bound(neuron, period, degree) + error + 2.0 * beyond
    return (bound + float(np.max(np.abs(value - star)))) * (1.0 + 1e-12)


def series_parameters(
    weights: np.ndarray, threshold: float, *, n_harmonics: int | None = None
) -> SeriesResult:
    """Sum the Fourier series of the Chow parameters of a sign neuron, with sgn(0) = 0.

    Parameters
    ----------
    weights : ndarray of float64, shape (n,)
        w, n >= 1, no zeros.
    threshold : float
        theta.
    n_harmonics : int, optional
        Odd harmonics to sum. By default as many as the products of cosines call for: until t_k has passed the Gaussian
        range and four returns of weights of nearly one size, and until the estimated remainder is below 1e-13 or 50,000
        are summed, which happens for n below about 80, and where many weights share few sizes.

    Returns
    -------
    SeriesResult
        ``error_estimate`` is the largest difference to the series of another period (10 % longer), plus an estimate of
        the remainder from the size of the last products, plus the sum of the products at up to 131,072 further
        frequencies (beyond these, weights that are still in step are told by their sizes), plus the mass of an atom where
        the weights are multiples of one number and the products return to size 1 beyond the last harmonic; or what the
        enclosure proves, if that is less. The estimate itself is no proof;
        :func:`vaaler_parameters` gives one.

    References
    ----------
    Derived in the module's docstring.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.sqrt(np.arange(1.0, 101.0))
    >>> result = series_parameters(w, 3.0)
    >>> bool(result.error_estimate < 1e-12), bool((result.value[1:] > 0).all())
    (True, True)
    >>> bool(abs(w @ result.value[1:] - 3.0 * result.value[0] - result.mean_margin) < 1e-12)
    True
    """
    neuron = _normalised(weights, threshold)
    if _constant(neuron):
        return _constant_result(weights, threshold)
    period, _ = _period(neuron, 9.0)
    series = _summed(neuron, _sign_expansion(period), n_harmonics)
    second = _summed(neuron, _sign_expansion(short_period(1.1 * period)), series.count)
    n = len(weights)
    error = float(np.max(np.abs(series.total[: n + 1] - second.total[: n + 1])))
    error += (
        series.tail() + series.returns() + series.left_out + _smoothing(neuron, series.reach()) + _rounding(n)
    )
    if n_harmonics is not None:
        error += _returning(neuron, series.reach())
    if series.level() > 1e-3:
        # Single points count here: those that are too close to the plane for the last harmonic to tell their side.
        error += _vaaler_bound(neuron, period, 2 * series.count)
    if error > _PROVABLE:
        error = min(error, _enclosing_error(neuron, series.total[: n + 1], 2 * series.count))
    return SeriesResult(
        series.total[: n + 1],
        error,
        neuron.unit * (0.5 * period + float(series.total[n + 1])),
        series.count,
        neuron.unit * period,
    )


def _constant_result(weights: np.ndarray, threshold: float) -> SeriesResult:
    value = np.zeros(len(weights) + 1)
    value[0] = -math.copysign(1.0, threshold)
    return SeriesResult(value, 0.0, abs(threshold), 0, math.inf, True)


def _vaaler_weights(k: np.ndarray, degree: int) -> np.ndarray:
    a = k / (degree + 1.0)
    return math.pi * a * (1.0 - a) / np.tan(math.pi * a) + a


def _vaaler_bound(neuron: _Neuron, period: float, degree: int) -> float:
    """Return B of the module's docstring, rounded up."""
    total, sizes, left_out = 0.0, 0.0, 0.0
    n_even = degree // 2
    for start in range(0, n_even, _CHUNK):
        k = 2.0 * np.arange(start + 1, min(start + _CHUNK, n_even) + 1)
        products = np.empty(len(k))
        left_out += kernels.shifted_products(
            neuron.weights, neuron.threshold, period, float(k[0]), 2.0, 1e-7, products
        )
        terms = (1.0 - k / (degree + 1.0)) * products
        total += float(np.sum(terms))
        sizes += float(np.sum(np.abs(terms)))
    rounding = n_even * math.expm1((len(neuron.weights) + 1) * _COSINE_ERROR) + 1e-14 * sizes
    return 2.0 / (degree + 1.0) * (1.0 + 2.0 * (total + left_out + rounding))


def _vaaler_values(neuron: _Neuron, period: float, degree: int) -> tuple[np.ndarray, float]:
    """Return c* of the module's docstring, and a bound of the error of its computation."""
    n = len(neuron.weights)
    total, sizes, left_out = np.zeros(n + 2), 0.0, 0.0
    n_odd = (degree + 1) // 2
    # All that is left out then adds up to about a thousandth of the bound, and is counted.
    drop = min(1e-6, 1e-4 / degree)
    for start in range(0, n_odd, _CHUNK):
        k = 1.0 + 2.0 * np.arange(start, min(start + _CHUNK, n_odd))
        sine, zero = (4.0 / math.pi) * _vaaler_weights(k, degree) / k, np.zeros(len(k))
        sizes += float(np.sum(sine))
        left_out += kernels.harmonic_sums(
            neuron.weights,
            neuron.threshold,
            period,
            float(k[0]),
            2.0,
            sine,
            zero,
            zero,
            drop,
            np.empty(len(k)),
            total,
        )
    return total[: n + 1], left_out + sizes * (math.expm1((n + 2) * _COSINE_ERROR) + 1e-14)


def vaaler_parameters(weights: np.ndarray, threshold: float, *, n_harmonics: int) -> VaalerResult:
    """Enclose the Chow parameters of a sign neuron, for every value of sgn(0) in [-1, 1].

    The values are those of :func:`series_parameters`; ``bound = max |value - c*| + B`` plus the mass beyond the period
    and all rounding.

    Parameters
    ----------
    weights : ndarray of float64, shape (n,)
        w, n >= 1, no zeros.
    threshold : float
        theta.
    n_harmonics : int
        The degree K, from 1 to 2^26; the bound falls like 1/K down to the mass of the points on the plane.

    Returns
    -------
    VaalerResult

    References
    ----------
    Vaaler (1985), theorem 18; the enclosure is derived in the module's docstring.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.sqrt(np.arange(1.0, 101.0))
    >>> result = vaaler_parameters(w, 3.0, n_harmonics=10_000)
    >>> result.bound < 1e-3
    True
    """
    neuron = _normalised(weights, threshold)
    if _constant(neuron):
        value, _, margin, *_ = _constant_result(weights, threshold)
        return VaalerResult(value, 0.0, margin, n_harmonics)
    plain = series_parameters(weights, threshold)
    bound = _enclosing_error(neuron, plain.value, n_harmonics)
    return VaalerResult(plain.value, bound, plain.mean_margin, n_harmonics)


_STEEPNESS = {"tanh": 1.0, "scaled_logistic": 0.5}


def _tanh_sine(k: np.ndarray, period: float, steepness: float) -> np.ndarray:
    """Return the coefficients of tanh(steepness s), made odd periodic by alternating copies; see smooth_parameters."""
    x = (0.5 * math.pi**2 / (steepness * period)) * k
    return (2.0 * math.pi / (steepness * period)) * (2.0 * np.exp(-x) / -np.expm1(-2.0 * x))


def smooth_parameters(
    weights: np.ndarray, threshold: float, activation: str, *, tol: float = 1e-12
) -> SeriesResult:
    """Sum the Fourier series of the Chow parameters of a neuron with a continuous activation.

    Parameters
    ----------
    weights : ndarray of float64, shape (n,)
        w, n >= 1, no zeros.
    threshold : float
        theta.
    activation : {"tanh", "scaled_logistic", "relu"}
        f(m) = tanh(m), tanh(m/2), max(m, 0).
    tol : float, default 1e-12
        Error to aim at.

    Returns
    -------
    SeriesResult
        For "tanh" and "scaled_logistic" ``error_estimate`` is a proven bound, and ``proven`` true, wherever the coefficients
        themselves have fallen below ``tol`` within 50,000 harmonics, which is the case for margins up to about 10^4;
        otherwise, and for "relu", it is an estimate as in :func:`series_parameters`.

    Notes
    -----
    With a = 1 or 1/2, ``tanh(a s) = int_0^inf sin(t s) / (a sinh(pi t / (2 a))) dt``. The sum of the integrand over t_k,
    k odd, times the step 2 pi / P is, by Poisson's formula, ``sum_j (-1)^j tanh(a (s + j P))``: the copies j and -j
    cancel but for ``2 exp(-2 a (P - |s|))``. So ``P = R + ln(8 / tol) / (2 a)`` serves margins up to R, and

        A_k = 2 pi / (a P sinh(pi t_k / (2 a))),   c_0 = -sum_k A_k sin(theta t_k) Phi(t_k), and so on.

    As a grows, A_k goes to 4 / (pi k). For "relu", ``max(m, 0) = (m + |m|) / 2`` with ``E m x_i = w_i`` and the cosine
    series of |m|.

    References
    ----------
    Derived here.

    Examples
    --------
    >>> import numpy as np
    >>> result = smooth_parameters(np.array([1.0, 0.5]), 0.0, "tanh")
    >>> exact = (np.tanh(1.5) + np.tanh(0.5)) / 2
    >>> bool(abs(result.value[1] - exact) <= result.error_estimate <= 1e-11)
    True
    """
    neuron = _normalised(weights, threshold)
    if activation == "relu":
        return _relu_parameters(neuron, weights, threshold)
    return _tanh_parameters(neuron, weights, threshold, _STEEPNESS[activation], tol)


def _relu_parameters(neuron: _Neuron, weights: np.ndarray, threshold: float) -> SeriesResult:
    n = len(weights)
    if _constant(neuron):
        on = threshold < 0.0
        value = np.concatenate([[-threshold], weights]) if on else np.zeros(n + 1)
        return SeriesResult(value, 0.0, abs(threshold), 0, math.inf, True)
    period, _ = _period(neuron, 9.0)
    series = _summed(neuron, _modulus_expansion(period), None)
    longer = short_period(1.1 * period)
    second = _summed(neuron, _modulus_expansion(longer), series.count)
    first, other = series.total[: n + 1].copy(), second.total[: n + 1].copy()
    first[0] += 0.5 * period
    other[0] += 0.5 * longer
    difference = float(np.max(np.abs(first - other)))
    value = 0.5 * (first + np.concatenate([[-neuron.threshold], neuron.weights]))
    atom = _smoothing(neuron, series.reach()) * neuron.two_norm
    error = (
        difference
        + series.tail()
        + series.returns()
        + series.left_out
        + atom
        + _rounding(n) * (neuron.two_norm + period)
    )
    margin = neuron.unit * float(first[0])
    return SeriesResult(
        neuron.unit * value, 0.5 * neuron.unit * error, margin, series.count, neuron.unit * period
    )


def _tanh_parameters(
    neuron: _Neuron, weights: np.ndarray, threshold: float, steepness: float, tol: float
) -> SeriesResult:
    n = len(weights)
    tol = min(max(tol, 1e-16), 0.1)
    steepness *= neuron.unit
    reach, spread = abs(neuron.threshold), neuron.one_norm
    beyond = 0.0
    if 9.0 * neuron.two_norm < spread:
        spread, beyond = 9.0 * neuron.two_norm, 2.0 * math.exp(-40.5)
    # Copies of the function are farther away than the largest margin by this.
    gap = max(math.log(8.0 / tol) / (2.0 * steepness), 0.02 * (reach + spread))
    period = short_period(reach + spread + gap)
    copies = 2.5 * math.exp(-2.0 * steepness * gap)

    def coefficients(k: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        sine, zero = _tanh_sine(k, period, steepness), np.zeros_like(k)
        return sine, zero, zero

    def beyond_harmonic(k: float) -> float:
        # The coefficients fall at least as a geometric series.
        following = float(_tanh_sine(np.array([k + 2.0]), period, steepness)[0])
        return following / -math.expm1(-(math.pi**2) / (steepness * period))

    series = _Sum(neuron, _Expansion(period, coefficients, beyond_harmonic, lambda k: 0.0))
    count = 2 * _LANES
    while count < _MOST_HARMONICS and beyond_harmonic(2.0 * count - 1.0) > 0.25 * tol:
        count *= 2
    margin = series_parameters(weights, threshold)
    if count <= _MOST_HARMONICS:
        series.extend(count)
        proven = True
        sizes = float(np.sum(_tanh_sine(1.0 + 2.0 * np.arange(count), period, steepness)))
        error = beyond_harmonic(2.0 * count - 1.0) + sizes * (math.expm1((n + 2) * _COSINE_ERROR) + 1e-14)
    else:
        series.run()
        proven = False
        # As a function of bounded variation, f is a mixture of signs with other thresholds.
        error = margin.error_estimate + series.tail() + series.returns() + _rounding(n)
    error += copies + 2.0 * beyond + series.left_out
    return SeriesResult(
        series.total[: n + 1], error, margin.mean_margin, series.count, neuron.unit * period, proven
    )
