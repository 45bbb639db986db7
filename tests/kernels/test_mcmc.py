"""Fused runs of samplers are the reference steps in a loop: the same random numbers, decisions and positions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scinn.kernels import collapsed_model, inverse_model, mcmc, mcmc_gradient
from scinn.kernels.inverse_model import Model
from scinn.reference import mcmc as reference
from scinn.reference import mcmc_gradient as reference_gradient

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.sampled_from([1, 2, 3, 5, 8, 13, 17])
STEPS = st.sampled_from([0, 1, 2, 7])
TEMPERATURES = st.sampled_from([1.0, 0.3, 0.0])
NONE, NO_ROWS = np.empty(0), np.empty((0, 0))


def linear_model(rng, d, m=4, laws=None):
    """Return a model of one Gaussian block, or of one block for each law and coordinate."""
    laws = np.array([0] if laws is None else laws, dtype=np.int64)
    widths = np.array([d] if len(laws) == 1 else [1] * d, dtype=np.int64)
    k = len(widths)
    return Model(
        0, 0, widths, np.resize(laws, k), np.zeros(k), np.empty((k, 0, 0)), np.ones(k), np.empty(0), 0, np.empty((0, 0)),
        rng.standard_normal((m, d)), np.empty((0, 0)), np.ones(m), rng.standard_normal(m),
    )  # fmt: skip


def network_model(rng, width=3, laws=(1, 0), collapsed=0, m=5):
    return Model(
        1, collapsed, np.array([1, width, 1]), np.array(laws, dtype=np.int64), np.zeros(2), np.empty((2, 0, 0)),
        np.array([3.0, 1.0 / width]), np.array([2.0, 0.5]), 0, np.linspace(-1.0, 1.0, 9)[None, :].copy(),
        rng.standard_normal((m, 9)), np.empty((0, 0)), np.ones(m), rng.standard_normal(m),
    )  # fmt: skip


def callables(model):
    work = inverse_model.workspace(model)

    def misfit(xi, stop_above=math.inf):
        return inverse_model.misfit(model, xi, work, stop_above)

    def misfit_and_gradient(xi):
        gradient = np.empty(len(xi))
        return inverse_model.misfit_gradient(model, xi, work, gradient), gradient

    return misfit, misfit_and_gradient


def models(rng, kind, size):
    if kind == "linear":
        return linear_model(rng, size)
    if kind == "cauchy":
        return linear_model(rng, size, laws=[1, 2])
    return network_model(rng, size, collapsed=int(kind == "collapsed"))


class Run:
    """A kernel's arguments and results."""

    def __init__(self, model, seed, n, step, keep_every=0, k_last=0):
        self.model, self.n, self.keep_every = model, n, keep_every
        rng = np.random.default_rng(seed)
        self.start = rng.standard_normal(inverse_model.n_coordinates(model))
        self.misfit, self.misfit_and_gradient = callables(model)
        self.value, self.gradient = self.misfit_and_gradient(self.start)
        self.step, self.last = step, np.zeros(k_last)
        self.rng = np.random.default_rng(seed + 1)
        self.twin = np.random.default_rng(seed + 1)

    def arrays(self, n=None):
        n = self.n if n is None else n
        d = len(self.start) + len(self.last)
        kept = n // self.keep_every if self.keep_every else 0
        return np.empty((kept, d)), np.full((n, 5), np.nan)


def compare(outcomes, trace, position, start, tolerance=1e-12):
    """Hold a kernel's trace and last position to the outcomes of reference steps."""
    assert len(outcomes) == len(trace)
    for outcome, row in zip(outcomes, trace, strict=True):
        assert bool(row[0]) == outcome.accepted
        want = min(1.0, math.exp(min(0.0, outcome.log_ratio))) if outcome.log_ratio > -math.inf else 0.0
        assert row[1] == pytest.approx(want, rel=1e-9, abs=1e-9)
        assert row[2] == pytest.approx(outcome.misfit_proposed, rel=1e-9)
        assert row[3] == pytest.approx(outcome.misfit, rel=1e-9)
        assert row[4] == outcome.n_evaluations
    want = outcomes[-1].position if outcomes else start
    np.testing.assert_allclose(position, want, rtol=tolerance, atol=tolerance)


def directions(rng, d, r):
    vectors = np.linalg.qr(rng.standard_normal((d, d)))[0][:, :r].T.copy()
    return vectors, np.sort(rng.exponential(20.0, r))[::-1].copy()


