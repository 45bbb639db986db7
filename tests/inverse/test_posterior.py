"""Posteriors: misfit, gradients, the collapsed last layer, messages."""

import pickle

import numpy as np
import pytest

from scinn.inverse import (
    CauchyDifferencePrior,
    Deconvolution1D,
    GaussianProcessPrior,
    Identity,
    InverseProblem,
    Posterior,
    StableNNPrior,
    deconvolution_1d,
    deconvolution_2d,
)

LAWS = ("cauchy", "cauchy", "gaussian")


@pytest.fixture
def posterior():
    prior = StableNNPrior([1, 6, 5, 1], law=LAWS, weight_scale=(5, 2, 1), bias_scale=(5, 2, 0.5))
    return Posterior(prior, deconvolution_1d(33, width=0.1, noise_std=0.1, rng=0))


def gradient_by_differences(function, xi, step=1e-6):
    out = np.empty_like(xi)
    for i in range(len(xi)):
        shift = np.zeros_like(xi)
        shift[i] = step
        out[i] = (function(xi + shift) - function(xi - shift)) / (2 * step)
    return out


def test_the_misfit_is_half_the_whitened_square(posterior):
    xi = posterior.prior.sample(1)
    problem = posterior.problem
    residual = (problem.operator.apply(posterior.prior.forward(xi, problem.grid.points)) - problem.data) / 0.1
    assert posterior.misfit(xi) == pytest.approx(0.5 * residual @ residual, rel=1e-12)
    assert posterior.misfit(xi) == pytest.approx(problem.misfit(posterior.field(xi)), rel=1e-12)


@pytest.mark.parametrize("law", ["cauchy", LAWS, ("student_t(2)", "laplace", "gaussian")])
def test_gradients_agree_with_differences(law):
    prior = StableNNPrior([1, 4, 3, 1], law=law, weight_scale=(3, 1, 1))
    posterior = Posterior(prior, deconvolution_1d(17, width=0.1, noise_std=0.3, rng=0))
    xi = prior.sample(2)
    expected = gradient_by_differences(posterior.logpdf, xi)
    np.testing.assert_allclose(posterior.grad(xi), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    jacobian = posterior.jacobian(xi)
    np.testing.assert_allclose(
        jacobian.T @ (posterior.predict(xi) - posterior.data),
        posterior.misfit_and_gradient(xi)[1],
        rtol=1e-9,
        atol=1e-9,
    )


def test_correlated_noise_and_planes_give_the_same_misfit_as_their_definition():
    rng = np.random.default_rng(0)
    root = np.tril(rng.standard_normal((9, 9))) + 3 * np.eye(9)
    problem = InverseProblem(Identity(9), rng.standard_normal(9), noise_covariance=root @ root.T)
    posterior = Posterior(StableNNPrior([1, 3, 1]), problem)
    xi = posterior.prior.sample(0)
    gap = posterior.field(xi) - problem.data
    assert posterior.misfit(xi) == pytest.approx(0.5 * gap @ np.linalg.solve(root @ root.T, gap), rel=1e-9)
    plane = deconvolution_2d((6, 7), noise_std=0.2, rng=1)
    flat = Posterior(StableNNPrior([2, 3, 1], law=("cauchy", "gaussian")), plane)
    xi = flat.prior.sample(0)
    assert flat.field(xi).shape == (6, 7)
    assert flat.misfit(xi) == pytest.approx(plane.misfit(flat.field(xi)), rel=1e-11)


def test_linear_priors_share_the_interface():
    problem = deconvolution_1d(17, width=0.1, noise_std=0.2, rng=0)
    for prior in (
        GaussianProcessPrior("exponential", length_scale=0.3, mean=0.7),
        CauchyDifferencePrior(0.1),
    ):
        posterior = Posterior(prior, problem)
        xi = np.random.default_rng(0).standard_normal(posterior.dim)
        assert posterior.misfit(xi) == pytest.approx(problem.misfit(posterior.field(xi)), rel=1e-9)
        expected = gradient_by_differences(posterior.logpdf, xi)
        np.testing.assert_allclose(
            posterior.grad(xi), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max()
        )
        assert posterior.field(np.stack([xi, xi])).shape == (2, 17)


def test_collapsing_integrates_the_last_layer(posterior):
    collapsed = posterior.collapse()
    rng = np.random.default_rng(0)
    hidden = rng.standard_normal(collapsed.dim)
    features = collapsed.features(hidden)
    images = posterior.problem.whiten(posterior.problem.operator.apply(features.T)).T
    covariance = np.eye(len(posterior.data)) + images @ images.T
    # The law of whitened data is N(0, I + B B^T), that of the noise alone N(0, I).
    expected = (
        0.5 * posterior.data @ np.linalg.solve(covariance, posterior.data)
        + 0.5 * np.linalg.slogdet(covariance)[1]
    )
    assert collapsed.misfit(hidden) == pytest.approx(expected, rel=1e-10)
    expected = gradient_by_differences(collapsed.misfit, hidden)
    found = collapsed.misfit_and_gradient(hidden)[1]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    mean, spread = collapsed.last_layer(hidden)
    np.testing.assert_allclose(collapsed.last_layer_mean(hidden), mean, rtol=1e-8, atol=1e-10)
    draws = np.array([collapsed.complete(hidden, rng)[collapsed.dim :] for _ in range(4000)])
    z = (draws.mean(axis=0) - mean) / np.sqrt(np.diag(spread) / 4000)
    assert np.abs(z).max() < 4.5
    np.testing.assert_allclose(np.cov(draws.T), spread, atol=0.12 * np.diag(spread).max())


def test_posteriors_travel_to_other_processes(posterior):
    xi = posterior.prior.sample(0)
    copy = pickle.loads(pickle.dumps(posterior))
    assert copy.misfit(xi) == posterior.misfit(xi)
    assert pickle.loads(pickle.dumps(posterior.collapse())).dim == posterior.collapse().dim


def test_extreme_coordinates_are_rejected_and_never_nan(posterior):
    xi = np.full(posterior.dim, 37.0)
    assert not np.isnan(posterior.misfit(xi))
    all_cauchy = Posterior(StableNNPrior([1, 4, 1]), posterior.problem)
    for size in (8.0, 30.0, 37.0, 50.0):
        value, gradient = all_cauchy.misfit_and_gradient(size * np.sign(np.arange(all_cauchy.dim) % 3 - 0.5))
        assert not np.isnan(value)
        assert not np.any(np.isnan(gradient))


def test_wrong_use_is_refused(posterior):
    with pytest.raises(ValueError, match="start widths with 2"):
        Posterior(StableNNPrior([1, 4, 1]), deconvolution_2d(6, noise_std=0.1, rng=0))
    with pytest.raises(TypeError, match="InverseProblem"):
        Posterior(StableNNPrior([1, 4, 1]), np.zeros(3))
    with pytest.raises(TypeError, match="StableNNPrior"):
        Posterior("cauchy", posterior.problem)
    with pytest.raises(ValueError, match="'cauchy'"):
        Posterior(StableNNPrior([1, 4, 1]), posterior.problem).collapse()
    with pytest.raises(ValueError, match="xi has shape"):
        posterior.misfit(np.zeros(3))
    signs = Posterior(StableNNPrior([1, 4, 1], activation="sign"), posterior.problem)
    assert np.isfinite(signs.misfit(signs.prior.sample(0)))
    with pytest.raises(ValueError, match="sampler without gradients"):
        signs.grad(signs.prior.sample(0))
    with pytest.raises(ValueError, match="NaN"):
        Deconvolution1D(dim=9, noise_std=0.1, rng=0).with_data([np.nan] * 9)
