"""A small paper module: a mean over seeds, a claim tuned in two stages, one that misses, one without data."""

from __future__ import annotations

import time

import numpy as np

from scinn.reproduce.claims import Cell, Claim, FigureSpec, Outcome, seeds, summarize
from scinn.reproduce.figures import new_figure

BUDGETS = {
    "smoke": {"n_seeds": 3, "pause": 0.0},
    "quick": {"n_seeds": 6, "pause": 0.05},
    "full": {"n_seeds": 10, "pause": 0.0},
}


def normal_mean(params, seed):
    time.sleep(params["pause"])
    sample = np.random.default_rng(seed).normal(params["loc"], 1.0, size=params["n"])
    return {"mean": sample.mean(), "first": sample[:2]}


def broken(params, seed):
    raise RuntimeError("this experiment always fails")


EXPERIMENTS = {"normal_mean": normal_mean, "broken": broken}


def cell(budget, loc, seed):
    return Cell("normal_mean", {"loc": loc, "n": 50, "pause": BUDGETS[budget]["pause"]}, seed)


def mean_cells(budget, seed, results):
    return [cell(budget, 80.0, s) for s in seeds(seed, BUDGETS[budget]["n_seeds"])]


def mean_outcome(budget, results):
    mean, sd, n = summarize(results.pluck("mean"))
    good = abs(mean - 80.0) < 1.0
    return Outcome(
        mean, sd, n, "reproduced" if good else "not reproduced", f"{mean:.3f} against 80", {"p": 0.25}
    )


def tuned_cells(budget, seed, results):
    candidates = [cell(budget, loc, seeds(seed, 1)[0]) for loc in (10.0, 30.0, 20.0)]
    if not results.has(candidates):
        return candidates
    best = max(candidates, key=lambda c: results[c]["mean"])
    return candidates + [cell(budget, best.params["loc"], s) for s in seeds(seed, BUDGETS[budget]["n_seeds"])]


def tuned_outcome(budget, results):
    best = max((c.params["loc"] for c in results), key=lambda loc: len(results.select(loc=loc)))
    mean, sd, n = summarize(results.select(loc=best).pluck("mean"))
    return Outcome(
        mean, sd, n, "direction holds", f"the winner is {best}", {"winner": best, "spread": float("nan")}
    )


def missed(budget, results):
    mean, sd, n = summarize(results.pluck("mean"))
    return Outcome(mean, sd, n, "not reproduced", f"{mean:.3f} is <b>not</b> 90")


def make(name, cells, judge, **fields):
    words = {
        "paper": "framelets",
        "statement": f"The {name} of a sample is what it should be.",
        "reported": 80.0,
        "source": "Table 1",
        "protocol": "Draw normal numbers & take their mean.",
        "success_rule": "within 1 of the paper",
        "unit": "%",
        "budgets": BUDGETS,
    }
    return Claim(name=name, next_cells=cells, evaluate=judge, **(words | fields))


CLAIMS = (
    make("mean", mean_cells, mean_outcome, parameters={"n": 50, "kind": "plain"}, reported_sd=0.5),
    make("tuned", tuned_cells, tuned_outcome, reported=None, unit=""),
    make("missed", mean_cells, missed, reported=90.0),
    make("absent", mean_cells, mean_outcome, dataset=("nci1",)),
)

BROKEN = make("broken", lambda budget, seed, results: [Cell("broken", {}, seed)], mean_outcome)


def figures(results, budget):
    rows = [{"seed": c.seed, "mean": r["mean"]} for c, r in results.select("normal_mean", loc=80.0).items()]
    figure = new_figure()
    axes = figure.add_subplot()
    axes.plot([row["seed"] for row in rows], [row["mean"] for row in rows], "o-", label="mean")
    axes.axhline(80.0, color="0.4", linestyle="--", label="paper")
    axes.set(xlabel="seed", ylabel="mean (%)")
    axes.legend()
    return [
        FigureSpec(
            "means", "Means by seed", "Each dot is one seed; the dashed line is the paper.", figure, rows
        )
    ]
