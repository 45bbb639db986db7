"""Difference priors: density, gradient, location, and the same process on every grid."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

from scinn.inverse.cauchy_difference import CauchyDifferencePrior
from scinn.inverse.grids import Grid, uniform_grid

UNIT = {
    "cauchy": stats.cauchy(),
    "gaussian": stats.norm(),
    "laplace": stats.laplace(),
    "student_t(3)": stats.t(3),
    "student_t(1.5)": stats.t(1.5),
}
INDEX = {"cauchy": 1.0, "gaussian": 2.0, "laplace": 2.0, "student_t(3)": 2.0, "student_t(1.5)": 1.5}
GRID = Grid(([-1.0, -0.7, 0.0, 0.1, 1.0],))
LOCATION = np.array([3.0, 3.5, 2.0, 0.0, -1.0])


@pytest.mark.parametrize("law", UNIT)
@pytest.mark.parametrize("location", [0.0, 2.5, LOCATION, np.cos])
def test_density_is_the_product_of_the_increments(law, location):
    prior = CauchyDifferencePrior(1.7, 0.6, law, location)
    m = location(GRID.axes[0]) if callable(location) else np.broadcast_to(location, 5)
    u = np.random.default_rng(0).standard_normal((3, 5))
    v = u - m
    gaps = np.diff(GRID.axes[0])
    wanted = -UNIT[law].logpdf(v[:, 0] / 0.6) + np.log(0.6)
    for i in range(4):
        scale = 1.7 * gaps[i] ** (1 / INDEX[law])
        wanted -= UNIT[law].logpdf((v[:, i + 1] - v[:, i]) / scale) - np.log(scale)
    np.testing.assert_allclose(prior.neg_log_density(u, GRID), wanted, rtol=1e-12)
    assert isinstance(prior.neg_log_density(u[0], GRID), float)


@pytest.mark.parametrize("law", UNIT)
def test_gradient_respects_the_location(law):
    """A known peer's gradient ignores the location."""
    prior = CauchyDifferencePrior(1.7, 0.6, law, LOCATION)
    u = np.random.default_rng(1).standard_normal(5)
    gradient = prior.neg_log_density_gradient(u, GRID)
    numeric = optimize.approx_fprime(u, lambda v: prior.neg_log_density(v, GRID), 1e-7)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-5, atol=1e-5)
    centred = CauchyDifferencePrior(1.7, 0.6, law).neg_log_density_gradient(u - LOCATION, GRID)
    np.testing.assert_allclose(gradient, centred, rtol=1e-12)
    assert (
        np.abs(gradient - CauchyDifferencePrior(1.7, 0.6, law).neg_log_density_gradient(u, GRID)).max() > 0.1
    )
    np.testing.assert_array_equal(prior.neg_log_density_gradient(LOCATION, GRID), 0.0)
    np.testing.assert_array_equal(
        prior.neg_log_density_gradient(np.stack([u, LOCATION]), GRID), np.stack([gradient, np.zeros(5)])
    )


def test_the_gradient_of_the_cauchy_differences():
    """2 D^T(D u / ((gamma h)^2 + (D u)^2)), and the start's own term."""
    grid, gamma = uniform_grid(6), 0.8
    u = np.random.default_rng(2).standard_normal(6)
    d = np.diff(np.eye(6), axis=0)
    h = grid.spacing[0]
    wanted = 2 * d.T @ (d @ u / ((gamma * h) ** 2 + (d @ u) ** 2))
    wanted[0] += 2 * u[0] / (1 + u[0] ** 2)
    np.testing.assert_allclose(
        CauchyDifferencePrior(gamma).neg_log_density_gradient(u, grid), wanted, rtol=1e-12
    )


@pytest.mark.parametrize("law", UNIT)
def test_white_coordinates_go_there_and_back(law):
    prior = CauchyDifferencePrior(1.7, 0.6, law, LOCATION)
    xi = np.random.default_rng(3).standard_normal((4, 5))
    u = prior.on(GRID).field(xi)
    np.testing.assert_allclose(prior.white(u, GRID), xi, rtol=1e-9, atol=1e-10)


