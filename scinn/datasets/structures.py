"""What the loaders return: NamedTuples of arrays and CSR matrices, never a class of a wing."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from scipy.sparse import csr_array

from scinn.datasets.binary import BinaryDataset
from scinn.datasets.pixels import normalize_images
from scinn.datasets.registry import DATASETS
from scinn.datasets.text import ParallelTextDataset, TextDataset

__all__ = ["Dataset", "GraphCollection", "ImageDataset", "NodeDataset", "SignalDataset", "SpatialGraph"]

FEATURE_KINDS = ("auto", "labels", "attributes", "all", "degree")


class NodeDataset(NamedTuple):
    """One graph with features, a class for every node, and a split.

    Parameters
    ----------
    name : str
        Registered name.
    adjacency : csr_array of shape (n_nodes, n_nodes), float64
        Binary and symmetric, without self loops; indices sorted.
    features : csr_array of shape (n_nodes, n_features), float64
        Raw values (0 and 1 for the citation graphs); divide rows by their sums to get the usual network
        input.
    labels : ndarray of shape (n_nodes,), int64
        Classes ``0 .. n_classes - 1``.
    n_classes : int
        Number of classes.
    train_mask, val_mask, test_mask : ndarray of shape (n_nodes,), bool
        Disjoint; nodes in none of them carry no label that an evaluation should use.
    """

    name: str
    adjacency: csr_array
    features: csr_array
    labels: np.ndarray
    n_classes: int
    train_mask: np.ndarray
    val_mask: np.ndarray
    test_mask: np.ndarray

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return int(self.adjacency.shape[0])

    @property
    def n_edges(self) -> int:
        """Number of undirected edges."""
        return int(self.adjacency.nnz // 2)

    @property
    def n_features(self) -> int:
        """Number of columns of ``features``."""
        return int(self.features.shape[1])


class ImageDataset(NamedTuple):
    """Labelled images, channels last, with the published division where there is one.

    Parameters
    ----------
    name : str
        Registered name.
    images : ndarray of shape (n_images, height, width, channels), uint8
        Raw intensities.
    labels : ndarray of shape (n_images,), int64
        Classes ``0 .. n_classes - 1``.
    n_classes : int
        Number of classes.
    max_value : int
        The largest value an image can hold; divide by it to reach [0, 1].
    n_train : int or None
        The first ``n_train`` images are the published training set, the others the test set, both in the
        published order; None where the publisher does not divide.
    train_index : ndarray of shape (n_train,), int64, or None
        Position of each training image in the published training set, where only part of that is held.

    Examples
    --------
    >>> import numpy as np
    >>> pixels = np.arange(3 * 2 * 2, dtype=np.uint8).reshape(3, 2, 2, 1)
    >>> data = ImageDataset("tiny", pixels, np.array([0, 1, 1]), n_classes=2, max_value=255, n_train=2)
    >>> data.train_images.shape, data.test_labels.tolist()
    ((2, 2, 2, 1), [1])
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    n_classes: int
    max_value: int
    n_train: int | None = None
    train_index: np.ndarray | None = None

    @property
    def n_images(self) -> int:
        """Number of images."""
        return len(self.images)

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the classes are, as the registry names them; their numbers where it names none."""
        names = DATASETS[self.name].class_names if self.name in DATASETS else ()
        return names or tuple(map(str, range(self.n_classes)))

    @property
    def train_images(self) -> np.ndarray:
        """Images of the published training set, a view."""
        return self.images[: self._division()]

    @property
    def train_labels(self) -> np.ndarray:
        """Labels of the published training set, a view."""
        return self.labels[: self._division()]

    @property
    def test_images(self) -> np.ndarray:
        """Images of the published test set, a view."""
        return self.images[self._division() :]

    @property
    def test_labels(self) -> np.ndarray:
        """Labels of the published test set, a view."""
        return self.labels[self._division() :]

    def matrix(self, dtype: DTypeLike = np.float64) -> np.ndarray:
        """Return the images as rows with values in [0, 1].

        Parameters
        ----------
        dtype : dtype
            A floating type.

        Returns
        -------
        ndarray of shape (n_images, height * width * channels)
        """
        flat = self.images.reshape(len(self.images), -1).astype(dtype)
        flat /= self.max_value
        return flat

    def scaled(
        self, dtype: DTypeLike = np.float32, mean: ArrayLike | None = None, std: ArrayLike | None = None
    ) -> np.ndarray:
        """Return all images as numbers in [0, 1], or centred and scaled by channel.

        For one part only, give ``train_images`` or ``test_images`` to
        :func:`scinn.datasets.normalize_images`.

        Parameters
        ----------
        dtype : dtype
            A floating type.
        mean, std : array_like of shape (channels,) or a number, optional
            Subtracted from the values in [0, 1], and divided by after that; default 0 and 1.

        Returns
        -------
        ndarray of shape (n_images, height, width, channels)
        """
        return normalize_images(self.images, mean, std, dtype, max_value=self.max_value)

    def _division(self) -> int:
        if self.n_train is None:
            raise ValueError(
                f"{self.name} comes without a published division into training and test images; divide "
                "images and labels with scinn.datasets.stratified_split"
            )
        return self.n_train


class SpatialGraph(NamedTuple):
    """A graph whose nodes are points.

    Parameters
    ----------
    adjacency : csr_array of shape (n_nodes, n_nodes), float64
        Symmetric, without self loops; indices sorted.
    coordinates : ndarray of shape (n_nodes, n_dimensions), float64
        Position of each node.
    """

    adjacency: csr_array
    coordinates: np.ndarray


class SignalDataset(NamedTuple):
    """A signal on a graph whose nodes are points.

    Parameters
    ----------
    name : str
        Registered name.
    adjacency : csr_array of shape (n_nodes, n_nodes), float64
        Symmetric, without self loops; indices sorted.
    coordinates : ndarray of shape (n_nodes, n_dimensions), float64
        Position of each node.
    signal : ndarray of shape (n_nodes,), float64
        The noise-free signal.
    """

    name: str
    adjacency: csr_array
    coordinates: np.ndarray
    signal: np.ndarray


class GraphCollection(NamedTuple):
    """Many small labelled graphs, concatenated.

    Graph ``g`` owns the nodes ``node_ptr[g]:node_ptr[g + 1]`` and the rows ``edge_ptr[g]:edge_ptr[g + 1]`` of
    ``edges``.

    Parameters
    ----------
    name : str
        Registered name.
    node_ptr, edge_ptr : ndarray of shape (n_graphs + 1,), int64
        Where each graph begins.
    edges : ndarray of shape (n_edges, 2), int64
        Node numbers inside the graph, ``u < v``, each undirected edge once, in lexicographic order.
    labels : ndarray of shape (n_graphs,), int64
        Classes ``0 .. n_classes - 1``, by rising value of the published label.
    n_classes : int
        Number of classes.
    node_labels : ndarray of shape (n_nodes,), int64, or None
        Categories ``0 .. n_node_labels - 1``: the published number less the smallest of the whole collection.
    node_attributes : ndarray of shape (n_nodes, n_attributes), float64, or None
        Real-valued attributes as published (rounded to single precision), neither centred nor scaled.
    edge_labels : ndarray of shape (n_edges,), int64, or None
        Category of each row of ``edges``.
    n_node_labels : int
        Number of columns of the one-hot labels; a subset keeps the number of the whole collection.
    max_degree : int
        Largest degree in the whole collection; a subset keeps it, so that its features fit the same network.
    """

    name: str
    node_ptr: np.ndarray
    edge_ptr: np.ndarray
    edges: np.ndarray
    labels: np.ndarray
    n_classes: int
    node_labels: np.ndarray | None = None
    node_attributes: np.ndarray | None = None
    edge_labels: np.ndarray | None = None
    n_node_labels: int = 0
    max_degree: int = 0

    @property
    def n_graphs(self) -> int:
        """Number of graphs."""
        return len(self.node_ptr) - 1

    @property
    def n_nodes(self) -> int:
        """Number of nodes of all graphs together."""
        return int(self.node_ptr[-1])

    @property
    def n_edges(self) -> int:
        """Number of undirected edges of all graphs together."""
        return int(self.edge_ptr[-1])

    def n_features(self, kind: str = "auto") -> int:
        """Number of columns that :meth:`features` gives for ``kind``."""
        kind = self._feature_kind(kind)
        columns = 0
        if kind in ("labels", "all") and self.node_labels is not None:
            columns += self.n_node_labels
        if kind in ("attributes", "all") and self.node_attributes is not None:
            columns += int(self.node_attributes.shape[1])
        return self.max_degree + 1 if kind == "degree" else columns

    def features(
        self, kind: str = "auto", *, indices: ArrayLike | None = None, dtype: DTypeLike = np.float64
    ) -> np.ndarray:
        """Build input features of the nodes.

        Parameters
        ----------
        kind : {"auto", "labels", "attributes", "all", "degree"}
            One-hot node labels; the raw attributes; labels beside attributes; one-hot degree. ``"auto"``
            takes the labels where there are any, else the attributes, else the degree.
        indices : array_like of int, optional
            Graphs to take, in this order; default all.
        dtype : dtype
            Type of the result.

        Returns
        -------
        ndarray of shape (n_nodes_taken, n_features)

        Raises
        ------
        ValueError
            Where the collection has no such features.
        """
        kind = self._feature_kind(kind)
        nodes, _ = self._nodes(self._graphs(indices))
        parts = []
        if kind in ("labels", "all") and self.node_labels is not None:
            parts.append(_one_hot(self.node_labels[nodes], self.n_node_labels, dtype))
        if kind in ("attributes", "all") and self.node_attributes is not None:
            parts.append(self.node_attributes[nodes].astype(dtype))
        if kind == "degree":
            parts.append(_one_hot(self._degrees(indices), self.max_degree + 1, dtype))
        return parts[0] if len(parts) == 1 else np.hstack(parts)

    def graph(
        self, index: int, *, features: str = "auto", dtype: DTypeLike = np.float64
    ) -> tuple[csr_array, np.ndarray]:
        """Return the adjacency and the features of one graph.

        Parameters
        ----------
        index : int
            Number of the graph.
        features : str
            Kind of features, see :meth:`features`.
        dtype : dtype
            Type of both results.

        Returns
        -------
        adjacency : csr_array of shape (n, n)
        x : ndarray of shape (n, n_features)
        """
        adjacency, _, x = self.batch([index], features=features, dtype=dtype)
        return adjacency, x

    def batch(
        self, indices: ArrayLike | None = None, *, features: str = "auto", dtype: DTypeLike = np.float64
    ) -> tuple[csr_array, np.ndarray, np.ndarray]:
        """Put graphs side by side as one block-diagonal graph.

        Parameters
        ----------
        indices : array_like of int, optional
            Graphs to take, in this order, repeats allowed; default all.
        features : str
            Kind of features, see :meth:`features`.
        dtype : dtype
            Type of the adjacency's ones and of the features.

        Returns
        -------
        adjacency : csr_array of shape (n, n)
            Sorted indices.
        node_ptr : ndarray of shape (n_taken + 1,), int64
            Where the nodes of each graph begin.
        x : ndarray of shape (n, n_features)
        """
        graphs = self._graphs(indices)
        u, v, node_ptr = self._global_edges(graphs)
        n = int(node_ptr[-1])
        rows, columns = np.concatenate([u, v]), np.concatenate([v, u])
        columns = columns[np.argsort(rows * n + columns)]
        indptr = np.zeros(n + 1, dtype=np.int64)
        np.cumsum(np.bincount(rows, minlength=n), out=indptr[1:])
        adjacency = csr_array((np.ones(len(columns), dtype=dtype), columns, indptr), shape=(n, n))
        adjacency.has_sorted_indices = True
        return adjacency, node_ptr, self.features(features, indices=graphs, dtype=dtype)

    def subset(self, indices: ArrayLike) -> GraphCollection:
        """Return a collection of some of the graphs, whose features keep their width.

        Parameters
        ----------
        indices : array_like of int, or of bool with one entry a graph
            Graphs to take, in this order.

        Returns
        -------
        GraphCollection
        """
        graphs = self._graphs(indices)
        nodes, node_ptr = self._nodes(graphs)
        rows, edge_ptr = _ranges(self.edge_ptr, graphs)
        return self._replace(
            node_ptr=node_ptr,
            edge_ptr=edge_ptr,
            edges=self.edges[rows],
            labels=self.labels[graphs],
            node_labels=None if self.node_labels is None else self.node_labels[nodes],
            node_attributes=None if self.node_attributes is None else self.node_attributes[nodes],
            edge_labels=None if self.edge_labels is None else self.edge_labels[rows],
        )

    def _feature_kind(self, kind: str) -> str:
        if kind not in FEATURE_KINDS:
            raise ValueError(f"kind must be one of {', '.join(map(repr, FEATURE_KINDS))}; got {kind!r}")
        if kind == "auto":
            if self.node_labels is not None:
                return "labels"
            return "attributes" if self.node_attributes is not None else "degree"
        missing = []
        if kind in ("labels", "all") and self.node_labels is None:
            missing.append("node labels")
        if kind in ("attributes", "all") and self.node_attributes is None:
            missing.append("node attributes")
        if missing:
            raise ValueError(f"kind={kind!r}: {self.name} has no {' and no '.join(missing)}; use kind='auto'")
        return kind

    def _graphs(self, indices: ArrayLike | None) -> np.ndarray:
        if indices is None:
            return np.arange(self.n_graphs)
        graphs = np.atleast_1d(np.asarray(indices))
        if graphs.dtype == bool:
            if graphs.shape != (self.n_graphs,):
                raise ValueError(f"indices: a mask needs shape ({self.n_graphs},), got {graphs.shape}")
            return np.flatnonzero(graphs)
        if graphs.size == 0:
            return np.zeros(0, dtype=np.int64)
        if graphs.ndim != 1 or graphs.dtype.kind not in "iu":
            raise TypeError(
                f"indices must be a sequence of graph numbers, got {graphs.dtype} of shape {graphs.shape}"
            )
        if graphs.min() < 0 or graphs.max() >= self.n_graphs:
            raise IndexError(
                f"indices must lie in 0..{self.n_graphs - 1} ({self.name} has {self.n_graphs} graphs), "
                f"got {graphs.min()}..{graphs.max()}"
            )
        return graphs.astype(np.int64)

    def _nodes(self, graphs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _ranges(self.node_ptr, graphs)

    def _global_edges(self, graphs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows, edge_ptr = _ranges(self.edge_ptr, graphs)
        sizes = np.diff(self.node_ptr)[graphs]
        node_ptr = np.zeros(len(graphs) + 1, dtype=np.int64)
        np.cumsum(sizes, out=node_ptr[1:])
        shift = np.repeat(node_ptr[:-1], np.diff(edge_ptr))
        return self.edges[rows, 0] + shift, self.edges[rows, 1] + shift, node_ptr

    def _degrees(self, indices: ArrayLike | None) -> np.ndarray:
        u, v, node_ptr = self._global_edges(self._graphs(indices))
        return np.bincount(np.concatenate([u, v]), minlength=int(node_ptr[-1]))


Dataset: TypeAlias = (
    NodeDataset
    | GraphCollection
    | ImageDataset
    | BinaryDataset
    | SignalDataset
    | TextDataset
    | ParallelTextDataset
)


def _ranges(ptr: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the concatenated ranges ``ptr[w]:ptr[w + 1]`` and the pointer of the result."""
    lengths = np.diff(ptr)[which]
    new_ptr = np.zeros(len(which) + 1, dtype=np.int64)
    np.cumsum(lengths, out=new_ptr[1:])
    return np.arange(new_ptr[-1]) + np.repeat(ptr[which] - new_ptr[:-1], lengths), new_ptr


def _one_hot(codes: np.ndarray, n_columns: int, dtype: DTypeLike) -> np.ndarray:
    out = np.zeros((len(codes), n_columns), dtype=dtype)
    out[np.arange(len(codes)), codes] = 1
    return out
