import functools
import json
import math

import numpy as np
import pytest

from scinn.inverse.samplers import HMC, InfHMC, InfMALA, ParallelTempering
from scinn.inverse.samplers.parallel_tempering import power_ladder, swap_probability


class LinearGaussian:
    """``y = A xi + noise``: evidence and tempered means in closed form."""

    def __init__(self, seed=3, m=4, dim=5, noise=0.3):
        rng = np.random.default_rng(seed)
        self.matrix, self.data = rng.standard_normal((m, dim)) / noise, 1.5 * rng.standard_normal(m) / noise
        self.dim = dim

    def misfit(self, xi, stop_above=np.inf):
        residual = self.matrix @ xi - self.data
        return 0.5 * float(residual @ residual)

    def misfit_and_gradient(self, xi):
        residual = self.matrix @ xi - self.data
        return 0.5 * float(residual @ residual), self.matrix.T @ residual

    def log_evidence(self, t=1.0):
        """``log E exp(-t Phi)``, from the law N(0, A A^T) of the noise-free data."""
        covariance = np.eye(len(self.data)) + t * self.matrix @ self.matrix.T
        return (
            -0.5 * t * self.data @ np.linalg.solve(covariance, self.data)
            - 0.5 * np.linalg.slogdet(covariance)[1]
        )

    def mean_misfit(self, t):
        h = 1e-5
        return -(self.log_evidence(t + h) - self.log_evidence(t - h)) / (2 * h)

    def posterior(self, t=1.0):
        covariance = np.linalg.inv(np.eye(self.dim) + t * self.matrix.T @ self.matrix)
        return t * covariance @ self.matrix.T @ self.data, covariance


class TwoModes:
    """A posterior with modes at -3 and 3, of weights a quarter and three quarters."""

    dim = 1

    def misfit(self, xi, stop_above=np.inf):
        x = float(xi[0])
        density = 0.25 * math.exp(-50 * (x + 2) ** 2) + 0.75 * math.exp(-50 * (x - 2) ** 2)
        return -math.log(density + 1e-300)


def start(sampler, seed, n_warmup):
    rng = np.random.default_rng(seed)
    state = sampler.init(np.zeros(sampler.target.dim), rng)
    return rng, sampler.warmup(rng, state, n_warmup)


@pytest.fixture(scope="module")
def long_run():
    """Sampler, evidence and target of one run on a fine ladder."""
    target = LinearGaussian()
    sampler = ParallelTempering(target, temperatures=power_ladder(21, 3.0), n_moves=2)
    rng, state = start(sampler, 0, 150)
    state, _ = sampler.run(rng, state, 1200)
    return sampler, sampler.log_evidence(state), target


def test_evidence_is_that_of_the_closed_form(long_run):
    _, found, target = long_run
    wanted = target.log_evidence()
    assert found.n_steps == 1200
    assert 0.0 < found.stepping_stone_error < 0.15
    assert abs(found.stepping_stone - wanted) < 4 * found.stepping_stone_error
    assert 0.0 < found.thermodynamic_error < 0.15
    assert abs(found.thermodynamic - wanted) < 4 * found.thermodynamic_error + 2 * found.quadrature_error
    tempered = np.array([target.mean_misfit(t) for t in found.temperatures[1:]])
    np.testing.assert_allclose(found.mean_misfit[1:], tempered, rtol=0.25)


def test_the_quadrature_error_is_that_of_the_trapezoid_rule(long_run):
    """Of exact means on the ladder, the rule is off by the error stated."""
    sampler, found, target = long_run

    def rule(t):
        exact = np.array([target.mean_misfit(max(s, 2e-5)) for s in t])
        return abs(np.sum(np.diff(t) * (exact[:-1] + exact[1:])) / 2 + target.log_evidence())

    off = rule(sampler.temperatures)
    assert found.quadrature_error == pytest.approx(off, rel=0.4)
    # Even spacing is worse, which is why ladders are power-spaced.
    assert rule(np.linspace(0, 1, 21)) > 10 * off


def test_standard_errors_cover_the_spread_of_runs():
    target = LinearGaussian(m=2, dim=2, noise=0.5)
    sampler = ParallelTempering(target, temperatures=power_ladder(8, 3.0), n_moves=2)
    found = []
    for seed in range(10):
        rng, state = start(sampler, seed, 100)
        state, _ = sampler.run(rng, state, 200)
        found.append(sampler.log_evidence(state))
    z = np.array([(one.stepping_stone - target.log_evidence()) / one.stepping_stone_error for one in found])
    assert 0.3 < np.sqrt(np.mean(z**2)) < 2.0


