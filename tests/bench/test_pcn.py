"""The benchmark of samplers: both sides have the same posterior, judge by the same numbers, and show no false times."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from scinn import bench
from scinn.bench import inverse_worker as worker
from scinn.bench import pcn
from scinn.bench.peers import PeerResult, run_peer
from scinn.bench.timing import one_thread
from scinn.inverse.diagnostics import rhat


def network(last="cauchy"):
    return pcn._network(("cauchy", "cauchy", last), (1, 5, 7, 1), 21)


def linear():
    return pcn.linear_case(np.random.default_rng(0)).posterior


POSTERIORS = {"linear": linear, "cauchy": network, "mixed": lambda: network("gaussian")}


@pytest.fixture(params=POSTERIORS)
def posterior(request):
    return POSTERIORS[request.param]()


def cpu_spin(seconds):
    import time

    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_the_peers_posterior_is_ours(posterior):
    target = worker.as_target(pcn.target_arrays(posterior))
    xi = (
        np.random.default_rng(1).standard_normal((6, posterior.dim))
        * np.array([0.1, 0.5, 1, 1, 1, 2])[:, None]
    )
    assert target.dim == posterior.dim
    np.testing.assert_allclose(
        worker.numpy_functions(target, xi), posterior.field(xi), rtol=1e-10, atol=1e-10
    )
    for row in xi:
        expected = posterior.predict(row)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(
            worker.numpy_predictions(target, row), expected, atol=1e-10 * max(1, scale)
        )
        value, gradient = posterior.misfit_and_gradient(row)
        likelihood = worker.log_likelihood(target, np, worker.special.erfc, row)
        assert -likelihood == pytest.approx(value, rel=1e-9)
        pulled = worker.pull_back(target, row, worker.numpy_predictions(target, row) - target.data)
        np.testing.assert_allclose(pulled, gradient, rtol=1e-7, atol=1e-9 * np.abs(gradient).max())


def test_cauchy_variables_are_right_far_out_in_the_tails():
    xi = np.array([-40.0, -8.0, -1.0, 0.0, 1e-8, 2.0, 9.0, 37.0])
    found = worker.cauchy(np, worker.special.erfc, xi)
    tail = worker.special.ndtr(-np.abs(np.clip(xi, -37, 37)))
    far = np.abs(xi) > 7
    # cot(pi q) is 1 / (pi q) there.
    np.testing.assert_allclose(found[far], (np.sign(xi) / (np.pi * tail))[far], rtol=1e-12)
    assert found[3] == 0
    assert found[4] == pytest.approx(1e-8 * np.sqrt(np.pi / 2), rel=1e-6)
    # A normal variable is above 1 with probability q, and the Cauchy variable above tan(pi / 2 - pi q).
    assert found[2] == pytest.approx(-np.tan(np.pi / 2 - np.pi * tail[2]))


def test_starts_of_the_linear_problem_are_draws_of_its_posterior():
    case = pcn.linear_case(np.random.default_rng(0))
    draws = case.arrays["walkers"]
    assert case.arrays["starts"].shape == (4, 64)
    precision = np.eye(64) + case.arrays["operator"].T @ case.arrays["operator"]
    mean = np.linalg.solve(precision, case.arrays["operator"].T @ case.arrays["data"])
    np.testing.assert_allclose(case.posterior.grad(mean), 0, atol=1e-9)
    # 160 draws of 64 coordinates: the sum of squares is chi-square with as many degrees of freedom.
    squares = np.einsum("ij,jk,ik->", draws - mean, precision, draws - mean)
    assert abs(squares - draws.size) < 6 * np.sqrt(2 * draws.size)


@pytest.mark.parametrize("n_draws", [8, 11, 200])
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_r_hat_of_the_stopping_rule_is_that_of_the_judgement(n_draws, shift):
    values = np.random.default_rng(n_draws).standard_normal((3, n_draws, 4))
    values[1, :, 2] += shift
    assert worker.rank_r_hat(values) == pytest.approx(float(rhat(values).max()), rel=1e-10)


def test_chains_that_do_not_move_never_count_as_converged():
    values = np.broadcast_to(np.arange(3.0)[:, None, None], (3, 20, 2))
    assert worker.rank_r_hat(values) == np.inf
    chains = worker.Chains(np.zeros((3, 20, 2)), 1.0, 60)
    outcome = pcn.judge("stuck", chains, 0.0)
    assert not outcome.converged
    assert json.loads(json.dumps(outcome.numbers()))["r_hat"] is None


def noise(rng):
    cpu_spin(2e-3)
    return rng, rng.standard_normal((10, 3)), 30


def test_chains_that_agree_stop_early_with_equal_lengths():
    rngs = [np.random.default_rng(i) for i in range(4)]
    chains = worker.sample_until(noise, rngs, lambda x: x, cap=5.0, goal=1.05)
    assert chains.seconds < 2.0
    assert chains.values.shape[0::2] == (4, 3)
    assert chains.n_steps == 4 * 3 * chains.values.shape[1]


def test_chains_that_disagree_use_up_their_time():
    def apart(state):
        _, x, n = noise(state[1])
        return state, x + 5 * state[0], n

    looked = []
    states = [(i, np.random.default_rng(i)) for i in range(3)]
    chains = worker.sample_until(apart, states, lambda x: looked.append(1) or x, cap=0.1, goal=1.01)
    assert 0.1 <= chains.seconds < 1.0
    assert worker.rank_r_hat(chains.values) > 1.5
    assert len(looked) * 10 == 3 * chains.values.shape[1]


def test_walkers_of_an_ensemble_become_chains():
    def advance(count):
        cpu_spin(2e-3)
        # Walkers 0, 1, 2 at steps of 5; the position says which.
        step = np.arange(5)[:, None, None] + 5 * count
        return count + 1, step + 100 * np.arange(3)[None, :, None] + np.zeros((1, 1, 2)), 15

    chains = worker.sample_until(advance, [0], lambda x: x, cap=0.02, goal=0.0)
    n = chains.values.shape[1]
    expected = np.arange(n)[None, :, None] + 100 * np.arange(3)[:, None, None]
    np.testing.assert_array_equal(chains.values, np.broadcast_to(expected, (3, n, 2)))


def outcome(r_hat, ess=100.0, name="sampler"):
    return pcn.Outcome(name, r_hat, ess, 10.0, 1000, 1.0)


def test_only_what_converged_has_a_time_of_an_effective_draw():
    case, peer = pcn.linear_case(np.random.default_rng(0)), pcn.Peer("theirs", "task", "package", {})
    good, bad = outcome(1.02), outcome(1.2)
    row = pcn.peer_row(case, good, peer, outcome(1.04, 50.0, "theirs 1"))
    assert (row.seconds, row.peer_seconds, row.ratio) == (0.1, 0.2, 2.0)
    row = pcn.peer_row(case, good, peer, bad)
    assert row.seconds == 0.1
    assert row.peer_seconds is None
    assert "did not converge: R-hat 1.20 after 10 s" in row.note
    assert row.numbers["peer"]["ess_per_second"] is None
    row = pcn.peer_row(case, bad, peer, good)
    assert row.ratio is None
    assert "without convergence" in row.case
    assert "R-hat 1.020" in row.note
    row = pcn.peer_row(case, good, peer, "it is not installed")
    assert (row.ratio, row.note) == (None, "not run: it is not installed")
    assert pcn.own_row(case, good).seconds == 0.1
    row = pcn.own_row(case, bad)
    assert row.seconds == 10.0
    assert "an effective draw" not in row.case


def test_an_effective_draw_costs_time_over_the_least_effective_size():
    values = np.random.default_rng(0).standard_normal((4, 500, 3))
    values[:, :, 1] = np.repeat(values[:, ::10, 1], 10, axis=1)
    judged = pcn.judge("x", worker.Chains(values, 2.0, 2000), 0.5)
    # Fifty independent draws in each of four chains.
    assert 100 < judged.ess < 300
    assert judged.seconds_per_draw == 2.0 / judged.ess


def test_the_floor_is_the_sum_of_its_parts():
    parts = {"normal": 1.0, "transform": 10.0, "tanh": 100.0, "flop": 1000.0}
    # 13 weights and biases, 2 + 3 hidden units at 7 points.
    found = pcn.floor_seconds(parts, (1, 2, 3, 1), 7, 4)
    assert found == 17 * 11 + 7 * 5 * 100 + 1000 * (2 * 7 * (2 + 6 + 3) + 2 * 4 * 7)


def test_parts_take_some_time():
    with one_thread():
        parts = pcn.part_seconds({"n_repeats": 1, "at_least": 0.0})
    assert set(parts) == {"normal", "transform", "tanh", "flop"}
    assert all(1e-12 < seconds < 1e-5 for seconds in parts.values())


def test_a_step_of_a_peer_is_shown_with_the_difference_of_its_predictions(monkeypatch):
    case = pcn.linear_case(np.random.default_rng(0))
    value = case.posterior.predict(case.arrays["starts"][0])
    info = {"seconds": 1e-3, "seconds_long": 2e-3, "versions": {"cuqipy": "1"}}
    answer = PeerResult(arrays={"value": value + 0.5 * np.abs(value).max()}, info=info)
    monkeypatch.setattr(pcn, "run_peer", lambda *args: answer)
    row = pcn.step_row(case, {"n_repeats": 1, "at_least": 0.0}, 10, 20)
    assert (row.peer, row.peer_seconds) == ("CUQIpy PCN 1", 1e-3)
    assert row.numbers["gap"] == pytest.approx(0.5)
    assert "there 1,000 in calls of 100, 500 in one of 20" in row.note


def test_samplers_are_timed_where_no_peer_is(monkeypatch, tmp_path):
    monkeypatch.setenv("SCINN_PEER_PYTHON", "/no/such/interpreter")
    record = bench.run(["pcn"], quick=True)
    assert json.loads(json.dumps(record)) == record
    rows = record["benchmarks"][0]["rows"]
    assert all(row["seconds"] > 0 for row in rows)
    assert all("no interpreter" in row["note"] for row in rows if row["peer"] not in ("", "its parts"))
    samplers = {row["numbers"].get("sampler") for row in rows}
    assert {"pCN", "infinity-HMC", "collapsed pCN", "collapsed infinity-HMC"} <= samplers
    (hmc,) = [row for row in rows if "(i)" in row["case"] and row["numbers"].get("sampler") == "infinity-HMC"]
    assert hmc["numbers"]["r_hat"] < pcn.CONVERGED


TINY = {"seed": 0, "cap": 0.05, "goal": 1.01, "n_block": 20, "thin": 1, "n_warm_up": 20}
PEERS = {
    "cuqipy_sampler": {"sampler": "PCN"},
    "emcee_stretch": {},
    "blackjax_sampler": {"sampler": "hmc", "settings": {"num_integration_steps": 20}},
    "numpyro_nuts": {},
    "pymc_nuts": {"n_draws": 10},
}


@pytest.mark.parametrize("task", PEERS)
def test_peers_sample_the_linear_posterior_that_they_are_given(task):
    if not os.environ.get("SCINN_PEER_PYTHON"):
        pytest.skip("no interpreter of peers")
    case = pcn.linear_case(np.random.default_rng(0))
    answer = run_peer(task, case.arrays, TINY | PEERS[task])
    if "is not installed" in answer.reason:
        pytest.skip(answer.reason)
    assert answer, answer.reason
    values = answer.arrays["values"]
    assert values.ndim == 3
    assert values.shape[2] == 64
    assert answer.info["seconds"] > 0
    operator, field = case.arrays["operator"], case.arrays["field"]
    covariance = np.linalg.inv(np.eye(64) + operator.T @ operator)
    mean = field @ (covariance @ (operator.T @ case.arrays["data"]))
    deviation = np.sqrt(np.einsum("ij,jk,ik->i", field, covariance, field))
    # Chains start in exact draws, so that every position is one.
    scores = (values - mean) / deviation
    assert np.abs(scores).max() < 7
    assert 0.3 < scores.std() < 2
