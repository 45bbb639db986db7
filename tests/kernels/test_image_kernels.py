"""The kernels of images equal their reference twins: convolution, depthwise convolution, normalisation, pooling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scinn.reference as reference
from scinn.kernels import convolution, depthwise, normalization, pooling

SEEDS = st.integers(0, 2**32 - 1)
FLOATS = st.sampled_from([np.float32, np.float64])
SIDES = st.sampled_from([1, 2, 3, 4, 5, 7, 9])
CHANNELS = st.sampled_from([1, 3, 4, 15, 16, 17, 33])
PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))


def tolerance(dtype, length):
    """Rounding of a sum of ``length`` products of size about one, with a factor of 20 in hand."""
    return float(20 * np.finfo(dtype).eps * max(1.0, length) ** 0.5)


def images(rng, shape, dtype):
    return rng.standard_normal(shape).astype(dtype)


def convolve(x, weight, stride, padding, *, run=convolution.convolve, bias=None):
    size = [
        reference.convolution.output_size(x.shape[1 + i], weight.shape[i], stride[i], padding[i])
        for i in (0, 1)
    ]
    out = np.full((len(x), *size, weight.shape[3]), np.nan, dtype=x.dtype)
    finite = np.zeros(len(x), dtype=np.bool_)
    bias = np.empty(0, dtype=x.dtype) if bias is None else bias
    run(x, weight, bias, *stride, *padding, out, finite)
    assert finite.all()
    return out


def input_gradient(dy, weight, shape, stride, padding, *, run=convolution.convolve_input_gradient):
    dx = np.full(shape, np.nan, dtype=dy.dtype)
    run(dy, weight, *stride, *padding, dx)
    return dx


def weight_gradient(x, dy, shape, stride, padding, *, run=convolution.convolve_weight_gradient):
    lanes = convolution.VECTOR_BYTES // x.itemsize
    n_blocks = -(-len(x) // convolution.BLOCK_IMAGES)
    partials = np.full(
        (n_blocks, int(np.prod(shape[:3])), -(-shape[3] // lanes) * lanes), np.nan, dtype=x.dtype
    )
    dweight = np.full(shape, np.nan)
    run(x, dy, *stride, *padding, partials, dweight)
    return dweight


@given(
    n=st.sampled_from([0, 1, 2]), height=SIDES, width=SIDES, n_in=CHANNELS, n_out=CHANNELS,
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)), stride=PAIRS, padding=st.tuples(*[st.integers(0, 3)] * 2),
    dtype=FLOATS, seed=SEEDS,
)  # fmt: skip
def test_convolution_and_its_gradients(n, height, width, n_in, n_out, kernel, stride, padding, dtype, seed):
    kernel = tuple(min(k, s + 2 * p) for k, s, p in zip(kernel, (height, width), padding))
    # The twins are six nested loops: where everything is large, take few channels.
    if height * width * kernel[0] * kernel[1] > 200:
        n_in, n_out = min(n_in, 4), min(n_out, 4)
    rng = np.random.default_rng(seed)
    x, weight = images(rng, (n, height, width, n_in), dtype), images(rng, (*kernel, n_in, n_out), dtype)
    want = reference.convolution.convolve(x, weight, stride, padding)
    atol = tolerance(dtype, n_in * kernel[0] * kernel[1])
    np.testing.assert_allclose(convolve(x, weight, stride, padding), want, rtol=0, atol=atol)

    dy = images(rng, want.shape, dtype)
    want = reference.convolution.convolve_input_gradient(dy, weight, x.shape, stride, padding)
    atol = tolerance(dtype, n_out * kernel[0] * kernel[1])
    np.testing.assert_allclose(input_gradient(dy, weight, x.shape, stride, padding), want, rtol=0, atol=atol)

    want = reference.convolution.convolve_weight_gradient(x, dy, weight.shape, stride, padding)
    atol = tolerance(dtype, max(1, n) * height * width)
    np.testing.assert_allclose(weight_gradient(x, dy, weight.shape, stride, padding), want, rtol=0, atol=atol)


@pytest.mark.parametrize("n_out", [3, 16, 40])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bits_of_an_image_depend_on_nothing_around_it(n_out, dtype):
    rng = np.random.default_rng(0)
    x, weight = images(rng, (35, 7, 9, 5), dtype), images(rng, (3, 3, 5, n_out), dtype)
    stride, padding = (2, 1), (1, 1)
    together = convolve(x, weight, stride, padding)
    alone = np.concatenate([convolve(x[i : i + 1], weight, stride, padding) for i in range(len(x))])
    order = rng.permutation(len(x))
    assert together.tobytes() == alone.tobytes()
    assert together[order].tobytes() == convolve(x[order], weight, stride, padding).tobytes()
    dx = input_gradient(together, weight, x.shape, stride, padding)
    alone = [
        input_gradient(together[i : i + 1], weight, (1, *x.shape[1:]), stride, padding) for i in range(len(x))
    ]
    assert dx.tobytes() == np.concatenate(alone).tobytes()


def test_parallel_convolution_gives_the_bits_of_the_serial_one():
    rng = np.random.default_rng(1)
    x, weight = images(rng, (37, 6, 5, 4), np.float32), images(rng, (3, 3, 4, 17), np.float32)
    stride, padding = (1, 2), (1, 0)
    y = convolve(x, weight, stride, padding)
    assert y.tobytes() == convolve(x, weight, stride, padding, run=convolution.convolve_parallel).tobytes()
    run = convolution.convolve_input_gradient_parallel
    serial = input_gradient(y, weight, x.shape, stride, padding)
    assert serial.tobytes() == input_gradient(y, weight, x.shape, stride, padding, run=run).tobytes()
    run = convolution.convolve_weight_gradient_parallel
    serial = weight_gradient(x, y, weight.shape, stride, padding)
    assert serial.tobytes() == weight_gradient(x, y, weight.shape, stride, padding, run=run).tobytes()


def test_bias_is_added_and_bad_pixels_are_reported():
    x, weight = np.ones((3, 2, 2, 1), dtype=np.float32), np.ones((1, 1, 1, 17), dtype=np.float32)
    bias = np.arange(17, dtype=np.float32)
    y = convolve(x, weight, (1, 1), (0, 0), bias=bias)
    assert (y == 1 + bias).all()
    x[1, 0, 1, 0], x[2, 1, 1, 0] = np.inf, np.nan
    finite = np.zeros(3, dtype=np.bool_)
    convolution.convolve(x, weight, bias, 1, 1, 0, 0, y, finite)
    assert finite.tolist() == [True, False, False]


@given(
    n=st.sampled_from([0, 1, 2]), height=SIDES, width=SIDES, n_channels=st.sampled_from([1, 3, 16, 17]), kernel=PAIRS,
    stride=PAIRS, padding=st.tuples(*[st.integers(0, 2)] * 2), dilation=st.tuples(*[st.integers(1, 2)] * 2), dtype=FLOATS,
    seed=SEEDS,
)  # fmt: skip
def test_depthwise(n, height, width, n_channels, kernel, stride, padding, dilation, dtype, seed):
    side = zip(kernel, (height, width), padding, dilation)
    kernel = tuple(min(k, (s + 2 * p - 1) // d + 1) for k, s, p, d in side)
    rng = np.random.default_rng(seed)
    x, weight = (
        images(rng, (n, height, width, n_channels), dtype),
        images(rng, (*kernel, 1, n_channels), dtype),
    )
    want = reference.depthwise.depthwise(x, weight, stride, padding, dilation)
    out = np.full(want.shape, np.nan, dtype=dtype)
    depthwise.depthwise(x, weight, stride, padding, dilation, out)
    np.testing.assert_allclose(out, want, rtol=0, atol=tolerance(dtype, 9))
    parallel = np.full(want.shape, np.nan, dtype=dtype)
    depthwise.depthwise_parallel(x, weight, stride, padding, dilation, parallel)
    assert out.tobytes() == parallel.tobytes()

    dy = images(rng, want.shape, dtype)
    want = reference.depthwise.depthwise_input_gradient(dy, weight, x.shape, stride, padding, dilation)
    dx = np.full(x.shape, np.nan, dtype=dtype)
    depthwise.depthwise_input_gradient(dy, weight, stride, padding, dilation, dx)
    np.testing.assert_allclose(dx, want, rtol=0, atol=tolerance(dtype, 9))
    parallel = np.full(x.shape, np.nan, dtype=dtype)
    depthwise.depthwise_input_gradient_parallel(dy, weight, stride, padding, dilation, parallel)
    assert dx.tobytes() == parallel.tobytes()

    want = reference.depthwise.depthwise_weight_gradient(x, dy, weight.shape, stride, padding, dilation)
    dweight = np.full(weight.shape, np.nan)
    depthwise.depthwise_weight_gradient(x, dy, stride, padding, dilation, dweight)
    np.testing.assert_allclose(dweight, want, rtol=0, atol=tolerance(dtype, max(1, n) * height * width))


@given(
    n_rows=st.sampled_from([1, 2, 3, 63, 255, 257, 600]), n_channels=st.sampled_from([1, 3, 16, 31, 129]), dtype=FLOATS,
    rectify=st.booleans(), offset=st.sampled_from([0.0, 1000.0]), seed=SEEDS,
)  # fmt: skip
def test_normalization(n_rows, n_channels, dtype, rectify, offset, seed):
    rng = np.random.default_rng(seed)
    x, dy = images(rng, (n_rows, n_channels), dtype) + dtype(offset), images(rng, (n_rows, n_channels), dtype)
    scale, shift = rng.uniform(0.5, 2, n_channels).astype(dtype), images(rng, n_channels, dtype)
    y_want, mean, variance = reference.normalization.batch_norm_relu(x, scale, shift, 1e-3, rectify=rectify)
    sums, squares = np.zeros(n_channels), np.zeros(n_channels)
    normalization.moments(x, sums, squares)
    # Relative to the spread: blocks of 256 rows are added up in the dtype, after the first row is taken off.
    np.testing.assert_allclose(x[0] + sums / n_rows, mean, rtol=1e-13, atol=tolerance(dtype, 16))
    got = squares / n_rows - (sums / n_rows) ** 2
    np.testing.assert_allclose(got, variance, rtol=0, atol=tolerance(dtype, 256) * 10)

    deviation = np.sqrt(variance + 1e-3)
    affine = (mean.astype(dtype), (scale / deviation).astype(dtype), shift)
    y = np.full(x.shape, np.nan, dtype=dtype)
    normalization.normalize(x, *affine, rectify, y)
    # The mean itself is rounded to the dtype.
    slack = tolerance(dtype, 16) * (1 + offset)
    factor = float(np.max(scale / deviation))
    np.testing.assert_allclose(y, y_want, rtol=0, atol=slack * max(1.0, factor))

    if rectify:
        positive = (x - affine[0]) * affine[1] + shift > 0
        dy = np.where(positive == (y > 0), dy, 0)
    kept = np.where(y > 0, dy, 0) if rectify else dy
    sums, products = np.zeros(n_channels), np.zeros(n_channels)
    normalization.normalize_sums(x, dy, *affine, rectify, sums, products)
    centered = (x - affine[0]).astype(np.float64)
    np.testing.assert_allclose(
        sums, kept.sum(axis=0, dtype=np.float64), rtol=0, atol=tolerance(dtype, n_rows) * 10
    )
    wanted = (kept * centered).sum(axis=0)
    np.testing.assert_allclose(products, wanted, rtol=0, atol=tolerance(dtype, n_rows) * 20)

    constant, slope = images(rng, n_channels, dtype), images(rng, n_channels, dtype)
    dx = np.full(x.shape, np.nan, dtype=dtype)
    normalization.normalize_gradient(x, dy, *affine, rectify, constant, slope, dx)
    want = kept * affine[1].astype(np.float64) - constant - centered * slope
    np.testing.assert_allclose(dx, want, rtol=0, atol=tolerance(dtype, 16) * max(1.0, factor))


def test_a_large_mean_costs_the_variance_no_digits():
    x = (np.random.default_rng(0).standard_normal((131_072, 2)) + 3000).astype(np.float32)
    sums, squares = np.zeros(2), np.zeros(2)
    normalization.moments(x, sums, squares)
    exact = x.astype(np.float64).var(axis=0)
    np.testing.assert_allclose(squares / len(x) - (sums / len(x)) ** 2, exact, rtol=1e-5)


@given(
    n=st.sampled_from([0, 1, 2]), height=SIDES, width=SIDES, n_channels=st.sampled_from([1, 3, 16, 17]), kernel=PAIRS,
    stride=PAIRS, pad=st.booleans(), ties=st.booleans(), dtype=FLOATS, seed=SEEDS,
)  # fmt: skip
def test_pooling(n, height, width, n_channels, kernel, stride, pad, ties, dtype, seed):
    kernel = (min(kernel[0], height), min(kernel[1], width))
    padding = (kernel[0] // 2, kernel[1] // 2) if pad else (0, 0)
    rng = np.random.default_rng(seed)
    x = images(rng, (n, height, width, n_channels), dtype)
    if ties:
        x = np.round(x)
    want = reference.pooling.max_pool(x, kernel, stride, padding)
    y, alone = np.full(want.shape, np.nan, dtype=dtype), np.full(want.shape, np.nan, dtype=dtype)
    index = np.empty(want.shape, dtype=np.uint8)
    pooling.max_pool_with_index(x, kernel, stride, padding, y, index)
    pooling.max_pool(x, kernel, stride, padding, alone)
    np.testing.assert_array_equal(y, want)
    np.testing.assert_array_equal(alone, want)
    dy, dx = images(rng, want.shape, dtype), np.full(x.shape, np.nan, dtype=dtype)
    pooling.max_pool_gradient(dy, index, kernel, stride, padding, dx)
    want = reference.pooling.max_pool_gradient(x, dy, kernel, stride, padding)
    np.testing.assert_allclose(dx, want, rtol=0, atol=tolerance(dtype, 9))

    want = reference.pooling.average_pool(x, kernel, stride, padding)
    pooling.average_pool(x, kernel, stride, padding, y)
    np.testing.assert_allclose(y, want, rtol=0, atol=tolerance(dtype, 9))
    dx = np.full(x.shape, np.nan, dtype=dtype)
    pooling.average_pool_gradient(dy, kernel, stride, padding, dx)
    want = reference.pooling.average_pool_gradient(dy, x.shape, kernel, stride, padding)
    np.testing.assert_allclose(dx, want, rtol=0, atol=tolerance(dtype, 9))

    mean = np.full((n, n_channels), np.nan, dtype=dtype)
    pooling.global_average_pool(x, mean)
    want = reference.pooling.global_average_pool(x)
    np.testing.assert_allclose(mean, want, rtol=0, atol=tolerance(dtype, width))
    dx = np.full(x.shape, np.nan, dtype=dtype)
    pooling.global_average_pool_gradient(mean, dx)
    want = reference.pooling.global_average_pool_gradient(mean, x.shape)
    np.testing.assert_allclose(dx, want, rtol=0, atol=tolerance(dtype, 1))


def test_nan_wins_every_window_it_is_in():
    x = np.ones((1, 4, 4, 1))
    x[0, 1, 1, 0] = np.nan
    y, index = np.empty((1, 2, 2, 1)), np.empty((1, 2, 2, 1), dtype=np.uint8)
    pooling.max_pool_with_index(x, (2, 2), (2, 2), (0, 0), y, index)
    assert np.isnan(y.ravel()).tolist() == [True, False, False, False]
    assert index.ravel().tolist() == [3, 0, 0, 0]
