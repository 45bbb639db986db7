"""How the claims on heavy-tailed priors judge: planted results must get the verdict that the rule says."""

from __future__ import annotations

import numpy as np
import pytest

from scinn.reproduce.claims import Results, sign_flip_test
from scinn.reproduce.heavy_tailed_priors import CLAIMS
from scinn.reproduce.heavy_tailed_priors_mixtures import interval_score
from scinn.reproduce.heavy_tailed_priors_protocol import chosen, tuning_cells

BY_ID = {claim.id.partition(":")[2]: claim for claim in CLAIMS}


def judged(name, value, budget="quick"):
    """Run a claim on made results: `value(cell, number)` gives that of a cell."""
    claim, known = BY_ID[name], {}
    while True:
        wanted = claim.next_cells(budget, 0, Results(known))
        fresh = [cell for cell in wanted if cell not in known]
        if not fresh:
            return claim.evaluate(budget, Results({cell: known[cell] for cell in wanted}))
        known |= {cell: value(cell, cell.seed % 100) for cell in fresh}


def error_of(better, factor):
    def value(cell, number):
        own = cell.params.get("law", cell.params.get("method"))
        return {"best": (factor if own == better else 1.0) * (0.2 + 0.01 * number), "sd": 0.1}

    return value


@pytest.mark.parametrize(
    ("factor", "verdict"), [(0.5, "reproduced"), (0.9, "direction holds"), (1.2, "not reproduced")]
)
def test_ratios_of_errors_are_held_to_their_bar(factor, verdict):
    outcome = judged("map[truth=jumps,law=ccg]", error_of("ccg", factor))
    assert outcome.verdict == verdict
    assert outcome.mean == pytest.approx(factor)


def test_the_converse_asks_for_a_better_gaussian_network():
    assert judged("map[truth=smooth,law=ggg]", error_of("ggg", 0.9)).verdict == "reproduced"
    assert judged("map[truth=smooth,law=ggg]", error_of("ggg", 1.1)).verdict == "not reproduced"


def test_scales_are_chosen_on_other_truths_than_the_judged_one():
    groups = tuning_cells("ccg", "quick", "jumps", 0)
    cells = [cell for group in groups.values() for cell in group]
    assert {cell.params["truth"] for cell in cells} == {"random-jumps"}
    best = Results({cell: {"best": 0.1 if cell in groups["d"] else 0.2} for cell in cells})
    assert chosen(groups, best) == "d"
    assert chosen(groups, Results()) is None
    claim = BY_ID["map[truth=jumps,law=ccg]"]
    first = claim.next_cells("quick", 0, Results())
    assert not {"jumps", "smooth"} & {cell.params["truth"] for cell in first}


def bands(coverage, width, r_hat, ratio=1.5):
    def value(cell, number):
        heavy = cell.params["law"] == "ccg"
        return {
            "coverage": (coverage if heavy else 0.6) + 0.001 * number,
            "width": width if heavy else 0.3,
            "ratio": ratio if heavy else 1.1,
            "r_hat": r_hat,
            "ess": 500.0,
        }

    return value


def test_coverage_is_no_success_without_convergence_or_by_wide_bands():
    name = "uncertainty[measure=coverage]"
    assert judged(name, bands(0.8, 0.35, 1.01)).verdict == "reproduced"
    assert judged(name, bands(0.8, 0.35, 1.5)).verdict == "direction holds"
    assert judged(name, bands(1.0, 100.0, 1.01)).verdict == "direction holds"
    assert judged(name, bands(0.4, 0.35, 1.01)).verdict == "not reproduced"


def test_the_ratio_of_spreads_needs_converged_chains():
    name = "uncertainty[measure=ratio]"
    assert judged(name, bands(0.8, 0.35, 1.01)).verdict == "reproduced"
    assert judged(name, bands(0.8, 0.35, 1.2)).verdict == "direction holds"
    assert judged(name, bands(0.8, 0.35, 1.01, ratio=1.0)).verdict == "not reproduced"


def test_equal_spreads_are_not_taken_for_a_proof():
    outcome = judged("repeatable", lambda cell, number: {"best": 0.1, "sd": 0.0})
    assert outcome.verdict == "not run"
    with pytest.raises(ValueError, match="finite"):
        sign_flip_test([1.0, np.inf])


def test_evidence_says_how_much_a_run_varies():
    def value(cell, number):
        shift = 5.0 if cell.params["law"] == "ccg" else 0.0
        return {"log_evidence": -50.0 + shift, "runs": [-51.0 + shift, -49.0 + shift]}

    outcome = judged("evidence[truth=jumps,noise=0.01]", value, "full")
    assert outcome.verdict == "reproduced"
    assert outcome.extra["sd of a run"] == pytest.approx(np.sqrt(2.0))
    assert judged("evidence[truth=smooth,noise=0.01]", value, "full").verdict == "not reproduced"


def test_a_sampler_that_loses_its_acceptance_is_told_from_one_that_does_not():
    def value(cell, number):
        return {"pcn": [0.25, 0.2], "rwm": [0.25, 0.01], "widths": [10, 640]}

    assert judged("dimension", value).verdict == "reproduced"
    assert judged("dimension", lambda c, n: value(c, n) | {"rwm": [0.25, 0.1]}).verdict == "direction holds"
    assert judged("dimension", lambda c, n: value(c, n) | {"pcn": [0.25, 0.0]}).verdict == "not reproduced"


def test_collapsing_must_pay_in_every_run():
    def value(cell, number):
        return {
            "plain": {"ess": 10.0, "r_hat": 1.1, "ess_per_million": 10.0},
            "collapsed": {"ess": 50.0 if number else 15.0, "r_hat": 1.01, "ess_per_million": 50.0},
        }

    assert judged("collapsing", value).verdict == "direction holds"


def test_a_smoother_from_the_prior_must_fail_for_the_trap_to_be_shown():
    def value(cell, number):
        return {"error": 0.3 if cell.params["init"] == "local" else 0.5}

    assert judged("ensemble[method=esmda]", value).verdict == "direction holds"
    assert judged("ensemble[method=eki]", value).verdict == "reproduced"


def test_interval_scores_reward_neither_wide_nor_narrow_intervals():
    truth = np.zeros(4)
    good, narrow, wide = (
        interval_score(m - w, m + w, truth) for m, w in ((0.1, 0.2), (0.1, 0.0), (0.1, 5.0))
    )
    assert good == pytest.approx(0.4)
    assert narrow == pytest.approx(2.0)
    assert wide == pytest.approx(10.0)


@pytest.mark.parametrize(("factor", "verdict"), [(0.8, "reproduced"), (1.1, "not reproduced")])
def test_mixtures_are_judged_by_their_interval_score(factor, verdict):
    def value(cell, number):
        own = factor if cell.params["law"] == "ccg" else 1.0
        return {"score": own * (1 + 0.01 * number), "coverage": 0.8, "width": 0.1, "error": 0.1, "best": 0.1}

    assert judged("ensemble[method=last-layer]", value).verdict == verdict
