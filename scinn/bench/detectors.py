"""The detector that several benchmarks share: that of PDFRate as the authors stored it, or a random one without it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scinn import datasets
from scinn.exceptions import DataUnavailableError
from scinn.robustness import ShallowNetwork

__all__ = ["Detector", "pdfrate_detector", "random_detector"]


class Detector(NamedTuple):
    """A trained network and the samples that it is attacked on.

    Parameters
    ----------
    name : str
        For a table.
    network : ShallowNetwork
        In float32.
    signs : ndarray of float32, shape (n_samples, n_features)
        Values -1 and +1.
    labels : ndarray of int64, shape (n_samples,)
    """

    name: str
    network: ShallowNetwork
    signs: np.ndarray
    labels: np.ndarray

    def arrays(self, n: int | None = None) -> dict[str, np.ndarray]:
        """Return the network and the first n samples under the names that the peers expect."""
        network = self.network
        return {
            "weights": network.hidden_weights,
            "bias": network.hidden_bias,
            "output": network.output_weights,
            "output_bias": network.output_bias,
            "points": self.signs[:n],
            "labels": self.labels[:n],
        }


def random_detector(n_features: int = 135, n_samples: int = 2016) -> Detector:
    """Return a seeded random network of 16 neurons, and samples that it classifies right.

    Examples
    --------
    >>> detector = random_detector(9, 50)
    >>> detector.network.accuracy(detector.signs, detector.labels)
    1.0
    """
    rng = np.random.default_rng(0)
    arrays = (
        rng.normal(0, 0.3, (n_features, 16)),
        rng.normal(0, 1, 16),
        rng.normal(0, 1, (16, 2)),
        np.zeros(2),
    )
    hidden, bias, output, output_bias = (array.astype(np.float32) for array in arrays)
    network = ShallowNetwork(hidden, bias, output, output_bias)
    signs = rng.choice(np.array([-1, 1], dtype=np.float32), (n_samples, n_features))
    labels = network.logits_of_signs(signs).argmax(axis=1)
    return Detector(f"random network, {n_features} features", network, signs, labels)


def pdfrate_detector() -> Detector:
    """Return the authors' network for PDFRate and its validation samples, or a random one where they are not here.

    Examples
    --------
    >>> pdfrate_detector().network
    ShallowNetwork(135 features, 16 scaled_logistic neurons, 2 classes, float32)
    """
    try:
        stored = datasets.load_weights("fourier-pdfrate").arrays
    except DataUnavailableError:
        return random_detector()
    network = ShallowNetwork(stored["W"], stored["b"], stored["V"], stored["c"])
    bits = np.unpackbits(stored["val_bits"], axis=1)[:, : network.n_features]
    return Detector("PDFRate", network, 1 - 2 * bits.astype(np.float32), stored["val_y"].astype(np.int64))
