"""Ways to the joint law of two neurons on the cube, used by :mod:`scinn.robustness.joint_law`.

Notation: x uniform on {-1,+1}^n, h = sgn(<w,x> - theta) and g = sgn(<v,x> - mu). A neuron whose weights are whole multiples
of one number is a function of an integer T = <a,x>, which takes the values ``-A + 2 r``, ``A = ||a||_1``; for equal weights,
the outcome of l_1 stabilisation, these are n + 1.

* two lattices: the joint law of two integers by dynamic programming, exact up to rounding;
* one lattice, :func:`lattice_moments`: with r = (T + A)/2, the A + 1 numbers ``E h 1{r = j}`` are the discrete Fourier
  transform of ``E h exp(i phi_l (T + A))`` at ``phi_l = pi l / (A + 1)``. Each of these is a series in the harmonics of h
  with

      E sin(t m) exp(i phi T) = (exp(-i theta t) Psi(t, phi) - exp(i theta t) Psi(t, -phi)) / 2i,

  m = <w,x> - theta, ``Psi(t, phi) = prod_j cos(w_j t + phi a_j)``;
* no lattice, :func:`ridge`: with t_k = k pi/P for h and s_l = l pi/Q for g,

      E g h = (8/pi^2) sum_{k > 0 odd} sum_{l odd} cos(theta t_k - mu s_l) Phi(t_k w - s_l v) / (k l),

  where l runs over both signs. Phi is negligible but where ``t_k w - s_l v`` is short: a ridge along
  ``s = t <w,v>/||v||^2``, of a width that does not depend on the angle between w and v and of a length like its inverse. A
  square of pairs that sees as much would have to be as wide as the ridge is long.

Methods that go through points, all of them, grouped ones or random ones, are in :mod:`scinn.robustness.joint_points`.

References
----------
Derived here. The neurons are those of N. Raviv, A. Kelley, M. Guo, Y. Vorobeychik (2021), Enhancing Robustness of Neural
Networks through Fourier Stabilization, ICML, PMLR 139; the one-dimensional series is that of
:mod:`scinn.robustness.spectral`.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from scinn.kernels import spectral as kernels
from scinn.robustness.dyadic import common_step
from scinn.robustness.spectral import DROP, REACH, RETURNS, short_period

__all__ = [
    "LARGEST_LATTICE",
    "Plane",
    "Ridge",
    "half_sums",
    "lattice_law",
    "lattice_moments",
    "lattice_of",
    "lattice_pair_law",
    "near_lattice",
    "plane_of",
    "ridge",
    "ridge_correlations",
    "ridge_error",
    "ridge_size",
    "signs_of",
    "sine_between",
]

#: Largest sum of sizes for which the law of a lattice is computed step by step.
LARGEST_LATTICE = 20_000
# Harmonics that are added before a look at whether more are needed.
_ROWS = 16
_MOST_STEPS = 1e5


class Plane(NamedTuple):
    """A neuron ready for computation.

    Parameters
    ----------
    weights : ndarray of float64, shape (n,)
        Small integers where ``lattice`` is true.
    threshold : float
        For a lattice an integer, or an integer plus 1/2 where no point lies on the plane.
    lattice : bool
        Whether the weights are whole multiples of one number, which has been divided out.
    """

    weights: np.ndarray
    threshold: float
    lattice: bool

    @property
    def total(self) -> int:
        """A of the module's docstring; for a lattice only."""
        return int(np.abs(self.weights).sum())


