"""The experiments behind the claims of *Bayesian neural network priors for edge-preserving inversion*.

Deconvolution on [-1, 1] and on the square. Data are made on the grid of the reconstruction, with which all methods are
compared alike, except where an experiment says ``finer``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from scinn.exceptions import ScinnWarning
from scinn.inverse import (
    PCN,
    CollapsedPCN,
    EnsembleKalman,
    InverseProblem,
    Posterior,
    StableNNPrior,
    deconvolution_1d,
    deconvolution_2d,
    map_estimate,
    sample,
)
from scinn.random import Key
from scinn.reproduce.heavy_tailed_priors_protocol import LAWS

__all__ = ["EXPERIMENTS", "line_problem", "small_posterior", "square_problem"]


def _random_steps(rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """Draw a piecewise constant function on [-1, 1] with four to eight jumps."""
    n = int(rng.integers(2, 5))
    ends = np.sort(rng.uniform(-0.9, 0.9, 2 * n)).reshape(n, 2)
    heights = rng.uniform(0.3, 1.0, n) * rng.choice([-1.0, 1.0], n)
    return lambda x: sum((h * ((x > a) & (x < b)) for h, (a, b) in zip(heights, ends)), np.zeros_like(x))


def _random_waves(rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """Draw a smooth function on [-1, 1]: three slow waves and a hill."""
    frequency, phase = rng.uniform(1.0, 5.0, 3), rng.uniform(0.0, 2.0 * np.pi, 3)
    size, centre = rng.uniform(0.1, 0.5, 3), rng.uniform(-0.5, 0.5)
    return lambda x: (
        np.exp(-(((x - centre) / 0.4) ** 2))
        + (size[:, None] * np.sin(frequency[:, None] * x + phase[:, None])).sum(axis=0)
    )


def _random_blocks(rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """Draw a function on the square: a rectangle and a disc."""
    low, size = rng.uniform(-0.8, -0.1, 2), rng.uniform(0.4, 0.8, 2)
    centre, radius = rng.uniform(0.0, 0.5, 2), rng.uniform(0.25, 0.4)
    first, second = rng.uniform(0.5, 1.0, 2) * rng.choice([-1.0, 1.0], 2)

    def values(points: np.ndarray) -> np.ndarray:
        block = np.all((points > low) & (points < low + size), axis=1)
        disc = ((points - centre) ** 2).sum(axis=1) < radius**2
        return first * block + second * disc

    return values


def _truth(name: str, seed: int) -> Any:
    draw = {
        "random-jumps": _random_steps,
        "random-smooth": _random_waves,
        "random-blocks": _random_blocks,
    }.get(name)
    return name if draw is None else draw(Key(seed).child("truth").generator())


def line_problem(params: dict[str, Any], seed: int) -> InverseProblem:
    """Return the deconvolution with 129 unknowns and 65 data."""
    return deconvolution_1d(
        129, width=0.05, noise_std=0.02, truth=_truth(params["truth"], seed),
        inverse_crime=not params.get("finer", False), rng=Key(seed).child("noise"),
    )  # fmt: skip


def square_problem(params: dict[str, Any], seed: int) -> InverseProblem:
    """Return the deconvolution in the plane: a quarter of the grid's points have data."""
    truth = "random-blocks" if params["truth"] == "random-jumps" else params["truth"]
    return deconvolution_2d(
        params["n"],
        width=0.1,
        noise_std=0.02,
        truth=_truth(truth, seed),
        inverse_crime=True,
        rng=Key(seed).child("noise"),
    )


def _network(params: dict[str, Any], dimension: int = 1, hidden: int = 2) -> StableNNPrior:
    return StableNNPrior(
        [dimension, *[params["width"]] * hidden, 1], law=LAWS[params["law"]], weight_scale=params["weight_scale"],
        bias_scale=params["bias_scale"],
    )  # fmt: skip


def _estimates(posterior: Posterior, params: dict[str, Any], seed: int) -> tuple[Any, dict[str, Any]]:
    """Minimise from many starts, the same for every law, and measure every minimum."""
    assert posterior.problem.truth is not None
    found = map_estimate(
        posterior, coordinates=params["coordinates"], n_starts=params["n_starts"], max_iter=params["max_iter"],
        rng=Key(seed).child("starts"),
    )  # fmt: skip
    errors = found.errors(posterior.problem.truth)
    return found, {
        "best": float(errors[0]),
        "mean": float(errors.mean()),
        "sd": float(errors.std(ddof=1)) if len(errors) > 1 else None,
        "errors": errors,
        "objectives": [minimum.objective for minimum in found.minima],
        "misfit": found.best.misfit,
        "converged": float(np.mean([minimum.converged for minimum in found.minima])),
    }


def map_1d(params: dict[str, Any], seed: int) -> dict[str, Any]:
    """MAP estimate of a network on the line, from many starts."""
    problem = line_problem(params, seed)
    found, out = _estimates(Posterior(_network(params), problem), params, seed)
    return out | {
        "x": problem.grid.points[:, 0],
        "field": found.best.field,
        "truth": problem.truth,
        "data": problem.data,
    }


def map_2d(params: dict[str, Any], seed: int) -> dict[str, Any]:
    """MAP estimate of a network in the plane."""
    problem = square_problem(params, seed)
    found, out = _estimates(Posterior(_network(params, 2), problem), params, seed)
    return out | {"field": found.best.field, "truth": problem.truth}


def _near(x: np.ndarray, truth: np.ndarray, reach: float) -> np.ndarray:
    """Say which points lie within `reach` of a jump of the truth."""
    places = 0.5 * (x[1:] + x[:-1])[np.abs(np.diff(truth)) > 0.2]
    return np.min(np.abs(x[:, None] - places), axis=1) <= reach


