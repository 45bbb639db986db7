"""Laws by name: what they are called, the shapes they take, round trips, draws, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from scinn.inverse.laws import Law, as_law
from scinn.random import Key

NAMES = ["gaussian", "cauchy", "laplace", "student_t(0.5)", "student_t(3)", "student_t(300)", "stable(1.5)"]
WITH_INVERSE = NAMES[:-1]


@pytest.mark.parametrize("name", NAMES)
def test_a_law_is_known_by_its_name(name):
    law = as_law(name)
    assert law.name == name
    assert as_law(law) is law
    assert as_law(f" {name.upper()} ") == law
    assert law.n_white == (2 if name.startswith("stable") else 1)
    assert (law.table.size > 0) == name.startswith("student")


def test_parameters_are_read_from_text_and_from_pairs():
    assert as_law("student_t(3)") == as_law(("student_t", 3)) == as_law("student_t(df=3.0)")
    assert as_law("student_t(3)") != as_law("student_t(4)")
    assert as_law("stable(1.5)") == as_law(["stable", 1.5]) == as_law("stable(alpha = 1.5)")
    third = as_law(("stable", 1 / 3))
    assert third.parameter == 1 / 3
    assert as_law(third.name) == third
    assert as_law("student_t(3)").table is as_law("student_t(3)").table


@pytest.mark.parametrize(
    ("law", "text"),
    [
        (
            "couchy",
            r"law is 'couchy', which is not known; the laws are 'gaussian', 'cauchy', 'laplace', 'student_t",
        ),
        ("cauchy(", "not known"),
        ("cauchy(1)", "'cauchy' takes no parameter"),
        ("student_t", r"lacks its parameter df: pass 'student_t\(df\)'"),
        ("stable", "lacks its parameter alpha"),
        ("stable(a)", "'a' is not a number"),
        ("stable(0)", "alpha of the law 'stable'"),
        ("stable(2.1)", "alpha of the law 'stable'"),
        ("student_t(-1)", "df of the law 'student_t'"),
        (("student_t", math.nan), "df of the law 'student_t'"),
    ],
)
def test_unknown_laws_and_wrong_parameters_are_refused(law, text):
    with pytest.raises(ValueError, match=text):
        as_law(law)


def test_what_is_no_law_is_refused():
    with pytest.raises(TypeError, match="law is 3; a name is wanted: 'gaussian'"):
        as_law(3)
    with pytest.raises(ValueError, match="has no inverse"):
        as_law("stable(1.5)").inverse([1.0])
    with pytest.raises(
        ValueError, match=r"xi has shape \(3,\); the law 'stable\(1.5\)' wants a last axis of even length"
    ):
        as_law("stable(1.5)").transform([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="not for 'laplace'"):
        as_law("laplace").second_derivative([1.0])
    with pytest.raises(ValueError, match="xi"):
        as_law("cauchy").transform([math.nan])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(0,), (6,), (3, 4), (2, 3, 2)])
def test_shapes_and_layout(name, shape):
    law, rng = as_law(name), np.random.default_rng(0)
    xi = rng.standard_normal((*shape[:-1], shape[-1] * law.n_white))
    theta, slope = law.transform(xi), law.derivative(xi)
    assert theta.shape == shape
    assert slope.shape == xi.shape
    if theta.size == 0:
        return
    # Row by row the same numbers: the coordinates of one row stay together.
    one = (0,) * (len(shape) - 1)
    assert law.transform(xi[one]).tobytes() == theta[one].tobytes()
    assert law.derivative(xi[one]).tobytes() == slope[one].tobytes()
    h = 1e-6
    for half in range(law.n_white):
        step = np.zeros_like(xi)
        part = slice(half * shape[-1], (half + 1) * shape[-1])
        step[..., part] = h
        difference = (law.transform(xi + step) - law.transform(xi - step)) / (2 * h)
        np.testing.assert_allclose(slope[..., part], difference, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", WITH_INVERSE)
def test_inverse_leads_back(name):
    law = as_law(name)
    # With half a degree of freedom T is beyond float64 from 26.4 on.
    largest = 26.0 if name == "student_t(0.5)" else 37.0
    xi = np.concatenate([np.linspace(-largest, largest, 997), [0.0, 1e-8, -1e-12]]).reshape(10, 100)
    np.testing.assert_allclose(law.inverse(law.transform(xi)), xi, rtol=1e-12, atol=0)
    assert law.inverse(1.7).shape == ()


def test_second_derivative_is_the_slope_of_the_derivative():
    law, h = as_law("cauchy"), 1e-5
    xi = np.linspace(-6, 6, 25)
    difference = (law.derivative(xi + h) - law.derivative(xi - h)) / (2 * h)
    np.testing.assert_allclose(law.second_derivative(xi), difference, rtol=1e-7, atol=1e-7)
    assert not as_law("gaussian").second_derivative(xi).any()


@pytest.mark.parametrize("name", NAMES)
def test_draws_are_reproducible_and_have_the_shape_asked_for(name):
    law = as_law(name)
    assert law.sample(Key(1), (3, 2)).tobytes() == law.sample(Key(1), (3, 2)).tobytes()
    assert law.sample(0, 5).shape == (5,)
    assert law.sample(0).shape == ()
    assert law.sample(0, (2, 0)).shape == (2, 0)


@pytest.mark.parametrize(
    ("name", "distribution"),
    [
        ("cauchy", stats.cauchy()),
        ("laplace", stats.laplace()),
        ("student_t(0.5)", stats.t(0.5)),
        ("student_t(5)", stats.t(5)),
        ("stable(1.0)", stats.cauchy()),
    ],
)
def test_draws_have_the_law(name, distribution):
    assert stats.kstest(as_law(name).sample(7, 20_000), distribution.cdf).pvalue > 0.001


@pytest.mark.parametrize("df", [0.5, 1.5, 4.0, 40.0, 1000.0])
def test_student_quantiles_are_scipys(df):
    # SciPy's own quantiles have fewer digits in places, and take a probability, which bounds what the tail can be.
    xi = np.linspace(-5, 5, 1001)
    want = stats.t.ppf(stats.norm.cdf(-np.abs(xi)), df) * -np.sign(xi)
    np.testing.assert_allclose(as_law(("student_t", df)).transform(xi), want, rtol=1e-9, atol=1e-9)


def test_a_law_can_be_built_by_hand():
    assert Law("cauchy", 1).transform([1.0]).tobytes() == as_law("cauchy").transform([1.0]).tobytes()


DENSITIES = {
    "gaussian": stats.norm, "cauchy": stats.cauchy, "laplace": stats.laplace, "student_t(0.7)": stats.t(0.7),
    "student_t(3)": stats.t(3), "student_t(1000)": stats.t(1000),
}  # fmt: skip


@pytest.mark.parametrize("name", DENSITIES)
def test_the_density_is_that_of_the_law(name):
    law = as_law(name)
    # Up to 500: scipy takes the logarithm of Laplace's density, which is 0 further out.
    sizes = np.append(0.0, np.logspace(-8, 2.7, 40))
    x = np.stack([-sizes, sizes])
    found = law.neg_log_density(x)
    np.testing.assert_allclose(found, -DENSITIES[name].logpdf(x), rtol=1e-12, atol=1e-13)
    step = 1e-6 * np.maximum(np.abs(x), 1e-2)
    slope = (law.neg_log_density(x + step) - law.neg_log_density(x - step)) / (2 * step)
    away = np.abs(x) > 1e-3 if name == "laplace" else np.full(x.shape, True)
    np.testing.assert_allclose(law.score(x)[away], slope[away], rtol=1e-5, atol=1e-6)
    assert law.score(0.0) == 0.0


@pytest.mark.parametrize("name", ["cauchy", "student_t(0.7)", "student_t(3)"])
def test_the_density_of_a_number_whose_square_is_infinite(name):
    law, df = as_law(name), {"cauchy": 1.0, "student_t(0.7)": 0.7, "student_t(3)": 3.0}[name]
    grown = law.neg_log_density([1e200, -1e300]) - law.neg_log_density([1e100, -1e100])
    np.testing.assert_allclose(grown, (df + 1) * np.log(10) * np.array([100.0, 200.0]), rtol=1e-13)
    np.testing.assert_allclose(law.score([1e200, -1e300]), [(df + 1) / 1e200, -(df + 1) / 1e300], rtol=1e-13)
    assert law.neg_log_density(math.inf) == math.inf
    assert law.score(-math.inf) == 0.0


@pytest.mark.parametrize(
    ("name", "index", "moments"),
    [
        ("gaussian", 2.0, True),
        ("laplace", 2.0, True),
        ("cauchy", 1.0, False),
        ("stable(1.3)", 1.3, False),
        ("stable(2)", 2.0, True),
        ("student_t(1.5)", 1.5, False),
        ("student_t(5)", 2.0, False),
    ],
)
def test_index_and_moments(name, index, moments):
    assert (as_law(name).index, as_law(name).has_moments) == (index, moments)


def test_a_stable_law_has_no_density_in_closed_form():
    for ask in (as_law("stable(1.5)").neg_log_density, as_law("stable(1.5)").score):
        with pytest.raises(ValueError, match="no density in closed form"):
            ask(1.0)
