"""Training of detectors, and of their hidden biases alone."""

from __future__ import annotations

import numpy as np
import pytest

from scinn.nn.losses import softmax_cross_entropy
from scinn.random import Key
from scinn.robustness import ShallowNetwork, retrain_biases, train_detector

RNG = np.random.default_rng(0)
BITS = RNG.integers(0, 2, (300, 11))
LABELS = (BITS @ np.array([2, 2, 2, 1, 1, 1, 0, 0, -1, -1, -2]) > 3).astype(int)
FIELDS = ("hidden_weights", "hidden_bias", "output_weights", "output_bias")
QUICK = {"n_hidden": 4, "n_epochs": 3, "batch_size": 32, "rng": 0}


def same(first, second):
    return all(getattr(first, name).tobytes() == getattr(second, name).tobytes() for name in FIELDS)


@pytest.mark.parametrize("activation", ["scaled_logistic", "tanh", "relu"])
def test_learns(activation):
    network = train_detector(
        BITS, LABELS, n_hidden=8, activation=activation, n_epochs=60, learning_rate=0.01, rng=0
    )
    assert (network.activation, network.n_hidden, network.dtype) == (activation, 8, np.float32)
    # A constant answer is right on 56 % here.
    assert network.accuracy(BITS, LABELS) > 0.97


def test_defaults_are_those_of_the_paper():
    network = train_detector(BITS, LABELS, n_epochs=1, rng=0)
    assert repr(network) == "ShallowNetwork(11 features, 16 scaled_logistic neurons, 2 classes, float32)"


def test_first_weights_are_glorots_and_biases_zero():
    # A learning rate that moves nothing shows where training starts.
    network = train_detector(BITS, LABELS, n_hidden=64, n_epochs=1, learning_rate=1e-30, rng=0)
    assert max(np.abs(network.hidden_bias).max(), np.abs(network.output_bias).max()) < 1e-28
    for weights in (network.hidden_weights, network.output_weights):
        bound = np.sqrt(6 / sum(weights.shape))
        assert 0.9 * bound < np.abs(weights).max() <= bound


def test_seed_decides_every_bit():
    first = train_detector(BITS, LABELS, **QUICK)
    assert same(first, train_detector(BITS, LABELS, **QUICK))
    assert same(first, train_detector(1 - 2 * BITS, LABELS, **QUICK))
    assert same(first, train_detector(BITS, LABELS, **QUICK | {"rng": Key(0)}))
    assert not same(first, train_detector(BITS, LABELS, **QUICK | {"rng": 1}))
    generators = [np.random.default_rng(5) for _ in range(2)]
    assert same(*(train_detector(BITS, LABELS, **QUICK | {"rng": rng}) for rng in generators))
    # None draws anew.
    assert not same(*(train_detector(BITS, LABELS, **QUICK | {"rng": None}) for _ in range(2)))


def test_epoch_of_the_best_validation_accuracy_is_kept():
    records = []
    # Wrong labels, so that what is learnt makes the accuracy worse.
    wrong = 1 - LABELS[200:]
    network = train_detector(
        BITS[:200], LABELS[:200], validation=(BITS[200:], wrong), n_hidden=3, n_epochs=12, learning_rate=0.02, rng=1,
        callback=lambda record: records.append(record),
    )  # fmt: skip
    accuracies = [record["val_accuracy"] for record in records]
    assert accuracies[-1] < max(accuracies)
    assert network.accuracy(BITS[200:], wrong) == max(accuracies)


def test_a_callback_stops():
    seen = []

    def stop(record):
        seen.append(record)
        return len(seen) == 2

    train_detector(BITS, LABELS, **QUICK, callback=stop)
    assert len(seen) == 2


