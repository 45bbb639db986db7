import json

import numpy as np
import pytest

from scinn.inverse.diagnostics import ChainSummary, ess, rhat, verdict


def ar1(rng, shape, phi):
    """Stationary AR(1) chains along axis 1."""
    noise = rng.standard_normal(shape)
    out = np.empty(shape)
    out[:, 0] = noise[:, 0]
    for i in range(1, shape[1]):
        out[:, i] = phi * out[:, i - 1] + np.sqrt(1 - phi**2) * noise[:, i]
    return out


def split_rank_rhat(values):
    """The definition: the larger of the rank-normalised split R-hat and that of the distances from the median."""
    from scipy.stats import norm, rankdata

    def split(x):
        half = x.shape[1] // 2
        return np.concatenate([x[:, :half], x[:, -half:]])

    def normalised(x):
        return norm.ppf((rankdata(x).reshape(x.shape) - 0.375) / (x.size + 0.25))

    def basic(x):
        n = x.shape[1]
        between, within = n * x.mean(axis=1).var(ddof=1), x.var(axis=1, ddof=1).mean()
        return np.sqrt((between / within + n - 1) / n)

    halves = split(values)
    return max(basic(normalised(halves)), basic(normalised(np.abs(halves - np.median(halves)))))


@pytest.mark.parametrize("shape", [(2, 100), (4, 101), (3, 7), (2, 4)])
def test_rhat_is_its_definition(shape):
    values = np.random.default_rng(1).standard_normal(shape)
    assert float(rhat(values)) == pytest.approx(split_rank_rhat(values), rel=1e-10)
    ties = np.round(values)
    assert float(rhat(ties)) == pytest.approx(split_rank_rhat(ties), rel=1e-10)


def test_rhat_sees_chains_that_differ_in_place_or_in_spread():
    rng = np.random.default_rng(0)
    good = rng.standard_normal((4, 1000))
    assert rhat(good) < 1.01
    moved = good.copy()
    moved[0] += 1.0
    assert rhat(moved) > 1.05
    wide = good.copy()
    wide[0] *= 3.0
    assert rhat(wide) > 1.05


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_ess_of_an_autoregression_is_the_known_one(phi):
    values = ar1(np.random.default_rng(2), (4, 20000), phi)
    assert float(ess(values)) == pytest.approx(80000 * (1 - phi) / (1 + phi), rel=0.12)


def test_estimates_are_made_for_each_point():
    values = np.random.default_rng(3).standard_normal((2, 50, 3, 2))
    for function in (rhat, ess, lambda x: ess(x, "tail")):
        every = function(values)
        assert every.shape == (3, 2)
        assert float(every[2, 1]) == float(function(values[:, :, 2, 1]))


def test_one_chain_has_an_ess_and_no_rhat():
    values = np.random.default_rng(0).standard_normal((1, 100))
    assert ess(values) > 50
    with pytest.raises(ValueError, match="too few chains for R-hat: 1 came"):
        rhat(values)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="axes \\(chain, draw"):
        ess(np.zeros(5))
    with pytest.raises(ValueError, match="too few draws for R-hat: 3"):
        rhat(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="did you mean 'bulk'"):
        ess(np.zeros((2, 5)), "bulc")


def test_the_verdict_names_the_worst_quantity():
    rng = np.random.default_rng(0)
    good, slow = rng.standard_normal((4, 1000)), ar1(rng, (4, 1000), 0.98)
    assert verdict({"good": good}).converged
    found = verdict({"good": good, "slow": slow})
    assert found.converged is False
    assert any(reason.startswith("bulk ESS of slow is") for reason in found.reasons)
    assert found.ess_bulk == pytest.approx(float(ess(slow)))
    assert found.rhat == pytest.approx(max(float(rhat(good)), float(rhat(slow))))


def test_points_that_never_change_decide_nothing_unless_none_does():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((4, 1000, 3))
    values[:, :, 1] = 7.0
    assert verdict({"u": values}).converged
    assert verdict({"u": np.ones((4, 1000))}).converged is False
    stuck = np.repeat(np.arange(4.0)[:, None], 1000, axis=1)
    found = verdict({"u": stuck})
    assert found.converged is False
    assert found.rhat == np.inf


def test_what_cannot_be_judged_is_not_judged():
    rng = np.random.default_rng(0)
    assert verdict({"u": rng.standard_normal((1, 2000))}).converged is None
    assert verdict({"u": rng.standard_normal((1, 2000))}).rhat is None
    assert verdict({"u": rng.standard_normal((4, 3))}).converged is None
    infinite = rng.standard_normal((4, 1000))
    infinite[0, 0] = np.inf
    assert verdict({"u": infinite, "v": rng.standard_normal((4, 1000))}).converged is False


def test_a_summary_becomes_json_with_none_for_infinity():
    summary = ChainSummary(
        2,
        10,
        (0.5, float("nan")),
        {"median": 1.0, "q05": 0.5, "q95": np.inf},
        False,
        ("why",),
        np.inf,
        1.0,
        2.0,
        (0.5,),
    )
    plain = json.loads(json.dumps(summary.to_dict(), allow_nan=False))
    assert plain["acceptance_rate"] == [0.5, None]
    assert plain["misfit"]["q95"] is None
    assert plain["rhat"] is None
    assert "converged         no: why" in repr(summary)


@pytest.mark.parametrize("shape", [(2, 100), (4, 101), (1, 50), (3, 7)])
@pytest.mark.parametrize("kind", ["free", "ties", "sticky"])
def test_estimates_are_those_of_arviz(shape, kind):
    arviz = pytest.importorskip("arviz")
    if int(arviz.__version__.split(".")[0]) > 0:
        pytest.skip("from 1.0 on ArviZ calls the same code")
    values = np.random.default_rng(5).standard_normal(shape)
    values = {"free": values, "ties": np.round(values), "sticky": np.repeat(values, 7, axis=1)}[kind]
    for method in ("bulk", "tail", "mean", "sd", "median"):
        options = {"prob": (0.05, 0.95)} if method == "tail" else {}
        assert float(ess(values, method)) == pytest.approx(
            arviz.ess(values, method=method, **options), rel=1e-10
        )
    if shape[0] > 1:
        assert float(rhat(values)) == pytest.approx(arviz.rhat(values), rel=1e-10)
