"""Total variation: the minimum certified, closed forms, and consistency of the plane with the line."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import optimize

from scinn.exceptions import ConvergenceWarning
from scinn.inverse.gaussian_process import GaussianProcessPrior
from scinn.inverse.grids import Grid, uniform_grid
from scinn.inverse.inverse_problem import InverseProblem
from scinn.inverse.problems import deconvolution_1d, deconvolution_2d, regression
from scinn.inverse.total_variation import tv_map


def objective_on_a_line(problem, weight, epsilon):
    return lambda u: problem.misfit(u) + weight * np.sqrt(np.diff(u) ** 2 + epsilon**2).sum()


def objective_in_the_plane(problem, weight, epsilon):
    """The loop over cells that the sum stands for."""
    (h_a, h_b), (n_a, n_b) = problem.grid.spacing, problem.grid.shape

    def value(flat):
        u, total = flat.reshape(n_a, n_b), 0.0
        for i in range(n_a):
            for j in range(n_b):
                a = (u[i + 1, j] - u[i, j]) / h_a if i + 1 < n_a else 0.0
                b = (u[i, j + 1] - u[i, j]) / h_b if j + 1 < n_b else 0.0
                total += h_a * h_b * np.sqrt(a**2 + b**2 + epsilon**2 / (h_a * h_b))
        return problem.misfit(flat) + weight * total

    return value


PROBLEMS = {
    "line": (lambda: deconvolution_1d(33, noise_std=0.05, rng=0), objective_on_a_line),
    "uneven": (
        lambda: regression([0.0, 0.1, 0.5, 1.0], truth=[0.0, 1.0, 1.0, 0.0], noise_std=0.1, rng=0),
        objective_on_a_line,
    ),
    "plane": (lambda: deconvolution_2d((7, 5), width=0.3, noise_std=0.05, rng=0), objective_in_the_plane),
    "correlated": (
        lambda: InverseProblem(
            np.eye(3), [1.0, 3.0, 2.0], noise_covariance=[[2.0, 1, 0], [1, 2, 1], [0, 1, 2]]
        ),
        objective_on_a_line,
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("weight", [0.5, 5.0, 100.0])
def test_the_minimum_is_one(name, weight):
    make, objective = PROBLEMS[name]
    problem, epsilon = make(), 1e-2
    result = tv_map(problem, weight, epsilon)
    value = objective(problem, weight, epsilon)
    u = result.field.ravel()
    assert result.converged
    assert result.gradient_norm <= 1e-9
    assert result.objective == pytest.approx(value(u), rel=1e-12)
    assert result.misfit == pytest.approx(problem.misfit(u), rel=1e-12)
    assert result.objective == pytest.approx(result.misfit + weight * result.total_variation, rel=1e-13)
    # Convexity makes a local comparison a global one.
    generator = np.random.default_rng(0)
    for size in (1e-3, 1e-1):
        for _ in range(10):
            assert value(u + size * generator.standard_normal(len(u))) > result.objective
    by_other = optimize.minimize(
        value, u + 0.1 * generator.standard_normal(len(u)), method="L-BFGS-B", options={"maxfun": 3000}
    )
    assert by_other.fun >= result.objective - 1e-9 * abs(result.objective)


def test_two_points_in_closed_form():
    """u_1 + u_2 is kept and the difference shrinks by 2 weight sigma^2, until it is gone."""
    problem = InverseProblem(np.eye(2), [0.0, 1.0], 1.0)
    shrunk = tv_map(problem, 0.2, 1e-6).field
    np.testing.assert_allclose(shrunk, [0.2, 0.8], atol=1e-6)
    np.testing.assert_allclose(tv_map(problem, 0.8, 1e-6).field, [0.5, 0.5], atol=1e-6)


def test_one_point_is_least_squares():
    result = tv_map(InverseProblem([[2.0], [1.0]], [1.0, 3.0], 1.0), 5.0)
    assert result.field[0] == pytest.approx(1.0, rel=1e-9)
    assert result.total_variation == 0.0


def test_a_large_weight_gives_the_best_constant():
    problem = deconvolution_2d((8, 6), width=0.3, noise_std=0.1, rng=0)
    field = tv_map(problem, 1e5).field
    image = problem.operator.apply(np.ones(48))
    constant = (image @ problem.data) / (image @ image)
    np.testing.assert_allclose(field, constant, atol=1e-3)


def test_the_plane_agrees_with_the_line_where_nothing_depends_on_one_axis():
    """On a square of side 2 a stripe pattern has the line's variation times the side's n h."""
    line = regression(21, truth="square", noise_std=0.1, rng=0)
    n_b = 5
    grid = Grid((line.grid.axes[0], np.linspace(-1, 1, n_b)))
    stripes = np.repeat(line.data[:, None], n_b, axis=1)
    h_a, h_b = grid.spacing
    plane = InverseProblem(np.eye(21 * n_b), stripes.ravel(), 0.1, grid=grid)
    epsilon = 1e-3
    by_line = tv_map(line, 20.0, epsilon * np.sqrt(h_a / h_b))
    by_plane = tv_map(plane, 20.0 / h_b, epsilon)
    np.testing.assert_allclose(by_plane.field, np.repeat(by_line.field[:, None], n_b, axis=1), atol=1e-7)


def test_variation_approximates_the_integral_on_every_grid():
    """A disc of radius 1/2 smoothed over a length: the integral of |grad u| nears the height times the perimeter."""
    for n in (40, 80):
        grid = uniform_grid((n, n))
        radius = np.sqrt((grid.points**2).sum(axis=1))
        u = 0.5 * (1 - np.tanh((radius - 0.5) / 0.1))
        problem = InverseProblem(np.ones((1, n * n)), [1.0], 1.0, grid=grid)
        from scinn.inverse.total_variation import _Solver

        _, variation = _Solver(problem, 1e-6, 1e-9, 1).parts(u)
        assert variation == pytest.approx(np.pi, rel=0.02)


def test_edges_are_better_kept_than_by_a_gaussian_process():
    problem = deconvolution_1d(129, width=0.05, noise_std=0.02, inverse_crime=True, rng=3)
    result = tv_map(problem)
    assert 2 * result.misfit == pytest.approx(65, rel=0.01)
    assert result.converged
    smooth = min(
        problem.relative_error(GaussianProcessPrior("exponential", length).posterior(problem).mean)
        for length in (0.1, 0.3, 1.0)
    )
    assert problem.relative_error(result.field) < 0.5 * smooth


def test_the_result_says_when_it_has_not_converged():
    problem = deconvolution_1d(33, noise_std=0.05, rng=0)
    with pytest.warns(ConvergenceWarning, match="raise max_iterations"):
        result = tv_map(problem, 10.0, max_iterations=2)
    assert not result.converged
    assert result.n_iterations == 2
    assert "not converged" in repr(result)


def test_a_discrepancy_that_no_weight_reaches():
    for data, sigma in (([0.0, 0.1], 1.0), ([0.0, 1.0], 1.0)):
        with pytest.raises(ValueError, match="for a constant"):
            tv_map(InverseProblem(np.eye(2), data, sigma))
    with pytest.raises(ValueError, match="from 3600 without penalty"):
        tv_map(InverseProblem([[1.0], [1.0]], [0.0, 6.0], 0.1 / 2**0.5))


def test_the_same_call_gives_the_same_bits_and_a_dictionary():
    problem = deconvolution_1d(33, noise_std=0.05, rng=0)
    first, second = tv_map(problem, 10.0), tv_map(problem, 10.0)
    assert np.array_equal(first.field, second.field)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert first.to_dict()["converged"] is True
        assert first.plot().lines


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": 0.0}, "weight"),
        ({"weight": "best"}, "weight is 'best'"),
        ({"epsilon": 0.0}, "epsilon"),
        ({"tol": 0.0}, "tol"),
        ({"max_iterations": 0}, "max_iterations"),
    ],
)
def test_refusals_name_the_argument(options, message):
    with pytest.raises(ValueError, match=message):
        tv_map(deconvolution_1d(9, rng=0), **options)


def test_problems_that_are_refused():
    with pytest.raises(ValueError, match="maps to 0"):
        tv_map(InverseProblem(np.eye(2), [0.0, 0.0], 1.0), 1.0)
    with pytest.raises(ValueError, match="3 axes"):
        tv_map(regression(uniform_grid((2, 2, 2)), truth=np.ones(8), noise_std=1.0, rng=0), 1.0)
    with pytest.raises(ValueError, match="unequal"):
        tv_map(regression(Grid(([0.0, 1.0, 3.0], [0.0, 1.0])), truth=np.ones(6), noise_std=1.0, rng=0), 1.0)
