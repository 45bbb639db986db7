"""Continuous attacks: gradients, norms, boxes, constraints, and the norms of the authors' attack."""

from __future__ import annotations

import json

import numpy as np
import pytest

from scinn.nn.models import mlp
from scinn.robustness import FeatureConstraints, ShallowNetwork, fmn_l1, pgd_l1
from scinn.robustness.gradient_attacks import margin_gradient

SMOOTH = ("scaled_logistic", "tanh")


def draw(activation="scaled_logistic", *, n=12, n_hidden=6, n_classes=3, seed=0, dtype=np.float64, m=40):
    """Return a random network, signs, and labels of which most are right."""
    rng = np.random.default_rng(seed)
    shapes = ((n, n_hidden), n_hidden, (n_hidden, n_classes), n_classes)
    network = ShallowNetwork(*(rng.standard_normal(shape).astype(dtype) for shape in shapes), activation)
    signs = rng.choice(np.array([-1, 1], np.int8), (m, n))
    labels = np.where(rng.random(m) < 0.9, network.predict(signs, encoding="signs"), 0)
    return network, signs, labels


def fmn(*arguments, **options):
    return fmn_l1(*arguments, n_steps=options.pop("n_steps", 60), **options)


def pgd(*arguments, **options):
    return pgd_l1(*arguments, budget=options.pop("budget", 4.0), **options)


ATTACKS = {"fmn": fmn, "pgd": pgd}


def margin(network, points, labels):
    logits = network.logits_of_signs(points)
    rows = np.arange(len(labels))
    own = logits[rows, labels].copy()
    logits[rows, labels] = -np.inf
    return own - logits.max(axis=1)


