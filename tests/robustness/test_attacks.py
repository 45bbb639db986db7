"""Attacks that flip bits: they flip labels, obey constraints, agree with their definitions and with the authors' results."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import sparse

from scinn.nn.models import mlp
from scinn.robustness import (
    FeatureConstraints,
    ShallowNetwork,
    exhaustive_flips,
    greedy_flips,
    jsma,
    to_bits,
    to_signs,
)
from scinn.robustness.attack_results import AttackResult
from scinn.robustness.network import ACTIVATIONS

ATTACKS = {"jsma": jsma, "greedy": greedy_flips, "exhaustive": exhaustive_flips}


def draw(activation="scaled_logistic", *, n=12, n_hidden=6, n_classes=3, seed=0, dtype=np.float64, m=40):
    """Return a random network, signs, and labels of which most are right."""
    rng = np.random.default_rng(seed)
    shapes = ((n, n_hidden), n_hidden, (n_hidden, n_classes), n_classes)
    network = ShallowNetwork(*(rng.standard_normal(shape).astype(dtype) for shape in shapes), activation)
    signs = rng.choice(np.array([-1, 1], np.int8), (m, n))
    labels = np.where(rng.random(m) < 0.9, network.predict(signs, encoding="signs"), 0)
    return network, signs, labels


def stored(path, changed=None, prefix=""):
    """Return a stored network of the authors, validation bits and labels, and the norms that their attack found."""
    with np.load(path) as data:
        arrays = {name: data[prefix + name].copy() for name in "WbVc"}
        if changed is not None:
            for name, layer in (("W", 0), ("V", 1)):
                columns, weights = data[f"{changed}_changed_layer{layer}"], arrays[name]
                weights[:, columns] = np.sign(weights[:, columns]) * np.abs(weights[:, columns]).max(axis=0)
        wanted = data[("" if changed is None else changed + "_") + prefix + "jsma_l1"]
        bits = np.unpackbits(data["val_bits"], axis=1, count=int(data["n"]))
        labels = data["val_y"].astype(np.int64)
    network = ShallowNetwork(*(arrays[name] for name in "WbVc"), "relu" if prefix else "scaled_logistic")
    return network, bits, labels, wanted


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "changed", "prefix"),
    [
        ("pdfrate", None, ""),
        ("pdfrate", "GMB_0.985", ""),
        ("pdfrate", None, "relu_"),
        ("hatespeech", None, ""),
        ("hatespeech", "GMBC_0.88", ""),
        ("hatespeech", None, "relu_"),
    ],
)
def test_jsma_finds_the_norms_that_the_authors_stored(needs_data, name, changed, prefix):
    network, bits, labels, wanted = stored(needs_data(f"fourier_networks_{name}.npz"), changed, prefix)
    result = jsma(network, bits, labels)
    assert result.l1.tolist() == wanted.tolist()
    assert (network.predict(result.adversarial, encoding="bits") != labels).all()


@pytest.mark.data
def test_greedy_and_exhaustive_attacks_on_a_stored_network(needs_data):
    network, bits, labels, wanted = stored(needs_data("fourier_networks_pdfrate.npz"))
    greedy = greedy_flips(network, bits, labels)
    assert greedy.success.all()
    exact = exhaustive_flips(network, bits[:200], labels[:200], max_flips=6)
    assert exact.success.all()
    assert exact.lower_bound.tolist() == exact.n_flips.tolist()
    assert (exact.l1 <= wanted[:200]).all()
    assert (exact.l1 <= greedy.l1[:200]).all()
    # Every pair is tried by the definition, too.
    few = np.flatnonzero(exact.n_flips <= 3)[:6]
    plain = exhaustive_flips(network.logits_of_signs, bits[few], labels[few], max_flips=2)
    assert plain.lower_bound.tolist() == np.minimum(exact.n_flips[few], 3).tolist()


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_labels_really_flip_and_numbers_fit_together(attack, activation, dtype):
    network, signs, labels = draw(activation, dtype=dtype)
    result = ATTACKS[attack](network, signs, labels)
    wrong = network.predict(signs, encoding="signs") != labels
    assert result.already_misclassified.tolist() == wrong.tolist()
    assert wrong.any()
    changed = signs != result.adversarial
    assert (
        result.success.tolist() == (network.predict(result.adversarial, encoding="signs") != labels).tolist()
    )
    assert result.n_flips[result.success].tolist() == changed[result.success].sum(axis=1).tolist()
    assert (result.n_flips[wrong] == 0).all()
    assert (result.n_flips[~result.success] == -1).all()
    assert not changed[~result.success].any()
    assert result.l1.tolist() == np.where(result.success, 2 * changed.sum(axis=1), np.inf).tolist()
    assert result.cost.tolist() == np.where(result.success, changed.sum(axis=1), np.inf).tolist()
    for row, flips in zip(changed, result.order):
        assert sorted(i for i in flips if i >= 0) == np.flatnonzero(row).tolist()
    assert result.success.mean() > 0.5


@pytest.mark.parametrize("activation", ["scaled_logistic", "relu"])
def test_jsma_stops_at_the_first_success(activation):
    network, signs, labels = draw(activation)
    result = jsma(network, signs, labels)
    rows = np.flatnonzero(result.n_flips > 0)
    before = result.adversarial.copy()
    before[rows, result.order[rows, result.n_flips[rows] - 1]] *= -1
    assert (network.predict(before, encoding="signs")[rows] == labels[rows]).all()


def test_no_flip_of_a_pruned_greedy_attack_is_superfluous():
    network, signs, labels = draw(n=30, m=100)
    full, pruned = (greedy_flips(network, signs, labels, prune=prune) for prune in (False, True))
    assert (pruned.n_flips <= full.n_flips).all()
    assert pruned.n_flips.sum() < full.n_flips.sum()
    for row in np.flatnonzero(pruned.n_flips > 1):
        for feature in pruned.order[row][pruned.order[row] >= 0]:
            undone = pruned.adversarial[row].copy()
            undone[feature] *= -1
            assert network.predict(undone, encoding="signs")[0] == labels[row]


def test_exhaustive_search_is_a_lower_bound_for_the_others():
    network, signs, labels = draw(n=14, m=60, n_classes=2)
    exact = exhaustive_flips(network, signs, labels, max_flips=4)
    for attack in (jsma, greedy_flips):
        other = attack(network, signs, labels)
        assert (exact.lower_bound <= np.where(other.success, other.n_flips, 99)).all()
        both = exact.success & other.success
        assert (exact.n_flips[both] <= other.n_flips[both]).all()
    assert (exact.lower_bound[~exact.success] == 5).all()
    assert jsma(network, signs, labels).lower_bound is None


def test_exhaustive_search_prefers_cheap_sets():
    network = ShallowNetwork([[4.0], [2.0], [2.0]], [-3.0], [[1.0, -1.0]], [0.0, 0.0], "tanh")
    cheap = exhaustive_flips(network, [[0, 0, 0]], [0])
    assert cheap.order.tolist() == [[0]]
    dear = exhaustive_flips(network, [[0, 0, 0]], [0], constraints=FeatureConstraints(3, costs=[5, 1, 1]))
    assert dear.order.tolist() == [[1, 2]]
    assert dear.cost.tolist() == [2.0]
    assert dear.lower_bound.tolist() == [1]


def test_a_search_can_prove_that_no_set_succeeds():
    network = ShallowNetwork([[1.0], [1.0], [1.0]], [1.0], [[1.0, -1.0]], [0.0, 0.0], "tanh")
    result = exhaustive_flips(
        network, [[0, 0, 0]], [0], max_flips=3, constraints=FeatureConstraints(3, immutable=[1, 2])
    )
    assert result.lower_bound.tolist() == [2]
    assert result.l1.tolist() == [np.inf]
    limited = exhaustive_flips(network, [[0, 0, 0]], [0], max_flips=3, max_nodes=1)
    assert limited.lower_bound[0] <= 3


@pytest.mark.parametrize("attack", ATTACKS)
def test_constraints_and_costs_are_obeyed(attack):
    network, signs, labels = draw(n=16, m=80)
    rng = np.random.default_rng(1)
    add = rng.random(16) < 0.5
    constraints = FeatureConstraints(
        16, immutable=[0, 5], add_only=add, remove_only=~add, costs=rng.uniform(1, 3, 16)
    )
    result = ATTACKS[attack](network, signs, labels, constraints=constraints)
    assert constraints.check(signs, result.adversarial) is None
    assert (result.success & ~result.already_misclassified).any()
    price = constraints.cost(signs, result.adversarial)
    assert result.cost[result.success].tolist() == price[result.success].tolist()
    fixed = ATTACKS[attack](network, signs, labels, constraints=FeatureConstraints(16, immutable=True))
    assert fixed.success.tolist() == fixed.already_misclassified.tolist()
    assert fixed.adversarial.tolist() == signs.tolist()


@pytest.mark.parametrize("attack", [jsma, greedy_flips])
def test_costs_turn_the_attack_to_cheap_features(attack):
    network = ShallowNetwork([[2.0], [2.5]], [-2.0], [[1.0, -1.0]], [0.0, 0.0], "tanh")
    assert attack(network, [[0, 0]], [0]).order.tolist() == [[1]]
    costs = FeatureConstraints(2, costs=[1.0, 10.0])
    assert attack(network, [[0, 0]], [0], constraints=costs).order.tolist() == [[0]]


@pytest.mark.parametrize("attack", [jsma, greedy_flips])
def test_attacks_give_up_after_as_many_flips(attack):
    network, signs, labels = draw()
    free = attack(network, signs, labels)
    for most in (0, 1, 2):
        limited = attack(network, signs, labels, max_flips=most)
        assert limited.n_flips.max() <= most
        within = free.success & (free.n_flips <= most)
        # Pruning may bring a longer attack below the limit, which the limited one does not see.
        assert (limited.success <= within).all()
        assert limited.success.tolist() == within.tolist() or attack is not jsma


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("activation", ["scaled_logistic", "relu"])
def test_a_function_is_attacked_like_the_network(attack, activation):
    network, signs, labels = draw(activation, m=15)
    constraints = FeatureConstraints(12, immutable=[3], costs=np.linspace(1, 2, 12))
    by_kernel = ATTACKS[attack](network, signs, labels, constraints=constraints)
    seen = []

    def logits(x):
        seen.append(x.dtype)
        return network.logits_of_signs(x)

    by_function = ATTACKS[attack](logits, signs, labels, constraints=constraints)
    assert by_function.order.tolist() == by_kernel.order.tolist()
    assert by_function.adversarial.tolist() == by_kernel.adversarial.tolist()
    assert (by_function.lower_bound is None) == (by_kernel.lower_bound is None)
    if by_kernel.lower_bound is not None:
        assert by_function.lower_bound.tolist() == by_kernel.lower_bound.tolist()
    assert set(seen) == {np.dtype(np.float64)}


@pytest.mark.parametrize("attack", ATTACKS)
def test_networks_of_scinn_nn(attack):
    rng = np.random.default_rng(0)
    signs = rng.choice(np.array([-1, 1]), (10, 8))
    shallow = mlp([8, 5, 2], activation="tanh", rng=0)
    deep = mlp([8, 5, 4, 2], activation="tanh", rng=0)
    for network in (shallow, deep):
        labels = network(signs.astype(np.float32)).argmax(axis=1)
        result = ATTACKS[attack](network, signs, labels)
        assert result.success.any()
        answers = network(result.adversarial.astype(np.float32)).argmax(axis=1)
        assert (answers != labels).tolist() == result.success.tolist()
    read = ATTACKS[attack](
        ShallowNetwork.from_network(shallow), signs, shallow(signs.astype(np.float32)).argmax(axis=1)
    )
    again = ATTACKS[attack](shallow, signs, shallow(signs.astype(np.float32)).argmax(axis=1))
    assert read.adversarial.tolist() == again.adversarial.tolist()


@pytest.mark.parametrize("attack", ATTACKS)
def test_encodings_in_are_encodings_out(attack):
    network, signs, labels = draw()
    want = ATTACKS[attack](network, signs, labels)
    bits = to_bits(signs)
    for given in (bits, bits.astype(bool), bits.astype(float), sparse.csr_array(bits), bits.tolist()):
        result = ATTACKS[attack](network, given, labels)
        assert result.adversarial.dtype == np.int8
        assert to_signs(result.adversarial, encoding="bits").tolist() == want.adversarial.tolist()
    one = ATTACKS[attack](network, signs[0], labels[:1])
    assert one.adversarial.tolist() == want.adversarial[:1].tolist()
    ones = ATTACKS[attack](network, np.ones((1, 12)), [0], encoding="bits")
    assert set(np.unique(ones.adversarial)) <= {0, 1}


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_samples_and_nothing_right(attack):
    network, signs, labels = draw()
    empty = ATTACKS[attack](network, signs[:0], labels[:0], encoding="signs")
    assert empty.adversarial.shape == (0, 12)
    assert repr(empty).endswith("0 samples)")
    with pytest.raises(ValueError, match="there are no samples"):
        empty.robust_accuracy(1.0)
    never = (network.predict(signs) + 1) % 3
    result = ATTACKS[attack](network, signs, never)
    assert not result.n_flips.any()
    assert result.already_misclassified.all()
    assert result.robust_accuracy([0.0, 2.0]).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("attack", ATTACKS)
def test_input_is_left_alone_and_results_repeat(attack):
    network, signs, labels = draw()
    before, x = signs.copy(), signs
    x.setflags(write=False)
    labels.setflags(write=False)
    first, second = (ATTACKS[attack](network, x, labels) for _ in range(2))
    assert x.tolist() == before.tolist()
    assert first.adversarial.tobytes() == second.adversarial.tobytes()
    assert first.order.tobytes() == second.order.tobytes()


@pytest.fixture
def ties():
    """Return sign neurons of equal weights: their planes are hit, and sums in float32 fall on either side of them."""
    rng = np.random.default_rng(0)
    columns = np.float32(0.7312) * rng.choice(np.array([-1, 1], np.float32), (20, 5))
    output = rng.standard_normal((5, 2)).astype(np.float32)
    network = ShallowNetwork(columns, np.zeros(5, np.float32), output, [0, 0], "sign")
    signs = rng.choice(np.array([-1, 1]), (300, 20))
    return network, signs, network.predict(signs)


@pytest.mark.parametrize("attack", ATTACKS)
def test_ties_that_rounding_decides_are_settled_by_the_network_itself(ties, attack):
    network, signs, labels = ties
    result = ATTACKS[attack](network, signs, labels)
    assert (network.predict(result.adversarial) != labels).tolist() == result.success.tolist()
    assert result.success.any()


def test_a_search_that_rounding_decides_comes_to_an_end(ties, monkeypatch):
    network, signs, labels = ties
    full = exhaustive_flips(network, signs, labels)
    monkeypatch.setattr("scinn.robustness.attacks._MAX_SETS", 10)
    result = exhaustive_flips(network, signs, labels)
    assert (network.predict(result.adversarial) != labels).tolist() == result.success.tolist()
    left = ~result.success & (result.lower_bound <= 2)
    assert left.any()
    assert (result.lower_bound[left] <= full.lower_bound[left]).all()
    assert result.n_flips[~left].tolist() == full.n_flips[~left].tolist()


def test_the_accuracy_curve():
    result = AttackResult(
        np.zeros((4, 2), np.int8),
        np.array([0, 1, 2, -1]),
        np.array([0.0, 2.0, 4.0, np.inf]),
        np.array([0.0, 1.0, 2.0, np.inf]),
        np.array([True, True, True, False]),
        np.array([True, False, False, False]),
        np.array([[-1, -1], [1, -1], [1, 0], [-1, -1]]),
        "JSMA",
    )
    assert result.robust_accuracy(0) == 0.75
    assert result.robust_accuracy([0, 1.9, 2, 4, 1e9]).tolist() == [0.75, 0.75, 0.5, 0.25, 0.25]
    assert result.mean_l1 == np.inf
    assert result.median_l1 == 3.0
    assert len(result) == 4
    assert repr(result) == (
        "AttackResult(JSMA, 4 samples: 1 misclassified before, 2 evaded, 1 not; l1 norm mean inf, median 3)"
    )
    as_json = json.loads(json.dumps(result.to_dict()))
    assert as_json["l1"] == [0.0, 2.0, 4.0, None]
    assert as_json["flips"] == [[], [1], [1, 0], []]
    with pytest.raises(ValueError, match="epsilons holds -1"):
        result.robust_accuracy([-1.0])


def test_the_curve_is_drawn_on_given_axes():
    network, signs, labels = draw()
    ax = jsma(network, signs, labels).plot()
    assert greedy_flips(network, signs, labels).plot(ax) is ax
    assert [line.get_label() for line in ax.lines] == ["JSMA", "greedy flips"]
    assert ax.get_xlabel() == "l1 budget"
    assert ax.get_ylabel() == "accuracy"
    heights = ax.lines[0].get_ydata()
    assert (np.diff(heights) <= 0).all()


@pytest.mark.parametrize("attack", ATTACKS.values())
def test_bad_arguments_are_refused(attack):
    network, signs, labels = draw()
    with pytest.raises(ValueError, match="labels holds the label 3; with 3 classes"):
        attack(network, signs, labels * 0 + 3)
    with pytest.raises(ValueError, match="labels holds -1"):
        attack(network, signs, labels * 0 - 1)
    with pytest.raises(ValueError, match=r"features has shape \(40, 11\); \(any, 12\) is wanted"):
        attack(network, signs[:, 1:], labels)
    with pytest.raises(ValueError, match="labels"):
        attack(network, signs, labels[1:])
    with pytest.raises(ValueError, match="constraints are for 3 features, there are 12"):
        attack(network, signs, labels, constraints=FeatureConstraints(3))
    with pytest.raises(TypeError, match=r"max_flips is 2\.5"):
        attack(network, signs, labels, max_flips=2.5)
    with pytest.raises(ValueError, match="max_flips is -1"):
        attack(network, signs, labels, max_flips=-1)
    with pytest.raises(TypeError, match="network is a str; a ShallowNetwork"):
        attack("network", signs, labels)
    with pytest.raises(ValueError, match=r"features holds -0\.5, 0\.5"):
        attack(network, signs * 0.5, labels)


@pytest.mark.parametrize("attack", ATTACKS.values())
def test_functions_with_bad_answers_are_refused(attack):
    _, signs, labels = draw()
    with pytest.raises(ValueError, match="write a single logit s as -s/2 and s/2"):
        attack(lambda x: x[:, :1], signs, labels)
    with pytest.raises(ValueError, match=r"network returned an array of shape \(1, 12\) for 40 samples"):
        attack(lambda x: x[:1], signs, labels)
    with pytest.raises(ValueError, match="what network returns"):
        attack(lambda x: np.full_like(x, np.nan), signs, labels)
    with pytest.raises(ValueError, match="labels holds the label"):
        attack(lambda x: x[:, :2], signs, labels * 0 + 2)
    with pytest.raises(ValueError, match="labels holds -1"):
        attack(lambda x: x[:, :2], signs, labels * 0 - 1)
