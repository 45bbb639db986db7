"""Defects that other packages have, or had: here the right behaviour is held, without the packages.

Seen by running them (CUQIpy 1.5.1), in their public issues, or by reading their code (AngelinaSen/bnn_priors).
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from scinn.inverse import (
    PCN,
    BesovPrior,
    CauchyDifferencePrior,
    Deconvolution1D,
    EllipticalSlice,
    EnsembleKalman,
    GaussianProcessPrior,
    Identity,
    InverseProblem,
    Posterior,
    StableNNPrior,
    as_law,
    deconvolution_1d,
    map_estimate,
    sample,
    uniform_grid,
)
from scinn.inverse.diagnostics import ess, rhat, verdict
from scinn.verify.scores import batch_score, limit, score_of

# CUQIpy


@pytest.mark.parametrize("kind", [PCN, EllipticalSlice])
def test_a_prior_with_a_mean_is_sampled_around_it(kind):
    # CUQIpy's PCN: mean 8.5 where 5 is right. GaussianProcesses.jl 139: elliptical slices without centring.
    prior = GaussianProcessPrior("exponential", 1.0, 1.0, mean=5.0, jitter=0.0)
    posterior = Posterior(prior, InverseProblem(Identity(1), [5.0], 1.0))
    sampler = kind(posterior, **({"beta": 0.9} if kind is PCN else {}))
    _, info = sampler.run(np.random.default_rng(0), sampler.init(np.zeros(1)), 20_000, keep_every=1)
    u = posterior.field(info.positions)[200:, 0]
    assert batch_score(u, 5.0) < limit()
    assert batch_score((u - 5.0) ** 2, 0.5) < limit()
    assert u.mean() == pytest.approx(5.0, abs=0.05)


def test_slices_are_cut_by_the_likelihood_alone():
    # GaussianProcesses.jl 180: the joint density counts the prior twice, and has the variance 1/3 here.
    posterior = Posterior(
        GaussianProcessPrior("exponential", 1.0, 1.0, jitter=0.0), InverseProblem(Identity(1), [0.0], 1.0)
    )
    sampler = EllipticalSlice(posterior)
    _, info = sampler.run(np.random.default_rng(1), sampler.init(np.zeros(1)), 20_000, keep_every=1)
    assert batch_score(info.positions[:, 0] ** 2, 0.5) < limit()
    assert batch_score(info.positions[:, 0] ** 2, 1.0 / 3.0) > limit()


@pytest.mark.parametrize("location", [0.0, 3.0, "ramp"])
def test_the_gradient_of_differences_knows_the_location(location):
    # CUQIpy's CMRF.gradient ignores `location`.
    n = 6
    grid = uniform_grid(n)
    place = np.linspace(-1.0, 2.0, n) if location == "ramp" else location
    prior = CauchyDifferencePrior(scale=0.7, start_scale=0.4, location=place)
    u = np.random.default_rng(2).standard_normal(n) + 1.0
    step = 1e-6
    quotients = [
        (prior.neg_log_density(u + step * e, grid) - prior.neg_log_density(u - step * e, grid)) / (2 * step)
        for e in np.eye(n)
    ]
    np.testing.assert_allclose(prior.neg_log_density_gradient(u, grid), quotients, rtol=1e-6, atol=1e-7)
    at_mode = prior.neg_log_density_gradient(np.broadcast_to(place, n), grid)
    np.testing.assert_allclose(at_mode, 0.0, atol=1e-12)


def test_the_distribution_function_of_a_vector_is_a_vector():
    # CUQIpy's Cauchy.cdf returns the sum of the marginals.
    values = CauchyDifferencePrior().cdf([1.0, 1.0, 0.0], 3)
    np.testing.assert_allclose(values, [0.75, 0.5, 0.25], rtol=1e-12)


def test_an_asymmetric_kernel_is_applied_as_it_is():
    # CUQIpy's Deconvolution1D applies the transposed operator.
    taps = np.array([0.0, 0.0, 1.0, 2.0, 4.0])
    problem = Deconvolution1D(
        dim=9, PSF=taps, PSF_param=None, phantom=np.eye(9)[3], noise_std=1e-12, inverse_crime=True, rng=0
    )
    wanted = np.zeros(9)
    wanted[3:6] = [1.0, 2.0, 4.0]
    np.testing.assert_allclose(problem.operator.apply(np.eye(9)[3]), wanted, atol=1e-12)
    np.testing.assert_allclose(problem.data, wanted, atol=1e-10)


def test_pcn_is_tuned_to_a_quarter_not_to_the_rate_of_one_dimension():
    posterior = Posterior(
        GaussianProcessPrior("exponential", 0.5), deconvolution_1d(33, noise_std=0.1, rng=0)
    )
    sampler = PCN(posterior)
    rng = np.random.default_rng(3)
    state = sampler.warmup(rng, sampler.init(np.zeros(posterior.dim)), 4000)
    _, info = sampler.run(rng, state, 4000)
    assert 0.17 < info.acceptance_rate < 0.33


def test_pcn_takes_more_than_gaussian_priors():
    # CUQIpy 712.
    problem = deconvolution_1d(16, noise_std=0.1, rng=0)
    for prior in (BesovPrior(), CauchyDifferencePrior(), StableNNPrior([1, 4, 1], law="laplace")):
        chains = sample(PCN, Posterior(prior, problem), n_draws=20, n_chains=2, n_warmup=20, rng=0)
        assert np.isfinite(chains.fields).all()


def test_the_step_size_rests_once_draws_are_kept():
    posterior = Posterior(
        GaussianProcessPrior("exponential", 0.5), deconvolution_1d(17, noise_std=0.1, rng=0)
    )
    sampler = PCN(posterior)
    state = sampler.warmup(0, sampler.init(np.zeros(posterior.dim)), 200)
    later, _ = sampler.run(1, state, 500)
    assert later.beta == state.beta != sampler.beta


# Samplers of the user's own (CUQIpy 292, 392)


class EveryDrawNew:
    """The prior's own sampler, which needs no posterior."""

    def __init__(self, posterior):
        self.target = posterior

    def init(self, position, rng=None):
        from types import SimpleNamespace

        return SimpleNamespace(position=position, misfit=self.target.misfit(position))

    def step(self, rng, state):
        from types import SimpleNamespace

        return self.init(rng.standard_normal(self.target.dim), rng), SimpleNamespace(accepted=True)


