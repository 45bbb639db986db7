"""Training a small residual network on images: what is learned, and that interrupted runs end in the same bits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scinn import datasets
from scinn._files import read_npz
from scinn.nn import (
    SGD,
    Add,
    BatchNorm,
    BatchNormReLU,
    Conv2d,
    Cosine,
    Dense,
    GlobalAvgPool2d,
    History,
    MaxPool2d,
    Network,
    ReLU,
    fit,
    minibatches,
    softmax_cross_entropy,
    use_threads,
)
from scinn.random import Key

N_TRAIN, N_IMAGES = 800, 1000


def model() -> Network:
    layers = {
        "stem": Conv2d(1, 8, 3, padding=1, bias=False, rng=0),
        "norm": BatchNormReLU(8),
        "first": Conv2d(8, 8, 3, padding=1, bias=False, rng=1),
        "norm1": BatchNormReLU(8),
        "second": Conv2d(8, 8, 3, padding=1, bias=False, rng=2),
        "norm2": BatchNorm(8),
        "add": Add(),
        "relu": ReLU(),
        "pool": MaxPool2d(2),
        "wide": Conv2d(8, 24, 3, stride=2, padding=1, rng=3),
        "mean": GlobalAvgPool2d(),
        "head": Dense(24, 10, rng=4),
    }
    reads: dict[str, list[str]] = {"add": ["norm2", "norm"]}
    previous, nodes = "x", []
    for name in layers:
        nodes.append((name, name, reads.get(name, [previous])))
        previous = name
    return Network(layers, nodes)


def images() -> tuple[np.ndarray, np.ndarray]:
    digits = datasets.load("digits")
    return digits.scaled()[:N_IMAGES], digits.labels[:N_IMAGES]


def train(network: Network, n_epochs: int, **options) -> History:
    """Everything on: augmentation, batch norm, momentum, weight decay, a schedule, validation."""
    x, labels = images()

    def validate(network) -> dict[str, float]:
        return {"val_accuracy": float(np.mean(network(x[N_TRAIN:]).argmax(axis=1) == labels[N_TRAIN:]))}

    return fit(
        network,
        softmax_cross_entropy,
        minibatches(
            x[:N_TRAIN],
            labels[:N_TRAIN],
            batch_size=32,
            augment=lambda batch, key: datasets.random_crop_flip(batch, key, padding=1, flip=False),
        ),
        optimizer=SGD(0.05, momentum=0.9, weight_decay=1e-4),
        n_epochs=n_epochs,
        key=Key(3),
        schedule=Cosine(0.05, 25 * 12),
        validate=validate,
        monitor="val_accuracy",
        restore_best=False,
        **options,
    )


def bits(network: Network) -> dict[str, bytes]:
    named = {**network.params, **network.state}
    return {name: value.tobytes() for name, value in named.items()}


KILLED = """
import os
import sys
sys.path.insert(0, sys.argv[1])
import test_image_training as t

def stop(record):
    if record["epoch"] == 3:
        os._exit(9)

t.train(t.model(), 6, checkpoint=sys.argv[2], checkpoint_every=2, callback=stop)
"""


def test_a_killed_run_ends_in_the_bits_of_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = model()
    history = train(whole, 6)
    checkpoint = tmp_path / "run.npz"
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(checkpoint)]
    assert subprocess.run(command, check=False, timeout=600).returncode == 9
    assert len(read_npz(checkpoint)[1]["records"]) == 2
    resumed = model()
    again = train(resumed, 6, checkpoint=checkpoint)
    assert bits(resumed) == bits(whole)
    assert [dict(record) for record in again.records] == [dict(record) for record in history.records]


def test_the_bits_are_the_same_at_one_and_two_threads() -> None:
    import numba

    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("this machine has one core")
    alone, together = model(), model()
    train(alone, 2)
    with use_threads(2):
        train(together, 2)
    assert bits(alone) == bits(together)


def test_digits_are_learned() -> None:
    history = train(model(), 12)
    assert history["train_loss"][-1] < 0.5 * history["train_loss"][0]
    assert history["val_accuracy"][-1] > 0.85


def test_augmentation_of_a_batch_depends_on_its_epoch_and_number_alone() -> None:
    x, labels = np.zeros((10, 4, 4, 1), dtype=np.float32), np.arange(10)
    seen: dict[bool, list[bytes]] = {}
    for shuffle in (True, False):

        def note(batch: np.ndarray, key: Key, shuffle: bool = shuffle) -> np.ndarray:
            seen.setdefault(shuffle, []).append(key.generator().bytes(8))
            return batch + 1

        batches = minibatches(x, labels, batch_size=4, shuffle=shuffle, augment=note)
        assert all((batch.inputs[0] == 1).all() for batch in batches(Key(5)))
    assert len(set(seen[True])) == 3
    assert seen[True] == seen[False]
    assert (x == 0).all()
