"""Maps from standard normal numbers to heavy-tailed ones, with derivatives, in blocks of a parameter vector.

After Li, Dunlop, Stadler 2022, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and
Imaging 16(5), arXiv 2112.10663: a network whose weights are ``theta = s T(xi)``, ``xi`` standard normal, has the same
target density as a Gaussian prior whatever law ``T`` gives its weights.

Notation: ``xi`` white coordinates, ``y = |xi|``, ``ph`` normal density, ``Q(y) = erfc(y / sqrt 2) / 2`` upper tail,
``hazard = ph / Q``, ``e = exp(y^2 / 2)``. All maps are odd, increasing, and those of the unit law (no scale).

* Cauchy: ``T = cot(pi Q)``. Above 1.5, ``1 / (pi Q) = sqrt(2 / pi) e hazard`` and ``cot z = 1 / z - z c(z^2)``; below,
  ``T = xi`` times a polynomial in ``xi^2``. Nothing cancels: ``tan(pi (cdf - 1/2))`` has no correct digit beyond
  ``y = 8.3``. ``T' = sqrt(pi / 2) (1 + T^2) / e``.
* Laplace: ``T = -log(2 Q)``; ``T' = hazard``.
* Student's t: ``T = xi exp(xi^2 / (2 df)) R(y)``, ``T' = exp(xi^2 / (2 df)) S(y)``, where R and S, which vary slowly,
  are polynomials on intervals of length 1/4, from a table.
* Symmetric stable: two coordinates for each number, by the formula of Chambers, Mallows and Stuck (1976), whose
  factors are taken where they do not cancel; see :func:`stable`.

The hazard and ``-log(2 Q) / y`` are quotients of polynomials with positive coefficients on 0 to 37, which interpolate
the functions (from 70 digits) at Chebyshev points of ``y / (y + 4)`` and ``y / (y + 6)``; their error is below 1e-16.
Since Q is no normal number from 37.5 on, T is constant and T' zero beyond 37. A relative error of a few
``eps (1 + xi^2)`` is what the rounding of ``xi`` itself makes. The loops over Cauchy and Laplace blocks have no branch
and no call and are vectorised. Twins are in :mod:`scinn.reference.heavy_tails`.
"""

from __future__ import annotations

import math

import numpy as np

from scinn.kernels._jit import jit
from scinn.kernels.elementary import exp64, growing_exp64

__all__ = [
    "CAUCHY",
    "GAUSSIAN",
    "INTERVALS_PER_UNIT",
    "LAPLACE",
    "LARGEST",
    "N_COEFFICIENTS",
    "N_INTERVALS",
    "STABLE",
    "STUDENT_T",
    "cauchy",
    "cauchy_derivative",
    "cauchy_inverse",
    "cauchy_second_derivative",
    "cauchy_second_derivative_block",
    "inverse_block",
    "laplace",
    "laplace_derivative",
    "laplace_inverse",
    "log_abs_cauchy",
    "n_white",
    "pullback_block",
    "pushforward_block",
    "stable",
    "stable_gradient",
    "student_t",
    "student_t_derivative",
    "transform_block",
]

GAUSSIAN, CAUCHY, LAPLACE, STUDENT_T, STABLE = 0, 1, 2, 3, 4
LARGEST = 37.0
# The table of a Student law: one row per interval, coefficients of R and then of S, lowest first.
INTERVALS_PER_UNIT, N_COEFFICIENTS = 4, 11
N_INTERVALS = 37 * INTERVALS_PER_UNIT
_SQRT_2_PI, _SQRT_HALF_PI, _SQRT_2_OVER_PI = 2.5066282746310002, 1.2533141373155001, 0.7978845608028654
_HALF_PI, _LN2 = 0.5 * math.pi, 0.6931471805599453
_MOST_STEPS = 40


@jit
def _clamped(xi):
    """Return |xi|, at most 37; NaN gives 37."""
    size = abs(xi)
    return size if size < LARGEST else LARGEST


