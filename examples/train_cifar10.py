"""
Train ResNet-20 on the CIFAR-10 that is at hand
===============================================

A program, not a page: it takes a quarter of an hour. ``python examples/train_cifar10.py --out folder`` trains on the
training images of ``cifar10`` (a balanced fifth of the official set), tests on all 10 000 test images after the last
epoch, and writes ``history.json`` and ``curves.svg`` into the folder. Stop it at any moment and run the same
command again: it goes on from the last epoch, and ends with the same bits.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from scinn import datasets
from scinn.nn import SGD, Cosine, fit, minibatches, models, predict, softmax_cross_entropy, use_threads
from scinn.random import Key

BATCH = 128
N_VALIDATION = 1000


def accuracy(network, images, labels):
    """Return the percentage of images that a network gets right."""
    return 100.0 * float(np.mean(predict(network, images).argmax(axis=1) == labels))


def prepare():
    """Return normalised images and labels: training, validation (every tenth image of the training set), test."""
    data = datasets.load("cifar10")
    images = datasets.normalize_images(data.images, datasets.CIFAR10_MEAN, datasets.CIFAR10_STD)
    train, test = np.arange(data.n_train), np.arange(data.n_train, len(images))
    held_out = train % (data.n_train // N_VALIDATION) == 0
    return [(images[part], data.labels[part]) for part in (train[~held_out], train[held_out], test)]


def main(out, n_epochs, n_threads, seed):
    """Train, test once, and write what happened."""
    (x, labels), (x_validation, labels_validation), (x_test, labels_test) = prepare()
    network = models.resnet20(rng=Key(seed).child("weights"))
    out.mkdir(parents=True, exist_ok=True)
    with use_threads(n_threads):
        history = fit(
            network,
            softmax_cross_entropy,
            minibatches(x, labels, batch_size=BATCH, augment=datasets.random_crop_flip),
            optimizer=SGD(0.1, momentum=0.9, weight_decay=5e-4),
            schedule=Cosine(0.1, n_epochs * -(-len(x) // BATCH)),
            n_epochs=n_epochs,
            key=Key(seed),
            validate=lambda network: {"val_accuracy": accuracy(network, x_validation, labels_validation)},
            monitor="val_accuracy",
            restore_best=False,
            checkpoint=out / "run.npz",
            callback=lambda record: print(record, flush=True),
        )
        tested = accuracy(network, x_test, labels_test)
    print(f"test accuracy after the last epoch: {tested:.2f} %")
    record = {
        "network": "resnet20",
        "n_train": len(x),
        "n_validation": len(x_validation),
        "n_test": len(x_test),
        "n_epochs": n_epochs,
        "seed": seed,
        "records": list(history.records),
        "test_accuracy": tested,
    }
    (out / "history.json").write_text(json.dumps(record, indent=1) + "\n")
    draw(record, out / "curves.svg")


def draw(record, path):
    """Draw the training loss and the validation accuracy over the epochs."""
    from matplotlib.figure import Figure

    epochs = [entry["epoch"] + 1 for entry in record["records"]]
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(epochs, [entry["train_loss"] for entry in record["records"]], color="C0")
    left.set(xlabel="epoch", ylabel="training loss (cross-entropy, nats)", yscale="log")
    right.plot(epochs, [entry["val_accuracy"] for entry in record["records"]], color="C1", label="validation")
    right.axhline(record["test_accuracy"], color="k", lw=1, ls="--", label="test, after the last epoch")
    right.set(xlabel="epoch", ylabel="accuracy, %", ylim=(0, 100))
    right.legend(loc="lower right")
    figure.suptitle(f"ResNet-20 on {record['n_train']:,} training images of CIFAR-10")
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train ResNet-20 on the CIFAR-10 that is at hand.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoint and the results")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    main(options.out, options.epochs, options.threads, options.seed)
