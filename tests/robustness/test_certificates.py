"""Radii of halfspaces and networks against rational brute force, at the door, and on the paper's networks."""

from __future__ import annotations

import json
import warnings
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from scinn.exceptions import ScinnWarning
from scinn.robustness import (
    FeatureConstraints,
    ShallowNetwork,
    certified_radius,
    exact_radius,
    halfspace_radius,
)
from scinn.robustness.attack_results import AttackResult
from scinn.robustness.certificates import RadiusResult, gain_bound, hoelder_lower_bound
from scinn.verify.certificates import PROPERTIES
from scinn.verify.registry import run_property

SEEDS = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("prop", PROPERTIES, ids=lambda prop: prop.name)
def test_property_holds(prop):
    report = run_property(prop, n_cases=40, seed=2)
    assert report, report.worst


# Halfspaces


def rational_radius(w, theta, x, tie, allowed):
    """Return the least number of flips, by trying all sets in rational numbers."""
    w, theta = [Fraction(float(v)) for v in w], Fraction(float(theta))

    def answer(signs):
        m = sum((a * int(s) for a, s in zip(w, signs)), -theta)
        return tie if m == 0 else 1 if m > 0 else -1

    first = answer(x)
    for k in range(1, len(w) + 1):
        for flips in combinations(np.flatnonzero(allowed), k):
            turned = list(x)
            for i in flips:
                turned[i] = -turned[i]
            if answer(turned) != first:
                return k
    return -1


@given(SEEDS, st.sampled_from(["decimal", "deep", "wide", "float", "equal"]), st.sampled_from([1, 0, -1]))
def test_radius_is_exact_where_rounding_would_decide(seed, kind, tie):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 8))
    if kind == "decimal":
        # In decimals these sums tie all the time; as floats they miss the plane by 1e-17.
        w, theta = rng.integers(-9, 10, n) / 10, float(rng.integers(-9, 10) / 10)
    elif kind == "deep":
        # The same beside a weight so small that 64-bit integers do not hold them all.
        w, theta = rng.integers(-9, 10, n) / 10, float(rng.integers(-9, 10) / 10)
        w[0] = 2.0**-90
    elif kind == "wide":
        w = rng.choice([-1.0, 1.0], n) * 2.0 ** rng.integers(-200, 200, n)
        theta = float(rng.choice([0.0, w[0], 2.0**60]))
    elif kind == "float":
        w, theta = rng.normal(size=n), float(rng.normal())
    else:
        w, theta = np.full(n, 0.1), float(rng.integers(-3, 4) * 0.1)
    x = rng.choice([-1, 1], (3, n)).astype(np.int8)
    rules = FeatureConstraints(n, immutable=rng.random(n) < 0.2)
    radius = halfspace_radius(w, theta, x, tie=tie, constraints=rules, encoding="signs")
    truth = [rational_radius(w, theta, row, tie, rules.may_add) for row in x]
    assert radius.dtype == np.int64
    assert radius.tolist() == truth


def test_blocks_of_samples_are_joined(monkeypatch):
    rng = np.random.default_rng(0)
    w, x = rng.normal(size=31), rng.choice([-1, 1], (101, 31))
    whole = halfspace_radius(w, 0.3, x)
    monkeypatch.setattr("scinn.robustness.halfspaces._BLOCK_ENTRIES", 31 * 7)
    assert np.array_equal(halfspace_radius(w, 0.3, x), whole)
    assert len(set(whole.tolist())) > 2


def test_bits_signs_and_sparse_bits_agree():
    rng = np.random.default_rng(1)
    bits = rng.integers(0, 2, (20, 9))
    w = rng.normal(size=9)
    expected = halfspace_radius(w, 0.1, 1 - 2 * bits)
    assert np.array_equal(halfspace_radius(w, 0.1, bits), expected)
    assert np.array_equal(halfspace_radius(w, 0.1, sparse.csr_array(bits)), expected)
    assert halfspace_radius(w, 0.1, bits[0]).tolist() == expected[:1].tolist()


def test_the_plane_as_a_third_answer_is_entered_and_left():
    # Margins 2, 0, 0, -2: entering costs one flip, leaving too, though no weight is left to help.
    x = [[1, 1], [1, -1], [-1, 1], [-1, -1]]
    assert halfspace_radius([1, 1], 0, x, tie=0).tolist() == [1, 1, 1, 1]
    assert halfspace_radius([1, 1], 0, x, tie=1).tolist() == [2, 1, 1, 1]
    assert halfspace_radius([0, 0], 0, x, tie=0).tolist() == [-1] * 4


