"""Stabilising single neurons and layers: against the definition on the whole cube, and the rules for odd cases."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scinn.robustness import chow_parameters, stabilize, stabilize_layer
from scinn.robustness.fourier_stabilization import (
    conjugate,
    is_constant,
    norm,
    proxy_benefit,
    stabilized_columns,
)

SEEDS = st.integers(0, 2**31 - 1)
POWERS = [1.0, 1.5, 2.0, 4.0, math.inf]


def cube(n):
    return 1.0 - 2 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)


def answers(x, weights, threshold, tie=1):
    m = x @ np.asarray(weights, dtype=float) - threshold
    return np.where(m == 0, tie, np.sign(m))


def draw(seed, n=7):
    """Return a neuron that is not constant."""
    rng = np.random.default_rng(seed)
    w = rng.normal(size=n)
    return w, float(rng.normal() * np.abs(w).sum() / 4)


def test_closed_form_for_p_1_is_that_of_the_authors():
    w = np.array([0.5, -2.0, 0.0, 1.0, -0.0], dtype=np.float32)
    result = stabilize(w, 0.25)
    assert result.weights.dtype == np.float32
    assert result.weights.tolist() == [2, -2, 0, 2, 0]
    assert (result.threshold, result.original_threshold, result.changed, result.reason) == (
        0.25,
        0.25,
        True,
        "",
    )
    np.testing.assert_array_equal(result.original_weights, w)
    np.testing.assert_array_equal(stabilized_columns(w[:, None])[:, 0], result.weights)


@pytest.mark.parametrize("p", POWERS)
@given(seed=SEEDS)
def test_report_is_what_the_whole_cube_says(p, seed):
    w, theta = draw(seed)
    q, x = conjugate(p), cube(7)
    result = stabilize(w, theta, p=p)
    v = result.weights
    h, g = answers(x, w, theta), answers(x, v, theta)
    sizes = np.linalg.norm(w, q), np.linalg.norm(v, q)
    assert sizes[1] == pytest.approx(sizes[0], rel=1e-12)
    before = np.mean(np.abs(x @ w - theta)) / sizes[0]
    signed = np.mean(h * (x @ v - theta)) / sizes[1]
    after = np.mean(np.abs(x @ v - theta)) / sizes[1]
    assert result.distance_before == pytest.approx(before, rel=1e-12)
    assert result.signed_distance == pytest.approx(signed, rel=1e-12, abs=1e-12)
    assert result.distance_after == pytest.approx(after, rel=1e-12)
    assert result.benefit == pytest.approx(signed - before, abs=1e-12)
    assert result.change.value == pytest.approx(np.mean(g != h), abs=1e-12)
    # Nothing has a larger signed distance: try what could.
    c, c0 = (h[:, None] * x).mean(axis=0), h.mean()
    rng = np.random.default_rng(seed)
    for other in (*rng.normal(size=(20, 7)), *(v + 1e-3 * rng.normal(size=(20, 7))), np.sign(c), c):
        # With its own norm, so that the threshold's share is the same.
        u = other * (sizes[0] / np.linalg.norm(other, q))
        assert np.mean(h * (x @ u - theta)) / sizes[0] <= result.optimum + 1e-12
    assert result.optimum == pytest.approx(result.signed_distance, rel=1e-12, abs=1e-12)
    assert result.optimum == pytest.approx(norm(c, p) - theta * c0 / sizes[0], rel=1e-12, abs=1e-12)


@given(seed=SEEDS)
def test_largest_coefficients_share_the_weight_for_p_inf(seed):
    rng = np.random.default_rng(seed)
    # Where the first two cancel the majority of the others decides: their coefficients are 1/4, those of the two 1/2.
    w = np.concatenate([[2.0, -2.0], rng.uniform(0.2, 0.3, 3) * rng.choice([-1, 1], 3)])
    result = stabilize(w, 0.0, p=math.inf)
    np.testing.assert_allclose(np.abs(result.weights[:2]), np.abs(w).sum() / 2)
    assert not result.weights[2:].any()


@pytest.mark.parametrize("tie", [1, 0, -1])
def test_ties_count_as_asked(tie):
    w, x = np.array([1.0, 1.0, 2.0]), cube(3)
    result = stabilize(w, 0.0, p=2.0, tie=tie)
    h = answers(x, w, 0.0, tie)
    np.testing.assert_allclose(result.chow.value, [h.mean(), *(h[:, None] * x).mean(axis=0)], atol=1e-15)
    np.testing.assert_allclose(
        result.weights, result.chow.value[1:] * 6**0.5 / norm(result.chow.value[1:], 2.0)
    )


# Thresholds


def test_rule_zero():
    w, theta = draw(0)
    result = stabilize(w, theta, threshold_rule="zero")
    assert result.threshold == 0.0
    np.testing.assert_array_equal(result.weights, stabilize(w, theta).weights)


@pytest.mark.parametrize("p", POWERS[:-1])
@given(seed=SEEDS)
def test_rule_joint_is_the_neuron_with_a_constant_input(p, seed):
    w, theta = draw(seed, 6)
    x = np.hstack([cube(6), np.ones((64, 1))])
    h = answers(x, [*w, -theta], 0.0)
    c = (h[:, None] * x).mean(axis=0)
    result = stabilize(w, theta, p=p, threshold_rule="joint")
    q = conjugate(p)
    extended = np.array([*result.weights, -result.threshold])
    size = np.linalg.norm([*w, theta], q)
    # As far from its labels as any plane of n + 1 weights can be, and of the same norm.
    assert np.linalg.norm(extended, q) == pytest.approx(size, rel=1e-12)
    assert extended @ c == pytest.approx(norm(c, p) * size, rel=1e-12)


@pytest.mark.parametrize("p", POWERS)
def test_rule_joint_takes_no_threshold_from_rounding(p, monkeypatch):
    # E h is 0 by symmetry; its sign would be that of a rounding error.
    def rounded(*arguments, **options):
        result = chow_parameters(*arguments, **options)
        return replace(result, value=result.value + 1e-16, bound=2e-16)

    monkeypatch.setattr("scinn.robustness.fourier_stabilization.chow_parameters", rounded)
    w = np.random.default_rng(0).normal(size=9)
    assert stabilize(w, 0.0, p=p, threshold_rule="joint", tie=0).threshold == 0.0


def test_rule_joint_may_leave_no_weights():
    # True at 15 of 16 points: E h = 7/8 exceeds every other coefficient.
    result = stabilize(np.ones(4), -3.0, p=math.inf, threshold_rule="joint")
    assert not result.changed
    assert "only a threshold" in result.reason
    assert result.weights.tolist() == [1, 1, 1, 1]


@given(seed=SEEDS)
def test_rule_match_changes_the_fewest_answers(seed):
    w, theta = draw(seed)
    x = cube(7)
    h = answers(x, w, theta)
    matched = stabilize(w, theta, threshold_rule="match")
    found = np.mean(answers(x, matched.weights, matched.threshold) != h)
    # Rounded, because equal sums of the definition may differ in their last bits.
    sums = np.unique(np.round(x @ matched.weights, 9))
    thresholds = np.concatenate([[sums[0] - 1], (sums[1:] + sums[:-1]) / 2, [sums[-1] + 1]])
    best = min(np.mean(answers(x, matched.weights, mu) != h) for mu in thresholds)
    assert found == pytest.approx(best, abs=1e-12)
    assert matched.change.value == pytest.approx(found, abs=1e-12)


# Weights that never decide


def test_zero_influence():
    w = [3.0, 1.0, 1.0, 0.1]
    x = cube(4)
    kept, dropped = (stabilize(w, 0.0, zero_influence=rule) for rule in ("sign", "drop"))
    # The last weight is never large enough to decide: 3 alone outweighs the rest.
    assert dropped.chow.value[1:].tolist() == [1, 0, 0, 0]
    assert kept.weights.tolist() == [3, 3, 3, 3]
    assert dropped.weights.tolist() == [3, 0, 0, 0]
    # To drop them leaves every answer as it was; both have the same signed distance.
    assert dropped.change.value == 0.0
    assert kept.change.value == np.mean(answers(x, kept.weights, 0.0) != answers(x, w, 0.0)) > 0
    assert kept.signed_distance == dropped.signed_distance == 1.0


@pytest.mark.parametrize("p", [1.01, 1.5, 2.0])
def test_weights_that_never_decide_are_dropped_for_other_p(p):
    # 1e-17 ** 0.01 would be two thirds.
    assert stabilize([3.0, 1.0, 1.0, 0.1], 0.0, p=p).weights[1:].tolist() == [0, 0, 0]


# Coefficients of the activation


@pytest.mark.parametrize("activation", ["tanh", "scaled_logistic"])
def test_surrogate(activation):
    w, theta = draw(3)
    x = cube(7)
    z = x @ w - theta
    f = np.tanh(z if activation == "tanh" else z / 2)
    c = (f[:, None] * x).mean(axis=0)
    result = stabilize(w, theta, p=2.0, activation=activation, surrogate="activation")
    np.testing.assert_allclose(result.weights, c * norm(w, 2.0) / norm(c, 2.0), rtol=1e-9)
    other = stabilize(w, theta, p=2.0, activation=activation)
    np.testing.assert_array_equal(other.weights, stabilize(w, theta, p=2.0).weights)
    assert not np.allclose(other.weights, result.weights, rtol=1e-3)
    # The report is about the sign of both neurons.
    assert result.distance_before == other.distance_before
    assert result.signed_distance < other.signed_distance
    assert other.optimum == result.optimum


# Neurons that are left as they are


@pytest.mark.parametrize(
    ("weights", "threshold", "tie"),
    [
        ([1.0, 1.0], 2.5, 1),
        ([1.0, 1.0], -2.5, 1),
        ([0.0, 0.0], 0.0, 1),
        ([0.0, 0.0], 1.0, 0),
        # The threshold is reached exactly: ties decide.
        ([1.0, 1.0], -2.0, 1),
        ([1.0, 1.0], 2.0, -1),
    ],
)
@pytest.mark.parametrize("p", [1.0, 2.0, math.inf])
def test_constant_neurons_are_left_and_named(weights, threshold, tie, p):
    assert is_constant(np.array(weights), threshold, tie)
    result = stabilize(weights, threshold, tie=tie, p=p)
    assert not result.changed
    assert result.reason.startswith("constant: its sign is the same on the whole cube")
    assert result.weights.tolist() == weights
    assert result.threshold == threshold
    assert result.signed_distance == result.distance_after == result.optimum == result.distance_before
    assert result.benefit == result.proxy_benefit == 0.0
    assert result.change is None
    assert "left as it was; constant" in repr(result)


@given(seed=SEEDS)
def test_is_constant_against_the_cube(seed):
    rng = np.random.default_rng(seed)
    # Small integers, so that ties occur.
    w, x = rng.integers(-2, 3, 5).astype(float), cube(5)
    for theta in (*range(-11, 12), float(np.abs(w).sum()), -float(np.abs(w).sum())):
        for tie in (1, 0, -1):
            same = len(np.unique(answers(x, w, theta, tie))) == 1
            assert is_constant(w, theta, tie) == same, (w, theta, tie)


def test_nearly_constant_neurons_are_left_where_their_coefficients_are_needed():
    # One point of 2 ** 60 has another answer.
    w, theta = np.random.default_rng(0).uniform(1, 2, 60), 0.0
    theta = math.fsum(w) * (1 - 1e-9)
    assert not is_constant(w, theta)
    result = stabilize(w, theta, p=2.0, report=False)
    if result.changed:
        # Whoever computes coefficients of 1e-18 exactly may do it: all of them are equal.
        np.testing.assert_allclose(result.weights, norm(w, 2.0) / 60**0.5)
    else:
        assert "too small to be told from 0" in result.reason
    assert stabilize(w, theta, report=False).changed


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (([1.0, np.nan],), {}, ValueError, "weights holds 1 NaN or infinite value, the first at 1"),
        (([[1.0, 2.0]],), {}, ValueError, "weights has 2 dimensions"),
        (([],), {}, ValueError, "weights is empty"),
        (([1.0], np.nan), {}, ValueError, "threshold is nan"),
        (
            ([1.0],),
            {"p": 0.5},
            ValueError,
            "p is 0.5; a number >= 1 or math.inf is wanted: for p < 1 there is no norm",
        ),
        (([1.0],), {"p": -math.inf}, ValueError, "p is -inf; a number >= 1"),
        (([1.0],), {"p": math.nan}, ValueError, "p is nan"),
        (([1.0],), {"p": "inf"}, TypeError, "p is 'inf'"),
        (([1.0],), {"activation": "step"}, ValueError, "activation is 'step'"),
        (([1.0],), {"tie": 2}, ValueError, "tie is 2"),
        (([1.0],), {"threshold_rule": "T1"}, ValueError, "'keep', 'zero', 'joint', 'match' is wanted"),
        (([1.0],), {"zero_influence": "keep"}, ValueError, "zero_influence is 'keep'"),
        (([1.0],), {"surrogate": "tanh"}, ValueError, "surrogate is 'tanh'"),
    ],
)
def test_bad_input(arguments, options, error, message):
    with pytest.raises(error, match=message):
        stabilize(*arguments, **options)


# Layers


def test_layer_is_its_neurons():
    rng = np.random.default_rng(0)
    w, theta = rng.normal(size=(8, 5)).astype(np.float32), rng.normal(size=5)
    w[:, 2] = 0.0
    layer = stabilize_layer(w, theta, p=2.0, threshold_rule="match")
    assert layer.weights.dtype == np.float32
    for j, neuron in enumerate(layer.neurons):
        alone = stabilize(w[:, j], float(theta[j]), p=2.0, threshold_rule="match")
        np.testing.assert_array_equal(layer.weights[:, j], alone.weights)
        assert layer.thresholds[j] == alone.threshold
        assert neuron.to_dict() == alone.to_dict()
    assert list(layer.unchanged) == [2]
    assert json.loads(json.dumps(layer.to_dict()))["neurons"][2]["neuron"] == 2
    lines = repr(layer).splitlines()
    assert lines[0] == "StabilizedLayer(8 features, 5 neurons)"
    assert "constant" in lines[4]
    assert len(lines) == 7


def test_layer_of_no_neurons_and_bad_layers():
    empty = stabilize_layer(np.zeros((3, 0)), [])
    assert empty.weights.shape == (3, 0)
    assert empty.neurons == ()
    with pytest.raises(ValueError, match=r"thresholds has shape \(3,\); \(2,\) is wanted"):
        stabilize_layer(np.ones((3, 2)), np.zeros(3))
    with pytest.raises(ValueError, match="weights has 1 dimensions"):
        stabilize_layer(np.ones(3), [0.0])


def test_report_can_be_left_out_and_written_as_json():
    w, theta = draw(1)
    result = stabilize(w, theta, p=math.inf, report=False)
    assert result.change is None
    held = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert held["p"] == "inf"
    assert held["change"] is None
    assert held["optimum"] == result.optimum
    assert "changes its answer with probability" in repr(stabilize(w, theta))


def test_plot():
    rng = np.random.default_rng(0)
    ax = stabilize_layer(rng.normal(size=(6, 3)), np.zeros(3), report=False).plot()
    assert len(ax.patches) == 6
    assert ax.get_xlabel() == "hidden neuron"


# Norms


@given(seed=SEEDS, q=st.sampled_from([1.0, 4 / 3, 2.0, 7.0, 300.0, math.inf]))
def test_norm(seed, q):
    values = np.random.default_rng(seed).normal(size=9)
    assert norm(values, q) == pytest.approx(np.linalg.norm(values, q), rel=1e-13)
    assert norm(1e200 * values, q) == pytest.approx(1e200 * norm(values, q), rel=1e-12)
    assert norm(1e-200 * values, q) == pytest.approx(1e-200 * norm(values, q), rel=1e-12)


def test_norms_of_nothing_and_conjugates():
    assert norm(np.zeros(3), 3.0) == 0.0
    assert norm(np.zeros(0), 1.0) == 0.0
    for p in (1.0, 1.25, 2.0, 10.0, math.inf):
        assert conjugate(conjugate(p)) == pytest.approx(p)


def test_proxy_benefit_is_that_of_the_program():
    w = np.random.default_rng(0).normal(size=(12, 4))
    want = 12 - np.abs(w).sum(axis=0) / np.abs(w).max(axis=0)
    np.testing.assert_allclose(proxy_benefit(w, stabilized_columns(w)), want, rtol=1e-13)
    x = cube(12)
    v = stabilized_columns(w)
    largest = [np.abs(x @ a).max(axis=0) / np.abs(a).max(axis=0) for a in (w, v)]
    np.testing.assert_allclose(largest[1] - largest[0], want, rtol=1e-12)


def test_a_wide_error_bound_erases_no_weight():
    # The coefficients of the small weights are below the bound of the method, and far from 0.
    w = np.concatenate([np.ones(30), np.full(30, 0.1234567)])
    for options in ({"zero_influence": "drop"}, {"p": 2.0}, {"p": 1.01}):
        result = stabilize(w, 0.0, report=False, **options)
        assert (result.weights > 0).all()
        assert result.signed_distance >= result.distance_before - 1e-9


def test_numpy_numbers_are_numbers():
    w = np.array([1.5, -1.0, 0.5])
    result = stabilize(w, np.float32(0.25), p=np.float32(np.inf), tie=np.int64(-1), report=False)
    assert result.p == np.inf
    with pytest.raises(ValueError, match="more than a float64 holds; divide both"):
        stabilize([1e308, 1e308, 1.0])
    # Arrays have no single truth value, so results are compared by identity.
    assert result == result
    assert result != stabilize(w, report=False)
    assert hash(result) == hash(result)
