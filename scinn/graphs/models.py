"""Networks of the framelet paper and their baselines, and a node classifier in scikit-learn's manner.

References
----------
X. Zheng et al. (2021), How framelets enhance graph neural networks, ICML; T. N. Kipf and M. Welling (2017),
Semi-supervised classification with graph convolutional networks, ICLR.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from scinn._input import as_csr, as_float_array, check_choice
from scinn.graphs.convolution import GCNConv, UFGConv
from scinn.graphs.framelets import FrameletTransform
from scinn.graphs.graph import Graph
from scinn.graphs.pooling import GraphPool, UFGPool
from scinn.graphs.shrinkage import nonzero_share
from scinn.graphs.training import NodeResult, as_mask, train_node_classifier
from scinn.nn.activations import ReLU
from scinn.nn.dense import Dense
from scinn.nn.dropout import Dropout
from scinn.nn.layer import Layer, is_sparse
from scinn.nn.losses import softmax
from scinn.nn.network import Network
from scinn.random import Key, RandomState, as_generator

__all__ = [
    "NodeClassifier",
    "coefficient_shares",
    "gcn_network",
    "graph_classifier",
    "mlp_network",
    "ufg_network",
]

_VARIANTS = ("relu", "shrink")
_READOUTS = ("ufg-sum", "ufg-spectrum", "sum", "mean", "max")


def _chain(first: Layer, second: Layer, *, rectify: bool, dropout: float, input_dropout: float) -> Network:
    layers: dict[str, Layer] = {}
    if input_dropout:
        layers["input_dropout"] = Dropout(input_dropout)
    layers["conv1"] = first
    if rectify:
        layers["relu"] = ReLU()
    if dropout:
        layers["dropout"] = Dropout(dropout)
    layers["conv2"] = second
    return Network.sequential(**layers)


def ufg_network(
    n_in: int,
    n_hidden: int,
    n_classes: int,
    n_nodes: int | None,
    n_bands: int,
    variant: str = "relu",
    *,
    dropout: float = 0.7,
    input_dropout: float = 0.0,
    filter: str = "node",
    shrinkage: str = "soft",
    sigma: float = 1.0,
    scale: str = "none",
    dtype: Any = np.float64,
    rng: RandomState = None,
) -> Network:
    """Build the paper's two-layer node classifier.

    UFGConv, ReLU (variant "relu" only), dropout, UFGConv. The last layer gives logits.

    Parameters
    ----------
    n_in, n_hidden, n_classes : int
        Widths.
    n_nodes : int or None
        Number of nodes; may be None with ``filter="band"``.
    n_bands : int
        Bands of the transform.
    variant : {"relu", "shrink"}, default "relu"
        UFGConv-R or UFGConv-S; the latter shrinks in both layers and has no ReLU.
    dropout, input_dropout : float
        Rates of dropping before the second and the first layer; the paper has 0.7 and 0.
    filter, shrinkage, sigma, scale
        See :class:`UFGConv`.
    dtype : dtype, default float64
        Dtype of the parameters.
    rng : int, SeedSequence, Generator, Key or None
        Source of the initial values.

    Returns
    -------
    Network
        With context ``transform``; layers ``conv1``, ``relu``, ``dropout``, ``conv2``.

    Examples
    --------
    >>> ufg_network(1433, 16, 7, 2708, 3, rng=0).n_parameters
    39311
    """
    check_choice(variant, "variant", _VARIANTS)
    generator = as_generator(rng)
    options: dict[str, Any] = {
        "n_bands": n_bands,
        "n_nodes": n_nodes,
        "activation": "shrink" if variant == "shrink" else None,
        "filter": filter,
        "shrinkage": shrinkage,
        "sigma": sigma,
        "scale": scale,
        "dtype": dtype,
        "rng": generator,
    }
    return _chain(
        UFGConv(n_in, n_hidden, **options),
        UFGConv(n_hidden, n_classes, **options),
        rectify=variant == "relu",
        dropout=dropout,
        input_dropout=input_dropout,
    )


def gcn_network(
    n_in: int,
    n_hidden: int,
    n_classes: int,
    *,
    dropout: float = 0.5,
    input_dropout: float = 0.0,
    dtype: Any = np.float64,
    rng: RandomState = None,
) -> Network:
    """Build the two-layer GCN of Kipf and Welling: GCNConv, ReLU, dropout, GCNConv.

    Parameters
    ----------
    n_in, n_hidden, n_classes : int
        Widths.
    dropout, input_dropout : float
        Rates of dropping before the second and the first layer.
    dtype : dtype, default float64
        Dtype of the parameters.
    rng : int, SeedSequence, Generator, Key or None
        Source of the initial values.

    Returns
    -------
    Network
        With context ``graph``.

    Examples
    --------
    >>> gcn_network(1433, 16, 7, rng=0).context
    ('graph',)
    """
    generator = as_generator(rng)
    return _chain(
        GCNConv(n_in, n_hidden, dtype=dtype, rng=generator),
        GCNConv(n_hidden, n_classes, dtype=dtype, rng=generator),
        rectify=True,
        dropout=dropout,
        input_dropout=input_dropout,
    )


def mlp_network(
    n_in: int,
    n_hidden: int,
    n_classes: int,
    *,
    dropout: float = 0.5,
    input_dropout: float = 0.0,
    dtype: Any = np.float64,
    rng: RandomState = None,
) -> Network:
    """Build the control that sees no graph: Dense, ReLU, dropout, Dense.

    Parameters
    ----------
    n_in, n_hidden, n_classes : int
        Widths.
    dropout, input_dropout : float
        Rates of dropping before the second and the first layer.
    dtype : dtype, default float64
        Dtype of the parameters.
    rng : int, SeedSequence, Generator, Key or None
        Source of the initial values.

    Returns
    -------
    Network

    Examples
    --------
    >>> mlp_network(4, 8, 2, rng=0).n_parameters
    58
    """
    generator = as_generator(rng)
    return _chain(
        Dense(n_in, n_hidden, dtype=dtype, rng=generator),
        Dense(n_hidden, n_classes, dtype=dtype, rng=generator),
        rectify=True,
        dropout=dropout,
        input_dropout=input_dropout,
    )


def graph_classifier(
    n_in: int,
    n_hidden: int,
    n_classes: int,
    *,
    pool: str = "ufg-sum",
    n_bands: int = 3,
    dropout: float = 0.5,
    dtype: Any = np.float64,
    rng: RandomState = None,
) -> Network:
    """Build the paper's graph classifier: GCN, ReLU, GCN, ReLU, readout, Dense, ReLU, dropout, Dense.

    Parameters
    ----------
    n_in, n_hidden, n_classes : int
        Widths; the paper has 64 hidden features.
    pool : {"ufg-sum", "ufg-spectrum", "sum", "mean", "max"}, default "ufg-sum"
        The readout: :class:`UFGPool` or, as controls, :class:`GraphPool`.
    n_bands : int, default 3
        Bands of the transform, for the UFG readouts.
    dropout : float, default 0.5
        Rate of dropping before the last layer.
    dtype : dtype, default float64
        Dtype of the parameters.
    rng : int, SeedSequence, Generator, Key or None
        Source of the initial values.

    Returns
    -------
    Network
        With context ``graph``, ``node_ptr`` and, for the UFG readouts, ``transform``.

    Examples
    --------
    >>> graph_classifier(3, 64, 2, pool="mean", rng=0).context
    ('graph', 'node_ptr')
    """
    check_choice(pool, "pool", _READOUTS)
    generator = as_generator(rng)
    ufg = pool.startswith("ufg-")
    readout: Layer = UFGPool(pool.removeprefix("ufg-")) if ufg else GraphPool(pool)
    layers: dict[str, Layer] = {
        "conv1": GCNConv(n_in, n_hidden, dtype=dtype, rng=generator),
        "relu1": ReLU(),
        "conv2": GCNConv(n_hidden, n_hidden, dtype=dtype, rng=generator),
        "relu2": ReLU(),
        "pool": readout,
        "dense1": Dense(n_hidden * (n_bands if ufg else 1), n_hidden, dtype=dtype, rng=generator),
        "relu3": ReLU(),
        "dropout": Dropout(dropout),
        "dense2": Dense(n_hidden, n_classes, dtype=dtype, rng=generator),
    }
    return Network.sequential(**layers)


def coefficient_shares(network: Network, features: Any, *, transform: Any) -> dict[str, float]:
    """Return the share of non-zero coefficients after shrinkage in every UFGConv layer of a network.

    Parameters
    ----------
    network : Network
        With :class:`UFGConv` layers.
    features : ndarray or CSR array, shape (n_nodes, n_in)
        The network's input.
    transform : FrameletTransform
        Its context.

    Returns
    -------
    dict of str to float
        By node name, in [0, 1]; all bands count, the low-pass included.

    References
    ----------
    X. Zheng et al. (2021), experiment on compression.
    """
    _, saved = network.forward(features, transform=transform)
    shares = {}
    for node, kept in zip(network.nodes, saved.nodes, strict=True):
        layer = network.layers[node.layer]
        if isinstance(layer, UFGConv):
            shares[node.name] = nonzero_share(layer.shrunk_coefficients(kept.x, transform=transform))
    return shares


class NodeClassifier:
    """Classify the nodes of a graph from their features and the labels of some of them.

    Transductive: the whole graph is given to :meth:`fit`, and predictions are for its nodes.

    Parameters
    ----------
    variant : {"relu", "shrink", "gcn", "mlp"}, default "relu"
        UFGConv-R, UFGConv-S, or a baseline.
    n_hidden : int, default 16
        Hidden features.
    dropout : float, default 0.7
        Rate of dropping before the second layer.
    learning_rate, weight_decay : float, default 0.01
        Of Adam; the decay is L2 on all parameters.
    n_epochs : int, default 200
        Full-batch steps.
    bank, levels, dilation, n_coefficients
        Of the :class:`FrameletTransform`.
    filter, shrinkage, sigma, scale
        Of :class:`UFGConv`.
    dtype : {"float64", "float32"}, default "float64"
        In which to compute.
    random_state : int, Generator, Key or None
        Source of initial values and dropout masks.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        Labels that occur among the training nodes.
    network_ : Network
        With the parameters of the selected epoch.
    result_ : NodeResult
        Selected epoch and history.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.graphs import Graph, NodeClassifier
    >>> graph = Graph.from_edges(6, [(0, 1), (1, 2), (0, 2), (3, 4), (4, 5), (3, 5)])
    >>> labels = np.array(["a", "a", "a", "b", "b", "b"])
    >>> model = NodeClassifier(n_epochs=50, dropout=0.0, random_state=0)
    >>> model.fit(graph, np.eye(6), labels, train_mask=np.array([1, 0, 0, 1, 0, 0], dtype=bool)).predict().tolist()
    ['a', 'a', 'a', 'b', 'b', 'b']
    """

    classes_: np.ndarray
    network_: Network
    result_: NodeResult

    def __init__(
        self,
        variant: str = "relu",
        *,
        n_hidden: int = 16,
        dropout: float = 0.7,
        learning_rate: float = 0.01,
        weight_decay: float = 0.01,
        n_epochs: int = 200,
        bank: Any = "haar",
        levels: int = 2,
        dilation: float = 2.0,
        n_coefficients: Any = 2,
        filter: str = "node",
        shrinkage: str = "soft",
        sigma: float = 1.0,
        scale: str = "none",
        dtype: str = "float64",
        random_state: RandomState = None,
    ) -> None:
        self.variant = variant
        self.n_hidden = n_hidden
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.n_epochs = n_epochs
        self.bank = bank
        self.levels = levels
        self.dilation = dilation
        self.n_coefficients = n_coefficients
        self.filter = filter
        self.shrinkage = shrinkage
        self.sigma = sigma
        self.scale = scale
        self.dtype = dtype
        self.random_state = random_state

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> NodeClassifier:
        """Set constructor arguments and return the classifier."""
        known = self.get_params()
        for name, value in params.items():
            check_choice(name, "parameter", tuple(known))
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self)).parameters
        changed = [f"{n}={v!r}" for n, v in self.get_params().items() if v is not defaults[n].default]
        return f"NodeClassifier({', '.join(changed)})"

    def fit(
        self, graph: Any, features: Any, labels: Any, *, train_mask: Any, val_mask: Any = None
    ) -> NodeClassifier:
        """Train on the labels of some nodes.

        Parameters
        ----------
        graph : Graph or sparse adjacency, shape (n_nodes, n_nodes)
            The graph.
        features : array_like or sparse array, shape (n_nodes, n_features)
            Node features.
        labels : array_like, shape (n_nodes,)
            Classes of any sortable kind; those outside of the masks are not looked at, None and NaN included.
        train_mask : array_like of bool, shape (n_nodes,)
            Nodes to learn from.
        val_mask : array_like of bool, shape (n_nodes,), optional
            Nodes by which the best epoch is chosen; without them the last epoch is taken.

        Returns
        -------
        NodeClassifier
            Itself.

        Raises
        ------
        ValueError
            For masks that are not boolean or select no node, and a class among the validation nodes that no training
            node has.
        """
        check_choice(self.variant, "variant", (*_VARIANTS, "gcn", "mlp"))
        graph = graph if isinstance(graph, Graph) else Graph(graph)
        dtype = np.dtype(self.dtype)
        x = self._features(features, graph.n_nodes, dtype)
        train_mask = used = as_mask(train_mask, graph.n_nodes, "train_mask")
        if val_mask is not None:
            val_mask = as_mask(val_mask, graph.n_nodes, "val_mask")
            used = train_mask | val_mask
        self.classes_, target = _as_classes(
            _as_values(labels, graph.n_nodes), np.flatnonzero(used), train_mask
        )
        generator = as_generator(self.random_state)
        context: dict[str, Any] = {"graph": graph}
        if self.variant in _VARIANTS:
            context["transform"] = FrameletTransform(
                graph,
                bank=self.bank,
                levels=self.levels,
                dilation=self.dilation,
                n_coefficients=self.n_coefficients,
            )
        self.network_ = self._build(x.shape[1], graph, context, generator)
        self._input, self._context = x, {name: context[name] for name in self.network_.context}
        self.result_ = train_node_classifier(
            self.network_,
            x,
            target,
            train_mask=train_mask,
            val_mask=val_mask,
            context=context,
            n_epochs=self.n_epochs,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            rng=Key(int(generator.integers(2**63))),
        )
        return self

    def _features(self, features: Any, n_nodes: int, dtype: np.dtype) -> Any:
        x = (
            as_csr(features, "features").astype(dtype)
            if is_sparse(features)
            else as_float_array(features, "features", ndim=2, dtype=dtype)
        )
        if x.shape[0] != n_nodes:
            raise ValueError(f"features has {x.shape[0]} rows, the graph {n_nodes} nodes")
        return x

    def _build(self, n_in: int, graph: Graph, context: dict[str, Any], rng: np.random.Generator) -> Network:
        sizes = (n_in, self.n_hidden, len(self.classes_))
        if self.variant == "gcn":
            return gcn_network(*sizes, dropout=self.dropout, dtype=self.dtype, rng=rng)
        if self.variant == "mlp":
            return mlp_network(*sizes, dropout=self.dropout, dtype=self.dtype, rng=rng)
        return ufg_network(
            *sizes,
            graph.n_nodes,
            context["transform"].n_bands,
            self.variant,
            dropout=self.dropout,
            filter=self.filter,
            shrinkage=self.shrinkage,
            sigma=self.sigma,
            scale=self.scale,
            dtype=self.dtype,
            rng=rng,
        )

    def predict_proba(self) -> np.ndarray:
        """Return class probabilities of all nodes, shape (n_nodes, n_classes), columns as in ``classes_``."""
        if not hasattr(self, "network_"):
            raise ValueError(
                "the classifier is not fitted; call fit(graph, features, labels, train_mask=...) first"
            )
        return softmax(self.network_(self._input, **self._context))

    def predict(self) -> np.ndarray:
        """Return the predicted class of every node, shape (n_nodes,)."""
        best = self.predict_proba().argmax(axis=1)
        return self.classes_[best]

    def score(self, labels: Any, mask: Any = None) -> float:
        """Return the accuracy in [0, 1] on the nodes of a mask (default: all).

        Parameters
        ----------
        labels : array_like, shape (n_nodes,)
            True classes.
        mask : array_like of bool, shape (n_nodes,), optional
            Nodes that count.

        Returns
        -------
        float
        """
        predicted = self.predict()
        hits = predicted == _as_values(labels, len(predicted))
        return float(np.mean(hits if mask is None else hits[as_mask(mask, len(predicted), "mask")]))


def _as_values(labels: Any, n: int) -> np.ndarray:
    try:
        values = np.asarray(labels)
    except ValueError as error:
        raise ValueError(
            f"labels cannot be read as an array ({error}); one label a node, {n}, is wanted"
        ) from error
    if values.shape != (n,):
        raise ValueError(f"labels must have shape ({n},), got {values.shape}")
    return values


def _as_classes(
    values: np.ndarray, used: np.ndarray, train_mask: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes of the training nodes and every node's number among them, 0 for the nodes not used."""
    try:
        # NaN is the one value that differs from itself.
        missing = [node for node in used if values[node] is None or values[node] != values[node]]
        if missing:
            raise ValueError(
                f"labels holds {values[missing[0]]} for node {missing[0]}, which a mask selects; known labels are "
                "wanted there: leave unlabelled nodes out of train_mask and val_mask"
            )
        classes = np.unique(values[train_mask])
        numbers = np.searchsorted(classes, values[used]).clip(max=len(classes) - 1)
    except TypeError as error:
        raise TypeError(
            f"labels cannot be sorted ({error}); known labels of one kind are wanted where a mask selects: pass them as "
            "strings, or as integers"
        ) from error
    if np.any(classes[numbers] != values[used]):
        raise ValueError("labels of val_mask hold a class that no training node has; every class needs one")
    target = np.zeros(len(values), dtype=np.int64)
    target[used] = numbers
    return classes, target