def test_hoelder_bound_of_extreme_weights():
    assert np.isinf(hoelder_lower_bound([0.0, 0.0], 1.0, [[1, -1]])).all()
    assert hoelder_lower_bound([1e308, 1e308], 0.0, [[1, 1]], encoding="signs").tolist() == [1.0]


def test_halfspaces_at_the_door():
    with pytest.raises(ValueError, match=r"features has shape \(1, 3\); \(any, 2\) is wanted"):
        halfspace_radius([1, 2], 0, [[1, -1, 1]])
    with pytest.raises(ValueError, match="weights holds 1 NaN"):
        halfspace_radius([1, np.nan], 0, [[1, -1]])
    with pytest.raises(ValueError, match="weights is empty"):
        halfspace_radius([], 0, [[1, -1]])
    with pytest.raises(ValueError, match="tie is 2"):
        halfspace_radius([1, 2], 0, [[1, -1]], tie=2)
    with pytest.raises(ValueError, match=r"costs from 1 to 2; flips are counted.*exact_radius"):
        halfspace_radius([1, 2], 0, [[1, -1]], constraints=FeatureConstraints(2, costs=[1, 2]))
    # Equal costs other than 1 do not matter, as flips are counted.
    same = FeatureConstraints(2, costs=3.0)
    assert halfspace_radius([1, 2], 0, [[1, -1]], constraints=same).tolist() == [1]


# Networks


def gap_of(network, signs, y):
    """Return the largest gap in rational numbers."""
    w, b, v, c = (
        np.vectorize(Fraction, otypes=[object])(np.asarray(a, dtype=np.float64))
        for a in (network.hidden_weights, network.hidden_bias, network.output_weights, network.output_bias)
    )
    z = np.array([int(s) for s in signs], dtype=object) @ w + b
    if network.activation == "relu":
        a = [max(value, Fraction(0)) for value in z]
    else:
        a = [network.tie if value == 0 else 1 if value > 0 else -1 for value in z]
    logits = np.array(a, dtype=object) @ v + c
    return max(logit - logits[y] for t, logit in enumerate(logits) if t != y)


def rational_network_radius(network, x, y, margin):
    for k in range(len(x) + 1):
        for flips in combinations(range(len(x)), k):
            turned = x.copy()
            turned[list(flips)] *= -1
            if gap_of(network, turned, y) >= Fraction(margin):
                return k
    return np.inf


@given(SEEDS, st.sampled_from(["sign", "relu"]), st.sampled_from([0.0, 1e-6, 0.3]))
def test_ties_of_decimal_weights_are_decided_as_the_floats_they_are(seed, activation, margin):
    rng = np.random.default_rng(seed)
    n, hidden, classes = int(rng.integers(1, 6)), int(rng.integers(1, 4)), int(rng.integers(2, 4))
    arrays = [
        rng.integers(-3, 4, shape) / 10 for shape in ((n, hidden), (hidden,), (hidden, classes), (classes,))
    ]
    network = ShallowNetwork(*arrays, activation, int(rng.choice([1, 0, -1])))
    x = rng.choice([-1, 1], (1, n)).astype(np.int8)
    y = network.predict(x, encoding="signs")
    if gap_of(network, x[0], int(y[0])) > 0:
        # Float logits tie where the exact ones do not.
        return
    result = exact_radius(network, x, y, encoding="signs", margin=margin)[0]
    truth = rational_network_radius(network, x[0], int(y[0]), margin)
    if truth == 0:
        assert result.status == "misclassified"
        return
    # Only the time may end a search early, and here there is enough.
    assert result.exact
    assert result.lower == result.upper == truth


def random_network(seed, activation="scaled_logistic", n=12, hidden=5, classes=2, dtype=np.float64):
    rng = np.random.default_rng(seed)
    arrays = [
        rng.normal(size=shape).astype(dtype)
        for shape in ((n, hidden), (hidden,), (hidden, classes), (classes,))
    ]
    network = ShallowNetwork(*arrays, activation)
    x = rng.choice([-1, 1], (6, n)).astype(np.int8)
    return network, x, network.predict(x)


