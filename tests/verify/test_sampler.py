"""The invariance check: correct samplers pass, planted biases do not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from scinn.verify import check_invariance
from scinn.verify.toys import ChainInfo, ChainState, GaussianWalk, PreconditionedWalk


def prior(rng):
    return rng.standard_normal(2)


def likelihood(rng, position):
    return position + rng.standard_normal(2)


@dataclass(frozen=True)
class Greedy(GaussianWalk):
    """Accepts too much: uphill moves count half."""

    def step(self, rng, state):
        proposal = state.position + self.step_size * rng.standard_normal(2)
        energy = self.energy(proposal)
        accepted = rng.random() < np.exp(min(0.0, (state.misfit - energy) / 2))
        return (ChainState(proposal, energy) if accepted else state), ChainInfo(bool(accepted), 1.0)

    run = None


@dataclass(frozen=True)
class ForgetsItsPrior(GaussianWalk):
    def energy(self, position):
        return float(np.sum((self.data - position) ** 2) / 2)


@dataclass(frozen=True)
class IgnoresItsData(PreconditionedWalk):
    def misfit(self, position):
        return 0.0


@dataclass(frozen=True)
class FullDensityCrankNicolson(PreconditionedWalk):
    """Counts the prior twice: in the proposal and in the acceptance."""

    def misfit(self, position):
        return super().misfit(position) + float(position @ position) / 2


@dataclass(frozen=True)
class FusedRunDiffers(GaussianWalk):
    def run(self, rng, state, n):
        rng.random()
        return super().run(rng, state, n)


CORRECT = [GaussianWalk, PreconditionedWalk]
BIASED = [Greedy, ForgetsItsPrior, FullDensityCrankNicolson]


@pytest.mark.parametrize("sampler", CORRECT)
@pytest.mark.parametrize("method", ["geweke", "sbc"])
def test_correct_samplers_pass(sampler, method):
    options = {"n_replicates": 200, "n_warmup": 30, "n_steps": 6}
    result = check_invariance(sampler, draw=prior, simulate=likelihood, method=method, **options)
    assert result, result


@pytest.mark.parametrize("sampler", BIASED)
def test_geweke_finds_planted_biases(sampler):
    result = check_invariance(sampler, draw=prior, simulate=likelihood, n_replicates=400, n_steps=20)
    assert not result
    assert "standard errors away" in result.detail


@pytest.mark.parametrize("sampler", [Greedy, FullDensityCrankNicolson])
def test_calibration_finds_planted_biases(sampler):
    result = check_invariance(
        sampler, draw=prior, simulate=likelihood, method="sbc", n_replicates=500, n_warmup=20, n_steps=4
    )
    assert not result


def test_a_function_of_the_data_finds_a_sampler_that_ignores_them():
    # The posterior then equals the prior, which leaves every function of the position alone calibrated.
    blind = {"position": lambda position: position[0]}
    seeing = {"fit": lambda position, data: float(position @ data)}
    options = {
        "draw": prior,
        "simulate": likelihood,
        "method": "sbc",
        "n_replicates": 300,
        "n_warmup": 20,
        "n_steps": 4,
    }
    assert check_invariance(IgnoresItsData, functions=blind, **options)
    assert not check_invariance(IgnoresItsData, functions=seeing, **options)
    assert check_invariance(PreconditionedWalk, functions=seeing, **options)


def test_known_distribution_and_moments():
    data = np.array([1.0, -2.0])

    def posterior(rng):
        return data / 2 + np.sqrt(0.5) * rng.standard_normal(2)

    moments = {"position[0]": 0.5, "position[1]": -1.0}
    assert check_invariance(GaussianWalk(data), draw=posterior, moments=moments)
    assert not check_invariance(Greedy(data), draw=posterior, n_replicates=600, n_steps=20)
    wrong = {"position[0]": 0.8}
    result = check_invariance(GaussianWalk(data), draw=posterior, moments=wrong)
    assert not result
    assert "known mean of position[0]" in result.detail


def test_a_fused_run_must_give_the_bits_of_single_steps():
    result = check_invariance(FusedRunDiffers, draw=prior, simulate=likelihood, n_replicates=50)
    assert not result
    assert "seven single steps" in result.detail


def test_the_verdict_repeats():
    first, second = (
        check_invariance(GaussianWalk, draw=prior, simulate=likelihood, n_replicates=50, rng=3)
        for _ in range(2)
    )
    assert first.worst_error == second.worst_error


def test_says_what_is_wanted():
    with pytest.raises(ValueError, match="method must be one of"):
        check_invariance(GaussianWalk, draw=prior, method="magic")
    with pytest.raises(ValueError, match="needs simulate"):
        check_invariance(GaussianWalk, draw=prior, method="sbc")
    with pytest.raises(TypeError, match="pass an object"):
        check_invariance(GaussianWalk, draw=prior)
    with pytest.raises(ValueError, match="at least 20"):
        check_invariance(GaussianWalk, draw=prior, simulate=likelihood, n_replicates=5)
