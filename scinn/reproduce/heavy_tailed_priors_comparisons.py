"""Evidence of two laws, and acceptance of two samplers as networks grow.

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
    Posterior,
    RandomWalk,
    StableNNPrior,
    deconvolution_1d,
)
from scinn.random import Key
from scinn.reproduce.heavy_tailed_priors_experiments import small_posterior

__all__ = ["EXPERIMENTS"]


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


EXPERIMENTS = {"evidence": evidence, "dimension": dimension}