def test_cdf_has_one_number_for_each_component():
    """A known peer returns the sum of the marginals."""
    prior = CauchyDifferencePrior(1.7, 0.6, location=LOCATION)
    u = np.random.default_rng(4).standard_normal((2, 5))
    v = u - LOCATION
    gaps = np.diff(GRID.axes[0])
    wanted = np.column_stack([stats.cauchy.cdf(v[:, 0] / 0.6), stats.cauchy.cdf(np.diff(v) / (1.7 * gaps))])
    found = prior.cdf(u, GRID)
    assert found.shape == (2, 5)
    np.testing.assert_allclose(found, wanted, rtol=1e-10)


@pytest.mark.parametrize(
    ("law", "quantile"),
    [("cauchy", 1.0), ("gaussian", stats.norm.ppf(0.75)), ("stable(1.5)", None)],
)
def test_the_process_is_the_same_on_every_grid(law, quantile):
    """u(1) - u(-1) has scale gamma 2^(1/a) for 2 points as for 65."""
    gamma, n = 0.7, 20_000
    index = {"cauchy": 1.0, "gaussian": 2.0, "stable(1.5)": 1.5}[law]
    if quantile is None:
        quantile = stats.levy_stable.ppf(0.75, 1.5, 0.0)
    wanted = gamma * 2 ** (1 / index) * quantile
    for points in (2, 9, 65):
        draws = CauchyDifferencePrior(gamma, 1e-12, law).sample(points, n, points)
        rise = draws[:, -1] - draws[:, 0]
        share = np.mean(np.abs(rise) <= wanted)
        assert abs(share - 0.5) < 5 * np.sqrt(0.25 / n)


def test_draws_have_the_law_of_the_increments():
    draws = CauchyDifferencePrior(2.0, 3.0, location=1.0).sample(0, 20_000, GRID)
    assert stats.kstest((draws[:, 0] - 1.0) / 3.0, stats.cauchy.cdf).pvalue > 1e-4
    assert stats.kstest((draws[:, 3] - draws[:, 2]) / 0.2, stats.cauchy.cdf).pvalue > 1e-4


def test_jumps_survive_refinement_for_cauchy_and_not_for_gaussian():
    def share(law, n):
        steps = np.abs(np.diff(CauchyDifferencePrior(law=law).sample(0, 400, n)))
        return np.median(steps.max(axis=-1) / steps.sum(axis=-1))

    assert share("cauchy", 2049) > 0.5 * share("cauchy", 129)
    assert share("gaussian", 2049) < 0.2 * share("gaussian", 129)
    assert share("cauchy", 2049) > 20 * share("gaussian", 2049)


def test_the_linear_field():
    field = CauchyDifferencePrior(2.0, 3.0, location=LOCATION).on(GRID)
    assert field.sizes == (1, 4)
    assert field.scales == (3.0, 2.0)
    np.testing.assert_array_equal(field.mean, LOCATION)
    np.testing.assert_allclose(field.matrix[:, 2], [0, 0, 0.7, 0.7, 0.7], rtol=1e-14)
    one = CauchyDifferencePrior(start_scale=3.0).on(1)
    assert one.sizes == (1,)
    assert one.scales == (3.0,)
    repeated = CauchyDifferencePrior().sample(0, 5, [0.0, 0.5, 0.5])
    np.testing.assert_array_equal(repeated[:, 1], repeated[:, 2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CauchyDifferencePrior(0.0), "scale"),
        (lambda: CauchyDifferencePrior(start_scale=0.0), "start_scale"),
        (lambda: CauchyDifferencePrior(law="couchy"), "cauchy"),
        (lambda: CauchyDifferencePrior().on(uniform_grid((3, 3))), "grid has 2 axes"),
        (lambda: CauchyDifferencePrior().neg_log_density([1.0, 2.0], 3), "u has shape"),
        (lambda: CauchyDifferencePrior().neg_log_density([1.0, np.nan, 2.0], 3), "NaN"),
        (lambda: CauchyDifferencePrior().white([1.0, 2.0], [0.0, 0.0]), "repeated points"),
        (lambda: CauchyDifferencePrior(law="stable(1.5)").neg_log_density([1.0, 2.0], 2), "no closed form"),
        (lambda: CauchyDifferencePrior(location=[1.0, 2.0]).on(3), "mean has shape|location"),
    ],
)
def test_refusals_name_the_argument(make, message):
    with pytest.raises(ValueError, match=message):
        make()