def test_own_samplers_run_like_the_others():
    posterior = Posterior(StableNNPrior([1, 3, 1]), deconvolution_1d(9, noise_std=0.1, rng=0))
    chains = sample(EveryDrawNew, posterior, n_draws=300, n_chains=2, n_warmup=0, rng=0)
    assert chains.fields.shape[:2] == (2, 300)
    assert np.max(rhat(np.arctan(chains.fields))) < 1.05


# Tails: PyMC 8445, PyTorch 186824, bnn_priors


def test_the_tails_of_the_cauchy_law_are_kept():
    law = as_law("cauchy")
    xi = np.array([5.0, 6.0, 7.0, 8.0, 9.0, 20.0, 37.0])
    tail = stats.norm.sf(xi)
    np.testing.assert_allclose(law.transform(xi) * np.pi * tail, 1.0, rtol=1e-6)
    naive = np.tan(np.pi * (stats.norm.cdf(xi) - 0.5))
    # The formula that others use has lost all digits from 8.3 on.
    assert abs(naive[4] / law.transform(9.0) - 1.0) > 0.1
    np.testing.assert_allclose(law.transform(-xi), -law.transform(xi), rtol=0)


def test_single_precision_keeps_sign_and_size():
    xi = np.array([-37.0, -6.5, -0.25, 0.0, 0.25, 6.5, 37.0], dtype=np.float32)
    theta = as_law("cauchy").transform(xi)
    assert theta.dtype == np.float64
    np.testing.assert_array_equal(np.sign(theta), np.sign(xi))
    np.testing.assert_array_equal(theta, as_law("cauchy").transform(xi.astype(np.float64)))


def test_truncated_extremes_are_numbers():
    # TensorFlow Probability 1793.
    for name in ("cauchy", "laplace", "student_t(1.5)", "stable(1.5)"):
        law = as_law(name)
        xi = np.repeat([-50.0, -38.0, 38.0, 50.0], law.n_white)
        assert not np.isnan(law.transform(xi)).any()
        assert not np.isnan(law.derivative(xi)).any()


# AngelinaSen/bnn_priors


def test_the_same_seed_gives_the_same_prior_and_the_scales_are_no_draws():
    def build():
        return StableNNPrior([1, 5, 1], weight_scale=(10, 3), bias_scale=(5, 1))

    x = np.linspace(0, 1, 7)
    np.testing.assert_array_equal(build().sample(3, 2, x), build().sample(3, 2, x))
    np.testing.assert_allclose(build().weight_scales, [10.0, 0.6], rtol=1e-15)


def test_density_without_gradient_is_a_number():
    posterior = Posterior(StableNNPrior([1, 3, 1]), deconvolution_1d(9, noise_std=0.1, rng=0))
    xi = posterior.prior.sample(0)
    assert isinstance(posterior.logpdf(xi), float)
    assert posterior.logpdf(xi) == pytest.approx(
        -posterior.misfit_and_gradient(xi)[0] - 0.5 * xi @ xi, rel=1e-12
    )


def test_map_and_chains_see_the_same_scales():
    prior = StableNNPrior([1, 3, 1], law=("cauchy", "gaussian"), weight_scale=(5, 2))
    posterior = Posterior(prior, deconvolution_1d(17, noise_std=0.1, rng=0))
    best = map_estimate(posterior, n_starts=2, max_iter=200, rng=0).best
    state = PCN(posterior).init(best.xi)
    assert state.misfit == pytest.approx(
        posterior.problem.misfit(prior.forward(best.xi, posterior.points)), rel=1e-10
    )


