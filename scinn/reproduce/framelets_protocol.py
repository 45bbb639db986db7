"""The paper's numbers, the settings of every method, and the choice of settings on the validation nodes.

Shared by the claims and the figures of *How Framelets Enhance Graph Neural Networks*, so that both mean the same runs.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from scinn.reproduce.claims import Cell, Results, seeds

METHODS = ("relu", "shrink", "gcn", "mlp")
TITLES = {"relu": "UFGConv-R", "shrink": "UFGConv-S", "gcn": "GCN", "mlp": "MLP"}
EMBEDDED = "stochastic-block-model"
DATASET_TITLES = {"cora": "Cora", "citeseer": "CiteSeer", EMBEDDED: "the block model"}

#: Table 1 of the paper: mean and standard deviation of the test accuracy, percent.
TABLE_1: dict[tuple[str, str], tuple[float, float | None]] = {
    ("cora", "relu"): (83.6, 0.6),
    ("cora", "shrink"): (83.0, 0.5),
    ("cora", "gcn"): (81.5, None),
    ("cora", "mlp"): (55.1, None),
    ("citeseer", "relu"): (72.7, 0.6),
    ("citeseer", "shrink"): (71.0, 0.6),
    ("citeseer", "gcn"): (70.3, None),
    ("citeseer", "mlp"): (46.5, None),
}
#: Pooling table of the paper: accuracy in percent.
POOLING: dict[tuple[str, str], tuple[float, float]] = {
    ("proteins", "ufg-sum"): (77.77, 2.60),
    ("proteins", "ufg-spectrum"): (77.23, 2.40),
    ("proteins", "sum"): (74.91, 4.08),
    ("proteins", "mean"): (73.13, 3.18),
    ("nci1", "ufg-sum"): (77.88, 1.24),
    ("nci1", "ufg-spectrum"): (77.54, 2.24),
    ("nci1", "sum"): (76.96, 1.70),
    ("nci1", "mean"): (73.70, 2.55),
}

BASE: dict[str, Any] = {
    "noise": None,
    "hidden": 16,
    "dropout": 0.7,
    "n_epochs": 200,
    "learning_rate": 0.01,
    "weight_decay": 0.01,
}
TRANSFORM: dict[str, Any] = {"bank": "haar", "levels": 2, "dilation": 2.0, "n_coefficients": 2}
PUBLISHED: dict[str, dict[str, Any]] = {
    "relu": {},
    "shrink": {"learning_rate": 0.005, "dilation": 2.5},
    "gcn": {"weight_decay": 5e-4, "dropout": 0.5},
    "mlp": {"weight_decay": 5e-4, "dropout": 0.5},
}
GRID = [
    {"learning_rate": rate, "weight_decay": decay, "hidden": hidden, "dropout": dropout}
    for rate, decay, (hidden, dropout) in product((0.01, 0.005), (0.01, 0.005, 5e-4), ((16, 0.7), (32, 0.5)))
]
TUNING_SEED = 900  # beyond every seed that a test run uses


def node_params(dataset: str, method: str, **changes: Any) -> dict[str, Any]:
    """Return all parameters of one node-classification cell: the published ones and what the caller changes."""
    params = {"dataset": dataset, "method": method, **BASE}
    if method in ("relu", "shrink"):
        params |= TRANSFORM
    if method == "shrink":
        params |= {"sigma": 1.0, "scale": "none"}
    return params | PUBLISHED[method] | changes


def node_cells(params: dict[str, Any], seed: int, n: int) -> list[Cell]:
    return [Cell("node_classification", params, s) for s in seeds(seed, n)]


def test_accuracies(results: Results, params: dict[str, Any]) -> list[float]:
    return results.select("node_classification", **params).pluck("test")


def tuning_cells(dataset: str, method: str, budget: dict[str, Any], seed: int, **changes: Any) -> list[Cell]:
    """Return the candidates' cells: every point of the budget's grid with every tuning seed."""
    return [
        Cell(
            "node_classification",
            node_params(dataset, method, **point, **changes),
            1000 * seed + TUNING_SEED + i,
        )
        for point in GRID[:: budget["grid_step"]]
        for i in range(budget["n_tuning"])
    ]


def tuned_params(
    dataset: str, method: str, budget: dict[str, Any], seed: int, results: Results, **changes: Any
) -> dict[str, Any] | None:
    """Return the parameters with the best mean validation accuracy; None while candidates are missing.

    A budget without tuning seeds means the published settings.
    """
    if budget["n_tuning"] == 0:
        return node_params(dataset, method, **changes)
    cells = tuning_cells(dataset, method, budget, seed, **changes)
    if not results.has(cells):
        return None
    scores: dict[str, list[float]] = {}
    params = {}
    for cell in cells:
        scores.setdefault(cell.protocol_hash, []).append(results[cell]["val"])
        params[cell.protocol_hash] = cell.params
    # the first of the grid wins a tie, so that the choice does not depend on an order of computation
    best = max(scores, key=lambda h: float(np.mean(scores[h])))
    return params[best]


def run_seed(results: Results) -> int:
    return min((cell.seed // 1000 for cell in results), default=0)
