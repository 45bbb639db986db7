"""Priors that are no networks, with which the network priors are compared.

C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", 2022, arXiv 2112.10663. The
problems are those of :mod:`scinn.reproduce.heavy_tailed_priors_experiments`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scinn.inverse import (
    BesovPrior,
    CauchyDifferencePrior,
    GaussianProcessPrior,
    InverseProblem,
    Posterior,
    map_estimate,
    tv_map,
)
from scinn.reproduce.heavy_tailed_priors_experiments import line_problem, square_problem

__all__ = ["EXPERIMENTS"]


def _densest(prior: Any, problem: InverseProblem, start: np.ndarray | None = None) -> np.ndarray:
    """Return the field of highest density over fields, as users of these priors maximise it."""
    posterior = Posterior(prior, problem)
    flat = np.zeros(posterior.dim)
    starts = [flat] if start is None else [start, flat]
    return map_estimate(posterior, coordinates="weight", starts=starts, max_iter=20_000, tol=1e-12).best.field


def control(params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Estimate of a prior that is no network, with one setting."""
    problem = line_problem(params, seed) if params["dimension"] == 1 else square_problem(params, seed)
    method, setting = params["method"], params["setting"]
    if method == "tv":
        field = tv_map(problem, setting).field
    elif method == "gp":
        field = GaussianProcessPrior("exponential", length_scale=setting, std=0.5).posterior(problem).mean
    elif method == "cauchy-difference":
        # The density has many maxima, and from a flat start the optimiser ends in a poor one. Total variation's estimate
        # leads to a good one.
        jumps = CauchyDifferencePrior(setting)
        start = jumps.white(tv_map(problem, 30.0).field, problem.grid)
        field = _densest(jumps, problem, start)
    else:
        field = _densest(BesovPrior(scale=setting), problem)
    field = np.reshape(field, problem.grid.shape)
    return {"best": problem.relative_error(field), "field": field}


EXPERIMENTS = {"control": control}
