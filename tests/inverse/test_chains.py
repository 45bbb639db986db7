import json
import sys
import types

import numpy as np
import pytest

from scinn.exceptions import MissingExtraError, ScinnWarning
from scinn.inverse.chains import Chains
from scinn.inverse.diagnostics import ess, rhat
from scinn.inverse.edges import jump_probability, jump_share


def make(n_chains=4, n_draws=1000, shape=(5,), seed=0, **options):
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij"), axis=-1)
    u = grid[..., 0] + 0.1 * rng.standard_normal((n_chains, n_draws, *shape))
    kept = {
        "misfit": rng.standard_exponential((n_chains, n_draws)),
        "fields": u,
        "positions": rng.standard_normal((n_chains, n_draws, 3)),
        "records": {"amplitude": np.ptp(u.reshape(n_chains, n_draws, -1), axis=2)},
        "acceptance_rate": (0.25,) * n_chains,
        "points": grid.reshape(-1, len(shape)),
        "sampler": "PCN",
        "n_warmup": 10,
    }
    return Chains(**(kept | options))


def test_summary_holds_the_quantiles_and_the_worst_diagnostics():
    chains = make(mean_exists=True)
    summary = chains.summary()
    pooled = chains.fields.reshape(-1, 5)
    np.testing.assert_allclose(summary.quantiles, np.quantile(pooled, (0.05, 0.25, 0.5, 0.75, 0.95), axis=0))
    np.testing.assert_allclose(summary.median, np.median(pooled, axis=0))
    np.testing.assert_allclose(summary.mean, pooled.mean(axis=0))
    assert summary.converged
    assert summary.rhat < 1.01
    low, high = chains.fields.min(axis=2), chains.fields.max(axis=2)
    parts = [chains.fields, low, high, chains.misfit, chains.records["amplitude"]]
    assert summary.rhat == max(float(np.max(rhat(part))) for part in parts)
    assert summary.ess_bulk == min(float(np.min(ess(part))) for part in parts)
    assert summary.ess_tail == min(float(np.min(ess(part, "tail"))) for part in parts)
    np.testing.assert_array_equal(summary.ess_points["bulk"], chains.ess())


def test_a_mean_is_given_only_where_it_exists():
    heavy = make(mean_exists=False)
    assert heavy.summary().mean is None
    assert "a mean may not exist" in repr(heavy.summary())
    with pytest.raises(ValueError, match="have no mean"):
        heavy.mean()
    unknown = make()
    assert unknown.summary().mean is None
    assert unknown.mean().shape == (5,)


def test_chains_that_disagree_about_the_function_have_not_converged():
    chains = make()
    chains.fields[0] += 1.0
    summary = chains.summary()
    assert summary.converged is False
    assert any("R-hat of the function" in reason for reason in summary.reasons)


def test_a_chain_alone_has_no_rhat():
    chains = make(n_chains=1)
    with pytest.raises(ValueError, match="too few chains for R-hat"):
        chains.rhat()
    summary = chains.summary()
    assert summary.rhat is None
    assert summary.converged is None
    assert "one chain" in repr(summary)
    assert "rhat" not in summary.ess_points


def test_weights_are_not_diagnosed_without_a_warning():
    chains = make()
    with pytest.warns(ScinnWarning, match="permuting hidden units"):
        of_weights = chains.rhat(of="weights")
    np.testing.assert_array_equal(of_weights, rhat(chains.positions))
    with pytest.warns(ScinnWarning, match="permuting hidden units"):
        chains.ess(of="weights")
    with pytest.raises(ValueError, match="positions were not kept"):
        make(positions=None).rhat(of="weights")


def test_units_that_change_places_spoil_rhat_of_weights_alone():
    """Two chains of one function whose weights are in the two orders that mean the same."""
    rng = np.random.default_rng(0)
    weights = np.stack([np.full((2, 500), 1.0), np.full((2, 500), -2.0)], axis=2) + 0.1 * rng.standard_normal(
        (2, 500, 2)
    )
    weights[1] = weights[1, :, ::-1]
    chains = Chains(misfit=weights.prod(axis=2), fields=weights.sum(axis=2, keepdims=True), positions=weights)
    assert chains.rhat().max() < 1.02
    with pytest.warns(ScinnWarning):
        assert chains.rhat(of="weights").min() > 1.5


def test_other_quantities_are_found_by_name():
    chains = make()
    assert float(chains.rhat("misfit")) == float(rhat(chains.misfit))
    assert float(chains.ess("amplitude", "tail")) == float(ess(chains.records["amplitude"], "tail"))
    with pytest.raises(ValueError, match="'fields', 'misfit', 'weights', 'amplitude'"):
        chains.rhat("u")


