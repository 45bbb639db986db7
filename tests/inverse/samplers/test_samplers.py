"""Every sampler: the target stays invariant, runs are their steps, compiled runs are the plain ones, warm-ups add up."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from scinn.inverse import samplers
from scinn.verify import check_invariance

# Options with which a few steps move far on the targets here.
OPTIONS = {
    "PCN": {"beta": 0.6, "ladder": (0.5, 1.0, 1.5)},
    "GPCN": {"beta": 0.8},
    "AdaptivePCN": {"beta": 0.6, "n_leading": 2},
    "EllipticalSlice": {},
    "RandomWalk": {"step_size": 0.6},
    "InfMALA": {"step_size": 0.3},
    "PCNL": {"delta": 0.15},
    "MALA": {"step_size": 0.3},
    "InfHMC": {"step_size": 0.3, "n_leapfrog": 4},
    "HMC": {"step_size": 0.3, "n_leapfrog": 4},
}
COLLAPSED = {"CollapsedPCN": {"beta": 0.5}, "CollapsedInfHMC": {"step_size": 0.1, "n_leapfrog": 4}}
ADAPTIVE = sorted((OPTIONS | COLLAPSED).keys() - {"EllipticalSlice"})


def build(name, target, **more):
    options = (OPTIONS | COLLAPSED)[name] | more
    if name == "GPCN":
        options["reference"] = np.zeros(target.dim)
    return getattr(samplers, name)(target, **options)


def bits(state):
    return [np.asarray(value).tobytes() for value in state]


class Warmed:
    """A sampler whose chains begin with a warmed-up state's step size."""

    def __init__(self, sampler, state):
        self.sampler, self.state = sampler, state

    def init(self, position, rng):
        start = self.sampler.init(position, rng)
        return start._replace(**{k: v for k, v in self.state._asdict().items() if k not in KEPT})

    def step(self, rng, state):
        return self.sampler.step(rng, state)

    def run(self, rng, state, n):
        return self.sampler.run(rng, state, n)


KEPT = ("position", "misfit", "gradient")


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_leaves_a_gaussian_posterior_invariant(name, linear_gaussian):
    sampler = build(name, linear_gaussian)
    assert check_invariance(sampler, draw=linear_gaussian.draw, n_replicates=500, n_steps=5)
    state = sampler.warmup(1, sampler.init(linear_gaussian.mean), 300)
    assert check_invariance(Warmed(sampler, state), draw=linear_gaussian.draw, n_replicates=300, n_steps=5)


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_a_chain_finds_mean_and_covariance(name, linear_gaussian):
    sampler = build(name, linear_gaussian)
    rng = np.random.default_rng(5)
    state = sampler.warmup(rng, sampler.init(np.zeros(3)), 500)
    _, info = sampler.run(rng, state, 6000, keep_every=1)
    draws = info.positions
    # Means of 20 pieces are nearly independent; 5 standard errors.
    for values, want in (
        (draws, linear_gaussian.mean),
        ((draws - linear_gaussian.mean) ** 2, np.diag(linear_gaussian.covariance)),
        (np.prod(draws[:, :2] - linear_gaussian.mean[:2], axis=1), linear_gaussian.covariance[0, 1]),
    ):
        pieces = values.reshape(20, 300, -1).mean(axis=1)
        error = pieces.std(axis=0, ddof=1) / math.sqrt(20)
        assert np.all(np.abs(pieces.mean(axis=0) - want) < 5.0 * error)
    assert np.all(np.abs(draws.mean(axis=0) - linear_gaussian.mean) < 0.25)


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_temperature_0_is_the_prior(name, linear_gaussian):
    sampler = build(name, linear_gaussian, temperature=0.0)
    draw = np.random.Generator.standard_normal
    assert check_invariance(sampler, draw=lambda rng: draw(rng, 3), n_replicates=300, n_steps=3)
    _, info = sampler.run(0, sampler.init(np.ones(3)), 50)
    if name not in ("RandomWalk", "MALA", "HMC"):
        assert info.acceptance_rate == 1.0


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_temperature_is_a_power_of_the_likelihood(name, linear_gaussian, targets):
    flatter = targets.LinearGaussian(0.5 * linear_gaussian.matrix, 0.5 * linear_gaussian.data)
    sampler = build(name, linear_gaussian, temperature=0.25)
    assert check_invariance(sampler, draw=flatter.draw, n_replicates=400, n_steps=4)


@pytest.mark.parametrize("name", sorted(OPTIONS | COLLAPSED))
def test_compiled_runs_are_the_plain_ones(name, posterior, targets):
    # Few steps: trajectories on these posteriors double a rounding error at every step or two.
    start = 0.5 * np.random.default_rng(2).standard_normal(posterior.dim)
    ends = []
    for target in (posterior, targets.Plain(posterior)):
        sampler = build(name, target)
        rng = np.random.default_rng(3)
        state = sampler.warmup(rng, sampler.init(start), 8)
        state, info = sampler.run(rng, state, 16, keep_every=7)
        state, last = sampler.step(rng, state)
        ends.append((state, info, last, rng.random()))
    (compiled, info, last, number), (plain, own, own_last, own_number) = ends
    assert number == own_number
    for a, b in zip(compiled, plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-8)
    assert info.n_accepted == own.n_accepted
    assert info.n_evaluations == own.n_evaluations
    assert info.positions.shape == own.positions.shape == (2, posterior.dim)
    np.testing.assert_allclose(info.positions, own.positions, rtol=1e-7, atol=1e-8)
    assert last.accepted == own_last.accepted


