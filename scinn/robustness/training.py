"""Training the paper's detectors, and retraining their hidden biases alone.

Raviv et al. (2021), "Enhancing Robustness of Neural Networks through Fourier Stabilization": one hidden layer, softmax
cross-entropy, Adam, the epoch with the best validation accuracy is kept. With ``z = x W + b``, ``a = f(z)``,
``l = a V + c`` and ``dl`` the gradient of the loss by the logits, the gradients are ``dV = a^T dl``, ``dc = sum dl``,
``dz = (dl V^T) * f'(z)``, ``dW = x^T dz`` and ``db = sum dz``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from scinn._input import as_labels, check_choice, check_in_range, check_positive_int
from scinn.nn.dense import Dense
from scinn.nn.losses import softmax_cross_entropy
from scinn.nn.network import Network, NetworkSaved
from scinn.nn.optimizers import Adam
from scinn.nn.sums import column_sums
from scinn.nn.training import fit, minibatches
from scinn.random import Key, RandomState, as_generator
from scinn.robustness.features import to_signs
from scinn.robustness.network import ACTIVATIONS, ShallowNetwork, activate, activation_gradient

__all__ = ["retrain_biases", "train_detector"]

# Keras' value, with which the paper's networks were trained.
ADAM_EPS = 1e-7


def as_key(rng: RandomState) -> Key:
    """Return a key: the given one, that of an integer seed, or one drawn from a generator."""
    if isinstance(rng, Key):
        return rng
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool):
        return Key(int(rng))
    return Key(int(as_generator(rng).integers(2**63)))


def held_out_pair(
    network: ShallowNetwork, validation: tuple[Any, Any] | None, encoding: str
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return validation samples in the network's dtype, and their labels; None where there are none."""
    if validation is None:
        return None
    if not isinstance(validation, tuple | list) or len(validation) != 2:
        raise TypeError("validation must be a pair (features, labels)")
    x = network.signs(validation[0], encoding=encoding, name="validation features")
    y = network.known_labels(validation[1], len(x), name="validation labels")
    if not len(x):
        raise ValueError("validation has no rows; pass at least one sample, or None")
    return x.astype(network.dtype), y


def _with_arrays(network: ShallowNetwork, trained: Network) -> ShallowNetwork:
    names = {"hidden_weights": "hidden.weight", "hidden_bias": "hidden.bias"}
    names |= {"output_weights": "output.weight", "output_bias": "output.bias"}
    return network.replace(**{field: trained.params[name] for field, name in names.items()})


def train_detector(
    features: Any,
    labels: Any,
    *,
    n_hidden: int = 16,
    n_classes: int | None = None,
    activation: str = "scaled_logistic",
    validation: tuple[Any, Any] | None = None,
    n_epochs: int = 100,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    dtype: Any = np.float32,
    encoding: str = "auto",
    rng: RandomState = None,
    callback: Callable[[dict[str, Any]], bool | None] | None = None,
) -> ShallowNetwork:
    """Train a detector with one hidden layer; the defaults are the paper's.

    Parameters
    ----------
    features : array_like or sparse matrix, shape (n_samples, n_features)
        Bits or signs.
    labels : array_like of int, shape (n_samples,)
        Classes 0, 1, ...
    n_hidden : int, default 16
    n_classes : int, optional
        By default one more than the largest label, and at least 2.
    activation : {"scaled_logistic", "tanh", "relu"}
    validation : (features, labels), optional
        The epoch with the best accuracy there is kept; without it the last one.
    n_epochs, batch_size : int
    learning_rate : float, default 1e-3
        Of Adam.
    dtype : dtype, default float32
    encoding : {"auto", "bits", "signs"}
    rng : int, SeedSequence, Generator, Key or None
        Initial weights (Glorot's uniform ones, zero biases) and the order of samples.
    callback : callable, optional
        Called with each epoch's record; a true answer stops.

    Returns
    -------
    ShallowNetwork

    Raises
    ------
    ValueError
        For features that are not binary, unknown labels, or arguments out of range.

    Examples
    --------
    >>> import numpy as np
    >>> bits = np.random.default_rng(0).integers(0, 2, (200, 9))
    >>> labels = (bits.sum(axis=1) > 4).astype(int)
    >>> network = train_detector(bits, labels, n_hidden=4, n_epochs=30, learning_rate=0.01, rng=0)
    >>> network.accuracy(bits, labels) > 0.9
    True
    """
    check_choice(activation, "activation", [name for name in ACTIVATIONS if name != "sign"])
    check_in_range(learning_rate, "learning_rate", 0.0, inclusive="neither")
    x = to_signs(features, encoding=encoding)
    if x.ndim != 2 or not x.size:
        raise ValueError(
            f"features has shape {x.shape}; (n_samples, n_features) is wanted, neither of them 0"
        )
    y = as_labels(labels, "labels", n=len(x), n_classes=n_classes)
    if y.min() < 0:
        raise ValueError(
            "labels holds -1; classes 0, 1, ... are wanted: leave unknown samples out, and write the classes -1 and +1 as "
            "(labels > 0)"
        )
    n_classes = (
        max(2, int(y.max()) + 1) if n_classes is None else check_positive_int(n_classes, "n_classes", 2)
    )
    check_positive_int(n_hidden, "n_hidden")
    key = as_key(rng)
    init = key.child("init").generator()
    network = ShallowNetwork(
        Dense(x.shape[1], n_hidden, dtype=dtype, rng=init).params["weight"],
        np.zeros(n_hidden, dtype=dtype),
        Dense(n_hidden, n_classes, dtype=dtype, rng=init).params["weight"],
        np.zeros(n_classes, dtype=dtype),
        activation,
    )
    held_out = held_out_pair(network, validation, encoding)
    trained = network.to_network()

    def accuracy(current: Any) -> Mapping[str, float]:
        assert held_out is not None
        return {"val_accuracy": float(np.mean(current(held_out[0]).argmax(axis=1) == held_out[1]))}

    fit(
        trained,
        softmax_cross_entropy,
        minibatches(x.astype(network.dtype), y, batch_size=batch_size),
        optimizer=Adam(learning_rate, eps=ADAM_EPS),
        n_epochs=n_epochs,
        key=key.child("train"),
        validate=None if held_out is None else accuracy,
        monitor=None if held_out is None else "val_accuracy",
        callback=callback,
    )
    return _with_arrays(network, trained)


