"""Readouts: from the nodes of each graph of a batch to one row per graph.

:class:`UFGPool` is the paper's, from framelet coefficients; :class:`GraphPool` holds the usual controls (sum, mean,
maximum). Batches are block-diagonal graphs; ``node_ptr`` tells where each graph's nodes begin.

References
----------
X. Zheng et al. (2021), How framelets enhance graph neural networks, ICML, section on UFGPool.
"""

from __future__ import annotations

import weakref
from typing import Any, NamedTuple

import numpy as np

from scinn._input import check_choice
from scinn.kernels.graph_layers import (
    segment_max,
    segment_max_backward,
    segment_square_sum,
    segment_square_sum_backward,
    segment_weighted_sum,
    segment_weighted_sum_backward,
)
from scinn.nn.layer import Layer, check_input, check_output_gradient, register_layer
from scinn.random import Key

__all__ = ["GraphPool", "UFGPool"]

_BAND_SUMS: weakref.WeakKeyDictionary[Any, dict[str, np.ndarray]] = weakref.WeakKeyDictionary()


def _band_sums(transform: Any, dtype: np.dtype) -> np.ndarray:
    """Return W_k 1 for every band, shape (n_bands, n_nodes), made once for as long as the transform lives."""
    prepared = _BAND_SUMS.setdefault(transform, {})
    if str(dtype) not in prepared:
        prepared[str(dtype)] = transform.analyze(np.ones(transform.n_nodes)).astype(dtype)
    return prepared[str(dtype)]


def _check_node_ptr(x: np.ndarray, node_ptr: Any, who: str) -> np.ndarray:
    pointer = np.asarray(node_ptr)
    if pointer.ndim != 1 or len(pointer) < 1 or pointer.dtype.kind not in "iu":
        raise ValueError(
            f"{who}: node_ptr must be a 1-D integer array, got {pointer.dtype} of shape {pointer.shape}"
        )
    if pointer[0] != 0 or pointer[-1] != x.shape[0] or np.any(np.diff(pointer) < 0):
        raise ValueError(
            f"{who}: node_ptr must rise from 0 to the number of rows of x ({x.shape[0]}), "
            f"got {pointer[0]} ... {pointer[-1]}"
        )
    return pointer


class UFGPoolSaved(NamedTuple):
    """Band sums W_k 1 (sum) or coefficients (spectrum), the graphs' bounds, number of features, and the transform."""

    bands: np.ndarray
    node_ptr: np.ndarray
    n_features: int
    transform: Any


