"""The methods run to their ends: laws they reach, rules that stop them, records they keep, and what they refuse."""

from __future__ import annotations

import json

import numpy as np
import pytest

from scinn.exceptions import ConvergenceWarning
from scinn.inverse.ensembles import (
    EnsembleKalman,
    run_eki,
    run_eks,
    run_esmda,
    run_etki,
    run_ies,
    run_teki,
)
from scinn.inverse.ensembles.kalman import METHODS
from scinn.reference import ensemble_kalman as reference


class Linear:
    """Predictions G xi of data y."""

    def __init__(self, operator, data):
        self.operator, self.data = np.asarray(operator), np.asarray(data)
        self.dim = self.operator.shape[1]
        self.points = np.linspace(-1, 1, self.dim)[:, None]
        self.shape = (self.dim,)
        self.calls = 0

    def predict(self, xi):
        self.calls += 1
        return xi @ self.operator.T

    def field(self, xi):
        return 2.0 * xi


class Bent(Linear):
    """Predictions of mild nonlinearity."""

    def predict(self, xi):
        z = super().predict(xi)
        return z + 0.3 * np.sin(2.0 * z)


def problem(d=3, m=4, seed=1, kind=Linear, noise=1.0):
    rng = np.random.default_rng(seed)
    operator = rng.standard_normal((m, d))
    return kind(operator, operator @ rng.standard_normal(d) + noise * rng.standard_normal(m))


def normal(n, d, seed=2):
    return np.random.default_rng(seed).standard_normal((n, d))


def exact(target, u, time=1.0):
    return reference.linear_posterior(
        target.operator, target.data, u.mean(axis=0), reference.covariance(u, u), time
    )


# Smoothers


@pytest.mark.parametrize("inflation", [1, 5, [4.0, 4.0, 2.0], "adaptive"])
def test_square_roots_reach_the_posterior_of_the_first_ensemble(inflation):
    target, u = problem(d=9, m=30, noise=0.3), normal(6, 9)
    result = run_etki(target, u, inflation=inflation)
    mean, cov = exact(target, u)
    np.testing.assert_allclose(result.mean, mean, atol=1e-10)
    np.testing.assert_allclose(reference.covariance(result.ensemble, result.ensemble), cov, atol=1e-10)
    assert result.converged
    assert sum(own.step for own in result.iterations) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("options", [{"inflation": 1}, {"inflation": 4}, {"inflation": "adaptive"}])
def test_perturbed_data_reach_the_posterior(options):
    target, u = problem(), normal(20_000, 3)
    result = run_esmda(target, u, rng=3, **options)
    mean, cov = exact(target, u)
    # Noise of the perturbations only: five standard errors.
    assert np.all(np.abs(result.mean - mean) < 5 * np.sqrt(np.diag(cov) / 20_000))
    np.testing.assert_allclose(reference.covariance(result.ensemble, result.ensemble), cov, atol=0.02)


def test_centred_noise_moves_the_mean_as_the_filter_does():
    target, u = problem(), normal(8, 3)
    result = run_esmda(target, u, rng=3, inflation=1, centre_noise=True)
    np.testing.assert_allclose(result.mean, exact(target, u)[0], atol=1e-12)
    assert np.abs(run_esmda(target, u, rng=3, inflation=1).mean - result.mean).max() > 1e-3


def test_supplied_perturbations_are_the_ones_used():
    target, u = problem(), normal(5, 3)
    eta = np.random.default_rng(9).standard_normal((3, 5, 4))
    members = u
    for k in range(3):
        members = reference.esmda_update(members, members @ target.operator.T, target.data, 3.0, eta[k])
    result = run_esmda(target, u, inflation=3, perturbations=eta)
    np.testing.assert_allclose(result.ensemble, members, atol=1e-11)
    with pytest.raises(ValueError, match="noise for 3 steps, and step 4 has none"):
        run_esmda(target, u, inflation=4, perturbations=eta)
    one = run_ies(target, u, step=1.0, perturbations=eta[0])
    np.testing.assert_allclose(
        one.ensemble, run_esmda(target, u, inflation=1, perturbations=eta[:1]).ensemble, atol=1e-10
    )
    again = run_eki(target, u, form="perturbed", step=0.5, discrepancy=0, perturbations=eta, max_iterations=2)
    members = u
    for k in range(2):
        members = reference.esmda_update(members, members @ target.operator.T, target.data, 2.0, eta[k])
    np.testing.assert_allclose(again.ensemble, members, atol=1e-11)