@jit
def _hazard(y):
    """Return ph(y) / Q(y) for y from 0 to 37."""
    top = 2.7449912399693785e-06
    top = ((top * y + 7.395497856536609e-05) * y + 0.0009778066892011997) * y + 0.008214440531053257
    top = ((top * y + 0.04804191740253933) * y + 0.2028468960017944) * y + 0.6226433305159688
    top = ((top * y + 1.3658166108668253) * y + 2.0416315806487) * y + 1.872298828560925
    top = top * y + 0.7978845608028654
    bottom = 2.744991239960885e-06
    bottom = ((bottom * y + 7.39549785671099e-05) * y + 0.0009750616977994028) * y + 0.008140485561536496
    bottom = ((bottom * y + 0.04707234534382512) * y + 0.19485432984313922) * y + 0.5774934620234621
    bottom = ((bottom * y + 1.1865068946556796) * y + 1.5486940303117978) * y + 1.0
    return top / bottom


@jit
def _laplace(y):
    """Return -log(2 Q(y)) for y from 0 to 37."""
    top = 2.7448867454551613e-12
    top = ((top * y + 8.122281426509671e-10) * y + 7.206092432286232e-08) * y + 2.7633590298005143e-06
    top = ((top * y + 5.556956026468509e-05) * y + 0.0006757014758111513) * y + 0.005498578949566501
    top = ((top * y + 0.03177670744755062) * y + 0.13447261038336125) * y + 0.4205017354811414
    top = ((top * y + 0.9603678754557345) * y + 1.5396546602500782) * y + 1.5776196546134076
    top = top * y + 0.7978845608028654
    bottom = 5.489787878162846e-12
    bottom = ((bottom * y + 1.6244364921691818e-09) * y + 1.4404739307294461e-07) * y + 5.5097498901447015e-06
    bottom = ((bottom * y + 0.00010991421592106344) * y + 0.0013126289235216478) * y + 0.01035002145742136
    bottom = ((bottom * y + 0.057016857510661954) * y + 0.22515347813735753) * y + 0.6372963988651968
    bottom = ((bottom * y + 1.2544761439377832) * y + 1.5783107360323478) * y + 1.0
    return y * (top / bottom)


@jit
def _tail(y):
    """Return Q(y) for y from 0 to 37."""
    return exp64(-0.5 * (y * y)) / (_SQRT_2_PI * _hazard(y))


@jit(inline="always")
def _cauchy(y):
    """Return T(y) and e for y from 0 to 37."""
    t = y * y
    e = growing_exp64(0.5 * t)
    # Below 1.5: T / y, to 7e-17.
    centre = 2.7290289088391873e-12
    centre = ((centre * t - 5.6381672028949337e-11) * t + 5.438195103081136e-10) * t - 2.380969117397246e-09
    centre = ((centre * t + 6.718342027346639e-09) * t + 1.4725876317530106e-07) * t + 7.987881870726387e-07
    centre = ((centre * t + 1.962269339887214e-05) * t + 0.00023246395212818757) * t + 0.002156902014465348
    centre = ((centre * t + 0.018725262685134927) * t + 0.11553980375062887) * t + 0.44734805818583656
    centre = (centre * t + 1.2533141373155003) * y
    large = e * (_SQRT_2_OVER_PI * _hazard(y))
    z = 1.0 / large
    w = z * z
    # (1 - z cot z) / z^2 for z below pi Q(1.5).
    c = 2.1617627785303332e-05
    c = ((c * w + 0.00021163095945465597) * w + 0.002116402261835194) * w + 0.022222222221423168
    c = c * w + 0.33333333333333404
    # Both are finite. A choice between them would become a branch, and the loop would not be vectorised.
    inside = 1.0 if y < 1.5 else 0.0
    return inside * centre + (1.0 - inside) * (large - c * z), e


@jit(inline="always")
def cauchy(xi):
    """Return T(xi) of the Cauchy law."""
    value, _ = _cauchy(_clamped(xi))
    result = np.copysign(value, xi)
    return xi if xi != xi else result


@jit(inline="always")
def cauchy_derivative(xi):
    """Return T'(xi) of the Cauchy law."""
    value, e = _cauchy(_clamped(xi))
    inverse = 1.0 / e
    slope = _SQRT_HALF_PI * (inverse + value * (value * inverse))
    slope = slope if abs(xi) <= LARGEST else 0.0
    return xi if xi != xi else slope


