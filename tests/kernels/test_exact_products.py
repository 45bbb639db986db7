"""Products with a defined order: the bits of the reference, whatever the rows, the columns and the threads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scinn.kernels.exact_products import ordered_product, ordered_product_parallel
from scinn.reference import exact_products as reference

DTYPES = [np.float32, np.float64]
# A vector has 8 or 16 numbers, a panel two of them, a tile four rows.
SIZES = st.sampled_from([0, 1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 23, 31, 32, 33, 47, 49, 65])


def factors(n_rows, n_inner, n_columns, dtype, seed, spread=3.0):
    """Return matrices whose terms have sizes so different that most orders of adding give other bits."""
    rng = np.random.default_rng(seed)
    a, w = rng.normal(size=(n_rows, n_inner)), rng.normal(size=(n_inner, n_columns))
    return (a * 2 ** rng.normal(0, spread, a.shape)).astype(dtype), w.astype(dtype)


def product(a, w, multiply=ordered_product):
    out = np.full((a.shape[0], w.shape[1]), np.nan, dtype=a.dtype)
    multiply(a, w, out)
    return out


@pytest.mark.parametrize("dtype", DTYPES)
@given(
    n_rows=st.sampled_from([0, 1, 2, 3, 4, 5, 8, 9]),
    n_inner=SIZES,
    n_columns=SIZES,
    seed=st.integers(0, 2**32 - 1),
)
def test_has_the_bits_of_the_definition(dtype, n_rows, n_inner, n_columns, seed):
    a, w = factors(n_rows, n_inner, n_columns, dtype, seed)
    want = reference.ordered_product(a, w)
    assert product(a, w).tobytes() == want.tobytes()
    assert product(a, w, ordered_product_parallel).tobytes() == want.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_product_is_rounded_before_it_is_added(dtype):
    # (1 + u)^2 - (1 + 2 u) is u^2 where the product is not rounded (fused), and 0 where it is.
    u = dtype(np.finfo(dtype).eps)
    a = np.array([[-(1 + 2 * u), 1 + u]], dtype=dtype)
    w = np.repeat(np.array([[1], [1 + u]], dtype=dtype), 70, axis=1)
    assert not product(a, w).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_and_columns_have_the_bits_that_they_have_alone(dtype):
    a, w = factors(21, 130, 203, dtype, 0)
    whole = product(a, w)
    for first, last in ((0, 1), (3, 8), (20, 21), (1, 21)):
        assert product(a[first:last], w).tobytes() == whole[first:last].tobytes()
    for first, last in ((0, 5), (7, 90), (150, 203)):
        part = np.ascontiguousarray(w[:, first:last])
        assert product(a, part).tobytes() == np.ascontiguousarray(whole[:, first:last]).tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_order_is_seen(dtype):
    a, w = factors(4, 64, 40, dtype, 1)
    backwards = product(np.ascontiguousarray(a[:, ::-1]), np.ascontiguousarray(w[::-1]))
    assert backwards.tobytes() != product(a, w).tobytes()
    np.testing.assert_allclose(backwards, product(a, w), rtol=0, atol=1e5 * np.finfo(dtype).eps)


def test_read_only_arrays_are_taken():
    a, w = factors(5, 6, 7, np.float32, 2)
    want = product(a, w)
    a.flags.writeable = w.flags.writeable = False
    assert product(a, w).tobytes() == want.tobytes()