def test_subspace_smoother_ends_at_its_fixed_point():
    target, u = problem(d=4, m=6, kind=Bent), normal(5, 4)
    eta = np.random.default_rng(5).standard_normal((5, 6))
    ends = [
        run_ies(target, u, perturbations=eta, step=step, tolerance=1e-10, max_iterations=400)
        for step in (0.6, 0.2)
    ]
    np.testing.assert_allclose(ends[0].ensemble, ends[1].ensemble, atol=1e-7)
    directions = (u - u.mean(axis=0)) / 2.0
    weights = np.linalg.lstsq(directions.T, (ends[0].ensemble - u).T, rcond=None)[0].T
    weights -= weights.mean(axis=1, keepdims=True)
    moved = reference.ies_update(weights, ends[0].predicted, target.data + eta, 1.0)
    np.testing.assert_allclose(moved, weights, atol=1e-7)
    assert ends[0].iterations[-1].misfit_mean < 0.5 * ends[0].iterations[0].misfit_mean


def test_subspace_smoother_halves_a_step_that_overshoots():
    class Saturating(Linear):
        def predict(self, xi):
            return 50.0 * np.arctan(3.0 * super().predict(xi))

    u = 3.0 + 0.3 * normal(6, 1)
    result = run_ies(Saturating([[1.0]], [0.0]), u, rng=0, step=1.0, max_iterations=200)
    steps = [own.step for own in result.iterations[:-1]]
    assert min(steps) < 1.0
    assert result.iterations[-1].misfit_mean < 0.1 * result.iterations[0].misfit_mean


# Optimisers


def test_square_root_inversion_follows_the_exact_flow_for_any_steps():
    target, u = problem(d=5, m=3), normal(4, 5)
    for step in (0.1, 2.0):
        result = run_eki(target, u, step=step, discrepancy=0.0, max_iterations=20)
        mean, cov = exact(target, u, 20 * step)
        np.testing.assert_allclose(result.mean, mean, atol=1e-9)
        np.testing.assert_allclose(reference.covariance(result.ensemble, result.ensemble), cov, atol=1e-9)
        assert result.iterations[-1].time == pytest.approx(20 * step)


def test_residuals_fall_as_their_forms_say():
    # One coordinate, exact recursions: c' = c / (1 + c dt) and r' = r / (1 + c dt), or with c' = c / (1 + c dt)^2.
    target, u = Linear([[1.0]], [10.0]), normal(6, 1)
    for form, power in (("square_root", 1), ("common_gain", 2)):
        c, r, slope = u.var(ddof=1), 10.0 - u.mean(), []
        result = run_eki(target, u, form=form, step=1.0, discrepancy=0.0, max_iterations=400)
        for own in result.iterations:
            assert own.residual == pytest.approx(r, rel=1e-9)
            slope.append(r)
            r, c = r / (1 + c), c / (1 + c) ** power
        assert np.log(slope[400] / slope[100]) / np.log(4) == pytest.approx(-1 / power, abs=0.03)


def test_without_a_rule_inversion_fits_the_noise_within_the_span():
    target, u = problem(d=8, m=20), normal(5, 8)
    result = run_eki(target, u, step=1e6, discrepancy=0.0, max_iterations=10)
    directions = (u - u.mean(axis=0)) @ target.operator.T
    weights = np.linalg.lstsq(directions.T, target.data - target.predict(u.mean(axis=0)), rcond=None)[0]
    np.testing.assert_allclose(
        result.predicted.mean(axis=0), target.predict(u.mean(axis=0)) + weights @ directions, atol=1e-5
    )


@pytest.mark.parametrize("form", ["square_root", "common_gain", "perturbed"])
def test_discrepancy_stops_inversion_at_the_noise(form):
    target, u = problem(d=30, m=25, kind=Bent), normal(40, 30)
    result = run_eki(target, u, rng=0, form=form)
    residuals = [own.residual for own in result.iterations]
    assert result.converged
    assert residuals[-1] <= 1.0 < min(residuals[:-1])
    last = np.sqrt(np.mean((target.data - result.predicted.mean(axis=0)) ** 2))
    assert residuals[-1] == pytest.approx(last, rel=1e-12)


def test_inversion_that_ends_early_says_so():
    target, u = problem(d=2, m=40, noise=3.0), normal(9, 2)
    with pytest.warns(ConvergenceWarning, match=r"eki: residual .* > 1 after 5 steps; raise max_iterations"):
        result = run_eki(target, u, max_iterations=5)
    assert not result.converged
    assert len(result.iterations) == 6
    with pytest.warns(ConvergenceWarning, match="esmda: 1 steps reached the time"):
        assert not run_esmda(target, u, 0, inflation="adaptive", max_iterations=1).converged


