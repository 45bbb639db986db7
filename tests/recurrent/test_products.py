"""Products at the three levels of exactness: which changes leave their bits alone, and what level C refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scinn.nn.threads import use_threads
from scinn.recurrent.products import LEVELS, make_products
from scinn.reference import exact_products as reference

DTYPES: list[Any] = [np.float32, np.float64]
SIZES = st.sampled_from([0, 1, 2, 5, 16, 17, 33])


def normal(*shape: int, seed: int = 0, dtype: Any = np.float32) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def sums(
    level: str, dtype: Any, x: np.ndarray, a: np.ndarray, w: np.ndarray, v: np.ndarray, b: np.ndarray
) -> Any:
    """Return what the gates add up: ``x w + b`` and ``a v``."""
    products = make_products(level, dtype)
    px = products.project(x, products.prepare(w, b))
    return products.finish(px, products.recurrent(a, products.prepare(v, None)))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", DTYPES)
@given(n_rows=SIZES, n_in=SIZES, n_inner=SIZES, n_columns=SIZES, seed=st.integers(0, 2**32 - 1))
def test_sums_are_those_of_the_definition(
    level: str, dtype: Any, n_rows: int, n_in: int, n_inner: int, n_columns: int, seed: int
) -> None:
    x, a = normal(n_rows, n_in, seed=seed, dtype=dtype), normal(n_rows, n_inner, seed=seed + 1, dtype=dtype)
    w, v = (
        normal(n_in, n_columns, seed=seed + 2, dtype=dtype),
        normal(n_inner, n_columns, seed=seed + 3, dtype=dtype),
    )
    b = normal(n_columns, seed=seed + 4, dtype=dtype)
    px, u = sums(level, dtype, x, a, w, v, b)
    assert px.dtype == u.dtype == dtype
    assert px.shape == u.shape == (n_rows, n_columns)
    if level == "B":
        assert px.tobytes() == (reference.ordered_product(x, w) + b).tobytes()
        assert u.tobytes() == reference.ordered_product(a, v).tobytes()
    elif level == "C":
        assert not u.any()
        np.testing.assert_array_equal(px, reference.integer_product([(x, w), (a, v)], b, dtype))
    exact = x.astype(np.float64) @ w + a.astype(np.float64) @ v + b
    # Level C moves every factor by up to 2^-17.
    tolerance = 70 * 5 * 2.0**-16 if level == "C" else 70 * 10 * np.finfo(dtype).eps
    np.testing.assert_allclose(px.astype(np.float64) + u, exact, rtol=0, atol=tolerance)


@pytest.mark.parametrize("level", ["B", "C"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_of_a_row_do_not_depend_on_the_others(level: str, dtype: Any) -> None:
    x, a = normal(140, 200, dtype=dtype), normal(140, 90, seed=1, dtype=dtype)
    w, v, b = normal(200, 130, seed=2, dtype=dtype), normal(90, 130, seed=3, dtype=dtype), normal(130, seed=4)
    px, u = sums(level, dtype, x, a, w, v, b)
    for first, last in ((0, 1), (7, 27), (100, 140)):
        part = sums(level, dtype, x[first:last], a[first:last], w, v, b)
        assert part[0].tobytes() == px[first:last].tobytes()
        assert part[1].tobytes() == u[first:last].tobytes()


@pytest.mark.parametrize("level", ["B", "C"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_do_not_depend_on_the_number_of_threads(level: str, dtype: Any) -> None:
    import numba
    from threadpoolctl import threadpool_limits

    if numba.config.NUMBA_NUM_THREADS < 2:  # type: ignore[attr-defined]
        pytest.skip("one thread only")
    x, a = normal(60, 300, dtype=dtype), normal(60, 99, seed=1, dtype=dtype)
    w, v, b = normal(300, 210, seed=2, dtype=dtype), normal(99, 210, seed=3, dtype=dtype), normal(210, seed=4)
    found = []
    for n_threads in (1, 2):
        with use_threads(n_threads), threadpool_limits(n_threads):
            found.append(sums(level, dtype, x, a, w, v, b))
    for one, two in zip(*found, strict=True):
        assert one.tobytes() == two.tobytes()


def test_level_c_has_the_same_bits_in_any_order_and_any_blocks() -> None:
    n_inner, products = 4096, make_products("C", np.float32)
    rng = np.random.default_rng(0)
    # As many terms as are admitted, each as large as it can be.
    a, w = rng.choice([-7.99999, 7.99999], (9, n_inner)), rng.choice([-7.99999, 7.99999], (n_inner, 21))
    a[0], w[:, 0] = 7.99999, 7.99999
    whole = products.recurrent(a, products.prepare(w, None))
    assert whole.dtype == np.float64
    assert whole.max() < 2**53
    assert (whole == np.rint(whole)).all()
    order = rng.permutation(n_inner)
    assert products.recurrent(a[:, order], products.prepare(w[order], None)).tobytes() == whole.tobytes()
    total = np.zeros_like(whole)
    for first, last in ((0, 1), (1, 700), (700, n_inner)):
        total += products.recurrent(a[:, first:last], products.prepare(w[first:last], None))
    assert total.tobytes() == whole.tobytes()
    transposed = make_products("C", np.float32).prepare(a.T, None)
    assert products.recurrent(w.T, transposed).T.tobytes() == whole.tobytes()
    assert products.recurrent(
        np.asfortranarray(a), products.prepare(np.asfortranarray(w), None)
    ).tobytes() == (whole.tobytes())


@pytest.mark.parametrize("level", LEVELS)
def test_sums_go_where_they_are_asked_to_go(level: str) -> None:
    products = make_products(level, np.float32)
    a, handle = normal(5, 7), products.prepare(normal(7, 9, seed=1), None)
    want = products.recurrent(a, handle)
    out = np.full_like(want, np.nan)
    assert products.recurrent(a, handle, out=out) is out
    assert out.tobytes() == want.tobytes()


@pytest.mark.parametrize("level", LEVELS)
def test_prepared_weights_are_copies(level: str) -> None:
    products = make_products(level, np.float32)
    w, b, x = normal(4, 6), normal(6, seed=1), normal(3, 4, seed=2)
    handle = products.prepare(w, b)
    want = products.project(x, handle)
    w[...], b[...] = 0, 0
    assert products.project(x, handle).tobytes() == want.tobytes()


@pytest.mark.parametrize("level", LEVELS)
def test_slices_of_larger_arrays_are_taken_and_left_alone(level: str) -> None:
    products = make_products(level, np.float32)
    w, a = normal(4, 12), normal(3, 8, seed=2)
    before = w.copy(), a.copy()
    got = products.recurrent(a[:, ::2], products.prepare(w[:, 3:9], None))
    want = products.recurrent(a[:, ::2].copy(), products.prepare(w[:, 3:9].copy(), None))
    assert got.tobytes() == want.tobytes()
    assert w.tobytes() == before[0].tobytes()
    assert a.tobytes() == before[1].tobytes()


@pytest.mark.parametrize("value", [8.0, -8.0, 1e30, np.inf, np.nan])
def test_level_c_names_the_number_that_is_too_large(value: float) -> None:
    products = make_products("C", np.float64)
    handle = products.prepare(np.ones((3, 2)), None)
    wrong = np.zeros((4, 3))
    wrong[2, 1] = value
    with pytest.raises(ValueError, match=rf"the inputs have {value:g} at \(2, 1\)".replace("+", r"\+")):
        products.project(wrong, handle)
    with pytest.raises(ValueError, match=r"the state has .* at \(2, 1\)"):
        products.recurrent(wrong, handle)
    with pytest.raises(ValueError, match=r"the weights have"):
        products.prepare(wrong, None)
    with pytest.raises(ValueError, match=r"the bias has .* at \(1,\)"):
        products.prepare(np.ones((3, 2)), wrong[2, :2])
    wrong[2, 1] = 7.9999
    products.project(wrong, handle)


def test_level_c_refuses_sums_that_could_be_inexact() -> None:
    make_products("C", np.float32).prepare(np.zeros((4096, 1)), None)
    with pytest.raises(ValueError, match="at most 4096 terms"):
        make_products("C", np.float32).prepare(np.zeros((4097, 1)), None)


def test_another_level_is_refused() -> None:
    with pytest.raises(ValueError, match="exactness"):
        make_products("D", np.float32)