@pytest.mark.parametrize("activation", ["tanh", "relu", "sign"])
@pytest.mark.parametrize("greedy", [True, False])
def test_radii_that_take_the_search_are_those_of_brute_force(activation, greedy, monkeypatch):
    if not greedy:
        monkeypatch.setattr("scinn.robustness.certificates.greedy_search", lambda *_: None)
    # Three classes and a margin that cheap bounds do not settle; one chord estimates tanh badly at first.
    n, margin = 11, 1.5
    sets = np.array([[k >> i & 1 for i in range(n)] for k in range(2**n)], dtype=bool)
    searched = 0
    for seed in range(40):
        network, x, y = random_network(seed, activation, n=n, hidden=4, classes=3)
        for row, label, result in zip(x, y, certified_radius(network, x, y, margin=margin, pieces=1)):
            logits = network.logits(np.where(sets, -row, row), encoding="signs")
            gap = np.delete(logits - logits[:, [label]], label, axis=1).max(axis=1)
            truth = np.min(sets.sum(axis=1)[gap >= margin].astype(float), initial=np.inf)
            assert result.exact
            assert result.lower == result.upper == truth
            searched += result.method == "mixed-integer"
    assert searched > 15


def test_a_sample_alone_gives_what_it_gives_among_others():
    for activation in ("sign", "relu", "tanh"):
        network, x, y = random_network(3, activation, classes=3)
        together = certified_radius(network, x, y)
        for i, result in enumerate(together):
            alone = certified_radius(network, x[i], y[i : i + 1], encoding="signs")[0]
            assert (alone.lower, alone.upper, alone.status) == (result.lower, result.upper, result.status)
            assert np.array_equal(alone.adversarial, result.adversarial)