@jit
def cauchy_second_derivative(xi):
    """Return T''(xi) = T' (2 pi ph T - xi) of the Cauchy law."""
    value, e = _cauchy(_clamped(xi))
    return cauchy_derivative(xi) * (np.copysign(_SQRT_2_PI * (value / e), xi) - xi)


@jit
def log_abs_cauchy(xi):
    """Return log |T(xi)| of the Cauchy law; -inf at 0."""
    return math.log(abs(cauchy(xi))) if xi != 0.0 else -np.inf


@jit
def laplace(xi):
    """Return T(xi) of the Laplace law, whose density is exp(-|theta|) / 2."""
    result = np.copysign(_laplace(_clamped(xi)), xi)
    return xi if xi != xi else result


@jit
def laplace_derivative(xi):
    """Return T'(xi) of the Laplace law."""
    slope = _hazard(_clamped(xi))
    slope = slope if abs(xi) <= LARGEST else 0.0
    return xi if xi != xi else slope


@jit
def laplace_inverse(theta):
    """Return the xi of a number of the Laplace law, at most 37 in size."""
    size = abs(theta)
    if not size < _laplace(LARGEST):
        return theta if theta != theta else math.copysign(LARGEST, theta)
    # T is convex, and T(y) >= y T'(0) and T(y) >= y^2 / 2: Newton's steps come down from the right.
    y = min(min(math.sqrt(2.0 * size), size * _SQRT_HALF_PI), LARGEST)
    for _ in range(_MOST_STEPS):
        step = (_laplace(y) - size) / _hazard(y)
        y = min(max(y - step, 0.0), LARGEST)
        if abs(step) <= 1e-16 * (1.0 + y * y) * y:
            break
    return math.copysign(y, theta)


@jit
def cauchy_inverse(theta):
    """Return the xi of a number of the Cauchy law, at most 37 in size."""
    # More than T(37), so that infinity has a tail too.
    size = min(abs(theta), 1e300)
    if size < 1.0:
        log_tail = -math.log1p(-math.atan(size) / _HALF_PI)
    else:
        log_tail = -math.log(math.atan(1.0 / size) / _HALF_PI)
    result = math.copysign(laplace_inverse(log_tail), theta)
    return theta if theta != theta else result


@jit
def _from_table(table, y, first):
    """Return the polynomial of the interval of y whose coefficients start in column ``first``."""
    place = y * INTERVALS_PER_UNIT
    row = min(int(place), N_INTERVALS - 1)
    u = 2.0 * (place - row) - 1.0
    value = table[row, first + N_COEFFICIENTS - 1]
    for k in range(N_COEFFICIENTS - 2, -1, -1):
        value = value * u + table[row, first + k]
    return value


@jit
def student_t(table, df, xi):
    """Return T(xi) of Student's law of ``df`` degrees of freedom from its table."""
    y = _clamped(xi)
    result = np.copysign(y * _from_table(table, y, 0) * exp64(0.5 * (y * y) / df), xi)
    return xi if xi != xi else result


@jit
def student_t_derivative(table, df, xi):
    """Return T'(xi) of Student's law of ``df`` degrees of freedom from its table."""
    y = _clamped(xi)
    slope = _from_table(table, y, N_COEFFICIENTS) * exp64(0.5 * (y * y) / df)
    slope = slope if abs(xi) <= LARGEST else 0.0
    return xi if xi != xi else slope


@jit
def _reciprocal_less_cot(x):
    """Return 1 / x - cot(x), x between 0 and pi, which cancels for small x."""
    if x >= 1.0:
        return 1.0 / x - 1.0 / math.tan(x)
    t = x * x
    p = 4.12512595359426e-11
    p = ((p * t + 1.8030856516409582e-10) * t + 2.3181417471619526e-09) * t + 2.2156812800485477e-08
    p = ((p * t + 2.1929100167972097e-07) * t + 2.1643933077209584e-06) * t + 2.1377801527036964e-05
    p = ((p * t + 0.00021164021134211931) * t + 0.002116402116421288) * t + 0.02222222222222174
    return (p * t + 0.3333333333333333) * x


