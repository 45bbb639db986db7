"""Threshold functions and the rules that choose thresholds, against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scinn.graphs import (
    energy_scales,
    estimate_noise,
    hard_threshold,
    nonzero_share,
    shrink_bands,
    soft_threshold,
    sure_threshold,
    universal_threshold,
)
from scinn.reference.graph_layers import shrink_scalar, sure_risk

values = st.lists(st.floats(-1e6, 1e6), max_size=20)
thresholds = st.floats(0, 1e6)


@given(values, thresholds)
def test_soft_threshold_is_the_definition(x, t):
    expected = [shrink_scalar(v, t, hard=False) for v in x]
    np.testing.assert_allclose(soft_threshold(np.array(x, dtype=float), t), expected, rtol=1e-15, atol=1e-9)


@given(values, thresholds)
def test_hard_threshold_is_the_definition(x, t):
    expected = [shrink_scalar(v, t, hard=True) for v in x]
    np.testing.assert_array_equal(hard_threshold(np.array(x, dtype=float), t), expected)


@given(values, values, thresholds)
def test_soft_threshold_is_odd_shrinking_and_lipschitz(x, y, t):
    n = min(len(x), len(y))
    x, y = np.array(x[:n], dtype=float), np.array(y[:n], dtype=float)
    sx, sy = soft_threshold(x, t), soft_threshold(y, t)
    np.testing.assert_array_equal(soft_threshold(-x, t), -sx)
    assert np.all(np.abs(sx) <= np.abs(x))
    assert np.all(np.abs(sx - sy) <= np.abs(x - y) + 1e-9)


def test_extreme_thresholds():
    x = np.array([-2.0, 0.0, 1e300])
    np.testing.assert_array_equal(soft_threshold(x, 0.0), x)
    np.testing.assert_array_equal(soft_threshold(x, np.inf), [0, 0, 0])
    np.testing.assert_array_equal(hard_threshold(x, np.inf), [0, 0, 0])


def test_a_value_at_the_threshold_is_dropped():
    assert hard_threshold([1.0], 1.0)[0] == 0
    assert soft_threshold([1.0], 1.0)[0] == 0


@pytest.mark.parametrize("function", [soft_threshold, hard_threshold])
def test_dtype_is_kept(function):
    assert function(np.ones(3, dtype=np.float32), 0.5).dtype == np.float32


@pytest.mark.parametrize("function", [soft_threshold, hard_threshold])
@pytest.mark.parametrize("t", [-1.0, math.nan])
def test_bad_threshold(function, t):
    with pytest.raises(ValueError, match="threshold"):
        function([1.0], t)


def test_released_threshold_on_cora():
    assert universal_threshold(2708) == pytest.approx(0.0764, abs=5e-5)


def test_universal_thresholds_differ_by_root_n():
    n = 500
    plain = universal_threshold(n, 2.0, normalized=False)
    assert plain == pytest.approx(2.0 * math.sqrt(2 * math.log(n)))
    assert universal_threshold(n, 2.0) == pytest.approx(plain / math.sqrt(n))
    assert universal_threshold(1) == 0


@pytest.mark.parametrize("arguments", [(0,), (10, -1.0), (10, math.inf), (2.5,)])
def test_universal_threshold_refuses(arguments):
    with pytest.raises((ValueError, TypeError)):
        universal_threshold(*arguments)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 3.0])
def test_sure_threshold_minimises_the_risk_estimate(sigma):
    rng = np.random.default_rng(7)
    x = sigma * rng.normal(size=61)
    x[:15] += 5 * sigma
    chosen = sure_threshold(x, sigma)
    grid = np.linspace(0, sigma * math.sqrt(2 * math.log(61)), 400)
    least = min(sure_risk(x / sigma, t / sigma) for t in grid)
    assert sure_risk(x / sigma, chosen / sigma) <= least + 1e-12


def test_sure_threshold_on_noise_is_large_and_on_strong_signal_small():
    noise = np.random.default_rng(0).normal(size=4000)
    assert sure_threshold(noise) > 1.5
    assert sure_threshold(noise + 50.0) == 0.0
    assert sure_threshold(noise, 0.0) == 0.0
    assert sure_threshold(np.zeros(0)) == 0.0


def test_estimate_noise_ignores_outliers():
    noise = np.random.default_rng(1).normal(scale=0.3, size=20_000)
    noise[:500] = 100.0
    assert estimate_noise(noise) == pytest.approx(0.3, rel=0.06)
    with pytest.raises(ValueError, match="empty"):
        estimate_noise([])


def test_energy_scales():
    c = np.zeros((3, 4, 2))
    c[1, 0], c[2, :2] = 1.0, 2.0
    np.testing.assert_allclose(energy_scales(c), [0, 1, 8])
    np.testing.assert_allclose(energy_scales(np.zeros((3, 2))), [0, 1, 1])


@pytest.mark.parametrize("shrinkage", ["soft", "hard"])
def test_shrink_bands_leaves_the_low_pass(shrinkage):
    c = np.random.default_rng(2).normal(size=(3, 5, 2))
    out = shrink_bands(c, np.array([0.5, np.inf]), shrinkage=shrinkage)
    function = soft_threshold if shrinkage == "soft" else hard_threshold
    np.testing.assert_array_equal(out[0], c[0])
    np.testing.assert_allclose(out[1], function(c[1], 0.5), atol=1e-15)
    assert not out[2].any()


def test_nonzeros_fall_as_sigma_grows():
    c = np.random.default_rng(3).normal(size=(4, 50))
    shares = [nonzero_share(shrink_bands(c, sigma)) for sigma in (0.0, 0.3, 1.0, 3.0)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == 1.0
    assert shares[-1] >= 0.25


@pytest.mark.parametrize("t", [-1.0, [1.0], [[1.0, 2.0, 3.0]], np.nan])
def test_shrink_bands_refuses_thresholds(t):
    with pytest.raises(ValueError, match="thresholds"):
        shrink_bands(np.zeros((3, 4)), t)


def test_shrink_bands_names_the_choice():
    with pytest.raises(ValueError, match="soft"):
        shrink_bands(np.zeros((3, 4)), 1.0, shrinkage="sofd")


def test_share_of_nothing():
    assert nonzero_share(np.zeros((0, 3))) == 0.0
