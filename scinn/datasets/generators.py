"""Graphs and signals made by a seeded formula."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from scinn._input import as_float_array, check_in_range, check_positive_int
from scinn.datasets.splits import class_split
from scinn.datasets.structures import NodeDataset, SpatialGraph
from scinn.random import RandomState, as_generator

__all__ = [
    "grid_graph",
    "path_graph",
    "piecewise_smooth_signal",
    "random_geometric_graph",
    "ring_graph",
    "stochastic_block_model",
]


def stochastic_block_model(
    n_nodes_per_block: int | Sequence[int] = (250, 250, 250, 250),
    p_in: float = 0.03,
    p_out: float = 0.003,
    n_features: int = 200,
    *,
    words_per_node: float = 10.0,
    topic_share: float = 0.5,
    n_train_per_class: int = 20,
    n_val: int | None = None,
    n_test: int | None = None,
    rng: RandomState = None,
) -> NodeDataset:
    """Draw a graph with communities whose nodes carry binary words, as a citation graph does.

    Two nodes are joined with probability ``p_in`` inside a block and ``p_out`` across blocks, independently.
    Word ``j`` belongs to block ``j % n_blocks``; a node holds each word of its own block and each other word
    with two fixed probabilities, chosen so that it expects ``words_per_node`` words of which ``topic_share``
    are its block's.

    Parameters
    ----------
    n_nodes_per_block : sequence of int, or int
        Block sizes; one integer makes four blocks of that size.
    p_in, p_out : float
        Edge probabilities in [0, 1].
    n_features : int
        Number of words.
    words_per_node : float
        Expected number of words a node.
    topic_share : float
        Expected share of a node's words that are of its own block, in [0, 1]; ``1 / n_blocks`` makes the
        features uninformative.
    n_train_per_class : int
        Training nodes of each block.
    n_val, n_test : int, optional
        Sizes of the other two parts; default one third and two thirds of what is left.
    rng : int, SeedSequence, Generator, Key or None
        Source of randomness.

    Returns
    -------
    NodeDataset
        Nodes ordered by block; the label is the block.

    References
    ----------
    P. W. Holland, K. B. Laskey, S. Leinhardt: Stochastic blockmodels: first steps. Social Networks 5 (1983).

    Examples
    --------
    >>> data = stochastic_block_model([30, 30], 0.3, 0.02, 40, n_train_per_class=5, rng=0)
    >>> data.n_nodes, data.n_classes, int(data.train_mask.sum())
    (60, 2, 10)
    """
    given = (
        [n_nodes_per_block] * 4
        if isinstance(n_nodes_per_block, int | np.integer)
        else list(n_nodes_per_block)
    )
    if not given:
        raise ValueError("n_nodes_per_block is empty; give the size of at least one block")
    sizes = np.array([check_positive_int(size, "n_nodes_per_block") for size in given])
    check_in_range(p_in, "p_in", 0.0, 1.0)
    check_in_range(p_out, "p_out", 0.0, 1.0)
    check_positive_int(n_features, "n_features", minimum=len(sizes))
    check_in_range(words_per_node, "words_per_node", 0.0)
    check_in_range(topic_share, "topic_share", 0.0, 1.0)
    generator = as_generator(rng)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    labels = np.repeat(np.arange(len(sizes)), sizes)
    edges = [
        _block_edges(starts, a, b, p_in if a == b else p_out, generator)
        for a in range(len(sizes))
        for b in range(a, len(sizes))
    ]
    adjacency = _symmetric(np.concatenate(edges), int(starts[-1]))
    features = _words(labels, len(sizes), n_features, words_per_node, topic_share, generator)
    masks = class_split(
        labels, n_train_per_class=n_train_per_class, n_val=n_val, n_test=n_test, rng=generator
    )
    return NodeDataset("stochastic-block-model", adjacency, features, labels, len(sizes), *masks)


def random_geometric_graph(
    n_nodes: int,
    *,
    radius: float | None = None,
    mean_degree: float = 10.0,
    n_dimensions: int = 2,
    rng: RandomState = None,
) -> SpatialGraph:
    """Join uniform random points of the unit cube that are at most ``radius`` apart.

    Parameters
    ----------
    n_nodes : int
        Number of points.
    radius : float, optional
        Largest distance that is joined. Default: the radius that gives ``mean_degree`` away from the border.
    mean_degree : float
        Expected degree of an interior node, where ``radius`` is not given.
    n_dimensions : int
        Dimension of the cube.
    rng : int, SeedSequence, Generator, Key or None
        Source of randomness.

    Returns
    -------
    SpatialGraph
        Binary adjacency and the points; a k-d tree finds the pairs, so 1e5 nodes take a fraction of a second.

    Examples
    --------
    >>> graph = random_geometric_graph(500, rng=0)
    >>> graph.adjacency.shape, graph.coordinates.shape
    ((500, 500), (500, 2))
    """
    from scipy.spatial import cKDTree
    from scipy.special import gamma

    check_positive_int(n_nodes, "n_nodes")
    check_positive_int(n_dimensions, "n_dimensions")
    if radius is None:
        check_in_range(mean_degree, "mean_degree", 0.0, inclusive="neither")
        unit_ball = np.pi ** (n_dimensions / 2) / gamma(n_dimensions / 2 + 1)
        radius = float((mean_degree / (n_nodes * unit_ball)) ** (1 / n_dimensions))
    check_in_range(radius, "radius", 0.0, inclusive="neither")
    coordinates = as_generator(rng).random((n_nodes, n_dimensions))
    pairs = cKDTree(coordinates).query_pairs(radius, output_type="ndarray")
    return SpatialGraph(_symmetric(pairs, n_nodes), coordinates)


def grid_graph(rows: int, columns: int) -> SpatialGraph:
    """Join each point of a rectangular grid to its neighbours above, below, left and right.

    Parameters
    ----------
    rows, columns : int
        Size of the grid; node ``r * columns + c`` stands in row ``r`` and column ``c``.

    Returns
    -------
    SpatialGraph
        Binary adjacency, and coordinates ``(r, c)`` divided by the longer side so that they lie in [0, 1].

    Examples
    --------
    >>> grid_graph(3, 4).adjacency.nnz
    34
    """
    check_positive_int(rows, "rows")
    check_positive_int(columns, "columns")
    n_nodes = rows * columns
    node = np.arange(n_nodes, dtype=np.int32 if 4 * n_nodes < 2**31 else np.int64)
    r, c = np.divmod(node, columns)
    present = np.stack([r > 0, c > 0, c < columns - 1, r < rows - 1], axis=1)
    neighbours = np.stack([node - columns, node - 1, node + 1, node + columns], axis=1)
    indptr = np.zeros(n_nodes + 1, dtype=node.dtype)
    np.cumsum(present.sum(1), out=indptr[1:])
    coordinates = np.stack([r, c], axis=1) / max(rows - 1, columns - 1, 1)
    return SpatialGraph(_ones(neighbours[present], indptr, n_nodes), coordinates)


def path_graph(n_nodes: int) -> SpatialGraph:
    """Join each of ``n_nodes`` points on a line to the next.

    Parameters
    ----------
    n_nodes : int
        Number of points.

    Returns
    -------
    SpatialGraph
        Binary adjacency and coordinates of shape (n_nodes, 1) in [0, 1].

    Examples
    --------
    >>> path_graph(3).adjacency.toarray().tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    """
    check_positive_int(n_nodes, "n_nodes")
    adjacency, _ = grid_graph(1, n_nodes)
    return SpatialGraph(adjacency, (np.arange(n_nodes) / max(n_nodes - 1, 1))[:, None])


def ring_graph(n_nodes: int) -> SpatialGraph:
    """Join each of ``n_nodes`` points on a circle to the next.

    Parameters
    ----------
    n_nodes : int
        Number of points, at least 3.

    Returns
    -------
    SpatialGraph
        Binary adjacency and coordinates of shape (n_nodes, 2) on the unit circle.

    Examples
    --------
    >>> ring_graph(4).adjacency.toarray()[0].tolist()
    [0.0, 1.0, 0.0, 1.0]
    """
    check_positive_int(n_nodes, "n_nodes", minimum=3)
    node = np.arange(n_nodes)
    angle = 2 * np.pi * node / n_nodes
    adjacency = _symmetric(np.stack([node, (node + 1) % n_nodes], axis=1), n_nodes)
    return SpatialGraph(adjacency, np.stack([np.cos(angle), np.sin(angle)], axis=1))


def piecewise_smooth_signal(
    coordinates: ArrayLike, *, n_pieces: int = 4, degree: int = 2, rng: RandomState = None
) -> np.ndarray:
    """Draw a signal that is a polynomial of the position on each cell of a random Voronoi partition.

    Parameters
    ----------
    coordinates : array_like of shape (n_nodes, n_dimensions)
        Position of each node.
    n_pieces : int
        Number of cells; 1 makes a globally smooth signal.
    degree : int
        Total degree of the polynomials; 0 makes the signal piecewise constant.
    rng : int, SeedSequence, Generator, Key or None
        Source of randomness.

    Returns
    -------
    ndarray of shape (n_nodes,), float64
        Mean 0 and standard deviation 1 over the nodes (all zero where the signal is constant).

    Examples
    --------
    >>> signal = piecewise_smooth_signal(grid_graph(20, 20).coordinates, rng=0)
    >>> signal.shape, round(float(signal.std()), 6)
    ((400,), 1.0)
    """
    points = as_float_array(coordinates, "coordinates", ndim=2, dtype=np.float64)
    check_positive_int(n_pieces, "n_pieces")
    check_positive_int(degree, "degree", minimum=0)
    if len(points) == 0:
        raise ValueError("coordinates holds no point; wanted shape (n_nodes, n_dimensions) with n_nodes >= 1")
    generator = as_generator(rng)
    low, high = points.min(0), points.max(0)
    scaled = (points - low) / np.where(high > low, high - low, 1.0)
    centres = generator.random((n_pieces, points.shape[1]))
    distance = ((scaled[:, None, :] - centres) ** 2).sum(-1) if n_pieces > 1 else np.zeros((len(points), 1))
    piece = distance.argmin(1)
    powers = _exponents(points.shape[1], degree)
    power_of = np.stack([(2 * scaled - 1) ** k for k in range(degree + 1)])
    monomials = np.ones((len(points), len(powers)))
    for axis in range(points.shape[1]):
        monomials *= power_of[powers[:, axis], :, axis].T
    coefficients = generator.standard_normal((n_pieces, len(powers)))
    signal = np.einsum("nk,nk->n", monomials, coefficients[piece])
    signal -= signal.mean()
    spread = signal.std()
    return signal / spread if spread > 1e-12 else np.zeros_like(signal)


def _exponents(n_dimensions: int, degree: int) -> np.ndarray:
    grid = np.indices((degree + 1,) * n_dimensions).reshape(n_dimensions, -1).T
    return grid[grid.sum(1) <= degree]


def _block_edges(
    starts: np.ndarray, a: int, b: int, probability: float, generator: np.random.Generator
) -> np.ndarray:
    size_a, size_b = int(starts[a + 1] - starts[a]), int(starts[b + 1] - starts[b])
    n_pairs = size_a * (size_a - 1) // 2 if a == b else size_a * size_b
    # a binomial number of distinct pairs has the law of independent coin flips and costs only the edges
    count = int(generator.binomial(n_pairs, probability)) if n_pairs else 0
    chosen = (
        generator.choice(n_pairs, size=count, replace=False, shuffle=False)
        if count
        else np.zeros(0, np.int64)
    )
    if a == b:
        high = ((1 + np.sqrt(1 + 8 * chosen.astype(np.float64))) // 2).astype(np.int64)
        # the square root can be off by one next to a triangular number
        high -= high * (high - 1) // 2 > chosen
        high += (high + 1) * high // 2 <= chosen
        low = chosen - high * (high - 1) // 2
    else:
        low, high = np.divmod(chosen, size_b)
    return np.stack([starts[a] + low, starts[b] + high], axis=1)


def _words(
    labels: np.ndarray,
    n_blocks: int,
    n_features: int,
    words_per_node: float,
    topic_share: float,
    generator: np.random.Generator,
) -> csr_array:
    topic = np.arange(n_features) % n_blocks
    own = topic[None, :] == labels[:, None]
    n_own = own.sum(1, keepdims=True)
    p_own = words_per_node * topic_share / n_own
    p_other = words_per_node * (1 - topic_share) / np.maximum(n_features - n_own, 1)
    if max(p_own.max(), p_other.max()) > 1:
        raise ValueError(
            f"words_per_node={words_per_node} with topic_share={topic_share} does not fit {n_features} "
            f"features in "
            f"{n_blocks} blocks; give fewer words or more features"
        )
    return csr_array((generator.random(own.shape) < np.where(own, p_own, p_other)).astype(np.float64))


def _symmetric(pairs: np.ndarray, n_nodes: int) -> csr_array:
    """Build a binary adjacency from distinct pairs."""
    rows = np.concatenate([pairs[:, 0], pairs[:, 1]]).astype(np.int64)
    columns = np.concatenate([pairs[:, 1], pairs[:, 0]]).astype(np.int64)
    columns = columns[np.argsort(rows * n_nodes + columns)]
    indptr = np.zeros(n_nodes + 1, dtype=np.int64)
    np.cumsum(np.bincount(rows, minlength=n_nodes), out=indptr[1:])
    width = np.int32 if max(len(columns), n_nodes) < 2**31 else np.int64
    return _ones(columns.astype(width), indptr.astype(width), n_nodes)


def _ones(indices: np.ndarray, indptr: np.ndarray, n_nodes: int) -> csr_array:
    adjacency = csr_array((np.ones(len(indices)), indices, indptr), shape=(n_nodes, n_nodes))
    adjacency.has_sorted_indices = True
    return adjacency
