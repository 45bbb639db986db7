"""Every kernel equals its reference twin, over awkward sizes, both precisions, both index widths, read-only input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scinn.reference as reference
from scinn.kernels import elementwise, losses, optimizers, segments, sparse

pytestmark = pytest.mark.usefixtures("compiled_kernels")

SIZES = st.sampled_from([0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 61, 65])
FLOATS = st.sampled_from([np.float32, np.float64])
# Value type, index type and whether inputs are read-only: each combination is a compilation, so not all eight.
KINDS = st.sampled_from(
    [(np.float32, np.int32, False), (np.float64, np.int64, True), (np.float64, np.int32, False)]
)
SEEDS = st.integers(0, 2**32 - 1)


def tolerance(dtype, length=1):
    """Rounding of a sum of ``length`` terms of size about one, with a factor of 20 in hand."""
    return float(20 * np.finfo(dtype).eps * max(1.0, length) ** 0.5)


def frozen(array):
    array.flags.writeable = False
    return array


def random_indptr(rng, n_segments, largest, dtype):
    lengths = rng.integers(0, largest + 1, n_segments) * (rng.random(n_segments) < 0.8)
    return np.concatenate([[0], np.cumsum(lengths)]).astype(dtype)


@given(m=SIZES, n=SIZES, f=SIZES, kind=KINDS, seed=SEEDS)
def test_csr_matmat(m, n, f, kind, seed):
    dtype, index, read_only = kind
    rng = np.random.default_rng(seed)
    indptr = random_indptr(rng, m, 11, index) if n else np.zeros(m + 1, dtype=index)
    indices = rng.integers(0, max(n, 1), indptr[-1]).astype(index)
    data, x = rng.standard_normal(indptr[-1]).astype(dtype), rng.standard_normal((n, f)).astype(dtype)
    want = reference.sparse.csr_matmat(data, indices, indptr, x)
    if read_only:
        data, indices, indptr, x = map(frozen, (data, indices, indptr, x))
    out = np.full((m, f), np.nan, dtype=dtype)
    sparse.csr_matmat(data, indices, indptr, x, out)
    assert out.dtype == dtype
    np.testing.assert_allclose(out, want, rtol=0, atol=10 * tolerance(dtype, 11))


def test_parallel_product_gives_the_bits_of_the_serial_one():
    rng = np.random.default_rng(0)
    indptr = random_indptr(rng, 101, 40, np.int32)
    indices = rng.integers(0, 101, indptr[-1]).astype(np.int32)
    data, x = rng.standard_normal(indptr[-1]), rng.standard_normal((101, 33))
    serial, parallel = np.empty_like(x), np.empty_like(x)
    sparse.csr_matmat(data, indices, indptr, x, serial)
    sparse.csr_matmat_parallel(data, indices, indptr, x, parallel)
    assert serial.tobytes() == parallel.tobytes()


@given(
    n_segments=SIZES, largest=st.sampled_from([1, 4, 17]), f=st.sampled_from([None, 0, 1, 3, 17]), kind=KINDS,
    seed=SEEDS,
)  # fmt: skip
def test_segments(n_segments, largest, f, kind, seed):
    dtype, index, read_only = kind
    rng = np.random.default_rng(seed)
    indptr = random_indptr(rng, n_segments, largest, index)
    shape = (indptr[-1],) if f is None else (indptr[-1], f)
    values, dy = (rng.normal(0, 10, shape).astype(dtype) for _ in range(2))
    y_want = reference.segments.segment_softmax(values, indptr)
    if read_only:
        values, dy, indptr = map(frozen, (values, dy, indptr))

    total = np.full((n_segments, *shape[1:]), np.nan, dtype=dtype)
    segments.segment_sum(values, indptr, total)
    want = reference.segments.segment_sum(values, indptr)
    np.testing.assert_allclose(total, want, rtol=0, atol=100 * tolerance(dtype))

    y = np.full(shape, np.nan, dtype=dtype)
    segments.segment_softmax(values, indptr, y)
    np.testing.assert_allclose(y, y_want, rtol=100 * tolerance(dtype), atol=np.finfo(dtype).tiny)

    dx = np.full(shape, np.nan, dtype=dtype)
    segments.segment_softmax_backward(y_want, dy, indptr, dx)
    want = reference.segments.segment_softmax_backward(y_want, dy, indptr)
    np.testing.assert_allclose(dx, want, rtol=0, atol=100 * tolerance(dtype, largest))


@pytest.mark.parametrize("columns", [(), (2,)])
def test_segment_softmax_does_not_hide_nan(columns):
    values = np.zeros((4, *columns))
    values[1] = np.nan
    out = np.zeros_like(values)
    segments.segment_softmax(values, np.array([0, 2, 4]), out)
    assert np.isnan(out[:2]).all()
    assert (out[2:] == 0.5).all()


@given(
    n=SIZES, c=st.sampled_from([1, 2, 7, 17]), kind=KINDS, scale=st.sampled_from([1.0, 1000.0]),
    smoothing=st.sampled_from([0.0, 0.1, 0.9]), seed=SEEDS,
)  # fmt: skip
def test_softmax_cross_entropy(n, c, kind, scale, smoothing, seed):
    dtype, index, read_only = kind
    rng = np.random.default_rng(seed)
    logits = (scale * rng.standard_normal((n, c))).astype(dtype)
    weight = (rng.random(n) * (rng.random(n) < 0.7)).astype(dtype)
    target = np.where(weight == 0, -1, rng.integers(0, c, n)).astype(index)
    loss_want, want = reference.losses.softmax_cross_entropy(logits, target, weight, smoothing)
    if read_only:
        logits, target, weight = map(frozen, (logits, target, weight))
    dlogits = np.full((n, c), np.nan, dtype=dtype)
    loss = losses.softmax_cross_entropy(logits, target, weight, smoothing, dlogits)
    assert loss == pytest.approx(loss_want, rel=tolerance(dtype), abs=tolerance(dtype, n) * scale)
    np.testing.assert_allclose(
        dlogits, want, rtol=0, atol=tolerance(dtype) * (1 if dtype == np.float64 else 5)
    )
    np.testing.assert_allclose(dlogits.sum(axis=1), 0, atol=tolerance(dtype, c))


@given(
    shape=st.sampled_from([(), (0,), (1,), (17,), (3, 0), (5, 7), (2, 3, 5)]), dtype=FLOATS, as_bool=st.booleans(),
    read_only=st.booleans(), seed=SEEDS,
)  # fmt: skip
def test_dropout(shape, dtype, as_bool, read_only, seed):
    rng = np.random.default_rng(seed)
    x, mask = np.array(rng.standard_normal(shape), dtype=dtype), np.array(rng.random(shape) < 0.5)
    x[~mask] = np.nan
    mask = mask if as_bool else mask.astype(np.uint8)
    want = reference.elementwise.dropout(x, mask, 1.7)
    if read_only:
        x, mask = frozen(x), frozen(mask)
    out = np.full(shape, np.nan, dtype=dtype)
    elementwise.dropout(x, mask, 1.7, out)
    assert out.tobytes() == want.tobytes()


@given(
    shape=st.sampled_from([(), (0,), (1,), (17,), (5, 7)]), dtype=FLOATS, step=st.sampled_from([1, 2, 1000]),
    decay=st.sampled_from([0.0, 0.01]), decoupled=st.booleans(), read_only=st.booleans(), seed=SEEDS,
)  # fmt: skip
def test_adam_step(shape, dtype, step, decay, decoupled, read_only, seed):
    rng = np.random.default_rng(seed)
    param, grad, first = (np.array(rng.standard_normal(shape), dtype=dtype) for _ in range(3))
    second = np.array(rng.random(shape), dtype=dtype)
    options = (step, 0.05, 0.9, 0.999, 1e-8, decay, decoupled)
    want = reference.optimizers.adam_step(param, grad, first, second, *options)
    optimizers.adam_step(param, frozen(grad) if read_only else grad, first, second, *options)
    for got, expected in zip((param, first, second), want, strict=True):
        np.testing.assert_allclose(got, expected, rtol=10 * tolerance(dtype), atol=10 * tolerance(dtype))


@given(
    shape=st.sampled_from([(), (0,), (1,), (17,), (5, 7)]), dtype=FLOATS, momentum=st.sampled_from([0.0, 0.9]),
    decay=st.sampled_from([0.0, 0.01]), nesterov=st.booleans(), seed=SEEDS,
)  # fmt: skip
def test_sgd_step(shape, dtype, momentum, decay, nesterov, seed):
    rng = np.random.default_rng(seed)
    param, grad, velocity = (np.array(rng.standard_normal(shape), dtype=dtype) for _ in range(3))
    want = reference.optimizers.sgd_step(param, grad, velocity, 0.1, momentum, decay, nesterov)
    optimizers.sgd_step(param, frozen(grad), velocity, 0.1, momentum, decay, nesterov)
    for got, expected in zip((param, velocity), want, strict=True):
        np.testing.assert_allclose(got, expected, rtol=tolerance(dtype), atol=tolerance(dtype))


def test_first_step_of_adam_has_the_length_of_the_learning_rate():
    param, grad = np.zeros(3), np.array([5.0, -0.2, 1e-3])
    optimizers.adam_step(param, grad, np.zeros(3), np.zeros(3), 1, 0.1, 0.9, 0.999, 1e-12)
    np.testing.assert_allclose(param, [-0.1, 0.1, -0.1], rtol=1e-8)


def test_strided_arrays_are_refused_instead_of_written_elsewhere():
    if not hasattr(elementwise._dropout, "py_func"):
        pytest.skip("without compilation NumPy copies strided arrays")
    x = np.ones((4, 4))
    with pytest.raises(Exception, match="reshape"):
        elementwise.dropout(x, x > 0, 2.0, np.empty((4, 8))[:, ::2])
