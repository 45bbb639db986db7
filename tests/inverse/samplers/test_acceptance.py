"""Acceptance rules: against full densities, against quadrature at stationarity, and the identities between samplers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scinn.inverse import samplers
from scinn.reference import mcmc, mcmc_gradient


def log_normal(x, mean, covariance):
    gap = x - mean
    return -0.5 * gap @ np.linalg.solve(covariance, gap) - 0.5 * np.linalg.slogdet(covariance)[1]


def log_posterior(target, xi):
    return -target.misfit(xi) - 0.5 * xi @ xi


@pytest.fixture
def pieces():
    rng = np.random.default_rng(4)
    return rng, rng.standard_normal(3), rng.standard_normal(3)


@pytest.mark.parametrize("form", ["pcn", "variances", "vectors"])
def test_ratio_of_pcn_is_that_of_the_full_densities(form, linear_gaussian, pieces):
    rng, u, w = pieces
    variances = np.array([0.2, 1.0, 0.7])
    vectors = np.linalg.qr(rng.standard_normal((3, 3)))[0][:2]
    eigenvalues = np.array([30.0, 2.0])
    options = {"pcn": {}, "variances": {"variances": variances}}.get(
        form, {"vectors": vectors, "eigenvalues": eigenvalues}
    )
    # The proposal is linear in position and noise; its two matrices by unit vectors.
    zero = np.zeros(3)
    keep = np.stack([mcmc.crank_nicolson_proposal(e, zero, 0.6, **options) for e in np.eye(3)], axis=1)
    move = np.stack([mcmc.crank_nicolson_proposal(zero, e, 0.6, **options) for e in np.eye(3)], axis=1)
    np.testing.assert_allclose(keep @ keep.T + move @ move.T, np.eye(3), atol=1e-14)
    np.testing.assert_allclose(keep, keep.T, atol=1e-15)
    step = mcmc.pcn_step(linear_gaussian.misfit, u, linear_gaussian.misfit(u), 0.6, w, 50.0, **options)
    v, spread = step.position, move @ move.T
    full = log_posterior(linear_gaussian, v) - log_posterior(linear_gaussian, u)
    full += log_normal(u, keep @ v, spread) - log_normal(v, keep @ u, spread)
    assert step.log_ratio == pytest.approx(full, rel=1e-9)


@pytest.mark.parametrize("name", ["inf_mala", "mala", "pcnl"])
def test_ratio_of_langevin_is_that_of_the_full_densities(name, linear_gaussian, pieces):
    _, u, w = pieces
    value, g = linear_gaussian.misfit_and_gradient(u)
    h, t = 0.3, 0.7
    one_step = getattr(mcmc_gradient, f"{name}_step")
    size = h / 2 if name == "pcnl" else h
    step = one_step(linear_gaussian.misfit_and_gradient, u, value, g, size, w, 1e3, t)
    keep = (1 - h / 4) / (1 + h / 4)
    variance = h if name == "mala" else 1 - keep**2

    def mean(x):
        slope = t * linear_gaussian.misfit_and_gradient(x)[1]
        if name == "mala":
            return x - h / 2 * (x + slope)
        return keep * x - math.sqrt(variance * h) / 2 * slope

    v, spread = step.position, variance * np.eye(3)
    np.testing.assert_allclose(v, mean(u) + math.sqrt(variance) * w, atol=1e-14)
    full = -t * linear_gaussian.misfit(v) - v @ v / 2 + t * linear_gaussian.misfit(u) + u @ u / 2
    full += log_normal(u, mean(v), spread) - log_normal(v, mean(u), spread)
    assert step.log_ratio == pytest.approx(full, rel=1e-9)


def test_pcnl_is_infinity_mala_with_twice_the_step(posterior, targets):
    start = np.full(posterior.dim, 0.4)
    for target in (posterior, targets.Plain(posterior)):
        one, two = samplers.PCNL(target, delta=0.01), samplers.InfMALA(target, step_size=0.02)
        first, second = one.init(start), two.init(start)
        rng, other = np.random.default_rng(1), np.random.default_rng(1)
        accepted = 0
        for _ in range(50):
            first, info = one.step(rng, first)
            second, same = two.step(other, second)
            np.testing.assert_allclose(first.position, second.position, rtol=0, atol=1e-13 * 50)
            assert info.accepted == same.accepted
            accepted += info.accepted
            assert info.acceptance_probability == pytest.approx(same.acceptance_probability, rel=1e-9)
        assert accepted > 0


@pytest.mark.parametrize("n_leapfrog", [1, 7, 20])
def test_infinity_hmc_returns_when_the_momentum_is_flipped(n_leapfrog, posterior, pieces):
    rng, _, _ = pieces
    q, p = 0.5 * rng.standard_normal(posterior.dim), rng.standard_normal(posterior.dim)
    value, g = posterior.misfit_and_gradient(q)
    there = mcmc_gradient.inf_hmc_trajectory(posterior.misfit_and_gradient, q, p, value, g, 0.02, n_leapfrog)
    back = mcmc_gradient.inf_hmc_trajectory(
        posterior.misfit_and_gradient,
        there.position,
        -there.momentum,
        there.misfit,
        there.gradient,
        0.02,
        n_leapfrog,
    )
    assert np.abs(there.position - q).max() > 1e-3
    np.testing.assert_allclose(back.position, q, rtol=0, atol=1e-10)
    np.testing.assert_allclose(back.momentum, -p, rtol=0, atol=1e-10)
    assert back.misfit == pytest.approx(value, abs=1e-10)


@pytest.mark.parametrize("name", ["inf_hmc_step", "hmc_step"])
def test_energy_errs_by_the_square_of_the_step(name, linear_gaussian, pieces):
    _, q, p = pieces
    value, g = linear_gaussian.misfit_and_gradient(q)
    errors = []
    for count in (50, 100, 200):
        step = getattr(mcmc_gradient, name)(
            linear_gaussian.misfit_and_gradient, q, value, g, 1.0 / count, count, p, 1e9
        )
        errors.append(abs(step.log_ratio))
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.05)
    assert errors[1] / errors[2] == pytest.approx(4.0, rel=0.05)


# One step from exact draws of a target with one coordinate, against quadrature over position and noise

GRID = np.linspace(-7.0, 7.0, 1201)


def phi(x):
    return 0.5 * ((np.tanh(x) - 0.5) / 0.4) ** 2


def slope(x):
    return (np.tanh(x) - 0.5) / 0.16 * (1.0 - np.tanh(x) ** 2)


def density(x):
    return np.exp(-phi(x) - 0.5 * x**2)


def metropolis(x, v, mean, spread):
    """Return the acceptance probability from densities of target and proposal."""
    ratio = density(v) / density(x)
    return np.minimum(1.0, ratio * np.exp(((v - mean(x)) ** 2 - (x - mean(v)) ** 2) / (2.0 * spread**2)))


def gaussian_proposal(mean, spread):
    def move(x, w):
        v = mean(x) + spread * w
        return v, metropolis(x, v, mean, spread)

    return move


def hamiltonian(exact_prior, e, count):
    def move(x, w):
        q, p = x, w
        for _ in range(count):
            force = slope(q) if exact_prior else slope(q) + q
            p = p - 0.5 * e * force
            if exact_prior:
                q, p = np.cos(e) * q + np.sin(e) * p, np.cos(e) * p - np.sin(e) * q
            else:
                q = q + e * p
            p = p - 0.5 * e * (slope(q) if exact_prior else slope(q) + q)
        gap = phi(x) + 0.5 * x**2 + 0.5 * w**2 - phi(q) - 0.5 * q**2 - 0.5 * p**2
        return q, np.minimum(1.0, np.exp(gap))

    return move


H = 1.6
KEEP = (1 - H / 4) / (1 + H / 4)
LAM = 3.0
CASES = {
    "PCN": ({"beta": 0.8, "early_rejection": False}, gaussian_proposal(lambda x: 0.6 * x, 0.8)),
    "GPCN": (
        {"beta": 0.9, "early_rejection": False, "reference": (np.ones((1, 1)), np.array([LAM]))},
        gaussian_proposal(lambda x: math.sqrt(1 - 0.81 / (1 + LAM)) * x, 0.9 / math.sqrt(1 + LAM)),
    ),
    "RandomWalk": ({"step_size": 1.1, "early_rejection": False}, gaussian_proposal(lambda x: x, 1.1)),
    "InfMALA": (
        {"step_size": H},
        gaussian_proposal(
            lambda x: KEEP * x - math.sqrt((1 - KEEP**2) * H) / 2 * slope(x), math.sqrt(1 - KEEP**2)
        ),
    ),
    "PCNL": (
        {"delta": H / 2},
        gaussian_proposal(
            lambda x: KEEP * x - math.sqrt((1 - KEEP**2) * H) / 2 * slope(x), math.sqrt(1 - KEEP**2)
        ),
    ),
    "MALA": (
        {"step_size": 0.7},
        gaussian_proposal(lambda x: x - 0.35 * (x + slope(x)), math.sqrt(0.7)),
    ),
    "InfHMC": ({"step_size": 0.6, "n_leapfrog": 2, "jitter": 0.0}, hamiltonian(True, 0.6, 2)),
    "HMC": ({"step_size": 0.6, "n_leapfrog": 2, "jitter": 0.0}, hamiltonian(False, 0.6, 2)),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_one_step_at_stationarity_is_the_quadrature(name, targets):
    options, move = CASES[name]
    weights = np.outer(density(GRID), np.exp(-0.5 * GRID**2))
    weights /= weights.sum()
    v, chance = move(GRID[:, None], GRID[None, :])
    jump = v - GRID[:, None]
    x = np.broadcast_to(GRID[:, None], v.shape)
    want = {
        "acceptance": np.sum(weights * chance),
        "jump": 0.0,
        "squared jump": np.sum(weights * chance * jump**2),
        "product": np.sum(weights * (x * x + chance * jump * x)),
    }
    assert abs(np.sum(weights * chance * jump)) < 1e-6
    assert 0.1 < want["acceptance"] < 0.99
    sampler = getattr(samplers, name)(targets.Curved(), **options)
    rng = np.random.default_rng(9)
    cumulative = np.cumsum(density(GRID)) / density(GRID).sum()
    starts = np.interp(rng.random(8_000), cumulative, GRID + 0.5 * (GRID[1] - GRID[0]))
    rows = np.empty((len(starts), 4))
    for i, start in enumerate(starts):
        state, info = sampler.step(rng, sampler.init([start]))
        moved = state.position[0] - start
        rows[i] = info.acceptance_probability, moved, moved**2, start * state.position[0]
    error = rows.std(axis=0, ddof=1) / math.sqrt(len(rows))
    scores = np.abs(rows.mean(axis=0) - np.array(list(want.values()))) / error
    assert scores.max() < 4.0, dict(zip(want, scores, strict=True))


def test_pcn_on_the_prior_is_autoregressive(targets):
    sampler = samplers.PCN(targets.Flat(3), beta=0.6)
    rng = np.random.default_rng(0)
    _, info = sampler.run(rng, sampler.init(rng.standard_normal(3)), 20_000, keep_every=1)
    assert info.acceptance_rate == 1.0
    x = info.positions
    # The chain's integrated autocorrelation is (1 + .8) / (1 - .8) = 9.
    assert np.abs(x.mean(axis=0)).max() < 4 * math.sqrt(9 / 20_000)
    assert np.abs(x.var(axis=0) - 1).max() < 4 * math.sqrt(2 * (1 + 0.64) / (1 - 0.64) / 20_000)
    noise = (x[1:] - 0.8 * x[:-1]) / 0.6
    np.testing.assert_allclose(
        np.sum(x[1:] * x[:-1], axis=0) / np.sum(x[:-1] ** 2, axis=0), 0.8, atol=4 * 0.6 / math.sqrt(20_000)
    )
    assert abs(np.mean(noise[1:] * noise[:-1])) < 4 / math.sqrt(60_000)


def test_pcn_with_beta_1_is_the_independence_sampler(linear_gaussian):
    sampler = samplers.PCN(linear_gaussian, beta=1.0)
    rng, twin = np.random.default_rng(0), np.random.default_rng(0)
    state = sampler.init(np.zeros(3))
    for _ in range(20):
        twin.standard_exponential()
        noise = twin.standard_normal(3)
        state, info = sampler.step(rng, state)
        if info.accepted:
            np.testing.assert_array_equal(state.position, noise)


def test_longer_ladders_than_one_are_cut_at_beta_1(linear_gaussian):
    sampler = samplers.PCN(linear_gaussian, beta=0.9, ladder=(5.0,))
    other = samplers.PCN(linear_gaussian, beta=1.0)
    one, _ = sampler.run(0, sampler.init(np.ones(3)), 20)
    two, _ = other.run(0, other.init(np.ones(3)), 20)
    np.testing.assert_array_equal(one.position, two.position)


@pytest.mark.parametrize("name", ["PCN", "EllipticalSlice"])
def test_a_prior_mean_belongs_into_the_target(name, targets):
    """Prior N(5, 1), datum 5 with unit noise: the posterior is N(5, 1/2)."""
    target = targets.LinearGaussian([[1.0]], [5.0], mean=5.0)
    sampler = getattr(samplers, name)(target)
    rng = np.random.default_rng(3)
    state = sampler.warmup(rng, sampler.init([3.0]), 500)
    _, info = sampler.run(rng, state, 20_000, keep_every=1)
    u = 5.0 + info.positions[:, 0]
    pieces = u.reshape(20, -1)
    assert abs(u.mean() - 5.0) < 5 * pieces.mean(axis=1).std(ddof=1) / math.sqrt(20)
    assert abs(u.var() - 0.5) < 5 * pieces.var(axis=1).std(ddof=1) / math.sqrt(20)
    assert abs(u.mean() - 5.0) < 0.1
    assert abs(u.var() - 0.5) < 0.1
