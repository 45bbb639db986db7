"""Training of node and graph classifiers by the paper's protocols.

:func:`train_node_classifier` trains on one graph, full batch, and reports the test accuracy of the epoch with the best
validation accuracy. :func:`train_graph_classifier` trains on a collection of graphs, batched block-diagonally, and
reports that of the epoch with the least validation loss. Both are :func:`scinn.nn.fit` with the paper's settings.

References
----------
X. Zheng et al. (2021), How framelets enhance graph neural networks, ICML, experiments; settings from its released code.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from scinn._input import check_positive_int
from scinn.datasets.splits import random_split
from scinn.graphs.framelets import FrameletTransform
from scinn.graphs.graph import Graph
from scinn.nn.history import History
from scinn.nn.layer import Layer
from scinn.nn.losses import softmax_cross_entropy
from scinn.nn.optimizers import Adam
from scinn.nn.schedules import ReduceLROnPlateau
from scinn.nn.training import Batch, fit
from scinn.random import Key, RandomState, as_generator

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["NodeResult", "Split", "train_graph_classifier", "train_node_classifier"]

Callback = Callable[[dict[str, Any]], "bool | None"]


@dataclass(frozen=True)
class NodeResult:
    """Outcome of a training run with selection by validation.

    Parameters
    ----------
    best_epoch : int
        The selected epoch, counted from 0.
    val_accuracy : float
        Validation accuracy in that epoch, in percent.
    test_accuracy : float
        Test accuracy in that epoch, in percent; NaN where no test set was given.
    history : History
        All epochs: ``train_loss``, ``val_loss``, ``val_accuracy``, ``test_accuracy``.
    """

    best_epoch: int
    val_accuracy: float
    test_accuracy: float
    history: History = field(repr=False)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the accuracies against the epoch.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; default: the axes of a new figure.

        Returns
        -------
        matplotlib Axes
        """
        if ax is None:
            from matplotlib.figure import Figure

            ax = Figure(figsize=(5.0, 3.2), layout="constrained").subplots()
        epochs = np.arange(len(self.history))
        ax.plot(epochs, self.history["val_accuracy"], label="validation")
        if not np.isnan(self.test_accuracy):
            ax.plot(epochs, self.history["test_accuracy"], label="test")
        ax.axvline(self.best_epoch, color="0.6", linewidth=0.8, linestyle=":", label="selected epoch")
        ax.set_xlabel("epoch")
        ax.set_ylabel("accuracy (%)")
        ax.legend(frameon=False)
        return ax

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "best_epoch": self.best_epoch,
            "val_accuracy": self.val_accuracy,
            "test_accuracy": self.test_accuracy,
            "history": self.history.to_dict(),
        }


def _as_key(rng: RandomState) -> Key:
    if isinstance(rng, Key):
        return rng
    if rng is None:
        return Key(secrets.randbits(63))
    if isinstance(rng, int | np.integer):
        return Key(int(rng))
    return Key(int(as_generator(rng).integers(2**63)))


def _percent(logits: np.ndarray, labels: np.ndarray) -> float:
    return 100.0 * float(np.mean(logits.argmax(axis=1) == labels)) if len(labels) else float("nan")


def as_mask(mask: Any, n: int, name: str) -> np.ndarray:
    mask = np.asarray(mask)
    if mask.dtype != np.bool_ or mask.shape != (n,):
        hint = ""
        if mask.dtype.kind in "iuf":
            only_bits = mask.shape == (n,) and np.isin(mask, (0, 1)).all()
            hint = (
                f"; for zeros and ones pass {name}.astype(bool)"
                if only_bits
                else f"; for node numbers make one: {name} = numpy.isin(numpy.arange({n}), nodes)"
            )
        raise ValueError(
            f"{name} must be a boolean array of shape ({n},), got {mask.dtype} of shape {mask.shape}{hint}"
        )
    if not mask.any():
        raise ValueError(f"{name} selects no node; at least one is needed")
    return mask