def test_autocorrelations_do_not_wrap_around():
    # A circular FFT joins the end of a chain to its start: a trend would look well mixed at long lags.
    trend = np.linspace(-1.0, 1.0, 400)[None] + 0.01 * np.random.default_rng(0).standard_normal((1, 400))
    assert float(ess(trend, "mean")) < 10.0
    rng = np.random.default_rng(1)
    walk = np.zeros((4, 5000))
    for i in range(1, 5000):
        walk[:, i] = 0.9 * walk[:, i - 1] + rng.standard_normal(4)
    assert float(ess(walk, "mean")) == pytest.approx(20_000 / 19.0, rel=0.2)


# LaplacesDemon 18, emcee 195, 374, 378


def test_without_data_pcn_is_its_own_autoregression():
    posterior = Posterior(StableNNPrior([1, 3, 1]), deconvolution_1d(9, noise_std=0.1, rng=0))
    sampler = PCN(posterior, beta=0.3, temperature=0.0)
    _, info = sampler.run(
        np.random.default_rng(4), sampler.init(posterior.prior.sample(0)), 40_000, keep_every=1
    )
    assert info.acceptance_rate == 1.0
    for column in info.positions[:, :3].T:
        assert batch_score(column[1:] * column[:-1], math.sqrt(1.0 - 0.3**2)) < limit(3)


def test_chains_that_are_too_short_do_not_count_as_converged():
    rng = np.random.default_rng(5)
    assert verdict({"f": np.cumsum(rng.standard_normal((4, 60)), axis=1)}).converged is False
    assert verdict({"f": rng.standard_normal((4, 60))}).converged is False
    assert verdict({"f": rng.standard_normal((1, 5000))}).converged is None
    with pytest.raises(ValueError, match="too few chains"):
        rhat(rng.standard_normal((1, 5000)))


# EnsembleKalmanProcesses.jl 385, 436, 584; iterative_ensemble_smoother 167, 240


class Line:
    """Two coordinates, three data."""

    dim = 2
    matrix = np.array([[1.0, 0.0], [0.5, 1.0], [0.0, -1.0]])
    data = np.array([2.0, -1.0, 0.5])

    def predict(self, xi):
        return xi @ self.matrix.T


START = np.random.default_rng(6).standard_normal((40, 2))


def run(method, **options):
    return EnsembleKalman(Line(), 40, method=method, init=START, **options).run(0)


def test_square_root_steps_have_a_length():
    one = run("eki", form="square_root", step=1.0, max_iterations=1, discrepancy=0.0).ensemble
    halves = run("eki", form="square_root", step=0.5, max_iterations=2, discrepancy=0.0).ensemble
    half = run("eki", form="square_root", step=0.5, max_iterations=1, discrepancy=0.0).ensemble
    np.testing.assert_allclose(halves.mean(axis=0), one.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(np.cov(halves.T), np.cov(one.T), atol=1e-12)
    assert np.abs(half.mean(axis=0) - one.mean(axis=0)).max() > 1e-3


def test_the_prior_counts_once():
    mean, covariance = START.mean(axis=0), np.cov(START.T)
    g = Line.matrix
    precision = np.linalg.inv(covariance) + g.T @ g
    wanted = np.linalg.solve(precision, np.linalg.solve(covariance, mean) + g.T @ Line.data)
    for options in ({"inflation": 1}, {"inflation": 5}, {"inflation": "adaptive"}):
        result = run("etki", **options)
        np.testing.assert_allclose(result.ensemble.mean(axis=0), wanted, atol=1e-10)
        np.testing.assert_allclose(np.cov(result.ensemble.T), np.linalg.inv(precision), atol=1e-10)
    with pytest.raises(ValueError, match="sum"):
        run("etki", inflation=[1.0, 1.0])


def test_perturbations_may_be_supplied():
    noise = np.random.default_rng(7).standard_normal((1, 40, 3))
    results = [
        EnsembleKalman(Line(), 40, method="esmda", init=START, inflation=1, perturbations=noise)
        .run(seed)
        .ensemble
        for seed in (0, 1)
    ]
    np.testing.assert_array_equal(*results)


def test_a_taper_keeps_a_coordinate_from_distant_data():
    taper = np.ones((2, 3))
    taper[1] = 0.0
    moved = run("esmda", inflation=2, taper=taper).ensemble - START
    assert np.abs(moved[:, 0]).max() > 0.1
    np.testing.assert_allclose(moved[:, 1], 0.0, atol=1e-14)


def test_runs_say_how_they_went():
    # EKP 250: diagnostics.
    result = run("esmda", inflation=4)
    assert [own.step for own in result.iterations] == pytest.approx([0.25] * 4 + [0.0])
    assert result.iterations[-1].misfit_mean < result.iterations[0].misfit_mean
    assert result.converged


def test_scores_measure_probabilities():
    # The limits above fail a right result once in a million times.
    assert score_of(1e-6) == pytest.approx(limit(), rel=1e-12)
