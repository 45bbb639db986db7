"""Inverse problems: data reproduced to the bit, noise in every form, whitening, and what is refused."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from scinn.inverse.grids import uniform_grid
from scinn.inverse.inverse_problem import InverseProblem
from scinn.inverse.operators import Convolution1D, Convolution2D, Identity
from scinn.inverse.phantoms import PHANTOMS_1D, PHANTOMS_2D, phantom
from scinn.inverse.problems import (
    Deconvolution1D,
    Deconvolution2D,
    deconvolution_1d,
    deconvolution_2d,
    integration,
    regression,
    simulate,
)


def gaussian(r, sd):
    return np.exp(-0.5 * (r / sd) ** 2) / (sd * np.sqrt(2 * np.pi))


def jumps(x):
    return 1.0 * ((x > -0.75) & (x < -0.45)) + 0.4 * ((x > -0.2) & (x < 0.05)) - 0.6 * ((x > 0.3) & (x < 0.7))


@pytest.mark.parametrize(
    ("n", "sd", "sigma", "seed"),
    [(129, 0.05, 0.02, 3), (65, 0.08, 0.1, 0), (65, 0.08, 0.1, 7)],
)
def test_the_reproductions_line_problems(n, sd, sigma, seed):
    problem = deconvolution_1d(n, width=sd, noise_std=sigma, inverse_crime=True, rng=seed)
    x = np.linspace(-1, 1, n)
    h = x[1] - x[0]
    matrix = h * gaussian(x[::2, None] - x[None, :], sd)
    m = (n + 1) // 2
    data = matrix @ jumps(x) + sigma * np.random.default_rng(seed).standard_normal(m)
    np.testing.assert_array_equal(problem.grid.axes[0], x)
    np.testing.assert_allclose(problem.operator.matrix(), matrix, rtol=1e-12, atol=1e-300)
    np.testing.assert_array_equal(problem.truth, jumps(x))
    np.testing.assert_allclose(problem.data, data, rtol=1e-13, atol=1e-15)
    assert problem.n_data == m
    assert problem.noise_std == sigma


def test_the_reproductions_plane_problem():
    problem = deconvolution_2d(24, width=0.1, noise_std=0.02, inverse_crime=True, rng=1)
    x = np.linspace(-1, 1, 24)
    a, b = np.meshgrid(x, x, indexing="ij")
    truth = 1.0 * ((a > -0.7) & (a < -0.1) & (b > -0.6) & (b < 0.5))
    truth -= 0.7 * ((a - 0.45) ** 2 + (b - 0.3) ** 2 < 0.12)
    k = (x[1] - x[0]) * gaussian(x[::2, None] - x[None, :], 0.1)
    data = (k @ truth @ k.T).ravel() + 0.02 * np.random.default_rng(1).standard_normal(144)
    np.testing.assert_array_equal(problem.truth, truth)
    np.testing.assert_allclose(problem.data, data, rtol=1e-12, atol=1e-14)
    left, right, inverse_sd = problem.whitened_operator()
    np.testing.assert_allclose(left, k, rtol=1e-10, atol=1e-300)
    np.testing.assert_array_equal(left, right)
    np.testing.assert_array_equal(inverse_sd, np.full(144, 50.0))


def test_the_timings_problem_has_its_known_spectrum():
    problem = deconvolution_1d(64, width=0.06, truth="square", noise_std=0.2, inverse_crime=True, rng=0)
    x = problem.grid.axes[0]
    root = np.linalg.cholesky(np.exp(-np.abs(x[:, None] - x[None, :]) / 0.3))
    forward = problem.whitened_operator()[0] @ root
    assert problem.n_data == 32
    assert np.linalg.norm(forward, 2) ** 2 == pytest.approx(206.64, abs=0.01)


def test_the_default_data_come_from_a_finer_grid():
    coarse = deconvolution_1d(65, noise_std=1e-12, inverse_crime=True, rng=0)
    same = deconvolution_1d(65, noise_std=1e-12, finer=1, rng=0)
    fine = deconvolution_1d(65, noise_std=1e-12, rng=0)
    np.testing.assert_array_equal(coarse.data, same.data)
    assert 1e-3 < np.abs(coarse.data - fine.data).max() < 0.1
    x = np.linspace(-1, 1, 257)
    wanted = (2 / 256) * gaussian(x[::8, None] - x[None, :], 0.05) @ jumps(x)
    np.testing.assert_allclose(fine.data, wanted, atol=1e-10)
    np.testing.assert_array_equal(fine.truth, coarse.truth)


@pytest.mark.parametrize("boundary", ["zero", "periodic", "reflect", "nearest"])
def test_finer_data_of_a_smooth_truth_are_nearly_the_same(boundary):
    options = {"noise_std": 1e-12, "boundary": boundary, "rng": 0, "width": 0.1}
    truth = {"periodic": lambda x: np.cos(np.pi * x * 128 / 129)}.get(boundary, "smooth")
    fine = deconvolution_1d(129, truth=truth, **options)
    crime = deconvolution_1d(129, truth=truth, inverse_crime=True, **options)
    # On a periodic grid the rectangle rule is spectrally accurate; elsewhere the ends cost half a step.
    limit = 1e-9 if boundary == "periodic" else 0.05
    assert np.abs(fine.data - crime.data).max() < limit


def test_finer_data_in_the_plane():
    fine = deconvolution_2d(12, truth="smooth", width=0.3, noise_std=1e-12, rng=0)
    x = np.linspace(-1, 1, 45)
    k = (x[1] - x[0]) * gaussian(x[::8, None] - x[None, :], 0.3)
    wanted = k @ phantom("smooth", uniform_grid((45, 45))) @ k.T
    np.testing.assert_allclose(fine.data, wanted.ravel(), atol=1e-10)


def test_finer_integration():
    problem = integration(33, truth=lambda x: np.cos(3 * x), noise_std=1e-12, rng=0)
    t = problem.operator.points[:, 0]
    np.testing.assert_allclose(problem.data, (np.sin(3 * t) + np.sin(3.0)) / 3, atol=2e-4)
    crime = integration(33, truth=lambda x: np.cos(3 * x), noise_std=1e-12, rng=0, inverse_crime=True)
    assert np.abs(crime.data - problem.data).max() > 5e-4


def test_regression_is_exact_at_its_points():
    problem = regression((4, 5), every=3, noise_std=1e-12, rng=0)
    np.testing.assert_allclose(problem.data, problem.truth.ravel()[::3], atol=1e-10)
    np.testing.assert_array_equal(regression(5, noise_std=1.0, rng=0).operator.rows, np.arange(5))


def noises(m):
    generator = np.random.default_rng(0)
    root = np.tril(generator.standard_normal((m, m))) / m + np.eye(m)
    std = generator.uniform(0.5, 2.0, m)
    return {
        "scalar": ({"noise_std": 0.5}, 0.25 * np.eye(m)),
        "vector": ({"noise_std": std}, np.diag(std**2)),
        "cholesky": ({"noise_cholesky": root}, root @ root.T),
        "covariance": ({"noise_covariance": root @ root.T}, root @ root.T),
    }


@pytest.mark.parametrize("noise", noises(6))
@pytest.mark.parametrize("kind", ["dense", "separable"])
def test_whitening(noise, kind):
    options, covariance = noises(6)[noise]
    if kind == "dense":
        operator = Convolution1D(9, "gaussian", 0.3, rows=[0, 1, 3, 5, 6, 8])
    else:
        operator = Convolution2D((4, 6), "gaussian", 0.4, rows=slice(None, None, 2))
    generator = np.random.default_rng(1)
    data = generator.standard_normal(6)
    problem = InverseProblem(operator, data, **options)
    matrix = operator.matrix()
    left, right, inverse_sd = problem.whitened_operator()
    if kind == "separable" and noise in ("scalar", "vector"):
        whitened = inverse_sd[:, None] * np.kron(left, right)
    else:
        assert right.shape == (0, 0)
        np.testing.assert_array_equal(inverse_sd, 1.0)
        whitened = left
    precision = np.linalg.inv(covariance)
    np.testing.assert_allclose(whitened.T @ whitened, matrix.T @ precision @ matrix, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        whitened.T @ problem.whitened_data, matrix.T @ precision @ data, rtol=1e-9, atol=1e-12
    )
    for array in (left, right, inverse_sd, problem.whitened_data):
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.dtype == np.float64
    u = generator.standard_normal((2, operator.shape[1]))
    residual = u @ matrix.T - data
    wanted = 0.5 * np.einsum("ji,ik,jk->j", residual, precision, residual)
    np.testing.assert_allclose(problem.misfit(u), wanted, rtol=1e-10)
    assert isinstance(problem.misfit(u[0]), float)
    _, log_det = np.linalg.slogdet(2 * np.pi * covariance)
    assert problem.log_noise_constant == pytest.approx(0.5 * log_det, rel=1e-12)
    np.testing.assert_allclose(np.broadcast_to(problem.noise_std, 6) ** 2, np.diag(covariance), rtol=1e-12)


def test_whiten_takes_flat_and_shaped_data():
    problem = deconvolution_2d((6, 8), noise_std=0.5, rng=0)
    f = np.random.default_rng(0).standard_normal((2, 3, 4))
    np.testing.assert_array_equal(problem.whiten(f), 2 * f.reshape(2, 12))
    np.testing.assert_array_equal(problem.whiten(f.reshape(2, 12)), 2 * f.reshape(2, 12))
    with pytest.raises(ValueError, match="f has shape"):
        problem.whiten(np.zeros((3, 5)))


def test_noise_conventions_are_named():
    exact = np.array([3.0, -4.0])
    by_max = simulate(Identity(2), exact, noise_level=0.1, rng=0)
    assert by_max.noise_std == pytest.approx(0.4)
    assert "max" in repr(by_max)
    by_norm = simulate(Identity(2), exact, noise_level=0.1, convention="norm", rng=0)
    assert by_norm.noise_std == pytest.approx(0.1 * 5 / np.sqrt(2))
    assert by_norm.noise_convention == "0.1 |G u|/sqrt(m)"
    np.testing.assert_allclose(
        by_norm.data - exact, by_norm.noise_std * np.random.default_rng(0).standard_normal(2), rtol=1e-12
    )


def test_the_names_that_others_use():
    problem = Deconvolution1D(
        dim=16, PSF="Gauss", PSF_param=0.2, BC="Periodic", phantom="smooth", noise_std=0.1, rng=0
    )
    ours = deconvolution_1d(
        16, "gaussian", 0.2, boundary="periodic", truth="smooth", every=1, noise_std=0.1, rng=0
    )
    np.testing.assert_array_equal(problem.data, ours.data)
    assert Deconvolution2D(dim=6, PSF="defocus", PSF_param=0.5, noise_std=0.1, rng=0).n_data == 36


def test_an_asymmetric_psf_is_not_transposed():
    psf = np.array([0.0, 0.0, 1.0, 0.5, 0.25])
    problem = Deconvolution1D(
        dim=15, PSF=psf, phantom=np.eye(15)[4], noise_std=1e-9, inverse_crime=True, rng=0
    )
    np.testing.assert_allclose(problem.data[3:8], [0.0, 1.0, 0.5, 0.25, 0.0], atol=1e-7)


def test_errors_against_the_truth():
    problem = deconvolution_2d((6, 8), truth="square", noise_std=0.1, rng=0)
    truth = problem.truth
    assert problem.relative_error(truth) == 0.0
    stack = np.stack([0 * truth, 2 * truth, truth])
    np.testing.assert_allclose(problem.relative_error(stack), [1.0, 1.0, 0.0])
    np.testing.assert_allclose(problem.relative_error(stack.reshape(3, -1)), [1.0, 1.0, 0.0])
    with pytest.raises(ValueError, match="truth is None"):
        InverseProblem(np.eye(2), [0.0, 1.0], 1.0).relative_error([0.0, 1.0])
    other = InverseProblem(np.eye(2), [0.0, 1.0], 1.0, truth=[0.0, 1.0, 2.0], truth_grid=3)
    with pytest.raises(ValueError, match="interpolate"):
        other.relative_error([0.0, 1.0])


@pytest.mark.parametrize("noise", noises(3))
def test_with_data_changes_nothing_else(noise):
    options, _ = noises(3)[noise]
    problem = InverseProblem(np.eye(3), [1.0, 2.0, 3.0], truth=[1.0, 1.0, 1.0], **options)
    other = problem.with_data([0.0, 0.0, 1.0])
    np.testing.assert_array_equal(other.data, [0.0, 0.0, 1.0])
    for own, its in zip(problem.whitened_operator(), other.whitened_operator()):
        np.testing.assert_array_equal(own, its)
    np.testing.assert_array_equal(problem.data, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(other.truth, problem.truth)


def test_the_same_seed_gives_the_same_data_and_inputs_are_not_written():
    assert np.array_equal(deconvolution_1d(33, rng=5).data, deconvolution_1d(33, rng=5).data)
    assert not np.array_equal(deconvolution_1d(33, rng=5).data, deconvolution_1d(33, rng=6).data)
    data = np.ones(2)
    problem = InverseProblem(np.eye(2), data, 1.0)
    data[:] = 7.0
    np.testing.assert_array_equal(problem.data, 1.0)


def test_problems_travel_to_worker_processes():
    problem = deconvolution_1d(9, lambda r: np.exp(-np.abs(r)), truth=lambda x: x, noise_std=0.1, rng=0)
    other = pickle.loads(pickle.dumps(problem))
    np.testing.assert_array_equal(other.whitened_data, problem.whitened_data)
    assert other.grid == problem.grid
    assert other.misfit(np.ones(9)) == problem.misfit(np.ones(9))


def test_edge_cases_of_size():
    one = InverseProblem([[2.0]], [1.0], 0.5)
    assert one.misfit([0.5]) == 0.0
    assert one.grid.n == 1
    zero_row = InverseProblem([[0.0, 0.0], [1.0, 0.0]], [3.0, 1.0], 1.0)
    assert zero_row.misfit([1.0, 5.0]) == 4.5
    repeated = regression([0.0, 0.0, 1.0], truth=[1.0, 1.0, 2.0], noise_std=0.1, rng=0)
    assert repeated.n_data == 3


@pytest.mark.parametrize("name", PHANTOMS_1D)
def test_truths_on_a_line(name):
    values = phantom(name, uniform_grid(201))
    assert values.shape == (201,)
    assert np.isfinite(values).all()
    share = np.abs(np.diff(values)).max() / np.ptp(values)
    assert share < 0.05 if name == "smooth" else share > 0.2


@pytest.mark.parametrize("name", PHANTOMS_2D)
def test_truths_in_the_plane(name):
    values = phantom(name, uniform_grid((40, 50)))
    assert values.shape == (40, 50)
    assert np.ptp(values) > 0.9
    with pytest.raises(ValueError, match="3 axes"):
        phantom(name, uniform_grid((2, 2, 2)))


NOT_SYMMETRIC = [[1.0, 0.5], [0.0, 1.0]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: InverseProblem(np.eye(2), [1.0], 1.0), r"data has shape \(1,\); \(2,\) is wanted"),
        (lambda: InverseProblem(np.eye(2), [1.0, np.nan], 1.0), "data holds 1 NaN"),
        (lambda: InverseProblem(np.eye(2), [1.0, 2.0]), "none of them came"),
        (
            lambda: InverseProblem(np.eye(2), [1.0, 2.0], 1.0, noise_cholesky=np.eye(2)),
            "noise_std and noise_cholesky",
        ),
        (lambda: InverseProblem(np.eye(2), [1.0, 2.0], 0.0), "noise_std holds 0; positive"),
        (lambda: InverseProblem(np.eye(2), [1.0, 2.0], [1.0, -1.0]), "noise_std holds -1"),
        (lambda: InverseProblem(np.eye(2), [1.0, 2.0], [1.0, 1.0, 1.0]), "noise_std has shape"),
        (lambda: InverseProblem(np.eye(2), [1.0, 2.0], np.inf), "noise_std"),
        (lambda: InverseProblem(np.eye(2), [1.0, 2.0], noise_cholesky=NOT_SYMMETRIC), "above its diagonal"),
        (lambda: InverseProblem(np.eye(2), [1.0, 2.0], noise_cholesky=np.diag([1.0, 0.0])), "not positive"),
        (lambda: InverseProblem(np.eye(2), [1.0, 2.0], noise_covariance=NOT_SYMMETRIC), "not symmetric"),
        (
            lambda: InverseProblem(np.eye(2), [1.0, 2.0], noise_covariance=np.diag([1.0, -1.0])),
            "positive definite",
        ),
        (lambda: InverseProblem(np.eye(2), [1.0, 2.0], 1.0, grid=3), "2 columns and grid 3 points"),
        (lambda: InverseProblem(Identity(2), [1.0, 2.0], 1.0, grid=3), "grid has 3 points and operator 2"),
        (lambda: InverseProblem(np.eye(2), [1.0, 2.0], 1.0, truth=[1.0]), "truth has shape"),
        (lambda: simulate(Identity(2), [1.0, 2.0], rng=0), "one of noise_std and noise_level"),
        (lambda: simulate(Identity(2), [1.0, 2.0], noise_std=1.0, noise_level=1.0), "not both"),
        (lambda: simulate(Identity(2), [1.0, 2.0], noise_level=0.0), "noise_level"),
        (lambda: simulate(Identity(2), [0.0, 0.0], noise_level=0.1), "all 0"),
        (lambda: deconvolution_1d(9, truth="jump"), "jumps"),
        (lambda: deconvolution_1d(9, truth=np.zeros(9)), "truth is an array"),
        (lambda: deconvolution_1d(9, [1.0, 2.0]), "kernel is an array"),
        (lambda: deconvolution_1d(9, truth=np.zeros(8), inverse_crime=True), "truth has shape"),
        (lambda: deconvolution_1d(9, every=0), "every is 0"),
        (lambda: deconvolution_1d(9, finer=0), "finer is 0"),
    ],
)
def test_refusals_name_the_argument(make, message):
    with pytest.raises(ValueError, match=message):
        make()