def train_node_classifier(
    network: Layer,
    features: Any,
    labels: np.ndarray,
    *,
    train_mask: np.ndarray,
    val_mask: np.ndarray | None = None,
    test_mask: np.ndarray | None = None,
    context: Mapping[str, Any] | None = None,
    n_epochs: int = 200,
    learning_rate: float = 0.01,
    weight_decay: float | Mapping[str, float] = 0.01,
    patience: int | None = None,
    rng: RandomState = None,
    callback: Callback | None = None,
) -> NodeResult:
    """Train a node classifier in place, full batch, and select the epoch with the best validation accuracy.

    Each epoch is one Adam step on the mean cross-entropy of the training nodes, followed by an evaluation. Ties in
    validation accuracy go to the earlier epoch. At the end the network holds the selected epoch's parameters.

    Parameters
    ----------
    network : Layer
        Maps features to logits, shape (n_nodes, n_classes).
    features : ndarray or CSR array, shape (n_nodes, n_features)
        Node features, in the network's dtype.
    labels : ndarray of int, shape (n_nodes,)
        Classes from 0; only those of the masks are looked at.
    train_mask, val_mask, test_mask : ndarray of bool, shape (n_nodes,)
        Without ``val_mask`` the last epoch is taken. ``test_mask`` is only reported, never used to choose.
    context : mapping
        The network's context, for example ``{"transform": transform}``; entries it does not read are left out.
    n_epochs : int, default 200
        Number of epochs.
    learning_rate : float, default 0.01
        Of Adam.
    weight_decay : float or mapping, default 0.01
        L2 coefficient on everything, or by parameter name.
    patience : int, optional
        Stop after this many epochs without a better validation accuracy.
    rng : int, SeedSequence, Generator, Key or None
        Root of the dropout masks.
    callback : callable, optional
        Called with each epoch's record; a true answer stops.

    Returns
    -------
    NodeResult
        Accuracies in percent.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.graphs import Graph, gcn_network, train_node_classifier
    >>> graph = Graph.from_edges(4, [(0, 1), (2, 3)])
    >>> network = gcn_network(2, 4, 2, dropout=0.0, rng=0)
    >>> result = train_node_classifier(
    ...     network, np.array([[1.0, 0], [1, 0], [0, 1], [0, 1]]), np.array([0, 0, 1, 1]),
    ...     train_mask=np.array([1, 0, 1, 0], dtype=bool), val_mask=np.array([0, 1, 0, 1], dtype=bool),
    ...     context={"graph": graph}, n_epochs=100, weight_decay=0.0, rng=0,
    ... )
    >>> result.val_accuracy
    100.0
    """
    n = features.shape[0]
    labels = np.asarray(labels)
    if labels.shape != (n,) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"labels must be integers of shape ({n},), got {labels.dtype} of shape {labels.shape}"
        )
    train_mask = as_mask(train_mask, n, "train_mask")
    inputs = {name: value for name, value in (context or {}).items() if name in network.context}
    val = None if val_mask is None else np.flatnonzero(as_mask(val_mask, n, "val_mask"))
    test = None if test_mask is None else np.flatnonzero(as_mask(test_mask, n, "test_mask"))

    def validate(net: Any) -> dict[str, float]:
        logits = net(features, **inputs)
        record: dict[str, float] = {}
        if val is not None:
            record["val_loss"] = softmax_cross_entropy(logits[val], labels[val])[0]
            record["val_accuracy"] = _percent(logits[val], labels[val])
        if test is not None:
            record["test_accuracy"] = _percent(logits[test], labels[test])
        return record

    if patience is not None and val is None:
        raise ValueError("patience needs val_mask: early stopping compares validation accuracies")
    history = fit(
        network,
        softmax_cross_entropy,
        [Batch(features, labels, inputs, train_mask)],
        optimizer=Adam(learning_rate, weight_decay=weight_decay),
        n_epochs=check_positive_int(n_epochs, "n_epochs"),
        key=_as_key(rng),
        validate=validate if val is not None or test is not None else None,
        monitor=None if val is None else "val_accuracy",
        mode=None if val is None else "max",
        patience=patience,
        restore_best=val is not None,
        callback=callback,
    )
    return _result(history)


def _result(history: History) -> NodeResult:
    best = history.best
    nan = float("nan")
    return NodeResult(
        int(best["epoch"]), best.get("val_accuracy", nan), best.get("test_accuracy", nan), history
    )


