"""Probabilities that two neurons differ, the best threshold and the bounds, against all points of the cube."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scinn.robustness import joint_methods as methods
from scinn.robustness import joint_points as points
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
    # Sums of generic floats are rounded, so that no threshold is sought on them.
    if tie == 0 and second != "generic":
        best = min([best] + [brute_force(w, theta, v, mu, tie) for mu in on_plane(v)])
    assert profile.probability == pytest.approx(best, abs=1e-12)
    assert brute_force(w, theta, v, profile.threshold, tie) == pytest.approx(best, abs=1e-12)
    assert match_threshold(w, theta, v, tie=tie) == profile.threshold
    if tie:
        assert len(profile.thresholds) == len(candidates)
    for mu, probability in zip(profile.thresholds, profile.probabilities, strict=True):
        assert probability == pytest.approx(brute_force(w, theta, v, mu, tie), abs=1e-12)


def on_plane(v):
    """Values of <v,x> that floats hold, by fractions."""
    exact = {
        sum((Fraction(a) * s for a, s in zip(v.tolist(), x)), Fraction(0))
        for x in all_points(len(v)).astype(int).tolist()
    }
    return [float(value) for value in exact if Fraction(float(value)) == value]


def test_without_a_sign_of_zero_the_best_threshold_may_be_on_the_plane():
    assert match_threshold([1, 1, 1], 1, [1, 1, 1], tie=0) == 1.0
    assert threshold_profile([1, 1, 1], 1, [1, 1, 1], tie=0).probability == 0.0
    assert threshold_profile([1, 1, 1], 1, [1, 1, 1], tie=1).probability == 0.0
    # Neither on a small lattice: half of the weights are 2^-30.
    w = np.array([1.0, 1.0, 2.0**-30, 2.0**-30])
    assert match_threshold(w, 2.0, w, tie=0) == 2.0
    # Of 60 inputs: the dynamic programme.
    profile = threshold_profile(np.ones(60), 2.0, np.ones(60), tie=0)
    assert (profile.threshold, profile.probability) == (2.0, 0.0)


def exact_signs(weights, threshold, heads, counts, tie):
    """sgn of sum_g w_g (2 c_g - k_g) - theta over the rationals that the floats are."""
    margin = sum((Fraction(w) * (2 * c - k) for w, c, k in zip(weights, heads, counts)), -Fraction(threshold))
    return (margin > 0) - (margin < 0) if margin else tie


def count_groups(sizes, theta, others, mu, counts, tie):
    """Pr[g != h] from all numbers of +1 in groups of equal weights, with integers and fractions only."""
    total = 0
    for heads in np.ndindex(*(k + 1 for k in counts)):
        h = exact_signs(sizes, theta, heads, counts, tie)
        if h != exact_signs(others, mu, heads, counts, tie):
            total += math.prod(math.comb(k, c) for k, c in zip(counts, heads))
    return float(Fraction(total, 2 ** sum(counts)))


@pytest.mark.parametrize(
    ("sizes", "counts", "theta"),
    [
        ((0.7, 0.2), (40, 30), 0.0),
        ((0.1, 0.3), (40, 30), 0.0),
        ((1.0, 0.1234567), (30, 30), 0.0),
        ((0.1, 0.2, 0.7), (12, 9, 8), 0.2),
        ((0.1, 0.3), (40, 31), 0.1),
    ],
)
@pytest.mark.parametrize("tie", [1, 0, -1])
def test_few_sizes_are_counted_by_groups(sizes, counts, theta, tie):
    want = count_groups(sizes, theta, [1.0] * len(sizes), 0.0, counts, tie)
    rng = np.random.default_rng(12)
    # Turned signs and another order of the inputs change nothing.
    place = rng.permutation(sum(counts))
    turn = rng.choice([-1.0, 1.0], sum(counts))
    w, v = (np.repeat(sizes, counts) * turn)[place], turn[place]
    result = change_probability(w, theta, v, 0.0, tie=tie)
    assert result.kind == "exact"
    assert result.method == "groups"
    assert result.value == pytest.approx(want, rel=1e-13)
    assert abs(result.value - want) <= result.half_width + 1e-16
    swapped = change_probability(v, 0.0, w, theta, tie=tie)
    assert swapped.value == pytest.approx(want, rel=1e-13)
    sampled = change_probability(w, theta, v, 0.0, tie=tie, method="sampling", rng=3)
    assert abs(sampled.value - want) <= sampled.half_width
    profile = threshold_profile(w, theta, v, tie=tie)
    assert profile.kind == "exact"
    place = int(np.argmin(np.abs(profile.thresholds - 1.0)))
    at_one = count_groups(sizes, theta, [1.0] * len(sizes), profile.thresholds[place], counts, tie)
    assert profile.probabilities[place] == pytest.approx(at_one, rel=1e-12)


@given(
    counts=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    tie=TIES,
    seed=SEEDS,
    theta=st.sampled_from([0.0, 0.1, -0.3, 0.55]),
)
def test_groups_equal_all_points(counts, tie, seed, theta):
    rng = np.random.default_rng(seed)
    sizes, others = rng.integers(0, 6, len(counts)) / 10, rng.integers(-5, 6, len(counts)) / 10
    w, v = np.repeat(sizes, counts), np.repeat(others, counts)
    h, g = methods.Plane(w, theta, False), methods.Plane(v, 0.1, False)
    got = points.Groups(h, g).changes(tie)
    assert got == pytest.approx(points.enumerated_changes(h, g, tie), abs=1e-14)
    assert got == pytest.approx(count_groups(sizes, theta, others, 0.1, counts, tie), abs=1e-14)


@pytest.mark.parametrize("k", [0, 1, 2, 7, 64, 3001])
def test_binomial_laws(k):
    law = points._binomial(k)
    want = np.array([float(Fraction(math.comb(k, c), 2**k)) for c in range(k + 1)])
    np.testing.assert_allclose(law, want, rtol=1e-13 * (1 + k / 10), atol=1e-300)


def test_groups_of_two_unlike_neurons_have_a_profile():
    sizes, others, counts = (1.0, 0.1234567, 0.3), (0.5, 0.77, 0.1), (14, 9, 7)
    w, v = np.repeat(sizes, counts), np.repeat(others, counts)
    profile = threshold_profile(w, 0.2, v)
    assert profile.kind == "exact"
    want = count_groups(sizes, 0.2, others, profile.threshold, counts, 1)
    assert profile.probability == pytest.approx(want, rel=1e-12)
    for place in (200, 400, 600):
        want = count_groups(sizes, 0.2, others, profile.thresholds[place], counts, 1)
        assert profile.probabilities[place] == pytest.approx(want, rel=1e-12)


def test_decimal_weights_off_the_plane_are_a_lattice():
    rng = np.random.default_rng(13)
    tenths = rng.integers(1, 11, 135)
    # Parity tells on which side of 0.1 the sums can lie.
    theta = 0.1 * (1 - int(tenths.sum()) % 2)
    result = change_probability(tenths / 10, theta, np.ones(135), 0.0)
    want = change_probability(tenths, round(10 * theta), np.ones(135), 0.0)
    assert result.kind == want.kind == "exact"
    assert result.value == want.value
    # Scaled to length 1, as layers are.
    norm = float(np.linalg.norm(tenths))
    scaled = change_probability(tenths / norm, 0.5 / norm, np.ones(135), 0.0)
    assert scaled.value == change_probability(tenths, 0.5, np.ones(135), 0.0).value


@given(n=st.integers(2, 8), seed=SEEDS)
def test_a_lattice_up_to_rounding_is_the_same_function(n, seed):
    rng = np.random.default_rng(seed)
    w = rng.integers(-30, 31, n) / 10
    theta = float(rng.integers(-20, 21) / 20)
    plane = methods.plane_of(w, theta)
    for x in all_points(n).astype(int).tolist():
        margin = sum((Fraction(a) * s for a, s in zip(w.tolist(), x)), -Fraction(theta))
        on_lattice = sum(
            (Fraction(a) * s for a, s in zip(plane.weights.tolist(), x)), -Fraction(plane.threshold)
        )
        assert (margin > 0) - (margin < 0) == (on_lattice > 0) - (on_lattice < 0)


def test_series_own_up_to_mass_on_the_plane():
    # Sums of tenths that are 0 by decimals lie on either side of it by binary numbers; so many sizes cannot be grouped.
    rng = np.random.default_rng(14)
    tenths = rng.integers(1, 21, 134)
    tenths[0] += tenths.sum() % 2
    w, v = tenths / 10, np.ones(134)
    on_plane_share = methods.lattice_law(tenths.astype(float))[tenths.sum() // 2]
    series = change_probability(w, 0.0, v, 0.0, method="series")
    assert series.half_width >= 0.5 * on_plane_share
    sampled = change_probability(w, 0.0, v, 0.0, method="sampling", rng=0, n_samples=2_000_000)
    assert abs(series.value - sampled.value) <= series.half_width + sampled.half_width
    assert change_probability(w, 0.0, v, 0.0, rng=0).kind == "estimated"
    assert threshold_profile(w, 0.0, v).kind == "estimated"


def test_sampled_neurons_are_decided_exactly():
    w = np.r_[np.full(40, 0.7), np.full(30, 0.2)]
    h, g = methods.Plane(w, 0.0, False), methods.Plane(np.ones(70), 0.0, False)
    signs, others, margins = points.sampled_signs(h, g, 3000, 0, np.random.default_rng(5))
    (x,) = points._random_points(70, 3000, np.random.default_rng(5))
    assert np.array_equal(margins, x.sum(axis=1))
    assert np.array_equal(others, np.sign(margins))
    sums = zip(x[:, :40].sum(axis=1).astype(int).tolist(), x[:, 40:].sum(axis=1).astype(int).tolist())
    want = [Fraction(0.7) * a + Fraction(0.2) * b for a, b in sums]
    assert signs.tolist() == [(margin > 0) - (margin < 0) for margin in want]
    # Rounded sums would differ at some of these points.
    assert any(margin and abs(margin) < 1e-12 for margin in want)


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
    # Compared and hashed as objects: arrays have no single answer.
    assert profile != threshold_profile(w, 0.0, np.ones(4))
    assert len({profile, profile}) == 1
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


def test_weights_whose_sum_overflows_are_refused():
    for function in (change_probability, accuracy_drop_bound):
        with pytest.raises(
            ValueError, match=r"(new|other)_weights and .* more than a float64 holds; divide both"
        ):
            function([1.0, 1.0], 0.0, [1e308, 1e308], 0.0)
    with pytest.raises(ValueError, match=r"weights and threshold add up to more than a float64 holds"):
        match_threshold([1e308, 1e308], 0.0, [1.0, 1.0])
