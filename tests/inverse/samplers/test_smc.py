import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scinn.exceptions import ConvergenceWarning
from scinn.inverse.samplers import SMC
from scinn.inverse.samplers.smc import systematic_resampling


class LinearGaussian:
    """``y = A xi + noise``: evidence and posterior in closed form."""

    def __init__(self, seed=3, m=3, dim=4, noise=0.4):
        rng = np.random.default_rng(seed)
        self.matrix, self.data = rng.standard_normal((m, dim)) / noise, rng.standard_normal(m) / noise
        self.dim = dim

    def misfit(self, xi, stop_above=np.inf):
        residual = self.matrix @ xi - self.data
        return 0.5 * float(residual @ residual)

    def log_evidence(self):
        covariance = np.eye(len(self.data)) + self.matrix @ self.matrix.T
        return (
            -0.5 * self.data @ np.linalg.solve(covariance, self.data) - 0.5 * np.linalg.slogdet(covariance)[1]
        )

    def posterior(self):
        covariance = np.linalg.inv(np.eye(self.dim) + self.matrix.T @ self.matrix)
        return covariance @ self.matrix.T @ self.data, covariance


def finished(sampler, seed):
    rng = np.random.default_rng(seed)
    return sampler.run(rng, sampler.init(None, rng))


def test_evidence_and_posterior_are_those_of_the_closed_form():
    target = LinearGaussian()
    sampler = SMC(target, n_particles=200, n_moves=16)
    states = [finished(sampler, seed)[0] for seed in range(6)]
    assert all(state.temperature == 1.0 for state in states)
    found = np.array([state.log_evidence for state in states])
    spread = found.std(ddof=1) / math.sqrt(len(found))
    assert 0.0 < spread < 0.2
    assert abs(found.mean() - target.log_evidence()) < 4 * spread
    mean, covariance = target.posterior()
    draws = np.concatenate([state.positions for state in states])
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=0.1)
    np.testing.assert_allclose(np.cov(draws.T), covariance, atol=0.1)


# One move of 50 particles is too few to forget; the mean weight does not depend on it.
@pytest.mark.filterwarnings("ignore::scinn.exceptions.ConvergenceWarning")
def test_the_evidence_estimate_has_no_bias_without_moves_that_matter():
    """One stage from the prior to the posterior is plain importance sampling."""
    target = LinearGaussian(m=1, dim=1, noise=2.0)
    sampler = SMC(target, n_particles=50, n_moves=1, share=0.1)
    found = []
    for seed in range(100):
        state, info = finished(sampler, seed)
        assert (state.n_stages, info.increment) == (1, 1.0)
        found.append(math.exp(state.log_evidence))
    error = np.std(found, ddof=1) / 10
    assert abs(np.mean(found) - math.exp(target.log_evidence())) < 4 * error


def test_moves_that_do_not_reach_far_are_warned_of():
    """Small steps leave the particles where they were; then independent runs agree on an evidence that is wrong."""
    target = LinearGaussian(m=8, dim=8, noise=0.02)
    found = []
    for seed in range(3):
        with pytest.warns(ConvergenceWarning, match="Raise n_moves = 1, sample posterior.collapse"):
            state, info = finished(SMC(target, n_particles=50, n_moves=1, beta=1e-3), seed)
        assert 0.5 < state.correlation <= 1.0
        assert info.correlation <= state.correlation
        found.append(state.log_evidence)
    assert abs(np.mean(found) - target.log_evidence()) > 3 * np.std(found, ddof=1)


def test_moves_that_reach_far_give_a_small_correlation_and_no_warning(recwarn):
    sampler = SMC(LinearGaussian(), n_particles=200, n_moves=30)
    rng = np.random.default_rng(1)
    state, worst = sampler.init(None, rng), 0.0
    while state.temperature < 1.0:
        state, info = sampler.step(rng, state)
        worst = max(worst, info.correlation)
    assert state.correlation == worst < 0.4
    rng = np.random.default_rng(1)
    again, _ = sampler.run(rng, sampler.init(None, rng))
    assert again.correlation == worst
    assert not recwarn.list


