"""Properties of the undecimated framelet transform.

X. Zheng, B. Zhou, J. Gao, Y. Wang, P. Lio, M. Li, G. Montufar, "How framelets enhance graph neural networks",
ICML 2021, and B. Dong, "Sparse representation on graphs by tight wavelet frames and applications", ACHA 2017.
The properties of the layers built on the transform are in :mod:`scinn.verify.framelet_layers`.
"""

from __future__ import annotations

import warnings
from math import comb
from typing import Any

import numpy as np
from scipy.special import jv

from scinn.verify.arrays import largest
from scinn.verify.cases import GRAPH_KINDS, edge_list, framelet_options, graph_of
from scinn.verify.operators import check_adjoint, check_tight_frame
from scinn.verify.registry import Property
from scinn.verify.result import CheckResult, verdict

__all__ = ["PROPERTIES"]

_SPLINE_ORDER = {"haar": 1, "linear": 2, "quadratic": 3}

#: Worst defect ``|sum g^2 - 1|`` over the spectrum, arrangement "up", dilation 2, as printed: value and half a
#: unit of its last digit, by (bank, levels) and number of coefficients.
_TABLE: dict[tuple[str, int], dict[int, tuple[float, float]]] = {
    ("haar", 1): {
        2: (0.275, 5e-4),
        3: (0.0249, 5e-5),
        4: (3.9e-3, 5e-5),
        5: (2.0e-4, 5e-6),
        6: (2.0e-5, 5e-7),
        8: (5.5e-8, 5e-10),
    },
    ("haar", 2): {
        2: (0.568, 5e-4),
        3: (0.0505, 5e-5),
        4: (5.8e-3, 5e-5),
        5: (4.0e-4, 5e-6),
        6: (3.0e-5, 5e-7),
        8: (8.5e-8, 5e-10),
    },
    ("haar", 3): {
        2: (0.960, 5e-4),
        3: (0.0766, 5e-5),
        4: (8.7e-3, 5e-5),
        5: (6.0e-4, 5e-6),
        6: (4.5e-5, 5e-7),
        8: (1.2e-7, 5e-9),
    },
    ("linear", 2): {
        2: (0.543, 5e-4),
        3: (0.306, 5e-4),
        4: (2.9e-2, 5e-4),
        5: (8.8e-3, 5e-5),
        6: (6.2e-4, 5e-6),
        8: (8.3e-6, 5e-8),
        12: (3.2e-10, 5e-12),
    },
    ("quadratic", 2): {
        2: (0.544, 5e-4),
        3: (0.477, 5e-4),
        4: (6.4e-2, 5e-4),
        # 0.0254947: three digits, since the two-digit 0.026 in circulation was rounded twice.
        5: (2.55e-2, 5e-5),
        6: (3.4e-3, 5e-5),
        8: (9.5e-5, 5e-7),
        12: (1.7e-8, 5e-10),
    },
}
#: From this number of coefficients on, the defect is below 1e-11.
_MACHINE_FROM = {"haar": 12, "linear": 16, "quadratic": 16}


def _spline_filters(order: int, x: np.ndarray) -> np.ndarray:
    """Return ``sqrt(binom(m, r)) cos^(m-r)(x/2) sin^r(x/2)`` for r = 0..m, shape (m + 1, *x.shape)."""
    c, s = np.cos(x / 2), np.sin(x / 2)
    return np.stack([np.sqrt(comb(order, r)) * c ** (order - r) * s**r for r in range(order + 1)])


def _responses(options: dict[str, Any], eigenvalues: np.ndarray, lambda_max: float) -> np.ndarray:
    """Return the exact response of every band, low-pass first, shape (n_bands, n_eigenvalues)."""
    xi = np.pi * eigenvalues / lambda_max if lambda_max > 0 else np.zeros_like(eigenvalues)
    return _cascade(options, xi, lambda z: _spline_filters(_SPLINE_ORDER[options["bank"]], z))


def _cascade(options: dict[str, Any], xi: np.ndarray, filters: Any) -> np.ndarray:
    levels, dilation = options["levels"], options["dilation"]
    low = np.ones_like(xi)
    details: dict[tuple[int, int], np.ndarray] = {}
    for level in range(1, levels + 1):
        power = level - levels if options["arrangement"] == "up" else 1 - level
        values = filters(dilation**power * xi)
        for r in range(1, len(values)):
            details[r, level] = values[r] * low
        low = values[0] * low
    return np.stack([low, *(details[key] for key in sorted(details))])


