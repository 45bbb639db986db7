"""Readouts: against their definitions, batches against loops, and their gradients."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scinn.graphs import FrameletTransform, Graph, GraphPool, UFGPool
from scinn.kernels import graph_layers as kernels
from scinn.nn import Network
from scinn.reference import graph_layers as reference
from scinn.verify import check_gradient


def _random_graph(n, seed):
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.random((n, n)) < 0.4, 1)
    return Graph((upper + upper.T).astype(float))


@pytest.fixture(scope="module")
def graphs():
    return [_random_graph(n, seed) for seed, n in enumerate((5, 1, 8, 2))]


@pytest.fixture(scope="module")
def batch(graphs):
    return Graph.batch(graphs)


@pytest.fixture(scope="module")
def transform(batch):
    return FrameletTransform(batch.graph, lambda_max=2.0)


@pytest.fixture(scope="module")
def x(batch):
    return np.random.default_rng(3).normal(size=(batch.graph.n_nodes, 3))


@pytest.mark.parametrize("mode", ["sum", "spectrum"])
def test_ufg_pool_is_the_definition(batch, transform, x, mode):
    y = UFGPool(mode)(x, transform=transform, node_ptr=batch.node_ptr)
    operators = transform.analyze(np.eye(batch.graph.n_nodes))
    np.testing.assert_allclose(y, reference.ufg_pool(operators, x, batch.node_ptr, mode), atol=1e-12)


@pytest.mark.parametrize("mode", ["sum", "spectrum"])
def test_batch_is_a_loop(graphs, batch, transform, x, mode):
    pool = UFGPool(mode)
    together = pool(x, transform=transform, node_ptr=batch.node_ptr)
    for g, graph in enumerate(graphs):
        start, stop = batch.node_ptr[g], batch.node_ptr[g + 1]
        alone = pool(
            np.ascontiguousarray(x[start:stop]),
            transform=FrameletTransform(graph, lambda_max=2.0),
            node_ptr=np.array([0, graph.n_nodes]),
        )
        np.testing.assert_allclose(together[g], alone[0], atol=1e-12)


@pytest.mark.parametrize("mode", ["sum", "spectrum"])
def test_node_order_does_not_matter(mode):
    graph = _random_graph(9, 4)
    x = np.random.default_rng(0).normal(size=(9, 2))
    order = np.random.default_rng(1).permutation(9)
    turned = Graph(graph.adjacency.toarray()[np.ix_(order, order)])
    ends = np.array([0, 9])
    first = UFGPool(mode)(x, transform=FrameletTransform(graph), node_ptr=ends)
    second = UFGPool(mode)(x[order], transform=FrameletTransform(turned), node_ptr=ends)
    np.testing.assert_allclose(second, first, atol=1e-10)


def test_spectrum_of_a_tight_transform_keeps_the_energy(batch, x):
    transform = FrameletTransform(batch.graph, method="exact", bank="quadratic")
    y = UFGPool("spectrum")(x, transform=transform, node_ptr=batch.node_ptr)
    energies = y.reshape(4, transform.n_bands, 3).sum(axis=1)
    for g in range(4):
        rows = x[batch.node_ptr[g] : batch.node_ptr[g + 1]]
        np.testing.assert_allclose(energies[g], np.square(rows).sum(axis=0), atol=1e-10)


def test_detail_sums_vanish_on_a_regular_graph():
    ring = Graph.from_edges(10, [(i, (i + 1) % 10) for i in range(10)])
    x = np.random.default_rng(0).normal(size=(10, 2))
    transform = FrameletTransform(ring, method="exact")
    y = UFGPool("sum")(x, transform=transform, node_ptr=np.array([0, 10])).reshape(3, 2)
    np.testing.assert_allclose(y[0], x.sum(axis=0), atol=1e-10)
    np.testing.assert_allclose(y[1:], 0, atol=1e-10)


@pytest.mark.parametrize("mode", ["sum", "spectrum"])
def test_ufg_pool_gradient(batch, transform, x, mode):
    check_gradient(UFGPool(mode), x, transform=transform, node_ptr=batch.node_ptr).raise_if_failed()


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_graph_pool(batch, x, mode):
    y = GraphPool(mode)(x, node_ptr=batch.node_ptr)
    function = getattr(np, mode)
    expected = [
        function(x[a:b], axis=0) for a, b in zip(batch.node_ptr[:-1], batch.node_ptr[1:], strict=True)
    ]
    np.testing.assert_allclose(y, expected, atol=1e-14)
    check_gradient(GraphPool(mode), x, node_ptr=batch.node_ptr).raise_if_failed()


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_graph_without_nodes_reads_zero(mode):
    pool = GraphPool(mode)
    y, saved = pool.forward(-np.ones((2, 3)), node_ptr=np.array([0, 0, 2, 2]))
    np.testing.assert_array_equal(y[[0, 2]], 0)
    dx, grads = pool.backward(saved, np.ones_like(y))
    assert dx.shape == (2, 3)
    assert grads == {}


def test_max_sends_the_gradient_to_the_first_of_equals():
    pool = GraphPool("max")
    y, saved = pool.forward(np.ones((3, 1)), node_ptr=np.array([0, 3]))
    np.testing.assert_array_equal(pool.backward(saved, np.full_like(y, 5.0))[0], [[5], [0], [0]])


@pytest.mark.parametrize("mode", ["sum", "spectrum"])
def test_float32(batch, transform, x, mode):
    pool = UFGPool(mode)
    y, saved = pool.forward(x.astype(np.float32), transform=transform, node_ptr=batch.node_ptr)
    assert y.dtype == np.float32
    assert pool.backward(saved, np.ones_like(y))[0].dtype == np.float32


def test_saved_network(tmp_path, batch, transform, x):
    network = Network.sequential(UFGPool("spectrum"))
    network.save(tmp_path / "n.npz")
    context = {"transform": transform, "node_ptr": batch.node_ptr}
    np.testing.assert_array_equal(Network.load(tmp_path / "n.npz")(x, **context), network(x, **context))


@pytest.mark.parametrize("node_ptr", [[0, 5], [1, 16], [0, 9, 4, 16], [[0, 16]], [0.0, 16.0]])
def test_bad_node_ptr(transform, x, node_ptr):
    with pytest.raises(ValueError, match="node_ptr"):
        UFGPool()(x, transform=transform, node_ptr=np.array(node_ptr))
    with pytest.raises(ValueError, match="node_ptr"):
        GraphPool()(x, node_ptr=np.array(node_ptr))


@pytest.mark.parametrize("pool", [UFGPool, GraphPool])
def test_bad_mode(pool):
    with pytest.raises(ValueError, match="sum"):
        pool("summ")


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=5), st.integers(1, 4), st.integers(1, 9), st.integers(0, 10**6)
)  # fmt: skip
def test_segment_kernels_twins(sizes, n_bands, f, seed):
    rng = np.random.default_rng(seed)
    node_ptr = np.concatenate([[0], np.cumsum(sizes)])
    n, n_graphs = int(node_ptr[-1]), len(sizes)
    x = rng.integers(-3, 4, size=(n, f)).astype(float)
    weights = rng.normal(size=(n_bands, n))
    c = rng.normal(size=(n_bands, n, f))
    dp = rng.normal(size=(n_graphs, n_bands, f))
    out = np.full_like(dp, np.nan)
    kernels.segment_weighted_sum(weights, x, node_ptr, out)
    np.testing.assert_allclose(out, reference.segment_weighted_sum(weights, x, node_ptr), atol=1e-12)
    dx = np.full_like(x, np.nan)
    kernels.segment_weighted_sum_backward(weights, dp, node_ptr, dx)
    np.testing.assert_allclose(dx, reference.segment_weighted_sum_backward(weights, dp, node_ptr), atol=1e-12)
    kernels.segment_square_sum(c, node_ptr, out)
    np.testing.assert_allclose(out, reference.segment_square_sum(c, node_ptr), atol=1e-12)
    dc = np.full_like(c, np.nan)
    kernels.segment_square_sum_backward(c, dp, node_ptr, dc)
    np.testing.assert_allclose(dc, reference.segment_square_sum_backward(c, dp, node_ptr), atol=1e-12)
    top, winner = np.full((n_graphs, f), np.nan), np.zeros((n_graphs, f), dtype=np.int64)
    kernels.segment_max(x, node_ptr, top, winner)
    wanted_top, wanted_winner = reference.segment_max(x, node_ptr)
    np.testing.assert_array_equal(top, wanted_top)
    np.testing.assert_array_equal(winner, wanted_winner)
    dmax = np.ascontiguousarray(dp[:, 0])
    kernels.segment_max_backward(dmax, winner, dx)
    np.testing.assert_array_equal(dx, reference.segment_max_backward(dmax, winner, n))


@pytest.mark.parametrize("mode", ["sum", "spectrum"])
def test_ufg_pool_refuses_another_graphs_batch_also_when_it_is_warm(mode):
    transform = FrameletTransform(Graph.from_edges(6, [(0, 1), (1, 2), (3, 4)]))
    pool = UFGPool(mode)
    pool(np.ones((6, 2)), transform=transform, node_ptr=np.array([0, 6]))
    for n in (4, 60):
        with pytest.raises(ValueError, match=f"{n} rows, the transform is for 6"):
            pool(np.ones((n, 2)), transform=transform, node_ptr=np.array([0, n]))


@pytest.mark.parametrize("pool", [UFGPool("sum"), UFGPool("spectrum"), GraphPool("sum"), GraphPool("max")])
def test_backward_of_a_readout_refuses_a_gradient_that_is_not_the_outputs(pool):
    context = {"node_ptr": np.array([0, 4, 6])}
    if isinstance(pool, UFGPool):
        context["transform"] = FrameletTransform(Graph.from_edges(6, [(0, 1), (1, 2), (4, 5)]))
    y, saved = pool.forward(np.ones((6, 3)), **context)
    for wrong in (y[:1], y[:, :-1], np.ones((y.shape[0] + 1, y.shape[1]))):
        with pytest.raises(ValueError, match="dy must have the output's shape"):
            pool.backward(saved, wrong)
    with pytest.raises(TypeError, match="float64"):
        pool.backward(saved, y.astype(np.float32))
