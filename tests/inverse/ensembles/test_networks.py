"""Ensembles of networks: the symmetry trap and its ways round, and mixtures of exact last layers."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.stats import kstest, norm

from scinn.exceptions import ScinnWarning
from scinn.inverse import Deconvolution1D, Posterior, StableNNPrior
from scinn.inverse.ensembles import (
    EnsembleKalman,
    last_layer_mixture,
    local_ensemble,
    prior_ensemble,
    run_etki,
    symmetry_report,
)
from scinn.inverse.ensembles.last_layer import mixture_quantile
from scinn.reference import ensemble_kalman as reference


def network_posterior(law=("cauchy", "gaussian"), activation="tanh", noise=0.1):
    problem = Deconvolution1D(dim=33, PSF="gaussian", PSF_param=0.1, noise_std=noise, rng=0)
    prior = StableNNPrior(
        [1, 6, 1], law=law, weight_scale=(10, 1), bias_scale=(10, 0.5), activation=activation
    )
    return Posterior(prior, problem)


# The trap


@pytest.mark.parametrize("law", [("cauchy", "gaussian"), ("gaussian", "gaussian"), ("cauchy", "cauchy")])
def test_prior_ensembles_see_the_bias_of_the_output_only(law):
    posterior = network_posterior(law)
    report = symmetry_report(posterior, prior_ensemble(posterior.dim, 4000, rng=1))
    assert report.informed.tolist() == [posterior.dim - 1]
    assert report.largest[-1] > 0.2
    local = symmetry_report(posterior, local_ensemble(posterior.prior.sample(3), 4000, 0.1, rng=4))
    assert len(local.informed) > posterior.dim // 2
    assert f"{len(local.informed)} of {posterior.dim} coordinates" in repr(local)


def test_an_even_activation_shows_the_last_layer_too():
    posterior = network_posterior(("gaussian", "gaussian"), "relu")
    report = symmetry_report(posterior, prior_ensemble(posterior.dim, 4000, rng=1))
    hidden = posterior.prior.hidden_dim
    assert report.informed.tolist() == list(range(hidden, posterior.dim))
    with pytest.warns(ScinnWarning, match="of the last layer is"):
        EnsembleKalman(posterior, init="prior")


def test_threshold_is_rarely_exceeded_by_chance():
    class Unrelated:
        dim, data = 40, np.zeros(20)

        def predict(self, xi):
            return np.random.default_rng(int(1e6 * abs(xi[0, 0]))).standard_normal((len(xi), 20))

    reports = [symmetry_report(Unrelated(), prior_ensemble(40, 300, rng=k)) for k in range(40)]
    assert sum(len(report.informed) > 0 for report in reports) <= 3
    linear = symmetry_report(Unrelated(), np.ones((5, 40)), kind="linear")
    assert not linear.correlations.any()


def test_prior_ensembles_of_networks_warn_and_others_do_not():
    posterior = network_posterior()
    with pytest.warns(ScinnWarning, match=r"the output's bias is uncorrelated.*Use init='local'"):
        EnsembleKalman(posterior, init="prior")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        EnsembleKalman(posterior, init="local")
        EnsembleKalman(posterior, init="last_layer")


def test_local_ensembles_fit_what_prior_ensembles_do_not():
    posterior = network_posterior()
    with pytest.warns(ScinnWarning):
        trapped = EnsembleKalman(posterior, 200, method="etki", init="prior", inflation="adaptive").run(2)
    local = EnsembleKalman(
        posterior, 200, method="eki", centre=posterior.prior.sample(5), discrepancy=0.0, max_iterations=40
    ).run(2)
    assert local.iterations[-1].residual < 0.5 * trapped.iterations[-1].residual


def test_first_ensembles_are_the_ones_that_were_asked_for():
    posterior = network_posterior()
    centre = posterior.prior.sample(5)
    local = EnsembleKalman(posterior, 3000, centre=centre, spread=0.2).first_ensemble(0)
    np.testing.assert_allclose(local.mean(axis=0), np.sqrt(0.96) * centre, atol=5 * 0.2 / np.sqrt(3000))
    np.testing.assert_allclose(local.std(axis=0), 0.2, rtol=0.08)
    last = EnsembleKalman(posterior, 3000, init="last_layer", centre=centre).first_ensemble(0)
    hidden = posterior.prior.hidden_dim
    assert np.array_equal(last[:, :hidden], np.tile(centre[:hidden], (3000, 1)))
    np.testing.assert_allclose(last[:, hidden:].std(axis=0), 1.0, rtol=0.08)


# Last layers


def test_last_layer_ensembles_reach_the_exact_last_layer():
    # The problem is linear in the last layer, so that the square-root update is exact on the ensemble's own Gaussian.
    posterior = network_posterior()
    start = EnsembleKalman(
        posterior, 4000, init="last_layer", centre=posterior.prior.sample(5)
    ).first_ensemble(1)
    result = run_etki(posterior, start)
    hidden = posterior.prior.hidden_dim
    mean, cov = posterior.collapse().last_layer(start[0, :hidden])
    last = result.ensemble[:, hidden:]
    assert np.all(np.abs(last.mean(axis=0) - mean) < 0.1 * np.sqrt(np.diag(cov)))
    scale = np.sqrt(np.outer(np.diag(cov), np.diag(cov)))
    np.testing.assert_allclose(reference.covariance(last, last) / scale, cov / scale, atol=0.1)


def test_one_member_is_its_normal_law():
    posterior = network_posterior()
    xi = posterior.prior.sample(1)
    mixture = last_layer_mixture(posterior, xi[None])
    mean, cov = posterior.collapse().last_layer(xi[: posterior.prior.hidden_dim])
    at_mean = np.append(xi[: posterior.prior.hidden_dim], mean)
    np.testing.assert_allclose(mixture.mean(), posterior.field(at_mean), atol=1e-12)
    got = mixture.quantiles((0.05, 0.5, 0.95))
    want = mixture.mean() + norm.ppf([0.05, 0.5, 0.95])[:, None] * mixture.deviation()
    np.testing.assert_allclose(got, want, atol=1e-12)
    assert np.linalg.eigvalsh(cov).min() > 0


@pytest.mark.parametrize("weights", ["equal", "density", "evidence", [1.0, 3.0, 0.0]])
def test_draws_have_the_mixtures_law(weights):
    posterior = network_posterior(noise=2.0)
    minima = posterior.prior.sample(1, size=3)
    mixture = last_layer_mixture(posterior, minima, weights=weights)
    assert mixture.weights.sum() == pytest.approx(1.0)
    fields = mixture.fields(4000, rng=2)
    means, deviations = mixture.member_means()[:, 16], mixture.member_deviations()[:, 16]
    law = kstest(fields[:, 16], lambda x: norm.cdf((x[:, None] - means) / deviations) @ mixture.weights)
    assert law.pvalue > 1e-4
    levels = np.array([0.1, 0.5, 0.8])
    below = (fields[None] <= mixture.quantiles(levels)[:, None]).mean(axis=1)
    assert np.abs(below - levels[:, None]).max() < 5 * 0.5 / np.sqrt(4000)
    np.testing.assert_allclose(fields.std(axis=0), mixture.deviation(), rtol=0.1)
    assert np.array_equal(mixture.draw(9, rng=4), mixture.draw(9, rng=4))


def test_weights_are_the_densities_they_are_named_after():
    posterior = network_posterior(noise=2.0)
    minima = posterior.prior.sample(1, size=2)
    hidden = minima[:, : posterior.prior.hidden_dim]
    density = last_layer_mixture(posterior, hidden, weights="density")
    points = [np.append(row, mean) for row, mean in zip(hidden, density.means)]
    logs = [-posterior.misfit(xi) - 0.5 * xi @ xi for xi in points]
    assert np.log(density.weights[0] / density.weights[1]) == pytest.approx(logs[0] - logs[1])
    evidence = last_layer_mixture(posterior, minima, weights="evidence")
    # By the Gaussian integral: the density at the mean times the root of the covariance's determinant.
    logs = [log + 0.5 * np.linalg.slogdet(cov)[1] for log, cov in zip(logs, density.covariances)]
    assert np.log(evidence.weights[0] / evidence.weights[1]) == pytest.approx(logs[0] - logs[1], rel=1e-9)


def test_quantiles_of_mixtures_with_a_point_mass():
    weights, means, deviations = np.array([0.4, 0.6]), np.array([[0.0], [5.0]]), np.array([[0.0], [1.0]])
    assert mixture_quantile(weights, means, deviations, 0.2)[0] == pytest.approx(0.0, abs=1e-12)
    want = 5.0 + norm.ppf((0.7 - 0.4) / 0.6)
    assert mixture_quantile(weights, means, deviations, 0.7)[0] == pytest.approx(want, abs=1e-6)


def test_bad_mixtures_are_named():
    posterior = network_posterior()
    xi = posterior.prior.sample(1, size=2)
    with pytest.raises(ValueError, match=r"minima has shape \(2, 3\)"):
        last_layer_mixture(posterior, xi[:, :3])
    with pytest.raises(ValueError, match="weights is 'best'"):
        last_layer_mixture(posterior, xi, weights="best")
    with pytest.raises(ValueError, match="zeros only"):
        last_layer_mixture(posterior, xi, weights=[0.0, 0.0])
    with pytest.raises(ValueError, match="'gaussian'"):
        last_layer_mixture(network_posterior(("cauchy", "cauchy")), xi)
    with pytest.raises(ValueError, match="strictly between"):
        last_layer_mixture(posterior, xi).quantiles([0.0])
    assert last_layer_mixture(posterior, xi).plot().get_title() == "last layers of 2 minima"
