"""Graphs and options drawn from one integer: the cases on which the properties are tried."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["GRAPH_KINDS", "EdgeList", "bank_name", "edge_list", "framelet_options", "graph_of"]

GRAPH_KINDS = (
    "random",
    "weighted",
    "path",
    "complete",
    "bipartite",
    "cycle",
    "star",
    "disconnected",
    "duplicates",
    "single",
    "edgeless",
)


class EdgeList(NamedTuple):
    """An undirected graph as users write it down.

    Attributes
    ----------
    n_nodes : int
    edges : ndarray of int64, shape (n_edges, 2)
        May hold self loops and repeated edges.
    weights : ndarray of float64, shape (n_edges,)
    kind : str
        One of :data:`GRAPH_KINDS`.
    """

    n_nodes: int
    edges: np.ndarray
    weights: np.ndarray
    kind: str


def edge_list(rng: np.random.Generator, *, kind: str | None = None, max_nodes: int = 14) -> EdgeList:
    """Draw a small graph, often an awkward one.

    Parameters
    ----------
    rng : Generator
    kind : str, optional
        One of :data:`GRAPH_KINDS`; drawn by default.
    max_nodes : int, default 14
        At least 3.

    Returns
    -------
    EdgeList
    """
    kind = str(rng.choice(GRAPH_KINDS)) if kind is None else kind
    n = int(rng.integers(3, max_nodes + 1))
    order = np.arange(n)
    if kind == "single":
        n, pairs = 1, np.empty((0, 2), dtype=np.int64)
    elif kind == "edgeless":
        pairs = np.empty((0, 2), dtype=np.int64)
    elif kind == "path":
        pairs = np.stack([order[:-1], order[1:]], axis=1)
    elif kind == "cycle":
        pairs = np.stack([order, np.roll(order, -1)], axis=1)
    elif kind == "star":
        pairs = np.stack([np.zeros(n - 1, dtype=np.int64), order[1:]], axis=1)
    elif kind == "complete":
        pairs = np.stack(np.triu_indices(n, 1), axis=1)
    elif kind == "bipartite":
        half = max(1, n // 2)
        pairs = np.stack(np.meshgrid(order[:half], order[half:]), axis=-1).reshape(-1, 2)
        pairs = pairs[rng.random(len(pairs)) < 0.7]
    elif kind == "disconnected":
        first = rng.integers(0, max(1, n // 2), size=(n, 2))
        second = rng.integers(n // 2, max(n // 2 + 1, n - 1), size=(n, 2))
        pairs = np.concatenate([first, second])
    elif kind == "duplicates":
        base = rng.integers(0, n, size=(n, 2))
        pairs = np.concatenate([base, base[:, ::-1][: n // 2]])
    else:
        pairs = np.stack(np.triu_indices(n, 1), axis=1)
        pairs = pairs[rng.random(len(pairs)) < 0.4]
    weighted = kind in ("weighted", "disconnected") or (kind != "random" and bool(rng.random() < 0.3))
    weights = rng.uniform(0.1, 3.0, len(pairs)) if weighted else np.ones(len(pairs))
    return EdgeList(n, np.asarray(pairs, dtype=np.int64), weights, kind)


def graph_of(drawn: EdgeList) -> Any:
    """Return the :class:`scinn.graphs.Graph` of an edge list."""
    from scinn.graphs import Graph

    return Graph.from_edges(drawn.n_nodes, drawn.edges, weights=drawn.weights)


def bank_name(rng: np.random.Generator) -> str:
    """Draw one of the classical banks."""
    return str(rng.choice(["haar", "linear", "quadratic"]))


def framelet_options(rng: np.random.Generator) -> dict[str, Any]:
    """Draw levels, dilation, arrangement and the convention for isolated nodes."""
    return {
        "bank": bank_name(rng),
        "levels": int(rng.integers(1, 4)),
        "dilation": float(rng.choice([2.0, 2.5, 1.0 + 3.0 * (1.0 - rng.random())])),
        "arrangement": str(rng.choice(["up", "down"])),
        "isolated": str(rng.choice(["one", "zero"])),
    }
