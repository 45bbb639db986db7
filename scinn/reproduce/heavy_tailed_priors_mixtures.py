"""Ensembles of estimates whose last layers are exact, as an approximation of the posterior.

C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", 2022, arXiv 2112.10663, whose
abstract speaks of ensemble-based approximations; which kind could not be read. The problem is that of
:mod:`scinn.reproduce.heavy_tailed_priors_experiments`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scinn.inverse import Posterior, StableNNPrior, map_estimate
from scinn.inverse.ensembles import last_layer_mixture
from scinn.random import Key
from scinn.reproduce.heavy_tailed_priors_experiments import line_problem
from scinn.reproduce.heavy_tailed_priors_protocol import LAWS

__all__ = ["EXPERIMENTS"]


def interval_score(low: np.ndarray, high: np.ndarray, truth: np.ndarray, share: float = 0.1) -> float:
    """Return the mean width of intervals plus 2 / share times what they miss; less is better."""
    missed = np.maximum(low - truth, 0.0) + np.maximum(truth - high, 0.0)
    return float(np.mean(high - low + 2.0 / share * missed))


def last_layer(params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Mixture of the exact last layers at many MAP estimates on the line."""
    problem = line_problem(params, seed)
    assert problem.truth is not None
    prior = StableNNPrior(
        [1, params["width"], params["width"], 1], law=LAWS[params["law"]], weight_scale=params["weight_scale"],
        bias_scale=params["bias_scale"],
    )  # fmt: skip
    posterior = Posterior(prior, problem)
    found = map_estimate(
        posterior, coordinates="projected", n_starts=params["n_starts"], max_iter=params["max_iter"],
        rng=Key(seed).child("starts"),
    )  # fmt: skip
    mixture = last_layer_mixture(posterior, found)
    low, high = mixture.quantiles((0.05, 0.95))
    return {
        "score": interval_score(low, high, problem.truth),
        "coverage": float(np.mean((low <= problem.truth) & (problem.truth <= high))),
        "width": float(np.mean(high - low)),
        "error": problem.relative_error(mixture.mean()),
        "best": float(found.errors(problem.truth)[0]),
    }


EXPERIMENTS = {"last_layer": last_layer}