def plane_of(weights: np.ndarray, threshold: float) -> Plane:
    """Return the neuron in integers where its weights have a common step; a constant neuron gets zero weights.

    Weights like 0.1 and 0.3, which have a common step up to rounding, do as well, unless a sum of them is as near to the
    threshold as rounding is.
    """
    total = math.fsum(np.abs(weights).tolist())
    if abs(threshold) > total * (1.0 + 1e-12) or total == 0.0:
        side = 0.0 if threshold == 0.0 else math.copysign(0.5, threshold)
        return Plane(np.zeros(len(weights)), side, True)
    step = common_step(weights)
    if step:
        integers = np.array([float(Fraction(w) / step) for w in weights.tolist()])
        return _on_lattice(integers, threshold, step)
    near = near_lattice(weights)
    if near is None:
        return Plane(weights, threshold, False)
    integers, step, deviation = near
    total_steps = int(np.abs(integers).sum())
    # The nearest sum has the parity of the largest one.
    nearest = 2 * round((Fraction(threshold) / step - total_steps) / 2) + total_steps
    if abs(Fraction(threshold) - nearest * step) <= deviation:
        return Plane(weights, threshold, False)
    return _on_lattice(integers, threshold, step)


def lattice_of(weights: np.ndarray) -> Plane:
    """Return weights in integers where they have a common step, up to rounding at least; the threshold is 0."""
    plane = plane_of(weights, 0.0)
    near = None if plane.lattice else near_lattice(weights)
    return plane if near is None else Plane(near[0], 0.0, True)


def _on_lattice(integers: np.ndarray, threshold: float, step: Fraction) -> Plane:
    ratio = Fraction(threshold) / step
    place = float(ratio) if ratio.denominator == 1 else math.floor(ratio) + 0.5
    bound = float(np.abs(integers).sum()) + 1.0
    return Plane(integers, min(max(place, -bound), bound), True)


def near_lattice(weights: np.ndarray) -> tuple[np.ndarray, Fraction, Fraction] | None:
    """Return integers a, a step s and the sum of ``|w_i - s a_i|`` where that is rounding; None where there is no step."""
    sizes = np.unique(np.abs(weights[weights != 0.0]))
    if not sizes.size:
        return None
    top = float(sizes[-1])
    step = top
    for size in sizes.tolist():
        # Euclid's algorithm; remainders far below the least step of interest are rounding.
        rest = abs(size - step * round(size / step))
        while rest > 1e-7 * top:
            step, rest = rest, abs(step - rest * round(step / rest))
        if step * _MOST_STEPS < 0.5 * top:
            return None
    integers = np.round(weights / step)
    scaled = weights / top
    step = float(scaled @ integers / (integers @ integers))
    if np.abs(integers).max() > _MOST_STEPS or np.abs(scaled - step * integers).max() > 1e-14:
        return None
    exact = Fraction(step) * Fraction(top)
    places, where, counts = np.unique(weights, return_index=True, return_counts=True)
    deviation = sum(
        (
            count * abs(Fraction(w) - int(integers[i]) * exact)
            for w, i, count in zip(places.tolist(), where.tolist(), counts.tolist(), strict=True)
        ),
        Fraction(0),
    )
    return integers, exact, deviation


def signs_of(margins: np.ndarray, tie: int) -> np.ndarray:
    """Return sgn of the margins as int8, with ``tie`` for zero."""
    signs = np.sign(margins).astype(np.int8)
    if tie:
        signs[margins == 0.0] = tie
    return signs


def half_sums(weights: np.ndarray) -> np.ndarray:
    """Return the sums ``sum_i w_i x_i`` of all sign vectors, bit i of the index set where ``x_i = -1``."""
    sums = np.zeros(1)
    for w in weights.tolist():
        sums = np.concatenate([sums + w, sums - w])
    return sums


def lattice_law(weights: np.ndarray) -> np.ndarray:
    """Return the law of ``(<a,x> + A) / 2`` for integers a, shape (A + 1,)."""
    law = np.ones(1)
    for a in np.abs(weights).astype(np.int64).tolist():
        if a:
            law = 0.5 * (np.pad(law, (0, a)) + np.pad(law, (a, 0)))
    return law


