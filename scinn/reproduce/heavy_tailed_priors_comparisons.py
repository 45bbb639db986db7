"""What the network priors are compared with: other priors, the evidence of two laws, another sampler as networks grow.

C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", 2022, arXiv 2112.10663. The
problems are those of :mod:`scinn.reproduce.heavy_tailed_priors_experiments`.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from scinn.exceptions import ConvergenceWarning
from scinn.inverse import (
    PCN,
    SMC,
    BesovPrior,
    CauchyDifferencePrior,
    GaussianProcessPrior,
    InverseProblem,
    Posterior,
    RandomWalk,
    StableNNPrior,
    deconvolution_1d,
    map_estimate,
    tv_map,
)
from scinn.random import Key
from scinn.reproduce.heavy_tailed_priors_experiments import line_problem, small_posterior, square_problem

__all__ = ["EXPERIMENTS"]


def _densest(prior: Any, problem: InverseProblem, starts: Any) -> np.ndarray:
    """Return the field of highest density over fields, as users of these priors maximise it."""
    found = map_estimate(
        Posterior(prior, problem), coordinates="weight", starts=starts, max_iter=20_000, tol=1e-12
    )
    return found.best.field


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
        field = _densest(jumps, problem, [start, np.zeros(problem.grid.n)])
    else:
        wavelets = BesovPrior(scale=setting)
        field = _densest(
            wavelets,
            problem,
            0.1 * Key(seed).child("starts").generator().standard_normal((1, problem.grid.n)),
        )
    field = np.reshape(field, problem.grid.shape)
    return {"best": problem.relative_error(field), "field": field}


def evidence(params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Log evidence of the data under a prior: two independent sequential Monte Carlo runs on the collapsed posterior."""
    target = small_posterior(params, seed).collapse()
    sampler = SMC(target, n_particles=params["n_particles"], n_moves=params["n_moves"])
    values = []
    for number in range(2):
        rng = Key(seed).child("smc", number).generator()
        with warnings.catch_warnings():
            # How much two runs differ is reported with the claim.
            warnings.simplefilter("ignore", ConvergenceWarning)
            state, _ = sampler.run(rng, sampler.init(None, rng))
        values.append(float(state.log_evidence))
    return {"log_evidence": float(np.mean(values)), "runs": values}


def dimension(params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Acceptance of two samplers at one step size as the width of the network grows, data fixed."""
    problem = deconvolution_1d(
        65, width=0.08, noise_std=1.0, inverse_crime=True, rng=Key(seed).child("noise")
    )
    out: dict[str, Any] = {"widths": params["widths"], "dims": [], "pcn": [], "rwm": []}
    steps: dict[str, float] = {}
    for width in params["widths"]:
        prior = StableNNPrior(
            [1, width, 1], law=("gaussian", "cauchy"), weight_scale=(10, 1), bias_scale=(10, 0.5)
        )
        posterior = Posterior(prior, problem)
        rng = Key(seed).child("width", width).generator()
        out["dims"].append(posterior.dim)
        rates: dict[str, list[float]] = {"pcn": [], "rwm": []}
        for _ in range(params["n_states"]):
            pilot = PCN(posterior)
            position = pilot.warmup(rng, pilot.init(prior.sample(rng), rng), params["n_warmup"]).position
            for name, kind, option in (("pcn", PCN, "beta"), ("rwm", RandomWalk, "step_size")):
                if name not in steps:
                    tuned = kind(posterior)
                    steps[name] = float(
                        getattr(tuned.warmup(rng, tuned.init(position, rng), params["n_warmup"]), option)
                    )
                fixed: dict[str, Any] = {option: steps[name]}
                sampler = kind(posterior, **fixed)
                _, info = sampler.run(rng, sampler.init(position, rng), params["n_steps"])
                rates[name].append(float(info.acceptance_rate))
        for name, values in rates.items():
            out[name].append(float(np.mean(values)))
    return out | {"beta": steps["pcn"], "step_size": steps["rwm"]}


EXPERIMENTS = {"control": control, "evidence": evidence, "dimension": dimension}
