"""The properties of heavy-tailed priors: the scores behind them, and that broken code makes them fail."""

from __future__ import annotations

import numpy as np
import pytest

from scinn.verify import run_property
from scinn.verify.network_functions import next_scale
from scinn.verify.registry import find_property, properties
from scinn.verify.scores import batch_score, law_score, limit, mean_score, score_of

PAPER = "heavy-tailed-priors"


def failures(name, n_cases=8):
    return run_property(find_property(PAPER, name), n_cases=n_cases, seed=3).n_failed


def test_there_is_a_property_for_each_part():
    names = [prop.name for prop in properties(PAPER)]
    assert len(names) == len(set(names)) >= 48


# Scores


def test_scores_are_normal_where_the_statement_is_true():
    rng = np.random.default_rng(0)
    from scipy import stats

    means = np.array([mean_score(rng.uniform(-1, 1, 200)) for _ in range(400)])
    laws = np.array([law_score(rng.standard_normal(100), stats.norm.cdf) for _ in range(400)])
    walk = [np.convolve(rng.standard_normal(2100), np.ones(5), "valid")[:2000] for _ in range(300)]
    batches = np.array([batch_score(path, 0.0, 40) for path in walk])
    for scores in (means, laws, batches):
        assert 0.5 < np.median(scores) < 0.85
        assert 0.02 < np.mean(scores > 1.96) < 0.09


def test_scores_grow_where_it_is_false():
    rng = np.random.default_rng(1)
    assert mean_score(rng.uniform(-1, 1, 1000), 0.2) > limit()
    assert batch_score(rng.uniform(-1, 1, 1000), 0.2) > limit()
    assert law_score(rng.standard_normal(1000), lambda x: np.clip((x + 2) / 4, 0, 1)) > limit()
    assert law_score(np.array([0.0, np.nan]), lambda x: x) == np.inf
    assert mean_score(np.ones(5), 0.0) == np.inf
    assert mean_score(np.full(5, np.nan)) == np.inf
    assert score_of(0.05) < limit() < limit(10)


# Values of the recursion, from an independent computation with 400,000 nodes


@pytest.mark.parametrize(
    ("law", "wanted"),
    [
        ("cauchy", (1.10080970, 1.12594334, 1.13174958)),
        ("gaussian", (0.81103888, 0.74187687, 0.71191089)),
    ],
)
def test_scales_of_wide_tanh_layers(law, wanted):
    scale = 1.0
    for value in wanted:
        scale = next_scale(law, 1.2, 0.3, scale, n=1_000_000)
        assert scale == pytest.approx(value, abs=1.5e-8)


# The largest share of a step, with more draws than the property takes


def test_jump_shares_on_a_fine_grid():
    from scinn.inverse import StableNNPrior
    from scinn.inverse.edges import jump_share

    x = np.linspace(-1, 1, 2049)
    shares = {}
    for name, law in (("ggg", "gaussian"), ("ccg", ("cauchy", "cauchy", "gaussian")), ("ccc", "cauchy")):
        prior = StableNNPrior([1, 40, 40, 1], law=law, weight_scale=(3, 1.5, 1.5), bias_scale=(2, 2, 0.5))
        shares[name] = np.concatenate([jump_share(prior.sample(seed, 100, x)) for seed in range(4)])
    medians = {name: float(np.median(values)) for name, values in shares.items()}
    assert medians["ccg"] >= 8.0 * medians["ggg"], medians
    assert medians["ccc"] >= 8.0 * medians["ggg"], medians
    assert medians["ggg"] < 0.0018
    assert shares["ccg"].mean() > 0.02
    assert shares["ccc"].mean() > 0.02


# Planted errors


def test_the_naive_tangent_is_found(monkeypatch):
    from scipy import special

    from scinn.inverse.laws import Law

    true = Law.transform

    def naive(self, xi):
        if self.name != "cauchy":
            return true(self, xi)
        return np.tan(np.pi * (special.ndtr(np.asarray(xi, dtype=float)) - 0.5))

    monkeypatch.setattr(Law, "transform", naive)
    assert failures("cauchy-digits") == 8
    assert failures("tails")
    assert failures("odd-transforms", 20)


@pytest.mark.parametrize("power", [0.5, 0.0])
def test_a_wrong_power_of_the_width_is_found(monkeypatch, power):
    from scinn.inverse import StableNNPrior

    true = StableNNPrior.__init__

    def wrong(self, widths, **options):
        true(self, widths, **options)
        self.weight_scales = self.weight_scale * np.array(self.widths[:-1], dtype=float) ** -power
        self.weight_scales[0] = self.weight_scale[0]

    monkeypatch.setattr(StableNNPrior, "__init__", wrong)
    assert failures("wide-limit") >= 2
    assert failures("characteristic-function") >= 2


def test_scaled_biases_are_found(monkeypatch):
    from scinn.inverse import StableNNPrior

    true = StableNNPrior.__init__

    def wrong(self, widths, **options):
        true(self, widths, **options)
        self.bias_scales = self.bias_scales / np.array(self.widths[:-1], dtype=float)

    monkeypatch.setattr(StableNNPrior, "__init__", wrong)
    assert failures("wide-limit") >= 2


def test_a_transposed_convolution_is_found(monkeypatch):
    from scinn.inverse import operators

    true = operators.axis_matrix

    def transposed(axis, kernel, width, index, **options):
        full = true(axis, kernel, width, np.arange(len(axis)), **options)
        return np.ascontiguousarray(full.T[index])

    monkeypatch.setattr(operators, "axis_matrix", transposed)
    assert failures("operator-orientation") == 8


def test_too_wide_a_square_root_update_is_found(monkeypatch):
    from scinn.inverse import ensembles
    from scinn.inverse.ensembles import eki, etki

    true = etki.etki_update

    def wrong(ensemble, predicted, data, alpha=1.0):
        updated = true(ensemble, predicted, data, alpha)
        mean = updated.mean(axis=0)
        return mean + 1.01 * (updated - mean)

    for module in (etki, eki, ensembles):
        monkeypatch.setattr(module, "etki_update", wrong)
    assert failures("square-root-update") == 8
    assert failures("inversion-trajectory") == 8


def test_diagnostics_without_ranks_are_found(monkeypatch):
    from scinn.inverse import diagnostics

    true = diagnostics.ess
    monkeypatch.setattr(diagnostics, "ess", lambda values, method="bulk": true(values, "mean"))
    assert failures("effective-size") >= 6
    monkeypatch.setattr(diagnostics, "rhat", lambda values: np.array(1.0))
    assert failures("rank-rhat") >= 4


def test_a_collapsed_misfit_without_its_determinant_is_found(monkeypatch):
    from scinn.inverse import CollapsedPosterior

    def quadratic(self, xi, stop_above=np.inf):
        mean, covariance = self.last_layer(xi)
        residual = self.posterior.data
        return 0.5 * float(residual @ residual - mean @ np.linalg.solve(covariance, mean))

    monkeypatch.setattr(CollapsedPosterior, "misfit", quadratic)
    assert failures("collapsed-layer") >= 6