def test_a_misfit_that_is_the_same_everywhere_has_nothing_to_forget():
    class Flat:
        dim = 2

        def misfit(self, xi, stop_above=np.inf):
            return 1.0

    state, _ = finished(SMC(Flat(), n_particles=5, n_moves=1), 0)
    assert (state.correlation, state.log_evidence) == (0.0, pytest.approx(-1.0))


def test_increments_keep_the_share_of_the_effective_size():
    sampler = SMC(LinearGaussian(), n_particles=200, n_moves=1, share=0.6)
    rng = np.random.default_rng(0)
    state = sampler.init(None, rng)
    temperatures = [state.temperature]
    while state.temperature < 1.0:
        before = state
        state, info = sampler.step(rng, state)
        temperatures.append(state.temperature)
        weights = np.exp(-info.increment * (before.misfits - before.misfits.min()))
        assert info.effective_size == pytest.approx(weights.sum() ** 2 / (weights @ weights))
        if state.temperature < 1.0:
            assert info.effective_size == pytest.approx(120.0, rel=1e-9)
        else:
            assert info.effective_size >= 120.0
        assert state.log_evidence - before.log_evidence == pytest.approx(
            math.log(np.mean(np.exp(-info.increment * before.misfits)))
        )
    assert np.all(np.diff(temperatures) > 0)
    # At the end only moves are made.
    again, info = sampler.step(rng, state)
    assert (again.temperature, again.log_evidence, info.increment) == (1.0, state.log_evidence, 0.0)
    assert sampler.run(rng, state)[0] is state


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=40), st.integers(0, 2**32 - 1))
def test_systematic_resampling_takes_each_as_often_as_its_weight(weights, seed):
    if not sum(weights) > 0:
        return
    chosen = systematic_resampling(weights, seed)
    n = len(weights)
    counts = np.bincount(chosen, minlength=n)
    wanted = n * np.array(weights) / sum(weights)
    assert counts.sum() == n
    assert np.all(np.abs(counts - wanted) < 1 + 1e-9)
    assert not counts[np.array(weights) == 0].any()
    assert np.all(np.diff(chosen) >= 0)


def test_particles_of_infinite_misfit_die_out():
    class Wall:
        dim = 1

        def misfit(self, xi, stop_above=np.inf):
            return math.nan if xi[0] > 0.0 else 1e6 * xi[0] ** 2

    state, _ = finished(SMC(Wall(), n_particles=400, n_moves=20), 0)
    assert np.isfinite(state.misfits).all()
    assert state.positions.max() <= 0.0
    # Half a Gaussian of variance 1 / (1 + 2e6).
    assert state.log_evidence == pytest.approx(math.log(0.5) - 0.5 * math.log(1 + 2e6), abs=0.6)


def test_a_prior_without_a_finite_misfit_is_refused():
    class Nowhere:
        dim = 1

        def misfit(self, xi, stop_above=np.inf):
            return math.inf

    with pytest.raises(ValueError, match="none of the 10 particles"):
        SMC(Nowhere(), n_particles=10).init(None, 0)


# Two moves are too few to forget; the bits are what is compared.
@pytest.mark.filterwarnings("ignore::scinn.exceptions.ConvergenceWarning")
def test_the_same_seed_gives_the_same_bits_and_given_draws_are_used():
    sampler = SMC(LinearGaussian(), n_particles=30, n_moves=2)
    (a, _), (b, _) = finished(sampler, 4), finished(sampler, 4)
    assert a.positions.tobytes() == b.positions.tobytes()
    assert a.log_evidence == b.log_evidence
    draws = np.random.default_rng(0).standard_normal((30, 4))
    state = sampler.init(draws)
    np.testing.assert_array_equal(state.positions, draws)
    stepped, _ = sampler.run(0, state, 1)
    assert stepped.n_stages == 1
    np.testing.assert_array_equal(state.positions, draws)
    assert state.position.shape == (4,)


def test_bad_arguments_are_named():
    target = LinearGaussian()
    with pytest.raises(ValueError, match="share is 1"):
        SMC(target, share=1.0)
    with pytest.raises(ValueError, match="n_particles is 1"):
        SMC(target, n_particles=1)
    with pytest.raises(TypeError, match="without 'dim'"):
        SMC(lambda xi: 0.0)
    with pytest.raises(ValueError, match="position has shape"):
        SMC(target, n_particles=3).init(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="not all zero"):
        systematic_resampling([0.0, 0.0])
