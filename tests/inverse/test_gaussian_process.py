"""Gaussian fields: exact posterior, evidence and tempered misfit against textbook formulas, and linear fields."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

from scinn.inverse.cauchy_difference import CauchyDifferencePrior
from scinn.inverse.gaussian_process import COVARIANCES, GaussianProcessPrior, gaussian_posterior
from scinn.inverse.grids import Grid, uniform_grid
from scinn.inverse.inverse_problem import InverseProblem
from scinn.inverse.linear_field import LinearField
from scinn.inverse.operators import Convolution2D
from scinn.inverse.problems import deconvolution_1d, deconvolution_2d, regression


def textbook(problem, covariance, mean):
    """Posterior mean and covariance by the data-space formulas, and the log density of the data."""
    g = problem.operator.matrix()
    m = problem.n_data
    if problem.noise_covariance is not None:
        noise = problem.noise_covariance
    else:
        noise = np.diag(np.broadcast_to(np.asarray(problem.noise_std) ** 2, m))
    total = g @ covariance @ g.T + noise
    gain = np.linalg.solve(total, g @ covariance).T
    density = stats.multivariate_normal(g @ mean, total, allow_singular=False).logpdf(problem.data)
    return mean + gain @ (problem.data - g @ mean), covariance - gain @ g @ covariance, density


def correlated(problem):
    m = problem.n_data
    covariance = 0.04 * np.exp(-np.abs(np.arange(m)[:, None] - np.arange(m)[None, :]) / 2.0)
    return InverseProblem(problem.operator, problem.data, noise_covariance=covariance, truth=problem.truth)


PROBLEMS = {
    "line": lambda: deconvolution_1d(41, width=0.1, noise_std=0.05, rng=0),
    "more data than unknowns": lambda: regression(
        [0.0, 0.4], rows=[0, 0, 1, 1, 1], truth=[1.0, 2.0], noise_std=0.3, rng=0
    ),
    "plane": lambda: deconvolution_2d((7, 6), width=0.3, noise_std=0.05, rng=0),
    "correlated": lambda: correlated(deconvolution_1d(21, width=0.1, noise_std=0.2, rng=1)),
    "correlated plane": lambda: correlated(deconvolution_2d((7, 6), width=0.3, noise_std=0.05, rng=0)),
    "one point": lambda: InverseProblem([[2.0]], [1.0], 0.5),
}


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("mean", [0.0, 5.0])
def test_posterior_and_evidence_are_exact(name, mean):
    problem = PROBLEMS[name]()
    prior = GaussianProcessPrior("matern32", length_scale=0.4, std=1.3, mean=mean)
    posterior = prior.posterior(problem)
    wanted = textbook(problem, prior.covariance_matrix(problem.grid), np.full(problem.grid.n, mean))
    assert posterior.mean.shape == problem.grid.shape
    np.testing.assert_allclose(posterior.mean.ravel(), wanted[0], rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(posterior.covariance, wanted[1], rtol=1e-8, atol=1e-9)
    assert posterior.log_evidence == pytest.approx(wanted[2], rel=1e-9, abs=1e-9)
    np.testing.assert_allclose(posterior.std.ravel() ** 2, np.diag(wanted[1]), rtol=1e-6, atol=1e-9)


def test_a_mean_that_is_not_zero():
    """N(5, 1), one datum 5 with unit noise: mean 5 and variance 1/2 (a peer's sampler gives 8.5)."""
    problem = InverseProblem([[1.0]], [5.0], 1.0)
    posterior = GaussianProcessPrior(mean=5.0, jitter=0.0).posterior(problem)
    assert posterior.mean[0] == 5.0
    assert posterior.covariance[0, 0] == pytest.approx(0.5, rel=1e-14)
    shifted = GaussianProcessPrior(mean=lambda x: 2 * x).on(3)
    np.testing.assert_array_equal(shifted.mean, [-2.0, 0.0, 2.0])
    np.testing.assert_array_equal(shifted.field(np.zeros(3)), shifted.mean)


def test_white_posterior_maps_to_the_fields():
    problem = PROBLEMS["line"]()
    prior = GaussianProcessPrior("exponential", 0.3, mean=0.7)
    field, posterior = prior.on(problem.grid), prior.posterior(problem)
    np.testing.assert_allclose(field.field(posterior.white_mean), posterior.mean, rtol=1e-10, atol=1e-12)
    root = field.square_root()
    np.testing.assert_allclose(
        root @ posterior.white_covariance @ root.T, posterior.covariance, rtol=1e-8, atol=1e-10
    )
    gradient = posterior.white_mean + root.T @ (
        problem.operator.adjoint(problem.operator.apply(posterior.mean) - problem.data) / problem.noise_std**2
    )
    assert np.abs(gradient).max() < 1e-8


def test_tempered_misfit_is_that_of_the_tempered_posterior():
    problem = PROBLEMS["line"]()
    posterior = GaussianProcessPrior("exponential", 0.3).posterior(problem)
    forward = problem.whitened_operator()[0] @ GaussianProcessPrior("exponential", 0.3).on(41).square_root()
    r = problem.whitened_data
    for t in (0.0, 0.01, 0.5, 1.0, 3.0):
        covariance = np.linalg.inv(np.eye(41) + t * forward.T @ forward)
        centre = t * covariance @ forward.T @ r
        wanted = 0.5 * np.sum((forward @ centre - r) ** 2) + 0.5 * np.trace(forward @ covariance @ forward.T)
        assert posterior.tempered_misfit(t) == pytest.approx(wanted, rel=1e-9)
    assert posterior.tempered_misfit(np.array([0.0, 1.0])).shape == (2,)


def test_thermodynamic_integral_is_the_log_normaliser():
    """log Z = - int_0^1 E_t[Phi] dt; the trapezoidal rule on t = (k/40)^3 has an error of its own of about 4e-3."""
    problem = deconvolution_1d(64, width=0.06, truth="square", noise_std=0.2, inverse_crime=True, rng=0)
    posterior = GaussianProcessPrior("exponential", 0.3).posterior(problem)
    integral, _ = integrate.quad(
        posterior.tempered_misfit, 0, 1, points=[1e-3, 1e-2, 0.1], epsabs=1e-10, limit=200
    )
    assert posterior.log_normaliser == pytest.approx(-integral, abs=1e-8)
    assert posterior.tempered_log_normaliser(1.0) == posterior.log_normaliser
    assert posterior.tempered_log_normaliser(0.0) == 0.0
    t = (np.arange(41) / 40) ** 3
    by_rule = -integrate.trapezoid(posterior.tempered_misfit(t), t)
    assert 1e-4 < abs(by_rule / posterior.log_normaliser - 1) < 1e-2
    even = np.linspace(0, 1, 41)
    by_even = -integrate.trapezoid(posterior.tempered_misfit(even), even)
    assert abs(by_even / posterior.log_normaliser - 1) > 3 * abs(by_rule / posterior.log_normaliser - 1)


def test_the_log_normaliser_is_a_prior_mean():
    problem = InverseProblem([[1.0, 0.5]], [0.7], 0.8)
    posterior = GaussianProcessPrior().posterior(problem)
    fields = GaussianProcessPrior().sample(0, 400_000, 2)
    values = np.exp(-problem.misfit(fields))
    error = values.std() / np.sqrt(len(values)) / values.mean()
    assert np.log(values.mean()) == pytest.approx(posterior.log_normaliser, abs=5 * error)


def test_draws_have_the_posteriors_moments():
    problem = deconvolution_1d(9, width=0.3, noise_std=0.1, rng=0)
    posterior = GaussianProcessPrior("matern52", 0.5, mean=1.0).posterior(problem)
    draws = posterior.sample(0, 200_000)
    assert draws.shape == (200_000, 9)
    z = (draws.mean(axis=0) - posterior.mean) / (posterior.std / np.sqrt(len(draws)))
    assert np.abs(z).max() < 5
    np.testing.assert_allclose(np.cov(draws.T), posterior.covariance, atol=6 * posterior.std.max() ** 2 / 400)
    assert posterior.sample(0).shape == (9,)


@pytest.mark.parametrize("covariance", [*COVARIANCES, lambda r: np.maximum(1 - r, 0.0)])
def test_prior_draws_have_the_covariance(covariance):
    prior = GaussianProcessPrior(covariance, 0.6, std=2.0)
    grid = Grid(([-1.0, 0.0, 0.1, 0.9],))
    matrix = prior.covariance_matrix(grid)
    np.testing.assert_allclose(np.diag(matrix), 4.0, rtol=1e-9)
    np.testing.assert_allclose(prior.on(grid).covariance(), matrix, rtol=1e-12, atol=1e-14)
    draws = prior.sample(0, 100_000, grid)
    np.testing.assert_allclose(draws.T @ draws / len(draws), matrix, atol=6 * 4 * np.sqrt(2 / len(draws)))


def test_known_correlations():
    grid = Grid(([0.0, 0.5],))
    values = {
        name: GaussianProcessPrior(name, 0.5, jitter=0.0).covariance_matrix(grid)[0, 1]
        for name in COVARIANCES
    }
    assert values["exponential"] == pytest.approx(np.exp(-1), rel=1e-14)
    assert values["squared_exponential"] == pytest.approx(np.exp(-0.5), rel=1e-14)
    assert values["matern32"] == pytest.approx((1 + 3**0.5) * np.exp(-(3**0.5)), rel=1e-14)
    assert values["matern52"] == pytest.approx((1 + 5**0.5 + 5 / 3) * np.exp(-(5**0.5)), rel=1e-14)
    plane = GaussianProcessPrior("exponential", 1.0, jitter=0.0).covariance_matrix(
        Grid(([0.0, 3.0], [0.0, 4.0]))
    )
    assert plane[0, 3] == pytest.approx(np.exp(-5), rel=1e-14)


def test_brownian_motion_has_an_exact_posterior_too():
    problem = deconvolution_1d(21, noise_std=0.1, rng=0)
    field = CauchyDifferencePrior(scale=2.0, start_scale=0.5, law="gaussian").on(problem.grid)
    clock = np.minimum.outer(problem.grid.axes[0] + 1, problem.grid.axes[0] + 1)
    np.testing.assert_allclose(field.covariance(), 0.25 + 4 * clock, rtol=1e-12)
    wanted = textbook(problem, field.covariance(), np.zeros(21))
    posterior = gaussian_posterior(field, problem)
    np.testing.assert_allclose(posterior.mean, wanted[0], rtol=1e-8, atol=1e-9)


def test_repeated_points_are_the_same_variable():
    draws = GaussianProcessPrior().sample(0, 10, [0.0, 0.5, 0.5])
    np.testing.assert_allclose(draws[:, 1], draws[:, 2], atol=1e-3)


@pytest.mark.parametrize("law", ["gaussian", "cauchy", "laplace", "student_t(3)", "stable(1.5)"])
def test_linear_fields_of_every_law(law):
    generator = np.random.default_rng(0)
    matrix = generator.standard_normal((4, 5))
    field = LinearField(matrix, ["gaussian", law], [2, 3], [0.5, 2.0], mean=[1.0, 2.0, 3.0, 4.0])
    second = field.laws[1]
    assert field.dim == 2 + 3 * second.n_white
    xi = generator.standard_normal((6, field.dim))
    theta = np.concatenate([0.5 * xi[:, :2], 2.0 * second.transform(xi[:, 2:])], axis=1)
    np.testing.assert_allclose(field.coefficients(xi), theta, rtol=1e-14)
    np.testing.assert_allclose(field.field(xi), [1, 2, 3, 4] + theta @ matrix.T, rtol=1e-12)
    np.testing.assert_allclose(field.field(xi[2]), field.field(xi)[2], rtol=1e-12)
    assert field.sample(0, 3).shape == (3, 4)
    assert np.array_equal(field.sample(7), field.sample(7))
    assert field.is_gaussian == (law == "gaussian")


def test_fields_in_the_plane_have_the_grids_shape():
    prior = GaussianProcessPrior()
    grid = uniform_grid((3, 4))
    assert prior.sample(0, grid=grid).shape == (3, 4)
    assert prior.sample(0, 2, grid).shape == (2, 3, 4)
    operator = Convolution2D(grid, "gaussian", 0.5)
    assert operator.apply(prior.sample(0, 2, grid)).shape == (2, 3, 4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianProcessPrior("exponentail"), "covariance"),
        (lambda: GaussianProcessPrior(length_scale=0.0), "length_scale"),
        (lambda: GaussianProcessPrior(std=-1.0), "std"),
        (lambda: GaussianProcessPrior("squared_exponential", 5.0, jitter=0.0).on(200), "raise jitter"),
        (lambda: GaussianProcessPrior(mean=[1.0, 2.0]).on(3), "mean has shape"),
        (lambda: LinearField(np.eye(2), ["cauchy"], [2], [1.0]).covariance(), "cauchy"),
        (lambda: LinearField(np.eye(2), ["cauchy"], [3], [1.0]), "sizes sum to 3"),
        (lambda: LinearField(np.eye(2), ["cauchy"], [2], [1.0, 2.0]), "1, 1 and 2 entries"),
        (lambda: LinearField(np.eye(2), ["cauchy"], [2], [-1.0]), "scales"),
        (lambda: LinearField(np.eye(2), ["cauchy"], [2], [1.0], mean=[1.0, 2.0, 3.0]), "mean has shape"),
        (lambda: LinearField(np.eye(2), ["cauchy"], [2], [1.0], grid=3), "grid has 3 points"),
        (lambda: LinearField(np.eye(2), ["cauchy"], [2], [1.0]).field([1.0]), "xi has shape"),
        (
            lambda: gaussian_posterior(CauchyDifferencePrior().on(9), deconvolution_1d(9, rng=0)),
            "'gaussian' is wanted",
        ),
        (
            lambda: gaussian_posterior(GaussianProcessPrior().on(8), deconvolution_1d(9, rng=0)),
            "8 points and problem on 9",
        ),
    ],
)
def test_refusals_name_the_argument(make, message):
    with pytest.raises(ValueError, match=message):
        make()