@pytest.mark.parametrize("make", [ParallelTempering, functools.partial(ParallelTempering, n_temperatures=7)])
def test_warm_up_makes_neighbours_swap_alike(make):
    sampler = make(LinearGaussian())
    rng, state = start(sampler, 0, 900)
    state, info = sampler.run(rng, state, 600)
    rates = info.swap_rates
    if sampler.n_temperatures is None:
        assert np.all((rates > 0.17) & (rates < 0.43)), rates
    else:
        assert len(state.temperatures) == 7
        assert np.ptp(rates) < 0.25, rates
    assert state.temperatures[0] == 0.0
    assert state.temperatures[-1] == 1.0
    # Near the prior even the longest steps are accepted more often than one in four.
    short = [rate for rate, chain in zip(info.acceptance_rates[1:], state.chains[1:]) if chain.beta < 0.99]
    assert len(short) >= 2
    assert all(0.15 < rate < 0.4 for rate in short)


def test_every_temperature_has_its_own_law():
    target = LinearGaussian(m=2, dim=2, noise=0.5)
    sampler = ParallelTempering(target, temperatures=[0.0, 0.1, 1.0], n_moves=8)
    rng, state = start(sampler, 0, 200)
    kept = []
    for _ in range(2500):
        state, _ = sampler.step(rng, state)
        kept.append(state.positions)
    draws = np.array(kept)
    for k, t in enumerate(state.temperatures):
        mean, covariance = target.posterior(t)
        np.testing.assert_allclose(draws[:, k].mean(axis=0), mean, atol=0.12)
        np.testing.assert_allclose(np.cov(draws[:, k].T), covariance, atol=0.12)
    assert np.array_equal(state.position, state.positions[-1])
    assert state.misfit == target.misfit(state.position)


def test_modes_are_found_with_their_weights():
    sampler = ParallelTempering(TwoModes())
    rng, state = start(sampler, 5, 400)
    right = []
    for _ in range(3000):
        state, _ = sampler.step(rng, state)
        right.append(state.position[0] > 0)
    # The prior is the same on both sides, so that the weights are those of the likelihood.
    assert np.mean(right) == pytest.approx(0.75, abs=0.08)


def test_the_swap_keeps_the_joint_density_in_balance():
    t_a, t_b, a, b = 0.2, 0.9, 3.0, 5.0
    forth, back = swap_probability(t_a, t_b, a, b), swap_probability(t_a, t_b, b, a)
    before, after = math.exp(-t_a * a - t_b * b), math.exp(-t_a * b - t_b * a)
    assert before * forth == pytest.approx(after * back)
    assert swap_probability(0.0, 0.5, math.inf, math.inf) == 1.0
    assert swap_probability(0.0, 0.5, math.inf, 1.0) == 0.0
    assert swap_probability(0.0, 0.5, 1.0, math.inf) == 1.0


def test_a_heavy_prior_leaves_the_stepping_stones_finite():
    class Heavy:
        dim = 1

        def misfit(self, xi, stop_above=np.inf):
            return math.inf if abs(xi[0]) > 1.0 else 0.5

    sampler = ParallelTempering(Heavy(), temperatures=[0.0, 0.01, 1.0])
    rng, state = start(sampler, 0, 50)
    state, _ = sampler.run(rng, state, 2000)
    found = sampler.log_evidence(state)
    assert found.stepping_stone == pytest.approx(math.log(math.erf(1 / math.sqrt(2))) - 0.5, abs=0.1)
    assert found.thermodynamic == -math.inf
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["thermodynamic"] is None


@pytest.mark.parametrize("kind", [InfHMC, InfMALA, HMC])
def test_draws_from_the_prior_of_infinite_misfit_are_as_good_for_methods_with_gradients(kind):
    class Walled:
        dim = 1

        def misfit(self, xi, stop_above=np.inf):
            return math.inf if abs(xi[0]) > 1.0 else 0.5

        def misfit_and_gradient(self, xi):
            return self.misfit(xi), np.zeros(1)

    sampler = ParallelTempering(Walled(), n_temperatures=4, sampler=kind, n_moves=1)
    rng = np.random.default_rng(0)
    infinite, drawn = [], []
    state = sampler.init(np.zeros(1), rng)
    # The ladder is renewed meanwhile, also at times when the prior's draw is infinite.
    state = sampler.warmup(rng, state, 150)
    for _ in range(1500):
        state, _ = sampler.step(rng, state)
        infinite.append(math.isinf(state.chains[0].misfit))
        drawn.append(state.positions[1:, 0])
        assert np.isfinite(state.misfits[1:]).all()
    inside = math.erf(1 / math.sqrt(2))
    # After a swap the chain at t = 0 shows its neighbour's place, so that fewer than one in three are infinite.
    assert 0.15 < np.mean(infinite) < 1 - inside + 0.05
    assert np.abs(drawn).max() <= 1.0
    assert sampler.log_evidence(state).stepping_stone == pytest.approx(math.log(inside) - 0.5, abs=0.1)


