"""Probabilities that two neurons differ, the best threshold and the bounds, against all points of the cube."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scinn.robustness import joint_methods as methods
from scinn.robustness.chow import chow_parameters
from scinn.robustness.joint_law import (
    accuracy_drop_bound,
    change_probability,
    match_threshold,
    threshold_profile,
)

SEEDS = st.integers(0, 2**32 - 1)
TIES = st.sampled_from([-1, 0, 1])
KINDS = ["generic", "equal", "integers", "stabilised", "single", "zero"]


def all_points(n):
    return 1.0 - 2.0 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)


def signs(margins, tie):
    # Sums of the numbers below are exact, or off by rounding that a point on the plane does not exceed.
    return np.where(np.abs(margins) < 1e-12, tie, np.sign(margins))


def draw(rng, n, kind):
    if kind == "generic":
        return rng.standard_normal(n)
    if kind == "equal":
        return np.full(n, 0.75)
    if kind == "integers":
        return rng.integers(-4, 5, n).astype(float)
    if kind == "stabilised":
        return 0.3 * rng.choice([-1.0, 0.0, 1.0], n)
    if kind == "single":
        return np.where(np.arange(n) == 0, -1.5, 0.0)
    return np.zeros(n)


def two_neurons(n, first, second, seed):
    rng = np.random.default_rng(seed)
    w, v = draw(rng, n, first), draw(rng, n, second)
    theta, mu = (
        float(rng.choice([0.0, 0.3, 1.0, -0.5, 20.0], p=[0.3, 0.3, 0.2, 0.1, 0.1])) for _ in range(2)
    )
    return w, theta, v, mu


def brute_force(w, theta, v, mu, tie):
    x = all_points(len(w))
    return float(np.mean(signs(x @ w - theta, tie) != signs(x @ v - mu, tie)))


@given(
    n=st.integers(1, 10), first=st.sampled_from(KINDS), second=st.sampled_from(KINDS), tie=TIES, seed=SEEDS
)
def test_exact_probability_counts_points(n, first, second, tie, seed):
    w, theta, v, mu = two_neurons(n, first, second, seed)
    result = change_probability(w, theta, v, mu, tie=tie)
    assert result.kind == "exact"
    assert result.value == brute_force(w, theta, v, mu, tie)


def test_near_ties_are_decided_without_rounding():
    # In exact arithmetic the doubles 0.1 + 0.2 exceed 0.3; every order of float64 sums must not decide otherwise.
    w, v = np.array([0.1, 0.2, 0.3]), np.array([1.0, 2.0, 3.0])
    for tie in (-1, 0, 1):
        # (x = + + -): 0.1 + 0.2 - 0.3 > 0 in doubles, 0 in integers; (- - +) the other way round.
        expected = {1: 1 / 8, -1: 1 / 8, 0: 2 / 8}[tie]
        assert change_probability(w, 0.0, v, 0.0, tie=tie).value == expected


@given(n=st.integers(1, 9), tie=TIES, seed=SEEDS)
def test_dynamic_programming_equals_enumeration(n, tie, seed):
    rng = np.random.default_rng(seed)
    w, v = rng.integers(-4, 5, (2, n)).astype(float)
    law = methods.lattice_pair_law(w, v)
    x = all_points(n)
    r, c = ((x @ u + np.abs(u).sum()) / 2 for u in (v, w))
    want = np.zeros_like(law)
    np.add.at(want, (r.astype(int), c.astype(int)), 0.5**n)
    assert np.array_equal(law, want)
    assert np.array_equal(methods.lattice_law(w), law.sum(axis=0))


def test_long_lattices_are_exact():
    # Nested majorities of 101 and 99 inputs differ where the sum of 99 is 0 apart from the last two.
    w, v = np.ones(101), np.append(np.ones(99), [0.0, 0.0])
    result = change_probability(w, 0.0, v, 0.0)
    assert (result.kind, result.method) == ("exact", "dynamic programming")
    # The sum of 99 must be 1 with both others -1, or -1 with both +1.
    want = 2.0 * math.comb(99, 49) / 2**99 / 4.0
    assert result.value == pytest.approx(want, rel=1e-12)


@given(
    n=st.integers(8, 14), seed=SEEDS, second=st.sampled_from(["stabilised", "equal", "single", "integers"])
)
def test_series_on_a_lattice_is_right_within_its_estimate(n, second, seed):
    rng = np.random.default_rng(seed)
    w, v = rng.standard_normal(n), draw(rng, n, second)
    theta, mu = float(rng.standard_normal()), 0.31
    result = change_probability(w, theta, v, mu, method="series")
    assert result.kind == "series"
    assert abs(result.value - brute_force(w, theta, v, mu, 1)) <= result.half_width
    assert result.half_width < 0.05


@given(n=st.integers(12, 16), seed=SEEDS, noise=st.sampled_from([0.1, 0.5, 2.0]))
def test_double_series_is_right_within_its_estimate(n, seed, noise):
    rng = np.random.default_rng(seed)
    w = rng.standard_normal(n)
    v = w + noise * rng.standard_normal(n)
    theta, mu = rng.standard_normal(2)
    result = change_probability(w, theta, v, mu, method="series")
    assert abs(result.value - brute_force(w, theta, v, mu, 1)) <= result.half_width
    assert result.half_width < 0.5


@pytest.mark.parametrize("spread", [0.02, 0.2, 1.0])
def test_lattice_moments_have_the_chow_parameters_as_sums(spread):
    rng = np.random.default_rng(10)
    w = rng.uniform(1.0 - spread, 1.0 + spread, 120)
    lattice = rng.integers(-2, 4, 120).astype(float)
    moments, _ = methods.lattice_moments(methods.plane_of(w, 2.1), lattice)
    chow = chow_parameters(w, 2.1).value
    total = int(np.abs(lattice).sum())
    sums = -total + 2.0 * np.arange(total + 1)
    assert moments.sum() == pytest.approx(chow[0], abs=1e-11)
    assert moments @ sums == pytest.approx(lattice @ chow[1:], abs=1e-9)
    assert (np.abs(moments) <= methods.lattice_law(lattice) + 1e-12).all()


def test_nearly_equal_weights_widen_the_double_series():
    rng = np.random.default_rng(11)
    w, v = rng.uniform(0.95, 1.05, (2, 135))
    result = change_probability(w, 0.3, v, 1.6, method="series")
    sampled = change_probability(w, 0.3, v, 1.6, method="sampling", n_samples=400_000, rng=0)
    assert abs(result.value - sampled.value) <= result.half_width + sampled.half_width
    assert result.half_width > 1e-3
    # Where the series is worth less than a sample, the sample is taken.
    assert change_probability(w, 0.3, v, 1.6, rng=0).kind == "estimated"


def test_methods_agree_on_long_neurons():
    rng = np.random.default_rng(0)
    w = rng.standard_normal(135)
    for v, mu in ((np.sign(w), 0.3), (np.sign(w) * np.abs(w) ** 1.3, 1.1), (rng.standard_normal(135), -3.0)):
        series = change_probability(w, 1.0, v, mu)
        assert series.kind == "series"
        assert series.half_width < 1e-12
        sampled = change_probability(w, 1.0, v, mu, method="sampling", rng=1)
        assert sampled.kind == "estimated"
        assert abs(series.value - sampled.value) <= sampled.half_width < 0.005
        bound = change_probability(w, 1.0, v, mu, method="bound")
        assert bound.kind == "bound"
        assert series.value <= bound.value
        swapped = change_probability(v, mu, w, 1.0)
        assert swapped.value == pytest.approx(series.value, abs=1e-12)


def test_the_angle_is_a_good_estimate_without_thresholds():
    rng = np.random.default_rng(2)
    w = rng.standard_normal(200)
    v = np.sign(w)
    angle = change_probability(w, 0.0, v, 0.0, method="arccos")
    assert angle.value == pytest.approx(change_probability(w, 0.0, v, 0.0).value, abs=3e-3)
    assert angle.to_dict()["half_width"] is None
    assert change_probability(w, 0.0, 3.0 * w, 0.0, method="arccos").value < 1e-12


@pytest.mark.parametrize("factor", [2.0, -0.5])
def test_parallel_planes(factor):
    rng = np.random.default_rng(3)
    w = rng.standard_normal(100)
    result = change_probability(w, 1.0, factor * w, factor * 3.0)
    near = change_probability(w, 1.0, factor * w + 1e-3 * rng.standard_normal(100), factor * 3.0)
    assert result.kind == "series"
    assert result.half_width < 1e-8
    assert result.value == pytest.approx(near.value, abs=1e-3)
    assert change_probability(w, 1.0, w, 1.0).value == 0.0


def test_same_seed_same_bits():
    rng = np.random.default_rng(4)
    w, v = rng.standard_normal((2, 60))
    first, second = (
        change_probability(w, 0.0, v, 0.0, method="sampling", n_samples=5000, rng=7).value for _ in range(2)
    )
    assert first == second


@given(n=st.integers(1, 9), first=st.sampled_from(KINDS), second=st.sampled_from(KINDS), tie=TIES, seed=SEEDS)
def test_the_matched_threshold_is_optimal(n, first, second, tie, seed):
    w, theta, v, _ = two_neurons(n, first, second, seed)
    profile = threshold_profile(w, theta, v, tie=tie)
    assert profile.kind == "exact"
    values = np.unique(np.round(all_points(n) @ v, 9))
    candidates = np.concatenate([[values[0] - 1], 0.5 * (values[1:] + values[:-1]), [values[-1] + 1]])
    best = min(brute_force(w, theta, v, mu, tie) for mu in candidates)
    assert profile.probability == pytest.approx(best, abs=1e-12)
    assert brute_force(w, theta, v, profile.threshold, tie) == pytest.approx(best, abs=1e-12)
    assert match_threshold(w, theta, v, tie=tie) == profile.threshold
    assert len(profile.thresholds) == len(candidates)


@pytest.mark.parametrize("direction", ["equal", "power"])
def test_the_matched_threshold_of_long_neurons(direction):
    rng = np.random.default_rng(5)
    w = rng.standard_normal(135)
    v = np.sign(w) * (0.8 if direction == "equal" else np.abs(w) ** 1.4)
    profile = threshold_profile(w, 4.0, v)
    assert profile.kind == "series"
    assert len(profile.thresholds) == (137 if direction == "equal" else len(profile.thresholds))
    at_best = change_probability(w, 4.0, v, profile.threshold)
    assert at_best.value == pytest.approx(profile.probability, abs=1e-12)
    step = 1.6 if direction == "equal" else 0.05
    for shift in (-step, step):
        assert change_probability(w, 4.0, v, profile.threshold + shift).value >= profile.probability
    # Keeping the threshold is not the best.
    assert profile.probability < change_probability(w, 4.0, v, 4.0).value


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_constant_neurons(side):
    rng = np.random.default_rng(9)
    w, v = rng.standard_normal((2, 70))
    constant = 1.0 + np.abs(w).sum()
    profile = threshold_profile(w, side * constant, v)
    assert profile.probability == 0.0
    assert change_probability(w, side * constant, v, profile.threshold).value == 0.0
    one = change_probability(w, side * constant, v, 0.5)
    assert one.kind == "series"
    mean = chow_parameters(v, 0.5).value[0]
    assert one.value == pytest.approx(0.5 * (1.0 + side * mean), abs=1e-10)
    assert change_probability([], 1.0, [], -1.0).value == 1.0


def test_sampled_profile_is_the_last_resort():
    # Integer weights too large for a table beside generic ones.
    rng = np.random.default_rng(6)
    w = rng.integers(1, 10**4, 60).astype(float)
    v = w * rng.uniform(0.9, 1.1, 60)
    profile = threshold_profile(w, 100.0, v, n_samples=20_000, rng=0)
    assert profile.kind == "estimated"
    assert abs(profile.threshold - 100.0) < 0.2 * np.linalg.norm(w)
    again = threshold_profile(w, 100.0, v, n_samples=20_000, rng=0)
    assert again.threshold == profile.threshold


@given(n=st.integers(1, 9), first=st.sampled_from(KINDS), second=st.sampled_from(KINDS), tie=TIES, seed=SEEDS)
def test_the_bounds_hold_and_gamma_is_the_identity(n, first, second, tie, seed):
    w, theta, v, mu = two_neurons(n, first, second, seed)
    x = all_points(n)
    h, m = signs(x @ w - theta, tie), x @ v - mu
    g = signs(m, tie)
    bound = accuracy_drop_bound(w, theta, v, mu, tie=tie)
    changed = float(np.mean(g != h))
    assert bound.proven
    assert changed <= bound.value + 1e-12
    assert bound.law_bound is not None
    assert changed <= bound.law_bound + 1e-12
    assert changed <= bound.normal_bound + 1e-12
    gamma = float(np.mean(np.abs(m) * np.abs(g - h)))
    assert gamma <= bound.gamma + 1e-14
    assert bound.gamma == pytest.approx(gamma, abs=1e-10)


def test_given_chow_parameters_are_used():
    rng = np.random.default_rng(8)
    w = rng.standard_normal(12)
    v = np.sign(w)
    chow = chow_parameters(w, 0.2).value
    given_, own = accuracy_drop_bound(w, 0.2, v, 0.5, chow=chow), accuracy_drop_bound(w, 0.2, v, 0.5)
    assert given_.gamma == pytest.approx(own.gamma, abs=1e-12)
    with pytest.raises(ValueError, match="chow has shape"):
        accuracy_drop_bound(w, 0.2, v, 0.5, chow=chow[1:])


def test_results_become_dictionaries_and_pictures():
    w = [3.0, 1.0, 1.0, 1.0]
    profile = threshold_profile(w, 0.0, np.ones(4))
    assert profile.to_dict()["thresholds"] == profile.thresholds.tolist()
    axes = profile.plot()
    assert len(axes.lines[0].get_xdata()) == len(profile.thresholds)
    assert change_probability(w, 0.0, np.ones(4), 0.0).to_dict()["kind"] == "exact"
    assert set(accuracy_drop_bound(w, 0.0, np.ones(4), 0.0).to_dict()) >= {"value", "gamma", "law_bound"}


def test_bad_arguments_are_named():
    w = np.ones(4)
    with pytest.raises(ValueError, match="other_weights has 3 entries and weights has 4"):
        change_probability(w, 0.0, np.ones(3), 0.0)
    with pytest.raises(ValueError, match="new_weights has 5 entries"):
        match_threshold(w, 0.0, np.ones(5))
    with pytest.raises(ValueError, match="weights holds 1 NaN"):
        change_probability([1.0, np.nan], 0.0, [1.0, 1.0], 0.0)
    with pytest.raises(ValueError, match="threshold"):
        change_probability(w, math.inf, w, 0.0)
    with pytest.raises(ValueError, match="tie"):
        change_probability(w, 0.0, w, 0.0, tie=2)
    with pytest.raises(ValueError, match="method"):
        change_probability(w, 0.0, w, 0.0, method="exakt")
    with pytest.raises(ValueError, match="method='sampling'"):
        change_probability(np.sqrt(np.arange(1.0, 41.0)), 0.0, np.ones(40), 0.0, method="exact")
