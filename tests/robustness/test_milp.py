"""The parts of the mixed-integer search: exact decisions, polygons above tanh, ranges, models with and without solutions."""

from __future__ import annotations

import decimal
from fractions import Fraction
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scinn.robustness import ShallowNetwork
from scinn.robustness.bounds import exhaustive_search, greedy_search
from scinn.robustness.dyadic import common_step, sums_are_exact, to_integers
from scinn.robustness.margins import Margins
from scinn.robustness.milp import flip_problem, solve_flips, tanh_overestimator

SEEDS = st.integers(0, 2**32 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)


# Numbers


@given(st.lists(FLOATS, max_size=6))
def test_integers_over_a_power_of_two_are_the_floats(values):
    array = np.array(values, dtype=np.float64)
    integers, exponent = to_integers(array)
    assert [Fraction(k) * Fraction(2) ** exponent for k in integers] == [Fraction(v) for v in values]
    # The exponent is the largest one.
    assert not any(values) or any(k % 2 for k in integers)


@given(SEEDS)
def test_sums_called_exact_are(seed):
    rng = np.random.default_rng(seed)
    column = rng.normal(size=(50, 1)).astype(np.float32).astype(np.float64) * 2.0 ** rng.integers(
        -30, 3, (50, 1)
    )
    if not sums_are_exact(column)[0]:
        return
    signs = rng.choice([-1.0, 1.0], 50)
    assert Fraction(float(signs @ column[:, 0])) == sum(Fraction(float(v)) for v in signs * column[:, 0])


def test_sums_of_float32_weights_are_exact_and_of_decimals_not():
    rng = np.random.default_rng(0)
    assert sums_are_exact(rng.normal(size=(100, 3)).astype(np.float32)).all()
    assert not sums_are_exact(np.full((100, 1), 0.1))[0]
    assert sums_are_exact(np.zeros((4, 2))).all()
    assert sums_are_exact(np.zeros((0, 2))).all()


def test_common_step_sees_lattices_and_only_those():
    assert common_step(np.array([0.75, -1.25, 0.0])) == Fraction(1, 4)
    assert common_step(np.array([0.1, -0.1])) == Fraction(0.1)
    assert common_step(np.array([0.1, 0.2, 0.3])) == 0
    assert common_step(np.zeros(3)) == 0
    assert common_step(np.array([1.0, 2.0**-30])) == 0


# Exact decisions

#: tanh(1) to forty digits.
TANH_1 = decimal.Decimal("0.7615941559557648881194582826047935904128")


@pytest.mark.parametrize("steps", [-1, 0, 1])
def test_smooth_gaps_are_decided_beyond_double_precision(steps):
    # The gap to class 0 is c - tanh(1), with c the double next to it: they differ by 1e-17 and less.
    c = float(TANH_1)
    for _ in range(abs(steps)):
        c = np.nextafter(c, np.inf * steps)
    network = ShallowNetwork([[1.0]], [0.0], [[0.0, 1.0]], [c, 0.0], "tanh")
    expected = decimal.Decimal(c) >= TANH_1
    assert Margins(network, 0.0).evades(np.array([1], dtype=np.int8), 1) == expected
    halved = ShallowNetwork([[2.0]], [0.0], [[0.0, 1.0]], [c, 0.0], "scaled_logistic")
    assert Margins(halved, 0.0).evades(np.array([1], dtype=np.int8), 1) == expected


def test_gaps_of_exactly_the_margin_evade():
    x = np.array([1], dtype=np.int8)
    for activation in ("relu", "sign", "tanh"):
        network = ShallowNetwork([[0.0]], [0.0], [[1.0, 1.0]], [0.1, 0.0], activation)
        assert Margins(network, 0.1).evades(x, 1)
        assert not Margins(network, float(np.nextafter(0.1, 1))).evades(x, 1)


