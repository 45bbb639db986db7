"""From stored pixels to the numbers a network is fed with."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

__all__ = ["CIFAR10_MEAN", "CIFAR10_STD", "normalize_images"]

CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2470, 0.2435, 0.2616)


def normalize_images(
    images: np.ndarray,
    mean: ArrayLike | None = None,
    std: ArrayLike | None = None,
    dtype: DTypeLike = np.float32,
    *,
    max_value: float = 255,
) -> np.ndarray:
    """Return ``(images / max_value - mean) / std``, channel by channel.

    Parameters
    ----------
    images : ndarray of shape (..., channels)
        Stored intensities from 0 to ``max_value``, channels last; not changed.
    mean, std : array_like of shape (channels,) or a number, optional
        Centre and spread of each channel on the scale 0 to 1, for example :data:`CIFAR10_MEAN` and
        :data:`CIFAR10_STD`, the values of all 50 000 training images; default 0 and 1.
    dtype : dtype
        A floating type; the arithmetic is done in it.
    max_value : float
        The intensity that becomes 1 before centring.

    Returns
    -------
    ndarray of ``dtype``, shape of ``images``

    Raises
    ------
    ValueError
        Where a mean or a spread does not fit the channels, or a spread is not positive.
    TypeError
        Where ``dtype`` is not a floating type, or the images are no numbers.

    References
    ----------
    Krizhevsky, A. (2009). Learning multiple layers of features from tiny images.

    Examples
    --------
    >>> import numpy as np
    >>> normalize_images(np.array([[0, 255]], dtype=np.uint8), mean=0.5, std=[0.5, 0.25]).tolist()
    [[-1.0, 2.0]]
    """
    kind = np.dtype(dtype)
    if kind.kind != "f":
        raise TypeError(f"dtype must be a floating type such as numpy.float32, got {kind}")
    images = np.asarray(images)
    if images.ndim == 0 or images.dtype.kind not in "uif":
        raise TypeError(
            f"images must be an array of numbers with the channels last, got {images.dtype} "
            f"of shape {images.shape}"
        )
    if not (np.isfinite(max_value) and max_value > 0):
        raise ValueError(f"max_value must be positive and finite, got {max_value!r}")
    channels = images.shape[-1]
    centre = None if mean is None else _of_channels(mean, "mean", channels)
    spread = None if std is None else _of_channels(std, "std", channels)
    if spread is not None and (spread <= 0).any():
        raise ValueError(f"std must be positive for every channel, got {spread.tolist()}")
    out = images.astype(kind)
    out /= float(max_value)
    if centre is not None:
        out -= centre.astype(kind)
    if spread is not None:
        out /= spread.astype(kind)
    return out


def _of_channels(value: ArrayLike, name: str, channels: int) -> np.ndarray:
    array = np.asarray(value, dtype=np.float64)
    if array.shape not in ((), (1,), (channels,)) or not np.isfinite(array).all():
        raise ValueError(
            f"{name} must be a finite number or {channels} of them, one a channel; got shape {array.shape}. "
            f"Images are channels-last: the last axis holds {channels} channels"
        )
    return array