def _defect(bank: str, levels: int, coefficients: np.ndarray) -> float:
    """Return the worst ``|sum g^2 - 1|`` of a Chebyshev cascade on a fine grid of the spectrum."""
    halved = coefficients.copy()
    halved[:, 0] /= 2
    xi = np.linspace(0.0, np.pi, 4001)
    options = {"levels": levels, "dilation": 2.0, "arrangement": "up"}
    bands = _cascade(options, xi, lambda z: np.polynomial.chebyshev.chebval(2 * z / np.pi - 1, halved.T))
    return largest(np.sum(bands**2, axis=0) - 1)


def _transform_of(graph: Any, options: dict[str, Any], **more: Any) -> Any:
    """Return the transform that some options describe."""
    from scinn.graphs import FrameletTransform

    return FrameletTransform(graph, **{**options, **more})


def _draw(seed: int, *, kind: str | None = None) -> tuple[np.random.Generator, Any, dict[str, Any]]:
    """Return a generator, a graph and the options of a transform."""
    rng = np.random.default_rng(seed)
    drawn = edge_list(rng, kind=kind or str(rng.choice(GRAPH_KINDS)))
    return rng, graph_of(drawn), framelet_options(rng)


def _case_of(graph: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Return what a reader needs to build the case."""
    upper = graph.adjacency.tocoo()
    keep = upper.coords[0] < upper.coords[1]
    edges = np.stack([upper.coords[0][keep], upper.coords[1][keep]], axis=1)
    return {"n_nodes": graph.n_nodes, "edges": edges, "weights": upper.data[keep], "options": options}


# Filter banks


def _partition_of_unity(seed: int) -> CheckResult:
    from scinn.graphs import FilterBank

    rng = np.random.default_rng(seed)
    banks = [FilterBank.haar(), FilterBank.linear(), FilterBank.quadratic()]
    banks += [FilterBank.spline(int(rng.integers(1, 7))), FilterBank.sigmoid(rng.uniform(1, 40))]
    banks += [FilterBank.entropy(1.0 - rng.random())]
    x = np.concatenate([[0.0, np.pi / 2, np.pi], rng.uniform(0, np.pi, 500)])
    errors = {repr(bank): largest(np.sum(bank.evaluate(x) ** 2, axis=0) - 1) for bank in banks}
    worst = list(errors)[int(np.argmax(list(errors.values())))]
    return verdict("sum of squared filters - 1", errors[worst], 2e-15, worst)


def _mirror_law(seed: int) -> CheckResult:
    from scinn.graphs import FilterBank

    rng = np.random.default_rng(seed)
    banks = [FilterBank.spline(m) for m in range(1, 7)]
    banks += [FilterBank.sigmoid(rng.uniform(1, 40)), FilterBank.entropy(1.0 - rng.random())]
    x = rng.uniform(0, np.pi, 500)
    errors = {repr(bank): largest(bank.evaluate(x)[::-1] - bank.evaluate(np.pi - x)) for bank in banks}
    worst = list(errors)[int(np.argmax(list(errors.values())))]
    return verdict("b[R-1-r](x) - b[r](pi - x)", errors[worst], 1e-12, worst)


def _spline_formula(seed: int) -> CheckResult:
    from scinn.graphs import FilterBank

    x = np.random.default_rng(seed).uniform(0, np.pi, 400)
    root = np.sqrt(3.0)
    c, s = np.cos(x / 2), np.sin(x / 2)
    named = {
        "haar": [c, s],
        "linear": [c**2, np.sin(x) / np.sqrt(2), s**2],
        "quadratic": [c**3, root * s * c**2, root * s**2 * c, s**3],
    }
    error = largest(*(FilterBank.spline(m).evaluate(x) - _spline_filters(m, x) for m in range(1, 7)))
    for name, filters in named.items():
        error = largest(error, FilterBank.from_name(name).evaluate(x) - np.stack(filters))
    return verdict("spline banks against their formulas", error, 4e-15)


# Chebyshev coefficients


def _cosine(p: float, n: int) -> np.ndarray:
    beta, k = p * np.pi / 2, np.arange(n)
    sign = (-1.0) ** (k // 2)
    return np.where(k % 2 == 0, 2 * sign * np.cos(beta), -2 * sign * np.sin(beta)) * jv(k, beta)


def _sine(p: float, n: int) -> np.ndarray:
    beta, k = p * np.pi / 2, np.arange(n)
    sign = (-1.0) ** (k // 2)
    return np.where(k % 2 == 0, 2 * sign * np.sin(beta), 2 * sign * np.cos(beta)) * jv(k, beta)


def _closed_forms(n: int) -> dict[str, np.ndarray]:
    one = np.zeros(n)
    one[0] = 2.0
    c1, c3, s1, s3 = _cosine(0.5, n), _cosine(1.5, n), _sine(0.5, n), _sine(1.5, n)
    root = np.sqrt(3.0)
    quadratic = [(3 * c1 + c3) / 4, root * (s1 + s3) / 4, root * (c1 - c3) / 4, (3 * s1 - s3) / 4]
    cos1, sin1 = _cosine(1.0, n), _sine(1.0, n)
    return {
        "haar": np.stack([c1, s1]),
        "linear": np.stack([(one + cos1) / 2, sin1 / np.sqrt(2), (one - cos1) / 2]),
        "quadratic": np.stack(quadratic),
    }


def _bessel_coefficients(seed: int) -> CheckResult:
    from scinn.graphs import FilterBank

    n = int(np.random.default_rng(seed).integers(1, 41))
    angles = np.linspace(0.0, np.pi, 500)
    weights = np.full(500, 2 / 499)
    weights[[0, -1]] /= 2
    cosines = np.cos(np.outer(np.arange(n), angles)) * weights
    error = 0.0
    for name, closed in _closed_forms(n).items():
        bank = FilterBank.from_name(name)
        trapezoid = bank.evaluate(np.pi / 2 * (1 + np.cos(angles))) @ cosines.T
        error = largest(error, bank.chebyshev(n) - closed, trapezoid - closed)
    return verdict(
        "Chebyshev coefficients against Bessel forms and the trapezoid rule", error, 1e-13, f"n = {n}"
    )


def _printed_coefficients(seed: int) -> CheckResult:
    from scinn.graphs import FilterBank

    n = 2 + seed % 5
    low = np.array([1.2044, -0.5136, -0.1035, 0.0137, 0.00136, -0.000107])[:n]
    unit = np.array([1e-4, 1e-4, 1e-4, 1e-4, 1e-5, 1e-6])[:n] / 2
    signs = (-1.0) ** np.arange(n)
    gap = np.abs(FilterBank.haar().chebyshev(n) - np.stack([low, signs * low])) / unit
    return verdict("Haar coefficients in half units of the last printed digit", largest(gap), 1.01)


# Exact transform


def _exact_tight_frame(seed: int) -> CheckResult:
    rng, graph, options = _draw(seed)
    options["levels"] = int(rng.integers(1, 6))
    transform = _transform_of(graph, options, method="exact")
    return check_tight_frame(transform, rng=seed)


def _parseval(seed: int) -> CheckResult:
    rng, graph, options = _draw(seed)
    transform = _transform_of(graph, options, method="exact")
    x = rng.standard_normal((graph.n_nodes, 3))
    c = transform.analyze(x)
    energy = abs(np.sum(c**2) / np.sum(x**2) - 1)
    error = largest(energy, transform.synthesize(c) - x, transform.inverse(c) - x)
    return verdict("energy and reconstruction", error, 1e-10, **_case_of(graph, options), x=x)


def _arrangements_share_low_pass(seed: int) -> CheckResult:
    rng, graph, options = _draw(seed)
    x = rng.standard_normal(graph.n_nodes)
    low = [
        _transform_of(graph, {**options, "arrangement": name}, method="exact").analyze(x)[0]
        for name in ("up", "down")
    ]
    return verdict(
        "low-pass, up against down", largest(low[0] - low[1]), 1e-12, **_case_of(graph, options), x=x
    )


def _haar_low_pass(seed: int) -> CheckResult:
    rng, graph, options = _draw(seed)
    options.update(bank="haar", dilation=2.0)
    levels = options["levels"]
    eigenvalues, vectors = graph.spectrum(options["isolated"])
    lambda_max = graph.lambda_max(isolated=options["isolated"])
    xi = np.pi * eigenvalues / lambda_max if lambda_max > 0 else 0 * eigenvalues
    small = xi < 1e-6
    closed = np.where(small, 1.0, np.sin(xi) / (2**levels * np.sin(np.where(small, 1.0, xi) / 2**levels)))
    x = rng.standard_normal(graph.n_nodes)
    wanted = vectors @ (closed * (vectors.T @ x))
    got = _transform_of(graph, options, method="exact").analyze(x)[0]
    return verdict(
        "Haar low-pass against its closed form", largest(got - wanted), 1e-9, **_case_of(graph, options)
    )


# Chebyshev transform


def _chebyshev_error_bound(seed: int) -> CheckResult:
    from scinn.graphs import FilterBank

    rng, graph, options = _draw(seed)
    n = int(rng.integers(2, 13))
    bank = FilterBank.from_name(options["bank"])
    coefficients = bank.chebyshev(n)
    coefficients[:, 0] /= 2
    grid = np.linspace(0.0, np.pi, 1001)
    series = np.polynomial.chebyshev.chebval(2 * grid / np.pi - 1, coefficients.T)
    error = largest(series - bank.evaluate(grid))
    x = rng.standard_normal(graph.n_nodes)
    gap = _transform_of(graph, options, n_coefficients=n).analyze(x)
    gap = gap - _transform_of(graph, options, method="exact").analyze(x)
    # |g_1 .. g_l - h_1 .. h_l| <= (1 + e)^l - 1 for factors |h| <= 1 with errors of at most e.
    bound = (1 + error) ** options["levels"] - 1 + 1e-13
    norms = np.linalg.norm(gap, axis=1)
    worst = largest(norms) / (bound * np.linalg.norm(x))
    return verdict("error over the sum of the filters' errors", worst, 1.01, **_case_of(graph, options), n=n)


def _tightness_table(seed: int) -> CheckResult:
    from scinn.graphs import FilterBank

    worst, where = 0.0, ""
    for (bank, levels), rows in _TABLE.items():
        filters = FilterBank.from_name(bank)
        for n, (printed, half_unit) in rows.items():
            gap = abs(_defect(bank, levels, filters.chebyshev(n)) - printed) / half_unit
            if not gap <= worst:
                worst, where = gap, f"{bank}, {levels} levels, n = {n}: printed {printed}"
        n = int(np.random.default_rng(seed).integers(_MACHINE_FROM[bank], 25))
        beyond = _defect(bank, levels, filters.chebyshev(n)) / 1e-11
        if not beyond <= worst:
            worst, where = (
                beyond,
                f"{bank}, {levels} levels, n = {n}: {beyond * 1e-11:.3g}, wanted below 1e-11",
            )
    return verdict("tightness defect in half units of the last printed digit", worst, 1.01, where)


def _defect_within_table(seed: int) -> CheckResult:
    rng, graph, _ = _draw(seed)
    bank, levels = list(_TABLE)[int(rng.integers(len(_TABLE)))]
    n = int(rng.choice(list(_TABLE[bank, levels])))
    printed, half_unit = _TABLE[bank, levels][n]
    options = {"bank": bank, "levels": levels, "dilation": 2.0, "arrangement": "up", "isolated": "one"}
    transform = _transform_of(graph, options, n_coefficients=n)
    bounds = check_tight_frame(transform, tol=10.0, rng=seed).values
    defect = max(1 - bounds["lower_bound"], bounds["upper_bound"] - 1)
    limit = 1.01 * (printed + half_unit) + 1e-13
    return verdict("defect over the table's", defect / limit, 1.0, **_case_of(graph, options), n=n)


def _defect_falls(seed: int) -> CheckResult:
    from scinn.graphs import FilterBank

    rng = np.random.default_rng(seed)
    bank, levels = str(rng.choice(list(_SPLINE_ORDER))), int(rng.integers(1, 4))
    filters = FilterBank.from_name(bank)
    defects = np.array([_defect(bank, levels, filters.chebyshev(n)) for n in range(4, 21)])
    rise = largest(np.maximum(defects[1:] - np.maximum(defects[:-1], 1e-13), 0.0))
    return verdict(
        "rise of the defect from n to n + 1", rise, 0.0, f"{bank}, {levels} levels", defects=defects
    )


def _three_ways(seed: int) -> CheckResult:
    rng, graph, options = _draw(seed)
    n = int(rng.integers(24, 33))
    lambda_max = graph.lambda_max(isolated=options["isolated"])
    eigenvalues, vectors = graph.spectrum(options["isolated"])
    transform = _transform_of(graph, options, n_coefficients=n)
    x = rng.standard_normal((graph.n_nodes, 2))
    matrix_free = transform.analyze(x)
    columns = transform.analyze(np.eye(graph.n_nodes))
    materialised = np.einsum("bij,jf->bif", columns, x)
    spectral = _responses(options, eigenvalues, lambda_max)
    wanted = np.stack([vectors @ (g[:, None] * (vectors.T @ x)) for g in spectral])
    error = largest(matrix_free - materialised, matrix_free - wanted)
    return verdict("matrix-free, materialised, eigen", error, 1e-11, f"n = {n}", **_case_of(graph, options))


# Structure


def _method(rng: np.random.Generator) -> dict[str, Any]:
    exact = {"method": "exact"}
    return (
        exact if rng.random() < 0.3 else {"method": "chebyshev", "n_coefficients": int(rng.integers(1, 13))}
    )


def _permutation(seed: int) -> CheckResult:
    rng, graph, options = _draw(seed)
    options.update(_method(rng))
    order = rng.permutation(graph.n_nodes)
    x = rng.standard_normal((graph.n_nodes, 2))
    before = _transform_of(graph, options).analyze(x)[:, order]
    after = _transform_of(graph.permuted(order), options).analyze(x[order])
    return verdict("W(P L P') P x - P W(L) x", largest(after - before), 1e-11, **_case_of(graph, options))


def _symmetry(seed: int) -> CheckResult:
    rng, graph, options = _draw(seed)
    options.update(_method(rng))
    columns = _transform_of(graph, options).analyze(np.eye(graph.n_nodes))
    error = largest(columns - columns.transpose(0, 2, 1))
    return verdict("W - W' for every band", error, 1e-12, **_case_of(graph, options))


def _adjoint(seed: int) -> CheckResult:
    rng, graph, options = _draw(seed)
    options.update(_method(rng))
    shape = (graph.n_nodes,) if rng.random() < 0.5 else (graph.n_nodes, int(rng.integers(1, 20)))
    return check_adjoint(_transform_of(graph, options), domain_shape=shape, rng=seed)


def _exact_inverse(seed: int) -> CheckResult:
    rng, graph, options = _draw(seed)
    n = int(rng.integers(2, 9))
    transform = _transform_of(graph, options, n_coefficients=n)
    x = rng.standard_normal((graph.n_nodes, 2))
    error = largest(transform.inverse(transform.analyze(x)) - x)
    return verdict("inverse(analyze(x)) - x", error, 1e-8, f"n = {n}", **_case_of(graph, options))


def _eigenvector(seed: int) -> CheckResult:
    rng, graph, options = _draw(seed)
    eigenvalues, vectors = graph.spectrum(options["isolated"])
    lambda_max = graph.lambda_max(isolated=options["isolated"])
    position = int(rng.integers(graph.n_nodes))
    got = _transform_of(graph, options, method="exact").analyze(vectors[:, position])
    g = _responses(options, eigenvalues[position : position + 1], lambda_max)
    error = largest(got - g * vectors[:, position])
    return verdict("W u - g(lambda) u", error, 1e-10, **_case_of(graph, options), position=position)


def _components(seed: int) -> CheckResult:
    from scinn.graphs import Graph

    rng, first, options = _draw(seed)
    second = graph_of(edge_list(rng))
    options.update(_method(rng))
    joined = Graph.batch([first, second]).graph
    x = rng.standard_normal(joined.n_nodes)
    x[first.n_nodes :] = 0.0
    leaked = _transform_of(joined, options).analyze(x)[:, first.n_nodes :]
    return verdict(
        "coefficients in a component without signal", largest(leaked), 1e-12, **_case_of(joined, options)
    )


def _isolated_node(seed: int) -> CheckResult:
    rng, _, options = _draw(seed)
    drawn = edge_list(rng, kind="path")
    graph = graph_of(drawn._replace(n_nodes=drawn.n_nodes + 1))
    frequency = 1.0 if options["isolated"] == "one" else 0.0
    lambda_max = graph.lambda_max(isolated=options["isolated"])
    x = np.zeros(graph.n_nodes)
    x[-1] = rng.standard_normal()
    got = _transform_of(graph, options, method="exact").analyze(x)
    wanted = np.zeros_like(got)
    wanted[:, -1] = _responses(options, np.array([frequency]), lambda_max)[:, 0] * x[-1]
    return verdict("isolated node - g x", largest(got - wanted), 1e-11, **_case_of(graph, options))


def _root_degree(seed: int) -> CheckResult:
    _, graph, options = _draw(seed, kind=str(np.random.default_rng(seed + 1).choice(GRAPH_KINDS[:7])))
    x = np.sqrt(graph.degrees)
    x = x / max(np.linalg.norm(x), 1.0)
    exact = _transform_of(graph, options, method="exact").analyze(x)
    error = largest(exact[1:], exact[0] - x)
    default = {"bank": "haar", "levels": 1, "n_coefficients": 2}
    leak = _transform_of(graph, default).analyze(x)[1]
    # cos and sin of x/2 at 0 through two coefficients: 0.6022 -+ 0.5136.
    error = largest(error, max(0.0, float(np.max(np.abs(leak - 0.0886 * x))) - 1e-4))
    return verdict("detail of sqrt(degree)", error, 1e-12, **_case_of(graph, options))


def _scale_freedom(seed: int) -> CheckResult:
    from scinn.graphs import Graph

    rng, graph, options = _draw(seed)
    options.update(_method(rng))
    factor = float(2.0 ** rng.integers(-6, 7)) * (1 + rng.random())
    x = rng.standard_normal(graph.n_nodes)
    scaled = Graph.from_scipy(graph.adjacency * factor)
    gap = _transform_of(scaled, options).analyze(x) - _transform_of(graph, options).analyze(x)
    lambda_max = graph.lambda_max(isolated=options["isolated"])
    error = largest(gap)
    if lambda_max > 0:
        wide = lambda_max * (1 + rng.random())
        exact = {**options, "method": "exact"}
        exact.pop("n_coefficients", None)
        eigenvalues, vectors = graph.spectrum(options["isolated"])
        g = _responses(options, eigenvalues, wide)
        wanted = np.stack([vectors @ (row * (vectors.T @ x)) for row in g])
        error = largest(error, _transform_of(graph, exact, lambda_max=wide).analyze(x) - wanted)
    return verdict("change under scaling", error, 1e-10, **_case_of(graph, options), factor=factor)


def _lambda_max_matters_little(seed: int) -> CheckResult:
    rng, graph, options = _draw(seed)
    options.update(n_coefficients=int(rng.integers(2, 13)))
    lambda_max = graph.lambda_max(isolated=options["isolated"])
    if lambda_max == 0:
        return verdict("change of the output", 0.0, 1e-3, "no frequencies")
    x = rng.standard_normal(graph.n_nodes)
    x /= np.linalg.norm(x)
    exact = _transform_of(graph, options, lambda_max=lambda_max).analyze(x)
    moved = _transform_of(graph, options, lambda_max=lambda_max * (1 + 1e-5)).analyze(x)
    return verdict("change for 1e-5 in lambda_max", largest(moved - exact), 1e-3, **_case_of(graph, options))


def _lambda_max_too_small(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    graph = graph_of(edge_list(rng, kind=str(rng.choice(["path", "star"]))))
    options = framelet_options(rng)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            _transform_of(graph, options, lambda_max=1.0, n_coefficients=12).analyze(np.ones(graph.n_nodes))
        except (ValueError, UserWarning):
            return verdict("lambda_max = 1 on a bipartite graph is refused", 0.0, 0.0)
    return verdict("lambda_max = 1 on a bipartite graph is refused", np.inf, 0.0, **_case_of(graph, options))


def _worked_example(seed: int) -> CheckResult:
    from scinn.graphs import Graph

    graph = Graph.from_edges(3, [(0, 1), (1, 2)])
    x = np.array([1.0, 2.0, 4.0])
    low = [0.9771846, 2.7677670, 2.9370290]
    up = [low, [-0.1901417, -0.5428932, 0.9579086], [-0.5960387, -0.5428932, 1.3638057]]
    down = [low, [-0.5177670, -0.7677670, 1.6035534], [-0.4058971, 0.0, 0.4058971]]
    coarse = [
        [1.6897249, 3.4050696, 3.2415938],
        [-0.0178057, -0.2172054, 1.0183406],
        [-0.2177261, -0.2423621, 1.3341428],
    ]
    options = {"bank": "haar", "levels": 2, "dilation": 2.0}
    error = largest(
        _transform_of(graph, options, method="exact", arrangement="up").analyze(x) - up,
        _transform_of(graph, options, method="exact", arrangement="down").analyze(x) - down,
    )
    transform = _transform_of(graph, options, n_coefficients=2)
    c = transform.analyze(x)
    again = transform.synthesize(c) - [2.5301332, 3.7119683, 4.4935310]
    # Printed with seven digits; the published code integrates its coefficients to about 1e-7.
    error = largest(error, c - coarse, again)
    return verdict("path of three nodes against the printed values", error, 1.5e-7)


def _all() -> tuple[Property, ...]:
    from scinn.verify.framelet_layers import LAYER_PROPERTIES

    bank, tight = "filter bank identity", "tight frame from the partition of unity"
    series, table = "Chebyshev expansion", "tightness defect of the Chebyshev transform"
    graph_theory = "spectral definition of the transform"
    rows = [
        ("partition-of-unity", bank, "The squared filters of every bank add up to one.", _partition_of_unity),
        ("mirror-law", bank, "b[R-1-r](x) = b[r](pi - x) for every bank.", _mirror_law),
        (
            "spline-formula",
            bank,
            "Spline banks of order 1 to 6 are binomial cos-sin products.",
            _spline_formula,
        ),
        (
            "bessel-coefficients",
            series,
            "Coefficients equal their Bessel closed forms.",
            _bessel_coefficients,
        ),
        (
            "printed-coefficients",
            series,
            "The first Haar coefficients equal the digits in this module's table.",
            _printed_coefficients,
        ),
        ("exact-tight-frame", tight, "W' W = I for any graph, dilation and arrangement.", _exact_tight_frame),
        ("parseval", tight, "Energy is kept and the signal is rebuilt.", _parseval),
        (
            "shared-low-pass",
            graph_theory,
            "Both arrangements share the low-pass.",
            _arrangements_share_low_pass,
        ),
        ("haar-low-pass", graph_theory, "Haar's low-pass is sin(xi) / (2^L sin(xi / 2^L)).", _haar_low_pass),
        (
            "chebyshev-error",
            series,
            "The error is at most the filters' errors added up.",
            _chebyshev_error_bound,
        ),
        ("tightness-table", table, "The defect has the values of this module's table.", _tightness_table),
        ("defect-on-graphs", table, "No graph exceeds the defect in that table.", _defect_within_table),
        ("defect-falls", table, "The defect falls from n = 4 to rounding.", _defect_falls),
        ("three-ways", series, "Matrix-free = materialised = eigen-decomposition.", _three_ways),
        ("permutation", graph_theory, "Renumbering nodes renumbers coefficients.", _permutation),
        ("symmetry", graph_theory, "Every band is a symmetric operator.", _symmetry),
        ("adjoint", graph_theory, "Synthesis is the exact adjoint for every degree.", _adjoint),
        (
            "inverse",
            "positive definite frame operator",
            "The inverse rebuilds for every degree.",
            _exact_inverse,
        ),
        ("eigenvector", graph_theory, "An eigenvector is multiplied by the response.", _eigenvector),
        ("components", graph_theory, "Components of a graph never mix.", _components),
        ("isolated-node", graph_theory, "An isolated node is multiplied by g.", _isolated_node),
        ("sqrt-degree", graph_theory, "sqrt(degree) has no detail (at n = 2: 0.0886 of it).", _root_degree),
        ("scale-freedom", graph_theory, "Only the ratio to lambda_max matters.", _scale_freedom),
        ("lambda-max", series, "A slightly wrong lambda_max changes little.", _lambda_max_matters_little),
        ("lambda-max-refused", series, "A lambda_max inside the spectrum is refused.", _lambda_max_too_small),
        (
            "worked-example",
            graph_theory,
            "A path of three nodes gives its known coefficients.",
            _worked_example,
        ),
    ]
    own = tuple(Property("framelets", name, theorem, text, run) for name, theorem, text, run in rows)
    return own + LAYER_PROPERTIES


PROPERTIES: tuple[Property, ...] = _all()
