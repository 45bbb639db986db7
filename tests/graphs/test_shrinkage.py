"""Threshold functions and the rules that choose thresholds, against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

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


@pytest.mark.parametrize(
    "c",
    [
        np.array([[5], [100], [50]], dtype=np.int8),
        [[5.0], [100.0], [50.0]],
        np.array([[5e20], [1e20], [5e19]], dtype=np.float32),
        np.array([[5.0], [2e300], [1e300]]),
        np.array([[5.0], [2e-300], [1e-300]]),
        np.array([[5.0], [2e-320], [1e-320]]),
    ],
)
def test_energy_scales_of_every_type_and_size(c):
    np.testing.assert_allclose(energy_scales(c), [0, 1, 0.25], rtol=1e-6)


@given(
    st.integers(1, 4),
    st.integers(0, 6),
    st.integers(0, 2**32 - 1),
)
def test_energy_scales_are_the_definition(n_bands, n_nodes, seed):
    c = np.random.default_rng(seed).normal(size=(n_bands, n_nodes, 2))
    energy = np.sum(c**2, axis=(1, 2))
    expected = np.ones(n_bands) if n_nodes == 0 or n_bands == 1 else energy / energy[1]
    expected[0] = 0
    np.testing.assert_allclose(energy_scales(c), expected, rtol=1e-13)


def test_energy_scales_far_apart():
    assert energy_scales([[1.0], [1e-200], [1e200]])[2] == np.inf
    assert energy_scales([[1.0], [1e200], [1e-200]])[2] == 0.0


@pytest.mark.parametrize(
    ("c", "error", "message"),
    [
        ([[1.0], [np.nan]], ValueError, "coefficients holds 1 NaN"),
        ([[1.0], [1j]], TypeError, "coefficients is complex"),
        ([["a"], ["b"]], TypeError, "coefficients has dtype"),
        (np.zeros((0, 5)), ValueError, r"coefficients has shape \(0, 5\); .*at least the low-pass"),
        (1.0, ValueError, r"coefficients has shape \(\)"),
    ],
)
def test_energy_scales_refuse(c, error, message):
    with pytest.raises(error, match=message):
        energy_scales(c)


@pytest.mark.parametrize("function", [soft_threshold, hard_threshold])
@pytest.mark.parametrize(
    ("t", "message"),
    [
        ("0.5", "threshold must be one number >= 0, got '0.5'$"),
        (None, "threshold must be one number"),
        (np.ones(2), "threshold must be one number .*use shrink_bands"),
        ([1.0], "threshold must be one number .*use shrink_bands"),
    ],
)
def test_a_threshold_is_one_number(function, t, message):
    with pytest.raises(TypeError, match=message):
        function([1.0, 2.0], t)


@pytest.mark.parametrize("function", [soft_threshold, hard_threshold])
def test_thresholds_of_every_kind_of_number(function):
    for t in (1, np.float32(1), np.int64(1), np.array(1.0)):
        np.testing.assert_array_equal(function([0.5, -3.0], t), function([0.5, -3.0], 1.0))
    assert not function(np.ones(2, dtype=np.float32), 1e300).any()


@pytest.mark.parametrize("power", [-1000, -700, -500, 500, 700, 1000])
def test_sure_threshold_scales_with_the_data(power):
    x = np.random.default_rng(7).normal(size=61)
    x[:15] += 5
    expected = np.ldexp(sure_threshold(x, 0.5), power)
    assert expected > 0
    assert sure_threshold(np.ldexp(x, power), np.ldexp(0.5, power)) == pytest.approx(
        expected, rel=1e-12, abs=0
    )


def test_sure_threshold_of_hardly_any_noise():
    x = np.array([1.0, -2.0, 3.0])
    assert sure_threshold(x, 1e-200) == 0.0
    assert sure_threshold(x, 5e-324) == 0.0
    assert sure_threshold([*[0.0] * 20, 1e300], 1e-300) == 0.0
    assert 0 < sure_threshold(np.full(5, 1e-160), 1.0) < 1e-150


@pytest.mark.parametrize(
    "function", [lambda s: sure_threshold([1.0], s), lambda s: universal_threshold(5, s)]
)
def test_a_noise_level_is_one_number(function):
    for sigma in ("1", None, np.ones(2)):
        with pytest.raises(TypeError, match=r"sigma is .*a number is wanted"):
            function(sigma)
    with pytest.raises(ValueError, match="sigma is -1; a finite number >= 0 is wanted"):
        function(-1)


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
    assert nonzero_share(sparse.csr_array((0, 3))) == 0.0


def test_share_of_a_sparse_array_counts_all_its_places():
    places = (np.array([0, 0, 1, 1]), np.array([1, 1, 0, 2]))
    matrix = sparse.coo_array((np.array([1.0, 2.0, 0.0, 4.0]), places), shape=(2, 3))
    assert nonzero_share(matrix) == nonzero_share(matrix.toarray()) == 2 / 6
    with pytest.raises(TypeError, match="coefficients is None"):
        nonzero_share(None)
