"""Chow parameters: every method against the definition, against each other, and at the edges of what it serves."""

from __future__ import annotations

import itertools
import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scinn.reference import chow as reference
from scinn.robustness import chow_bounds, chow_exact
from scinn.robustness.chow import METHODS, chow_parameters
from scinn.robustness.chow_games import game_of_integers, game_of_neuron
from scinn.verify.chow import PROPERTIES
from scinn.verify.registry import run_property

TIES = st.sampled_from([1, 0, -1])
SEEDS = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("prop", PROPERTIES, ids=lambda prop: prop.name)
def test_property_holds(prop):
    report = run_property(prop, n_cases=12, seed=3)
    assert report, report.worst


def normal(n, seed=0):
    return np.random.default_rng(seed).standard_normal(n)


def worst(result, value):
    return float(np.max(np.abs(result.value - value)))


# Exactness


def test_floats_count_with_their_binary_value():
    # 0.1 + 0.2 and 0.3 differ by one unit of rounding: no tie, whichever way floats would round the sum.
    for tie in (1, 0, -1):
        assert chow_parameters([0.1, 0.2, -0.3], tie=tie).value.tolist() == [0.0, 0.5, 0.5, -0.5]
    gap = float(Fraction(0.1) + Fraction(0.2) - Fraction(0.3))
    assert gap != 0.1 + 0.2 - 0.3
    at, above = (chow_parameters([0.1, 0.2, -0.3], theta, tie=-1) for theta in (gap, math.nextafter(gap, 1)))
    assert at.constant == above.constant < chow_parameters([0.1, 0.2, -0.3], gap, tie=1).constant


@given(n=st.integers(1, 8), scale=st.sampled_from([1e-320, 1e-300, 1.0, 1e300]), tie=TIES, seed=SEEDS)
def test_very_large_and_denormal_weights(n, scale, tie, seed):
    w = np.random.default_rng(seed).integers(-9, 10, n) * scale
    result = chow_parameters(w, 0.0, tie=tie)
    assert worst(result, reference.chow_parameters(w.tolist(), 0.0, tie)) == 0.0
    np.testing.assert_allclose(
        result.mean_margin, reference.average_margin(w.tolist(), 0.0), rtol=1e-13, atol=5e-324
    )