def small_posterior(params: dict[str, Any], seed: int) -> Posterior:
    """Return the posterior of a small network on 65 points, with strong noise unless the parameters say otherwise."""
    noise = params.get("noise", 0.1)
    problem = deconvolution_1d(
        65,
        width=0.08 if noise == 0.1 else 0.05,
        noise_std=noise,
        truth=params["truth"],
        inverse_crime=True,
        rng=Key(seed).child("noise"),
    )
    return Posterior(_network(params), problem)


def uncertainty(params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Posterior of a small network, sampled with the last layer integrated out: where it is unsure, and whether rightly."""
    posterior = small_posterior(params, seed)
    problem = posterior.problem
    assert problem.truth is not None
    chains = sample(
        CollapsedPCN, posterior, n_draws=params["n_draws"], n_chains=params["n_chains"], n_warmup=params["n_warmup"],
        thin=params["thin"], keep_positions=False, rng=Key(seed).child("chains"),
    )  # fmt: skip
    assert chains.fields is not None
    fields = chains.fields.reshape(-1, problem.grid.n)
    low, median, high = np.quantile(fields, (0.05, 0.5, 0.95), axis=0)
    x, sd = problem.grid.points[:, 0], fields.std(axis=0)
    near = _near(x, problem.truth, 0.1)
    summary = chains.summary()
    return {
        "near": float(sd[near].mean()),
        "away": float(sd[~near].mean()),
        "ratio": float(sd[near].mean() / sd[~near].mean()),
        "coverage": float(np.mean((low <= problem.truth) & (problem.truth <= high))),
        "coverage_near": float(np.mean(((low <= problem.truth) & (problem.truth <= high))[near])),
        "width": float(np.mean(high - low)),
        "error": problem.relative_error(median),
        "mean_error": problem.relative_error(fields.mean(axis=0)),
        "r_hat": summary.rhat,
        "ess": summary.ess_bulk,
        "x": x, "truth": problem.truth, "low": low, "median": median, "high": high, "sd": sd,
        "jump": chains.jump_probability(0.2),
    }  # fmt: skip


def collapsing(params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Effective draws of a step of pCN, with and without the last layer integrated out."""
    posterior = small_posterior(params, seed)
    out = {}
    for name, sampler in (("plain", PCN), ("collapsed", CollapsedPCN)):
        chains = sample(
            sampler, posterior, n_draws=params["n_draws"], n_chains=params["n_chains"], n_warmup=params["n_warmup"],
            thin=params["thin"], keep_positions=False, rng=Key(seed).child("chains"),
        )  # fmt: skip
        ess = np.asarray(chains.ess())
        steps = params["n_draws"] * params["n_chains"] * params["thin"]
        out[name] = {
            "ess": float(np.median(ess)),
            "ess_per_million": 1e6 * float(np.median(ess)) / steps,
            "r_hat": float(np.max(chains.rhat())),
        }
    return out


def shares(params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Share of the largest step in the total variation of functions drawn from the prior, on three grids."""
    prior = _network(params | {"width": 40})
    rng = Key(seed).child("draws").generator()
    xi = prior.sample(rng, params["n_draws"])
    out: dict[str, Any] = {}
    for n in (129, 513, 2049):
        steps = np.abs(np.diff(prior.forward(xi, np.linspace(-1.0, 1.0, n)), axis=1))
        own = steps.max(axis=1) / steps.sum(axis=1)
        out[str(n)] = {"median": float(np.median(own)), "mean": float(own.mean())}
    return out


def prior_draws(params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Functions drawn from a prior with three hidden layers, on the line and on the square."""
    rng = Key(seed).child("draws").generator()
    law = {"c": "cauchy", "g": "gaussian"}[params["law"][0]]
    line = StableNNPrior([1, 50, 50, 50, 1], law=law, weight_scale=(10, 3, 3, 1), bias_scale=(10, 3, 3, 0.5))
    square = StableNNPrior(
        [2, 50, 50, 50, 1], law=law, weight_scale=(10, 3, 3, 1), bias_scale=(10, 3, 3, 0.5)
    )
    x = np.linspace(-1.0, 1.0, 401)
    axis = np.linspace(-1.0, 1.0, 48)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    return {
        "x": x,
        "line": line.sample(rng, 4, x),
        "square": square.sample(rng, 3, points).reshape(3, 48, 48),
    }


def ensemble(params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Ensemble Kalman inversion of the line's data from two initial ensembles."""
    problem = line_problem(params, seed)
    posterior = Posterior(_network(params), problem)
    local = params["init"] == "local"
    options: dict[str, Any] = {"step": 1.0} if params["method"] == "eki" else {"inflation": "adaptive"}
    with warnings.catch_warnings():
        # Starting from the prior is the very thing to be shown.
        warnings.simplefilter("ignore", ScinnWarning)
        method = EnsembleKalman(
            posterior, params["n_members"], method=params["method"], init=params["init"], spread=0.1,
            max_iterations=params["max_iter"], **options,
            centre=posterior.prior.sample(Key(seed).child("centre")) if local else None,
        )  # fmt: skip
        found = method.run(Key(seed).child("ensemble"))
    fields = found.fields()
    return {
        "error": problem.relative_error(fields.mean(axis=0)),
        "n_iter": len(found.iterations) - 1,
        "misfit": found.iterations[-1].misfit_mean,
        "field": fields.mean(axis=0),
    }


EXPERIMENTS = {
    "map_1d": map_1d,
    "map_2d": map_2d,
    "uncertainty": uncertainty,
    "collapsing": collapsing,
    "shares": shares,
    "prior_draws": prior_draws,
    "ensemble": ensemble,
}
