"""Exponential function and hyperbolic tangent, products at the places of a sparse matrix, layer norm."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scinn.reference as reference
from scinn.kernels import elementary, layer_norm, sampled

SIZES = st.sampled_from([0, 1, 2, 3, 7, 16, 17, 65])
SEEDS = st.integers(0, 2**32 - 1)
FLOATS = st.sampled_from([np.float32, np.float64])
FUNCTIONS = {"exp": (elementary.exp_array, np.exp), "tanh": (elementary.tanh_array, np.tanh)}


def evaluate(name, x):
    out = np.empty_like(x)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        FUNCTIONS[name][0](x, out)
    return out


def every_few_floats(step):
    """Return float32 numbers of all exponents and signs, infinities and denormals among them, in order."""
    x = np.arange(0, 2**32, step, dtype=np.uint32).view(np.float32)
    edges = np.array(
        [0.0, -0.0, np.inf, -np.inf, 0.625, -0.625, 88.72284, 88.72283, -103.97, -87.4], np.float32
    )
    return np.sort(np.concatenate([x[~np.isnan(x)], np.nextafter(edges, np.float32(0)), edges]))


@pytest.mark.parametrize(("name", "most"), [("exp", 1.1), ("tanh", 1.5)])
def test_functions_are_right_to_a_few_units_in_the_last_place(name, most):
    # Without compilation a number takes microseconds.
    x = every_few_floats(65_537 if hasattr(elementary.exp_array, "py_func") else 2_000_003)
    y = evaluate(name, x)
    with np.errstate(over="ignore", under="ignore"):
        exact = FUNCTIONS[name][1](x.astype(np.float64))
        rounded = exact.astype(np.float32)
    np.testing.assert_array_equal(np.isinf(y), np.isinf(rounded))
    finite = np.isfinite(rounded)
    error = np.abs(y[finite] - exact[finite]) / np.spacing(np.abs(rounded[finite]).astype(np.float32))
    assert error.max() <= most
    assert (np.diff(y[finite]) >= 0).all()


def test_special_values():
    x = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 200.0, -200.0], dtype=np.float32)
    np.testing.assert_array_equal(
        evaluate("exp", x), np.array([1, 1, np.nan, np.inf, 0, np.inf, 0], np.float32)
    )
    y = evaluate("tanh", x)
    np.testing.assert_array_equal(y, np.array([0, 0, np.nan, 1, -1, 1, -1], np.float32))
    assert np.signbit(y[1])


def test_tanh_is_odd_and_bounded():
    x = np.abs(every_few_floats(1_000_003))
    y = evaluate("tanh", x)
    assert y.tobytes() == (-evaluate("tanh", -x)).tobytes()
    assert y.max() == 1


def evaluate64(name, x):
    out = np.empty_like(x)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        getattr(elementary, f"{name}64_array")(x, out)
    return out


def many_doubles(largest):
    n = 30_000 if hasattr(elementary.exp64_array, "py_func") else 300
    rng = np.random.default_rng(1)
    size = np.concatenate([10.0 ** rng.uniform(-12, np.log10(largest), n), rng.uniform(0, largest, n)])
    return np.sort(np.concatenate([-size, size]))


@pytest.mark.skipif(np.finfo(np.longdouble).eps > 1e-18, reason="needs a wider float to compare with")
@pytest.mark.parametrize(("name", "largest", "most"), [("exp", 700.0, 1.1), ("tanh", 25.0, 2.5)])
def test_float64_functions_are_right_to_units_in_the_last_place(name, largest, most):
    x = many_doubles(largest)
    y = evaluate64(name, x)
    exact = FUNCTIONS[name][1](x.astype(np.longdouble))
    assert (np.abs(y - exact) / np.spacing(np.abs(exact).astype(np.float64))).max() <= most
    # Nearer to 1 than this the steps of tanh are smaller than its error.
    edge = largest if name == "exp" else 12.0
    evenly = np.linspace(-edge, edge, x.size)
    assert (np.diff(evaluate64(name, evenly)) >= 0).all()


@pytest.mark.parametrize("name", ["exp", "tanh"])
@pytest.mark.parametrize("size", [0, 1, 2, 7, 17, 65])
def test_float64_twins_agree(name, size):
    x = 20 * np.random.default_rng(size).standard_normal(size)
    want = getattr(reference.elementary, f"{name}_array")(x)
    np.testing.assert_allclose(evaluate64(name, x), want, rtol=4 * np.finfo(np.float64).eps)


def test_float64_special_values():
    x = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 709.78, 709.79, -745.13, -745.14, -708.5, -1e300])
    with np.errstate(over="ignore", under="ignore"):
        np.testing.assert_allclose(evaluate64("exp", x), np.exp(x), rtol=4 * np.finfo(np.float64).eps)
    y = evaluate64("tanh", np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-320, -1e-300, 400.0]))
    np.testing.assert_array_equal(y, [0, 0, np.nan, 1, -1, 1e-320, -1e-300, 1])
    assert np.signbit(y[1])
    x = many_doubles(30.0)
    assert evaluate64("tanh", x).tobytes() == (-evaluate64("tanh", -x)).tobytes()
    assert np.abs(evaluate64("tanh", x)).max() == 1


def test_the_exponential_for_arguments_in_range_is_the_same():
    for x in np.linspace(-708.0, 709.0, 301):
        assert elementary.growing_exp64(x) == elementary.exp64(x)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_twins_agree(name):
    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.float64):
        x = (20 * rng.standard_normal((3, 40))).astype(dtype)
        want = getattr(reference.elementary, f"{name}_array")(x)
        np.testing.assert_allclose(evaluate(name, x), want, rtol=4 * np.finfo(dtype).eps)


@given(m=SIZES, n=SIZES, f=SIZES, dtype=FLOATS, seed=SEEDS)
def test_products_at_the_places_of_a_sparse_matrix(m, n, f, dtype, seed):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 6, m) if n else np.zeros(m, dtype=np.int64)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    indices = rng.integers(0, max(n, 1), indptr[-1]).astype(np.int32)
    a, b = rng.standard_normal((m, f)).astype(dtype), rng.standard_normal((n, f)).astype(dtype)
    out, parallel = np.full(indptr[-1], np.nan, dtype=dtype), np.full(indptr[-1], np.nan, dtype=dtype)
    sampled.sddmm(indices, indptr, a, b, out)
    want = reference.sampled.sddmm(indices, indptr, a, b)
    np.testing.assert_allclose(out, want, rtol=0, atol=40 * np.finfo(dtype).eps * max(1, f) ** 0.5)
    sampled.sddmm_parallel(indices, indptr, a, b, parallel)
    assert out.tobytes() == parallel.tobytes()


@given(
    n=SIZES,
    f=st.sampled_from([1, 2, 3, 16, 17, 65]),
    offset=st.sampled_from([0.0, 1000.0]),
    dtype=FLOATS,
    seed=SEEDS,
)
def test_layer_norm(n, f, offset, dtype, seed):
    rng = np.random.default_rng(seed)
    x, dy = (rng.standard_normal((n, f)) + offset).astype(dtype), rng.standard_normal((n, f)).astype(dtype)
    scale, shift = rng.uniform(0.5, 2, f).astype(dtype), rng.standard_normal(f).astype(dtype)
    y, mean, inverse = np.full((n, f), np.nan, dtype=dtype), np.full(n, np.nan), np.full(n, np.nan)
    layer_norm.layer_norm(x, scale, shift, 1e-3, y, mean, inverse)
    atol = 100 * np.finfo(dtype).eps
    # In float64 the mean of numbers near a thousand is itself a thousand roundings off.
    slack = atol * (1 + offset) if dtype == np.float64 else atol
    want = reference.layer_norm.layer_norm(x, scale, shift, 1e-3)
    np.testing.assert_allclose(y, want, rtol=0, atol=slack * np.sqrt(f))
    dx, dscale, dshift = np.full((n, f), np.nan, dtype=dtype), np.zeros(f), np.zeros(f)
    layer_norm.layer_norm_gradient(x, dy, scale, mean, inverse, dx, dscale, dshift)
    wanted = reference.layer_norm.layer_norm_gradient(x, scale, 1e-3, dy)
    largest = max(1.0, float(inverse.max(initial=0)))
    for got, want in zip((dx, dscale, dshift), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=slack * largest * f * max(1, n))
