"""Detectors on binary features with one hidden layer: what stabilisation, attacks and certificates work on.

Notation of Raviv et al. (2021), "Enhancing Robustness of Neural Networks through Fourier Stabilization": signs
``x in {-1, +1}^n``, hidden layer ``z = x W + b``, ``a = f(z)``, logits ``a V + c``. Hidden neuron j is
``f(<w_j, x> - theta_j)`` with ``theta_j = -b_j``. Activations f:

* ``"sign"``: ``sgn(z)`` with ``sgn(0) = tie``;
* ``"scaled_logistic"``: ``2 / (1 + exp(-z)) - 1 = tanh(z / 2)``, that of the paper's networks;
* ``"tanh"``: ``tanh(z)``; ``"relu"``: ``max(z, 0)``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scinn._files import read_npz, write_npz
from scinn._input import as_float_array, as_labels, check_choice
from scinn.nn.activations import ReLU, Tanh
from scinn.nn.dense import Dense
from scinn.nn.network import Network
from scinn.robustness.features import to_signs

__all__ = ["ACTIVATIONS", "ShallowNetwork", "activate", "activation_gradient"]

ACTIVATIONS = ("sign", "scaled_logistic", "tanh", "relu")
FORMAT = 1
_KIND = "shallow-network"


def activate(z: np.ndarray, activation: str, tie: int = 1) -> np.ndarray:
    """Return ``f(z)`` in the dtype of ``z``; nothing is validated.

    Examples
    --------
    >>> import numpy as np
    >>> activate(np.array([-2.0, 0.0, 3.0]), "sign", tie=-1).tolist()
    [-1.0, -1.0, 1.0]
    """
    if activation == "sign":
        y = np.sign(z)
        return y if tie == 0 else np.where(y == 0, z.dtype.type(tie), y)
    if activation == "relu":
        return np.maximum(z, z.dtype.type(0))
    return np.tanh(z * z.dtype.type(0.5) if activation == "scaled_logistic" else z)


def activation_gradient(a: np.ndarray, activation: str) -> np.ndarray:
    """Return ``f'(z)`` from ``a = f(z)``; zero everywhere for the sign, whose derivative is no use.

    Examples
    --------
    >>> import numpy as np
    >>> activation_gradient(np.array([0.0, 0.5]), "scaled_logistic").tolist()
    [0.5, 0.375]
    """
    if activation == "sign":
        return np.zeros_like(a)
    if activation == "relu":
        return (a > 0).astype(a.dtype)
    slope = a.dtype.type(0.5 if activation == "scaled_logistic" else 1.0)
    return slope * (1 - a * a)


@dataclass(frozen=True, repr=False, eq=False)
class ShallowNetwork:
    """A network ``sgn / tanh / relu`` with one hidden layer over signs.

    Parameters
    ----------
    hidden_weights : array_like, shape (n_features, n_hidden)
        W. float32 stays float32; everything else becomes float64. All four arrays get the widest dtype among them.
    hidden_bias : array_like, shape (n_hidden,)
        b, minus the thresholds.
    output_weights : array_like, shape (n_hidden, n_classes)
        V.
    output_bias : array_like, shape (n_classes,)
        c.
    activation : {"scaled_logistic", "sign", "tanh", "relu"}
        f; the default is the paper's.
    tie : {1, 0, -1}
        ``sgn(0)``, for sign neurons.

    Raises
    ------
    ValueError
        For shapes that do not fit, NaN, fewer than two classes, or an unknown activation.

    Examples
    --------
    >>> import numpy as np
    >>> network = ShallowNetwork(np.eye(2), np.zeros(2), [[1, -1], [1, -1]], [0, 0], activation="sign")
    >>> network.predict([[1, 1], [-1, -1]])
    array([0, 1])
    """

    hidden_weights: np.ndarray
    hidden_bias: np.ndarray
    output_weights: np.ndarray
    output_bias: np.ndarray
    activation: str = "scaled_logistic"
    tie: int = 1

    def __post_init__(self) -> None:
        hidden = as_float_array(self.hidden_weights, "hidden_weights", ndim=2)
        n_hidden = hidden.shape[1]
        output = as_float_array(self.output_weights, "output_weights", shape=(n_hidden, None))
        arrays = {
            "hidden_weights": hidden,
            "hidden_bias": as_float_array(self.hidden_bias, "hidden_bias", shape=(n_hidden,)),
            "output_weights": output,
            "output_bias": as_float_array(self.output_bias, "output_bias", shape=(output.shape[1],)),
        }
        if output.shape[1] < 2:
            raise ValueError(
                f"output_weights has {output.shape[1]} column(s); one for each class is wanted, at least 2: write a "
                "single logit s as the two logits -s/2 and s/2"
            )
        if hidden.shape[0] == 0:
            raise ValueError("hidden_weights has no rows; at least one feature is wanted")
        check_choice(self.activation, "activation", ACTIVATIONS)
        check_choice(self.tie, "tie", (1, 0, -1))
        # Integers that came along must not widen a float32 network.
        floats = [a.dtype for name, a in arrays.items() if np.asarray(getattr(self, name)).dtype.kind == "f"]
        dtype = np.result_type(*floats) if floats else np.dtype(np.float64)
        for name, array in arrays.items():
            own = array.astype(dtype)
            own.setflags(write=False)
            object.__setattr__(self, name, own)

    @property
    def n_features(self) -> int:
        """Number of binary features."""
        return int(self.hidden_weights.shape[0])

    @property
    def n_hidden(self) -> int:
        """Number of hidden neurons."""
        return int(self.hidden_weights.shape[1])

    @property
    def n_classes(self) -> int:
        """Number of classes, one logit each."""
        return int(self.output_weights.shape[1])

    @property
    def dtype(self) -> np.dtype:
        """Of all arrays; logits are computed in it."""
        return self.hidden_weights.dtype

    @property
    def thresholds(self) -> np.ndarray:
        """The hidden thresholds theta = -b, shape (n_hidden,)."""
        return -self.hidden_bias

    def __repr__(self) -> str:
        return (
            f"ShallowNetwork({self.n_features} features, {self.n_hidden} {self.activation} neurons, "
            f"{self.n_classes} classes, {self.dtype})"
        )

    def signs(self, features: Any, *, encoding: str = "auto", name: str = "features") -> np.ndarray:
        """Return samples of this network as signs.

        Parameters
        ----------
        features : array_like or sparse matrix, shape (n_samples, n_features) or (n_features,)
            Bits or signs.
        encoding : {"auto", "bits", "signs"}
            What they are.
        name : str
            The argument's name, for messages.

        Returns
        -------
        ndarray of int8, shape (n_samples, n_features)
        """
        x = to_signs(features, encoding=encoding, name=name)
        if x.ndim == 1:
            x = x[None, :]
        if x.ndim != 2 or x.shape[1] != self.n_features:
            turned = x.ndim == 2 and x.shape[0] == self.n_features
            hint = f"; it fits when transposed: pass {name}.T" if turned else ""
            raise ValueError(f"{name} has shape {x.shape}; (any, {self.n_features}) is wanted{hint}")
        return x

    def known_labels(self, labels: Any, n: int, *, name: str = "labels") -> np.ndarray:
        """Return the classes of n samples, none of them unknown.

        Parameters
        ----------
        labels : array_like of int, shape (n,)
            Classes 0, 1, ...
        n : int
        name : str
            The argument's name, for messages.

        Returns
        -------
        ndarray of int64, shape (n,)

        Raises
        ------
        ValueError
            For a wrong length, a class that the network does not have, and -1.
        """
        y = as_labels(labels, name, n=n, n_classes=self.n_classes)
        if y.size and y.min() < 0:
            raise ValueError(
                f"{name} holds -1; classes 0, ..., {self.n_classes - 1} are wanted: leave unknown samples out, and write "
                f"the classes -1 and +1 as ({name} > 0)"
            )
        return y

    def preactivations(self, signs: np.ndarray) -> np.ndarray:
        """Return ``z = x W + b``, shape (n_samples, n_hidden), of signs or of any real points."""
        return np.asarray(signs).astype(self.dtype) @ self.hidden_weights + self.hidden_bias

    def logits_of_signs(self, signs: np.ndarray) -> np.ndarray:
        """Return the logits of signs or of any real points without validating them, shape (n_samples, n_classes)."""
        return self.output(self.preactivations(signs))

    def output(self, z: np.ndarray) -> np.ndarray:
        """Return the logits that belong to preactivations, shape (n_samples, n_classes)."""
        return activate(z, self.activation, self.tie) @ self.output_weights + self.output_bias

    def logits(self, features: Any, *, encoding: str = "auto") -> np.ndarray:
        """Return the logits.

        Parameters
        ----------
        features : array_like or sparse matrix, shape (n_samples, n_features)
            Bits or signs.
        encoding : {"auto", "bits", "signs"}
            What they are.

        Returns
        -------
        ndarray, shape (n_samples, n_classes)
        """
        return self.logits_of_signs(self.signs(features, encoding=encoding))

    def predict(self, features: Any, *, encoding: str = "auto") -> np.ndarray:
        """Return the class of the largest logit, the lowest of equal ones; shape (n_samples,), int64."""
        return self.logits(features, encoding=encoding).argmax(axis=1)

    def accuracy(self, features: Any, labels: Any, *, encoding: str = "auto") -> float:
        """Return the share of samples whose class is predicted right.

        Parameters
        ----------
        features : array_like or sparse matrix, shape (n_samples, n_features)
        labels : array_like of int, shape (n_samples,)
            Classes 0, 1, ...
        encoding : {"auto", "bits", "signs"}

        Returns
        -------
        float
            Between 0 and 1.
        """
        x = self.signs(features, encoding=encoding)
        y = self.known_labels(labels, len(x))
        if not len(x):
            raise ValueError("features has no rows, so that there is no accuracy; pass at least one sample")
        return float(np.mean(self.logits_of_signs(x).argmax(axis=1) == y))

    def input_gradient(self, points: np.ndarray, dlogits: np.ndarray) -> np.ndarray:
        """Return the gradient by the input: ``dX = ((dL V^T) * f'(Z)) W^T``.

        Parameters
        ----------
        points : ndarray, shape (n_samples, n_features)
            Signs or any real points; not validated.
        dlogits : ndarray, shape (n_samples, n_classes)
            Gradient by the logits, for example ``e_y - e_t`` for a margin.

        Returns
        -------
        ndarray, shape (n_samples, n_features)
            Zero for sign neurons, which have no useful derivative.
        """
        a = activate(self.preactivations(points), self.activation, self.tie)
        dz = (np.asarray(dlogits, dtype=self.dtype) @ self.output_weights.T) * activation_gradient(
            a, self.activation
        )
        return dz @ self.hidden_weights.T

    def replace(self, **arrays: Any) -> ShallowNetwork:
        """Return a copy with other arrays, activation or tie."""
        return replace(self, **arrays)

    def astype(self, dtype: Any) -> ShallowNetwork:
        """Return a copy whose arrays have another dtype, float32 or float64."""
        names = ("hidden_weights", "hidden_bias", "output_weights", "output_bias")
        return replace(self, **{name: getattr(self, name).astype(dtype) for name in names})

    @classmethod
    def from_network(cls, network: Network, *, encoding: str = "signs") -> ShallowNetwork:
        """Read a :class:`scinn.nn.Network` that is a chain dense, tanh or ReLU, dense.

        Parameters
        ----------
        network : Network
            For example ``scinn.nn.models.mlp([n, 16, 2], activation="tanh")``.
        encoding : {"signs", "bits"}
            What it was trained on. The result takes signs; a network of bits is rewritten, exactly but for rounding:
            ``W^T bit + b = -(W / 2)^T x + (b + column sums of W / 2)``.

        Returns
        -------
        ShallowNetwork

        Raises
        ------
        ValueError
            For another structure.
        """
        if not isinstance(network, Network):
            raise TypeError(f"network is a {type(network).__name__}; a scinn.nn.Network is wanted")
        layers = [network.layers[node.layer] for node in network.nodes]
        names = [type(layer).__name__ for layer in layers]
        chained = all(
            node.inputs == (previous,)
            for node, previous in zip(
                network.nodes, (network.inputs[0], *(node.name for node in network.nodes))
            )
        )
        fits = (
            len(layers) == 3
            and chained
            and network.outputs == (network.nodes[-1].name,)
            and isinstance(layers[0], Dense)
            and isinstance(layers[1], Tanh | ReLU)
            and isinstance(layers[2], Dense)
        )
        if not fits:
            raise ValueError(
                f"network is {' -> '.join(names)}; a chain Dense -> Tanh or ReLU -> Dense is wanted, one hidden layer "
                "without dropout or normalisation"
            )
        first, middle, last = layers
        scale = middle.slope if isinstance(middle, Tanh) else 1.0
        activation = "relu" if isinstance(middle, ReLU) else "tanh"
        if scale == 0.5:
            activation, scale = "scaled_logistic", 1.0

        def bias(layer: Any, n: int) -> np.ndarray:
            return layer.params.get("bias", np.zeros(n, dtype=layer.params["weight"].dtype))

        weights = first.params["weight"]
        network_of_signs = cls(
            weights * weights.dtype.type(scale),
            bias(first, weights.shape[1]) * weights.dtype.type(scale),
            last.params["weight"],
            bias(last, last.params["weight"].shape[1]),
            activation,
        )
        return network_of_signs._from_encoding(encoding)

    @classmethod
    def pretrained(cls, name: str) -> ShallowNetwork:
        """Return one of the detectors that the authors of the paper trained.

        Parameters
        ----------
        name : {"fourier-pdfrate", "fourier-hidost", "fourier-hatespeech"}
            As for :func:`scinn.datasets.load_weights`, which also says where the file comes from.

        Returns
        -------
        ShallowNetwork
            float32.

        Raises
        ------
        ValueError
            For a network of another kind.
        DataUnavailableError, ChecksumError
            As in :func:`scinn.datasets.load_weights`.

        Examples
        --------
        >>> ShallowNetwork.pretrained("fourier-pdfrate")  # doctest: +SKIP
        ShallowNetwork(135 features, 16 scaled_logistic neurons, 2 classes, float32)
        """
        from scinn.datasets import load_weights

        arrays, info = load_weights(name)
        if not info.name.startswith("fourier-"):
            raise ValueError(
                f"name: {info.name} is a network of images; pass it to scinn.nn.models.pretrained"
            )
        return cls(arrays["W"], arrays["b"], arrays["V"], arrays["c"])

    @classmethod
    def from_mlp_classifier(cls, classifier: Any, *, encoding: str = "signs") -> ShallowNetwork:
        """Read a fitted scikit-learn ``MLPClassifier`` with one hidden layer.

        Parameters
        ----------
        classifier : sklearn.neural_network.MLPClassifier
            With activation ``"tanh"``, ``"relu"`` or ``"logistic"``. Class k of the result is ``classes_[k]``. The single
            logit s of a binary one becomes the two logits -s/2 and s/2.
        encoding : {"signs", "bits"}
            What it was trained on, see :meth:`from_network`.

        Returns
        -------
        ShallowNetwork
            In float64 unless the classifier was fitted in float32.
        """
        for name in ("coefs_", "intercepts_", "activation", "classes_"):
            if not hasattr(classifier, name):
                raise TypeError(
                    f"classifier is a {type(classifier).__name__} without {name}; a fitted MLPClassifier is wanted"
                )
        if len(classifier.coefs_) != 2:
            raise ValueError(
                f"classifier has {len(classifier.coefs_) - 1} hidden layers; one is wanted: hidden_layer_sizes=(16,)"
            )
        (weights, output), (bias, output_bias) = classifier.coefs_, classifier.intercepts_
        # With several outputs only a softmax tells of classes that exclude each other.
        if classifier.out_activation_ != ("logistic" if output.shape[1] == 1 else "softmax"):
            raise ValueError("classifier is multi-label; one class a sample is wanted")
        activation = classifier.activation
        if activation == "logistic":
            # sigmoid(z) = (1 + tanh(z / 2)) / 2: the constant goes to the bias behind it.
            activation = "scaled_logistic"
            output_bias = output_bias + output.sum(axis=0) / 2
            output = output / 2
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"classifier has the activation {activation!r}; 'tanh', 'relu' or 'logistic' is wanted"
            )
        if output.shape[1] == 1:
            output = np.hstack([-output / 2, output / 2])
            output_bias = np.concatenate([-output_bias / 2, output_bias / 2])
        return cls(weights, bias, output, output_bias, activation)._from_encoding(encoding)

    def _from_encoding(self, encoding: str) -> ShallowNetwork:
        check_choice(encoding, "encoding", ("signs", "bits"))
        if encoding == "signs":
            return self
        half = self.hidden_weights / 2
        return replace(self, hidden_weights=-half, hidden_bias=self.hidden_bias + half.sum(axis=0))

    def to_network(self) -> Network:
        """Return the network as a :class:`scinn.nn.Network` over signs, for example to train it further.

        Raises
        ------
        ValueError
            For sign neurons, which have no layer with a gradient.
        """
        if self.activation == "sign":
            raise ValueError(
                "sign neurons have no layer in scinn.nn; save the network itself with .save(path)"
            )
        middle = {"relu": ReLU(), "tanh": Tanh(), "scaled_logistic": Tanh(0.5)}[self.activation]
        shapes = ((self.n_features, self.n_hidden), (self.n_hidden, self.n_classes))
        dense = [Dense(*shape, init="zeros", dtype=self.dtype, rng=0) for shape in shapes]
        for layer, weight, bias in zip(
            dense, (self.hidden_weights, self.output_weights), (self.hidden_bias, self.output_bias)
        ):
            layer.params["weight"][...] = weight
            layer.params["bias"][...] = bias
        return Network.sequential(hidden=dense[0], activation=middle, output=dense[1])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to an ``.npz`` file, whole or not at all, without pickle."""
        names = ("hidden_weights", "hidden_bias", "output_weights", "output_bias")
        meta = {"format": FORMAT, "kind": _KIND, "activation": self.activation, "tie": self.tie}
        write_npz(path, {name: getattr(self, name) for name in names}, meta)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, encoding: str = "signs") -> ShallowNetwork:
        """Read what :meth:`save` wrote, or a file of :meth:`scinn.nn.Network.save` with one hidden layer.

        Parameters
        ----------
        path : path
        encoding : {"signs", "bits"}
            What a :class:`scinn.nn.Network` in the file was trained on; a file of :meth:`save` is of signs always.

        Returns
        -------
        ShallowNetwork

        Raises
        ------
        ValueError
            Where the file holds something else.
        """
        arrays, meta = read_npz(path)
        if meta.get("kind") == "network":
            return cls.from_network(Network.load(path), encoding=encoding)
        if meta.get("kind") != _KIND:
            raise ValueError(
                f"{path} holds {meta.get('kind')!r}; a file of ShallowNetwork.save or scinn.nn.Network.save is wanted"
            )
        if meta["format"] > FORMAT:
            raise ValueError(
                f"{path} has format {meta['format']}, this version reads up to {FORMAT}: update scinn"
            )
        names = {"hidden_weights", "hidden_bias", "output_weights", "output_bias"}
        if set(arrays) != names or not {"activation", "tie"} <= set(meta):
            raise ValueError(
                f"{path} is damaged: it holds {', '.join(sorted(arrays)) or 'no arrays'}; save it anew"
            )
        return cls(**arrays, activation=meta["activation"], tie=meta["tie"])
