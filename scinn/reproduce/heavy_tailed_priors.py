"""Claims of *Bayesian neural network priors for edge-preserving inversion* (Inverse Problems and Imaging, 2022).

Paper: C. Li, M. Dunlop, G. Stadler, arXiv 2112.10663. Its abstract and the captions of its figures were read; the numbers
of its
two tables could not be, so no claim has a reported number, and each says what the abstract says on problems of our own.
Scales
of every law and settings of every control are chosen on random truths with noise of their own, never on a truth that is
judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from scinn.reproduce.claims import Cell, Claim, Outcome, Results, seeds, summarize
from scinn.reproduce.heavy_tailed_priors_comparisons import EXPERIMENTS as COMPARISONS
from scinn.reproduce.heavy_tailed_priors_controls import EXPERIMENTS as CONTROL_RUNS
from scinn.reproduce.heavy_tailed_priors_experiments import EXPERIMENTS as NETWORKS
from scinn.reproduce.heavy_tailed_priors_figures import figures
from scinn.reproduce.heavy_tailed_priors_map_claims import (
    LINE,
    budgets,
    map_claims,
    ratio_outcome,
    repeatable_claim,
    significance,
)
from scinn.reproduce.heavy_tailed_priors_mixtures import EXPERIMENTS as MIXTURES
from scinn.reproduce.heavy_tailed_priors_protocol import (
    ABSTRACT,
    CHAINS,
    DIMENSION,
    ENSEMBLE,
    EVIDENCE,
    MAP_1D,
    N_EVIDENCE,
    N_SEEDS,
    OURS,
    PAPER,
    SHARES,
    TITLES,
    scales,
)

__all__ = ["CLAIMS", "EXPERIMENTS", "figures"]

EXPERIMENTS = {**NETWORKS, **COMPARISONS, **CONTROL_RUNS, **MIXTURES}
#: Chains count as converged up to this R-hat of function values.
CONVERGED = 1.05

_SMALL = "65 unknowns, 33 data, kernel sd 0.08, noise sd 0.1; network [1, 10, 10, 1], scales (10, 3, 1) and (10, 3, 0.5). "
_SHARP = "65 unknowns, 33 data, kernel sd 0.05, noise sd 0.01; the same network and scales. "


# Uncertainty


def _small_cells(
    experiment: str, law: str, truth: str, sizes: Mapping[str, Any], n: int, seed: int
) -> list[Cell]:
    params = {"dataset": None, "law": law, "truth": truth, "width": 10, **scales("b"), **sizes}
    return [Cell(experiment, params, s) for s in seeds(seed, n)]


def _pairs(
    results: Results, experiment: str, truth: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the results of the Cauchy-Gaussian and the Gaussian network, in the same order of seeds."""
    found = [results.select(experiment, law=law, truth=truth) for law in ("ccg", "ggg")]
    ordered = [[run[cell] for cell in sorted(run, key=lambda cell: cell.seed)] for run in found]
    return ordered[0], ordered[1]


_UNCERTAINTY = {
    "ratio": (
        "The posterior of a network with Cauchy hidden layers is more unsure near jumps, relative to elsewhere, than "
        "that of a Gaussian one.",
        "mean quotient of the ratios sd near / sd away from jumps >= 1.1, p < 0.05 and chains converged (all R-hat "
        "<= 1.05); direction holds: > 1",
        "",
    ),
    "coverage": (
        "Pointwise 90 % intervals of a network with Cauchy hidden layers cover a truth with jumps more often than "
        "those of a Gaussian one.",
        "mean difference of coverage > 0, p < 0.05, intervals at most 1.5 times as wide, and chains converged (all "
        "R-hat <= 1.05); direction holds: > 0",
        "points",
    ),
}


def _means(runs: Sequence[Mapping[str, Any]], name: str) -> float:
    return float(np.mean([run[name] for run in runs]))


