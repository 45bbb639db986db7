"""Adversarial training: it makes networks more robust, repeats bit for bit, and obeys budget and constraints."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from scinn.random import Key
from scinn.robustness import FeatureConstraints, ShallowNetwork, adversarial_fit, greedy_flips, train_detector
from scinn.robustness.adversarial_training import _replace


@pytest.fixture(scope="module")
def detector():
    """Return a trained network with its bits and labels: a few bits suffice, but weaker ones help."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 800)
    strength = np.r_[np.full(3, 0.48), np.full(37, 0.12)]
    bits = (rng.random((800, 40)) < 0.5 + strength * (2 * labels - 1)[:, None]).astype(np.int8)
    network = train_detector(bits, labels, n_hidden=8, n_epochs=15, learning_rate=0.01, rng=0)
    return network, bits, labels


def arrays(network):
    return [network.hidden_weights, network.hidden_bias, network.output_weights, network.output_bias]


@pytest.mark.parametrize("attack", ["greedy", "fmn"])
def test_training_makes_the_network_more_robust(detector, attack):
    network, bits, labels = detector
    before = [array.copy() for array in arrays(network)]
    trained, history = adversarial_fit(
        network, bits, labels, attack=attack, budget=6, n_epochs=6, learning_rate=0.005, batch_size=64, rng=0
    )
    assert trained.activation == network.activation
    assert trained.dtype == network.dtype
    assert all((a == b).all() for a, b in zip(before, arrays(network)))
    assert len(history) == 6
    assert history["attacked"][-1] < 0.5 * history["attacked"][0]
    old, new = (greedy_flips(net, bits, labels).robust_accuracy(4) for net in (network, trained))
    assert new > old + 0.2
    assert trained.accuracy(bits, labels) > 0.9


def test_the_same_seed_gives_the_same_bits(detector):
    network, bits, labels = detector
    runs = [
        adversarial_fit(network, bits, labels, budget=4, n_epochs=2, rng=rng)[0]
        for rng in (3, Key(3), 4, np.random.default_rng(7), np.random.default_rng(7))
    ]
    bytes_of = [b"".join(array.tobytes() for array in arrays(run)) for run in runs]
    assert bytes_of[0] == bytes_of[1]
    assert bytes_of[0] != bytes_of[2]
    assert bytes_of[3] == bytes_of[4]


def test_a_budget_below_one_flip_is_plain_training(detector):
    network, bits, labels = detector
    _, history = adversarial_fit(network, bits, labels, budget=1.9, n_epochs=1, rng=0)
    assert history["attacked"].tolist() == [0.0]
    _, history = adversarial_fit(
        network, bits, labels, budget=0, n_epochs=1, attack="fmn", fmn_steps=5, rng=0
    )
    assert history["attacked"].tolist() == [0.0]


def test_validation_is_attacked_and_chooses_the_epoch(detector):
    network, bits, labels = detector
    held = (bits[600:], labels[600:])
    trained, history = adversarial_fit(
        network, bits[:600], labels[:600], budget=4, n_epochs=5, learning_rate=0.01, validation=held, rng=1
    )
    best = history["val_robust_accuracy"].max()
    assert history.best["val_robust_accuracy"] == best
    assert trained.accuracy(*held) == pytest.approx(history.best["val_accuracy"])
    limited = greedy_flips(trained, *held, max_flips=2)
    assert np.mean(~limited.success) == pytest.approx(best)
    assert (history["val_robust_accuracy"] <= history["val_accuracy"]).all()


def test_only_right_samples_within_the_budget_are_replaced():
    network = ShallowNetwork([[1.0], [1.0], [1.0]], [0.5], [[1.0, -1.0]], [0.0, 0.0], "tanh")
    x = np.array([[1.0, 1, 1], [1, 1, 1], [1, 1, 1], [-1, -1, -1]])
    labels = np.array([0, 0, 1, 1])
    moves = np.array([[-2.0, -2, 0], [-2, -2, -2], [-2, 0, 0], [2, 0, 0]])
    free = FeatureConstraints.none(3)
    points, replaced, right = _replace(lambda net, x, y: x + moves, network, x, labels, 4.0, free)
    assert right.tolist() == [True, True, False, True]
    assert replaced.tolist() == [True, False, False, True]
    assert points.tolist() == (x + moves * [[1], [0], [0], [1]]).tolist()


def test_a_function_as_attack_sees_the_network_of_the_moment(detector):
    network, bits, labels = detector
    seen = []

    def attack(current, signs, y):
        seen.append(current.hidden_weights.copy())
        assert signs.dtype == np.int8
        return greedy_flips(current, signs, y, encoding="signs", max_flips=2)

    by_function, _ = adversarial_fit(network, bits, labels, attack=attack, budget=4, n_epochs=1, rng=0)
    by_name, _ = adversarial_fit(network, bits, labels, attack="greedy", budget=4, n_epochs=1, rng=0)
    assert all((a == b).all() for a, b in zip(arrays(by_function), arrays(by_name)))
    assert len(seen) == 7
    assert all((a != b).any() for a, b in pairwise(seen))


def test_constraints_reach_the_inner_attack(detector):
    network, bits, labels = detector
    fixed = FeatureConstraints(40, immutable=True)
    for attack in ("greedy", "fmn"):
        _, history = adversarial_fit(
            network, bits, labels, attack=attack, budget=6, n_epochs=1, constraints=fixed, rng=0
        )
        assert history["attacked"].tolist() == [0.0]
    add_only = FeatureConstraints(40, add_only=True)
    _, history = adversarial_fit(network, bits, labels, budget=6, n_epochs=1, constraints=add_only, rng=0)
    assert history["attacked"][0] > 0
    with pytest.raises(ValueError, match="in a way that constraints forbid"):
        adversarial_fit(
            network, bits, labels, attack=lambda net, x, y: -x, budget=6, constraints=add_only, rng=0
        )


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"budget": -1}, ValueError, "budget is -1"),
        ({"budget": 2, "attack": "fnm"}, ValueError, "did you mean 'fmn'"),
        ({"budget": 2, "n_epochs": 0}, ValueError, "n_epochs"),
        ({"budget": 2, "learning_rate": 0}, ValueError, "learning_rate"),
        ({"budget": 2, "validation": 3}, TypeError, "validation must be a pair"),
        ({"budget": 2, "constraints": FeatureConstraints(3)}, ValueError, "constraints are for 3 features"),
        ({"budget": 2, "attack": lambda net, x, y: x[:1]}, ValueError, "attack returned points of shape"),
    ],
)
def test_bad_arguments_are_refused(detector, options, error, message):
    network, bits, labels = detector
    with pytest.raises(error, match=message):
        adversarial_fit(network, bits, labels, rng=0, **options)


def test_bad_networks_and_labels_are_refused(detector):
    network, bits, labels = detector
    with pytest.raises(ValueError, match="sign neurons, which have no gradient"):
        adversarial_fit(network.replace(activation="sign"), bits, labels, budget=2)
    with pytest.raises(TypeError, match="a ShallowNetwork is wanted"):
        adversarial_fit(network.to_network(), bits, labels, budget=2)
    with pytest.raises(ValueError, match="labels holds the label 2"):
        adversarial_fit(network, bits, labels + 1, budget=2)
    with pytest.raises(ValueError, match="features has shape"):
        adversarial_fit(network, bits[:, 1:], labels, budget=2)
