"""The counting kernels of Chow parameters equal their twins, in one word and in two."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scinn.reference as reference
from scinn.kernels import chow as kernels

twin = reference.chow
SEEDS = st.integers(0, 2**32 - 1)
# 13 is one more than the weights whose sums the block scan sorts.
SIZES = st.sampled_from([0, 1, 2, 3, 4, 5, 7, 8, 9])
BITS = st.sampled_from([0, 1, 3, 45, 60])
# The largest weight: small ones make ties.
LARGEST = st.sampled_from([1, 3, 40, 10**6])


def words(values, bits):
    """Return the high and the low words of integers, read-only."""
    high = np.array([int(value) >> bits for value in values], np.int64)
    low = np.array([int(value) & ((1 << bits) - 1) for value in values], np.int64)
    high.flags.writeable = low.flags.writeable = False
    return high, low


def game(seed, n, largest, bits):
    """Return weights with digits in both words where there are two, and a quota between 0 and their sum."""
    rng = np.random.default_rng(seed)
    weights = [int(w) for w in rng.integers(1, largest + 1, n)]
    if bits > 3:
        # Sums that agree in the high word and differ, or carry, in the low one.
        weights = [(w << bits) - int(rng.integers(0, 3)) for w in weights]
    quota = int(rng.integers(0, 2**30)) * (sum(weights) + 1) // 2**30
    if n and rng.random() < 0.5:
        quota = sum(w for w in weights if rng.random() < 0.5)
    return weights, quota


def joined(high, low, bits):
    low = low if bits else np.zeros_like(high)
    return [(int(a) << bits) + int(b) for a, b in zip(high, low, strict=True)]


@given(n=SIZES, bits=BITS, largest=LARGEST, seed=SEEDS)
def test_sorted_subset_sums_and_their_fold(n, bits, largest, seed):
    weights, _ = game(seed, n, largest, bits)
    high, low = words(weights, bits)
    steps = np.zeros(2 << n, np.uint8)
    rows = twin.sorted_subset_sums(high, low, bits)
    assert joined(*kernels.sorted_subset_sums(high, low, bits, steps), bits) == [row[0] for row in rows]
    counts = np.random.default_rng(seed).integers(0, 2**40, 1 << n)
    signed = np.full(n, -1, np.int64)
    total = kernels.fold_sorted(counts, steps, n, signed)
    assert (total, signed.tolist()) == twin.fold_sorted(counts, [row[1] for row in rows], n)


@given(n_left=SIZES, n_right=SIZES, bits=BITS, largest=LARGEST, seed=SEEDS)
def test_pair_counts(n_left, n_right, bits, largest, seed):
    rng = np.random.default_rng(seed)
    weights, quota = game(seed, n_left + n_right, largest, bits)
    half = sum(weights) // 2
    left = sorted(
        (int(rng.integers(0, 2**62)) * half) >> 62 if rng.random() < 0.7 else quota // 2
        for _ in range(n_left)
    )
    right = sorted(quota - v if rng.random() < 0.5 else quota for v in (left * 9)[:n_right])
    right = [value for value in right if value >= 0]
    counts = np.full(len(left), -1, np.int64), np.full(len(right), -1, np.int64)
    kernels.pair_counts(
        *words(left, bits), *words(right, bits), bits, quota >> bits, quota & ((1 << bits) - 1), *counts
    )
    assert (counts[0].tolist(), counts[1].tolist()) == twin.pair_counts(left, right, quota)


@given(n=SIZES, seed=SEEDS)
def test_fold_table(n, seed):
    table = np.random.default_rng(seed).integers(-9, 9, 1 << n)
    want = twin.fold_table(table, n)
    signed = np.zeros(n, np.int64)
    total = kernels.fold_table(table, n, signed)
    assert (total, signed.tolist()) == want


def scan(weights, quota, bits):
    signed = np.full(len(weights), -1, np.int64)
    total = kernels.block_scan(*words(weights, bits), bits, quota >> bits, quota & ((1 << bits) - 1), signed)
    return [int(total), *signed.tolist()]


@given(n=SIZES, bits=BITS, largest=LARGEST, seed=SEEDS)
def test_block_scan(n, bits, largest, seed):
    weights, quota = game(seed, n, largest, bits)
    high, low = words(weights, bits)
    want = twin.block_scan(high, low, bits, quota >> bits, quota & ((1 << bits) - 1))
    assert scan(weights, quota, bits) == want


@pytest.mark.parametrize(("n", "bits"), [(12, 0), (13, 0), (13, 45)])
def test_block_scan_past_a_block(n, bits):
    weights, quota = game(n, n, 40, bits)
    assert scan(weights, quota, bits) == twin.above_counts(weights, quota)


@pytest.mark.parametrize("bits", [0, 50])
def test_block_scan_past_a_table(bits):
    # 24 weights: four blocks of the table of ten bits. Few distinct weights are counted by big integers.
    if not hasattr(kernels.block_scan, "py_func"):
        pytest.skip("millions of steps need the compiler")
    weights = [(w << bits) + (1 if bits else 0) for w in (np.arange(24) % 5 + 1).tolist()]
    quota = sum(weights) * 5 // 9
    swings = twin.banzhaf_swings(weights, quota + 1)
    # With i in y_i = +1: the sum of y_i over subsets above the quota is the number of swings.
    assert scan(weights, quota, bits)[1:] == swings


@given(
    n=SIZES,
    largest=st.sampled_from([1, 3, 40]),
    modulus=st.sampled_from([0, 7, 2**62 - 1, 2**63]),
    seed=SEEDS,
)
def test_count_residues(n, largest, modulus, seed):
    weights, quota = game(seed, n, largest, 0)
    decisive = np.full(n, 99, np.uint64)
    with np.errstate(over="ignore"):
        total = kernels.count_residues(np.array(weights, np.int64), quota, np.uint64(modulus), decisive)
    assert [int(total), *map(int, decisive)] == twin.count_residues(weights, quota, modulus)


def test_count_residues_of_counts_above_the_modulus():
    weights = np.ones(80, np.int64)
    for modulus in (0, 2**62 - 57, 2**63 - 25):
        decisive = np.zeros(80, np.uint64)
        with np.errstate(over="ignore"):
            kernels.count_residues(weights, 40, np.uint64(modulus), decisive)
        want = twin.banzhaf_swings([1] * 80, 41)[0]
        assert want > 2**64
        assert set(map(int, decisive)) == {want % (modulus or 2**64)}


@given(n=SIZES, largest=st.sampled_from([1, 3, 40]), seed=SEEDS)
def test_subset_cumulative_and_window_sums(n, largest, seed):
    weights, quota = game(seed, n, largest, 0)
    array = np.array(weights, np.int64)
    cumulative = kernels.subset_cumulative(array, quota)
    # Dyadic numbers of few digits: no rounding at all.
    assert cumulative.tolist() == twin.subset_cumulative(weights, quota)
    values = np.full(n, np.nan)
    size = kernels.window_sums(cumulative, array, quota, values)
    assert values.tolist() == twin.window_sums(weights, quota)
    assert size >= np.max(np.abs(values), initial=0.0)


@settings(max_examples=10)
@given(n=SIZES, bits=BITS, largest=LARGEST, seed=SEEDS)
def test_sample_counts(n, bits, largest, seed):
    weights, quota = game(seed, n, largest, bits)
    chosen = np.random.default_rng(seed).integers(0, 2, (17, n)).astype(np.uint8)
    chosen.flags.writeable = False
    decisive, agreement = np.zeros(n, np.int64), np.zeros(n, np.int64)
    above = kernels.sample_counts(
        chosen, *words(weights, bits), bits, quota >> bits, quota & ((1 << bits) - 1), decisive, agreement
    )
    assert (above, decisive.tolist(), agreement.tolist()) == twin.sample_counts(chosen, weights, quota)
