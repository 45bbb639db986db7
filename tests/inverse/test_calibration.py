"""Every sampler passes the joint test of Geweke and simulation-based calibration; planted bugs are caught."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from scinn.inverse import (
    GPCN,
    HMC,
    MALA,
    PCN,
    PCNL,
    SMC,
    AdaptivePCN,
    CollapsedInfHMC,
    CollapsedPCN,
    EllipticalSlice,
    InfHMC,
    InfMALA,
    ParallelTempering,
    RandomWalk,
)
from scinn.verify import check_invariance, run_property
from scinn.verify.registry import find_property
from scinn.verify.sampler_cases import calibration_functions, tiny_case

PRIOR, DRAW, SIMULATE, POSTERIOR = tiny_case()
HEAVY = tiny_case("cauchy")
FUNCTIONS = calibration_functions(PRIOR)


def directions(posterior):
    """Return directions and curvatures that say something about these data, whatever they are."""
    jacobian = posterior.jacobian(np.full(posterior.dim, 0.5))
    vectors, values, _ = np.linalg.svd(jacobian.T, full_matrices=False)
    return vectors, values**2


SAMPLERS: dict[str, Any] = {
    "PCN": lambda data: PCN(POSTERIOR(data), beta=0.6),
    "PCN with a ladder": lambda data: PCN(
        POSTERIOR(data), beta=0.5, ladder=(0.3, 1.0, 3.0), early_rejection=False
    ),
    "PCNL": lambda data: PCNL(POSTERIOR(data), delta=0.3),
    "InfMALA": lambda data: InfMALA(POSTERIOR(data), step_size=0.6),
    "InfHMC": lambda data: InfHMC(POSTERIOR(data), step_size=0.4, n_leapfrog=3),
    "GPCN": lambda data: GPCN(POSTERIOR(data), beta=0.7, reference=directions(POSTERIOR(data))),
    "AdaptivePCN": lambda data: AdaptivePCN(POSTERIOR(data), beta=0.6),
    "EllipticalSlice": lambda data: EllipticalSlice(POSTERIOR(data)),
    "CollapsedPCN": lambda data: CollapsedPCN(POSTERIOR(data), beta=0.6),
    "CollapsedInfHMC": lambda data: CollapsedInfHMC(POSTERIOR(data), step_size=0.4, n_leapfrog=3),
    "RandomWalk": lambda data: RandomWalk(POSTERIOR(data), step_size=0.6),
    "MALA": lambda data: MALA(POSTERIOR(data), step_size=0.6),
    "HMC": lambda data: HMC(POSTERIOR(data), step_size=0.4, n_leapfrog=3),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_joint_test(name):
    result = check_invariance(
        SAMPLERS[name],
        draw=DRAW,
        simulate=SIMULATE,
        functions=FUNCTIONS,
        n_replicates=300,
        n_steps=4,
        n_inner=15,
    )
    assert result, result


@pytest.mark.parametrize("sampler", [PCN, EllipticalSlice, InfHMC], ids=lambda kind: kind.__name__)
def test_joint_test_under_a_cauchy_last_layer(sampler):
    prior, draw, simulate, posterior = HEAVY
    result = check_invariance(
        lambda data: sampler(posterior(data)),
        draw=draw,
        simulate=simulate,
        functions=calibration_functions(prior),
        n_replicates=300,
        n_steps=4,
        n_inner=15,
    )
    assert result, result


# Steps between draws that are enough for nearly independent ones, by the measured autocorrelation times.
STEPS = {"EllipticalSlice": 30, "CollapsedPCN": 30, "InfHMC": 30, "CollapsedInfHMC": 30, "HMC": 30}


@pytest.mark.parametrize("name", SAMPLERS)
def test_simulation_based_calibration(name):
    result = check_invariance(
        SAMPLERS[name],
        draw=DRAW,
        simulate=SIMULATE,
        functions=FUNCTIONS,
        method="sbc",
        n_replicates=200,
        n_steps=STEPS.get(name, 100),
        n_draws=9,
        n_warmup=200,
    )
    assert result, result


class Particle(NamedTuple):
    position: np.ndarray
    rest: np.ndarray


class ParticlesInTurn:
    """SMC in the form of a chain: a new run at the start, then one of its particles after the other."""

    def __init__(self, target):
        self.sampler = SMC(target, n_particles=60, n_moves=24)

    def init(self, position, rng):
        state, _ = self.sampler.run(rng, self.sampler.init(None, rng))
        return Particle(position, state.positions[rng.permutation(60)])

    def step(self, rng, state):
        return Particle(state.rest[0], state.rest[1:]), None


def plain(posterior):
    """Return the posterior without the arrays for compiled runs, which short runs would not pay for."""
    return SimpleNamespace(dim=posterior.dim, misfit=posterior.misfit)


@pytest.mark.parametrize(
    ("sampler", "n_replicates", "options"),
    [
        (lambda data: ParticlesInTurn(plain(POSTERIOR(data))), 60, {"n_steps": 3, "n_warmup": 0}),
        (
            lambda data: ParallelTempering(POSTERIOR(data), temperatures=[0.0, 0.2, 1.0], n_moves=10),
            60,
            {"n_steps": 4, "n_warmup": 30},
        ),
    ],
    ids=["SMC", "ParallelTempering"],
)
def test_calibration_of_tempering(sampler, n_replicates, options):
    result = check_invariance(
        sampler,
        draw=DRAW,
        simulate=SIMULATE,
        functions=FUNCTIONS,
        method="sbc",
        n_replicates=n_replicates,
        n_draws=9,
        **options,
    )
    assert result, result


# Planted bugs. Each is a step written by hand; the same step without the bug passes.


class State(NamedTuple):
    position: np.ndarray
    size: float


@dataclass
class CrankNicolson:
    """pCN on any misfit, with places for bugs."""

    misfit: Any
    beta: float = 0.6
    keep: float = 0.8
    prior_in_ratio: float = 0.0
    forever: float = 0.0
    mean: Any = 0.0

    def init(self, position, rng=None):
        return State(np.array(position, dtype=float), self.beta)

    def step(self, rng, state):
        u, beta = state.position, state.size
        keep = self.keep if self.forever == 0.0 else math.sqrt(1.0 - beta**2)
        v = self.mean + keep * (u - self.mean) + beta * rng.standard_normal(u.shape)
        ratio = self.misfit(u) - self.misfit(v) + 0.5 * self.prior_in_ratio * (u @ u - v @ v)
        accepted = math.log(1.0 - rng.random()) <= ratio
        size = float(np.clip(beta * math.exp(self.forever * (accepted - 0.5)), 0.02, 1.0))
        return State(v if accepted else u, size), SimpleNamespace(accepted=accepted)


def geweke(make, **options):
    chosen = {"functions": FUNCTIONS, "n_replicates": 200, "n_steps": 3, "n_inner": 15} | options
    return check_invariance(make, draw=DRAW, simulate=SIMULATE, **chosen)


def test_the_step_written_by_hand_passes():
    assert geweke(lambda data: CrankNicolson(POSTERIOR(data).misfit))


@pytest.mark.parametrize(
    "bug",
    [{"keep": 1.0 - 0.6**2}, {"keep": 1.0}, {"prior_in_ratio": 1.0}],
    ids=["without the root", "without shrinking", "prior in the ratio"],
)
def test_wrong_crank_nicolson_is_caught(bug):
    assert not geweke(lambda data: CrankNicolson(POSTERIOR(data).misfit, **bug))


def test_the_prior_in_the_ratio_is_caught_by_calibration():
    result = check_invariance(
        lambda data: CrankNicolson(POSTERIOR(data).misfit, prior_in_ratio=1.0),
        draw=DRAW,
        simulate=SIMULATE,
        functions=FUNCTIONS,
        method="sbc",
        n_replicates=150,
        n_steps=10,
        n_draws=9,
        n_warmup=50,
    )
    assert not result


# Half of the mass is in a narrow part, which a step size that follows the last answers enters too seldom.


def two_scales(u):
    return 0.0 if u[0] < 0.0 else 0.5 * float((u[0] / 0.05) ** 2) - math.log(20.0)


def two_scales_draw(rng):
    while True:
        u = rng.standard_normal(1)
        if rng.random() < math.exp(-two_scales(u)) / 20.0:
            return u


@pytest.mark.parametrize(("forever", "passes"), [(0.0, True), (1.0, False), (2.0, False)])
def test_adapting_forever_is_caught(forever, passes):
    sampler = CrankNicolson(two_scales, forever=forever)
    assert bool(check_invariance(sampler, draw=two_scales_draw, n_replicates=500, n_steps=40)) is passes


def test_warmed_up_samplers_adapt_no_more():
    posterior = POSTERIOR(np.array([1.0, -0.5, 2.0]))
    rng = np.random.default_rng(0)
    for kind in (PCN, AdaptivePCN, GPCN, InfMALA, InfHMC, CollapsedPCN, RandomWalk, HMC):
        options = {"reference": directions(posterior)} if kind is GPCN else {}
        sampler = kind(posterior, **options)
        state = sampler.warmup(rng, sampler.init(DRAW(rng)), 100)
        later, _ = sampler.run(rng, state, 200)
        for name in set(state._fields) - {"position", "misfit", "gradient"}:
            np.testing.assert_array_equal(
                getattr(later, name), getattr(state, name), err_msg=f"{kind.__name__}: {name}"
            )
        assert not np.array_equal(later.position, state.position)


# Gradients with the wrong sign


@dataclass
class Langevin:
    """MALA by hand; the gradient's sign in the proposal, and in the ratio."""

    posterior: Any
    h: float = 0.8
    in_proposal: float = 1.0
    in_ratio: float = 1.0

    def init(self, position, rng=None):
        return State(np.array(position, dtype=float), self.h)

    def step(self, rng, state):
        u, h = state.position, self.h
        phi, g = self.posterior.misfit_and_gradient(u)
        v = u - 0.5 * h * (self.in_proposal * g + u) + math.sqrt(h) * rng.standard_normal(u.shape)
        phi_v, g_v = self.posterior.misfit_and_gradient(v)
        forth = v - u + 0.5 * h * (self.in_ratio * g + u)
        back = u - v + 0.5 * h * (self.in_ratio * g_v + v)
        ratio = phi - phi_v + 0.5 * (u @ u - v @ v) + 0.5 * (forth @ forth - back @ back) / h
        accepted = math.log(1.0 - rng.random()) <= ratio
        return (State(v, h) if accepted else state), SimpleNamespace(accepted=accepted)


