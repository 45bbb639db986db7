"""The door for images: channels-last arrays ``(N, H, W, C)``, and how others become that."""

from __future__ import annotations

from typing import Any

import numpy as np

from scinn.nn.layer import Layer, check_input

__all__ = ["as_pair", "check_images", "readable", "to_channels_first", "to_channels_last"]


def to_channels_last(x: np.ndarray) -> np.ndarray:
    """Return images ``(N, C, H, W)`` in the layout of this package, ``(N, H, W, C)``.

    Parameters
    ----------
    x : ndarray, shape (n, n_channels, height, width)

    Returns
    -------
    ndarray, shape (n, height, width, n_channels)
        A contiguous copy.

    Raises
    ------
    ValueError
        For another number of axes.

    Examples
    --------
    >>> import numpy as np
    >>> to_channels_last(np.zeros((2, 3, 32, 32))).shape
    (2, 32, 32, 3)
    """
    return np.ascontiguousarray(np.moveaxis(_four_axes(x), 1, -1))


def to_channels_first(x: np.ndarray) -> np.ndarray:
    """Return images ``(N, H, W, C)`` as ``(N, C, H, W)``, for libraries that want them so.

    Parameters
    ----------
    x : ndarray, shape (n, height, width, n_channels)

    Returns
    -------
    ndarray, shape (n, n_channels, height, width)
        A contiguous copy.

    Raises
    ------
    ValueError
        For another number of axes.

    Examples
    --------
    >>> import numpy as np
    >>> to_channels_first(np.zeros((2, 32, 32, 3))).shape
    (2, 3, 32, 32)
    """
    return np.ascontiguousarray(np.moveaxis(_four_axes(x), -1, 1))


def _four_axes(x: Any) -> np.ndarray:
    x = np.asarray(x)
    if x.ndim != 4:
        raise ValueError(
            f"x must be a batch of images with four axes, got shape {x.shape}; one image is x[None]"
        )
    return x


def check_images(x: Any, layer: Layer, n_channels: int | None = None) -> None:
    """Refuse what is no batch of channels-last images, and name channels-first ones.

    Parameters
    ----------
    x : ndarray
        The layer's input.
    layer : Layer
        Who asks.
    n_channels : int or None
        Wanted number of channels.

    Raises
    ------
    TypeError
        For anything but an array of the layer's dtype.
    ValueError
        For a wrong shape, or images without pixels.
    """
    check_input(x, layer)
    who = type(layer).__name__
    if x.ndim != 4:
        hint = ": one image is x[None]" if x.ndim == 3 else ""
        raise ValueError(f"{who}: x must be images (N, height, width, channels), got shape {x.shape}{hint}")
    if n_channels is not None and x.shape[3] != n_channels:
        if x.shape[1] == n_channels:
            raise ValueError(
                f"{who}: x has shape {x.shape}, which looks like channels first (N, C, H, W); images are channels "
                f"last here, wanted {n_channels} channels in the last axis: scinn.nn.to_channels_last(x)"
            )
        raise ValueError(
            f"{who}: x has {x.shape[3]} channels (shape {x.shape}), the layer was built for {n_channels}; "
            "channels are the last axis"
        )
    if x.shape[1] == 0 or x.shape[2] == 0:
        raise ValueError(f"{who}: x has images without pixels, shape {x.shape}")


def as_pair(value: Any, name: str, *, minimum: int) -> tuple[int, int]:
    """Return an option of the form ``3`` or ``(3, 5)`` as a pair for rows and columns.

    Parameters
    ----------
    value : int or pair of int
    name : str
        The argument's name, for the message.
    minimum : int
        Smallest allowed number.

    Returns
    -------
    tuple of int

    Raises
    ------
    ValueError
        For anything else.
    """
    pair = tuple(value) if isinstance(value, tuple | list) else (value, value)
    good = len(pair) == 2 and all(
        isinstance(item, int | np.integer) and not isinstance(item, bool) and item >= minimum for item in pair
    )
    if not good:
        raise ValueError(
            f"{name} must be an integer >= {minimum} or a pair of them (rows, columns), got {value!r}"
        )
    return int(pair[0]), int(pair[1])


class _Writeable:
    """The memory of an array under an interface that does not say "read-only"."""

    def __init__(self, x: np.ndarray) -> None:
        self.owner = x
        interface = dict(x.__array_interface__)
        interface["data"] = (interface["data"][0], False)
        self.__array_interface__ = interface


def readable(x: np.ndarray) -> np.ndarray:
    """Return a contiguous array for a kernel that only reads it.

    Numba compiles anew for read-only arrays; for the large kernels this view spares the seconds.

    Parameters
    ----------
    x : ndarray

    Returns
    -------
    ndarray
        ``x`` itself where it is contiguous and writeable; not to be written to in any case.
    """
    x = np.ascontiguousarray(x)
    return x if x.flags.writeable else np.asarray(_Writeable(x))