def test_large_grids_are_diagnosed_at_some_points():
    chains = make(n_chains=2, n_draws=8, shape=(30, 30))
    summary = chains.summary()
    assert len(summary.points) == 256
    assert summary.points[0] == 0
    assert summary.points[-1] == 899
    assert summary.median.shape == (30, 30)


def test_edges_are_those_of_all_draws():
    chains = make(n_draws=20)
    np.testing.assert_array_equal(
        chains.jump_probability(0.2), jump_probability(chains.fields.reshape(-1, 5), 0.2)
    )
    np.testing.assert_array_equal(chains.jump_share(), jump_share(chains.fields))
    assert all(0.0 <= jump.first < jump.last <= 1.0 for jump in chains.jump_locations(0.2))
    image = make(n_draws=20, shape=(4, 3))
    assert image.jump_probability().shape == (4, 3)
    assert image.jump_share().shape == (4, 20)
    with pytest.raises(ValueError, match="use jump_probability"):
        image.jump_locations()


def test_files_give_back_every_bit(tmp_path):
    chains = make(n_draws=10, truth=np.arange(3.0), truth_points=np.arange(3.0)[:, None], mean_exists=False)
    chains.save(tmp_path / "chains.npz")
    again = Chains.load(tmp_path / "chains.npz")
    for name in ("misfit", "fields", "positions", "points", "truth", "truth_points"):
        np.testing.assert_array_equal(getattr(again, name), getattr(chains, name))
    np.testing.assert_array_equal(again.records["amplitude"], chains.records["amplitude"])
    assert repr(again) == repr(chains)
    assert (again.mean_exists, again.n_warmup, again.thin) == (False, 10, 1)
    bare = Chains(misfit=np.zeros((1, 2)), acceptance_rate=(float("nan"),))
    bare.save(tmp_path / "bare.npz")
    assert Chains.load(tmp_path / "bare.npz").fields is None
    assert np.isnan(Chains.load(tmp_path / "bare.npz").acceptance_rate[0])


def test_a_file_of_another_kind_is_refused(tmp_path):
    from scinn._files import write_npz

    write_npz(tmp_path / "other.npz", {}, {"format": 1, "kind": "weights"})
    with pytest.raises(ValueError, match="'weights' of format 1"):
        Chains.load(tmp_path / "other.npz")


def test_a_target_without_functions_has_draws_of_the_misfit():
    chains = make(fields=None, points=None)
    assert chains.summary().converged
    assert chains.summary().median is None
    assert "no functions" in repr(chains)
    with pytest.raises(ValueError, match="no field"):
        chains.median()


def test_plots_show_band_median_and_truth():
    chains = make(n_draws=20, truth=np.linspace(0, 1, 9), truth_points=np.linspace(0, 1, 9)[:, None])
    axes = chains.plot()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["90 % band", "median", "truth"]
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), chains.median())
    np.testing.assert_array_equal(axes.lines[1].get_xdata(), np.linspace(0, 1, 9))
    assert "matplotlib.pyplot" not in sys.modules or chains.plot(axes) is axes
    image = make(n_draws=20, shape=(4, 3))
    drawn = image.plot().images[0].get_array()
    np.testing.assert_array_equal(drawn, image.median().T)


def test_to_dict_is_json():
    plain = json.loads(json.dumps(make(n_draws=20).to_dict(), allow_nan=False))
    assert plain["sampler"] == "PCN"
    assert len(plain["summary"]["quantiles"]) == 5


def test_arviz_missing_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "arviz", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'scinn\[arviz\]'"):
        make(n_draws=5).to_arviz()


@pytest.mark.parametrize("version", ["0.23.4", "1.3.0"])
def test_arviz_gets_functions_and_statistics_in_both_of_its_forms(monkeypatch, version):
    calls = []
    fake = types.ModuleType("arviz")
    fake.__version__ = version
    fake.from_dict = lambda *groups, **options: calls.append((groups, options)) or "tree"
    monkeypatch.setitem(sys.modules, "arviz", fake)
    chains = make(n_draws=5, shape=(3, 2))
    assert chains.to_arviz() == "tree"
    [(groups, options)] = calls
    data = groups[0] if groups else options
    assert set(data["posterior"]) == {"u", "amplitude"}
    np.testing.assert_array_equal(data["sample_stats"]["lp"], -chains.misfit)
    assert options["dims"] == {"u": ["x_a", "x_b"]}
    np.testing.assert_array_equal(options["coords"]["x_b"], [0.0, 1.0])


def test_arviz_itself_takes_them():
    pytest.importorskip("arviz")
    chains = make(n_draws=5)
    tree = chains.to_arviz()
    np.testing.assert_array_equal(np.asarray(tree["posterior"]["u"]), chains.fields)
    np.testing.assert_array_equal(np.asarray(tree["sample_stats"]["misfit"]), chains.misfit)