def test_a_flipped_gradient_is_caught():
    assert geweke(lambda data: Langevin(POSTERIOR(data)))
    assert not geweke(lambda data: Langevin(POSTERIOR(data), in_proposal=-1.0), n_replicates=300)


def test_a_gradient_flipped_everywhere_is_caught_by_the_law_of_a_step(monkeypatch):
    # It leaves the posterior invariant: only acceptance and jumps tell, which quadrature knows.
    assert geweke(lambda data: Langevin(POSTERIOR(data), in_proposal=-1.0, in_ratio=-1.0))
    from scinn.verify import samplers

    own = samplers._proposal_of

    def flipped(name, sampler):
        mean, spread = own(name, sampler)
        return (lambda u, g: mean(u, -g)), spread

    monkeypatch.setattr(samplers, "_GAUSSIAN_PROPOSALS", ("MALA", "InfMALA", "PCNL"))
    assert run_property(find_property("heavy-tailed-priors", "stationary-step"), 10)
    monkeypatch.setattr(samplers, "_proposal_of", flipped)
    assert run_property(find_property("heavy-tailed-priors", "stationary-step"), 10).n_failed >= 5
    assert run_property(find_property("heavy-tailed-priors", "acceptance-ratio"), 10).n_failed >= 5


def test_too_much_acceptance_is_caught_by_the_law_of_a_step(monkeypatch):
    from scinn.reference import mcmc

    own = mcmc.pcn_step

    def greedy(misfit, position, value, beta, noise, exponential, temperature=1.0, **options):
        return own(misfit, position, value, beta, noise, 1.3 * exponential, temperature, **options)

    from scinn.verify import samplers

    monkeypatch.setattr(samplers, "_GAUSSIAN_PROPOSALS", ("PCN",))
    plain_case = samplers.one_number
    monkeypatch.setattr(samplers, "one_number", lambda rng: plain_case(rng, False))
    monkeypatch.setattr(samplers, "_stationary_paths", longer(samplers._stationary_paths))
    assert run_property(find_property("heavy-tailed-priors", "stationary-step"), 3)
    monkeypatch.setattr(mcmc, "pcn_step", greedy)
    assert run_property(find_property("heavy-tailed-priors", "stationary-step"), 3).n_failed >= 2


