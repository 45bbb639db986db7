"""What ``scinn invert`` does: indirect noisy data come in a file, a function with its uncertainty goes out in a folder.

C. Li, M. Dunlop and G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and
Imaging 16(5), 2022, arXiv 2112.10663. The functions read and write files and return plain dictionaries; parsing and
printing are those of the command line. Notation, and the units in which priors are set: :mod:`scinn.inverse.command_data`.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from scinn._files import write_json, write_npz, write_text
from scinn._version import __version__
from scinn.inverse.chains import Chains
from scinn.inverse.command_data import Observation, ScaledProblem, observe, scale_problem
from scinn.inverse.command_plan import LAWS, LENGTHS, PRIORS, SAMPLERS, SMALL_STEP, Plan, make_plan
from scinn.inverse.edges import default_threshold
from scinn.random import Key

__all__ = ["PRIORS", "SAMPLERS", "ending", "invert_file", "summary_rows"]

_CLASSES = {
    "collapsed-pcn": "CollapsedPCN",
    "collapsed-inf-hmc": "CollapsedInfHMC",
    "pcn": "PCN",
    "inf-mala": "InfMALA",
    "inf-hmc": "InfHMC",
    "elliptical-slice": "EllipticalSlice",
}
_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def _check_out(out: Path, sources: Sequence[Path], force: bool) -> None:
    if out.exists() and not out.is_dir():
        raise FileExistsError(f"{out} is a file; name a folder")
    if not out.is_dir():
        return
    if out.resolve() in [source.resolve().parent for source in sources]:
        raise FileExistsError(f"{out} holds the data that are read here; name another folder")
    if any(out.iterdir()) and not force:
        raise FileExistsError(f"{out} is not empty; pass --force to replace the report in it")


def _prior(plan: Plan, scaled: ScaledProblem, say: Callable[[str], object]) -> Any:
    """Return the prior of v, with the numbers of the plan that were left open filled in."""
    from scinn.inverse import BesovPrior, CauchyDifferencePrior, GaussianProcessPrior, StableNNPrior

    numbers = plan.numbers
    if plan.is_network:
        law = LAWS[plan.prior]
        if isinstance(law, tuple):
            law = (*[law[0]] * len(plan.widths), law[1])
        return StableNNPrior(
            [scaled.problem.grid.dimension, *plan.widths, 1], law=law, weight_scale=plan.weight_scale,
            bias_scale=plan.bias_scale,
        )  # fmt: skip
    if plan.prior == "gp":
        if numbers["length"] == "evidence":
            say("choosing the length scale by its evidence")
            priors = [GaussianProcessPrior("matern32", length, numbers["std"]) for length in LENGTHS]  # type: ignore[arg-type]
            best = max(priors, key=lambda prior: prior.posterior(scaled.problem).log_evidence)
            numbers["length"] = best.length_scale
            return best
        return GaussianProcessPrior("matern32", numbers["length"], numbers["std"])  # type: ignore[arg-type]
    if plan.prior == "cauchy-difference":
        return CauchyDifferencePrior(numbers["gamma"], numbers["start"])  # type: ignore[arg-type]
    return BesovPrior(numbers["smoothness"], numbers["scale"])  # type: ignore[arg-type]


@dataclass
class _Found:
    """What was computed, in the prior's units."""

    estimate: np.ndarray
    estimates: np.ndarray
    objectives: list[float]
    chains: Chains | None
    prior: str
    dim: int | None
    n_minima: int | None = None
    exact: bool = False


def _tv(plan: Plan, scaled: ScaledProblem) -> _Found:
    from scinn.inverse import tv_map

    result = tv_map(scaled.problem, plan.numbers["weight"])
    plan.numbers["weight"] = result.weight
    return _Found(
        result.field,
        result.field[None],
        [result.objective],
        None,
        "total variation",
        None,
        int(result.converged),
    )


