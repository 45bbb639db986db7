"""Networks that are one chain: perceptrons, VGG-16 with batch normalisation, MobileNet, and a small one for digits."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from scinn.nn.activations import LeakyReLU, ReLU, Sigmoid, Tanh
from scinn.nn.dropout import Dropout
from scinn.nn.layer import Layer
from scinn.nn.models.chain import Chain
from scinn.nn.network import Network
from scinn.nn.pooling import GlobalAvgPool2d, MaxPool2d
from scinn.nn.shape import Flatten
from scinn.random import RandomState

__all__ = ["deepcnn_mnist", "mlp", "mobilenet", "vgg16_bn"]

_ACTIVATIONS: dict[str, type[Layer]] = {
    "relu": ReLU,
    "leaky_relu": LeakyReLU,
    "tanh": Tanh,
    "sigmoid": Sigmoid,
}
_VGG16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512)
# Output channels and stride of the thirteen depthwise-separable blocks.
_MOBILENET = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1),
)  # fmt: skip


def mlp(
    sizes: Sequence[int],
    *,
    activation: str = "relu",
    batch_norm: bool = False,
    dropout: float = 0.0,
    rng: RandomState = None,
    dtype: Any = np.float32,
) -> Network:
    """Build a perceptron.

    Parameters
    ----------
    sizes : sequence of int
        Numbers of inputs, of units of each hidden layer, and of outputs.
    activation : {"relu", "leaky_relu", "tanh", "sigmoid"}
        Between the layers; the output has none.
    batch_norm : bool, default False
        Whether to normalise before each activation.
    dropout : float, default 0.0
        Rate after each activation.
    rng : int, SeedSequence, Generator, Key or None
        Source of the initial values (He's normal ones for rectifiers, Glorot's uniform ones otherwise).
    dtype : dtype, default float32

    Returns
    -------
    Network
        Layers are named ``dense1``, ``dense2``, ...

    Raises
    ------
    ValueError
        For fewer than two sizes or an unknown activation.

    Examples
    --------
    >>> mlp([784, 300, 100, 10], rng=0).n_parameters
    266610
    """
    sizes = list(sizes)
    if len(sizes) < 2:
        raise ValueError(f"sizes needs at least the numbers of inputs and outputs, got {sizes}")
    if activation not in _ACTIVATIONS:
        raise ValueError(f"activation must be one of {sorted(_ACTIVATIONS)}, got {activation!r}")
    chain = Chain(rng, dtype)
    init = "he_normal" if "relu" in activation else "glorot_uniform"
    last = len(sizes) - 1
    for i, (n_in, n_out) in enumerate(pairwise(sizes), start=1):
        chain.dense(f"dense{i}", n_in, n_out, init=init if i < last else "glorot_uniform")
        if i == last:
            break
        if batch_norm:
            chain.norm(f"norm{i}", n_out, rectify=False)
        chain.add(f"{activation}{i}", _ACTIVATIONS[activation]())
        if dropout:
            chain.add(f"dropout{i}", Dropout(dropout))
    return chain.network()


def vgg16_bn(
    *, n_classes: int = 10, n_channels: int = 3, rng: RandomState = None, dtype: Any = np.float32
) -> Network:
    """Build VGG-16 with batch normalisation for 32 x 32 images, as the pruning literature uses it.

    Thirteen 3 x 3 convolutions with four maxima between them; the 2 x 2 map that is left is averaged, then a dense layer of
    512 normalised units and the classes. Convolutions have biases, as published, although normalisation undoes them.

    Parameters
    ----------
    n_classes : int, default 10
    n_channels : int, default 3
        Channels of the images.
    rng : int, SeedSequence, Generator, Key or None
        Source of the initial values.
    dtype : dtype, default float32

    Returns
    -------
    Network

    References
    ----------
    K. Simonyan and A. Zisserman (2015), Very deep convolutional networks for large-scale image recognition, table 1, D.

    Examples
    --------
    >>> vgg16_bn(rng=0).n_parameters
    14991946
    """
    chain = Chain(rng, dtype)
    n_in, number, pools = n_channels, 0, 0
    for n_out in _VGG16:
        if n_out == 0:
            pools += 1
            chain.add(f"pool{pools}", MaxPool2d(2))
            continue
        number += 1
        chain.convolution(f"conv{number}", n_in, n_out, 3, padding=1, bias=True)
        chain.norm(f"bn{number}", n_out, rectify=True)
        n_in = n_out
    chain.add("mean", GlobalAvgPool2d())
    chain.dense("linear1", n_in, 512, init="he_normal")
    chain.norm("norm1", 512, rectify=True)
    chain.dense("linear2", 512, n_classes)
    return chain.network()


def mobilenet(
    *,
    n_classes: int = 10,
    n_channels: int = 3,
    width: float = 1.0,
    small_images: bool = True,
    rng: RandomState = None,
    dtype: Any = np.float32,
) -> Network:
    """Build MobileNet: thirteen blocks of a depthwise 3 x 3 and a 1 x 1 convolution.

    Parameters
    ----------
    n_classes : int, default 10
    n_channels : int, default 3
        Channels of the images.
    width : float, default 1.0
        Factor on all numbers of channels.
    small_images : bool, default True
        A stem of stride 1, for 32 x 32 pixels; False: of stride 2, for 224 x 224 as published.
    rng : int, SeedSequence, Generator, Key or None
        Source of the initial values.
    dtype : dtype, default float32

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        For a width that is not positive.

    References
    ----------
    A. Howard et al. (2017), MobileNets, arXiv:1704.04861, table 1.

    Examples
    --------
    >>> mobilenet(n_classes=1000, small_images=False, rng=0).n_parameters
    4231976
    """
    if not 0 < width < float("inf"):
        raise ValueError(f"width must be positive and finite, got {width!r}")

    def channels(n: int) -> int:
        return max(1, round(n * width))

    chain = Chain(rng, dtype)
    n_in = channels(32)
    chain.convolution("conv1", n_channels, n_in, 3, stride=1 if small_images else 2, padding=1)
    chain.norm("bn1", n_in, rectify=True)
    for i, (n, stride) in enumerate(_MOBILENET, start=1):
        n_out = channels(n)
        chain.convolution(f"block{i}_depthwise", n_in, n_in, 3, stride=stride, padding=1, groups=n_in)
        chain.norm(f"block{i}_bn1", n_in, rectify=True)
        chain.convolution(f"block{i}_pointwise", n_in, n_out, 1)
        chain.norm(f"block{i}_bn2", n_out, rectify=True)
        n_in = n_out
    chain.add("mean", GlobalAvgPool2d())
    chain.dense("linear", n_in, n_classes)
    return chain.network()


def deepcnn_mnist(*, rng: RandomState = None, dtype: Any = np.float32) -> Network:
    """Build the network of six convolutions for 28 x 28 digits whose trained weights :func:`pretrained` loads.

    Three times two 3 x 3 convolutions with rectifiers and a maximum of 2 x 2, with 16, 16, 32, 32, 64 and 64 filters,
    padding 1 (in the fourth 2); then dense layers of 50 and 10 units.

    Parameters
    ----------
    rng : int, SeedSequence, Generator, Key or None
        Source of the initial values.
    dtype : dtype, default float32

    Returns
    -------
    Network

    Examples
    --------
    >>> deepcnn_mnist(rng=0).n_parameters
    123552
    """
    chain = Chain(rng, dtype)
    n_in = 1
    for i, n_out in enumerate((16, 16, 32, 32, 64, 64), start=1):
        chain.convolution(f"conv{i}", n_in, n_out, 3, padding=2 if i == 4 else 1, bias=True)
        chain.add(f"relu{i}", ReLU())
        if i % 2 == 0:
            chain.add(f"pool{i // 2}", MaxPool2d(2))
        n_in = n_out
    chain.add("flatten", Flatten())
    chain.dense("dense1", 4 * 4 * 64, 50, init="he_normal")
    chain.add("relu7", ReLU())
    chain.dense("dense2", 50, 10)
    return chain.network()