@register_layer
class UFGPool(Layer):
    """Framelet readout: for every graph, band and feature one number.

    Forward, with C_k = W_k X the coefficients and g a graph::

        "sum"       P[g, k] = sum of C_k over the nodes of g = <(W_k 1)_g, X_g>
        "spectrum"  P[g, k] = sum of C_k squared: the energy of band k

    The bands are concatenated, low-pass first. Backward::

        "sum"       dX_g = sum_k (W_k 1)_g dP[g, k]
        "spectrum"  dX = sum_k 2 W_k^T (C_k dP[graph of the row, k])

    ``W_k 1`` is computed once per transform, so that "sum" costs one pass over X. With a tight transform the spectrum
    adds up to ||X||^2 per feature: no signal energy is lost in the readout.

    Parameters
    ----------
    mode : {"sum", "spectrum"}, default "sum"
        The readout.

    Notes
    -----
    Context: ``transform`` of the block-diagonal graph and ``node_ptr``, shape (n_graphs + 1,). On a regular graph the
    constant signal is an eigenvector of frequency 0, and every detail band sums to 0 (exact transform).

    References
    ----------
    X. Zheng et al. (2021), section on UFGPool.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.graphs import FrameletTransform, Graph, UFGPool
    >>> graph = Graph.from_edges(3, [(0, 1), (1, 2)])
    >>> transform = FrameletTransform(graph, method="exact")
    >>> x = np.array([[1.0], [2.0], [4.0]])
    >>> energies = UFGPool("spectrum")(x, transform=transform, node_ptr=np.array([0, 3]))
    >>> energies.shape, round(float(energies.sum()), 10)
    ((1, 3), 21.0)
    """

    Saved = UFGPoolSaved
    context = ("transform", "node_ptr")

    def __init__(self, mode: str = "sum") -> None:
        super().__init__()
        check_choice(mode, "mode", ("sum", "spectrum"))
        self.mode = mode

    def forward(
        self, x: np.ndarray, *, transform: Any, node_ptr: Any, train: bool = False, key: Key | None = None
    ) -> tuple[np.ndarray, UFGPoolSaved]:
        """Return the readout of every graph.

        Parameters
        ----------
        x : ndarray, shape (n_nodes, n_features)
            Features of the nodes of all graphs.
        transform : FrameletTransform
            Of the block-diagonal graph.
        node_ptr : ndarray of int, shape (n_graphs + 1,)
            Where each graph's nodes begin.
        train, key
            Ignored.

        Returns
        -------
        y : ndarray, shape (n_graphs, n_bands * n_features)
        saved : UFGPoolSaved
        """
        check_input(x, self, min_ndim=2)
        node_ptr = _check_node_ptr(x, node_ptr, "UFGPool")
        if x.shape[0] != transform.n_nodes:
            raise ValueError(
                f"UFGPool: x has {x.shape[0]} rows, the transform is for {transform.n_nodes} nodes; make the transform of "
                "the graph of this batch"
            )
        x = np.ascontiguousarray(x)
        shape = (len(node_ptr) - 1, transform.n_bands, x.shape[1])
        out = np.empty(shape, dtype=x.dtype)
        if self.mode == "sum":
            bands = _band_sums(transform, x.dtype)
            segment_weighted_sum(bands, x, node_ptr, out)
        else:
            bands = transform.analyze(x)
            segment_square_sum(bands, node_ptr, out)
        return out.reshape(shape[0], shape[1] * shape[2]), UFGPoolSaved(
            bands, node_ptr, x.shape[1], transform
        )

    def backward(self, saved: UFGPoolSaved, dy: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return the gradient by the node features.

        Parameters
        ----------
        saved : UFGPoolSaved
            From :meth:`forward`.
        dy : ndarray, shape (n_graphs, n_bands * n_features)

        Returns
        -------
        dx : ndarray, shape (n_nodes, n_features)
        grads : dict
            Empty.
        """
        n_bands, n_nodes = saved.bands.shape[:2]
        n_graphs = len(saved.node_ptr) - 1
        check_output_gradient(dy, self, (n_graphs, n_bands * saved.n_features), saved.bands.dtype)
        dp = np.ascontiguousarray(dy).reshape(n_graphs, n_bands, saved.n_features)
        if self.mode == "sum":
            dx = np.empty((n_nodes, dp.shape[2]), dtype=dy.dtype)
            segment_weighted_sum_backward(saved.bands, dp, saved.node_ptr, dx)
            return dx, {}
        dcoefficients = np.empty_like(saved.bands)
        segment_square_sum_backward(saved.bands, dp, saved.node_ptr, dcoefficients)
        return saved.transform.synthesize(dcoefficients), {}

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"mode": self.mode}


class GraphPoolSaved(NamedTuple):
    """The graphs' bounds, number of features and dtype; for the maximum also the winning rows."""

    node_ptr: np.ndarray
    n_features: int
    dtype: np.dtype
    winner: np.ndarray | None


@register_layer
class GraphPool(Layer):
    """Plain readout of each graph: the sum, mean or maximum of its rows.

    Backward: a graph's gradient goes to all its rows (sum), divided by their number (mean), or to the first row that
    attains the maximum. A graph without nodes reads 0.

    Parameters
    ----------
    mode : {"sum", "mean", "max"}, default "sum"
        The readout.

    Notes
    -----
    Context: ``node_ptr``, shape (n_graphs + 1,).

    References
    ----------
    K. Xu et al. (2019), How powerful are graph neural networks?, ICLR, section 5 (sum, mean and max readouts).

    Examples
    --------
    >>> import numpy as np
    >>> GraphPool("max")(np.array([[1.0], [3.0], [2.0]]), node_ptr=np.array([0, 2, 3])).tolist()
    [[3.0], [2.0]]
    """

    Saved = GraphPoolSaved
    context = ("node_ptr",)

    def __init__(self, mode: str = "sum") -> None:
        super().__init__()
        check_choice(mode, "mode", ("sum", "mean", "max"))
        self.mode = mode

    def forward(
        self, x: np.ndarray, *, node_ptr: Any, train: bool = False, key: Key | None = None
    ) -> tuple[np.ndarray, GraphPoolSaved]:
        """Return the readout of every graph.

        Parameters
        ----------
        x : ndarray, shape (n_nodes, n_features)
            Features of the nodes of all graphs.
        node_ptr : ndarray of int, shape (n_graphs + 1,)
            Where each graph's nodes begin.
        train, key
            Ignored.

        Returns
        -------
        y : ndarray, shape (n_graphs, n_features)
        saved : GraphPoolSaved
        """
        check_input(x, self, min_ndim=2)
        node_ptr = _check_node_ptr(x, node_ptr, "GraphPool")
        x = np.ascontiguousarray(x)
        shape = (len(node_ptr) - 1, x.shape[1])
        if self.mode == "max":
            y = np.empty(shape, dtype=x.dtype)
            winner = np.empty(shape, dtype=np.int64)
            segment_max(x, node_ptr, y, winner)
            return y, GraphPoolSaved(node_ptr, shape[1], x.dtype, winner)
        out = np.empty((shape[0], 1, shape[1]), dtype=x.dtype)
        segment_weighted_sum(self._weights(node_ptr, x.dtype), x, node_ptr, out)
        return out[:, 0], GraphPoolSaved(node_ptr, shape[1], x.dtype, None)

    def backward(self, saved: GraphPoolSaved, dy: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return the gradient by the node features.

        Parameters
        ----------
        saved : GraphPoolSaved
            From :meth:`forward`.
        dy : ndarray, shape (n_graphs, n_features)

        Returns
        -------
        dx : ndarray, shape (n_nodes, n_features)
        grads : dict
            Empty.
        """
        check_output_gradient(dy, self, (len(saved.node_ptr) - 1, saved.n_features), saved.dtype)
        dy = np.ascontiguousarray(dy)
        dx = np.empty((int(saved.node_ptr[-1]), dy.shape[1]), dtype=dy.dtype)
        if saved.winner is not None:
            segment_max_backward(dy, saved.winner, dx)
        else:
            weights = self._weights(saved.node_ptr, dy.dtype)
            segment_weighted_sum_backward(weights, dy[:, None, :], saved.node_ptr, dx)
        return dx, {}

    def _weights(self, node_ptr: np.ndarray, dtype: np.dtype) -> np.ndarray:
        sizes = np.diff(node_ptr)
        per_graph = np.ones(len(sizes)) if self.mode == "sum" else 1.0 / np.maximum(sizes, 1)
        return np.repeat(per_graph, sizes).astype(dtype)[None, :]

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"mode": self.mode}