def _exact(plan: Plan, scaled: ScaledProblem, prior: Any, map_only: bool) -> _Found:
    """Draw from the posterior of a Gaussian process, which is known."""
    posterior = prior.posterior(scaled.problem)
    chains = None
    if not map_only:
        rng = Key(plan.seed).child("invert", "draws").generator()
        fields = posterior.sample(rng, plan.chains * plan.draws)
        fields = fields.reshape(plan.chains, plan.draws, *scaled.problem.grid.shape)
        chains = Chains(
            misfit=scaled.problem.misfit(fields), fields=fields, points=scaled.problem.grid.points,
            sampler="independent draws", mean_exists=True,
        )  # fmt: skip
    mean = posterior.mean
    objective = -posterior.log_evidence
    return _Found(mean, mean[None], [objective], chains, repr(prior), len(posterior.white_mean), 1, True)


def _sampled(
    plan: Plan, scaled: ScaledProblem, prior: Any, checkpoint: Any, say: Callable[[str], object]
) -> _Found:
    from scinn.inverse import Posterior, map_estimate, sample, samplers

    posterior = Posterior(prior, scaled.problem)
    # In the coefficients themselves the modes of Laplace and Cauchy laws are sparse, as those of white coordinates are not.
    coordinates = "projected" if posterior.can_collapse else "weight"
    say(f"MAP estimate in {coordinates} coordinates: {plan.starts} starts")
    found = map_estimate(
        posterior, coordinates=coordinates, n_starts=plan.starts,
        max_iter=800 if scaled.problem.grid.dimension == 1 else 400, rng=Key(plan.seed).child("invert", "map"),
    )  # fmt: skip
    chains = None
    if plan.sampler != "none":
        kind = getattr(samplers, _CLASSES[plan.sampler])
        options = {"step_size": SMALL_STEP[plan.sampler]} if plan.sampler in SMALL_STEP else {}
        steps = plan.chains * (plan.warmup + plan.draws * plan.thin)
        say(f"sampling by {plan.sampler}: {plan.chains} chains, {steps} steps in all, {plan.jobs} at a time")
        # Each chain begins at a minimum of its own, so that agreement between chains means something.
        chains = sample(
            partial(kind, **options), posterior, plan.draws, plan.chains, plan.warmup,
            Key(plan.seed).child("invert", "chains"), thin=plan.thin,
            initial=found.positions[np.arange(plan.chains) % plan.starts], keep_positions=False,
            checkpoint=checkpoint, n_jobs=plan.jobs, callback=_teller(say, plan.chains),
        )  # fmt: skip
    objectives = [minimum.objective for minimum in found.minima]
    n_minima = sum(minimum.converged for minimum in found.minima)
    return _Found(found.best.field, found.fields, objectives, chains, repr(prior), posterior.dim, n_minima)


def _teller(say: Callable[[str], object], n_chains: int) -> Callable[[Any], None]:
    told = set()

    def tell(progress: Any) -> None:
        if progress.chain == n_chains - 1:
            phase = "warm-up" if progress.phase == "warmup" else "draws"
            quarter = 4 * progress.n_done // max(progress.n_total, 1)
            if quarter and (phase, quarter) not in told:
                told.add((phase, quarter))
                say(f"{phase} {25 * quarter} %")

    return tell