@jit
def _stable_angles(alpha, y):
    """Return U, delta = pi / 2 - U, cos(U), sin(alpha U) and cos((1 - alpha) U) for U = pi / 2 - pi Q(y)."""
    if y < 1.0:
        angle = _HALF_PI * math.erf(y * math.sqrt(0.5))
        return (
            angle, _HALF_PI - angle, math.cos(angle), math.sin(alpha * angle), math.cos((1.0 - alpha) * angle),
        )  # fmt: skip
    delta = math.pi * _tail(y)
    angle = _HALF_PI - delta
    if alpha <= 1.0:
        rest = alpha * _HALF_PI + (1.0 - alpha) * delta
        return angle, delta, math.sin(delta), math.sin(alpha * angle), math.sin(rest)
    # pi - alpha U and pi / 2 - (alpha - 1) U: at alpha = 2 both are multiples of delta.
    a = (2.0 - alpha) * _HALF_PI
    return angle, delta, math.sin(delta), math.sin(a + alpha * delta), math.sin(a + (alpha - 1.0) * delta)


@jit
def _exponential_variable(xi):
    """Return E = -log Q(xi) and dE / dxi."""
    y = _clamped(xi)
    if xi >= 0.0:
        return _laplace(y) + _LN2, _hazard(y) if xi <= LARGEST else 0.0
    tail = _tail(y)
    return -math.log1p(-tail), tail * _hazard(y) / (1.0 - tail) if xi >= -LARGEST else 0.0


@jit
def _stable_size(alpha, y, e):
    """Return |X| and the logarithm of |X| / sin(alpha U)."""
    _, _, cos_u, sin_au, cos_bu = _stable_angles(alpha, y)
    log_factor = ((1.0 - alpha) * (math.log(cos_bu) - math.log(e)) - math.log(cos_u)) / alpha
    if sin_au == 0.0:
        return 0.0, log_factor
    if log_factor < 709.0:
        return sin_au * np.exp(log_factor), log_factor
    return np.exp(math.log(sin_au) + log_factor), log_factor


@jit
def stable(alpha, xi1, xi2):
    """Return the symmetric stable number of two white coordinates.

    ``X = sin(alpha U) / cos(U)^(1/alpha) (cos((1 - alpha) U) / E)^((1 - alpha) / alpha)`` with
    ``U = sign(xi1) (pi / 2 - pi Q(|xi1|))`` and ``E = -log Q(xi2)``; characteristic function ``exp(-|t|^alpha)``.
    """
    e, _ = _exponential_variable(xi2)
    size, _ = _stable_size(alpha, _clamped(xi1), e)
    result = math.copysign(size, xi1)
    return xi1 + xi2 if (xi1 != xi1) | (xi2 != xi2) else result


@jit
def _log_slope_in_angle(alpha, angle, delta):
    """Return d log|X| / dU = alpha cot(alpha U) + tan(U) / alpha - (1 - alpha)^2 / alpha tan((1 - alpha) U)."""
    b = alpha - 1.0
    if alpha <= 1.0:
        rest = 1.0 / math.tan(alpha * _HALF_PI - b * delta)
        return alpha / math.tan(alpha * angle) + (1.0 / math.tan(delta) - b * b * rest) / alpha
    # With cot x = 1 / x - c(x), the three reciprocals, which cancel for alpha near 2, sum to one product.
    a = (2.0 - alpha) * _HALF_PI
    first, second = a + alpha * delta, a + b * delta
    sum_of_reciprocals = (a / first) * (a / second) / (alpha * delta)
    rest = _reciprocal_less_cot(delta) + b * b * _reciprocal_less_cot(second)
    return sum_of_reciprocals + alpha * _reciprocal_less_cot(first) - rest / alpha


