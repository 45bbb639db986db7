"""Walsh-Hadamard transform and degree-one sums: equal to their definitions over all sizes of blocks and panels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scinn.reference as reference
from scinn.kernels import walsh

COMPILED = hasattr(walsh.walsh_hadamard, "py_func")
SEEDS = st.integers(0, 2**32 - 1)
KINDS = st.sampled_from([np.float64, np.float32, np.int64, np.int32])


def table(rng, shape, dtype):
    if np.dtype(dtype).kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(-1000, 1001, shape).astype(dtype)


def tolerance(dtype, n_bits):
    """Rounding of n_bits rounds of additions of numbers of size one, that grow to 2^(n_bits/2)."""
    if np.dtype(dtype).kind != "f":
        return 0.0
    return float(20 * np.finfo(dtype).eps * max(n_bits, 1) * 2.0 ** (0.5 * n_bits))


@given(n_bits=st.integers(0, 8), n_tables=st.integers(0, 3), dtype=KINDS, read_only=st.booleans(), seed=SEEDS)
def test_walsh_hadamard(n_bits, n_tables, dtype, read_only, seed):
    values = table(np.random.default_rng(seed), (n_tables, 2**n_bits), dtype)
    want = reference.walsh.walsh_hadamard(values) if n_tables else values
    values.flags.writeable = not read_only
    out = np.full_like(values, 7)
    walsh.walsh_hadamard(values, out)
    assert out.dtype == dtype
    np.testing.assert_allclose(out, want, rtol=0, atol=tolerance(dtype, n_bits))


def round_by_round(values):
    """Return the transform in the plainest way that is fast enough for long tables."""
    result = values.copy()
    step = 1
    while step < len(result):
        pairs = result.reshape(-1, 2, step)
        result = np.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]], axis=1).ravel()
        step *= 2
    return result


# Short tables stay within a vector, a block or a panel; the long ones have several panels and every number of rounds.
LONG = [(n_bits, dtype) for n_bits in range(6, 20) for dtype in (np.float64, np.float32, np.int64, np.int32)]
LONG += [(n_bits, dtype) for n_bits in (20, 21, 23) for dtype in (np.float64, np.int32)]


@pytest.mark.parametrize(
    ("n_bits", "dtype"), LONG if COMPILED else [(7, np.float64), (8, np.int32), (11, np.float32)]
)
def test_long_tables_equal_the_rounds_one_by_one(n_bits, dtype):
    rng = np.random.default_rng(n_bits)
    # Small whole numbers: every order of summation is exact, in floats too.
    values = rng.integers(-3, 4, 2**n_bits).astype(dtype)
    want = round_by_round(values)
    out = np.empty_like(values)
    walsh.walsh_hadamard(values[None], out[None])
    assert np.array_equal(out, want)
    walsh.walsh_hadamard(values[None], values[None])
    assert np.array_equal(values, want)


@given(
    n_bits=st.integers(0, 12),
    dtype=st.sampled_from([np.float64, np.float32, np.int64, np.int8, np.uint8]),
    read_only=st.booleans(),
    seed=SEEDS,
)
def test_degree_one_sums(n_bits, dtype, read_only, seed):
    n_bits = n_bits if COMPILED else min(n_bits, 8)
    rng = np.random.default_rng(seed)
    low = 0 if dtype is np.uint8 else -100
    values = rng.integers(low, 101, 2**n_bits).astype(dtype)
    if np.dtype(dtype).kind == "f":
        values += rng.standard_normal(2**n_bits).astype(dtype)
    want = reference.walsh.degree_one_sums(values)
    values.flags.writeable = not read_only
    out = np.full(n_bits + 1, 7, dtype=want.dtype)
    walsh.degree_one_sums(values, out)
    bound = 0.0 if want.dtype == np.int64 else 1e-13 * 2**n_bits
    np.testing.assert_allclose(out, want, rtol=0, atol=bound)


def test_degree_one_sums_do_not_hide_nan():
    values = np.ones(4096)
    values[4000] = np.nan
    out = np.zeros(13)
    walsh.degree_one_sums(values, out)
    assert np.isnan(out).all()
