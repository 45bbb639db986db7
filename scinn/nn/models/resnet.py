"""Residual networks of K. He, X. Zhang, S. Ren and J. Sun (2016), Deep residual learning for image recognition.

A block computes ``y = relu(F(x) + S(x))`` with ``F`` two 3 x 3 convolutions (or a bottleneck of 1 x 1, 3 x 3, 1 x 1),
each with batch normalisation, and the shortcut ``S`` the identity where shapes agree. Names of layers are those of the
PyTorch networks with ``_`` for ``.``: ``layer1_0_conv1``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from scinn.nn.activations import ReLU
from scinn.nn.combine import Add
from scinn.nn.images import check_images
from scinn.nn.layer import Layer, check_output_gradient, register_layer
from scinn.nn.models.chain import Chain
from scinn.nn.network import Network
from scinn.nn.pooling import GlobalAvgPool2d, MaxPool2d
from scinn.random import Key, RandomState

__all__ = [
    "SubsamplePad", "resnet18", "resnet20", "resnet26", "resnet50", "resnet56", "resnet110", "resnet_cifar",
]  # fmt: skip


class SubsamplePadSaved(NamedTuple):
    """The input's shape and dtype."""

    shape: tuple[int, ...]
    dtype: np.dtype


@register_layer
class SubsamplePad(Layer):
    """The shortcut without parameters (option A): every second pixel, and channels of zeros around the old ones.

    Forward ``y[n, i, j, c + p] = x[n, s i, s j, c]``, zero in the other channels, with ``p = (n_out - n_in) / 2`` rounded
    down; backward the adjoint.

    Parameters
    ----------
    n_in, n_out : int
        Numbers of channels, ``n_out >= n_in``.
    stride : int, default 2
        Every how manieth pixel of a row, and row, is taken.

    References
    ----------
    K. He et al. (2016), Deep residual learning for image recognition, section 3.3, option A.

    Examples
    --------
    >>> import numpy as np
    >>> SubsamplePad(1, 3)(np.arange(4.0).reshape(1, 2, 2, 1)).tolist()
    [[[[0.0, 0.0, 0.0]]]]
    """

    Saved = SubsamplePadSaved

    def __init__(self, n_in: int, n_out: int, stride: int = 2) -> None:
        super().__init__()
        for name, value in (("n_in", n_in), ("n_out", n_out), ("stride", stride)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise ValueError(f"{name} must be a positive integer, got {value!r}")
        if n_out < n_in:
            raise ValueError(f"n_out must not be below n_in, got n_in={n_in}, n_out={n_out}")
        self.n_in, self.n_out, self.stride = int(n_in), int(n_out), int(stride)

    @property
    def _channels(self) -> slice:
        first = (self.n_out - self.n_in) // 2
        return slice(first, first + self.n_in)

    def forward(
        self, x: np.ndarray, *, train: bool = False, key: Key | None = None
    ) -> tuple[np.ndarray, SubsamplePadSaved]:
        """Return the thinned, widened images of ``x`` (n, height, width, n_in), and its shape as saved."""
        check_images(x, self, self.n_in)
        thin = x[:, :: self.stride, :: self.stride]
        y = np.zeros((*thin.shape[:3], self.n_out), dtype=x.dtype)
        y[..., self._channels] = thin
        return y, SubsamplePadSaved(x.shape, x.dtype)

    def backward(self, saved: SubsamplePadSaved, dy: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return ``dy`` at the pixels and channels that were taken, zero elsewhere."""
        n, height, width, _ = saved.shape
        shape = (n, -(-height // self.stride), -(-width // self.stride), self.n_out)
        check_output_gradient(dy, self, shape, saved.dtype)
        dx = np.zeros(saved.shape, dtype=dy.dtype)
        dx[:, :: self.stride, :: self.stride] = dy[..., self._channels]
        return dx, {}

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"n_in": self.n_in, "n_out": self.n_out, "stride": self.stride}


def _shortcut(chain: Chain, name: str, start: str, n_in: int, n_out: int, stride: int, kind: str) -> str:
    if stride == 1 and n_in == n_out:
        return start
    if kind == "A":
        return chain.add(f"{name}_shortcut", SubsamplePad(n_in, n_out, stride), start)
    chain.convolution(f"{name}_downsample_0", n_in, n_out, 1, start, stride=stride)
    return chain.norm(f"{name}_downsample_1", n_out, rectify=False)


def _basic_block(chain: Chain, name: str, n_in: int, n_out: int, stride: int, kind: str) -> None:
    start = chain.last
    chain.convolution(f"{name}_conv1", n_in, n_out, 3, stride=stride, padding=1)
    chain.norm(f"{name}_bn1", n_out, rectify=True)
    chain.convolution(f"{name}_conv2", n_out, n_out, 3, padding=1)
    end = chain.norm(f"{name}_bn2", n_out, rectify=False)
    chain.add(f"{name}_add", Add(), end, _shortcut(chain, name, start, n_in, n_out, stride, kind))
    chain.add(f"{name}_relu", ReLU())


def _bottleneck(chain: Chain, name: str, n_in: int, width: int, stride: int) -> None:
    start = chain.last
    chain.convolution(f"{name}_conv1", n_in, width, 1)
    chain.norm(f"{name}_bn1", width, rectify=True)
    chain.convolution(f"{name}_conv2", width, width, 3, stride=stride, padding=1)
    chain.norm(f"{name}_bn2", width, rectify=True)
    chain.convolution(f"{name}_conv3", width, 4 * width, 1)
    end = chain.norm(f"{name}_bn3", 4 * width, rectify=False)
    chain.add(f"{name}_add", Add(), end, _shortcut(chain, name, start, n_in, 4 * width, stride, "B"))
    chain.add(f"{name}_relu", ReLU())


def resnet_cifar(
    depth: int,
    *,
    n_classes: int = 10,
    n_channels: int = 3,
    width: int = 16,
    shortcut: str = "A",
    rng: RandomState = None,
    dtype: Any = np.float32,
) -> Network:
    """Build the residual network for small images: three stages of ``(depth - 2) / 6`` blocks each.

    Parameters
    ----------
    depth : int
        6 n + 2: 8, 14, 20, 26, 32, 44, 56, 110 and so on.
    n_classes : int, default 10
    n_channels : int, default 3
        Channels of the images.
    width : int, default 16
        Channels of the first stage; the second has twice, the third four times as many.
    shortcut : {"A", "B"}
        Where a block changes the shape: :class:`SubsamplePad` without parameters (A), or a 1 x 1 convolution (B).
    rng : int, SeedSequence, Generator, Key or None
        Source of the initial values (convolutions: He's normal ones).
    dtype : dtype, default float32

    Returns
    -------
    Network
        From images (n, height, width, n_channels) to logits (n, n_classes).

    Raises
    ------
    ValueError
        For another depth or shortcut.

    References
    ----------
    K. He et al. (2016), Deep residual learning for image recognition, section 4.2.

    Examples
    --------
    >>> network = resnet_cifar(8, width=4, rng=0)
    >>> network.n_parameters
    5006
    """
    if isinstance(depth, bool) or not isinstance(depth, int | np.integer) or depth < 8 or depth % 6 != 2:
        raise ValueError(f"depth must be 6 n + 2 (8, 14, 20, 26, 32, 44, 56, 110, ...), got {depth!r}")
    if shortcut not in ("A", "B"):
        raise ValueError(f'shortcut must be "A" (no parameters) or "B" (1 x 1 convolution), got {shortcut!r}')
    chain = Chain(rng, dtype)
    chain.convolution("conv1", n_channels, width, 3, padding=1)
    chain.norm("bn1", width, rectify=True)
    n_in = width
    for stage in range(3):
        for block in range((depth - 2) // 6):
            stride = 2 if stage and not block else 1
            _basic_block(chain, f"layer{stage + 1}_{block}", n_in, width << stage, stride, shortcut)
            n_in = width << stage
    chain.add("pool", GlobalAvgPool2d())
    chain.dense("linear", n_in, n_classes)
    return chain.network()


def resnet20(*, n_classes: int = 10, rng: RandomState = None, dtype: Any = np.float32) -> Network:
    """Build ResNet-20 for 32 x 32 images: :func:`resnet_cifar` of depth 20 (269 722 parameters).

    Parameters
    ----------
    n_classes : int, default 10
    rng : int, SeedSequence, Generator, Key or None
        Source of the initial values.
    dtype : dtype, default float32

    Returns
    -------
    Network

    Examples
    --------
    >>> resnet20(rng=0).n_parameters
    269722
    """
    return resnet_cifar(20, n_classes=n_classes, rng=rng, dtype=dtype)


def resnet26(*, n_classes: int = 10, rng: RandomState = None, dtype: Any = np.float32) -> Network:
    """Build ResNet-26 for 32 x 32 images: :func:`resnet_cifar` of depth 26.

    Parameters
    ----------
    n_classes : int, default 10
    rng : int, SeedSequence, Generator, Key or None
        Source of the initial values.
    dtype : dtype, default float32

    Returns
    -------
    Network

    Examples
    --------
    >>> resnet26(rng=0).n_parameters
    366938
    """
    return resnet_cifar(26, n_classes=n_classes, rng=rng, dtype=dtype)


def resnet56(*, n_classes: int = 10, rng: RandomState = None, dtype: Any = np.float32) -> Network:
    """Build ResNet-56 for 32 x 32 images: :func:`resnet_cifar` of depth 56 (853 018 parameters).

    Parameters
    ----------
    n_classes : int, default 10
    rng : int, SeedSequence, Generator, Key or None
        Source of the initial values.
    dtype : dtype, default float32

    Returns
    -------
    Network

    Examples
    --------
    >>> resnet56(rng=0).n_parameters
    853018
    """
    return resnet_cifar(56, n_classes=n_classes, rng=rng, dtype=dtype)


def resnet110(*, n_classes: int = 10, rng: RandomState = None, dtype: Any = np.float32) -> Network:
    """Build ResNet-110 for 32 x 32 images: :func:`resnet_cifar` of depth 110.

    Parameters
    ----------
    n_classes : int, default 10
    rng : int, SeedSequence, Generator, Key or None
        Source of the initial values.
    dtype : dtype, default float32

    Returns
    -------
    Network

    Examples
    --------
    >>> resnet110(rng=0).n_parameters
    1727962
    """
    return resnet_cifar(110, n_classes=n_classes, rng=rng, dtype=dtype)


def _stem(chain: Chain, n_channels: int, small_images: bool) -> None:
    if small_images:
        chain.convolution("conv1", n_channels, 64, 3, padding=1)
        chain.norm("bn1", 64, rectify=True)
    else:
        chain.convolution("conv1", n_channels, 64, 7, stride=2, padding=3)
        chain.norm("bn1", 64, rectify=True)
        chain.add("maxpool", MaxPool2d(3, stride=2, padding=1))


def resnet18(
    *,
    n_classes: int = 10,
    n_channels: int = 3,
    small_images: bool = True,
    rng: RandomState = None,
    dtype: Any = np.float32,
) -> Network:
    """Build ResNet-18: four stages of two basic blocks, 64 to 512 channels, convolutional shortcuts.

    Parameters
    ----------
    n_classes : int, default 10
    n_channels : int, default 3
        Channels of the images.
    small_images : bool, default True
        A stem of one 3 x 3 convolution, for 32 x 32 pixels; False: the published stem for 224 x 224, a 7 x 7
        convolution and a maximum, both of stride 2.
    rng : int, SeedSequence, Generator, Key or None
        Source of the initial values.
    dtype : dtype, default float32

    Returns
    -------
    Network

    References
    ----------
    K. He et al. (2016), Deep residual learning for image recognition, table 1.

    Examples
    --------
    >>> resnet18(n_classes=1000, small_images=False, rng=0).n_parameters
    11689512
    """
    chain = Chain(rng, dtype)
    _stem(chain, n_channels, small_images)
    n_in = 64
    for stage in range(4):
        for block in range(2):
            stride = 2 if stage and not block else 1
            _basic_block(chain, f"layer{stage + 1}_{block}", n_in, 64 << stage, stride, "B")
            n_in = 64 << stage
    chain.add("avgpool", GlobalAvgPool2d())
    chain.dense("fc", n_in, n_classes)
    return chain.network()


def resnet50(
    *,
    n_classes: int = 1000,
    n_channels: int = 3,
    small_images: bool = False,
    rng: RandomState = None,
    dtype: Any = np.float32,
) -> Network:
    """Build ResNet-50: four stages of 3, 4, 6 and 3 bottleneck blocks, 256 to 2048 channels.

    The stride of a stage sits in its first 3 x 3 convolution, as in the networks that are in use today; the paper has it in
    the 1 x 1 convolution before, with the same numbers of parameters.

    Parameters
    ----------
    n_classes : int, default 1000
    n_channels : int, default 3
        Channels of the images.
    small_images : bool, default False
        A stem of one 3 x 3 convolution instead of the published one for 224 x 224 pixels.
    rng : int, SeedSequence, Generator, Key or None
        Source of the initial values.
    dtype : dtype, default float32

    Returns
    -------
    Network

    References
    ----------
    K. He et al. (2016), Deep residual learning for image recognition, table 1.

    Examples
    --------
    >>> resnet50(rng=0).n_parameters
    25557032
    """
    chain = Chain(rng, dtype)
    _stem(chain, n_channels, small_images)
    n_in = 64
    for stage, n_blocks in enumerate((3, 4, 6, 3)):
        for block in range(n_blocks):
            stride = 2 if stage and not block else 1
            _bottleneck(chain, f"layer{stage + 1}_{block}", n_in, 64 << stage, stride)
            n_in = 4 * (64 << stage)
    chain.add("avgpool", GlobalAvgPool2d())
    chain.dense("fc", n_in, n_classes)
    return chain.network()
