"""Properties of what is built on the framelet transform: shrinkage, UFGConv, UFGPool, and the GCN baseline."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from scinn.verify.arrays import largest
from scinn.verify.cases import edge_list, framelet_options, graph_of
from scinn.verify.gradient import check_gradient
from scinn.verify.operators import check_tight_frame
from scinn.verify.registry import Property
from scinn.verify.result import CheckResult, verdict

__all__ = ["LAYER_PROPERTIES"]


def _case(seed: int, **fixed: Any) -> tuple[np.random.Generator, Any, Any]:
    """Return a generator, a graph, and a transform of it."""
    from scinn.graphs import FrameletTransform

    rng = np.random.default_rng(seed)
    graph = graph_of(edge_list(rng))
    options = {**framelet_options(rng), **fixed}
    if "method" not in options:
        options["n_coefficients"] = int(rng.integers(2, 7))
    return rng, graph, FrameletTransform(graph, **options)


def _soft(seed: int) -> CheckResult:
    from scinn.graphs import soft_threshold

    rng = np.random.default_rng(seed)
    t = float(rng.exponential())
    x, z = 3 * rng.standard_normal((2, 200))
    y = soft_threshold(x, t)
    closed = np.sign(x) * np.maximum(np.abs(x) - t, 0.0)
    excess = np.maximum(np.abs(y) - np.abs(x), 0.0)
    stretch = np.maximum(np.abs(y - soft_threshold(z, t)) - np.abs(x - z), 0.0)
    odd = soft_threshold(-x, t) + y
    edges = (soft_threshold(x, 0.0) - x, soft_threshold(x, np.inf))
    error = largest(y - closed, excess, stretch, odd, *edges)
    return verdict("soft threshold", error, 8e-15, f"t = {t}", x=x, z=z)


def _hard(seed: int) -> CheckResult:
    from scinn.graphs import hard_threshold

    rng = np.random.default_rng(seed)
    t = float(rng.exponential())
    x = np.append(3 * rng.standard_normal(200), [t, -t])
    y = hard_threshold(x, t)
    error = largest(y - np.where(np.abs(x) > t, x, 0.0), hard_threshold(-x, t) + y)
    return verdict("hard threshold", error, 0.0, f"t = {t}", x=x)


def _fewer_coefficients(seed: int) -> CheckResult:
    from scinn.graphs import UFGConv

    rng, graph, transform = _case(seed)
    n = graph.n_nodes
    x = rng.standard_normal((n, 3))
    counts, low = [], []
    for sigma in (0.0, 0.25, 0.5, 1.0, 2.0, 4.0):
        layer = UFGConv(
            3,
            2,
            n_bands=transform.n_bands,
            n_nodes=n,
            activation="shrink",
            shrinkage=str(np.random.default_rng(seed).choice(["soft", "hard"])),
            sigma=sigma,
            dtype=np.float64,
            rng=seed,
        )
        shrunk = layer.shrunk_coefficients(x, transform=transform)
        counts.append(np.count_nonzero(shrunk[1:]))
        low.append(shrunk[0])
    rise = largest(np.maximum(np.diff(counts), 0))
    error = largest(rise, np.stack(low) - low[0])
    return verdict("rise of the non-zeros with sigma, change of the low-pass", error, 0.0, counts=counts)


def _identity_convolution(seed: int) -> CheckResult:
    from scinn.graphs import UFGConv

    rng, graph, transform = _case(seed)
    f = int(rng.integers(1, 5))
    per_node = bool(rng.random() < 0.5)
    layer = UFGConv(
        f,
        f,
        n_bands=transform.n_bands,
        n_nodes=graph.n_nodes,
        activation=None,
        filter="node" if per_node else "band",
        dtype=np.float64,
        rng=seed,
    )
    layer.params["weight"][...] = np.eye(f)
    layer.params["filter"][...] = 1.0
    layer.params["bias"][...] = 0.0
    x = rng.standard_normal((graph.n_nodes, f))
    y = layer(x, transform=transform)
    frame = transform.synthesize(transform.analyze(x))
    bounds = check_tight_frame(transform, tol=10.0, rng=seed).values
    defect = max(1 - bounds["lower_bound"], bounds["upper_bound"] - 1)
    away = float(np.linalg.norm(y - x) / np.linalg.norm(x))
    error = largest(y - frame, np.maximum(0.0, away - 1.000001 * defect))
    return verdict("UFGConv with unit filters is the frame operator", error, 1e-12, x=x)


def _convolution_gradient(seed: int) -> CheckResult:
    from scinn.graphs import UFGConv

    rng, graph, transform = _case(seed)
    n_in, n_out = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    layer = UFGConv(
        n_in,
        n_out,
        n_bands=transform.n_bands,
        n_nodes=graph.n_nodes,
        activation=[None, "relu", "shrink", "shrink"][int(rng.integers(4))],
        filter=str(rng.choice(["node", "band"])),
        shrinkage=str(rng.choice(["soft", "hard"])),
        sigma=float(rng.uniform(0.1, 1.0)),
        scale=str(rng.choice(["none", "energy"])),
        pre_threshold=float(rng.uniform(0.0, 0.2)) if rng.random() < 0.2 else None,
        bias=bool(rng.random() < 0.8),
        dtype=np.float64,
        rng=seed,
    )
    x: Any = rng.standard_normal((graph.n_nodes, n_in))
    if rng.random() < 0.2:
        x = sparse.csr_array(np.where(rng.random(x.shape) < 0.5, x, 0.0))
    return check_gradient(layer, x, rng=seed, transform=transform)


def _every_filter_is_used(seed: int) -> CheckResult:
    from scinn.graphs import FrameletTransform, UFGConv

    rng = np.random.default_rng(seed)
    graph = graph_of(edge_list(rng, kind="weighted"))
    options = framelet_options(rng)
    transform = FrameletTransform(graph, **options, n_coefficients=6)
    n_filters = {"haar": 2, "linear": 3, "quadratic": 4}[options["bank"]]
    wanted = (n_filters - 1) * options["levels"] + 1
    layer = UFGConv(
        3, 2, n_bands=transform.n_bands, n_nodes=graph.n_nodes, activation=None, dtype=np.float64, rng=seed
    )
    y, saved = layer.forward(rng.standard_normal((graph.n_nodes, 3)), transform=transform)
    _, grads = layer.backward(saved, rng.standard_normal(y.shape))
    unused = int(np.sum(np.all(grads["filter"] == 0.0, axis=1)))
    error = abs(len(layer.params["filter"]) - wanted) + unused
    return verdict("filters without a gradient", error, 0.0, f"{wanted} bands wanted")


def _gcn_gradient(seed: int) -> CheckResult:
    from scinn.graphs import GCNConv

    rng, graph, _ = _case(seed)
    n_in, n_out = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    layer = GCNConv(n_in, n_out, bias=bool(rng.random() < 0.8), dtype=np.float64, rng=seed)
    x: Any = rng.standard_normal((graph.n_nodes, n_in))
    if rng.random() < 0.3:
        x = sparse.csr_array(np.where(rng.random(x.shape) < 0.5, x, 0.0))
    return check_gradient(layer, x, rng=seed, graph=graph)


def _batch(rng: np.random.Generator) -> tuple[list[Any], Any]:
    from scinn.graphs import Graph

    kinds = ["single", *(None for _ in range(int(rng.integers(1, 4))))]
    graphs = [graph_of(edge_list(rng, kind=kind, max_nodes=8)) for kind in kinds]
    return graphs, Graph.batch(graphs)


def _pool_gradient(seed: int) -> CheckResult:
    from scinn.graphs import FrameletTransform, UFGPool

    rng = np.random.default_rng(seed)
    _, batch = _batch(rng)
    transform = FrameletTransform(
        batch.graph, **framelet_options(rng), n_coefficients=int(rng.integers(2, 7))
    )
    layer = UFGPool(str(rng.choice(["sum", "spectrum"])))
    x = rng.standard_normal((batch.graph.n_nodes, int(rng.integers(1, 4))))
    return check_gradient(layer, x, rng=seed, transform=transform, node_ptr=batch.node_ptr)


def _spectrum_keeps_energy(seed: int) -> CheckResult:
    from scinn.graphs import UFGPool

    rng, graph, transform = _case(seed, method="exact")
    x = rng.standard_normal((graph.n_nodes, 3))
    readout = UFGPool("spectrum")(x, transform=transform, node_ptr=np.array([0, graph.n_nodes]))
    energy = readout.reshape(transform.n_bands, 3).sum(axis=0)
    return verdict(
        "sum of the spectrum over the energy, - 1", largest(energy / np.sum(x**2, axis=0) - 1), 1e-10, x=x
    )


def _sum_is_a_product(seed: int) -> CheckResult:
    from scinn.graphs import UFGPool

    rng, graph, transform = _case(seed)
    x = rng.standard_normal((graph.n_nodes, 2))
    readout = UFGPool("sum")(x, transform=transform, node_ptr=np.array([0, graph.n_nodes]))
    ones = transform.analyze(np.ones(graph.n_nodes))
    error = largest(
        readout.reshape(transform.n_bands, 2) - ones @ x,
        readout.reshape(transform.n_bands, 2) - transform.analyze(x).sum(axis=1),
    )
    return verdict("sum readout against <W 1, x>", error, 1e-10, x=x)


def _pool_ignores_order(seed: int) -> CheckResult:
    from scinn.graphs import FrameletTransform, UFGPool

    rng = np.random.default_rng(seed)
    graph = graph_of(edge_list(rng))
    options = {**framelet_options(rng), "n_coefficients": int(rng.integers(2, 7))}
    order = rng.permutation(graph.n_nodes)
    x = rng.standard_normal((graph.n_nodes, 2))
    node_ptr = np.array([0, graph.n_nodes])
    error = 0.0
    for mode in ("sum", "spectrum"):
        pool = UFGPool(mode)
        before = pool(x, transform=FrameletTransform(graph, **options), node_ptr=node_ptr)
        other = FrameletTransform(graph.permuted(order), **options)
        error = largest(error, pool(x[order], transform=other, node_ptr=node_ptr) - before)
    return verdict("readout after renumbering the nodes", error, 1e-10, x=x, order=order)


def _batch_is_a_loop(seed: int) -> CheckResult:
    from scinn.graphs import FrameletTransform, UFGPool

    rng = np.random.default_rng(seed)
    graphs, batch = _batch(rng)
    # One lambda_max for all: the bound 2 keeps a graph's readout independent of its neighbours in the batch.
    options = {**framelet_options(rng), "n_coefficients": int(rng.integers(2, 7)), "lambda_max": 2.0}
    x = rng.standard_normal((batch.graph.n_nodes, 2))
    together = FrameletTransform(batch.graph, **options)
    error = 0.0
    for mode in ("sum", "spectrum"):
        pool = UFGPool(mode)
        rows = pool(x, transform=together, node_ptr=batch.node_ptr)
        for row, graph, start in zip(rows, graphs, batch.node_ptr[:-1]):
            own = pool(
                np.ascontiguousarray(x[start : start + graph.n_nodes]),
                transform=FrameletTransform(graph, **options),
                node_ptr=np.array([0, graph.n_nodes]),
            )
            error = largest(error, row - own[0])
    return verdict("readout in a batch against alone", error, 1e-10, x=x)


_ROWS = (
    ("soft-threshold", "shrinkage", "Soft shrinkage is odd, shrinks, and is 1-Lipschitz.", _soft),
    ("hard-threshold", "shrinkage", "Hard shrinkage keeps what exceeds the threshold.", _hard),
    (
        "fewer-coefficients",
        "shrinkage",
        "Non-zeros fall as sigma grows, low-pass apart.",
        _fewer_coefficients,
    ),
    ("identity-convolution", "UFGConv", "Unit filters give the frame operator.", _identity_convolution),
    ("convolution-gradient", "UFGConv", "Both variants' gradients equal differences.", _convolution_gradient),
    ("every-filter-used", "UFGConv", "Only (R-1)L+1 bands have filters, all used.", _every_filter_is_used),
    ("gcn-gradient", "GCN baseline", "The GCN layer's gradient equals differences.", _gcn_gradient),
    ("pool-gradient", "UFGPool", "Both readouts' gradients equal differences.", _pool_gradient),
    ("spectrum-energy", "UFGPool", "The spectrum readout adds up to the energy.", _spectrum_keeps_energy),
    ("sum-product", "UFGPool", "The sum readout is <W 1, x>.", _sum_is_a_product),
    ("pool-order", "UFGPool", "Readouts do not depend on the node order.", _pool_ignores_order),
    ("batch-loop", "UFGPool", "A batch gives what its graphs give alone.", _batch_is_a_loop),
)

LAYER_PROPERTIES: tuple[Property, ...] = tuple(
    Property("framelets", name, theorem, text, run) for name, theorem, text, run in _ROWS
)