def _judge_uncertainty(
    measure: str, heavy: Sequence[Mapping[str, Any]], light: Sequence[Mapping[str, Any]]
) -> Outcome:
    extra: dict[str, Any] = {
        "worst R-hat": max(run["r_hat"] for run in (*heavy, *light)),
        "least ESS": min(run["ess"] for run in (*heavy, *light)),
    }
    pairs = list(zip(heavy, light, strict=True))
    if measure == "ratio":
        gains = [a["ratio"] / b["ratio"] for a, b in pairs]
        p, text = significance(np.log(gains).tolist())
        extra |= {"ratio, Cauchy": _means(heavy, "ratio"), "ratio, Gaussian": _means(light, "ratio")}
        mean, sd, n = summarize(gains)
        assert mean is not None
        good, half = mean >= 1.1, mean > 1.0
    else:
        gains = [100.0 * (a["coverage"] - b["coverage"]) for a, b in pairs]
        p, text = significance(gains)
        widths = _means(heavy, "width"), _means(light, "width")
        extra |= {
            "coverage, Cauchy": 100.0 * _means(heavy, "coverage"),
            "coverage, Gaussian": 100.0 * _means(light, "coverage"),
            "width, Cauchy": widths[0],
            "width, Gaussian": widths[1],
        }
        mean, sd, n = summarize(gains)
        assert mean is not None
        good, half = mean > 0.0 and widths[0] <= 1.5 * widths[1], mean > 0.0
    sure = good and p < 0.05 and extra["worst R-hat"] <= CONVERGED
    verdict = "reproduced" if sure else "direction holds" if half else "not reproduced"
    numbers = ", ".join(f"{name} {value:.3g}" for name, value in extra.items())
    return Outcome(mean, sd, n, verdict, f"{text}; {numbers}", extra)


def _uncertainty_claim(measure: str) -> Claim:
    def next_cells(budget: str, seed: int, results: Results) -> list[Cell]:
        return [
            cell
            for law in ("ccg", "ggg")
            for cell in _small_cells("uncertainty", law, "jumps", CHAINS[budget], N_SEEDS[budget], seed)
        ]

    def evaluate(budget: str, results: Results) -> Outcome:
        return _judge_uncertainty(measure, *_pairs(results, "uncertainty", "jumps"))

    statement, rule, unit = _UNCERTAINTY[measure]
    return Claim(
        paper=PAPER,
        name="uncertainty",
        parameters={"measure": measure},
        statement=statement,
        reported=None,
        source=ABSTRACT,
        protocol=_SMALL
        + "The same scales for both laws, not tuned. Collapsed pCN; near means within 0.1 of a jump. Paired by "
        "noise draw.",
        success_rule="reproduced: " + rule,
        unit=unit,
        budgets=budgets(CHAINS, N_SEEDS),
        next_cells=next_cells,
        evaluate=evaluate,
    )


def _collapsing_claim() -> Claim:
    n_runs = {"smoke": 1, "quick": 2, "full": 5}

    def next_cells(budget: str, seed: int, results: Results) -> list[Cell]:
        return _small_cells("collapsing", "ccg", "jumps", CHAINS[budget], n_runs[budget], seed)

    def evaluate(budget: str, results: Results) -> Outcome:
        found = list(results.values())
        gains = [run["collapsed"]["ess"] / run["plain"]["ess"] for run in found]
        mean, sd, n = summarize(gains)
        assert mean is not None
        hat = {name: max(run[name]["r_hat"] for run in found) for name in ("plain", "collapsed")}
        each = {name: float(np.mean([run[name]["ess_per_million"] for run in found])) for name in hat}
        # A chain that has not converged has fewer effective draws than it says, so only the collapsed one must have.
        sure = min(gains) >= 2.0 and hat["collapsed"] <= CONVERGED
        verdict = "reproduced" if sure else "direction holds" if mean > 1.0 else "not reproduced"
        reason = (
            f"{each['plain']:.0f} -> {each['collapsed']:.0f} effective draws a million steps (median over the grid); "
            f"worst R-hat {hat['plain']:.2f} plain, {hat['collapsed']:.2f} collapsed"
        )
        extra = {**each, "worst R-hat, plain": hat["plain"], "worst R-hat, collapsed": hat["collapsed"]}
        return Outcome(mean, sd, n, verdict, reason, extra)

    return Claim(
        paper=PAPER,
        name="collapsing",
        statement="Integrating the Gaussian last layer out gives pCN more effective draws of function values for "
        "each step.",
        reported=None,
        source=OURS,
        protocol=_SMALL
        + "Cauchy, Cauchy, Gaussian; both samplers adapt to the same acceptance, equal numbers of steps.",
        success_rule="reproduced: ESS at least twice as large in every run, collapsed chains converged (R-hat <= "
        "1.05); direction holds: mean ratio > 1",
        unit="x",
        budgets={b: {**CHAINS[b], "n_seeds": n} for b, n in n_runs.items()},
        next_cells=next_cells,
        evaluate=evaluate,
    )