def run_pcn(
    run, temperature, ladder, moments, pair, *, adapt=False, early=True, n=None, start=None, scalars=None
):
    positions, trace = run.arrays(n)
    scalars = np.array([run.value, run.step, 0.0]) if scalars is None else scalars
    position = mcmc.pcn(
        run.model, run.rng, len(trace), adapt, (run.start if start is None else start).copy(), scalars, ladder, early,
        temperature, 0.25, *moments, *pair, run.last, run.keep_every, positions, trace,
    )  # fmt: skip
    return position, positions, trace, scalars


@given(
    kind=st.sampled_from(["linear", "cauchy", "network", "collapsed"]), size=SIZES, n=STEPS, temperature=TEMPERATURES,
    form=st.sampled_from(["pcn", "ladder", "variances", "vectors"]), early=st.booleans(), adapt=st.booleans(), seed=SEEDS,
)  # fmt: skip
@example(kind="linear", size=1, n=0, temperature=1.0, form="pcn", early=True, adapt=True, seed=0)
def test_pcn_is_the_reference_step_in_a_loop(kind, size, n, temperature, form, early, adapt, seed):
    rng = np.random.default_rng(seed)
    run = Run(models(rng, kind, size), seed, n, 0.4)
    d = len(run.start)
    k = min(2, d) if form == "variances" else 0
    mean, variances = np.zeros(k), rng.uniform(0.1, 1.5, k)
    pair = directions(rng, d, min(2, d)) if form == "vectors" else (NO_ROWS, NONE)
    ladder = np.array([0.5, 1.0, 4.0]) if form == "ladder" else np.ones(1)
    t, beta, position, value, outcomes = 0, run.step, run.start, run.value, []
    own_mean, own = mean.copy(), variances.copy()
    for _ in range(n):
        factor = ladder[int(run.twin.random() * 3)] if form == "ladder" else 1.0
        exponential = run.twin.standard_exponential()
        options = {"vectors": pair[0], "eigenvalues": pair[1]} if form == "vectors" else {}
        if form == "variances":
            options["variances"] = np.append(np.clip(own, 1e-4, 1.0), np.ones(d - k))
        misfit = run.misfit if early else lambda xi, stop: run.misfit(xi)
        outcome = reference.pcn_step(
            misfit, position, value, min(1.0, beta * factor), run.twin.standard_normal(d), exponential, temperature,
            **options,
        )  # fmt: skip
        outcomes.append(outcome)
        position, value = outcome.position, outcome.misfit
        if adapt:
            beta = np.clip(beta * np.exp((outcome.accepted - 0.25) / (t + 10) ** 0.6), 1e-4, 0.999)
            t += 1
            gain, delta = 2.0 / (t + 100.0), position[:k] - own_mean
            own_mean, own = own_mean + gain * delta, (1.0 - gain) * (own + gain * delta**2)
    got, _, trace, scalars = run_pcn(
        run, temperature, ladder, (mean, variances), pair, adapt=adapt, early=early
    )
    compare(outcomes, trace, got, run.start)
    np.testing.assert_allclose(scalars, [value, beta, t], rtol=1e-9)
    np.testing.assert_allclose(mean, own_mean, atol=1e-12)
    np.testing.assert_allclose(variances, own, rtol=1e-12)
    assert run.rng.random() == run.twin.random()


@given(
    kind=st.sampled_from(["linear", "network"]), size=SIZES, n=STEPS, temperature=TEMPERATURES, early=st.booleans(),
    seed=SEEDS,
)  # fmt: skip
def test_random_walk_is_the_reference_step_in_a_loop(kind, size, n, temperature, early, seed):
    run = Run(models(np.random.default_rng(seed), kind, size), seed, n, 0.3)
    position, value, outcomes = run.start, run.value, []
    misfit = run.misfit if early else lambda xi, stop: run.misfit(xi)
    for _ in range(n):
        exponential = run.twin.standard_exponential()
        noise = run.twin.standard_normal(len(position))
        outcomes.append(
            reference.random_walk_step(misfit, position, value, 0.3, noise, exponential, temperature)
        )
        position, value = outcomes[-1].position, outcomes[-1].misfit
    positions, trace = run.arrays()
    got = mcmc.random_walk(
        run.model, run.rng, n, False, run.start.copy(), np.array([run.value, 0.3, 0.0]), early, temperature, 0.2, NONE, 0,
        positions, trace,
    )  # fmt: skip
    compare(outcomes, trace, got, run.start)


