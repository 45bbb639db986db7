"""Experiments behind the framelet claims: each a pure function of parameters, seed and the data set it names.

Paper: X. Zheng, B. Zhou, J. Gao, Y. G. Wang, P. Lio, M. Li, G. Montufar, *How Framelets Enhance Graph Neural
Networks*, ICML 2021. Nothing here judges: the rules stand in :mod:`scinn.reproduce.framelets`.

Notation: ``val`` and ``test`` are accuracies in percent at the epoch with the best validation accuracy; ``n`` of the
Chebyshev form counts coefficients, so the degree is ``n - 1``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import numpy as np
from scipy.sparse import csr_array

from scinn import datasets
from scinn.graphs import (
    FrameletTransform,
    Graph,
    compress,
    denoise,
    gcn_network,
    graph_classifier,
    mlp_network,
    train_graph_classifier,
    train_node_classifier,
    ufg_network,
)
from scinn.graphs.models import coefficient_shares
from scinn.graphs.training import Split
from scinn.random import Key

__all__ = ["EXPERIMENTS", "flip_features", "rewire_edges"]


def flip_features(features: csr_array, probability: float, rng: np.random.Generator) -> csr_array:
    """Flip each entry of a binary feature matrix with one probability.

    Parameters
    ----------
    features : csr_array of shape (n_nodes, n_features)
        Zeros and ones.
    probability : float
        Probability of a flip; at 0.5 nothing of the data is left.
    rng : Generator
        Source of randomness.

    Returns
    -------
    csr_array of shape (n_nodes, n_features), float64
    """
    flipped = (features.toarray() != 0) ^ (rng.random(features.shape) < probability)
    return csr_array(flipped.astype(np.float64))


def rewire_edges(adjacency: csr_array, share: float, rng: np.random.Generator) -> csr_array:
    """Replace a share of the undirected edges by random pairs that were not joined; the edge count stays.

    Parameters
    ----------
    adjacency : csr_array of shape (n_nodes, n_nodes)
        Binary and symmetric, no self loops.
    share : float
        Share of edges that is replaced, in [0, 1].
    rng : Generator
        Source of randomness.

    Returns
    -------
    csr_array of shape (n_nodes, n_nodes), float64
    """
    n_nodes = adjacency.shape[0]
    coordinates = adjacency.tocoo()
    upper = coordinates.row < coordinates.col
    old = coordinates.row[upper].astype(np.int64) * n_nodes + coordinates.col[upper]
    n_replaced = round(share * len(old))
    if len(old) + n_replaced > n_nodes * (n_nodes - 1) // 2:
        raise ValueError(f"share={share} needs {n_replaced} pairs that are not joined; the graph has too few")
    kept = rng.permutation(old)[n_replaced:]
    added = np.zeros(0, dtype=np.int64)
    while len(added) < n_replaced:
        pairs = np.sort(rng.integers(0, n_nodes, size=(2 * (n_replaced - len(added)) + 16, 2)), axis=1)
        codes = (pairs[:, 0] * n_nodes + pairs[:, 1])[pairs[:, 0] < pairs[:, 1]]
        candidates = np.concatenate([added, codes[~np.isin(codes, old)]])
        _, first = np.unique(candidates, return_index=True)
        added = candidates[np.sort(first)][:n_replaced]
    row, col = np.divmod(np.concatenate([kept, added]), n_nodes)
    both = (np.concatenate([row, col]), np.concatenate([col, row]))
    result = csr_array((np.ones(2 * len(row)), both), shape=adjacency.shape)
    result.sort_indices()
    return result


@lru_cache(maxsize=4)
def _node_data(name: str, noise: str, level: float, seed: int) -> tuple[Any, csr_array, csr_array]:
    data: Any = datasets.load(name)
    adjacency, features = data.adjacency, data.features
    rng = Key(seed).child("noise", noise).generator()
    if noise == "node":
        features = flip_features(features, level, rng)
    elif noise == "edge":
        adjacency = rewire_edges(adjacency, level, rng)
    return data, adjacency, features


@lru_cache(maxsize=4)
def _graph(name: str, noise: str, level: float, seed: int) -> Graph:
    return Graph.from_scipy(_node_data(name, noise, level, seed)[1])


def node_classification(params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train one node classifier (full batch) and report it at its best validation epoch."""
    noise = params["noise"] or {"kind": "none", "level": 0.0}
    noise_seed = seed if params["noise"] else 0
    where = (params["dataset"], noise["kind"], noise["level"], noise_seed)
    data, _, features = _node_data(*where)
    graph = _graph(*where)
    method = params["method"]
    key = Key(seed).child("node-classification")
    sizes = {"n_in": features.shape[1], "n_hidden": params["hidden"], "n_classes": data.n_classes}
    common = {**sizes, "dropout": params["dropout"], "dtype": np.float64, "rng": key.child("init")}
    context: dict[str, Any] = {}
    if method in ("relu", "shrink"):
        transform = FrameletTransform(
            graph,
            bank=params["bank"],
            levels=params["levels"],
            dilation=params["dilation"],
            n_coefficients=params["n_coefficients"],
        )
        options = {"sigma": params["sigma"], "scale": params["scale"]} if method == "shrink" else {}
        network = ufg_network(
            **common, n_nodes=graph.n_nodes, n_bands=transform.n_bands, variant=method, **options
        )
        context["transform"] = transform
    elif method == "gcn":
        network = gcn_network(**common)
        context["graph"] = graph
    else:
        network = mlp_network(**common)
    result = train_node_classifier(
        network,
        features,
        data.labels,
        train_mask=data.train_mask,
        val_mask=data.val_mask,
        test_mask=data.test_mask,
        context=context,
        n_epochs=params["n_epochs"],
        learning_rate=params["learning_rate"],
        weight_decay=params["weight_decay"],
        rng=key.child("train"),
    )
    out = {"val": result.val_accuracy, "test": result.test_accuracy, "best_epoch": result.best_epoch}
    if method == "shrink":
        out["nonzero_share"] = coefficient_shares(network, features, transform=transform)["conv1"]
    return out