def test_ties_of_sign_neurons_are_decided_in_rational_numbers():
    # 0.1 + 0.2 - 0.3 is positive by 2e-17 in real arithmetic, whatever float64 makes of it.
    x = np.ones(3, dtype=np.int8)
    network = ShallowNetwork([[0.1], [0.2], [-0.3]], [0.0], [[-1.0, 1.0]], [0.0, 0.0], "sign", tie=-1)
    assert Fraction(0.1) + Fraction(0.2) - Fraction(0.3) > 0
    assert Margins(network, 1e-6).evades(x, 0)
    exact = network.replace(hidden_weights=[[1.0], [2.0], [-3.0]])
    assert not Margins(exact, 1e-6).evades(x, 0)


def test_sums_whose_float_sign_is_wrong_are_decided_rightly():
    rng = np.random.default_rng(0)
    x = np.ones(6, dtype=np.int8)
    wrong = 0
    for _ in range(500):
        w = rng.integers(-9, 10, 6) / 10
        margins = Margins(ShallowNetwork(w[:, None], [0.0], [[-1.0, 1.0]], [0.0, 0.0], "sign", tie=0), 1e-6)
        total = sum(Fraction(v) for v in w.tolist())
        computed = margins.hidden(x[None, :])[0, 0]
        wrong += (computed > 0) != (total > 0) or (computed < 0) != (total < 0)
        assert margins.evades(x, 0) == (total > 0)
        assert margins.evades(x, 1) == (total < 0)
    assert wrong > 5


def test_extreme_sums_saturate():
    network = ShallowNetwork([[1e6]], [0.0], [[0.0, 1.0]], [1.0, 0.0], "tanh")
    # tanh(1e6) is below 1 by less than any number here: the gap 1 - tanh counts as 0.
    assert Margins(network, 0.0).evades(np.array([1], dtype=np.int8), 1)
    assert not Margins(network, 1e-30).evades(np.array([1], dtype=np.int8), 1)


def test_least_gaps_of_lattices():
    network = ShallowNetwork([[1.0], [1.0]], [0.0], [[-0.5, 0.5]], [0.25, 0.0], "sign")
    # Gaps to class 1 are -1.25 and 0.75.
    assert Margins(network, 1e-6).least_gap(0, 1) == (0.75, 2.0)
    # ReLU of 2, 0, -2: the gap -0.25 + {2, 0}, on a lattice of step 2.
    assert Margins(network.replace(activation="relu"), 1e-6).least_gap(0, 1) == (1.75, 2.0)
    assert Margins(network.replace(activation="tanh"), 1e-6).least_gap(0, 1) == (1e-6, 0.0)
    rough = network.replace(output_weights=[[-0.5, 0.1]], hidden_weights=[[0.1], [0.3]], activation="relu")
    assert Margins(rough, 1e-6).least_gap(0, 1) == (1e-6, 0.0)


# Cheap searches


def small_network(seed, activation="tanh", n=9, hidden=3):
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=shape) for shape in ((n, hidden), (hidden,), (hidden, 2), (2,))]
    network = ShallowNetwork(*arrays, activation)
    x = rng.choice([-1, 1], n).astype(np.int8)
    return Margins(network, 1e-6), x, int(network.predict(x[None, :], encoding="signs")[0])


@given(SEEDS, st.sampled_from(["tanh", "relu", "sign"]), st.sampled_from([1, 2]))
def test_few_flips_are_found_where_there_are_any(seed, activation, n_flips):
    margins, x, y = small_network(seed, activation)
    free = np.arange(9)[1:]
    found = exhaustive_search(margins, x, y, free, n_flips)
    some = []
    for flips in combinations(free, n_flips):
        turned = x.copy()
        turned[list(flips)] *= -1
        if margins.evades(turned, y):
            some.append(set(flips))
    assert (found is None) == (not some)
    assert found is None or set(found.tolist()) in some


