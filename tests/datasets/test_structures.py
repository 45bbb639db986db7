"""Collections: batches are the graphs side by side, subsets keep what networks depend on."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import block_diag

from scinn.datasets import GraphCollection, load
from scinn.datasets.tu import collection


@st.composite
def collections(draw) -> GraphCollection:
    """Collections of one to six random graphs, edgeless and single-node ones among them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = np.array(draw(st.lists(st.integers(1, 8), min_size=1, max_size=6)))
    edges = [np.argwhere(np.triu(rng.random((n, n)) < 0.4, 1)) for n in sizes]
    return collection(
        "drawn",
        node_ptr=np.concatenate([[0], np.cumsum(sizes)]),
        edge_ptr=np.concatenate([[0], np.cumsum([len(e) for e in edges])]),
        edges=np.concatenate(edges),
        labels=rng.integers(3, size=len(sizes)),
        node_labels=rng.integers(2, 6, size=sizes.sum()) if draw(st.booleans()) else None,
        node_attributes=rng.standard_normal((sizes.sum(), 2)) if draw(st.booleans()) else None,
    )


def dense(data: GraphCollection, g: int) -> np.ndarray:
    n = int(data.node_ptr[g + 1] - data.node_ptr[g])
    out = np.zeros((n, n))
    for u, v in data.edges[data.edge_ptr[g] : data.edge_ptr[g + 1]]:
        out[u, v] = out[v, u] = 1.0
    return out


@given(collections(), st.data())
def test_batch_is_block_diagonal(data, draws):
    indices = draws.draw(st.lists(st.integers(0, data.n_graphs - 1), min_size=1, max_size=8))
    adjacency, node_ptr, x = data.batch(indices)
    np.testing.assert_array_equal(
        adjacency.toarray(), block_diag([dense(data, g) for g in indices]).toarray()
    )
    adjacency.check_format(full_check=True)
    assert adjacency.has_canonical_format
    assert node_ptr.tolist() == [0, *np.cumsum(np.diff(data.node_ptr)[indices])]
    for k, g in enumerate(indices):
        alone, features = data.graph(g)
        np.testing.assert_array_equal(alone.toarray(), dense(data, g))
        np.testing.assert_array_equal(features, x[node_ptr[k] : node_ptr[k + 1]])


@given(collections(), st.data())
def test_subset_then_batch_is_batch(data, draws):
    indices = draws.draw(st.lists(st.integers(0, data.n_graphs - 1), min_size=1, max_size=8))
    part = data.subset(indices)
    assert part.n_graphs == len(indices)
    assert part.n_features() == data.n_features()
    for a, b in zip(part.batch(), data.batch(indices), strict=True):
        np.testing.assert_array_equal(
            a.toarray() if hasattr(a, "toarray") else a, b.toarray() if hasattr(b, "toarray") else b
        )
    np.testing.assert_array_equal(part.labels, data.labels[indices])


def test_features_of_every_kind(toy):
    labels = np.eye(4)[toy.node_labels]
    degrees = np.eye(4)[[1, 2, 1, 0, 0, 0, 2, 2, 3, 1]]
    np.testing.assert_array_equal(toy.features(), labels)
    np.testing.assert_array_equal(toy.features("attributes"), toy.node_attributes)
    np.testing.assert_array_equal(toy.features("all"), np.hstack([labels, toy.node_attributes]))
    np.testing.assert_array_equal(toy.features("degree"), degrees)
    np.testing.assert_array_equal(toy.features("degree", indices=[3]), degrees[6:])
    for kind in ("auto", "labels", "attributes", "all", "degree"):
        x = toy.features(kind, dtype=np.float32)
        assert x.dtype == np.float32
        assert x.shape == (toy.n_nodes, toy.n_features(kind))
    bare = toy._replace(node_labels=None, node_attributes=None)
    np.testing.assert_array_equal(bare.features(), degrees)
    np.testing.assert_array_equal(toy._replace(node_labels=None).features(), toy.node_attributes)


def test_masks_and_empty_batches(toy):
    assert toy.subset(toy.labels == 0).n_nodes == 7
    adjacency, node_ptr, x = toy.batch([])
    assert adjacency.shape == (0, 0)
    assert node_ptr.tolist() == [0]
    assert x.shape == (0, 4)
    adjacency, _, x = toy.batch([0], dtype=np.float32)
    assert adjacency.dtype == np.float32
    assert x.dtype == np.float32


def test_wrong_requests_are_named(toy):
    with pytest.raises(ValueError, match="kind must be one of 'auto'"):
        toy.features("label")
    with pytest.raises(ValueError, match="toy has no node attributes"):
        toy._replace(node_attributes=None).features("all")
    with pytest.raises(IndexError, match=r"0\.\.3"):
        toy.batch([4])
    with pytest.raises(IndexError, match=r"0\.\.3"):
        toy.graph(-1)
    with pytest.raises(TypeError, match="graph numbers"):
        toy.batch([0.5])
    with pytest.raises(ValueError, match=r"shape \(4,\)"):
        toy.subset([True, False])


def test_inputs_stay_untouched(toy):
    for value in toy:
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    toy.batch()
    toy.subset([1, 2])
    toy.features("all")


def test_karate_club_is_networkx():
    data = load("karate")
    graph = nx.karate_club_graph()
    np.testing.assert_array_equal(data.adjacency.toarray(), nx.to_numpy_array(graph, weight=None))
    assert data.labels[[0, 33]].tolist() == [0, 1]
    assert data.labels.sum() == 17
    assert (data.train_mask ^ data.test_mask).all()


def test_digits_are_scaled_on_request():
    data = load("digits")
    x = data.matrix(np.float32)
    assert x.shape == (1797, 64)
    assert x.dtype == np.float32
    assert x.min() == 0
    assert x.max() == 1
    np.testing.assert_array_equal(
        np.bincount(data.labels), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    )