def longer(paths):
    return lambda case, sampler, rng, n_chains, n_steps: paths(case, sampler, rng, 5 * n_chains, 2 * n_steps)


# A prior N(5, 1), a datum 5 with unit noise: N(5, 1/2). Samplers written in u must act on u - 5.


def shifted_misfit(u):
    return 0.5 * float(np.sum((u - 5.0) ** 2))


def shifted_draw(rng):
    return 5.0 + math.sqrt(0.5) * rng.standard_normal(1)


@dataclass
class Slice:
    """Elliptical slice by hand, with a centre for the ellipse."""

    mean: float = 5.0
    joint: float = 0.0

    def init(self, position, rng=None):
        return State(np.array(position, dtype=float), 0.0)

    def density(self, u):
        return shifted_misfit(u) + 0.5 * self.joint * float(np.sum((u - 5.0) ** 2))

    def step(self, rng, state):
        u = state.position - self.mean
        nu = rng.standard_normal(u.shape)
        limit = self.density(state.position) + rng.standard_exponential()
        angle = 2.0 * math.pi * rng.random()
        low, high = angle - 2.0 * math.pi, angle
        while True:
            v = self.mean + math.cos(angle) * u + math.sin(angle) * nu
            if self.density(v) <= limit:
                return State(v, 0.0), SimpleNamespace(accepted=True)
            low, high = (angle, high) if angle < 0.0 else (low, angle)
            angle = low + (high - low) * rng.random()


@pytest.mark.parametrize(
    ("sampler", "passes"),
    [
        (CrankNicolson(shifted_misfit, mean=5.0), True),
        (CrankNicolson(shifted_misfit, mean=0.0), False),
        (Slice(), True),
        (Slice(mean=0.0), False),
        (Slice(joint=1.0), False),
    ],
    ids=["pCN", "pCN around 0", "slice", "slice without centring", "slice of the joint density"],
)
def test_prior_means(sampler, passes):
    result = check_invariance(
        sampler, draw=shifted_draw, n_replicates=800, n_steps=10, moments={"position[0]": 5.0}
    )
    assert bool(result) is passes, result