@given(
    kind=st.sampled_from(["linear", "network"]), size=SIZES, n=STEPS, temperature=TEMPERATURES, early=st.booleans(),
    seed=SEEDS,
)  # fmt: skip
def test_elliptical_slice_is_the_reference_step_in_a_loop(kind, size, n, temperature, early, seed):
    run = Run(models(np.random.default_rng(seed), kind, size), seed, n, 0.0)
    position, value, outcomes = run.start, run.value, []
    misfit = run.misfit if early else lambda xi, stop: run.misfit(xi)
    for _ in range(n):
        exponential = run.twin.standard_exponential()
        noise = run.twin.standard_normal(len(position))
        outcomes.append(
            reference.elliptical_slice_step(
                misfit, position, value, noise, exponential, run.twin.random, temperature
            )
        )
        position, value = outcomes[-1].position, outcomes[-1].misfit
    positions, trace = run.arrays()
    got = mcmc.elliptical_slice(
        run.model,
        run.rng,
        n,
        run.start.copy(),
        np.array([run.value]),
        early,
        temperature,
        NONE,
        0,
        positions,
        trace,
    )
    compare(outcomes, trace, got, run.start, 1e-11)


LANGEVIN = {
    "inf_mala": (1.0, False, reference_gradient.inf_mala_step),
    "pcnl": (2.0, False, reference_gradient.pcnl_step),
    "mala": (1.0, True, reference_gradient.mala_step),
}


@given(
    kind=st.sampled_from(["linear", "network", "collapsed"]), size=SIZES, n=STEPS, temperature=TEMPERATURES,
    name=st.sampled_from(sorted(LANGEVIN)), seed=SEEDS,
)  # fmt: skip
def test_langevin_is_the_reference_step_in_a_loop(kind, size, n, temperature, name, seed):
    factor, ordinary, one_step = LANGEVIN[name]
    run = Run(models(np.random.default_rng(seed), kind, size), seed, n, 0.02)
    position, value, gradient, outcomes = run.start, run.value, run.gradient, []
    for _ in range(n):
        exponential = run.twin.standard_exponential()
        noise = run.twin.standard_normal(len(position))
        outcomes.append(
            one_step(
                run.misfit_and_gradient, position, value, gradient, 0.02, noise, exponential, temperature
            )
        )
        position, value, gradient = outcomes[-1].position, outcomes[-1].misfit, outcomes[-1].gradient
    positions, trace = run.arrays()
    got, slope = mcmc_gradient.langevin(
        run.model, run.rng, n, False, run.start.copy(), run.gradient.copy(), np.array([run.value, 0.02, 0.0]), factor,
        ordinary, temperature, 0.5, NONE, 0, positions, trace,
    )  # fmt: skip
    compare(outcomes, trace, got, run.start, 1e-10)
    np.testing.assert_allclose(slope, gradient, rtol=1e-7, atol=1e-7 * (1.0 + np.abs(gradient).max()))


@given(
    kind=st.sampled_from(["linear", "network", "collapsed"]), size=SIZES, n=STEPS, temperature=TEMPERATURES,
    ordinary=st.booleans(), jitter=st.sampled_from([0.0, 0.2]), n_leapfrog=st.sampled_from([1, 2, 7]), seed=SEEDS,
)  # fmt: skip
def test_hamiltonian_is_the_reference_step_in_a_loop(
    kind, size, n, temperature, ordinary, jitter, n_leapfrog, seed
):
    one_step = reference_gradient.hmc_step if ordinary else reference_gradient.inf_hmc_step
    run = Run(models(np.random.default_rng(seed), kind, size), seed, n, 0.03)
    position, value, gradient, outcomes = run.start, run.value, run.gradient, []
    for _ in range(n):
        step = 0.03 * (1.0 + jitter * (2.0 * run.twin.random() - 1.0)) if jitter else 0.03
        exponential = run.twin.standard_exponential()
        noise = run.twin.standard_normal(len(position))
        outcomes.append(
            one_step(
                run.misfit_and_gradient,
                position,
                value,
                gradient,
                step,
                n_leapfrog,
                noise,
                exponential,
                temperature,
            )
        )
        position, value, gradient = outcomes[-1].position, outcomes[-1].misfit, outcomes[-1].gradient
    positions, trace = run.arrays()
    got, slope = mcmc_gradient.hamiltonian(
        run.model, run.rng, n, False, run.start.copy(), run.gradient.copy(), np.array([run.value, 0.03, 0.0]), n_leapfrog,
        jitter, ordinary, temperature, 0.7, NONE, 0, positions, trace,
    )  # fmt: skip
    compare(outcomes, trace, got, run.start, 1e-10)
    np.testing.assert_allclose(slope, gradient, rtol=1e-7, atol=1e-7 * (1.0 + np.abs(gradient).max()))


