"""Undirected weighted graphs with their normalised Laplacian, its largest eigenvalue and its spectrum."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from scinn._input import as_csr, as_float_array, as_index_array, check_choice, check_positive_int

__all__ = ["Graph", "GraphBatch", "Spectrum"]

Isolated = Literal["one", "zero"]
T = TypeVar("T")

_ASYMMETRY = 1e-10
_TINY, _EPS = float(np.finfo(np.float64).tiny), float(np.finfo(np.float64).eps)
_HUGE = float(np.finfo(np.float64).max) / 8
_DENSE_NODES = 64
_EXACT_NODES = 2000


class Spectrum(NamedTuple):
    """Eigen-decomposition of a normalised Laplacian.

    Attributes
    ----------
    eigenvalues : ndarray of float64, shape (n_nodes,)
        In ascending order, within [0, 2].
    eigenvectors : ndarray of float64, shape (n_nodes, n_nodes)
        Orthonormal columns, in the same order.
    """

    eigenvalues: np.ndarray
    eigenvectors: np.ndarray


class Graph:
    """An undirected graph with non-negative edge weights.

    Self loops are removed: the normalised Laplacian of framelets is defined without them. Objects are immutable;
    the Laplacian, its largest eigenvalue and its spectrum are computed at their first use and kept.

    Parameters
    ----------
    adjacency : sparse array or matrix of any format, or dense array-like, shape (n_nodes, n_nodes)
        Symmetric, with weights >= 0. Duplicate entries of a COO matrix add up.
    node_labels : sequence of hashable, optional
        One name a node, kept for :meth:`to_networkx`.

    Attributes
    ----------
    adjacency : scipy.sparse.csr_array of float64, shape (n_nodes, n_nodes)
        Symmetric, zero on the diagonal, sorted indices, no stored zeros.
    degrees : ndarray of float64, shape (n_nodes,)
        Row sums of the adjacency; infinite where float64 cannot hold the sum, which the Laplacian does not mind.
    node_labels : tuple or None
        Names of the nodes.

    Raises
    ------
    ValueError
        For an adjacency that is not square, not symmetric, or has negative, NaN or infinite weights.

    Examples
    --------
    >>> graph = Graph.from_edges(3, [(0, 1), (1, 2)])
    >>> graph
    Graph(n_nodes=3, n_edges=2)
    >>> graph.lambda_max()
    2.0
    """

    def __init__(self, adjacency: Any, *, node_labels: Sequence[Hashable] | None = None) -> None:
        if isinstance(adjacency, Graph):
            raise TypeError("adjacency is a Graph already; an adjacency matrix is wanted")
        matrix = as_csr(adjacency, "adjacency", square=True, dtype=np.float64)
        if matrix.shape[0] == 0:
            raise ValueError("adjacency has no rows; a graph of at least one node is wanted")
        _check_weights(matrix)
        matrix = _without_loops(_symmetric(matrix))
        if node_labels is not None:
            node_labels = tuple(node_labels)
            if len(node_labels) != matrix.shape[0]:
                raise ValueError(
                    f"node_labels has {len(node_labels)} entries; {matrix.shape[0]} are wanted, one a node"
                )
            if len(set(node_labels)) != len(node_labels):
                raise ValueError("node_labels holds a name twice; distinct names are wanted")
        self.node_labels: tuple[Hashable, ...] | None = node_labels
        self.adjacency = matrix
        self.degrees: np.ndarray = _row_sums(matrix)
        for array in (matrix.data, matrix.indices, matrix.indptr, self.degrees):
            array.setflags(write=False)
        self._prepared: dict[Hashable, Any] = {}

    @classmethod
    def from_edges(cls, n_nodes: int, edges: Any, weights: Any = None) -> Graph:
        """Build a graph from a list of undirected edges.

        Parallel edges add up, in whichever direction they are written: list every edge once. (A list with both
        directions of every edge doubles all weights, which changes the degrees but not the normalised Laplacian.)
        Self loops are removed.

        Parameters
        ----------
        n_nodes : int
            Number of nodes; they are called 0, ..., n_nodes - 1.
        edges : array-like of integers, shape (n_edges, 2)
            The two ends of every edge.
        weights : array-like, shape (n_edges,), optional
            Weights >= 0; 1 by default.

        Returns
        -------
        Graph

        Raises
        ------
        ValueError
            For edges of another shape (the transposed one included), nodes that do not exist, negative weights.

        Examples
        --------
        >>> Graph.from_edges(2, [(0, 1), (1, 0)], weights=[1.0, 0.5]).adjacency.toarray()
        array([[0. , 1.5],
               [1.5, 0. ]])
        """
        n_nodes = check_positive_int(n_nodes, "n_nodes")
        ends = _as_edges(edges, n_nodes)
        if weights is None:
            values = np.ones(len(ends))
        else:
            values = as_float_array(weights, "weights", dtype=np.float64, shape=(len(ends),))
            if values.size and values.min() < 0:
                raise ValueError(
                    f"weights holds {values.min():g}, the weight of edge {int(values.argmin())}; "
                    "weights >= 0 are wanted: take absolute values, or a similarity such as exp(-distance)"
                )
        rows, columns = np.concatenate([ends[:, 0], ends[:, 1]]), np.concatenate([ends[:, 1], ends[:, 0]])
        both = sparse.coo_array((np.concatenate([values, values]), (rows, columns)), shape=(n_nodes, n_nodes))
        return cls(both)

    @classmethod
    def from_scipy(cls, adjacency: Any) -> Graph:
        """Build a graph from an adjacency matrix; the same as calling the class.

        Parameters
        ----------
        adjacency : sparse array or matrix of any format, or dense array-like, shape (n_nodes, n_nodes)
            Symmetric, with weights >= 0.

        Returns
        -------
        Graph
        """
        return cls(adjacency)

    @classmethod
    def from_networkx(cls, graph: Any, weight: str | None = "weight") -> Graph:
        """Build a graph from a networkx graph, keeping the names of its nodes.

        Parameters
        ----------
        graph : networkx.Graph or networkx.MultiGraph
            Undirected. Parallel edges add up, self loops are removed.
        weight : str or None
            Edge attribute that holds the weight; edges without it weigh 1. None: all edges weigh 1.

        Returns
        -------
        Graph
            Nodes in the order of ``graph.nodes``, which is kept as ``node_labels``.

        Raises
        ------
        TypeError
            For what is not an undirected networkx graph, or weights that are not numbers.

        Examples
        --------
        >>> import networkx as nx
        >>> Graph.from_networkx(nx.path_graph(["a", "b", "c"])).node_labels
        ('a', 'b', 'c')
        """
        import networkx as nx

        if not isinstance(graph, nx.Graph):
            raise TypeError(
                f"graph is a {type(graph).__name__}; a networkx graph is wanted: for a matrix use Graph.from_scipy"
            )
        if graph.is_directed():
            raise TypeError(
                "graph is directed; an undirected graph is wanted: pass graph.to_undirected(), which joins the two "
                "directions of an edge"
            )
        if graph.number_of_nodes() == 0:
            raise ValueError("graph has no nodes; at least one is wanted")
        if weight is not None:
            _check_networkx_weights(graph, weight)
        # networkx's own conversion, since it adds up the parallel edges of a multigraph.
        return cls(
            nx.to_scipy_sparse_array(graph, weight=weight, dtype=np.float64), node_labels=tuple(graph.nodes)
        )

    def to_networkx(self) -> Any:
        """Return a ``networkx.Graph`` with the attribute ``weight`` on its edges and the original node names.

        Returns
        -------
        networkx.Graph
        """
        import networkx as nx

        graph = nx.from_scipy_sparse_array(self.adjacency)
        if self.node_labels is None:
            return graph
        return nx.relabel_nodes(graph, dict(enumerate(self.node_labels)))

    def to_scipy(self) -> sparse.csr_array:
        """Return a copy of the adjacency that may be written to.

        Returns
        -------
        scipy.sparse.csr_array of float64, shape (n_nodes, n_nodes)
        """
        return self.adjacency.copy()

    @staticmethod
    def batch(graphs: Sequence[Graph]) -> GraphBatch:
        """Join graphs into one block-diagonal graph, so that one transform serves them all.

        Parameters
        ----------
        graphs : sequence of Graph
            At least one.

        Returns
        -------
        GraphBatch
            With ``graph`` and ``node_ptr``.

        Examples
        --------
        >>> batch = Graph.batch([Graph.from_edges(2, [(0, 1)]), Graph.from_edges(1, [])])
        >>> batch.graph, batch.node_ptr
        (Graph(n_nodes=3, n_edges=1), array([0, 2, 3]))
        """
        graphs = list(graphs)
        if not graphs:
            raise ValueError("graphs is empty; at least one graph is wanted")
        for number, graph in enumerate(graphs):
            if not isinstance(graph, Graph):
                raise TypeError(
                    f"graphs[{number}] is a {type(graph).__name__}; a scinn.graphs.Graph is wanted"
                )
        node_ptr = np.concatenate([[0], np.cumsum([graph.n_nodes for graph in graphs])]).astype(np.int64)
        edge_ptr = np.concatenate([[0], np.cumsum([graph.adjacency.nnz for graph in graphs])]).astype(
            np.int64
        )
        # Assembled by hand: scipy.sparse.block_diag takes milliseconds for a few dozen small graphs.
        indices = np.concatenate([g.adjacency.indices + start for g, start in zip(graphs, node_ptr[:-1])])
        pieces = [g.adjacency.indptr[:-1] + start for g, start in zip(graphs, edge_ptr[:-1])]
        indptr = np.concatenate([*pieces, edge_ptr[-1:]])
        data = np.concatenate([graph.adjacency.data for graph in graphs])
        n = int(node_ptr[-1])
        joined = Graph._trusted(sparse.csr_array((data, indices, indptr), shape=(n, n)))
        known = [g._prepared["lambda_max"] for g in graphs if g.n_edges and "lambda_max" in g._prepared]
        if known and len(known) == sum(g.n_edges > 0 for g in graphs):
            # The spectrum of a union is the union of the spectra.
            joined._prepared["lambda_max"] = max(known)
        return GraphBatch(joined, node_ptr)

    @classmethod
    def _trusted(cls, adjacency: sparse.csr_array) -> Graph:
        """Wrap an adjacency known to be canonical, symmetric and without loops."""
        graph = cls.__new__(cls)
        matrix = _narrow(adjacency)
        graph.node_labels = None
        graph.adjacency = matrix
        graph.degrees = _row_sums(matrix)
        for array in (matrix.data, matrix.indices, matrix.indptr, graph.degrees):
            array.setflags(write=False)
        graph._prepared = {}
        return graph

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return int(self.adjacency.shape[0])

    @property
    def n_edges(self) -> int:
        """Number of undirected edges of positive weight."""
        return int(self.adjacency.nnz // 2)

    def __repr__(self) -> str:
        return f"Graph(n_nodes={self.n_nodes}, n_edges={self.n_edges})"

    def prepared(self, key: Hashable, build: Callable[[], T]) -> T:
        """Return what ``build()`` made for this graph, building it at the first call only.

        Parameters
        ----------
        key : hashable
            Name of the prepared object.
        build : callable
            Called without arguments where nothing is kept under ``key``.

        Returns
        -------
        object
        """
        if key not in self._prepared:
            self._prepared[key] = build()
        return self._prepared[key]

    def laplacian(self, isolated: Isolated = "one") -> sparse.csr_array:
        """Return the normalised Laplacian ``L = I - D^(-1/2) A D^(-1/2)``.

        Parameters
        ----------
        isolated : {"one", "zero"}
            Diagonal entry of nodes without edges: 1, the middle of the spectrum, as in the tool chain of the framelet
            paper; or 0, as many libraries have it.

        Returns
        -------
        scipy.sparse.csr_array of float64, shape (n_nodes, n_nodes)
            Symmetric to the last bit; kept with the graph, read-only.

        Examples
        --------
        >>> Graph.from_edges(3, [(0, 1)]).laplacian().toarray()
        array([[ 1., -1.,  0.],
               [-1.,  1.,  0.],
               [ 0.,  0.,  1.]])
        """
        check_choice(isolated, "isolated", ("one", "zero"))
        return self.prepared(("laplacian", isolated), lambda: self._build_laplacian(isolated))

    def _build_laplacian(self, isolated: Isolated) -> sparse.csr_array:
        diagonal = self.laplacian_diagonal(isolated)
        laplacian = sparse.csr_array(sparse.diags_array(diagonal) - self.normalized_adjacency())
        laplacian.sort_indices()
        laplacian.eliminate_zeros()
        laplacian = _narrow(laplacian)
        for array in (laplacian.data, laplacian.indices, laplacian.indptr):
            array.setflags(write=False)
        return laplacian

    def laplacian_diagonal(self, isolated: Isolated = "one") -> np.ndarray:
        """Return the diagonal of the normalised Laplacian.

        Parameters
        ----------
        isolated : {"one", "zero"}
            Entry of nodes without edges.

        Returns
        -------
        ndarray of float64, shape (n_nodes,)
        """
        diagonal = np.ones(self.n_nodes)
        if isolated == "zero":
            diagonal[self.degrees == 0] = 0.0
        return diagonal

    def normalized_adjacency(self) -> sparse.csr_array:
        """Return ``D^(-1/2) A D^(-1/2)``, without self loops.

        Returns
        -------
        scipy.sparse.csr_array of float64, shape (n_nodes, n_nodes)
            Kept with the graph, read-only.
        """
        return self.prepared("normalized adjacency", self._build_normalized)

    def _build_normalized(self) -> sparse.csr_array:
        linked = self.degrees > 0
        degrees = self.degrees[linked]
        root = np.zeros(self.n_nodes)
        a = self.adjacency
        rows = np.repeat(np.arange(self.n_nodes), np.diff(a.indptr))
        # The product of the two roots first: it is the same for (i, j) and (j, i) to the last bit.
        if not degrees.size or (degrees.min() >= _TINY and degrees.max() <= _HUGE):
            root[linked] = 1.0 / np.sqrt(degrees)
            data = a.data * (root[rows] * root[a.indices])
        else:
            # Where the degrees or the product of their roots leave the range of float64: powers of two apart.
            mantissas, exponents = self._scaled_degrees()
            root[linked] = 1.0 / np.sqrt(mantissas[linked])
            weights, powers = np.frexp(a.data)
            powers = powers - (exponents[rows] + exponents[a.indices]) // 2
            data = np.ldexp(weights * (root[rows] * root[a.indices]), powers)
        data.setflags(write=False)
        normalized = sparse.csr_array(a.shape, dtype=np.float64)
        normalized.data, normalized.indices, normalized.indptr = data, a.indices, a.indptr
        return normalized

    def _scaled_degrees(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the degrees as ``mantissa * 2**exponent`` with even exponents, those beyond float64 included."""
        mantissas, exponents = np.frexp(self.degrees)
        beyond = np.isinf(self.degrees)
        if beyond.any():
            shrunk = self.adjacency[np.flatnonzero(beyond)]
            shrunk.data = np.ldexp(shrunk.data, -64)
            mantissas[beyond], exponents[beyond] = np.frexp(_row_sums(shrunk))
            exponents[beyond] += 64
        odd = exponents % 2
        return np.ldexp(mantissas, odd), exponents - odd

    def lambda_max(self, method: Literal["exact", "bound"] = "exact", isolated: Isolated = "one") -> float:
        """Return the largest eigenvalue of the normalised Laplacian, never less than the truth.

        A graph with a bipartite component has exactly 2, found from its double cover. Otherwise a Lanczos iteration
        (dense algebra below 65 nodes) with a fixed start vector gives a Ritz value, to which the norm of its residual
        is added; where the iteration does not converge the bound 2 is returned.

        Parameters
        ----------
        method : {"exact", "bound"}
            "bound" returns 2 at once, whatever the graph (0 or 1 for a graph without edges).
        isolated : {"one", "zero"}
            Convention for nodes without edges; it matters for graphs without edges only.

        Returns
        -------
        float
            In [0, 2]; 0 only for a graph without edges under the convention "zero".

        Examples
        --------
        >>> complete = Graph.from_edges(3, [(0, 1), (1, 2), (0, 2)])
        >>> round(complete.lambda_max(), 12)
        1.5
        """
        check_choice(method, "method", ("exact", "bound"))
        check_choice(isolated, "isolated", ("one", "zero"))
        if self.n_edges == 0:
            return 1.0 if isolated == "one" else 0.0
        if method == "bound":
            return 2.0
        # With an edge the maximum exceeds 1, so the convention for isolated nodes cannot matter.
        return self.prepared("lambda_max", self._largest_eigenvalue)

    def _largest_eigenvalue(self) -> float:
        if self._has_bipartite_component():
            return 2.0
        laplacian = self.laplacian("one")
        if self.n_nodes <= _DENSE_NODES:
            values = np.linalg.eigvalsh(laplacian.toarray())
            return float(min(values[-1] + 1e-14, 2.0))
        from scipy.sparse.linalg import ArpackNoConvergence, eigsh

        start = np.random.default_rng(0).standard_normal(self.n_nodes)
        try:
            values, vectors = eigsh(laplacian, k=1, which="LA", v0=start, tol=1e-10, maxiter=5000)
        except ArpackNoConvergence:
            return 2.0
        vector = vectors[:, 0] / np.linalg.norm(vectors[:, 0])
        residual = float(np.linalg.norm(laplacian @ vector - values[0] * vector))
        return float(min(values[0] + residual + 1e-14, 2.0))

    def _has_bipartite_component(self) -> bool:
        """Look for a component, with an edge, whose two copies in the bipartite double cover stay apart."""
        cover = sparse.block_array([[None, self.adjacency], [self.adjacency, None]], format="csr")
        _, labels = csgraph.connected_components(cover, directed=False)
        apart = labels[: self.n_nodes] != labels[self.n_nodes :]
        return bool(np.any(apart & (self.degrees > 0)))

    def spectrum(self, isolated: Isolated = "one", *, max_nodes: int = _EXACT_NODES) -> Spectrum:
        """Return all eigenvalues and eigenvectors of the normalised Laplacian, by dense algebra.

        Parameters
        ----------
        isolated : {"one", "zero"}
            Convention for nodes without edges.
        max_nodes : int
            Larger graphs are refused: time grows with the cube, memory with the square of their number of nodes.

        Returns
        -------
        Spectrum
            ``eigenvalues`` (n_nodes,) ascending, ``eigenvectors`` (n_nodes, n_nodes) in columns; read-only.

        Raises
        ------
        ValueError
            For a graph of more than ``max_nodes`` nodes.

        Examples
        --------
        >>> graph = Graph.from_edges(3, [(0, 1), (1, 2)])
        >>> graph.spectrum().eigenvalues.round(12).tolist()
        [0.0, 1.0, 2.0]
        """
        check_choice(isolated, "isolated", ("one", "zero"))
        if self.n_nodes > max_nodes:
            raise ValueError(
                f"the graph has {self.n_nodes} nodes; the exact spectrum is computed up to {max_nodes}: use "
                f"method='chebyshev', or call graph.spectrum(max_nodes={self.n_nodes}) first, which takes "
                f"{8e-9 * self.n_nodes**2:.1g} GB"
            )
        return self.prepared(("spectrum", isolated), lambda: self._build_spectrum(isolated))

    def _build_spectrum(self, isolated: Isolated) -> Spectrum:
        values, vectors = np.linalg.eigh(self.laplacian(isolated).toarray())
        values = np.clip(values, 0.0, 2.0)
        values.setflags(write=False)
        vectors = np.ascontiguousarray(vectors)
        vectors.setflags(write=False)
        return Spectrum(values, vectors)

    def bandwidth_order(self) -> np.ndarray:
        """Return an order of the nodes in which neighbours are close (reverse Cuthill-McKee).

        A product with the Laplacian of a large graph waits for memory; with neighbours close to each other it finds
        most rows in the cache. Use it with :meth:`permuted`.

        Returns
        -------
        ndarray of int64, shape (n_nodes,)
            ``order[k]`` is the old number of the node that comes k-th.
        """
        order = csgraph.reverse_cuthill_mckee(sparse.csr_matrix(self.adjacency), symmetric_mode=True)
        return np.asarray(order, dtype=np.int64)

    def permuted(self, order: Any) -> Graph:
        """Return the same graph with its nodes renumbered.

        Parameters
        ----------
        order : array-like of integers, shape (n_nodes,)
            A permutation; new node k is old node ``order[k]``, so a signal becomes ``x[order]``.

        Returns
        -------
        Graph

        Raises
        ------
        ValueError
            If ``order`` is not a permutation.
        """
        order = as_index_array(order, "order", n=self.n_nodes)
        if len(order) != self.n_nodes or len(np.unique(order)) != self.n_nodes:
            raise ValueError(f"order must hold each of 0..{self.n_nodes - 1} once")
        labels = None if self.node_labels is None else [self.node_labels[k] for k in order]
        return Graph(self.adjacency[order][:, order], node_labels=labels)


