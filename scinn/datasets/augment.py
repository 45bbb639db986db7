"""Random changes of images that keep their class; every decision of a batch comes from one key."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

from scinn.random import Key

__all__ = ["CropFlip", "crop_flip", "draw_crop_flip", "random_crop_flip"]


class CropFlip(NamedTuple):
    """Where each image of a batch is cropped, and whether it is mirrored.

    Parameters
    ----------
    rows, columns : ndarray of shape (n_images,), int64
        First row and column of the crop in the padded image, ``0 .. 2 * padding``; ``padding`` is the centre.
    mirrored : ndarray of shape (n_images,), bool
        Left and right exchanged after cropping.
    """

    rows: np.ndarray
    columns: np.ndarray
    mirrored: np.ndarray


def random_crop_flip(
    images: np.ndarray, key: Key, *, padding: int = 4, flip: bool = True, fill: ArrayLike = 0
) -> np.ndarray:
    """Pad images, cut the old size out at random places, and mirror every second one on average.

    The same key and the same number of images give the same crops and mirrors, whatever else has been drawn:
    with one key a batch, for example ``key.child("augment", epoch, batch)``, any batch can be replayed alone.

    Parameters
    ----------
    images : ndarray of shape (n_images, height, width, channels)
        Integers or floats; not changed.
    key : Key
        Address of the batch's randomness. Crops and mirrors have streams of their own: switching one off
        leaves the other as it was.
    padding : int
        Pixels added on each side; 0 leaves the place as it is.
    flip : bool
        Whether to mirror, with probability 1/2 for each image.
    fill : number or array_like of shape (channels,)
        Value of the added pixels. Zero suits stored pixels; for normalised images ``-mean / std`` is what a
        black border would have become.

    Returns
    -------
    ndarray, shape and dtype of ``images``
        A new array.

    Raises
    ------
    TypeError
        Where ``key`` is no :class:`scinn.random.Key`.
    ValueError
        Where the images are not a batch with the channels last, the padding is negative, or the images cannot
        hold ``fill``.

    References
    ----------
    He, K., Zhang, X., Ren, S., Sun, J. (2016). Deep residual learning for image recognition, section 4.2.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.random import Key
    >>> batch = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    >>> changed = random_crop_flip(batch, Key(0).child("augment", 0, 7), padding=1)
    >>> changed.shape, changed.dtype
    ((2, 4, 4, 3), dtype('uint8'))
    >>> bool((changed == random_crop_flip(batch, Key(0).child("augment", 0, 7), padding=1)).all())
    True
    """
    images = _batch(images)
    return crop_flip(
        images, draw_crop_flip(len(images), key, padding=padding, flip=flip), padding=padding, fill=fill
    )


def draw_crop_flip(n_images: int, key: Key, *, padding: int = 4, flip: bool = True) -> CropFlip:
    """Draw the decisions of :func:`random_crop_flip` without applying them.

    Parameters
    ----------
    n_images : int
        Size of the batch.
    key : Key
        Address of the batch's randomness.
    padding : int
        Largest shift in pixels, each way.
    flip : bool
        Whether to mirror; False mirrors none.

    Returns
    -------
    CropFlip

    Raises
    ------
    TypeError
        Where ``key`` is no :class:`scinn.random.Key`.
    ValueError
        Where a number is negative.

    Examples
    --------
    >>> from scinn.random import Key
    >>> draw_crop_flip(3, Key(0), padding=0, flip=False)
    CropFlip(rows=array([0, 0, 0]), columns=array([0, 0, 0]), mirrored=array([False, False, False]))
    """
    if not isinstance(key, Key):
        raise TypeError(
            f"key must be a scinn.random.Key, got {type(key).__name__}; write Key(seed).child('augment', ...)"
        )
    n_images, padding = _count(n_images, "n_images"), _count(padding, "padding")
    places = key.child("crop").generator().integers(2 * padding + 1, size=(2, n_images))
    mirrored = np.zeros(n_images, dtype=bool)
    if flip:
        mirrored = key.child("flip").generator().random(n_images) < 0.5
    return CropFlip(places[0], places[1], mirrored)


def crop_flip(
    images: np.ndarray, decisions: CropFlip, *, padding: int = 4, fill: ArrayLike = 0
) -> np.ndarray:
    """Pad, crop and mirror images at given places.

    Parameters
    ----------
    images : ndarray of shape (n_images, height, width, channels)
        Integers or floats; not changed.
    decisions : CropFlip
        One row, column and mirror for each image.
    padding : int
        Pixels added on each side.
    fill : number or array_like of shape (channels,)
        Value of the added pixels.

    Returns
    -------
    ndarray, shape and dtype of ``images``
        A new array.

    Raises
    ------
    ValueError
        Where the decisions do not fit the images or leave the padded image, or the images cannot hold
        ``fill``.

    See Also
    --------
    scinn.reference.augment.crop_flip : The same, pixel by pixel.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.array([[1, 2, 3]]).reshape(1, 1, 3, 1)
    >>> right = CropFlip(np.array([1]), np.array([2]), np.array([False]))
    >>> crop_flip(image, right, padding=1).ravel().tolist()
    [2, 3, 0]
    """
    images = _batch(images)
    padding = _count(padding, "padding")
    border = _fill_value(fill, images)
    rows, columns, mirrored = _checked(decisions, len(images), padding)
    if images.size == 0:
        return images.copy()
    n, height, width, channels = images.shape
    padded = np.empty((n, height + 2 * padding, width + 2 * padding, channels), dtype=images.dtype)
    padded[...] = border
    padded[:, padding : padding + height, padding : padding + width] = images
    # a row of pixels is one run of memory: cropping whole runs copies far faster than pixel by pixel
    runs = padded.reshape(n, height + 2 * padding, -1)
    windows = sliding_window_view(runs, (height, width * channels), axis=(1, 2))
    out: np.ndarray = windows[np.arange(n), rows, columns * channels].reshape(images.shape)
    out[mirrored] = out[mirrored, :, ::-1]
    return out


def _batch(images: np.ndarray) -> np.ndarray:
    images = np.asarray(images)
    if images.ndim != 4:
        raise ValueError(
            "images must have shape (n_images, height, width, channels), channels last; got shape "
            f"{images.shape}. For one image pass image[None]"
        )
    if images.dtype.kind not in "uif":
        raise ValueError(f"images must hold integers or floats, got {images.dtype}")
    return images


def _count(value: int, name: str) -> int:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer) or value < 0:
        raise ValueError(f"{name} must be an integer of at least 0, got {value!r}")
    return int(value)


def _fill_value(fill: ArrayLike, images: np.ndarray) -> np.ndarray:
    value = np.asarray(fill)
    if value.shape not in ((), images.shape[-1:]) or value.dtype.kind not in "uif":
        raise ValueError(
            f"fill must be a number or {images.shape[-1]} of them, one a channel; got {fill!r} "
            f"({value.dtype} of shape {value.shape})"
        )
    if images.dtype.kind in "ui":
        limits = np.iinfo(images.dtype)
        if (value != np.round(value)).any() or (value < limits.min).any() or (value > limits.max).any():
            raise ValueError(
                f"fill: {images.dtype} images cannot hold {fill!r}; pass whole numbers from {limits.min} to "
                f"{limits.max}, or convert the images first"
            )
    return value.astype(images.dtype)


def _checked(decisions: CropFlip, n_images: int, padding: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows, columns, mirrored = (np.asarray(part) for part in decisions)
    for name, part in (("rows", rows), ("columns", columns), ("mirrored", mirrored)):
        if part.shape != (n_images,):
            raise ValueError(
                f"decisions.{name} must have shape ({n_images},), one for each image, got {part.shape}"
            )
    for name, part in (("rows", rows), ("columns", columns)):
        if part.dtype.kind not in "ui" or (part.size and (part.min() < 0 or part.max() > 2 * padding)):
            raise ValueError(
                f"decisions.{name} must be integers from 0 to {2 * padding} (twice the padding); draw them "
                "with the same padding"
            )
    if mirrored.dtype != bool:
        raise ValueError(f"decisions.mirrored must be bool, got {mirrored.dtype}")
    return rows, columns, mirrored
