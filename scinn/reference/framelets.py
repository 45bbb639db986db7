"""Undecimated framelets by their definition: dense matrices, an eigen-decomposition, loops.

``laplacian`` is a dense symmetric matrix throughout. ``filters`` are functions on [0, pi], the low-pass first. The
bands come in the order (0, levels), (1, 1), ..., (1, levels), (2, 1), ...
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

__all__ = [
    "analyze",
    "bank_filters",
    "chebyshev_coefficients",
    "chebyshev_operators",
    "exact_operators",
    "level_factor",
    "normalized_laplacian",
    "synthesize",
]

Filter = Callable[[float], float]


def normalized_laplacian(adjacency: np.ndarray, isolated: str = "one") -> np.ndarray:
    """Return I - D^(-1/2) A D^(-1/2), entry by entry, with self loops ignored."""
    n = len(adjacency)
    weights = np.array(adjacency, dtype=np.float64)
    np.fill_diagonal(weights, 0.0)
    degrees = [sum(weights[i]) for i in range(n)]
    laplacian = np.zeros((n, n))
    for i in range(n):
        laplacian[i, i] = 1.0 if degrees[i] > 0 or isolated == "one" else 0.0
        for j in range(n):
            if i != j and weights[i, j] != 0:
                laplacian[i, j] = -weights[i, j] / math.sqrt(degrees[i] * degrees[j])
    return laplacian


def bank_filters(name: str, parameter: float | None = None) -> list[Filter]:
    """Return the filters of a bank as printed; ``parameter`` is the order of "spline", alpha of the quasi-framelets."""
    if name == "haar":
        return [lambda x: math.cos(x / 2), lambda x: math.sin(x / 2)]
    if name == "linear":
        return [
            lambda x: math.cos(x / 2) ** 2,
            lambda x: math.sin(x) / math.sqrt(2),
            lambda x: math.sin(x / 2) ** 2,
        ]
    if name == "quadratic":
        return [
            lambda x: math.cos(x / 2) ** 3,
            lambda x: math.sqrt(3) * math.sin(x / 2) * math.cos(x / 2) ** 2,
            lambda x: math.sqrt(3) * math.sin(x / 2) ** 2 * math.cos(x / 2),
            lambda x: math.sin(x / 2) ** 3,
        ]
    if name == "spline":
        m = int(parameter or 1)
        return [
            lambda x, r=r: (  # type: ignore[misc]
                math.sqrt(math.comb(m, r)) * math.cos(x / 2) ** (m - r) * math.sin(x / 2) ** r
            )
            for r in range(m + 1)
        ]
    if name == "sigmoid":
        alpha = 20.0 if parameter is None else parameter
        return [
            lambda x: math.sqrt(1 - 1 / (1 + math.exp(-alpha * (x / math.pi - 0.5)))),
            lambda x: math.sqrt(1 / (1 + math.exp(-alpha * (x / math.pi - 0.5)))),
        ]
    alpha = 0.5 if parameter is None else parameter

    def share(x: float) -> float:
        t = x / math.pi
        return 1 - 4 * alpha * t + 4 * alpha * t * t

    return [
        lambda x: math.sqrt(max(share(x), 0.0)) if x / math.pi <= 0.5 else 0.0,
        lambda x: math.sqrt(max(1 - share(x), 0.0)),
        lambda x: math.sqrt(max(share(x), 0.0)) if x / math.pi > 0.5 else 0.0,
    ]


def chebyshev_coefficients(function: Filter, n: int, points: int = 500) -> np.ndarray:
    """Return c_k = (2/pi) int_0^pi cos(k t) f(pi/2 (1 + cos t)) dt by the trapezoid rule of the authors' code."""
    angles = [math.pi * j / (points - 1) for j in range(points)]
    coefficients = np.zeros(n)
    for k in range(n):
        values = [math.cos(k * t) * function(math.pi / 2 * (1 + math.cos(t))) for t in angles]
        inner = sum(values[1:-1]) + (values[0] + values[-1]) / 2
        coefficients[k] = 2 / math.pi * inner * (math.pi / (points - 1))
    return coefficients


def level_factor(level: int, levels: int, dilation: float, arrangement: str) -> float:
    """Return what the scaled frequency is multiplied with at a level."""
    return dilation ** (level - levels) if arrangement == "up" else dilation ** (1 - level)


def exact_operators(
    laplacian: np.ndarray,
    filters: Sequence[Filter],
    levels: int,
    dilation: float = 2.0,
    arrangement: str = "up",
    lambda_max: float | None = None,
) -> np.ndarray:
    """Return the matrices U diag(g) U^T of all bands, shape (n_bands, n_nodes, n_nodes)."""
    eigenvalues, vectors = np.linalg.eigh(laplacian)
    eigenvalues = np.clip(eigenvalues, 0.0, None)
    top = float(eigenvalues[-1]) if lambda_max is None else lambda_max
    low = np.ones(len(eigenvalues))
    high: dict[tuple[int, int], np.ndarray] = {}
    for level in range(1, levels + 1):
        z = [
            level_factor(level, levels, dilation, arrangement)
            * (min(math.pi * value / top, math.pi) if top > 0 else 0.0)
            for value in eigenvalues
        ]
        for r in range(1, len(filters)):
            high[r, level] = np.array([filters[r](point) for point in z]) * low
        low = np.array([filters[0](point) for point in z]) * low
    order = [(r, level) for r in range(1, len(filters)) for level in range(1, levels + 1)]
    return np.stack([vectors @ np.diag(g) @ vectors.T for g in [low, *(high[band] for band in order)]])


def chebyshev_operators(
    laplacian: np.ndarray,
    coefficients: np.ndarray,
    levels: int,
    dilation: float = 2.0,
    arrangement: str = "up",
    lambda_max: float = 2.0,
) -> np.ndarray:
    """Return the matrices of all bands of the Chebyshev cascade, materialised level by level.

    ``coefficients`` has shape (R, n), the first column not halved.
    """
    n_nodes = len(laplacian)
    n_filters, n = coefficients.shape
    low = np.eye(n_nodes)
    high: dict[tuple[int, int], np.ndarray] = {}
    for level in range(1, levels + 1):
        factor = level_factor(level, levels, dilation, arrangement)
        scaled = factor * (math.pi / lambda_max if lambda_max > 0 else 0.0) * laplacian
        terms = [low, scaled @ low / (math.pi / 2) - low]
        while len(terms) < n:
            terms.append(2 * (scaled @ terms[-1] / (math.pi / 2) - terms[-1]) - terms[-2])
        blocks = []
        for r in range(n_filters):
            block = coefficients[r, 0] / 2 * terms[0]
            for k in range(1, n):
                block = block + coefficients[r, k] * terms[k]
            blocks.append(block)
        low = blocks[0]
        for r in range(1, n_filters):
            high[r, level] = blocks[r]
    order = [(r, level) for r in range(1, n_filters) for level in range(1, levels + 1)]
    return np.stack([low, *(high[band] for band in order)])


def analyze(operators: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the coefficients W_k x of all bands."""
    return np.stack([operator @ x for operator in operators])


def synthesize(operators: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Return the sum over bands of W_k^T c_k."""
    return sum((operator.T @ band for operator, band in zip(operators, c)), start=np.zeros(c.shape[1:]))
