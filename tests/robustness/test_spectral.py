"""Series, enclosure and smooth activations against all points of the cube and against each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scinn.robustness.spectral import (
    lattice_error,
    series_parameters,
    smooth_parameters,
    vaaler_parameters,
)

SEEDS = st.integers(0, 2**32 - 1)
ACTIVATIONS = {
    "tanh": np.tanh,
    "scaled_logistic": lambda m: np.tanh(0.5 * m),
    "relu": lambda m: np.maximum(m, 0.0),
}


def all_points(n):
    return 1.0 - 2.0 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)


def brute_force(weights, threshold, function):
    x = all_points(len(weights))
    margins = x @ weights - threshold
    values = function(margins)
    return np.concatenate([[values.mean()], values @ x / len(x)]), float(np.abs(margins).mean())


def neuron(n, seed):
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal(n) * 10.0 ** rng.uniform(-3, 3)
    return weights, float(rng.standard_normal() * np.linalg.norm(weights))


@given(n=st.integers(1, 12), seed=SEEDS)
def test_series_is_right_within_its_own_estimate(n, seed):
    weights, threshold = neuron(n, seed)
    want, margin = brute_force(weights, threshold, np.sign)
    result = series_parameters(weights, threshold)
    assert np.abs(result.value - want).max() <= result.error_estimate
    # The coefficients of |s| fall with the square of the harmonic, so that this sum has converged.
    assert result.mean_margin == pytest.approx(margin, rel=1e-7)


@given(n=st.integers(1, 10), seed=SEEDS, n_harmonics=st.sampled_from([1, 2, 3, 10, 101, 4000]))
def test_the_enclosure_holds_for_every_tie(n, seed, n_harmonics):
    weights, threshold = neuron(n, seed)
    result = vaaler_parameters(weights, threshold, n_harmonics=n_harmonics)
    for tie in (-1.0, 0.0, 1.0):
        want, _ = brute_force(weights, threshold, lambda m, tie=tie: np.where(m == 0.0, tie, np.sign(m)))
        assert np.abs(result.value - want).max() <= result.bound


@pytest.mark.parametrize("tie", [-1, 0, 1])
def test_the_enclosure_holds_where_points_are_on_the_plane(tie):
    weights = np.array([1.0, 1.0, 1.0, 1.0, 2.0, 2.0])
    want, _ = brute_force(weights, 2.0, lambda m: np.where(m == 0.0, tie, np.sign(m)))
    result = vaaler_parameters(weights, 2.0, n_harmonics=2000)
    mass = np.mean(all_points(6) @ weights == 2.0)
    assert np.abs(result.value - want).max() <= result.bound
    # It cannot become smaller than the mass that a tie decides.
    assert result.bound >= mass


@pytest.mark.parametrize("n", [96, 135, 200, 961])
def test_long_neurons_converge_with_few_harmonics(n):
    rng = np.random.default_rng(n)
    weights, threshold = rng.standard_normal(n), float(rng.standard_normal())
    result = series_parameters(weights, threshold)
    assert result.n_harmonics <= 256
    assert result.error_estimate <= 1e-13
    identity = weights @ result.value[1:] - threshold * result.value[0]
    assert identity == pytest.approx(result.mean_margin, rel=1e-13)
    fixed = series_parameters(weights, threshold, n_harmonics=100)
    assert fixed.n_harmonics == 100
    np.testing.assert_allclose(fixed.value, result.value, rtol=0, atol=1e-14)
    assert (np.sign(result.value[1:]) == np.sign(weights)).all()


def test_a_long_neuron_has_a_narrow_enclosure():
    rng = np.random.default_rng(0)
    weights = rng.standard_normal(135)
    narrow = vaaler_parameters(weights, 1.0, n_harmonics=10**6)
    wide = vaaler_parameters(weights, 1.0, n_harmonics=10**4)
    assert narrow.bound <= 1e-5
    assert 50 <= wide.bound / narrow.bound <= 200
    np.testing.assert_array_equal(narrow.value, wide.value)


def test_the_enclosure_agrees_with_a_convolution_on_a_grid():
    # Weights on a grid of 1/64: the law of the sum is a convolution of two-point laws, without any series.
    rng = np.random.default_rng(5)
    steps = rng.integers(20, 120, 60)
    weights, threshold = steps / 64.0, 0.26
    total = int(steps.sum())
    law = np.zeros(2 * total + 1)
    law[total] = 1.0
    for a in steps:
        law = 0.5 * (np.roll(law, a) + np.roll(law, -a))
    sums = np.arange(-total, total + 1) / 64.0
    result = vaaler_parameters(weights, threshold, n_harmonics=20_000)
    assert abs(result.value[0] - law @ np.sign(sums - threshold)) <= result.bound
    assert result.mean_margin == pytest.approx(law @ np.abs(sums - threshold), abs=1e-6)


@pytest.mark.parametrize("n", [61, 135])
def test_equal_weights_are_not_smoothed_away(n):
    weights = np.full(n, 0.7)
    margin = 0.7 * sum(abs(2 * k - n) * math.comb(n, k) for k in range(n + 1)) / 2**n
    result = series_parameters(weights, 0.0)
    assert result.mean_margin == pytest.approx(margin, rel=1e-6)
    influence = math.comb(n - 1, (n - 1) // 2) / 2 ** (n - 1)
    assert np.abs(result.value[1:] - influence).max() <= result.error_estimate <= 0.02


@pytest.mark.parametrize("spread", [0.02, 0.1, 0.2])
@pytest.mark.parametrize("levels", [1, 3])
def test_nearly_equal_weights_are_followed_until_their_products_are_gone(spread, levels):
    rng = np.random.default_rng(levels)
    weights = rng.uniform(1.0 - spread, 1.0 + spread, 135) * rng.integers(1, levels + 1, 135)
    many = series_parameters(weights, 4.3, n_harmonics=20_000)
    result = series_parameters(weights, 4.3)
    assert result.n_harmonics < 20_000
    np.testing.assert_allclose(result.value, many.value, rtol=0, atol=1e-14)
    assert result.error_estimate <= 1e-12
    # Too few harmonics say so; sizes of 0.8 to 3.6 are no longer near multiples of anything.
    few = series_parameters(weights, 4.3, n_harmonics=32)
    error = np.abs(few.value - many.value).max()
    assert error <= few.error_estimate < 0.3
    assert (error > 1e-8) == ((levels, spread) != (3, 0.2))


def test_smoothed_lattices_are_admitted_in_the_estimate():
    rng = np.random.default_rng(3)
    weights = rng.integers(1, 30, 135).astype(float)
    result = series_parameters(weights, 0.9)
    law = np.ones(1)
    for a in weights.astype(int):
        law = 0.5 * (np.pad(law, (0, a)) + np.pad(law, (a, 0)))
    sums = 2.0 * np.arange(len(law)) - weights.sum()
    error = abs(result.value[0] - law @ np.sign(sums - 0.9))
    assert 1e-6 < error <= result.error_estimate
    assert lattice_error(weights, 1.0) > 0.0 == lattice_error(weights, 4.0)
    assert lattice_error(rng.standard_normal(135), 1.0) == 0.0


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300])
def test_scaling_by_powers_of_two_changes_no_bit(scale):
    factor = 2.0 ** round(math.log2(scale))
    weights, threshold = neuron(100, 1)
    plain, scaled = (
        series_parameters(weights, threshold),
        series_parameters(factor * weights, factor * threshold),
    )
    np.testing.assert_allclose(scaled.value, plain.value, rtol=0, atol=1e-14)
    assert scaled.mean_margin == pytest.approx(factor * plain.mean_margin, rel=1e-12)
    enclosed = vaaler_parameters(factor * weights, factor * threshold, n_harmonics=1000)
    assert enclosed.bound == pytest.approx(
        vaaler_parameters(weights, threshold, n_harmonics=1000).bound, rel=1e-6
    )


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_constant_neurons(side):
    weights, threshold = np.array([1.0, -2.0]), side * 3.5
    for result in (
        series_parameters(weights, threshold),
        vaaler_parameters(weights, threshold, n_harmonics=5),
    ):
        assert result.value.tolist() == [-side, 0.0, 0.0]
        assert result.mean_margin == 3.5
    relu = smooth_parameters(weights, threshold, "relu")
    assert relu.value.tolist() == ([0.0, 0.0, 0.0] if side > 0 else [3.5, 1.0, -2.0])


@given(n=st.integers(1, 12), seed=SEEDS, activation=st.sampled_from(["tanh", "scaled_logistic"]))
def test_smooth_activations_are_right_within_a_proven_bound(n, seed, activation):
    weights, threshold = neuron(n, seed)
    if np.abs(weights).sum() + abs(threshold) > 1000.0:
        weights, threshold = weights / 100.0, threshold / 100.0
    want, margin = brute_force(weights, threshold, ACTIVATIONS[activation])
    result = smooth_parameters(weights, threshold, activation, tol=1e-12)
    assert result.proven
    assert np.abs(result.value - want).max() <= result.error_estimate <= 1e-11
    assert result.mean_margin == pytest.approx(margin, rel=1e-7)


@given(n=st.integers(1, 12), seed=SEEDS)
def test_relu_is_right_within_its_estimate(n, seed):
    weights, threshold = neuron(n, seed)
    want, _ = brute_force(weights, threshold, ACTIVATIONS["relu"])
    result = smooth_parameters(weights, threshold, "relu")
    assert np.abs(result.value - want).max() <= result.error_estimate + 1e-14 * np.abs(weights).sum()
    # Coefficients beyond the last harmonic, 10^5, add up to 2 P / (10^5 pi^2), and P is 1.1 times this sum.
    assert result.error_estimate <= 1e-5 * (np.abs(weights).sum() + abs(threshold))


def test_a_coarse_tolerance_saves_harmonics_and_is_kept():
    weights, threshold = neuron(12, 7)
    weights, threshold = 20.0 * weights / np.linalg.norm(weights), 0.0
    want, _ = brute_force(weights, threshold, np.tanh)
    coarse, fine = (smooth_parameters(weights, threshold, "tanh", tol=tol) for tol in (1e-3, 1e-13))
    assert coarse.n_harmonics < fine.n_harmonics
    assert np.abs(coarse.value - want).max() <= coarse.error_estimate <= 2e-3
    assert np.abs(fine.value - want).max() <= fine.error_estimate <= 1e-12


def test_steep_tanh_goes_to_the_sign():
    weights, threshold = neuron(120, 2)
    weights, threshold = weights / np.linalg.norm(weights), 0.1
    sign = series_parameters(weights, threshold)
    gaps = []
    for steepness in (1.0, 10.0, 1e3, 1e7):
        result = smooth_parameters(steepness * weights, steepness * threshold, "tanh")
        assert (np.sign(result.value[1:]) == np.sign(weights)).all()
        gaps.append(np.abs(result.value - sign.value).max())
    assert gaps[0] > gaps[1] > gaps[2] > gaps[3]
    assert gaps[3] < 1e-12


def test_read_only_weights():
    weights = np.sqrt(np.arange(1.0, 101.0))
    weights.flags.writeable = False
    assert series_parameters(weights, 1.0).error_estimate < 1e-12
    assert vaaler_parameters(weights, 1.0, n_harmonics=1000).bound < 0.1
    assert smooth_parameters(weights, 1.0, "tanh").proven
