"""Walsh-Hadamard transform and degree-one coefficients at the public door."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from scinn.robustness.walsh import degree_one_coefficients, walsh_hadamard_transform

KINDS = [np.float64, np.float32, np.int64, np.int32]


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("n_bits", range(11))
def test_equals_the_dense_matrix_and_keeps_the_dtype(n_bits, dtype):
    values = np.random.default_rng(n_bits).integers(-9, 10, (2, 3, 2**n_bits)).astype(dtype)
    values.flags.writeable = False
    result = walsh_hadamard_transform(values)
    assert result.dtype == dtype
    assert np.array_equal(result, values @ scipy.linalg.hadamard(2**n_bits, dtype=np.int64).astype(dtype))


@given(n_bits=st.integers(0, 12), seed=st.integers(0, 2**32 - 1))
def test_involution_and_parseval(n_bits, seed):
    values = np.random.default_rng(seed).standard_normal(2**n_bits)
    once = walsh_hadamard_transform(values, normalize=True)
    assert np.linalg.norm(once) == pytest.approx(np.linalg.norm(values), rel=1e-13)
    np.testing.assert_allclose(walsh_hadamard_transform(once, normalize=True), values, rtol=0, atol=1e-13)


@pytest.mark.parametrize("dtype", KINDS)
def test_overwrite_uses_the_memory_that_was_given(dtype):
    values = np.arange(8, dtype=dtype)
    want = walsh_hadamard_transform(values)
    assert values.tolist() == list(range(8))
    assert walsh_hadamard_transform(values, overwrite=True) is values
    assert np.array_equal(values, want)


@pytest.mark.parametrize(
    "values",
    [
        [1.0, 2.0],
        np.ones(8)[::2],
        np.ones(4, dtype=np.int16),
        np.ones(4, dtype=">f8"),
        np.ones(4, dtype=np.float16),
    ],
)
def test_overwrite_refuses_what_it_cannot_write(values):
    with pytest.raises(ValueError, match="overwrite=True needs"):
        walsh_hadamard_transform(values, overwrite=True)


def test_overwrite_refuses_read_only_and_integer_results_that_are_not_integers():
    values = np.ones(4)
    values.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        walsh_hadamard_transform(values, overwrite=True)
    with pytest.raises(ValueError, match="normalize=True makes integers"):
        walsh_hadamard_transform(np.ones(4, dtype=np.int32), overwrite=True, normalize=True)


@pytest.mark.parametrize(
    ("dtype", "largest"), [(np.int32, (2**31 - 1) // 8), (np.int64, (2**63 - 1) // 8)], ids=["int32", "int64"]
)
def test_sums_that_could_leave_the_type_are_refused(dtype, largest):
    values = np.full(8, largest, dtype=dtype)
    assert int(walsh_hadamard_transform(values)[0]) == 8 * largest
    with pytest.raises(ValueError, match=r"sums of 2\^3 of them could exceed"):
        walsh_hadamard_transform(values + dtype(1))
    with pytest.raises(ValueError, match="could exceed"):
        walsh_hadamard_transform(-values - dtype(1))
    with pytest.raises(ValueError, match="could exceed"):
        degree_one_coefficients(np.full(8, (2**63 - 1) // 8 + 1))


def test_the_least_integer_is_not_mistaken_for_a_small_one():
    with pytest.raises(ValueError, match="size 2147483648"):
        walsh_hadamard_transform(np.array([-(2**31)], dtype=np.int32))


@pytest.mark.parametrize(("length", "below", "above"), [(3, 2, 4), (6, 4, 8), (1000, 512, 1024), (0, 1, 2)])
@pytest.mark.parametrize("function", [walsh_hadamard_transform, degree_one_coefficients])
def test_other_lengths_are_refused_with_the_two_nearest(function, length, below, above):
    with pytest.raises(ValueError, match=f"{length} entries.* nearest are {below} and {above}"):
        function(np.ones(length))


@pytest.mark.parametrize("function", [walsh_hadamard_transform, degree_one_coefficients])
def test_what_is_no_table_of_numbers_is_refused(function):
    with pytest.raises(ValueError, match="NaN"):
        function([1.0, np.nan])
    with pytest.raises(TypeError, match=r"boolean.*1 - 2 \* "):
        function(np.ones(4, dtype=bool))
    with pytest.raises(TypeError, match="complex"):
        function(np.ones(4, dtype=complex))
    with pytest.raises(ValueError, match=r"single number|dimensions"):
        function(np.float64(3.0))
    with pytest.raises(ValueError, match=r"no 64-bit|could exceed"):
        function(np.array([2**63, 0], dtype=np.uint64))


def test_lists_of_integers_stay_integers():
    result = walsh_hadamard_transform([1, 2, 3, 4])
    assert result.dtype == np.int64
    assert result.tolist() == [10, -2, -4, 0]


@pytest.mark.parametrize("dtype", [*KINDS, np.int8, np.uint8])
@pytest.mark.parametrize("n_bits", [0, 1, 2, 5, 11, 12, 16])
def test_degree_one_coefficients_are_entries_of_the_transform(n_bits, dtype):
    values = np.random.default_rng(n_bits).integers(0, 100, 2**n_bits).astype(dtype)
    values.flags.writeable = False
    full = walsh_hadamard_transform(values.astype(np.int64))
    want = full[[0, *(1 << i for i in range(n_bits))]] / 2**n_bits
    result = degree_one_coefficients(values)
    assert result.dtype == np.float64
    assert np.array_equal(result, want)


def test_degree_one_coefficients_are_expectations():
    n = 9
    rng = np.random.default_rng(0)
    x = 1 - 2 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)
    f = rng.standard_normal(2**n)
    want = [f.mean(), *(np.mean(f * x[:, i]) for i in range(n))]
    np.testing.assert_allclose(degree_one_coefficients(f), want, rtol=0, atol=1e-14)


def test_one_table_at_a_time():
    with pytest.raises(ValueError, match="one table"):
        degree_one_coefficients(np.ones((2, 4)))
