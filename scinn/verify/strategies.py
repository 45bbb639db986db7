"""Hypothesis strategies for awkward arrays, graphs and small networks (extra ``verify``).

Shapes are drawn first and one integer seed last; values come from ``numpy.random.default_rng(seed)``. Shrinking
then works on the shapes, stays fast, and ends at the smallest shape that fails.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scinn.exceptions import require
from scinn.verify.cases import EdgeList
from scinn.verify.networks import KINDS, build_network

st = require("hypothesis.strategies", extra="verify", purpose="scinn.verify.strategies")

__all__ = ["arrays", "edge_lists", "graphs", "networks", "seeds", "shapes", "signals", "sizes"]

#: Sizes at which block-wise loops go wrong: empty, one, primes, and around the usual widths of a vector.
AWKWARD_SIZES = (0, 1, 2, 3, 5, 7, 13, 15, 16, 17, 31, 32, 33)

_CONTENTS = ("normal", "zero", "constant", "integers", "tiny", "huge", "negative-zero")
_LAYOUTS = ("C", "F", "strided", "reversed", "read-only")


def seeds() -> Any:
    """Return a strategy for the one integer from which values are made.

    Returns
    -------
    SearchStrategy of int
    """
    return st.integers(0, 2**31 - 1)


def sizes(minimum: int = 0, maximum: int = 33) -> Any:
    """Return a strategy for awkward sizes.

    Parameters
    ----------
    minimum, maximum : int

    Returns
    -------
    SearchStrategy of int
    """
    return st.sampled_from([size for size in AWKWARD_SIZES if minimum <= size <= maximum])


def shapes(ndim: int = 2, *, minimum: int = 0, maximum: int = 33) -> Any:
    """Return a strategy for shapes of awkward sizes.

    Parameters
    ----------
    ndim : int, default 2
    minimum, maximum : int
        Range of each size.

    Returns
    -------
    SearchStrategy of tuple of int
    """
    return st.tuples(*[sizes(minimum, maximum)] * ndim)


@st.composite
def arrays(draw: Any, shape: Any = None, *, dtype: Any = None, layouts: bool = True) -> np.ndarray:
    """Return a strategy for finite floating-point arrays with awkward shapes, contents and memory layouts.

    Parameters
    ----------
    shape : tuple of int or strategy, optional
        By default two awkward sizes.
    dtype : dtype or strategy, optional
        By default float32 or float64.
    layouts : bool, default True
        Whether the array may be Fortran-ordered, strided, reversed or read-only.

    Returns
    -------
    SearchStrategy of ndarray
    """
    wanted = draw(shapes() if shape is None else shape) if not isinstance(shape, tuple) else shape
    kind = np.dtype(
        draw(st.sampled_from([np.float64, np.float32]) if dtype is None else dtype)
        if dtype is None or hasattr(dtype, "example")
        else dtype
    )
    content = draw(st.sampled_from(_CONTENTS))
    layout = draw(st.sampled_from(_LAYOUTS)) if layouts else "C"
    rng = np.random.default_rng(draw(seeds()))
    values = _fill(rng, wanted, content, kind)
    return _lay_out(values, layout)


def _fill(rng: np.random.Generator, shape: tuple[int, ...], content: str, dtype: np.dtype) -> np.ndarray:
    normal = rng.standard_normal(shape)
    if content == "zero":
        values = np.zeros(shape)
    elif content == "negative-zero":
        values = np.where(normal > 0, 0.0, -0.0)
    elif content == "constant":
        values = np.full(shape, float(rng.integers(-3, 4)))
    elif content == "integers":
        values = rng.integers(-3, 4, size=shape).astype(np.float64)
    elif content == "tiny":
        values = normal * float(np.finfo(dtype).tiny) * 1e3
    elif content == "huge":
        values = normal * 1e6
    else:
        values = normal
    return np.asarray(values, dtype=dtype)


def _lay_out(values: np.ndarray, layout: str) -> np.ndarray:
    if layout == "F":
        return np.asfortranarray(values)
    if layout == "reversed":
        return np.flip(np.ascontiguousarray(np.flip(values)))
    if layout == "strided" and values.ndim:
        padded = np.full((*values.shape[:-1], 2 * values.shape[-1]), np.nan, dtype=values.dtype)
        padded[..., ::2] = values
        return padded[..., ::2]
    if layout == "read-only":
        values.setflags(write=False)
    return values


@st.composite
def edge_lists(
    draw: Any,
    *,
    min_nodes: int = 1,
    max_nodes: int = 12,
    self_loops: bool = True,
    duplicates: bool = True,
    weighted: bool | None = None,
) -> EdgeList:
    """Return a strategy for undirected graphs as edge lists.

    Isolated nodes, disconnected, one-node and edgeless graphs come by themselves, since edges are a list of
    pairs from which shrinking removes one after the other.

    Parameters
    ----------
    min_nodes, max_nodes : int
    self_loops, duplicates : bool, default True
        Whether they may occur; repeated edges occur in both directions.
    weighted : bool, optional
        Whether weights differ from one; drawn by default.

    Returns
    -------
    SearchStrategy of EdgeList
    """
    n = draw(st.integers(min_nodes, max_nodes))
    node = st.integers(0, n - 1)
    pair = st.tuples(node, node)
    if not self_loops:
        pair = pair.filter(lambda ends: ends[0] != ends[1]) if n > 1 else st.nothing()
    unique = None if duplicates else (lambda ends: (min(ends), max(ends)))
    largest = 3 * n if n > 1 or self_loops else 0
    pairs = draw(st.lists(pair, max_size=largest, unique_by=unique)) if largest else []
    heavy = draw(st.booleans()) if weighted is None else weighted
    rng = np.random.default_rng(draw(seeds()))
    weights = rng.uniform(0.1, 3.0, len(pairs)) if heavy else np.ones(len(pairs))
    kind = "weighted" if heavy else "random"
    return EdgeList(n, np.array(pairs, dtype=np.int64).reshape(-1, 2), weights, kind)


def graphs(**options: Any) -> Any:
    """Return a strategy for :class:`scinn.graphs.Graph`.

    Parameters
    ----------
    **options
        As for :func:`edge_lists`.

    Returns
    -------
    SearchStrategy of Graph
    """
    from scinn.verify.cases import graph_of

    return edge_lists(**options).map(graph_of)


@st.composite
def signals(draw: Any, n_nodes: int, *, n_features: int | None = None, dtype: Any = np.float64) -> np.ndarray:
    """Return a strategy for signals on the nodes of a graph.

    Parameters
    ----------
    n_nodes : int
    n_features : int, optional
        0 gives a one-dimensional array; drawn by default.
    dtype : dtype, default float64

    Returns
    -------
    SearchStrategy of ndarray, shape (n_nodes,) or (n_nodes, n_features)
    """
    width = draw(st.integers(0, 4)) if n_features is None else n_features
    rng = np.random.default_rng(draw(seeds()))
    return rng.standard_normal((n_nodes, width) if width else n_nodes).astype(dtype)


@st.composite
def networks(draw: Any, *, max_layers: int = 5, dtype: Any = np.float64) -> tuple[Any, np.ndarray]:
    """Return a strategy for small networks with an input: chains, residual links, shared layers.

    Parameters
    ----------
    max_layers : int, default 5
    dtype : dtype, default float64

    Returns
    -------
    SearchStrategy of (Network, ndarray)
    """
    note = require("hypothesis", extra="verify", purpose="scinn.verify.strategies").note
    n_in = draw(st.integers(1, 4))
    specs = draw(
        st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 4)), min_size=1, max_size=max_layers)
    )
    rows, seed = draw(st.integers(3, 7)), draw(seeds())
    note(f"network of {specs} on {n_in} features, seed {seed}")
    network = build_network(specs, n_in, seed, dtype)
    return network, np.random.default_rng(seed).standard_normal((rows, n_in)).astype(dtype)