def _evidence_claim(truth: str, noise: float) -> Claim:
    heavy_wins = truth == "jumps"

    def next_cells(budget: str, seed: int, results: Results) -> list[Cell]:
        sizes = {**EVIDENCE[budget], "noise": noise}
        return [
            cell
            for law in ("ccg", "ggg")
            for cell in _small_cells("evidence", law, truth, sizes, N_EVIDENCE[budget], seed)
        ]

    def evaluate(budget: str, results: Results) -> Outcome:
        heavy, light = _pairs(results, "evidence", truth)
        sign = 1.0 if heavy_wins else -1.0
        gains = [sign * (a["log_evidence"] - b["log_evidence"]) for a, b in zip(heavy, light, strict=True)]
        mean, sd, n = summarize(gains)
        assert mean is not None
        p, text = significance(gains)
        verdict = (
            "reproduced" if mean > 0 and p < 0.05 else "direction holds" if mean > 0 else "not reproduced"
        )
        means = [float(np.mean([run["log_evidence"] for run in side])) for side in (heavy, light)]
        apart = float(np.sqrt(np.mean([0.5 * np.diff(run["runs"])[0] ** 2 for run in (*heavy, *light)])))
        reason = (
            f"log evidence {means[0]:.2f} (Cauchy hidden layers) against {means[1]:.2f} (Gaussian), standard "
            f"deviation of a run {apart:.2f}; {text}"
        )
        return Outcome(
            mean,
            sd,
            n,
            verdict,
            reason,
            {"Cauchy": means[0], "Gaussian": means[1], "sd of a run": apart, "p_value": p},
        )

    better = "Cauchy hidden layers" if heavy_wins else "Gaussian layers"
    kind = "truth with jumps" if heavy_wins else "smooth truth"
    return Claim(
        paper=PAPER,
        name="evidence",
        parameters={"truth": truth, "noise": noise},
        statement=f"On a {kind}, with noise of standard deviation {noise:g}, the evidence of the data prefers the "
        f"network with {better}.",
        reported=None,
        source=OURS,
        protocol=(_SMALL if noise == 0.1 else _SHARP)
        + "Sequential Monte Carlo from prior to posterior with collapsed pCN moves, twice for each noise draw; the "
        "same scales for both laws. The two noise levels were picked after trial runs, in which the strong noise had "
        "hidden what the weak noise shows.",
        success_rule="reproduced: mean difference of log evidence > 0, p < 0.05; direction holds: > 0",
        unit="nats",
        budgets=budgets(EVIDENCE, N_EVIDENCE),
        next_cells=next_cells,
        evaluate=evaluate,
    )


# The prior, the samplers, the ensembles


def _share_claim(law: str) -> Claim:
    def next_cells(budget: str, seed: int, results: Results) -> list[Cell]:
        wide = {"weight_scale": [3.0, 1.5, 1.5], "bias_scale": [2.0, 2.0, 0.5], "dataset": None}
        cells = [
            Cell("shares", {"law": own, **wide, **SHARES[budget]}, s)
            for own in (law, "ggg")
            for s in seeds(seed, 1)
        ]
        drawn = [
            Cell("prior_draws", {"law": own, "dataset": None}, s)
            for own in ("ccc", "ggg")
            for s in seeds(seed, 1)
        ]
        return cells + drawn

    def evaluate(budget: str, results: Results) -> Outcome:
        heavy, light = (results.select("shares", law=own).pluck("2049")[0] for own in (law, "ggg"))
        ratio = heavy["median"] / light["median"]
        verdict = "reproduced" if ratio >= 8.0 else "direction holds" if ratio > 1.0 else "not reproduced"
        reason = f"median share {heavy['median']:.4f} against {light['median']:.4f} on 2049 points"
        extra = {
            "median, heavy": heavy["median"],
            "median, Gaussian": light["median"],
            "mean, heavy": heavy["mean"],
        }
        return Outcome(ratio, None, SHARES[budget]["n_draws"], verdict, reason, extra)

    return Claim(
        paper=PAPER,
        name="jump-share",
        parameters={"law": law},
        statement=f"Functions drawn from a network with heavy tails ({TITLES[law]}) look discontinuous at finite "
        "width: the largest step on a fine grid holds a far larger share of the variation than with Gaussian "
        "weights.",
        reported=None,
        source="abstract and captions of Figures 1 and 2",
        protocol="Network [1, 40, 40, 1], scales (3, 1.5, 1.5) and (2, 2, 0.5), 2049 points on [-1, 1]; median over "
        "draws of max|du| / sum|du|.",
        success_rule="reproduced: ratio of medians >= 8; direction holds: > 1",
        unit="x",
        budgets={b: dict(SHARES[b]) for b in SHARES},
        next_cells=next_cells,
        evaluate=evaluate,
    )


