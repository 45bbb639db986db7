"""Transforms from normal to heavy-tailed numbers against values of 50 digits, their twins, and what laws must obey.

``heavy_tails_values.json`` was computed with mpmath in 60 to 700 digits. Its rows: Cauchy and Laplace: xi, T, T', T'' and
log T of the Cauchy law, T and T' of the Laplace law; stable: alpha, two coordinates, X and its derivatives by them; Student:
df, xi, T, T'.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import scinn.reference as reference
from scinn.inverse.laws import as_law
from scinn.kernels import heavy_tails as kernels

VALUES = json.loads((Path(__file__).parent / "heavy_tails_values.json").read_text())
EPS = np.finfo(np.float64).eps
COMPILED = hasattr(kernels.transform_block, "py_func")
LAWS = ["gaussian", "cauchy", "laplace", "student_t(1)", "student_t(3)", "student_t(30)"]
STABLE_LAWS = ["stable(0.7)", "stable(1)", "stable(1.5)", "stable(2)"]
SIZES = st.sampled_from([0, 1, 2, 3, 7, 16, 17, 61])
SEEDS = st.integers(0, 2**32 - 1)


def transform(law, xi):
    law = as_law(law)
    theta = np.full(xi.size // law.n_white, np.nan)
    with np.errstate(all="ignore"):
        kernels.transform_block(law.code, law.parameter, law.table, xi, theta)
    return theta


def pullback(law, xi, gtheta):
    law, gxi = as_law(law), np.full_like(xi, np.nan)
    with np.errstate(all="ignore"):
        kernels.pullback_block(law.code, law.parameter, law.table, xi, gtheta, gxi)
    return gxi


def pushforward(law, xi, dxi):
    law = as_law(law)
    dtheta = np.full(xi.size // law.n_white, np.nan)
    with np.errstate(all="ignore"):
        kernels.pushforward_block(law.code, law.parameter, law.table, xi, dxi, dtheta)
    return dtheta


def relative_error(got, want):
    return abs(got / float(want) - 1.0)


@pytest.mark.parametrize("row", VALUES["cauchy_laplace"], ids=lambda row: f"{row[0]:g}")
def test_cauchy_and_laplace_have_the_digits_that_the_argument_allows(row):
    xi, *wanted = row
    most = 3 * EPS * (1 + xi * xi)
    functions = (
        kernels.cauchy,
        kernels.cauchy_derivative,
        kernels.cauchy_second_derivative,
        kernels.log_abs_cauchy,
        kernels.laplace,
        kernels.laplace_derivative,
    )
    for function, want in zip(functions, wanted, strict=True):
        # The logarithm passes through 0 near 0.68; there its error is absolute.
        if function is kernels.log_abs_cauchy:
            assert abs(function(xi) - float(want)) <= most * max(1.0, abs(float(want)))
        else:
            assert relative_error(function(xi), want) <= most, function
    assert kernels.log_abs_cauchy(-xi) == kernels.log_abs_cauchy(xi)
    assert kernels.cauchy_second_derivative(-xi) == -kernels.cauchy_second_derivative(xi)


@pytest.mark.parametrize("row", VALUES["student_t"], ids=lambda row: f"{row[0]:g}-{row[1]:g}")
def test_student_has_the_digits_that_the_argument_allows(row):
    df, xi, value, slope = row
    law, x = as_law(("student_t", df)), np.array([xi])
    most = 8 * EPS * (1 + xi * xi / df)
    for got, want, slack in (
        (transform(law, x), value, 1.0),
        (pullback(law, x, np.ones(1)), slope, 1 + df / 20),
    ):
        if float(want) < 1e308:
            # The density raises (1 + T^2 / df) to the power (df + 1) / 2 when the table is made.
            assert relative_error(got[0], want) <= most * slack
        else:
            assert got[0] > 1e307


@pytest.mark.parametrize("row", VALUES["stable"], ids=lambda row: f"{row[0]:.9g}-{row[1]:g}-{row[2]:g}")
def test_stable_has_the_digits_that_the_arguments_allow(row):
    alpha, xi1, xi2, *wanted = row
    most = 4 * EPS * (1 + (xi1 * xi1 + xi2 * xi2) / alpha)
    with np.errstate(all="ignore"):
        got = (kernels.stable(alpha, xi1, xi2), *kernels.stable_gradient(alpha, xi1, xi2))
    for value, want in zip(got, map(float, wanted), strict=True):
        if want == 0 or np.isinf(want) or abs(want) < 1e-300:
            assert value == want or abs(value) < 1e-300
        else:
            assert relative_error(value, want) <= most


@pytest.mark.parametrize("law", LAWS)
def test_transforms_are_odd_increasing_and_constant_beyond_37(law):
    n = 200_001 if COMPILED else 501
    assert transform(law, np.zeros(1))[0] == 0
    # Closer than the rounding of T nothing can be in order; around 1.5 the Cauchy law changes its formula.
    for xi in (
        np.linspace(0, 37, n),
        10.0 ** np.linspace(-300, 0, 301),
        np.linspace(1.5 - 1e-8, 1.5 + 1e-8, n),
    ):
        theta = transform(law, xi)
        assert transform(law, -xi).tobytes() == (-theta).tobytes()
        assert (np.diff(theta) > 0).all()
    if law != "gaussian":
        far = np.array([37.0, np.nextafter(37.0, 38.0), 40.0, np.inf])
        assert len(set(transform(law, far))) == 1
        assert (pullback(law, far, np.ones(4)) > 0).tolist() == [True, False, False, False]
        assert np.isnan(pullback(law, np.array([np.nan]), np.ones(1))).all()
    assert np.isnan(transform(law, np.array([np.nan]))).all()


def test_known_values():
    assert transform("cauchy", np.array([37.0]))[0] == pytest.approx(5.559443308e298, rel=1e-9)
    assert kernels.cauchy_derivative(0.0) == pytest.approx(math.sqrt(math.pi / 2), rel=2 * EPS)
    assert kernels.log_abs_cauchy(0.0) == -np.inf
    assert [int(kernels.n_white(code)) for code in range(5)] == [1, 1, 1, 1, 2]
    xi = np.linspace(-8, 8, 301)
    np.testing.assert_allclose(transform("student_t(1)", xi), transform("cauchy", xi), rtol=8 * EPS * 65)
    # Two degrees of freedom: T = sqrt(2) s / sqrt(1 - s^2) with s = erf(xi / sqrt 2).
    s = np.array([math.erf(x / math.sqrt(2)) for x in xi[100:201]])
    want = math.sqrt(2) * s / np.sqrt((1 - s) * (1 + s))
    np.testing.assert_allclose(transform("student_t(2)", xi[100:201]), want, rtol=1e-13)


@pytest.mark.parametrize(("code", "law"), [(kernels.CAUCHY, "cauchy"), (kernels.LAPLACE, "laplace")])
def test_inverses_lead_back(code, law):
    xi = np.concatenate([np.linspace(-37, 37, 2001 if COMPILED else 101), 10.0 ** np.linspace(-300, 0, 61)])
    back = np.full_like(xi, np.nan)
    kernels.inverse_block(code, transform(law, xi), back)
    np.testing.assert_allclose(back, xi, rtol=4 * EPS, atol=0)
    ends = np.array([np.inf, -np.inf, 1.7e308, np.nan])
    far = np.full_like(ends, np.nan)
    kernels.inverse_block(code, ends, far)
    np.testing.assert_array_equal(far, [37, -37, 37, np.nan])
    inverse = getattr(reference.heavy_tails, f"{law}_inverse")
    theta = np.array([-50.0, -1.3, -0.2, 0.0, 1e-9, 0.7, 2.0, 600.0])
    got = np.full_like(theta, np.nan)
    kernels.inverse_block(code, theta, got)
    np.testing.assert_allclose(got, [inverse(t) for t in theta], rtol=1e-13)


def test_stable_goes_through_alpha_one_without_a_jump():
    rng = np.random.default_rng(0)
    for xi1, xi2 in rng.standard_normal((50, 2)) * 3:
        middle = kernels.stable(1.0, xi1, xi2)
        np.testing.assert_allclose(middle, kernels.cauchy(xi1), rtol=8 * EPS * (1 + xi1 * xi1))
        # d log|X| / d alpha is of the size of the logarithms in the formula: of cos(U) and of E.
        tail = 0.5 * math.erfc(xi2 / math.sqrt(2))
        slope = 3 + xi1 * xi1 + abs(math.log(-math.log(tail)))
        for step in (-1e-8, -1e-12, 1e-12, 1e-8):
            assert (
                abs(kernels.stable(1.0 + step, xi1, xi2) / middle - 1)
                <= 3 * abs(step) * slope + 1e-14 * slope
            )


def test_stable_with_alpha_two_is_gaussian_of_variance_two():
    for xi1, xi2 in np.random.default_rng(1).standard_normal((50, 2)):
        angle = math.pi / 2 * math.erf(xi1 / math.sqrt(2))
        want = 2 * math.sin(angle) * math.sqrt(-math.log(0.5 * math.erfc(xi2 / math.sqrt(2))))
        assert kernels.stable(2.0, xi1, xi2) == pytest.approx(want, rel=1e-13)


@pytest.mark.parametrize("alpha", [0.001, 0.5, 1 - 1e-8, 1.0, 1 + 1e-8, 1.7, 2 - 1e-12, 2.0])
def test_no_finite_or_infinite_argument_makes_nan(alpha):
    ends = np.array([0.0, -0.0, 1e-300, 0.5, 1.0, -1.0, 6.0, 37.0, -37.0, 40.0, np.inf, -np.inf])
    xi = np.concatenate([np.repeat(ends, ends.size), np.tile(ends, ends.size)])
    law = as_law(("stable", alpha))
    assert not np.isnan(transform(law, xi)).any()
    for factor in (0.0, 1.0, -1e300, np.inf):
        gtheta = np.full(xi.size // 2, factor)
        assert not np.isnan(pullback(law, xi, gtheta)).any()
        assert not np.isnan(pushforward(law, xi, np.concatenate([gtheta, -gtheta]))).any()
    assert np.isnan(transform(law, np.array([np.nan, 0.0]))).all()
    assert np.isnan(pullback(law, np.array([0.0, np.nan]), np.ones(1))).all()


@pytest.mark.parametrize("law", [*LAWS, "student_t(0.5)"])
def test_zero_factors_meet_no_infinite_slope(law):
    xi = np.array([0.0, 5.0, -36.9, 37.0, 38.0, np.inf])
    assert not pullback(law, xi, np.zeros(6)).any()
    gxi = pullback(law, xi, np.array([0.0, 0.0, 1e300, -1e300, np.inf, -np.inf]))
    assert not np.isnan(gxi).any()


@given(law=st.sampled_from(LAWS), size=SIZES, seed=SEEDS)
def test_blocks_agree_with_their_twins(law, size, seed):
    rng = np.random.default_rng(seed)
    xi, vector = np.clip(3 * rng.standard_normal(size), -8, 8), rng.standard_normal(size)
    kind = as_law(law)
    want = reference.heavy_tails.transform_block(kind.code, kind.parameter, xi)
    np.testing.assert_allclose(transform(law, xi), want, rtol=1e-12)
    want = reference.heavy_tails.pullback_block(kind.code, kind.parameter, xi, vector)
    np.testing.assert_allclose(pullback(law, xi, vector), want, rtol=1e-12)
    want = reference.heavy_tails.pushforward_block(kind.code, kind.parameter, xi, vector)
    np.testing.assert_allclose(pushforward(law, xi, vector), want, rtol=1e-12)


@given(law=st.sampled_from(STABLE_LAWS), size=SIZES, seed=SEEDS)
def test_stable_blocks_agree_with_their_twins(law, size, seed):
    rng = np.random.default_rng(seed)
    xi = np.clip(rng.standard_normal(2 * size), -2.5, 2.5)
    xi += np.copysign(1e-3, xi)
    gtheta, dxi = rng.standard_normal(size), rng.standard_normal(2 * size)
    kind = as_law(law)
    want = reference.heavy_tails.transform_block(kind.code, kind.parameter, xi)
    np.testing.assert_allclose(transform(law, xi), want, rtol=1e-11)
    want = reference.heavy_tails.pullback_block(kind.code, kind.parameter, xi, gtheta)
    np.testing.assert_allclose(pullback(law, xi, gtheta), want, rtol=1e-10, atol=1e-13)
    want = reference.heavy_tails.pushforward_block(kind.code, kind.parameter, xi, dxi)
    scale = np.abs(want).max(initial=1.0)
    np.testing.assert_allclose(pushforward(law, xi, dxi), want, rtol=1e-10, atol=1e-13 * scale)


@pytest.mark.parametrize("law", [*LAWS, *STABLE_LAWS])
def test_pullback_is_the_transpose_of_pushforward_and_the_slope_of_transform(law):
    rng = np.random.default_rng(2)
    p, n = 40, as_law(law).n_white
    xi, dxi, q = rng.standard_normal(n * p), rng.standard_normal(n * p), rng.standard_normal(p)
    forward, backward = pushforward(law, xi, dxi) @ q, pullback(law, xi, q) @ dxi
    assert forward == pytest.approx(backward, rel=1e-12)
    h = 1e-5
    difference = (transform(law, xi + h * dxi) - transform(law, xi - h * dxi)) / (2 * h)
    np.testing.assert_allclose(pushforward(law, xi, dxi), difference, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("compiled_kernels")
@pytest.mark.parametrize(
    ("law", "distribution"),
    [
        ("gaussian", stats.norm()),
        ("cauchy", stats.cauchy()),
        ("laplace", stats.laplace()),
        ("student_t(3)", stats.t(3)),
        ("stable(1)", stats.cauchy()),
        ("stable(2)", stats.norm(scale=math.sqrt(2))),
    ],
)
def test_normal_numbers_become_the_law(law, distribution):
    xi = np.random.default_rng(3).standard_normal(20_000 * as_law(law).n_white)
    assert stats.kstest(transform(law, xi), distribution.cdf).pvalue > 0.001


@pytest.mark.usefixtures("compiled_kernels")
@pytest.mark.parametrize("alpha", [0.5, 0.8, 1.2, 1.7])
def test_stable_numbers_have_their_characteristic_function(alpha):
    xi = np.random.default_rng(4).standard_normal(200_000)
    x = transform(("stable", alpha), xi)
    for t in (0.1, 0.5, 1.0, 2.0):
        cosines = np.cos(t * x)
        assert abs(cosines.mean() - math.exp(-(t**alpha))) < 4.5 * cosines.std() / math.sqrt(x.size)