@dataclass(frozen=True)
class GraphBatch:
    """Several graphs as one block-diagonal graph.

    Attributes
    ----------
    graph : Graph
        The union; no edge joins two of its parts.
    node_ptr : ndarray of int64, shape (n_graphs + 1,)
        Graph k owns the nodes ``node_ptr[k]:node_ptr[k + 1]``.
    """

    graph: Graph
    node_ptr: np.ndarray

    @property
    def n_graphs(self) -> int:
        """Number of graphs."""
        return len(self.node_ptr) - 1


def _check_networkx_weights(graph: Any, weight: str) -> None:
    for one, other, value in graph.edges(data=weight, default=1):
        try:
            number = None if isinstance(value, str | bytes | complex) else float(value)
        except (TypeError, ValueError):
            number = None
        if number is None:
            raise TypeError(
                f"the edge between {one!r} and {other!r} has the {weight} {value!r} ({type(value).__name__}); a number "
                "is wanted: convert the attribute to float, name another one with weight=, or pass weight=None"
            )


def _as_edges(edges: Any, n_nodes: int) -> np.ndarray:
    try:
        shape = np.shape(edges)
    except ValueError as error:
        raise ValueError(
            "edges has rows of different lengths; (n_edges, 2) is wanted, the two ends of an edge in a row: weights "
            "go into weights="
        ) from error
    if len(shape) == 2 and shape[0] == 2 and shape[1] != 2:
        raise ValueError(
            f"edges has shape {shape}; (n_edges, 2) is wanted, the two ends of an edge in a row: pass edges.T"
        )
    if 0 in shape and len(shape) <= 2:
        return np.empty((0, 2), dtype=np.int64)
    if len(shape) != 2 or shape[1] != 2:
        raise ValueError(f"edges has shape {shape}; (n_edges, 2) is wanted, the two ends of an edge in a row")
    return as_index_array(edges, "edges", n=n_nodes, ndim=2)


