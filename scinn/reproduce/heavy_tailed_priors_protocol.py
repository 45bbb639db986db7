"""Problems, laws, scales and budgets shared by the claims, experiments and figures on heavy-tailed network priors.

Paper: C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and
Imaging 16(5), 2022, arXiv 2112.10663. Only its abstract and the captions of its figures could be read: widths, kernels,
noise
levels and the numbers of its two tables are not known here. The problems below are ours; they test what the abstract says.

A name of three letters says the law of each layer of weights: c for Cauchy, g for Gaussian.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scinn.reproduce.claims import Cell, Results, seeds

PAPER = "heavy-tailed-priors"
ABSTRACT = "abstract (the tables could not be read)"
OURS = "ours"

LAWS: dict[str, tuple[str, str, str]] = {
    name: tuple({"c": "cauchy", "g": "gaussian"}[letter] for letter in name)  # type: ignore[misc]
    for name in ("ggg", "ccg", "gcg", "cgg", "ccc")
}
TITLES = {
    "ggg": "all Gaussian",
    "ccg": "Cauchy, Gaussian last",
    "gcg": "Gaussian, Cauchy, Gaussian",
    "cgg": "Cauchy first, then Gaussian",
    "ccc": "all Cauchy",
    "tv": "total variation",
    "gp": "Gaussian process regression",
    "cauchy-difference": "Cauchy differences",
    "besov": "Besov (Haar, Laplace)",
}
#: gw and gb of the three layers: what each law's scale is chosen from.
SCALES: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "a": ((3.0, 1.5, 1.5), (3.0, 1.0, 0.5)),
    "b": ((10.0, 3.0, 1.0), (10.0, 3.0, 0.5)),
    "c": ((20.0, 10.0, 0.5), (20.0, 10.0, 0.5)),
    "d": ((30.0, 6.0, 1.0), (30.0, 6.0, 0.5)),
    "e": ((100.0, 10.0, 1.0), (100.0, 10.0, 0.5)),
}
SCALES_2D: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "a": ((3.0, 1.5, 1.0), (3.0, 1.5, 0.5)),
    "b": ((6.0, 3.0, 1.0), (6.0, 3.0, 0.5)),
    "c": ((12.0, 6.0, 1.0), (12.0, 6.0, 0.5)),
}
#: Settings from which each control is chosen.
CONTROLS: dict[str, tuple[float, ...]] = {
    "tv": (3.0, 10.0, 30.0, 100.0, 300.0),
    "gp": (0.03, 0.06, 0.12, 0.25, 0.5),
    "cauchy-difference": (0.003, 0.01, 0.03, 0.1, 0.3),
    "besov": (0.1, 0.3, 1.0, 3.0, 10.0),
}

MAP_1D: dict[str, dict[str, int]] = {
    "smoke": {"width": 20, "n_starts": 2, "max_iter": 200},
    "quick": {"width": 40, "n_starts": 4, "max_iter": 600},
    "full": {"width": 40, "n_starts": 10, "max_iter": 1500},
}
TUNING_1D: dict[str, dict[str, int]] = {
    "smoke": {"width": 20, "n_starts": 1, "max_iter": 100},
    "quick": {"width": 40, "n_starts": 2, "max_iter": 300},
    "full": {"width": 40, "n_starts": 5, "max_iter": 1000},
}
N_TUNING: dict[str, int] = {"smoke": 1, "quick": 2, "full": 4}
N_SEEDS: dict[str, int] = {"smoke": 1, "quick": 5, "full": 10}
MAP_2D: dict[str, dict[str, int]] = {
    "smoke": {"n": 12, "width": 10, "n_starts": 1, "max_iter": 100},
    "quick": {"n": 24, "width": 30, "n_starts": 2, "max_iter": 300},
    "full": {"n": 24, "width": 30, "n_starts": 6, "max_iter": 800},
}
TUNING_2D: dict[str, dict[str, int]] = {
    "smoke": {"n": 12, "width": 10, "n_starts": 1, "max_iter": 60},
    "quick": {"n": 24, "width": 30, "n_starts": 1, "max_iter": 200},
    "full": {"n": 24, "width": 30, "n_starts": 3, "max_iter": 500},
}
N_TUNING_2D: dict[str, int] = {"smoke": 1, "quick": 1, "full": 3}
N_SEEDS_2D: dict[str, int] = {"smoke": 1, "quick": 2, "full": 5}
#: Chains of the collapsed sampler on the uncertainty problem; a draw is kept every `thin` steps.
CHAINS: dict[str, dict[str, int]] = {
    "smoke": {"n_chains": 2, "n_warmup": 500, "n_draws": 100, "thin": 5},
    "quick": {"n_chains": 2, "n_warmup": 10_000, "n_draws": 800, "thin": 50},
    "full": {"n_chains": 4, "n_warmup": 40_000, "n_draws": 2000, "thin": 200},
}
EVIDENCE: dict[str, dict[str, int]] = {
    "smoke": {"n_particles": 40, "n_moves": 4},
    "quick": {"n_particles": 50, "n_moves": 100},
    "full": {"n_particles": 100, "n_moves": 600},
}
N_EVIDENCE: dict[str, int] = {"smoke": 1, "quick": 2, "full": 6}
SHARES: dict[str, dict[str, int]] = {
    "smoke": {"n_draws": 50},
    "quick": {"n_draws": 400},
    "full": {"n_draws": 4000},
}
DIMENSION: dict[str, dict[str, Any]] = {
    "smoke": {"widths": [5, 20], "n_states": 1, "n_warmup": 300, "n_steps": 500},
    "quick": {"widths": [10, 40, 160], "n_states": 3, "n_warmup": 5_000, "n_steps": 5_000},
    "full": {"widths": [10, 40, 160, 640], "n_states": 5, "n_warmup": 10_000, "n_steps": 10_000},
}
ENSEMBLE: dict[str, dict[str, int]] = {
    "smoke": {"width": 20, "n_members": 40, "max_iter": 5},
    "quick": {"width": 40, "n_members": 200, "max_iter": 40},
    "full": {"width": 40, "n_members": 400, "max_iter": 150},
}


def scales(name: str, dimension: int = 1) -> dict[str, Any]:
    """Return the scales of that name as parameters of a cell."""
    weight, bias = (SCALES if dimension == 1 else SCALES_2D)[name]
    return {"weight_scale": list(weight), "bias_scale": list(bias)}


def coordinates(law: str) -> str:
    # All-Cauchy networks are optimised in the weights, where their estimates are repeatable; the others in white
    # coordinates, with an exact minimum over the last layer at each step.
    return "weight" if law == "ccc" else "projected"


def map_cell(
    law: str, budget: str, scale: str, truth: str, seed: int, *, tuning: bool = False, **more: Any
) -> Cell:
    """Return the cell of a MAP estimate on the line."""
    sizes = (TUNING_1D if tuning else MAP_1D)[budget]
    params = {
        "dataset": None,
        "law": law,
        "coordinates": coordinates(law),
        "truth": truth,
        **sizes,
        **scales(scale),
        **more,
    }
    return Cell("map_1d", params, seed)


def map_cell_2d(law: str, budget: str, scale: str, truth: str, seed: int, *, tuning: bool = False) -> Cell:
    """Return the cell of a MAP estimate in the plane."""
    sizes = (TUNING_2D if tuning else MAP_2D)[budget]
    params = {
        "dataset": None,
        "law": law,
        "coordinates": coordinates(law),
        "truth": truth,
        **sizes,
        **scales(scale, 2),
    }
    return Cell("map_2d", params, seed)


def control_cell(
    method: str, setting: float, truth: str, seed: int, dimension: int = 1, n: int = 129
) -> Cell:
    """Return the cell of a comparison prior's estimate."""
    params = {
        "dataset": None,
        "method": method,
        "setting": setting,
        "truth": truth,
        "dimension": dimension,
        "n": n,
    }
    return Cell("control", params, seed)