def graph_classification(params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train one graph classifier on a random 80/10/10 split; the split depends on the seed alone."""
    collection: Any = datasets.load(params["dataset"])
    key = Key(seed).child("graph-classification")
    split = datasets.random_split(collection.n_graphs, (0.8, 0.1, 0.1), rng=key.child("split"))
    network = graph_classifier(
        n_in=collection.n_features(),
        n_hidden=params["hidden"],
        n_classes=collection.n_classes,
        pool=params["pool"],
        n_bands=params["levels"] + 1,
        dropout=params["dropout"],
        dtype=np.float32,
        rng=key.child("init"),
    )
    result = train_graph_classifier(
        network,
        collection,
        split=Split(*split),
        transform_options={"levels": params["levels"], "n_coefficients": params["n_coefficients"]},
        n_epochs=params["n_epochs"],
        batch_size=params["batch_size"],
        reshuffle=params["reshuffle"],
        learning_rate=params["learning_rate"],
        weight_decay=params["weight_decay"],
        rng=key.child("train"),
    )
    return {"val": result.val_accuracy, "test": result.test_accuracy, "best_epoch": result.best_epoch}


def tightness(params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Worst ``|sum of squared responses - 1|`` over a fine grid of the spectrum, for each number of coefficients."""
    grid = np.cos(np.linspace(0.0, np.pi, 20001)) + 1.0
    edge = Graph.from_edges(2, np.array([[0, 1]]))
    defects = []
    for n in params["n_coefficients"]:
        transform = FrameletTransform(
            edge, bank=params["bank"], levels=params["levels"], n_coefficients=n, lambda_max=2.0
        )
        defects.append(float(np.abs((transform.evaluate(grid) ** 2).sum(axis=0) - 1.0).max()))
    return {"n_coefficients": params["n_coefficients"], "defect": defects}


def exact_frame(params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Energy and reconstruction error of the exact transform of a random signal on a random weighted graph."""
    rng = Key(seed).child("exact-frame").generator()
    n_nodes = params["n_nodes"]
    edges = np.argwhere(np.triu(rng.random((n_nodes, n_nodes)) < params["density"], 1))
    graph = Graph.from_edges(n_nodes, edges, rng.random(len(edges)) + 0.1)
    x = rng.standard_normal((n_nodes, 3))
    out: dict[str, Any] = {}
    methods: tuple[Literal["exact", "chebyshev"], ...] = ("exact", "chebyshev")
    for method in methods:
        transform = FrameletTransform(graph, bank="haar", levels=2, n_coefficients=2, method=method)
        c = transform.analyze(x)
        out[method] = {
            "energy_error": float(abs((c**2).sum() / (x**2).sum() - 1.0)),
            "reconstruction_error": float(np.abs(transform.synthesize(c) - x).max() / np.abs(x).max()),
            "inverse_error": float(np.abs(transform.inverse(c) - x).max() / np.abs(x).max()),
            "pool_energy_error": float(np.abs((c**2).sum(axis=(0, 1)) / (x**2).sum(axis=0) - 1.0).max()),
        }
    return out


def denoising(params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Mean squared error before and after shrinkage of a noisy piecewise smooth signal, with its controls.

    The low-pass band alone is that of the same transform; a neighbour mean, ``x <- (x + D^-1 A x) / 2`` taken twice,
    needs no framelets at all.
    """
    rng = Key(seed).child("denoising").generator()
    points = datasets.random_geometric_graph(params["n_nodes"], mean_degree=12.0, rng=rng)
    clean = datasets.piecewise_smooth_signal(points.coordinates, n_pieces=params["n_pieces"], rng=rng)
    noisy = clean + params["noise_sd"] * rng.standard_normal(clean.shape)
    graph = Graph.from_scipy(points.adjacency)

    def error(estimate: np.ndarray) -> float:
        return float(np.mean((estimate - clean) ** 2))

    transform = FrameletTransform(graph, levels=params["levels"], n_coefficients="auto")
    result = denoise(graph, noisy, transform=transform)
    released = denoise(graph, noisy, levels=params["levels"], n_coefficients=2)
    bands = transform.analyze(noisy)
    bands[1:] = 0.0
    averaged = noisy
    for _ in range(2):
        neighbours = points.adjacency @ averaged / np.maximum(graph.degrees, 1.0)
        averaged = np.where(graph.degrees > 0, (averaged + neighbours) / 2, averaged)
    return {
        "noisy": error(noisy),
        "shrinkage": error(result.signal),
        "released_degree": error(released.signal),
        "low_pass_only": error(transform.synthesize(bands)),
        "neighbour_mean": error(averaged),
    }


def signal_compression(params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Relative error after keeping the largest share of framelet coefficients, against keeping the largest samples."""
    rng = Key(seed).child("compression").generator()
    points = datasets.random_geometric_graph(params["n_nodes"], mean_degree=12.0, rng=rng)
    signal = datasets.piecewise_smooth_signal(points.coordinates, n_pieces=params["n_pieces"], rng=rng)
    graph = Graph.from_scipy(points.adjacency)
    transform = FrameletTransform(graph, levels=2, n_coefficients="auto")
    errors, direct = [], []
    for share in params["shares"]:
        # shares count coefficients per sample of the signal, so that the redundancy of the frame is paid for
        keep = max(1, int(share * signal.size))
        n_coefficients = transform.n_bands * signal.size
        errors.append(
            compress(graph, signal, share=keep / n_coefficients, transform=transform).relative_error
        )
        largest = np.partition(np.abs(signal), signal.size - keep)[signal.size - keep]
        direct.append(
            float(np.linalg.norm(np.where(np.abs(signal) >= largest, 0.0, signal)) / np.linalg.norm(signal))
        )
    return {"shares": params["shares"], "framelets": errors, "samples": direct}


EXPERIMENTS = {
    "node_classification": node_classification,
    "graph_classification": graph_classification,
    "tightness": tightness,
    "exact_frame": exact_frame,
    "denoising": denoising,
    "signal_compression": signal_compression,
}
