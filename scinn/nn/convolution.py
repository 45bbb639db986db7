"""Convolution of channels-last images."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from scinn.nn.images import as_pair, check_images, readable
from scinn.nn.initializers import initialize
from scinn.nn.layer import Layer, check_dtype, check_output_gradient, register_layer
from scinn.nn.patches import Geometry, patch_convolve, patch_input_gradient, patch_weight_gradient
from scinn.nn.sums import column_sums
from scinn.nn.threads import n_threads_in_use
from scinn.random import Key, RandomState, as_generator

__all__ = ["Conv2d"]


class Conv2dSaved(NamedTuple):
    """What the backward of :class:`Conv2d` needs: the input."""

    x: np.ndarray


@register_layer
class Conv2d(Layer):
    """Two-dimensional convolution (in the field's sense: a correlation) of channels-last images.

    Forward ``y[n, i, j, d] = b[d] + sum_{a, b, c} x[n, i s + a l - p, j s + b l - p, c] w[a, b, c, d]`` with stride
    ``s``, dilation ``l`` and padding ``p`` (zeros). Backward: ``dx`` is the adjoint of that map applied to ``dy``,
    ``dw[a, b, c, d] = sum_{n, i, j} x[n, i s + a l - p, j s + b l - p, c] dy[n, i, j, d]``, and ``db`` the sum of
    ``dy`` over images and places (added up in float64).

    Parameters
    ----------
    n_in, n_out : int
        Numbers of input and output channels.
    kernel_size : int or pair of int
        Height and width of the kernel.
    stride : int or pair of int, default 1
        Pixels from one place of the kernel to the next.
    padding : int, pair of int or "same", default 0
        Rows and columns of zeros on each side. ``"same"``, for stride 1 and odd kernels, keeps the size.
    dilation : int or pair of int, default 1
        Pixels from one tap of the kernel to the next.
    groups : int, default 1
        Channels are divided into this many groups that do not see each other; ``n_in`` of them are a depthwise
        convolution.
    bias : bool, default True
        Whether there is a ``b``; it starts at zero.
    init : str, default "he_normal"
        Initial values of the weights, see :func:`scinn.nn.initialize`.
    dtype : dtype, default float32
        Dtype of the parameters, which inputs must share.
    rng : int, SeedSequence, Generator, Key or None
        Source of the initial values.

    Raises
    ------
    ValueError
        For numbers that do not fit together.

    Notes
    -----
    ``params["weight"]`` has shape (kernel_height, kernel_width, n_in / groups, n_out), ``params["bias"]`` (n_out,).
    With one group and no dilation the bits of an image's output depend neither on the batch around it nor on the
    number of threads. Other convolutions, but for depthwise ones, use BLAS: there equal batches give equal bits.

    References
    ----------
    V. Dumoulin and F. Visin (2016), A guide to convolution arithmetic for deep learning, relationship 6 (sizes).

    Examples
    --------
    >>> import numpy as np
    >>> layer = Conv2d(3, 8, 3, stride=2, padding=1, rng=0)
    >>> y, saved = layer.forward(np.ones((4, 32, 32, 3), dtype=np.float32))
    >>> dx, grads = layer.backward(saved, np.ones_like(y))
    >>> y.shape, dx.shape, grads["weight"].shape
    ((4, 16, 16, 8), (4, 32, 32, 3), (3, 3, 3, 8))
    """

    Saved = Conv2dSaved

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel_size: int | tuple[int, int],
        *,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        init: str = "he_normal",
        dtype: Any = np.float32,
        rng: RandomState = None,
    ) -> None:
        super().__init__()
        for name, value in (("n_in", n_in), ("n_out", n_out), ("groups", groups)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise ValueError(f"{name} must be a positive integer, got {value!r}")
        if n_in % groups or n_out % groups:
            raise ValueError(
                f"groups must divide the numbers of channels: got groups={groups}, n_in={n_in}, n_out={n_out}"
            )
        self.n_in, self.n_out, self.bias, self.init = int(n_in), int(n_out), bool(bias), init
        kernel = as_pair(kernel_size, "kernel_size", minimum=1)
        strides, dilations = as_pair(stride, "stride", minimum=1), as_pair(dilation, "dilation", minimum=1)
        if padding == "same":
            if strides != (1, 1) or kernel[0] % 2 == 0 or kernel[1] % 2 == 0:
                raise ValueError(
                    f'padding="same" needs stride 1 and an odd kernel, got stride {strides}, kernel {kernel}; '
                    "give the padding as a number"
                )
            pads = (dilations[0] * (kernel[0] // 2), dilations[1] * (kernel[1] // 2))
        elif isinstance(padding, str):
            raise ValueError(f'padding must be an integer, a pair or "same", got {padding!r}')
        else:
            pads = as_pair(padding, "padding", minimum=0)
        self.geometry = Geometry(kernel, strides, pads, dilations, int(groups))
        dtype = check_dtype(dtype)
        shape = (*kernel, self.n_in // int(groups), self.n_out)
        fan_out = math.prod(kernel) * self.n_out // int(groups)
        weight = initialize(init, shape, rng=as_generator(rng), dtype=dtype, fan_out=fan_out)
        self.params = {"weight": weight}
        if bias:
            self.params["bias"] = np.zeros(self.n_out, dtype=dtype)

    def output_shape(self, height: int, width: int) -> tuple[int, int]:
        """Return the size of the output for images of a size.

        Parameters
        ----------
        height, width : int

        Returns
        -------
        tuple of int

        Raises
        ------
        ValueError
            Where the kernel is larger than the padded image.
        """
        shape = self.geometry.output_shape(height, width)
        if min(shape) < 1:
            kernel, padding, dilation = self.geometry.kernel, self.geometry.padding, self.geometry.dilation
            spread = "" if dilation == (1, 1) else f" with dilation {dilation}"
            raise ValueError(
                f"Conv2d: the kernel {kernel}{spread} is larger than the image {height} x {width} with padding {padding}; "
                "use larger images, a smaller kernel or more padding"
            )
        return shape

    def forward(
        self, x: np.ndarray, *, train: bool = False, key: Key | None = None
    ) -> tuple[np.ndarray, Conv2dSaved]:
        """Return the convolution of ``x``, and the input as saved.

        Parameters
        ----------
        x : ndarray, shape (n, height, width, n_in)
            Finite images, in the parameters' dtype.
        train, key
            Ignored.

        Returns
        -------
        y : ndarray, shape (n, out_height, out_width, n_out)
        saved : Conv2dSaved

        Raises
        ------
        TypeError, ValueError
            For another dtype or layout, images smaller than the kernel, NaN or infinite pixels.
        """
        check_images(x, self, self.n_in)
        shape = self.output_shape(x.shape[1], x.shape[2])
        y = np.empty((len(x), *shape, self.n_out), dtype=x.dtype)
        if self._is_tiled():
            finite = self._tiled_forward(x, y)
        else:
            self._simple_forward(x, y)
            finite = np.isfinite(x).all(axis=(1, 2, 3))
        if not finite.all():
            raise ValueError(
                f"Conv2d: x must be finite, got NaN or infinite pixels in image {int(np.argmin(finite))} of the batch; "
                "check the data, or lower the learning rate"
            )
        return y, Conv2dSaved(x)

    def _is_tiled(self) -> bool:
        return self.geometry.groups == 1 and self.geometry.dilation == (1, 1)

    def _is_depthwise(self) -> bool:
        return self.geometry.groups == self.n_in == self.n_out

    def _tiled_forward(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        from scinn.kernels import convolution as kernels

        run = kernels.convolve_parallel if n_threads_in_use() > 1 else kernels.convolve
        weight = self.params["weight"]
        bias = self.params["bias"] if self.bias else np.empty(0, dtype=weight.dtype)
        finite = np.empty(len(x), dtype=np.bool_)
        run(
            readable(x),
            readable(weight),
            readable(bias),
            *self.geometry.stride,
            *self.geometry.padding,
            y,
            finite,
        )
        return finite

    def _simple_forward(self, x: np.ndarray, y: np.ndarray) -> None:
        geometry, weight = self.geometry, self.params["weight"]
        if self._is_depthwise():
            from scinn.kernels import depthwise as kernels

            run = kernels.depthwise_parallel if n_threads_in_use() > 1 else kernels.depthwise
            run(readable(x), readable(weight), geometry.stride, geometry.padding, geometry.dilation, y)
        else:
            y[...] = patch_convolve(x, weight, geometry)
        if self.bias:
            y += self.params["bias"]

    def backward(self, saved: Conv2dSaved, dy: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return the gradients by the images, the weights and the bias.

        Parameters
        ----------
        saved : Conv2dSaved
            From :meth:`forward`.
        dy : ndarray, shape (n, out_height, out_width, n_out)
            Gradient of the loss by the output.

        Returns
        -------
        dx : ndarray, shape (n, height, width, n_in)
        grads : dict
            ``"weight"`` and, with a bias, ``"bias"``.
        """
        x, weight = saved.x, self.params["weight"]
        shape = (len(x), *self.geometry.output_shape(x.shape[1], x.shape[2]), self.n_out)
        check_output_gradient(dy, self, shape, weight.dtype)
        if self._is_tiled():
            dx, dweight = self._tiled_backward(x, dy)
        elif self._is_depthwise():
            dx, dweight = self._depthwise_backward(x, dy)
        else:
            dx = patch_input_gradient(dy, weight, x.shape, self.geometry)
            dweight = patch_weight_gradient(x, dy, weight.shape, self.geometry)
        grads = {"weight": dweight.astype(weight.dtype)}
        if self.bias:
            grads["bias"] = column_sums(dy).astype(weight.dtype)
        return dx, grads

    def _tiled_backward(self, x: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        from scinn.kernels import convolution as kernels

        parallel = n_threads_in_use() > 1
        run = kernels.convolve_input_gradient_parallel if parallel else kernels.convolve_input_gradient
        dx = np.empty(x.shape, dtype=x.dtype)
        run(readable(dy), readable(self.params["weight"]), *self.geometry.stride, *self.geometry.padding, dx)
        return dx, self._tiled_weight_gradient(x, dy)

    def _tiled_weight_gradient(self, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
        from scinn.kernels import convolution as kernels

        parallel = n_threads_in_use() > 1
        run = kernels.convolve_weight_gradient_parallel if parallel else kernels.convolve_weight_gradient
        shape = self.params["weight"].shape
        lanes = kernels.VECTOR_BYTES // x.itemsize
        n_blocks, width = -(-len(x) // kernels.BLOCK_IMAGES), -(-self.n_out // lanes) * lanes
        partials = np.empty((n_blocks, math.prod(shape[:3]), width), dtype=x.dtype)
        dweight = np.empty(shape)
        run(readable(x), readable(dy), *self.geometry.stride, *self.geometry.padding, partials, dweight)
        return dweight

    def _depthwise_backward(self, x: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        from scinn.kernels import depthwise as kernels

        geometry, weight = self.geometry, self.params["weight"]
        options = (geometry.stride, geometry.padding, geometry.dilation)
        dx, dweight = np.empty(x.shape, dtype=x.dtype), np.empty(weight.shape)
        parallel = n_threads_in_use() > 1
        run = kernels.depthwise_input_gradient_parallel if parallel else kernels.depthwise_input_gradient
        run(readable(dy), readable(weight), *options, dx)
        kernels.depthwise_weight_gradient(readable(x), readable(dy), *options, dweight)
        return dx, dweight

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        geometry = self.geometry
        return {
            "n_in": self.n_in,
            "n_out": self.n_out,
            "kernel_size": list(geometry.kernel),
            "stride": list(geometry.stride),
            "padding": list(geometry.padding),
            "dilation": list(geometry.dilation),
            "groups": geometry.groups,
            "bias": self.bias,
            "init": self.init,
            "dtype": str(self.params["weight"].dtype),
        }
