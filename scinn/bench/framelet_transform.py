"""Analysis and synthesis of graph signals at equal reconstruction error, beside PyGSP, and beside the memory limit."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import numpy as np

from scinn import datasets
from scinn.bench.peers import csr_parts, run_peer
from scinn.bench.rows import Benchmark, Callback, Row, duration, size
from scinn.bench.timing import measure, one_thread, peak_memory, triad_bandwidth
from scinn.graphs import FrameletTransform, Graph

__all__ = ["FRAMELETS", "least_traffic", "run_framelets"]

_LEVELS, _DILATION = 2, 2.0
_N_SAMPLE = 500


class Case(NamedTuple):
    """A graph, how many signals, the frame defect that both sides must stay below, and whether nodes are reordered."""

    name: str
    adjacency: Any
    n_signals: int
    target: float
    n_repeats: int
    reorder: bool = False


def _cases(quick: bool) -> list[Case]:
    geometric = datasets.random_geometric_graph(10_000 if quick else 100_000, mean_degree=20, rng=0).adjacency
    name = f"geometric graph, {geometric.shape[0] // 1000} 000 nodes"
    cases = [Case(name, geometric, 16, 1e-6, 3), Case(name, geometric, 16, 1e-6, 3, reorder=True)]
    if datasets.available("cora"):
        cora: Any = datasets.load("cora")
        cases = [Case("Cora", cora.adjacency, 16, target, 10) for target in (1e-6, 1e-12)] + cases
    if not quick:
        cases += [Case(name, geometric, 1, 1e-6, 3), Case(name, geometric, 1, 1e-6, 3, reorder=True)]
        cases.append(Case("grid, 1000 x 1000 nodes", datasets.grid_graph(1000, 1000).adjacency, 1, 1e-6, 3))
        cases.append(Case("grid, 1000 x 1000 nodes", datasets.grid_graph(1000, 1000).adjacency, 16, 1e-6, 2))
    return cases


def least_traffic(transform: FrameletTransform, n_signals: int) -> int:
    """Return the bytes that analysis and synthesis must move at least, if nothing but the recurrence's rows is kept.

    Each product with the Laplacian reads its entries and indices once, and the rows of two terms of the recurrence, and
    writes one; each band is written once by the analysis and read once by the synthesis.
    """
    laplacian = transform.graph.laplacian()
    block = 8 * laplacian.shape[0] * n_signals
    matrix = laplacian.nnz * (8 + laplacian.indices.itemsize)
    n_products = transform.n_products
    return 2 * (n_products * (matrix + 3 * block) + transform.n_bands * block)


def _measure_case(case: Case, bandwidth: float) -> Row:
    graph, reordering = Graph.from_scipy(case.adjacency), 0.0
    if case.reorder:
        start = time.process_time()
        graph = graph.permuted(graph.bandwidth_order())
        reordering = time.process_time() - start
    transform = FrameletTransform(
        graph, levels=_LEVELS, dilation=_DILATION, n_coefficients="auto", tol=case.target
    )
    x = np.random.default_rng(0).standard_normal((graph.n_nodes, case.n_signals))
    coefficients = transform.analyze(x)
    analysis = measure(lambda: transform.analyze(x), n_repeats=case.n_repeats)
    synthesis = measure(lambda: transform.synthesize(coefficients), n_repeats=case.n_repeats)
    with one_thread():
        peak = peak_memory(lambda: transform.synthesize(transform.analyze(x)))
    error = float(np.abs(transform.synthesize(coefficients) - x).max() / np.abs(x).max())
    seconds = analysis.seconds + synthesis.seconds
    traffic = least_traffic(transform, case.n_signals)
    limit = traffic / bandwidth
    answer = run_peer(
        "pygsp_framelets",
        csr_parts("adjacency", graph.adjacency) | {"x": x},
        {
            "lambda_max": transform.lambda_max,
            "levels": _LEVELS,
            "dilation": _DILATION,
            "target": case.target,
            "n_repeats": case.n_repeats,
            "n_sample": _N_SAMPLE,
        },
    )
    numbers: dict[str, Any] = {
        "n_coefficients": transform.n_coefficients,
        "seconds_analyze": analysis.seconds,
        "seconds_synthesize": synthesis.seconds,
        "error": error,
        "peak_bytes": peak,
        "bytes": traffic,
        "limit_seconds": limit,
        "seconds_reordering": reordering,
    }
    note = (
        f"error {error:.0e}, {100 * limit / seconds:.0f} % of the memory limit ({size(traffic)} at least), "
        f"peak {size(peak)}"
    )
    if case.reorder:
        note = f"both on the graph in bandwidth order, which took {duration(reordering)} once; " + note
    where = case.name + (", reordered" if case.reorder else "")
    title = f"{where}, {case.n_signals} signal{'s' * (case.n_signals > 1)}, defect <= {case.target:.0e}"
    if not answer:
        return Row(title, seconds, "PyGSP", None, f"not run: {answer.reason}; {note}", numbers)
    info = answer.info
    sample = coefficients[:, :_N_SAMPLE]
    gap = float(np.abs(answer.arrays["coefficients"] - sample).max() / np.abs(sample).max())
    note += f"; PyGSP: order {info['order']}, error {info['error']:.0e}, peak {size(info['peak_bytes'])}"
    note += f"; coefficients differ by {gap:.0e}"
    theirs = info["seconds_analyze"] + info["seconds_synthesize"]
    peer = f"PyGSP {info['versions']['pygsp']}"
    return Row(title, seconds, peer, theirs, note, numbers | {"peer": info, "gap": gap})


def run_framelets(quick: bool, callback: Callback) -> list[Row]:
    """Time every case on both sides."""
    callback("framelets: memory bandwidth")
    bandwidth = triad_bandwidth(2_000_000 if quick else 20_000_000)
    rows = []
    for case in _cases(quick):
        callback(f"framelets: {case.name}, {case.n_signals} signals")
        rows.append(_measure_case(case, bandwidth))
    return rows


FRAMELETS = Benchmark(
    "framelets",
    "Framelet analysis and synthesis",
    "Haar, 2 levels, float64, one thread. Both sides use the fewest Chebyshev coefficients with which the frame is "
    "tight to the stated defect over the whole spectrum; PyGSP is given each band as one kernel and the same largest "
    "eigenvalue. The memory limit is the least traffic of the recurrence over the bandwidth of the STREAM triad.",
    run_framelets,
)
