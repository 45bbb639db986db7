"""Layers of images: convolution, fused batch normalisation, pooling; the door that images come through."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scinn.nn import (
    AvgPool2d,
    BatchNorm,
    BatchNormReLU,
    Conv2d,
    GlobalAvgPool2d,
    Layer,
    MaxPool2d,
    Network,
    ReLU,
    nbytes,
    to_channels_first,
    to_channels_last,
    use_threads,
)
from scinn.nn.layer import build_layer, describe_layer
from scinn.reference import convolution as reference
from scinn.verify import check_adjoint, check_gradient


def normal(*shape: int, seed: int = 0, dtype: Any = np.float64) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


LAYERS: dict[str, tuple[Layer, tuple[int, ...]]] = {
    "plain": (Conv2d(3, 5, 3, rng=0), (2, 6, 5, 3)),
    "strided": (Conv2d(3, 17, (3, 2), stride=(2, 3), padding=(1, 0), rng=0), (2, 7, 6, 3)),
    "padded wide": (Conv2d(2, 2, 1, padding=2, bias=False, rng=0), (1, 2, 3, 2)),
    "stride beyond the kernel": (Conv2d(2, 3, 1, stride=3, rng=0), (2, 5, 5, 2)),
    "dilated": (Conv2d(2, 3, 3, dilation=(2, 1), padding=1, rng=0), (2, 6, 6, 2)),
    "grouped": (Conv2d(4, 6, 3, groups=2, stride=2, padding=1, rng=0), (3, 5, 5, 4)),
    "depthwise": (Conv2d(4, 4, 3, groups=4, padding="same", rng=0), (2, 4, 5, 4)),
    "depthwise, dilated and strided": (Conv2d(3, 3, 3, groups=3, stride=2, dilation=2, rng=0), (2, 7, 8, 3)),
    "channel multiplier": (Conv2d(2, 6, 2, groups=2, rng=0), (2, 3, 3, 2)),
    "no images": (Conv2d(2, 3, 3, padding=1, rng=0), (0, 4, 4, 2)),
    "fused": (BatchNormReLU(3), (2, 3, 4, 3)),
    "maximum": (MaxPool2d(2), (2, 5, 4, 3)),
    "maximum, overlapping": (MaxPool2d(3, stride=2, padding=1), (2, 5, 6, 2)),
    "average": (AvgPool2d(2), (2, 4, 6, 3)),
    "average, overlapping": (AvgPool2d((2, 3), stride=1, padding=(0, 1)), (2, 5, 6, 2)),
    "global average": (GlobalAvgPool2d(), (2, 3, 4, 5)),
}


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_gradient_and_contract(name: str, train: bool) -> None:
    layer, shape = LAYERS[name]
    check_gradient(layer, normal(*shape), train=train).raise_if_failed()


@pytest.mark.parametrize("name", LAYERS)
def test_float32_stays_float32_and_agrees_with_float64(name: str) -> None:
    layer, shape = LAYERS[name]
    x = normal(*shape, dtype=np.float32)
    y, saved = layer.forward(x, train=True)
    exact, exact_saved = layer.astype(np.float64).forward(x.astype(np.float64), train=True)
    dy = normal(*y.shape, seed=1, dtype=np.float32)
    dx, grads = layer.backward(saved, dy)
    exact_dx, exact_grads = layer.astype(np.float64).backward(exact_saved, dy.astype(np.float64))
    assert y.dtype == dx.dtype == np.float32
    for got, want in ((y, exact), (dx, exact_dx), *((grads[k], exact_grads[k]) for k in grads)):
        scale = max(1.0, float(np.abs(want).max(initial=0)))
        np.testing.assert_allclose(got, want, rtol=0, atol=2e-5 * scale)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_rebuilt_from_its_description(name: str) -> None:
    layer, shape = LAYERS[name]
    twin = build_layer(describe_layer(layer))
    assert twin.config() == layer.config()
    for key, value in layer.params.items():
        twin.params[key][...] = value
    x = normal(*shape, dtype=np.float32)
    assert twin(x).tobytes() == layer(x).tobytes()


@pytest.mark.parametrize(("groups", "dilation"), [(1, 2), (2, 1), (2, 2), (6, 1), (3, 1)])
def test_groups_and_dilation_by_the_definition(groups: int, dilation: int) -> None:
    layer = Conv2d(
        6, 12 if groups < 6 else 6, 3, groups=groups, dilation=dilation, padding=1, stride=2, rng=0
    )
    layer = layer.astype(np.float64)
    x = normal(3, 8, 7, 6)
    options = ((2, 2), (1, 1), (dilation, dilation), groups)
    y, saved = layer.forward(x)
    weight = layer.params["weight"]
    np.testing.assert_allclose(y, reference.convolve(x, weight, *options), atol=1e-12)
    dy = normal(*y.shape, seed=1)
    dx, grads = layer.backward(saved, dy)
    np.testing.assert_allclose(
        dx, reference.convolve_input_gradient(dy, weight, x.shape, *options), atol=1e-12
    )
    want = reference.convolve_weight_gradient(x, dy, weight.shape, *options)
    np.testing.assert_allclose(grads["weight"], want, atol=1e-11)


@given(
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    kernel=st.integers(1, 4),
    seed=st.integers(0, 2**31 - 1),
)
def test_backward_is_the_adjoint_of_forward(stride: int, padding: int, kernel: int, seed: int) -> None:
    layer = Conv2d(3, 4, kernel, stride=stride, padding=padding, bias=False, rng=seed).astype(np.float64)
    x = normal(2, 6, 5, 3, seed=seed)
    y, saved = layer.forward(x)
    check_adjoint(
        lambda v: layer(v.reshape(x.shape)).ravel(),
        lambda v: layer.backward(saved, v.reshape(y.shape))[0].ravel(),
        domain_shape=x.size,
        rng=seed,
    ).raise_if_failed()


def test_a_shifted_image_gives_a_shifted_map_away_from_the_border() -> None:
    layer = Conv2d(2, 3, 3, rng=0)
    x = normal(1, 8, 8, 2, dtype=np.float32)
    assert (layer(np.roll(x, 1, axis=2))[:, :, 1:] == layer(x)[:, :, :-1]).all()


def test_fused_equals_batch_norm_and_relu() -> None:
    fused, plain, relu = BatchNormReLU(4), BatchNorm(4), ReLU()
    for layer in (fused, plain):
        layer.params["scale"][...] = normal(4, seed=2)
        layer.params["shift"][...] = normal(4, seed=3)
    x, dy = normal(5, 6, 4, dtype=np.float32), normal(5, 6, 4, seed=1, dtype=np.float32)
    for train in (True, False):
        y, saved = fused.forward(x, train=train)
        middle, plain_saved = plain.forward(x, train=train)
        last, relu_saved = relu.forward(middle, train=train)
        assert y.tobytes() == (last + 0).tobytes()
        dx, grads = fused.backward(saved, dy)
        want, want_grads = plain.backward(plain_saved, relu.backward(relu_saved, dy)[0])
        np.testing.assert_array_equal(dx, want)
        for name, value in want_grads.items():
            np.testing.assert_array_equal(grads[name], value)
        assert nbytes(saved) < 1.2 * x.nbytes
        fused.update_state(saved)
        plain.update_state(plain_saved)
    assert fused.state["variance"].tobytes() == plain.state["variance"].tobytes()


def test_the_bits_are_the_same_at_one_and_two_threads() -> None:
    import numba

    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("this machine has one core")
    layers: list[Layer] = [Conv2d(3, 18, 3, stride=2, padding=1, rng=0), Conv2d(18, 18, 3, groups=18, rng=1)]
    network = Network.sequential(*layers)
    x = normal(40, 9, 9, 3, dtype=np.float32)

    def everything() -> list[bytes]:
        y, saved = network.forward(x, train=True)
        dx, grads = network.backward(saved, np.ones_like(y))
        return [value.tobytes() for value in (y, dx, *grads.values())]

    alone = everything()
    with use_threads(2):
        assert everything() == alone


@pytest.mark.parametrize("n_threads", [0, -1, 1.0, True, 10_000])
def test_wrong_numbers_of_threads_are_refused(n_threads: Any) -> None:
    with pytest.raises(ValueError, match="n_threads"), use_threads(n_threads):
        pass


def test_images_enter_by_one_door() -> None:
    x = normal(2, 3, 4, 5)
    assert to_channels_last(x).shape == (2, 4, 5, 3)
    assert to_channels_first(to_channels_last(x)).tobytes() == x.tobytes()
    with pytest.raises(ValueError, match=r"four axes.*x\[None\]"):
        to_channels_last(x[0])


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (normal(2, 3, 32, 32, dtype=np.float32), ValueError, "channels first.*to_channels_last"),
        (normal(2, 8, 8, 4, dtype=np.float32), ValueError, "4 channels.*built for 3"),
        (normal(8, 8, 3, dtype=np.float32), ValueError, r"x\[None\]"),
        (normal(2, 8, 8, 3), TypeError, "float64.*float32"),
        (np.ones((2, 8, 8, 3), dtype=np.uint8), TypeError, "uint8.*astype"),
        (np.ones((2, 2, 2, 3), dtype=np.float32), ValueError, "larger than the image 2 x 2"),
        (np.ones((2, 0, 5, 3), dtype=np.float32), ValueError, "without pixels"),
        (np.full((2, 8, 8, 3), np.nan, dtype=np.float32), ValueError, "finite.*image 0"),
        ([[1.0]], TypeError, "ndarray, got list"),
    ],
)
@pytest.mark.parametrize("groups", [1, 3])
def test_convolution_refuses_what_it_cannot_take(x: Any, error: Any, message: str, groups: int) -> None:
    with pytest.raises(error, match=message):
        Conv2d(3, 3, 5, groups=groups, rng=0).forward(x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride": 0}, "stride must be an integer >= 1"),
        ({"stride": (1, 2, 3)}, "pair"),
        ({"padding": -1}, "padding must be an integer >= 0"),
        ({"padding": "same", "stride": 2}, "stride 1 and an odd kernel"),
        ({"padding": "full"}, '"same"'),
        ({"dilation": 1.5}, "dilation"),
        ({"groups": 2}, "groups must divide"),
        ({"groups": 0}, "groups must be a positive integer"),
        ({"init": "he_norml"}, "did you mean 'he_normal'"),
        ({"dtype": np.int32}, "float32 or float64"),
    ],
)
def test_convolution_refuses_options_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Conv2d(3, 4, 3, **options)


def test_convolution_refuses_a_gradient_of_another_shape() -> None:
    layer = Conv2d(2, 3, 3, rng=0)
    _, saved = layer.forward(np.ones((1, 5, 5, 2), dtype=np.float32))
    with pytest.raises(ValueError, match=r"\(1, 3, 3, 3\)"):
        layer.backward(saved, np.ones((1, 3, 4, 3), dtype=np.float32))


def test_batch_norm_refuses_one_row_and_names_a_bad_feature() -> None:
    with pytest.raises(ValueError, match="at least two rows, got 1"):
        BatchNormReLU(2).forward(np.ones((1, 1, 1, 2), dtype=np.float32), train=True)
    x = np.ones((4, 2), dtype=np.float32)
    x[2, 1] = np.inf
    with pytest.raises(ValueError, match="feature 1"):
        BatchNorm(2).forward(x, train=True)


@pytest.mark.parametrize("kind", [MaxPool2d, AvgPool2d])
def test_pooling_refuses_what_it_cannot_take(kind: Any) -> None:
    with pytest.raises(ValueError, match="at most half"):
        kind(2, padding=2)
    with pytest.raises(ValueError, match="larger than the image 2 x 3"):
        kind(3).forward(np.ones((1, 2, 3, 1)))
    layer = kind(2)
    _, saved = layer.forward(np.ones((1, 4, 4, 2)))
    with pytest.raises(ValueError, match=r"\(1, 2, 2, 2\)"):
        layer.backward(saved, np.ones((1, 2, 2, 3)))


def test_read_only_images_are_welcome_and_strided_ones_are_copied() -> None:
    layer = Conv2d(2, 3, 3, rng=0)
    x = normal(4, 6, 6, 4, dtype=np.float32)[::2, :, :, ::2]
    y, _ = layer.forward(x)
    frozen = np.ascontiguousarray(x)
    frozen.flags.writeable = False
    assert layer(frozen).tobytes() == y.tobytes()
