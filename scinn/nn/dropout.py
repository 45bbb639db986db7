"""Dropout with an addressed mask: the same key gives the same mask, whoever asks and in whatever order."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from scinn.nn.layer import Layer, check_input, check_key, check_output_gradient, is_sparse, register_layer
from scinn.random import Key

__all__ = ["Dropout"]


class DropoutSaved(NamedTuple):
    """The mask of kept entries; None where nothing was dropped. A sparse input has no gradient."""

    mask: np.ndarray | None
    sparse: bool


@register_layer
class Dropout(Layer):
    """Set entries to zero with probability ``rate`` in training and scale the others by ``1 / (1 - rate)``.

    Forward ``y = m * x / (1 - rate)`` with ``m`` Bernoulli(1 - rate); backward ``dx = m * dy / (1 - rate)``.
    In inference and for rate 0 it is the identity.

    Parameters
    ----------
    rate : float
        Probability of zero, in [0, 1).

    Notes
    -----
    A CSR array is welcome: its stored values are dropped, which has the law of dropping all entries.

    References
    ----------
    N. Srivastava et al. (2014), Dropout: a simple way to prevent neural networks from overfitting, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.random import Key
    >>> y, saved = Dropout(0.5).forward(np.ones((2, 4)), train=True, key=Key(0))
    >>> bool(np.all((y == 0) | (y == 2)))
    True
    """

    Saved = DropoutSaved

    def __init__(self, rate: float) -> None:
        super().__init__()
        if isinstance(rate, bool) or not 0 <= rate < 1:
            raise ValueError(
                f"rate must be in [0, 1), got {rate!r}; it is the probability of dropping an entry"
            )
        self.rate = float(rate)

    def forward(
        self, x: Any, *, train: bool = False, key: Key | None = None, mask: np.ndarray | None = None
    ) -> tuple[Any, DropoutSaved]:
        """Return the input with entries dropped, and the mask.

        Parameters
        ----------
        x : ndarray of any shape, or CSR array
            The input.
        train : bool
            Whether to drop at all.
        key : scinn.random.Key
            Address of the mask; needed in training when ``rate`` > 0.
        mask : ndarray of bool, optional
            A given mask instead of a drawn one: the shape of ``x``, or of its stored values for a CSR array.

        Returns
        -------
        y : ndarray or CSR array
            Same shape as ``x``.
        saved : DropoutSaved
        """
        check_input(x, self, sparse=True)
        sparse = is_sparse(x)
        if not train or (self.rate == 0 and mask is None):
            return x, DropoutSaved(None, sparse)
        values = x.data if sparse else x
        if mask is None:
            uniform = check_key(key, self).generator().random(values.shape, dtype=np.float32)
            mask = uniform >= np.float32(self.rate)
        elif mask.shape != values.shape or mask.dtype != np.bool_:
            raise ValueError(
                f"mask must be bool of shape {values.shape}, got {mask.dtype} of shape {mask.shape}"
            )
        kept = self._apply(values, mask)
        return (_with_values(x, kept) if sparse else kept), DropoutSaved(mask, sparse)

    def backward(
        self, saved: DropoutSaved, dy: np.ndarray
    ) -> tuple[np.ndarray | None, dict[str, np.ndarray]]:
        """Return ``m * dy / (1 - rate)``; None for a sparse input."""
        if saved.sparse:
            return None, {}
        if saved.mask is None:
            return dy, {}
        check_output_gradient(dy, self, saved.mask.shape, dy.dtype)
        return self._apply(dy, saved.mask), {}

    def _apply(self, values: np.ndarray, mask: np.ndarray) -> np.ndarray:
        from scinn.kernels.elementwise import dropout

        values = np.require(values, requirements="C")
        out = np.empty_like(values)
        dropout(values, np.require(mask, requirements="C"), 1.0 / (1.0 - self.rate), out)
        return out

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"rate": self.rate}


def _with_values(x: Any, values: np.ndarray) -> Any:
    """Return a sparse array of the pattern of ``x`` with other stored values; the pattern is shared."""
    return type(x)((values, x.indices, x.indptr), shape=x.shape, copy=False)