class Split(NamedTuple):
    """Numbers of the graphs (or rows) for training, validation and test."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


def graph_batches(
    collection: Any,
    indices: np.ndarray,
    *,
    batch_size: int,
    dtype: Any,
    context: Sequence[str] = ("graph", "transform", "node_ptr"),
    features: str = "auto",
    transform_options: Mapping[str, Any] | None = None,
) -> list[Batch]:
    """Cut graphs of a collection into prepared block-diagonal batches.

    Parameters
    ----------
    collection : GraphCollection
        Anything with ``batch(indices, features=, dtype=) -> (adjacency, node_ptr, x)`` and ``labels``.
    indices : ndarray of int
        Graphs, in this order.
    batch_size : int
        Graphs a batch; the last one may hold fewer.
    dtype : dtype
        Of the features.
    context : sequence of str
        What to prepare.
    features : str, default "auto"
        Kind of node features.
    transform_options : mapping, optional
        Keywords of :class:`FrameletTransform`. ``lambda_max`` is 2 unless given: the bound of every normalised
        Laplacian, so that a band means the same frequencies in every graph.

    Returns
    -------
    list of Batch
    """
    options = {"lambda_max": 2.0, **(transform_options or {})}
    batches = []
    for start in range(0, len(indices), batch_size):
        chosen = indices[start : start + batch_size]
        adjacency, node_ptr, x = collection.batch(chosen, features=features, dtype=np.float64)
        prepared: dict[str, Any] = {"node_ptr": node_ptr}
        if "graph" in context or "transform" in context:
            prepared["graph"] = Graph(adjacency)
        if "transform" in context:
            prepared["transform"] = FrameletTransform(prepared["graph"], **options)
        kept = {name: prepared[name] for name in context}
        batches.append(Batch(x.astype(dtype, copy=False), collection.labels[chosen], kept))
    return batches


def train_graph_classifier(
    network: Layer,
    collection: Any,
    *,
    split: Split | None = None,
    features: str = "auto",
    transform_options: Mapping[str, Any] | None = None,
    batch_size: int = 64,
    reshuffle: bool = True,
    n_epochs: int = 200,
    learning_rate: float = 5e-3,
    weight_decay: float = 5e-3,
    patience: int = 20,
    rng: RandomState = None,
    callback: Callback | None = None,
) -> NodeResult:
    """Train a graph classifier in place and select the epoch with the least validation loss.

    Adam with L2 on the sum-reduced cross-entropy of each batch; the rate falls by 0.7 after 5 epochs without a better
    validation loss (ReduceLROnPlateau), training stops after ``patience``.

    Parameters
    ----------
    network : Layer
        Maps node features and the context ``graph``, ``transform``, ``node_ptr`` (as far as it reads them) to logits of
        shape (n_graphs, n_classes), see :func:`graph_classifier`.
    collection : GraphCollection
        As :func:`scinn.datasets.load` returns it.
    split : Split, optional
        Numbers of the graphs; default a random 80/10/10 split drawn from ``rng``.
    features : str, default "auto"
        Kind of node features, see ``GraphCollection.features``.
    transform_options : mapping, optional
        Keywords of :class:`FrameletTransform` (``levels``, ``dilation``, ``n_coefficients``, ``bank``).
    batch_size : int, default 64
        Graphs a batch.
    reshuffle : bool, default True
        True deals the graphs anew in each epoch, as the released code does. False deals them once, prepares
        graphs and transforms once, and reorders the batches in each epoch: about a third less time.
    n_epochs : int, default 200
        Largest number of epochs.
    learning_rate, weight_decay : float, default 5e-3
        Of Adam.
    patience : int, default 20
        Epochs without a better validation loss before training stops.
    rng : int, SeedSequence, Generator, Key or None
        Root of the split, the order of graphs and the dropout masks.
    callback : callable, optional
        Called with each epoch's record; a true answer stops.

    Returns
    -------
    NodeResult
        Accuracies in percent.
    """
    key = _as_key(rng)
    if split is None:
        split = Split(*random_split(len(collection.labels), (0.8, 0.1, 0.1), key.child("split")))
    for name, part in zip(Split._fields, split, strict=True):
        if len(part) == 0:
            raise ValueError(f"the split has no graph for {name}; give at least one")
    batch_size = check_positive_int(batch_size, "batch_size")

    def prepare(indices: np.ndarray) -> list[Batch]:
        return graph_batches(
            collection,
            np.asarray(indices),
            batch_size=batch_size,
            dtype=network.dtype,
            context=[name for name in ("graph", "transform", "node_ptr") if name in network.context],
            features=features,
            transform_options=transform_options,
        )

    val, test = prepare(split.val), prepare(split.test)
    dealt = [] if reshuffle else prepare(key.child("deal").generator().permutation(split.train))

    def batches(epoch_key: Key) -> Iterable[Batch]:
        generator = epoch_key.child("order").generator()
        if reshuffle:
            yield from prepare(generator.permutation(split.train))
        else:
            for i in generator.permutation(len(dealt)):
                yield dealt[i]

    def validate(net: Any) -> dict[str, float]:
        val_loss, val_accuracy = _evaluate(net, val)
        return {"val_loss": val_loss, "val_accuracy": val_accuracy, "test_accuracy": _evaluate(net, test)[1]}

    history = fit(
        network,
        _summed_cross_entropy,
        batches,
        optimizer=Adam(learning_rate, weight_decay=weight_decay),
        n_epochs=check_positive_int(n_epochs, "n_epochs"),
        key=key.child("training"),
        validate=validate,
        monitor="val_loss",
        mode="min",
        patience=patience,
        schedule=ReduceLROnPlateau(learning_rate, factor=0.7, patience=5),
        callback=callback,
    )
    return _result(history)


def _summed_cross_entropy(logits: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the mean loss, for the record, and the gradient of the summed loss, which is what is minimised."""
    loss, dlogits = softmax_cross_entropy(logits, target)
    return loss, dlogits * dlogits.dtype.type(len(target))


def _evaluate(network: Any, batches: Sequence[Batch]) -> tuple[float, float]:
    """Return the mean loss and the accuracy in percent over batches."""
    loss, correct, count = 0.0, 0, 0
    for batch in batches:
        logits = network(batch.inputs, **batch.context)
        loss += softmax_cross_entropy(logits, batch.target, reduction="sum")[0]
        correct += int(np.sum(logits.argmax(axis=1) == batch.target))
        count += len(batch.target)
    return loss / count, 100.0 * correct / count