@pytest.mark.parametrize("activation", [*SMOOTH, "relu"])
def test_margin_and_gradient_agree_with_differences_and_with_the_network(activation):
    network, _, labels = draw(activation)
    points = np.random.default_rng(1).normal(size=(40, 12))
    value, gradient, wrong = margin_gradient(network, points, labels)
    np.testing.assert_allclose(value, margin(network, points, labels), rtol=1e-13)
    assert wrong.tolist() == (network.logits_of_signs(points).argmax(axis=1) != labels).tolist()
    step = 1e-6
    differences = np.empty_like(points)
    for i in range(12):
        moved = [points.copy() for _ in range(2)]
        moved[0][:, i] += step
        moved[1][:, i] -= step
        differences[:, i] = (margin(network, moved[0], labels) - margin(network, moved[1], labels)) / (
            2 * step
        )
    # At a kink of the margin the two differ; random points are far from all.
    np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-8)
    logits = network.logits_of_signs(points)
    logits[np.arange(40), labels] = -np.inf
    eye = np.eye(3)
    np.testing.assert_allclose(
        gradient, network.input_gradient(points, eye[labels] - eye[logits.argmax(axis=1)]), atol=1e-14
    )


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("activation", [*SMOOTH, "relu"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("box", [(-1, 1), (-2, 2.5)])
def test_points_are_misclassified_within_the_box_and_as_far_as_told(attack, activation, dtype, box):
    network, signs, labels = draw(activation, dtype=dtype)
    result = ATTACKS[attack](network, signs, labels, box=box)
    wrong = network.predict(signs) != labels
    assert result.already_misclassified.tolist() == wrong.tolist()
    assert result.adversarial.dtype == dtype
    assert result.adversarial.min() >= box[0]
    assert result.adversarial.max() <= box[1]
    assert result.box == box
    answers = network.logits_of_signs(result.adversarial).argmax(axis=1)
    assert (answers != labels).tolist() == result.success.tolist()
    norms = np.abs(result.adversarial.astype(np.float64) - signs).sum(axis=1)
    assert result.l1[result.success].tolist() == norms[result.success].tolist()
    assert (norms[wrong] == 0).all()
    assert not norms[~result.success].any()
    assert np.isinf(result.l1[~result.success]).all()
    assert result.success.mean() > 0.8


def test_the_least_norm_of_a_single_neuron_is_found():
    # Both logits are monotone in <w, x> - theta, so that the l1 distance to the plane is |margin| / max |w|.
    rng = np.random.default_rng(0)
    w = rng.standard_normal(30)
    network = ShallowNetwork(w[:, None], [0.3], [[1.0, -1.0]], [0.0, 0.0], "tanh")
    signs = rng.choice(np.array([-1, 1]), (50, 30))
    labels = network.predict(signs)
    least = np.abs(signs @ w + 0.3) / np.abs(w).max()
    wide = fmn_l1(network, signs, labels, box=(-40, 40), n_steps=500)
    assert (wide.l1 >= least * (1 - 1e-12)).all()
    np.testing.assert_allclose(wide.l1, least, rtol=5e-3, atol=1e-4)
    # In the hull of the cube each coordinate gives at most 2 |w_i|, and only in one direction: a knapsack.
    hull = fmn_l1(network, signs, labels, n_steps=500)
    for x, norm in zip(signs, hull.l1):
        m = x @ w + 0.3
        gains = np.sort(2 * x * w * np.sign(m))[::-1]
        gains = gains[gains > 0]
        before = np.concatenate([[0.0], np.cumsum(gains)])
        k = np.searchsorted(before, abs(m)) - 1
        exact = 2 * (k + (abs(m) - before[k]) / gains[k])
        assert exact * (1 - 1e-12) <= norm <= exact * 1.01 + 1e-3


def test_more_steps_and_a_wider_box_help():
    network, signs, labels = draw(n=40, n_hidden=8, m=100)
    few, many = (fmn_l1(network, signs, labels, n_steps=steps) for steps in (20, 400))
    assert many.mean_l1 < few.mean_l1
    wide = fmn_l1(network, signs, labels, n_steps=400, box=(-2, 2))
    assert wide.mean_l1 <= 1.01 * many.mean_l1


def test_pgd_stays_within_its_budget_and_finds_more_with_more():
    network, signs, labels = draw(n=40, n_hidden=8, m=100)
    nearest = fmn_l1(network, signs, labels, n_steps=400)
    shares = []
    for budget in (0.0, 0.5, 1.0, 2.0, 4.0):
        result = pgd_l1(network, signs, labels, budget=budget)
        assert result.l1[result.success].max() <= budget
        shares.append(result.success.mean())
        # What lies well within the budget is found.
        within = nearest.l1 <= 0.9 * budget
        assert (result.success & within).sum() >= 0.95 * within.sum()
    assert shares == sorted(shares)
    assert shares[0] == nearest.already_misclassified.mean()
    assert shares[-1] > shares[1]


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("box", [(-1, 1), (-2, 2)])
def test_constraints_hold_coordinate_by_coordinate(attack, box):
    network, signs, labels = draw(n=16, m=80)
    add = np.arange(16) % 2 == 0
    constraints = FeatureConstraints(16, immutable=[0, 5], add_only=add, remove_only=~add)
    result = ATTACKS[attack](network, signs, labels, constraints=constraints, box=box)
    delta = result.adversarial - signs
    assert not delta[:, [0, 5]].any()
    assert (delta[:, add] <= 0).all()
    assert (delta[:, ~add] >= 0).all()
    assert (result.success & ~result.already_misclassified).any()
    fixed = ATTACKS[attack](network, signs, labels, constraints=FeatureConstraints(16, immutable=True))
    assert fixed.success.tolist() == fixed.already_misclassified.tolist()
    with pytest.raises(ValueError, match="constraints hold costs"):
        ATTACKS[attack](network, signs, labels, constraints=FeatureConstraints(16, costs=2))


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_dead_network_is_not_evaded_and_gives_no_nan(attack):
    network = ShallowNetwork([[1.0], [1.0]], [-50.0], [[1.0, -1.0]], [1.0, 0.0], "relu")
    result = ATTACKS[attack](network, [[1, -1]], [0])
    assert result.l1.tolist() == [np.inf]
    assert result.adversarial.tolist() == [[1.0, -1.0]]
    # Far in saturation slopes are tiny but not zero, and their squares would underflow.
    steep = ShallowNetwork([[1.0], [1.0]], [80.0], [[1.0, -1.0]], [0.0, 0.0], "scaled_logistic").astype(
        np.float32
    )
    flat = ATTACKS[attack](steep, [[1, -1]], [0], box=(-200, 200))
    assert np.isfinite(flat.adversarial).all()


@pytest.mark.parametrize("attack", ATTACKS)
def test_blocks_and_repetitions_change_nothing(attack):
    network, signs, labels = draw(m=600)
    whole, again = (ATTACKS[attack](network, signs, labels) for _ in range(2))
    assert whole.adversarial.tobytes() == again.adversarial.tobytes()
    part = ATTACKS[attack](network, signs[300:], labels[300:])
    np.testing.assert_allclose(part.l1, whole.l1[300:], rtol=1e-6)
    bits = ATTACKS[attack](network, (signs < 0).astype(int), labels)
    assert bits.adversarial.tobytes() == whole.adversarial.tobytes()


def test_results_are_drawn_and_written():
    network, signs, labels = draw()
    result = fmn(network, signs, labels)
    ax = result.plot()
    assert ax.get_xlabel() == "l1 budget"
    assert ax.lines[0].get_label() == "FMN-l1"
    assert json.loads(json.dumps(result.to_dict()))["box"] == [-1.0, 1.0]
    assert repr(result).startswith("ContinuousAttackResult(FMN-l1, 40 samples: ")
    assert result.robust_accuracy(0.0) == pytest.approx(1 - result.already_misclassified.mean())
    empty = fmn(network, signs[:0], labels[:0], encoding="signs")
    assert empty.adversarial.shape == (0, 12)


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_network_of_scinn_nn_is_read(attack):
    network = mlp([8, 5, 2], activation="tanh", rng=0)
    signs = np.random.default_rng(0).choice(np.array([-1, 1]), (10, 8))
    labels = network(signs.astype(np.float32)).argmax(axis=1)
    want = ATTACKS[attack](ShallowNetwork.from_network(network), signs, labels)
    assert ATTACKS[attack](network, signs, labels).adversarial.tobytes() == want.adversarial.tobytes()


@pytest.mark.parametrize("attack", ATTACKS.values())
def test_bad_arguments_are_refused(attack):
    network, signs, labels = draw()
    with pytest.raises(ValueError, match="sign neurons have no gradient"):
        attack(network.replace(activation="sign"), signs, labels)
    with pytest.raises(TypeError, match="gradients are known of a ShallowNetwork only"):
        attack(lambda x: x, signs, labels)
    with pytest.raises(TypeError, match="gradients are known of a ShallowNetwork only"):
        attack(mlp([12, 5, 4, 3], rng=0), signs, labels)
    for box in ((-0.5, 1), (-1, 0.9), (1, -1)):
        with pytest.raises(ValueError, match="does not contain -1 and 1"):
            attack(network, signs, labels, box=box)
    with pytest.raises(ValueError, match="box"):
        attack(network, signs, labels, box=(-1, 0, 1))
    with pytest.raises(ValueError, match="labels holds the label 3"):
        attack(network, signs, labels * 0 + 3)
    with pytest.raises(ValueError, match="labels holds -1"):
        attack(network, signs, labels * 0 - 1)
    with pytest.raises(ValueError, match="features has shape"):
        attack(network, signs[:, 1:], labels)
    with pytest.raises(ValueError, match="constraints are for 3 features"):
        attack(network, signs, labels, constraints=FeatureConstraints(3))
    with pytest.raises(ValueError, match="n_steps is 0"):
        attack(network, signs, labels, n_steps=0)


def test_bad_numbers_are_refused():
    network, signs, labels = draw()
    with pytest.raises(ValueError, match="budget is -1"):
        pgd_l1(network, signs, labels, budget=-1)
    with pytest.raises(ValueError, match="step is -1"):
        pgd_l1(network, signs, labels, budget=1, step=-1)
    with pytest.raises(ValueError, match=r"gamma is 1\.5"):
        fmn_l1(network, signs, labels, gamma=(1.5, 0.1))
    with pytest.raises(ValueError, match="alpha is -1"):
        fmn_l1(network, signs, labels, alpha=(-1.0, 0.1))


@pytest.mark.data
def test_norms_are_not_above_those_of_the_authors_attack(needs_data):
    with np.load(needs_data("fourier_networks_pdfrate.npz")) as data:
        network = ShallowNetwork(*(data[name] for name in "WbVc"))
        bits = np.unpackbits(data["val_bits"][:60], axis=1, count=int(data["n"]))
        labels, stored = data["val_y"][:60].astype(np.int64), data["bb_l1"][:60]
    result = fmn_l1(network, bits, labels, n_steps=300, box=(-2, 2))
    assert result.success.all()
    assert result.mean_l1 <= 1.02 * stored.mean()
    # Both have the same median to three digits: on most points both end at the same place.
    assert result.median_l1 == pytest.approx(np.median(stored), rel=2e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": 0.05}, r"gamma is 0.05; two numbers are wanted"),
        ({"gamma": (0.05,)}, r"gamma is \(0.05,\); two numbers are wanted"),
        ({"alpha": (1.0, 0.5, 0.1)}, r"alpha is \(1.0, 0.5, 0.1\); two numbers are wanted"),
        ({"gamma": (0.05, 2.0)}, r"gamma is 2"),
        ({"alpha": (1.0, float("nan"))}, r"alpha holds 1 NaN"),
    ],
)
def test_schedules_are_two_numbers(options, message):
    network = ShallowNetwork([[1.0], [2.0]], [0.0], [[1.0, -1.0]], [-0.1, 0.0], activation="tanh")
    with pytest.raises(ValueError, match=message):
        fmn_l1(network, [[0, 0]], [0], **options)
