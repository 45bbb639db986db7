"""A scikit-learn classifier whose hidden neurons are stabilised.

N. Raviv, A. Kelley, M. Guo, Y. Vorobeychik, "Enhancing Robustness of Neural Networks through Fourier Stabilization",
ICML 2021, PMLR 139:8880-8889. The steps are those of the paper: train a detector with one hidden layer
(:func:`scinn.robustness.train_detector`), then replace hidden neurons by their closed form, chosen greedily under a floor on
the accuracy of held-out samples (:func:`scinn.robustness.select_neurons`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.neural_network import MLPClassifier
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from scinn._input import check_choice, check_in_range
from scinn.nn.losses import softmax
from scinn.nn.network import Network
from scinn.random import Key, RandomState
from scinn.robustness.features import ENCODINGS, detect_encoding, to_signs
from scinn.robustness.fourier_stabilization import StabilizedLayer, stabilize_layer
from scinn.robustness.network import ShallowNetwork
from scinn.robustness.selection import MAX_DROP, SelectionResult, floor_below, select_neurons
from scinn.robustness.training import as_key, train_detector

try:
    from sklearn.utils.validation import validate_data
except ImportError:
    # Before scikit-learn 1.6 it was a method.
    def validate_data(estimator: Any, *arrays: Any, **options: Any) -> Any:
        """Return validated arrays."""
        return estimator._validate_data(*arrays, **options)


__all__ = ["FourierStabilizedClassifier"]


class FourierStabilizedClassifier(ClassifierMixin, BaseEstimator):
    """Train or take a network with one hidden layer, and stabilise its neurons under an accuracy floor.

    The features are binary. Everything is computed in float64 where the network is trained here.

    Parameters
    ----------
    estimator : MLPClassifier, FrozenEstimator, ShallowNetwork or scinn.nn.Network, optional
        By default a detector is trained with :func:`scinn.robustness.train_detector` on a part of the samples, and the rest
        is for choosing neurons. Otherwise one hidden layer is wanted, and:

        * an ``MLPClassifier`` that is not fitted is cloned and fitted on a part of the samples as well;
        * one that is fitted already, alone or in a ``FrozenEstimator``, is used as it is, and all samples are for choosing.
          scikit-learn's ``clone``, and with it cross-validation, forgets what was fitted unless it is frozen;
        * a :class:`~scinn.robustness.ShallowNetwork` or :class:`scinn.nn.Network` is used as it is, too. A ``Network``, like
          an ``MLPClassifier``, must have been trained on what X holds, bits or signs;
          :meth:`ShallowNetwork.from_network <scinn.robustness.ShallowNetwork.from_network>` converts one that was not.
    n_hidden : int, default 16
        Hidden neurons of the detector trained here, as are `activation`, `n_epochs`, `batch_size` and `learning_rate`.
    activation : {"scaled_logistic", "tanh", "relu"}
    floor : float, optional
        Least accuracy on the samples that neurons are chosen with. One that the network does not reach before anything is
        stabilised is an error.
    max_drop : float, optional
        By how much that accuracy may fall, instead of `floor`: 0.01 is one point of a hundred. By default 0.01 where there
        is no floor.
    method : {"gmbc", "gmb", "gmbb", "logn"}
        As for :func:`scinn.robustness.select_neurons`, as are `benefit`, `layers`, `p`, `threshold_rule` and
        `zero_influence`.
    benefit : {"proxy", "exact"}
    layers : sequence of {"hidden", "output"}
    p : float, default 1.0
    threshold_rule : {"keep", "zero", "joint", "match"}
    zero_influence : {"sign", "drop"}
    n_epochs, batch_size : int
    learning_rate : float
    validation_fraction : float, default 0.2
        Share of the samples for choosing neurons, and the epoch, where a network is trained; every class gets its share.
    encoding : {"auto", "bits", "signs"}
        What the features are; ``"auto"`` tells from those given to :meth:`fit`. Not looked at where `binarize` is a number.
    binarize : float, optional
        Features above it become the bit 1, as in scikit-learn's ``BernoulliNB``. By default they must be binary already.
    random_state : int, RandomState, Generator, Key or None
        Source of the division of samples, initial weights and order of samples.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where X was a data frame.
    network_ : ShallowNetwork
        Stabilised; it takes signs.
    original_network_ : ShallowNetwork
        Before that.
    estimator_ : MLPClassifier
        The fitted one, where `estimator` is one.
    selection_ : SelectionResult
        What was stabilised, in which order, and what it cost.
    encoding_ : {"bits", "signs"}
        Of the features.
    validation_accuracy_ : float
        Of `network_` on the samples that neurons were chosen with; it is too good an estimate.

    Notes
    -----
    With ``binarize=0.0`` the classifier passes scikit-learn's own checks of estimators; without it those cannot run, since
    their features are real numbers.

    References
    ----------
    Raviv et al. (2021).

    Examples
    --------
    >>> import numpy as np
    >>> bits = np.random.default_rng(0).integers(0, 2, (400, 9))
    >>> labels = np.where(bits.sum(axis=1) > 4, "bad", "good")
    >>> model = FourierStabilizedClassifier(n_hidden=4, learning_rate=0.01, max_drop=0.05, random_state=0)
    >>> model.fit(bits, labels).predict(bits[:3]).tolist() == labels[:3].tolist()
    True
    >>> model.selection_.accuracy >= model.selection_.accuracy_before - 0.05
    True
    """

    classes_: np.ndarray
    n_features_in_: int
    network_: ShallowNetwork
    original_network_: ShallowNetwork
    estimator_: Any
    selection_: SelectionResult
    encoding_: str
    validation_accuracy_: float

    def __init__(
        self,
        estimator: Any = None,
        *,
        n_hidden: int = 16,
        activation: str = "scaled_logistic",
        floor: float | None = None,
        max_drop: float | None = None,
        method: str = "gmbc",
        benefit: str = "proxy",
        layers: Sequence[str] = ("hidden",),
        p: float = 1.0,
        threshold_rule: str = "keep",
        zero_influence: str = "sign",
        n_epochs: int = 100,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        validation_fraction: float = 0.2,
        encoding: str = "auto",
        binarize: float | None = None,
        random_state: RandomState | np.random.RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.n_hidden = n_hidden
        self.activation = activation
        self.floor = floor
        self.max_drop = max_drop
        self.method = method
        self.benefit = benefit
        self.layers = layers
        self.p = p
        self.threshold_rule = threshold_rule
        self.zero_influence = zero_influence
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation_fraction = validation_fraction
        self.encoding = encoding
        self.binarize = binarize
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn should know of the classifier."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def fit(self, X: Any, y: Any) -> FourierStabilizedClassifier:
        """Train where nothing trained was given, and stabilise.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (n_samples, n_features)
            Bits or signs; any numbers where `binarize` is one.
        y : array_like, shape (n_samples,)
            Classes of any sortable kind, two at least. For a network they are 0, 1, ..., or as many others as the network
            has classes, which are then numbered in sorted order.

        Returns
        -------
        FourierStabilizedClassifier
            Itself.

        Raises
        ------
        ValueError
            For features that are not binary, a single class, a floor that the network does not reach, and both `floor` and
            `max_drop`.
        TypeError
            For an estimator of another kind.
        """
        if self.floor is not None and self.max_drop is not None:
            raise ValueError(
                f"floor is {self.floor!r} and max_drop is {self.max_drop!r}; one of them is wanted: leave the other None"
            )
        key = _as_key(self.random_state)
        X, y = validate_data(self, X, y, accept_sparse="csr")
        check_classification_targets(y)
        signs = self._first_signs(X)
        classes, target = np.unique(y, return_inverse=True)
        if self.estimator is None or _is_unfitted_mlp(self.estimator):
            if len(classes) < 2:
                raise ValueError(f"y holds one class only, {classes[0]!r}; at least two classes are wanted")
            train, held_out = _divide(target, self.validation_fraction, key.child("division"))
            network = self._train(X, y, signs, target, train, held_out, key)
        else:
            network, known = self._read(self.estimator)
            classes, target = _match_classes(y, classes, target, network.n_classes, known)
            held_out = np.arange(len(y))
        if network.n_features != signs.shape[1]:
            raise ValueError(
                f"X has {signs.shape[1]} features, but the network of estimator takes {network.n_features}"
            )
        x, chosen_by = signs[held_out], target[held_out]
        self.classes_, self.original_network_ = classes, network
        self.selection_ = select_neurons(
            network, x, chosen_by, floor=self._floor(network, x, chosen_by),
            method=self.method, benefit=self.benefit, layers=self.layers, p=self.p, threshold_rule=self.threshold_rule,
            zero_influence=self.zero_influence, encoding="signs",
        )  # fmt: skip
        self.network_ = self.selection_.network
        self.validation_accuracy_ = self.selection_.accuracy
        return self

    def _first_signs(self, X: Any) -> np.ndarray:
        """Return the samples given to fit as signs, and remember how they are encoded."""
        check_choice(self.encoding, "encoding", ENCODINGS)
        if self.binarize is not None:
            check_in_range(self.binarize, "binarize")
            self.encoding_ = "bits"
        elif self.encoding == "auto":
            self.encoding_ = detect_encoding(X, name="X")
        else:
            self.encoding_ = self.encoding
        return self._signs(X, "as encoding says")

    def _signs(self, X: Any, why: str) -> np.ndarray:
        if self.binarize is not None:
            X = (X.toarray() if hasattr(X, "toarray") else X) > self.binarize
        try:
            return to_signs(X, encoding=self.encoding_, name="X")
        except ValueError as error:
            came = str(error).partition(";")[0]
            raise ValueError(
                f"{came}; {self.encoding_} are wanted, {why}: encode all samples alike, or pass binarize="
            ) from error

    def _given(self, signs: np.ndarray) -> np.ndarray:
        """Return samples as another estimator sees them: bits or signs, whichever X holds."""
        return (signs < 0).astype(np.float64) if self.encoding_ == "bits" else signs.astype(np.float64)

    def _train(
        self,
        X: Any,
        y: np.ndarray,
        signs: np.ndarray,
        target: np.ndarray,
        train: np.ndarray,
        held_out: np.ndarray,
        key: Key,
    ) -> ShallowNetwork:
        if self.estimator is not None:
            self.estimator_ = clone(self.estimator)
            if self.estimator_.random_state is None:
                seed = int(key.child("estimator").generator().integers(2**31 - 1))
                self.estimator_.set_params(random_state=seed)
            self.estimator_.fit(self._given(signs[train]), y[train])
            return ShallowNetwork.from_mlp_classifier(self.estimator_, encoding=self.encoding_)
        return train_detector(
            signs[train],
            target[train],
            n_hidden=self.n_hidden,
            n_classes=int(target.max()) + 1,
            activation=self.activation,
            validation=(signs[held_out], target[held_out]),
            n_epochs=self.n_epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            dtype=np.float64,
            encoding="signs",
            rng=key.child("training"),
        )

    def _read(self, estimator: Any) -> tuple[ShallowNetwork, np.ndarray | None]:
        """Return the network of a fitted estimator, and its classes where it knows them."""
        if isinstance(estimator, ShallowNetwork):
            return estimator, None
        if isinstance(estimator, Network):
            return ShallowNetwork.from_network(estimator, encoding=self.encoding_), None
        inner = estimator.estimator if type(estimator).__name__ == "FrozenEstimator" else estimator
        if not isinstance(inner, MLPClassifier):
            raise TypeError(
                f"estimator is a {type(inner).__name__}; an MLPClassifier, a ShallowNetwork or a scinn.nn.Network is wanted"
            )
        check_is_fitted(inner)
        self.estimator_ = inner
        return ShallowNetwork.from_mlp_classifier(inner, encoding=self.encoding_), inner.classes_

    def _floor(self, network: ShallowNetwork, x: np.ndarray, y: np.ndarray) -> float:
        if self.floor is not None:
            return check_in_range(self.floor, "floor", 0.0, 1.0)
        drop = MAX_DROP if self.max_drop is None else self.max_drop
        return floor_below(network.accuracy(x, y, encoding="signs"), drop, len(y))

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the logits.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (n_samples, n_features)
            Encoded as in :meth:`fit`.

        Returns
        -------
        ndarray, shape (n_samples,) or (n_samples, n_classes)
            For two classes the logit of the second minus that of the first, as scikit-learn has it.
        """
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def _logits(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", reset=False)
        return self.network_.logits_of_signs(self._signs(X, "as given to fit"))

    def predict(self, X: Any) -> np.ndarray:
        """Return the class of the largest logit, the first of equal ones.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (n_samples, n_features)
            Encoded as in :meth:`fit`.

        Returns
        -------
        ndarray, shape (n_samples,)
        """
        best = self._logits(X).argmax(axis=1)
        return self.classes_[best]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the softmax of the logits.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (n_samples, n_features)
            Encoded as in :meth:`fit`.

        Returns
        -------
        ndarray of float64, shape (n_samples, n_classes)
            Columns as in ``classes_``. Stabilising changes the logits' scale, so that these are no longer calibrated.
        """
        return softmax(self._logits(X).astype(np.float64))

    def report(self) -> StabilizedLayer:
        """Return what stabilising did to each neuron: distances before and after, and how often its answer changes.

        Returns
        -------
        StabilizedLayer
            One entry for each of ``selection_.hidden``, in that order.
        """
        check_is_fitted(self)
        original, chosen = self.original_network_, list(self.selection_.hidden)
        return stabilize_layer(
            original.hidden_weights[:, chosen], original.thresholds[chosen], p=self.p, activation=original.activation,
            tie=original.tie if original.activation == "sign" else 1, threshold_rule=self.threshold_rule,
            zero_influence=self.zero_influence,
        )  # fmt: skip


def _as_key(random_state: Any) -> Key:
    if isinstance(random_state, Key | np.random.Generator | np.random.SeedSequence):
        return as_key(random_state)
    return Key(int(check_random_state(random_state).randint(2**31 - 1)))


def _is_unfitted_mlp(estimator: Any) -> bool:
    return isinstance(estimator, MLPClassifier) and not hasattr(estimator, "coefs_")


def _divide(target: np.ndarray, fraction: float, key: Key) -> tuple[np.ndarray, np.ndarray]:
    """Return sorted numbers of the samples to train with and of those held out, each class in its share.

    A class keeps at least one sample to train with, and at least one sample is held out.
    """
    fraction = check_in_range(fraction, "validation_fraction", 0.0, 1.0, inclusive="neither")
    rng = key.generator()
    held_out: list[np.ndarray] = []
    for label in range(int(target.max()) + 1):
        members = rng.permutation(np.flatnonzero(target == label))
        held_out.append(members[: min(round(fraction * len(members)), len(members) - 1)])
    chosen = np.sort(np.concatenate(held_out))
    if not len(chosen):
        counts = np.bincount(target)
        if counts.max() == 1:
            raise ValueError(
                f"y has one sample for each of its {len(counts)} classes, n_samples = {len(target)}; at least one class "
                "needs a second one, to be held out for choosing neurons"
            )
        chosen = rng.permutation(np.flatnonzero(target == counts.argmax()))[:1]
    return np.setdiff1d(np.arange(len(target)), chosen), chosen


def _match_classes(
    y: np.ndarray, classes: np.ndarray, target: np.ndarray, n_classes: int, known: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes of a network that was trained elsewhere, and the number of every sample's class among them."""
    if known is None and classes.dtype.kind in "iub" and classes.min() >= 0 and classes.max() < n_classes:
        known = np.arange(n_classes)
    if known is None:
        if len(classes) != n_classes:
            raise ValueError(
                f"y holds {len(classes)} classes, the network of estimator has {n_classes}; the classes 0 to "
                f"{n_classes - 1} are wanted, or {n_classes} others, which are numbered in sorted order"
            )
        return classes, target
    unknown = np.setdiff1d(classes, known)
    if len(unknown):
        raise ValueError(f"y holds the class {unknown[0]!r}, with which estimator was not fitted")
    return known, np.searchsorted(known, y)