@pytest.mark.parametrize("block", [9, 9 * 4, 1000])
def test_every_pair_is_tried(block, monkeypatch):
    monkeypatch.setattr("scinn.robustness.bounds._BLOCK", block)
    x = np.ones(9, dtype=np.int8)
    for pair in combinations(range(9), 2):
        # From -3.5 only these two flips together, each worth 2, come above 0.
        weights = np.zeros((9, 1))
        weights[list(pair)] = -1.0
        margins = Margins(ShallowNetwork(weights, [-1.5], [[-1.0, 1.0]], [0.0, 0.0], "sign"), 1e-6)
        found = exhaustive_search(margins, x, 0, np.arange(9), 2)
        assert found is not None
        assert tuple(found.tolist()) == pair


def test_greedy_flips_evade_and_none_is_superfluous():
    n_found = 0
    for seed in range(30):
        margins, x, y = small_network(seed, "sign" if seed % 2 else "tanh")
        found = greedy_search(margins, x, y, np.arange(9), np.ones(9))
        if found is None:
            continue
        n_found += 1
        assert margins.evades(np.where(np.isin(np.arange(9), found), -x, x), y)
    assert n_found > 15


# Estimates


@given(
    st.floats(-30, 30), st.floats(1e-3, 40), st.sampled_from([0.5, 1.0]), st.integers(1, 12),
    st.lists(st.floats(-30, 30), max_size=4),
)  # fmt: skip
def test_polygon_lies_above_tanh(low, length, slope, pieces, extra):
    high = low + length
    points, values = tanh_overestimator(low, high, slope=slope, pieces=pieces, extra=extra)
    assert points[0] == low
    assert points[-1] == high
    assert (np.diff(points) > 0).all()
    assert (np.diff(values) >= 0).all()
    v = np.concatenate([np.linspace(low, high, 4001), points])
    assert (np.interp(v, points, values) >= np.tanh(slope * v)).all()


def test_polygon_touches_where_told_and_gets_close_with_more_pieces():
    v = np.linspace(-4, 5, 5001)

    def error(pieces):
        points, values = tanh_overestimator(-4.0, 5.0, pieces=pieces)
        return float(np.max(np.interp(v, points, values) - np.tanh(v)))

    errors = [error(pieces) for pieces in (2, 4, 8, 16)]
    # Second order: half the length, a quarter of the error.
    assert all(3 < a / b < 5.5 for a, b in pairwise(errors))
    points, values = tanh_overestimator(-4.0, 5.0, extra=[-1.7, 2.3])
    for where in (-1.7, 2.3):
        assert np.interp(where, points, values) == pytest.approx(np.tanh(where), abs=1e-13)


def within(n, budget, costs):
    return [
        flips
        for k in range(n + 1)
        for flips in combinations(range(n), k)
        if sum(costs[list(flips)]) <= budget
    ]


@given(SEEDS, st.floats(0.5, 6))
def test_ranges_hold_for_all_flips_within_the_budget(seed, budget):
    margins, x, y = small_network(seed, n=7)
    costs = np.random.default_rng(seed).uniform(0.5, 2, 7)
    problem, _ = flip_problem(margins, x, y, 1 - y, np.ones(7, bool), costs)
    low, high = problem.ranges(budget)
    for flips in within(len(problem.costs), budget, problem.costs):
        z = problem.z + problem.steps[list(flips)].sum(axis=0)
        assert (low <= z).all()
        assert (z <= high).all()


def evading_sets(margins, x, y, features, k):
    found = []
    for flips in combinations(range(len(features)), k):
        turned = x.copy()
        turned[features[list(flips)]] *= -1
        if margins.evades(turned, y):
            found.append(flips)
    return found


