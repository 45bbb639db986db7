"""The strategies draw what they promise, and shrink to small things."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, find, given, settings

from scinn.verify import check_gradient, check_tight_frame, strategies
from scinn.verify.cases import GRAPH_KINDS, edge_list, graph_of

QUICK = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@QUICK
@given(strategies.arrays())
def test_arrays_are_finite_and_awkward(x):
    assert x.ndim == 2
    assert x.dtype in (np.float32, np.float64)
    assert np.all(np.isfinite(x))


def test_arrays_take_every_layout():
    for wanted in (
        lambda x: not x.flags.writeable,
        lambda x: x.size > 1 and x.flags.f_contiguous and not x.flags.c_contiguous,
        lambda x: x.size > 1 and x.strides[-1] == 2 * x.itemsize,
        lambda x: 0 in x.shape,
        lambda x: x.size and np.all(x == 0) and np.any(np.signbit(x)),
    ):
        find(strategies.arrays(), wanted, settings=settings(max_examples=2000, deadline=None))


def test_fixed_shape_and_dtype():
    x = find(strategies.arrays((3, 2), dtype=np.float32), lambda x: True)
    assert x.shape == (3, 2)
    assert x.dtype == np.float32


def test_graphs_take_every_awkward_form():
    search = settings(max_examples=3000, deadline=None)

    def loops(g):
        return np.any(g.edges[:, 0] == g.edges[:, 1])

    def repeated(g):
        return len(np.unique(np.sort(g.edges, axis=1), axis=0)) < len(g.edges)

    lists = strategies.edge_lists()
    assert find(lists, lambda g: g.n_nodes == 1, settings=search).n_nodes == 1
    assert len(find(lists, lambda g: len(g.edges) == 0, settings=search).edges) == 0
    smallest = find(lists, loops, settings=search)
    assert len(smallest.edges) == 1
    assert len(find(lists, repeated, settings=search).edges) == 2
    find(lists, lambda g: len(np.unique(g.weights)) > 1, settings=search)
    find(lists, lambda g: len(g.edges) and len(np.unique(g.edges)) < g.n_nodes, settings=search)


@QUICK
@given(strategies.edge_lists(self_loops=False, duplicates=False, min_nodes=2))
def test_simple_graphs_on_request(drawn):
    ends = np.sort(drawn.edges, axis=1)
    assert np.all(ends[:, 0] != ends[:, 1])
    assert len(np.unique(ends, axis=0)) == len(ends)


@QUICK
@given(strategies.graphs(max_nodes=8))
def test_exact_transform_is_tight_on_drawn_graphs(graph):
    from scinn.graphs import FrameletTransform

    assert check_tight_frame(FrameletTransform(graph, method="exact"))


@QUICK
@given(strategies.networks())
def test_gradients_of_drawn_networks(drawn):
    network, x = drawn
    check_gradient(network, x).raise_if_failed()


def test_signals_fit_their_graph():
    assert find(strategies.signals(4, n_features=0), lambda x: True).shape == (4,)
    assert find(strategies.signals(4), lambda x: x.ndim == 2).shape == (4, 1)


def test_every_kind_of_case_makes_a_graph():
    for kind in GRAPH_KINDS:
        drawn = edge_list(np.random.default_rng(0), kind=kind)
        assert graph_of(drawn).n_nodes == drawn.n_nodes
        assert drawn.kind == kind
