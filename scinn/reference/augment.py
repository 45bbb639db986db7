"""Cropping and mirroring of padded images, pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["crop_flip"]


def crop_flip(
    images: np.ndarray,
    rows: Sequence[int] | np.ndarray,
    columns: Sequence[int] | np.ndarray,
    mirrored: Sequence[bool] | np.ndarray,
    padding: int,
    fill: float | Sequence[float] | np.ndarray = 0,
) -> np.ndarray:
    """Pad each image, cut its old size out at the given place, and mirror it where told.

    Parameters
    ----------
    images : ndarray of shape (n_images, height, width, channels)
    rows, columns : sequence of int, length n_images
        First row and column of the crop in the padded image, ``0 .. 2 * padding``.
    mirrored : sequence of bool, length n_images
        Left and right exchanged after cropping.
    padding : int
        Pixels added on each side.
    fill : float or sequence of float, one a channel
        Value of the added pixels.

    Returns
    -------
    ndarray, shape and dtype of ``images``

    Examples
    --------
    >>> import numpy as np
    >>> image = np.array([[1, 2, 3]]).reshape(1, 1, 3, 1)
    >>> crop_flip(image, [1], [2], [True], 1).ravel().tolist()
    [0, 3, 2]
    """
    n_images, height, width, channels = images.shape
    border = np.broadcast_to(fill, (channels,))
    out = np.empty_like(images)
    for i in range(n_images):
        for y in range(height):
            for x in range(width):
                seen = width - 1 - x if mirrored[i] else x
                source_y = y + int(rows[i]) - padding
                source_x = seen + int(columns[i]) - padding
                inside = 0 <= source_y < height and 0 <= source_x < width
                for channel in range(channels):
                    out[i, y, x, channel] = (
                        images[i, source_y, source_x, channel] if inside else border[channel]
                    )
    return out