def test_a_new_temperature_never_goes_on_from_an_infinite_misfit():
    """A ladder that is renewed right after an infinite draw at t = 0 has many temperatures near 0."""
    sampler = ParallelTempering(LinearGaussian(), n_temperatures=8, sampler=InfHMC)
    state = sampler.init(np.zeros(5), 0)
    lost = state.chains[0]._replace(misfit=math.inf, gradient=np.full(5, np.nan))
    # All of the distance lies between the first two.
    rates = np.where(np.arange(7) == 0, 0.01, 0.99)
    state = state._replace(
        chains=(lost, *state.chains[1:]), swap_sums=rates, swap_tries=np.ones(7, dtype=np.int64)
    )
    renewed = sampler._renew(state)
    assert renewed.chains[0] is lost
    assert all(math.isfinite(chain.misfit) for chain in renewed.chains[1:])


def test_other_samplers_make_the_moves():
    target = LinearGaussian()
    sampler = ParallelTempering(
        target, n_temperatures=5, sampler=functools.partial(InfHMC, n_leapfrog=4), n_moves=1
    )
    rng, state = start(sampler, 0, 300)
    state, _ = sampler.run(rng, state, 1000)
    for chain in state.chains:
        np.testing.assert_array_equal(chain.gradient, target.misfit_and_gradient(chain.position)[1])
    assert len({chain.step_size for chain in state.chains[1:]}) == 4
    found = sampler.log_evidence(state)
    assert abs(found.stepping_stone - target.log_evidence()) < 5 * found.stepping_stone_error
    assert "InfHMC" in repr(sampler)


def test_runs_and_warm_ups_come_apart_into_steps():
    sampler = ParallelTempering(LinearGaussian())
    one, many = np.random.default_rng(1), np.random.default_rng(1)
    a = sampler.warmup(one, sampler.init(np.zeros(5), one), 60)
    b = sampler.init(np.zeros(5), many)
    for n in (1, 24, 35):
        b = sampler.warmup(many, b, n)
    a, _ = sampler.run(one, a, 70)
    for _ in range(70):
        b, _ = sampler.step(many, b)
    np.testing.assert_array_equal(a.positions, b.positions)
    np.testing.assert_array_equal(a.temperatures, b.temperatures)
    assert sampler.log_evidence(a) == sampler.log_evidence(b)


def test_batches_keep_every_step():
    """Sums of many steps do not depend on how often batches were merged."""
    sampler = ParallelTempering(LinearGaussian(m=1, dim=1), temperatures=[0.0, 0.5, 1.0], n_moves=1)
    rng, state = start(sampler, 0, 0)
    misfits = []
    for _ in range(333):
        before = state
        state, _ = sampler.step(rng, state)
        misfits.append(state.sums.first.sum(axis=0) - before.sums.first.sum(axis=0))
    means = np.mean(misfits, axis=0)
    np.testing.assert_allclose(sampler.log_evidence(state).mean_misfit, means, rtol=1e-10)
    assert state.sums.length == 16


def test_bad_arguments_are_named():
    target = LinearGaussian()
    with pytest.raises(ValueError, match="both came"):
        ParallelTempering(target, n_temperatures=3, temperatures=[0.0, 1.0])
    for ladder in ([0.0, 0.5], [0.5, 0.2, 1.0], [1.0], [-0.1, 1.0]):
        with pytest.raises(ValueError, match="increasing to 1"):
            ParallelTempering(target, temperatures=ladder)
    with pytest.raises(ValueError, match="n_temperatures is 1"):
        ParallelTempering(target, n_temperatures=1)
    with pytest.raises(TypeError, match="without 'dim'"):
        ParallelTempering(lambda xi: 0.0)
    with pytest.raises(TypeError, match="sampler is a str"):
        ParallelTempering(target, sampler="pcn")
    sampler = ParallelTempering(target, temperatures=[0.5, 1.0])
    rng, state = start(sampler, 0, 5)
    with pytest.raises(ValueError, match=r"begin at 0\.5"):
        sampler.log_evidence(state)
    with pytest.raises(ValueError, match="position has shape"):
        sampler.init(np.zeros(3), rng)