def lattice_network(seed, activation):
    """Return a network of small whole weights, full of ties, with a neuron that nothing moves."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(-2, 3, (7, 4)) / 2
    weights[:, 0] = 0.0
    arrays = (weights, rng.integers(-2, 3, 4) / 2, rng.integers(-2, 3, (4, 2)), rng.integers(-1, 2, 2))
    network = ShallowNetwork(*arrays, activation, int(rng.choice([1, 0, -1])))
    x = rng.choice([-1, 1], 7).astype(np.int8)
    return Margins(network, 1e-6), x, int(network.predict(x[None, :], encoding="signs")[0])


@pytest.mark.parametrize("activation", ["sign", "relu"])
@pytest.mark.parametrize("lattice", [False, True])
def test_excluding_solutions_one_by_one_lists_them_all(activation, lattice):
    listed = 0
    for seed in range(30 if lattice else 12):
        margins, x, y = lattice_network(seed, activation) if lattice else small_network(seed, activation, n=7)
        problem, features = flip_problem(margins, x, y, 1 - y, np.ones(7, bool), np.ones(7))
        truth = evading_sets(margins, x, y, features, 2)
        seen: list[np.ndarray] = []
        while (solution := solve_flips(problem, budget=2.5, floor=1.5, excluded=seen)).kind == "found":
            seen.append(solution.flips)
            assert len(seen) <= len(truth)
        assert solution.kind == "none"
        assert sorted(tuple(s.tolist()) for s in seen) == sorted(truth)
        listed += len(truth)
    assert listed > 10


def test_the_cheapest_flips_of_the_model_are_the_cheapest():
    rng = np.random.default_rng(0)
    for seed in range(12):
        margins, x, y = small_network(seed, "relu", n=7)
        costs = rng.integers(1, 6, 7).astype(float)
        problem, features = flip_problem(margins, x, y, 1 - y, np.ones(7, bool), costs)
        truth = [
            costs[features[list(f)]].sum()
            for k in range(1, 8)
            for f in evading_sets(margins, x, y, features, k)
        ]
        solution = solve_flips(problem, budget=costs.sum(), cheapest=True)
        if not truth:
            assert solution.kind == "none"
            continue
        assert solution.proven
        assert problem.costs[solution.flips].sum() == min(truth)
        assert solution.cost_bound == pytest.approx(min(truth), abs=1e-5)


def test_estimates_of_tanh_lose_no_evasion_and_become_exact_where_they_touch():
    lost, spurious, cured = 0, 0, 0
    for seed in range(40):
        margins, x, y = small_network(seed, "tanh", n=7, hidden=4)
        problem, features = flip_problem(margins, x, y, 1 - y, np.ones(7, bool), np.ones(7))
        truth = evading_sets(margins, x, y, features, 2)
        solution = solve_flips(problem, budget=2.5, floor=1.5, pieces=1)
        lost += bool(truth) and solution.kind == "none"
        if truth or solution.kind == "none":
            continue
        spurious += 1
        touch = [
            problem.z + problem.steps[list(flips)].sum(axis=0)
            for flips in combinations(range(len(features)), 2)
        ]
        cured += solve_flips(problem, budget=2.5, floor=1.5, pieces=1, touch=touch).kind == "none"
    assert lost == 0
    assert 0 < spurious == cured


def test_three_valued_signs_keep_their_middle():
    # z = 2, 0, -2 and tie 0: logits of class 1 are 1, 0, -1 against -0.5, which takes both flips.
    network = ShallowNetwork([[1.0], [1.0]], [0.0], [[0.0, 1.0]], [-0.5, 0.0], "sign", tie=0)
    margins = Margins(network, 1e-6)
    problem, _ = flip_problem(margins, np.ones(2, np.int8), 1, 0, np.ones(2, bool), np.ones(2))
    assert solve_flips(problem, budget=1.5).kind == "none"
    assert solve_flips(problem, budget=2.5).kind == "found"


def test_flips_that_help_no_neuron_are_left_out():
    network = ShallowNetwork(
        [[1.0, 2.0], [-1.0, -1.0], [1.0, -1.0]], [0.0, 0.0], [[0.0, 1.0], [0.0, 1.0]], [0.0, 0.0]
    )
    _, features = flip_problem(
        Margins(network, 1e-6), np.ones(3, np.int8), 1, 0, np.ones(3, bool), np.ones(3)
    )
    assert features.tolist() == [0, 2]