@jit
def stable_gradient(alpha, xi1, xi2):
    """Return the derivatives of :func:`stable` by both white coordinates."""
    if (xi1 != xi1) | (xi2 != xi2):
        return xi1 + xi2, xi1 + xi2
    y = _clamped(xi1)
    e, e_slope = _exponential_variable(xi2)
    size, log_factor = _stable_size(alpha, y, e)
    angle, delta, _, sin_au, _ = _stable_angles(alpha, y)
    angle_slope = _SQRT_HALF_PI * exp64(-0.5 * (y * y)) if abs(xi1) <= LARGEST else 0.0
    if y < 1.0:
        # Times sin(alpha U), so that U = 0 is nothing special.
        b = alpha - 1.0
        slope = (math.tan(angle) + b * b * math.tan(b * angle)) / alpha
        by_first = np.exp(log_factor) * (alpha * math.cos(alpha * angle) + sin_au * slope) * angle_slope
    else:
        rate = _log_slope_in_angle(alpha, angle, delta) * angle_slope
        by_first = size * rate if rate != 0.0 else 0.0
    rate = (alpha - 1.0) / alpha * (e_slope / e)
    by_second = math.copysign(size, xi1) * rate if rate != 0.0 else 0.0
    return by_first, by_second


@jit
def n_white(code):
    """Return how many white coordinates one number of a law takes."""
    return 2 if code == STABLE else 1


@jit
def transform_block(code, parameter, table, xi, theta):
    """Fill ``theta`` (p,) with the unit law's numbers of ``xi`` (p,), or (2p,) for the stable law."""
    p = theta.size
    if code == GAUSSIAN:
        for i in range(p):
            theta[i] = xi[i]
    elif code == CAUCHY:
        for i in range(p):
            theta[i] = cauchy(xi[i])
    elif code == LAPLACE:
        for i in range(p):
            theta[i] = laplace(xi[i])
    elif code == STUDENT_T:
        for i in range(p):
            theta[i] = student_t(table, parameter, xi[i])
    else:
        for i in range(p):
            theta[i] = stable(parameter, xi[i], xi[p + i])


@jit
def inverse_block(code, theta, xi):
    """Fill ``xi`` (p,) with the white coordinates of Gaussian, Cauchy or Laplace numbers ``theta`` (p,)."""
    for i in range(theta.size):
        if code == CAUCHY:
            xi[i] = cauchy_inverse(theta[i])
        elif code == LAPLACE:
            xi[i] = laplace_inverse(theta[i])
        else:
            xi[i] = theta[i]


@jit
def cauchy_second_derivative_block(xi, out):
    """Fill ``out`` (p,) with T''(xi) of the Cauchy law."""
    for i in range(xi.size):
        out[i] = cauchy_second_derivative(xi[i])


@jit
def _product(slope, factor):
    """Return slope * factor, 0 where one of them is 0, whatever the other is."""
    product = slope * factor
    return 0.0 if (slope == 0.0) | (factor == 0.0) else product


@jit
def pullback_block(code, parameter, table, xi, gtheta, gxi):
    """Fill ``gxi`` with the transposed Jacobian of the block's transform times ``gtheta`` (p,)."""
    p = gtheta.size
    if code == GAUSSIAN:
        for i in range(p):
            gxi[i] = gtheta[i]
    elif code == CAUCHY:
        for i in range(p):
            gxi[i] = _product(cauchy_derivative(xi[i]), gtheta[i])
    elif code == LAPLACE:
        for i in range(p):
            gxi[i] = _product(laplace_derivative(xi[i]), gtheta[i])
    elif code == STUDENT_T:
        for i in range(p):
            gxi[i] = _product(student_t_derivative(table, parameter, xi[i]), gtheta[i])
    else:
        for i in range(p):
            first, second = stable_gradient(parameter, xi[i], xi[p + i])
            gxi[i] = _product(first, gtheta[i])
            gxi[p + i] = _product(second, gtheta[i])


@jit
def pushforward_block(code, parameter, table, xi, dxi, dtheta):
    """Fill ``dtheta`` (p,) with the Jacobian of the block's transform times ``dxi`` (of the size of ``xi``)."""
    p = dtheta.size
    if code == STABLE:
        for i in range(p):
            first, second = stable_gradient(parameter, xi[i], xi[p + i])
            total = _product(first, dxi[i]) + _product(second, dxi[p + i])
            # Two infinite slopes of opposite sign: no direction is known.
            dtheta[i] = 0.0 if (total != total) & (first == first) else total
    else:
        pullback_block(code, parameter, table, xi, dxi, dtheta)