@pytest.mark.parametrize(("n", "d", "m"), [(12, 4, 6), (5, 12, 7)])
def test_tikhonov_form_ends_at_the_map_estimate_of_the_span_and_counts_the_prior_once(n, d, m):
    target, u = problem(d=d, m=m), normal(n, d)
    result = run_teki(target, u, tolerance=1e-14, max_iterations=5000)
    # MAP over mean + span: minimise |y - G xi|^2 / 2 + |xi|^2 / 2.
    centre, directions = (
        u.mean(axis=0),
        np.linalg.svd(u - u.mean(axis=0), full_matrices=False)[2][: min(d, n - 1)],
    )
    stacked = np.vstack([target.operator, np.eye(d)])
    residual = np.append(target.data, np.zeros(d)) - stacked @ centre
    best = centre + np.linalg.lstsq(stacked @ directions.T, residual, rcond=None)[0] @ directions
    np.testing.assert_allclose(result.mean, best, atol=2e-4)
    # Regression for the double count: at time 1 from the prior the precision is 2 I + G^T G, and not I + G^T G.
    once = run_teki(target, u, step=1.0, max_iterations=1, tolerance=1e300)
    cov = reference.covariance(u, u)
    twice = reference.linear_posterior(stacked, np.append(target.data, np.zeros(d)), centre, cov)
    np.testing.assert_allclose(once.mean, twice[0], atol=1e-10)
    assert np.abs(once.mean - best).max() > 1e-2


# Sampler


def moments(target, n, steps, correction, seed=0, step=0.25):
    d = target.dim
    total, square, spread, count = np.zeros(d), np.zeros((d, d)), np.zeros((d, d)), 0

    def collect(iteration, members):
        nonlocal total, square, spread, count
        if iteration.time > 15.0:
            total = total + members.mean(axis=0)
            spread = spread + reference.covariance(members, members)
            count += 1

    run_eks(
        target, normal(n, d, seed), seed, step=step, n_steps=steps, correction=correction, callback=collect
    )
    return total / count, spread / count


def test_sampler_has_the_posterior_for_its_law():
    target = problem(d=2, m=3)
    mean, cov = reference.linear_posterior(target.operator, target.data, np.zeros(2), np.eye(2))
    root = np.linalg.inv(np.linalg.cholesky(cov))
    got_mean, got_cov = moments(target, 10, 6000, correction=True)
    # About 6000 / 16 independent ensembles of 10 members: standard errors 0.02 and 0.03, and a bias of the step.
    assert np.abs(root @ (got_mean - mean)).max() < 0.08
    assert np.abs(root @ got_cov @ root.T - np.eye(2)).max() < 0.12
    # Without the term for finite ensembles the spread is too small, by far more than that.
    wrong = root @ moments(target, 10, 6000, correction=False)[1] @ root.T
    assert np.trace(wrong) / 2 < 0.8


def test_sampler_in_a_span_has_the_posterior_restricted_to_it():
    target = problem(d=6, m=4)
    u = normal(4, 6, 0)
    directions = np.linalg.svd(u - u.mean(axis=0), full_matrices=False)[2][:3]
    origin = u.mean(axis=0) - (u.mean(axis=0) @ directions.T) @ directions
    precision = directions @ (target.operator.T @ target.operator + np.eye(6)) @ directions.T
    cov = np.linalg.inv(precision)
    mean = cov @ directions @ (target.operator.T @ (target.data - target.operator @ origin))
    got_mean, got_cov = moments(target, 4, 20_000, correction=True)
    root = np.linalg.inv(np.linalg.cholesky(cov))
    assert np.abs(root @ (directions @ got_mean - mean)).max() < 0.15
    assert np.abs(root @ directions @ got_cov @ directions.T @ root.T - np.eye(3)).max() < 0.25


def test_sampler_forgets_a_far_start():
    target = problem(d=3, m=5)
    result = run_eks(target, 50.0 + 10.0 * normal(60, 3), 1, n_steps=800)
    mean, cov = reference.linear_posterior(target.operator, target.data, np.zeros(3), np.eye(3))
    assert np.all(np.abs(result.mean - mean) < 5 * np.sqrt(np.diag(cov) / 60))
    noise = np.zeros((3, 60, 60))
    still = run_eks(target, normal(60, 3), noise=noise, n_steps=3)
    assert np.array_equal(still.ensemble, run_eks(target, normal(60, 3), 5, noise=noise, n_steps=3).ensemble)


# What all share


OPTIONS = {
    "eki": {"max_iterations": 3, "discrepancy": 0.0},
    "teki": {"tolerance": 1e-3},
    "eks": {"n_steps": 4},
}


