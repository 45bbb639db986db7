"""Graphs from everything users hold, their Laplacian and its largest eigenvalue."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from scipy import sparse

from scinn.graphs import Graph
from scinn.reference import framelets as reference
from scinn.verify import strategies


def path(n):
    return Graph.from_edges(n, [(i, i + 1) for i in range(n - 1)])


def test_edges_add_up_in_both_directions_and_loops_go():
    graph = Graph.from_edges(4, [(0, 1), (1, 0), (0, 1), (2, 2)], weights=[1.0, 2.0, 0.5, 9.0])
    expected = np.zeros((4, 4))
    expected[0, 1] = expected[1, 0] = 3.5
    np.testing.assert_array_equal(graph.to_scipy().toarray(), expected)
    np.testing.assert_array_equal(graph.degrees, [3.5, 3.5, 0, 0])
    assert graph.n_edges == 1
    assert repr(graph) == "Graph(n_nodes=4, n_edges=1)"


@given(strategies.graphs())
def test_laplacian_is_the_definition(graph):
    dense = graph.to_scipy().toarray()
    for isolated in ("one", "zero"):
        ours = graph.laplacian(isolated)
        assert ours.has_sorted_indices
        np.testing.assert_array_equal(ours.toarray(), ours.T.toarray())
        np.testing.assert_allclose(
            ours.toarray(), reference.normalized_laplacian(dense, isolated), atol=4e-16, rtol=1e-14
        )


@given(strategies.graphs())
def test_lambda_max_is_never_below_the_truth_and_hardly_above(graph):
    for isolated in ("one", "zero"):
        truth = np.linalg.eigvalsh(graph.laplacian(isolated).toarray())[-1]
        value = graph.lambda_max(isolated=isolated)
        assert truth - 1e-14 <= value <= max(truth, 0) + 1e-9
        assert value <= graph.lambda_max("bound", isolated)


@pytest.mark.parametrize("seed", range(3))
def test_lanczos_lambda_max_of_larger_graphs(seed):
    graph = Graph.from_networkx(nx.random_geometric_graph(300, 0.15, seed=seed))
    truth = np.linalg.eigvalsh(graph.laplacian().toarray())[-1]
    value = graph.lambda_max()
    assert truth - 1e-14 <= value <= truth + 1e-8
    again = Graph.from_scipy(graph.adjacency)
    assert again.lambda_max() == value


def test_one_bipartite_component_makes_lambda_max_exactly_two():
    edges = [(0, 1), (1, 2), (0, 2), (3, 4)]
    assert Graph.from_edges(6, edges).lambda_max() == 2.0
    assert Graph.from_edges(6, edges[:3]).lambda_max() < 1.6


def test_edgeless_graphs():
    graph = Graph.from_edges(3, [])
    assert graph.lambda_max() == graph.lambda_max("bound") == 1.0
    assert graph.lambda_max(isolated="zero") == graph.lambda_max("bound", "zero") == 0.0
    assert graph.laplacian("zero").nnz == 0
    np.testing.assert_array_equal(graph.laplacian("one").toarray(), np.eye(3))


def test_scipy_formats_and_dense_give_the_same_graph():
    rng = np.random.default_rng(0)
    dense = np.triu(rng.random((7, 7)) * (rng.random((7, 7)) < 0.5), 1)
    dense += dense.T
    kinds = [
        dense,
        dense.tolist(),
        *(sparse.csr_matrix(dense).asformat(f) for f in ("csr", "csc", "coo", "lil")),
    ]
    for matrix in [*kinds, sparse.coo_array(dense)]:
        np.testing.assert_array_equal(Graph.from_scipy(matrix).adjacency.toarray(), dense)


def test_the_input_is_not_changed_and_the_graph_is_read_only():
    matrix = sparse.csr_array(np.ones((3, 3)))
    graph = Graph(matrix)
    assert matrix.nnz == 9
    assert graph.adjacency.nnz == 6
    with pytest.raises(ValueError, match="read-only"):
        graph.adjacency.data[0] = 5
    graph.to_scipy().data[0] = 5


def test_networkx_round_trip_keeps_names_weights_and_isolated_nodes():
    source = nx.MultiGraph()
    source.add_nodes_from(["c", "a", "b", "lonely"])
    source.add_edge("a", "b", weight=2.0)
    source.add_edge("b", "a", weight=0.5)
    source.add_edge("b", "c")
    source.add_edge("c", "c", weight=7.0)
    graph = Graph.from_networkx(source)
    assert graph.node_labels == ("c", "a", "b", "lonely")
    back = graph.to_networkx()
    assert list(back.nodes) == ["c", "a", "b", "lonely"]
    assert {frozenset(e[:2]): e[2] for e in back.edges(data="weight")} == {
        frozenset("ab"): 2.5,
        frozenset("bc"): 1.0,
    }
    assert Graph.from_networkx(back).adjacency.toarray().tolist() == graph.adjacency.toarray().tolist()
    assert Graph.from_networkx(source, weight=None).adjacency.max() == 2.0


def test_batch_is_block_diagonal():
    graphs = [path(3), Graph.from_edges(1, []), path(2), path(4)]
    batch = Graph.batch(graphs)
    np.testing.assert_array_equal(batch.node_ptr, [0, 3, 4, 6, 10])
    assert batch.n_graphs == 4
    expected = sparse.block_diag([g.adjacency for g in graphs]).toarray()
    np.testing.assert_array_equal(batch.graph.adjacency.toarray(), expected)
    np.testing.assert_array_equal(batch.graph.degrees, expected.sum(axis=1))
    assert batch.graph.adjacency.indices.dtype == np.int32


def test_lambda_max_of_a_batch_is_that_of_its_parts():
    complete = [Graph(np.ones((n, n))) for n in (3, 4, 5)]
    graphs = [*complete, Graph.from_edges(2, [])]
    fresh = Graph.batch(graphs).graph.lambda_max()
    assert fresh == pytest.approx(max(graph.lambda_max() for graph in graphs), abs=1e-12)
    assert Graph.batch(graphs).graph.lambda_max() == max(graph.lambda_max() for graph in complete)
    assert Graph.batch(graphs[3:]).graph.lambda_max() == 1.0


def test_exact_spectrum_and_its_limit():
    graph = path(5)
    values, vectors = graph.spectrum()
    np.testing.assert_allclose(values, 1 - np.cos(np.pi * np.arange(5) / 4), atol=1e-14)
    np.testing.assert_allclose(vectors * values @ vectors.T, graph.laplacian().toarray(), atol=1e-14)
    assert graph.spectrum() is graph.spectrum()
    with pytest.raises(ValueError, match=r"2001 nodes.*method='chebyshev'"):
        path(2001).spectrum()
    with pytest.raises(ValueError, match="up to 4"):
        path(5).spectrum(max_nodes=4)


def test_permuted_and_bandwidth_order():
    rng = np.random.default_rng(1)
    shuffled = rng.permutation(50)
    graph = path(50).permuted(shuffled)
    order = graph.bandwidth_order()
    rows, columns = graph.permuted(order).adjacency.nonzero()
    assert np.abs(rows - columns).max() == 1
    dense = graph.adjacency.toarray()
    np.testing.assert_array_equal(graph.permuted(order).adjacency.toarray(), dense[np.ix_(order, order)])
    named = Graph(path(3).adjacency, node_labels="abc").permuted([2, 0, 1])
    assert named.node_labels == ("c", "a", "b")
    with pytest.raises(ValueError, match=r"each of 0\.\.2 once"):
        named.permuted([0, 0, 1])


def test_what_is_prepared_is_made_once():
    graph, made = path(3), []
    for _ in range(2):
        assert graph.prepared("key", lambda: made.append(1) or "value") == "value"
    assert made == [1]
    assert graph.laplacian() is graph.laplacian()


def test_asymmetry_of_rounding_is_evened_out():
    matrix = np.array([[0, 0.3], [0.1 + 0.2, 0]])
    dense = Graph(matrix).adjacency.toarray()
    assert dense[0, 1] == dense[1, 0]


def test_rounding_of_sums_that_cancel_is_evened_out():
    rng = np.random.default_rng(0)
    matrix = np.abs(np.corrcoef(rng.normal(size=(8, 50))))
    matrix[0, 1], matrix[1, 0] = 1e-17, 3e-17
    matrix[2, 3], matrix[3, 2] = 0.0, 1e-17
    dense = Graph(matrix).adjacency.toarray()
    np.testing.assert_array_equal(dense, dense.T)
    assert dense[0, 1] == 2e-17


def directed(weights):
    dense = np.zeros((4, 4))
    for place, weight in weights.items():
        dense[place] = weight
    return dense


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({(0, 1): 1e12, (1, 0): 1e12, (2, 3): 1, (3, 2): 5}, r"\((2, 3|3, 2)\) is [15]"),
        ({(0, 1): 1.0, (1, 0): 1.0, (1, 2): 1e-11}, r"\((1, 2|2, 1)\) is (1e-11|0),"),
        ({(0, 0): 1e20, (0, 1): 1.0, (1, 0): 2.0}, r"\((0, 1|1, 0)\) is [12]"),
        ({(0, 1): 1.7e308, (1, 0): 1.7e308, (0, 2): 1.7e308, (2, 0): 1.6e308}, "is 1.[67]e"),
        ({(0, 1): 1.0, (1, 0): 1.0 + 1e-9}, r"1\.000000001"),
        ({(0, 1): 1e-320}, "is (0|1e-320|9.99[0-9]*e-321),"),
    ],
)
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array, sparse.coo_array])
def test_every_pair_of_entries_must_agree_whatever_the_others_weigh(weights, message, kind):
    with pytest.raises(ValueError, match="adjacency is not symmetric.*" + message):
        Graph(kind(directed(weights)))


PLAIN = Graph.from_edges(6, [(0, 1), (1, 2), (0, 2), (2, 3)], weights=[1.0, 2.5, 0.3, 0.7])


@pytest.mark.parametrize("power", [1022, 1021, 1000, -1000, -1022])
def test_the_laplacian_does_not_depend_on_the_scale_of_the_weights(power):
    scaled = PLAIN.to_scipy()
    scaled.data = np.ldexp(scaled.data, power) if power < 0 else np.ldexp(scaled.data / 4, power)
    graph = Graph(scaled)
    for isolated in ("one", "zero"):
        ours, plain = graph.laplacian(isolated).toarray(), PLAIN.laplacian(isolated).toarray()
        np.testing.assert_allclose(ours, plain, atol=1e-14)
    assert graph.lambda_max() == pytest.approx(PLAIN.lambda_max())


@pytest.mark.parametrize("weight", [1.7e308, 1e308, 1e-310, 1e-323])
@pytest.mark.parametrize("n", [2, 3, 9])
def test_cycles_of_extreme_weights(weight, n):
    ring = nx.to_numpy_array(nx.cycle_graph(n)) if n > 2 else np.array([[0.0, 1.0], [1.0, 0.0]])
    ours = Graph(ring * weight).laplacian().toarray()
    np.testing.assert_allclose(ours, Graph(ring).laplacian().toarray(), atol=1e-15)
    np.testing.assert_array_equal(ours, ours.T)


def test_an_extreme_component_leaves_the_bits_of_the_others():
    rng = np.random.default_rng(3)
    dense = np.triu(rng.random((9, 9)) * (rng.random((9, 9)) < 0.6), 1)
    dense += dense.T
    joined = np.zeros((14, 14))
    joined[:9, :9] = dense
    joined[9, 10] = joined[10, 9] = joined[10, 11] = joined[11, 10] = 1.5e308
    joined[12, 13] = joined[13, 12] = 1e-315
    laplacian = Graph(joined).laplacian().toarray()
    np.testing.assert_array_equal(laplacian[:9, :9], Graph(dense).laplacian().toarray())
    np.testing.assert_allclose(laplacian[9:12, 9:12], path(3).laplacian().toarray(), atol=1e-15)
    np.testing.assert_allclose(laplacian[12:, 12:], path(2).laplacian().toarray(), atol=1e-15)


def test_a_weak_edge_at_a_heavy_node_keeps_its_weight():
    dense = np.zeros((3, 3))
    dense[0, 1] = dense[1, 0] = 1e-310
    dense[1, 2] = dense[2, 1] = 1.0
    laplacian = Graph(dense).laplacian().toarray()
    assert laplacian[0, 1] == laplacian[1, 0] == pytest.approx(-1e-155)
    assert laplacian[1, 2] == -1.0


def with_weight(value):
    graph = nx.path_graph(["a", "b"])
    graph.edges["a", "b"]["weight"] = value
    return graph


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (
            lambda: Graph.from_edges(3, [(0, 1), (1, 2, 0.5)]),
            ValueError,
            "edges has rows of different lengths",
        ),
        (lambda: Graph.from_networkx(with_weight("2")), TypeError, "between 'a' and 'b' has the weight '2'"),
        (lambda: Graph.from_networkx(with_weight("heavy")), TypeError, "'heavy' .*; a number is wanted"),
        (lambda: Graph.from_networkx(with_weight(None)), TypeError, "weight None"),
        (lambda: Graph.from_networkx(with_weight([1])), TypeError, r"weight \[1\] \(list\)"),
        (lambda: Graph.from_networkx(with_weight(np.complex128(1j))), TypeError, "weight .*complex"),
        (lambda: Graph(np.array([["0", "1"], ["1", "0"]], dtype=object)), TypeError, "adjacency .* text '0'"),
        (lambda: Graph(np.ones((2, 3))), ValueError, r"adjacency has shape \(2, 3\); a square matrix"),
        (lambda: Graph([[0, 1], [0, 0]]), ValueError, r"not symmetric: entry .*maximum\(adjacency\.T\)"),
        (lambda: Graph([[0, -1], [-1, 0]]), ValueError, r"negative weight -1 at \(0, 1\)"),
        (lambda: Graph([[0, np.nan], [np.nan, 0]]), ValueError, "adjacency holds 2 NaN or infinite"),
        (lambda: Graph(np.zeros((0, 0))), ValueError, "at least one node"),
        (lambda: Graph(nx.path_graph(2)), TypeError, r"Graph\.from_networkx"),
        (lambda: Graph(path(2)), TypeError, "is a Graph already"),
        (lambda: Graph(np.eye(2), node_labels=["a"]), ValueError, "node_labels has 1 entries; 2"),
        (lambda: Graph(np.eye(2), node_labels=["a", "a"]), ValueError, "a name twice"),
        (lambda: Graph.from_edges(5, np.zeros((2, 4), int)), ValueError, r"shape \(2, 4\).*pass edges\.T"),
        (lambda: Graph.from_edges(5, np.zeros((4, 3), int)), ValueError, r"shape \(4, 3\); \(n_edges, 2\)"),
        (lambda: Graph.from_edges(3, [(0, 3)]), ValueError, "edges holds the index 3"),
        (lambda: Graph.from_edges(3, [(0.0, 1.0)]), TypeError, "edges has dtype float64"),
        (lambda: Graph.from_edges(0, []), ValueError, "n_nodes is 0; an integer >= 1"),
        (lambda: Graph.from_edges(3, [(0, 1)], weights=[-1]), ValueError, "weights holds -1.*edge 0"),
        (lambda: Graph.from_edges(3, [(0, 1)], weights=[1, 2]), ValueError, r"weights has shape \(2,\)"),
        (lambda: Graph.from_networkx(nx.DiGraph([(0, 1)])), TypeError, "to_undirected"),
        (lambda: Graph.from_networkx(nx.Graph()), ValueError, "no nodes"),
        (lambda: Graph.from_networkx(np.eye(2)), TypeError, r"Graph\.from_scipy"),
        (lambda: Graph.batch([]), ValueError, "graphs is empty"),
        (lambda: Graph.batch([np.eye(2)]), TypeError, r"graphs\[0\] is a ndarray"),
        (lambda: path(2).laplacian("two"), ValueError, "isolated is 'two'"),
        (lambda: path(2).lambda_max("bond"), ValueError, "did you mean 'bound'"),
    ],
)
def test_bad_input_is_refused_with_a_reason(build, error, message):
    with pytest.raises(error, match=message):
        build()