def tuning_cells(law: str, budget: str, kind: str, seed: int, dimension: int = 1) -> dict[str, list[Cell]]:
    """Return, for each scale or setting, the cells on random truths that choose it; none of them is a truth that is judged.

    Tuning uses seeds of its own, so that no noise is shared with what is judged.
    """
    truth = f"random-{kind}"
    own = [500 + s for s in seeds(seed, (N_TUNING if dimension == 1 else N_TUNING_2D)[budget])]
    if law in CONTROLS:
        n = 129 if dimension == 1 else TUNING_2D[budget]["n"]
        return {str(v): [control_cell(law, v, truth, s, dimension, n) for s in own] for v in CONTROLS[law]}
    if dimension == 2:
        return {
            name: [map_cell_2d(law, budget, name, truth, s, tuning=True) for s in own] for name in SCALES_2D
        }
    return {name: [map_cell(law, budget, name, truth, s, tuning=True) for s in own] for name in SCALES}


def chosen(cells: Mapping[str, Sequence[Cell]], results: Results) -> str | None:
    """Return the scale with the least mean error on the tuning truths, or None before they were run."""
    if not all(results.has(group) for group in cells.values()):
        return None

    def error(name: str) -> float:
        return sum(results[cell]["best"] for cell in cells[name]) / len(cells[name])

    return min(cells, key=error)


def judged_cells(
    law: str, budget: str, kind: str, seed: int, results: Results, dimension: int = 1, **more: Any
) -> tuple[list[Cell], list[Cell]]:
    """Return the tuning cells of a law or control, and the judged ones once the tuning is done.

    Parameters
    ----------
    law : str
        A key of :data:`LAWS` or :data:`CONTROLS`.
    kind : {"jumps", "smooth"}
        Of the truth.
    """
    groups = tuning_cells(law, budget, kind, seed, dimension)
    first = [cell for group in groups.values() for cell in group]
    best = chosen(groups, results)
    if best is None:
        return first, []
    own = seeds(seed, (N_SEEDS if dimension == 1 else N_SEEDS_2D)[budget])
    if law in CONTROLS:
        n = 129 if dimension == 1 else MAP_2D[budget]["n"]
        return first, [control_cell(law, float(best), kind, s, dimension, n) for s in own]
    if dimension == 2:
        return first, [map_cell_2d(law, budget, best, kind, s) for s in own]
    return first, [map_cell(law, budget, best, kind, s, **more) for s in own]