def _dimension_claim() -> Claim:
    n_runs = {"smoke": 1, "quick": 2, "full": 5}

    def next_cells(budget: str, seed: int, results: Results) -> list[Cell]:
        return [
            Cell("dimension", {"dataset": None, **DIMENSION[budget]}, s) for s in seeds(seed, n_runs[budget])
        ]

    def evaluate(budget: str, results: Results) -> Outcome:
        pcn = 100.0 * np.array(results.pluck("pcn"))
        rwm = 100.0 * np.array(results.pluck("rwm"))
        lost = pcn[:, 0] - pcn[:, -1]
        mean, sd, n = summarize(lost.tolist())
        assert mean is not None
        other = float(np.mean(rwm[:, 0] - rwm[:, -1]))
        left = float(np.mean(rwm[:, -1] / rwm[:, 0]))
        kept = float(np.mean(pcn[:, -1] / pcn[:, 0]))
        verdict = (
            "reproduced"
            if kept >= 0.5 and left <= 0.1
            else "direction holds"
            if kept > left
            else "not reproduced"
        )
        widths = results.pluck("widths")[0]
        reason = (
            f"acceptance from width {widths[0]} to {widths[-1]}: pCN {pcn[:, 0].mean():.0f} -> "
            f"{pcn[:, -1].mean():.0f} %, random walk {rwm[:, 0].mean():.0f} -> {rwm[:, -1].mean():.1f} %"
        )
        return Outcome(mean, sd, n, verdict, reason, {"lost by the random walk, points": other})

    return Claim(
        paper=PAPER,
        name="dimension",
        statement="At a step size tuned for a narrow network pCN keeps most of its acceptance as the network grows, "
        "while a random walk loses it.",
        reported=None,
        source="abstract (dimension-robust MCMC)",
        protocol="Networks [1, D, 1], Gaussian then Cauchy, 65 unknowns, 33 data, noise sd 1 (with sd 0.2, tried first, "
        "steps are so small that they tell neither sampler apart); both samplers start where tuned pCN chains ended, "
        "with the step sizes of the narrowest network.",
        success_rule="reproduced: from the narrowest network to the widest pCN keeps at least half of its acceptance and "
        "the random walk at most a tenth; direction holds: pCN keeps more",
        unit="points lost",
        budgets={b: {**DIMENSION[b], "n_seeds": n_runs[b]} for b in DIMENSION},
        next_cells=next_cells,
        evaluate=evaluate,
    )


