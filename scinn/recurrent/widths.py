"""Widths of the layers of a recurrent network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scinn._input import check_positive_int

__all__ = ["layer_widths"]


def layer_widths(n_hidden: int | Sequence[int], n_layers: int, *, even: bool = False) -> tuple[int, ...]:
    """Return the number of units of each layer.

    Parameters
    ----------
    n_hidden : int or sequence of int
        One number for all layers, or one for each.
    n_layers : int
    even : bool, default False
        Whether the units of a layer are cut into halves.

    Returns
    -------
    tuple of int

    Raises
    ------
    TypeError, ValueError
        For another number of widths, or numbers that cannot be widths.

    Examples
    --------
    >>> layer_widths(4, 2), layer_widths([6, 4], 2, even=True)
    ((4, 4), (6, 4))
    """
    given = list(n_hidden) if isinstance(n_hidden, Sequence | np.ndarray) else [n_hidden] * n_layers
    if len(given) != n_layers:
        raise ValueError(
            f"n_hidden has {len(given)} widths for {n_layers} layers; give one for each, or one number"
        )
    for width in given:
        check_positive_int(width, "n_hidden", 2 if even else 1)
        if even and width % 2:
            raise ValueError(f"n_hidden must be even, because the state is cut into halves; got {width}")
    return tuple(int(width) for width in given)