@pytest.mark.parametrize("method", METHODS)
def test_results_are_of_one_shape_and_repeat_bit_for_bit(method):
    target = problem(d=7, m=5)
    kalman = EnsembleKalman(target, 6, method=method, init="prior", **OPTIONS.get(method, {}))
    result, again = kalman.run(3), kalman.run(3)
    assert np.array_equal(result.ensemble, again.ensemble)
    assert result.ensemble.shape == (6, 7)
    np.testing.assert_allclose(result.predicted, result.ensemble @ target.operator.T, atol=1e-12)
    assert result.fields().shape == (6, 7)
    np.testing.assert_allclose(result.quantiles((0.0, 1.0))[1], 2.0 * result.ensemble.max(axis=0))
    assert json.loads(json.dumps(result.to_dict()))["method"] == method
    assert method in repr(result)
    misfits = 0.5 * np.sum((target.data - result.predicted) ** 2, axis=1)
    last = result.iterations[-1]
    assert last.misfit_mean == pytest.approx(misfits.mean())
    assert last.misfit_variance == pytest.approx(misfits.var(ddof=1))
    assert last.spread == pytest.approx(np.sqrt(result.ensemble.var(axis=0, ddof=1).mean()))
    assert last.step == 0.0
    assert last.time == pytest.approx(sum(own.step for own in result.iterations))
    ax = result.plot()
    assert ax.get_title() == f"{method}, 6 members"


@pytest.mark.parametrize("method", METHODS)
def test_predictions_are_made_once_for_each_ensemble(method):
    target = problem(d=7, m=5)
    seen = []
    options = {**OPTIONS.get(method, {}), "callback": lambda iteration, members: seen.append(members.copy())}
    u = normal(6, 7)
    u.flags.writeable = False
    result = METHODS[method](target, u, 0, **options)
    assert target.calls == len(result.iterations)
    assert len(seen) == len(result.iterations) - 1
    assert np.array_equal(seen[-1], result.ensemble)


def test_two_dimensional_functions_are_drawn_the_right_way_round():
    class Image(Linear):
        def field(self, xi):
            return xi.reshape(len(xi), 2, 3)

    target = Image(np.eye(6), np.zeros(6))
    a, b = np.meshgrid([0.0, 1.0], [0.0, 1.0, 2.0], indexing="ij")
    target.points, target.shape = np.stack([a.ravel(), b.ravel()], axis=1), (2, 3)
    result = run_etki(target, normal(5, 6))
    image = result.plot().images[0]
    np.testing.assert_allclose(image.get_array(), np.median(result.fields(), axis=0).T)
    assert image.get_extent() == [0.0, 1.0, 0.0, 2.0]


def test_bad_input_is_named():
    target = problem()
    with pytest.raises(TypeError, match="object without dim, data, predict"):
        run_etki(object(), normal(5, 3))
    with pytest.raises(ValueError, match="ensemble has shape"):
        run_etki(target, normal(5, 4))
    with pytest.raises(ValueError, match="1 members; at least 2"):
        run_etki(target, normal(1, 3))
    with pytest.raises(ValueError, match=r"'etk'.*did you mean 'etki'"):
        EnsembleKalman(target, method="etk")
    with pytest.raises(ValueError, match="no option 'alpha'; it has inflation"):
        EnsembleKalman(target, method="etki", alpha=3)
    with pytest.raises(ValueError, match="no network"):
        EnsembleKalman(target, init="last_layer")
    with pytest.raises(ValueError, match="init has shape"):
        EnsembleKalman(target, 4, init=normal(5, 3))
    with pytest.raises(ValueError, match="spread is 0"):
        EnsembleKalman(target, spread=0.0)
    with pytest.raises(ValueError, match=r"step is 1.5"):
        run_ies(target, normal(5, 3), step=1.5)
    with pytest.raises(ValueError, match="form is 'plain'"):
        run_eki(target, normal(5, 3), form="plain")
    with pytest.raises(ValueError, match="probabilities holds"):
        run_etki(target, normal(5, 3)).quantiles([1.5])


def test_members_without_finite_predictions_are_named():
    class Failing(Linear):
        def predict(self, xi):
            out = super().predict(xi)
            out[2:4] = np.inf
            return out

    target = problem(kind=Failing)
    with pytest.raises(
        ValueError, match="predictions of 2 of 5 members are not finite, the first of member 2"
    ):
        run_etki(target, normal(5, 3))


def test_misfits_that_overflow_are_refused():
    target = Linear(1e200 * np.eye(3), np.zeros(3))
    with pytest.raises(ValueError, match="too large for a step"):
        run_etki(target, normal(5, 3), inflation="adaptive")