def _ensemble_claim(method: str) -> Claim:
    n_runs = {"smoke": 1, "quick": 3, "full": 10}
    smoother = method == "esmda"

    def next_cells(budget: str, seed: int, results: Results) -> list[Cell]:
        params = {
            "dataset": None,
            "law": "ccg",
            "truth": "jumps",
            "method": method,
            **scales("b"),
            **ENSEMBLE[budget],
        }
        return [
            Cell("ensemble", params | {"init": init}, s)
            for init in ("local", "prior")
            for s in seeds(seed, n_runs[budget])
        ]

    def evaluate(budget: str, results: Results) -> Outcome:
        local = [run["error"] for run in results.select("ensemble", init="local").values()]
        prior = [run["error"] for run in results.select("ensemble", init="prior").values()]
        mean, sd, n = summarize(local)
        assert mean is not None
        other = float(np.mean(prior))
        good = mean <= 0.4 and (other >= 0.8 or not smoother)
        half = mean < other if smoother else mean <= 0.8
        verdict = "reproduced" if good else "direction holds" if half else "not reproduced"
        reason = f"relative error {mean:.3f} from a local ensemble, {other:.3f} from one drawn from the prior"
        return Outcome(mean, sd, n, verdict, reason, {"from the prior": other, "worst, local": max(local)})

    if smoother:
        statement = (
            "An ensemble smoother learns jumps from an ensemble around one network, and nothing from one drawn from "
            "the prior, whose symmetry makes all covariances but that of the output's bias zero."
        )
        rule = "mean relative error <= 0.4 from local and >= 0.8 from prior ensembles; direction holds: local lower"
    else:
        statement = (
            "Ensemble Kalman inversion, iterated to the noise level, reconstructs jumps from an ensemble around one "
            "network."
        )
        rule = "mean relative error <= 0.4 from local ensembles; direction holds: <= 0.8"
    return Claim(
        paper=PAPER,
        name="ensemble",
        parameters={"method": method},
        statement=statement,
        reported=None,
        source="abstract (ensemble-based approximations; which kind could not be read)",
        protocol=LINE
        + (
            "ES-MDA with the data-misfit controller"
            if smoother
            else "EKI with steps of 1 until the discrepancy principle stops it"
        )
        + "; Cauchy, Cauchy, Gaussian; the local ensemble has spread 0.1 around a draw of the prior. Error of the mean "
        "function.",
        success_rule="reproduced: " + rule,
        unit="",
        budgets={b: {**ENSEMBLE[b], "n_seeds": n_runs[b]} for b in ENSEMBLE},
        next_cells=next_cells,
        evaluate=evaluate,
    )


def _mixture_claim() -> Claim:
    def next_cells(budget: str, seed: int, results: Results) -> list[Cell]:
        sizes = {"dataset": None, "truth": "jumps", **scales("b"), **MAP_1D[budget]}
        return [
            Cell("last_layer", sizes | {"law": law}, s)
            for law in ("ccg", "ggg")
            for s in seeds(seed, N_SEEDS[budget])
        ]

    def evaluate(budget: str, results: Results) -> Outcome:
        heavy, light = _pairs(results, "last_layer", "jumps")
        scores = [[run["score"] for run in side] for side in (heavy, light)]
        outcome = ratio_outcome(scores[0], scores[1], 1.0, (TITLES["ccg"], TITLES["ggg"]), "interval score")
        extra = {
            f"{name}, {title}": factor * _means(side, name)
            for side, title in ((heavy, "Cauchy"), (light, "Gaussian"))
            for name, factor in (("coverage", 100.0), ("width", 1.0), ("error", 1.0), ("best", 1.0))
        }
        covered = (
            f"covers {extra['coverage, Cauchy']:.0f} and {extra['coverage, Gaussian']:.0f} % of the truth"
        )
        return replace(outcome, reason=f"{outcome.reason}; {covered}", extra=outcome.extra | extra)

    return Claim(
        paper=PAPER,
        name="ensemble",
        parameters={"method": "last-layer"},
        statement="Intervals of an ensemble of MAP estimates with exact last layers are better on a truth with jumps where "
        "the hidden layers are Cauchy.",
        reported=None,
        source="abstract (ensemble-based approximations; which kind could not be read)",
        protocol=LINE
        + "Equal mixture of the last layers' exact posteriors at the estimates of all starts, scales (10, 3, 1) and (10, 3, "
        "0.5) for both laws. 90 % intervals, judged by their interval score: mean width plus 20 times what they miss.",
        success_rule="reproduced: mean ratio of interval scores < 1, paired sign-flip p < 0.05 on its logarithm; direction "
        "holds: mean ratio < 1",
        unit="",
        budgets=budgets(MAP_1D, N_SEEDS),
        next_cells=next_cells,
        evaluate=evaluate,
    )


CLAIMS = (
    *map_claims(),
    repeatable_claim(),
    _uncertainty_claim("ratio"),
    _uncertainty_claim("coverage"),
    _collapsing_claim(),
    *(_evidence_claim(truth, noise) for truth in ("jumps", "smooth") for noise in (0.1, 0.01)),
    _share_claim("ccg"),
    _share_claim("ccc"),
    _dimension_claim(),
    _ensemble_claim("esmda"),
    _ensemble_claim("eki"),
    _mixture_claim(),
)