@pytest.mark.parametrize("name", sorted(OPTIONS | COLLAPSED))
@pytest.mark.parametrize("compiled", [True, False])
def test_runs_and_warmups_are_their_parts_to_the_bit(name, compiled, posterior, targets):
    sampler = build(name, posterior if compiled else targets.Plain(posterior))
    start = sampler.init(np.full(posterior.dim, 0.3))
    before = bits(start)
    whole, parts = np.random.default_rng(3), np.random.default_rng(3)
    one = sampler.warmup(whole, start, 11)
    two = sampler.warmup(parts, sampler.warmup(parts, start, 4), 7)
    assert bits(one) == bits(two)
    one, info = sampler.run(whole, one, 11, keep_every=4)
    rows = []
    for _ in range(11):
        two, step = sampler.step(parts, two)
        rows.append((step.acceptance_probability, two.misfit, step.accepted, two.position))
    assert bits(one) == bits(two)
    np.testing.assert_array_equal(info.acceptance_probabilities, [row[0] for row in rows])
    np.testing.assert_array_equal(info.misfits, [row[1] for row in rows])
    np.testing.assert_array_equal(info.positions, [rows[3][3], rows[7][3]])
    assert info.n_accepted == sum(row[2] for row in rows)
    # States are values: nothing of the start was written to.
    assert bits(start) == before


@pytest.mark.parametrize("name", sorted(OPTIONS | COLLAPSED))
@pytest.mark.parametrize("compiled", [True, False])
def test_runs_of_no_steps(name, compiled, posterior, targets):
    sampler = build(name, posterior if compiled else targets.Plain(posterior))
    start = sampler.init(np.full(posterior.dim, 0.3))
    state, info = sampler.run(0, start, 0, keep_every=2)
    np.testing.assert_array_equal(state.position, start.position)
    assert info.n_steps == info.n_accepted == 0
    assert math.isnan(info.acceptance_rate)
    assert info.positions.shape == (0, posterior.dim)


@pytest.mark.parametrize("name", ADAPTIVE)
def test_warmup_reaches_the_wanted_acceptance_and_a_run_keeps_the_step(name, posterior):
    sampler = build(name, posterior)
    rng = np.random.default_rng(0)
    warm = sampler.warmup(rng, sampler.init(np.full(posterior.dim, 0.3)), 4000)
    state, info = sampler.run(rng, warm, 4000)
    goal = sampler.target_acceptance
    assert info.acceptance_probabilities.mean() == pytest.approx(goal, abs=0.12) or (
        name in ("PCN", "CollapsedPCN", "AdaptivePCN", "GPCN") and warm.beta == 0.999
    )
    assert warm.n_adapted == state.n_adapted == 4000
    assert [getattr(state, k) for k in ("beta", "step_size") if hasattr(state, k)] == [
        getattr(warm, k) for k in ("beta", "step_size") if hasattr(warm, k)
    ]


@pytest.mark.parametrize("name", sorted(OPTIONS | COLLAPSED))
def test_samplers_go_to_other_processes(name, posterior, targets):
    sampler = build(name, targets.LinearGaussian(np.eye(3), np.ones(3)) if name in OPTIONS else posterior)
    copy = pickle.loads(pickle.dumps(sampler))
    start = np.full(sampler.dim, 0.2)
    one, _ = sampler.run(4, sampler.init(start), 5)
    two, _ = copy.run(4, copy.init(start), 5)
    np.testing.assert_array_equal(one.position, two.position)
    assert type(sampler).__name__ in repr(sampler)
    assert len(repr(sampler)) < 200


@pytest.mark.parametrize("name", sorted(COLLAPSED))
def test_collapsed_samplers_leave_the_full_posterior_invariant(name, posterior):
    """Geweke's test, with functions of the last layer and of both layers among those compared."""
    from scinn.inverse.inverse_problem import InverseProblem
    from scinn.inverse.posterior import Posterior

    problem = posterior.problem

    def sampler(data):
        conditional = InverseProblem(problem.operator, data, noise_std=0.5, grid=problem.grid)
        return build(name, Posterior(posterior.prior, conditional))

    functions = {
        "hidden": lambda xi: float(xi[0]),
        "last": lambda xi: float(xi[-1]),
        "unit": lambda xi: float(np.tanh(xi[0]) * xi[6]),
        "squared norm of the last layer": lambda xi: float(xi[6:] @ xi[6:]),
        "fit": lambda xi, data: float(np.sum(np.tanh(posterior.field(xi) - data) ** 2)),
    }
    assert check_invariance(
        sampler, draw=lambda rng: rng.standard_normal(posterior.dim),
        simulate=lambda rng, xi: posterior.field(xi) + 0.5 * rng.standard_normal(5), functions=functions,
        n_replicates=300, n_steps=5,
    )  # fmt: skip
