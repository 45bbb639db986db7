"""
Train a small residual network, by hand
=======================================

A residual network of eight layers learns the 8 x 8 digits that come with scikit-learn. Every gradient was derived
by hand; the training loop can be stopped at any epoch and goes on to the same bits.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from scinn import datasets
from scinn.nn import SGD, Cosine, fit, minibatches, models, nbytes, softmax_cross_entropy
from scinn.random import Key

digits = datasets.load("digits")
images = digits.scaled()
train, test = datasets.stratified_split(digits.labels, (0.7, 0.3), rng=0)

# %%
# The network is a graph of named layers. Its size is counted, not quoted.
network = models.resnet_cifar(8, width=8, n_channels=1, rng=0)
count = models.count_operations(network, (8, 8, 1))
print(f"{count.n_parameters:,} parameters, {count.n_macs:,} multiply-accumulate operations an image")

# %%
# One step, written out: forward, loss, backward. What backward needs is in ``saved``, which is therefore the
# memory of the activations.
y, saved = network.forward(images[:64], train=True)
loss, dy = softmax_cross_entropy(y, digits.labels[:64])
_, grads = network.backward(saved, dy)
print(f"loss {loss:.3f}; {len(grads)} gradients; activations of 64 images: {nbytes(saved) / 1e6:.2f} MB")


# %%
# The loop does that for shuffled, shifted batches. Each batch is addressed by seed, epoch and number, so that no
# random state has to be kept.
def shifted(batch, key):
    """Return the images moved by up to one pixel."""
    return datasets.random_crop_flip(batch, key, padding=1, flip=False)


def run(network, n_epochs, checkpoint=None):
    """Train on one part of the digits and watch the other."""
    return fit(
        network,
        softmax_cross_entropy,
        minibatches(images[train], digits.labels[train], batch_size=64, augment=shifted),
        optimizer=SGD(0.1, momentum=0.9, weight_decay=1e-4),
        schedule=Cosine(0.1, 12 * -(-len(train) // 64)),
        n_epochs=n_epochs,
        key=Key(0),
        validate=lambda network: {
            "test_accuracy": 100 * np.mean(network(images[test]).argmax(axis=1) == digits.labels[test])
        },
        monitor="test_accuracy",
        restore_best=False,
        checkpoint=checkpoint,
    )


history = run(network, 12)

# %%
# The same training, broken off after five epochs and taken up by a new network from the file.
again = models.resnet_cifar(8, width=8, n_channels=1, rng=0)
with tempfile.TemporaryDirectory() as folder:
    run(models.resnet_cifar(8, width=8, n_channels=1, rng=0), 5, Path(folder) / "run.npz")
    run(again, 12, Path(folder) / "run.npz")
same = all(again.params[name].tobytes() == value.tobytes() for name, value in network.params.items())
print("the same bits" if same else "DIFFERENT")

# %%
# **What you see**: the loss falls thirtyfold, and about 98 of 100 unseen digits are right. No choice was made by
# looking at them: the last epoch counts.
print(f"after the last epoch {history['test_accuracy'][-1]:.1f} % of the unseen digits are right")
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
epochs = np.arange(1, len(history["train_loss"]) + 1)
left.semilogy(epochs, history["train_loss"], "C0.-")
left.set(xlabel="epoch", ylabel="training loss (cross-entropy, nats)")
right.plot(epochs, history["test_accuracy"], "C1.-")
right.set(xlabel="epoch", ylabel="accuracy on unseen digits, %", ylim=(0, 100))
plt.show()