def _row_sums(matrix: sparse.csr_array) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.asarray(matrix.sum(axis=1)).ravel()


def _check_weights(matrix: sparse.csr_array) -> None:
    if matrix.nnz and matrix.data.min() < 0:
        where = int(matrix.data.argmin())
        row = int(np.searchsorted(matrix.indptr, where, side="right") - 1)
        raise ValueError(
            f"adjacency holds the negative weight {matrix.data[where]:g} at ({row}, {matrix.indices[where]}); weights "
            ">= 0 are wanted: take absolute values, or a similarity such as exp(-distance)"
        )


def _symmetric(matrix: sparse.csr_array) -> sparse.csr_array:
    """Refuse an asymmetric matrix; even out differences of rounding."""
    turned = sparse.csr_array(matrix.T)
    difference = sparse.csr_array(matrix - turned)
    if difference.nnz == 0 or not difference.data.any():
        return matrix
    larger = _without_loops(sparse.csr_array(matrix.maximum(turned)))
    off = sparse.coo_array(difference)
    rows, columns, gaps = off.coords[0], off.coords[1], np.abs(off.data)
    # Each pair against its own size, or against what rounding leaves of either node's degree: sums that should
    # cancel to zero, as in a matrix of correlations, have no digit of their own.
    left = _row_sums(larger * (4 * _EPS))
    sizes = np.asarray(larger[rows, columns]).ravel()
    admitted = np.maximum(_ASYMMETRY * sizes, np.minimum(left[rows], left[columns]))
    if np.any(gaps > admitted):
        worst = int(np.argmax(np.where(gaps > admitted, gaps, 0.0)))
        row, column = int(rows[worst]), int(columns[worst])
        raise ValueError(
            f"adjacency is not symmetric: entry ({row}, {column}) is {matrix[row, column]:.12g}, entry "
            f"({column}, {row}) is {matrix[column, row]:.12g}; an undirected graph is wanted: pass "
            "adjacency.maximum(adjacency.T) or (adjacency + adjacency.T) / 2"
        )
    if matrix.data.max() > _HUGE:
        return sparse.csr_array(matrix / 2 + turned / 2)
    return sparse.csr_array((matrix + turned) / 2)


def _without_loops(matrix: sparse.csr_array) -> sparse.csr_array:
    """Return an own copy, sorted and with narrow indices, whose diagonal is empty."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    keep = rows != matrix.indices
    counts = np.bincount(rows[keep], minlength=matrix.shape[0])
    indptr = np.concatenate([[0], np.cumsum(counts)])
    result = sparse.csr_array((matrix.data[keep], matrix.indices[keep], indptr), shape=matrix.shape)
    result.sort_indices()
    return _narrow(result)


def _narrow(matrix: sparse.csr_array) -> sparse.csr_array:
    """Use 32-bit indices where they suffice: a product with the matrix reads a third less."""
    if matrix.nnz < np.iinfo(np.int32).max:
        matrix.indices = np.ascontiguousarray(matrix.indices, dtype=np.int32)
        matrix.indptr = np.ascontiguousarray(matrix.indptr, dtype=np.int32)
    return matrix