def test_adversarial_features_come_in_the_encoding_of_the_input_and_flip_the_answer():
    network, x, y = random_network(4)
    for given_features, values in (
        (x, {-1, 1}),
        ((1 - x) // 2, {0, 1}),
        (sparse.csr_array((1 - x) // 2), {0, 1}),
    ):
        for i, result in enumerate(certified_radius(network, given_features, y)):
            assert result.adversarial.dtype == np.int8
            assert set(result.adversarial.tolist()) == values
            signs = result.adversarial if -1 in values else 1 - 2 * result.adversarial
            assert (signs != x[i]).sum() == result.upper
            assert network.predict(signs, encoding="signs")[0] != y[i]


def test_float32_networks_are_taken_as_real_ones():
    network, x, y = random_network(5, "relu", dtype=np.float32)
    single, double = exact_radius(network, x, y), exact_radius(network.astype(np.float64), x, y)
    assert [r.upper for r in single] == [r.upper for r in double]
    assert all(r.exact for r in single)


def test_misclassified_and_robust_samples():
    network = ShallowNetwork([[1.0], [1.0]], [0.5], [[-1.0, 1.0]], [0.0, 0.0], "tanh")
    wrong, robust = certified_radius(
        network, [[1, 1], [1, 1]], [0, 1], encoding="signs", constraints=FeatureConstraints(2, immutable=True)
    )
    assert (wrong.lower, wrong.upper, wrong.status, wrong.exact) == (0, 0, "misclassified", True)
    assert wrong.adversarial.tolist() == [1, 1]
    assert (robust.lower, robust.upper, robust.status, robust.exact) == (np.inf, np.inf, "robust", True)
    assert robust.adversarial is None
    assert json.loads(json.dumps(robust.to_dict()))["lower"] is None
    assert gain_bound(network, [[1, 1], [1, 1]], [0, 1], encoding="signs").tolist() == [0, 2]
    # Three units of bias cannot be overcome by two flips.
    safe = network.replace(hidden_bias=[3.0])
    assert certified_radius(safe, [[1, -1]], [1])[0].status == "robust"
    assert gain_bound(safe, [[1, -1]], [1]).tolist() == [-1]


def test_the_margin_moves_the_radius():
    # ReLU gives 3, 1, 0, 0 after 0 to 3 flips, and the gap 2 - 2 relu(z) is -4, 0, 2, 2.
    network = ShallowNetwork([[1.0], [1.0], [1.0]], [0.0], [[-1.0, 1.0]], [1.0, -1.0], "relu")
    x = [[1, 1, 1]]

    def radius(margin):
        return exact_radius(network, x, [1], encoding="signs", margin=margin)[0]

    assert radius(0.0).upper == 1
    assert radius(1e-6).upper == 2
    assert radius(2.0).upper == 2
    assert radius(2.0 + 1e-9).status == "robust"


def test_when_the_time_is_up_the_bounds_still_hold():
    # The margin makes the radius so large that it takes the search to find it.
    network, x, y = random_network(6, n=30, hidden=8)
    exact = certified_radius(network, x, y, margin=3.0)
    hasty = certified_radius(network, x, y, margin=3.0, time_limit=1e-9)
    assert any(r.status == "bounded" for r in hasty)
    for short, full in zip(hasty, exact):
        assert full.exact
        assert short.lower <= full.lower <= short.upper
        if short.status == "bounded":
            assert short.lower < short.upper
            assert not short.exact


def test_known_evasions_are_checked_and_their_number_is_trusted():
    network, x, y = random_network(7, n=20)
    exact = certified_radius(network, x, y)
    radii = np.array([r.upper for r in exact])
    examples = np.stack([r.adversarial for r in exact])
    again = certified_radius(network, x, y, upper=examples)
    assert all(
        np.array_equal(a.adversarial, b.adversarial) and a.lower == b.lower for a, b in zip(again, exact)
    )
    trusted = certified_radius(network, x, y, upper=radii)
    assert [(r.lower, r.upper) for r in trusted] == [(r.lower, r.upper) for r in exact]
    # The first sample is not evaded by itself, and the second only by flips that are forbidden here.
    spoilt = examples.copy()
    spoilt[0] = x[0]
    rules = FeatureConstraints(20, immutable=np.flatnonzero(examples[1] != x[1]))
    checked = certified_radius(network, x, y, upper=spoilt, constraints=rules)
    free = certified_radius(network, x, y, constraints=rules)
    assert [(r.lower, r.upper) for r in checked] == [(r.lower, r.upper) for r in free]
    assert rules.check(x, examples) is not None
    assert rules.check(x, np.stack([r.adversarial for r in checked])) is None
    unknown = certified_radius(network, x, y, upper=np.full(6, -1))
    assert [r.upper for r in unknown] == radii.tolist()


def test_results_of_attacks_are_taken_as_they_are():
    network, x, y = random_network(7, n=20)
    exact = certified_radius(network, x, y)
    nothing = np.zeros(6)
    attack = AttackResult(
        np.stack([r.adversarial for r in exact]), nothing, nothing, nothing, nothing, nothing, nothing, "test"
    )
    assert [r.lower for r in certified_radius(network, x, y, upper=attack)] == [r.lower for r in exact]


def test_sizes_that_cannot_be_are_ignored_with_a_warning():
    network, x, y = random_network(8, n=20)
    exact = certified_radius(network, x, y)
    hard = [i for i, r in enumerate(exact) if r.lower > 1]
    assert len(hard) > 1
    with pytest.warns(
        ScinnWarning, match=rf"upper\[{hard[0]}\] is less than what was proved.*{len(hard) - 1} more"
    ):
        results = certified_radius(
            network, x, y, upper=np.zeros(6) + [0 if i in hard else 1 for i in range(6)]
        )
    assert [r.upper for r in results] == [r.upper for r in exact]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        certified_radius(network, x, y, upper=[r.upper for r in exact])


def test_costs_are_minimised_and_decimal_costs_are_whole():
    network, x, y = random_network(9, "relu", n=8)
    costs = np.array([0.1, 0.2, 0.3, 0.1, 0.7, 0.2, 0.5, 0.4])
    rules = FeatureConstraints(8, costs=costs)
    for row, label, result in zip(x, y, exact_radius(network, x, y, constraints=rules)):
        best = min(
            sum(costs[list(flips)])
            for k in range(1, 9)
            for flips in combinations(range(8), k)
            if network.predict(np.where(np.isin(np.arange(8), flips), -row, row), encoding="signs")[0]
            != label
        )
        assert result.exact
        assert isinstance(result.upper, float)
        assert result.upper == pytest.approx(best, abs=1e-12)
    flips = exact_radius(network, x, y)
    doubled = exact_radius(network, x, y, constraints=FeatureConstraints(8, costs=2.0))
    assert [r.upper for r in doubled] == [2.0 * r.upper for r in flips]


def test_no_samples_give_no_results():
    network, _, _ = random_network(0)
    assert certified_radius(network, np.zeros((0, 12)), np.zeros(0, int), encoding="signs") == []
    assert gain_bound(network, np.zeros((0, 12)), [], encoding="signs").shape == (0,)
    assert halfspace_radius(np.ones(12), 0, np.zeros((0, 12)), encoding="signs").shape == (0,)


def test_inputs_are_left_alone():
    network, x, y = random_network(10)
    for array in (x, y):
        array.setflags(write=False)
    before = x.copy()
    certified_radius(network, x, y)
    assert np.array_equal(x, before)


def test_networks_at_the_door():
    network, x, y = random_network(11)
    with pytest.raises(
        ValueError, match=r"has scaled_logistic neurons; exact_radius is for.*certified_radius"
    ):
        exact_radius(network, x, y)
    with pytest.raises(TypeError, match="network is a dict; a ShallowNetwork is wanted"):
        certified_radius({}, x, y)
    with pytest.raises(ValueError, match="labels holds the label 2; with 2 classes"):
        certified_radius(network, x, np.full(6, 2))
    with pytest.raises(ValueError, match="labels holds -1; classes 0"):
        gain_bound(network, x, np.full(6, -1))
    with pytest.raises(ValueError, match="labels has shape"):
        certified_radius(network, x, y[:3])
    with pytest.raises(ValueError, match=r"features has shape \(6, 11\)"):
        certified_radius(network, x[:, :11], y)
    for limit in (0, -1.0, np.inf):
        with pytest.raises(ValueError, match="time_limit is"):
            certified_radius(network, x, y, time_limit=limit)
    with pytest.raises(ValueError, match="margin is -1"):
        certified_radius(network, x, y, margin=-1)
    with pytest.raises(ValueError, match="pieces is 0"):
        certified_radius(network, x, y, pieces=0)
    with pytest.raises(ValueError, match=r"upper has shape \(5,\); adversarial features of shape \(6, 12\)"):
        certified_radius(network, x, y, upper=np.ones(5))
    with pytest.raises(ValueError, match="constraints are for 3 features"):
        certified_radius(network, x, y, constraints=FeatureConstraints(3))
    with pytest.raises(ValueError, match="upper holds 0, 1"):
        certified_radius(network, x, y, upper=(1 - x) // 2)


def test_results_are_readable():
    assert repr(RadiusResult(1, 1, None, "exact", 0.5, "gain bound")) == (
        "RadiusResult(1 flip, exact; lower bound by gain bound, 0.5 s)"
    )
    assert "2 to ? flips, bounded" in repr(RadiusResult(2, None, None, "bounded", 0.5, "exhaustive"))
    assert "cost 2.5 to 3" in repr(RadiusResult(2.5, 3.0, None, "bounded", 0.5, "mixed-integer"))
    robust = RadiusResult(np.inf, np.inf, None, "robust", 0.5, "gain bound")
    assert "no allowed flips evade, robust" in repr(robust)
    network, x, y = random_network(12)
    for result in certified_radius(network, x, y):
        read = json.loads(json.dumps(result.to_dict()))
        assert read["adversarial"] == result.adversarial.tolist()
        assert read["lower"] == result.lower
        assert isinstance(read["lower"], int)


# The paper's networks


@pytest.mark.data
@pytest.mark.parametrize(
    ("dataset", "prefix", "activation"),
    [
        ("pdfrate", "", "scaled_logistic"),
        ("pdfrate", "relu_", "relu"),
        ("hatespeech", "", "scaled_logistic"),
        ("hatespeech", "relu_", "relu"),
        ("hidost", "", "scaled_logistic"),
    ],
)
def test_the_papers_attack_is_optimal_on_two_points(dataset, prefix, activation, needs_data):
    with np.load(needs_data(f"fourier_networks_{dataset}.npz"), allow_pickle=False) as data:
        network = ShallowNetwork(*(data[prefix + name] for name in "WbVc"), activation)
        n = int(data["n"])
        flips = data[prefix + "jsma_l1"] // 2
        chosen = np.flatnonzero(flips > 0)[[0, -1]]
        bits = np.unpackbits(data["val_bits"][chosen], axis=1, count=n)
        labels = data["val_y"][chosen].astype(np.int64)
    # Once by trust in the stored sizes, and once without knowing them.
    for upper in (flips[chosen], None):
        results = certified_radius(network, bits, labels, upper=upper)
        assert [(r.lower, r.upper, r.status) for r in results] == [(k, k, "exact") for k in flips[chosen]]