def test_more_classes_and_classes_that_do_not_occur():
    labels = LABELS + BITS[:, 10]
    assert train_detector(BITS, labels, **QUICK).n_classes == 3
    assert train_detector(BITS, np.zeros(300, dtype=int), **QUICK).n_classes == 2
    assert train_detector(BITS, LABELS, n_classes=5, **QUICK).n_classes == 5


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((BITS + 1, LABELS), {}, ValueError, "features holds 1, 2"),
        ((BITS.T, LABELS), {}, ValueError, r"labels has shape \(300,\); \(11,\) is wanted"),
        ((BITS[0], LABELS), {}, ValueError, r"features has shape \(11,\)"),
        ((BITS[:, :0], LABELS), {"encoding": "bits"}, ValueError, r"features has shape \(300, 0\)"),
        ((BITS, 2 * LABELS - 1), {}, ValueError, r"labels holds -1; .*as \(labels > 0\)"),
        ((BITS, LABELS), {"n_classes": 1}, ValueError, "labels holds the label 1"),
        ((BITS, LABELS), {"activation": "sign"}, ValueError, "activation is 'sign'"),
        ((BITS, LABELS), {"n_hidden": 0}, ValueError, "n_hidden is 0"),
        ((BITS, LABELS), {"learning_rate": 0.0}, ValueError, "learning_rate is 0"),
        ((BITS, LABELS), {"validation": BITS}, TypeError, "validation must be a pair"),
        ((BITS, LABELS), {"validation": (BITS[:0], [])}, ValueError, "validation features holds no values"),
        ((BITS, LABELS), {"validation": (BITS[:, 1:], LABELS)}, ValueError, "validation features has shape"),
        ((BITS, LABELS), {"validation": (BITS, 2 * LABELS - 1)}, ValueError, "validation labels holds -1"),
        ((BITS, LABELS), {"rng": np.random.RandomState(0)}, TypeError, "legacy numpy RandomState"),
    ],
)
def test_bad_input(arguments, options, error, message):
    with pytest.raises(error, match=message):
        train_detector(*arguments, **{"n_epochs": 1, **options})


# Biases alone


def shifted(activation="scaled_logistic", dtype=np.float64):
    """Return a network that would be right with other biases."""
    weights = np.array([2.0, 2, 2, 1, 1, 1, 0, 0, -1, -1, -2])[:, None] * [-1, 1]
    return ShallowNetwork(
        *(array.astype(dtype) for array in (weights, np.array([3.0, 2.0]), np.array([[-1.0, 1], [1, -1]]), np.zeros(2))),
        activation,
    )  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_only_hidden_biases_change(dtype):
    network = shifted(dtype=dtype)
    better = retrain_biases(network, BITS, LABELS, n_epochs=30, learning_rate=0.1, rng=0)
    assert better.accuracy(BITS, LABELS) > network.accuracy(BITS, LABELS) + 0.1
    for name in ("hidden_weights", "output_weights", "output_bias"):
        assert getattr(better, name).tobytes() == getattr(network, name).tobytes()
    assert np.all(better.hidden_bias != network.hidden_bias)
    assert better.dtype == dtype
    again = retrain_biases(network, BITS, LABELS, n_epochs=30, learning_rate=0.1, rng=0)
    assert same(better, again)


@pytest.mark.parametrize("activation", ["scaled_logistic", "tanh", "relu"])
def test_first_step_goes_down_the_gradient(activation):
    network, rate, step = shifted(activation), 1e-3, 1e-6
    moved = retrain_biases(
        network, BITS, LABELS, n_epochs=1, batch_size=300, learning_rate=rate, rng=0
    ).hidden_bias

    def loss(bias):
        return softmax_cross_entropy(network.replace(hidden_bias=bias).logits(BITS), LABELS)[0]

    numeric = [
        (loss(network.hidden_bias + step * unit) - loss(network.hidden_bias - step * unit)) / (2 * step)
        for unit in np.eye(2)
    ]
    assert np.min(np.abs(numeric)) > 1e-3
    # Adam's first step is the learning rate times g / (|g| + eps).
    np.testing.assert_allclose(moved - network.hidden_bias, -rate * np.sign(numeric), rtol=1e-3)


def test_best_epoch_of_biases_is_kept():
    records = []
    wrong = 1 - LABELS[200:]
    moved = retrain_biases(
        shifted(), BITS[:200], LABELS[:200], validation=(BITS[200:], wrong), n_epochs=20, learning_rate=0.05, rng=0,
        callback=lambda record: records.append(record),
    )  # fmt: skip
    accuracies = [record["val_accuracy"] for record in records]
    assert accuracies[-1] < max(accuracies)
    assert moved.accuracy(BITS[200:], wrong) == max(accuracies)


def test_biases_of_bad_input():
    with pytest.raises(ValueError, match=r"sign neurons.*threshold_rule='match'"):
        retrain_biases(shifted("sign"), BITS, LABELS)
    with pytest.raises(ValueError, match="labels holds -1"):
        retrain_biases(shifted(), BITS, 2 * LABELS - 1)
    with pytest.raises(ValueError, match=r"transposed: pass features.T"):
        retrain_biases(shifted(), BITS[:20].T, LABELS)