def _numbers(value: Any) -> Any:
    """Return JSON values; None for what JSON cannot hold."""
    if isinstance(value, dict):
        return {key: _numbers(own) for key, own in value.items()}
    if isinstance(value, np.ndarray):
        return _numbers(value.tolist())
    if isinstance(value, list | tuple):
        return [_numbers(own) for own in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _verdict(found: _Found, summary: Any, plan: Plan) -> dict[str, Any]:
    """Return whether the draws can be trusted, in words."""
    if found.chains is None:
        why = (
            "Total variation gives one estimate; it says nothing of uncertainty."
            if plan.prior == "tv"
            else "Only the MAP estimate was computed (--map-only); nothing is said of uncertainty."
        )
        return {
            "converged": None,
            "verdict": why,
            "reasons": [],
            "rhat": None,
            "ess_bulk": None,
            "ess_tail": None,
        }
    numbers = {
        "converged": summary.converged,
        "reasons": list(summary.reasons),
        "rhat": _numbers(summary.rhat),
        "ess_bulk": _numbers(summary.ess_bulk),
        "ess_tail": _numbers(summary.ess_tail),
    }
    if found.exact:
        text = "The posterior is Gaussian and known; the draws are exact and independent."
        return numbers | {"converged": True, "reasons": [], "verdict": text}
    if summary.converged:
        text = "The chains agree: medians and bands below are those of the posterior."
    else:
        worst = "; ".join(summary.reasons[:2])
        text = (
            f"The chains do not agree ({worst}). Bands and probabilities below are indicative, not the posterior's: the "
            "chains have seen too little of it, and a longer run may change them."
        )
    return numbers | {"verdict": text}


def _longer(plan: Plan, seconds: float) -> dict[str, Any]:
    return {
        "options": f"--thin {4 * plan.thin} --warmup {4 * plan.warmup}",
        "minutes": max(1, round(4 * seconds / 60)),
    }


def _arrays(
    seen: Observation, scaled: ScaledProblem, found: _Found, threshold: float | None
) -> dict[str, np.ndarray]:
    """Return what ``result.npz`` holds, in the user's units."""
    grid = seen.grid
    axes = {"x": grid.axes[0]} if grid.dimension == 1 else {"x_a": grid.axes[0], "x_b": grid.axes[1]}
    arrays: dict[str, np.ndarray] = dict(axes)
    arrays["map"] = scaled.back(found.estimate)
    arrays["map_minima"] = scaled.back(found.estimates)
    arrays["map_objectives"] = np.array(found.objectives)
    arrays["y"], arrays["noise_std"] = seen.y, np.asarray(seen.noise_std)
    best = arrays["map"]
    if found.chains is not None:
        arrays["median"] = best = scaled.back(found.chains.median())
        arrays["quantiles"] = scaled.back(found.chains.quantile(_LEVELS))
        arrays["probabilities"] = np.array(_LEVELS)
        arrays["jump_probability"] = found.chains.jump_probability(threshold)
        # A few dozen draws, evenly spaced over the chains, are enough to draw or to propagate.
        flat = found.chains.fields.reshape(-1, *grid.shape)  # type: ignore[union-attr]
        arrays["draws"] = scaled.back(flat[np.linspace(0, len(flat) - 1, min(len(flat), 40)).astype(int)])
        if len(found.chains.misfit):
            arrays["misfit"] = found.chains.misfit
    arrays["prediction"] = seen.operator.apply(best.ravel()).reshape(seen.y.shape)
    if seen.truth is not None:
        arrays["truth"] = seen.truth
    return arrays


def _jumps(
    scaled: ScaledProblem, found: _Found, threshold: float | None, x: np.ndarray
) -> list[dict[str, float]]:
    if found.chains is None or len(found.chains.shape) != 1 or threshold is None or x.size < 2:
        return []
    places = found.chains.jump_locations(threshold)
    stretch, middle, a = scaled.half_width, scaled.middle[0], scaled.amplitude
    return [
        {
            "probability": place.probability,
            "place": middle + stretch * place.median,
            "lower": middle + stretch * place.lower,
            "upper": middle + stretch * place.upper,
            "size": a * place.size,
        }
        for place in places
    ]


def _fit(seen: Observation, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Say whether the reconstruction explains the data."""
    ratio = float(np.mean(((arrays["prediction"] - seen.y) / seen.noise_std) ** 2))
    text = "It explains the data to within the noise."
    if ratio > 1.5:
        text = "It misses the data by more than the noise: is the noise larger, or the kernel or boundary another one?"
    elif ratio < 0.5:
        text = "It follows the data closer than their noise: is the noise smaller than said?"
    return {"mean_square_of_residual_over_noise": ratio, "verdict": text}


def invert_file(
    data: str | os.PathLike[str],
    *,
    kernel: str,
    out: str | os.PathLike[str],
    prior: str = "cauchy-gaussian",
    boundary: str = "reflect",
    grid: str | None = None,
    noise: float | None = None,
    noise_level: float | None = None,
    noise_convention: str = "max",
    widths: str | None = None,
    scales: str | None = None,
    sampler: str = "auto",
    chains: int = 4,
    draws: int = 500,
    thin: int | None = None,
    warmup: int | None = None,
    starts: int | None = None,
    jobs: int | None = None,
    seed: int = 0,
    checkpoint: str | os.PathLike[str] | None = None,
    map_only: bool = False,
    force: bool = False,
    command: str = "",
    callback: Callable[[str], object] | None = None,
) -> dict[str, Any]:
    """Reconstruct a function from the data in a file, and write a report.

    Parameters
    ----------
    data : path
        See :func:`scinn.inverse.command_data.read_arrays`.
    kernel, boundary, grid, noise, noise_level, noise_convention
        See :func:`scinn.inverse.command_data.observe`. Without any noise it is estimated from the data.
    out : path
        Folder for ``report.html``, figures, ``result.npz`` and ``result.json``. Nothing appears there before all is done.
    prior : str
        One of ``PRIORS``.
    widths : str, optional
        Of the hidden layers, "20,20".
    scales : str, optional
        In the prior's units: for a network scales of the weights, a slash, and those of the biases; else its numbers.
    sampler : str
        One of ``SAMPLERS``.
    chains, draws, thin, warmup : int
        As for :func:`scinn.inverse.sample`; `thin` and `warmup` by default what suits the sampler.
    starts : int, optional
        Of the MAP estimate; by default as many as chains.
    jobs : int, optional
        Processes; by default one for each core. The numbers do not depend on it.
    seed : int
    checkpoint : path, optional
        Folder in which an interrupted run goes on.
    map_only : bool
    force : bool
        Whether `out` may hold files; those of the same names are replaced.
    command : str
        The line that does the same again, for the report.
    callback : callable, optional
        Called with a line of text when a long step begins.

    Returns
    -------
    dict
        What ``result.json`` holds.

    Raises
    ------
    ValueError
        For data, names and numbers that do not fit.
    FileExistsError
        Where `out` is in use.
    """
    say = callback or (lambda message: None)
    begun = time.perf_counter()
    folder = Path(out)
    _check_out(folder, [Path(data)], force)
    seen = observe(
        data, kernel, boundary=boundary, grid=grid, noise=noise, noise_level=noise_level, noise_convention=noise_convention
    )  # fmt: skip
    plan = make_plan(
        seen.grid.dimension, prior=prior, widths=widths, scales=scales, sampler=sampler, chains=chains, draws=draws,
        thin=thin, warmup=warmup, starts=starts, jobs=jobs, seed=seed, map_only=map_only,
    )  # fmt: skip
    if seen.noise_estimated:
        say(
            f"NOTE: no noise was given; its standard deviation is estimated from the data as {seen.sigma:.4g}"
        )
    scaled = scale_problem(seen, Path(data).name)
    # One thread, so that rounding does not depend on the machine's cores; chains are run side by side instead.
    with threadpool_limits(limits=1, user_api="blas"):
        found = _compute(plan, scaled, map_only, checkpoint, say)
    say("writing the report")
    arrays, report = _results(seen, scaled, plan, found)
    report |= {
        "data_file": os.fspath(data),
        "out": os.fspath(out),
        "command": command,
        "seconds": round(time.perf_counter() - begun, 1),
    }
    again = report["convergence"]["converged"] is False and not found.exact
    report["convergence"]["advice"] = _longer(plan, report["seconds"]) if again else None
    report = _numbers(report)
    _write(folder, report, arrays)
    return report


def _compute(
    plan: Plan, scaled: ScaledProblem, map_only: bool, checkpoint: Any, say: Callable[[str], object]
) -> _Found:
    if plan.prior == "tv":
        say("minimising misfit plus total variation")
        return _tv(plan, scaled)
    prior = _prior(plan, scaled, say)
    if plan.prior == "gp":
        return _exact(plan, scaled, prior, map_only)
    return _sampled(plan, scaled, prior, checkpoint, say)


def _write(folder: Path, report: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Write all files beside the folder and then move them there; the report learns their names."""
    from scinn.inverse.command_report import draw_figures, render_page

    staged = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:12]}.tmp")
    staged.parent.mkdir(parents=True, exist_ok=True)
    staged.mkdir()
    try:
        figures = draw_figures(report, arrays, staged)
        report["files"] = sorted(
            ["report.html", "result.npz", "result.json", *(name for f in figures for name in f.files)]
        )
        write_npz(staged / "result.npz", arrays, {"format": 1, "kind": "inversion", "scinn": __version__})
        write_json(staged / "result.json", report)
        write_text(staged / "report.html", render_page(report, figures))
        _publish(staged, folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _publish(staged: Path, folder: Path) -> None:
    """Move a finished folder to its place: at once where that is free, else file by file."""
    if folder.is_dir() and any(folder.iterdir()):
        for path in sorted(staged.iterdir()):
            os.replace(path, folder / path.name)
        return
    if folder.is_dir():
        folder.rmdir()
    os.replace(staged, folder)


def _results(
    seen: Observation, scaled: ScaledProblem, plan: Plan, found: _Found
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return what ``result.npz`` holds, and what is said of it."""
    threshold = None
    if found.chains is not None:
        threshold = default_threshold(found.chains.fields, n_grid=seen.grid.dimension)
    arrays = _arrays(seen, scaled, found, threshold)
    return arrays, _report(seen, scaled, plan, found, arrays, threshold)


def _errors(seen: Observation, found: _Found, arrays: dict[str, np.ndarray]) -> dict[str, float] | None:
    """Return relative errors and the band's coverage, where the truth is known."""
    if seen.truth is None:
        return None
    norm = float(np.linalg.norm(seen.truth)) or 1.0
    errors: dict[str, float] = {
        k: float(np.linalg.norm(arrays[k] - seen.truth)) / norm for k in ("map", "median") if k in arrays
    }
    if found.chains is not None:
        inside = (arrays["quantiles"][0] <= seen.truth) & (seen.truth <= arrays["quantiles"][-1])
        errors["coverage_of_90_band"] = float(np.mean(inside))
    return errors


def _sampling(plan: Plan, chains: Chains | None, summary: Any) -> dict[str, Any] | None:
    if chains is None:
        return None
    return {
        "sampler": plan.sampler,
        "chains": plan.chains,
        "draws": plan.draws,
        "thin": plan.thin,
        "warmup": plan.warmup,
        "acceptance_rate": list(chains.acceptance_rate),
        "misfit": None if summary is None else summary.misfit,
    }


def _report(
    seen: Observation,
    scaled: ScaledProblem,
    plan: Plan,
    found: _Found,
    arrays: dict[str, np.ndarray],
    threshold: float | None,
) -> dict[str, Any]:
    summary = None if found.chains is None else found.chains.summary(_LEVELS)
    return {
        "format": 1,
        "kind": "inversion",
        "versions": {"scinn": __version__, "numpy": np.__version__},
        "convergence": _verdict(found, summary, plan),
        "fit": _fit(seen, arrays),
        "data": {"shape": list(seen.y.shape), "grid": list(seen.grid.shape)},
        "operator": {"kernel": seen.kernel, "boundary": seen.boundary},
        "noise": {"sigma": seen.sigma, "origin": seen.noise_origin, "estimated": seen.noise_estimated},
        "notes": list(seen.notes),
        "prior": {
            "name": plan.prior,
            "is": found.prior,
            "widths": list(plan.widths),
            "weight_scale": list(plan.weight_scale),
            "bias_scale": list(plan.bias_scale),
            "numbers": plan.numbers,
            "dim": found.dim,
        },
        "units": {
            "offset": scaled.offset,
            "amplitude": scaled.amplitude,
            "middle": list(scaled.middle),
            "half_width": scaled.half_width,
        },
        "map": {
            "objectives": found.objectives,
            "n_starts": len(found.objectives),
            "n_converged": found.n_minima,
        },
        "sampling": _sampling(plan, found.chains, summary),
        "seed": plan.seed,
        "jobs": plan.jobs,
        "jump_threshold": None if threshold is None else scaled.amplitude * threshold,
        "jumps": _jumps(scaled, found, threshold, seen.grid.axes[0]),
        "errors": _errors(seen, found, arrays),
    }


def summary_rows(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Return a report's main numbers as rows of text."""
    from scinn.inverse.command_report import key_numbers

    return key_numbers(report)


def ending(report: dict[str, Any]) -> str:
    """Return a report's last lines: whether to trust it, and where it is."""
    lines = [report["convergence"]["verdict"]]
    advice = report["convergence"]["advice"]
    if advice:
        lines.append(f"A longer run: {advice['options']} (about {advice['minutes']} min)")
    lines.append(f"Report: {os.path.join(report['out'], 'report.html')}")
    return "\n".join(lines)