@given(n=st.integers(2, 9), tie=TIES, seed=SEEDS)
def test_weights_of_hundreds_of_binary_digits(n, tie, seed):
    rng = np.random.default_rng(seed)
    # Large ones cancel, so that the small ones decide.
    w = np.repeat(10.0 ** rng.integers(-200, 200, (n + 1) // 2), 2)[:n] * rng.choice([-1.0, 1.0], n)
    result = chow_parameters(w, 0.0, tie=tie)
    assert result.kind == "exact"
    assert worst(result, reference.chow_parameters(w.tolist(), 0.0, tie)) == 0.0


def test_points_that_two_words_cannot_tell_apart_go_into_the_bound():
    w = np.concatenate([normal(11), 1e-60 * normal(13, 1)])
    w[1] = w[0]
    game = game_of_neuron(np.concatenate([[1.0, 1.0], 1e-60 * normal(6)]), 0.0, 1)
    for count in (chow_exact.meet_in_the_middle, chow_exact.block_scan):
        outcome = count(game)
        exact = chow_exact.truth_table(game)
        # The two large weights cancel in half of all points.
        assert outcome.counts is None
        assert outcome.bound == 0.5
        assert np.max(np.abs(outcome.value - exact.value)) <= outcome.bound
    # 24 weights: the table would be too large; the answer says what it does not know.
    result = chow_parameters(w, 0.0, tie=1)
    assert result.kind in ("exact", "certified")
    assert (result.kind == "exact") == (result.bound == 0.0)


@pytest.mark.parametrize("tie", [1, 0, -1])
@pytest.mark.parametrize("kind", ["real", "pairs", "one word", "integers"])
def test_scans_agree_in_every_bit(kind, tie):
    n = 26
    w = normal(n, 5)
    if kind == "pairs":
        w[: n // 2] = -w[n // 2 :]
    elif kind == "one word":
        w = w.astype(np.float32)
    elif kind == "integers":
        w = np.random.default_rng(5).integers(-20, 21, n)
        w[0] += w.sum() % 2
    results = [
        chow_parameters(w, 0.0, tie=tie, method=name) for name in ("block", "meet-in-the-middle", "branch")
    ]
    if kind == "integers":
        results.append(chow_parameters(w, 0.0, tie=tie, method="integer"))
    for result in results:
        assert result.kind == "exact"
        assert result.bound == 0.0
        np.testing.assert_array_equal(result.value, results[0].value)
        if tie == 0 and kind in ("pairs", "integers"):
            assert result.details["n_ties"] > 2**10


def test_an_odd_number_of_weights_and_halves_of_different_size():
    w = np.random.default_rng(1).integers(1, 60, 31)
    halves, integer = (chow_parameters(w, 7.0, method=name) for name in ("meet-in-the-middle", "integer"))
    np.testing.assert_array_equal(halves.value, integer.value)


@pytest.mark.parametrize("n", [62, 63, 64, 131, 200])
def test_integers_beyond_one_word_of_counts(n):
    w = np.random.default_rng(n).integers(0, 12, n)
    quota = int(w.sum()) * 4 // 7
    result = chow_parameters(w, 2 * quota - w.sum(), method="integer")
    want = [swings / 2 ** (n - 1) for swings in reference.banzhaf_swings(w.tolist(), quota)]
    assert result.kind == "exact"
    assert result.degree_one.tolist() == want


@given(n=st.integers(1, 7), tie=TIES, seed=SEEDS)
def test_integers_that_the_few_counted_sums_do_not_reach(n, tie, seed):
    rng = np.random.default_rng(seed)
    w = np.concatenate([[2.0**100, -(2.0**90)], rng.integers(-5, 6, n)])
    # Above or below all sums but those of the small weights.
    theta = float(rng.choice([-1.0, 1.0])) * (2.0**100 + 2.0**90)
    result = chow_parameters(w, theta, tie=tie, method="integer")
    assert worst(result, reference.chow_parameters(w.tolist(), theta, tie)) == 0.0


def test_counts_mirror_at_the_other_end():
    w = np.random.default_rng(0).integers(1, 30, 70)
    low, high = (
        chow_parameters(w, theta, tie=tie, method="integer") for theta, tie in ((-300, 1), (300, -1))
    )
    np.testing.assert_array_equal(low.degree_one, high.degree_one)
    assert low.constant == -high.constant > 0


@pytest.mark.parametrize("n", [1, 2, 7, 64, 135])
@pytest.mark.parametrize("tie", [1, 0, -1])
def test_equal_weights(n, tie):
    signs = np.random.default_rng(n).choice([-1.0, 1.0], n)
    for theta in (0.0, 0.6, -3.0, float(n)):
        closed = chow_parameters(0.3 * signs, 0.3 * theta, tie=tie)
        assert closed.method in ("binomial", "constant")
        counted = chow_parameters(0.3 * signs, 0.3 * theta, tie=tie, method="integer")
        np.testing.assert_array_equal(closed.value, counted.value)


def test_mean_margin_of_135_signs():
    # The value that a series misses if it stops early (9.2763): E|sum| = 135 binom(134, 67) / 2^134.
    result = chow_parameters(np.ones(135))
    np.testing.assert_allclose(result.mean_margin, 135 * math.comb(134, 67) / 2**134, rtol=1e-14)
    assert abs(result.mean_margin - 9.2878) < 1e-4


@pytest.mark.parametrize("top", [0, 1, 1500, 2400, 2500])
def test_the_sum_of_many_binomial_coefficients(top):
    n = 5001
    exact = sum(math.comb(n, r) for r in range(top + 1))
    found = chow_exact._binomial_sum(n, top)
    assert abs(exact - found) <= exact >> 150


def test_ten_thousand_equal_weights():
    result = chow_parameters(np.full(10_000, -0.25), 2.0)
    assert result.kind == "exact"
    np.testing.assert_allclose(result.degree_one, -math.comb(9_999, 5_003) / 2**9_999, rtol=1e-14)


@pytest.mark.parametrize("ratio", [0.5, 0.3, 0.51])
def test_geometric_weights_take_few_branches(ratio):
    n = 100
    result = chow_parameters(ratio ** np.arange(n), 0.3)
    assert (result.kind, result.method) == ("exact", "branch")
    assert result.details["n_nodes"] <= 40 * n
    # One block of them is within reach of the scan; the rest moves answers of few points.
    head = chow_parameters(ratio ** np.arange(30), 0.3, method="block")
    assert worst(head, result.value[:31]) <= ratio**30 * 10


def test_branching_that_leaves_the_rest_to_the_scan():
    w = np.concatenate([[40.0, 30.0, 25.0], np.random.default_rng(0).integers(1, 9, 28)])
    game = game_of_neuron(w, 5.0, 0)
    want = chow_exact.integer_counts(game)
    for depth in (0, 1, 3, 10):
        outcome = chow_exact.branch(game, chow_exact.BranchPlan(depth, True, 0.0))
        assert outcome.counts == want.counts
        assert outcome.details["n_ties"] == want.details["n_ties"]


def test_branches_that_stay_undecided_are_the_bound():
    game = game_of_neuron(normal(18), 0.2, 1)
    exact = chow_exact.truth_table(game)
    previous = 1.0
    for depth in (4, 8, 14):
        outcome = chow_exact.branch(game, chow_exact.BranchPlan(depth, False, 0.0))
        assert outcome.counts is None
        assert np.max(np.abs(outcome.value - exact.value)) <= outcome.bound < previous
        previous = outcome.bound


def test_few_dominant_weights_above_a_hundred_tiny_ones():
    big = normal(10)
    result = chow_parameters(np.concatenate([big, 1e-9 * normal(100, 1)]), 0.1)
    assert (result.kind, result.method) == ("exact", "branch")
    np.testing.assert_array_equal(result.value[:11], chow_parameters(big, 0.1).value)
    assert not result.value[11:].any()


# Many weights


@pytest.mark.parametrize("n", [44, 47])
def test_series_against_counts(n):
    w = normal(n, n)
    exact, series = chow_parameters(w, 0.4), chow_parameters(w, 0.4, method="series")
    assert exact.method == "meet-in-the-middle"
    assert series.kind == "estimated"
    assert worst(series, exact.value) <= series.bound < 1e-5
    np.testing.assert_allclose(series.mean_margin, exact.mean_margin, atol=1e-6)


def test_many_real_weights_take_the_series_and_a_tolerance_the_enclosure():
    w = normal(135)
    series, proven = chow_parameters(w, 0.4), chow_parameters(w, 0.4, tol=1e-4)
    assert (series.kind, series.method) == ("estimated", "series")
    assert series.bound < 1e-13
    assert (proven.kind, proven.method) == ("certified", "vaaler")
    assert proven.bound <= 1e-4
    assert worst(series, proven.value) <= proven.bound
    grid = chow_parameters(w, 0.4, method="grid")
    assert grid.kind == "certified"
    assert worst(series, grid.value) <= grid.bound < 2e-3


def test_a_tolerance_that_cannot_be_proven_says_what_can():
    with pytest.raises(
        ValueError, match=r"smallest error that can be proven; pass a larger tol, or tol=None"
    ):
        chow_parameters(normal(135), 0.4, tol=1e-12)
    with pytest.raises(ValueError, match=r"'binomial' reaches 5.6e-17"):
        chow_parameters(np.ones(99), tol=1e-18)


def test_a_grid_gets_finer_with_the_tolerance():
    w = normal(30)
    exact = chow_parameters(w, 0.4).value
    coarse, fine = (chow_parameters(w, 0.4, method="grid", tol=tol) for tol in (1e-2, 1e-5))
    assert worst(fine, exact) <= fine.bound <= 1e-5
    assert worst(coarse, exact) <= coarse.bound <= 1e-2


@pytest.mark.parametrize(("n", "theta"), [(25, 0.0), (24, 3.7), (25, -30.0), (20, 80.0)])
def test_a_coarse_grid_knows_how_coarse_it_is(n, theta):
    w = 5 * normal(n, 3)
    exact = chow_parameters(w, theta).value
    outcome = chow_bounds.grid(np.sort(np.abs(w))[::-1].copy(), theta, most_weight=500)
    order = np.argsort(-np.abs(w), kind="stable")
    value = np.concatenate([exact[:1], (np.sign(w) * exact[1:])[order]])
    assert np.max(np.abs(outcome.value - value)) <= outcome.bound < 0.2


@pytest.mark.parametrize("rounded", [np.float64, np.float32])
def test_multiples_of_a_decimal_are_counted_on_their_lattice(rounded):
    integers = np.random.default_rng(0).integers(-127, 128, 120)
    w = (integers * 0.013).astype(rounded)
    result = chow_parameters(w, 0.013 * 10.5)
    assert (result.kind, result.method) == ("exact", "integer")
    np.testing.assert_allclose(result.details["lattice_spacing"], 0.013, rtol=1e-6)
    # 10.5 lies between two sums whatever their parity is.
    np.testing.assert_array_equal(result.value, chow_parameters(integers, 10.5).value)


def test_a_threshold_on_the_lattice_leaves_its_points_open():
    integers = np.random.default_rng(0).integers(1, 60, 120)
    theta = int(integers.sum()) % 2
    result = chow_parameters(integers * 0.1, theta * 0.1)
    at = chow_parameters(integers, theta, tie=0)
    assert result.kind == "certified"
    np.testing.assert_array_equal(result.value, at.value)
    mass = at.details["n_ties"] / 2**120
    np.testing.assert_allclose(result.bound, mass, rtol=1e-12)
    # Integers have no such doubt.
    assert at.kind == "exact"


def test_few_distinct_real_weights_have_no_lattice():
    rng = np.random.default_rng(0)
    for distinct in (2, 3, 5):
        for _ in range(50):
            w = rng.uniform(0.2, 2.0, distinct)[rng.integers(0, distinct, 60)]
            assert chow_bounds.lattice_game(game_of_neuron(w, 0.1, 1)) is None


def test_real_weights_have_no_lattice():
    for n in (3, 49, 400):
        assert chow_bounds.lattice_game(game_of_neuron(normal(n), 0.1, 1)) is None
        assert (
            chow_bounds.lattice_game(game_of_neuron(normal(n).astype(np.float32).astype(float), 0.1, 1))
            is None
        )


# Few distinct sizes


def group_counts(weights, theta, tie, function=None):
    """Exact parameters by the definition, one state for each number of +1 in a group; Python's rationals."""
    sizes = sorted(set(map(float, weights)))
    counts = [int(np.sum(weights == size)) for size in sizes]
    total, parts = Fraction(0), [Fraction(0)] * len(sizes)
    for state in itertools.product(*(range(k + 1) for k in counts)):
        margin = sum(
            Fraction(a) * (2 * r - k) for a, r, k in zip(sizes, state, counts, strict=True)
        ) - Fraction(theta)
        answer = (
            Fraction(function(float(margin))) if function else tie if margin == 0 else 1 if margin > 0 else -1
        )
        mass = answer * math.prod(math.comb(k, r) for k, r in zip(counts, state, strict=True))
        total += mass
        for g, (r, k) in enumerate(zip(state, counts, strict=True)):
            parts[g] += mass * Fraction(2 * r - k, k)
    whole = 2 ** sum(counts)
    by_size = {size: float(part / whole) for size, part in zip(sizes, parts, strict=True)}
    return np.array([float(total / whole)] + [by_size[float(w)] for w in weights])


FEW_SIZES = (
    ([1.0] * 60 + [0.1234567] * 60, 0.5),
    ([1.0] * 90 + [0.9264574] * 75, -1.935),
    ([1.0] * 30 + [-0.37] * 20 + [0.7123] * 15, 0.3),
    ([3.0] * 9 + [1.0] * 40 + [-2.0] * 9 + [5.0] * 9, 2.0),
    ([1.0] * 30 + [1.0 + 1e-6] * 30, 0.0),
    ([0.1] * 30 + [0.2] * 30 + [0.3] * 8, 0.1),
    ([1e200] * 30 + [1e-200] * 30, 0.0),
    ([1e200] * 28 + [1e-200] * 30, 0.0),
    ([1e30] * 28 + [3.0] * 30, 2.0),
)


@pytest.mark.parametrize(("w", "theta"), FEW_SIZES)
@pytest.mark.parametrize("tie", [1, 0, -1])
def test_few_distinct_sizes_against_exact_counts(w, theta, tie):
    w = np.array(w)
    want = group_counts(w, theta, tie)
    by_name, auto = (chow_parameters(w, theta, tie=tie, method=name) for name in ("groups", "auto"))
    assert (by_name.kind, by_name.method) == ("certified", "groups")
    assert worst(by_name, want) <= by_name.bound < 1e-13
    assert auto.kind in ("exact", "certified")
    assert worst(auto, want) <= auto.bound + 2.0**-53 < 1e-13
    shuffled = np.random.default_rng(0).permutation(len(w))
    np.testing.assert_array_equal(
        chow_parameters(w[shuffled], theta, tie=tie, method="groups").value[1:], by_name.value[1:][shuffled]
    )


@pytest.mark.parametrize(("w", "theta"), FEW_SIZES[:6])
def test_a_series_of_few_sizes_does_not_claim_what_it_does_not_see(w, theta):
    series, grouped = (chow_parameters(w, theta, tie=0, method=name) for name in ("series", "groups"))
    assert worst(series, grouped.value) <= series.bound + grouped.bound


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("spread", [0, 1, 3, 20])
def test_a_series_of_clusters_does_not_claim_what_it_does_not_see(seed, spread):
    rng = np.random.default_rng(seed)
    centres = rng.integers(600, 6000, int(rng.integers(2, 4)))
    w = rng.choice(centres, 100) + rng.integers(-spread, spread + 1, 100)
    theta = float(rng.integers(-6000, 6000))
    exact, series = (chow_parameters(w, theta, tie=0, method=name) for name in ("integer", "series"))
    assert worst(series, exact.value) <= series.bound


def test_clusters_that_are_nearly_equal():
    # A relative spread that returns for hundreds of thousands of periods; the nearest lattice is no help.
    rng = np.random.default_rng(0)
    w = np.concatenate(
        [1.0 + 1e-6 * rng.standard_normal(60), 0.1234567 * (1.0 + 1e-6 * rng.standard_normal(60))]
    )
    assert chow_parameters(w, 0.5).bound > 1e-6
    equal = chow_parameters([1.0] * 60 + [0.1234567] * 60, 0.5)
    result = chow_parameters(w, 0.5, method="series")
    assert worst(result, equal.value) <= result.bound


@pytest.mark.parametrize(
    ("scale", "activation"), [(1.0, "relu"), (1.0, "tanh"), (300.0, "tanh"), (300.0, "scaled_logistic")]
)
def test_smooth_activations_of_few_distinct_sizes(scale, activation):
    w = scale * np.array([1.0] * 60 + [0.1234567] * 60)
    function = {
        "relu": lambda m: max(m, 0.0),
        "tanh": math.tanh,
        "scaled_logistic": lambda m: math.tanh(m / 2),
    }[activation]
    want = group_counts(w, 0.5 * scale, 0, function)
    result = chow_parameters(w, 0.5 * scale, activation=activation)
    assert (result.kind, result.method) == ("certified", "groups")
    assert worst(result, want) <= result.bound < 1e-10 * scale
    series = chow_parameters(w, 0.5 * scale, activation=activation, method="series")
    assert worst(series, want) <= series.bound
    np.testing.assert_allclose(result.mean_margin, chow_parameters(w, 0.5 * scale).mean_margin, rtol=1e-12)
    np.testing.assert_allclose(series.mean_margin, result.mean_margin, rtol=1e-12)


def test_series_of_few_decimals_estimate_enough():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        w, theta = np.round(rng.standard_normal(int(rng.integers(25, 31))), 4), round(float(rng.normal()), 4)
        exact, series = chow_parameters(w, theta, tie=0), chow_parameters(w, theta, method="series")
        assert worst(series, exact.value) <= series.bound


# Many integers


@pytest.mark.parametrize("tie", [1, 0, -1])
@pytest.mark.parametrize("theta", [0.0, 7.0, -40.0, 301.0])
def test_probabilities_of_integers_against_counts(theta, tie):
    w = np.random.default_rng(5).integers(-9, 10, 700)
    exact, grid = (chow_parameters(w, theta, tie=tie, method=name) for name in ("integer", "grid"))
    assert (exact.kind, grid.kind) == ("exact", "certified")
    assert worst(grid, exact.value) <= grid.bound < 1e-11


def test_ten_thousand_integers():
    w = np.random.default_rng(0).integers(-9, 10, 10_000)
    result = chow_parameters(w, 3.0, tol=1e-6)
    assert (result.kind, result.method) == ("certified", "grid")
    assert result.bound < 1e-9
    # The binomial law is close to a Gaussian one, whose density at the threshold gives the influence of a weight 1.
    norm = math.sqrt(float(w @ w))
    density = math.exp(-0.5 * (3.0 / norm) ** 2) / (math.sqrt(2.0 * math.pi) * norm)
    np.testing.assert_allclose(np.abs(result.degree_one[np.abs(w) == 1]), 2.0 * density, rtol=1e-3)
    margin = math.sqrt(2.0 / math.pi) * norm
    np.testing.assert_allclose(result.mean_margin, margin, rtol=1e-3)


# Samples


@pytest.mark.parametrize("tie", [1, 0, -1])
def test_samples_stay_within_their_bound(tie):
    w = np.random.default_rng(2).integers(-6, 7, 18)
    exact = chow_parameters(w, 1.0, tie=tie).value
    result = chow_parameters(w, 1.0, tie=tie, method="sampling", tol=0.01, rng=7)
    assert result.kind == "estimated"
    assert worst(result, exact) <= result.bound <= 0.01
    again = chow_parameters(w, 1.0, tie=tie, method="sampling", tol=0.01, rng=7)
    np.testing.assert_array_equal(result.value, again.value)


def test_flips_vary_less_than_products():
    w, theta, n_samples = normal(60), 0.3, 4000
    game = game_of_neuron(w, theta, 1)
    exact = chow_parameters(w, theta)
    errors = {}
    for estimator in ("flip", "plain"):
        outcome = chow_bounds.sample(game, n_samples, np.random.default_rng(0), estimator=estimator)
        value = np.sign(w)[game.order] * exact.value[1:][game.order]
        errors[estimator] = float(np.sqrt(np.mean((outcome.value[1:] - value) ** 2)))
        assert np.max(np.abs(outcome.value[1:] - value)) <= outcome.bound
    # A summand of variance |c_i| - c_i^2 against 1 - c_i^2.
    c = exact.influences
    ratio = math.sqrt(float(np.sum(c - c**2) / np.sum(1 - c**2)))
    assert 0.7 * ratio < errors["flip"] / errors["plain"] < 1.4 * ratio


# Smooth activations


@pytest.mark.parametrize("activation", ["tanh", "scaled_logistic", "relu"])
def test_smooth_activations(activation):
    w, zeros = normal(22), [3, 9]
    w[zeros] = 0.0
    fold, series = (
        chow_parameters(w, 0.3, activation=activation, method=name) for name in ("auto", "series")
    )
    proven = activation != "relu"
    assert (fold.kind, fold.method) == ("certified", "fold")
    assert series.kind == ("certified" if proven else "estimated")
    assert worst(series, fold.value) <= fold.bound + series.bound
    np.testing.assert_allclose(fold.mean_margin, series.mean_margin, atol=1e-6)
    assert not fold.value[1:][zeros].any()
    # The tie rule has no say, and E|m| is that of the plane.
    np.testing.assert_array_equal(fold.value, chow_parameters(w, 0.3, activation=activation, tie=-1).value)
    np.testing.assert_allclose(fold.mean_margin, chow_parameters(w, 0.3).mean_margin, rtol=1e-13)


@pytest.mark.parametrize("activation", ["tanh", "scaled_logistic", "relu"])
def test_the_mean_margin_of_a_smooth_neuron_on_a_lattice(activation):
    w = np.random.default_rng(0).integers(1, 60, 60) * 0.5
    for method in ("auto", "series"):
        result = chow_parameters(w, 0.25, activation=activation, method=method)
        np.testing.assert_allclose(result.mean_margin, chow_parameters(w, 0.25).mean_margin, rtol=1e-12)
    equal = chow_parameters(np.ones(60), activation=activation)
    np.testing.assert_allclose(equal.mean_margin, 60 * math.comb(59, 30) / 2**59, rtol=1e-12)


@pytest.mark.parametrize("activation", ["tanh", "scaled_logistic"])
@pytest.mark.parametrize("kind", ["integers", "decimals", "real"])
def test_a_steep_activation_is_enclosed_by_its_sign(activation, kind):
    rng = np.random.default_rng(4)
    w = {"integers": rng.integers(1, 30, 60), "decimals": normal(60).round(2), "real": normal(60)}[kind]
    theta = 0.255
    sign = chow_parameters(w, theta, tie=0)
    for scale in (1e4, 1e6, 1e9):
        result = chow_parameters(scale * w, scale * theta, activation=activation)
        # No margin of the lattices is near 0, so that the sign is the limit.
        assert result.bound < 1e-4
        assert worst(result, sign.value) <= result.bound + sign.bound
        series = chow_parameters(scale * w, scale * theta, activation=activation, method="series")
        assert series.bound <= 2.0


def test_a_smooth_neuron_without_weights():
    assert chow_parameters([0.0, 0.0], -2.0, activation="relu").value.tolist() == [2.0, 0.0, 0.0]
    assert chow_parameters([], 2.0, activation="tanh").value.tolist() == [math.tanh(-2.0)]


# Edges


@pytest.mark.parametrize("method", METHODS)
def test_constant_neurons_are_recognised_by_every_method(method):
    for theta, want in ((-4.0, 1.0), (4.0, -1.0)):
        result = chow_parameters([1.0, -2.0, 0.5], theta, method=method)
        assert (result.method, result.kind, result.value.tolist()) == (
            "constant",
            "exact",
            [want, 0.0, 0.0, 0.0],
        )
        assert result.mean_margin == 4.0


@pytest.mark.parametrize(("tie", "want"), [(1, 1.0), (0, 0.0), (-1, -1.0)])
def test_no_weights(tie, want):
    for w in ([], [0.0, 0.0]):
        assert chow_parameters(w, 0.0, tie=tie).value.tolist() == [want] + [0.0] * len(w)
        assert chow_parameters(w, 1e-300, tie=tie).constant == -1.0
        assert chow_parameters(w, -1e-300, tie=tie).constant == 1.0


def test_a_threshold_at_the_sum_of_all_sizes_leaves_one_point():
    n = 100
    for w in (np.ones(n), np.random.default_rng(0).integers(1, 9, n), 0.5 ** np.arange(n)):
        total = float(math.fsum(w)) if w[-1] >= 1 else 2.0 - 0.5 ** (n - 1)
        if Fraction(total) != sum(map(Fraction, w.tolist())):
            continue
        for tie, want in ((1, 2.0 ** (1 - n)), (0, 2.0**-n), (-1, 0.0)):
            result = chow_parameters(w, total, tie=tie)
            assert set(result.degree_one.tolist()) == {want}
            assert result.constant == -1.0


def test_input_kinds():
    want = chow_parameters([3.0, -1.0, 1.0], 0.5).value.tolist()
    for w in ((3, -1, 1), np.array([3, -1, 1], np.int8), np.array([3, -1, 1], np.float32)):
        assert chow_parameters(w, np.float32(0.5), tie=np.int64(1)).value.tolist() == want


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([1.0, math.nan],), {}, r"weights holds 1 NaN or infinite value, the first at 1"),
        (([1.0], math.inf), {}, r"threshold is inf; a finite number is wanted"),
        ((np.ones((3, 2)),), {}, r"weights has shape \(3, 2\); the vector of one neuron .*stabilize_layer"),
        ((np.ones((3, 1)),), {}, r"weights has 2 dimensions .* pass weights.ravel\(\)"),
        (([1.0],), {"tie": 2}, r"tie is 2; one of 1, 0, -1 is wanted"),
        (([1.0],), {"tie": True}, r"tie is True"),
        (([1.0],), {"activation": "sing"}, r"did you mean 'sign'"),
        (([1.0],), {"method": "meet in the middle"}, r"did you mean 'meet-in-the-middle'"),
        (([1.0],), {"tol": 0.0}, r"tol is 0.0; a finite number > 0 is wanted"),
        (([1.0, 2.0],), {"method": "binomial"}, r"the non-zero weights do not all have the same size"),
        ((normal(60),), {"method": "integer"}, r"as integers these weights add up to .* pass method='auto'"),
        ((normal(60),), {"method": "meet-in-the-middle"}, r"there are 60 non-zero weights and it serves 48 at most"),
        ((normal(60),), {"method": "block"}, r"serves 34 at most"),
        ((normal(60),), {"method": "fold"}, r"serves 20 at most"),
        ((normal(135),), {"method": "branch"}, r"no few weights dominate"),
        ((normal(60),), {"method": "sampling", "tol": 1e-6}, r"needs 3e\+13 points of 60 inputs"),
        (([1.0, 1e-50],), {"method": "sampling"}, r"span more than 122 binary digits"),
        (([1.0],), {"activation": "tanh", "method": "vaaler"}, r"tanh neurons have only 'auto', 'fold', 'groups' and"),
        ((normal(60),), {"method": "groups"}, r"too many distinct sizes to go through"),
        ((normal(60),), {"activation": "relu", "method": "groups"}, r"too many distinct sizes"),
        ((normal(60),), {"activation": "relu", "method": "fold"}, r"for relu it serves 20 at most"),
        ((normal(60),), {"activation": "tanh", "tol": 1e-30}, r"the bound of the series"),
        ((normal(25),), {"method": "grid", "tol": 1e-12}, r"'grid' reaches .* pass a larger tol, or another method"),
    ],
)  # fmt: skip
def test_bad_input(arguments, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        chow_parameters(*arguments, **options)


def test_neither_input_nor_result_share_memory():
    w = normal(9)
    w.flags.writeable = False
    before = w.copy()
    result = chow_parameters(w, 0.1)
    result.value[:] = 7.0
    np.testing.assert_array_equal(w, before)
    assert chow_parameters(w, 0.1).value.max() < 2.0


# The result


def test_result():
    result = chow_parameters([3, 1, 1, 0, -2], 1, tie=-1)
    assert result.constant == result.value[0]
    np.testing.assert_array_equal(result.influences, np.abs(result.degree_one))
    text = repr(result)
    assert "5 inputs, exact by meet-in-the-middle" in text
    assert "E h = " in text
    data = json.loads(json.dumps(result.to_dict()))
    assert data["value"] == result.value.tolist()
    assert data["details"]["tie"] == -1
    with pytest.raises(AttributeError):
        result.bound = 1.0


def test_every_kind_of_result_is_json_and_has_a_repr():
    w = normal(60)
    for options in (
        {},
        {"tol": 1e-3},
        {"method": "grid"},
        {"method": "sampling", "rng": 0},
        {"activation": "tanh"},
        {"activation": "relu"},
    ):
        result = chow_parameters(w, 0.2, **options)
        assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["kind"] == result.kind
        assert result.method in repr(result)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("activation", ["sign", "tanh", "relu"])
def test_no_result_has_numbers_that_json_lacks(method, activation):
    if activation != "sign" and method not in ("auto", "fold", "groups", "series"):
        return
    for w in ([1.0, 1.0], [1.0] * 5):
        for theta in (0.5, 9.0, -9.0):
            result = chow_parameters(w, theta, activation=activation, method=method)
            data = json.loads(json.dumps(result.to_dict(), allow_nan=False))
            assert data["value"] == result.value.tolist()


def test_results_compare_by_identity():
    first, second = chow_parameters([1.0, 2.0]), chow_parameters([1.0, 2.0])
    assert first == first
    assert first != second
    assert len({first, second}) == 2


def test_influences_need_two_answers():
    for options in ({"tie": 0}, {"activation": "tanh"}):
        result = chow_parameters([1.0, 1.0], **options)
        with pytest.raises(ValueError, match="tie=1 or tie=-1"):
            result.influences  # noqa: B018


def test_plot():
    ax = chow_parameters(normal(9)).plot()
    assert ax.get_ylabel() == "Chow parameter"
    assert len(ax.lines[0].get_ydata()) == 9
    assert chow_parameters([]).plot(ax) is ax


# Games


def test_games():
    game = game_of_neuron(np.array([0.75, -0.25, 0.0, 0.5]), 0.25, 0)
    # In quarters: 3, 2, 1 with R between 0 and 6; <w,x> = (2 R - 6) / 4, and 2 R - 6 = 1 has no integer solution.
    assert game.weights == (3, 2, 1)
    assert game.quotas == (3,)
    assert game.order.tolist() == [0, 3, 1]
    assert game.signs.tolist() == [1.0, 1.0, -1.0]
    assert game.unit == Fraction(1, 4)
    assert game_of_neuron(np.array([0.75, -0.25, 0.0, 0.5]), 0.0, 0).quotas == (2, 3)
    assert game_of_neuron(np.array([0.75, -0.25, 0.0, 0.5]), 0.0, 1).quotas == (2,)
    assert game_of_integers([10, 0, 20], 21).quotas == (2,)
    assert game_of_integers([10, 0, 20], 20).quotas == (1,)


def test_moduli_are_coprime_and_large_enough():
    for n in (1, 62, 63, 400):
        moduli = chow_exact._moduli(n)
        assert math.prod(moduli) > 2 ** (n + 1)
        assert math.lcm(*moduli) == math.prod(moduli)
        assert all(m <= 2**63 for m in moduli[1:])
    assert len(chow_exact._moduli(62)) == 1