def retrain_biases(
    network: ShallowNetwork,
    features: Any,
    labels: Any,
    *,
    validation: tuple[Any, Any] | None = None,
    n_epochs: int = 200,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    encoding: str = "auto",
    rng: RandomState = None,
    callback: Callable[[dict[str, Any]], bool | None] | None = None,
) -> ShallowNetwork:
    """Train the hidden biases of a stabilised network and nothing else (rule T2 for the thresholds).

    Weights and output layer stay as they are. Start from a network stabilised with ``threshold_rule="zero"`` to do what
    the authors' whole-layer experiment does.

    Parameters
    ----------
    network : ShallowNetwork
        Not of sign neurons, which have no gradient.
    features : array_like or sparse matrix, shape (n_samples, n_features)
        Training samples, bits or signs.
    labels : array_like of int, shape (n_samples,)
    validation : (features, labels), optional
        The epoch with the best accuracy there is kept.
    n_epochs, batch_size : int
    learning_rate : float, default 1e-3
        Of Adam.
    encoding : {"auto", "bits", "signs"}
    rng : int, SeedSequence, Generator, Key or None
        Order of the samples.
    callback : callable, optional
        Called with each epoch's record; a true answer stops.

    Returns
    -------
    ShallowNetwork

    Examples
    --------
    >>> import numpy as np
    >>> bits = np.random.default_rng(0).integers(0, 2, (200, 9))
    >>> network = ShallowNetwork(np.ones((9, 1)), [3.0], [[1, -1]], [0, 0])
    >>> labels = (bits.sum(axis=1) > 4).astype(int)
    >>> better = retrain_biases(network, bits, labels, n_epochs=20, learning_rate=0.1, rng=0)
    >>> network.accuracy(bits, labels) < better.accuracy(bits, labels)
    True
    """
    if network.activation == "sign":
        raise ValueError(
            "network has sign neurons, whose biases have no gradient; use threshold_rule='match'"
        )
    x = network.signs(features, encoding=encoding)
    y = network.known_labels(labels, len(x))
    held_out = held_out_pair(network, validation, encoding)
    # The weights do not change, so their product with the samples is taken once.
    products = x.astype(network.dtype) @ network.hidden_weights
    shell = network.to_network()
    output = network.output_weights

    def step(current: Any, batch: Any, key: Key) -> tuple[float, Mapping[str, np.ndarray], Any]:
        a = activate(batch.inputs[0] + current.params["hidden.bias"], network.activation)
        loss, dlogits = softmax_cross_entropy(a @ output + network.output_bias, batch.target)
        dz = (dlogits @ output.T) * activation_gradient(a, network.activation)
        return loss, {"hidden.bias": column_sums(dz).astype(network.dtype)}, NetworkSaved((), ())

    held_products = None if held_out is None else held_out[0] @ network.hidden_weights

    def accuracy(current: Any) -> Mapping[str, float]:
        assert held_out is not None
        logits = network.output(held_products + current.params["hidden.bias"])
        return {"val_accuracy": float(np.mean(logits.argmax(axis=1) == held_out[1]))}

    fit(
        shell,
        None,
        minibatches(products, y, batch_size=batch_size),
        optimizer=Adam(learning_rate, eps=ADAM_EPS),
        n_epochs=n_epochs,
        key=as_key(rng).child("biases"),
        validate=None if held_out is None else accuracy,
        monitor=None if held_out is None else "val_accuracy",
        callback=callback,
        loss_and_gradients=step,
    )
    return _with_arrays(network, shell)
