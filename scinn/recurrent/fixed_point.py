"""Numbers of reversible networks: states in fixed point, gates as fractions of 1024, limits on forgetting.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999. A stored
integer ``h*`` (int32) has the value ``h = h* 2^-23``, between -256 and 256; a gate ``z*`` from 1 to 1024 the value
``z* / 1024``. A limit of ``k`` bits keeps every gate at or above ``2^-k``, so that one step forgets no more than ``k``
bits of a unit.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from scinn.exceptions import StateRangeError

__all__ = [
    "GATE_BITS",
    "GATE_ONE",
    "STATE_BITS",
    "STATE_LIMIT",
    "Limits",
    "forgetting_limits",
    "from_fixed",
    "to_fixed",
]

#: Fractional bits of a state.
STATE_BITS = 23
#: Bits of a gate.
GATE_BITS = 10
#: The integer of a gate that keeps everything.
GATE_ONE = 1 << GATE_BITS
#: States lie in ``[-STATE_LIMIT, STATE_LIMIT)``.
STATE_LIMIT = float(1 << (31 - STATE_BITS))

_SCALE = float(1 << STATE_BITS)


class Limits(NamedTuple):
    """A gate is ``low + span * sigmoid(.)``."""

    low: float
    span: float


def forgetting_limits(max_forget_bits: float | None, bounded: float | None = None) -> Limits:
    """Return the range of a forget gate that loses at most so many bits in a step.

    Parameters
    ----------
    max_forget_bits : float or None
        Most bits that one step may forget of a unit, ``k``: gates stay at or above ``2^-k``. None is no limit.
    bounded : float or None
        With ``j`` gates stay at or below ``1 - 2^-j`` too, so that states which add at most 1 in a step never exceed
        ``2^j``.

    Returns
    -------
    Limits
        ``low`` and ``span`` of ``low + span * sigmoid(.)``.

    Raises
    ------
    ValueError
        For limits that are not positive, or that leave no room between them.

    Examples
    --------
    >>> forgetting_limits(3)
    Limits(low=0.125, span=0.875)
    >>> forgetting_limits(None)
    Limits(low=0.0, span=1.0)
    """
    low, high = 0.0, 1.0
    if max_forget_bits is not None:
        bits = _positive(
            max_forget_bits, "max_forget_bits", "the most bits that a step may forget of one unit"
        )
        if bits > GATE_BITS:
            raise ValueError(
                f"max_forget_bits is {bits:g}, and gates have {GATE_BITS} bits; use at most {GATE_BITS}, or None for "
                "no limit"
            )
        low = 2.0**-bits
    if bounded is not None:
        high = 1.0 - 2.0 ** -_positive(bounded, "bounded", "states then stay below 2 to this power")
        if high > 1.0 - 2.0**-GATE_BITS or high <= low:
            raise ValueError(
                f"bounded={bounded!r} puts the forget gates between {low:g} and {high:g}; wanted room between them and "
                f"at most {GATE_BITS} bits, for example bounded=4"
            )
    return Limits(low, high - low)


def _positive(value: Any, name: str, meaning: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name} must be a number or None, got {type(value).__name__}; it is {meaning}")
    if not math.isfinite(value) or value <= 0:
        raise ValueError(f"{name} must be positive, got {value!r}; it is {meaning}, and None means no limit")
    return float(value)


def to_fixed(values: np.ndarray, what: str = "values") -> np.ndarray:
    """Return the nearest fixed-point numbers, half to even.

    Parameters
    ----------
    values : ndarray of float
        Any shape.
    what : str
        Name of the argument, for the message.

    Returns
    -------
    ndarray of int32
        ``round(values * 2^23)``.

    Raises
    ------
    ValueError
        For NaN or infinity.
    StateRangeError
        For values outside [-256, 256).

    Examples
    --------
    >>> to_fixed(np.array([0.5, -1.0]))
    array([ 4194304, -8388608], dtype=int32)
    """
    values = np.asarray(values)
    if not np.isfinite(values).all():
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
        raise ValueError(f"{what} has {values[at]} at {at}; states must be finite")
    scaled = np.rint(values.astype(np.float64) * _SCALE)
    outside = (scaled < -(2.0**31)) | (scaled >= 2.0**31)
    if outside.any():
        at = tuple(int(i) for i in np.argwhere(outside)[0])
        raise StateRangeError(
            f"{what} has {values[at]:g} at {at}; fixed-point states lie in [-{STATE_LIMIT:g}, {STATE_LIMIT:g})"
        )
    return scaled.astype(np.int32)


def from_fixed(state: np.ndarray, dtype: Any = np.float64) -> np.ndarray:
    """Return the values of fixed-point numbers.

    Parameters
    ----------
    state : ndarray of int32
        Any shape.
    dtype : dtype, default float64
        Of the result; float32 rounds numbers of 2 and more in size.

    Returns
    -------
    ndarray of float
        ``state * 2^-23``.

    Examples
    --------
    >>> from_fixed(np.array([4194304], dtype=np.int32))
    array([0.5])
    """
    return (state * (1.0 / _SCALE)).astype(dtype, copy=False)