def lattice_pair_law(weights: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the joint law of ``(<b,x> + B)/2`` and ``(<a,x> + A)/2`` for integers, b the others; shape (B + 1, A + 1)."""
    law = np.ones((1, 1))
    for a, b in zip(weights.astype(np.int64).tolist(), others.astype(np.int64).tolist(), strict=True):
        if a == 0 and b == 0:
            continue
        grown = np.zeros((law.shape[0] + abs(b), law.shape[1] + abs(a)))
        for x in (1, -1):
            # The larger of the two values of |a| x_i sign(a) is the one that moves the index.
            i, j = (abs(b) if b * x > 0 else 0), (abs(a) if a * x > 0 else 0)
            grown[i : i + law.shape[0], j : j + law.shape[1]] += 0.5 * law
        law = grown
    return law


def _period(weights: np.ndarray, threshold: float, stretch: float) -> float:
    reach, size = abs(threshold), np.abs(weights)
    return short_period(
        stretch * min(1.1 * (float(size.sum()) + reach), reach + 9.0 * math.sqrt(float(size @ size)))
    )


def lattice_moments(
    plane: Plane, lattice: np.ndarray, *, stretch: float = 1.0, most_rows: int = 4096
) -> tuple[np.ndarray, float]:
    """Return ``E h 1{r = j}``, j = 0..A, for r = (<a,x> + A)/2, and an estimate of the largest error of their sums.

    Parameters
    ----------
    plane : Plane
        h, with at least one weight that is not 0.
    lattice : ndarray of float64, shape (n,)
        a, integers.
    stretch : float, default 1
        Factor of the period of h, at least 1.
    most_rows : int, default 4096
        Odd harmonics of h at most.

    Returns
    -------
    (ndarray of float64, shape (A + 1,), float)
    """
    n_values = int(np.abs(lattice).sum()) + 1
    period = _period(plane.weights, plane.threshold, stretch)
    norm, top = math.sqrt(float(plane.weights @ plane.weights)), float(np.abs(plane.weights).max())
    # For phi far from 0 the Gaussian range is moved by as much again; see RETURNS of the one-dimensional series.
    gaussian = math.ceil(REACH * period / (math.pi * norm))
    returns = math.ceil(0.5 * RETURNS * min(period / top, 2048.0))
    flip = np.roll(np.arange(n_values)[::-1], 1)
    # cos(y - pi a_j) turns the sign once for each odd a_j.
    turn = np.where(np.arange(n_values) == 0, 1.0, -1.0 if int(np.abs(lattice).sum()) % 2 else 1.0)
    total = np.zeros(n_values, dtype=np.complex128)
    levels: list[float] = []
    n_rows = 0
    while n_rows < most_rows and (
        n_rows < gaussian + returns or max(levels[max(gaussian, n_rows - returns) // _ROWS :]) > 1e-14
    ):
        k = 1.0 + 2.0 * np.arange(n_rows, n_rows + _ROWS)
        psi = np.empty((len(k), n_values))
        kernels.pair_products(
            plane.weights, period, lattice, float(n_values), k, np.zeros(len(k)), 1.0, DROP, psi
        )
        phase = np.exp(-1j * plane.threshold * (math.pi / period) * k) / k
        total += phase @ psi - np.conj(phase) @ (turn * psi[:, flip])
        levels.append(float(np.abs(psi).max()))
        n_rows += len(k)
    total *= (4.0 / math.pi) / 2j
    harmonics = np.arange(n_values)
    total *= np.exp(1j * math.pi * harmonics / n_values * (n_values - 1))
    moments = np.fft.fft(total).real / n_values
    size = max(math.sqrt(float(np.mean(psi**2))), 2.0 ** (-0.5 * len(plane.weights)))
    return moments, 6.0 * (4.0 / math.pi) * size * math.sqrt(0.25 / n_rows)


class Ridge(NamedTuple):
    """The harmonics of two neurons at which the double series is not negligible, and the products there.

    Parameters
    ----------
    rows : ndarray of float64, shape (n_rows,)
        k, odd.
    starts : ndarray of float64, shape (n_rows,)
        First l of each row, odd; then every second one.
    products : ndarray of float64, shape (n_rows, n_columns)
        ``Phi(t_k w - s_l v)``.
    period, other_period : float
        P and Q.
    """

    rows: np.ndarray
    starts: np.ndarray
    products: np.ndarray
    period: float
    other_period: float


def sine_between(weights: np.ndarray, others: np.ndarray) -> float:
    """Return the sine of the angle between two vectors that are not 0, to full precision for small ones as well."""
    unit = weights / math.sqrt(float(weights @ weights))
    other = others / math.sqrt(float(others @ others))
    rest = other - float(unit @ other) * unit
    return math.sqrt(float(rest @ rest))


def ridge_size(weights: np.ndarray, others: np.ndarray) -> float:
    """Return about how many products the ridge of two neurons takes."""
    return 1e3 / max(sine_between(weights, others), 1e-30)


def ridge(plane: Plane, others: np.ndarray, reach: float, *, stretch: float = 1.0, margin: int = 8) -> Ridge:
    """Return the ridge of the double series.

    Parameters
    ----------
    plane : Plane
        h.
    others : ndarray of float64, shape (n,)
        v, not parallel to w.
    reach : float
        The largest ``|mu|`` of interest.
    stretch : float, default 1
        Factor of both periods, at least 1.
    margin : int, default 8
        Rows and columns beyond those where a Gaussian Phi exceeds 1e-20, at least 1.
    """
    w = plane.weights
    period, other_period = _period(w, plane.threshold, stretch), _period(others, reach, stretch)
    norm, other_norm = math.sqrt(float(w @ w)), math.sqrt(float(others @ others))
    inner = float(w @ others)
    sine = sine_between(w, others)
    n_rows = math.ceil(0.5 * REACH * period / (math.pi * norm * sine)) + margin
    rows = 1.0 + 2.0 * np.arange(n_rows)
    half = math.ceil(0.5 * REACH * other_period / (math.pi * other_norm)) + margin
    middle = rows * (inner / other_norm**2 * other_period / period)
    starts = 2.0 * np.round(0.5 * middle) - 2.0 * half + 1.0
    products = np.empty((n_rows, 2 * half))
    # The kernel adds the two phases.
    kernels.pair_products(w, period, -others, other_period, rows, starts, 2.0, DROP, products)
    return Ridge(rows, starts, products, period, other_period)


def ridge_correlations(found: Ridge, threshold: float, thresholds: np.ndarray) -> np.ndarray:
    """Return E g h for some thresholds of g.

    Parameters
    ----------
    found : Ridge
    threshold : float
        theta.
    thresholds : ndarray of float64, shape (n_thresholds,)
        Values of mu.

    Returns
    -------
    ndarray of float64, shape (n_thresholds,)
    """
    columns = found.starts[:, None] + 2.0 * np.arange(found.products.shape[1])
    t = (math.pi / found.period) * found.rows
    terms = found.products / (found.rows[:, None] * columns)
    low = float(columns.min())
    where = np.round(0.5 * (columns - low)).astype(np.int64).ravel()
    size = int(where.max()) + 1
    cosine = np.bincount(where, (np.cos(threshold * t)[:, None] * terms).ravel(), size)
    sine = np.bincount(where, (np.sin(threshold * t)[:, None] * terms).ravel(), size)
    s = (math.pi / found.other_period) * (low + 2.0 * np.arange(size))
    result = np.empty(len(thresholds))
    for begin in range(0, len(thresholds), 256):
        angle = np.multiply.outer(thresholds[begin : begin + 256], s)
        result[begin : begin + 256] = np.cos(angle) @ cosine + np.sin(angle) @ sine
    return (8.0 / math.pi**2) * result


def ridge_error(found: Ridge, n: int) -> float:
    """Estimate what the products beyond the ridge add to E g h, from those at its edge.

    The products have a mean square of 2^-n over all frequencies, unless weights have rational relations.
    """
    edge = np.concatenate(
        [found.products[:, :2].ravel(), found.products[:, -2:].ravel(), found.products[-2:].ravel()]
    )
    return 3.0 * max(2.0 ** (-0.5 * n), math.sqrt(float(np.mean(edge**2))))
