"""Products of cosines: equal to complex products with the C library's cosine, to the rounding that the docstring states."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scinn.reference as reference
from scinn.kernels import spectral

SIZES = st.sampled_from([0, 1, 2, 3, 7, 8, 9, 16, 17])
COUNTS = st.sampled_from([0, 1, 7, 8, 9, 17])
SEEDS = st.integers(0, 2**32 - 1)
# What the kernels promise for each cosine, and the C library's own rounding with that of its argument.
COSINE_ERROR = 6e-16
REFERENCE_ERROR = 1.5e-15


def problem(n, seed):
    rng = np.random.default_rng(seed)
    weights, threshold = rng.standard_normal(n), float(rng.standard_normal())
    period = float(np.float32(1.1 * (np.abs(weights).sum() + abs(threshold)) + 0.1))
    return rng, weights, threshold, period


def frozen(*arrays):
    for array in arrays:
        array.flags.writeable = False


@given(n=SIZES, count=COUNTS, first=st.sampled_from([1.0, 2.0, 101.0]), read_only=st.booleans(), seed=SEEDS)
def test_harmonic_sums(n, count, first, read_only, seed):
    rng, weights, threshold, period = problem(n, seed)
    sine, cosine, even = rng.standard_normal((3, count))
    want = reference.spectral.harmonic_sums(weights, threshold, period, first, 2.0, sine, cosine, even)
    if read_only:
        frozen(weights, sine, cosine, even)
    start = rng.standard_normal(n + 2)
    out, envelope = start.copy(), np.full(count, np.nan)
    left_out = spectral.harmonic_sums(
        weights, threshold, period, first, 2.0, sine, cosine, even, 0.0, envelope, out
    )
    assert left_out == 0.0
    # A phase of the reference is off by eps times its size, about the number of the harmonic.
    phases = np.finfo(float).eps * (first + 2.0 * count)
    size = 1.0 + np.abs(sine).sum() + np.abs(cosine).sum() + np.abs(even).sum()
    atol = 4.0 * (n + 2) * size * (COSINE_ERROR + REFERENCE_ERROR + 4.0 * phases)
    np.testing.assert_allclose(out - start, want, rtol=0, atol=atol)
    cosines = np.abs(np.cos(np.pi * np.outer(first + 2.0 * np.arange(count), weights) / period))
    for r in range(count):
        others = [np.delete(cosines[r], i).prod() for i in range(n)] or [1.0]
        assert envelope[r] == pytest.approx(max(others), rel=1e-9, abs=1e-12)


@given(n=SIZES, count=COUNTS, seed=SEEDS, drop=st.sampled_from([1e-3, 0.1, 0.9]))
def test_what_harmonic_sums_leave_out_is_bounded(n, count, seed, drop):
    rng, weights, threshold, period = problem(n, seed)
    sine, cosine = rng.standard_normal((2, count))
    arguments = (weights, threshold, period, 1.0, 2.0, sine, cosine, np.zeros(count))
    full, short = np.zeros((2, n + 2))
    spectral.harmonic_sums(*arguments, 0.0, np.empty(count), full)
    left_out = spectral.harmonic_sums(*arguments, drop, np.empty(count), short)
    assert np.abs(full - short).max() <= left_out + 1e-13


@given(n=SIZES, count=COUNTS, first=st.sampled_from([0.0, 2.0, 1001.0]), read_only=st.booleans(), seed=SEEDS)
def test_shifted_products(n, count, first, read_only, seed):
    _, weights, threshold, period = problem(n, seed)
    want = reference.spectral.shifted_products(weights, threshold, period, first, 2.0, count)
    if read_only:
        frozen(weights)
    out = np.full(count, np.nan)
    assert spectral.shifted_products(weights, threshold, period, first, 2.0, -1.0, out) == 0.0
    phases = np.finfo(float).eps * (first + 2.0 * count)
    np.testing.assert_allclose(
        out, want, rtol=0, atol=(n + 1) * (COSINE_ERROR + REFERENCE_ERROR + 4.0 * phases)
    )
    short = np.full(count, np.nan)
    left_out = spectral.shifted_products(weights, threshold, period, first, 2.0, 0.3, short)
    assert np.abs(out - short).sum() <= left_out + 1e-13


@given(n=SIZES, n_rows=st.sampled_from([0, 1, 3]), n_columns=COUNTS, read_only=st.booleans(), seed=SEEDS)
def test_pair_products(n, n_rows, n_columns, read_only, seed):
    rng, weights, _, period = problem(n, seed)
    others = rng.standard_normal(n)
    rows = rng.integers(-30, 31, n_rows).astype(np.float64)
    starts = rng.integers(-30, 31, n_rows).astype(np.float64)
    want = reference.spectral.pair_products(weights, period, others, 2.5, rows, starts, 2.0, n_columns)
    if read_only:
        frozen(weights, others, rows, starts)
    out = np.full((n_rows, n_columns), np.nan)
    spectral.pair_products(weights, period, others, 2.5, rows, starts, 2.0, -1.0, out)
    np.testing.assert_allclose(out, want, rtol=0, atol=(n + 1) * (COSINE_ERROR + REFERENCE_ERROR + 1e-13))


@pytest.mark.parametrize("first", [1.0, 1000.0, 2.0**20 + 1.0, 2.0**26 - 40.0])
def test_phases_are_right_for_large_harmonics(first):
    rng = np.random.default_rng(0)
    for _ in range(20 if hasattr(spectral._scan, "py_func") else 3):
        weight = float(rng.standard_normal())
        # A period of 24 bits, as the docstring asks for at most 26.
        period = float(np.float32(1.0 + rng.random()))
        out = np.empty(16)
        spectral.shifted_products(np.array([weight]), 0.0, period, first, 2.0, -1.0, out)
        for r, value in enumerate(out):
            turns = Fraction(weight) * int(first + 2 * r) / Fraction(period)
            rest = float(turns - 2 * round(turns / 2))
            assert abs(value - np.cos(np.pi * rest)) <= COSINE_ERROR + np.spacing(np.pi * abs(rest))


def test_cosines_and_sines_are_as_exact_as_promised():
    # One weight and one harmonic give cosine and sine alone; angles of a few turns, whose float64 value is exact here.
    numbers = np.random.default_rng(0).uniform(-3.0, 3.0, 200 if hasattr(spectral._scan, "py_func") else 20)
    for x in numbers:
        out = np.zeros(3)
        one = np.ones(1)
        spectral.harmonic_sums(np.array([x]), 0.0, 1.0, 1.0, 2.0, one, 0.0 * one, one, 0.0, np.empty(1), out)
        nearest = np.round(x)
        rest, side = x - nearest, 1.0 - 2.0 * (nearest % 2)
        assert abs(out[1] - side * np.sin(np.pi * rest)) <= COSINE_ERROR
        assert abs(out[2] - side * np.cos(np.pi * rest)) <= COSINE_ERROR


def test_not_a_number_is_not_hidden():
    weights = np.array([1.0, np.nan, 0.5])
    out = np.zeros(5)
    spectral.harmonic_sums(
        weights, 0.0, 4.0, 1.0, 2.0, np.ones(8), np.zeros(8), np.zeros(8), 0.0, np.empty(8), out
    )
    assert np.isnan(out[1:4]).all()