@pytest.mark.parametrize("collapsed", [False, True])
@pytest.mark.parametrize("keep_every", [0, 1, 3])
@pytest.mark.parametrize("adapt", [False, True])
def test_a_run_has_the_bits_of_its_steps(collapsed, keep_every, adapt):
    model = network_model(np.random.default_rng(3), 4, collapsed=int(collapsed))
    whole = Run(model, 5, 13, 0.1, keep_every, 5 if collapsed else 0)
    moments = (np.zeros(2), np.ones(2))
    pair = directions(np.random.default_rng(0), len(whole.start), 3)
    end, positions, trace, scalars = run_pcn(whole, 1.0, np.array([0.5, 2.0]), moments, pair, adapt=adapt)
    apart = Run(model, 5, 13, 0.1, int(keep_every > 0), len(whole.last))
    own, state, position = (np.zeros(2), np.ones(2)), np.array([apart.value, 0.1, 0.0]), apart.start
    for i in range(13):
        position, kept, row, state = run_pcn(
            apart, 1.0, np.array([0.5, 2.0]), own, pair, adapt=adapt, n=1, start=position, scalars=state
        )
        assert row.tobytes() == trace[i : i + 1].tobytes()
        if keep_every and (i + 1) % keep_every == 0:
            assert kept[0].tobytes() == positions[(i + 1) // keep_every - 1].tobytes()
    assert position.tobytes() == end.tobytes()
    assert state.tobytes() == scalars.tobytes()
    assert apart.last.tobytes() == whole.last.tobytes()
    assert own[1].tobytes() == moments[1].tobytes()


def test_last_layer_is_that_of_the_conditional_law():
    model = network_model(np.random.default_rng(3), 4, collapsed=1)
    run = Run(model, 5, 6, 0.3, 2, 5)
    end, positions, _, _ = run_pcn(run, 1.0, np.ones(1), (NONE, NONE), (NO_ROWS, NONE))
    work, want = inverse_model.workspace(model), np.empty(5)
    for i in range(6):
        run.twin.standard_exponential()
        run.twin.standard_normal(len(end))
        noise = run.twin.standard_normal(5)
        if i % 2:
            hidden = positions[i // 2, : len(end)].copy()
            collapsed_model.draw_last_layer(model, hidden, noise, work, want)
            assert positions[i // 2, len(end) :].tobytes() == want.tobytes()
    np.testing.assert_array_equal(positions[-1], np.append(end, run.last))


def test_early_rejection_changes_no_position():
    model = network_model(np.random.default_rng(8), 7, laws=(1, 1), m=40)
    early, whole = Run(model, 2, 300, 0.2), Run(model, 2, 300, 0.2)
    nothing = ((NONE, NONE), (NO_ROWS, NONE))
    first, _, trace, _ = run_pcn(early, 1.0, np.ones(1), *nothing)
    second, _, full, _ = run_pcn(whole, 1.0, np.ones(1), *nothing, early=False)
    assert first.tobytes() == second.tobytes()
    assert 0 < trace[:, 0].sum() < 300
    assert np.all(trace[:, 2] <= full[:, 2])
    assert np.any(trace[:, 2] < full[:, 2])


@pytest.mark.parametrize("ordinary", [False, True])
def test_a_trajectory_into_an_infinite_misfit_is_rejected(ordinary):
    # A Cauchy weight of 1e300 times 1e200 overflows.
    model = linear_model(np.random.default_rng(0), 2, laws=[1, 1])._replace(left=np.full((4, 2), 1e200))
    positions, trace = np.empty((0, 2)), np.empty((3, 5))
    start = np.zeros(2)
    value, gradient = callables(model)[1](start)
    got, _ = mcmc_gradient.hamiltonian(
        model, np.random.default_rng(0), 3, False, start.copy(), gradient, np.array([value, 0.1, 0.0]), 3, 0.0, ordinary,
        1.0, 0.7, NONE, 0, positions, trace,
    )  # fmt: skip
    assert got.tolist() == [0.0, 0.0]
    assert trace[:, :2].tolist() == [[0.0, 0.0]] * 3
    assert np.all(trace[:, 4] == 1)
