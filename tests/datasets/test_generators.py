"""Generated graphs against obvious constructions, their law, and their seed."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from scinn import datasets
from scinn.datasets.generators import _block_edges
from scinn.random import Key


def assert_simple(adjacency):
    adjacency.check_format(full_check=True)
    assert adjacency.has_canonical_format
    assert adjacency.dtype == np.float64
    assert (adjacency.data == 1).all()
    assert (adjacency - adjacency.T).nnz == 0
    assert adjacency.diagonal().sum() == 0


@given(st.integers(1, 9), st.integers(1, 9))
def test_grid_is_the_grid(rows, columns):
    adjacency, coordinates = datasets.grid_graph(rows, columns)
    assert_simple(adjacency)
    expected = nx.to_numpy_array(
        nx.grid_2d_graph(rows, columns), nodelist=[(r, c) for r in range(rows) for c in range(columns)]
    )
    np.testing.assert_array_equal(adjacency.toarray(), expected)
    assert coordinates.shape == (rows * columns, 2)
    assert coordinates.min() >= 0
    assert coordinates.max() <= 1


@given(st.integers(3, 40))
def test_path_and_ring(n):
    np.testing.assert_array_equal(
        datasets.path_graph(n).adjacency.toarray(), nx.to_numpy_array(nx.path_graph(n))
    )
    ring = datasets.ring_graph(n)
    assert_simple(ring.adjacency)
    np.testing.assert_array_equal(ring.adjacency.toarray(), nx.to_numpy_array(nx.cycle_graph(n)))
    np.testing.assert_allclose(np.linalg.norm(ring.coordinates, axis=1), 1, rtol=1e-15)


@given(st.integers(1, 60), st.floats(0.01, 1.5), st.integers(1, 3), st.integers(0, 99))
def test_geometric_graph_joins_what_is_near(n, radius, n_dimensions, seed):
    adjacency, points = datasets.random_geometric_graph(n, radius=radius, n_dimensions=n_dimensions, rng=seed)
    assert_simple(adjacency)
    distance = cdist(points, points)
    expected = distance <= radius
    np.fill_diagonal(expected, False)
    # the tree and cdist may round a distance equal to the radius differently
    undecided = np.abs(distance - radius) < 1e-12
    np.testing.assert_array_equal(adjacency.toarray()[~undecided], expected[~undecided])


def test_geometric_graph_has_the_mean_degree():
    adjacency, points = datasets.random_geometric_graph(20_000, mean_degree=12, rng=0)
    inside = ((points > 0.05) & (points < 0.95)).all(1)
    degrees = np.diff(adjacency.indptr)[inside]
    # about 16000 nodes of variance about 12; the sum over overlapping discs is within 5 standard errors of 12
    assert abs(degrees.mean() - 12) < 0.3


@given(st.integers(1, 40), st.integers(0, 99))
def test_every_pair_of_a_block_can_be_drawn(n, seed):
    rng = np.random.default_rng(seed)
    starts = np.array([0, n, n + 7])
    inside = _block_edges(starts, 0, 0, 1.0, rng)
    assert {tuple(e) for e in inside.tolist()} == {(i, j) for j in range(n) for i in range(j)}
    across = _block_edges(starts, 0, 1, 1.0, rng)
    assert {tuple(e) for e in across.tolist()} == {(i, j) for i in range(n) for j in range(n, n + 7)}
    assert len(_block_edges(starts, 0, 1, 0.0, rng)) == 0


def test_triangular_numbers_are_inverted_exactly():
    class Chooser:
        def binomial(self, n_pairs, _):
            return 4

        def choice(self, n_pairs, **_):
            return np.array([0, 1, n_pairs - 2, n_pairs - 1])

    n = 2_000_003
    edges = _block_edges(np.array([0, n]), 0, 0, 0.5, Chooser())
    assert edges.tolist() == [[0, 1], [0, 2], [n - 3, n - 1], [n - 2, n - 1]]


def test_block_model_has_its_law():
    sizes = [120, 80, 100]
    n_draws, inside, across, own, other = 30, 0, 0, 0.0, 0.0
    for seed in range(n_draws):
        data = datasets.stochastic_block_model(sizes, 0.2, 0.03, 30, rng=seed)
        assert_simple(data.adjacency)
        same = data.labels[:, None] == data.labels[None, :]
        dense = data.adjacency.toarray()
        inside += dense[same].sum() / 2
        across += dense[~same].sum() / 2
        words = data.features.toarray()
        topic = np.arange(30) % 3
        own += words[topic[None, :] == data.labels[:, None]].sum() / len(data.labels)
        other += words[topic[None, :] != data.labels[:, None]].sum() / len(data.labels)
    pairs_in = sum(n * (n - 1) // 2 for n in sizes) * n_draws
    pairs_out = (300 * 299 // 2 - sum(n * (n - 1) // 2 for n in sizes)) * n_draws
    for count, pairs, p in ((inside, pairs_in, 0.2), (across, pairs_out, 0.03)):
        assert abs(count - pairs * p) < 5 * np.sqrt(pairs * p * (1 - p))
    # 9000 nodes expect 5 words of each sort; a word count has variance below 5
    for mean in (own / n_draws, other / n_draws):
        assert abs(mean - 5) < 5 * np.sqrt(5 / 9000)


def test_block_model_split_and_words():
    data = datasets.stochastic_block_model(50, n_train_per_class=10, n_val=30, n_test=60, rng=0)
    assert data.n_nodes == 200
    assert np.bincount(data.labels[data.train_mask]).tolist() == [10] * 4
    assert data.val_mask.sum() == 30
    assert data.test_mask.sum() == 60
    only_own = datasets.stochastic_block_model([30, 30], n_features=40, topic_share=1.0, rng=0)
    words = only_own.features.toarray()
    assert words[only_own.labels == 0][:, 1::2].sum() == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: datasets.stochastic_block_model(40, rng=rng).adjacency.toarray(),
        lambda rng: datasets.stochastic_block_model(40, rng=rng).features.toarray(),
        lambda rng: datasets.random_geometric_graph(50, rng=rng).coordinates,
        lambda rng: datasets.piecewise_smooth_signal(datasets.path_graph(50).coordinates, rng=rng),
        lambda rng: datasets.load("piecewise-smooth", n_nodes=60, rng=rng).signal,
        lambda rng: datasets.load("grid-signal", rows=7, columns=9, rng=rng).signal,
    ],
)
def test_same_seed_same_bits(make):
    np.testing.assert_array_equal(make(7), make(7))
    np.testing.assert_array_equal(make(Key(7)), make(Key(7)))
    assert not np.array_equal(make(7), make(8))


@given(st.integers(1, 3), st.integers(0, 3), st.integers(0, 99))
def test_one_piece_is_a_polynomial(n_dimensions, degree, seed):
    points = np.random.default_rng(seed).random((80, n_dimensions))
    signal = datasets.piecewise_smooth_signal(points, n_pieces=1, degree=degree, rng=seed)
    powers = [p for p in np.ndindex((degree + 1,) * n_dimensions) if sum(p) <= degree]
    basis = np.stack([np.prod(points ** np.array(p), axis=1) for p in powers], axis=1)
    residual = signal - basis @ np.linalg.lstsq(basis, signal, rcond=None)[0]
    assert np.abs(residual).max() < 1e-9
    if degree:
        assert abs(signal.mean()) < 1e-12
        assert abs(signal.std() - 1) < 1e-12
    else:
        assert (signal == 0).all()


def test_constant_pieces_take_as_many_values():
    points = datasets.grid_graph(40, 40).coordinates
    signal = datasets.piecewise_smooth_signal(points, n_pieces=5, degree=0, rng=3)
    assert 2 <= len(np.unique(signal.round(9))) <= 5


def test_large_graphs_are_direct():
    adjacency, _ = datasets.grid_graph(300, 400)
    assert adjacency.nnz == 2 * (299 * 400 + 300 * 399)
    assert adjacency.indices.dtype == np.int32


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: datasets.stochastic_block_model([10, 0]), ValueError, "n_nodes_per_block"),
        (lambda: datasets.stochastic_block_model([]), ValueError, "n_nodes_per_block is empty"),
        (lambda: datasets.stochastic_block_model(30, 1.5), ValueError, "p_in"),
        (lambda: datasets.stochastic_block_model(30, 0.5, -0.1), ValueError, "p_out"),
        (lambda: datasets.stochastic_block_model(30, n_features=2), ValueError, "n_features"),
        (lambda: datasets.stochastic_block_model(30, words_per_node=500), ValueError, "words_per_node"),
        (lambda: datasets.random_geometric_graph(0), ValueError, "n_nodes"),
        (lambda: datasets.random_geometric_graph(5, radius=0), ValueError, "radius"),
        (lambda: datasets.grid_graph(3, 2.5), TypeError, "columns"),
        (lambda: datasets.ring_graph(2), ValueError, "n_nodes"),
        (lambda: datasets.piecewise_smooth_signal(np.zeros(4)), ValueError, "coordinates"),
        (lambda: datasets.piecewise_smooth_signal(np.zeros((0, 2))), ValueError, "coordinates"),
        (lambda: datasets.piecewise_smooth_signal(np.zeros((4, 2)), n_pieces=0), ValueError, "n_pieces"),
    ],
)
def test_wrong_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
