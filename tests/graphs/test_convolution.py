"""UFGConv and GCNConv: against materialised operators, finite differences, and the rules of the layer contract."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from scinn.graphs import FrameletTransform, GCNConv, Graph, UFGConv, nonzero_share
from scinn.graphs.convolution import gcn_adjacency
from scinn.kernels import graph_layers as kernels
from scinn.nn import Dense, Network
from scinn.nn.layer import nbytes
from scinn.reference import graph_layers as reference
from scinn.verify import check_gradient


def _graph(n=13, seed=0, p=0.3):
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.random((n, n)) < p, 1) * rng.uniform(0.5, 2.0, (n, n))
    return Graph(sparse.csr_array(upper + upper.T))


@pytest.fixture(scope="module")
def graph():
    return _graph()


@pytest.fixture(scope="module")
def transform(graph):
    return FrameletTransform(graph)


@pytest.fixture(scope="module")
def x(graph):
    return np.random.default_rng(1).normal(size=(graph.n_nodes, 4))


def _layer(transform, **options):
    options = {"sigma": 0.4, "dtype": np.float64, "rng": 3, **options}
    return UFGConv(4, 3, n_bands=transform.n_bands, n_nodes=transform.graph.n_nodes, **options)


ALL = list(
    itertools.product([None, "relu", "shrink"], ["node", "band"], ["soft", "hard"], ["none", "energy"])
)


@pytest.mark.parametrize(("activation", "filter", "shrinkage", "scale"), ALL)
@pytest.mark.parametrize("pre_threshold", [None, 0.1])
def test_gradients(transform, x, activation, filter, shrinkage, scale, pre_threshold):
    layer = _layer(
        transform,
        activation=activation,
        filter=filter,
        shrinkage=shrinkage,
        scale=scale,
        pre_threshold=pre_threshold,
    )
    check_gradient(layer, x, transform=transform).raise_if_failed()


@pytest.mark.parametrize(
    "options", [{"bank": "linear"}, {"levels": 3, "n_coefficients": 4}, {"method": "exact"}]
)
def test_gradients_on_other_transforms(graph, x, options):
    transform = FrameletTransform(graph, **options)
    layer = _layer(transform, activation="shrink", scale="energy")
    check_gradient(layer, x, transform=transform).raise_if_failed()


@pytest.mark.parametrize("shrinkage", ["soft", "hard"])
@pytest.mark.parametrize("filter", ["node", "band"])
@pytest.mark.parametrize("activation", [None, "shrink"])
def test_equals_materialised_operators(transform, x, activation, filter, shrinkage):
    n = transform.graph.n_nodes
    layer = _layer(transform, activation=activation, filter=filter, shrinkage=shrinkage)
    operators = transform.analyze(np.eye(n))
    thresholds = np.full(3, -1.0)
    if activation == "shrink":
        thresholds[1:] = 0.4 * np.sqrt(2 * np.log(n)) / np.sqrt(n)
    p = layer.params
    hard = shrinkage == "hard"
    y, saved = layer.forward(x, transform=transform)
    expected = reference.ufg_conv(operators, x, p["weight"], p["filter"], p["bias"], thresholds, hard)
    np.testing.assert_allclose(y, expected, atol=1e-12)
    dy = np.random.default_rng(5).normal(size=y.shape)
    dx, grads = layer.backward(saved, dy)
    wanted = reference.ufg_conv_gradients(operators, x, p["weight"], p["filter"], thresholds, dy)
    np.testing.assert_allclose(dx, wanted["x"], atol=1e-12)
    for name in ("weight", "filter", "bias"):
        np.testing.assert_allclose(grads[name], wanted[name], atol=1e-12)


def test_relu_is_the_rectified_linear_layer(transform, x):
    linear, relu = (_layer(transform, activation=a) for a in (None, "relu"))
    np.testing.assert_array_equal(relu(x, transform=transform), np.maximum(linear(x, transform=transform), 0))


def test_identity_parameters_give_the_frame_operator(transform, x):
    layer = UFGConv(4, 4, n_bands=3, filter="band", activation=None, dtype=np.float64, rng=0)
    layer.params["weight"][:] = np.eye(4)
    layer.params["filter"][:] = 1
    expected = transform.synthesize(transform.analyze(x))
    np.testing.assert_allclose(layer(x, transform=transform), expected, atol=1e-13)


@pytest.mark.parametrize("activation", ["relu", "shrink"])
def test_sparse_input_is_the_dense_one(transform, activation):
    rng = np.random.default_rng(2)
    dense = rng.normal(size=(transform.graph.n_nodes, 4)) * (rng.random((transform.graph.n_nodes, 4)) < 0.4)
    layer = _layer(transform, activation=activation)
    rows = sparse.csr_array(dense)
    y, saved = layer.forward(dense, transform=transform)
    y_sparse, saved_sparse = layer.forward(rows, transform=transform)
    np.testing.assert_allclose(y_sparse, y, atol=1e-13)
    dx, grads = layer.backward(saved_sparse, np.ones_like(y))
    assert dx is None
    for name, expected in layer.backward(saved, np.ones_like(y))[1].items():
        np.testing.assert_allclose(grads[name], expected, atol=1e-12)


def test_constant_detail_energy_has_no_threshold_gradient():
    # No edge, isolated nodes at frequency 1 and a zero signal: every energy is 0.
    graph = Graph.from_edges(3, [])
    transform = FrameletTransform(graph)
    layer = UFGConv(2, 2, n_bands=3, n_nodes=3, activation="shrink", scale="energy", dtype=np.float64, rng=0)
    y, saved = layer.forward(np.zeros((3, 2)), transform=transform)
    np.testing.assert_array_equal(y, 0)
    dx, grads = layer.backward(saved, np.ones_like(y))
    assert np.all(np.isfinite(dx))
    assert all(np.all(np.isfinite(value)) for value in grads.values())


def test_shrinkage_thins_the_detail_bands_only(transform, x):
    shares = []
    for sigma in (0.0, 0.5, 2.0, 1e3):
        layer = _layer(transform, activation="shrink", sigma=sigma)
        c = layer.shrunk_coefficients(x, transform=transform)
        assert nonzero_share(c[0]) == 1.0
        shares.append(nonzero_share(c[1:]))
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] == 0.0


def test_float32_stays_float32(transform, x):
    layer = _layer(transform, activation="shrink", scale="energy", dtype=np.float32)
    y, saved = layer.forward(x.astype(np.float32), transform=transform)
    dx, grads = layer.backward(saved, np.ones_like(y))
    assert {y.dtype, dx.dtype, *(g.dtype for g in grads.values())} == {np.dtype(np.float32)}
    exact = layer.astype(np.float64)(x.astype(np.float32).astype(np.float64), transform=transform)
    np.testing.assert_allclose(y, exact, atol=2e-5)


def test_nothing_given_is_written_and_forward_repeats(transform, x):
    layer = _layer(transform, activation="shrink", scale="energy")
    frozen = x.copy()
    frozen.setflags(write=False)
    for value in layer.params.values():
        value.setflags(write=False)
    y, saved = layer.forward(frozen, transform=transform)
    dy = np.ones_like(y)
    dy.setflags(write=False)
    y.setflags(write=False)
    first = layer.backward(saved, dy)
    second = layer.backward(saved, dy)
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(layer.forward(frozen, transform=transform)[0], y)


def test_saved_is_input_and_coefficients(transform, x):
    _, saved = _layer(transform, activation=None).forward(x, transform=transform)
    n = transform.graph.n_nodes
    assert nbytes(saved) == x.nbytes + 3 * n * 3 * 8 + 3 * 8


def test_initial_values(transform):
    layer = UFGConv(200, 100, n_bands=3, n_nodes=400, rng=0)
    theta = layer.params["filter"]
    assert theta.shape == (3, 400)
    assert 0.9 <= theta.min() < 0.91
    assert 1.09 < theta.max() <= 1.1
    limit = np.sqrt(6 / 300)
    assert 0.99 * limit < np.abs(layer.params["weight"]).max() <= limit
    assert not layer.params["bias"].any()
    assert "bias" not in UFGConv(2, 2, n_bands=3, n_nodes=4, bias=False).params


def test_band_filter_moves_between_graphs():
    layer = UFGConv(2, 2, n_bands=3, filter="band", dtype=np.float64, rng=0)
    for n in (3, 9):
        transform = FrameletTransform(_graph(n, seed=n))
        assert layer(np.ones((n, 2)), transform=transform).shape == (n, 2)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"n_nodes": None}, "n_nodes"),
        ({"activation": "relo"}, "relu"),
        ({"filter": "nodes"}, "node"),
        ({"shrinkage": "firm"}, "soft"),
        ({"scale": "energie"}, "energy"),
        ({"sigma": -1.0}, "sigma"),
        ({"pre_threshold": np.nan}, "pre_threshold"),
        ({"n_bands": 0}, "n_bands"),
    ],
)
def test_constructor_refuses(options, match):
    with pytest.raises(ValueError, match=match):
        UFGConv(4, 3, **{"n_bands": 3, "n_nodes": 5, **options})


def test_wrong_calls(transform, x):
    layer = _layer(transform)
    with pytest.raises(ValueError, match="rows"):
        layer(x[:5], transform=transform)
    with pytest.raises(ValueError, match="bands"):
        layer(x, transform=FrameletTransform(transform.graph, levels=3))
    with pytest.raises(ValueError, match="features"):
        layer(x[:, :2], transform=transform)
    with pytest.raises(TypeError, match="float32"):
        layer(x.astype(np.float32), transform=transform)


def test_network_with_both_layers_is_saved_and_loaded(tmp_path, graph, transform, x):
    network = Network.sequential(
        UFGConv(4, 5, n_bands=3, n_nodes=graph.n_nodes, activation="shrink", dtype=np.float64, rng=0),
        GCNConv(5, 2, dtype=np.float64, rng=1),
    )
    network.save(tmp_path / "network.npz")
    loaded = Network.load(tmp_path / "network.npz")
    context = {"graph": graph, "transform": transform}
    np.testing.assert_array_equal(loaded(x, **context), network(x, **context))


def test_gcn_gradient_and_definition(graph, x):
    layer = GCNConv(4, 3, dtype=np.float64, rng=0)
    check_gradient(layer, x, graph=graph).raise_if_failed()
    propagation = reference.gcn_adjacency(graph.adjacency.toarray())
    np.testing.assert_allclose(layer(x, graph=graph), propagation @ x @ layer.params["weight"], atol=1e-13)
    np.testing.assert_allclose(gcn_adjacency(graph.adjacency).toarray(), propagation, atol=1e-15)
    with pytest.raises(ValueError, match="rows"):
        layer(x[:3], graph=graph)


def test_gcn_sparse_input(graph, x):
    layer = GCNConv(4, 3, bias=False, dtype=np.float64, rng=0)
    y, saved = layer.forward(sparse.csr_array(x), graph=graph)
    np.testing.assert_allclose(y, layer(x, graph=graph), atol=1e-13)
    dx, grads = layer.backward(saved, np.ones_like(y))
    assert dx is None
    assert list(grads) == ["weight"]


@given(
    st.integers(0, 7), st.integers(0, 5), st.integers(0, 17), st.sampled_from([np.float32, np.float64]),
    st.integers(0, 10**6),
)  # fmt: skip
def test_csr_transpose_matmat_twin(n_rows, n_columns, f, dtype, seed):
    rng = np.random.default_rng(seed)
    dense = rng.normal(size=(n_rows, n_columns)) * (rng.random((n_rows, n_columns)) < 0.5)
    matrix = sparse.csr_array(dense).astype(dtype)
    y = rng.normal(size=(n_rows, f)).astype(dtype)
    out = np.full((n_columns, f), np.nan, dtype=dtype)
    arrays = (matrix.data, matrix.indices, matrix.indptr, y)
    kernels.csr_transpose_matmat(*arrays, out)
    expected = reference.csr_transpose_matmat(*arrays, n_columns)
    np.testing.assert_allclose(out, expected, atol=1e-5 if dtype == np.float32 else 1e-13)


@given(
    st.integers(1, 4), st.integers(1, 7), st.integers(1, 9), st.booleans(), st.booleans(), st.integers(0, 10**6)
)  # fmt: skip
def test_shrink_kernels_twins(n_bands, n_nodes, f, hard, per_node, seed):
    rng = np.random.default_rng(seed)
    c, de = rng.normal(size=(2, n_bands, n_nodes, f))
    theta = rng.uniform(-1, 1, size=(n_bands, n_nodes if per_node else 1))
    thresholds = rng.choice([-1.0, 0.0, 0.3, 1.0], size=n_bands)
    pull = rng.normal(size=n_bands)
    out = np.empty_like(c)
    kernels.scale_shrink(c, theta, thresholds, hard, out)
    np.testing.assert_allclose(out, reference.scale_shrink(c, theta, thresholds, hard), atol=1e-14)
    dc, dtheta = np.empty_like(c), np.empty_like(theta)
    kernels.scale_shrink_backward(c, theta, thresholds, pull, de, dc, dtheta)
    expected = reference.scale_shrink_backward(c, theta, thresholds, pull, de)
    np.testing.assert_allclose(dc, expected[0], atol=1e-12)
    np.testing.assert_allclose(dtheta, expected[1], atol=1e-12)
    dt = np.empty(n_bands)
    kernels.shrink_threshold_gradient(c, theta, thresholds, de, dt)
    wanted = reference.shrink_threshold_gradient(c, theta, thresholds, de)
    np.testing.assert_allclose(dt, wanted, atol=1e-12)


def test_backward_of_a_convolution_refuses_a_gradient_that_is_not_the_outputs():
    graph = Graph.from_edges(6, [(0, 1), (1, 2), (4, 5)])
    transform = FrameletTransform(graph)
    cases = [
        (UFGConv(3, 7, n_bands=3, n_nodes=6, dtype=np.float64, rng=0), {"transform": transform}),
        (GCNConv(3, 7, dtype=np.float64, rng=0), {"graph": graph}),
        (Dense(3, 7, dtype=np.float64, rng=0), {}),
    ]
    for layer, context in cases:
        y, saved = layer.forward(sparse.csr_array(np.eye(6, 3)), **context)
        for wrong in (y[:, :3], y[:, :1], y[:5]):
            with pytest.raises(ValueError, match="dy must have the output's shape"):
                layer.backward(saved, wrong)
        with pytest.raises(TypeError, match="float64"):
            layer.backward(saved, y.astype(np.float32))


def test_gcn_says_what_a_graph_is():
    layer = GCNConv(2, 2, dtype=np.float64, rng=0)
    with pytest.raises(TypeError, match="must be a Graph"):
        layer(np.ones((3, 2)), graph=sparse.csr_array((3, 3)))
